"""Why a job runs here and not elsewhere: seconds by cause, what binds in one sentence, and the next best places.

No text names a job, a data set or a namespace: what delays a tenant may belong to another one.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from math import inf

from polyhull.domain.decision import Alternative, Binding, Explanation
from polyhull.domain.units import format_seconds
from polyhull.optimize.caps import Cap, CapKind
from polyhull.planning.instance import Choice, Instance
from polyhull.planning.kernels import simulator
from polyhull.planning.packing import free_devices
from polyhull.planning.schedule import Moved, Schedule, Slot, Turn
from polyhull.planning.simulate import State, place, try_choice

ALTERNATIVES = 3


def explain(instance: Instance, schedule: Schedule) -> dict[int, Explanation]:
    """An explanation for every placed job."""
    asked = [() if slot is None else likely(instance, j, slot) for j, slot in enumerate(schedule.slots)]
    compiled = simulator(instance)
    found = turns(instance, schedule, asked) if compiled is None else compiled.turns(schedule, asked)
    return {
        j: explanation(instance, schedule.moves, j, slot, asked[j], found[j])
        for j, slot in enumerate(schedule.slots)
        if slot is not None
    }


def turns(instance: Instance, schedule: Schedule, asked: Sequence[Sequence[int]]) -> list[Turn]:
    """The schedule once more, and at each job's turn its finish in the columns asked for: those before it stay.

    kernels/turns.c is the compiled twin.
    """
    state = State.of(instance)
    found = [Turn((), ())] * len(schedule.slots)
    for j in schedule.order:
        slot = schedule.slots[j]
        if slot is not None:
            found[j] = turn(instance, state, j, slot, asked[j])
            place(instance, state, j, slot.choice)
    return found


def turn(instance: Instance, state: State, j: int, slot: Slot, asked: Sequence[int]) -> Turn:
    """What there is for a job while `state` is as those before it left it; `slot` is what it will take."""
    ends = []
    for column in asked:
        other, _ = try_choice(instance, state, instance.choices[j][column], column)
        ends.append(inf if other is None else other.end)
    choice = instance.choices[j][slot.choice]
    frees = tuple(_free_at(state, pool, slot.ready) for pool in choice.pools)
    return Turn(tuple(ends), frees, tuple(_left_at(state, load.link, slot.ready) for load in choice.loads))


def _left_at(state: State, line: int, instant: float) -> float:
    times, values = state.links[line]
    return values[max(0, bisect_right(times, instant) - 1)]


def _free_at(state: State, pool: int, instant: float) -> int:
    """Devices of a pool that are free at an instant."""
    free = 0
    for times, values in state.nodes[pool]:
        free += max(0, free_devices(values[max(0, bisect_right(times, instant) - 1)]))
    return free


def explanation(
    instance: Instance, moves: Mapping[int, Moved], j: int, slot: Slot, asked: Sequence[int], its: Turn
) -> Explanation:
    """Of one job. `moves`: what moves when; `its`: what else there was, in the columns `asked`."""
    choice = instance.choices[j][slot.choice]
    column = choice.column
    transfer = min(slot.ready, max((instance.moves[move].seconds for move in choice.moves), default=0.0))
    binding, binds = _binds(instance, moves, choice, slot, its)
    reading = max(0.0, choice.length - column.startup_seconds - column.compute_seconds)
    sending = reading + column.exchange_seconds if column.parts else 0.0
    return Explanation(
        binds=binds,
        queue_seconds=max(0.0, slot.start - transfer),
        transfer_seconds=transfer if column.parts else transfer + reading,
        startup_seconds=column.startup_seconds + slot.waits,
        compute_seconds=column.compute_seconds - column.exchange_seconds - column.failure_seconds,
        exchange_seconds=sending,
        failure_seconds=column.failure_seconds,
        alternatives=_ranked(instance, j, slot, list(zip(asked, its.ends, strict=True))),
        evidence=column.evidence,
        binding=binding,
    )


def _binds(
    instance: Instance, moves: Mapping[int, Moved], choice: Choice, slot: Slot, its: Turn
) -> tuple[Binding, str]:
    """The last thing it waited for, else what makes it as long as it is."""
    column = choice.column
    if slot.start > slot.ready:
        free, gang = min(zip(its.free, choice.gangs, strict=True), key=lambda one: one[0] - one[1].devices)
        if choice.loads and free >= gang.devices:
            return _binds_while_running(instance, choice, slot, its.under)
        name = instance.pools[gang.pool].name
        return Binding("Pool", name, slot.start), (
            f"Pool {name} is short by {max(1, gang.devices - free)} of {gang.devices} devices "
            f"until {format_seconds(slot.start)} from now."
        )
    late = max(
        (move for move in choice.moves if move in moves),
        key=lambda move: (moves[move][2], instance.moves[move].name),
        default=None,
    )
    if late is not None and slot.ready > 0.0:
        way_index, start, end = moves[late]
        move = instance.moves[late]
        way = move.ways[way_index]
        if not way.links:
            return Binding(), f"Its data is copied inside {column.site} until {format_seconds(end)} from now."
        narrow, _ = min(
            zip(way.links, way.rates, strict=True),
            key=lambda one: (instance.base_links[one[0]][1][-1] / one[1], one[0]),
        )
        name = instance.link_names[narrow]
        if way.route.parts:
            how = f"Its data comes in {len(way.route.parts)} parts by {format_seconds(end)} from now"
            return Binding("Link", name, end), f"{how}; {name} is the fullest of their links."
        if start > 0.0:
            return Binding("Link", name, end), (
                f"Link {name} is busy until {format_seconds(start)} from now, "
                f"then brings its data by {format_seconds(end)}."
            )
        return Binding("Link", name, end), f"Link {name} brings its data by {format_seconds(end)} from now."
    if slot.waits > 0.0:
        rising = (pool for pool in choice.pools if instance.pools[pool].provision_seconds == slot.waits)
        name = instance.pools[next(rising)].name
        text = f"Pool {name} needs {format_seconds(slot.waits)} to add a node for it."
        return Binding("Growth", name, slot.start + slot.waits), text
    if slot.start > 0.0:
        text = f"It cannot start in {column.pool} before {format_seconds(slot.start)} from now."
        return Binding("Growth", column.pool, slot.start), text
    where = " and ".join(place.pool for place in column.places)
    return Binding(), f"Nothing holds it up: it runs {format_seconds(choice.length)} in {where}."


def _binds_while_running(
    instance: Instance, choice: Choice, slot: Slot, under: Sequence[float]
) -> tuple[Binding, str]:
    """Its devices were free before: it waited for what is capped, or for links that it reads over while computing.

    `under`: what the line of each of its loads had left.
    """
    caps, when = dict(instance.caps), format_seconds(slot.start)
    lines = [(load, left) for load, left in zip(choice.loads, under, strict=True) if load.link in caps]
    if lines:
        load, left = min(lines, key=lambda one: (one[1] >= one[0].rate, one[0].link))
        return _binds_by(caps[load.link], load.rate, left, slot.start)
    names = [instance.link_names[load.link] for load in choice.loads]
    what = "carry what its parts exchange" if choice.others else "bring what it reads while computing"
    text = f"Links {', '.join(names)} cannot {what} before {when} from now."
    return Binding("Link", names[0], slot.start), text


def _binds_by(cap: Cap, asked: float, left: float, until: float) -> tuple[Binding, str]:
    when = format_seconds(until)
    if cap.kind is CapKind.POWER:
        text = f"Site {cap.name} has no {asked:.4g} W left under its power cap until {when} from now."
    else:
        policy, kind = cap.name.split("/", 1)
        held = f"{cap.most - left:.0f} of {cap.most:.0f} {kind} held"
        text = (
            f"It waits for the device limit of policy {policy}: {held}, it needs {asked:.0f}, until {when} from now."
        )
    return Binding(cap.kind.value, cap.name, until), text


def likely(instance: Instance, j: int, slot: Slot) -> list[int]:
    """The other columns most likely to be next best, by what they could reach alone; one per pool."""
    seen, out = {instance.choices[j][slot.choice].pools}, []
    for index, choice in enumerate(instance.choices[j]):
        if choice.pools not in seen:
            seen.add(choice.pools)
            out.append(index)
        if len(out) == ALTERNATIVES + 1:
            break
    return out


def _ranked(instance: Instance, j: int, slot: Slot, finishes: Sequence[tuple[int, float]]) -> tuple[Alternative, ...]:
    ranked = sorted((end, column) for column, end in finishes if end < inf)
    out = []
    for end, index in ranked[:ALTERNATIVES]:
        column = instance.choices[j][index].column
        clusters = "+".join(place.cluster for place in column.places)
        out.append(Alternative(clusters, *column.name, end - slot.end))
    return tuple(out)
