"""The present plan through time: arrivals inserted at once, a better plan sought behind and taken over when found.

A burst (several arrivals into a short queue) waits a moment for the full plan instead: releasing it by insertion
would fix what the search is about to improve. Everything else is inserted at once.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from polyhull.controller import observe
from polyhull.controller.planner import Planner
from polyhull.controller.question import RESTED_SHARE, Question, movable, next_movable_at, question
from polyhull.domain.decision import Decision, Opportunity, RunningMove
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key, Promise, Serving
from polyhull.planning.carried import carrying, places_of, promised, promises_of, standing, stopped
from polyhull.planning.gains import gains
from polyhull.telemetry.record import Method

logger = logging.getLogger(__name__)

BURST = 3
BURST_SHARE = 0.2
RETRY_SECONDS = 5.0
KEEP_SECONDS = 60.0
"""Between two records of insertions: the ring is for full plans first."""


@dataclass(frozen=True, slots=True)
class News:
    """A full plan as adopted (under the modes that ask: or the plan kept instead)."""

    snapshot: Snapshot
    """What it was decided from."""
    decision: Decision
    method: Method
    before: dict[Key, str]
    """Pool by job in the plan it replaced."""


@dataclass(slots=True)
class Course:
    """`mark` asks for a cycle now, `wake` in so many seconds. `patience_seconds`: how long a burst waits."""

    planner: Planner
    monotonic: Callable[[], float]
    mark: Callable[[], None]
    wake: Callable[[float], None]
    patience_seconds: float = 10.0
    keep: Callable[[Snapshot, Decision, Method], object] = lambda snapshot, decision, method: None
    """Makes a record of an insertion; full plans are told as news and recorded by whoever takes these."""
    present: Decision | None = None
    promises: dict[Key, Promise] = field(default_factory=dict)
    places: dict[Key, tuple[Serving, ...]] = field(default_factory=dict)
    """Where the present plan has services: those that do not run yet must not wander."""
    opportunities: tuple[Opportunity, ...] = ()
    """What device time was worth when the last full plan was found."""
    moves: tuple[RunningMove, ...] = ()
    """Running jobs that the present plan has elsewhere, until they are stopped: it is a plan of the fleet without
    them where they are."""
    _essence: object = None
    _asked: Question | None = None
    """What the last search was about."""
    _asked_at: float = -math.inf
    _retry_at: float = -math.inf
    """Not before then after a search that failed."""
    _postponed: bool = False
    """Whether a search waits for that, or one about running jobs alone until the last is long enough ago."""
    _search: "asyncio.Task[None] | None" = None
    _found: tuple[Snapshot, Decision] | None = None
    _news: News | None = None
    _burst_until: float | None = None
    _kept_at: float | None = None
    """When an insertion was recorded last."""

    async def hold(self, snapshot: Snapshot) -> Decision | None:
        """The plan to act on now; None when there is none that fits what is there."""
        essence = (observe.essence(snapshot), movable(snapshot))
        self._watch(snapshot)
        if essence == self._essence and self._found is None:
            if self._postponed:
                self._seek(promised(snapshot, {}, self.places))
            return self.present
        snapshot = promised(snapshot, {}, self.places)
        self._seek(snapshot)
        self.moves = standing(self.moves, snapshot)
        running = snapshot = replace(snapshot, opportunities=self.opportunities)
        snapshot = stopped(snapshot, self.moves, self.promises)
        if self._waits_for_search(snapshot):
            return None
        asked = self._with_found(snapshot)
        if self._found is None:
            asked = self.planner.as_of_present(asked)
        decision = await self.planner.insert(asked)
        if decision is None:
            self.wake(RETRY_SECONDS)
            return None
        if self._found is not None:
            decision = await self._compared(running, asked, decision)
        elif self._is_to_be_kept(decision):
            await asyncio.to_thread(self.keep, asked, decision, Method.INSERTED)
        decision = replace(decision, moves=self.moves) if self.moves else decision
        self._essence, self.present = essence, decision
        self.promises, self.places = promises_of(decision), places_of(decision)
        return decision

    def _watch(self, snapshot: Snapshot) -> None:
        """A running job that has kept its place for long enough is worth a search, though nothing else changes."""
        if (at := next_movable_at(snapshot)) is not None:
            self.wake(at - snapshot.taken_at)

    def _is_to_be_kept(self, decision: Decision) -> bool:
        """Insertions come with every arrival: one of them a minute is recorded, if it changed the plan."""
        if self.present is not None and self.present.plan_hash == decision.plan_hash:
            return False
        now = self.monotonic()
        if self._kept_at is not None and now < self._kept_at + KEEP_SECONDS:
            return False
        self._kept_at = now
        return True

    @property
    def searching(self) -> bool:
        """Whether a full plan is being sought."""
        return self._search is not None

    def take_news(self) -> News | None:
        news, self._news = self._news, None
        return news

    async def close(self) -> None:
        if self._search is not None:
            self._search.cancel()
            await asyncio.gather(self._search, return_exceptions=True)

    # -- the search behind

    def _seek(self, snapshot: Snapshot) -> None:
        asked = question(snapshot)
        self._postponed = False
        if self._search is not None or asked is None or asked.covered(self._asked):
            return
        begin_at = self._retry_at
        if asked.same_but_running(self._asked):
            begin_at = max(begin_at, self._asked_at + RESTED_SHARE * snapshot.policy.cool_down_seconds)
        if (rest := begin_at - self.monotonic()) > 0.0:
            self._postponed = True
            self.wake(rest)
        else:
            self._asked, self._asked_at = asked, self.monotonic()
            self._search = asyncio.get_running_loop().create_task(self._sought(snapshot))

    async def _sought(self, snapshot: Snapshot) -> None:
        began = self.monotonic()
        try:
            found = await self.planner.search(snapshot)
            if found is not None:
                self._found = (snapshot, found)
            else:
                self._asked, self._postponed = None, True
                self._retry_at = self.monotonic() + max(RETRY_SECONDS, self.monotonic() - began)
        finally:
            self._search, self._burst_until = None, None
            self.mark()

    def _waits_for_search(self, snapshot: Snapshot) -> bool:
        """Whether a burst is still waiting for the full plan."""
        if self._search is None or self._found is not None:
            return False
        if self._burst_until is None:
            waiting = [job for job in snapshot.jobs if job.placed is None]
            fresh = [job for job in waiting if job.promise is None]
            if len(fresh) < max(BURST, BURST_SHARE * len(waiting)):
                return False
            self._burst_until = self.monotonic() + self.patience_seconds
        left = self._burst_until - self.monotonic()
        if left > 0:
            self.wake(left)
        return left > 0

    def _with_found(self, snapshot: Snapshot) -> Snapshot:
        """With a plan just found and nothing promised yet, its promises are the present plan."""
        if self._found is None or any(job.promise is not None for job in snapshot.jobs):
            return snapshot
        return carrying(snapshot, replace(self._found[1], moves=()))

    async def _compared(self, snapshot: Snapshot, asked: Snapshot, decision: Decision) -> Decision:
        """The found plan carried to the fleet of now: taken over if it is better there than what was `asked`.

        `snapshot`: with running jobs where they are.
        """
        assert self._found is not None
        (asked_of, found), self._found = self._found, None
        before = {one.job: one.pool for one in self.present.assignments} if self.present is not None else {}
        moves = standing(found.moves, snapshot)
        carried = carrying(snapshot, found)
        self.opportunities = found.opportunities
        renewed = await self.planner.insert(carried)
        taken = decision
        if renewed is not None and gains(decision, renewed):
            taken, asked, self.moves = renewed, carried, moves
        bounded = replace(
            taken,
            pool_prices=found.pool_prices,
            link_prices=found.link_prices,
            baselines=found.baselines,
            services=taken.services or found.services,
        )
        if _agrees(taken, found):
            self._news = News(asked_of, found, Method.FULL, before)
        elif snapshot.policy.asks:
            self._news = News(asked, taken, Method.INSERTED, before)  # somebody is asked to approve what would happen
        return bounded


def _agrees(taken: Decision, found: Decision) -> bool:
    """Whether what is taken is the found plan, as far as both speak of the same jobs."""
    columns = {one.job: (one.pool, one.option) for one in taken.assignments}
    return all(columns.get(one.job, (one.pool, one.option)) == (one.pool, one.option) for one in found.assignments)
