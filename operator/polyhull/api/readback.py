"""Status to what the planner knows: what a job was released to, what it was promised, what is copied where.

Status is the only truth that a restart needs. Instants are seconds since the epoch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from polyhull.api.conditions import Reason, Type, condition_status, get_condition
from polyhull.api.results import parse_instant
from polyhull.api.v1alpha1.copies import ActiveTransferStatus
from polyhull.api.v1alpha1.dataset import DataSetStatus
from polyhull.api.v1alpha1.inference import InferenceJobStatus
from polyhull.api.v1alpha1.jobstatus import AssignmentStatus, JobStatus, NodeShare
from polyhull.domain.workloads import (
    ActiveTransfer,
    Copy,
    CopyPart,
    Exclusion,
    Key,
    Placed,
    PlacedPart,
    Promise,
    Serving,
)

Raw = Mapping[str, Any]


def read_placed(status: JobStatus | None) -> Placed | None:
    """What was released and has not ended; None for a job that is not placed."""
    entry = status.assignment if status else None
    if status is None or entry is None or entry.released_time is None or ended(status):
        return None
    conditions = _plain_conditions(status)
    placed = get_condition(conditions, Type.PLACED)
    return Placed(
        cluster=entry.cluster,
        pool=entry.pool,
        option=entry.option,
        nodes=read_nodes(entry.nodes),
        released_at=parse_instant(entry.released_time),
        started_at=None if entry.started_time is None else parse_instant(entry.started_time),
        uncertain=placed is not None
        and placed.get("status") == "Unknown"
        and placed.get("reason") == Reason.MEMBER_UNREACHABLE,
        parts=tuple(
            PlacedPart(part.cluster, part.pool, part.option, part.replicas, read_nodes(part.nodes))
            for part in entry.parts or ()
        ),
    )


def read_promise(status: JobStatus | None) -> Promise | None:
    """What the last accepted plan said of a job that was not released."""
    if status is None or status.assignment is None or status.assignment.released_time is not None or ended(status):
        return None
    if status.estimated_start_time is None or status.estimated_completion_time is None:
        return None
    entry: AssignmentStatus = status.assignment
    start, finish = parse_instant(status.estimated_start_time), parse_instant(status.estimated_completion_time)
    pools = [part.pool for part in entry.parts or (entry,)]
    options = dict.fromkeys(part.option for part in entry.parts or (entry,))
    promise = Promise(entry.cluster, "+".join(pools), "+".join(options), entry.order, start, finish)
    told = status.promise
    if told is None:
        return promise
    left = None if told.left_pool is None or told.left_option is None else (told.left_pool, told.left_option)
    return replace(
        promise,
        due_at=parse_instant(told.completion_time),
        given_at=parse_instant(told.given_time),
        slips=told.slips,
        moved_at=None if told.moved_time is None else parse_instant(told.moved_time),
        left=left,
    )


def read_exclusions(status: JobStatus | None) -> tuple[Exclusion, ...]:
    """Places the job is kept away from; those over are for the reader's clock to drop."""
    entries = (status.exclusions if status else None) or ()
    return tuple(
        Exclusion(entry.cluster, entry.pool or "", entry.reason, entry.message, parse_instant(entry.until_time))
        for entry in entries
    )


def read_serving(status: InferenceJobStatus | None) -> tuple[Serving, ...]:
    """Replicas of an online service as last recorded."""
    entries = (status.serving if status else None) or ()
    return tuple(
        Serving(entry.cluster, entry.pool, entry.variant, entry.replicas, read_nodes(entry.nodes))
        for entry in entries
    )


def read_copies(status: DataSetStatus | None) -> tuple[Copy, ...]:
    """Complete copies, by store."""
    entries = (status.copies if status else None) or ()
    return tuple(sorted((Copy(entry.store, entry.site) for entry in entries), key=lambda copy: copy.store))


def read_active_transfers(key: Key, status: DataSetStatus | None) -> tuple[ActiveTransfer, ...]:
    """Copies under way, by store."""
    return read_transfers(key, (status.transfers if status else None) or ())


def read_transfers(key: Key, entries: Iterable[ActiveTransferStatus]) -> tuple[ActiveTransfer, ...]:
    """Copies of `key` under way, by store."""
    return tuple(_active_transfer(key, entry) for entry in sorted(entries, key=lambda entry: entry.store))


def _active_transfer(key: Key, entry: ActiveTransferStatus) -> ActiveTransfer:
    parts = tuple(
        CopyPart(one.source_site, "", tuple(one.links or ()), one.transfer_bytes, float(max(1, one.bytes_per_second)))
        for one in entry.parts or ()
    )
    links = tuple(dict.fromkeys(link for part in parts for link in part.links)) or tuple(entry.links or ())
    return ActiveTransfer(
        data_set=key,
        source_site=entry.source_site,
        store=entry.store,
        site=entry.site,
        cluster=entry.cluster,
        links=links,
        rate_bytes_per_second=float(entry.bytes_per_second),
        started_at=parse_instant(entry.start_time),
        parts=parts,
    )


def read_nodes(entries: Sequence[NodeShare] | None) -> tuple[tuple[str, int], ...]:
    """(node name, pods there)."""
    return tuple((entry.name, entry.pods) for entry in entries or ())


def ended(status: JobStatus | Raw | None) -> bool:
    """Whether the job's end is stored: Succeeded is True, or False with a reason that is final."""
    raw = None if isinstance(status, JobStatus) else (status or {}).get("conditions")
    conditions = _plain_conditions(status) if isinstance(status, JobStatus) else raw if isinstance(raw, list) else ()
    state = condition_status(conditions, Type.SUCCEEDED)
    if state == "True":
        return True
    found = get_condition(conditions, Type.SUCCEEDED)
    return state == "False" and found is not None and found.get("reason") in (Reason.FAILED, Reason.CHILD_LOST)


def _plain_conditions(status: JobStatus) -> list[Mapping[str, Any]]:
    return [condition.model_dump(by_alias=True) for condition in status.conditions or ()]
