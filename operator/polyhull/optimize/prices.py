"""Shadow prices of the bound, in units people can use (docs/model.md section 5).

From the rate programme: lambda_p seconds of bound per device-second of a pool, mu_e seconds per byte on a link;
the bound changes by -T lambda_p per further device and by -T mu_e per further byte/s. Where one job's own length
limits the rates, they come from the strengthened programme nearest to the bound instead. They are of the bound, not
of the plan, and zero off its critical resources.
"""

from collections.abc import Set
from dataclasses import dataclass

from polyhull.domain.decision import Price
from polyhull.optimize.certificate import share_at_most
from polyhull.optimize.data import ModelData
from polyhull.optimize.highs import Solution
from polyhull.optimize.programme import Programme

_LEAST = 1e-12
_NEAR = 0.1
"""Prices of a programme whose share is further from 1 are of another T than the bound's."""
_STEP = 1e-3
"""The slope is taken over this share of T."""
_OF_POOL = frozenset({"pool", "area", "window", "long", "shape"})
_OF_LINK = frozenset({"link", "tail"})


@dataclass(frozen=True, slots=True, eq=False)
class Marginal:
    """What a row's dual means in seconds: capacity times (1 + h) lowers the bound by h `seconds` dual / `slope`.

    Weak duality makes rho(T, capacity) <= the certificate's quotient, equal at the optimum; at rho = 1 the implicit
    function gives dT. `slope`: d rho / d ln T.
    """

    programme: Programme
    solution: Solution
    seconds: float
    slope: float


def of_rates(built: Programme, found: Solution) -> Marginal | None:
    """Of the rate programme: its bound is T/rho, so rho itself is the slope."""
    return Marginal(built, found, built.seconds / found.share, found.share) if found.share > 0.0 else None


def of_fixed_time(data: ModelData, at: Programme, found: Solution, later: Programme) -> Marginal | None:
    """Of the programme `at`; `later`: the same rows at a T a little longer. None where its prices say nothing."""
    if abs(found.share - 1.0) > _NEAR or len(later.rhs) != len(at.rhs) or not later.seconds > at.seconds:
        return None
    gained = share_at_most(later, data.job_class, found.prices) - share_at_most(at, data.job_class, found.prices)
    slope = gained * at.seconds / (later.seconds - at.seconds)
    return Marginal(at, found, at.seconds, slope) if _LEAST < slope < float("inf") else None


def a_little_later(seconds: float) -> float:
    """Where `of_fixed_time` wants its second programme."""
    return seconds * (1.0 + _STEP)


def pool_prices(data: ModelData, marginal: Marginal) -> tuple[Price, ...]:
    """One price per pool whose nodes bind; `per_unit` seconds per device-second, then seconds per device (which comes
    with its share of a node)."""
    totals = _totals(marginal, _OF_POOL)
    prices = []
    for p, pool in enumerate(data.pools):
        devices = float(pool.capacity[0] + pool.growth_nodes * pool.growth_shape[0])
        total = totals.get(p, 0.0)
        if devices > 0.0 and total > _LEAST:
            prices.append(Price(pool.name, total / devices, -marginal.seconds * total / devices))
    return tuple(prices)


def link_prices(data: ModelData, marginal: Marginal, margin: float) -> tuple[Price, ...]:
    """One price per link that binds; `per_unit` seconds per byte, then seconds per further nominal bit/s."""
    prices = []
    for e, total in _totals(marginal, _OF_LINK).items():
        bandwidth = float(data.bandwidth[e])
        if bandwidth > 0.0 and total > _LEAST:
            value = total / bandwidth
            prices.append(Price(data.links[e], value, -marginal.seconds * value * margin / 8.0))
    return tuple(sorted(prices, key=lambda price: price.name))


def _totals(marginal: Marginal, kinds: Set[str]) -> dict[int, float]:
    """Index -> what its rows' duals add up to, over the slope."""
    totals: dict[int, float] = {}
    for (kind, index), dual in zip(marginal.programme.kinds, marginal.solution.prices.tolist(), strict=True):
        if kind in kinds and dual > 0.0:
            totals[index] = totals.get(index, 0.0) + dual / marginal.slope
    return totals
