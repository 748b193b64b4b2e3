"""A schedule in the making from which jobs can be taken off again: what the search works on.

The serial simulation only ever adds. Here a job is removed or put somewhere else in the time its own placement takes,
whatever the number of jobs, and a step that led nowhere is undone. Other jobs stay where they are meanwhile.
"""

from collections.abc import Iterable

from polyhull.planning.instance import Instance
from polyhull.planning.schedule import Moved, Slot
from polyhull.planning.simulate import State, carry_loads, commit_moves, hold, try_choice
from polyhull.planning.timeline import LinkSteps, NodeSteps, take_rate, take_units


class Board:
    """`slots[j]`: where job j is, None: nowhere. `begin` opens a step, `undo` takes everything since then back."""

    def __init__(self, instance: Instance, state: State) -> None:
        self.instance, self.state = instance, state
        self.slots: list[Slot | None] = [None] * len(instance.jobs)
        self.on_pool: list[set[int]] = [set() for _ in instance.pools]
        self.readers: dict[int, set[int]] = {}
        """Of each move: the jobs on the board that wait for it."""
        self._settled = frozenset(state.moved)
        self._births: dict[int, tuple[tuple[tuple[int, int], float], ...]] = {}
        """Of a job's seats those on nodes it brought up, and since when they are up."""
        self.begin()

    def begin(self) -> None:
        self._nodes: dict[tuple[int, int], NodeSteps] = {}
        self._links: dict[int, LinkSteps] = {}
        self._moved: dict[int, Moved | None] = {}
        self._slots: dict[int, Slot | None] = {}
        self._born_for: dict[int, tuple[tuple[tuple[int, int], float], ...]] = {}
        self._left = self.state.left[:]
        self._born = self.state.born[:]

    def put(self, j: int, columns: Iterable[int], limit: float) -> bool:
        """Put job j at the earliest time of the first of `columns` in which it ends by `limit`."""
        instance, state = self.instance, self.state
        options = instance.choices[j]
        for index in columns:
            choice = options[index]
            if choice.soonest > limit:
                continue
            slot, plan = try_choice(instance, state, choice, index, limit)
            if slot is not None and slot.end <= limit:
                self._commit(j, slot, plan)
                return True
        return False

    def put_soonest(self, j: int, columns: Iterable[int], limit: float) -> bool:
        """Put job j into that of `columns` in which it ends first, if by `limit`."""
        instance, state = self.instance, self.state
        options = instance.choices[j]
        found: Slot | None = None
        its: tuple[tuple[int, Moved], ...] = ()
        end = limit
        for index in columns:
            choice = options[index]
            if choice.soonest > end:
                continue
            slot, plan = try_choice(instance, state, choice, index, end)
            if slot is not None and (slot.end < end or (found is None and slot.end <= end)):
                found, its, end = slot, plan, slot.end
        if found is not None:
            self._commit(j, found, its)
        return found is not None

    def _commit(self, j: int, slot: Slot, plan: tuple[tuple[int, Moved], ...]) -> None:
        instance, state = self.instance, self.state
        choice = instance.choices[j][slot.choice]
        for move, moved in plan:
            self._moved.setdefault(move, None)
            for link in instance.moves[move].ways[moved[0]].links:
                self._keep_link(link)
        commit_moves(instance, state, plan)
        for load in choice.loads:
            self._keep_link(load.link)
        carry_loads(state, choice.loads, slot.start + slot.waits, slot.waits)
        self._set(j, slot)
        births: list[tuple[tuple[int, int], float]] = []
        for gang, nodes in choice.seats(slot.nodes):
            pool, there = gang.pool, len(state.nodes[gang.pool])
            for node, _ in nodes:
                if node < there:
                    self._keep_node(pool, node)
            hold(instance.pools[pool], state, pool, gang.pod, slot.start, slot.end, nodes)
            begin = slot.start + instance.pools[pool].provision_seconds
            births += [((pool, node), begin) for node, _ in nodes if node >= there]
        if births:
            self._births[j] = tuple(births)

    def remove(self, j: int) -> None:
        """Take job j off, and moves that nobody else waits for."""
        instance, state = self.instance, self.state
        slot = self.slots[j]
        if slot is None:
            return
        choice = instance.choices[j][slot.choice]
        for load in choice.loads:
            self._keep_link(load.link)
        carry_loads(state, choice.loads, slot.start + slot.waits, slot.waits, -1.0)
        self._set(j, None)
        births = dict(self._births.pop(j, ()))
        for gang, nodes in choice.seats(slot.nodes):
            pool, pod = gang.pool, gang.pod
            for node, pods in nodes:
                self._keep_node(pool, node)
                amount = -pod * pods if isinstance(pod, int) else tuple(-value * pods for value in pod)
                take_units(state.nodes[pool][node], births.get((pool, node), slot.start), slot.end, amount)
        for move in choice.moves:
            if self.readers[move] or move in self._settled:
                continue
            moved = state.moved.pop(move)
            self._moved.setdefault(move, moved)
            way = instance.moves[move].ways[moved[0]]
            for link, rate in zip(way.links, way.rates, strict=True):
                self._keep_link(link)
                take_rate(state.links[link], moved[1], moved[2], -rate)
            for budget, used in instance.moves[move].draws:
                state.left[budget] += used

    def _set(self, j: int, slot: Slot | None) -> None:
        before = self.slots[j]
        if j not in self._slots:
            self._slots[j] = before
            self._born_for[j] = self._births.get(j, ())
        self._register(j, before, slot)

    def _register(self, j: int, before: Slot | None, slot: Slot | None) -> None:
        options = self.instance.choices[j]
        if before is not None:
            for pool in options[before.choice].pools:
                self.on_pool[pool].discard(j)
            for move in options[before.choice].moves:
                self.readers[move].discard(j)
        if slot is not None:
            for pool in options[slot.choice].pools:
                self.on_pool[pool].add(j)
            for move in options[slot.choice].moves:
                self.readers.setdefault(move, set()).add(j)
        self.slots[j] = slot

    def _keep_node(self, pool: int, node: int) -> None:
        if (pool, node) not in self._nodes:
            times, free = self.state.nodes[pool][node]
            self._nodes[pool, node] = (times[:], free[:])

    def _keep_link(self, link: int) -> None:
        if link not in self._links:
            times, free = self.state.links[link]
            self._links[link] = (times[:], free[:])

    def undo(self) -> None:
        """Everything since `begin` is as it was."""
        state = self.state
        for (pool, node), steps in self._nodes.items():
            state.nodes[pool][node] = steps
        for pool, (now, before) in enumerate(zip(state.born, self._born, strict=True)):
            if now > before:
                del state.nodes[pool][len(state.nodes[pool]) - (now - before) :]
        state.born[:] = self._born
        state.left[:] = self._left
        for link, line in self._links.items():
            state.links[link] = line
        for move, moved in self._moved.items():
            if moved is None:
                state.moved.pop(move, None)
            else:
                state.moved[move] = moved
        for j, slot in self._slots.items():
            self._register(j, self.slots[j], slot)
            self._births[j] = self._born_for[j]
        self.begin()
