"""Which machine holds which layers of a model, so that as many tokens per second as can be flow through all layers.

Helix (Mei et al., ASPLOS 2025) places layers by big-M rows on positions: the relaxation is far from the truth, and
equal machines are interchangeable in it. Here the structure is used. For a target rate F a *stage* is a few machines
that hold the same k layers and pass F together; what matters is only how many of which kind, so stages are columns of
a small integer programme:

    most layers   max sum k_c y_c   s.t.   machines of each kind and cluster,   y whole.

F is reachable in this form if that is at least the model's layers, and the F that can matter are sums of a few
throughputs: bisection over them. Clusters are machines joined by links of at least F. A model may cross clusters,
each once, in some order; a pair of stages at a border is a column of its own, offered where links between carry F.
The answer is laid out and its rate is computed as what it is, a maximum flow over its real links (layers.py); only
that is reported.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.large import stages as compiled
from polyhull.optimize.large.kernel import library
from polyhull.optimize.layers import Machines, compute_bound, flow
from polyhull.optimize.stage_programme import WHOLE, Columns, Stage, StageProgramme

MOST_ORDERS = 64
"""Orders of clusters that are tried for one target."""
MOST_PAIRS = 400
"""Pairs of stages that are offered for one border."""
BELOW = 1.0 - 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """`start[i]`, `layers[i]` (0: machine unused), the maximum flow in tokens/s, and `bound`: no layout does better.

    `stages`: machines that hold the same layers, in the order of the layers (a second chain's after the first's).
    """

    start: Ints
    layers: Ints
    tokens_per_second: float
    bound: float
    stages: tuple[tuple[int, ...], ...]
    programmes: int


def place_layers(machines: Machines, layers: int, group: int = 4, most_stages: int | None = None) -> Layout:
    """The best layout found; `group`: most machines in a stage, `most_stages`: latency grows with each.

    Deterministic, and as many programmes as the logarithm of (kinds, layers, group) asks for.
    """
    return _Search(machines, layers, group, most_stages).run()


class _Search:
    def __init__(self, machines: Machines, layers: int, group: int, most_stages: int | None) -> None:
        self.machines, self.layers, self.most_stages = machines, layers, most_stages
        _, first, kind = np.unique(machines.throughput, axis=0, return_index=True, return_inverse=True)
        self.kind: Ints = kind.ravel().astype(np.int64)
        self.rates = machines.throughput[first]
        self.link = np.ascontiguousarray(machines.link, dtype=np.float64)
        self.throughput = np.ascontiguousarray(machines.throughput.T, dtype=np.float64)
        kinds = range(len(first))
        sizes = range(1, group + 1)
        combos = [c for r in sizes for c in itertools.combinations_with_replacement(kinds, r)]
        self.combos: Ints = np.array([np.bincount(c, minlength=len(first)) for c in combos], dtype=np.int64)
        self.together = self.combos @ self.rates
        # A stage needs every one of its machines to hold its layers.
        able = np.all((self.combos[:, :, None] == 0) | (self.rates[None, :, :] > 0.0), axis=1)
        self.together[~able] = 0.0
        self.small = len(kind) <= compiled.MOST_MACHINES and group <= compiled.MOST_OF_A_STAGE
        self.bound = compute_bound(machines, layers)
        self.best = Layout(np.zeros(len(kind), np.int64), np.zeros(len(kind), np.int64), 0.0, self.bound, (), 0)
        self.spare = np.zeros(len(kind), dtype=np.bool_)
        self.programmes = 0
        self.order: tuple[int, ...] | None = None
        self.cuts: dict[tuple[bytes, int, int, bytes, bytes, int, int], float] = {}

    def run(self) -> Layout:
        targets = np.unique(self.together[(self.together > 0.0) & (self.together <= self.bound)])
        low, high = -1, len(targets)
        while high - low > 1:
            middle = (low + high) // 2
            if self._reach(float(targets[middle])):
                low = middle
            else:
                high = middle
        best = self._with_second_chain()
        return replace(best, bound=self.bound, programmes=self.programmes)

    def _with_second_chain(self) -> Layout:
        """The best layout, its spare machines as a chain of their own where that passes more."""
        spare = np.flatnonzero(self.spare)
        machines = self.machines
        able = (machines.throughput[spare] > 0.0).sum(axis=1)
        if not 0 < len(spare) < len(self.kind) or able.sum() < self.layers:
            return self.best
        within = Machines(
            machines.throughput[spare],
            machines.link[np.ix_(spare, spare)],
            machines.entry[spare],
            machines.exit[spare],
        )
        search = _Search(within, self.layers, int(self.combos[-1].sum()), self.most_stages)
        second = search.run()
        self.programmes += second.programmes
        start, layers = self.best.start.copy(), self.best.layers.copy()
        start[spare], layers[spare] = second.start, second.layers
        rate = flow(machines, start, layers, self.layers)
        if rate <= self.best.tokens_per_second:
            return self.best
        alone = set(spare.tolist())
        stages = [tuple(node for node in stage if node not in alone) for stage in self.best.stages]
        stages += [tuple(spare[list(stage)].tolist()) for stage in second.stages]
        return Layout(start, layers, rate, self.bound, tuple(stages), 0)

    def _reach(self, target: float) -> bool:
        """Can F = `target` be laid out? Whatever is laid out on the way is kept if its flow is the best."""
        if self.best.tokens_per_second >= target * BELOW:
            return True
        columns = self._columns(target)
        cluster = self._clusters(target)
        most = self._most_layers(columns, cluster)
        for order in self._orders(cluster, target):
            if len(order) > 1 and sum(most(c) for c in order) < self.layers - WHOLE:
                continue
            chosen = self._choose(target, columns, cluster, order)
            if chosen is None:
                continue
            layout, spare = self._lay_out(chosen, cluster, order)
            if layout.tokens_per_second > self.best.tokens_per_second:
                self.best, self.spare = layout, spare
            if layout.tokens_per_second >= target * BELOW:
                self.order = order
                return True
        return False

    def _most_layers(self, columns: list[Stage], cluster: Ints) -> Callable[[int], float]:
        """Cluster -> the most layers that its machines can hold as these stages, whatever borders ask for."""

        @cache
        def most(c: int) -> float:
            programme = StageProgramme(self.most_stages)
            have = np.bincount(self.kind[cluster == c], minlength=len(self.rates))
            programme.add_cluster([stage for stage in columns if (stage.counts <= have).all()], have)
            self.programmes += 1
            return programme.most_layers()

        return most

    def _columns(self, target: float) -> list[Stage]:
        """For each combination of machines the most layers with which it passes `target`, none of them spare."""
        enough = self.together >= target
        most = np.where(enough.any(axis=1), enough.shape[1] - np.argmax(enough[:, ::-1], axis=1), 0)
        slowest = np.where(self.combos > 0, self.rates[:, most - 1].T, np.inf).min(axis=1)
        passed = self.together[np.arange(len(most)), most - 1]
        lean = np.flatnonzero((most > 0) & (passed - slowest < target))
        return [Stage(int(most[c]), self.combos[c]) for c in lean]

    def _clusters(self, target: float) -> Ints:
        """[machine] cluster: joined, both ways, by links that carry the target."""
        wide = np.minimum(self.machines.link, self.machines.link.T) >= target
        cluster = np.arange(len(self.kind))
        for _ in range(len(self.kind)):
            least = np.where(wide, cluster[None, :], len(cluster)).min(axis=1)
            joined = np.minimum(cluster, least)
            if np.array_equal(joined, cluster):
                break
            cluster = joined
        names: Ints = np.unique(cluster, return_inverse=True)[1].ravel().astype(np.int64)
        return names

    def _orders(self, cluster: Ints, target: float) -> list[tuple[int, ...]]:
        """Orders of clusters, those with the most of them first; the last one that worked before all others."""
        many = int(cluster.max()) + 1
        work = np.zeros(many)
        np.add.at(work, cluster, (self.machines.throughput * np.arange(1, self.rates.shape[1] + 1)).max(axis=1))
        useful = sorted(range(many), key=lambda c: (-work[c], c))[:5]
        orders = [
            order
            for r in range(len(useful), 0, -1)
            for order in itertools.permutations(useful, r)
            if work[list(order)].sum() >= target * self.layers
        ]
        return sorted(orders[:MOST_ORDERS], key=lambda order: order != self.order)

    def _cut(self, cluster: Ints, source: int, sink: int, a: Stage, b: Stage) -> float:
        """About the most that stage a of one cluster passes to stage b of another over the links between them."""
        key = (cluster.tobytes(), source, sink, a.counts.tobytes(), b.counts.tobytes(), a.layers, b.layers)
        if key not in self.cuts:
            self.cuts[key] = self._pair(np.flatnonzero(cluster == source), a, np.flatnonzero(cluster == sink), b)[0]
        return self.cuts[key]

    def _pair(self, ends: Ints, a: Stage, begins: Ints, b: Stage) -> tuple[float, list[int], list[int]]:
        """(tokens/s, machines of `ends` for stage a, of `begins` for stage b) with about the most between them."""
        gives, takes = (self.throughput[stage.layers - 1] for stage in (a, b))
        kernel = library()
        if kernel is not None and self.small:
            sides = compiled.End(ends, a.counts, gives), compiled.End(begins, b.counts, takes)
            return compiled.best_pair(self.kind, self.link, sides, kernel)
        return pair_of_stages(self.kind, self.link, (ends, a.counts, gives), (begins, b.counts, takes))

    def _choose(
        self, target: float, columns: list[Stage], cluster: Ints, order: tuple[int, ...]
    ) -> list[list[Stage]] | None:
        """The stages of each cluster of `order`, first and last fit for the borders; None if layers are missing."""
        programme = StageProgramme(self.most_stages)
        for c in order:
            have = np.bincount(self.kind[cluster == c], minlength=len(self.rates))
            programme.add_cluster([stage for stage in columns if (stage.counts <= have).all()], have)
        for at, (source, sink) in enumerate(itertools.pairwise(order)):
            ends, begins = programme.clusters[at], programme.clusters[at + 1]
            programme.add_border(at, self._pairs(target, cluster, (source, sink), ends, begins))
        self.programmes += 1
        return programme.solve(self.layers)

    def _pairs(
        self, target: float, cluster: Ints, cut: tuple[int, int], ends: Columns, begins: Columns
    ) -> list[tuple[int, int]]:
        """Columns (last of one cluster, first of the next) whose links carry the target, least costly first."""
        able = [
            (a.size / a.layers + b.size / b.layers, v, w)
            for (v, a), (w, b) in itertools.product(ends, begins)
            if self._cut(cluster, *cut, a, b) >= target
        ]
        return [(v, w) for _, v, w in sorted(able)[:MOST_PAIRS]]

    def _lay_out(
        self, chosen: list[list[Stage]], cluster: Ints, order: tuple[int, ...]
    ) -> tuple[Layout, NDArray[np.bool_]]:
        """Machines for the stages, surplus layers taken away; the spare (told) join the narrowest stage that fits."""
        free = np.ones(len(self.kind), dtype=np.bool_)
        picked: dict[tuple[int, int], list[int]] = {}
        for at, (c, following) in enumerate(itertools.pairwise(order)):
            last = len(chosen[at]) - 1
            ends, begins = np.flatnonzero(free & (cluster == c)), np.flatnonzero(free & (cluster == following))
            pair = chosen[at][last], chosen[at + 1][0]
            _, picked[at, last], picked[at + 1, 0] = self._pair(ends, pair[0], begins, pair[1])
            free[picked[at, last] + picked[at + 1, 0]] = False
        groups: list[list[int]] = []
        held: list[int] = []
        for at, c in enumerate(order):
            for s, stage in enumerate(chosen[at]):
                if (at, s) not in picked:
                    mine = np.flatnonzero(free & (cluster == c))
                    picked[at, s] = _richest(mine, np.zeros((len(free), 1)), stage.counts, self.kind)[:, 0].tolist()
                    free[picked[at, s]] = False
                groups.append(picked[at, s])
                held.append(stage.layers)
        self._shorten(groups, held)
        free = np.ones(len(self.kind), dtype=np.bool_)
        free[[node for nodes in groups for node in nodes]] = False
        for node in np.flatnonzero(free).tolist():
            fits = [s for s in range(len(groups)) if self.machines.throughput[node, held[s] - 1] > 0.0]
            if fits:
                narrow = min(fits, key=lambda s: self.machines.throughput[groups[s], held[s] - 1].sum())
                groups[narrow].append(node)
        start, layers = np.zeros(len(free), np.int64), np.zeros(len(free), np.int64)
        begin = 0
        for nodes, count in zip(groups, held, strict=True):
            start[nodes], layers[nodes] = begin, count
            begin += count
        rate = flow(self.machines, start, layers, self.layers)
        return Layout(start, layers, rate, self.bound, tuple(tuple(sorted(nodes)) for nodes in groups), 0), free

    def _shorten(self, groups: list[list[int]], held: list[int]) -> None:
        """Take surplus layers from the narrowest stages, whole stages in the end."""
        while (surplus := sum(held) - self.layers) > 0:
            passed = [self.machines.throughput[nodes, k - 1].sum() for nodes, k in zip(groups, held, strict=True)]
            long = [s for s in range(len(held)) if held[s] > 1]
            s = min(long or range(len(held)), key=lambda s: (passed[s], s))
            if held[s] > 1:
                held[s] -= 1
            elif surplus > 0:
                del held[s], groups[s]


Side = tuple[Ints, Ints, Floats]
"""Machines of a cluster, how many of each kind are wanted, tokens/s by machine (of all)."""


def pair_of_stages(kind: Ints, link: Floats, one: Side, other: Side) -> tuple[float, list[int], list[int]]:
    """(tokens/s, machines of one side, of the other) with about the most over `link` between them.

    From each machine of the other side in turn: the best partners, their best partners, and once more. What a machine
    adds is what its links to the other side carry, and never more than it passes. stages.c has the same steps.
    """
    (ends, many, gives), (begins, more, takes) = one, other
    last = begins[None, :]
    for _ in range(2):
        first = _richest(ends, np.minimum(link[:, last].sum(axis=1), gives[:, None]), many, kind)
        last = _richest(begins, np.minimum(link[first].sum(axis=0).T, takes[:, None]), more, kind)
    between = link[first[:, None, :], last[None, :, :]]
    carried = np.minimum(
        np.minimum(between.sum(axis=1), gives[first]).sum(axis=0),
        np.minimum(between.sum(axis=0), takes[last]).sum(axis=0),
    )
    seed = int(np.argmax(carried))
    return float(carried[seed]), first[:, seed].tolist(), last[:, seed].tolist()


def _richest(nodes: Ints, worth: Floats, counts: Ints, kind: Ints) -> Ints:
    """[machine, trial] of `nodes`, counts[d] of each kind d, those of the most `worth` [node, trial]; the first by
    number where equal."""
    taken = []
    for d in np.flatnonzero(counts).tolist():
        able = nodes[kind[nodes] == d]
        taken.append(able[np.argsort(-worth[able], axis=0, kind="stable")[: int(counts[d])]])
    return np.concatenate(taken)
