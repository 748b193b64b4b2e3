"""Lexicographic max-min fairness: nobody can gain but at the cost of somebody who has no more.

The groups' values are linear, value_i = gain_i · v, and v ranges over a polytope. Level by level (progressive
filling; Bertsekas and Gallager, Data Networks, 6.5.2): maximise the least value t of the groups that are still free,
then hold those whose row has a positive price. By complementary slackness these sit at t in *every* optimum, and the
prices of the free rows add up to 1, so each level holds at least one group and there are at most as many levels as
groups. One model stays in the solver; a level changes a few rows of it, and the simplex goes on from where it is.

Every level carries a bound that does not trust the solver: for prices pi >= 0 of free groups (sum 1), mu >= 0 of held
ones and w >= 0 of the rows,  t <= w·b - mu·held + sum_v max(0, (pi + mu)·gain_v - w·A_v) u_v.
"""

import math
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray

from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.highs import loaded

POSITIVE_PRICE = 1e-6
"""A price below this share of the largest may be rounding; its group is held by a later level at the same value."""
HELD = 1.0 - 1e-9
"""A held group keeps this share of its value: room for the solver's own tolerance."""
ITERATIONS = 200_000
_UNIT = 2.0**-52


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """A sparse matrix as triples; entries of the same place add up."""

    rows: Ints
    cols: Ints
    values: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Polytope:
    """{v : A v <= rhs (== where `equal`), 0 <= v <= upper}. Rows should be scaled to O(1); `upper` may hold inf."""

    matrix: Entries
    rhs: Floats
    equal: NDArray[np.bool_]
    upper: Floats

    def tight_upper(self) -> Floats:
        """`upper`, tightened by every <= row without negative coefficients."""
        upper = self.upper.astype(np.float64).copy()
        rows, cols, values = self.matrix.rows, self.matrix.cols, self.matrix.values
        plain = ~self.equal
        plain[rows[values < 0.0]] = False
        useful = plain[rows] & (values > 0.0)
        np.minimum.at(upper, cols[useful], self.rhs[rows[useful]] / values[useful])
        return np.maximum(upper, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Fair:
    """`values[i]` of each group, its proven upper bound given the levels before, and the level that held it.

    `status` is `Optimal`, or the solver's word for why the levels after the last one are missing (their groups have
    level -1 and the value they reach in `point`).
    """

    status: str
    values: Floats
    bounds: Floats
    levels: Ints
    point: Floats


def lexicographic(space: Polytope, gains: Entries, groups: int, levels: int | None = None) -> Fair:
    """The lexicographically largest sorted vector of values gain_i · v over `space`.

    `gains.rows` are groups 0 … groups - 1, `gains.cols` variables. `levels`: stop after so many (1: only the least
    value is maximised; the other groups then have what this optimum happens to give them).
    """
    search = _Levels(space, gains, groups)
    while search.free.any() and (levels is None or search.level < levels):
        if not search.next():
            break
    return search.result()


def between_namespaces(
    space: Polytope,
    job_class: Ints,
    multiplicity: Floats,
    namespace: Ints,
    isolated_seconds: Floats,
    weights: Floats | None = None,
    levels: int | None = None,
) -> Fair:
    """Max-min of theta_u * T_u_iso / weight_u over namespaces u (docs/model.md, levels of the objective).

    The first len(job_class) variables of `space` are the rates y_g of columns g (jobs per second, or any common
    multiple of it), `job_class[g]` their class, `multiplicity[j]` how many jobs class j has, `namespace[j]` whose
    they are: sum_g y_g = m_j theta_u. `isolated_seconds[u]` is the namespace's own bound on its share; a namespace
    without classes has no value and must not be numbered. theta_u are appended to `point`, in order.
    """
    G, V, J, U = len(job_class), len(space.upper), len(multiplicity), len(isolated_seconds)
    share = np.ones(U) if weights is None else weights
    top = space.tight_upper()
    reach = np.bincount(job_class, top[:G], minlength=J) / multiplicity
    most = np.full(U, np.inf)
    np.minimum.at(most, namespace, reach)
    first = len(space.rhs)
    matrix = Entries(
        np.concatenate([space.matrix.rows, first + job_class, first + np.arange(J)]),
        np.concatenate([space.matrix.cols, np.arange(G), V + namespace]),
        np.concatenate([space.matrix.values, 1.0 / multiplicity[job_class], np.full(J, -1.0)]),
    )
    wider = Polytope(
        matrix,
        np.concatenate([space.rhs, np.zeros(J)]),
        np.concatenate([space.equal, np.ones(J, dtype=np.bool_)]),
        np.concatenate([top, most]),
    )
    gains = Entries(np.arange(U), V + np.arange(U), isolated_seconds / share)
    return lexicographic(wider, gains, U, levels)


class _Levels:
    """The model in the solver, and which groups are held at what."""

    def __init__(self, space: Polytope, gains: Entries, groups: int) -> None:
        self.space, self.gains, self.groups = space, gains, groups
        self.upper = space.tight_upper()
        self.first = len(space.rhs)
        self.free = np.ones(groups, dtype=np.bool_)
        self.values, self.bounds = np.zeros(groups), np.full(groups, np.inf)
        self.levels = np.full(groups, -1, dtype=np.int64)
        self.level = 0
        self.status = "Optimal"
        self.point = np.zeros(len(space.upper))
        self.solver: Any = self._load()
        if self.solver is None:
            self.status = "Refused"

    def _load(self) -> Any:
        space, gains = self.space, self.gains
        size = len(space.upper)
        rows = np.concatenate([space.matrix.rows, self.first + gains.rows, self.first + np.arange(self.groups)])
        cols = np.concatenate([space.matrix.cols, gains.cols, np.full(self.groups, size)])
        values = np.concatenate([space.matrix.values, gains.values, np.full(self.groups, -1.0)])
        inf = highspy.kHighsInf
        lower = np.concatenate([np.where(space.equal, space.rhs, -inf), np.zeros(self.groups)])
        upper = np.concatenate([space.rhs, np.full(self.groups, inf)])
        costs = np.zeros(size + 1)
        costs[-1] = -1.0
        tops = np.append(np.minimum(self.upper, inf), inf)
        matrix = compressed(Entries(rows, cols, values), len(upper), size + 1)
        return loaded(costs, tops, matrix, lower, upper, ITERATIONS)

    def next(self) -> bool:
        """One level; False where the solver gave none (`status` says why)."""
        if self.solver is None:
            return False
        self.solver.run()
        status = str(self.solver.modelStatusToString(self.solver.getModelStatus()))
        if status != "Optimal":
            self.status = status
            return False
        solution = self.solver.getSolution()
        self.point = np.clip(np.array(solution.col_value[:-1]), 0.0, self.upper)
        prices = np.array(solution.row_dual)
        fair = np.maximum(prices[self.first :], 0.0)
        open_prices = np.where(self.free, fair, 0.0)
        if not open_prices.max() > 0.0:
            self.status = "NoPrices"
            return False
        least = float(np.min(self._values()[self.free]))
        bound = self._bound(-prices[: self.first], fair)
        held = np.flatnonzero(open_prices >= POSITIVE_PRICE * open_prices.max())
        self._hold(held, least)
        self.bounds[held] = bound
        self.levels[held] = self.level
        self.level += 1
        return True

    def _hold(self, held: Ints, value: float) -> None:
        self.values[held] = value
        self.free[held] = False
        for group in held.tolist():
            self.solver.changeCoeff(self.first + group, len(self.upper), 0.0)
            self.solver.changeRowBounds(self.first + group, value * HELD, highspy.kHighsInf)

    def _values(self) -> Floats:
        gains = self.gains
        values = gains.values * self.point[gains.cols]
        return np.bincount(gains.rows, values, minlength=self.groups).astype(np.float64)

    def _bound(self, w: Floats, fair: Floats) -> float:
        """Upper bound of this level's t from prices alone, every sum rounded towards the weaker claim."""
        w = np.where(self.space.equal, w, np.maximum(w, 0.0))
        total = math.fsum(fair[self.free].tolist())
        if not (total > 0.0 and math.isfinite(total) and np.all(np.isfinite(w))):
            return math.inf
        matrix, gains = self.space.matrix, self.gains
        left, right = fair[gains.rows] * gains.values, w[matrix.rows] * matrix.values
        size = len(self.upper)
        reduced = np.bincount(gains.cols, left, minlength=size) - np.bincount(matrix.cols, right, minlength=size)
        weight = np.bincount(gains.cols, np.abs(left), minlength=size)
        weight += np.bincount(matrix.cols, np.abs(right), minlength=size)
        count = np.bincount(gains.cols, minlength=size) + np.bincount(matrix.cols, minlength=size)
        worst = reduced + weight * (count + 8.0) * _UNIT
        paid = np.where(worst > 0.0, worst, 0.0)
        reach = np.where(paid > 0.0, self.upper, 0.0)
        kept = np.where(self.free, 0.0, fair * self.values * HELD)
        terms = [*(w * self.space.rhs).tolist(), *(paid * reach).tolist(), *(-kept).tolist()]
        size_of = math.fsum(abs(term) for term in terms)
        bound = math.fsum(terms) + 8.0 * _UNIT * size_of
        return math.nextafter(bound / math.nextafter(total, -math.inf if bound < 0.0 else 0.0), math.inf)

    def result(self) -> Fair:
        values = np.where(self.free, self._values(), self.values)
        return Fair(self.status, values, self.bounds, self.levels, self.point)


def compressed(entries: Entries, rows: int, cols: int) -> tuple[Ints, Ints, Floats]:
    """Compressed columns (starts, row indices, values), entries of one place added up."""
    place = entries.cols.astype(np.int64) * rows + entries.rows
    order = np.argsort(place, kind="stable")
    place, values = place[order], entries.values[order].astype(np.float64)
    first = np.ones(len(place), dtype=np.bool_)
    first[1:] = place[1:] != place[:-1]
    if not first.all():
        values = np.add.reduceat(values, np.flatnonzero(first))
        place = place[first]
    starts = np.searchsorted(place, np.arange(cols + 1, dtype=np.int64) * rows)
    return starts, place % rows, values
