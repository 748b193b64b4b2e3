"""Which stages, and how many of each: the integer programme of stages.py for one rate and one order of clusters."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.fairness import Entries, compressed
from polyhull.optimize.highs import run_linear

NODES = 200
"""Branch-and-bound nodes for one programme."""
ITERATIONS = 50_000
WHOLE = 1e-6
"""A count this near a whole number is that number, and layers this near to enough are enough."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """One stage as a column says it: how many layers, how many machines of each kind."""

    layers: int
    counts: Ints

    @property
    def size(self) -> int:
        return int(self.counts.sum())


Model = tuple[Floats, Floats, tuple[Ints, Ints, Floats], Floats, Floats, int]
"""What run_linear takes."""
Columns = list[tuple[int, Stage]]
"""(variable, stage) of one cluster's columns."""


class StageProgramme:
    """max sum of layers; rows: machines of each kind and cluster, one pair of stages per border, stages in all.

    Clusters are added in the order in which the layers pass them, then the borders between them.
    """

    def __init__(self, most_stages: int | None) -> None:
        self.most_stages = most_stages
        self.clusters: list[Columns] = []
        self.borders: list[dict[tuple[int, int], int]] = []
        self.gains: list[float] = []
        self.entries: list[tuple[int, int, float]] = []
        self.low: list[float] = []
        self.upper: list[float] = []
        self.asked: dict[int, int] = {}
        """Row of a column: such stages, less the borders that use one."""

    def add_cluster(self, stages: Iterable[Stage], have: Ints) -> None:
        """A cluster with have[d] machines of kind d, and the stages that fit into it."""
        columns = [(self._variable(float(stage.layers)), stage) for stage in stages]
        for d, count in enumerate(have.tolist()):
            self._row(-math.inf, count, ((v, float(stage.counts[d])) for v, stage in columns if stage.counts[d]))
        self.clusters.append(columns)

    def add_border(self, at: int, pairs: Iterable[tuple[int, int]]) -> None:
        """Between clusters `at` and `at` + 1: exactly one of these pairs of columns (last before, first behind)."""
        chosen = {pair: self._variable(0.0) for pair in pairs}
        self._row(1.0, 1.0, ((v, 1.0) for v in chosen.values()))
        for pair, v in chosen.items():
            for column in pair:
                if column not in self.asked:
                    self.asked[column] = self._row(0.0, math.inf, [(column, 1.0)])
                self.entries.append((self.asked[column], v, -1.0))
        self.borders.append(chosen)

    def solve(self, layers: int) -> list[list[Stage]] | None:
        """The stages of each cluster in order, those for its borders first and last; None if layers are missing."""
        if not self.gains or not all(self.borders):
            return None
        model = self._model()
        # Most targets out of reach already show in the relaxation.
        found, _, _, _ = run_linear(*model)
        if found is None or -(found @ model[0]) < layers - WHOLE:
            return None
        if np.abs(found - np.rint(found)).max() > WHOLE:
            found, _, _, _ = run_linear(*model, np.arange(len(self.gains)), NODES)
            if found is None or -(found @ model[0]) < layers - 0.5:
                return None
        return self._arranged(np.rint(found).astype(np.int64))

    def most_layers(self) -> float:
        """The relaxation's: no choice of whole stages holds more."""
        if not self.gains:
            return 0.0
        model = self._model()
        found, _, _, _ = run_linear(*model)
        return 0.0 if found is None else -float(found @ model[0])

    def _model(self) -> Model:
        if self.most_stages is not None:
            self._row(-math.inf, float(self.most_stages), ((v, 1.0) for one in self.clusters for v, _ in one))
        gains = np.array(self.gains)
        rows, cols = (np.array([entry[n] for entry in self.entries], dtype=np.int64) for n in (0, 1))
        values = np.array([value for _, _, value in self.entries])
        return (
            -gains,
            np.full(len(gains), np.inf),
            compressed(Entries(rows, cols, values), len(self.upper), len(gains)),
            np.array(self.low),
            np.array(self.upper),
            ITERATIONS,
        )

    def _variable(self, gain: float) -> int:
        self.gains.append(gain)
        return len(self.gains) - 1

    def _row(self, low: float, upper: float, entries: Iterable[tuple[int, float]]) -> int:
        self.entries += [(len(self.upper), v, value) for v, value in entries]
        self.low.append(low)
        self.upper.append(upper)
        return len(self.upper) - 1

    def _arranged(self, counts: Ints) -> list[list[Stage]]:
        pairs = [next(pair for pair, v in border.items() if counts[v] > 0) for border in self.borders]
        arranged = []
        for at, columns in enumerate(self.clusters):
            left = {v: int(counts[v]) for v, _ in columns}
            first = [pairs[at - 1][1]] if at > 0 else []
            last = [pairs[at][0]] if at < len(pairs) else []
            for v in first + last:
                left[v] -= 1
            between = [v for v, _ in columns for _ in range(left[v])]
            stages = dict(columns)
            arranged.append([stages[v] for v in first + between + last])
        return arranged
