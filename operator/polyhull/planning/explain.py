"""Why a job runs here and not elsewhere: seconds by cause, what binds in one sentence, and the next best places.

No text names a job, a data set or a namespace: what delays a tenant may belong to another one.
"""

from collections.abc import Sequence
from math import inf

from polyhull.domain.decision import Alternative, Binding, Explanation
from polyhull.domain.units import format_seconds
from polyhull.planning.instance import Choice, Instance
from polyhull.planning.schedule import Schedule, Slot
from polyhull.planning.simulate import State, place, try_choice

ALTERNATIVES = 3
EXACT_ALTERNATIVES = 60
"""Up to this many jobs each alternative is a fresh simulation; beyond, an insertion into the finished plan."""


def explain(instance: Instance, schedule: Schedule, limit: int = EXACT_ALTERNATIVES) -> dict[int, Explanation]:
    """An explanation for every placed job."""
    others = _alternatives(instance, schedule, limit)
    return {
        j: _explanation(instance, schedule, j, slot, others.get(j, ()))
        for j, slot in enumerate(schedule.slots)
        if slot is not None
    }


def _explanation(
    instance: Instance, schedule: Schedule, j: int, slot: Slot, others: tuple[Alternative, ...]
) -> Explanation:
    choice = instance.choices[j][slot.choice]
    column = choice.column
    transfer = min(slot.ready, max((instance.moves[move].seconds for move in choice.moves), default=0.0))
    binding, binds = _binds(instance, schedule, choice, slot)
    return Explanation(
        binds=binds,
        queue_seconds=max(0.0, slot.start - transfer),
        transfer_seconds=transfer + max(0.0, choice.length - column.startup_seconds - column.compute_seconds),
        startup_seconds=column.startup_seconds + slot.waits,
        compute_seconds=column.compute_seconds,
        alternatives=others,
        evidence=column.evidence,
        binding=binding,
    )


def _binds(instance: Instance, schedule: Schedule, choice: Choice, slot: Slot) -> tuple[Binding, str]:
    """The last thing it waited for, else what makes it as long as it is."""
    column = choice.column
    if slot.start > slot.ready:
        free = _free_at(instance, schedule, choice, slot.ready)
        if choice.loads and free >= column.devices:
            return _binds_while_running(instance, choice, slot)
        return Binding("Pool", column.pool, slot.start), (
            f"Pool {column.pool} is short by {max(1, column.devices - free)} of {column.devices} devices "
            f"until {format_seconds(slot.start)} from now."
        )
    late = max(
        (move for move in choice.moves if move in schedule.moves),
        key=lambda move: (schedule.moves[move][2], move),
        default=None,
    )
    if late is not None and slot.ready > 0.0:
        way_index, start, end = schedule.moves[late]
        move = instance.moves[late]
        way = move.ways[way_index]
        if not way.links:
            return Binding(), f"Its data is copied inside {column.site} until {format_seconds(end)} from now."
        narrow = min(way.links, key=lambda link: (instance.base_links[link][1][-1], link))
        name = instance.link_names[narrow]
        if start > 0.0:
            return Binding("Link", name, end), (
                f"Link {name} is busy until {format_seconds(start)} from now, "
                f"then brings its data by {format_seconds(end)}."
            )
        return Binding("Link", name, end), f"Link {name} brings its data by {format_seconds(end)} from now."
    if slot.waits > 0.0:
        text = f"Pool {column.pool} needs {format_seconds(slot.waits)} to add a node for it."
        return Binding("Growth", column.pool, slot.start + slot.waits), text
    if slot.start > 0.0:
        text = f"It cannot start in {column.pool} before {format_seconds(slot.start)} from now."
        return Binding("Growth", column.pool, slot.start), text
    return Binding(), f"Nothing holds it up: it runs {format_seconds(choice.length)} in {column.pool}."


def _binds_while_running(instance: Instance, choice: Choice, slot: Slot) -> tuple[Binding, str]:
    """Its devices were free before: it waited for watts, or for links that it reads over while computing."""
    capped = {line for line, _ in instance.power.values()}
    when = format_seconds(slot.start)
    for load in choice.loads:
        if load.link in capped:
            return Binding("Power", choice.column.site, slot.start), (
                f"Site {choice.column.site} has no {load.rate:.4g} W left under its power cap until {when} from now."
            )
    names = [instance.link_names[load.link] for load in choice.loads]
    text = f"Links {', '.join(names)} cannot bring what it reads while computing before {when} from now."
    return Binding("Link", names[0], slot.start), text


def _free_at(instance: Instance, schedule: Schedule, choice: Choice, instant: float) -> int:
    """Devices of the pool that are free at an instant of the finished plan."""
    free = 0
    for times, values in instance.base_nodes[choice.pool]:
        at = max(i for i, time in enumerate(times) if time <= instant)
        value = values[at]
        free += max(0, value if isinstance(value, int) else value[0])
    for other, its in enumerate(schedule.slots):
        if its is not None and its.start <= instant < its.end:
            theirs = instance.choices[other][its.choice]
            if theirs.pool == choice.pool:
                free -= theirs.column.devices
    return max(0, free)


def _alternatives(instance: Instance, schedule: Schedule, limit: int) -> dict[int, tuple[Alternative, ...]]:
    if len(instance.jobs) <= limit:
        return {
            j: _ranked(instance, j, slot, [_again(instance, schedule, j, c) for c in _likely(instance, j, slot)])
            for j, slot in enumerate(schedule.slots)
            if slot is not None
        }
    state = replay(instance, schedule)
    return {
        j: _ranked(instance, j, slot, [_inserted(instance, state, j, c) for c in _likely(instance, j, slot)])
        for j, slot in enumerate(schedule.slots)
        if slot is not None
    }


def _likely(instance: Instance, j: int, slot: Slot) -> list[int]:
    """The other columns most likely to be next best, by what they could reach alone; one per pool."""
    seen, out = {instance.choices[j][slot.choice].pool}, []
    for index, choice in enumerate(instance.choices[j]):
        if choice.pool not in seen:
            seen.add(choice.pool)
            out.append(index)
        if len(out) == ALTERNATIVES + 1:
            break
    return out


def _again(instance: Instance, schedule: Schedule, j: int, column: int) -> tuple[int, float]:
    """The job's finish if it were put there and everything else kept its order and columns."""
    state = State.of(instance)
    for other in schedule.order:
        slot = schedule.slots[other]
        if slot is None:
            continue
        again = place(instance, state, other, column if other == j else slot.choice)
        if other == j:
            return column, again.end if again is not None else inf
    return column, inf


def _inserted(instance: Instance, state: State, j: int, column: int) -> tuple[int, float]:
    """The job's finish there beside the whole finished plan."""
    slot, _ = try_choice(instance, state, instance.choices[j][column], column)
    return column, slot.end if slot is not None else inf


def replay(instance: Instance, schedule: Schedule) -> State:
    """The timelines after a schedule."""
    state = State.of(instance)
    for j in schedule.order:
        slot = schedule.slots[j]
        if slot is not None:
            place(instance, state, j, slot.choice)
    return state


def _ranked(instance: Instance, j: int, slot: Slot, finishes: Sequence[tuple[int, float]]) -> tuple[Alternative, ...]:
    ranked = sorted((end, column) for column, end in finishes if end < inf)
    out = []
    for end, index in ranked[:ALTERNATIVES]:
        column = instance.choices[j][index].column
        out.append(Alternative(column.cluster, column.pool, column.option, end - slot.end))
    return tuple(out)
