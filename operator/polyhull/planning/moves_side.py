"""Stay and move side by side: one instance in which both are columns, so that one score speaks of both.

Every running job that may be moved is put beside those that wait, with a column that stays where it is and is there
already; it is placed before all others. Only to judge by: what is carried out is planned with the jobs stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Exclusion, Key, TrainingJob
from polyhull.optimize.columns import ColumnSet, Route
from polyhull.optimize.movers import Stop
from polyhull.planning.canonical import canonical
from polyhull.planning.instance import Instance
from polyhull.planning.objectives import score
from polyhull.planning.planned import Planned
from polyhull.planning.reserve import Reserved, reserve
from polyhull.planning.runner import runner
from polyhull.planning.schedule import Moved, Schedule, Slot


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


def as_scheduled(side: Side, plan: Planned) -> Schedule | None:
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
    objective = score(instance, slots, moves, running)
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
