"""Where new services would run if only money counted: `instances.least_cost` over all of them at once.

A bucket is a service's demand at one origin, a kind one of its admissible (variant, pool); a bucket's load is the
least replicas per request that hold the latency objective (`erlang.py`) times its requests. Pools' free room limits
all kinds together. The queue's integers come later: `services.py` tries these counts and keeps them where they serve
no less than its own choice does, for less money.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from polyhull.domain.workloads import Key
from polyhull.optimize.data import DIMENSIONS
from polyhull.optimize.instances import least_cost

if TYPE_CHECKING:
    from polyhull.optimize.services import Serving

STEPS = 300
"""Linear programmes of the branch and bound; more only proves more."""
Counts = Mapping[tuple[Key, str, str], int]
"""(service, variant, pool) -> replicas."""


def cheapest_counts(serving: "Serving", free: Mapping[str, tuple[int, ...]]) -> Counts:
    """The least-cost replicas of services that run nowhere yet; empty where the rooms do not hold them all.

    `free`: what each pool's nodes hold beside jobs and services that run, by dimension of Resources.
    """
    services, demands, options = serving.model()
    new, kinds = serving.open_to_choice(options)
    buckets = [d for d, one in enumerate(demands) if one.service in new]
    if not buckets or not kinds:
        return {}
    row = {d: n for n, d in enumerate(buckets)}
    load = np.full((len(buckets), len(kinds)), np.inf)
    for g, kind in enumerate(kinds):
        for d, slope in kind.per_request:
            load[row[d], g] = slope * demands[d].requests_per_second
    if not np.isfinite(load).any(axis=1).all():
        return {}
    tariffs = serving.admission.tariffs
    names = [serving.pools[kind.pool].name for kind in kinds]
    pods = np.array([kind.pod.as_tuple() for kind in kinds], dtype=np.float64)
    price = [tariffs.hourly(name, kind.pod.devices) for name, kind in zip(names, kinds, strict=True)]
    used = sorted(set(names))
    usage = np.zeros((len(used) * DIMENSIONS, len(kinds)))
    for g, name in enumerate(names):
        at = used.index(name) * DIMENSIONS
        usage[at : at + DIMENSIONS, g] = pods[g]
    available = np.array([float(value) for name in used for value in free[name]])
    most = np.array([float(kind.most_replicas) for kind in kinds])
    found = least_cost(load, np.array(price), most, usage, available, STEPS)
    return {
        (services[kind.service].key, kind.variant, name): int(count)
        for kind, name, count in zip(kinds, names, found.counts, strict=True)
        if count > 0
    }
