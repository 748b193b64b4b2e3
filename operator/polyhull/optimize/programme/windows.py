"""Where the rows that strengthen the whole-copy programme stand: found where a solution violates them most."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Head:
    """A pool's resource d from `seconds` on."""

    pool: int
    dimension: int
    seconds: float


@dataclass(frozen=True, slots=True, order=True)
class Long:
    """A dual feasible function of length / (T - `seconds`) for what cannot start earlier: u(step), or with `step` 0
    the function that counts more than 1 - `least` as 1 and less than `least` as 0."""

    pool: int
    dimension: int
    seconds: float
    step: int
    least: float


@dataclass(frozen=True, slots=True, order=True)
class Tail:
    """A link until T - `seconds`, for what jobs at least as long read."""

    link: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Windows:
    """Sorted, so that the same windows give the same rows at every T."""

    heads: tuple[Head, ...] = ()
    longs: tuple[Long, ...] = ()
    tails: tuple[Tail, ...] = ()

    def __or__(self, other: "Windows") -> "Windows":
        return Windows(
            tuple(sorted({*self.heads, *other.heads})),
            tuple(sorted({*self.longs, *other.longs})),
            tuple(sorted({*self.tails, *other.tails})),
        )

    def __len__(self) -> int:
        return len(self.heads) + len(self.longs) + len(self.tails)


NO_WINDOWS = Windows()
