"""A programme answered by prices instead of a linear solver: the same Solution, near the optimum, far sooner."""

import ctypes

import numpy as np

from polyhull.optimize.data import Floats, ModelData
from polyhull.optimize.highs import Solution
from polyhull.optimize.large.kernel import fits
from polyhull.optimize.large.problem import LargeProblem
from polyhull.optimize.large.reading import Reading
from polyhull.optimize.large.solve import Answer, even_prices, solve
from polyhull.optimize.programme import Programme

GAP = 0.0015
"""Where the passes stop; the certificate's own figure is printed, whatever it is."""
PASSES = 300
_LEAST, _KEPT = (1e-2, 3e-3, 1e-3, 1e-4, 1e-6), 1.0 - 1e-4
"""Shares of all prices below which a room's price is dropped, and how much of the bound that must leave."""


def by_prices(built: Programme, data: ModelData, library: ctypes.CDLL) -> Solution | None:
    """Shares that can be done and prices that bound them; None where the kernel's fixed sizes are too small.

    `share` is what the shares reach if demands of services are held at the cheapest places; `prices` are for every
    row, scaled like a solver's duals. Deterministic.
    """
    reading = Reading(built, data)
    problem = reading.problem
    primal = np.zeros(len(built.upper))
    if problem is None:
        return Solution("Optimal", 0.0, primal, np.zeros(len(built.rhs)), 0)
    if not len(problem.room) or not fits(problem):
        return None
    held = (lambda unit: reading.online_loads(reading.programme_prices(unit))) if data.serving else None
    found = solve(problem, library, GAP, even_prices(problem), PASSES, held)
    share = 1.0 / found.upper if found.upper > 0.0 else 0.0
    primal[reading.columns] = found.shares * share
    primal[-1] = share
    prices: Floats = reading.programme_prices(_sparse(problem, found))
    return Solution("Optimal", share, primal, prices, found.passes)


def _sparse(problem: LargeProblem, found: Answer) -> Floats:
    """Its prices without the many that are next to nothing, where that costs next to nothing."""
    weight = found.prices * problem.room
    proved = problem.load_at_least(found.prices)
    for least in _LEAST:
        fewer = np.where(weight >= least * weight.sum(), found.prices, 0.0)
        if problem.load_at_least(fewer) >= proved * _KEPT:
            return fewer
    return found.prices
