"""The levels of the objective, one after the other, on executed schedules.

Level k is sought among the schedules that keep every earlier level within 0.5 % of its own best and its `slack`,
tiers strictly in order. The makespan has a search of its own (`search.py`); every other level is sought here: some
jobs are taken off a board and put back elsewhere, and now and then all is executed again in the order of its starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite

from polyhull.domain.decision import LevelReport, Opportunity
from polyhull.optimize.arrays import model_data
from polyhull.optimize.interval import Answer, weighted_completion
from polyhull.planning.board import Board
from polyhull.planning.dice import Dice
from polyhull.planning.instance import Instance
from polyhull.planning.objectives import (
    MAKESPAN,
    PER_UNIT,
    WEIGHTED_COMPLETION,
    Level,
    Outcome,
    Score,
    content,
    levels_of,
    whole,
)
from polyhull.planning.order import by_rule
from polyhull.planning.schedule import Schedule, Slot
from polyhull.planning.search import polished
from polyhull.planning.simulate import State, place, run

_LEAST_RUIN, _MOST_RUIN = 2, 8
_ROUND = 60
"""Steps on one board before it is executed again."""
_JOBS_PER_STEP = 10
"""Jobs simulated afresh for the price of one step."""
PRICED_JOBS = 100
"""Up to so many jobs the interval programme is solved for its prices alone."""
_WORSE = 0.01
"""On a board, a step may cost so much of the level's best value; executed schedules only ever get better."""


@dataclass(frozen=True, slots=True)
class Levelled:
    """A schedule, the steps it took, and what the interval programme said where it was asked."""

    schedule: Schedule
    steps: int = 0
    ahead: Answer | None = None
    imposed: frozenset[int] = frozenset()
    """Jobs whose deadlines that programme took as met."""


def later_levels(instance: Instance, best: Schedule) -> Levelled:
    """From a schedule that is good at the first level (if that is the makespan) on through all the others."""
    limits = instance.snapshot.policy.solver
    levels = levels_of(instance.snapshot.policy.objective)
    asked = WEIGHTED_COMPLETION in levels or len(instance.jobs) <= PRICED_JOBS
    ahead = interval(instance, best) if asked and instance.jobs else None
    imposed = frozenset(_met(instance, best)) if ahead is not None else frozenset()
    if not instance.jobs or levels == (MAKESPAN,):
        return Levelled(best, 0, ahead, imposed)
    taken = 0
    caps: list[int] = [best.objective[0]]
    for t, tier in enumerate(sorted(set(instance.tiers), reverse=True)):
        caps.append(best.objective[len(caps)])
        own: list[int] = []
        for k, level in enumerate(levels):
            if not (t == 0 and k == 0 and level is MAKESPAN):
                goal = _Goal(instance, tier, levels[: k + 1], len(caps) + k, (*caps, *own))
                best = goal.best_of([best, *_seeds(instance, best, ahead)])
                steps = limits.level_steps // (1 if k == 0 else 2)
                best, more = goal.sought(best, steps, Dice(limits.seed + goal.at))
                taken += more
            own.append(level.allowance(best.objective[len(caps) + k]))
        # An earlier tier's result is held as it is.
        caps.extend(best.objective[len(caps) : len(caps) + len(levels)])
    return Levelled(best, taken, ahead, imposed)


def _seeds(instance: Instance, best: Schedule, ahead: Answer | None) -> list[Schedule]:
    """Orders that finish much weight early: least length per weight first, the interval programme's, and that of
    `best` itself with every job moved to the left."""
    weights, choices = instance.weights, instance.choices
    columns = [None if slot is None else slot.choice for slot in best.slots]
    rules = [by_rule(instance, lambda j: (choices[j][0].soonest / weights[j],))]
    rules.append(by_rule(instance, lambda j: (choices[j][columns[j] or 0].length / weights[j],)))
    if ahead is not None:
        rules.append(by_rule(instance, lambda j: (ahead.completion.get(instance.jobs[j].key, inf),)))
    free = [run(instance, rule) for rule in dict.fromkeys(rules)]
    return [polished(instance, best), *free, *(run(instance, rule, columns) for rule in dict.fromkeys(rules))]


