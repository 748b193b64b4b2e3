"""The checker's page on copies: how many of a data set, how many bytes in a store, and what may be evicted.

Like validate.py it shares no code with what made the plan.
"""

from collections.abc import Iterator
from functools import cached_property

from polyhull.domain.decision import Assignment, Decision
from polyhull.domain.fleet import Cluster, StorageKind
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import CHECKPOINT, Checkpoint, Key, Output, SpanMode, TrainingJob


def stores(snapshot: Snapshot, decision: Decision) -> Iterator[str]:
    """Violations as sentences."""
    checker = _Stores(snapshot, decision)
    yield from checker.copies()
    writing = {store for kept in checker.writing.values() for store in kept}
    for store in sorted({one.store for one in checker.new} | writing):
        yield from checker.room(store)
    yield from checker.written()
    yield from checker.evicted()


class _Stores:
    def __init__(self, snapshot: Snapshot, decision: Decision) -> None:
        self.snapshot, self.decision = snapshot, decision
        self.new = [one for one in decision.transfers if not one.active and one.data_set.kind != CHECKPOINT]
        sets = [data for data in snapshot.data_sets if data.key.kind != CHECKPOINT]
        self.copied = {(data.key, copy.store) for data in sets for copy in data.copies}
        self.moving = {(one.data_set, one.store) for one in snapshot.transfers if one.data_set.kind != CHECKPOINT}
        self.limited = [data for data in snapshot.data_sets if data.max_copies is not None]
        self.at = {cluster.name: cluster for cluster in snapshot.fleet.clusters}
        keepers = {job.key: job for job in snapshot.jobs if job.checkpoint or job.output}
        placed = decision.assignments if keepers else ()
        self.keeping = [(keepers[a.job], a) for a in placed if a.job in keepers and a.cluster in self.at]
        self.writing: dict[Key, dict[str, int]] = {}
        """What jobs keep where they run: store -> bytes."""
        for job, a in self.keeping:
            stores = self.writing.setdefault(job.key, {})
            for cluster, kept in _kept(job, a).items():
                if cluster in self.at and kept:
                    stores[self.at[cluster].store] = sum(one.size_bytes for one in kept)

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
        writing = {key: kept[store] for key, kept in self.writing.items() if store in kept}
        here = [a for _, a in self.keeping if a.job in writing]
        if not coming and all(a.fixed for a in here):
            return  # nothing is added to what is there
        left = [
            job.checkpoint.size_bytes
            for job in self.snapshot.jobs
            if job.resume is not None and job.checkpoint is not None and job.key not in writing
            if any(copy.store == store for copy in job.resume.stores)
        ]
        begins = started or any(a.release_now for a in here)
        running = [writing[a.job] for a in here if a.fixed or a.release_now]
        for when, held, written in (
            ("now", (there - gone) | started if begins else set(), running if begins else []),
            ("in the end", kept | set(coming), list(writing.values())),
        ):
            total = sum(self.sizes.get(key, 0) for key in held) + sum(written) + sum(left)
            if total > limit:
                yield f"{store} would hold {total} bytes of {limit} {when}"

    def written(self) -> Iterator[str]:
        """Outputs have a store; a data set that they become has one writer, and nothing is overwritten."""
        if not self.keeping:
            return
        sets = {data.key: data for data in self.snapshot.data_sets}
        writers: dict[Key, Key] = {}
        for job, a in self.keeping:
            key, output = job.key, job.output
            for cluster, kept in _kept(job, a).items() if not a.fixed else ():
                found = self.at.get(cluster)
                volume = found is not None and found.storage.kind is StorageKind.VOLUME
                if any(one.mounted for one in kept) and not volume:
                    yield f"{key} is to keep files at {cluster}, which has no volume storage"
            if output is None or a.fixed:
                continue
            if self.at[a.cluster].storage.kind is StorageKind.NONE:
                yield f"{key} leaves an output at {a.cluster}, which has no storage"
            if output.data_set is None:
                continue
            data = sets.get(output.data_set)
            if data is None or data.replicas or data.copies:
                yield f"{key} writes {output.data_set}, which is not known or has been written before"
            if writers.setdefault(output.data_set, key) != key:
                yield f"{key} and {writers[output.data_set]} both write {output.data_set}"

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


def _kept(job: TrainingJob, a: Assignment) -> dict[str, list[Checkpoint | Output]]:
    """By cluster: both where rank 0 is; where a pipeline goes on, the checkpoints of the stages there."""
    found = {a.cluster: [one for one in (job.checkpoint, job.output) if one is not None]}
    stages = job.span is not None and job.span.mode is SpanMode.PIPELINE
    for part in a.parts[1:] if stages and job.checkpoint is not None else ():
        assert job.checkpoint is not None
        found.setdefault(part.cluster, [job.checkpoint])
    return found
