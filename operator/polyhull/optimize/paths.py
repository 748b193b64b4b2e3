"""Sites and links as a graph: the one path a whole copy takes, and how fast bytes can reach a site at best.

Two different questions, two answers. A whole copy takes one source and one path, the widest. The *maximum flow* is
what no executor can beat: every source and every path at once, links otherwise empty. For lower bounds it is rounded
up; taken apart into paths it says how a copy can be split. Bandwidths here are bytes per second after the policy's
margin.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable

from polyhull.domain.fleet import Fleet, Link

Allowed = frozenset[str]

FlowPath = tuple[tuple[Link, ...], float]
"""Links from a source to the target, and bytes per second."""

_LEAST = 1e-12
"""Of a cut: less is rounding."""
_OUTWARD = 1.0 + 1e-9
"""A maximum flow only ever errs upwards: a bound may be too low, never too high."""


class Network:
    """Paths and flows over the links of a fleet, each computed once.

    Links without bandwidth, with a non-finite one, or from a site to itself carry nothing and are left out.
    """

    def __init__(self, fleet: Fleet, margin: float) -> None:
        usable = [link for link in fleet.links if _usable(link, margin)]
        self.links: dict[str, Link] = {link.name: link for link in sorted(usable, key=lambda link: link.name)}
        self.bytes_per_second: dict[str, float] = {
            name: margin * link.counted_bits_per_second / 8.0 for name, link in self.links.items()
        }
        self._out: dict[str, list[Link]] = {}
        for link in self.links.values():
            self._out.setdefault(link.source, []).append(link)
        self._widest: dict[tuple[str, str, Allowed], tuple[Link, ...] | None] = {}
        self._bottlenecks: dict[tuple[str, Allowed], dict[str, float]] = {}
        self._nearest: dict[str, dict[str, tuple[Link, ...]]] = {}
        self._flows: dict[tuple[Allowed, str, Allowed], float] = {}
        self._flow_paths: dict[tuple[Allowed, str, Allowed], tuple[FlowPath, ...]] = {}

    def widest(self, source: str, target: str, allowed: Allowed) -> tuple[Link, ...] | None:
        """The path whose narrowest link is widest, over sites of `allowed` only; None if there is none.

        Ties: fewer hops, then less latency, then the links' names. Source equal to target is the empty path.
        """
        if source not in allowed or target not in allowed:
            return None
        if source == target:
            return ()
        key = (source, target, allowed)
        if key not in self._widest:
            wide = self._bottleneck(source, allowed).get(target)
            self._widest[key] = None if wide is None else self._least(source, target, allowed, wide)
        return self._widest[key]

    def rate(self, path: Iterable[Link]) -> float:
        """Bytes per second of a path: its narrowest link; infinite for the empty path."""
        return min((self.bytes_per_second[link.name] for link in path), default=math.inf)

    def nearest(self, source: str, target: str) -> tuple[Link, ...] | None:
        """The path of least latency (ties: hops, names): where requests and answers of a service travel."""
        if source == target:
            return ()
        if source not in self._nearest:
            self._nearest[source] = self._latencies(source)
        return self._nearest[source].get(target)

    def max_flow(self, sources: Allowed, target: str, allowed: Allowed) -> float:
        """Bytes per second that can reach `target` from `sources` at best; never below the true maximum.

        Infinite when the target is itself a source, 0 when nothing connects them.
        """
        if target not in allowed:
            return 0.0
        starts = sources & allowed
        if target in starts:
            return math.inf
        key = (starts, target, allowed)
        if key not in self._flows:
            self._flows[key] = self._flow(starts, target, allowed)
        return self._flows[key]

    def flow_paths(self, sources: Allowed, target: str, allowed: Allowed) -> tuple[FlowPath, ...]:
        """A maximum flow taken apart into paths, the fastest first; no link carries more than it can of all of them.

        Empty when the target is itself a source or nothing connects them.
        """
        starts = sources & allowed
        if target not in allowed or target in starts:
            return ()
        key = (starts, target, allowed)
        if key not in self._flow_paths:
            self._flow_paths[key] = tuple(self._decomposed(starts, target, allowed))
        return self._flow_paths[key]

    def _bottleneck(self, source: str, allowed: Allowed) -> dict[str, float]:
        key = (source, allowed)
        if key in self._bottlenecks:
            return self._bottlenecks[key]
        best: dict[str, float] = {}
        heap = [(-math.inf, source)]
        while heap:
            negative, at = heapq.heappop(heap)
            if at in best:
                continue
            best[at] = -negative
            for link in self._out.get(at, ()):
                if link.target in allowed and link.target not in best:
                    heapq.heappush(heap, (-min(-negative, self.bytes_per_second[link.name]), link.target))
        self._bottlenecks[key] = best
        return best

    def _least(self, source: str, target: str, allowed: Allowed, wide: float) -> tuple[Link, ...] | None:
        """Fewest hops, least latency, first by name, over links at least `wide`."""

        def step(label: tuple[float, ...], link: Link) -> tuple[float, ...] | None:
            if link.target not in allowed or self.bytes_per_second[link.name] < wide:
                return None
            return label[0] + 1.0, label[1] + _latency(link)

        return self._first_path([source], target, (0.0, 0.0), step)

    def _first_path(
        self,
        starts: Iterable[str],
        target: str,
        label: tuple[float, ...],
        step: Callable[[tuple[float, ...], Link], tuple[float, ...] | None],
    ) -> tuple[Link, ...] | None:
        """The path of the least label (ties: names), each link making it no less; None where `step` bars all."""
        heap: list[tuple[tuple[float, ...], tuple[str, ...], str]] = [(label, (), site) for site in starts]
        done: set[str] = set()
        while heap:
            reached, names, at = heapq.heappop(heap)
            if at == target:
                return tuple(self.links[name] for name in names)
            if at in done:
                continue
            done.add(at)
            for link in self._out.get(at, ()):
                if link.target not in done and (further := step(reached, link)) is not None:
                    heapq.heappush(heap, (further, (*names, link.name), link.target))
        return None

    def _latencies(self, source: str) -> dict[str, tuple[Link, ...]]:
        heap: list[tuple[float, int, tuple[str, ...], str]] = [(0.0, 0, (), source)]
        found: dict[str, tuple[Link, ...]] = {}
        while heap:
            latency, hops, names, at = heapq.heappop(heap)
            if at in found:
                continue
            found[at] = tuple(self.links[name] for name in names)
            for link in self._out.get(at, ()):
                if link.target not in found:
                    step = (latency + _latency(link), hops + 1, (*names, link.name), link.target)
                    heapq.heappush(heap, step)
        return found

    def _flow(self, starts: Allowed, target: str, allowed: Allowed) -> float:
        """Shortest augmenting paths; stops early once a trivial cut (out of the sources, into the target) is full."""
        total, limit = _filled(self._room(starts, allowed), starts, target)
        return min(limit, total + len(allowed) ** 2 * limit * _LEAST) * _OUTWARD

    def _room(self, starts: Allowed, allowed: Allowed) -> dict[str, dict[str, float]]:
        """Bytes per second from site to site, none into the sources."""
        room: dict[str, dict[str, float]] = {site: {} for site in sorted(allowed)}
        for link in self.links.values():
            if link.source in allowed and link.target in allowed and link.target not in starts:
                towards = room[link.source]
                towards[link.target] = towards.get(link.target, 0.0) + self.bytes_per_second[link.name]
        return room

    def _decomposed(self, starts: Allowed, target: str, allowed: Allowed) -> Iterable[FlowPath]:
        room = self._room(starts, allowed)
        full = {site: dict(towards) for site, towards in room.items()}
        _, limit = _filled(room, starts, target)
        left = {at: {to: rate - room[at][to] for to, rate in towards.items()} for at, towards in full.items()}
        flow: dict[str, float] = {}
        for link in sorted(self.links.values(), key=lambda link: (-self.bytes_per_second[link.name], link.name)):
            # Links between the same two sites: the widest carries first.
            between = left.get(link.source, {})
            flow[link.name] = min(self.bytes_per_second[link.name], between.get(link.target, 0.0))
            if flow[link.name] > 0.0:
                between[link.target] -= flow[link.name]
        while True:
            path = self._fattest(flow, starts, target, limit * _LEAST * len(allowed))
            if not path:
                return
            rate = min(flow[link.name] for link in path)
            for link in path:
                flow[link.name] -= rate
            yield path, rate

    def _fattest(self, flow: dict[str, float], starts: Allowed, target: str, least: float) -> tuple[Link, ...]:
        """The path from a source that carries most of `flow` (ties: fewer hops, names); empty if none is left."""

        def step(label: tuple[float, ...], link: Link) -> tuple[float, ...] | None:
            return (max(label[0], -flow[link.name]), label[1] + 1.0) if flow[link.name] > least else None

        return self._first_path(sorted(starts), target, (-math.inf, 0.0), step) or ()


def _filled(room: dict[str, dict[str, float]], starts: Allowed, target: str) -> tuple[float, float]:
    """Fill `room` (what is left stays in it); bytes per second that flow, and what a trivial cut lets through."""
    into = sum(towards.get(target, 0.0) for towards in room.values())
    out = sum(capacity for site in sorted(starts) for to, capacity in room[site].items() if to not in starts)
    limit = min(into, out)
    least = limit * _LEAST
    total = 0.0
    while total < limit - least:
        parent = _search(room, starts, target, least)
        if parent is None:
            break
        step, at = math.inf, target
        while at not in starts:
            step, at = min(step, room[parent[at]][at]), parent[at]
        at = target
        while at not in starts:
            before = parent[at]
            room[before][at] -= step
            room[at][before] = room[at].get(before, 0.0) + step
            at = before
        total += step
    return total, limit


def _search(room: dict[str, dict[str, float]], starts: Allowed, target: str, least: float) -> dict[str, str] | None:
    parent: dict[str, str] = {}
    queue = deque(sorted(starts))
    while queue:
        at = queue.popleft()
        for to, capacity in room[at].items():
            if capacity > least and to not in parent and to not in starts:
                parent[to] = at
                if to == target:
                    return parent
                queue.append(to)
    return None


def _usable(link: Link, margin: float) -> bool:
    rate = margin * link.counted_bits_per_second / 8.0
    return link.source != link.target and math.isfinite(rate) and rate > 0.0


def _latency(link: Link) -> float:
    return link.latency_seconds if math.isfinite(link.latency_seconds) and link.latency_seconds > 0.0 else 0.0
