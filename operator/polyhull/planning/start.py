"""Where the search starts, and the two ways of thinking the plan is compared with."""

from collections.abc import Mapping

from polyhull.domain.decision import Baselines
from polyhull.domain.workloads import Key
from polyhull.optimize.columns import Column
from polyhull.planning.instance import Instance
from polyhull.planning.order import best_of, compute_only, from_relaxation, in_full, initial_orders, locality_only
from polyhull.planning.schedule import Schedule

MANY = 200
"""Jobs beyond which fewer greedy orders are tried."""


def first_schedules(instance: Instance, choice: Mapping[Key, tuple[str, str]] | None) -> tuple[Schedule, Baselines]:
    """The best of several orders, the programme's columns and both baselines, so that no plan is worse than those."""
    free: tuple[int | None, ...] = (None,) * len(instance.jobs)
    orders = initial_orders(instance, free)
    rivals = []
    for part in (locality_only(instance), compute_only(instance)):
        rivals.append(in_full(instance, part, best_of(part, orders)))
    # Free choice among all columns is the dear part: beyond some size two orders are enough to start from.
    starts = [best_of(instance, orders if len(instance.jobs) <= MANY else orders[:2]), *rivals]
    if choice:
        wanted = from_relaxation(instance, choice)
        starts.append(best_of(instance, initial_orders(instance, wanted), wanted))
    best = min(starts, key=lambda schedule: schedule.objective)
    return best, Baselines(*(_finish_of(rival) for rival in rivals))


def _finish_of(schedule: Schedule) -> float | None:
    return schedule.makespan if any(slot is not None for slot in schedule.slots) else None


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
