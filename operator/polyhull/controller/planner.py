"""Deciding in other processes: an arrival is inserted at once, the full plan is sought behind and adopted if better.

Two workers, so that the insertion never waits for the search. What the full plan found is carried over as promises
(column and place in the queue of every waiting job) and tried on the fleet of *now* by the same insertion that keeps
the present plan: a plan that took ten seconds to find is compared with today's facts, not with yesterday's.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from polyhull.controller.worker import Worker
from polyhull.domain.decision import Decision
from polyhull.domain.errors import SolverFailed
from polyhull.domain.snapshot import Snapshot
from polyhull.planning.grown import Arrivals, Asked, arrivals, difference, grown

if TYPE_CHECKING:
    from polyhull.planning.insert import Insertion, Present

logger = logging.getLogger(__name__)

QUICK_KILL_SECONDS, QUICK_KILL_SECONDS_PER_JOB = 30.0, 0.01
"""A plan made anew takes a millisecond or two per job on an idle machine."""
AS_OF_SECONDS = 60.0


def full(snapshot: Snapshot) -> Decision:
    """In the worker: the whole decision with the proof."""
    from polyhull.controller.prover import Prover
    from polyhull.planning.decide import decide

    if snapshot.policy.solver.exact_jobs == 0:
        return decide(snapshot)
    with Prover(limit_seconds=snapshot.policy.solver.kill_seconds / 2) as prove:
        prove.start()
        return decide(snapshot, prove)


class Quick:
    """In the worker: the present plan kept, arrivals inserted; between questions it keeps what that rests on."""

    def __init__(self) -> None:
        self._made: Present | None = None
        self._insertion: Insertion | None = None

    def __call__(self, question: Snapshot | Arrivals) -> Decision | None:
        """A plan for a snapshot; for arrivals its difference to the last plan, None where they need it made anew."""
        from polyhull.planning.decide import present_plan

        if isinstance(question, Arrivals):
            return self._grow(question)
        self._made, self._insertion = None, None
        self._made = present_plan(question)
        return self._made.decision

    def later(self) -> None:
        """While nobody waits for an answer: get ready for arrivals."""
        from polyhull.planning.insert import Insertion, insertable

        made, self._made = self._made, None
        if made is not None and insertable(made):
            self._insertion = Insertion(made)

    def _grow(self, question: Arrivals) -> Decision | None:
        insertion, self._insertion = self._insertion, None
        if insertion is None:
            return None
        before = insertion.decision
        if (before.plan_hash, before.taken_at) != (question.plan_hash, question.taken_at):
            return None
        after = insertion.insert(question.jobs, question.data_sets)
        if after is None:
            return None
        self._insertion = insertion
        return difference(before, after)


quick = Quick()


def problem_of(decision: Decision) -> str:
    """Why a decision must not be applied; empty when it may."""
    if decision.violations:
        return f"the checker refused it: {'; '.join(decision.violations[:3])}"
    numbers = [decision.makespan_seconds, decision.lower_bound_seconds]
    for one in decision.assignments:
        numbers += [one.start_seconds, one.end_seconds]
    for moved in decision.transfers:
        numbers += [moved.start_seconds, moved.end_seconds, moved.rate_bytes_per_second]
    return "" if all(math.isfinite(number) for number in numbers) else "it holds numbers that are none"


@dataclass(slots=True)
class Planner:
    """`seconds` is told how long each kind of decision took, `failed` of each failure."""

    monotonic: Callable[[], float]
    seconds: Callable[[str, float], None]
    failed: Callable[[str], None]
    quick_worker: Worker = field(default_factory=lambda: Worker("polyhull.controller.planner:quick"))
    full_worker: Worker = field(default_factory=lambda: Worker("polyhull.controller.planner:full"))
    trouble: str = ""
    """Why the last decision failed; empty after a good one."""
    _asked: Asked | None = None
    """What the quick worker was asked last, and said."""
    _seen: tuple[Snapshot, Arrivals] | None = None
    """Who came, of the snapshot that is about to be asked about."""

    async def start(self) -> None:
        await self.quick_worker.start()
        await self.full_worker.start()

    async def close(self) -> None:
        await self.quick_worker.close()
        await self.full_worker.close()

    async def insert(self, snapshot: Snapshot) -> Decision | None:
        """The present plan with arrivals inserted; None when that failed."""
        before, self._asked = self._asked, None
        decision: Decision | None = None
        limit = QUICK_KILL_SECONDS + QUICK_KILL_SECONDS_PER_JOB * len(snapshot.jobs)
        if before is not None and (come := self._come(before, snapshot)) is not None:
            part = await self._ask("quick", self.quick_worker, come, limit)
            decision = None if part is None else grown(before.decision, part)
        if decision is None:
            decision = await self._ask("quick", self.quick_worker, snapshot, limit)
        self._asked = None if decision is None else Asked(snapshot, decision)
        return decision

    def _come(self, before: Asked, snapshot: Snapshot) -> Arrivals | None:
        """Who came since; known already where the snapshot is that of `as_of_present`."""
        seen, self._seen = self._seen, None
        return seen[1] if seen is not None and seen[0] is snapshot else arrivals(before, snapshot)

    def as_of_present(self, snapshot: Snapshot) -> Snapshot:
        """The same as of the instant of the last plan, where only arrivals came since and not long ago.

        Their plan is off by those seconds, which is a tenth of what a promise allows at least.
        """
        if self._asked is None or not 0.0 <= snapshot.taken_at - self._asked.snapshot.taken_at <= AS_OF_SECONDS:
            return snapshot
        then = replace(snapshot, taken_at=self._asked.snapshot.taken_at)
        if (come := arrivals(self._asked, then)) is None:
            return snapshot
        self._seen = (then, come)
        return then

    async def search(self, snapshot: Snapshot) -> Decision | None:
        """A full plan; None when that failed."""
        return await self._ask("full", self.full_worker, snapshot, snapshot.policy.solver.kill_seconds)

    async def _ask(
        self, kind: str, worker: Worker, question: Snapshot | Arrivals, limit_seconds: float
    ) -> Decision | None:
        began = self.monotonic()
        try:
            decision: Decision | None = await worker.ask(question, limit_seconds=limit_seconds)
            problem = "" if decision is None else problem_of(decision)
        except SolverFailed as error:
            problem = str(error)
        self.seconds(kind, self.monotonic() - began)
        self.trouble = problem
        if not problem:
            return decision
        self.failed(kind)
        logger.error("no %s plan, the last good one stays: %s", kind, problem)
        return None
