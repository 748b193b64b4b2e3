"""The life of a copy: started, observed, recorded in its DataSet, or taken back. Pure.

A copy's Job is recorded in `DataSet.status.transfers` before it is made, and in `status.copies` once its completion
is seen; only then is the Job removed. rclone skips what is there already, so making the Job again is harmless.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
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
class Verdict:
    """What follows for a data set without asking the plan. `lost`: recorded as running, but without a Job."""

    actions: tuple[Action, ...] = ()
    lost: tuple[ActiveTransfer, ...] = ()
    failed_stores: tuple[str, ...] = ()
    tombstones: tuple[str, ...] = ()
    due_at: float | None = None
    deleting: bool = False
    progress: Mapping[str, Progress] = field(default_factory=dict)


def judge(
    data_set: HubDataSet, active: Sequence[ActiveTransfer], members: Mapping[str, Member], now: float
) -> Verdict:
    """Follow what runs: completions into copies, failures out, the rest stays."""
    raw = data_set.raw
    if raw["metadata"].get("deletionTimestamp"):
        removal = remove(raw, _homes(data_set, active), members, now)
        return Verdict(removal.actions, tombstones=removal.tombstones, due_at=removal.due_at, deleting=True)
    copies = list((raw.get("status") or {}).get("copies") or ())
    kept: list[ActiveTransfer] = []
    lost: list[ActiveTransfer] = []
    failed: list[str] = []
    news: list[Action] = []
    dues: list[float] = []
    for one in active:
        member = members.get(one.cluster)
        if member is None or member.fenced:
            continue
        body = _job(data_set, one.store, member) if member.reachable else None
        seen = _progress(body, data_set, member, now) if body is not None else None
        if seen is None:
            kept.append(one)
            if member.reachable:
                lost.append(one)
        elif seen.ended == "Complete":
            entry = api_status.copy_status(Copy(one.store, one.site), one.cluster, seen.ended_at or now, one)
            copies = [*(old for old in copies if old["store"] != one.store), entry]
            text = f"Copied to {one.site} ({one.cluster}) from {one.source_site}"
            news.append(Announce(ref_of(raw), data_set.uid, "Normal", "Copied", text))
        elif seen.ended or seen.trouble is not None:
            failed.append(one.store)
            why = seen.message or (seen.trouble.message if seen.trouble else "")
            text = f"The copy to {one.site} ({one.cluster}) failed: {why}"[:1000]
            news.append(Announce(ref_of(raw), data_set.uid, "Warning", Reason.TRANSFER_FAILED, text))
        else:
            kept.append(one)
            if seen.due_at is not None:
                dues.append(seen.due_at)
    put = _put(data_set, copies, kept, now)
    return Verdict(
        (*put, *news, *(_finished(data_set, kept, members) if not put else ())),
        tuple(lost),
        tuple(failed),
        due_at=min(dues) if dues else None,
    )


def evict(
    data_set: HubDataSet, stores: Collection[str], active: Sequence[ActiveTransfer], now: float
) -> tuple[Action, ...]:
    """The copies leave the record; their claims are then nobody's and go (`unrecorded`)."""
    copies = (data_set.raw.get("status") or {}).get("copies") or ()
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
    copies = (data_set.raw.get("status") or {}).get("copies") or ()
    stores = {*wanted, *(copy["store"] for copy in copies), *(one.store for one in active)}
    known = {rendering.copy_name(owner, store) for store in stores}
    return deletes(
        [
            (member.name, body)
            for member in members.values()
            if member.reachable
            for body in member.children.get(data_set.uid, ())
            if body.get("kind") == "PersistentVolumeClaim" and body["metadata"]["name"] not in known
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
    applies = [apply(renderer.copying(move, plan_hash)) for move in moves]
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
        )
        for move in moves
    ]
    raw = data_set.raw
    have = naming.FINALIZER in (raw["metadata"].get("finalizers") or ())
    guard = () if have else (Finalizer(ref_of(raw), data_set.uid, True),)
    copies = list((raw.get("status") or {}).get("copies") or ())
    return (*guard, *_put(data_set, copies, [*active, *begun], now), *applies)


