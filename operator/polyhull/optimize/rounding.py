"""From shares to whole jobs: one column per job as a start for the search, and which others are worth a look.

Whole shares stand; inside a class the largest remainders decide; what is left is placed longest first where the
fullest pool or site border stays lowest.
"""

from dataclasses import dataclass

import numpy as np

from polyhull.domain.workloads import Key
from polyhull.optimize.certificate import priced
from polyhull.optimize.columns import Column
from polyhull.optimize.data import Floats, Ints, ModelData
from polyhull.optimize.highs import Solution
from polyhull.optimize.programme import Programme

_LEAST = 1e-6


@dataclass(frozen=True, slots=True)
class Rounded:
    """`choice` by job; `ranking` by job: its columns, cheapest at the bound's prices first."""

    choice: dict[Key, Column]
    ranking: dict[Key, tuple[Column, ...]]


def round_shares(
    data: ModelData, by_job: dict[Key, list[Column]], built: Programme | None, found: Solution | None
) -> Rounded:
    """Deterministic in its inputs. Without a solution every column is a candidate at equal cost."""
    G, J = len(data.columns), len(data.jobs)
    shares, cost = np.zeros(G), np.zeros(G)
    if built is not None and found is not None:
        shares = np.maximum(found.primal[:G], 0.0)
        _, _, total = priced(built, found.prices)
        cost = np.where(np.isfinite(total[:G]), total[:G], 0.0)
    order = np.argsort(data.job_class, kind="stable")
    starts = np.searchsorted(data.job_class[order], np.arange(J + 1))
    loads = _Loads(data)
    counts: list[dict[int, int]] = []
    rest: list[tuple[float, int, int, Ints]] = []
    for j in range(J):
        mine = order[starts[j] : starts[j + 1]]
        m = len(data.jobs[j])
        share = shares[mine]
        total_share = float(share.sum())
        share = share / total_share * m if total_share > _LEAST else np.zeros(len(mine))
        whole = np.floor(share + _LEAST).astype(np.int64)
        counts.append({int(g): int(n) for g, n in zip(mine, whole, strict=True) if n > 0})
        for g, n in counts[j].items():
            loads.add(g, n)
        left = m - int(whole.sum())
        if left > 0:
            fraction = share - whole
            options = mine[fraction > _LEAST] if bool((fraction > _LEAST).any()) else mine
            if m > 1 and len(options) > left:
                ranked = np.lexsort((mine, -fraction))
                options = mine[ranked[: max(left + 1, 3)]]
            work = float((data.length[options] * data.replicas[options] * data.pods[options, 0]).min())
            rest.append((-work, j, left, options))
    for _, j, left, options in sorted(rest, key=lambda one: one[:2]):
        for _ in range(left):
            g = loads.lightest(options)
            counts[j][g] = counts[j].get(g, 0) + 1
            loads.add(g, 1)
    return _names(data, by_job, counts, cost, starts, order)


def _names(
    data: ModelData,
    by_job: dict[Key, list[Column]],
    counts: list[dict[int, int]],
    cost: Floats,
    starts: Ints,
    order: Ints,
) -> Rounded:
    choice: dict[Key, Column] = {}
    ranking: dict[Key, tuple[Column, ...]] = {}
    if not data.jobs:
        return Rounded(choice, ranking)
    cheapest = np.minimum.reduceat(cost[order], starts[:-1])[data.job_class]
    dearer = np.round((cost - cheapest) / np.maximum(cheapest, 1e-12), 9)
    firsts = order[starts[:-1]].tolist()
    ranked = np.lexsort((np.arange(len(cost)), data.finish, dearer, data.job_class)).tolist()
    begins = starts.tolist()
    for j, members in enumerate(data.jobs):
        first = firsts[j]
        offsets = [g - first for g in ranked[begins[j] : begins[j + 1]]]
        picks = [g - first for g in sorted(counts[j]) for _ in range(counts[j][g])]
        for member, pick in zip(members, picks, strict=True):
            columns = by_job[member]
            choice[member] = columns[pick]
            ranking[member] = tuple(columns[offset] for offset in offsets)
    return Rounded(choice, ranking)


class _Loads:
    """Seconds that each pool and each site border is busy if all its work is spread evenly."""

    def __init__(self, data: ModelData) -> None:
        self.data, self.finish = data, data.finish
        devices = np.array([pool.capacity[0] + pool.growth_nodes * pool.growth_shape[0] for pool in data.pools])
        devices = np.maximum(devices, 1.0)
        self.work = (
            data.replicas * data.pods[:, 0] * data.length / devices[data.pool] if len(data.pool) else data.length
        )
        self.pool = np.zeros(len(data.pools))
        for p, pool in enumerate(data.pools):
            self.pool[p] = float((pool.fixed_pods[:, 0] * pool.fixed_seconds).sum()) / devices[p]
        self.border: dict[tuple[str, str], float] = {}
        self.out: dict[str, float] = {}
        self.into: dict[str, float] = {}
        for source, target, rate in zip(data.link_source, data.link_target, data.bandwidth.tolist(), strict=True):
            self.out[source] = self.out.get(source, 0.0) + rate
            self.into[target] = self.into.get(target, 0.0) + rate
        self.there: set[tuple[int, str]] = set()

    def borders(self, g: int) -> dict[tuple[str, str], float]:
        """Seconds that one job by column g adds to the borders of its data's only source and of its site."""
        site = self.data.column_site[g]
        found: dict[tuple[str, str], float] = {}
        for k in self.data.column_data[g]:
            if (k, site) in self.there:
                continue
            one = self.data.data_sets[k]
            if site in self.into:
                at = ("into", site)
                found[at] = found.get(at, 0.0) + one.size_bytes / self.into[site]
            for source in one.sources if len(one.sources) == 1 else ():
                if source in self.out:
                    at = ("out", source)
                    found[at] = found.get(at, 0.0) + one.size_bytes / self.out[source]
        return found

    def add(self, g: int, count: int) -> None:
        self.pool[self.data.pool[g]] += count * self.work[g]
        for at, seconds in self.borders(g).items():
            self.border[at] = self.border.get(at, 0.0) + seconds
        for k in self.data.column_data[g]:
            self.there.add((k, self.data.column_site[g]))

    def lightest(self, options: Ints) -> int:
        def weight(g: int) -> tuple[float, float, int]:
            busiest = float(self.pool[self.data.pool[g]] + self.work[g])
            for at, seconds in self.borders(g).items():
                busiest = max(busiest, self.border.get(at, 0.0) + seconds + float(self.data.length[g]))
            finish = float(self.finish[g])
            return (max(busiest, finish), finish, g)

        return min((int(g) for g in options), key=weight)
