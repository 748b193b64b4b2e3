"""The life of a copy: started, observed, recorded in its DataSet, or taken back. Pure.

A copy's Jobs (one, or one for each part of a split copy) are recorded in `DataSet.status.transfers` before they are
made, and the copy in `status.copies` once all of them are seen complete; only then are the Jobs removed. rclone skips
what is there already, so making a Job again is harmless. One part that fails fails the copy: the others are removed
too, and the next attempt, which may be planned otherwise, goes on from what is there.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from polyhull.api import status as api_status
from polyhull.api.conditions import Reason
from polyhull.controller import children, status
from polyhull.controller.children import Member, Progress
from polyhull.controller.removal import deletes, remove
from polyhull.controller.renders import HubDataSet, Renderer
from polyhull.delivery.base import Action, Announce, Apply, Finalizer, PutStatus
from polyhull.domain.decision import Transfer
from polyhull.domain.workloads import ActiveTransfer, Copy
from polyhull.kube.resources import JOBS, PERSISTENT_VOLUME_CLAIMS, Manifest, Ref, ref_of
from polyhull.render import naming
from polyhull.render import transfer as rendering

RETRY_SECONDS = 60.0
"""Back-off after a failed copy."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Recorded as running, but without the Jobs of these parts (0 for a whole copy)."""

    transfer: ActiveTransfer
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows for a data set without asking the plan."""

    actions: tuple[Action, ...] = ()
    lost: tuple[Lost, ...] = ()
    failed_stores: tuple[str, ...] = ()
    tombstones: tuple[str, ...] = ()
    due_at: float | None = None
    closed: bool = False
    """Nothing is begun any more."""
    progress: Mapping[str, Progress] = field(default_factory=dict)


def judge(
    data_set: HubDataSet, active: Sequence[ActiveTransfer], members: Mapping[str, Member], now: float
) -> Verdict:
    """Follow what runs: completions into copies, failures out, the rest stays."""
    raw = data_set.raw
    if raw["metadata"].get("deletionTimestamp"):
        removal = remove(raw, _homes(data_set, active), members, now)
        return Verdict(removal.actions, tombstones=removal.tombstones, due_at=removal.due_at, closed=True)
    copies = list(data_set.copies)
    kept: list[ActiveTransfer] = []
    lost: list[Lost] = []
    failed: list[str] = []
    news: list[Action] = []
    dues: list[float] = []
    for one in active:
        member = members.get(one.cluster)
        if member is None or member.fenced:
            continue
        if not member.reachable:
            kept.append(one)
            continue
        jobs = _jobs(data_set, one, member)
        parts = [None if job is None else children.progress(job, member, data_set.uid, now) for job in jobs]
        seen = [part for part in parts if part is not None]
        why = _failure(seen) or _disagreement(seen, data_set, member)
        if why is not None:
            failed.append(one.store)
            text = f"The copy to {one.site} ({one.cluster}) failed: {why}"[:1000]
            news.append(Announce(ref_of(raw), data_set.uid, "Warning", Reason.TRANSFER_FAILED, text))
        elif len(seen) < len(parts):
            kept.append(one)
            lost.append(Lost(one, tuple(k for k, part in enumerate(parts) if part is None)))
        elif all(part.ended == "Complete" for part in seen):
            ends = [part.ended_at or now for part in seen]
            entry = api_status.copy_status(Copy(one.store, one.site), one.cluster, max(ends), one, ends)
            copies = [*(old for old in copies if old["store"] != one.store), entry]
            sources = " and ".join(dict.fromkeys(part.source_site for part in one.parts)) or one.source_site
            text = f"Copied to {one.site} ({one.cluster}) from {sources}"
            news.append(Announce(ref_of(raw), data_set.uid, "Normal", "Copied", text))
        else:
            kept.append(one)
            dues += [part.due_at for part in seen if part.due_at is not None]
    put = _put(data_set, copies, kept, now)
    return Verdict(
        (*put, *news, *(_finished(data_set, kept, members) if not put else ())),
        tuple(lost),
        tuple(failed),
        due_at=min(dues) if dues else None,
        closed=data_set.closed(members, now),
    )


def _guard(data_set: HubDataSet) -> tuple[Action, ...]:
    """The finalizer, where it is missing: what is recorded is removed before the object goes."""
    raw = data_set.raw
    have = naming.FINALIZER in (raw["metadata"].get("finalizers") or ())
    return () if have else (Finalizer(ref_of(raw), data_set.uid, True),)


def written(
    data_set: HubDataSet, copies: Sequence[tuple[Copy, str, float]], active: Sequence[ActiveTransfer], now: float
) -> tuple[Action, ...]:
    """Outputs of jobs that succeeded enter the record: (copy, cluster, since when), none of them recorded yet."""
    raw, held = data_set.raw, list(data_set.copies)
    made = [api_status.copy_status(copy, cluster, at) for copy, cluster, at in copies]
    places = ", ".join(f"{copy.site} ({cluster})" for copy, cluster, _ in copies)
    news = Announce(ref_of(raw), data_set.uid, "Normal", "Written", f"A job wrote it at {places}")
    return (*_guard(data_set), *_put(data_set, [*held, *made], active, now), news)


def evict(
    data_set: HubDataSet, stores: Collection[str], active: Sequence[ActiveTransfer], now: float
) -> tuple[Action, ...]:
    """The copies leave the record; their claims are then nobody's and go (`unrecorded`)."""
    copies = data_set.copies
    places = [f"{copy['site']} ({copy['cluster']})" for copy in copies if copy["store"] in stores]
    if not places:
        return ()
    text = f"The copy at {', '.join(places)} makes room: no unfinished job reads it"
    news = Announce(ref_of(data_set.raw), data_set.uid, "Normal", "Evicted", text)
    return (*_put(data_set, [copy for copy in copies if copy["store"] not in stores], active, now), news)


