"""PlacementPlan objects: what a full plan says, written rarely enough that it never counts beside the placements.

A plan is told when its assignments differ from those told last: at once where nothing was told yet, every ten seconds
at most while somebody waits for their turn or for approval, and where nobody does, once it has stood for ten seconds
(but after a minute at the latest). In between, the latest wins. Objects are named by the plan's hash; the last twenty
are kept.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polyhull.api.conditions import instant
from polyhull.api.status import decimal
from polyhull.controller import approval
from polyhull.delivery.base import HUB, Action, Apply, Delete, PutStatus
from polyhull.domain.decision import Assignment, Decision, Footprint, LevelReport, Price
from polyhull.domain.workloads import Key
from polyhull.kube.resources import PLACEMENT_PLANS, Manifest, Ref, ref_of, uid_of
from polyhull.render import naming

TELL_SECONDS = 10.0
LATEST_SECONDS = 60.0
KEPT_PLANS = 20
MOST_MOVES = 100


@dataclass(frozen=True, slots=True)
class Adopted:
    """A full plan as taken over. `record`: hash of its record; `before`: pool by job in the plan it replaced."""

    decision: Decision
    record: str
    before: Mapping[Key, str]
    at: float


@dataclass(slots=True)
class Plans:
    """What waits to be told. `seconds`: the shortest time between two; `wake(seconds)` asks for a cycle."""

    wake: Callable[[float], None]
    seconds: float = TELL_SECONDS
    _waiting: Adopted | None = None
    _told: tuple[approval.Entries, bool] | None = None
    _told_at: float = 0.0

    def adopt(self, adopted: Adopted) -> None:
        """The latest full plan."""
        self._waiting = adopted

    def due(
        self, present: Decision | None, asks: bool, plans: Iterable[Manifest], now: float
    ) -> tuple[Ref, tuple[Action, ...]] | None:
        """The step that tells the plan which waits to be told, if it is time. `asks`: may it have to be approved?"""
        if self._waiting is None:
            return None
        decision = self._waiting.decision
        entries = approval.entries_of(decision)
        if self._told is not None and self._told[1] >= asks and entries.items() <= self._told[0].items():
            self._waiting = None  # nothing that was not told
            return None
        at = self._due_at(present or decision, asks)
        if now < at:
            self.wake(at - now)
            return None
        adopted, self._waiting = self._waiting, None
        self._told, self._told_at = (entries, asks), now
        held = list(plans)
        same = [plan for plan in held if (plan.get("status") or {}).get("planHash") == decision.plan_hash]
        if any(not asks or naming.APPROVES in (plan["metadata"].get("annotations") or {}) for plan in same):
            return None  # told before a restart
        return plan_steps(adopted, asks, held, now)

    def _due_at(self, present: Decision, asks: bool) -> float:
        assert self._waiting is not None
        if self._told is None:
            return 0.0
        if any(not one.fixed and (asks or not one.release_now) for one in present.assignments):
            return self._told_at + self.seconds
        return min(self._waiting.at + self.seconds, self._told_at + max(self.seconds, LATEST_SECONDS))


def plan_name(decision: Decision) -> str:
    return f"plan-{decision.plan_hash.rpartition(':')[2][:16]}"


def plan_steps(adopted: Adopted, asks: bool, plans: Iterable[Manifest], now: float) -> tuple[Ref, tuple[Action, ...]]:
    """Write the plan's object and remove the oldest beyond twenty. `asks`: somebody may be asked to approve it."""
    name = plan_name(adopted.decision)
    ref = Ref(PLACEMENT_PLANS, "", name)
    metadata: dict[str, Any] = {"name": name}
    if asks:
        metadata["annotations"] = approval.annotation(adopted.decision)
    manifest = {"apiVersion": PLACEMENT_PLANS.api_version, "kind": "PlacementPlan", "metadata": metadata}
    others = [plan for plan in plans if plan["metadata"]["name"] != name]
    others.sort(key=lambda plan: (plan["metadata"].get("creationTimestamp") or "", plan["metadata"]["name"]))
    old = others[: max(0, len(others) - (KEPT_PLANS - 1))]
    actions: list[Action] = [
        Apply(HUB, manifest),
        PutStatus(ref, "", plan_status(adopted.decision, adopted.record, adopted.before, now)),
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
        "makespanP50Seconds": _rounded(decision.makespan_p50_seconds),
        "makespanP90Seconds": _rounded(decision.makespan_p90_seconds),
        "lowerBoundSeconds": round(decision.lower_bound_seconds),
        "boundKind": decision.bound_kind.value,
        "gap": None if gap is None else decimal(gap),
        "objective": list(decision.objective)[:5],
        "levels": [_level(level) for level in decision.levels][:5] or None,
        "late": sum(one.late_seconds > 0.0 for one in decision.assignments) or None,
        "placed": len(decision.assignments) + len(decision.services),
        "unplaced": len(decision.unplaced),
        "cost": _decimal_or_none(decision.footprint.cost),
        "energyJoules": _decimal_or_none(decision.footprint.energy_joules),
        "carbonGrams": _decimal_or_none(decision.footprint.carbon_grams),
        "unknown": _unknown(decision.footprint),
        "egressBytes": decision.footprint.egress_bytes,
        "localityOnlySeconds": _rounded(decision.baselines.locality_only_seconds),
        "computeOnlySeconds": _rounded(decision.baselines.compute_only_seconds),
        "solverStatus": decision.solver.status[:1024],
        "poolPrices": _prices(decision.pool_prices),
        "linkPrices": _prices(decision.link_prices),
        "moves": moves[:MOST_MOVES] or None,
    }
    return {key: value for key, value in body.items() if value is not None}


def _level(level: LevelReport) -> dict[str, Any]:
    body = {"name": level.name, "unit": level.unit, "value": decimal(level.value)}
    for name, value in (("bound", level.bound), ("gap", level.gap)):
        if value is not None:
            body[name] = decimal(value)
    return body


def _move(one: Assignment, before: str | None) -> dict[str, Any]:
    move = {"kind": one.job.kind, "namespace": one.job.namespace, "name": one.job.name, "toPool": one.pool}
    return move if before is None else move | {"fromPool": before}


def _prices(prices: Iterable[Price]) -> list[dict[str, str]] | None:
    shown = [{"name": price.name, "perUnit": f"{price.per_unit:.6g}"} for price in prices if price.per_unit > 0.0]
    return shown[:100] or None


def _decimal_or_none(value: float | None) -> str | None:
    return None if value is None or value >= 1e15 else decimal(value, 2)


def _unknown(spent: Footprint) -> list[str] | None:
    """What the sums leave out, by name."""
    names = [f"price of {name}" for name in spent.unpriced]
    names += [f"watts of {name}" for name in spent.unmetered]
    names += [f"carbon of {name}" for name in spent.carbon_unknown]
    return [name[:256] for name in names[:32]] or None


def _rounded(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)
