"""A lower bound for the executed class: whole copies over single paths, proved by certificates of linear programmes.

Most instances are decided by few jobs: those that no resource with room to spare can take. Their prices say which
they are. So the programme of all jobs is solved a few times without the rows that strengthen, and the programme of
the jobs that pay (fewer jobs are a relaxation) often, with all the rows its solutions violate.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polyhull.domain.workloads import Key
from polyhull.optimize.bound import LARGE, TOLERANCE, answer, priced_beyond, slowest
from polyhull.optimize.certificate import priced, share_at_most
from polyhull.optimize.data import ROUNDED_DOWN, ModelData
from polyhull.optimize.highs import Solution, solve
from polyhull.optimize.programme import LIGHT_RATIO, Layout, Programme, programme
from polyhull.optimize.programme.pools import pool_parts
from polyhull.optimize.programme.windows import NO_WINDOWS, Windows
from polyhull.optimize.separation import violated
from polyhull.optimize.whole_copies import restricted, undominated

_FIRST = 1.5
"""The first T, in multiples of the slowest job."""
_PAYS = 1e-7
"""A job binds if the prices make it pay this share of what the dearest job pays."""
_ROUNDS = 3
_SMALL = 4_000
"""Up to this many columns of critical jobs a programme is solved in tenths of a second: many are affordable."""
_REACH = 1.5
"""The critical jobs' bound is sought up to this multiple of what is known."""
_SHARPENED, _NEAR = 75_000, 1.003
"""Up to this many columns exact programmes follow those by prices, from this multiple of what they proved on: the
rows that strengthen are found at vertices."""
_LIGHT, _CLOSE = 4, 5e-3
"""At first so many programmes of all jobs, until the share is as close to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class WholeBound:
    """`seconds` is proved for whole copies; `critical`: the jobs it rests on; `at`, `solution`: of all jobs, light,
    solved nearest to it; `windows`: what strengthens `at`, None where nothing does."""

    seconds: float
    critical: tuple[Key, ...]
    status: str
    steps: int
    at: Programme | None = None
    solution: Solution | None = None
    windows: Windows | None = None


@dataclass(slots=True)
class _Search:
    low: float
    steps: int = 0
    status: str = "Optimal"
    windows: Windows = NO_WINDOWS
    best: tuple[Programme, Solution] | None = None
    best_windows: Windows | None = None


def whole_copy_bound(data: ModelData, low: float = 0.0, programmes: int | None = None) -> WholeBound:
    """Seconds before which no schedule of whole copies can have finished all jobs of `data` (which has `whole`).

    `low`: proved before. `programmes`: how many of the critical jobs (None: by size); a few more are of all jobs.
    Solver failure only makes the bound weaker.
    """
    search = _Search(max(low, data.fixed_seconds, slowest(data)) * ROUNDED_DOWN)
    if not len(data.jobs) or not math.isfinite(search.low):
        return WholeBound(search.low if math.isfinite(search.low) else 0.0, (), "NothingToPlace", 0)
    critical = np.zeros(len(data.jobs), dtype=np.bool_)
    layout = Layout(data)
    _light(layout, search, search.low * _FIRST)
    if priced_beyond(data):
        if len(data.columns) > _SHARPENED:
            return WholeBound(
                search.low * ROUNDED_DOWN, (), search.status, search.steps, *(search.best or (None, None))
            )
        _light(layout, search, search.low * _NEAR, exact=True)
    paying = _paying(data, *search.best) if search.best is not None else critical
    for _ in range(_ROUNDS):
        if programmes == 0 or not paying[~critical].any():
            break
        critical |= paying
        _sharpen(restricted(data, critical), search, programmes)
        paying = _all(layout, search)
    keys = tuple(sorted(key for j in np.flatnonzero(critical).tolist() for key in data.jobs[j]))
    at, solution = search.best or (None, None)
    return WholeBound(search.low * ROUNDED_DOWN, keys, search.status, search.steps, at, solution, search.best_windows)


def _light(layout: Layout, search: _Search, seconds: float, exact: bool = False) -> None:
    """All jobs without strengthening from T = `seconds` on, until the share is close to 1; many columns by prices
    unless `exact`."""
    for _ in range(_LIGHT):
        built = programme(layout.data, seconds, light=True, layout=layout)
        found = _solved(built, search, None if exact else layout.data)
        if found is None:
            return
        search.best = (built, found)
        share = share_at_most(built, layout.data.job_class, found.prices)
        if share < math.inf and seconds <= search.low * LIGHT_RATIO:
            search.low = max(search.low, seconds if share <= 1.0 else seconds / share * ROUNDED_DOWN)
        if not share < 1.0 - _CLOSE:
            return
        seconds /= max(share, 1.0 / LIGHT_RATIO)


def _all(layout: Layout, search: _Search) -> NDArray[np.bool_]:
    """[class] who pays just above the bound, in the programme of all jobs with all rows found violated so far."""
    data, seconds = layout.data, search.low * (1.0 + TOLERANCE)
    for _ in range(_ROUNDS if len(data.columns) <= LARGE else 1):
        before = len(search.windows)
        built = programme(data, seconds, windows=search.windows, layout=layout)
        found = _solved(built, search)
        if found is None:
            break
        search.best, search.best_windows = (built, found), search.windows
        if share_at_most(built, data.job_class, found.prices) < 1.0:
            search.low = max(search.low, seconds)
            return _paying(data, built, found)
        search.windows |= violated(layout, seconds, found.primal[: len(data.columns)])
        if len(search.windows) == before:
            break
    return np.zeros(len(data.jobs), dtype=np.bool_)


def _solved(built: Programme, search: _Search, by_price: ModelData | None = None) -> Solution | None:
    found = solve(built) if by_price is None else answer(built, by_price)
    search.steps += 1
    if not found.optimal:
        search.status = f"{found.status} at T = {built.seconds:.6g} s; the bound before it stands"
        return None
    return found


def _paying(data: ModelData, built: Programme, found: Solution) -> NDArray[np.bool_]:
    """[class] whether its cheapest admissible column costs anything."""
    _, _, cost = priced(built, found.prices)
    G = built.column_variables
    cheapest = np.full(len(data.jobs), np.inf)
    open_ = built.upper[:G] > 0.0
    np.minimum.at(cheapest, data.job_class[open_], cost[:G][open_])
    cheapest[~np.isfinite(cheapest)] = 0.0
    return cheapest > _PAYS * max(float(cheapest.max(initial=0.0)), 1e-300)


def _sharpen(data: ModelData, search: _Search, limit: int | None) -> None:
    """The critical jobs: bisection over T with violated windows added as they are found."""
    parts = pool_parts(data)
    most = search.low * _REACH
    layout = Layout(undominated(data, {part.p for part in parts if part.scarce}, most))
    data, high, settled = layout.data, most, True
    seconds = search.low * (1.0 + TOLERANCE)
    if limit is None:
        limit = 24 if len(data.columns) <= _SMALL else 8
    for _ in range(limit):
        built = programme(data, seconds, windows=search.windows, layout=layout)
        found = _solved(built, search)
        if found is None:
            return
        before = len(search.windows)
        search.windows |= violated(layout, seconds, found.primal[: len(data.columns)])
        if share_at_most(built, data.job_class, found.prices) < 1.0:
            search.low = max(search.low, seconds)
        else:
            high, settled = seconds, len(search.windows) == before
        if high > search.low * (1.0 + TOLERANCE):
            seconds = _between(search.low, high, seconds / max(found.share, 1.0 / LIGHT_RATIO))
        elif settled:
            return
        else:
            # Windows were added since: what was possible there may be no longer.
            seconds, high = high, most


def _between(low: float, high: float, guess: float) -> float:
    """The guess (a step of Newton's), kept strictly inside; the middle where it is beyond."""
    if guess >= high * (1.0 + TOLERANCE / 4):
        return math.sqrt(low * high)
    least = low * math.exp(math.log(high / low) / 5.0)
    return min(max(guess * (1.0 + TOLERANCE / 4), least), high * (1.0 - TOLERANCE / 2))
