"""A programme read as a large problem, and unit prices carried back to all of its rows.

Rows without negative entries (pools, windows, long jobs, shapes, cuts, links) are the rooms; what moves data becomes
commodities on links. Kinds of rows that are not understood get the price 0, which is always allowed: the certificate
(certificate.py) is computed from the programme itself, so nothing here can make a bound wrong, only weak.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polyhull.optimize.data import Floats, Ints, ModelData
from polyhull.optimize.large.kernel import MOST_WIDTH
from polyhull.optimize.large.problem import LargeProblem
from polyhull.optimize.programme import Programme

_NO_ROOM = 1e-6
"""Stands for a right-hand side of 0: whoever needs such a row pays a million times its share."""


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Some of a programme's non-zeros."""

    rows: Ints
    cols: Ints
    values: Floats

    def where(self, kept: Ints) -> "Entries":
        return Entries(self.rows[kept], self.cols[kept], self.values[kept])


class Reading:
    """`problem` has the programme's `columns` (those not excluded), in order; None if a class has none left."""

    def __init__(self, built: Programme, data: ModelData) -> None:
        self.built, self.data = built, data
        self.volume = data.bandwidth * built.seconds
        self.all = Entries(built.rows, built.cols, built.values)
        self.kind = np.array([kind for kind, _ in built.kinds])
        self.about = np.array([index for _, index in built.kinds], dtype=np.int64)
        self.columns = np.flatnonzero(built.upper[: built.column_variables] > 0.0)
        sites = {*data.link_source, *data.link_target, *data.sites}
        place = {site: s for s, site in enumerate(sorted(sites))}
        self.sites = len(place)
        self.link_from = np.array([place[site] for site in data.link_source], dtype=np.int64)
        self.link_to = np.array([place[site] for site in data.link_target], dtype=np.int64)

    # -- which rows and variables are what ------------------------------------------------------------------------

    @cached_property
    def first_flow(self) -> int:
        return self.built.service_start + len(self.data.serving) + len(self.built.pairs)

    @cached_property
    def flow_link(self) -> Ints:
        """[variable] the link whose volume it is a share of; -1: no flow variable."""
        found = np.full(len(self.built.upper), -1, dtype=np.int64)
        mine = (self.kind[self.all.rows] == "link") & (self.all.cols >= self.first_flow) & (self.all.values == 1.0)
        found[self.all.cols[mine]] = self.about[self.all.rows[mine]]
        balanced = np.zeros(len(found), dtype=np.bool_)
        balanced[self.all.cols[self.kind[self.all.rows] == "balance"]] = True
        found[~balanced] = -1
        return found

    @cached_property
    def rooms(self) -> Ints:
        """Rows that only limit: no negative entry, no part of rho, no equation."""
        bad = self.built.equal.copy()
        bad[self.all.rows[(self.all.values < 0.0) | (self.all.cols == len(self.built.upper) - 1)]] = True
        used = np.zeros(len(bad), dtype=np.bool_)
        used[self.all.rows[(self.all.cols < self.built.column_variables) | (self.flow_link[self.all.cols] >= 0)]] = (
            True
        )
        link = np.zeros(len(bad), dtype=np.bool_)
        link[self.all.rows[(self.flow_link[self.all.cols] >= 0) & (self.kind[self.all.rows] == "link")]] = True
        plain = np.flatnonzero(used & ~bad & ~link)
        return np.concatenate([plain, np.flatnonzero(link & ~bad)])

    @cached_property
    def links(self) -> Ints:
        """Links that carry flows, in the order of their rows, which are the last of `rooms`."""
        last = self.rooms[self.kind[self.rooms] == "link"]
        carried = np.zeros(len(self.built.rhs), dtype=np.bool_)
        carried[self.all.rows[self.flow_link[self.all.cols] >= 0]] = True
        found: Ints = self.about[last[carried[last]]]
        return found

    @cached_property
    def balances(self) -> tuple[Ints, Ints, Floats]:
        """(rows of kind balance that flows enter, the site of each, bytes in one unit of each)."""
        mine = (
            (self.kind[self.all.rows] == "balance") & (self.all.values < 0.0) & (self.flow_link[self.all.cols] >= 0)
        )
        rows, first = np.unique(self.all.rows[mine], return_index=True)
        links = self.flow_link[self.all.cols[mine][first]]
        return rows, self.link_to[links], self.volume[links] / -self.all.values[mine][first]

    # -- the problem ------------------------------------------------------------------------------------------------

    @cached_property
    def problem(self) -> LargeProblem | None:
        of_class = self.data.job_class[self.columns]
        counts = np.bincount(of_class, minlength=len(self.data.jobs))
        if not len(counts) or bool((counts == 0).any()):
            return None
        row, use = self._uses()
        commodities, ways, sources = self._commodities()
        need_of, need_commodity, need_bytes, site = self._needs(commodities, of_class)
        rhs = np.maximum(self.built.rhs[self.rooms], _NO_ROOM)
        links = len(self.links)
        room = np.concatenate([rhs[: len(rhs) - links], rhs[len(rhs) - links :] * self.volume[self.links]])
        return LargeProblem(
            column_of=np.concatenate([[0], np.cumsum(counts)]),
            row=row,
            use=use,
            site=site,
            jobs=np.ones(len(counts)),
            need_of=need_of,
            need_commodity=need_commodity,
            need_bytes=need_bytes,
            source_of=np.concatenate([[0], np.cumsum([len(one) for one in sources])]).astype(np.int64),
            source=np.concatenate([np.zeros(0, dtype=np.int64), *sources]),
            way_of=np.concatenate([[0], np.cumsum([len(one) for one in ways])]).astype(np.int64),
            way=np.concatenate([np.zeros(0, dtype=np.int64), *ways]),
            link_from=self.link_from[self.links],
            link_to=self.link_to[self.links],
            sites=self.sites,
            room=room,
        )

    def _uses(self) -> tuple[Ints, Floats]:
        """[column, width]: the dearest entries of each column where it has more than the kernel takes."""
        place = np.full(len(self.built.rhs), -1, dtype=np.int64)
        place[self.rooms] = np.arange(len(self.rooms))
        of = np.full(len(self.built.upper), -1, dtype=np.int64)
        of[self.columns] = np.arange(len(self.columns))
        mine = np.flatnonzero((of[self.all.cols] >= 0) & (place[self.all.rows] >= 0))
        entries = self.all.where(mine)
        column, at = of[entries.cols], place[entries.rows]
        links = len(self.links)
        unit = np.ones(len(self.rooms))
        unit[len(unit) - links :] = self.volume[self.links]
        use = entries.values * unit[at]
        order = np.lexsort((at, -entries.values / np.maximum(self.built.rhs[entries.rows], _NO_ROOM), column))
        column, at, use = column[order], at[order], use[order]
        rank = np.arange(len(column)) - np.searchsorted(column, column)
        width = max(1, min(MOST_WIDTH, int(rank.max(initial=0)) + 1))
        keep = rank < width
        rows = np.full((len(self.columns), width), -1, dtype=np.int64)
        uses = np.zeros((len(self.columns), width))
        rows[column[keep], rank[keep]], uses[column[keep], rank[keep]] = at[keep], use[keep]
        rows[:, 0] = np.maximum(rows[:, 0], 0)
        return rows, uses

    @cached_property
    def _flows(self) -> tuple[Ints, Ints]:
        """(commodity, place among `links`) of every flow variable, sorted and once each."""
        mine = (self.kind[self.all.rows] == "balance") & (self.flow_link[self.all.cols] >= 0)
        place = np.full(len(self.data.links), -1, dtype=np.int64)
        place[self.links] = np.arange(len(self.links))
        pairs = np.stack([self.about[self.all.rows[mine]], place[self.flow_link[self.all.cols[mine]]]], axis=1)
        pairs = np.unique(pairs[pairs[:, 1] >= 0], axis=0)
        return pairs[:, 0], pairs[:, 1]

    def _commodities(self) -> tuple[Ints, list[Ints], list[Ints]]:
        """Names of commodities, the links each may use, and where each comes from: sites that need no inflow."""
        commodity, link = self._flows
        rows, sites, _ = self.balances
        names, ways, sources = np.unique(commodity), [], []
        for c in names.tolist():
            mine = link[commodity == c]
            ways.append(mine)
            starts = np.unique(self.link_from[self.links[mine]])
            sources.append(np.setdiff1d(starts, sites[self.about[rows] == c]))
        return names, ways, sources

    def _needs(self, commodities: Ints, of_class: Ints) -> tuple[Ints, Ints, Floats, Ints]:
        rows, sites, scale = self.balances
        place = np.full(len(self.built.rhs), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        of = np.full(len(self.built.upper), -1, dtype=np.int64)
        of[self.columns] = np.arange(len(self.columns))
        mine = np.flatnonzero((of[self.all.cols] >= 0) & (place[self.all.rows] >= 0))
        entries = self.all.where(mine)
        column, at = of[entries.cols], place[entries.rows]
        k = np.searchsorted(commodities, self.about[rows[at]])
        site = np.full(len(self.columns), -1, dtype=np.int64)
        site[column] = sites[at]
        # Two data sets of one commodity are two entries of a column: their bytes add up.
        width = max(1, len(commodities))
        each, back = np.unique(column * width + k, return_inverse=True)
        total = np.bincount(back, entries.values * scale[at], minlength=len(each))
        pair = of_class[each // width] * width + each % width
        pairs, back = np.unique(pair, return_inverse=True)
        most = np.zeros(len(pairs))
        np.maximum.at(most, back, total)
        some = most > 0.0
        pairs, most = pairs[some], most[some]
        starts = np.searchsorted(pairs // width, np.arange(len(self.data.jobs) + 1))
        return starts, pairs % width, most, site

    # -- prices back ------------------------------------------------------------------------------------------------

    def programme_prices(self, unit: Floats) -> Floats:
        """[row of the programme] from unit prices, in the scale of the programme's own duals (all jobs cost 1)."""
        w = np.zeros(len(self.built.rhs))
        links = len(self.links)
        plain = len(self.rooms) - links
        w[self.rooms[:plain]] = unit[:plain]
        w[self.rooms[plain:]] = unit[plain:] * self.volume[self.links]
        self._price_data(w, unit[plain:])
        self._price_services(w)
        cost = np.bincount(self.all.cols, self.all.values * w[self.all.rows], minlength=len(self.built.upper))
        least = np.full(len(self.data.jobs), np.inf)
        np.minimum.at(least, self.data.job_class[self.columns], cost[self.columns])
        total = float(least.sum())
        return w / total if 0.0 < total < np.inf else w

    def _price_data(self, w: Floats, per_byte: Floats) -> None:
        """What a byte costs at each site: the cheapest way there. Shared sets that are counted once as they leave
        their sources (a row of kind out) pay for that apart."""
        rows, sites, scale = self.balances
        commodities, ways, sources = self._commodities()
        outs = {int(self.about[r]): int(r) for r in np.flatnonzero(self.kind == "out")}
        for c, links, starts in zip(commodities.tolist(), ways, sources, strict=True):
            mine = self.about[rows] == c
            start, end = self.link_from[self.links[links]], self.link_to[self.links[links]]
            price = np.full(self.sites, np.inf)
            length = per_byte[links]
            if c in outs:
                leaving = np.isin(start, starts)
                once = float(length[leaving].min(initial=np.inf))
                if not np.isfinite(once):
                    continue
                w[outs[c]] = once * self._out_scale(outs[c])
                np.minimum.at(price, end, length - np.where(leaving, once, 0.0))
            else:
                price[starts] = 0.0
                for _ in range(self.sites):
                    before = price.copy()
                    np.minimum.at(price, end, before[start] + length)
                    if np.array_equal(before, price):
                        break
            reached = price[sites[mine]]
            dearest = float(reached[np.isfinite(reached)].max(initial=0.0))
            # Where no link leads a column cannot be had: any price is allowed there.
            w[rows[mine]] = np.where(np.isfinite(reached), reached, 1e3 * dearest) * scale[mine]

    def _out_scale(self, row: int) -> float:
        mine = (self.all.rows == row) & (self.all.values < 0.0) & (self.flow_link[self.all.cols] >= 0)
        first = int(np.flatnonzero(mine)[0])
        return float(self.volume[self.flow_link[self.all.cols[first]]] / -self.all.values[first])

    def _price_services(self, w: Floats) -> None:
        """Replicas cost what they hold, a demand what serving it in the cheapest way costs."""
        first, options = self.built.service_start, len(self.data.serving)
        if not options:
            return
        size = len(self.built.upper)
        cost = np.bincount(self.all.cols, self.all.values * w[self.all.rows], minlength=size)
        holds = (
            (self.kind[self.all.rows] == "replicas")
            & (self.all.cols >= first)
            & (self.all.cols < first + options)
            & (self.all.values < 0.0)
            & (self.about[self.all.rows] == self.all.cols - first)
            & ~self.built.equal[self.all.rows]
            & (self.built.rhs[self.all.rows] == 0.0)
        )
        rows = self.all.rows[holds]
        w[rows] = cost[self.all.cols[holds]] / -self.all.values[holds]
        cost = np.bincount(self.all.cols, self.all.values * w[self.all.rows], minlength=size)
        demand = (self.kind[self.all.rows] == "demand") & self.built.equal[self.all.rows]
        least = np.full(len(w), np.inf)
        np.minimum.at(least, self.all.rows[demand], cost[self.all.cols[demand]])
        w[np.isfinite(least)] = -least[np.isfinite(least)]

    def online_loads(self, w: Floats) -> Floats:
        """[room] what serving every demand in its cheapest way at the programme prices `w` holds."""
        held = np.zeros(len(self.rooms))
        first, options = self.built.service_start, len(self.data.serving)
        demand = np.flatnonzero((self.kind[self.all.rows] == "demand") & self.built.equal[self.all.rows])
        if not options or not len(demand):
            return held
        size = len(self.built.upper)
        priced = np.where((self.kind == "demand"), 0.0, w)
        cost = np.bincount(self.all.cols, self.all.values * priced[self.all.rows], minlength=size)
        rows, cols = self.all.rows[demand], self.all.cols[demand]
        order = np.lexsort((cols, cost[cols], rows))
        chosen = cols[order][np.unique(rows[order], return_index=True)[1]]
        amount = np.zeros(size)
        amount[chosen] = 1.0
        # n follows from the rows n >= sigma x.
        needs = (
            (self.kind[self.all.rows] == "replicas") & (self.all.cols >= first + options) & (self.all.values > 0.0)
        )
        scale = np.ones(len(w))
        own = (self.kind[self.all.rows] == "replicas") & (self.all.cols < first + options) & (self.all.values < 0.0)
        own &= self.about[self.all.rows] == self.all.cols - first
        scale[self.all.rows[own]] = -self.all.values[own]
        rows = self.all.rows[needs]
        replicas = self.all.values[needs] * amount[self.all.cols[needs]] / scale[rows]
        np.add.at(amount, first + self.about[rows], replicas)
        place = np.full(len(w), -1, dtype=np.int64)
        place[self.rooms] = np.arange(len(self.rooms))
        mine = (place[self.all.rows] >= 0) & (self.all.cols >= first) & (self.all.cols < self.first_flow)
        loads = (
            self.all.values[mine]
            * amount[self.all.cols[mine]]
            / np.maximum(self.built.rhs[self.all.rows[mine]], _NO_ROOM)
        )
        np.add.at(held, place[self.all.rows[mine]], loads)
        return held
