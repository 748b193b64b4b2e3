"""The interval-indexed programme: weighted completion with heads and deadlines (docs/model.md, "When jobs end").

Time is cut at tau_1 < tau_2 < ..., each at most sqrt 2 times the one before, the last one open. Y[j,g,l] is how many
jobs of class j end by column g inside (tau_{l-1}, tau_l]; such an end counts as max(tau_{l-1}, finish_g), which is
never more than it is. What has ended by tau_l has held its devices before tau_l, and its bytes came `length` before.
It gives a bound of the weighted mean finish, prices of device time by instant, and an order to round by.
After Hall, Schulz, Shmoys and Wein (1997), with columns, data and heads.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import fsum, inf, isfinite, sqrt

import numpy as np

from polyhull.domain.workloads import Key
from polyhull.optimize.data import Floats, Ints, ModelData
from polyhull.optimize.highs import run_linear

RATIO = sqrt(2.0)
"""The coarsest grid; as many points are put in between as `VARIABLES` allows."""
MOST_INTERVALS = 48
VARIABLES = 24_000
FIRST_COLUMNS = 6
"""So many of a class's columns are in the first programme; the prices then fetch others that pay."""
ROUNDS = 2
ITERATIONS = 60_000
_OCTAVES = 8.0
"""The first point is at least horizon / 2^8: what ends earlier counts by its own earliest end."""
_ROUNDING = 1e-11
"""Relative error that sums of products may carry, generously."""

_Drawn = tuple[Ints, Floats, Floats, Floats, int]
"""Of one resource: pairs, amounts, shifts, capacity by instant, pool."""


