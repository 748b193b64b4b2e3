"""(2) Device-seconds (cpu-seconds … where they bind). Kinds `pool`, `area`, and to strengthen `window`, `long`."""

import numpy as np

from polyhull.optimize.data import DIMENSIONS, Floats, Ints, PoolData
from polyhull.optimize.programme.dual_feasible import STEPS, dual_feasible, thresholds
from polyhull.optimize.programme.frame import Frame


def pool_rows(frame: Frame) -> None:
    """What jobs hold, plus T times what replicas hold, less what already runs, is at most N T + s (T - delta)+."""
    for p, pool in enumerate(frame.data.pools):
        mine = frame.by_pool[p]
        serving, served = serving_at(frame, p)
        for d in binding_dimensions(pool, frame.data.pods[mine], served):
            _area(frame, p, d, mine, serving, served[:, d])


def serving_at(frame: Frame, p: int) -> tuple[Ints, Floats]:
    """Serving options of a pool, and [option, dimension] what one of their pods asks for."""
    serving = [v for v, one in enumerate(frame.data.serving) if one.pool == p]
    pods = [frame.data.serving[v].pod.as_tuple() for v in serving]
    return np.array(serving, dtype=np.int64), np.array(pods, dtype=np.float64).reshape(-1, DIMENSIONS)


def binding_dimensions(pool: PoolData, pods: Floats, served: Floats) -> tuple[int, ...]:
    """Devices first; another resource only where some pod uses a larger share of it than of every one before."""
    asked = np.vstack([pods, served])
    if not len(asked):
        return ()
    capacity = pool.capacity + pool.growth_nodes * pool.growth_shape
    most = np.zeros(len(asked))
    found = []
    for d in range(DIMENSIONS):
        if capacity[d] <= 0.0:
            continue
        share = asked[:, d] / capacity[d]
        if bool(np.any(share > most * (1.0 + 1e-9))):
            found.append(d)
            most = np.maximum(most, share)
    return tuple(found)


def _area(frame: Frame, p: int, d: int, mine: Ints, serving: Ints, served: Floats) -> None:
    """Plain, from a head on, and of long jobs (docs/model.md)."""
    data, T, pool = frame.data, frame.T, frame.data.pools[p]
    use = data.replicas[mine] * data.pods[mine, d] * frame.weight[mine]
    delay = pool.growth_seconds if frame.strengthened else 0.0
    grown = pool.growth_nodes * pool.growth_shape[d]
    N = pool.capacity[d]
    length, earliest = data.length[mine], data.earliest[mine]
    held = pool.fixed_pods[:, d]
    left = pool.fixed_seconds
    # A replica may be on a growth node, which is not there before.
    absent = delay if pool.growth_nodes > 0 else 0.0

    def add(kind: str, columns: Floats, per_replica: float, room: float, fixed: float) -> None:
        if room <= 0.0:
            frame.matrix.add((kind, p), 1.0)
            return
        parts = [(frame.Y[mine], columns / room), (frame.n[serving], served * per_replica / room)]
        if frame.strengthened:
            frame.matrix.add((kind, p), max(0.0, 1.0 - fixed / room), *parts)
        else:
            frame.matrix.add((kind, p), 1.0, *parts, (frame.rho, np.array([fixed / room])))

    fixed = float((held * (np.minimum(left, T) if frame.strengthened else left)).sum())
    add("pool" if d == 0 else "area", use * length, max(0.0, T - absent), N * T + grown * max(0.0, T - delay), fixed)
    if not frame.cuts:
        return
    for head in thresholds(earliest, use * length):
        W = T - head
        inside = use * np.minimum(length, np.maximum(0.0, earliest + length - head))
        room = N * W + grown * max(0.0, T - max(head, delay)) if W > 0.0 else 0.0
        add(
            "window",
            inside,
            max(0.0, T - max(head, absent)),
            room,
            float((held * np.maximum(0.0, np.minimum(left, T) - head)).sum()),
        )
        after = np.where(earliest >= head, dual_feasible(length / W, 1), 0.0) if W > 0.0 else length * 0.0
        there = _long_served(T - max(head, absent), W, 1) if W > 0.0 else 0.0
        add("long", use * after, there, N + grown if W > 0.0 else 0.0, 0.0)
    for step in STEPS[:3]:
        fixed = float((held * dual_feasible(np.minimum(left / T, 1.0), step)).sum())
        there = _long_served(T - absent, T, step)
        add("long", use * dual_feasible(np.minimum(length / T, 1.0), step), there, N + grown, fixed)


def _long_served(seconds: float, window: float, step: int) -> float:
    """What a replica that is there for the last `seconds` of a window counts as a long job."""
    return 1.0 if seconds >= window else float(dual_feasible(np.array([max(0.0, seconds) / window]), step)[0])
