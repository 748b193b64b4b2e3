"""Durations are estimates: the same 32 scenarios for every plan, p50 and p90, and the order that bears them best.

A rate that was measured is off by about 5 %, one from a data sheet by 40 %, one that was learnt by what its runs told
(log-normal).
Each job has its own 32 factors, the quantiles of its distribution in a shuffled order that only its content and the
seed decide. In a scenario the order stays: a job takes the devices that the plan gave it when those before it are
through with them, and its data when that was planned to be there.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import exp, inf
from statistics import NormalDist
from zlib import crc32

import numpy as np

from polyhull.domain.decision import Decision
from polyhull.domain.fleet import Evidence
from polyhull.domain.workloads import TrainingJob
from polyhull.optimize.columns import Column
from polyhull.optimize.data import Floats, Ints
from polyhull.planning.dice import Dice
from polyhull.planning.instance import Choice, Instance
from polyhull.planning.objectives import WEIGHTED_COMPLETION
from polyhull.planning.packing import free_devices
from polyhull.planning.runner import runner
from polyhull.planning.schedule import Schedule, Slot

SCENARIOS = 32
SIGMA = {Evidence.MEASURED: 0.05, Evidence.LEARNT: 0.1}
"""Of the logarithm of a duration; anything else is from a data sheet."""
DATA_SHEET_SIGMA = 0.4
TAIL = 0.1
"""CVaR90: the mean of the worst tenth."""
ORDERS, MANY = 6, 300
"""Orders that are compared; beyond so many jobs one is, since each costs a simulation."""
_SEED = 0x5EED
_QUANTILES = tuple(NormalDist().inv_cdf((k + 0.5) / SCENARIOS) for k in range(SCENARIOS))


_SEVERAL = -1
"""The pool of a job that is in more than one."""


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """Placed jobs by start, equal ones as they were placed: job of the instance, its start, its pool."""

    jobs: Ints
    starts: Floats
    pools: Ints

    @staticmethod
    def of(instance: Instance, schedule: Schedule) -> "_Order":
        place_of = {j: k for k, j in enumerate(schedule.order)}
        placed = [(slot.start, place_of[j], j, slot) for j, slot in enumerate(schedule.slots) if slot is not None]
        placed.sort(key=lambda one: one[:2])
        return _Order(
            np.array([j for _, _, j, _ in placed], dtype=np.int64),
            np.array([start for start, _, _, _ in placed], dtype=np.float64),
            np.array([_pool(instance.choices[j][slot.choice]) for _, _, j, slot in placed], dtype=np.int64),
        )

    def with_job(self, new: int, slot: Slot, choice: Choice) -> "_Order":
        """With a job that is placed last, those from its index on being one further."""
        at = int(np.searchsorted(self.starts, slot.start, side="right"))
        jobs = np.insert(self.jobs + (self.jobs >= new), at, new)
        return _Order(jobs, np.insert(self.starts, at, slot.start), np.insert(self.pools, at, _pool(choice)))

    def beside(self, pool: int) -> list[int]:
        """The jobs that anything in that pool can reach by common nodes."""
        alone = pool != _SEVERAL and not (self.pools == _SEVERAL).any()
        found: list[int] = (self.jobs[self.pools == pool] if alone else self.jobs).tolist()
        return found


def _pool(choice: Choice) -> int:
    return _SEVERAL if choice.others else choice.pool


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Finishes by scenario: [job of the instance, scenario] (inf: not placed), [fixed job, scenario]."""

    ends: Floats
    fixed: Floats
    factors: tuple[Floats, ...]
    """[job of the instance][scenario] of compute time."""
    order: _Order

    def makespan(self) -> Floats:
        """[scenario]"""
        everything = np.concatenate([self.ends, self.fixed])
        placed = everything[np.isfinite(everything).all(axis=1)]
        last: Floats = placed.max(axis=0) if len(placed) else np.zeros(SCENARIOS)
        return last


def sigma(job: TrainingJob, column: Column) -> float:
    """By the column's evidence; a learnt rate knows how much its own runs differed."""
    if column.evidence is Evidence.LEARNT:
        option = next((one for one in job.options if one.name == column.option), None)
        learnt = {one.site: one.spread for one in option.learnt} if option is not None else {}
        if (own := learnt.get(column.site, learnt.get(""))) is not None:
            return own
    return SIGMA.get(column.evidence, DATA_SHEET_SIGMA)


