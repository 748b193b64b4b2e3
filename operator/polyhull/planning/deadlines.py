"""Phase 0: which deadlines cannot all be met is settled before anything else is optimised.

The least-weight set of late jobs is sought, tier by tier. Those jobs still run, after the ones that can be on time;
from there on the searches keep a met deadline met. A step takes some jobs off the pools that a late one could use and
puts them back in another order; it is kept if the weight of what stays late does not grow.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from polyhull.domain.units import format_seconds
from polyhull.planning.board import Board
from polyhull.planning.dice import Dice
from polyhull.planning.instance import Instance
from polyhull.planning.schedule import Schedule, Slot
from polyhull.planning.simulate import State, place, run

_LEAST_RUIN, _MOST_RUIN = 2, 8
_PATIENCE = 400
"""Steps without progress after which a tier's late set is taken as it is."""
MOST_ADVICE = 20
"""So many late jobs are tried first in their tier, to say what would help."""


def hopeless(instance: Instance, j: int) -> bool:
    """Would the job be late even with everything else gone? That is a proof, not an estimate."""
    return min(choice.soonest for choice in instance.choices[j]) > instance.deadlines[j]


def fewest_late(instance: Instance, start: Schedule, steps: int, seed: int) -> tuple[Schedule, int]:
    """A schedule with the least weight of late jobs that was found, `start` if that is as good; and the steps."""
    if not any(is_late(instance, start, j) and not hopeless(instance, j) for j in range(len(instance.jobs))):
        return start, 0
    best, taken = start, 0
    for tier in sorted(set(instance.tiers), reverse=True):
        due = [
            j
            for j in start.order
            if instance.tiers[j] == tier and instance.deadlines[j] < inf and not hopeless(instance, j)
        ]
        if any(is_late(instance, best, j) for j in due):
            search = _Search(instance, tier, due, best, Dice(seed + tier))
            taken += search.run(steps - taken)
            best = min(best, search.schedule(), key=lambda schedule: schedule.objective)
    return best, taken


def advice(instance: Instance, schedule: Schedule) -> dict[int, str]:
    """For each late job what would help: each sentence was tried in the same simulation."""
    late = [j for j in schedule.order if is_late(instance, schedule, j)]
    return {j: advised(instance, schedule, j, tried=k < MOST_ADVICE) for k, j in enumerate(late)}


def advised(instance: Instance, schedule: Schedule, j: int, tried: bool) -> str:
    """What would help a late job; `tried`: first in its tier, too."""
    slot = schedule.slots[j]
    assert slot is not None
    deadline = instance.deadlines[j]
    later = f"a deadline {format_seconds(slot.end - deadline)} later would be met as planned"
    soonest = min(choice.soonest for choice in instance.choices[j])
    if soonest > deadline:
        short = format_seconds(soonest - deadline)
        return f"even alone on the whole fleet it would end {short} late, so it needs a faster option; {later}"
    if tried:
        first = place(instance, State.of(instance), j)
        if first is not None and first.end <= deadline:
            spare = format_seconds(deadline - first.end)
            return f"with a higher priority than all others it would end {spare} before its deadline; {later}"
    return f"jobs of the same or a higher tier are in its way; {later}"


def is_late(instance: Instance, schedule: Schedule, j: int) -> bool:
    """Does it miss its deadline?"""
    slot = schedule.slots[j]
    return slot is not None and slot.end > instance.deadlines[j]


@dataclass(slots=True)
class _Search:
    """The jobs of one tier that have a deadline, alone on a board behind the higher tiers."""

    instance: Instance
    tier: int
    due: Sequence[int]
    best: Schedule
    dice: Dice
    _board: Board = field(init=False)
    _bank: list[int] = field(default_factory=list)
    """Jobs that stay late as things are."""
    _kept: list[Slot | None] = field(default_factory=list)
    """Where everybody was when the least was late."""

    def run(self, steps: int) -> int:
        instance, dice = self.instance, self.dice
        self._board = self._fresh()
        order = sorted(self.due, key=lambda j: (instance.deadlines[j], -instance.weights[j]))
        self._bank = [j for j in order if not self._put(j)]
        self._kept = list(self._board.slots)
        lowest, quiet, taken = self._cost(self._bank), 0, 0
        while self._bank and taken < steps and quiet < _PATIENCE:
            taken, quiet = taken + 1, quiet + 1
            seed = self._bank[dice.below(len(self._bank))]
            self._board.begin()
            out = self._victims(seed)
            for j in out:
                self._board.remove(j)
            bank = [j for j in self._shuffled([*out, *self._bank], seed) if not self._put(j)]
            if (cost := self._cost(bank)) > self._cost(self._bank):
                self._board.undo()
                continue
            self._bank = bank
            if cost < lowest:
                lowest, quiet, self._kept = cost, 0, list(self._board.slots)
        return taken

    def schedule(self) -> Schedule:
        """Those on time in the order of their starts, then everybody else as before, free to choose a column."""
        instance, kept = self.instance, self._kept
        columns: list[int | None] = [None] * len(instance.jobs)
        starts: dict[int, float] = {}
        for j, slot in enumerate(self.best.slots):
            if instance.tiers[j] > self.tier and slot is not None:
                columns[j] = slot.choice
        for j in self.due:
            if (slot := kept[j]) is not None:
                columns[j], starts[j] = slot.choice, slot.start
        at = {j: k for k, j in enumerate(self.best.order)}
        order = sorted(self.best.order, key=lambda j: (-instance.tiers[j], starts.get(j, inf), at[j]))
        return run(instance, order, columns)

    def _fresh(self) -> Board:
        instance = self.instance
        state = State.of(instance)
        for j in self.best.order:
            slot = self.best.slots[j]
            if instance.tiers[j] > self.tier and slot is not None:
                place(instance, state, j, slot.choice)
        return Board(instance, state)

    def _put(self, j: int) -> bool:
        return self._board.put_soonest(j, range(len(self.instance.choices[j])), self.instance.deadlines[j])

    def _cost(self, bank: Sequence[int]) -> float:
        return sum(self.instance.weights[j] for j in bank)

    def _victims(self, seed: int) -> list[int]:
        """Jobs on the pools that the banked one could use in time; some of anywhere where there are none."""
        instance, dice, board = self.instance, self.dice, self._board
        soon = [choice for choice in instance.choices[seed] if choice.soonest <= instance.deadlines[seed]]
        pools = {pool for choice in soon for pool in choice.pools}
        near = sorted({j for pool in pools for j in board.on_pool[pool]}) if dice.below(4) else []
        there = near or [j for j in self.due if board.slots[j] is not None]
        out: list[int] = []
        for _ in range(min(len(there), _LEAST_RUIN + dice.below(_MOST_RUIN - _LEAST_RUIN + 1))):
            out.append(there.pop(dice.below(len(there))))
        return out

    def _shuffled(self, jobs: Sequence[int], seed: int) -> list[int]:
        """What is due first and weighs most comes first, with noise; sometimes the banked one does."""
        instance, dice = self.instance, self.dice
        first = dice.below(2) == 0

        def key(j: int) -> tuple[bool, float, int]:
            noise = 0.5 + dice.share()
            return (not (first and j == seed), instance.deadlines[j] / instance.weights[j] * noise, j)

        return sorted(dict.fromkeys(jobs), key=key)
