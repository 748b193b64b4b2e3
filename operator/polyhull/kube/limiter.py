"""How much Polyhull asks of a cluster: a token bucket, so that a bug cannot become a flood, and plain counters."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Read by metrics and tests. Keys of `requests` are (verb, resource label); attempts count, so a retried call
    counts each time it was sent. `failures` counts by HTTP status, or 0 where there was no answer."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: Counter[int] = field(default_factory=Counter)
    retries: int = 0
    throttled_seconds: float = 0.0
    """Time spent waiting for the bucket, summed."""

    def total(self, *verbs: str) -> int:
        """Requests of the given verbs, of all without any."""
        return sum(count for (verb, _), count in self.requests.items() if not verbs or verb in verbs)

    @property
    def writes(self) -> int:
        return self.total("apply", "create", "delete", "patch")


class TokenBucket:
    """At most `burst` at once and `rate` a second in the long run."""

    def __init__(self, rate: float, burst: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._monotonic = rate, burst, monotonic
        self._tokens, self._at = float(burst), monotonic()

    def reserve(self) -> float:
        """Take one token now or ahead of time; the answer is how many seconds to wait before using it."""
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate) - 1.0
        self._at = now
        return max(0.0, -self._tokens / self._rate)

    async def take(self) -> float:
        """Wait for a token; returns the seconds waited."""
        delay = self.reserve()
        if delay > 0:
            await asyncio.sleep(delay)
        return delay
