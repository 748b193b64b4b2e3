"""The present plan as its jobs remember it, and when a fresh one may replace it.

A job's promise (column and place in the queue) is the only memory of a plan, so a restart makes the same plan again.
Arrivals are put behind what was promised, at their earliest finish: they backfill and delay no promise.
"""

from dataclasses import dataclass

from polyhull.planning.instance import Instance
from polyhull.planning.order import Order, Prescribed
from polyhull.planning.simulate import Schedule, run


@dataclass(frozen=True, slots=True)
class Kept:
    """The present plan carried on: its order, its columns (None: an arrival, free to choose), its schedule."""

    order: Order
    prescribed: Prescribed
    schedule: Schedule
    promised: int


def keep(instance: Instance) -> Kept | None:
    """The plan that the promises describe, with arrivals inserted; None if nothing was promised.

    A promise whose column is gone (a pool lost, an exclusion) counts as an arrival. A higher tier goes first.
    """
    prescribed = tuple(_column(instance, j) for j in range(len(instance.jobs)))
    promised = sum(column is not None for column in prescribed)
    if promised == 0:
        return None
    order = arrivals_behind(instance, prescribed)
    return Kept(order, prescribed, run(instance, order, prescribed), promised)


def arrivals_behind(instance: Instance, prescribed: Prescribed) -> Order:
    """By tier; in a tier the promised ones in their order, then arrivals, the longest first."""

    def rank(j: int) -> tuple[object, ...]:
        job = instance.jobs[j]
        promise = job.promise
        if prescribed[j] is None or promise is None:
            first = instance.choices[j][0]
            return (-instance.tiers[j], 1, -first.soonest, job.created_at, job.key)
        return (-instance.tiers[j], 0, promise.order, job.created_at, job.key)

    return tuple(sorted(range(len(instance.jobs)), key=rank))


def replaces(fresh: Schedule, present: Schedule, minimum_gain: float) -> bool:
    """Is the fresh plan enough better: more jobs placed, fewer deadlines missed, or sooner by more than the gain?

    Compared like the objective: what comes first decides. Finishes count as better only by more than the gain.
    """
    if fresh.objective[0] != present.objective[0]:
        return fresh.objective[0] < present.objective[0]
    tiers = min(len(fresh.objective), len(present.objective)) - 2
    for i in range(0, tiers, 2):
        late, last = fresh.objective[1 + i], fresh.objective[2 + i]
        late_now, last_now = present.objective[1 + i], present.objective[2 + i]
        if late != late_now:
            return late < late_now
        if last < last_now * (1.0 - minimum_gain):
            return True
        if last > last_now:
            return False
    return False


def _column(instance: Instance, j: int) -> int | None:
    promise = instance.jobs[j].promise
    if promise is None:
        return None
    name = (promise.pool, promise.option)
    return next((i for i, choice in enumerate(instance.choices[j]) if choice.name == name), None)
