"""Places in the queue that survive insertions: a new job gets a number between its neighbours'.

The plan's order is stored with each job, since a restart rebuilds the queue from there. Numbering 1, 2, 3 … would
rewrite every waiting job whenever one is inserted; with gaps only those that really changed places are rewritten.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)

GAP = 1000
LIMIT = 1_000_000
"""The schema's largest order."""


def numbers(queue: Sequence[T], stored: Mapping[T, int]) -> dict[T, int]:
    """A strictly increasing number for each of `queue`, keeping as many of `stored` as can be kept.

    Everything is renumbered with even gaps when there is no room between two neighbours.
    """
    kept = _longest_increasing([(item, stored[item]) for item in queue if stored.get(item, 0) > 0])
    out: dict[T, int] = {}
    waiting: list[T] = []
    low = 0
    for item in queue:
        if item not in kept:
            waiting.append(item)
            continue
        if not _spread(waiting, low, kept[item], out):
            return _renumbered(queue)
        out[item] = low = kept[item]
    step = min(GAP, (LIMIT - low) // (len(waiting) + 1))
    if waiting and step < 1:
        return _renumbered(queue)
    out.update((item, low + step * (k + 1)) for k, item in enumerate(waiting))
    return out


def _spread(waiting: list[T], low: int, high: int, out: dict[T, int]) -> bool:
    """Even places between two numbers; False when there are too few. Empties `waiting`."""
    step = (high - low) // (len(waiting) + 1)
    if waiting and step < 1:
        return False
    out.update((item, low + step * (k + 1)) for k, item in enumerate(waiting))
    waiting.clear()
    return True


def _renumbered(queue: Sequence[T]) -> dict[T, int]:
    step = max(1, min(GAP, LIMIT // (len(queue) + 1)))
    return {item: min(LIMIT, step * (k + 1)) for k, item in enumerate(queue)}


def _longest_increasing(pairs: Sequence[tuple[T, int]]) -> dict[T, int]:
    """The longest strictly increasing subsequence (patience sorting)."""
    tails: list[int] = []
    before: list[int] = []
    for index, (_, value) in enumerate(pairs):
        low, high = 0, len(tails)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if pairs[tails[middle]][1] < value else (low, middle)
        before.append(tails[low - 1] if low else -1)
        tails[low : low + 1] = [index]
    out: dict[T, int] = {}
    index = tails[-1] if tails else -1
    while index >= 0:
        out[pairs[index][0]] = pairs[index][1]
        index = before[index]
    return out