@dataclass(frozen=True, slots=True)
class _Goal:
    """One level of one tier: position `at` of the score, everything before it held by `caps`."""

    instance: Instance
    tier: int
    levels: tuple[Level, ...]
    """Of this tier, the one that is sought last."""
    at: int
    caps: Score

    def allows(self, score: Score) -> bool:
        return all(value <= cap for value, cap in zip(score, self.caps, strict=False))

    def best_of(self, schedules: Sequence[Schedule]) -> Schedule:
        """The best allowed one; the first where none is better, so that it never gets worse."""
        allowed = [one for one in schedules if self.allows(one.objective)] or schedules[:1]
        least = min(one.objective[self.at :] for one in allowed)
        equal = [one for one in allowed if one.objective[self.at :] == least]
        return equal[0] if len(equal) == 1 else min(equal, key=lambda one: content(self.instance, one))

    def sought(self, best: Schedule, steps: int, dice: Dice) -> tuple[Schedule, int]:
        mine = [j for j in best.order if self.instance.tiers[j] == self.tier and best.slots[j] is not None]
        taken = 0
        while len(mine) > 1 and taken < steps:
            board = self._board(best)
            if board is None:
                break
            slots = self._ruined(board, mine, min(_ROUND, steps - taken), dice)
            taken += _ROUND + len(self.instance.jobs) // _JOBS_PER_STEP
            if slots is not None:
                best = self.best_of([best, *self._executed(best, slots)])
        return best, min(taken, steps)

    def _board(self, best: Schedule) -> Board | None:
        """The higher tiers and this one as `best` has them."""
        instance = self.instance
        state = State.of(instance)
        for j in best.order:
            slot = best.slots[j]
            if instance.tiers[j] > self.tier and slot is not None:
                place(instance, state, j, slot.choice)
        board = Board(instance, state)
        for j in best.order:
            slot = best.slots[j]
            if instance.tiers[j] == self.tier and slot is not None and not board.put(j, (slot.choice,), inf):
                return None
        return board

    def _ruined(self, board: Board, mine: Sequence[int], steps: int, dice: Dice) -> list[Slot | None] | None:
        """The best slots that some steps led to; None if none was better than the first."""
        limits = self._limits(board, mine)
        at_first = lowest = self._value(board, mine)
        found: list[Slot | None] | None = None
        for _ in range(steps):
            board.begin()
            out = self._victims(board, mine, dice)
            for j in out:
                board.remove(j)
            if not all(self._put(board, j, limits[j], dice) for j in self._shuffled(out, dice)):
                board.undo()
                continue
            value = self._value(board, mine)
            if value is None or lowest is None or value > lowest + int(lowest * _WORSE):
                board.undo()
            elif value < lowest:
                lowest, found = value, list(board.slots)
        return found if at_first != lowest else None

    def _value(self, board: Board, mine: Sequence[int]) -> int | None:
        """The level on the board; None where an earlier one is over its cap."""
        running = max((fixed.column.length_seconds for fixed in self.instance.fixed), default=0.0)
        outcome = Outcome(self.instance, board.slots, board.state.moved, running, mine)
        *before, last = (whole(level.value(outcome)) for level in self.levels)
        held = self.caps[self.at - len(before) : self.at]
        return last if all(value <= cap for value, cap in zip(before, held, strict=True)) else None

    def _limits(self, board: Board, mine: Sequence[int]) -> dict[int, float]:
        """By when each must end: a deadline or promise that is met stays met, a makespan that comes first too."""
        last = inf
        for k, level in enumerate(self.levels[:-1]):
            if level is MAKESPAN:
                last = self.caps[self.at - len(self.levels) + 1 + k] / PER_UNIT
        out = {}
        for j in mine:
            slot, due = board.slots[j], self.instance.due(j)
            out[j] = min(last, due) if slot is not None and slot.end <= due else last
        return out

    def _put(self, board: Board, j: int, limit: float, dice: Dice) -> bool:
        """Mostly where it ends first; where a column alone tells something, often where that is least."""
        columns: Sequence[int] = range(len(self.instance.choices[j]))
        price = self.levels[-1].of_column
        if price is not None and dice.below(3):
            cheap = sorted(columns, key=lambda g: (price(self.instance, j, g), g))
            return board.put(j, cheap, limit)
        return board.put_soonest(j, columns, limit)

    def _victims(self, board: Board, mine: Sequence[int], dice: Dice) -> list[int]:
        """A job, and others on the pools that it could use; sometimes just some."""
        seed = mine[dice.below(len(mine))]
        options = self.instance.choices[seed]
        pools = {options[dice.below(min(len(options), 4))].pool for _ in range(2)}
        slot = board.slots[seed]
        if slot is not None:
            pools.add(options[slot.choice].pool)
        near = sorted(j for pool in pools for j in board.on_pool[pool] if j != seed)
        there = near if dice.below(4) else [j for j in mine if j != seed]
        out = [seed]
        for _ in range(min(len(there), _LEAST_RUIN + dice.below(_MOST_RUIN - _LEAST_RUIN + 1))):
            out.append(there.pop(dice.below(len(there))))
        return out

    def _shuffled(self, jobs: Sequence[int], dice: Dice) -> list[int]:
        """Least length per weight first, with noise; sometimes at random."""
        instance = self.instance
        by_weight = dice.below(4) > 0

        def key(j: int) -> tuple[float, int]:
            noise = 0.5 + dice.share()
            return (noise * (instance.choices[j][0].soonest / instance.weights[j] if by_weight else 1.0), j)

        return sorted(jobs, key=key)

    def _executed(self, before: Schedule, slots: Sequence[Slot | None]) -> list[Schedule]:
        """Through the serial simulation, this tier by its starts: with the board's columns, and free to choose."""
        instance = self.instance
        at = {j: k for k, j in enumerate(before.order)}

        def start(j: int) -> float:
            slot = slots[j] if instance.tiers[j] == self.tier else None
            return slot.start if slot is not None else 0.0

        order = sorted(before.order, key=lambda j: (-instance.tiers[j], start(j), at[j]))
        columns: list[int | None] = []
        for j, was in enumerate(before.slots):
            slot = slots[j] if instance.tiers[j] == self.tier else was
            columns.append(None if slot is None else slot.choice)
        return [run(instance, order, columns)]


