"""A fixed-T programme with its columns as flat arrays, and the certificate that any prices give.

Minimise the largest load theta over rows i (pools' resources, then links):

    theta * room_i  >=  held_i + sum_g jobs use_g Y_g  (+ flows of data on links),      sum_g Y_g = 1 in every class.

A class asks one thing of prices: its cheapest column, data included along the cheapest paths. So for any unit
prices w >= 0 the sum of those answers is a bound, and pricing a million columns is one vectorised minimum.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polyhull.optimize.data import Floats, Ints

_UNIT = 2.0**-52


@dataclass(frozen=True, eq=False)
class LargeProblem:
    """`x_of` arrays are offsets: the entries of i are [x_of[i], x_of[i + 1]). Units: seconds of use and bytes against
    `room`, which is in device-seconds (or device-seconds per second) and bytes (or bytes per second)."""

    column_of: Ints
    """[class + 1] columns of a class; at least one each."""
    row: Ints
    """[column, width] rows a column uses; -1: none. The first is never -1."""
    use: Floats
    """[column, width] what one job uses of them, not negative."""
    site: Ints
    """[column] where its data must be; -1: nothing to bring."""
    jobs: Floats
    """[class] m_j."""
    need_of: Ints
    need_commodity: Ints
    """A commodity at most once in a class."""
    need_bytes: Floats
    """By one job, positive."""
    source_of: Ints
    """[commodity + 1]"""
    source: Ints
    way_of: Ints
    way: Ints
    """Links a commodity may use."""
    link_from: Ints
    link_to: Ints
    sites: int
    room: Floats
    """[row, then link] positive."""

    @property
    def classes(self) -> int:
        return len(self.jobs)

    @property
    def columns(self) -> int:
        return len(self.site)

    @property
    def rows(self) -> int:
        return len(self.room) - len(self.link_from)

    @property
    def commodities(self) -> int:
        return len(self.source_of) - 1

    @cached_property
    def class_of(self) -> Ints:
        """[column]"""
        return np.repeat(np.arange(self.classes), np.diff(self.column_of))

    @cached_property
    def data_place(self) -> Ints:
        """[column] its place in `data_costs` laid flat; one past the end: nothing to bring."""
        return np.where(self.site < 0, self.classes * self.sites, self.class_of * self.sites + self.site)

    @cached_property
    def roundings(self) -> float:
        """Relative error of a class's cheapest price: all terms are >= 0, so it grows with their number only."""
        needs = int(np.diff(self.need_of).max(initial=0))
        return (int(self.row.shape[1]) + needs + self.sites + 16) * _UNIT

    def distances(self, prices: Floats) -> Floats:
        """[commodity, site] price per byte along the cheapest path; infinite where none leads."""
        out = np.full((self.commodities, self.sites), np.inf)
        for k in range(self.commodities):
            links = self.way[self.way_of[k] : self.way_of[k + 1]]
            start, end = self.link_from[links], self.link_to[links]
            length = prices[self.rows + links]
            distance = out[k]
            distance[self.source[self.source_of[k] : self.source_of[k + 1]]] = 0.0
            for _ in range(self.sites):
                before = distance.copy()
                np.minimum.at(distance, end, before[start] + length)
                if np.array_equal(before, distance):
                    break
        return out

    def column_prices(self, prices: Floats) -> Floats:
        """[column] of one job at unit prices: rows, and its data along cheapest paths."""
        cost = prices[self.row[:, 0]] * self.use[:, 0]
        for w in range(1, self.row.shape[1]):
            mine = np.flatnonzero(self.row[:, w] >= 0)
            cost[mine] += prices[self.row[mine, w]] * self.use[mine, w]
        cost += self.data_costs(self.distances(prices))[self.data_place]
        return cost

    def data_costs(self, distances: Floats) -> Floats:
        """[class x site, then 0.0] price of all data of one job of a class brought to a site."""
        each = distances[self.need_commodity] * self.need_bytes[:, None]
        full = np.zeros((self.classes, self.sites))
        some = np.flatnonzero(np.diff(self.need_of))
        if len(some):
            full[some] = np.add.reduceat(each, self.need_of[:-1][some], axis=0)
        return np.append(full.ravel(), 0.0)

    def cheapest(self, cost: Floats) -> Floats:
        """[class] of [column]."""
        found: Floats = np.minimum.reduceat(cost, self.column_of[:-1])
        return found

    def work_at_least(self, prices: Floats) -> float:
        """sum_j m_j min_g price, rounded down; what all jobs cost at these unit prices at the very least."""
        least = self.cheapest(self.column_prices(prices))
        total = math.fsum((self.jobs * least).tolist())
        return max(0.0, math.nextafter(total * (1.0 - self.roundings), 0.0)) if math.isfinite(total) else total

    def load_at_least(self, prices: Floats) -> float:
        """A proven lower bound on theta (nothing held) from any prices >= 0; 0 where they prove nothing."""
        offered = math.fsum((prices * self.room).tolist())
        offered = math.nextafter(offered * (1.0 + 4.0 * _UNIT), math.inf)
        if not (0.0 < offered < math.inf) or bool((prices < 0.0).any()):
            return 0.0
        return math.nextafter(self.work_at_least(prices) / offered, 0.0)
