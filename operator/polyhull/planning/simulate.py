"""Serial schedule generation: each job, in the order given, at its earliest feasible time given those before it.

Plan, baselines, insertion and the exact solver's order all go through here, so they are compared on equal terms.
A job placed later may start earlier if it delays nobody placed before it. Its missing data sets are put on the
links just before it (fixed rate, one route each, shared by all readers of the store). Seconds are from now.
"""

from collections.abc import Sequence
from math import inf, nextafter

from polyhull.planning.instance import Choice, Gang, Instance, Load, PoolModel
from polyhull.planning.objectives import score
from polyhull.planning.packing import Room, choose, free_devices
from polyhull.planning.schedule import Moved, Schedule, Slot
from polyhull.planning.timeline import (
    LinkSteps,
    NodeSteps,
    Units,
    copies,
    earliest_one,
    earliest_rate,
    take_rate,
    take_units,
    window,
)


class State:
    """Timelines while a schedule is built. `copy()` is cheap: lists of numbers."""

    __slots__ = ("born", "left", "links", "moved", "nodes")

    def __init__(
        self,
        nodes: list[list[NodeSteps]],
        links: list[LinkSteps],
        moved: dict[int, Moved],
        born: list[int],
        left: list[int],
    ) -> None:
        self.nodes, self.links, self.moved, self.born, self.left = nodes, links, moved, born, left

    @staticmethod
    def of(instance: Instance) -> "State":
        nodes = [[(list(t), list(f)) for t, f in pool] for pool in instance.base_nodes]
        links = [(list(t), list(f)) for t, f in instance.base_links]
        return State(nodes, links, dict(instance.made), list(instance.born), list(instance.budgets))

    def copy(self) -> "State":
        return State(
            [[(t[:], f[:]) for t, f in pool] for pool in self.nodes],
            [(t[:], f[:]) for t, f in self.links],
            dict(self.moved),
            self.born[:],
            self.left[:],
        )


def run(instance: Instance, order: Sequence[int], prescribed: Sequence[int | None] | None = None) -> Schedule:
    """The schedule of an order; `prescribed[j]` is the index of the job's column, None: the earliest finish wins."""
    state = State.of(instance)
    slots: list[Slot | None] = [None] * len(instance.jobs)
    for j in order:
        slots[j] = place(instance, state, j, None if prescribed is None else prescribed[j])
    return finish(instance, order, slots, state.moved)


def replay(instance: Instance, schedule: Schedule) -> State:
    """The timelines after a schedule."""
    state = State.of(instance)
    for j in schedule.order:
        if (slot := schedule.slots[j]) is not None:
            place(instance, state, j, slot.choice)
    return state


def finish(
    instance: Instance, order: Sequence[int], slots: Sequence[Slot | None], moved: dict[int, Moved]
) -> Schedule:
    ends = [slot.end for slot in slots if slot is not None]
    running = max((fixed.column.length_seconds for fixed in instance.fixed), default=0.0)
    makespan = max([running, *ends])
    return Schedule(tuple(order), tuple(slots), dict(moved), makespan, score(instance, slots, moved, running))


def place(instance: Instance, state: State, j: int, prescribed: int | None = None) -> Slot | None:
    """Put job j at its earliest finish (over its columns, or in the one prescribed); None if it never fits."""
    slot, plan = best(instance, state, j, prescribed)
    if slot is not None:
        commit(instance, state, instance.choices[j][slot.choice], slot, plan)
    return slot


def best(
    instance: Instance, state: State, j: int, prescribed: int | None = None
) -> tuple[Slot | None, tuple[tuple[int, Moved], ...]]:
    """Earliest finish without placing it; ties: fewer bytes moved, then the column's place in the list."""
    options = instance.choices[j]
    found: Slot | None = None
    found_plan: tuple[tuple[int, Moved], ...] = ()
    for index in range(len(options)) if prescribed is None else (prescribed,):
        choice = options[index]
        if found is not None and choice.soonest >= found.end:
            break  # sorted by soonest: nothing behind can finish earlier
        slot, plan = try_choice(instance, state, choice, index)
        if slot is None:
            continue
        if found is None or (slot.end, choice.moved_bytes) < (found.end, options[found.choice].moved_bytes):
            found, found_plan = slot, plan
    return found, found_plan


