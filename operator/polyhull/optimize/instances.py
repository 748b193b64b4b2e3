"""Which accelerators, and how many, answer a load at least cost: exact, or with a gap that is proven.

A load is cut into buckets (requests of like size, or a service's demand at an origin); load[i, g] is how many
replicas of kind g the whole of bucket i keeps busy within its latency objective (rate over the greatest throughput
that holds it; for a queue, `erlang.replicas_per_request` times the rate), inf where kind g cannot serve it.

    min sum_g price_g n_g    s.t.  sum_g x[i,g] = 1,   sum_i load[i,g] x[i,g] <= n_g <= most_g,   usage n <= available

with n whole and x >= 0: a bucket may be split at will. Melange (Griggs et al. 2024) cuts every bucket into a fixed
number of slices and makes each slice's choice binary, so its answers are among these for every number of slices.

Only n branches (best bound first). A node's bound is recomputed from the prices of its linear programme: for
lambda_g >= 0 (the price of a replica's time) and mu >= 0 (of `available`), with c_g = price_g + (mu·usage)_g,
sum_i min_g lambda_g load[i,g] + sum_g min over n_g in its range of (c_g - lambda_g) n_g - mu·available.
"""

import heapq
import math
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np

from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.fairness import Entries, compressed
from polyhull.optimize.highs import loaded

WHOLE = 1e-7
"""A count this near a whole number is that number: the solver's tolerance."""
SAME = 1e-9
"""A node whose bound comes this near the best answer cannot be better than it."""
ITERATIONS = 200_000
_UNIT = 2.0**-52


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """`counts` [kind], `share` [bucket, kind] of each bucket's load, cost and its proven lower bound (same unit).

    `status`: `Optimal` (cost and bound agree), `Steps` (the budget of nodes ended first), `Infeasible` (the limits do
    not hold the load; counts are 0), or the solver's word. `nodes` counts linear programmes.
    """

    status: str
    counts: Ints
    share: Floats
    cost: float
    bound: float
    nodes: int


def least_cost(
    load: Floats,
    price: Floats,
    most: Floats | None = None,
    usage: Floats | None = None,
    available: Floats | None = None,
    steps: int = 2_000,
) -> Instances:
    """The cheapest whole counts that carry `load` [bucket, kind]; `usage` [resource, kind] limited by `available`.

    Prices are >= 0, in any unit per replica and hour. `steps` linear programmes at most; the first gives an answer
    by rounding up, so the budget decides how good it is and how much is proven, not whether there is one.
    """
    kinds = len(price)
    limits = np.full(kinds, np.inf) if most is None else np.floor(most.astype(np.float64))
    rows = np.zeros((0, kinds)) if usage is None or available is None else usage.astype(np.float64)
    room = np.zeros(0) if usage is None or available is None else available.astype(np.float64)
    search = _Search(load.astype(np.float64), price.astype(np.float64), limits, rows, room)
    return search.run(steps)