def risk(values: Floats) -> float:
    """Mean plus CVaR90: what it comes to on average, and on its bad days."""
    worst = np.sort(values)[::-1]
    share = TAIL * len(worst)
    full = int(share)
    tail = (worst[:full].sum() + (share - full) * worst[min(full, len(worst) - 1)]) / share
    return float(values.mean() + tail)


def spread(instance: Instance, schedule: Schedule) -> Spread:
    """Every job's finish in every scenario."""
    factors = _factors(instance, schedule)
    running = np.array(
        [fixed.column.length_seconds * one for fixed, one in zip(instance.fixed, factors.fixed, strict=True)]
    ).reshape(-1, SCENARIOS)
    devices = _Devices(instance, running)
    ends = np.full((len(instance.jobs), SCENARIOS), inf)
    order = _Order.of(instance, schedule)
    for j, slot, choice in _placed(instance, schedule, order.jobs.tolist()):
        ends[j] = _finishes(devices, choice, slot, factors.jobs[j])
        devices.take(choice, slot, ends[j])
    return Spread(ends, running, tuple(factors.jobs), order)


def spread_with(
    instance: Instance, schedule: Schedule, known: Spread, new: int, turn: int
) -> tuple[Spread, list[int]]:
    """`known` with job `new`, the `turn`-th of its content, and the jobs whose finishes that changes.

    Only those behind it that share a node with it, or with one that changed, can end otherwise than before.
    """
    slot = schedule.slots[new]
    assert slot is not None
    job, column = instance.jobs[new], instance.choices[new][slot.choice].column
    factor = _factor(content_of(job), turn, sigma(job, column))
    ends = np.insert(known.ends, new, 0.0, axis=0)
    factors = (*known.factors[:new], factor, *known.factors[new:])
    mine = instance.choices[new][slot.choice]
    line = known.order.with_job(new, slot, mine)
    order = list(_placed(instance, schedule, line.beside(_pool(mine))))
    dirty: set[tuple[int, int]] = set()
    changed: list[int] = []
    for j, its, choice in order:
        if j == new or not dirty.isdisjoint(_nodes(choice, its)):
            changed.append(j)
            dirty.update(_nodes(choice, its))
    again, devices = set(changed), _Devices(instance, known.fixed)
    for j, its, choice in order:
        if not dirty.isdisjoint(_nodes(choice, its)):
            if j in again:
                ends[j] = _finishes(devices, choice, its, factors[j])
            devices.take(choice, its, ends[j])
    return Spread(ends, known.fixed, factors, line), changed


def _placed(instance: Instance, schedule: Schedule, jobs: Iterable[int]) -> Iterator[tuple[int, Slot, Choice]]:
    for j in jobs:
        if (slot := schedule.slots[j]) is not None:
            yield j, slot, instance.choices[j][slot.choice]


def _nodes(choice: Choice, slot: Slot) -> list[tuple[int, int]]:
    return [(gang.pool, node) for gang, seats in choice.seats(slot.nodes) for node, _ in seats]


def _finishes(devices: "_Devices", choice: Choice, slot: Slot, factor: Floats) -> Floats:
    """[scenario]"""
    free, nominal = devices.free(choice, slot)
    # What nominally held it up besides devices and data (memory, pods) holds it up as long.
    lag = max(0.0, slot.start - max(slot.ready, nominal))
    start = np.maximum(slot.ready, free) + lag
    found: Floats = start + slot.waits + choice.column.startup_seconds + choice.column.compute_seconds * factor
    return found


def steadiest(instance: Instance, best: Schedule) -> Schedule:
    """Among orders that are as good at every level, the one with the least mean plus CVaR90; `best` in doubt."""
    if sum(slot is not None for slot in best.slots) < 2:
        return best
    run = runner(instance)
    columns = [None if slot is None else slot.choice for slot in best.slots]
    found, least = best, _risk(instance, best)
    for order in _orders(instance, best)[: ORDERS if len(best.slots) <= MANY else 1]:
        candidate = run(order, columns)
        if candidate.slots != best.slots and _as_good(candidate, best):
            value = _risk(instance, candidate)
            if value < least * (1.0 - 1e-6):
                found, least = candidate, value
    return found