def try_choice(
    instance: Instance, state: State, choice: Choice, index: int, limit: float = inf
) -> tuple[Slot | None, tuple[tuple[int, Moved], ...]]:
    """The earliest slot of one column, and the moves it would add. A slot that ends beyond `limit` may be None."""
    ready, plan = data_ready(instance, state, choice.moves)
    if choice.head > ready:
        ready = choice.head
    start = ready
    while True:
        if start == inf or start + choice.length > limit:
            return None, ()
        start, where, waits = _seat(instance, state, choice, start, limit)
        if start == inf:
            return None, ()
        if not choice.loads:
            break
        begin = start + waits
        free = earliest_loads(state.links, choice.loads, begin, waits)
        if free <= begin:
            break
        start = inf if free == inf else _before(free, waits)
    return Slot(index, start, ready, start + waits + choice.length, where, waits), plan


def _seat(
    instance: Instance, state: State, choice: Choice, ready: float, limit: float
) -> tuple[float, tuple[tuple[int, int], ...], float]:
    """(start, nodes, provisioning) of the gang from `ready` on; grown nodes are used if it ends earlier with them."""
    if choice.others:
        return _seat_all(instance, state, choice, ready, limit)
    model = instance.pools[choice.pool]
    nodes = state.nodes[choice.pool]
    start, where = earliest_gang(
        nodes, choice.pod, choice.replicas, ready, choice.length, 0, 0, limit - choice.length
    )
    unborn = model.growth - state.born[choice.pool]
    if unborn > 0 and start > ready:
        per_node = copies(model.shape, choice.pod)
        longer = choice.length + model.provision_seconds
        later, there = earliest_gang(nodes, choice.pod, choice.replicas, ready, longer, unborn, per_node)
        if later + longer < start + choice.length:
            return later, with_growth(there, nodes, choice.replicas, per_node), model.provision_seconds
    return start, where, 0.0


def _seat_all(
    instance: Instance, state: State, choice: Choice, ready: float, limit: float
) -> tuple[float, tuple[tuple[int, int], ...], float]:
    """The same of several gangs that start together; nodes of one gang after the other. All wait for the last one."""
    length = choice.length
    start, where, _ = _together(instance, state, choice, ready, length, False, limit - length)
    if start > ready:
        growing = [
            instance.pools[pool].provision_seconds
            for pool in choice.pools
            if instance.pools[pool].growth > state.born[pool]
        ]
        if growing:
            later, there, waits = _together(instance, state, choice, ready, length + max(growing), True, inf)
            if later + waits < start:
                return later, there, waits
    return start, where, 0.0


def _together(
    instance: Instance, state: State, choice: Choice, ready: float, length: float, grow: bool, latest: float
) -> tuple[float, tuple[tuple[int, int], ...], float]:
    """Gangs that start together and stay for `length`; `grow`: on unborn nodes too."""
    gangs = choice.gangs
    found: list[tuple[tuple[int, int], ...]] = [()] * len(gangs)
    settled = k = 0
    while settled < len(gangs):
        gang = gangs[k]
        unborn, per_node = _unborn(instance, state, gang) if grow else (0, 0)
        nodes = state.nodes[gang.pool]
        at, found[k] = earliest_gang(nodes, gang.pod, gang.replicas, ready, length, unborn, per_node, latest)
        if at == inf:
            return inf, (), 0.0
        settled = settled + 1 if at <= ready else 1
        ready = at
        k = (k + 1) % len(gangs)
    waits = 0.0
    for k, gang in enumerate(gangs) if grow else ():
        nodes, (_, per_node) = state.nodes[gang.pool], _unborn(instance, state, gang)
        there = len(found[k])
        found[k] = with_growth(found[k], nodes, gang.replicas, per_node)
        if len(found[k]) > there:
            waits = max(waits, instance.pools[gang.pool].provision_seconds)
    return ready, tuple(seat for seats in found for seat in seats), waits


def _unborn(instance: Instance, state: State, gang: Gang) -> tuple[int, int]:
    """Nodes that growth may add still, and how many of the gang's pods each holds."""
    model = instance.pools[gang.pool]
    unborn = model.growth - state.born[gang.pool]
    return (unborn, copies(model.shape, gang.pod)) if unborn > 0 else (0, 0)