def unrecorded(
    data_set: HubDataSet, wanted: Collection[str], active: Sequence[ActiveTransfer], members: Mapping[str, Member]
) -> tuple[Action, ...]:
    """Deletes of claims that are no recorded copy, no running transfer, and in no store that the plan `wanted`.

    What a failed transfer left stays while the plan wants it there: the next attempt goes on from it.
    """
    owner = naming.Owner.of(data_set.value.key, data_set.uid)
    copies = data_set.copies
    stores = {*wanted, *(copy["store"] for copy in copies), *(one.store for one in active)}
    known = {rendering.copy_name(owner, store) for store in stores}
    return deletes(
        [
            (member.name, body)
            for member in members.values()
            if member.reachable
            for body in member.children.get(data_set.uid, ())
            if children.component(body) == rendering.CLAIM and body["metadata"]["name"] not in known
        ]
    )


def start(
    data_set: HubDataSet,
    moves: Sequence[Transfer],
    active: Sequence[ActiveTransfer],
    renderer: Renderer,
    plan_hash: str,
    now: float,
) -> tuple[Action, ...]:
    """Finalizer, record, then the Jobs. Raises InvalidInput for an address that no transfer can use."""
    applies = [one for move in moves for one in apply(renderer.copying(move, plan_hash))]
    begun = [
        ActiveTransfer(
            data_set=move.data_set,
            source_site=move.source_site,
            store=move.store,
            site=move.target_site,
            cluster=move.cluster,
            links=move.links,
            rate_bytes_per_second=move.rate_bytes_per_second,
            started_at=now,
            parts=move.parts,
        )
        for move in moves
    ]
    return (*_guard(data_set), *_put(data_set, data_set.copies, [*active, *begun], now), *applies)


def resume(data_set: HubDataSet, lost: Lost, renderer: Renderer, plan_hash: str) -> tuple[Apply, ...]:
    """The Jobs of a recorded transfer again that are not there. Raises InvalidInput when they cannot be made any
    more."""
    one = lost.transfer
    urls = {replica.site: replica.url for replica in reversed(data_set.value.replicas)}
    move = Transfer(
        data_set=one.data_set,
        source_site=one.source_site,
        source_url=urls.get(one.source_site, ""),
        target_site=one.site,
        store=one.store,
        cluster=one.cluster,
        links=one.links,
        transfer_bytes=data_set.value.size_bytes,
        rate_bytes_per_second=one.rate_bytes_per_second,
        start_seconds=0.0,
        end_seconds=0.0,
        parts=tuple(replace(part, source_url=urls.get(part.source_site, "")) for part in one.parts),
    )
    every = renderer.copying(move, plan_hash)
    return apply([every[part] for part in lost.parts])


