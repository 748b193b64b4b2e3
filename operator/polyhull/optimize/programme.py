"""The programme of docs/model.md at one T as a sparse matrix: how large a share rho of all jobs can be done by T?

Variables, all non-negative: Y (share of class j run by column g), Z (share of data set k brought to site s), F and
phi (shares of a link's volume B_e T), n (replicas), x (share of a demand), and rho, which is maximised. T is
infeasible if rho < 1. `strengthened=False` is the rate programme instead (rho/T = theta, growth without delay,
no column filter), so T/rho is then itself a bound, the fluid one.

Row kinds are those of the docs: job, pool, window, long, shape, link, cut, balance, out, reader, copies, rate,
demand, replicas. Each row is divided by its right-hand side, so numbers are O(1). Rows come in the same order for
every T: prices found at one T may be tried at another.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polyhull.optimize.data import DIMENSIONS, DataSetData, Floats, Ints, ModelData, PoolData

EXACT_FLOW_VARIABLES = 15_000
"""Up to this many flow variables a shared data set has a flow of its own to every site; beyond, its flows are
relaxed to what enters each site and what leaves its sources."""
READER_ROWS = 2_500
"""… and while (reader, site) pairs are no more than this; beyond, the readers' mean stands for their maximum."""
MOST_SHARE = 1e4
"""Upper bound of rho's parts: keeps the programme bounded where nothing binds; no proof uses it."""
LIGHT_RATIO = 4.0
"""The light programme speaks of schedules that end at T / LIGHT_RATIO or later."""
STEPS = (1, 2, 3, 4)
"""Fekete and Schepers' dual feasible functions u(k) that are used."""


@dataclass(frozen=True, slots=True, eq=False)
class Programme:
    """max rho, matrix @ v <= rhs (== where `equal`), 0 <= v <= upper; rho is the last variable."""

    seconds: float
    rows: Ints
    cols: Ints
    values: Floats
    rhs: Floats
    equal: NDArray[np.bool_]
    upper: Floats
    kinds: tuple[tuple[str, int], ...]
    """[row] (kind, index of the job, pool, link … it is about)."""
    job_rows: int
    column_variables: int
    service_start: int
    """First n variable; after the last n one x per pair of `pairs`."""
    pairs: tuple[tuple[int, int], ...]
    """(serving option, demand) of each x."""


class _Matrix:
    def __init__(self) -> None:
        self.rows: list[Ints] = []
        self.cols: list[Ints] = []
        self.values: list[Floats] = []
        self.rhs: list[float] = []
        self.equal: list[bool] = []
        self.kinds: list[tuple[str, int]] = []

    def add(self, kind: tuple[str, int], rhs: float, *parts: tuple[Ints, Floats], equal: bool = False) -> None:
        """One row; parts are (columns, values). Zero coefficients are left out."""
        row = len(self.rhs)
        for cols, values in parts:
            keep = values != 0.0
            if not keep.all():
                cols, values = cols[keep], values[keep]
            if len(cols):
                self.rows.append(np.full(len(cols), row, dtype=np.int64))
                self.cols.append(cols)
                self.values.append(values)
        self.rhs.append(rhs)
        self.equal.append(equal)
        self.kinds.append(kind)


def dual_feasible(share: Floats, step: int) -> Floats:
    """A lower bound on Fekete and Schepers' u(step) at `share`: shares that add up to <= 1 have values that do.

    Rounded down near the function's jumps, so that a coefficient is never too large.
    """
    return np.minimum(np.floor((step + 1) * share * (1.0 - 1e-12)) / step, 1.0)


def dual_feasible_whole(part: Floats, whole: float, step: int) -> Floats:
    """u(step) at part/whole, exact for whole numbers below 2**50: u(x) = x where (step + 1) x is whole."""
    scaled = (step + 1) * part
    down = np.floor_divide(scaled, whole)
    at_jump = scaled - down * whole == 0.0
    return np.where(at_jump, part / whole, down / step)


def programme(
    data: ModelData, seconds: float, strengthened: bool = True, soft: bool = False, light: bool = False
) -> Programme:
    """The programme at T = `seconds` > 0. `soft`: demands are upper limits, not promises (phase 0).

    `light`: without the rows of kinds window, long, shape and cut. Every row then holds for any schedule that ends
    at M <= T in rates of M too, so min(T, T/rho) is a bound once T / `LIGHT_RATIO` is, not only "T is infeasible".
    """
    return _Builder(data, seconds, strengthened, soft, light).build()


