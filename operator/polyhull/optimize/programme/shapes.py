"""Pods that fill a node badly: five-device pods on eight-device nodes cost a node each. Kind `shape`, strengthens."""

import numpy as np

from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.programme.dual_feasible import STEPS, dual_feasible_whole
from polyhull.optimize.programme.frame import Frame
from polyhull.optimize.programme.pools import binding_dimensions, serving_at


def shape_rows(frame: Frame) -> None:
    """As `pool`, with a dual feasible function of pod/node in place of devices."""
    if not frame.cuts:
        return
    for p, pool in enumerate(frame.data.pools):
        mine = frame.by_pool[p]
        serving, served = serving_at(frame, p)
        for d in binding_dimensions(pool, frame.data.pods[mine], served):
            _shape(frame, p, d, mine, serving, served[:, d])


def _shape(frame: Frame, p: int, d: int, mine: Ints, serving: Ints, served: Floats) -> None:
    data, T, pool = frame.data, frame.T, frame.data.pools[p]
    whole = float(pool.largest[d])
    if not 0.0 < whole < 2.0**50:
        return
    pods, N = data.pods[mine, d], pool.capacity[d] + pool.growth_nodes * pool.growth_shape[d]
    for step in STEPS:
        each, of_service = dual_feasible_whole(pods, whole, step), dual_feasible_whole(served, whole, step)
        nodes = float(dual_feasible_whole(pool.nodes[:, d], whole, step).sum()) * (1.0 + 1e-12)
        growing = pool.growth_nodes * float(dual_feasible_whole(pool.growth_shape[d : d + 1], whole, step)[0])
        if not _stronger(np.concatenate([each, of_service]), nodes + growing, np.concatenate([pods, served]), N):
            continue
        room = nodes * T + growing * max(0.0, T - pool.growth_seconds)
        if room <= 0.0:
            frame.matrix.add(("shape", p), 1.0)
            continue
        per_pod = pool.fixed_pods[:, d] / np.maximum(pool.fixed_counts, 1.0)
        busy = pool.fixed_counts * dual_feasible_whole(per_pod, whole, step) * np.minimum(pool.fixed_seconds, T)
        frame.matrix.add(
            ("shape", p),
            max(0.0, 1.0 - float(busy.sum()) / room),
            (frame.Y[mine], each * data.replicas[mine] * frame.weight[mine] * data.length[mine] / room),
            (frame.n[serving], of_service * (max(0.0, T - pool.growth_seconds) if pool.growth_nodes else T) / room),
        )


def _stronger(each: Floats, total: float, plain: Floats, plain_total: float) -> bool:
    if total <= 0.0 or plain_total <= 0.0:
        return False
    return bool(np.any(each / total > plain / plain_total * (1.0 + 1e-6)))
