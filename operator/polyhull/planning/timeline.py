"""Free capacity over time as step functions: the innermost loop of the schedule simulation, kept small on purpose.

A step function is two parallel lists: `times` (ascending, first 0.0) and `free` (value from that time on; the last
one holds for ever). Node values are whole units (one int where devices alone bind, else a tuple); link values are
bytes per second. This module is the seam for a compiled kernel: everything it needs are lists of numbers.
"""

from bisect import bisect_right
from collections.abc import Sequence
from math import inf

Units = int | tuple[int, ...]
NodeSteps = tuple[list[float], list[Units]]
LinkSteps = tuple[list[float], list[float]]

RATE_SLACK = 1e-9
"""Relative tolerance of link capacity: rates are floats that add up to a capacity."""


def copies(free: Units, pod: Units) -> int:
    """How many pods of `pod` units fit into `free` units; 0 for over-full nodes."""
    if isinstance(free, int):
        assert isinstance(pod, int)
        return max(0, free // pod) if pod > 0 else 1_000_000
    assert not isinstance(pod, int)
    return max(0, min((have // want for have, want in zip(free, pod, strict=True) if want > 0), default=1_000_000))


def window(steps: NodeSteps, pod: Units, start: float, length: float) -> tuple[int, float]:
    """(pods that fit during the whole of [start, start + length), earliest time at which more could fit)."""
    times, free = steps
    n = len(times)
    i = bisect_right(times, start) - 1
    end = start + length
    value = free[i]
    best = copies(value, pod)
    last = i
    i += 1
    while i < n and times[i] < end:
        if free[i] != value:
            value = free[i]
            count = copies(value, pod)
            if count < best:
                best, last = count, i
            elif count == best:
                last = i
        else:
            last = i if copies(value, pod) == best else last
        i += 1
    return best, times[last + 1] if last + 1 < n else inf


def earliest_one(
    steps: tuple[list[float], Sequence[float]], need: float, ready: float, length: float, latest: float = inf
) -> float:
    """Earliest start in [ready, latest] with `need` of one node or link free for `length` seconds; inf if never."""
    times, free = steps
    n = len(times)
    i = bisect_right(times, ready) - 1
    start = ready
    while True:
        while free[i] < need:
            i += 1
            if i == n:
                return inf
            start = times[i]
        if start > latest:
            return inf
        end = start + length
        j = i + 1
        while j < n and times[j] < end:
            if free[j] < need:
                break
            j += 1
        else:
            return start
        i = j


def earliest_rate(links: list[LinkSteps], rates: Sequence[float], ready: float, seconds: float) -> float:
    """Earliest start >= ready at which every link has its rate left for `seconds`; inf if never."""
    start = ready
    settled = 0
    count = len(links)
    k = 0
    while settled < count:
        t = earliest_one(links[k], rates[k] * (1.0 - RATE_SLACK), start, seconds)
        if t == inf:
            return inf
        if t > start:
            start, settled = t, 1
        else:
            settled += 1
        k = (k + 1) % count
    return start


def _split(times: list[float], free: list[Units] | list[float], at: float) -> int:
    """Index of the step that begins at `at`, made if needed."""
    i = bisect_right(times, at) - 1
    if times[i] == at:
        return i
    times.insert(i + 1, at)
    free.insert(i + 1, free[i])  # type: ignore[arg-type]
    return i + 1


def _merge(times: list[float], free: list[Units] | list[float], low: int, high: int) -> None:
    """Drop steps in [low, high] that do not change the value."""
    for i in range(min(high, len(times) - 1), max(low, 1) - 1, -1):
        if free[i] == free[i - 1]:
            del times[i]
            del free[i]


def take_units(steps: NodeSteps, start: float, end: float, units: Units) -> None:
    """Occupy `units` of a node during [start, end)."""
    times, free = steps
    if end <= start:
        return
    a = _split(times, free, start)
    b = _split(times, free, end) if end != inf else len(times)
    for i in range(a, b):
        value = free[i]
        if isinstance(value, int):
            free[i] = value - units  # type: ignore[operator]
        else:
            free[i] = tuple(have - want for have, want in zip(value, units, strict=True))  # type: ignore[arg-type]
    _merge(times, free, a, b)


def take_rate(steps: LinkSteps, start: float, end: float, rate: float) -> None:
    """Occupy `rate` bytes per second of a link during [start, end); what rounding leaves over is no capacity."""
    times, free = steps
    if end <= start:
        return
    a = _split(times, free, start)
    b = _split(times, free, end) if end != inf else len(times)
    dust = rate * RATE_SLACK * 4
    for i in range(a, b):
        left = free[i] - rate
        free[i] = left if left > dust else 0.0
    _merge(times, free, a, b)