def estimated(decision: Decision, instance: Instance, schedule: Schedule) -> Decision:
    """The decision with p50 and p90 of every finish and of the makespan."""
    found = spread(instance, schedule)
    jobs = (*instance.jobs, *(fixed.job for fixed in instance.fixed))
    told = quantiles(np.concatenate([found.ends, found.fixed]))
    of = {job.key: its for job, its in zip(jobs, told, strict=True)}
    assigned = tuple(
        replace(one, end_p50_seconds=(its := of.get(one.job, _UNKNOWN))[0], end_p90_seconds=its[1])
        for one in decision.assignments
    )
    return with_makespan(replace(decision, assignments=assigned), found)


def with_makespan(decision: Decision, found: Spread) -> Decision:
    """The decision with p50 and p90 of the makespan."""
    p50, p90 = np.quantile(found.makespan(), [0.5, 0.9]).tolist()
    return replace(decision, makespan_p50_seconds=p50, makespan_p90_seconds=p90)


_UNKNOWN = (None, None)


def quantiles(ends: Floats) -> list[tuple[float | None, float | None]]:
    """p50 and p90 of every row; None where it is not placed."""
    known = np.isfinite(ends).all(axis=1)
    found: list[tuple[float | None, float | None]] = [_UNKNOWN] * len(ends)
    if known.any():
        rows = np.quantile(ends[known], [0.5, 0.9], axis=1).T.tolist()
        for j, (p50, p90) in zip(np.flatnonzero(known).tolist(), rows, strict=True):
            found[j] = (p50, p90)
    return found


def _as_good(one: Schedule, other: Schedule) -> bool:
    """At every level by itself: an earlier level may have been let go a little for a later one."""
    return all(mine <= its for mine, its in zip(one.objective[:-1], other.objective[:-1], strict=True))


def _risk(instance: Instance, schedule: Schedule) -> float:
    """Of the first level where that is a time, else of the makespan."""
    found = spread(instance, schedule)
    if instance.snapshot.policy.objective[0] != WEIGHTED_COMPLETION.name:
        return risk(found.makespan())
    placed = np.isfinite(found.ends).all(axis=1)
    return risk(np.average(found.ends[placed], axis=0, weights=np.array(instance.weights)[placed]))


