"""Devices over a wide-area network cut into pipeline stages, each a group that is parallel in data.

n devices, W stages of D = n/W devices. Every device of a group exchanges its part of the gradient with the others,
and activations go from each group to the next over a matching of their devices. The cost is that of DT-FM (Yuan et
al., NeurIPS 2022):

    seconds = max over devices i of  sum_{j in i's group} 2 (delay_ij + gradient/(D rate_ij))
            + 2 sum over neighbouring stages of the least bottleneck of a matching of (delay_ij + activation/rate_ij)

Devices that see everybody else alike are a *region*, and a group is the number of devices it takes of each region.
Candidates come from the network itself: regions are merged, nearest first, and within each cluster of regions every
group takes the same mix, so that between "every group inside one region" and "every group over all regions" each
level of the hierarchy is tried. The best one is improved by swapping two devices, or two neighbouring positions, as
long as that helps; `steps` counts evaluated swaps.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from polyhull.domain.errors import BrokenPromise
from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.large import groups as compiled
from polyhull.optimize.large.kernel import library

EXACT_STAGES = compiled.MOST_GROUPS
"""Up to so many stages their order is the best there is (Held and Karp); beyond, it is only improved by swaps."""
ALIKE = 1e-12
Mix = tuple[int, ...]
"""Devices that a group takes of each region."""


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Groups in the order of the pipeline, and what an iteration spends on communication, in seconds."""

    groups: tuple[tuple[int, ...], ...]
    data_parallel_seconds: float
    pipeline_seconds: float
    evaluations: int

    @property
    def seconds(self) -> float:
        return self.data_parallel_seconds + self.pipeline_seconds


def pipeline_groups(
    delay_seconds: Floats,
    bytes_per_second: Floats,
    stages: int,
    gradient_bytes: float,
    activation_bytes: float,
    steps: int = 2_000,
) -> Groups:
    """The best partition found. [device, device] delays and rates are symmetric; the diagonal is not read.

    `gradient_bytes` of one stage, `activation_bytes` that one device sends to the next stage. `steps=0`: candidates
    only. Raises BrokenPromise if the stages do not divide the devices.
    """
    devices = len(delay_seconds)
    if stages < 1 or devices % stages:
        raise BrokenPromise(f"{devices} devices are not divisible into {stages} stages of equal size")
    size = devices // stages
    region = regions(delay_seconds, bytes_per_second)
    first = np.unique(region, return_index=True)[1]
    delay, rate = _between(delay_seconds, region, first), _between(bytes_per_second, region, first)
    search = _Search(
        exchange=2.0 * (delay + gradient_bytes / (size * rate)),
        hand_over=delay + activation_bytes / rate,
        have=np.bincount(region),
        size=size,
    )
    return search.run(steps, region)


def regions(delay_seconds: Floats, bytes_per_second: Floats) -> Ints:
    """[device] region: devices are of one region if all others see them alike, and they see each other alike."""
    region: list[int] = []
    heads: list[int] = []
    inside: list[tuple[float, float] | None] = []
    for device in range(len(delay_seconds)):
        differ = (delay_seconds[heads] != delay_seconds[device]) | (
            bytes_per_second[heads] != bytes_per_second[device]
        )
        differ[:, device] = False
        differ[np.arange(len(heads)), heads] = False
        for r in np.flatnonzero(~differ.any(axis=1)).tolist():
            between = (float(delay_seconds[device, heads[r]]), float(bytes_per_second[device, heads[r]]))
            if inside[r] in (None, between):
                inside[r] = between
                region.append(r)
                break
        else:
            region.append(len(heads))
            heads.append(device)
            inside.append(None)
    return np.array(region, dtype=np.int64)


def _between(table: Floats, region: Ints, first: Ints) -> Floats:
    """[region, region] entries; inside a region that of its first two members (its own diagonal if it has one)."""
    small: Floats = table[np.ix_(first, first)].astype(np.float64)
    for r, head in enumerate(first.tolist()):
        mine = np.flatnonzero(region == r)
        small[r, r] = table[head, mine[1]] if len(mine) > 1 else table[head, head]
    return small