def level_reports(instance: Instance, found: Levelled, lower_bound: float) -> tuple[LevelReport, ...]:
    """What each level comes to over all placed jobs, beside its bound; the makespan's is the plan's own."""
    schedule = found.schedule
    running = max((fixed.column.length_seconds for fixed in instance.fixed), default=0.0)
    outcome = Outcome(instance, schedule.slots, schedule.moves, running, range(len(instance.jobs)))
    complete = all(slot is not None for slot in schedule.slots)
    out = []
    for level in levels_of(instance.snapshot.policy.objective):
        bound: float | None = None
        if level is MAKESPAN:
            bound = lower_bound if lower_bound > 0.0 else None
        elif level is WEIGHTED_COMPLETION:
            kept = found.imposed <= frozenset(_met(instance, schedule))
            bound = found.ahead.bound_seconds if complete and kept and found.ahead is not None else None
        elif complete:
            bound = level.bound(instance.snapshot, instance.columns)
        value = level.value(outcome)
        holds = bound is not None and isfinite(bound) and bound <= value * (1.0 + 1e-9) + 1e-9
        out.append(LevelReport(level.name, level.unit, value, bound if holds else None))
    return tuple(out)


def interval(instance: Instance, schedule: Schedule) -> Answer | None:
    """The interval-indexed programme on a grid that reaches as far as a schedule; None where it does not answer.

    Deadlines that the schedule misses bind nothing; its bound holds for whatever misses no others.
    """
    weights = {job.key: weight for job, weight in zip(instance.jobs, instance.weights, strict=True)}
    deadlines = {instance.jobs[j].key: instance.deadlines[j] for j in _met(instance, schedule)}
    data = model_data(instance.snapshot, instance.columns)
    return weighted_completion(data, weights, deadlines, schedule.makespan)


def opportunities(instance: Instance, found: Levelled) -> tuple[Opportunity, ...]:
    """Prices of device time by instant; pools whose time costs nobody anything are left out."""
    if found.ahead is None:
        return ()
    now = instance.snapshot.taken_at
    instants = tuple(now + at for at in found.ahead.instants)
    prices = sorted(found.ahead.pool_prices.items())
    return tuple(Opportunity(pool, instants, some) for pool, some in prices if any(price > 0.0 for price in some))


def _met(instance: Instance, schedule: Schedule) -> list[int]:
    """Jobs with a deadline that they meet."""
    slots, deadlines = schedule.slots, instance.deadlines
    return [j for j, slot in enumerate(slots) if slot is not None and slot.end <= deadlines[j] < inf]
