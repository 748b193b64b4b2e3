"""The programme written down once more, row by row, in cvxpy: the definition that programme.py is tested against.

Slow, small instances only, never on the production path (import it where it is needed: cvxpy takes a second).
It covers rows (1) to (6) of docs/model.md at a fixed T, as the light programme
scales them, and the rate programme; the strengthening rows only remove
schedules' relaxations, so they are tested against brute force instead.
"""

from itertools import pairwise
from typing import Any

import cvxpy as cp
import numpy as np

from polyhull.optimize.data import DIMENSIONS, ModelData, WholeCopies
from polyhull.optimize.programme import LIGHT_RATIO


def largest_share(data: ModelData, seconds: float, rates: bool = False) -> float:
    """max rho: the share of every class's jobs that T allows; nan where the solver fails.

    `rates`: the rate programme, scaled by the same T (growth without delay, fixed work as a rate, no filter).
    """
    T, G = seconds, len(data.columns)
    rho = cp.Variable(nonneg=True)
    Y = cp.Variable(max(G, 1), nonneg=True)
    n = cp.Variable(max(len(data.serving), 1), nonneg=True)
    x = {(v, i): cp.Variable(nonneg=True) for v, one in enumerate(data.serving) for i, _ in one.per_request}
    rows: list[Any] = [rho <= 1e4 * max(1, G)]
    for j, members in enumerate(data.jobs):
        mine = [g for g in range(G) if data.job_class[g] == j]
        rows.append(cp.sum(Y[mine]) == rho * len(members))
        if rates:
            rows.append(data.finish[mine] @ Y[mine] <= len(members) * T)
    for g in range(G):
        rows.append(Y[g] <= 1e4 * data.multiplicity[data.job_class[g]])
        if not rates and data.finish[g] > T:
            rows.append(Y[g] == 0)
    rows += _pools(data, T, Y, n, rho, rates)
    flows, used = _flows(data, T, Y, rho, rates) if data.whole is None else _whole(data.whole, data, T, Y, rates)
    rows += flows
    rows += _links(data, T, x, used, rates)
    rows += _caps(data, T, Y, n, rho, rates)
    for left, each in zip(data.budgets, data.spent, strict=True):
        scale = max(left, float(each.max(initial=0.0)), 1e-9)
        rows.append((each / scale) @ Y <= left / scale * rho)
    for v, one in enumerate(data.serving):
        slopes = dict(one.per_request)
        load = sum(slopes[i] * x[v, i] for i in slopes)
        rows += [n[v] >= load, n[v] <= one.most_replicas]
    for i, demand in enumerate(data.demands):
        served = [x[key] for key in x if key[1] == i]
        if served:
            rows.append(sum(served) == demand.requests_per_second)
    for s, service in enumerate(data.services):
        mine = [v for v, one in enumerate(data.serving) if one.service == s]
        if mine and service.exact_replicas is not None:
            rows.append(cp.sum(n[mine]) == service.exact_replicas)
        elif mine and service.least_replicas > 0:
            rows.append(cp.sum(n[mine]) >= service.least_replicas)
    problem = cp.Problem(cp.Maximize(rho), rows)
    problem.solve(solver=cp.HIGHS)
    return float(rho.value) if rho.value is not None else float("nan")


