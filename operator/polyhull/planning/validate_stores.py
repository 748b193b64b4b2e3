"""The checker's page on copies: how many of a data set, how many bytes in a store, and what may be evicted.

Like validate.py it shares no code with what made the plan.
"""

from collections.abc import Iterator
from functools import cached_property

from polyhull.domain.decision import Decision
from polyhull.domain.fleet import Cluster, StorageKind
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key


def stores(snapshot: Snapshot, decision: Decision) -> Iterator[str]:
    """Violations as sentences."""
    checker = _Stores(snapshot, decision)
    yield from checker.copies()
    for store in sorted({one.store for one in checker.new}):
        yield from checker.room(store)
    yield from checker.evicted()


class _Stores:
    def __init__(self, snapshot: Snapshot, decision: Decision) -> None:
        self.snapshot, self.decision = snapshot, decision
        self.new = [one for one in decision.transfers if not one.active]
        self.copied = {(data.key, copy.store) for data in snapshot.data_sets for copy in data.copies}
        self.moving = {(one.data_set, one.store) for one in snapshot.transfers}
        self.limited = [data for data in snapshot.data_sets if data.max_copies is not None]

    @cached_property
    def sizes(self) -> dict[Key, int]:
        return {data.key: data.size_bytes for data in self.snapshot.data_sets}

    @cached_property
    def read(self) -> set[Key]:
        """Data sets that somebody still reads."""
        found = {wanted.data_set for job in self.snapshot.jobs for wanted in job.inputs}
        for service in self.snapshot.services:
            found |= {variant.model.data_set for variant in service.variants if variant.model is not None}
        return found

    def copies(self) -> Iterator[str]:
        made: dict[Key, set[str]] = {}
        wanted: dict[Key, set[str]] = {}
        for key, store in self.copied | self.moving if self.limited else ():
            made.setdefault(key, set()).add(store)
        for one in self.new if self.limited else ():
            wanted.setdefault(one.data_set, set()).add(one.store)
        for data in self.limited:
            there = made.get(data.key, set())
            more = wanted.get(data.key, set()) - there
            if data.max_copies is not None and more and len(there) + len(more) > data.max_copies:
                yield f"{data.key} would have {len(there) + len(more)} copies; {data.max_copies} are allowed"

    def room(self, store: str) -> Iterator[str]:
        """Now, after the evictions, with what starts now; and in the end, with all copies that nobody reads gone."""
        limits = [cluster.storage.capacity_bytes for cluster in self._clusters(store)]
        limit = min((value for value in limits if value is not None), default=None)
        if limit is None:
            return
        there = {key for key, where in self.copied | self.moving if where == store}
        coming = {one.data_set: one for one in self.new if one.store == store}
        started = {key for key, one in coming.items() if one.start_seconds <= 0.0}
        gone = {one.data_set for one in self.decision.evictions if one.store == store}
        kept = {key for key in there if not self._may_go(key, store)}
        for when, held in (
            ("now", (there - gone) | started if started else set()),
            ("in the end", kept | set(coming)),
        ):
            total = sum(self.sizes.get(key, 0) for key in held)
            if total > limit:
                yield f"{store} would hold {total} bytes of {limit} {when}"

    def evicted(self) -> Iterator[str]:
        for one in self.decision.evictions:
            if (one.data_set, one.store) not in self.copied:
                yield f"{one.data_set} is to be evicted from {one.store}, where it has no copy"
            elif not self._may_go(one.data_set, one.store):
                yield f"{one.data_set} is to be evicted from {one.store}, but it is still read or not in a volume"

    def _may_go(self, key: Key, store: str) -> bool:
        volumes = any(cluster.storage.kind is StorageKind.VOLUME for cluster in self._clusters(store))
        return volumes and key not in self.read and (key, store) not in self.moving

    def _clusters(self, store: str) -> list[Cluster]:
        return [cluster for cluster in self.snapshot.fleet.clusters if cluster.store == store]
