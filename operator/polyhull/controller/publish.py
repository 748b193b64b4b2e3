"""Telling people and machines: metrics, the record of each full plan, and the PlacementPlan object. Writes little.

A PlacementPlan is written once per adopted plan, named by its hash, and the last twenty are kept; nothing is written
for a cycle that changed nothing.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from polyhull.api.conditions import instant
from polyhull.api.status import decimal
from polyhull.controller.jobs import Verdict
from polyhull.controller.observe import View
from polyhull.controller.planner import Planner
from polyhull.delivery.base import HUB, Action, Apply, Delete, PutStatus
from polyhull.domain.decision import Assignment, Decision, Price
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.kube.resources import PLACEMENT_PLANS, Manifest, Ref, ref_of, uid_of
from polyhull.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

KEPT_PLANS = 20
MOST_MOVES = 100
Record = Callable[[Snapshot, Decision], str]
"""Keeps a decision; gives the record's hash, empty when it could not be kept."""


def plan_name(decision: Decision) -> str:
    return f"plan-{decision.plan_hash.rpartition(':')[2][:16]}"


def plan_steps(
    decision: Decision, record: str, before: Mapping[Key, str], plans: Iterable[Manifest], now: float
) -> tuple[Ref, tuple[Action, ...]]:
    """Write the plan's object and remove the oldest beyond twenty. `before`: pool by job in the plan it replaces."""
    name = plan_name(decision)
    ref = Ref(PLACEMENT_PLANS, "", name)
    manifest = {"apiVersion": PLACEMENT_PLANS.api_version, "kind": "PlacementPlan", "metadata": {"name": name}}
    others = [plan for plan in plans if plan["metadata"]["name"] != name]
    others.sort(key=lambda plan: (plan["metadata"].get("creationTimestamp") or "", plan["metadata"]["name"]))
    old = others[: max(0, len(others) - (KEPT_PLANS - 1))]
    actions: list[Action] = [
        Apply(HUB, manifest),
        PutStatus(ref, "", plan_status(decision, record, before, now)),
        *(Delete(HUB, ref_of(plan), uid_of(plan)) for plan in old),
    ]
    return ref, tuple(actions)


def plan_status(decision: Decision, record: str, before: Mapping[Key, str], now: float) -> dict[str, Any]:
    """The summary: well below 64 KiB, lists cut to what the schema allows."""
    gap = decision.gap
    moves = [_move(one, before.get(one.job)) for one in decision.assignments if before.get(one.job) != one.pool]
    body: dict[str, Any] = {
        "planHash": decision.plan_hash,
        "recordHash": record or None,
        "plannedTime": instant(now),
        "makespanSeconds": round(decision.makespan_seconds),
        "lowerBoundSeconds": round(decision.lower_bound_seconds),
        "boundKind": decision.bound_kind.value,
        "gap": None if gap is None else decimal(gap),
        "objective": list(decision.objective)[:5],
        "placed": len(decision.assignments) + len(decision.services),
        "unplaced": len(decision.unplaced),
        "egressBytes": sum(moved.transfer_bytes for moved in decision.transfers if moved.links),
        "localityOnlySeconds": _rounded(decision.baselines.locality_only_seconds),
        "computeOnlySeconds": _rounded(decision.baselines.compute_only_seconds),
        "solverStatus": decision.solver.status[:1024],
        "poolPrices": _prices(decision.pool_prices),
        "linkPrices": _prices(decision.link_prices),
        "moves": moves[:MOST_MOVES] or None,
    }
    return {key: value for key, value in body.items() if value is not None}


def _move(one: Assignment, before: str | None) -> dict[str, Any]:
    move = {"kind": one.job.kind, "namespace": one.job.namespace, "name": one.job.name, "toPool": one.pool}
    return move if before is None else move | {"fromPool": before}


def _prices(prices: Iterable[Price]) -> list[dict[str, str]] | None:
    shown = [{"name": price.name, "perUnit": f"{price.per_unit:.6g}"} for price in prices if price.per_unit > 0.0]
    return shown[:100] or None


def _rounded(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


class Publisher:
    """Keeps the metrics in step with the loop."""

    def __init__(self, metrics: Metrics, record: Record = lambda snapshot, decision: "") -> None:
        self.metrics, self._record = metrics, record
        self._reasons: set[str] = set()

    def cycled(self, result: str, seconds: float) -> None:
        self.metrics.cycles.labels(result).inc()
        self.metrics.cycle_seconds.observe(seconds)

    def decided(self, kind: str, seconds: float) -> None:
        self.metrics.decision_seconds.labels(kind).observe(seconds)

    def failed(self, kind: str) -> None:
        self.metrics.solver_failures.labels(kind).inc()

    def started(self, event: str) -> None:
        """A step went out: `withdrawn:REASON`, `ended:RESULT`, or a bare word."""
        word, _, detail = event.partition(":")
        if word == "withdrawn":
            self.metrics.withdrawn.labels(detail).inc()
        elif word == "ended":
            self.metrics.ends.labels(detail).inc()

    def adopted(self, snapshot: Snapshot, decision: Decision) -> str:
        """A full plan: record it before anything is done about it."""
        self.metrics.plans.inc()
        self.metrics.plan_time.set(decision.taken_at)
        self.metrics.lower_bound.set(decision.lower_bound_seconds)
        try:
            return self._record(snapshot, decision)
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
        self.metrics.plan_kept.set(1 if planner.trouble else 0)
        for name, (connected, _, _) in view.connections.items():
            self.metrics.connected.labels(name).set(1 if connected else 0)
        if decision is None:
            return
        self.metrics.makespan.set(decision.makespan_seconds)
        reasons = Counter(one.reason for one in decision.unplaced)
        self._reasons |= set(reasons)
        for reason in self._reasons:
            self.metrics.unplaced.labels(reason).set(reasons.get(reason, 0))
