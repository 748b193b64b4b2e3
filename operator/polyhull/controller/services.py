"""Online services: Deployments and Services in members as the plan says, and what the service says back. Pure.

The plan's replicas are recorded in `status.serving` before a Deployment is made. What is no longer planned goes once
what replaces it is ready, or a minute later: a full pool must not keep the old waiting for the new for ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polyhull.api import status as api_status
from polyhull.api.conditions import Reason, Type
from polyhull.api.convert import key_of
from polyhull.api.world import ref_of as world_ref
from polyhull.controller import children
from polyhull.controller.observe import View
from polyhull.controller.removal import deletes, remove
from polyhull.controller.renders import Renderer
from polyhull.controller.reports import ACCEPTED
from polyhull.controller.status import Said, compose
from polyhull.delivery.base import Action, Apply, Finalizer, PutStatus
from polyhull.domain.decision import Decision, ServicePlan, ServingPlan
from polyhull.domain.errors import InvalidInput
from polyhull.domain.snapshot import Snapshot
from polyhull.kube.resources import DEPLOYMENTS, SERVICES, Manifest, Ref, ref_of, uid_of
from polyhull.render import naming

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Made:
    urgent: tuple[Action, ...] = ()
    report: dict[str, Any] | None = None
    tombstones: tuple[str, ...] = ()
    due_at: float | None = None


def follow(
    raw: Manifest, view: View, snapshot: Snapshot, decision: Decision | None, renderer: Renderer, act: bool
) -> Made:
    """The next step of one service. `act`: the mode allows changes."""
    if raw["metadata"].get("deletionTimestamp"):
        removal = remove(raw, _homes(raw), view.members, view.now)
        return Made(removal.actions, tombstones=removal.tombstones, due_at=removal.due_at)
    verdict = view.world.verdicts.get(world_ref(raw))
    if verdict is not None and not verdict.accepted:
        said: list[Said] = [
            (Type.ACCEPTED, False, verdict.reason, verdict.message),
            (Type.READY, False, verdict.reason, "it is not accepted; see the condition Accepted"),
        ]
        return Made(report=compose(raw, view.now, said))
    key = key_of(raw)
    plan = next((one for one in decision.services if one.service == key), None) if decision is not None else None
    why = next((one for one in decision.unplaced if one.job == key), None) if decision is not None else None
    present = _deployments(raw, view)
    if plan is None:
        reason, text = (
            (why.reason, why.message) if why is not None else (Reason.WAITING_FOR_PLAN, "no plan holds it yet")
        )
        waits: list[Said] = [ACCEPTED, (Type.PLANNED, False, reason, text), (Type.READY, False, reason, text)]
        return Made(report=compose(raw, view.now, waits, _totals(raw, present)))
    now_serving = [part for part in plan.replicas if part.replicas > 0 and part.ready_seconds <= 0.0]
    body = _report(raw, plan, now_serving, present, view.now)
    urgent = _changes(raw, now_serving, present, view, snapshot, renderer) if act else ()
    if urgent:
        guard: tuple[Action, ...] = ()
        if naming.FINALIZER not in (raw["metadata"].get("finalizers") or ()):
            guard = (Finalizer(ref_of(raw), uid_of(raw), True),)
        put = () if body == raw.get("status") else (PutStatus(ref_of(raw), uid_of(raw), body),)
        return Made((*guard, *put, *urgent))
    late = [body for _, body in _superfluous(raw, now_serving, present)]
    return Made(report=body, due_at=view.now + 5.0 if late and act else None)


def _changes(
    raw: Manifest,
    parts: Sequence[ServingPlan],
    present: Sequence[tuple[str, Manifest]],
    view: View,
    snapshot: Snapshot,
    renderer: Renderer,
) -> tuple[Action, ...]:
    key = key_of(raw)
    held = {(cluster, body["metadata"]["name"]): body for cluster, body in present}
    actions: list[Action] = []
    touched: set[str] = set()
    for part in parts:
        cluster = snapshot.fleet.cluster(part.cluster)
        member = view.members.get(part.cluster)
        if cluster is None or member is None or not member.reachable:
            continue
        old = held.get((part.cluster, _name(raw, part)))
        if old is not None and int((old.get("spec") or {}).get("replicas") or 0) == part.replicas:
            continue
        if old is None and not cluster.takes_new_work:
            continue
        try:
            actions.append(Apply(part.cluster, renderer.deployment(raw, key, part)))
        except (InvalidInput, KeyError):
            continue
        touched.add(part.cluster)
    for cluster_name in sorted(touched | _without_service(raw, parts, view)):
        variants = tuple(sorted({part.variant for part in parts if part.cluster == cluster_name}))
        actions.append(Apply(cluster_name, renderer.service(raw, key, variants)))
    if not actions and (_all_ready(raw, parts, held) or _old_enough(raw, parts, held, view.now)):
        actions += deletes(_superfluous(raw, parts, present))
    return tuple(actions)


def _without_service(raw: Manifest, parts: Sequence[ServingPlan], view: View) -> set[str]:
    out = set()
    for name in {part.cluster for part in parts}:
        member = view.members.get(name)
        if member is None or not member.reachable:
            continue
        kinds = [body["kind"] for body in member.children.get(uid_of(raw), ())]
        if "Service" not in kinds and "Deployment" in kinds:
            out.add(name)
    return out


def _name(raw: Manifest, part: ServingPlan) -> str:
    return naming.child_name(naming.Owner.of(key_of(raw), uid_of(raw)), part.pool, part.variant)


def _deployments(raw: Manifest, view: View) -> list[tuple[str, Manifest]]:
    return [
        (member.name, body)
        for member in view.members.values()
        if member.reachable
        for body in member.children.get(uid_of(raw), ())
        if body["kind"] == "Deployment"
    ]


def _superfluous(
    raw: Manifest, parts: Sequence[ServingPlan], present: Sequence[tuple[str, Manifest]]
) -> list[tuple[str, Manifest]]:
    wanted = {(part.cluster, _name(raw, part)) for part in parts}
    return [(cluster, body) for cluster, body in present if (cluster, body["metadata"]["name"]) not in wanted]


def _ready(body: Manifest | None) -> int:
    return int(((body or {}).get("status") or {}).get("readyReplicas") or 0)


def _all_ready(raw: Manifest, parts: Sequence[ServingPlan], held: Mapping[tuple[str, str], Manifest]) -> bool:
    return all(_ready(held.get((part.cluster, _name(raw, part)))) >= part.replicas for part in parts)


def _old_enough(
    raw: Manifest, parts: Sequence[ServingPlan], held: Mapping[tuple[str, str], Manifest], now: float
) -> bool:
    bodies = [held.get((part.cluster, _name(raw, part))) for part in parts]
    made = [children.instant(body["metadata"].get("creationTimestamp")) or now for body in bodies if body is not None]
    return len(made) == len(bodies) and bool(made) and now > max(made) + PATIENCE_SECONDS


def _report(
    raw: Manifest,
    plan: ServicePlan,
    parts: Sequence[ServingPlan],
    present: Sequence[tuple[str, Manifest]],
    now: float,
) -> dict[str, Any]:
    held = {(cluster, body["metadata"]["name"]): body for cluster, body in present}
    fields = api_status.service_status(plan)
    fields["serving"] = [
        entry
        for entry in fields["serving"]
        if any((part.pool, part.variant) == (entry["pool"], entry["variant"]) for part in parts)
    ]
    by_column = {(part.pool, part.variant): part for part in parts}
    for entry in fields["serving"]:
        part = by_column[entry["pool"], entry["variant"]]
        entry["readyReplicas"] = _ready(held.get((part.cluster, _name(raw, part))))
    before = raw.get("status") or {}
    if _columns(before.get("serving")) == _columns(fields["serving"]) and before.get("explanation"):
        fields["explanation"] = before["explanation"]
    fields |= _totals(raw, present)
    wanted, ready = sum(part.replicas for part in parts), sum(_ready(body) for _, body in present)
    served = f"{fields['servedPerSecond']} of {fields['demandedPerSecond']} requests per second"
    met = plan.served_per_second >= plan.demanded_per_second * (1 - 1e-6)
    if ready < wanted or not wanted:
        last: Said = (Type.READY, False, Reason.NOT_ENOUGH_REPLICAS, f"{ready} of {wanted} replicas are ready")
    elif not met:
        last = (Type.READY, False, Reason.DEMAND_NOT_MET, f"the plan serves {served}: {plan.explanation.binds}")
    else:
        last = (Type.READY, True, Reason.SERVING, f"{wanted} replicas serve {served}")
    said: list[Said] = [ACCEPTED, (Type.PLANNED, True, Reason.IN_PLAN, f"the plan serves {served}"), last]
    return compose(raw, now, said, fields)


def _columns(serving: Sequence[Mapping[str, Any]] | None) -> list[tuple[Any, ...]]:
    return [(one["pool"], one["variant"], one["replicas"]) for one in serving or ()]


def _totals(raw: Manifest, present: Sequence[tuple[str, Manifest]]) -> dict[str, Any]:
    wanted = {naming.COMPONENT: "serving", naming.UID: naming.label_value(uid_of(raw))}
    return {
        "replicas": sum(int((body.get("spec") or {}).get("replicas") or 0) for _, body in present),
        "readyReplicas": sum(_ready(body) for _, body in present),
        "selector": naming.selector(wanted),
    }


def _homes(raw: Manifest) -> dict[str, tuple[Ref, ...]]:
    owner = naming.Owner.of(key_of(raw), uid_of(raw))
    homes: dict[str, tuple[Ref, ...]] = {}
    for entry in (raw.get("status") or {}).get("serving") or ():
        name = naming.child_name(owner, entry["pool"], entry["variant"])
        refs = homes.get(entry["cluster"]) or (Ref(SERVICES, owner.namespace, naming.child_name(owner)),)
        homes[entry["cluster"]] = (*refs, Ref(DEPLOYMENTS, owner.namespace, name))
    return homes