def _orders(instance: Instance, best: Schedule) -> list[tuple[int, ...]]:
    """By start; then what is long, what is uncertain, or what ends late earlier by some of its length."""
    at = {j: k for k, j in enumerate(best.order)}
    jobs = [(j, slot) for j, slot in enumerate(best.slots) if slot is not None]
    left_out = [j for j, slot in enumerate(best.slots) if slot is None]
    doubt = {j: _doubt(instance, j, slot) for j, slot in jobs}
    length = {j: slot.end - slot.start for j, slot in jobs}
    last = max(slot.end for _, slot in jobs)
    out = []
    for by_doubt, by_length in ((0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (0.0, 0.1), (1.0, 0.1)):

        def key(one: tuple[int, Slot], a: float = by_doubt, b: float = by_length) -> tuple[float, ...]:
            j, slot = one
            return (-instance.tiers[j], slot.start - a * doubt[j] - b * length[j], at[j])

        out.append((*(j for j, _ in sorted(jobs, key=key)), *left_out))
    # What leaves least room before the end first: a delay there delays everything.
    tails = sorted(jobs, key=lambda one: (-instance.tiers[one[0]], last - one[1].end + one[1].start, at[one[0]]))
    out.append((*(j for j, _ in tails), *left_out))
    return list(dict.fromkeys(out))


def _doubt(instance: Instance, j: int, slot: Slot) -> float:
    column = instance.choices[j][slot.choice].column
    return sigma(instance.jobs[j], column) * column.compute_seconds


@dataclass(frozen=True, slots=True)
class _Factors:
    jobs: list[Floats]
    fixed: list[Floats]


def _factors(instance: Instance, schedule: Schedule) -> _Factors:
    """[scenario] factors of each job's compute time; median 1."""
    seen: dict[int, int] = {}

    def of(job: TrainingJob, column: Column) -> Floats:
        content = content_of(job)
        turn = seen[content] = seen.get(content, 0) + 1
        return _factor(content, turn, sigma(job, column))

    jobs = [
        of(job, instance.choices[j][0 if slot is None else slot.choice].column)
        for j, (job, slot) in enumerate(zip(instance.jobs, schedule.slots, strict=True))
    ]
    return _Factors(jobs, [of(fixed.job, fixed.column) for fixed in instance.fixed])


@lru_cache(maxsize=1 << 14)
def _factor(content: int, turn: int, width: float) -> Floats:
    """[scenario] of the `turn`-th job of a content; read-only, as plans share it."""
    dice = Dice(_SEED + content * 1_000_003 + turn)
    shuffled = list(_QUANTILES)
    for k in range(SCENARIOS - 1, 0, -1):
        other = dice.below(k + 1)
        shuffled[k], shuffled[other] = shuffled[other], shuffled[k]
    found = np.array([exp(width * z) for z in shuffled])
    found.flags.writeable = False
    return found


def content_of(job: TrainingJob) -> int:
    """What a job is, without its name: renaming changes no scenario of jobs that differ."""
    text = f"{job.work_quantity!r} {job.created_at!r} {[(o.accelerator, o.rate_per_second) for o in job.options]!r}"
    return crc32(text.encode())


def _seats(choice: Choice, slot: Slot) -> list[tuple[tuple[int, int], int]]:
    """((pool, node), devices) of a slot."""
    return [
        ((gang.pool, node), pods * gang.devices_per_replica)
        for gang, nodes in choice.seats(slot.nodes)
        for node, pods in nodes
    ]


class _Devices:
    """Per node one entry for each device: when it is free, in the plan and in every scenario. Of the fleet's nodes
    only those that a slot asks about are looked at."""

    def __init__(self, instance: Instance, running: Floats) -> None:
        self._instance, self._running = instance, running
        self._scenarios: dict[tuple[int, int], list[Floats]] = {}
        self._nominal: dict[tuple[int, int], list[float]] = {}
        self._ends = {round(fixed.column.length_seconds, 6): k for k, fixed in enumerate(instance.fixed)}

    def _known(self, key: tuple[int, int]) -> bool:
        """Whether the node is there, its devices as what runs leaves them; false: growth has yet to add it."""
        pool, node = key
        if key in self._nominal:
            return True
        if node >= len(self._instance.base_nodes[pool]):
            return False
        nominal: list[float] = []
        scenarios: list[Floats] = []
        for at, value in zip(*self._instance.base_nodes[pool][node], strict=True):
            more, running = max(0, free_devices(value) - len(nominal)), self._ends.get(round(at, 6))
            nominal += [at] * more
            scenarios += [np.full(SCENARIOS, at) if running is None else self._running[running]] * more
        self._nominal[key], self._scenarios[key] = nominal, scenarios
        return True

    def free(self, choice: Choice, slot: Slot) -> tuple[Floats, float]:
        """When the devices that the slot takes are free: by scenario, and in the plan."""
        scenarios, nominal = np.zeros(SCENARIOS), 0.0
        for key, count in _seats(choice, slot):
            if not self._known(key):
                continue  # a node that growth adds: nobody had it before
            taken = self._taken(key, count)
            nominal = max([nominal, *(self._nominal[key][k] for k in taken)])
            # Devices that were held by the same job are one: their array is the same object.
            for one in {id(self._scenarios[key][k]): self._scenarios[key][k] for k in taken}.values():
                scenarios = np.maximum(scenarios, one)
        return scenarios, nominal

    def take(self, choice: Choice, slot: Slot, ends: Floats) -> None:
        for key, count in _seats(choice, slot):
            if not self._known(key):
                size = free_devices(self._instance.pools[key[0]].shape)
                self._nominal[key], self._scenarios[key] = [0.0] * size, [np.zeros(SCENARIOS)] * size
            for k in self._taken(key, count):
                self._nominal[key][k], self._scenarios[key][k] = slot.end, ends

    def _taken(self, key: tuple[int, int], count: int) -> Sequence[int]:
        """The devices that were free first."""
        nominal = self._nominal[key]
        return sorted(range(len(nominal)), key=lambda k: (nominal[k], k))[:count]
