"""Telling machines: metrics in step with the loop, and the record of each full plan."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping

from polyhull.controller import moves
from polyhull.controller.hubjob import Verdict
from polyhull.controller.observe import View
from polyhull.controller.planner import Planner
from polyhull.delivery.base import Outcome
from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.telemetry.metrics import Metrics
from polyhull.telemetry.record import Method

logger = logging.getLogger(__name__)

Record = Callable[[Snapshot, Decision, Method], str]
"""Keeps a decision; gives the record's hash, empty when it could not be kept."""


class Publisher:
    """Keeps the metrics in step with the loop."""

    def __init__(self, metrics: Metrics, record: Record = lambda snapshot, decision, method: "") -> None:
        self.metrics, self._record = metrics, record
        self._reasons: set[str] = set()
        self._members: set[str] = set()

    def cycled(self, result: str, seconds: float) -> None:
        self.metrics.cycles.labels(result).inc()
        self.metrics.cycle_seconds.observe(seconds)

    def decided(self, kind: str, seconds: float) -> None:
        self.metrics.decision_seconds.labels(kind).observe(seconds)

    def failed(self, kind: str) -> None:
        self.metrics.solver_failures.labels(kind).inc()

    def started(self, event: str) -> None:
        """A step went out: `withdrawn:REASON`, `ended:RESULT`, `bound:SECONDS` since its release, `moved:WHERE`,
        or a bare word."""
        word, _, detail = event.partition(":")
        if word == "withdrawn":
            self.metrics.withdrawn.labels(detail).inc()
        elif word == "ended":
            self.metrics.ends.labels(detail).inc()
        elif word == "moved":
            self.metrics.moved.labels(detail).inc()
        elif word == "bound" and detail:
            self.metrics.placing_seconds.observe(float(detail))

    def delivered(self, outcome: Outcome) -> None:
        """A step is through, or stopped."""
        for action in outcome.done:
            self.metrics.actions.labels(type(action).__name__, "done").inc()
        if outcome.failed is not None:
            self.metrics.actions.labels(type(outcome.failed).__name__, "failed").inc()

    def adopted(self, snapshot: Snapshot, decision: Decision, method: Method) -> str:
        """A full plan: record it before anything is done about it."""
        self.metrics.plans.inc()
        self.metrics.plan_time.set(decision.taken_at)
        # Makespan and bound of one snapshot: the bound of one compared with the makespan of a later one claims
        # nothing true.
        self.metrics.makespan.set(decision.makespan_seconds)
        self.metrics.lower_bound.set(decision.lower_bound_seconds)
        return self.keep(snapshot, decision, method)

    def keep(self, snapshot: Snapshot, decision: Decision, method: Method) -> str:
        """The hash of a decision's record; empty when none could be kept."""
        try:
            return self._record(snapshot, decision, method)
        except OSError as error:
            logger.error("the record of a plan could not be kept: %s", error)
            return ""

    def publish(
        self, view: View, verdicts: Mapping[Key, Verdict], decision: Decision | None, planner: Planner
    ) -> None:
        """Gauges of this cycle."""
        states = Counter(str(verdict.state) for verdict in verdicts.values())
        for state in ("foreign", "refused", "waiting", "suspended", "released", "withdrawing", "ended", "deleting"):
            self.metrics.jobs.labels(state).set(states.get(state, 0))
        self.metrics.moving.set(sum(moves.under_way(job) for job in view.jobs))
        self.metrics.plan_kept.set(1 if planner.trouble else 0)
        for name in self._members - view.connections.keys():
            self.metrics.connected.remove(name)
        self._members = set(view.connections)
        for name, (connected, _, _) in view.connections.items():
            self.metrics.connected.labels(name).set(1 if connected else 0)
        if decision is None:
            return
        self.metrics.remaining.set(max(0.0, decision.taken_at + decision.makespan_seconds - view.now))
        reasons = Counter(one.reason for one in decision.unplaced)
        self._reasons |= set(reasons)
        for reason in self._reasons:
            self.metrics.unplaced.labels(reason).set(reasons.get(reason, 0))
