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

import numpy as np

from polyhull.optimize.count_relaxation import Relaxation, relaxation
from polyhull.optimize.data import Floats, Ints

WHOLE = 1e-7
"""A count this near a whole number is that number: the solver's tolerance."""
SAME = 1e-9
"""A node whose bound comes this near the best answer cannot be better than it."""
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
        self.load, self.price = load, price
        able = np.isfinite(load)
        self.work = np.where(able, load, 0.0)
        self.served = bool(able.any(axis=1).all())
        # Nobody needs more of a kind than carries everything; what that much cannot exhaust is no limit.
        self.top = np.minimum(limits, np.ceil(self.work.sum(axis=0) * (1.0 + SAME)))
        binds = usage @ self.top > available
        self.usage, self.available = usage[binds], available[binds]
        self.best: tuple[float, Ints, Floats] | None = None
        self.nodes = 0
        self.relaxation = relaxation(load, price, self.usage, self.available) if self.served else None

    def run(self, steps: int) -> Instances:
        if not self.served:
            return self._answer("Infeasible", 0.0)
        if (solver := self.relaxation) is None:
            return self._answer("Refused", -math.inf)
        heap: list[tuple[float, int, Floats, Floats]] = [(0.0, 0, np.zeros(len(self.price)), self.top)]
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
            node, counts = self._relax(solver, low, high)
            if counts is None:
                if node != "Infeasible":
                    return self._answer(node, min(bound, *(one[0] for one in heap), closed))
                continue
            bound = max(bound, self._bound(solver.prices, low, high))
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

    def _relax(self, solver: Relaxation, low: Floats, high: Floats) -> tuple[str, Floats | None]:
        """(status, counts) of the linear programme over one range; a better answer by rounding up is kept."""
        self.nodes += 1
        status = solver.solve(low, high)
        if status != "Optimal":
            return status, None
        share = np.maximum(solver.share, 0.0)
        share /= share.sum(axis=1, keepdims=True)
        counts = np.maximum(np.ceil((self.work * share).sum(axis=0) - WHOLE), 0.0)
        cost = math.fsum((self.price * counts).tolist())
        if (self.best is None or cost < self.best[0]) and self._fits(counts):
            self.best = (cost, counts.astype(np.int64), share)
        return status, solver.count

    def _fits(self, counts: Floats) -> bool:
        return bool((counts <= self.top).all() and (self.usage @ counts <= self.available * (1.0 + SAME)).all())

    def _bound(self, prices: Floats, low: Floats, high: Floats) -> float:
        """What the prices prove about every whole count in the range, rounded towards the weaker claim."""
        worth, mu = np.split(np.maximum(prices, 0.0), [len(self.price)])
        paid = self.price + mu @ self.usage
        per_bucket = np.where(np.isfinite(self.load), worth * self.work, np.inf).min(axis=1)
        left = paid - worth
        ranged = np.minimum(left * low, left * high)
        terms = np.concatenate([per_bucket, ranged, -mu * self.available])
        slack = float((paid * high).sum() + np.abs(terms).sum()) * (1.0 + SAME)
        return math.fsum(terms.tolist()) - (16.0 + len(mu)) * _UNIT * slack

    def _answer(self, status: str, bound: float) -> Instances:
        empty = (math.inf, np.zeros(len(self.price), dtype=np.int64), np.zeros(self.load.shape))
        cost, counts, share = self.best if self.best is not None else empty
        return Instances(status, counts, share, cost, max(0.0, bound), self.nodes)