@dataclass(slots=True)
class _Search:
    exchange: Floats
    """[region, region] seconds that two devices of one group exchange."""
    hand_over: Floats
    """[region, region] seconds of activations between devices of neighbouring stages."""
    have: Ints
    size: int
    far: list[list[float]] = field(init=False)
    """`hand_over`, for many small look-ups."""
    evaluations: int = 0
    matched: dict[tuple[Mix, Mix], float] = field(default_factory=dict)
    exchanged: dict[Mix, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.far = self.hand_over.tolist()

    def run(self, steps: int, region: Ints) -> Groups:
        candidates = [self._ordered(self._mixes(clusters)) for clusters in self._hierarchy()]
        best = min(candidates, key=self._cost)
        best = self._improved(best, steps)
        parallel, pipeline = self._parts(best)
        left = [np.flatnonzero(region == r).tolist() for r in range(len(self.have))]
        groups = []
        for mix in best:
            groups.append(tuple(sorted(left[r].pop(0) for r, count in enumerate(mix) for _ in range(count))))
        return Groups(tuple(groups), parallel, pipeline, self.evaluations)

    def _parts(self, mixes: list[Mix]) -> tuple[float, float]:
        parallel = max(self._exchange(mix) for mix in mixes)
        return parallel, 2.0 * sum(self._match(one, other) for one, other in itertools.pairwise(mixes))

    def _cost(self, mixes: list[Mix]) -> float:
        self.evaluations += 1
        return sum(self._parts(mixes))

    def _exchange(self, mix: Mix) -> float:
        if mix not in self.exchanged:
            count = np.array(mix)
            seconds = self.exchange @ count - np.diag(self.exchange)
            self.exchanged[mix] = float(seconds[count > 0].max())
        return self.exchanged[mix]

    def _match(self, one: Mix, other: Mix) -> float:
        """The least t such that the devices can be matched over pairs that take at most t."""
        key = (one, other) if one <= other else (other, one)
        if key not in self.matched:
            self.matched[key] = bottleneck(key[0], key[1], self.hand_over)
        return self.matched[key]

    def _edges(self, mixes: list[Mix]) -> Floats:
        """[group, group] bottlenecks, all at once where they are compiled."""
        kernel = library()
        if kernel is None or len(self.have) > compiled.MOST_REGIONS:
            return np.array([[self._match(one, other) for other in mixes] for one in mixes])
        edge = compiled.bottlenecks(np.array(mixes), self.hand_over, kernel)
        for pair, seconds in zip(itertools.product(mixes, mixes), edge.ravel().tolist(), strict=True):
            self.matched[pair] = seconds
        return edge

    def _hierarchy(self) -> list[list[list[int]]]:
        """Clusters of regions, from every region alone to all together, the nearest two merged each time."""
        clusters = [[r] for r in range(len(self.have))]
        levels = [clusters]
        while len(clusters) > 1:
            one, other = min(
                itertools.combinations(range(len(clusters)), 2),
                key=lambda pair: self._mean(clusters[pair[0]], clusters[pair[1]]),
            )
            rest = [c for n, c in enumerate(clusters) if n not in (one, other)]
            clusters = [*rest, clusters[one] + clusters[other]]
            levels.append(clusters)
        return levels

    def _mean(self, one: Sequence[int], other: Sequence[int]) -> float:
        return sum(self.far[r][s] for r in one for s in other) / (len(one) * len(other))

    def _mixes(self, clusters: list[list[int]]) -> list[Mix]:
        """Groups cut one after the other from clusters laid in a row, regions of a cluster evenly interleaved."""
        have = self.have.tolist()
        row: list[int] = []
        for cluster in self._row(clusters):
            places = sorted(((n + 0.5) / have[r], r) for r in cluster for n in range(have[r]))
            row += [r for _, r in places]
        chunks = (row[at : at + self.size] for at in range(0, len(row), self.size))
        return [tuple(chunk.count(r) for r in range(len(have))) for chunk in chunks]

    def _row(self, clusters: list[list[int]]) -> list[list[int]]:
        """Nearest neighbour next, from the cluster that is farthest from the others."""
        left = list(clusters)
        row = [max(left, key=lambda c: self._mean(c, range(len(self.have))))]
        left.remove(row[0])
        while left:
            near = min(left, key=lambda c: min(self.far[r][s] for r in row[-1] for s in c))
            row.append(near)
            left.remove(near)
        return row

    def _ordered(self, mixes: list[Mix]) -> list[Mix]:
        """The same groups in the cheapest order (Held and Karp, 1962), or as they are where there are many."""
        many = len(mixes)
        if many > EXACT_STAGES or many < 3:
            return mixes
        edge, kernel = self._edges(mixes), library()
        return [mixes[n] for n in (cheapest_path(edge) if kernel is None else compiled.cheapest_path(edge, kernel))]

    def _improved(self, mixes: list[Mix], steps: int) -> list[Mix]:
        """Swap while it helps: two devices of different regions between two groups, or two positions."""
        best, cost = mixes, self._cost(mixes)
        until = self.evaluations + steps
        helped = True
        while helped:
            helped = False
            for candidate in self._neighbours(best):
                if self.evaluations >= until:
                    return best
                found = self._cost(candidate)
                if found < cost * (1.0 - ALIKE):
                    best, cost, helped = candidate, found, True
                    break
            if helped:
                ordered = self._ordered(best)
                if (found := self._cost(ordered)) < cost:
                    best, cost = ordered, found
        return best

    def _neighbours(self, mixes: list[Mix]) -> Iterator[list[Mix]]:
        places = range(len(mixes))
        for one, other in itertools.combinations(places, 2):
            for r, s in itertools.permutations(range(len(self.have)), 2):
                if mixes[one][r] > 0 and mixes[other][s] > 0:
                    changed = list(mixes)
                    changed[one] = _exchanged(mixes[one], r, s)
                    changed[other] = _exchanged(mixes[other], s, r)
                    yield changed
        for one, other in itertools.combinations(places, 2):
            changed = list(mixes)
            changed[one : other + 1] = reversed(changed[one : other + 1])
            yield changed


def _exchanged(mix: Mix, gone: int, come: int) -> Mix:
    """One device of region `gone` less, one of region `come` more."""
    return tuple(count - (r == gone) + (r == come) for r, count in enumerate(mix))


def cheapest_path(edge: Floats) -> list[int]:
    """The order of all groups with the least sum of `edge` between neighbours; groups.c has the same steps."""
    many = len(edge)
    # cost[set][last]: the cheapest path through the set that ends there.
    cost = np.full((1 << many, many), np.inf)
    cost[1 << np.arange(many), np.arange(many)] = 0.0
    before = np.zeros((1 << many, many), dtype=np.int64)
    bits = 1 << np.arange(many)
    for reached in range(1, 1 << many):
        step = cost[reached][:, None] + edge
        nearest, reach = step.argmin(axis=0), step.min(axis=0)
        new = np.flatnonzero((bits & reached) == 0)
        wider = bits[new] | reached
        # Every (set, last) is reached from one set only: that without `last`.
        cost[wider, new], before[wider, new] = reach[new], nearest[new]
    reached = (1 << many) - 1
    at = int(cost[reached].argmin())
    path = [at]
    while len(path) < many:
        at, reached = int(before[reached, at]), reached & ~(1 << at)
        path.append(at)
    return path[::-1]


def bottleneck(one: Mix, other: Mix, seconds: Floats) -> float:
    """The least t with which all of `one` reaches `other` over region pairs of at most t (Ford and Fulkerson)."""
    give = {r: count for r, count in enumerate(one) if count}
    take = {s: count for s, count in enumerate(other) if count}
    pairs = sorted((float(seconds[r, s]), r, s) for r in give for s in take)
    flow: dict[tuple[int, int], int] = {}
    wanted = sum(give.values())
    for limit, r, s in pairs:
        flow[r, s] = 0
        while wanted and (path := _augmenting(give, take, flow)):
            amount = min(
                [give[path[0]], take[path[-1]]] + [flow[q, s] for q, s in zip(path[2::2], path[1::2], strict=False)]
            )
            for at in range(0, len(path) - 1, 2):
                flow[path[at], path[at + 1]] += amount
            for at in range(1, len(path) - 1, 2):
                flow[path[at + 1], path[at]] -= amount
            give[path[0]] -= amount
            take[path[-1]] -= amount
            wanted -= amount
        if not wanted:
            return limit
    return 0.0


def _augmenting(give: dict[int, int], take: dict[int, int], flow: dict[tuple[int, int], int]) -> list[int]:
    """giver, taker, giver … taker: open pairs forwards, pairs in use backwards; [] if nothing more can be sent."""
    queue = [[r] for r, count in sorted(give.items()) if count]
    seen = {path[0] for path in queue}
    met: set[int] = set()
    for path in queue:
        for r, s in sorted(flow):
            if r != path[-1] or s in met:
                continue
            met.add(s)
            if take[s]:
                return [*path, s]
            for q, t in sorted(flow):
                if t == s and flow[q, t] and q not in seen:
                    seen.add(q)
                    queue.append([*path, s, q])
    return []
