"""What all kinds of rows share: the data, T, which programme is asked for, and the variables so far."""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from polyhull.optimize.data import Floats, Gangs, Ints, ModelData
from polyhull.optimize.programme.commodities import flow_variables
from polyhull.optimize.programme.matrix import Matrix, Programme
from polyhull.optimize.programme.windows import NO_WINDOWS, Windows

MOST_SHARE = 1e4
"""Upper bound of rho's parts: keeps the programme bounded where nothing binds; no proof uses it."""
LIGHT_RATIO = 4.0
"""The light programme speaks of schedules that end at T / LIGHT_RATIO or later."""


X = TypeVar("X")


class Layout:
    """What does not depend on T, worked out once for all programmes of the same data."""

    def __init__(self, data: ModelData) -> None:
        self.data = data
        self._known: dict[Callable[[ModelData], Any], Any] = {}

    def once(self, build: Callable[[ModelData], X]) -> X:
        """`build(data)`, remembered."""
        if build not in self._known:
            self._known[build] = build(self.data)
        found: X = self._known[build]
        return found


class Frame:
    """One programme in the making. `Y`, `n`, `x` and `rho` are variable indices; `n` and `x` per serving option and
    (option, demand) pair. `strengthened`: a fixed T with columns filtered, else the rate programme. `cuts`: with the
    rows that only strengthen; for whole copies they are those of `windows`. `soft`: demands are upper limits."""

    def __init__(
        self,
        data: ModelData,
        seconds: float,
        strengthened: bool,
        soft: bool,
        light: bool,
        windows: Windows = NO_WINDOWS,
        layout: Layout | None = None,
    ) -> None:
        self.once = (layout or Layout(data)).once
        self.data, self.T, self.strengthened, self.soft = data, seconds, strengthened, soft
        self.cuts, self.windows = strengthened and not light, windows
        self.matrix = Matrix()
        self.upper: list[Floats] = []
        self.size = 0
        admissible = np.where(data.finish <= seconds, MOST_SHARE, 0.0) if strengthened else MOST_SHARE
        self.Y = self.variables(len(data.columns), admissible)
        self.n = self.variables(len(data.serving), np.array([float(one.most_replicas) for one in data.serving]))
        self.pairs = [(v, i) for v, one in enumerate(data.serving) for i, _ in one.per_request]
        self.x = self.variables(len(self.pairs), 1.0)
        # In rates of a schedule that ends at M a copied share is T/M: more than 1 where M < T.
        most_copied = LIGHT_RATIO if light and strengthened else 1.0
        self.flows = flow_variables(data, self.variables, most_copied)
        shared = data.whole.shared if data.whole is not None else ()
        self.W = [self.variables(len(move.ways), most_copied) for move in shared]
        """[shared move] share of it that each of its ways brings."""
        self.rho = self.variables(1)

    def variables(self, count: int, upper: float | Floats = math.inf) -> Ints:
        first, self.size = self.size, self.size + count
        self.upper.append(np.broadcast_to(np.asarray(upper, dtype=np.float64), (count,)))
        return np.arange(first, first + count, dtype=np.int64)

    def programme(self) -> Programme:
        """All that was added so far."""
        matrix = self.matrix
        empty_int, empty_float = np.zeros(0, dtype=np.int64), np.zeros(0)
        return Programme(
            seconds=self.T,
            rows=np.concatenate([empty_int, *matrix.rows]),
            cols=np.concatenate([empty_int, *matrix.cols]),
            values=np.concatenate([empty_float, *matrix.values]),
            rhs=np.array(matrix.rhs, dtype=np.float64),
            equal=np.array(matrix.equal, dtype=np.bool_),
            upper=np.concatenate(self.upper),
            kinds=tuple(matrix.kinds),
            job_rows=len(self.data.jobs),
            column_variables=len(self.data.columns),
            service_start=len(self.data.columns),
            pairs=tuple(self.pairs),
        )

    @cached_property
    def online(self) -> dict[int, tuple[Ints, Floats]]:
        """Link -> (x variables, bytes per second of all of that demand) of online traffic over it."""
        found: dict[int, list[tuple[int, float]]] = {}
        for pair, (v, i) in enumerate(self.pairs):
            demand = self.data.demands[i]
            site = self.data.pools[self.data.serving[v].pool].site
            for e, per_request in dict(demand.traffic).get(site, ()):
                found.setdefault(e, []).append((int(self.x[pair]), per_request * demand.requests_per_second))
        return {
            e: (np.array([x for x, _ in parts], dtype=np.int64), np.array([rate for _, rate in parts]))
            for e, parts in found.items()
        }

    def active_rate(self, links: tuple[int, ...], window: float) -> float:
        """Mean bytes/s that running transfers put on these links within a window from now on."""
        total = 0.0
        for e in links:
            rate = sum(min(r, left / window) for path, r, left in self.data.active if e in path)
            total += min(rate, float(self.data.bandwidth[e]))
        return total


def grouped(labels: Ints, count: int) -> tuple[Ints, ...]:
    """[label] the positions that carry it, ascending."""
    order = np.argsort(labels, kind="stable")
    return tuple(np.split(order, np.searchsorted(labels[order], np.arange(1, count)))) if count else ()


def by_class(data: ModelData) -> tuple[Ints, ...]:
    """[class] its columns."""
    return grouped(data.job_class, len(data.jobs))


def by_pool(data: ModelData) -> tuple[Gangs, ...]:
    """[pool] what columns hold there."""
    first = (
        Gangs(mine, data.pool[mine], data.replicas[mine], data.pods[mine])
        for mine in grouped(data.pool, len(data.pools))
    )
    if not len(data.also.column):
        return tuple(first)
    also = (data.also.of(mine) for mine in grouped(data.also.pool, len(data.pools)))
    return tuple(one.and_of(other) for one, other in zip(first, also, strict=True))


def by_link(data: ModelData) -> tuple[Ints, ...]:
    """[link] the uses of it by whole copies."""
    uses = data.whole.copied.link if data.whole is not None else np.zeros(0, dtype=np.int64)
    return grouped(uses, len(data.links))


def streams_by_link(data: ModelData) -> tuple[Ints, ...]:
    """[link] the uses of it by streamed reads."""
    uses = data.whole.streamed.link if data.whole is not None else np.zeros(0, dtype=np.int64)
    return grouped(uses, len(data.links))
