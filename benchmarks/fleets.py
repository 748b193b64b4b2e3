"""Synthetic fleets of a given size, restated: how the anchors' 101,049 and 1,004,540 columns were drawn is not known
beyond classes x pools x sites, so their counts of columns are kept and the rest is stated here.

Every site has pools of some of ten device kinds, the fastest sixteen times as fast as the slowest; a quarter of the
sites are edge. A class is 1 to 20 equal jobs of 1, 2, 4 or 8 devices that would take 16 to 256 hours on the slowest
kind, a random factor (log-normal, 0.5) apart for every kind, and may run on about half of all pools. Its data lies at
one site, 60 % at the edge, log-uniform over three decades. All ordered pairs of sites are linked: log-normal around
3.6 Gbit/s between 0.08 and 26.4 (the range and median of the Skyplane grid), out of an edge site at most 0.2 and into
one at most 1 Gbit/s. Data may be relayed. `most_bytes` is set so that devices and links both bind.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csc_matrix

from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.large.problem import LargeProblem

KINDS = 10


@dataclass(frozen=True, slots=True)
class FleetShape:
    """`columns`: of the linear programme, flows by link and the largest load included. `servers` of 8 devices in all,
    spread over pools by `mix` of their kinds; 0: 8 to 256 devices a pool, log-uniform."""

    classes: int
    pools: int
    sites: int
    columns: int
    most_bytes: float
    seed: int = 1
    most_jobs: int = 20
    servers: int = 0
    mix: tuple[int, ...] = (1,) * KINDS

    def __str__(self) -> str:
        return (
            f"{self.classes:,} classes x {self.pools} pools x {self.sites} sites, {self.columns:,} columns, "
            f"data {self.most_bytes / 1e12:g} GB-{self.most_bytes / 1e12:g} TB, seed {self.seed}"
        )


MEDIUM = FleetShape(2_000, 100, 20, 101_049, 0.7e12)
LARGE = FleetShape(10_000, 200, 30, 1_004_540, 2.5e12)


def draw(shape: FleetShape) -> LargeProblem:
    """Loads are in seconds: `room` is devices and bytes per second. The same problem for the same shape, always."""
    dice = np.random.default_rng(shape.seed)
    J, S = shape.classes, shape.sites
    edge = np.arange(S) < max(1, S // 4)
    site, kind, devices = _pools(shape, dice, edge)
    start, end, bandwidth = _links(S, dice, edge)
    speed = np.exp(dice.uniform(0.0, np.log(16.0), KINDS))
    jobs = dice.integers(1, shape.most_jobs + 1, J).astype(np.float64)
    gang = dice.choice([1, 2, 4, 8], J, p=[0.5, 0.2, 0.2, 0.1])
    slowest = np.exp(dice.uniform(np.log(16.0), np.log(256.0), J)) * 3600.0
    seconds = slowest[:, None] / (speed * np.exp(dice.normal(0.0, 0.5, (J, KINDS))))
    classes, pools = _columns(shape, dice, kind, len(start))
    home = np.where(dice.random(J) < 0.6, dice.integers(0, edge.sum(), J), dice.integers(edge.sum(), S, J))
    size = np.exp(dice.uniform(np.log(shape.most_bytes / 1e3), np.log(shape.most_bytes), J))
    ways = [np.flatnonzero(end != k) for k in range(S)]
    return LargeProblem(
        column_of=np.searchsorted(classes, np.arange(J + 1)),
        row=pools.astype(np.int32)[:, None],
        use=(seconds[classes, kind[pools]] * gang[classes])[:, None],
        site=site[pools].astype(np.int32),
        jobs=jobs,
        need_of=np.arange(J + 1),
        need_commodity=home,
        need_bytes=size,
        source_of=np.arange(S + 1),
        source=np.arange(S),
        way_of=np.concatenate([[0], np.cumsum([len(way) for way in ways])]),
        way=np.concatenate(ways),
        link_from=start,
        link_to=end,
        sites=S,
        room=np.concatenate([devices, bandwidth]),
    )


def _pools(shape: FleetShape, dice: np.random.Generator, edge: Any) -> tuple[Ints, Ints, Floats]:
    site = np.sort(np.arange(shape.pools) % shape.sites)
    kind = np.concatenate([dice.permutation(KINDS)[: int((site == s).sum())] for s in range(shape.sites)])
    if shape.servers:
        part = np.array(shape.mix, dtype=np.float64)[kind]
        ends = np.floor(np.cumsum(part / part.sum()) * shape.servers + 0.5)
        return site, kind, 8.0 * np.diff(ends, prepend=0.0)
    devices = 8 * np.floor(np.exp(dice.uniform(0.0, np.log(32.0), shape.pools)))
    return site, kind, np.where(edge[site], np.minimum(devices, 32.0), devices)


def _links(sites: int, dice: np.random.Generator, edge: Any) -> tuple[Ints, Ints, Floats]:
    start, end = (x.ravel() for x in np.meshgrid(np.arange(sites), np.arange(sites), indexing="ij"))
    start, end = start[start != end], end[start != end]
    gigabits = np.exp(dice.normal(np.log(3.6), 1.0, len(start))).clip(0.08, 26.4)
    gigabits = np.where(edge[start], np.minimum(gigabits, 0.2), gigabits)
    return start, end, np.where(edge[end], np.minimum(gigabits, 1.0), gigabits) * 1e9 / 8.0


def _columns(shape: FleetShape, dice: np.random.Generator, kind: Ints, links: int) -> tuple[Ints, Ints]:
    """(class, pool) of every column: kinds by coin, then pools added or left out at random to the count asked for;
    never the first pool of a class."""
    wanted = shape.columns - 1 - shape.sites * links
    able = dice.random((shape.classes, KINDS)) < 0.5
    able[np.arange(shape.classes), dice.integers(0, KINDS, shape.classes)] = True
    may = np.ascontiguousarray(able[:, kind])
    may[np.arange(shape.classes), dice.integers(0, shape.pools, shape.classes)] = True
    change = int(may.sum()) - wanted
    keep = np.zeros_like(may)
    keep[np.arange(shape.classes), may.argmax(axis=1)] = True
    places = np.flatnonzero((may & ~keep if change > 0 else ~may).ravel())
    may.ravel()[dice.choice(places, abs(change), replace=False)] ^= True
    classes, pools = np.nonzero(may)
    return classes, pools


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """min load: `matrix` in columns (load, shares, flows by commodity and link); rows of classes, rooms, balances."""

    matrix: Any
    lower: Floats
    upper: Floats
    cost: Floats


def linear(problem: LargeProblem) -> Linear:
    """The same programme written out for a linear solver, in hours and terabytes, flows by link."""
    J, R, E, K, S = problem.classes, len(problem.room), len(problem.link_from), problem.commodities, problem.sites
    G = problem.columns
    share, flow = 1 + np.arange(G), 1 + G + np.arange(K * E)
    k, e = np.repeat(np.arange(K), E), np.tile(np.arange(E), K)
    first, balance = problem.link_from[e], J + R + k * S
    jobs, home = problem.jobs[problem.class_of], problem.need_commodity[problem.class_of]
    away = np.flatnonzero(problem.site != home)
    volume = problem.room[problem.rows + e] * 3600.0 / 1e12
    enters, leaves = problem.link_to[e] != k, first != k
    terabytes = jobs * problem.need_bytes[problem.class_of] / 1e12
    row, use = problem.row[:, 0], problem.use[:, 0]
    parts = (
        (problem.class_of, share, np.ones(G)),
        (J + row, share, use * jobs / problem.room[row] / 3600.0),
        (J + np.arange(R), np.zeros(R, dtype=np.int64), -np.ones(R)),
        (J + problem.rows + e, flow, np.ones(K * E)),
        ((balance + problem.link_to[e])[enters], flow[enters], volume[enters]),
        ((balance + first)[leaves], flow[leaves], -volume[leaves]),
        ((J + R + home * S + problem.site)[away], share[away], -terabytes[away]),
    )
    rows, cols, values = (np.concatenate(one) for one in zip(*parts, strict=True))
    matrix = csc_matrix((values, (rows, cols)), shape=(J + R + K * S, 1 + G + K * E))
    lower = np.concatenate([np.ones(J), np.full(R, -np.inf), np.zeros(K * S)])
    upper = np.concatenate([np.ones(J), np.zeros(R), np.full(K * S, np.inf)])
    cost = np.zeros(1 + G + K * E)
    cost[0] = 1.0
    return Linear(matrix, lower, upper, cost)