class _Search:
    """Branch and bound on the counts; one linear programme stays in the solver, its counts' ranges change."""

    def __init__(self, load: Floats, price: Floats, limits: Floats, usage: Floats, available: Floats) -> None:
        self.load, self.price, self.usage, self.available = load, price, usage, available
        self.able = np.isfinite(load)
        self.buckets, self.kinds = load.shape
        self.best: tuple[float, Ints, Floats] | None = None
        # Nobody needs more of a kind than carries everything.
        alone = np.ceil(np.where(self.able, load, 0.0).sum(axis=0) * (1.0 + SAME))
        self.top = np.minimum(limits, alone)
        self.nodes = 0
        self.solver: Any = self._load()

    def _load(self) -> Any:
        """x[i, g] by bucket, then n; rows: buckets, kinds, resources."""
        B, G, R = self.buckets, self.kinds, len(self.available)
        x = np.arange(B * G).reshape(B, G)
        at = np.flatnonzero(self.able.ravel())
        work = np.where(self.able, self.load, 0.0).ravel()[at]
        resource, kind = np.nonzero(self.usage)
        # Each resource row is divided by what there is, so numbers are O(1).
        scale = np.where(self.available > 0.0, self.available, 1.0)
        entries = Entries(
            np.concatenate([at // G, B + at % G, B + np.arange(G), B + G + resource]),
            np.concatenate([x.ravel()[at], x.ravel()[at], B * G + np.arange(G), B * G + kind]),
            np.concatenate([np.ones(len(at)), work, -np.ones(G), self.usage[resource, kind] / scale[resource]]),
        )
        inf = highspy.kHighsInf
        lower = np.concatenate([np.ones(B), np.full(G + R, -inf)])
        upper = np.concatenate([np.ones(B), np.zeros(G), self.available / scale])
        tops = np.concatenate([np.where(self.able, 1.0, 0.0).ravel(), np.minimum(self.top, inf)])
        costs = np.concatenate([np.zeros(B * G), self.price])
        return loaded(costs, tops, compressed(entries, B + G + R, B * G + G), lower, upper, ITERATIONS)

    def run(self, steps: int) -> Instances:
        if self.solver is None:
            return self._answer("Refused", -math.inf)
        heap: list[tuple[float, int, Floats, Floats]] = [(0.0, 0, np.zeros(self.kinds), self.top)]
        status = "Optimal"
        made = 1
        closed = math.inf
        while heap:
            bound, _, low, high = heapq.heappop(heap)
            if self.best is not None and bound >= self.best[0] * (1.0 - SAME):
                closed = min(closed, bound)
                continue
            if self.nodes >= steps:
                heapq.heappush(heap, (bound, 0, low, high))
                status = "Steps"
                break
            node, counts = self._relax(low, high)
            if counts is None:
                if node != "Infeasible":
                    return self._answer(node, min(bound, *(one[0] for one in heap), closed))
                continue
            bound = max(bound, self._bound(low, high))
            fraction = counts - np.floor(counts + WHOLE)
            fraction[fraction < WHOLE] = 0.0
            if not fraction.any() or (self.best is not None and bound >= self.best[0] * (1.0 - SAME)):
                closed = min(closed, bound)
                continue
            at = int(np.argmax(np.minimum(fraction, 1.0 - fraction) * self.price + fraction * SAME))
            below, above = high.copy(), low.copy()
            below[at], above[at] = math.floor(counts[at]), math.floor(counts[at]) + 1.0
            heapq.heappush(heap, (bound, made, low, below))
            heapq.heappush(heap, (bound, made + 1, above, high))
            made += 2
        if self.best is None:
            return self._answer("Infeasible" if status == "Optimal" else status, 0.0)
        open_bound = min((one[0] for one in heap), default=math.inf)
        return self._answer(status, min(self.best[0], closed, open_bound))

    def _relax(self, low: Floats, high: Floats) -> tuple[str, Floats | None]:
        """(status, counts) of the linear programme over one range; a better answer by rounding up is kept."""
        self.nodes += 1
        first, G = self.buckets * self.kinds, self.kinds
        self.solver.changeColsBounds(G, np.arange(first, first + G, dtype=np.int32), low, high)
        self.solver.run()
        status = str(self.solver.modelStatusToString(self.solver.getModelStatus()))
        if status != "Optimal":
            return status, None
        solution = self.solver.getSolution()
        found = np.array(solution.col_value)
        self.prices = np.array(solution.row_dual)
        share = np.clip(found[:first], 0.0, 1.0).reshape(self.load.shape)
        share = share / share.sum(axis=1, keepdims=True)
        busy = (np.where(self.able, self.load, 0.0) * share).sum(axis=0)
        counts = np.maximum(np.ceil(busy - WHOLE), 0.0)
        fits = np.all(counts <= self.top) and np.all(self.usage @ counts <= self.available * (1.0 + SAME))
        cost = math.fsum((self.price * counts).tolist())
        if fits and (self.best is None or cost < self.best[0]):
            self.best = (cost, counts.astype(np.int64), share)
        return status, found[first:]

    def _bound(self, low: Floats, high: Floats) -> float:
        """What the prices prove about every whole count in the range, rounded towards the weaker claim."""
        B, G = self.buckets, self.kinds
        mu = np.maximum(-self.prices[B + G :], 0.0) / np.where(self.available > 0.0, self.available, 1.0)
        paid = self.price + mu @ self.usage
        worth = np.maximum(-self.prices[B : B + G], 0.0)
        per_bucket = np.where(self.able, worth * np.where(self.able, self.load, 0.0), np.inf).min(axis=1)
        left = paid - worth
        ranged = np.minimum(left * low, left * high)
        terms = [*per_bucket.tolist(), *ranged.tolist(), *(-mu * self.available).tolist()]
        slack = math.fsum(np.abs(paid * high).tolist()) + math.fsum(abs(term) for term in terms)
        return math.fsum(terms) - (16.0 + len(mu)) * _UNIT * slack

    def _answer(self, status: str, bound: float) -> Instances:
        empty = (math.inf, np.zeros(self.kinds, dtype=np.int64), np.zeros(self.load.shape))
        cost, counts, share = self.best if self.best is not None else empty
        return Instances(status, counts, share, cost, max(0.0, bound), self.nodes)
