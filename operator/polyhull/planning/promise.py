"""The present plan as its jobs remember it.

A job's promise (column and place in the queue) is the only memory of a plan, so a restart makes the same plan again.
Arrivals are put behind what was promised, at their earliest finish: they backfill and delay no promise.
"""

from dataclasses import dataclass

from polyhull.planning.instance import Instance
from polyhull.planning.order import Order, Prescribed
from polyhull.planning.schedule import Schedule
from polyhull.planning.simulate import run


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


def _column(instance: Instance, j: int) -> int | None:
    promise = instance.jobs[j].promise
    if promise is None:
        return None
    name = (promise.pool, promise.option)
    return next((i for i, choice in enumerate(instance.choices[j]) if choice.name == name), None)