@dataclass(frozen=True, slots=True, eq=False)
class Jobs:
    """Classes of jobs that differ in nothing, weight and deadline included."""

    keys: tuple[tuple[Key, ...], ...]
    model_class: Ints
    """[class] index in `ModelData.jobs`."""
    weight: Floats
    deadline: Floats
    """[class] seconds from now; inf without one, or for a job that is late anyway."""

    @property
    def count(self) -> Floats:
        return np.array([len(members) for members in self.keys], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Answer:
    """`bound_seconds`: no schedule has a smaller weighted mean finish. Completions and columns by job."""

    bound_seconds: float
    completion: Mapping[Key, float]
    column: Mapping[Key, int]
    """Index in `ModelData.columns` of the column with the largest share."""
    instants: tuple[float, ...]
    pool_prices: Mapping[str, tuple[float, ...]]
    """[pool] weighted seconds that one more device-second before each instant would save."""
    status: str
    steps: int


def jobs_of(data: ModelData, weights: Mapping[Key, float], deadlines: Mapping[Key, float]) -> Jobs:
    """Classes of `data`, split where weights or deadlines differ. Jobs that are late anyway have deadline inf."""
    groups: dict[tuple[int, float, float], list[Key]] = {}
    for j, members in enumerate(data.jobs):
        for key in members:
            groups.setdefault((j, weights.get(key, 1.0), deadlines.get(key, inf)), []).append(key)
    order = sorted(groups)
    return Jobs(
        tuple(tuple(groups[one]) for one in order),
        np.array([one[0] for one in order], dtype=np.int64),
        np.array([one[1] for one in order], dtype=np.float64),
        np.array([one[2] for one in order], dtype=np.float64),
    )


def instants(data: ModelData, jobs: Jobs, horizon: float) -> Floats:
    """tau_1 ... tau_L, the last infinite: as fine as the size affords, never coarser than `RATIO`."""
    soonest = float(data.finish.min()) if len(data.finish) else horizon
    first = max(min(soonest, horizon), horizon / 2.0**_OCTAVES, 1e-6)
    least = max(1, int(np.ceil(np.log(max(horizon / first, 1.0)) / np.log(RATIO))))
    afford = int(VARIABLES / max(1, len(jobs.keys) * FIRST_COLUMNS))
    steps = max(least, min(MOST_INTERVALS, afford))
    inner = first * (max(horizon / first, 1.0) ** (np.arange(steps + 1) / steps))
    own = [float(d) for d in np.unique(jobs.deadline) if first < d < horizon][:MOST_INTERVALS]
    return np.append(np.unique(np.concatenate([inner, own])), inf)


def weighted_completion(
    data: ModelData,
    weights: Mapping[Key, float],
    deadlines: Mapping[Key, float],
    horizon: float,
    rounds: int = ROUNDS,
) -> Answer | None:
    """The bound of sum w C / sum w over every schedule of class Pi that meets `deadlines`; None for no jobs.

    `horizon`: about where the last job ends; only the grid depends on it, never the bound's validity.
    """
    if not len(data.columns) or not isfinite(horizon):
        return None
    jobs = jobs_of(data, weights, deadlines)
    model = _Model(data, jobs, instants(data, jobs, max(horizon, 1e-6)))
    chosen = model.first_pairs()
    best, kept, shares, steps = -inf, None, None, 0
    for _ in range(rounds):
        status, found, prices = model.solve(chosen)
        steps += 1
        if found is None or prices is None:
            break
        bound, cheapest = model.certificate(prices)
        shares, used = found, chosen
        if bound > best:
            best, kept = bound, prices
        chosen = np.union1d(chosen, cheapest)
        if len(chosen) == len(used):
            break
    if shares is None or kept is None:
        return None
    completion, column = model.rounded(used, shares)
    total = float((jobs.weight * jobs.count).sum())
    tau = tuple(model.tau[:-1].tolist())
    return Answer(max(0.0, best / total), completion, column, tau, model.pool_prices(kept), status, steps)


@dataclass(frozen=True, slots=True, eq=False)
class _Uses:
    """What pairs draw on resources r (devices of a pool, bytes into or out of a site), as parallel arrays."""

    pair: Ints
    resource: Ints
    amount: Floats
    shift: Floats
    """Seconds before its end at which it must have drawn: 0 for devices, its length for bytes."""
    capacity: Floats
    """[resource, instant] what is there until tau_l; the open last interval has no row."""
    pool: Ints
    """[resource] the pool whose devices these are, -1 for anything else."""


class _Model:
    """Pairs of class and column, and the rows they are in. Rows are cumulative in time and scaled to 1."""

    def __init__(self, data: ModelData, jobs: Jobs, tau: Floats) -> None:
        self.data, self.jobs, self.tau = data, jobs, tau
        self.L = len(tau)
        by_class: list[list[int]] = [[] for _ in data.jobs]
        for g, j in enumerate(data.job_class.tolist()):
            by_class[j].append(g)
        self.job = np.array([s for s, j in enumerate(jobs.model_class.tolist()) for _ in by_class[j]], dtype=np.int64)
        self.column = np.array([g for j in jobs.model_class.tolist() for g in by_class[j]], dtype=np.int64)
        self.finish = data.finish[self.column]
        self.length = data.length[self.column]
        self.first = np.searchsorted(tau, self.finish, side="left")
        """[pair] the first interval it can end in."""
        deadline = jobs.deadline[self.job]
        hopeless = np.minimum.reduceat(self.finish, self._starts())[self.job] > deadline
        last = np.where(np.isinf(deadline) | hopeless, self.L - 1, np.searchsorted(tau, deadline, side="left"))
        self.last = np.where(~hopeless & (self.finish > deadline), -1, np.minimum(last, self.L - 1))
        """[pair] the last interval it may end in; -1 for a column that would be late."""
        self.starts = np.concatenate([[0.0], tau[:-1]])
        self.uses = self._uses()

    def _starts(self) -> Ints:
        return np.flatnonzero(np.concatenate([[True], self.job[1:] != self.job[:-1]]))

    def first_pairs(self) -> Ints:
        """Of each class the columns that end first and the one that costs least device time."""
        work = self.data.replicas[self.column] * self.data.pods[self.column, 0] * self.length
        usable = self.last >= self.first
        chosen = []
        for key in (self.finish, work):
            order = np.lexsort((key, ~usable, self.job))
            rank = np.arange(len(order)) - np.searchsorted(self.job[order], self.job[order])
            chosen.append(order[rank < (FIRST_COLUMNS if key is self.finish else 1)])
        return np.unique(np.concatenate(chosen))

    # -- rows

    def _uses(self) -> _Uses:
        found = [*self._devices(), *self._bytes()]
        none = np.zeros(0)
        return _Uses(
            np.concatenate([none, *(one[0] for one in found)]).astype(np.int64),
            np.repeat(np.arange(len(found)), [len(one[0]) for one in found]),
            np.concatenate([none, *(one[1] for one in found)]),
            np.concatenate([none, *(one[2] for one in found)]),
            np.array([one[3] for one in found], dtype=np.float64).reshape(len(found), self.L - 1),
            np.array([one[4] for one in found], dtype=np.int64),
        )

    def _devices(self) -> Iterator[_Drawn]:
        """Device time until tau_l, and cpu, memory ... where they can run out before devices do."""
        data, tau = self.data, self.tau[:-1]
        for p, pool in enumerate(data.pools):
            mine = np.flatnonzero(data.pool[self.column] == p)
            if not len(mine):
                continue
            offered = np.maximum(pool.capacity + pool.growth_nodes * pool.growth_shape, 1e-9)
            pods = data.pods[self.column[mine]]
            for d in range(pods.shape[1]):
                if d and bool(np.all(pods[:, d] / offered[d] <= pods[:, 0] / offered[0] + 1e-12)):
                    continue
                added = pool.growth_nodes * pool.growth_shape[d]
                grown = added * np.maximum(0.0, tau - pool.growth_seconds) if added > 0.0 else 0.0
                held = pool.fixed_pods[:, d] @ np.minimum(pool.fixed_seconds[:, None], tau[None, :])
                # The last instant is infinite, and a pool may have no node yet.
                there = pool.capacity[d] * tau if pool.capacity[d] > 0.0 else 0.0
                capacity = np.maximum(0.0, there + grown - held)
                amounts = data.replicas[self.column[mine]] * pods[:, d] * self.length[mine]
                yield mine, amounts, np.zeros(len(mine)), capacity, -1 if d else p

    def _bytes(self) -> Iterator[_Drawn]:
        """Bytes that enter a site, and bytes that leave the only source, by `length` before the end.

        A data set of several readers is counted by its mean reader: never more than the one copy that is moved.
        """
        data, count = self.data, self.jobs.count
        into: dict[str, float] = {}
        out_of: dict[str, float] = {}
        for e, (source, target) in enumerate(zip(data.link_source, data.link_target, strict=True)):
            if source != target:
                into[target] = into.get(target, 0.0) + float(data.bandwidth[e])
                out_of[source] = out_of.get(source, 0.0) + float(data.bandwidth[e])
        part = [
            one.size_bytes / (1.0 if one.private else float(count[np.isin(self.jobs.model_class, one.readers)].sum()))
            for one in data.data_sets
        ]
        entering: dict[str, list[tuple[int, float]]] = {}
        leaving: dict[str, list[tuple[int, float]]] = {}
        for pair, g in enumerate(self.column.tolist()):
            for k in data.column_data[g]:
                entering.setdefault(data.column_site[g], []).append((pair, part[k]))
                if len(data.data_sets[k].sources) == 1:
                    leaving.setdefault(min(data.data_sets[k].sources), []).append((pair, part[k]))
        for uses, rates in ((entering, into), (leaving, out_of)):
            for site in sorted(uses):
                pairs = np.array([pair for pair, _ in uses[site]], dtype=np.int64)
                amounts = np.array([size for _, size in uses[site]])
                if rates.get(site, 0.0) > 0.0:
                    yield pairs, amounts, self.length[pairs], rates[site] * self.tau[:-1], -1

    # -- the programme

    def variables(self, chosen: Ints) -> tuple[Ints, Ints]:
        """(pair, interval) of every variable, grouped by pair."""
        owner, offset = expand(np.maximum(0, self.last[chosen] - self.first[chosen] + 1))
        return chosen[owner], self.first[chosen][owner] + offset

    def costs(self, pair: Ints, at: Ints) -> Floats:
        """What one job counts that ends by `pair` in interval `at`: never more than its weighted finish."""
        counted: Floats = self.jobs.weight[self.job[pair]] * np.maximum(self.starts[at], self.finish[pair])
        return counted

    def entries(self, pair: Ints, at: Ints) -> tuple[Ints, Ints, Ints, Floats]:
        """(variable, resource, first instant by which it has drawn for certain, amount) of variables by pair."""
        order = np.argsort(self.uses.pair, kind="stable")
        low = np.searchsorted(self.uses.pair[order], pair, side="left")
        high = np.searchsorted(self.uses.pair[order], pair, side="right")
        variable, offset = expand(high - low)
        use = order[low[variable] + offset]
        ends = np.minimum(self.tau[at[variable]], self.tau[-2] * 4.0 if self.L > 1 else inf)
        drawn = np.searchsorted(self.tau, np.maximum(0.0, ends - self.uses.shift[use]), side="left")
        begin = np.where(self.uses.shift[use] > 0.0, np.minimum(drawn, at[variable]), at[variable])
        return variable, self.uses.resource[use], begin, self.uses.amount[use]

    def solve(self, chosen: Ints) -> tuple[str, Floats | None, Floats | None]:
        """(status, jobs by variable of `variables`, prices by resource and instant)."""
        pair, at = self.variables(chosen)
        variable, resource, begin, amount = self.entries(pair, at)
        points, m = self.L - 1, len(self.jobs.keys)
        inside = begin < points
        variable, resource, begin, amount = variable[inside], resource[inside], begin[inside], amount[inside]
        capacity = self.uses.capacity
        scale = np.maximum(capacity.max(axis=1, initial=0.0), 1e-12)
        # What resource r has given until tau_l is a variable of its own, so that a use is one entry, not one a row.
        given = np.arange(capacity.size).reshape(capacity.shape)
        into, out = given.reshape(-1), given[:, 1:].reshape(-1)
        rows = np.concatenate([self.job[pair], m + given[resource, begin], m + into, m + out])
        cols = np.concatenate(
            [np.arange(len(pair)), variable, len(pair) + into, len(pair) + given[:, :-1].reshape(-1)]
        )
        values = np.concatenate(
            [np.ones(len(pair)), amount / scale[resource], np.full(len(into), -1.0), np.ones(len(out))]
        )
        order = np.argsort(cols * (m + capacity.size) + rows, kind="stable")
        rows, cols, values = merged(rows[order], cols[order], values[order])
        costs = self.costs(pair, at)
        unit = max(float(costs.max(initial=0.0)), 1e-12)
        size = len(pair) + capacity.size
        found, duals, status, _ = run_linear(
            np.concatenate([costs / unit, np.zeros(capacity.size)]),
            np.concatenate([np.full(len(pair), inf), (capacity / scale[:, None]).reshape(-1)]),
            (np.searchsorted(cols, np.arange(size + 1)), rows, values),
            np.concatenate([self.jobs.count, np.full(capacity.size, -inf)]),
            np.concatenate([self.jobs.count, np.zeros(capacity.size)]),
            ITERATIONS,
        )
        if found is None or duals is None or not np.all(np.isfinite(duals)):
            return status, None, None
        later = np.maximum(0.0, -duals[m:]).reshape(capacity.shape) / scale[:, None] * unit
        prices = np.maximum(0.0, later - np.concatenate([later[:, 1:], np.zeros((len(later), 1))], axis=1))
        return status, found[: len(pair)], prices

    def certificate(self, prices: Floats) -> tuple[float, Ints]:
        """(what these prices prove over all columns, the pair of each class that is cheapest at them).

        Weak duality: sum w C >= sum_j m_j min_(g,l) (cost + its use at the prices) - sum prices * capacity, for any
        prices >= 0; each sum is rounded towards the weaker claim.
        """
        pair, at = self.variables(np.arange(len(self.job)))
        later = np.concatenate([np.cumsum(prices[:, ::-1], axis=1)[:, ::-1], np.zeros((len(prices), 1))], axis=1)
        variable, resource, begin, amount = self.entries(pair, at)
        terms = amount * later[resource, begin]
        paid = np.bincount(variable, terms, minlength=len(pair))
        cost = self.costs(pair, at)
        reduced = (cost + paid) * (1.0 - _ROUNDING)
        cheapest = np.full(len(self.jobs.keys), inf)
        np.minimum.at(cheapest, self.job[pair], reduced)
        order = np.lexsort((reduced, self.job[pair]))
        heads = order[np.concatenate([[True], self.job[pair[order]][1:] != self.job[pair[order]][:-1]])]
        capacity = (prices * self.uses.capacity).reshape(-1).tolist()
        earned = fsum((self.jobs.count * cheapest).tolist())
        return earned * (1.0 - _ROUNDING) - fsum(capacity) * (1.0 + _ROUNDING), np.unique(pair[heads])

    # -- what it tells

    def rounded(self, chosen: Ints, shares: Floats) -> tuple[dict[Key, float], dict[Key, int]]:
        """Each class's mean finish and the column that runs most of it."""
        pair, at = self.variables(chosen)
        m = len(self.jobs.keys)
        ends = np.maximum(self.starts[at], self.finish[pair])
        mean = np.bincount(self.job[pair], shares * ends, minlength=m) / self.jobs.count
        by_pair = np.bincount(pair, shares, minlength=len(self.job))
        completion: dict[Key, float] = {}
        column: dict[Key, int] = {}
        for s, low in enumerate(self._starts().tolist()):
            high = low + int(np.sum(self.job == s))
            best = low + int(np.argmax(by_pair[low:high]))
            for key in self.jobs.keys[s]:
                completion[key], column[key] = float(mean[s]), int(self.column[best])
        return completion, column

    def pool_prices(self, prices: Floats) -> dict[str, tuple[float, ...]]:
        """Device time by instant: what one device-second that must come before it is worth."""
        return {
            self.data.pools[p].name: tuple(prices[r].tolist())
            for r, p in enumerate(self.uses.pool.tolist())
            if p >= 0
        }


def expand(counts: Ints) -> tuple[Ints, Ints]:
    """(owner, offset) of `counts[i]` things of each i."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def merged(rows: Ints, cols: Ints, values: Floats) -> tuple[Ints, Ints, Floats]:
    """Sorted entries with those of one place added up: HiGHS takes none twice."""
    first = np.ones(len(rows), dtype=np.bool_)
    first[1:] = (rows[1:] != rows[:-1]) | (cols[1:] != cols[:-1])
    if first.all():
        return rows, cols, values
    return rows[first], cols[first], np.add.reduceat(values, np.flatnonzero(first))
