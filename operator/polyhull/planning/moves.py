"""Running jobs that are stopped to go on elsewhere: who, and whether that pays for itself.

Every running job that may be moved is put beside those that wait, with a column that stays where it is and is there
already; then staying and moving are judged by the same simulation and the same score. Those that end last are tried
first, the others where they are in the plan; what makes the plan clearly better, once more for each move, is planned
again in full, with the jobs stopped, and taken only if it still does then.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Exclusion, Key, TrainingJob
from polyhull.optimize.build import build_columns
from polyhull.optimize.columns import ColumnSet, Route
from polyhull.optimize.exact import Prove
from polyhull.optimize.movers import Stop, budget_left, stops
from polyhull.planning.canonical import canonical
from polyhull.planning.instance import Instance
from polyhull.planning.moves_bound import bounded
from polyhull.planning.moves_told import said, told
from polyhull.planning.objectives import Score, clearly_better, levels_of, score
from polyhull.planning.planned import Planned
from polyhull.planning.reserve import Reserved, reserve
from polyhull.planning.runner import runner
from polyhull.planning.schedule import Moved, Schedule, Slot
from polyhull.planning.validate import validate

TRIED, MANY_JOBS, FEWER = 12, 1000, 4
"""So many running jobs are tried; fewer in plans of more than so many jobs."""
COLUMNS = 3
"""Of each those columns that may end soonest."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Stay and move side by side. `instance` has movers among the jobs that wait."""

    reserved: Reserved
    columns: ColumnSet
    """As the bound sees them: what budgets have no room for is not left out."""
    stays: Mapping[int, int]
    """By mover (its index), the column that stays."""
    present: Schedule
    """Everybody stays."""

    @property
    def instance(self) -> Instance:
        return self.reserved.instance


def with_moves(first: Planned, plan: Callable[[Snapshot], Planned], prove: Prove | None) -> Decision:
    """The decision of `first`, or a better one that moves running jobs. The bound is true of both.

    `plan`: a full plan of a snapshot in which some are stopped.
    """
    snapshot = first.reserved.instance.snapshot
    asked = stops(snapshot) if first.sound else {}
    stopping = {key: stop for key, stop in asked.items() if isinstance(stop, Stop)}
    if not asked:
        return first.decision
    if budget_left(snapshot) == 0:
        on_their_way = dict.fromkeys(asked, "as many as runningMoveBudget allows are on their way already")
        return told(first.decision, snapshot, on_their_way)
    elsewhere = build_columns(stopped(snapshot, stopping)) if stopping else ColumnSet((), (), ())
    side = side_by_side(first, stopping, elsewhere)
    if side is None:
        return told(first.decision, snapshot, asked, elsewhere)
    chosen, found = _chosen(side, first, stopping, plan)
    decision = found.decision
    if chosen:
        decision = said(decision, first.decision, snapshot, chosen)
        if validate(snapshot, decision):
            decision, found = first.decision, first
    decision = bounded(decision, found, side.reserved, side.columns, prove, _as_scheduled(side, found))
    return told(decision, snapshot, asked, elsewhere, side.instance)


def _chosen(
    side: Side, first: Planned, stopping: Mapping[Key, Stop], plan: Callable[[Snapshot], Planned]
) -> tuple[dict[Key, Stop], Planned]:
    """Whom to move, and the plan with them stopped: `first` where that is nobody."""
    snapshot = first.reserved.instance.snapshot
    levels, gain = levels_of(snapshot.policy.objective), snapshot.policy.minimum_gain
    before = _as_scheduled(side, first)
    wanted = _tried(side, budget_left(snapshot))
    for many in sorted({len(wanted), min(1, len(wanted))} - {0}, reverse=True):
        chosen = {key: stopping[key] for key in sorted(wanted[:many])}
        found = plan(stopped(snapshot, chosen))
        after = _as_scheduled(side, found) if found.sound and _all_moved(found, snapshot, chosen) else None
        if before is None or after is None:
            continue
        if clearly_better(after.objective, before.objective, levels, gain * many):
            return chosen, found
    return {}, first


def stopped(snapshot: Snapshot, chosen: Mapping[Key, Stop]) -> Snapshot:
    """The snapshot as if these had just been stopped; nobody is sent straight back to where it came from."""

    def stop(job: TrainingJob) -> TrainingJob:
        if job.key not in chosen:
            return job
        exclusions = job.exclusions
        if job.resume is not None:
            back = Exclusion(
                job.resume.cluster, job.resume.pool, "Moved", "it came from there", snapshot.taken_at + 1
            )
            exclusions += (back,)
        return replace(job, placed=None, promise=None, resume=chosen[job.key].resume, exclusions=exclusions)

    return canonical(replace(snapshot, jobs=tuple(stop(job) for job in snapshot.jobs)))


def _all_moved(found: Planned, snapshot: Snapshot, chosen: Mapping[Key, Stop]) -> bool:
    """Does everybody who is stopped go on elsewhere?"""
    where = {one.job: (one.pool, one.option) for one in found.decision.assignments}
    return all(key in where and where[key] != (stop.resume.pool, stop.resume.option) for key, stop in chosen.items())


# -- stay and move side by side -----------------------------------------------------------------------------------


