"""Pods that fill a node badly: five-device pods on eight-device nodes cost a node each. Kind `shape`, strengthens."""

from dataclasses import dataclass

import numpy as np

from polyhull.optimize.data import Floats, Ints, ModelData
from polyhull.optimize.programme.dual_feasible import STEPS, dual_feasible_whole
from polyhull.optimize.programme.frame import Frame
from polyhull.optimize.programme.pools import Area, PoolPart, pool_parts


def shape_rows(frame: Frame) -> None:
    """As `pool`, with a dual feasible function of pod/node in place of devices."""
    if not frame.cuts:
        return
    T = frame.T
    for part in frame.once(_parts):
        pool, mine = frame.data.pools[part.p], part.mine
        room = part.nodes * T + part.growing * max(0.0, T - pool.growth_seconds)
        if room <= 0.0:
            frame.matrix.add(("shape", part.p), 1.0)
            continue
        busy = float((part.busy * np.minimum(pool.fixed_seconds, T)).sum())
        frame.matrix.add(
            ("shape", part.p),
            max(0.0, 1.0 - busy / room),
            (frame.Y[mine], part.each * frame.data.length[mine] / room),
            (frame.n[part.serving], part.of_service * part.area.there(0.0, T) / room),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One function on one pool's nodes: values of columns (all pods of all jobs), of a replica, of running groups."""

    p: int
    mine: Ints
    serving: Ints
    each: Floats
    of_service: Floats
    busy: Floats
    area: Area
    nodes: float
    growing: float


def _parts(data: ModelData) -> tuple[_Part, ...]:
    found = []
    for part in pool_parts(data):
        for step in STEPS:
            one = _part(data, part, step)
            if one is not None:
                found.append(one)
    return tuple(found)


def _part(data: ModelData, of: PoolPart, step: int) -> _Part | None:
    """None where it says no more than devices do."""
    pool, mine, d = data.pools[of.p], of.gangs.column, of.d
    whole = float(pool.largest[d])
    if not 0.0 < whole < 2.0**50:
        return None
    pods = of.gangs.pods[:, d]
    each, of_service = dual_feasible_whole(pods, whole, step), dual_feasible_whole(of.served, whole, step)
    nodes = float(dual_feasible_whole(pool.nodes[:, d], whole, step).sum()) * (1.0 + 1e-12)
    growing = pool.growth_nodes * float(dual_feasible_whole(pool.growth_shape[d : d + 1], whole, step)[0])
    asked, weighed = np.concatenate([pods, of.served]), np.concatenate([each, of_service])
    if not _stronger(weighed, nodes + growing, asked, of.area.most):
        return None
    per_pod = pool.fixed_pods[:, d] / np.maximum(pool.fixed_counts, 1.0)
    busy = pool.fixed_counts * dual_feasible_whole(per_pod, whole, step)
    all_pods = each * of.gangs.replicas * data.multiplicity[data.job_class[mine]]
    return _Part(of.p, mine, of.serving, all_pods, of_service, busy, of.area, nodes, growing)


def _stronger(each: Floats, total: float, plain: Floats, plain_total: float) -> bool:
    if total <= 0.0 or plain_total <= 0.0:
        return False
    return bool(np.any(each / total > plain / plain_total * (1.0 + 1e-6)))