def resume(data_set: HubDataSet, one: ActiveTransfer, renderer: Renderer, plan_hash: str) -> Apply:
    """The Job of a recorded transfer again. Raises InvalidInput when it cannot be made any more."""
    url = next((replica.url for replica in data_set.value.replicas if replica.site == one.source_site), "")
    move = Transfer(
        data_set=one.data_set,
        source_site=one.source_site,
        source_url=url,
        target_site=one.site,
        store=one.store,
        cluster=one.cluster,
        links=one.links,
        transfer_bytes=data_set.value.size_bytes,
        rate_bytes_per_second=one.rate_bytes_per_second,
        start_seconds=0.0,
        end_seconds=0.0,
    )
    return apply(renderer.copying(move, plan_hash))


def apply(copying: rendering.Copying) -> Apply:
    """The claim and, owned by it, the Job; the Job alone where copies lie in a bucket."""
    claim = rendering.claim(copying)
    if claim is None:
        return Apply(copying.transfer.cluster, rendering.job(copying))
    return Apply(copying.transfer.cluster, claim, lambda uid: (rendering.job(copying, uid),))


def _job(data_set: HubDataSet, store: str, member: Member) -> Manifest | None:
    name = rendering.copy_name(naming.Owner.of(data_set.value.key, data_set.uid), store)
    for body in member.children.get(data_set.uid, ()):
        if body.get("kind") == "Job" and body["metadata"]["name"] == name:
            return body
    return None


def _progress(body: Manifest, data_set: HubDataSet, member: Member, now: float) -> Progress:
    return children.progress(body, member, data_set.uid, now)


def _finished(
    data_set: HubDataSet, kept: Sequence[ActiveTransfer], members: Mapping[str, Member]
) -> tuple[Action, ...]:
    """Jobs whose result is stored: nothing needs them any more."""
    running = {
        (one.cluster, rendering.copy_name(naming.Owner.of(one.data_set, data_set.uid), one.store)) for one in kept
    }
    over = [
        (member.name, body)
        for member in members.values()
        if member.reachable
        for body in member.children.get(data_set.uid, ())
        if body.get("kind") == "Job" and (member.name, body["metadata"]["name"]) not in running
    ]
    return deletes(over)


def _put(
    data_set: HubDataSet, copies: Sequence[Mapping[str, Any]], active: Sequence[ActiveTransfer], now: float
) -> tuple[Action, ...]:
    raw = data_set.raw
    fields = {
        "copies": [dict(copy) for copy in copies] or None,
        "transfers": [api_status.active_transfer_status(one) for one in active] or None,
        "copyCount": len(copies) or None,
    }
    body = status.compose(raw, now, (), fields)
    before = raw.get("status") or {}
    same = all(before.get(name) == body.get(name) for name in fields)
    return () if same else (PutStatus(ref_of(raw), data_set.uid, body),)


def _homes(data_set: HubDataSet, active: Sequence[ActiveTransfer]) -> dict[str, tuple[Ref, ...]]:
    owner = naming.Owner.of(data_set.value.key, data_set.uid)
    places = [(one.cluster, one.store) for one in active]
    places += [(copy["cluster"], copy["store"]) for copy in (data_set.raw.get("status") or {}).get("copies") or ()]
    homes: dict[str, tuple[Ref, ...]] = {}
    for cluster, store in places:
        name, namespace = rendering.copy_name(owner, store), data_set.value.key.namespace
        refs = (Ref(JOBS, namespace, name), Ref(PERSISTENT_VOLUME_CLAIMS, namespace, name))
        homes[cluster] = (*homes.get(cluster, ()), *refs)
    return homes
