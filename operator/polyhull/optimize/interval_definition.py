"""The interval-indexed programme row by row in cvxpy: what `interval.py` is tested against. Small instances only."""

from typing import Any

import cvxpy as cp
import numpy as np

from polyhull.optimize.data import DIMENSIONS, Floats, ModelData
from polyhull.optimize.interval import Jobs


def least_weighted_completion(data: ModelData, jobs: Jobs, tau: Floats) -> float:
    """min sum w C over all columns on the grid `tau` (the last one infinite); nan where the solver fails."""
    L = len(tau)
    starts = np.concatenate([[0.0], tau[:-1]])
    Y: dict[tuple[int, int, int], Any] = {}
    for s, j in enumerate(jobs.model_class.tolist()):
        mine = [g for g in range(len(data.columns)) if data.job_class[g] == j]
        deadline = float(jobs.deadline[s])
        hopeless = min(data.finish[g] for g in mine) > deadline
        for g in mine:
            for at in range(L):
                late = not hopeless and (data.finish[g] > deadline or starts[at] >= deadline)
                if data.finish[g] <= tau[at] and not late:
                    Y[s, g, at] = cp.Variable(nonneg=True)
    rows: list[Any] = [
        sum(y for (s, _, _), y in Y.items() if s == one) == len(members) for one, members in enumerate(jobs.keys)
    ]
    for at in range(L - 1):
        rows += _devices(data, Y, tau, at)
        rows += _bytes(data, jobs, Y, tau, at)
    cost = sum(float(jobs.weight[s] * max(starts[at], data.finish[g])) * y for (s, g, at), y in Y.items())
    problem = cp.Problem(cp.Minimize(cost), rows)
    problem.solve(solver=cp.HIGHS)
    return float(problem.value) if problem.value is not None else float("nan")


def _devices(data: ModelData, Y: dict[tuple[int, int, int], Any], tau: Floats, at: int) -> list[Any]:
    """What has ended by tau has held its devices before tau."""
    rows = []
    for p, pool in enumerate(data.pools):
        for d in range(DIMENSIONS):
            offered = pool.capacity[d] * tau[at]
            offered += pool.growth_nodes * pool.growth_shape[d] * max(0.0, tau[at] - pool.growth_seconds)
            offered -= float((pool.fixed_pods[:, d] * np.minimum(pool.fixed_seconds, tau[at])).sum())
            used = sum(
                float(data.replicas[g] * data.pods[g, d] * data.length[g]) * y
                for (_, g, end), y in Y.items()
                if data.pool[g] == p and end <= at
            )
            if not isinstance(used, int):
                rows.append(used / max(offered, 1.0) <= (1.0 if offered >= 1.0 else max(0.0, offered)))
    return rows


def _bytes(data: ModelData, jobs: Jobs, Y: dict[tuple[int, int, int], Any], tau: Floats, at: int) -> list[Any]:
    """What has ended by tau_l had its bytes `length` before: into its site, and out of their only source."""
    rows = []
    share = [
        one.size_bytes
        / (1 if one.private else sum(len(m) for s, m in enumerate(jobs.keys) if jobs.model_class[s] in one.readers))
        for one in data.data_sets
    ]
    for site in sorted({*data.link_source, *data.link_target}):
        for ends, entering in ((data.link_target, True), (data.link_source, False)):
            rate = sum(float(B) for e, B in enumerate(data.bandwidth) if ends[e] == site)
            used: Any = 0
            for (_, g, end), y in Y.items():
                if max(0.0, tau[end] - data.length[g]) > tau[at] and end > at:
                    continue
                for k in data.column_data[g]:
                    here = data.column_site[g] == site if entering else data.data_sets[k].sources == {site}
                    used = used + (share[k] * y if here else 0)
            if not isinstance(used, int) and rate > 0.0:
                rows.append(used / (rate * tau[at]) <= 1.0)
    return rows
