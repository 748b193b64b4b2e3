"""Copies that make room: which of those nobody needs any more go first where a store is full (optimize/stores.py)."""

from collections.abc import Iterable, Sequence

from polyhull.domain.decision import Assignment, Eviction, Transfer
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.optimize.stores import Idle, held_bytes, idle_copies, kept


def evictions(
    snapshot: Snapshot, transfers: Iterable[Transfer], assignments: Sequence[Assignment] = ()
) -> tuple[Eviction, ...]:
    """What must go before the transfers and jobs whose turn is now can start. Sorted by store and data set."""
    starting: dict[str, dict[Key, int]] = {}
    for one in transfers:
        if not one.active and one.start_seconds <= 0.0:
            starting.setdefault(one.store, {})[one.data_set] = one.transfer_bytes
    stores = {cluster.name: cluster.store for cluster in snapshot.fleet.clusters}
    keepers = {job.key: job for job in snapshot.jobs if job.kept_bytes > 0} if assignments else {}
    for placed in assignments:
        if placed.release_now and placed.job in keepers:
            kept_there = keepers[placed.job].kept_at([place.cluster for place in placed.places])
            for at, size in kept_there.items():
                starting.setdefault(stores[at], {})[placed.job] = size
    out: list[Eviction] = []
    bounded = any(one.store in starting and one.storage.capacity_bytes is not None for one in snapshot.fleet.clusters)
    candidates = idle_copies(snapshot) if bounded else ()
    for cluster in snapshot.fleet.clusters:
        wanted = starting.pop(cluster.store, None)
        capacity = cluster.storage.capacity_bytes
        if wanted is None or capacity is None:
            continue
        held = {**held_bytes(snapshot, cluster.store), **kept(snapshot, cluster.store)}
        over = sum({**held, **wanted}.values()) - capacity
        out += _least(over, [one for one in candidates if one.store == cluster.store])
    return tuple(sorted(out, key=lambda one: (one.store, one.data_set)))


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
