"""The present plan as its jobs remember it.

A job's promise (column and place in the queue) is the only memory of a plan, so a restart makes the same plan again.
Arrivals are put behind what was promised, at their earliest finish: they backfill and delay no promise.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from polyhull.domain.decision import Opportunity
from polyhull.planning.instance import Instance
from polyhull.planning.order import Order, Prescribed
from polyhull.planning.runner import runner
from polyhull.planning.schedule import Schedule
from polyhull.planning.simulate import State, place, try_choice

NEAR_SHARE, NEAR_SECONDS = 0.05, 60.0
"""An arrival may end so much later than it could where that leaves more to others."""


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
    return Kept(order, prescribed, runner(instance)(order, frugal(instance, order, prescribed)), promised)


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


def frugal(instance: Instance, order: Order, prescribed: Prescribed) -> Prescribed:
    """`prescribed` with columns for arrivals where prices are known: of those that end almost first the cheapest.

    Cheapest as the interval programme counts: its own weighted finish, and what the device time it takes is worth to
    others (`Snapshot.opportunities`). Without prices an arrival takes its earliest finish.
    """
    worth = {one.pool: one for one in instance.snapshot.opportunities}
    if not worth or None not in prescribed:
        return prescribed
    chosen = list(prescribed)
    state = State.of(instance)
    for j in order:
        if chosen[j] is None:
            chosen[j] = near_cheapest(instance, state, j, worth)
        place(instance, state, j, chosen[j])
    return tuple(chosen)


def near_cheapest(instance: Instance, state: State, j: int, worth: Mapping[str, Opportunity]) -> int | None:
    """Of the columns that end almost first the one that leaves most to others; None where none fits."""
    ends: list[tuple[float, int]] = []
    for index, choice in enumerate(instance.choices[j]):
        if ends and choice.soonest > _near(min(ends)[0]):
            break  # sorted by soonest: nothing behind ends almost first
        slot, _ = try_choice(instance, state, choice, index)
        if slot is not None:
            ends.append((slot.end, index))
    if not ends:
        return None
    latest = _near(min(ends)[0])
    return min((_price(instance, j, index, end, worth), end, index) for end, index in ends if end <= latest)[2]


def _near(end: float) -> float:
    return end + max(NEAR_SECONDS, NEAR_SHARE * end)


def _price(instance: Instance, j: int, index: int, end: float, worth: Mapping[str, Opportunity]) -> float:
    column = instance.choices[j][index].column
    own = instance.weights[j] * end
    at = instance.snapshot.taken_at + end
    for part in column.places:
        one = worth.get(part.pool)
        if one is not None:
            prices = zip(one.instants, one.weighted_seconds, strict=True)
            own += part.devices * column.length_seconds * sum(price for instant, price in prices if instant >= at)
    return own


def _column(instance: Instance, j: int) -> int | None:
    promise = instance.jobs[j].promise
    if promise is None:
        return None
    name = (promise.pool, promise.option)
    return next((i for i, choice in enumerate(instance.choices[j]) if choice.name == name), None)
