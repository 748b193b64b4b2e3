"""Anytime search: what must end by a target is put on a board; what finds no place there is a bank to be emptied.

A step takes off some jobs, neighbours in time, from the pools or links that a banked job waits for, and puts them and
one or two of the bank back in another order, into the programme's cheapest columns first or into those that may end
soonest. It is kept if the bank does not grow, else undone; a job that found no place weighs more from then on. An
empty bank is a schedule that ends by the target: the serial simulation runs it again in the order of its starts
(which moves everything to the left), and the target sinks. A target that resists is raised half-way to the best
schedule; from just below that one the next is far lower again. A step costs the same however many jobs there are.
Budgets count steps, never seconds; more steps go on from where fewer stopped, so they are never worse. Higher tiers
are searched first and in the way of lower ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, log
from typing import Protocol

from polyhull.planning.board import Board
from polyhull.planning.dice import Dice
from polyhull.planning.instance import Instance
from polyhull.planning.kernels import CompiledTierSearch, simulator
from polyhull.planning.objectives import makespan_score
from polyhull.planning.runner import runner
from polyhull.planning.schedule import Placing, Schedule
from polyhull.planning.simulate import State, place, run, try_choice

Ranking = Sequence[Sequence[int]]
"""Per job its columns, the most promising first."""

COLUMNS = 16
"""So many of a job's columns that can end by the target are tried, in half of the steps only `NARROW`."""
NARROW = 8
_LEAST_RUIN, _MOST_RUIN = 3, 12
_PATIENCE, _PATIENCE_SHARE = 100, 200
"""Steps without progress after which a target is given up, and one more for so many steps taken."""
_CHUNK = 250
"""With several tiers: steps of one before the next has its turn."""
_JOBS_PER_STEP = 10
"""Jobs simulated afresh for the price of one step."""
_BANKED = 2
"""So many jobs of the bank are tried in a step: the others wait for pools and links that it does not touch."""
_TEMPERATURE = 0.02
_GRUDGE = 0.01
"""A job that found no place counts by so much more of its weight the next time: the bank changes hands."""
_NEAREST, _FARTHEST = 3e-4, 6e-3
"""The last target is so far below the best schedule; where that resists too it starts again so far below."""


def improve(
    instance: Instance,
    start: Schedule,
    steps: int,
    seed: int,
    ranking: Ranking | None = None,
    lower_bound: float = 0.0,
) -> tuple[Schedule, int]:
    """The best schedule found, never worse than `start`, and the steps taken."""
    if not instance.jobs or steps <= 0:
        return start, 0
    if ranking is None:
        ranking = tuple(tuple(range(len(options))) for options in instance.choices)
    best, taken = start, 0
    tiers = sorted(set(instance.tiers), reverse=True)
    compiled = simulator(instance)
    searches: dict[int, InTier] = {}
    chunk = steps if len(tiers) == 1 else _CHUNK
    running = list(tiers)
    while taken < steps and running:
        for tier in list(running):
            at = searches.get(tier)
            if at is None or _stale(instance, tier, at.best, best):
                if compiled is None:
                    at = TierSearch(instance, tier, best, ranking, seed + tier, lower_bound)
                else:
                    at = CompiledTierSearch(compiled, tier, best, ranking, seed + tier, lower_bound)
                searches[tier] = at
            taken += at.search(min(chunk, steps - taken))
            best = min(best, at.best, key=lambda schedule: schedule.objective)
            if at.done:
                running.remove(tier)
    earlier = polished(instance, best)
    # All but the sum of finishes must be what the steps reached, or fewer steps could end better by luck.
    return (earlier if earlier.objective[:-1] == best.objective[:-1] else best), taken


def _stale(instance: Instance, tier: int, then: Schedule, now: Schedule) -> bool:
    """Has a higher tier moved since?"""
    return any(then.slots[j] != now.slots[j] for j in now.order if instance.tiers[j] > tier)