def _pools(data: ModelData, T: float, Y: Any, n: Any, rho: Any, rates: bool) -> list[Any]:
    """(2): what jobs and replicas hold for how long, against what the pool's nodes and growth offer until T."""
    rows = []
    for p, pool in enumerate(data.pools):
        mine = [(g, data.replicas[g] * data.pods[g]) for g in range(len(data.columns)) if data.pool[g] == p]
        mine += [
            (int(g), data.also.replicas[k] * data.also.pods[k])
            for k, g in enumerate(data.also.column)
            if data.also.pool[k] == p
        ]
        serving = [v for v, one in enumerate(data.serving) if one.pool == p]
        for d in range(DIMENSIONS):
            offered = float(pool.capacity[d]) * T
            offered += (
                pool.growth_nodes * float(pool.growth_shape[d]) * max(0.0, T - (0 if rates else pool.growth_seconds))
            )
            held = pool.fixed_pods[:, d]
            used = sum(float(asked[d] * data.length[g]) * Y[g] for g, asked in mine)
            absent = pool.growth_seconds if pool.growth_nodes > 0 and not rates else 0.0
            there = max(0.0, T - absent)
            used += sum(there * float(data.serving[v].pod.as_tuple()[d]) * n[v] for v in serving)
            if offered <= 0.0 or isinstance(used, int | float):
                continue
            if rates:
                rows.append(used / offered + rho * float((held * pool.fixed_seconds).sum()) / offered <= 1)
            else:
                busy = float((held * np.minimum(pool.fixed_seconds, T)).sum())
                rows.append(used / offered <= max(0.0, 1 - busy / offered))
    return rows


def _caps(data: ModelData, T: float, Y: Any, n: Any, rho: Any, rates: bool) -> list[Any]:
    """(6): what holds devices that count for a cap, for how long, against the cap until T."""
    rows = []
    for one in data.caps:
        cap, most = one.cap, one.cap.most
        mine = [(g, data.pool[g], data.replicas[g] * data.pods[g, 0]) for g in range(len(data.columns))]
        mine += [
            (int(g), data.also.pool[k], data.also.replicas[k] * data.also.pods[k, 0])
            for k, g in enumerate(data.also.column)
        ]
        used: Any = sum(
            float(devices * one.each[p] * data.length[g]) * Y[g]
            for g, p, devices in mine
            if p in one.each and cap.covers(data.columns[g].job.namespace)
        )
        for v, option in enumerate(data.serving):
            if option.pool in one.each and cap.covers(data.services[option.service].key.namespace):
                used = used + T * float(option.pod.devices * one.each[option.pool]) * n[v]
        if isinstance(used, int | float):
            continue
        times = sorted({0.0, *(left for _, left in one.fixed)})
        spans = [(a, b if rates else min(b, T)) for a, b in pairwise(times)]
        busy = sum(max(0.0, b - a) * min(most, sum(held for held, left in one.fixed if left > a)) for a, b in spans)
        if rates:
            rows.append(used / (most * T) + rho * (busy / (most * T)) <= 1)
        else:
            rows.append(used / (most * T) <= max(0.0, 1 - busy / (most * T)))
    return rows


def _flows(data: ModelData, T: float, Y: Any, rho: Any, rates: bool) -> tuple[list[Any], dict[int, list[Any]]]:
    """(4): one flow per data set and site. A shared hop is paid once; what only one job reads ends at one site."""
    rows: list[Any] = []
    used: dict[int, list[Any]] = {}
    copied = 1.0 if rates else LIGHT_RATIO
    for k, one in enumerate(data.data_sets):
        links = [
            e
            for e in range(len(data.links))
            if data.link_source[e] in one.allowed
            and data.link_target[e] in one.allowed
            and data.link_target[e] not in one.sources
        ]
        ends = sorted({data.column_site[g] for g, sets in enumerate(data.column_data) if k in sets})
        F = cp.Variable(max(len(links), 1), nonneg=True)
        total: Any = 0.0
        copies: Any = 0.0
        most = cp.Variable(nonneg=True)
        for site in ends:
            phi = cp.Variable(max(len(links), 1), nonneg=True)
            z = cp.Variable(nonneg=True)
            readers: dict[int, list[int]] = {}
            for g, sets in enumerate(data.column_data):
                if k in sets and data.column_site[g] == site:
                    readers.setdefault(int(data.job_class[g]), []).append(g)
            for j, columns in readers.items():
                rows.append(cp.sum(Y[columns]) / data.multiplicity[j] <= z)
            if not one.private:
                rows += [z <= copied, z <= most]
                copies += z
            total = total + phi
            rows += _conserved(data, one.sources, links, phi, site, one.size_bytes / T * z, T)
            if not one.private:
                rows.append(phi <= F)
        if one.private:
            rows.append(total <= F)
        else:
            rows.append(most <= copied)
            away: dict[int, list[int]] = {}
            for g, sets in enumerate(data.column_data):
                if k in sets:
                    away.setdefault(int(data.job_class[g]), []).append(g)
            rows += [cp.sum(Y[columns]) / data.multiplicity[j] <= most for j, columns in away.items()]
            out = [at for at, e in enumerate(links) if data.link_source[e] in one.sources]
            scale = max([one.size_bytes / T, *(float(data.bandwidth[links[at]]) for at in out)])
            if scale > 0.0:
                sent = sum(float(data.bandwidth[links[at]]) / scale * F[at] for at in out)
                rows.append(sent >= one.size_bytes / T / scale * most)
            if np.isfinite(one.copies_allowed):
                rows.append(copies <= one.copies_allowed * (1 if rates else rho))
        for at, e in enumerate(links):
            used.setdefault(e, []).append(F[at])
    return rows, used