def apply(copying: Sequence[rendering.Copying]) -> tuple[Apply, ...]:
    """The claim and, owned by it, the Jobs; the Jobs alone where copies lie in a bucket. `copying`: of one copy."""
    cluster, claim = copying[0].transfer.cluster, rendering.claim(copying[0])
    jobs = tuple(rendering.job(one) for one in copying)
    if claim is None:
        return tuple(Apply(cluster, job) for job in jobs)
    return (Apply(cluster, claim, lambda uid: tuple(rendering.job(one, uid) for one in copying)),)


def _names(data_set: HubDataSet, one: ActiveTransfer) -> tuple[str, ...]:
    """Of its Jobs."""
    return rendering.job_names(naming.Owner.of(one.data_set, data_set.uid), one.store, len(one.parts))


def _jobs(data_set: HubDataSet, one: ActiveTransfer, member: Member) -> list[Manifest | None]:
    there = {
        body["metadata"]["name"]: body for body in member.children.get(data_set.uid, ()) if body["kind"] == "Job"
    }
    return [there.get(name) for name in _names(data_set, one)]


def _failure(seen: Iterable[Progress]) -> str | None:
    """What the first part says that failed or will never run; None while none did."""
    for part in seen:
        if part.ended != "Complete" and (part.ended or part.trouble is not None):
            return part.message or (part.trouble.message if part.trouble else "")
    return None


def _disagreement(seen: Sequence[Progress], data_set: HubDataSet, member: Member) -> str | None:
    """Whether parts that are done saw different lists of files: then together they are no copy."""
    done = [part.uid for part in seen if part.ended == "Complete"] if len(seen) > 1 else []
    lists = {said for uid in done for said in children.last_words(member, data_set.uid, uid)}
    if len(lists) <= 1:
        return None
    return "its parts saw different files; the replicas differ, or changed meanwhile"


def _finished(
    data_set: HubDataSet, kept: Sequence[ActiveTransfer], members: Mapping[str, Member]
) -> tuple[Action, ...]:
    """Jobs whose result is stored: nothing needs them any more."""
    running = {(one.cluster, name) for one in kept for name in _names(data_set, one)}
    over = [
        (member.name, body)
        for member in members.values()
        if member.reachable
        for body in member.children.get(data_set.uid, ())
        if body.get("kind") == "Job" and children.component(body) == rendering.COMPONENT
        if (member.name, body["metadata"]["name"]) not in running
    ]
    return deletes(over)


def _put(
    data_set: HubDataSet, copies: Sequence[Mapping[str, Any]], active: Sequence[ActiveTransfer], now: float
) -> tuple[Action, ...]:
    raw = data_set.raw
    fields = data_set.record(copies, [api_status.active_transfer_status(one) for one in active])
    body = status.compose(raw, now, (), fields)
    before = raw.get("status") or {}
    same = all(before.get(name) == body.get(name) for name in fields)
    return () if same else (PutStatus(ref_of(raw), data_set.uid, body),)


def _homes(data_set: HubDataSet, active: Sequence[ActiveTransfer]) -> dict[str, tuple[Ref, ...]]:
    owner, namespace = naming.Owner.of(data_set.value.key, data_set.uid), data_set.value.key.namespace
    places = [(one.cluster, one.store, _names(data_set, one)) for one in active]
    for copy in data_set.copies:
        places.append((copy["cluster"], copy["store"], rendering.job_names(owner, copy["store"], 0)))
    homes: dict[str, tuple[Ref, ...]] = {}
    for cluster, store, jobs in places:
        claim = Ref(PERSISTENT_VOLUME_CLAIMS, namespace, rendering.copy_name(owner, store))
        homes[cluster] = (*homes.get(cluster, ()), *(Ref(JOBS, namespace, name) for name in jobs), claim)
    return homes
