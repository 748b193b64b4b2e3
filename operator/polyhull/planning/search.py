"""Anytime search over order and columns: moves on the critical chain, re-simulated from where they differ.

Budgets count placements of jobs, never seconds, so the same snapshot gives the same plan on any machine.
"""

from dataclasses import dataclass
from math import inf

from polyhull.planning.instance import Instance
from polyhull.planning.simulate import Schedule, Slot, State, finish, place

PLACEMENTS_PER_STEP = 60
"""What one step of `policy.solver.search_steps` is worth: one re-simulation of the largest exact size."""
_CHECKPOINTS = 12


class Dice:
    """A small deterministic source of choices (splitmix64), the same on every machine and version."""

    def __init__(self, seed: int) -> None:
        self._state = seed & 0xFFFFFFFFFFFFFFFF

    def below(self, n: int) -> int:
        """A number in [0, n)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        return (z ^ (z >> 31)) % n


@dataclass(frozen=True, slots=True)
class Trail:
    """A schedule with states saved along its order, so that a change near the end costs little."""

    schedule: Schedule
    choices: tuple[int | None, ...]
    stride: int
    states: tuple[State, ...]

    def from_position(self, position: int) -> tuple[int, State]:
        k = min(position // self.stride, len(self.states) - 1)
        return k * self.stride, self.states[k].copy()


def improve(
    instance: Instance, start: Schedule, steps: int, seed: int, lower_bound: float = 0.0
) -> tuple[Schedule, int]:
    """The best schedule found, never worse than `start`, and the moves tried. Stops when the bound is reached."""
    if not instance.jobs or steps <= 0:
        return start, 0
    dice = Dice(seed)
    n = len(instance.jobs)
    budget = steps * PLACEMENTS_PER_STEP
    best, current, tried, stale = start, _trail(instance, start), 0, 0
    budget -= n
    while budget > 0 and tried < steps and best.makespan > lower_bound:
        tried += 1
        order, choices, position = _neighbour(instance, current, dice)
        if position >= n:
            continue
        at, state = current.from_position(position)
        budget -= n - at
        candidate = _resume(instance, current.schedule, order, choices, at, state)
        if candidate.objective <= current.schedule.objective:
            stale = 0 if candidate.objective < current.schedule.objective else stale + 1
            current = _trail(instance, candidate)
            budget -= n
            if candidate.objective < best.objective:
                best = candidate
        else:
            stale += 1
    return best, tried


def _trail(instance: Instance, schedule: Schedule) -> Trail:
    n = len(schedule.order)
    stride = max(1, -(-n // _CHECKPOINTS))
    state = State.of(instance)
    choices = tuple(None if slot is None else slot.choice for slot in schedule.slots)
    states = []
    for position, j in enumerate(schedule.order):
        if position % stride == 0:
            states.append(state.copy())
        place(instance, state, j, choices[j])
    return Trail(schedule, choices, stride, tuple(states))


def _resume(
    instance: Instance,
    before: Schedule,
    order: list[int],
    choices: list[int | None],
    at: int,
    state: State,
) -> Schedule:
    slots: list[Slot | None] = [None] * len(instance.jobs)
    for position in range(at):
        slots[order[position]] = before.slots[order[position]]
    for position in range(at, len(order)):
        j = order[position]
        slots[j] = place(instance, state, j, choices[j])
    return finish(instance, order, slots, state.moved)


def _neighbour(instance: Instance, trail: Trail, dice: Dice) -> tuple[list[int], list[int | None], int]:
    """A changed order or column of a job on the critical chain, and the first position that differs."""
    order, choices = list(trail.schedule.order), list(trail.choices)
    chain = critical_chain(instance, trail.schedule)
    n = len(order)
    if not chain:
        return order, choices, n
    j = chain[dice.below(len(chain))]
    place_of = {job: k for k, job in enumerate(order)}
    position = place_of[j]
    kind = dice.below(4)
    options = len(instance.choices[j])
    if kind == 0 and options > 1:
        choices[j] = dice.below(min(options, 6)) if dice.below(2) else None
        if choices[j] == trail.choices[j]:
            choices[j] = None
        return order, choices, position
    low, high = _tier_range(instance, order, position)
    if kind == 1:
        other = low + dice.below(high - low)
        if other == position:
            return order, choices, n
        order[position], order[other] = order[other], order[position]
        return order, choices, min(position, other)
    target = low + dice.below(max(1, position - low)) if dice.below(4) else low + dice.below(high - low)
    if target == position:
        return order, choices, n
    order.pop(position)
    order.insert(target, j)
    if dice.below(2):
        choices[j] = None
    return order, choices, min(position, target)


def _tier_range(instance: Instance, order: list[int], position: int) -> tuple[int, int]:
    """Positions of the same tier around one: the order between tiers never changes."""
    tier = instance.tiers[order[position]]
    low = position
    while low > 0 and instance.tiers[order[low - 1]] == tier:
        low -= 1
    high = position + 1
    while high < len(order) and instance.tiers[order[high]] == tier:
        high += 1
    return low, high


def critical_chain(instance: Instance, schedule: Schedule) -> list[int]:
    """Jobs from the one that ends last back to one that waits for nothing: by devices, else by links."""
    slots = schedule.slots
    ends = [(slot.end, -j) for j, slot in enumerate(slots) if slot is not None]
    last: int | None = -max(ends)[1] if ends else None
    chain: list[int] = []
    seen: set[int] = set()
    owner = _owners(instance, schedule)
    while last is not None and last not in seen:
        seen.add(last)
        chain.append(last)
        slot = slots[last]
        assert slot is not None
        if slot.start > slot.ready:
            last = _holder(instance, schedule, last, slot)
        elif slot.ready > 0.0:
            last = _link_holder(instance, schedule, last, slot, owner)
        else:
            last = None
    return chain


def _owners(instance: Instance, schedule: Schedule) -> dict[int, int]:
    """The first job in the order that reads each move: who had it made."""
    owner: dict[int, int] = {}
    for j in schedule.order:
        slot = schedule.slots[j]
        if slot is not None:
            for move in instance.choices[j][slot.choice].moves:
                owner.setdefault(move, j)
    return owner


def _holder(instance: Instance, schedule: Schedule, j: int, slot: Slot) -> int | None:
    pool = instance.choices[j][slot.choice].pool
    mine = {node for node, _ in slot.nodes}
    found, key = None, (-inf, False)
    for other, its in enumerate(schedule.slots):
        if its is None or other == j or instance.choices[other][its.choice].pool != pool or its.end > slot.start:
            continue
        rank = (its.end, any(node in mine for node, _ in its.nodes))
        if rank > key:
            found, key = other, rank
    return found


def _link_holder(instance: Instance, schedule: Schedule, j: int, slot: Slot, owner: dict[int, int]) -> int | None:
    moves = [move for move in instance.choices[j][slot.choice].moves if move in schedule.moves]
    if not moves:
        return None
    late = max(moves, key=lambda move: (schedule.moves[move][2], move))
    if owner.get(late, j) != j:
        return owner[late]
    way, start, _ = schedule.moves[late]
    links = set(instance.moves[late].ways[way].links)
    found, at = None, -inf
    for move, (its_way, _, end) in sorted(schedule.moves.items()):
        if move == late or move not in owner or end > start or end <= at:
            continue
        if links & set(instance.moves[move].ways[its_way].links):
            found, at = owner[move], end
    return found
