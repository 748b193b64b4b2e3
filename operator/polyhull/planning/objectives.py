"""What better means: whole numbers of a simulated schedule, compared in order, and the levels a policy may list.

A score is read from the left: jobs left out; then for each tier, the highest first, the weight of missed deadlines
(and of broken promises, a thousandth) and the levels of `PlacementPolicy.spec.objective` in their order; last the
weighted sum of finishes, which only decides between equals. Adding a level: docs/how-to/add-an-objective.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite

from polyhull.domain.snapshot import Snapshot
from polyhull.optimize.columns import ColumnSet
from polyhull.planning import fair, spending
from polyhull.planning.instance import Instance
from polyhull.planning.schedule import Moved, Schedule, Slot

Score = tuple[int, ...]

PER_UNIT = 1_000_000
"""Scores are whole millionths: the last bits of a float decide nothing."""
RELATIVE_TOLERANCE = 0.005
"""A later level may cost an earlier one so much of its own best, and the level's `slack` more."""
BROKEN_PROMISE = 1e-3
"""A promise that is not kept, in missed deadlines of the same weight."""
LEAST_DEADLINE = PER_UNIT // 2
"""Half of what the lightest missed deadline scores."""
_MOST = 1e24


@dataclass(frozen=True, slots=True)
class Outcome:
    """A simulated schedule as a level sees it. `jobs`: indexes of those that count (one tier, or all of them)."""

    instance: Instance
    slots: Sequence[Slot | None]
    moved: Mapping[int, Moved]
    running: float
    """When the last released job ends, seconds from now."""
    jobs: Sequence[int]

    def ends(self) -> list[tuple[int, float]]:
        """(job, finish) of the jobs that count and are placed."""
        slots = self.slots
        return [(j, slot.end) for j in self.jobs if (slot := slots[j]) is not None]


Bound = Callable[[Snapshot, ColumnSet], float | None]
"""A proven lower bound of a level's value over every schedule of all jobs that have a column; None: not proved."""


def unproved(snapshot: Snapshot, columns: ColumnSet) -> None:
    """No bound: it is printed as null, never as 0."""


@dataclass(frozen=True, slots=True)
class Level:
    """One objective. `value` is what the jobs that count come to (smaller is better), in `unit`."""

    name: str
    """As `PlacementPolicy.spec.objective` spells it."""
    unit: str
    value: Callable[[Outcome], float]
    bound: Bound = unproved
    of_column: Callable[[Instance, int, int], float] | None = None
    """What job j's column g alone adds, where that tells something: the search tries the least first."""
    slack: float = 0.0
    """What a later level may cost this one beyond `RELATIVE_TOLERANCE` of its best: one second for times."""

    def allowance(self, best: int) -> int:
        """The largest score of this level that a later one may lead to."""
        return best + int(best * RELATIVE_TOLERANCE) + whole(self.slack)


def makespan(outcome: Outcome) -> float:
    """Seconds until the last job ends."""
    return max([outcome.running, *(end for _, end in outcome.ends())])


def weighted_completion(outcome: Outcome) -> float:
    """Mean finish in seconds, weighted by `Instance.weights` (they grow with age)."""
    weights = outcome.instance.weights
    ends = outcome.ends()
    total = sum(weights[j] for j, _ in ends)
    return sum(weights[j] * end for j, end in ends) / total if total > 0.0 else 0.0


MAKESPAN = Level("Makespan", "s", makespan, slack=1.0)
WEIGHTED_COMPLETION = Level("WeightedCompletion", "s", weighted_completion, slack=1.0)

COST = Level("Cost", "currency", spending.cost, spending.least_cost, spending.cost_of_column)
ENERGY = Level("Energy", "J", spending.energy, spending.least_energy, spending.energy_of_column)
CARBON = Level("Carbon", "g", spending.carbon, spending.least_carbon, spending.carbon_of_column)

MAX_MIN_FAIRNESS = Level("MaxMinFairness", "x", fair.unfairness, fair.least_unfairness)

