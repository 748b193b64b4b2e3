"""The linear programme of instances.py, for one range of counts after another: compiled, or HiGHS."""

from typing import Any, Protocol

import highspy
import numpy as np

from polyhull.optimize.data import Floats
from polyhull.optimize.fairness import Entries, compressed
from polyhull.optimize.highs import loaded
from polyhull.optimize.large.counts import MOST_ROWS, CompiledCounts
from polyhull.optimize.large.kernel import library

ITERATIONS = 200_000


class Relaxation(Protocol):
    """min price·n over the rows of instances.py; each `solve` goes on from the basis of the last one."""

    def solve(self, low: Floats, high: Floats) -> str:
        """`Optimal`, `Infeasible` or what else ended it, for low <= n <= high."""

    @property
    def share(self) -> Floats:
        """[bucket, kind]"""

    @property
    def count(self) -> Floats:
        """[kind]"""

    @property
    def prices(self) -> Floats:
        """[kind, then resource] what one more unit is worth; negative by rounding only."""


def relaxation(load: Floats, price: Floats, usage: Floats, available: Floats) -> Relaxation | None:
    """`load` [bucket, kind], inf: cannot, at least one kind can; `usage` [resource, kind] <= `available`.

    Compiled where the kernel is there and the programme is as narrow as it holds; None where HiGHS refuses it.
    """
    kernel = library()
    if kernel is not None and len(price) + len(available) <= MOST_ROWS:
        return CompiledCounts(load, price, usage, available, kernel)
    model = HighsCounts(load, price, usage, available)
    return None if model.solver is None else model


class HighsCounts:
    """One model stays in HiGHS, the ranges of its counts change."""

    def __init__(self, load: Floats, price: Floats, usage: Floats, available: Floats) -> None:
        """Columns: x[i, g] by bucket, then n; rows: buckets, kinds, resources."""
        (B, G), R = load.shape, len(available)
        self.shape, self._found, self._prices = (B, G), np.zeros(B * G + G), np.zeros(B + G + R)
        able = np.isfinite(load).ravel()
        at = np.flatnonzero(able)
        resource, kind = np.nonzero(usage)
        # Each resource row is divided by what there is, so numbers are O(1).
        self.scale = np.where(available > 0.0, available, 1.0)
        entries = Entries(
            np.concatenate([at // G, B + at % G, B + np.arange(G), B + G + resource]),
            np.concatenate([at, at, B * G + np.arange(G), B * G + kind]),
            np.concatenate(
                [np.ones(len(at)), load.ravel()[at], -np.ones(G), usage[resource, kind] / self.scale[resource]]
            ),
        )
        lower = np.concatenate([np.ones(B), np.full(G + R, -highspy.kHighsInf)])
        upper = np.concatenate([np.ones(B), np.zeros(G), available / self.scale])
        tops = np.concatenate([np.where(able, 1.0, 0.0), np.zeros(G)])
        costs = np.concatenate([np.zeros(B * G), price])
        self.solver: Any = loaded(costs, tops, compressed(entries, B + G + R, B * G + G), lower, upper, ITERATIONS)

    def solve(self, low: Floats, high: Floats) -> str:
        B, G = self.shape
        self.solver.changeColsBounds(G, np.arange(B * G, B * G + G, dtype=np.int32), low, high)
        self.solver.run()
        status = str(self.solver.modelStatusToString(self.solver.getModelStatus()))
        if status == "Optimal":
            solution = self.solver.getSolution()
            self._found, self._prices = np.array(solution.col_value), np.array(solution.row_dual)
        return status

    @property
    def share(self) -> Floats:
        B, G = self.shape
        return np.minimum(self._found[: B * G], 1.0).reshape(B, G)

    @property
    def count(self) -> Floats:
        B, G = self.shape
        return self._found[B * G :]

    @property
    def prices(self) -> Floats:
        B, G = self.shape
        worth = -self._prices[B:]
        worth[G:] /= self.scale
        return worth
