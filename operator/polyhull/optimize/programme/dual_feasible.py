"""Functions of Fekete and Schepers (2001): shares that add up to at most 1 have values that do. And where to cut."""

import numpy as np

from polyhull.optimize.data import Floats

STEPS = (1, 2, 3, 4)
"""The u(k) that are used."""


def dual_feasible(share: Floats, step: int) -> Floats:
    """A lower bound on u(step) at `share`.

    Rounded down near the function's jumps, so that a coefficient is never too large.
    """
    return np.minimum(np.floor((step + 1) * share * (1.0 - 1e-12)) / step, 1.0)


def dual_feasible_whole(part: Floats, whole: float, step: int) -> Floats:
    """u(step) at part/whole, exact for whole numbers below 2**50: u(x) = x where (step + 1) x is whole."""
    scaled = (step + 1) * part
    down = np.floor_divide(scaled, whole)
    at_jump = scaled - down * whole == 0.0
    return np.where(at_jump, part / whole, down / step)


def dual_feasible_least(share: Floats, least: float) -> Floats:
    """More than 1 - `least` counts as 1, less than `least` as 0, the rest as itself (0 < `least` <= 1/2)."""
    down = share * (1.0 - 1e-12)
    return np.where(down > 1.0 - least, 1.0, np.where(down >= least, np.minimum(down, 1.0), 0.0))


def thresholds(values: Floats, weights: Floats) -> tuple[float, ...]:
    """At most three distinct values > 0: weighted quartiles of what is positive. They do not depend on T."""
    positive = (values > 0.0) & (weights > 0.0)
    if not bool(positive.any()):
        return ()
    order = np.argsort(values[positive], kind="stable")
    sorted_values = values[positive][order]
    cumulative = np.cumsum(weights[positive][order])
    found = []
    for share in (0.25, 0.5, 0.75):
        at = min(int(np.searchsorted(cumulative, share * cumulative[-1])), len(sorted_values) - 1)
        value = float(sorted_values[at])
        if value not in found:
            found.append(value)
    return tuple(found)
