"""Orders and column choices to start from, and the two ways of thinking the plan is compared with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from polyhull.domain.workloads import Key
from polyhull.planning.instance import Choice, Instance
from polyhull.planning.runner import runner
from polyhull.planning.schedule import Schedule, Slot

Order = tuple[int, ...]
Prescribed = tuple[int | None, ...]


def by_rule(instance: Instance, rule: Callable[[int], tuple[float, ...]]) -> Order:
    """Jobs by tier (higher first), then by rule, then by age and content; names decide between equals only."""
    jobs = instance.jobs
    return tuple(
        sorted(
            range(len(jobs)),
            key=lambda j: (-instance.tiers[j], rule(j), jobs[j].created_at, _content(instance, j), jobs[j].key),
        )
    )


def _content(instance: Instance, j: int) -> tuple[float, ...]:
    first = instance.choices[j][0]
    return (-first.soonest, -first.length, -first.column.devices, -len(instance.choices[j]))


def initial_orders(instance: Instance, prescribed: Prescribed) -> tuple[Order, ...]:
    """Longest in all first, longest transfer first, longest tail first, largest device-time first; no doubles."""
    chosen = [
        options[index] if index is not None else options[0]
        for options, index in zip(instance.choices, prescribed, strict=True)
    ]
    transfer = [choice.soonest - choice.length for choice in chosen]
    rules: tuple[Callable[[int], tuple[float, ...]], ...] = (
        lambda j: (-chosen[j].soonest,),
        lambda j: (-chosen[j].length,),
        lambda j: (-transfer[j], -chosen[j].length),
        lambda j: (-chosen[j].length * chosen[j].column.devices,),
    )
    return tuple(dict.fromkeys(by_rule(instance, rule) for rule in rules))


def from_relaxation(instance: Instance, choice: Mapping[Key, tuple[str, str]]) -> Prescribed:
    """The column the programme chose for each job, as an index; None where it chose none that is here."""
    out: list[int | None] = []
    for job, options in zip(instance.jobs, instance.choices, strict=True):
        name = choice.get(job.key)
        out.append(next((i for i, option in enumerate(options) if option.name == name), None))
    return tuple(out)


def restricted(instance: Instance, keep: Callable[[Choice], float]) -> Instance:
    """Each job keeps only the columns with the least `keep`; among those the earliest finish wins."""
    choices = []
    for options in instance.choices:
        least = min(keep(option) for option in options)
        choices.append(tuple(option for option in options if keep(option) <= least))
    return replace(instance, choices=tuple(choices))


def locality_only(instance: Instance) -> Instance:
    """Compute goes to the data: only columns that move the fewest bytes; ties in its favour, by earliest finish."""
    return restricted(instance, lambda choice: float(choice.moved_bytes))


def compute_only(instance: Instance) -> Instance:
    """The fastest devices win: only columns of the shortest run, wherever the data is; ties by earliest finish."""
    return restricted(instance, lambda choice: choice.length)


def in_full(instance: Instance, part: Instance, schedule: Schedule) -> Schedule:
    """A schedule of a restricted instance with its columns numbered as in the full one."""
    slots: list[Slot | None] = []
    for options, kept, found in zip(instance.choices, part.choices, schedule.slots, strict=True):
        slot = found
        if slot is not None:
            chosen = kept[slot.choice]
            slot = replace(slot, choice=next(i for i, option in enumerate(options) if option is chosen))
        slots.append(slot)
    return replace(schedule, slots=tuple(slots))


def best_of(instance: Instance, orders: Sequence[Order], prescribed: Prescribed | None = None) -> Schedule:
    """The best schedule of several orders; ties by place in the list."""
    run = runner(instance)
    schedules = [run(order, prescribed) for order in orders]
    return min(schedules, key=lambda schedule: schedule.objective)
