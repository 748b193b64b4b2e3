"""Deciding in other processes: an arrival is inserted at once, the full plan is sought behind and adopted if better.

Two workers, so that the insertion never waits for the search. What the full plan found is carried over as promises
(column and place in the queue of every waiting job) and tried on the fleet of *now* by the same insertion that keeps
the present plan: a plan that took ten seconds to find is compared with today's facts, not with yesterday's.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from polyhull.controller.worker import Worker
from polyhull.domain.decision import Decision
from polyhull.domain.errors import SolverFailed
from polyhull.domain.snapshot import Snapshot

logger = logging.getLogger(__name__)

QUICK_KILL_SECONDS = 30.0


def full(snapshot: Snapshot) -> Decision:
    """In the worker: the whole decision with the proof."""
    from polyhull.controller.prover import Prover
    from polyhull.planning.decide import decide

    if snapshot.policy.solver.exact_jobs == 0:
        return decide(snapshot)
    with Prover(limit_seconds=snapshot.policy.solver.kill_seconds / 2) as prove:
        prove.start()
        return decide(snapshot, prove)


def quick(snapshot: Snapshot) -> Decision:
    """In the worker: the present plan kept, arrivals inserted."""
    from polyhull.planning import decide as planning

    return planning.quick(snapshot)


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

    async def start(self) -> None:
        await self.quick_worker.start()
        await self.full_worker.start()

    async def close(self) -> None:
        await self.quick_worker.close()
        await self.full_worker.close()

    async def insert(self, snapshot: Snapshot) -> Decision | None:
        """The present plan with arrivals inserted; None when that failed."""
        return await self._ask("quick", self.quick_worker, snapshot, QUICK_KILL_SECONDS)

    async def search(self, snapshot: Snapshot) -> Decision | None:
        """A full plan; None when that failed."""
        return await self._ask("full", self.full_worker, snapshot, snapshot.policy.solver.kill_seconds)

    async def _ask(self, kind: str, worker: Worker, snapshot: Snapshot, limit_seconds: float) -> Decision | None:
        began = self.monotonic()
        try:
            decision: Decision = await worker.ask(snapshot, limit_seconds=limit_seconds)
            problem = problem_of(decision)
        except SolverFailed as error:
            problem = str(error)
        self.seconds(kind, self.monotonic() - began)
        self.trouble = problem
        if not problem:
            return decision
        self.failed(kind)
        logger.error("no %s plan, the last good one stays: %s", kind, problem)
        return None
