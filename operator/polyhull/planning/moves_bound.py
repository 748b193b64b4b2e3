"""The bound of a plan in which running jobs may stay or move: both are columns of theirs, so it is true of both."""

from dataclasses import replace

from polyhull.domain.decision import BoundKind, Decision, LevelReport
from polyhull.domain.workloads import Key
from polyhull.optimize.budgets import limits
from polyhull.optimize.columns import ColumnSet
from polyhull.optimize.data import ROUNDED_DOWN
from polyhull.optimize.exact import Prove
from polyhull.planning.moves_side import Side
from polyhull.planning.objectives import MAKESPAN, makespan_first
from polyhull.planning.planned import Planned
from polyhull.planning.prove import OPTIMAL_WITHIN, prove_and_improve, to_prove
from polyhull.planning.relaxed import bound_without, guided
from polyhull.planning.reserve import Reserved
from polyhull.planning.schedule import Schedule


def bounded(
    decision: Decision, plan: Planned, side: Side, budget: int, prove: Prove | None, schedule: Schedule | None
) -> Decision:
    """The decision, that of `plan`, with a bound over staying and moving. Levels behind the makespan then have none.

    `budget`: so many may move; `schedule`: the plan as one of `side`.
    """
    seconds, kind = _who_must_stay(side, budget), BoundKind.STRENGTHENED_WHOLE_COPY
    if not _reached(decision, seconds):
        found = _by_columns(decision, plan, side, prove, schedule)
        seconds, kind = max(found, (seconds, kind), key=lambda one: one[0])
    return _with_bound(decision, seconds, kind if seconds > 0.0 else BoundKind.NONE)


def _reached(decision: Decision, seconds: float) -> bool:
    return seconds > 0.0 and decision.makespan_seconds <= seconds * (1.0 + OPTIMAL_WITHIN)


def _who_must_stay(side: Side, budget: int) -> float:
    """No plan moves more than the budget allows: of the longest that run, one more than that stays."""
    stays = sorted((side.instance.choices[j][stay].length for j, stay in side.stays.items()), reverse=True)
    return stays[budget] * ROUNDED_DOWN if budget < len(stays) else 0.0


def _by_columns(
    decision: Decision, plan: Planned, side: Side, prove: Prove | None, schedule: Schedule | None
) -> tuple[float, BoundKind]:
    """With stay and move as columns of every mover, however many may move at once."""
    snapshot, left_out = side.instance.snapshot, {entry.job for entry in decision.unplaced}
    asked = replace(side.columns, columns=tuple(one for one in side.columns.columns if one.job not in left_out))
    guide = guided(snapshot, asked)
    seconds, kind = bound_without(snapshot, asked, guide, plan.reserved.services, frozenset())
    if prove is None or schedule is None or not makespan_first(snapshot) or limits(snapshot.policy):
        return seconds, kind
    proved, exactly = _proved(side.reserved, side.columns, schedule, seconds, prove, guide.critical)
    return (proved, exactly) if proved > seconds else (seconds, kind)


def _proved(
    beside: Reserved, columns: ColumnSet, schedule: Schedule, seconds: float, prove: Prove, critical: tuple[Key, ...]
) -> tuple[float, BoundKind]:
    asked = to_prove(beside.instance, critical)
    if not asked:
        return 0.0, BoundKind.NONE
    found = prove_and_improve(beside, columns, schedule, seconds, prove, asked)
    return found.lower_bound_seconds, found.kind


def _with_bound(decision: Decision, seconds: float, kind: BoundKind) -> Decision:
    status = decision.solver.status.removeprefix("Optimal").removeprefix("Feasible")
    return replace(
        decision,
        lower_bound_seconds=seconds,
        bound_kind=kind,
        levels=tuple(_level(one, seconds) for one in decision.levels),
        solver=replace(decision.solver, status=("Optimal" if _reached(decision, seconds) else "Feasible") + status),
    )


def _level(level: LevelReport, seconds: float) -> LevelReport:
    return replace(level, bound=seconds if level.name == MAKESPAN.name and seconds > 0.0 else None)