def side_by_side(first: Planned, stopping: Mapping[Key, Stop], elsewhere: ColumnSet) -> Side | None:
    """None where nobody has anywhere to go, or where somebody's place cannot be held in the simulation.

    `elsewhere`: the columns with all of them stopped.
    """
    snapshot = first.reserved.instance.snapshot
    gone = stopped(snapshot, stopping)
    there = {key: (stop.resume.pool, stop.resume.option) for key, stop in stopping.items()}
    away = [column for column in elsewhere.columns if column.job in there and column.name != there[column.job]]
    movers = {column.job for column in away}
    if not movers:
        return None
    by_key = {job.key: job for job in gone.jobs}
    bare = {key: replace(stopping[key].resume, nodes=()) for key in movers}
    jobs = tuple(
        replace(by_key[job.key], resume=bare[job.key]) if job.key in movers else job for job in snapshot.jobs
    )
    beside = replace(gone, jobs=jobs)

    def joined(columns: ColumnSet) -> ColumnSet:
        kept = [replace(one, fixed=one.fixed and one.job not in movers) for one in columns.columns]
        everything = sorted((*kept, *away), key=lambda one: (one.job, one.pool, one.option))
        return replace(columns, columns=tuple(everything), routes=_routes(columns, elsewhere))

    reserved = reserve(beside, joined(first.reserved.instance.columns), first.reserved.services)
    stays = {
        j: next(i for i, choice in enumerate(reserved.instance.choices[j]) if choice.name == there[job.key])
        for j, job in enumerate(reserved.instance.jobs)
        if job.key in movers
    }
    order = (*stays, *_order(reserved.instance, first))
    present = runner(reserved.instance)(order, _columns(reserved.instance, first, stays))
    at_once = all((slot := present.slots[j]) is not None and slot.start <= 0.0 for j in stays)
    return Side(reserved, joined(first.columns), stays, present) if at_once else None


def _routes(one: ColumnSet, other: ColumnSet) -> tuple[Route, ...]:
    known = {(route.data_set, route.store) for route in one.routes}
    more = [route for route in other.routes if (route.data_set, route.store) not in known]
    key = lambda route: (route.data_set, route.store, len(route.parts), route.source_site)  # noqa: E731
    return tuple(sorted((*one.routes, *more), key=key))


def _order(instance: Instance, first: Planned) -> tuple[int, ...]:
    index = {job.key: j for j, job in enumerate(instance.jobs)}
    return tuple(index[first.reserved.instance.jobs[j].key] for j in first.schedule.order)


def _columns(instance: Instance, first: Planned, stays: Mapping[int, int]) -> list[int | None]:
    before = first.reserved.instance
    names = {
        job.key: before.choices[j][slot.choice].name
        for j, (job, slot) in enumerate(zip(before.jobs, first.schedule.slots, strict=True))
        if slot is not None
    }
    out: list[int | None] = []
    for j, job in enumerate(instance.jobs):
        wanted = names.get(job.key)
        out.append(stays[j] if j in stays else _named(instance, j, wanted))
    return out


def _named(instance: Instance, j: int, name: tuple[str, str] | None) -> int | None:
    return next((i for i, choice in enumerate(instance.choices[j]) if choice.name == name), None)


def _as_scheduled(side: Side, plan: Planned) -> Schedule | None:
    """A plan as a schedule of `side`, who stays included; None where it uses what is not there."""
    instance, own = side.instance, plan.reserved.instance
    at = {job.key: j for j, job in enumerate(own.jobs)}
    slots: list[Slot | None] = []
    for j, job in enumerate(instance.jobs):
        k = at.get(job.key)
        if k is None:
            slots.append(side.present.slots[j] if j in side.stays else None)
            continue
        slot = plan.schedule.slots[k]
        choice = None if slot is None else _named(instance, j, own.choices[k][slot.choice].name)
        if slot is not None and choice is None:
            return None
        slots.append(None if slot is None or choice is None else replace(slot, choice=choice))
    moves = _as_moved(instance, own, plan.schedule)
    if moves is None:
        return None
    running = max((fixed.column.length_seconds for fixed in instance.fixed), default=0.0)
    ends = [slot.end for slot in slots if slot is not None]
    objective: Score = score(instance, slots, moves, running)
    order = (*(j for j in side.stays if instance.jobs[j].key not in at), *_order(instance, plan))
    return Schedule(order, tuple(slots), moves, max([running, *ends]), objective)


def _as_moved(instance: Instance, own: Instance, schedule: Schedule) -> dict[int, Moved] | None:
    index = {move.name: i for i, move in enumerate(instance.moves)}
    out: dict[int, Moved] = {}
    for k, (way, start, end) in schedule.moves.items():
        there = index.get(own.moves[k].name)
        names = _path(own, k, way)
        ways = range(0 if there is None else len(instance.moves[there].ways))
        same = next((w for w in ways if there is not None and _path(instance, there, w) == names), None)
        if there is None or same is None:
            return None
        out[there] = (same, start, end)
    return out


def _path(instance: Instance, move: int, way: int) -> tuple[str, tuple[str, ...], int]:
    route = instance.moves[move].ways[way].route
    return route.source_site, route.links, len(route.parts)


# -- who --------------------------------------------------------------------------------------------------------


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
        ]
        found, j, _ = min(trials, key=lambda one: (one[0].objective, one[1], one[2]), default=(best, -1, -1))
        if not found.objective < best.objective:
            break
        best = found
        moved.append(j)
        if clearly_better(best.objective, paid.objective, levels, policy.minimum_gain * (len(moved) - paying)):
            paid, paying = best, len(moved)
    return [side.instance.jobs[j].key for j in moved[:paying]]


def _candidates(side: Side) -> list[int]:
    """Those that could end sooner elsewhere, who ends last first; behind them those that are in others' way."""
    choices = side.instance.choices

    def stay(j: int) -> float:
        return choices[j][side.stays[j]].length

    def gains(j: int) -> bool:
        return choices[j][0].soonest < stay(j)

    ranked = sorted(side.stays, key=lambda j: (not gains(j), -stay(j), j))
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