class _Builder:
    def __init__(self, data: ModelData, seconds: float, strengthened: bool, soft: bool, light: bool) -> None:
        self.data, self.T, self.strengthened, self.soft = data, seconds, strengthened, soft
        self.cuts = strengthened and not light
        # In rates of a schedule that ends at M a copied share is T/M: more than 1 where M < T.
        self.most_copied = LIGHT_RATIO if light and strengthened else 1.0
        self.matrix = _Matrix()
        self.upper: list[Floats] = []
        self.size = 0
        self.weight = data.multiplicity[data.job_class] if len(data.columns) else np.zeros(0)
        self.by_pool = [np.flatnonzero(data.pool == p) for p in range(len(data.pools))]
        self.link_share: list[tuple[Ints, Ints]] = []
        """(link, variable) pairs whose sum is the share of each link in use."""

    def variables(self, count: int, upper: float | Floats = math.inf) -> Ints:
        first, self.size = self.size, self.size + count
        self.upper.append(np.broadcast_to(np.asarray(upper, dtype=np.float64), (count,)))
        return np.arange(first, first + count, dtype=np.int64)

    def build(self) -> Programme:
        data = self.data
        G, J = len(data.columns), len(data.jobs)
        self.Y = self.variables(
            G, np.where(data.finish <= self.T, MOST_SHARE, 0.0) if self.strengthened else MOST_SHARE
        )
        self.n = self.variables(len(data.serving), np.array([float(one.most_replicas) for one in data.serving]))
        self.pairs = [(v, i) for v, one in enumerate(data.serving) for i, _ in one.per_request]
        self.x = self.variables(len(self.pairs), 1.0)
        self.plan_flows()
        self.rho = self.variables(1, math.inf)
        self.job_rows(J)
        self.pool_rows()
        self.flow_rows()
        self.link_rows()
        self.cut_rows()
        self.service_rows()
        if not self.strengthened:
            self.rate_rows(J)
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
            job_rows=J,
            column_variables=G,
            service_start=G,
            pairs=tuple(self.pairs),
        )

    # -- (1) jobs ---------------------------------------------------------------------------------------------

    def job_rows(self, J: int) -> None:
        order = np.argsort(self.data.job_class, kind="stable")
        starts = np.searchsorted(self.data.job_class[order], np.arange(J + 1))
        for j in range(J):
            mine = self.Y[order[starts[j] : starts[j + 1]]]
            self.matrix.add(("job", j), 0.0, (mine, np.ones(len(mine))), (self.rho, np.array([-1.0])), equal=True)

    def rate_rows(self, J: int) -> None:
        """A job cannot run beside itself: sum of finish_g Y <= T, in rates."""
        data = self.data
        order = np.argsort(data.job_class, kind="stable")
        starts = np.searchsorted(data.job_class[order], np.arange(J + 1))
        for j in range(J):
            mine = order[starts[j] : starts[j + 1]]
            self.matrix.add(("rate", j), 1.0, (self.Y[mine], data.finish[mine] / self.T))

    # -- (2) pools --------------------------------------------------------------------------------------------

    def pool_rows(self) -> None:
        data = self.data
        for p, pool in enumerate(data.pools):
            mine = self.by_pool[p]
            serving = np.array([v for v, one in enumerate(data.serving) if one.pool == p], dtype=np.int64)
            if not len(mine) and not len(serving):
                continue
            served = np.array(
                [one.pod.as_tuple() for one in data.serving if one.pool == p], dtype=np.float64
            ).reshape(-1, DIMENSIONS)
            for d in binding_dimensions(pool, data.pods[mine], served):
                self.area(p, pool, d, mine, serving, served[:, d])
                if self.cuts:
                    self.shape(p, pool, d, mine, serving, served[:, d])

    def area(self, p: int, pool: PoolData, d: int, mine: Ints, serving: Ints, served: Floats) -> None:
        """Device-seconds: plain, from a head on, and of long jobs (docs/model.md section 3)."""
        data, T = self.data, self.T
        use = data.replicas[mine] * data.pods[mine, d] * self.weight[mine]
        delay = pool.growth_seconds if self.strengthened else 0.0
        grown = pool.growth_nodes * pool.growth_shape[d]
        N = pool.capacity[d]
        length, earliest = data.length[mine], data.earliest[mine]
        held = pool.fixed_pods[:, d]
        left = pool.fixed_seconds

        def add(kind: str, columns: Floats, per_replica: float, room: float, fixed: float) -> None:
            if room <= 0.0:
                self.matrix.add((kind, p), 1.0)
                return
            parts = [(self.Y[mine], columns / room), (self.n[serving], served * per_replica / room)]
            if self.strengthened:
                self.matrix.add((kind, p), max(0.0, 1.0 - fixed / room), *parts)
            else:
                self.matrix.add((kind, p), 1.0, *parts, (self.rho, np.array([fixed / room])))

        fixed = float((held * (np.minimum(left, T) if self.strengthened else left)).sum())
        add("pool" if d == 0 else "area", use * length, T, N * T + grown * max(0.0, T - delay), fixed)
        if not self.cuts:
            return
        for head in thresholds(earliest, use * length):
            W = T - head
            inside = use * np.minimum(length, np.maximum(0.0, earliest + length - head))
            room = N * W + grown * max(0.0, T - max(head, delay)) if W > 0.0 else 0.0
            add("window", inside, W, room, float((held * np.maximum(0.0, np.minimum(left, T) - head)).sum()))
            after = np.where(earliest >= head, dual_feasible(length / W, 1), 0.0) if W > 0.0 else length * 0.0
            add("long", use * after, 1.0, N + grown if W > 0.0 else 0.0, 0.0)
        for step in STEPS[:3]:
            fixed = float((held * dual_feasible(np.minimum(left / T, 1.0), step)).sum())
            add("long", use * dual_feasible(np.minimum(length / T, 1.0), step), 1.0, N + grown, fixed)

    def shape(self, p: int, pool: PoolData, d: int, mine: Ints, serving: Ints, served: Floats) -> None:
        """Pods that fill a node badly: five-device pods on eight-device nodes cost a node each."""
        data, T = self.data, self.T
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
                self.matrix.add(("shape", p), 1.0)
                continue
            per_pod = pool.fixed_pods[:, d] / np.maximum(pool.fixed_counts, 1.0)
            busy = pool.fixed_counts * dual_feasible_whole(per_pod, whole, step) * np.minimum(pool.fixed_seconds, T)
            self.matrix.add(
                ("shape", p),
                max(0.0, 1.0 - float(busy.sum()) / room),
                (self.Y[mine], each * data.replicas[mine] * self.weight[mine] * data.length[mine] / room),
                (self.n[serving], of_service * T / room),
            )

    # -- (3) links, (4) data ----------------------------------------------------------------------------------

    def plan_flows(self) -> None:
        """Commodities: private data sets by (sources, allowed sites); shared ones alone while they are few."""
        data = self.data
        groups: dict[tuple[bool, frozenset[str], frozenset[str], int], list[int]] = {}
        shared = [k for k, one in enumerate(data.data_sets) if not one.private]
        self.readers_at: dict[tuple[int, str], list[int]] = {}
        rows = sum(len(data.data_sets[k].readers) for k in shared) * len(data.sites)
        self.exact = len(shared) * len(data.links) * (len(data.sites) + 1) <= EXACT_FLOW_VARIABLES
        self.exact = self.exact and rows <= READER_ROWS
        if self.exact and shared:
            is_shared = np.isin(data.need_set, np.array(shared, dtype=np.int64))
            for at in np.flatnonzero(is_shared).tolist():
                key = (int(data.need_set[at]), data.sites[int(data.need_site[at])])
                self.readers_at.setdefault(key, []).append(int(data.need_column[at]))
        for k, one in enumerate(data.data_sets):
            label = k if self.exact and not one.private else -1
            groups.setdefault((one.private, one.sources, one.allowed, label), []).append(k)
        self.commodities: list[tuple[bool, list[int], Ints, Ints]] = []
        self.Z: dict[tuple[int, str], int] = {}
        self.Zmax: dict[int, int] = {}
        self.phi: dict[tuple[int, str], Ints] = {}
        for (private, sources, allowed, _), members in sorted(groups.items(), key=_group_key):
            links = np.array(
                [
                    e
                    for e in range(len(data.links))
                    if data.link_source[e] in allowed
                    and data.link_target[e] in allowed
                    and data.link_target[e] not in sources
                ],
                dtype=np.int64,
            )
            F = self.variables(len(links), 1.0)
            self.link_share.append((links, F))
            self.commodities.append((private, members, links, F))
            if private or not self.exact:
                continue
            k = members[0]
            self.Zmax[k] = int(self.variables(1, self.most_copied)[0])
            for site in data.sites:
                if (k, site) in self.readers_at:
                    self.Z[k, site] = int(self.variables(1, self.most_copied)[0])
                    self.phi[k, site] = self.variables(len(links), 1.0)

    def flow_rows(self) -> None:
        commodity = np.zeros(len(self.data.data_sets), dtype=np.int64)
        for c, (_, members, _, _) in enumerate(self.commodities):
            commodity[members] = c
        group_of_need = commodity[self.data.need_set]
        for c, (private, members, links, F) in enumerate(self.commodities):
            if private or not self.exact:
                self.grouped_rows(c, members, links, F, np.flatnonzero(group_of_need == c), private)
            else:
                self.exact_rows(c, members[0], links, F)
        self.reader_rows()

    def grouped_rows(self, c: int, members: list[int], links: Ints, F: Ints, needs: Ints, private: bool) -> None:
        """Bytes that end at a site are no more than what comes in less what goes on.

        Many shared data sets are relaxed: each reader asks for its part of one copy, nothing is said of relays
        (what goes on may be a second use of the same bytes), and what leaves the sources is counted instead.
        """
        data = self.data
        readers = np.array([1.0 if one.private else float(len(one.readers)) for one in data.data_sets])
        sizes = np.array([one.size_bytes for one in data.data_sets]) / np.maximum(readers, 1.0)
        at_site = data.need_site[needs]
        ends, bytes_ = self.Y[data.need_column[needs]], sizes[data.need_set[needs]]
        sites = self.relays(data.data_sets[members[0]], links) if private else data.sites
        index = {site: s for s, site in enumerate(data.sites)}
        for site in sites:
            mine = at_site == index.get(site, -1)
            self.balance(("balance", c), site, links, F, ends[mine], bytes_[mine], private)
        if not private:
            self.out_row(c, members, links, F, ends, bytes_)

    def exact_rows(self, c: int, k: int, links: Ints, F: Ints) -> None:
        """A flow of its own to every site; a shared hop is paid once: the largest of them."""
        one = self.data.data_sets[k]
        for site in self.data.sites:
            if (k, site) not in self.phi:
                continue
            phi = self.phi[k, site]
            for relay in self.relays(one, links):
                ends = np.array([self.Z[k, site]] if relay == site else [], dtype=np.int64)
                self.balance(("balance", c), relay, links, phi, ends, np.full(len(ends), one.size_bytes))
            for f, part in zip(F.tolist(), phi.tolist(), strict=True):
                self.matrix.add(("hop", c), 0.0, (np.array([part, f]), np.array([1.0, -1.0])))
        size = np.array([one.size_bytes])
        self.out_row(c, [k], links, F, np.array([self.Zmax[k]], dtype=np.int64), size)

    def out_row(self, c: int, members: list[int], links: Ints, F: Ints, ends: Ints, sizes: Floats) -> None:
        """What is needed elsewhere leaves the sources once."""
        data = self.data
        sources = data.data_sets[members[0]].sources
        leaving = np.array([data.link_source[e] in sources for e in links.tolist()], dtype=np.bool_)
        volume = data.bandwidth[links[leaving]] * self.T
        scale = max(float(volume.max(initial=0.0)), float(sizes.max(initial=0.0)))
        if scale > 0.0:
            self.matrix.add(("out", c), 0.0, (ends, sizes / scale), (F[leaving], -volume / scale))

    def balance(
        self,
        kind: tuple[str, int],
        site: str,
        links: Ints,
        F: Ints,
        ends: Ints,
        sizes: Floats,
        relays: bool = True,
    ) -> None:
        data = self.data
        into = np.array([data.link_target[e] == site for e in links.tolist()], dtype=np.bool_)
        out = np.array([relays and data.link_source[e] == site for e in links.tolist()], dtype=np.bool_)
        volume = data.bandwidth[links] * self.T
        scale = max(float(volume[into].max(initial=0.0)), float(sizes.max(initial=0.0)))
        if scale > 0.0:
            parts = [(ends, sizes / scale), (F[out], volume[out] / scale), (F[into], -volume[into] / scale)]
            self.matrix.add(kind, 0.0, *parts)
        elif out.any():
            self.matrix.add(kind, 0.0, (F[out], np.ones(int(out.sum()))))

    def relays(self, one: DataSetData, links: Ints) -> list[str]:
        touched = {self.data.link_source[e] for e in links.tolist()} | {
            self.data.link_target[e] for e in links.tolist()
        }
        return sorted((touched | set(self.data.sites)) - one.sources)

    def reader_rows(self) -> None:
        """z[k,s] is at least the share of every class that reads k at s; copies are limited."""
        data = self.data
        for (k, site), z in self.Z.items():
            by_class: dict[int, list[int]] = {}
            for g in self.readers_at[k, site]:
                by_class.setdefault(int(data.job_class[g]), []).append(g)
            top = np.array([z, self.Zmax[k]])
            self.matrix.add(("reader", k), 0.0, (top, np.array([1.0, -1.0])))
            for columns_of in by_class.values():
                self.at_most(("reader", k), self.Y[np.array(columns_of, dtype=np.int64)], 1.0, z)
        for k, z in self.Zmax.items():
            away: dict[int, list[int]] = {}
            for site in data.sites:
                for g in self.readers_at.get((k, site), ()):
                    away.setdefault(int(data.job_class[g]), []).append(g)
            for columns_of in away.values():
                self.at_most(("reader", k), self.Y[np.array(columns_of, dtype=np.int64)], 1.0, z)
            limit = data.data_sets[k].copies_allowed
            copies = np.array([self.Z[at] for at in self.Z if at[0] == k], dtype=np.int64)
            if math.isfinite(limit) and len(copies) > limit:
                scaled = self.strengthened and not self.cuts
                per_share = (np.array([int(self.rho[0])]), np.array([-limit if scaled else 0.0]))
                self.matrix.add(("copies", k), 0.0 if scaled else limit, (copies, np.ones(len(copies))), per_share)

    def at_most(self, kind: tuple[str, int], columns: Ints, share: float, z: int) -> None:
        self.matrix.add(kind, 0.0, (columns, np.full(len(columns), share)), (np.array([z]), np.array([-1.0])))

    def link_rows(self) -> None:
        data = self.data
        online: dict[int, list[tuple[int, float]]] = {}
        for pair, (v, i) in enumerate(self.pairs):
            demand = data.demands[i]
            site = data.pools[data.serving[v].pool].site
            for e, per_request in dict(demand.traffic).get(site, ()):
                online.setdefault(e, []).append((int(self.x[pair]), per_request * demand.requests_per_second))
        shares: list[list[int]] = [[] for _ in data.links]
        for links, F in self.link_share:
            for e, f in zip(links.tolist(), F.tolist(), strict=True):
                shares[e].append(f)
        for e in range(len(data.links)):
            traffic = online.get(e, [])
            if not shares[e] and not traffic:
                continue
            B = data.bandwidth[e]
            self.matrix.add(
                ("link", e),
                max(0.0, 1.0 - self.active_rate((e,), self.T) / B) if self.strengthened else 1.0,
                (np.array(shares[e], dtype=np.int64), np.ones(len(shares[e]))),
                (np.array([v for v, _ in traffic], dtype=np.int64), np.array([r / B for _, r in traffic])),
            )

    def active_rate(self, links: tuple[int, ...], window: float) -> float:
        """Mean bytes/s that running transfers put on these links within a window from now on."""
        total = 0.0
        for e in links:
            rate = sum(min(r, left / window) for path, r, left in self.data.active if e in path)
            total += min(rate, float(self.data.bandwidth[e]))
        return total

    def cut_rows(self) -> None:
        """What a long job reads must be there early: bytes over a site's borders within T less the job's length."""
        data = self.data
        if not self.cuts or not len(data.need_set):
            return
        sole = np.array([next(iter(one.sources)) if len(one.sources) == 1 else "" for one in data.data_sets])
        readers = np.array([1.0 if one.private else float(len(one.readers)) for one in data.data_sets])
        volume = (np.array([one.size_bytes for one in data.data_sets]) / np.maximum(readers, 1.0))[data.need_set]
        index = {site: s for s, site in enumerate(data.sites)}
        source, target = np.array(data.link_source), np.array(data.link_target)
        for site in sorted(set(data.link_source) | set(data.link_target)):
            here = index.get(site, -1)
            out = np.flatnonzero((sole[data.need_set] == site) & (data.need_site != here))
            self.cut(np.flatnonzero(source == site), out, volume[out])
            into = np.flatnonzero(data.need_site == here)
            self.cut(np.flatnonzero(target == site), into, volume[into])

    def cut(self, links: Ints, needs: Ints, volume: Floats) -> None:
        data = self.data
        capacity = float(data.bandwidth[links].sum())
        if not len(needs) or capacity <= 0.0:
            return
        mine = data.need_column[needs]
        tails = data.length[mine]
        for tail in thresholds(tails, volume):
            W = self.T - tail
            if W <= 0.0:
                self.matrix.add(("cut", int(links[0])), 1.0)
                continue
            rhs = max(0.0, 1.0 - self.active_rate(tuple(links.tolist()), W) / capacity)
            late = np.where(tails >= tail, volume / (capacity * W), 0.0)
            self.matrix.add(("cut", int(links[0])), rhs, (self.Y[mine], late))

    # -- (5) online -------------------------------------------------------------------------------------------

    def service_rows(self) -> None:
        data = self.data
        for v, one in enumerate(data.serving):
            needs = {i: sigma * data.demands[i].requests_per_second for i, sigma in one.per_request}
            mine = [pair for pair, (at, _) in enumerate(self.pairs) if at == v]
            loads = np.array([needs[self.pairs[pair][1]] for pair in mine], dtype=np.float64)
            scale = max(1.0, float(loads.max(initial=0.0)))
            parts = [(self.x[mine], loads / scale), (self.n[v : v + 1], np.array([-1.0 / scale]))]
            self.matrix.add(("replicas", v), 0.0, *parts)
        for i in range(len(data.demands)):
            served = self.x[[pair for pair, (_, at) in enumerate(self.pairs) if at == i]]
            if len(served):
                self.matrix.add(("demand", i), 1.0, (served, np.ones(len(served))), equal=not self.soft)
        for i, service in enumerate(data.services):
            mine = [v for v, one in enumerate(data.serving) if one.service == i]
            if not mine:
                continue
            counts = self.n[mine]
            if service.exact_replicas is not None:
                scale = max(1.0, float(service.exact_replicas))
                total = (counts, np.full(len(mine), 1.0 / scale))
                self.matrix.add(("replicas", i), service.exact_replicas / scale, total, equal=True)
            elif service.least_replicas > 0 and not self.soft:
                total = (counts, np.full(len(mine), -1.0 / service.least_replicas))
                self.matrix.add(("replicas", i), -1.0, total)


