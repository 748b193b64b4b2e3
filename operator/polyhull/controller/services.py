"""Online services: Deployments and Services in members as the plan says, and what the service says back. Pure.

The plan's replicas are recorded in `status.serving` before a Deployment is made, and stay there until its absence is
seen: what was released to a member that does not answer is not forgotten because the plan went elsewhere. A place
whose pods come to nothing is excluded for a while, and the plan falls to the next best.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polyhull.api import status as api_status
from polyhull.api.conditions import Reason, Type
from polyhull.api.convert import key_of
from polyhull.api.world import ref_of as world_ref
from polyhull.controller import children, deployments, status
from polyhull.controller.children import Trouble
from polyhull.controller.deployments import At, Held
from polyhull.controller.observe import View
from polyhull.controller.removal import remove
from polyhull.controller.renders import Renderer
from polyhull.controller.reports import ACCEPTED
from polyhull.controller.status import Said, compose, exclusions
from polyhull.delivery.base import Action, Announce, Finalizer, PutStatus
from polyhull.domain.decision import Decision, ServicePlan, ServingPlan
from polyhull.domain.snapshot import Mode, Snapshot
from polyhull.domain.workloads import Exclusion
from polyhull.kube.resources import DEPLOYMENTS, SERVICES, Manifest, Ref, ref_of, uid_of
from polyhull.render import naming


@dataclass(frozen=True, slots=True)
class Made:
    urgent: tuple[Action, ...] = ()
    report: dict[str, Any] | None = None
    tombstones: tuple[str, ...] = ()
    due_at: float | None = None
    event: str = ""


def follow(
    raw: Manifest,
    view: View,
    snapshot: Snapshot,
    decision: Decision | None,
    renderer: Renderer,
    act: bool,
    said_no: Trouble | None = None,
) -> Made:
    """The next step of one service. `act`: the mode allows changes; `said_no`: a member refused a child."""
    if raw["metadata"].get("deletionTimestamp"):
        removal = remove(raw, _homes(raw), view.members, view.now)
        return Made(removal.actions, tombstones=removal.tombstones, due_at=removal.due_at)
    present = deployments.held(raw, view)
    verdict = view.world.verdicts.get(world_ref(raw))
    if verdict is not None and not verdict.accepted:
        said: list[Said] = [
            (Type.ACCEPTED, False, verdict.reason, verdict.message),
            (Type.READY, False, verdict.reason, "it is not accepted; see the condition Accepted"),
        ]
        return Made(report=compose(raw, view.now, said, _totals(raw, present)))
    withdrawn = _withdrawn(raw, view, present, said_no)
    if withdrawn is not None:
        return withdrawn
    dues = [one.serving.due_at for one in present.values() if one.serving.due_at is not None]
    dues += [until for one in _excluded(raw, view.now) if (until := children.instant(one["untilTime"])) is not None]
    made = _planned(raw, view, snapshot, decision, renderer, act, present)
    due_at = min((at for at in (*dues, made.due_at) if at is not None), default=None)
    return Made(made.urgent, made.report, due_at=due_at)


def _planned(
    raw: Manifest,
    view: View,
    snapshot: Snapshot,
    decision: Decision | None,
    renderer: Renderer,
    act: bool,
    present: Mapping[At, Held],
) -> Made:
    key = key_of(raw)
    if decision is None and status.holds(raw, Type.READY):
        return Made()  # deciding takes a moment, or failed: what was planned, serves and was said stays
    plan = next((one for one in decision.services if one.service == key), None) if decision is not None else None
    if plan is None:
        why = next((one for one in decision.unplaced if one.job == key), None) if decision is not None else None
        reason, text = (why.reason, why.message) if why else (Reason.WAITING_FOR_PLAN, "no plan holds it yet")
        waits: list[Said] = [ACCEPTED, (Type.PLANNED, False, reason, text)]
        if not _excluded(raw, view.now):  # else what went wrong stays readable
            waits.append((Type.READY, False, reason, text))
        fields = _totals(raw, present) | _serving_now(raw, [], [], present, view)
        made = (
            deployments.changes(raw, (), _hopeless(present), view, snapshot, renderer)
            if why and snapshot.policy.mode_of(key.namespace) is not Mode.OBSERVE
            else None
        )
        body = compose(raw, view.now, waits, fields)
        if made is not None and made.actions:
            return Made(_step(raw, body, made.actions))
        return Made(report=body)
    parts = [part for part in plan.replicas if part.replicas > 0 and part.ready_seconds <= 0.0]
    change = deployments.Changes()
    if act:
        change = deployments.changes(raw, parts, present, view, snapshot, renderer)
    body = _report(raw, plan, parts, present, view, change.problems)
    if change.actions:
        return Made(_step(raw, body, change.actions))
    return Made(report=body, due_at=change.due_at)


def _step(raw: Manifest, body: dict[str, Any], actions: Iterable[Action]) -> tuple[Action, ...]:
    """Finalizer, status, then the members."""
    guard: tuple[Action, ...] = ()
    if naming.FINALIZER not in (raw["metadata"].get("finalizers") or ()):
        guard = (Finalizer(ref_of(raw), uid_of(raw), True),)
    put = () if body == raw.get("status") else (PutStatus(ref_of(raw), uid_of(raw), body),)
    return (*guard, *put, *actions)


# -- places that come to nothing


def _withdrawn(raw: Manifest, view: View, present: Mapping[At, Held], said_no: Trouble | None) -> Made | None:
    """A place in trouble that is not excluded yet: say so, and exclude it. The plan then goes elsewhere."""
    found = [(one.cluster, one.pool, one.serving.trouble) for _, one in sorted(present.items()) if not one.leaving]
    if said_no is not None:
        found.append((said_no.cluster, "", said_no))
    for cluster, pool, trouble in found:
        member = view.members.get(cluster)
        if trouble is None or member is None or _is_excluded(raw, cluster, pool, view.now):
            continue
        text = (
            f"{trouble.message} (member {cluster}, pool {pool})" if pool else f"{trouble.message} (member {cluster})"
        )
        place = pool if trouble.reason == children.UNBOUND else ""
        until = view.now + member.patience.back_off
        held = exclusions(raw.get("status") or {}, view.now, Exclusion(cluster, place, trouble.reason, text, until))
        said: list[Said] = [(Type.READY, False, trouble.reason, text)]
        body = compose(raw, view.now, said, {"exclusions": held, **_totals(raw, present)})
        put = PutStatus(ref_of(raw), uid_of(raw), body)
        news = Announce(ref_of(raw), uid_of(raw), "Warning", trouble.reason, text)
        return Made((put, news), event=f"withdrawn:{trouble.reason}")
    return None


def refused(view: View, refusals: Mapping[str, Trouble]) -> set[str]:
    """Uids of services whose refusal has not become an exclusion in their status yet."""
    return {
        uid_of(raw)
        for raw in view.services
        if (said_no := refusals.get(uid_of(raw))) is not None
        and not _is_excluded(raw, said_no.cluster, "", view.now)
        and said_no.cluster in view.members
    }


def _excluded(raw: Manifest, now: float) -> list[Mapping[str, Any]]:
    held = (raw.get("status") or {}).get("exclusions") or ()
    return [one for one in held if (children.instant(one["untilTime"]) or 0.0) > now]


def _is_excluded(raw: Manifest, cluster: str, pool: str, now: float) -> bool:
    return any(one["cluster"] == cluster and one.get("pool") in (None, "", pool) for one in _excluded(raw, now))


def _hopeless(present: Mapping[At, Held]) -> dict[At, Held]:
    """Those that hold devices for nothing. What is ready goes on serving even when no plan has a place for it."""
    return {at: one for at, one in present.items() if one.ready == 0 and one.serving.trouble is not None}


# -- what it says


def _report(
    raw: Manifest,
    plan: ServicePlan,
    parts: Sequence[ServingPlan],
    present: Mapping[At, Held],
    view: View,
    problems: Sequence[str],
) -> dict[str, Any]:
    fields = api_status.service_status(plan)
    planned = {(part.pool, part.variant) for part in parts}
    entries = [entry for entry in fields["serving"] if (entry["pool"], entry["variant"]) in planned]
    before = raw.get("status") or {}
    fields |= _serving_now(raw, parts, entries, present, view)
    if _columns(before.get("serving")) == _columns(fields["serving"]) and before.get("explanation"):
        fields["explanation"] = before["explanation"]
    fields |= _totals(raw, present)
    fields["exclusions"] = exclusions(before, view.now)
    served = f"{fields['servedPerSecond']} of {fields['demandedPerSecond']} requests per second"
    said: list[Said] = [ACCEPTED, (Type.PLANNED, True, Reason.IN_PLAN, f"the plan serves {served}")]
    said.append(_readiness(raw, plan, parts, present, view.now, problems, served))
    said += _scale(raw, sum(part.replicas for part in parts))
    return compose(raw, view.now, said, fields)


def _readiness(
    raw: Manifest,
    plan: ServicePlan,
    parts: Sequence[ServingPlan],
    present: Mapping[At, Held],
    now: float,
    problems: Sequence[str],
    served: str,
) -> Said:
    wanted, ready = sum(part.replicas for part in parts), sum(one.ready for one in present.values())
    if problems:
        return (Type.READY, False, Reason.DEPENDENCY_MISSING, "; ".join(problems)[:1000])
    if ready < wanted or not wanted:
        text = f"{ready} of {wanted} replicas are ready"
        wrong = _excluded(raw, now)
        if wrong and wanted:
            return (Type.READY, False, wrong[-1]["reason"], f"{text}; {wrong[-1]['message']}"[:1000])
        return (Type.READY, False, Reason.NOT_ENOUGH_REPLICAS, text)
    if plan.served_per_second < plan.demanded_per_second * (1 - 1e-6):
        return (Type.READY, False, Reason.DEMAND_NOT_MET, f"the plan serves {served}: {plan.explanation.binds}")
    return (Type.READY, True, Reason.SERVING, f"{wanted} replicas serve {served}")


def _scale(raw: Manifest, planned: int) -> list[Said]:
    """ScaleIgnored: somebody wrote another number although the plan decides it."""
    spec = raw["spec"]
    written = int(spec.get("replicas", 1))
    ignored = spec.get("scaling", "Planned") == "Planned" and written != planned and _wrote_replicas(raw)
    if ignored:
        text = (
            f"spec.replicas {written} is not followed, the plan runs {planned}; write scaling: External to decide it"
        )
        return [(Type.SCALE_IGNORED, True, Reason.PLAN_DECIDES, text)]
    if status.holds(raw, Type.SCALE_IGNORED):
        return [(Type.SCALE_IGNORED, False, Reason.PLAN_DECIDES, "spec.replicas asks for nothing else than the plan")]
    return []


def _wrote_replicas(raw: Manifest) -> bool:
    """Whether somebody wrote spec.replicas. The default (1) is nobody's word, though whoever created the object by
    other means than server-side apply is noted as its author."""
    if int(raw["spec"].get("replicas", 1)) != 1:
        return True
    return any(
        "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
        for entry in raw["metadata"].get("managedFields") or ()
        if entry.get("operation") == "Apply" or entry.get("subresource") == "scale"
    )


def _serving_now(
    raw: Manifest,
    parts: Sequence[ServingPlan],
    entries: Sequence[dict[str, Any]],
    present: Mapping[At, Held],
    view: View,
) -> dict[str, Any]:
    """`status.serving`: what is planned, and what was recorded before and may still be there."""
    names = {(part.pool, part.variant): (part.cluster, part) for part in parts}
    out: list[dict[str, Any]] = []
    for entry in entries:
        cluster, part = names[entry["pool"], entry["variant"]]
        found = present.get((cluster, deployments.name_of(raw, part.pool, part.variant)))
        out.append({**entry, "readyReplicas": found.ready if found is not None else 0})
    for entry in (raw.get("status") or {}).get("serving") or ():
        if (entry["pool"], entry["variant"]) in names:
            continue
        member = view.members.get(entry["cluster"])
        if member is None or member.fenced:
            continue  # an administrator vouches for it
        found = present.get((entry["cluster"], deployments.name_of(raw, entry["pool"], entry["variant"])))
        if found is not None:
            out.append({**entry, "replicas": found.wanted, "readyReplicas": found.ready})
        elif not member.reachable:
            out.append(dict(entry))
    return {"serving": out[:64]}


def _columns(serving: Sequence[Mapping[str, Any]] | None) -> list[tuple[Any, ...]]:
    return [(one["pool"], one["variant"], one["replicas"]) for one in serving or ()]


def _totals(raw: Manifest, present: Mapping[At, Held]) -> dict[str, Any]:
    """What the scale subresource reads: always there, from the first status on."""
    wanted = {naming.COMPONENT: "serving", naming.UID: naming.label_value(uid_of(raw))}
    return {
        "replicas": sum(one.wanted for one in present.values()),
        "readyReplicas": sum(one.ready for one in present.values()),
        "selector": naming.selector(wanted),
    }


def _homes(raw: Manifest) -> dict[str, tuple[Ref, ...]]:
    """Where Deployments may be, with their names, and the Service beside them."""
    owner = naming.Owner.of(key_of(raw), uid_of(raw))
    homes: dict[str, tuple[Ref, ...]] = {}
    for entry in (raw.get("status") or {}).get("serving") or ():
        name = naming.child_name(owner, entry["pool"], entry["variant"])
        refs = homes.get(entry["cluster"]) or (Ref(SERVICES, owner.namespace, naming.child_name(owner)),)
        homes[entry["cluster"]] = (*refs, Ref(DEPLOYMENTS, owner.namespace, name))
    return homes
