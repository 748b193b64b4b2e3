"""When to run a cycle: after a change, once the fleet has gone quiet for a moment, and at set times.

Placement is global, so a hundred objects created together deserve one plan, not a hundred. The trigger waits for an
idle window without further marks, but never longer than a maximum window, so that a steady stream cannot starve the
loop. Deadlines (an unbound pod's 30 s, an exclusion's end) wake it too. Nothing marked, nothing due: it sleeps.

After a cycle it rests as long as that took: where looking and planning are slow, half of the time is left for
carrying out what was planned, and more news meet in one plan.
"""

import asyncio
from collections.abc import Callable

LONGEST_REST_SECONDS = 2.0


class Trigger:
    """`mark()` from any task of the loop; `wait()` from exactly one. All times are seconds of `clock` (monotonic)."""

    def __init__(self, clock: Callable[[], float], idle_seconds: float = 0.05, max_seconds: float = 1.0) -> None:
        self._clock, self._idle, self._max = clock, idle_seconds, max_seconds
        self._event = asyncio.Event()
        self._first: float | None = None
        self._last = 0.0
        self._due: float | None = None
        self._began: float | None = None

    def mark(self) -> None:
        """Something changed."""
        now = self._clock()
        self._first = now if self._first is None else self._first
        self._last = now
        self._event.set()

    def wake_in(self, seconds: float) -> None:
        """Run a cycle in `seconds` even if nothing changes; the earliest of several wins."""
        due = self._clock() + max(0.0, seconds)
        self._due = due if self._due is None else min(self._due, due)
        self._event.set()  # so that a waiter notices an earlier deadline

    async def wait(self) -> None:
        """Return when a cycle should run; forgets the marks and deadlines that led to it."""
        ended = self._clock()
        rested = ended if self._began is None else ended + min(ended - self._began, LONGEST_REST_SECONDS)
        while True:
            now = self._clock()
            at = self._ready_at()
            at = None if at is None else max(at, rested)
            if at is not None and now >= at:
                self._first, self._due, self._began = None, None, now
                self._event.clear()
                return
            self._event.clear()
            timeout = None if at is None else at - now
            try:
                async with asyncio.timeout(timeout):
                    await self._event.wait()
            except TimeoutError:
                continue

    def _ready_at(self) -> float | None:
        times = [] if self._due is None else [self._due]
        if self._first is not None:
            times.append(min(self._last + self._idle, self._first + self._max))
        return min(times) if times else None
