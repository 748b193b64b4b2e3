"""The largest T that is proved infeasible: bisection over the fixed-T programme, each step a certificate.

A linear programme is solved at a few T only; in between its prices are tried at other T, which costs one
matrix-vector product. What is printed never rests on a solver's word (certificate.py).
"""

import math
from dataclasses import dataclass

import numpy as np

from polyhull.domain.decision import BoundKind
from polyhull.optimize.certificate import share_at_most
from polyhull.optimize.data import ROUNDED_DOWN, Floats, ModelData
from polyhull.optimize.highs import Solution, solve
from polyhull.optimize.large.answer import by_prices
from polyhull.optimize.large.kernel import library
from polyhull.optimize.programme import LIGHT_RATIO, Programme, programme

TOLERANCE = 1e-3
_TRIALS = 6
"""How often a linear programme's prices are tried at another T."""
SMALL = 500
"""Up to this many columns the strengthened programme is used from the start."""
LARGE = 12_000
"""From this many columns on only the light programme is used, and few of them."""
PRICED = 40_000
"""From this many columns on the descent by prices answers where it is built, and all programmes are used again."""
_SETTLED = 1.02
"""By prices the light programme comes again until its bound is this near to what it guessed."""
_FIRST = 1.5
"""… first at this multiple of the slowest job."""


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """`seconds` is proved; `solution` belongs to `at`, the programme solved nearest above it (None: none was)."""

    seconds: float
    kind: BoundKind
    status: str
    steps: int
    at: Programme | None = None
    solution: Solution | None = None


@dataclass(slots=True)
class _Range:
    low: float
    high: float
    steps: int = 0


def programmes_for(variables: int) -> int:
    """How many linear programmes a size affords: counted, not timed, so that every machine answers alike."""
    return 14 if variables <= 2_000 else 6 if variables <= 6_000 else 4


def lower_bound(data: ModelData, limit: int | None = None, small: int = SMALL) -> Bound:
    """Seconds before which no schedule of class Pi can have finished all jobs of `data`.

    `limit`: linear programmes at most (None: by size). `small`: columns from which the light programme goes first.
    Solver failure only makes the bound weaker.
    """
    low = max(data.fixed_seconds, slowest(data)) * ROUNDED_DOWN
    if not (len(data.jobs) and math.isfinite(low)):
        kind = BoundKind.STRENGTHENED if math.isfinite(low) and low > 0.0 else BoundKind.NONE
        return Bound(low if kind is not BoundKind.NONE else 0.0, kind, "NothingToPlace", 0)
    span = _Range(low, math.inf)
    by_price = priced_beyond(data)
    large = len(data.columns) > LARGE and not by_price
    light = len(data.columns) > small
    seconds = low / ROUNDED_DOWN * (_FIRST if light else 1.0 + 1e-9)
    best: tuple[Programme, Solution] | None = None
    prices: list[Floats] = []
    status = "Optimal"
    most = 1 if limit is None else limit
    while span.steps < most:
        built = programme(data, seconds, light=light)
        most = (2 if large else 6 if by_price else programmes_for(len(built.upper))) if limit is None else limit
        found = answer(built, data)
        span.steps += 1
        if not found.optimal:
            status = f"{found.status} at T = {seconds:.6g} s; the bound before it stands"
            break
        prices.append(found.prices)
        share = share_at_most(built, data.job_class, found.prices)
        guess = seconds / max(found.share, 1e-9)
        if found.share >= 1.0:
            span.high = min(span.high, seconds)
            best = (built, found)
        elif share < 1.0:
            span.low = max(span.low, seconds)
            best = best or (built, found)
        elif by_price:
            # Between what prices prove and what shares reach: no further from here.
            span.high, best = min(span.high, seconds), (built, found)
        else:
            status = f"prices at T = {seconds:.6g} s prove nothing; the bound before it stands"
            break
        if light and seconds <= span.low * LIGHT_RATIO:
            span.low = max(span.low, min(seconds, seconds / share * ROUNDED_DOWN) if share > 0.0 else seconds)
        elif not (light or by_price):
            _try(data, span, prices[-1], guess)
        if span.high <= span.low * (1.0 + TOLERANCE):
            break
        seconds = _next(span, guess)
        if light:
            seconds = min(seconds, span.low * LIGHT_RATIO)
        if light and not large and (not by_price or span.low * _SETTLED >= guess):
            # The strengthened rows can only lift what the light ones proved.
            light, span.high, prices, best = False, math.inf, [], None
            seconds = span.low * (1.0 + TOLERANCE)
        if not math.isfinite(seconds):
            break
    if math.isfinite(span.high) and not (light or by_price):
        for one in prices:
            _try(data, span, one, span.high)
    kind = BoundKind.STRENGTHENED if span.low > 0.0 else BoundKind.NONE
    return Bound(max(0.0, span.low * ROUNDED_DOWN), kind, status, span.steps, *(best or (None, None)))


def priced_beyond(data: ModelData) -> bool:
    """Whether prices answer: columns are many, and the descent is built."""
    return len(data.columns) > PRICED and library() is not None


def answer(built: Programme, data: ModelData) -> Solution:
    """By a linear solver, or by prices alone beyond `PRICED` columns."""
    compiled = library() if priced_beyond(data) else None
    found = by_prices(built, data, compiled) if compiled is not None else None
    return found if found is not None else solve(built)


def slowest(data: ModelData) -> float:
    """Seconds of the job that ends last if every job runs alone by its fastest column."""
    if not len(data.jobs):
        return 0.0
    fastest = np.full(len(data.jobs), np.inf)
    np.minimum.at(fastest, data.job_class, data.finish)
    return float(fastest.max())


def fluid_bound(data: ModelData) -> tuple[float, Programme, Solution]:
    """The rate programme's bound T/rho (0 where nothing is proved), with its programme and prices."""
    seconds = max(data.fixed_seconds, slowest(data), 1e-9)
    built = programme(data, seconds, strengthened=False)
    found = solve(built)
    share = share_at_most(built, data.job_class, found.prices) if found.optimal else math.inf
    return (seconds / share * ROUNDED_DOWN if 0.0 < share < math.inf else 0.0), built, found


def _try(data: ModelData, span: _Range, prices: Floats, guess: float) -> None:
    """Raise the proved end as far as these prices carry, by bisection towards `guess`."""
    top = min(span.high, guess)
    if not top > span.low * (1.0 + TOLERANCE / 4):
        return
    low = span.low
    for _ in range(_TRIALS):
        middle = math.sqrt(low * top) if low > 0.0 else top / 2
        if middle <= low or middle >= top:
            break
        built = programme(data, middle)
        if len(built.rhs) == len(prices) and share_at_most(built, data.job_class, prices) < 1.0:
            low = middle
        else:
            top = middle
        if top <= low * (1.0 + TOLERANCE / 2):
            break
    span.low = max(span.low, low)


def _next(span: _Range, guess: float) -> float:
    """Where to solve next: at the guess if it is well inside, else in the middle."""
    if math.isinf(span.high):
        return max(guess, span.low) * (1.0 + TOLERANCE / 2)
    width = span.high / span.low
    inside = span.low * width**0.1 < guess < span.low * width**0.9
    return guess * (1.0 + TOLERANCE / 4) if inside else math.sqrt(span.low * span.high)
