"""What must change in members so that a service's Deployments and Services are as planned. Pure.

What is no longer planned goes once what replaces it is ready. It goes earlier where it cannot help (none of it is
ready and it is in trouble) or where it is in the way (the new waits for a node in a pool that the old holds).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from polyhull.api.convert import key_of
from polyhull.controller import children
from polyhull.controller.observe import View
from polyhull.controller.removal import deletes
from polyhull.controller.renders import Renderer
from polyhull.delivery.base import Action, Apply
from polyhull.domain.decision import ServingPlan
from polyhull.domain.errors import InvalidInput
from polyhull.domain.snapshot import Snapshot
from polyhull.kube.resources import Manifest, uid_of
from polyhull.render import naming

PATIENCE_SECONDS = 60.0
"""How long the old may keep devices for which the new waits."""

At = tuple[str, str]
"""(cluster, name of the Deployment)."""


@dataclass(frozen=True, slots=True)
class Held:
    """One Deployment that a reachable member shows, and how it fares."""

    cluster: str
    pool: str
    variant: str
    body: Manifest
    serving: children.Serving

    @property
    def at(self) -> At:
        return self.cluster, str(self.body["metadata"]["name"])

    @property
    def ready(self) -> int:
        return int((self.body.get("status") or {}).get("readyReplicas") or 0)

    @property
    def wanted(self) -> int:
        return int((self.body.get("spec") or {}).get("replicas") or 0)

    @property
    def leaving(self) -> bool:
        return bool(self.body["metadata"].get("deletionTimestamp"))


@dataclass(frozen=True, slots=True)
class Changes:
    """`problems`: what cannot be rendered, and why. `due_at`: when what waits should be looked at again."""

    actions: tuple[Action, ...] = ()
    problems: tuple[str, ...] = field(default=())
    due_at: float | None = None


def held(raw: Manifest, view: View) -> dict[At, Held]:
    """All Deployments of the service in reachable members."""
    found = [
        _held(raw, member, body, view.now)
        for member in view.members.values()
        if member.reachable
        for body in member.children.get(uid_of(raw), ())
        if body["kind"] == "Deployment"
    ]
    return {one.at: one for one in found}


def _held(raw: Manifest, member: children.Member, body: Manifest, now: float) -> Held:
    notes = children.annotations_of(body)
    pool, variant = notes.get(naming.POOL, ""), notes.get(naming.OPTION, "")
    fares = children.serving(body, member, uid_of(raw), pool, now)
    return Held(member.name, pool, variant, body, fares)


def name_of(raw: Manifest, pool: str, variant: str) -> str:
    return naming.child_name(naming.Owner.of(key_of(raw), uid_of(raw)), pool, variant)


def changes(
    raw: Manifest,
    parts: Sequence[ServingPlan],
    present: Mapping[At, Held],
    view: View,
    snapshot: Snapshot,
    renderer: Renderer,
) -> Changes:
    """Applies of what is planned, else deletes of what is not planned any more."""
    applies, touched, problems = _applies(raw, parts, present, view, snapshot, renderer)
    for cluster in sorted(touched | _without_service(raw, parts, view)):
        variants = tuple(sorted({part.variant for part in parts if part.cluster == cluster}))
        applies.append(Apply(cluster, renderer.service(raw, key_of(raw), variants)))
    going = _going(raw, parts, present, view.now)
    late = len(going) < len(_superfluous(raw, parts, present))
    old = deletes([(one.cluster, one.body) for one in going]) + _lone_services(raw, parts, present, view)
    return Changes((*applies, *old), problems, view.now + 5.0 if late else None)


def _applies(
    raw: Manifest,
    parts: Sequence[ServingPlan],
    present: Mapping[At, Held],
    view: View,
    snapshot: Snapshot,
    renderer: Renderer,
) -> tuple[list[Action], set[str], tuple[str, ...]]:
    actions: list[Action] = []
    touched: set[str] = set()
    problems: list[str] = []
    for part in parts:
        cluster, member = snapshot.fleet.cluster(part.cluster), view.members.get(part.cluster)
        if cluster is None or member is None or not member.reachable:
            continue
        old = present.get((part.cluster, name_of(raw, part.pool, part.variant)))
        if (old is None and not cluster.takes_new_work) or (old is not None and old.leaving):
            continue
        try:
            wanted = renderer.deployment(raw, key_of(raw), part, old.body if old is not None else None)
        except (InvalidInput, KeyError) as error:
            problems.append(f"{part.variant} in {part.pool}: {error}")
            continue
        if old is None or old.wanted != part.replicas or _template(old.body) != _template(wanted):
            actions.append(Apply(part.cluster, wanted))
            touched.add(part.cluster)
    return actions, touched, tuple(problems)


def _template(body: Manifest) -> str:
    return children.annotations_of(body).get(naming.TEMPLATE, "")


def _without_service(raw: Manifest, parts: Sequence[ServingPlan], view: View) -> set[str]:
    """Clusters with planned Deployments whose Service is missing: a crash between the two."""
    out = set()
    for name in {part.cluster for part in parts}:
        member = view.members.get(name)
        if member is None or not member.reachable:
            continue
        kinds = [body["kind"] for body in member.children.get(uid_of(raw), ())]
        if "Service" not in kinds and "Deployment" in kinds:
            out.add(name)
    return out


def _lone_services(
    raw: Manifest, parts: Sequence[ServingPlan], present: Mapping[At, Held], view: View
) -> tuple[Action, ...]:
    """Deletes of Services in clusters that neither serve nor will."""
    serving = {part.cluster for part in parts} | {one.cluster for one in present.values()}
    return deletes(
        [
            (member.name, body)
            for member in view.members.values()
            if member.reachable and member.name not in serving
            for body in member.children.get(uid_of(raw), ())
            if body["kind"] == "Service"
        ]
    )


def _superfluous(raw: Manifest, parts: Sequence[ServingPlan], present: Mapping[At, Held]) -> list[Held]:
    wanted = {(part.cluster, name_of(raw, part.pool, part.variant)) for part in parts}
    return [one for at, one in sorted(present.items()) if at not in wanted and not one.leaving]


def _going(raw: Manifest, parts: Sequence[ServingPlan], present: Mapping[At, Held], now: float) -> list[Held]:
    """Which of those not planned any more may go now."""
    new = [(part, present.get((part.cluster, name_of(raw, part.pool, part.variant)))) for part in parts]
    replaced = all(one is not None and one.ready >= part.replicas for part, one in new)
    crowded = {
        one.pool for _, one in new if one is not None and one.serving.unbound and _age(one, now) > PATIENCE_SECONDS
    }
    return [
        one
        for one in _superfluous(raw, parts, present)
        if replaced or one.pool in crowded or (one.ready == 0 and one.serving.trouble is not None)
    ]


def _age(one: Held, now: float) -> float:
    return now - (children.instant(one.body["metadata"].get("creationTimestamp")) or now)
