"""From nothing to a certified gap: fill, then passes of the descent with averaged prices as the next anchor.

Passes are counted, never timed, and stop at the gap asked for; what is returned as a bound was recomputed in
problem.py from the prices alone.
"""

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from polyhull.optimize.data import Floats
from polyhull.optimize.large.kernel import Descent
from polyhull.optimize.large.problem import LargeProblem

GAP = 0.01
MOST_PASSES = 400
_FILL = 0.1
"""Softness of the first placement, as a part of the bound that even prices give."""
_SOFT = 0.2
"""Softness of the passes, as a part of the largest load …"""
_SOFTER, _EVERY, _HARDEST = 0.7, 12, 0.02
"""… times the first after every so many rounds, down to the last: what remains is mostly the upper end's ripple."""
_LEAST_ANCHOR = 1e-9
_BETTER, _PATIENCE, _MOST_INNER = 1.001, 6, 32
"""What counts as progress of either end, rounds without any that are borne, and passes of a round at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """`lower` <= least possible largest load <= `upper`; `shares` reach `upper`, `prices` (per unit of room) prove
    `lower` (with others' holdings `lower` is only what the kernel says)."""

    lower: float
    upper: float
    prices: Floats
    shares: Floats
    passes: int

    @property
    def gap(self) -> float:
        return self.upper / self.lower - 1.0 if self.lower > 0.0 else math.inf


def even_prices(problem: LargeProblem) -> Floats:
    """Unit prices before anything is known: a device is as dear as any other, a link's time as any other link's."""
    rows, links = problem.room[: problem.rows], problem.room[problem.rows :]
    return np.concatenate([np.full(len(rows), 0.8 / rows.sum()), 0.2 / max(1, len(links)) / links])


def solve(
    problem: LargeProblem,
    library: ctypes.CDLL,
    gap: float = GAP,
    prices: Floats | None = None,
    most_passes: int = MOST_PASSES,
    held: Callable[[Floats], Floats] | None = None,
) -> Answer:
    """The least largest load of `problem` to a certified `gap`, or as near as `most_passes` passes come.

    `prices`: unit prices of a similar problem to start from. `held`: what others hold of every room at given prices
    (their answer is averaged; bounds then count it on both sides). Deterministic in its arguments.
    """
    descent = Descent(problem, library)
    start = even_prices(problem) if prices is None else prices
    return improve(descent, gap, fill(descent, start, held), most_passes, held)


def fill(descent: Descent, prices: Floats, held: Callable[[Floats], Floats] | None = None) -> Floats:
    """Every class on some column, near what `prices` ask for; the prices scaled to offer 1 for all room."""
    if held is not None:
        descent.held[:] = held(prices)
    prices = prices / float((prices * descent.problem.room).sum())
    descent.fill(prices, max(descent.value(prices), 1e-12) * _FILL)
    return prices


def improve(
    descent: Descent,
    gap: float,
    prices: Floats,
    most_passes: int = MOST_PASSES,
    held: Callable[[Floats], Floats] | None = None,
) -> Answer:
    """Passes over what `descent` holds until the gap is small enough. `prices` offer 1 for all room."""
    problem = descent.problem

    def bound(prices: Floats) -> float:
        busy = float((prices * problem.room * held(prices)).sum()) if held is not None else 0.0
        return descent.value(prices) + busy

    lower, best = bound(prices), prices
    upper = least = float(descent.load.max())
    passes, rounds, stale, inner, softness = 0, 0, 0, 1, _SOFT
    while passes < most_passes and upper > lower * (1.0 + gap * 0.999):
        before = max(1, inner // 2)
        descent.descend(before, softness * upper)  # loads answer the new anchor before prices are averaged
        mean = descent.descend(inner, softness * upper)
        passes, rounds = passes + before + inner, rounds + 1
        upper, value = float(descent.load.max()), bound(mean)
        stale = 0 if value > lower * _BETTER or upper * _BETTER < least else stale + 1
        least = min(least, upper)
        if value > lower:
            lower, best = value, mean
        if held is not None:
            descent.held[:] += (held(mean) - descent.held) * max(0.05, 2.0 / (2.0 + passes))
        _follow(descent, mean)
        if stale >= _PATIENCE:
            # Few classes answer in leaps: from the best prices again, and more passes before they are believed.
            descent.anchor[:] = np.maximum(best * problem.room, _LEAST_ANCHOR)
            stale, inner = 0, min(2 * inner, _MOST_INNER)
        if rounds % _EVERY == 0:
            softness = max(softness * _SOFTER, _HARDEST)
    proved = problem.load_at_least(best) if held is None else lower
    return Answer(proved, upper, best, descent.share.copy(), passes)


def _follow(descent: Descent, mean: Floats) -> None:
    """Anchors go a quarter of the way, in logarithms, to the mean prices; square roots are exact on every machine."""
    root = np.sqrt(descent.anchor)
    quarter = np.sqrt(np.sqrt(np.maximum(mean * descent.problem.room, _LEAST_ANCHOR)))
    descent.anchor[:] = np.maximum(root * np.sqrt(root) * quarter, _LEAST_ANCHOR)
