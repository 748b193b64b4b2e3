"""Running jobs that are stopped to go on elsewhere: who, and whether that pays for itself.

Staying and moving are judged side by side (moves_side.py). Those that end last are tried first, the others where they
are in the plan; what makes the plan clearly better, once more for each move, is planned again in full, with the jobs
stopped, and taken only if it still does then.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.optimize.build import build_columns
from polyhull.optimize.columns import ColumnSet
from polyhull.optimize.exact import Prove
from polyhull.optimize.movers import Stop, budget_left, stops
from polyhull.planning.calm import MOST_GAIN
from polyhull.planning.moves_bound import bounded
from polyhull.planning.moves_side import Side, as_scheduled, side_by_side, stopped
from polyhull.planning.moves_told import said, told
from polyhull.planning.objectives import clearly_better, levels_of
from polyhull.planning.planned import Planned
from polyhull.planning.runner import runner
from polyhull.planning.schedule import Schedule
from polyhull.planning.validate import validate

TRIED, MANY_JOBS, FEWER = 12, 1000, 4
"""So many running jobs are tried; fewer in plans of more than so many jobs."""
COLUMNS = 3
"""Of each those columns that may end soonest."""

SHORTLY_SECONDS = 60.0
"""So long a stopped job may wait for devices when its checkpoint is there; until they are free it runs on instead."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A plan with what could be moved in it."""

    plan: Planned
    asked: Mapping[Key, Stop | str]
    """Of every running job what it would go on from, or why it stays."""
    elsewhere: ColumnSet
    """The columns with all of them stopped."""
    side: Side | None

    @property
    def snapshot(self) -> Snapshot:
        return self.plan.reserved.instance.snapshot


def with_moves(first: Planned, plan: Callable[[Snapshot], Planned], prove: Prove | None) -> Decision:
    """The decision of `first`, or a better one that moves running jobs. The bound is true of both.

    `plan`: a full plan of a snapshot in which some are stopped.
    """
    snapshot = first.reserved.instance.snapshot
    asked = stops(snapshot) if first.sound else {}
    if not asked:
        return first.decision
    if budget_left(snapshot) == 0:
        on_their_way = dict.fromkeys(asked, "as many as runningMoveBudget allows are on their way already")
        return told(first.decision, snapshot, on_their_way)
    look = _look(first, asked)
    if look.side is None:
        return told(first.decision, snapshot, asked, look.elsewhere)
    chosen, found = _moved(look, plan)
    decision, schedule = found.decision, as_scheduled(look.side, found)
    if chosen:
        decision = said(decision, first.decision, snapshot, chosen)
    decision = bounded(decision, found, look.side, budget_left(snapshot), prove, schedule)
    if schedule is None or validate(snapshot, decision):
        decision = first.decision
    return told(decision, snapshot, asked, look.elsewhere, look.side.instance)


def _look(plan: Planned, asked: Mapping[Key, Stop | str]) -> Look:
    stopping = {key: stop for key, stop in asked.items() if isinstance(stop, Stop)}
    if not stopping:
        return Look(plan, asked, ColumnSet((), (), ()), None)
    elsewhere = build_columns(stopped(plan.reserved.instance.snapshot, stopping))
    return Look(plan, asked, elsewhere, side_by_side(plan, stopping, elsewhere))


def _moved(look: Look, plan: Callable[[Snapshot], Planned]) -> tuple[dict[Key, Stop], Planned]:
    """Whom to move, and the plan with them stopped; each step looks for more in the plan that the last one made."""
    chosen: dict[Key, Stop] = {}
    found = look.plan
    while look.side is not None and budget_left(look.snapshot) > 0:
        more, then = _chosen(look, look.side, plan)
        if not (more and _all_moved(then, {**chosen, **more})):
            break
        chosen, found = {**chosen, **more}, then
        look = _look(found, stops(found.reserved.instance.snapshot))
    return chosen, found


