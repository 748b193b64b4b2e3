"""What a simulation gives: where and when each job runs, what moves when, and how good that is. Values only."""

from dataclasses import dataclass

Moved = tuple[int, float, float]
"""(index of the way, start, end) of a move."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where and when one job runs. Nodes by index in the pool; indexes behind the real ones are growth nodes."""

    choice: int
    start: float
    ready: float
    """When its data was there and its head over: what it waits for after that are devices."""
    end: float
    nodes: tuple[tuple[int, int], ...]
    waits: float = 0.0
    """Seconds of provisioning inside [start, end)."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What else there was for a job when its turn came, everybody before it placed and nobody behind."""

    ends: tuple[float, ...]
    """When it would end in each column that was asked for; inf: never."""
    free: tuple[int, ...]
    """Devices free in the pool of each of its gangs when everything else it needs was there."""
    under: tuple[float, ...] = ()
    """What each of its loads' lines had left then."""


@dataclass(frozen=True, slots=True)
class Placing:
    """Per job where it is on a board."""

    columns: list[int | None]
    starts: list[float]
    """inf for one that is nowhere, as in `first`."""
    first: list[float]
    """When the first of its moves starts, or it does."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One slot per job of the instance (None: cannot be placed) and one entry per move made."""

    order: tuple[int, ...]
    slots: tuple[Slot | None, ...]
    moves: dict[int, Moved]
    makespan: float
    objective: tuple[int, ...]
    """Smaller is better, compared lexicographically (`objectives.score`)."""
