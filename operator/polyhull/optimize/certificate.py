"""Weak duality, recomputed outside the solver and rounded outwards: the only place a printed bound may come from.

For prices w >= 0 of the <= rows (free for == rows) any plan that does a share rho of every job satisfies

    rho * sum_j min_g c_g  <=  sum_i w_i b_i + sum_v max(0, -c_v) u_v ,        c = w A  (job rows left out)

(g: the admissible columns of class j, v: all other variables, u_v their upper bounds). So rho is at most the
quotient, and T is infeasible where that is below 1 (docs/model.md section 5). Every sum carries a bound on its own
rounding error, taken in the direction that makes the claim weaker.
"""

import math

import numpy as np

from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.programme import Programme

_UNIT = 2.0**-52
_ENTRY = 64.0
"""Units of rounding that computing one coefficient may have cost."""


def priced(programme: Programme, prices: Floats) -> tuple[Floats, Floats, Floats]:
    """(w, w A rounded down, w A as computed) over all variables; job rows' prices are taken as 0."""
    w = np.where(programme.equal, prices, np.maximum(prices, 0.0))
    w[: programme.job_rows] = 0.0
    terms = programme.values * w[programme.rows]
    size = len(programme.upper)
    total: Floats = np.bincount(programme.cols, terms, minlength=size).astype(np.float64)
    weight = np.bincount(programme.cols, np.abs(terms), minlength=size)
    count = np.bincount(programme.cols, minlength=size)
    low = total - weight * (count + _ENTRY) * _UNIT
    return w, low, total


def share_at_most(programme: Programme, job_class: Ints, prices: Floats) -> float:
    """A proven upper bound on rho; infinite where the prices prove nothing (or are not numbers)."""
    if programme.job_rows == 0 or not np.all(np.isfinite(prices)):
        return math.inf
    w, low, _ = priced(programme, prices)
    if not np.all(np.isfinite(low)):
        return math.inf
    G = programme.column_variables
    cheapest = np.full(programme.job_rows, np.inf)
    admissible = programme.upper[:G] > 0.0
    np.minimum.at(cheapest, job_class[admissible], low[:G][admissible])
    if np.isinf(cheapest).any():
        return 0.0
    left = math.fsum([*cheapest.tolist(), float(low[-1])])
    left = math.nextafter(left, -math.inf)
    if left <= 0.0:
        return math.inf
    others = low[G:-1]
    paid = np.where(others < 0.0, -others * programme.upper[G:-1], 0.0)
    slack = np.where(programme.rhs == 0.0, 0.0, np.abs(w) * np.maximum(1.0, np.abs(programme.rhs)) * _ENTRY * _UNIT)
    right = math.fsum([*(w * programme.rhs).tolist(), *slack.tolist(), *paid.tolist()])
    right = math.nextafter(right * (1.0 + 4.0 * _UNIT) if right > 0.0 else right, math.inf)
    if not math.isfinite(right):
        return math.inf
    return max(0.0, math.nextafter(right / left, math.inf))
