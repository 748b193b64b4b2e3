"""How soon some jobs can be done on the fleet, or on a share of it: a bound by prices alone, without a solver.

For prices w >= 0 with sum_p w_p N_p = 1 no schedule of these jobs ends before sum_j min_g w_p(g) a_g: what they hold
at these prices, over what the pools offer in a second. Multiplicative weights look for good prices (Arora, Hazan and
Kale 2012); any of them is valid, so the number of rounds only decides how sharp the bound is.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.optimize.admission import Admission
from polyhull.optimize.columns import Column, ColumnSet
from polyhull.optimize.paths import Network

ROUNDS = 100
_STEP = 0.3
_DOWN = 1.0 - 1e-9


def isolated(snapshot: Snapshot, columns: ColumnSet) -> dict[str, float]:
    """[namespace] seconds that its jobs need at least on an equal share of every pool and limit: T_u_iso."""
    by_namespace = _by_namespace(columns)
    devices = _devices(snapshot)
    share = 1.0 / max(1, len(by_namespace))
    return {
        name: max(least_seconds(jobs, devices, share), _limited_seconds(snapshot, name, jobs, by_namespace))
        for name, jobs in sorted(by_namespace.items())
    }


def _limited_seconds(
    snapshot: Snapshot, namespace: str, jobs: Sequence[Sequence[Column]], all_of: Collection[str]
) -> float:
    """What the jobs of a namespace need at least on an equal share of each limit that it is under."""
    kind_of = {pool.name: pool.accelerator for pool in snapshot.fleet.pools}

    def held(column: Column, kind: str) -> float:
        return column.length_seconds * sum(one.devices for one in column.places if kind_of.get(one.pool) == kind)

    needed = 0.0
    for limit in snapshot.policy.device_limits:
        if namespace in limit.namespaces and limit.devices > 0:
            sharing = sum(name in all_of for name in limit.namespaces)
            least = sum(min(held(column, limit.accelerator) for column in options) for options in jobs)
            needed = max(needed, least * sharing / limit.devices * _DOWN)
    return needed


def least_ratio(snapshot: Snapshot, columns: ColumnSet) -> tuple[float, float]:
    """(what the worst, what the mean of T_u / T_u_iso is at least), over every schedule of all namespaces.

    If the worst is r, all jobs of namespaces with T_iso <= t end by r * t; so r >= their bound over t, for any t.
    """
    by_namespace, devices = _by_namespace(columns), _devices(snapshot)
    alone = isolated(snapshot, columns)
    own = [least_seconds(by_namespace[name], devices) / alone[name] for name in sorted(alone) if alone[name] > 0.0]
    if not own:
        return 0.0, 0.0
    worst = max(own)
    for name in sorted(alone, key=lambda one: alone[one]):
        some = [job for one, jobs in by_namespace.items() if alone[one] <= alone[name] for job in jobs]
        if alone[name] > 0.0:
            worst = max(worst, least_seconds(some, devices) / alone[name])
    return worst * _DOWN, float(np.mean(own)) * _DOWN


def least_seconds(jobs: Sequence[Sequence[Column]], devices: Mapping[str, float], share: float = 1.0) -> float:
    """No schedule of jobs with these columns each ends sooner on that share of the pools' `devices`."""
    alone = max((min(_finish(column) for column in options) for options in jobs), default=0.0)
    pools = sorted({column.pool for options in jobs for column in options if devices.get(column.pool, 0.0) > 0.0})
    if not pools:
        return alone
    at = {name: p for p, name in enumerate(pools)}
    flat = [(j, column) for j, options in enumerate(jobs) for column in options if column.pool in at]
    job = np.array([j for j, _ in flat])
    pool = np.array([at[column.pool] for _, column in flat])
    size = np.array([devices[name] for name in pools])
    # Seconds for which the column would fill its whole pool: prices are shares of pools from here on.
    held = [column.replicas * column.devices_per_replica * column.length_seconds for _, column in flat]
    filled = np.array(held) / size[pool]  # of a column over several sites its first part: less is still a bound
    starts = np.flatnonzero(np.concatenate([[True], job[1:] != job[:-1]]))
    weight = np.ones(len(pools))
    best = 0.0
    for _ in range(ROUNDS):
        price = weight / weight.sum()
        paid = price[pool] * filled
        least = np.minimum.reduceat(paid, starts)
        best = max(best, float(least.sum()))
        chosen = np.flatnonzero(paid <= np.repeat(least, np.diff(np.append(starts, len(paid)))))
        load = np.bincount(pool[chosen], filled[chosen], minlength=len(pools))
        weight = price * np.exp(_STEP * load / max(float(load.max()), 1e-300))
    return max(alone, best / share * _DOWN)


def _finish(column: Column) -> float:
    return max(column.head_seconds, column.transfer_seconds) + column.length_seconds


def _by_namespace(columns: ColumnSet) -> dict[str, list[list[Column]]]:
    jobs: dict[Key, list[Column]] = {}
    for column in columns.columns:
        if not column.fixed:
            jobs.setdefault(column.job, []).append(column)
    out: dict[str, list[list[Column]]] = {}
    for key in sorted(jobs):
        out.setdefault(key.namespace, []).append(jobs[key])
    return out


def _devices(snapshot: Snapshot) -> dict[str, float]:
    """[pool] devices of usable nodes and of all that growth may add, at once."""
    admission = Admission(snapshot, Network(snapshot.fleet, snapshot.policy.bandwidth_margin))
    out = {}
    for pool in snapshot.fleet.pools:
        grown = pool.growth.nodes * pool.growth.shape.devices if pool.growth is not None else 0
        out[pool.name] = float(sum(node.free.devices for node in admission.usable_nodes(pool)) + max(0, grown))
    return out
