"""Copies that make room: which of those nobody needs any more go first where a store is full.

A copy is *idle* when no unfinished job or service reads its data set. It stays until its room is wanted, because a
later job may read it again; its value is the time it would take to bring it back. Only copies in volumes are
evicted (removing one is removing its claim), and never one whose data set has no other home it could come from.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from polyhull.domain.decision import Eviction, Transfer
from polyhull.domain.fleet import StorageKind
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import DataSet, Key
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

    def rate(data: DataSet, site: str) -> float:
        allowed = frozenset(name for name in labels if data.residency.matches(labels[name]))
        homes = frozenset(one.site for one in data.replicas if not one.url.startswith("pvc://"))
        return network.max_flow(homes, site, allowed)

    found = []
    for data, store in candidates:
        per_second = rate(data, volumes[store])
        if per_second > 0.0:
            found.append(Idle(data.key, store, data.size_bytes, 1.0 / per_second))
    return tuple(sorted(found, key=lambda one: (one.value, -one.size_bytes, one.data_set, one.store)))


def evictions(snapshot: Snapshot, transfers: Iterable[Transfer]) -> tuple[Eviction, ...]:
    """What must go before the transfers whose turn is now can start. Sorted by store and data set."""
    starting: dict[str, dict[Key, int]] = {}
    for one in transfers:
        if not one.active and one.start_seconds <= 0.0:
            starting.setdefault(one.store, {})[one.data_set] = one.transfer_bytes
    out: list[Eviction] = []
    bounded = any(one.store in starting and one.storage.capacity_bytes is not None for one in snapshot.fleet.clusters)
    candidates = idle_copies(snapshot) if bounded else ()
    for cluster in snapshot.fleet.clusters:
        wanted = starting.pop(cluster.store, None)
        capacity = cluster.storage.capacity_bytes
        if wanted is None or capacity is None:
            continue
        over = sum({**held_bytes(snapshot, cluster.store), **wanted}.values()) - capacity
        out += _least(over, [one for one in candidates if one.store == cluster.store])
    return tuple(sorted(out, key=lambda one: (one.store, one.data_set)))


def held_bytes(snapshot: Snapshot, store: str) -> dict[Key, int]:
    """Data sets that are in a store or on their way to it, with their sizes."""
    moving = {transfer.data_set for transfer in snapshot.transfers if transfer.store == store}
    return {
        data.key: data.size_bytes
        for data in snapshot.data_sets
        if data.key in moving or any(copy.store == store for copy in data.copies)
    }


def _least(over: int, candidates: list[Idle]) -> list[Eviction]:
    """Enough of them, the least valuable first; then those that turn out not to be needed stay, dearest first."""
    chosen: list[Idle] = []
    for one in candidates:
        if over <= 0:
            break
        chosen.append(one)
        over -= one.size_bytes
    for one in reversed(chosen[:]):
        if over + one.size_bytes <= 0:
            chosen.remove(one)
            over += one.size_bytes
    return [Eviction(one.data_set, one.store, one.size_bytes) for one in chosen]


def _read(snapshot: Snapshot) -> set[Key]:
    found = {wanted.data_set for job in snapshot.jobs for wanted in job.inputs}
    for service in snapshot.services:
        found |= {variant.model.data_set for variant in service.variants if variant.model is not None}
    return found
