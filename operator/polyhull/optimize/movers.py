"""Running jobs that may be stopped to go on elsewhere: which, what they would go on from, and why not the others.

A stop loses the work since the last checkpoint, which may be as old as the interval between two; that much is always
counted. In doubt a job stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from polyhull.domain.fleet import StorageKind
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Access, Copy, Key, Placed, Resume, TrainingJob
from polyhull.optimize.admission import Admission
from polyhull.optimize.data import ROUNDED_DOWN
from polyhull.optimize.making import Making, compute_seconds
from polyhull.optimize.paths import Network


@dataclass(frozen=True, slots=True)
class Stop:
    """A running job as it would be if it were stopped now."""

    resume: Resume
    lost_seconds: float
    """Of work since its last checkpoint, at most."""


def budget_left(snapshot: Snapshot) -> int:
    """How many more running jobs may be moved now: those stopped and not running again yet are on their way."""
    policy = snapshot.policy
    if not policy.moves_running:
        return 0
    under_way = sum(job.resume is not None and not _runs(job) for job in snapshot.jobs)
    return max(0, policy.running_move_budget - under_way)


def stops(snapshot: Snapshot) -> dict[Key, Stop | str]:
    """Of every running job: what it would go on from, or why it stays, in words. Empty where none is ever moved."""
    policy = snapshot.policy
    if not policy.moves_running:
        return {}
    running = [job for job in snapshot.jobs if job.placed is not None and not policy.watches(job.key.namespace)]
    if not running:
        return {}
    admission = Admission(snapshot, Network(snapshot.fleet, policy.bandwidth_margin))
    rules = _Stopping(snapshot, admission)
    return {job.key: rules.stop(job, job.placed) for job in running if job.placed is not None}


def _runs(job: TrainingJob) -> bool:
    return job.placed is not None and job.placed.started_at is not None


class _Stopping(Making):
    def stop(self, job: TrainingJob, placed: Placed) -> Stop | str:
        refusal = next(self._against(job, placed), None)
        return self._stopped(job, placed) if refusal is None else refusal

    def _against(self, job: TrainingJob, placed: Placed) -> Iterator[str]:
        now, rest = self.snapshot.taken_at, self.snapshot.policy.cool_down_seconds
        if job.key.kind != "TrainingJob":
            yield "only training jobs are moved while they run"
        if job.checkpoint is None:
            yield "it saves no checkpoint that it could go on from elsewhere"
        if job.span is not None or placed.parts:
            yield "a job that may run over several sites keeps no checkpoint with the cluster"
        if any(one.access is Access.STREAM for one in job.inputs):
            yield "it reads while it computes, so how far it is cannot be told"
        cluster = self.admission.clusters.get(placed.cluster)
        if placed.uncertain or cluster is None or not cluster.connected or cluster.fenced:
            yield f"{placed.cluster} does not answer, so it cannot be stopped for certain"
        elif cluster.storage.kind is StorageKind.NONE:
            yield f"{placed.cluster} has no storage, so where its checkpoint lies is not known"
        if placed.started_at is None:
            yield "it has not begun to run"
        elif now - placed.started_at < rest:
            yield f"it began to run less than {rest:.0f} s ago (coolDownSeconds)"
        if job.resume is not None and now - job.resume.stopped_at < rest:
            yield f"it was moved less than {rest:.0f} s ago (coolDownSeconds)"

    def _stopped(self, job: TrainingJob, placed: Placed) -> Stop | str:
        option = next((one for one in job.options if one.name == placed.option), None)
        pool = self.admission.pools.get(placed.pool)
        cluster = self.admission.clusters[placed.cluster]
        if option is None or pool is None or placed.started_at is None:
            return "its option or its pool is gone, so how far it is cannot be told"
        compute, _ = compute_seconds(job, option, pool.site)
        useful, interval = self.useful(job, option, pool.accelerator, placed.cluster)
        elapsed = self.snapshot.taken_at - placed.started_at
        if not (compute > 0.0 and useful > 0.0):
            return "its rate is not known, so how far it is cannot be told"
        whole = compute * max(1.0, pool.slowdown) / useful
        if elapsed >= whole:
            return "it should have ended by now"
        lost = min(elapsed, interval)
        done = job.work_left * ((elapsed - lost) / whole) * ROUNDED_DOWN
        before = 0.0 if job.resume is None else job.resume.work_done
        moves = 1 if job.resume is None else job.resume.moves + 1
        now = self.snapshot.taken_at
        return Stop(
            Resume(
                work_done=before + done,
                cluster=placed.cluster,
                pool=placed.pool,
                option=placed.option,
                stores=(Copy(cluster.store, cluster.site),),
                stopped_at=now,
                moves=moves,
                nodes=placed.nodes,
                free_at=now + max(0.0, option.grace_seconds),
            ),
            lost_seconds=lost,
        )