def earliest_loads(links: list[LinkSteps], loads: Sequence[Load], begin: float, waits: float) -> float:
    """The earliest begin >= `begin` at which every line has what the job takes of it while it runs.

    `waits`: what growth needs before the begin.
    """
    settled = k = 0
    while settled < len(loads):
        load = loads[k]
        after, seconds = _when(load, waits)
        asked = begin + after
        at = earliest_rate([links[load.link]], (load.rate,), asked, seconds)
        if at == inf:
            return inf
        if at > asked:
            begin, settled = _before(at, after), 1
        else:
            settled += 1
        k = (k + 1) % len(loads)
    return begin


def _when(load: Load, waits: float) -> tuple[float, float]:
    """(seconds from the begin on, for how long)."""
    return (load.after, load.seconds) if load.after >= 0.0 else (-waits, load.seconds + waits)


def _before(at: float, after: float) -> float:
    """The least x with x + after >= at."""
    x = at - after
    while x + after < at:
        x = nextafter(x, inf)
    return x


def carry_loads(state: State, loads: Sequence[Load], begin: float, waits: float, sign: float = 1.0) -> None:
    """Take a job's loads, or give them back with sign -1. `begin`: when its pods are up, after `waits`."""
    for load in loads:
        after, seconds = _when(load, waits)
        start = begin + after
        take_rate(state.links[load.link], start, start + seconds, sign * load.rate)


def commit(instance: Instance, state: State, choice: Choice, slot: Slot, plan: tuple[tuple[int, Moved], ...]) -> None:
    commit_moves(instance, state, plan)
    carry_loads(state, choice.loads, slot.start + slot.waits, slot.waits)
    for gang, nodes in choice.seats(slot.nodes):
        hold(instance.pools[gang.pool], state, gang.pool, gang.pod, slot.start, slot.end, nodes)


def commit_moves(instance: Instance, state: State, plan: tuple[tuple[int, Moved], ...]) -> None:
    for move, moved in plan:
        state.moved[move] = moved
        way = instance.moves[move].ways[moved[0]]
        for link, rate in zip(way.links, way.rates, strict=True):
            take_rate(state.links[link], moved[1], moved[2], rate)
        for budget, amount in instance.moves[move].draws:
            state.left[budget] -= amount


def hold(
    model: PoolModel,
    state: State,
    pool: int,
    pod: Units,
    start: float,
    end: float,
    where: tuple[tuple[int, int], ...],
) -> None:
    """Occupy nodes; a growth node that is named for the first time is born `provision_seconds` after `start`."""
    nodes = state.nodes[pool]
    for node, pods in where:
        amount: Units = pod * pods if isinstance(pod, int) else tuple(value * pods for value in pod)
        begin = start
        if node >= len(nodes):
            begin = start + model.provision_seconds
            nothing: Units = 0 if isinstance(model.shape, int) else tuple(0 for _ in model.shape)
            times, free = ([0.0], [model.shape]) if begin <= 0.0 else ([0.0, begin], [nothing, model.shape])
            nodes.append((times, free))
            state.born[pool] += 1
        take_units(nodes[node], begin, end, amount)


def with_growth(
    where: tuple[tuple[int, int], ...], nodes: list[NodeSteps], replicas: int, per_node: int
) -> tuple[tuple[int, int], ...]:
    left = replicas - sum(pods for _, pods in where)
    out = list(where)
    index = len(nodes)
    while left > 0:
        out.append((index, min(left, per_node)))
        left -= per_node
        index += 1
    return tuple(out)