def polished(instance: Instance, schedule: Schedule) -> Schedule:
    """At the same makespan, jobs earlier: short ones first where that holds, then each where it ends first."""
    schedule = min(schedule, _short_first(instance, schedule), key=lambda one: one.objective)
    order = [j for j in schedule.order if schedule.slots[j] is not None]
    later = sorted(order, key=lambda j: (-instance.tiers[j], _start(schedule, j)))
    compiled = simulator(instance) if order else None
    found = (
        earlier(instance, schedule, order, later) if compiled is None else compiled.earlier(schedule, order, later)
    )
    if found is None:
        return schedule
    return min(schedule, _executed(instance, schedule, found), key=lambda one: one.objective)


def earlier(instance: Instance, schedule: Schedule, order: Sequence[int], later: Sequence[int]) -> Placing | None:
    """The jobs of `order` on a board, then each in the order of `later` where it ends first; None: no such board.

    kernels/polish.c is the compiled twin.
    """
    board = Board(instance, State.of(instance))
    for j in order:
        slot = schedule.slots[j]
        assert slot is not None
        if not board.put(j, (slot.choice,), inf):
            return None
    for j in later:
        slot = board.slots[j]
        assert slot is not None
        board.begin()
        board.remove(j)
        if not board.put_soonest(j, range(len(instance.choices[j])), slot.end):
            board.undo()
    return _placing(board)


def _placing(board: Board) -> Placing:
    moved = board.state.moved
    first = [
        inf if slot is None else min([slot.start, *(moved[move][1] for move in options[slot.choice].moves)])
        for options, slot in zip(board.instance.choices, board.slots, strict=True)
    ]
    columns = [None if slot is None else slot.choice for slot in board.slots]
    return Placing(columns, [inf if slot is None else slot.start for slot in board.slots], first)


def _short_first(instance: Instance, schedule: Schedule) -> Schedule:
    """The same columns, in each tier what ends soonest alone first."""
    columns = [None if slot is None else slot.choice for slot in schedule.slots]
    place_of = {j: k for k, j in enumerate(schedule.order)}

    def key(j: int) -> tuple[float, ...]:
        column = columns[j]
        return (-instance.tiers[j], inf if column is None else instance.choices[j][column].soonest, place_of[j])

    return runner(instance)(sorted(schedule.order, key=key), columns)


def _start(schedule: Schedule, j: int) -> float:
    slot = schedule.slots[j]
    return inf if slot is None else slot.start


def _executed(instance: Instance, before: Schedule, wanted: Placing) -> Schedule:
    """What is wanted through the serial simulation: by start, or by when its first transfer starts; the better one.

    In the order of starts every transfer of a link comes by when it is needed, so the whole moves to the left.
    """
    place_of = {j: k for k, j in enumerate(before.order)}
    found: Schedule | None = None
    execute = runner(instance)
    for key in (wanted.starts, wanted.first):
        order = sorted(before.order, key=lambda j: (-instance.tiers[j], key[j], place_of[j]))
        schedule = execute(order, wanted.columns)
        if found is None or makespan_score(instance, schedule) < makespan_score(instance, found):
            found = schedule
        if makespan_score(instance, schedule) < makespan_score(instance, before):
            break
    assert found is not None
    return found


class InTier(Protocol):
    """The search of one tier, in Python or compiled: goes on where it stopped."""

    done: bool

    @property
    def best(self) -> Schedule: ...

    def search(self, steps: int) -> int: ...


