"""The bound of a plan in which running jobs may stay or move: both are columns of theirs, so it is true of both."""

from dataclasses import replace

from polyhull.domain.decision import BoundKind, Decision, LevelReport
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.optimize.budgets import limits
from polyhull.optimize.columns import ColumnSet
from polyhull.optimize.exact import Prove
from polyhull.planning.objectives import MAKESPAN, makespan_first
from polyhull.planning.planned import Planned
from polyhull.planning.prove import OPTIMAL_WITHIN, prove_and_improve, to_prove
from polyhull.planning.relaxed import bound_without, guided
from polyhull.planning.reserve import Reserved
from polyhull.planning.schedule import Schedule


def bounded(
    decision: Decision,
    plan: Planned,
    beside: Reserved,
    columns: ColumnSet,
    prove: Prove | None,
    schedule: Schedule | None,
) -> Decision:
    """The decision, that of `plan`, with a bound over staying and moving. Levels behind the makespan then have none.

    `beside`: movers among the jobs that wait, `columns`: theirs and all others, `schedule`: the plan as one of both.
    """
    snapshot = beside.instance.snapshot
    guide = guided(snapshot, columns)
    left_out = frozenset(entry.job for entry in decision.unplaced)
    seconds, kind = bound_without(snapshot, columns, guide, plan.reserved.services, left_out)
    if prove is not None and schedule is not None and makespan_first(snapshot) and not limits(snapshot.policy):
        proved, exactly = _proved(beside, columns, schedule, seconds, prove, guide.critical)
        if proved > seconds:
            seconds, kind = proved, exactly
    seconds = min(seconds, decision.makespan_seconds)
    return _with_bound(decision, snapshot, seconds, kind if seconds > 0.0 else BoundKind.NONE)


def _proved(
    beside: Reserved, columns: ColumnSet, schedule: Schedule, seconds: float, prove: Prove, critical: tuple[Key, ...]
) -> tuple[float, BoundKind]:
    asked = to_prove(beside.instance, critical)
    if not asked:
        return 0.0, BoundKind.NONE
    found = prove_and_improve(beside, columns, schedule, seconds, prove, asked)
    return found.lower_bound_seconds, found.kind


def _with_bound(decision: Decision, snapshot: Snapshot, seconds: float, kind: BoundKind) -> Decision:
    optimal = seconds > 0.0 and decision.makespan_seconds <= seconds * (1.0 + OPTIMAL_WITHIN)
    status = decision.solver.status.removeprefix("Optimal").removeprefix("Feasible")
    return replace(
        decision,
        lower_bound_seconds=seconds,
        bound_kind=kind,
        levels=tuple(_level(one, seconds) for one in decision.levels),
        solver=replace(decision.solver, status=("Optimal" if optimal else "Feasible") + status),
    )


def _level(level: LevelReport, seconds: float) -> LevelReport:
    return replace(level, bound=seconds if level.name == MAKESPAN.name and seconds > 0.0 else None)
