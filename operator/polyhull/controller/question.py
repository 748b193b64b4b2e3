"""What a search for a full plan is about, and when it is worth another. Pure."""

from dataclasses import dataclass, replace

from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import TrainingJob

RESTED_SHARE = 0.1
"""Of the policy's cool-down: so long at least between two searches that are about running jobs alone."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who waits, who may be moved, and what there is for them."""

    waiting: frozenset[object]
    running: frozenset[object]
    services: object
    supply: object

    def covered(self, before: "Question | None") -> bool:
        """Whether the last search answered it already: the same supply, and nobody new. A start or an end of any job
        may let another move."""
        return before is not None and self.same_but_running(before) and self.running == before.running

    def same_but_running(self, before: "Question | None") -> bool:
        return (
            before is not None
            and self.waiting <= before.waiting
            and self.services == before.services
            and self.supply == before.supply
        )


def question(snapshot: Snapshot) -> Question | None:
    """None when nothing waits, nothing serves and nothing may be moved: there is nothing to search."""
    waiting = frozenset(
        (job.key, job.exclusions, job.priority, job.deadline_at) for job in snapshot.jobs if job.placed is None
    )
    running: frozenset[object] = frozenset()
    if movable(snapshot):
        running = frozenset((job.key, job.placed) for job in snapshot.jobs if job.placed is not None)
    if not waiting and not running and not snapshot.services:
        return None
    fleet = snapshot.fleet
    pools = tuple(
        (pool.name, pool.accelerator, sum(node.schedulable for node in pool.nodes), pool.growth)
        for pool in fleet.pools
    )
    serving = tuple(replace(service, serving=(), promise=()) for service in snapshot.services)
    supply = (pools, fleet.clusters, fleet.links, snapshot.data_sets, snapshot.policy)
    return Question(waiting, running, serving, supply)


def movable(snapshot: Snapshot) -> frozenset[object]:
    """Running jobs that have kept their place for the policy's cool-down."""
    return frozenset(key for key, at in _settling(snapshot) if at <= snapshot.taken_at)


def next_movable_at(snapshot: Snapshot) -> float | None:
    """When the next will have; seconds since the epoch."""
    return min((at for _, at in _settling(snapshot) if at > snapshot.taken_at), default=None)


def _settling(snapshot: Snapshot) -> list[tuple[object, float]]:
    policy = snapshot.policy
    if not policy.moves_running:
        return []
    began = ((job.key, _began(job)) for job in snapshot.jobs)
    return [(key, at + policy.cool_down_seconds) for key, at in began if at is not None]


def _began(job: TrainingJob) -> float | None:
    """Since when it runs where it does; None for one that no policy moves."""
    if job.placed is None or job.placed.started_at is None or job.checkpoint is None or job.placed.uncertain:
        return None
    return max(job.placed.started_at, 0.0 if job.resume is None else job.resume.stopped_at)
