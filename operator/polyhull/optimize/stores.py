"""What stores hold and may still take: copies, which of them nobody needs, and what jobs keep there themselves.

A copy is *idle* when no unfinished job or service reads its data set. It stays until its room is wanted, because a
later job may read it again; its value is the time it would take to bring it back. Only copies in volumes are
evicted (removing one is removing its claim), and never one whose data set has no other home it could come from.

Checkpoints and outputs take room too. Where a store is limited, what is free is promised to waiting jobs by priority
and age, wherever they might go in the end: a job that is not promised room somewhere may not run there yet.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from polyhull.domain.fleet import Fleet, Storage, StorageKind
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import CHECKPOINT, DataSet, Key, TrainingJob, checkpoint_key
from polyhull.optimize.paths import Network


@dataclass(frozen=True, slots=True)
class Idle:
    """A copy that may go. `value` is seconds per byte to bring it back, links otherwise empty."""

    data_set: Key
    store: str
    size_bytes: int
    value: float


def idle_copies(snapshot: Snapshot) -> tuple[Idle, ...]:
    """The least valuable first; among equals the larger, then by name."""
    volumes = {c.store: c.site for c in snapshot.fleet.clusters if c.storage.kind is StorageKind.VOLUME}
    read = _read(snapshot)
    candidates = [
        (data, copy.store)
        for data in snapshot.data_sets
        if data.key not in read
        for copy in data.copies
        if copy.store in volumes
    ]
    if not candidates:
        return ()
    network = Network(snapshot.fleet, snapshot.policy.bandwidth_margin)
    labels = {site.name: site.labels for site in snapshot.fleet.sites}

    held = buckets(snapshot.fleet)

    def rate(data: DataSet, site: str) -> float:
        allowed = frozenset(name for name in labels if data.residency.matches(labels[name]))
        return network.max_flow(frozenset(homes(data, held)), site, allowed)

    found = []
    for data, store in candidates:
        per_second = rate(data, volumes[store])
        if per_second > 0.0:
            found.append(Idle(data.key, store, data.size_bytes, 1.0 / per_second))
    return tuple(sorted(found, key=lambda one: (one.value, -one.size_bytes, one.data_set, one.store)))


def buckets(fleet: Fleet) -> dict[str, Storage]:
    """Bucket stores, each as the first cluster by name has it."""
    clusters = sorted(fleet.clusters, key=lambda cluster: cluster.name, reverse=True)
    return {one.store: one.storage for one in clusters if one.storage.kind is StorageKind.BUCKET}


def homes(data: DataSet, held: Mapping[str, Storage]) -> dict[str, str]:
    """Sites from which another cluster can read it, with the address: those of declared replicas, but a claim
    (`pvc://`) is only seen from inside. Without any, those of copies in buckets, with the bucket's address."""
    declared = {one.site: one.url for one in reversed(data.replicas) if not one.url.startswith("pvc://")}
    return declared or {copy.site: held[copy.store].url for copy in data.copies if copy.store in held}


def held_bytes(snapshot: Snapshot, store: str) -> dict[Key, int]:
    """Data sets that are in a store or on their way to it, with their sizes; checkpoints are what jobs keep there."""
    moving = {transfer.data_set for transfer in snapshot.transfers if transfer.store == store}
    return {
        data.key: data.size_bytes
        for data in snapshot.data_sets
        if data.key.kind != CHECKPOINT and (data.key in moving or any(copy.store == store for copy in data.copies))
    }


def limits(snapshot: Snapshot) -> dict[str, int]:
    """Bytes that each limited store holds at most; of several clusters' figures for one bucket the least."""
    found: dict[str, int] = {}
    for cluster in snapshot.fleet.clusters:
        capacity = cluster.storage.capacity_bytes
        if capacity is not None:
            found[cluster.store] = min(capacity, found.get(cluster.store, capacity))
    return found


def kept(snapshot: Snapshot, store: str) -> dict[Key, int]:
    """What released jobs keep in a store, and what stopped ones left there, or have carried there."""
    here = {cluster.name for cluster in snapshot.fleet.clusters if cluster.store == store}
    moving = {transfer.data_set for transfer in snapshot.transfers if transfer.store == store}
    out: dict[Key, int] = {}
    for job in snapshot.jobs:
        if job.placed is not None and job.kept_bytes > 0:
            at = job.kept_at([place.cluster for place in job.placed.places])
            if mine := [size for cluster, size in at.items() if cluster in here]:
                out[job.key] = max(mine)
        elif left := _left(job, store, moving):
            out[job.key] = left
    return out


def _left(job: TrainingJob, store: str, moving: Set[Key]) -> int:
    """Bytes of its checkpoint in a store where it does not run."""
    if job.resume is None or job.checkpoint is None:
        return 0
    there = any(copy.store == store for copy in job.resume.stores) or checkpoint_key(job.key) in moving
    return job.checkpoint.size_bytes if there else 0


def free_bytes(snapshot: Snapshot) -> dict[str, int]:
    """Of limited stores: what neither copies in use nor released jobs hold. What may be evicted is free."""
    idle = {(one.data_set, one.store) for one in idle_copies(snapshot)}
    left = {}
    for store, limit in sorted(limits(snapshot).items()):
        used = sum(size for key, size in held_bytes(snapshot, store).items() if (key, store) not in idle)
        left[store] = max(0, limit - used - sum(kept(snapshot, store).values()))
    return left


def promised_room(snapshot: Snapshot) -> dict[str, dict[Key, int]]:
    """Of limited stores: room that waiting jobs may count on there."""
    waiting = [job for job in snapshot.jobs if job.placed is None and job.kept_bytes > 0]
    if not waiting:
        return {}
    waiting.sort(key=lambda job: (-job.priority, job.created_at, job.key))
    labels = {site.name: site.labels for site in snapshot.fleet.sites}
    sites: dict[str, str] = {cluster.store: cluster.site for cluster in snapshot.fleet.clusters}
    out: dict[str, dict[Key, int]] = {}
    for store, left in free_bytes(snapshot).items():
        mine, there = out.setdefault(store, {}), kept(snapshot, store)
        for job in waiting:
            more = job.kept_bytes - there.get(job.key, 0)
            if more <= left and job.site_selector.matches(labels.get(sites[store], ())):
                mine[job.key] = more
                left -= more
    return out


def _read(snapshot: Snapshot) -> set[Key]:
    found = {wanted.data_set for job in snapshot.jobs for wanted in job.inputs}
    for service in snapshot.services:
        found |= {variant.model.data_set for variant in service.variants if variant.model is not None}
    return found
