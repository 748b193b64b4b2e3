"""Shadow prices of the bound, in units people can use (docs/model.md section 5).

From the rate programme: lambda_p seconds of bound per device-second of a pool, mu_e seconds per byte on a link;
the bound changes by -T lambda_p per further device and by -T mu_e per further byte/s. They are of the bound, not
of the plan, and zero off its critical resources.
"""

import numpy as np

from polyhull.domain.decision import Price
from polyhull.optimize.data import ModelData
from polyhull.optimize.highs import Solution
from polyhull.optimize.programme import Programme

_LEAST = 1e-12


def pool_prices(data: ModelData, built: Programme, found: Solution) -> tuple[Price, ...]:
    """One price per pool whose devices bind; `per_unit` seconds per device-second, then seconds per device."""
    if not found.share > 0.0:
        return ()
    bound = built.seconds / found.share
    prices = []
    for row, (kind, p) in enumerate(built.kinds):
        pool = data.pools[p] if kind == "pool" else None
        devices = float(pool.capacity[0] + pool.growth_nodes * pool.growth_shape[0]) if pool else 0.0
        value = max(0.0, float(found.prices[row])) / (found.share * devices) if devices > 0.0 else 0.0
        if pool is not None and np.isfinite(value) and value * devices > _LEAST:
            prices.append(Price(pool.name, value, -bound * value))
    return tuple(prices)


def link_prices(data: ModelData, built: Programme, found: Solution, margin: float) -> tuple[Price, ...]:
    """One price per link that binds; `per_unit` seconds per byte, then seconds per further nominal bit/s."""
    if not found.share > 0.0:
        return ()
    bound = built.seconds / found.share
    prices = []
    for row, (kind, e) in enumerate(built.kinds):
        if kind != "link":
            continue
        value = max(0.0, float(found.prices[row])) / (found.share * float(data.bandwidth[e]))
        if np.isfinite(value) and value * float(data.bandwidth[e]) > _LEAST:
            prices.append(Price(data.links[e], value, -bound * value * margin / 8.0))
    return tuple(sorted(prices, key=lambda price: price.name))