def data_ready(
    instance: Instance, state: State, moves: tuple[int, ...]
) -> tuple[float, tuple[tuple[int, Moved], ...]]:
    """(when all of `moves` are done, those that are new). Longest first; each at its earliest finish."""
    ready = 0.0
    new: list[int] = []
    for move in moves:
        done = state.moved.get(move)
        if done is None:
            new.append(move)
        elif done[2] > ready:
            ready = done[2]
    if not new:
        return ready, ()
    if state.left and not _allowed(instance, state, new):
        return inf, ()
    if len(new) == 1:
        moved = _earliest_move(instance, state.links, new[0], {})
        if moved is None:
            return inf, ()
        return max(ready, moved[2]), ((new[0], moved),)
    new.sort(key=lambda move: (-instance.moves[move].seconds, instance.moves[move].name))
    overlay: dict[int, LinkSteps] = {}
    plan: list[tuple[int, Moved]] = []
    for move in new:
        moved = _earliest_move(instance, state.links, move, overlay)
        if moved is None:
            return inf, ()
        way = instance.moves[move].ways[moved[0]]
        for link, rate in zip(way.links, way.rates, strict=True):
            if link not in overlay:
                times, free = state.links[link]
                overlay[link] = (times[:], free[:])
            take_rate(overlay[link], moved[1], moved[2], rate)
        ready = max(ready, moved[2])
        plan.append((move, moved))
    return ready, tuple(plan)


def _allowed(instance: Instance, state: State, new: list[int]) -> bool:
    """Are there copies and bytes left for all of these moves together?"""
    wanted: dict[int, int] = {}
    for move in new:
        for budget, amount in instance.moves[move].draws:
            wanted[budget] = wanted.get(budget, 0) + amount
    return all(amount <= state.left[budget] for budget, amount in wanted.items())


def _earliest_move(
    instance: Instance, links: list[LinkSteps], move: int, overlay: dict[int, LinkSteps]
) -> Moved | None:
    found: Moved | None = None
    for index, way in enumerate(instance.moves[move].ways):
        if found is not None and way.seconds >= found[2]:
            continue
        path = [overlay.get(link, links[link]) for link in way.links]
        start = earliest_rate(path, way.rates, 0.0, way.seconds)
        if start < inf and (found is None or start + way.seconds < found[2]):
            found = (index, start, start + way.seconds)
    return found


def earliest_gang(
    nodes: list[NodeSteps],
    pod: Units,
    replicas: int,
    ready: float,
    length: float,
    unborn: int,
    per_node: int,
    latest: float = inf,
) -> tuple[float, tuple[tuple[int, int], ...]]:
    """Earliest start >= ready at which the gang fits for `length` seconds, and its nodes; inf beyond `latest`.

    Up to `unborn` further nodes of `per_node` pods each may take what is left over; they are not named here.
    """
    if replicas == 1 and isinstance(pod, int) and unborn == 0:
        return _earliest_single(nodes, pod, ready, length, latest)
    start = ready
    spare = unborn * per_node
    while True:
        total, later = spare, inf
        rooms: list[Room] = []
        for index, steps in enumerate(nodes):
            pods, more = window(steps, pod, start, length)
            if pods > 0:
                total += pods
                rooms.append(Room(index, pods, _least_free(steps, start, length)))
            if more < later:
                later = more
        if total >= replicas:
            inside = sum(room.pods for room in rooms)
            return start, choose(rooms, min(replicas, inside)) if inside else ()
        if later == inf or later > latest:
            return inf, ()
        start = later


def _earliest_single(
    nodes: list[NodeSteps], need: int, ready: float, length: float, latest: float
) -> tuple[float, tuple[tuple[int, int], ...]]:
    """One pod: the node that is free first; among those free at once, the fullest."""
    start, chosen, room = inf, -1, 0
    for index, steps in enumerate(nodes):
        times, free = steps
        constant = len(times) == 1
        at = inf
        if not constant:
            at = earliest_one(steps, need, ready, length, latest)  # type: ignore[arg-type]
        elif free[0] >= need:  # type: ignore[operator]
            at = ready
        if at < start:
            start, chosen, room = at, index, _least_free(steps, at, length)
            if at < latest:
                latest = at
        elif at == start and at < inf:
            left = _least_free(steps, at, length)
            if left < room:
                chosen, room = index, left
    return start, ((chosen, 1),) if chosen >= 0 else ()


def _least_free(steps: NodeSteps, start: float, length: float) -> int:
    times, free = steps
    n = len(times)
    if n == 1:
        return free_devices(free[0])
    i = n - 1
    while times[i] > start:
        i -= 1
    least = free_devices(free[i])
    end = start + length
    i += 1
    while i < n and times[i] < end:
        value = free_devices(free[i])
        if value < least:
            least = value
        i += 1
    return least