def binding_dimensions(pool: PoolData, pods: Floats, served: Floats) -> tuple[int, ...]:
    """Devices first; another resource only where some pod uses a larger share of it than of every one before."""
    capacity = pool.capacity + pool.growth_nodes * pool.growth_shape
    asked = np.vstack([pods, served])
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


def thresholds(values: Floats, weights: Floats) -> tuple[float, ...]:
    """At most three distinct values > 0: weighted quartiles of what is positive. They do not depend on T."""
    positive = (values > 0.0) & (weights > 0.0)
    if not bool(positive.any()):
        return ()
    order = np.argsort(values[positive], kind="stable")
    sorted_values = values[positive][order]
    cumulative = np.cumsum(weights[positive][order])
    found = []
    for share in (0.25, 0.5, 0.75):
        at = min(int(np.searchsorted(cumulative, share * cumulative[-1])), len(sorted_values) - 1)
        value = float(sorted_values[at])
        if value not in found:
            found.append(value)
    return tuple(found)


def _stronger(each: Floats, total: float, plain: Floats, plain_total: float) -> bool:
    if total <= 0.0 or plain_total <= 0.0:
        return False
    return bool(np.any(each / total > plain / plain_total * (1.0 + 1e-6)))


def _group_key(
    item: tuple[tuple[bool, frozenset[str], frozenset[str], int], list[int]],
) -> tuple[bool, list[str], list[str], int]:
    (private, sources, allowed, label), _ = item
    return (private, sorted(sources), sorted(allowed), label)