def _chosen(look: Look, side: Side, plan: Callable[[Snapshot], Planned]) -> tuple[dict[Key, Stop], Planned]:
    """Some who pay for themselves together, and the plan with them stopped; nobody and the plan that is there."""
    first, snapshot = look.plan, look.snapshot
    levels, gain = levels_of(snapshot.policy.objective), snapshot.policy.minimum_gain
    before = as_scheduled(side, first)
    wanted = _tried(side, budget_left(snapshot))
    for many in sorted({len(wanted), min(1, len(wanted))} - {0}, reverse=True):
        chosen = {key: stop for key in sorted(wanted[:many]) if isinstance(stop := look.asked[key], Stop)}
        found = plan(stopped(snapshot, chosen))
        sound = found.sound and _all_moved(found, chosen)
        after = as_scheduled(side, found) if sound else None
        if before is None or after is None:
            continue
        if not all(_itself_gains(side, after, j) for j in side.stays if side.instance.jobs[j].key in chosen):
            continue
        moves = many + max(0, _waiting_moves(found, snapshot) - _waiting_moves(first, snapshot))
        if clearly_better(after.objective, before.objective, levels, min(MOST_GAIN, gain * moves)):
            return chosen, found
    return {}, first


def _itself_gains(side: Side, schedule: Schedule, j: int) -> bool:
    """Nobody is stopped to end later itself, nor to wait for devices."""
    slot, stay = schedule.slots[j], side.instance.choices[j][side.stays[j]]
    return slot is not None and slot.end < stay.length and slot.start <= slot.ready + SHORTLY_SECONDS


def _waiting_moves(plan: Planned, snapshot: Snapshot) -> int:
    """Jobs that wait and leave the place they were promised."""
    waiting = [job for job in snapshot.jobs if job.placed is None and job.promise is not None]
    told = {job.key: (job.promise.pool, job.promise.option) for job in waiting if job.promise is not None}
    there = ((one.job, (one.pool, one.option)) for one in plan.decision.assignments if not one.fixed)
    return sum(told.get(key, place) != place for key, place in there)


def _all_moved(found: Planned, chosen: Mapping[Key, Stop]) -> bool:
    """Does everybody who is stopped go on elsewhere?"""
    where = {one.job: (one.pool, one.option) for one in found.decision.assignments}
    return all(key in where and where[key] != (stop.resume.pool, stop.resume.option) for key, stop in chosen.items())


def _tried(side: Side, most: int) -> list[Key]:
    """Movers that pay, each on top of those before it, by insertion alone; the best first.

    Where the last two end together, moving one of them is nothing yet: groups pay together.
    """
    policy = side.instance.snapshot.policy
    levels = levels_of(policy.objective)
    best, moved, candidates = side.present, list[int](), _candidates(side)
    paid, paying = side.present, 0
    while len(moved) < most:
        trials = [
            (schedule, j, choice)
            for j in candidates
            if j not in moved
            for choice, schedule in _insertions(side, best, moved, j)
            if _itself_gains(side, schedule, j)
        ]
        found, j, _ = min(trials, key=lambda one: (one[0].objective, one[1], one[2]), default=(best, -1, -1))
        if not found.objective < best.objective:
            break
        best = found
        moved.append(j)
        share = min(MOST_GAIN, policy.minimum_gain * (len(moved) - paying))
        if clearly_better(best.objective, paid.objective, levels, share):
            paid, paying = best, len(moved)
    return [side.instance.jobs[j].key for j in moved[:paying]]


def _candidates(side: Side) -> list[int]:
    """Those that could end sooner elsewhere, who ends last first."""
    choices = side.instance.choices

    def stay(j: int) -> float:
        return choices[j][side.stays[j]].length

    gaining = [j for j in side.stays if choices[j][0].soonest < stay(j)]
    ranked = sorted(gaining, key=lambda j: (-stay(j), j))
    return ranked[: TRIED if len(side.instance.jobs) <= MANY_JOBS else FEWER]


def _insertions(side: Side, best: Schedule, moved: Sequence[int], j: int) -> Iterator[tuple[int, Schedule]]:
    """(column, schedule) with one more on the move: before all others of its tier, and behind them."""
    instance, run = side.instance, runner(side.instance)
    columns: list[int | None] = [None if slot is None else slot.choice for slot in best.slots]
    staying = [k for k in side.stays if k != j and k not in moved]
    others = [k for k in best.order if k != j and k not in staying]
    tiers = instance.tiers
    first = next((at for at, k in enumerate(others) if tiers[k] <= tiers[j]), len(others))
    last = next((at for at, k in enumerate(others) if tiers[k] < tiers[j]), len(others))
    away = [index for index in range(len(instance.choices[j])) if index != side.stays[j]][:COLUMNS]
    for choice in away:
        columns[j] = choice
        for at in sorted({first, last}):
            yield choice, run((*staying, *others[:at], j, *others[at:]), tuple(columns))
