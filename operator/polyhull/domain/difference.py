"""Two plans side by side: what a what-if answers."""

from dataclasses import dataclass
from enum import StrEnum

from polyhull.domain.decision import BoundKind
from polyhull.domain.workloads import Key


class Fate(StrEnum):
    """What becomes of a job or a service."""

    EARLIER = "Earlier"
    LATER = "Later"
    MOVED = "Moved"
    """It ends when it did, elsewhere."""
    PLACED = "Placed"
    """It found no place before."""
    UNPLACED = "Unplaced"
    """It finds no place any more."""
    ADDED = "Added"
    REMOVED = "Removed"
    SERVES_MORE = "ServesMore"
    SERVES_LESS = "ServesLess"


@dataclass(frozen=True, slots=True)
class JobDifference:
    """`end` is seconds from now for jobs and None for services; pools of a service are joined by `, `."""

    job: Key
    fate: Fate
    from_pool: str = ""
    to_pool: str = ""
    from_end: float | None = None
    to_end: float | None = None
    reason: str = ""
    """Of one that finds no place any more."""

    @property
    def later_seconds(self) -> float | None:
        """Negative: sooner. None where there is nothing to compare."""
        return None if self.from_end is None or self.to_end is None else self.to_end - self.from_end


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two plans."""

    makespan_seconds: float
    lower_bound_seconds: float
    bound_kind: BoundKind
    gap: float | None
    cost: float | None
    """None: a price is unknown."""
    energy_joules: float | None
    placed: int
    unplaced: int
    plan_hash: str


@dataclass(frozen=True, slots=True)
class Difference:
    """`changes` in words; `jobs` only those to which something happens, the largest difference first."""

    changes: tuple[str, ...]
    before: Side
    after: Side
    jobs: tuple[JobDifference, ...]

    def count(self, *fates: Fate) -> int:
        return sum(one.fate in fates for one in self.jobs)

    @property
    def moved(self) -> int:
        """How many run elsewhere, sooner and later ones included."""
        return sum(bool(one.from_pool and one.to_pool and one.from_pool != one.to_pool) for one in self.jobs)