def _whole(
    whole: WholeCopies, data: ModelData, T: float, Y: Any, rates: bool
) -> tuple[list[Any], dict[int, list[Any]]]:
    """(4) for whole copies: a copy or read takes its bytes of each link of its way; readers of one store share."""
    rows: list[Any] = []
    used: dict[int, list[Any]] = {}
    uses = [
        use
        for part in (whole.copied, whole.streamed)
        for use in zip(part.link.tolist(), part.column.tolist(), part.bytes_.tolist(), strict=True)
    ]
    for e, g, amount in uses:
        share = Y[g] / data.multiplicity[data.job_class[g]]
        used.setdefault(e, []).append(amount / (float(data.bandwidth[e]) * T) * share)
    for move in whole.shared:
        made = cp.Variable(len(move.ways), nonneg=True)
        rows.append(made <= (1.0 if rates else LIGHT_RATIO))
        for mine in move.readers:
            rows.append(cp.sum(Y[list(mine)]) / data.multiplicity[data.job_class[mine[0]]] <= cp.sum(made))
        for w, way in enumerate(move.ways):
            for e, amount in way:
                used.setdefault(e, []).append(amount / (float(data.bandwidth[e]) * T) * made[w])
    return rows, used


def _conserved(
    data: ModelData, sources: frozenset[str], links: list[int], phi: Any, site: str, wanted: Any, T: float
) -> list[Any]:
    rows = []
    touched = {data.link_source[e] for e in links} | {data.link_target[e] for e in links} | {site}
    for relay in sorted(touched - sources):
        B = [float(data.bandwidth[e]) for e in links]
        scale = max([*B, 1.0])
        into = sum(B[at] / scale * phi[at] for at, e in enumerate(links) if data.link_target[e] == relay)
        out = sum(B[at] / scale * phi[at] for at, e in enumerate(links) if data.link_source[e] == relay)
        rows.append(into - out >= (wanted / scale if relay == site else 0))
    return rows


def _links(
    data: ModelData, T: float, x: dict[tuple[int, int], Any], used: dict[int, list[Any]], rates: bool
) -> list[Any]:
    """(3): shares of a link's volume, transfers under way and online traffic included."""
    rows = []
    for e in range(len(data.links)):
        B = float(data.bandwidth[e])
        share: Any = sum(used.get(e, []))
        for (v, i), requests in x.items():
            site = data.pools[data.serving[v].pool].site
            per_request = dict(dict(data.demands[i].traffic).get(site, ())).get(e, 0.0)
            share = share + per_request / B * requests
        busy = 0.0 if rates else sum(min(rate, left / T) for path, rate, left in data.active if e in path)
        if not isinstance(share, int | float):
            rows.append(share <= max(0.0, 1 - min(busy, B) / B))
    return rows
