"""Choices that are random in kind and the same everywhere."""

_SCALE = 1 << 20


class Dice:
    """A small deterministic source of choices (splitmix64), the same on every machine and version."""

    def __init__(self, seed: int) -> None:
        self._state = seed & 0xFFFFFFFFFFFFFFFF

    def below(self, n: int) -> int:
        """A number in [0, n)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        return (z ^ (z >> 31)) % n

    def share(self) -> float:
        """A number in (0, 1]."""
        return (self.below(_SCALE) + 1) / _SCALE