@dataclass(slots=True)
class TierSearch:
    """The search of one tier: jobs of higher tiers stand, those of lower ones come after.

    kernels/search.c is its compiled twin: every change is made in both, and a test holds them equal.
    """

    instance: Instance
    tier: int
    best: Schedule
    ranking: Ranking
    seed: int
    lower_bound: float
    done: bool = False
    jobs: tuple[int, ...] = ()
    _board: Board = field(init=False)
    _dice: Dice = field(init=False)
    _bank: list[int] = field(default_factory=list)
    _lowest: float = inf
    _failures: int = 0
    _taken: int = 0
    _target: float = 0.0
    _resisted: float = 0.0
    """The highest target that was given up since the last success."""
    _allowed: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Columns by the ranking."""
    _soonest: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """As many: the first of the ranking, then by earliest end."""
    _list: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Which of both this step goes by."""
    _size: dict[int, float] = field(default_factory=dict)
    _work: dict[int, float] = field(default_factory=dict)
    _weight: dict[int, float] = field(default_factory=dict)
    _heavy: dict[int, float] = field(default_factory=dict)
    """Weights with what is held against jobs that found no place."""
    _latest: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        instance, slots = self.instance, self.best.slots
        self._dice = Dice(self.seed)
        self.jobs = tuple(j for j in self.best.order if instance.tiers[j] == self.tier and slots[j] is not None)
        if not self.jobs:
            self.done = True
            return
        for j in self.jobs:
            options = instance.choices[j]
            self._size[j] = options[self.ranking[j][0]].length
            self._work[j] = self._size[j] * max(1, options[self.ranking[j][0]].column.devices)
            self._weight[j] = min(choice.length * max(1, choice.column.devices) for choice in options)
        mean = max(_total(self._weight, self.jobs) / len(self.jobs), 1e-9)
        self._weight = {j: 0.3 + weight / mean for j, weight in self._weight.items()}
        self._heavy = dict(self._weight)
        alone = max(min(choice.soonest for choice in instance.choices[j]) for j in self.jobs)
        self.lower_bound = max(alone, self.lower_bound if len(set(instance.tiers)) == 1 else 0.0)
        self._resisted = self.lower_bound
        self._first_target()

    def search(self, steps: int) -> int:
        """Take up to `steps` steps; how many were taken. What goes through all jobs counts as many."""
        before, all_jobs = self._taken, max(1, len(self.instance.jobs) // _JOBS_PER_STEP)
        while self._taken - before < steps and not self.done:
            if not self._bank:
                self._success()
                self._taken += all_jobs
            else:
                if self._failures >= self._patience():
                    self._give_up()
                else:
                    self._step()
                self._taken += 1
        return min(self._taken - before, steps)

    def _patience(self) -> int:
        """It grows with the steps taken: early on many targets are tried, later on each for long."""
        return _PATIENCE + self._taken // _PATIENCE_SHARE

    # -- targets

    def _last(self) -> float:
        ends = (slot.end for j in self.jobs if (slot := self.best.slots[j]) is not None)
        return max(ends)

    def _first_target(self) -> None:
        """Where one pass of insertion succeeds: bisected, on a fresh board each."""
        last = self._last()
        if last <= self.lower_bound * (1.0 + 1e-9):
            self.done = True
            return
        low, high = self.lower_bound, last
        for _ in range(4):
            middle = (low + high) / 2
            self._aim(middle, None)
            if not self._bank:
                high = middle
            else:
                low = middle
        self._aim(high * (1.0 - 1e-4) if high == last else high, None)

    def _aim(self, target: float, keep: Schedule | None) -> None:
        """A fresh board for a target; the jobs of `keep` go where they are there, if they end in time."""
        instance = self.instance
        self._target = target
        self._limits()
        state = State.of(instance)
        for j in self.best.order:
            slot = self.best.slots[j]
            if instance.tiers[j] > self.tier and slot is not None:
                place(instance, state, j, slot.choice)
        self._board = Board(instance, state)
        self._bank = []
        if keep is None:
            by = sorted(self.jobs, key=lambda j: (min(len(self._allowed[j]), 4), -self._size[j]))
            self._bank = [j for j in by if not self._board.put(j, self._allowed[j], self._latest[j])]
        else:
            columns = {j: slot.choice for j in self.jobs if (slot := keep.slots[j]) is not None}
            mine = set(self.jobs)
            for j in keep.order:
                if j in mine and not self._board.put(j, (columns[j],), self._latest[j]):
                    self._bank.append(j)
            self._settle_bank()
        self._count()

    def _limits(self) -> None:
        """What each job may use and by when it must end: a deadline that is met now stays met."""
        instance = self.instance
        for j in self.jobs:
            limit, slot = self._target, self.best.slots[j]
            if slot is not None and slot.end <= instance.due(j):
                limit = min(limit, instance.due(j))
            self._latest[j] = limit
            options = instance.choices[j]
            self._allowed[j] = tuple(i for i in self.ranking[j] if options[i].soonest <= limit)[:COLUMNS]
            early = dict.fromkeys((self.ranking[j][0], *range(len(options))))
            self._soonest[j] = tuple(i for i in early if options[i].soonest <= limit)[:COLUMNS]

    def _settle_bank(self) -> None:
        self._bank = [j for j in self._bank if not self._board.put(j, self._allowed[j], self._latest[j])]

    def _count(self) -> None:
        self._lowest, self._failures = _total(self._weight, self._bank), 0

    def _success(self) -> None:
        """The bank is empty: a schedule; then on to the next target."""
        candidate = self._schedule()
        if makespan_score(self.instance, candidate) < makespan_score(self.instance, self.best):
            self.best = candidate
        else:
            candidate = self.best
        last = min(self._last(), self._target)
        if last <= self.lower_bound * (1.0 + 1e-9):
            self.done = True
            return
        self._resisted = min(self._resisted, last)
        step = max(0.15 * (last - self._resisted), 0.001 * last)
        self._aim(max(self.lower_bound, last - step), candidate)

    def _give_up(self) -> None:
        """Half-way to the best schedule; from the smallest distance far down again, from the best schedule on."""
        last = self._last()
        nearest = last * (1.0 - _NEAREST)
        if self._target >= nearest:
            self._resisted = self.lower_bound
            self._aim(max(self.lower_bound, last * (1.0 - _FARTHEST)), self.best)
            return
        self._resisted = self._target
        self._target = min((self._target + last) / 2, nearest)
        self._limits()
        self._settle_bank()
        self._count()

    def _schedule(self) -> Schedule:
        """The board as it would be executed, with the other tiers around it."""
        board, instance = self._board, self.instance
        if len(set(instance.tiers)) > 1 or len(self.jobs) < len(instance.jobs):
            return self._with_others()
        return _executed(instance, self.best, _placing(board))

    def _with_others(self) -> Schedule:
        instance, board = self.instance, self._board
        mine = set(self.jobs)

        def key(j: int) -> tuple[float, ...]:
            slot = board.slots[j] if j in mine else None
            return (-instance.tiers[j], slot.start if slot is not None else inf, place_of[j])

        place_of = {j: k for k, j in enumerate(self.best.order)}
        columns = [
            board_slot.choice
            if j in mine and (board_slot := board.slots[j]) is not None
            else (slot.choice if slot is not None else None)
            for j, slot in enumerate(self.best.slots)
        ]
        return run(instance, sorted(self.best.order, key=key), columns)

    # -- one step

    def _step(self) -> None:
        self._failures += 1
        dice, board = self._dice, self._board
        seed_at = dice.below(len(self._bank))
        seed = self._bank[seed_at]
        if not self._allowed[seed]:
            self._failures = self._patience()
            return
        board.begin()
        self._list = self._allowed if dice.below(2) else self._soonest
        out = self._victims(seed)
        for j in out:
            board.remove(j)
        banked = self._drawn(seed_at)
        order = self._shuffled(out + self._bank[:banked], seed)
        bank = self._bank[banked:]
        cost, weight = _total(self._heavy, bank), _total(self._weight, bank)
        most = _total(self._heavy, self._bank) - _TEMPERATURE * log(dice.share())
        soonest = dice.below(3) == 0
        breadth = NARROW if dice.below(2) else COLUMNS
        for j in order:
            columns = self._list[j][:breadth]
            if dice.below(4) == 0 and columns:
                turn = dice.below(len(columns))
                columns = columns[turn:] + columns[:turn]
            put = board.put_soonest if soonest else board.put
            if not put(j, columns, self._latest[j]):
                bank.append(j)
                cost += self._heavy[j]
                weight += self._weight[j]
                if cost > most:
                    board.undo()
                    self._heavy[seed] += _GRUDGE * self._weight[seed]
                    return
        self._bank = bank
        if weight < self._lowest:
            self._lowest, self._failures = weight, 0

    def _drawn(self, seed_at: int) -> int:
        """The seed and others of the bank, drawn to its front: how many."""
        bank, n = self._bank, min(_BANKED, len(self._bank))
        for i in range(n):
            at = seed_at if i == 0 else i + self._dice.below(len(bank) - i)
            bank[i], bank[at] = bank[at], bank[i]
        return n

    def _victims(self, seed: int) -> list[int]:
        """Jobs in the way of a banked one in one or two of its columns (or of one in its way): neighbours in time."""
        dice, slots = self._dice, self._board.slots
        found = sorted(self._in_the_way(seed, self._random_choice(seed)))
        if dice.below(3):
            other = seed
            if found and dice.below(3) == 0:
                other = found[dice.below(len(found))]
                if not self._allowed[other]:
                    other = seed
            found = sorted({*found, *self._in_the_way(other, self._random_choice(other))})
        most = _LEAST_RUIN + dice.below(_MOST_RUIN - _LEAST_RUIN + 1)
        if not found:
            return []
        starts = {j: slot.start for j in found if (slot := slots[j]) is not None}
        centre = starts[found[dice.below(len(found))]]
        return sorted(found, key=lambda j: (abs(starts[j] - centre), j))[:most]

    def _random_choice(self, j: int) -> int:
        columns = self._list[j]
        n = min(NARROW, len(columns)) if self._dice.below(4) else len(columns)
        return columns[self._dice.below(n)]

    def _in_the_way(self, j: int, column: int) -> set[int]:
        """Of a job in one of its columns: transfers if its data would come too late, else the pool's jobs."""
        instance, board = self.instance, self._board
        choice = instance.choices[j][column]
        slot, _ = try_choice(instance, board.state, choice, column)
        links = bool(choice.moves) and (slot is None or slot.ready + choice.length > self._latest[j])
        if self._dice.below(8) == 0:
            links = bool(choice.moves) and not links
        if not links:
            return set().union(*(board.on_pool[pool] for pool in choice.pools))
        return self._on_links({link for m in choice.moves for way in instance.moves[m].ways for link in way.links})

    def _on_links(self, links: set[int]) -> set[int]:
        board = self._board
        found: set[int] = set()
        for move, (way, _, _) in board.state.moved.items():
            readers = board.readers.get(move)
            if readers and not links.isdisjoint(self.instance.moves[move].ways[way].links):
                found |= readers
        return found

    def _shuffled(self, jobs: list[int], seed: int) -> list[int]:
        """Long or wide ones first, those with few places before them, with noise; sometimes at random."""
        dice = self._dice
        kind = dice.below(6)
        if kind == 0:
            order = sorted((dice.share(), j) for j in jobs)
        else:
            size = self._work if kind <= 2 else self._size
            order = sorted(
                (-size[j] * (0.6 + 0.8 * dice.share()) * (2.0 if len(self._allowed[j]) <= 3 else 1.0), j)
                for j in jobs
            )
        found = [j for _, j in order]
        if dice.below(3) == 0:
            found.remove(seed)
            found.insert(0, seed)
        return found


def _total(weight: Mapping[int, float], jobs: Sequence[int]) -> float:
    """One after the other, as the compiled twin adds (`sum` of later Pythons does not)."""
    total = 0.0
    for j in jobs:
        total += weight[j]
    return total
