"""(2) Device-seconds (cpu-seconds … where they bind). Kinds `pool`, `area`, and to strengthen `window`, `long`."""

from dataclasses import dataclass, replace

import numpy as np

from polyhull.optimize.data import DIMENSIONS, Floats, Gangs, Ints, ModelData, PoolData
from polyhull.optimize.programme.dual_feasible import STEPS, dual_feasible, dual_feasible_least, thresholds
from polyhull.optimize.programme.frame import Frame, by_pool
from polyhull.optimize.programme.windows import Long


def pool_rows(frame: Frame) -> None:
    """What jobs hold, plus T times what replicas hold, less what already runs, is at most N T + s (T - delta)+."""
    for part in frame.once(pool_parts):
        _rows(frame, part)


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """Resource d of pool p: what its columns take, when, and what there is."""

    use: Floats
    """[column] units it holds, times its class's jobs."""
    length: Floats
    earliest: Floats
    held: Floats
    """[fixed group] units that already run."""
    left: Floats
    capacity: float
    grown: float
    delay: float
    absent: float
    """A replica may be on a growth node, which is not there before."""

    @classmethod
    def of(cls, data: ModelData, p: int, d: int, gangs: Gangs) -> "Area":
        pool, mine = data.pools[p], gangs.column
        return cls(
            gangs.replicas * gangs.pods[:, d] * data.multiplicity[data.job_class[mine]],
            data.length[mine],
            data.earliest[mine],
            pool.fixed_pods[:, d],
            pool.fixed_seconds,
            float(pool.capacity[d]),
            float(pool.growth_nodes * pool.growth_shape[d]),
            pool.growth_seconds,
            pool.growth_seconds if pool.growth_nodes > 0 else 0.0,
        )

    @property
    def most(self) -> float:
        return self.capacity + self.grown

    def room(self, head: float, T: float) -> float:
        """Unit-seconds between `head` and T."""
        return self.capacity * max(0.0, T - head) + self.grown * max(0.0, T - max(head, self.delay))

    def there(self, head: float, T: float) -> float:
        """Seconds after `head` that a replica holds its devices for certain."""
        return max(0.0, T - max(head, self.absent))

    def fixed(self, head: float, T: float) -> float:
        """What already runs takes of `room`."""
        return float((self.held * np.maximum(0.0, np.minimum(self.left, T) - head)).sum())

    def inside(self, head: float) -> Floats:
        """[column] unit-seconds after `head` at least."""
        return self.use * np.minimum(self.length, np.maximum(0.0, self.earliest + self.length - head))

    def long(self, long: Long, W: float) -> Floats:
        """[column] the function of its length over W, where it cannot start before the window."""
        return np.where(self.earliest >= long.seconds, _function(long, np.minimum(self.length / W, 1.0)), 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class PoolPart:
    """A pool's resource that binds, who uses it, and whether all of them at once could have too little of it."""

    p: int
    d: int
    gangs: Gangs
    serving: Ints
    served: Floats
    """[serving option] what one replica asks for."""
    area: Area
    scarce: bool


def pool_parts(data: ModelData) -> tuple[PoolPart, ...]:
    parts = []
    for p, gangs in enumerate(by_pool(data)):
        pool = data.pools[p]
        serving, served = serving_at(data, p)
        for d in binding_dimensions(pool, gangs.pods, served):
            area = Area.of(data, p, d, gangs)
            most = np.zeros(len(data.jobs))
            np.maximum.at(most, data.job_class[gangs.column], area.use)
            scarce = bool(len(serving)) or float(most.sum() + area.held.sum()) > area.capacity
            parts.append(PoolPart(p, d, gangs, serving, served[:, d], area, scarce))
    return tuple(parts)


def serving_at(data: ModelData, p: int) -> tuple[Ints, Floats]:
    """Serving options of a pool, and [option, dimension] what one of their pods asks for."""
    serving = [v for v, one in enumerate(data.serving) if one.pool == p]
    pods = [data.serving[v].pod.as_tuple() for v in serving]
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


def _rows(frame: Frame, part: PoolPart) -> None:
    """Plain, from a head on, and of long jobs (docs/model.md)."""
    p, d, area, T = part.p, part.d, part.area, frame.T
    if not frame.strengthened:
        area = replace(area, delay=0.0, absent=0.0)

    def add(kind: str, columns: Floats, per_replica: float, room: float, fixed: float) -> None:
        if room <= 0.0:
            frame.matrix.add((kind, p), 1.0)
            return
        parts = [
            (frame.Y[part.gangs.column], columns / room),
            (frame.n[part.serving], part.served * per_replica / room),
        ]
        if frame.strengthened:
            frame.matrix.add((kind, p), max(0.0, 1.0 - fixed / room), *parts)
        else:
            frame.matrix.add((kind, p), 1.0, *parts, (frame.rho, np.array([fixed / room])))

    fixed = area.fixed(0.0, T if frame.strengthened else np.inf)
    add("pool" if d == 0 else "area", area.use * area.length, area.there(0.0, T), area.room(0.0, T), fixed)
    # Where everything fits at once nothing below can bind before all jobs are done.
    if not frame.cuts or (frame.data.whole is not None and not part.scarce):
        return
    heads, longs = _windows(frame, p, d, area)
    for head in heads:
        add("window", area.inside(head), area.there(head, T), area.room(head, T), area.fixed(head, T))
    for long in longs:
        W = T - long.seconds
        if W <= 0.0:
            frame.matrix.add(("long", p), 1.0)
            continue
        held = (
            float((area.held * _function(long, np.minimum(area.left / W, 1.0))).sum()) if long.seconds == 0 else 0.0
        )
        there = area.there(long.seconds, T)
        served = 1.0 if there >= W else float(_function(long, np.array([there / W]))[0])
        add("long", area.use * area.long(long, W), served, area.most, held)


def _windows(frame: Frame, p: int, d: int, area: Area) -> tuple[list[float], list[Long]]:
    """For whole copies where a solution was found to violate them; else at the heads' quartiles."""
    longs = [Long(p, d, 0.0, step, 0.0) for step in STEPS[:3]]
    if frame.data.whole is not None:
        heads = [one.seconds for one in frame.windows.heads if (one.pool, one.dimension) == (p, d)]
        more = [one for one in frame.windows.longs if (one.pool, one.dimension) == (p, d) and one not in longs]
        return heads, [*longs, *more]
    quartiles = thresholds(area.earliest, area.use * area.length)
    return list(quartiles), [*(Long(p, d, head, 1, 0.0) for head in quartiles), *longs]


def _function(long: Long, share: Floats) -> Floats:
    return dual_feasible(share, long.step) if long.step else dual_feasible_least(share, long.least)
