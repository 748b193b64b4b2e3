"""HiGHS as a function: a programme in, a vertex solution with prices out. One thread, fixed seed, simplex.

Nothing here is trusted: bounds are recomputed from the prices by certificate.py.
"""

from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np

from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.programme import Programme


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """`share` is rho; `prices` are >= 0 for <= rows and free for == rows (what rho gains per unit of the row)."""

    status: str
    share: float
    primal: Floats
    prices: Floats
    iterations: int

    @property
    def optimal(self) -> bool:
        return self.status == "Optimal"


def solve(programme: Programme, gains: Floats | None = None, iteration_limit: int = 200_000) -> Solution:
    """Maximise rho (plus `gains` of the other variables). Variables whose upper bound is 0 are left out.

    Any failure is a status, never an exception.
    """
    keep = np.flatnonzero(programme.upper > 0.0)
    costs = np.zeros(len(keep)) if gains is None else -gains[keep]
    costs[-1] = -1.0
    rows = len(programme.rhs)
    lower = np.where(programme.equal, programme.rhs, -highspy.kHighsInf)
    found, prices, status, iterations = run_linear(
        costs,
        np.minimum(programme.upper[keep], highspy.kHighsInf),
        restrict(programme, keep),
        lower,
        programme.rhs,
        iteration_limit,
    )
    primal = np.zeros(len(programme.upper))
    if found is not None:
        primal[keep] = found
    elif status == "Optimal":
        status = "NoNumbers"
    if prices is None or not np.all(np.isfinite(prices)):
        prices = np.zeros(rows)
    return Solution(status, float(primal[-1]), primal, -prices, iterations)


def restrict(programme: Programme, keep: Ints) -> tuple[Ints, Ints, Floats]:
    """Compressed columns (starts, row indices, values) of the kept variables, in order."""
    place = np.full(len(programme.upper), -1, dtype=np.int64)
    place[keep] = np.arange(len(keep))
    cols = place[programme.cols]
    mine = cols >= 0
    cols, rows, values = cols[mine], programme.rows[mine], programme.values[mine]
    place_of = cols * len(programme.rhs) + rows
    order = np.argsort(place_of, kind="stable")
    cols, rows, values, place_of = cols[order], rows[order], values[order], place_of[order]
    first = np.ones(len(cols), dtype=np.bool_)
    first[1:] = place_of[1:] != place_of[:-1]
    if not first.all():
        # A job that reads two data sets of one commodity has two entries in a row: HiGHS wants their sum.
        values = np.add.reduceat(values, np.flatnonzero(first))
        cols, rows = cols[first], rows[first]
    starts = np.searchsorted(cols, np.arange(len(keep) + 1))
    return starts, rows, values


def run_linear(
    costs: Floats,
    upper: Floats,
    matrix: tuple[Ints, Ints, Floats],
    row_lower: Floats,
    row_upper: Floats,
    iteration_limit: int,
    integers: Ints | None = None,
    nodes: int = 200,
) -> tuple[Floats | None, Floats | None, str, int]:
    """min costs @ v, row_lower <= A v <= row_upper, 0 <= v <= upper: (v, row duals, status, iterations)."""
    solver = loaded(costs, upper, matrix, row_lower, row_upper, iteration_limit, integers, nodes)
    if solver is None:
        return None, None, "Refused", 0
    solver.run()
    status = str(solver.modelStatusToString(solver.getModelStatus()))
    info = solver.getInfo()
    solution = solver.getSolution()
    primal = np.array(solution.col_value, dtype=np.float64)
    duals = np.array(solution.row_dual, dtype=np.float64)
    if len(primal) != len(costs) or not np.all(np.isfinite(primal)):
        return None, None, status, int(info.simplex_iteration_count)
    return primal, duals if len(duals) == len(row_upper) else None, status, int(info.simplex_iteration_count)


def loaded(
    costs: Floats,
    upper: Floats,
    matrix: tuple[Ints, Ints, Floats],
    row_lower: Floats,
    row_upper: Floats,
    iteration_limit: int,
    integers: Ints | None = None,
    nodes: int = 200,
) -> Any | None:
    """A solver that holds `run_linear`'s model, to be changed and run again; None where HiGHS refuses it."""
    solver: Any = highspy.Highs()
    for option, value in (
        ("output_flag", False),
        ("threads", 1),
        ("random_seed", 1),
        ("solver", "simplex" if integers is None else "choose"),
        ("simplex_iteration_limit", iteration_limit),
        ("mip_max_nodes", nodes),
    ):
        solver.setOptionValue(option, value)
    starts, indices, values = matrix
    lp: Any = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(costs), len(row_upper)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = costs, np.zeros(len(costs)), upper
    lp.row_lower_, lp.row_upper_ = row_lower, row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = starts.astype(np.int32)
    lp.a_matrix_.index_ = indices.astype(np.int32)
    lp.a_matrix_.value_ = values
    if integers is not None:
        kinds = [highspy.HighsVarType.kContinuous] * len(costs)
        for at in integers.tolist():
            kinds[at] = highspy.HighsVarType.kInteger
        lp.integrality_ = kinds
    return None if solver.passModel(lp) == highspy.HighsStatus.kError else solver
