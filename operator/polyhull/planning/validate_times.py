"""The checker's clock: what holds something at each instant at which something more is taken.

Like validate.py it shares no code with what made the plan. Loads only grow where something starts, so these instants
are all that need a look. Floats are compared as they are: that is exact.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TypeVar

Instant = float | Fraction
Interval = tuple[Instant, Instant | None]
"""[start, end); None is for ever."""
Use = TypeVar("Use", bound=tuple[Interval, object, bool])
"""(when, how much, whether it was there before the plan)."""


def at_starts(uses: Sequence[Use]) -> Iterator[tuple[Instant, list[Use]]]:
    """Every start in order, with all that is held then. A use that ends when or before it starts holds nothing."""
    ahead = sorted(uses, key=_start)
    held: list[Use] = []
    at = 0
    while at < len(ahead):
        instant = ahead[at][0][0]
        while at < len(ahead) and ahead[at][0][0] == instant:
            held.append(ahead[at])
            at += 1
        held = [use for use in held if (end := use[0][1]) is None or instant < end]
        yield instant, held


def _start(use: tuple[Interval, object, bool]) -> Instant:
    return use[0][0]