LEVELS: Mapping[str, Level] = {
    level.name: level for level in (MAKESPAN, WEIGHTED_COMPLETION, MAX_MIN_FAIRNESS, COST, ENERGY, CARBON)
}
"""Every level there is; a name that is not here is refused by the border."""


def levels_of(names: Sequence[str]) -> tuple[Level, ...]:
    """The levels of a policy, in its order."""
    return tuple(LEVELS[name] for name in names)


def makespan_first(snapshot: Snapshot) -> bool:
    """Only then the makespan's own search and the exact solver's proof of it are worth their time."""
    return snapshot.policy.objective[0] == MAKESPAN.name


def whole(value: float) -> int:
    """A value as a score, in millionths; what is no number counts as the worst."""
    return round(min(value, _MOST) * PER_UNIT) if isfinite(value) else int(_MOST) * PER_UNIT


def score(instance: Instance, slots: Sequence[Slot | None], moved: Mapping[int, Moved], running: float) -> Score:
    """The whole score of a schedule (see the top of this page); positions as `Layout` names them."""
    tiers: dict[int, list[int]] = {}
    for j, tier in enumerate(instance.tiers):
        tiers.setdefault(tier, []).append(j)
    levels = levels_of(instance.snapshot.policy.objective)
    out = [sum(slot is None for slot in slots)]
    for tier in sorted(tiers, reverse=True):
        outcome = Outcome(instance, slots, moved, running, tiers[tier])
        out.append(whole(late_weight(outcome)))
        out.extend(whole(level.value(outcome)) for level in levels)
    out.append(whole(sum(instance.weights[j] * slot.end for j, slot in enumerate(slots) if slot is not None)))
    return tuple(out)


def makespan_score(instance: Instance, schedule: Schedule) -> Score:
    """What the makespan's search goes by: jobs left out, then per tier late weight and last finish only."""
    running = max((fixed.column.length_seconds for fixed in instance.fixed), default=0.0)
    out = [sum(slot is None for slot in schedule.slots)]
    for tier in sorted(set(instance.tiers), reverse=True):
        jobs = [j for j, its in enumerate(instance.tiers) if its == tier]
        outcome = Outcome(instance, schedule.slots, schedule.moves, running, jobs)
        out.extend((whole(late_weight(outcome)), whole(makespan(outcome))))
    return tuple(out)


def clearly_better(fresh: Score, present: Score, levels: Sequence[Level], minimum_gain: float) -> bool:
    """May `fresh` replace `present`: fewer left out or late, or a level better by more than the minimum gain?

    Read from the left like every score: what comes first decides, and a level that only got worse ends it.
    """
    if fresh[0] != present[0]:
        return fresh[0] < present[0]
    stride = 1 + len(levels)
    for at in range(1, min(len(fresh), len(present)) - 1, stride):
        if fresh[at] > present[at]:
            return False
        # A promise that would be kept again reorders nothing by itself; a deadline does.
        if present[at] - fresh[at] > LEAST_DEADLINE:
            return True
        for new, now, level in zip(fresh[at + 1 : at + stride], present[at + 1 : at + stride], levels, strict=True):
            if new < now * (1.0 - minimum_gain):
                return True
            if new > (now if level is levels[-1] else level.allowance(now)):
                return False
    return False


def content(instance: Instance, schedule: Schedule) -> str:
    """What decides between schedules of equal score: who runs where and when, told by content, not by name."""
    lines = []
    for job, options, slot in zip(instance.jobs, instance.choices, schedule.slots, strict=True):
        where = "" if slot is None else f"{options[slot.choice].name} {slot.start!r} {slot.end!r}"
        lines.append(f"{job.work_quantity!r} {job.created_at!r} {where}")
    return sha256("\n".join(sorted(lines)).encode()).hexdigest()


def late_weight(outcome: Outcome) -> float:
    """Weight of the jobs that end after their deadline, and a thousandth of those that end later than promised."""
    instance, late = outcome.instance, 0.0
    for j, end in outcome.ends():
        if end > instance.deadlines[j]:
            late += instance.weights[j]
        if end > instance.promised[j]:
            late += BROKEN_PROMISE * instance.weights[j]
    return late
