"""Where the search starts, and the two ways of thinking the plan is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from polyhull.domain.decision import Baselines
from polyhull.domain.workloads import Key
from polyhull.optimize.columns import Column
from polyhull.planning.instance import Instance
from polyhull.planning.order import (
    Order,
    best_of,
    compute_only,
    from_relaxation,
    in_full,
    initial_orders,
    locality_only,
)
from polyhull.planning.schedule import Schedule

MANY = 200
"""Jobs beyond which fewer greedy orders are tried."""


def first_schedules(instance: Instance, choice: Mapping[Key, tuple[str, str]] | None) -> tuple[Schedule, Baselines]:
    """The best of several orders, the programme's columns and both baselines, so that no plan is worse than those."""
    free: tuple[int | None, ...] = (None,) * len(instance.jobs)
    orders = initial_orders(instance, free)
    rivals = [_carried_out(instance, part, orders) for part in (locality_only(instance), compute_only(instance))]
    # Free choice among all columns is the dear part: beyond some size two orders are enough to start from.
    starts = [best_of(instance, orders if len(instance.jobs) <= MANY else orders[:2]), *rivals]
    if choice:
        wanted = from_relaxation(instance, choice)
        starts.append(best_of(instance, initial_orders(instance, wanted), wanted))
    best = min(starts, key=lambda schedule: schedule.objective)
    return best, Baselines(*(_finish_of(rival, best) for rival in rivals))


def _carried_out(instance: Instance, part: Instance, orders: Sequence[Order]) -> Schedule:
    """A simpler way of thinking as a schedule; who finds no place that way at all may take any."""
    found = best_of(part, orders)
    if None in found.slots:
        choices = zip(instance.choices, part.choices, found.slots, strict=True)
        part = replace(part, choices=tuple(every if slot is None else some for every, some, slot in choices))
        found = best_of(part, orders)
    return in_full(instance, part, found)


def _finish_of(rival: Schedule, best: Schedule) -> float | None:
    """None where nothing is placed, or fewer jobs than otherwise: that would be no comparison."""
    placed = any(slot is not None for slot in rival.slots)
    return rival.makespan if placed and rival.objective[0] <= best.objective[0] else None


def ranked(
    instance: Instance, choice: Mapping[Key, tuple[str, str]] | None, ranking: Mapping[Key, tuple[Column, ...]]
) -> tuple[tuple[int, ...], ...]:
    """Per job the indexes of its columns: the programme's choice, then the cheapest at its prices, then the rest."""
    out = []
    for job, options in zip(instance.jobs, instance.choices, strict=True):
        index = {option.name: i for i, option in enumerate(options)}
        names = [column.name for column in ranking.get(job.key, ())]
        if choice is not None and job.key in choice:
            names.insert(0, choice[job.key])
        found = dict.fromkeys(index[name] for name in names if name in index)
        out.append(tuple(dict.fromkeys([*found, *range(len(options))])))
    return tuple(out)
