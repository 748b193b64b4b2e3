"""A decision carried over to another snapshot: its columns and places as the promises that `promise.keep` reads."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from polyhull.domain.decision import Decision, RunningMove
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key, Promise, Resume, Serving, TrainingJob
from polyhull.optimize.movers import budget_left


def promises_of(decision: Decision) -> dict[Key, Promise]:
    """Column, place and what was promised of every job that waits."""
    now = decision.taken_at
    return {
        one.job: one.promise
        or Promise(one.cluster, one.pool, one.option, one.order, now + one.start_seconds, now + one.end_seconds)
        for one in decision.assignments
        if not one.fixed
    }


def places_of(decision: Decision) -> dict[Key, tuple[Serving, ...]]:
    """Where every service is planned."""
    return {
        plan.service: tuple(
            Serving(one.cluster, one.pool, one.variant, one.replicas, one.nodes) for one in plan.replicas
        )
        for plan in decision.services
    }


def promised(
    snapshot: Snapshot, promises: Mapping[Key, Promise], places: Mapping[Key, tuple[Serving, ...]]
) -> Snapshot:
    """The snapshot with these promises for jobs that wait, and for services."""
    return replace(
        snapshot,
        jobs=tuple(_promised(job, promises.get(job.key, job.promise)) for job in snapshot.jobs),
        services=tuple(
            replace(service, promise=places.get(service.key, service.promise)) for service in snapshot.services
        ),
    )


def _promised(job: TrainingJob, promise: Promise | None) -> TrainingJob:
    """The very job where nothing changes: most looks at most jobs are such."""
    return job if job.placed is not None or promise == job.promise else replace(job, promise=promise)


def standing(moves: Iterable[RunningMove], snapshot: Snapshot) -> tuple[RunningMove, ...]:
    """Those of the moves whose job still runs where it did, for all that is known; none where the policy would not
    have as many any more."""
    jobs = {job.key: job for job in snapshot.jobs}
    found = tuple(move for move in moves if move.job in jobs and _runs_there(jobs[move.job], move))
    return found if len(found) <= budget_left(snapshot) else ()


def _runs_there(job: TrainingJob, move: RunningMove) -> bool:
    placed = job.placed
    if placed is None or placed.uncertain:
        return False
    return (placed.cluster, placed.pool, placed.option) == (move.from_cluster, move.from_pool, move.from_option)


def stopped(
    snapshot: Snapshot, moves: Iterable[RunningMove], promises: Mapping[Key, Promise] | None = None
) -> Snapshot:
    """The snapshot with the jobs of these moves (which stand) stopped now: they wait, as promised, and their pods
    end."""
    moved = {move.job: move for move in moves}
    if not moved:
        return snapshot
    told, now = promises or {}, snapshot.taken_at
    jobs = (
        replace(_stopped(job, moved[job.key], now), promise=told.get(job.key)) if job.key in moved else job
        for job in snapshot.jobs
    )
    return replace(snapshot, jobs=tuple(jobs))


def _stopped(job: TrainingJob, move: RunningMove, now: float) -> TrainingJob:
    assert job.placed is not None
    grace = {one.name: one.grace_seconds for one in job.options}
    resume = Resume(
        work_done=move.work_done,
        cluster=move.from_cluster,
        pool=move.from_pool,
        option=move.from_option,
        stores=move.stores,
        stopped_at=now,
        moves=move.moves,
        nodes=job.placed.nodes,
        free_at=now + grace.get(move.from_option, 0.0),
    )
    return replace(job, placed=None, resume=resume)


def carrying(snapshot: Snapshot, decision: Decision) -> Snapshot:
    """The snapshot with everything promised as the decision has it, its moves that still stand made, and its prices
    for those who come later."""
    there = stopped(snapshot, standing(decision.moves, snapshot))
    carried = promised(there, promises_of(decision), places_of(decision))
    return replace(carried, opportunities=decision.opportunities)
