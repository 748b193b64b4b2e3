"""What members and the fleet's other kinds say: Connected, Accepted, tombstones. Pure.

Nothing here changes with time alone, so that a quiet fleet writes nothing: `lastContactTime` is that of the last
change of state.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from polyhull.api.conditions import Reason, Type
from polyhull.api.convert_fleet import REVERSE
from polyhull.api.status import decimal
from polyhull.api.world import ref_of as world_ref
from polyhull.controller import kept, scenarios, status
from polyhull.controller.children import Member
from polyhull.controller.kept import Left
from polyhull.controller.observe import View
from polyhull.controller.removal import deletes, roots
from polyhull.controller.scenarios import Answers, pending
from polyhull.controller.status import Said, compose
from polyhull.delivery.base import Action, Announce, ConfirmNone, PutStatus
from polyhull.domain.snapshot import Snapshot
from polyhull.kube.resources import Manifest, Ref, ref_of
from polyhull.render.naming import Owner

_OTHERS = (
    "AcceleratorType", "ComputePool", "DataSet", "Link", "PlacementPolicy", "Site",
)  # fmt: skip


CONFIRMED_AT_ONCE = 50
"""Tombstones that one step asks a member about."""


def reports(
    view: View, snapshot: Snapshot, tombstones: Mapping[str, Sequence[Mapping[str, Any]]], answers: Answers
) -> Iterator[tuple[Manifest, dict[str, Any]]]:
    """(object, whole status) of every member, and of the other kinds that have a verdict."""
    sound = [
        ref.name for ref, said in view.world.verdicts.items() if ref.kind == "PlacementScenario" and said.accepted
    ]
    queue = {str(raw["metadata"]["uid"]): i for i, raw in enumerate(pending(view.objects, sound, answers))}
    for raw in view.objects:
        if raw["metadata"].get("deletionTimestamp"):
            continue
        if raw["kind"] == "MemberCluster":
            yield raw, _member(raw, view, snapshot, tombstones.get(raw["metadata"]["name"], ()))
        elif raw["kind"] == "Link":
            yield raw, compose(raw, view.now, [_accepted(raw, view)], _reached(raw, snapshot))
        elif raw["kind"] == "PlacementScenario":
            place = queue.get(str(raw["metadata"]["uid"]))
            yield raw, scenarios.report(raw, _accepted(raw, view), answers, place, view.now)
        elif raw["kind"] in _OTHERS:
            yield raw, compose(raw, view.now, [_accepted(raw, view)])


def _reached(raw: Manifest, snapshot: Snapshot) -> dict[str, Any]:
    """What plans count on, where transfers were seen to reach less than was declared."""
    shares = {link.name: link.reached for link in snapshot.fleet.links}
    there = shares.get(raw["metadata"]["name"], 1.0)
    back = shares.get(raw["metadata"]["name"] + REVERSE, 1.0)
    return {
        "reachedShare": decimal(there, 4) if there < 1.0 else None,
        "reverseReachedShare": decimal(back, 4) if back < 1.0 else None,
    }


def _accepted(raw: Manifest, view: View) -> Said:
    verdict = view.world.verdicts.get(world_ref(raw))
    if verdict is None:
        return (Type.ACCEPTED, True, Reason.VALID, "every field is understood and acted on")
    return (Type.ACCEPTED, verdict.accepted, verdict.reason, verdict.message)


def _member(raw: Manifest, view: View, snapshot: Snapshot, new: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    name = raw["metadata"]["name"]
    member = view.members.get(name)
    connection = view.connections.get(name)
    before = raw.get("status") or {}
    said: list[Said] = [_accepted(raw, view)]
    fields: dict[str, Any] = {}
    if connection is not None:
        connected, reason, text = connection
        said.append((Type.CONNECTED, connected, reason, text))
        if connected != (status.holds(raw, Type.CONNECTED) == "True") and connected:
            fields["lastContactTime"] = status.at(view.now)
    if member is not None and member.reachable:
        pools = [pool for pool in snapshot.fleet.pools if pool.cluster == name]
        fields["pools"] = len(pools)
        fields["nodes"] = sum(len(pool.nodes) for pool in pools)
        fields["servesPodGroups"] = view.observed[name].serves_pod_groups
        fields["servesServiceExports"] = view.observed[name].serves_service_exports
        fields["version"] = view.versions.get(name) or before.get("version")
    stones = list(before.get("tombstones") or ())
    known = {stone["uid"] for stone in stones}
    stones += [dict(stone) for stone in new if stone["uid"] not in known]
    fields["tombstones"] = stones or None
    return compose(raw, view.now, said, fields)


@dataclass(slots=True)
class Honouring:
    """What follows for the tombstones of one member."""

    owner: Ref
    actions: list[Action] = field(default_factory=list)
    purges: list[tuple[Owner, Left]] = field(default_factory=list)


def honoured(view: View) -> Iterator[Honouring]:
    """What tombstones remember is deleted in members that answer again, what was written into buckets removed; a
    tombstone goes once the member itself (no mirror) says that nothing is left."""
    for raw in view.objects:
        member = view.members.get(raw["metadata"]["name"]) if raw["kind"] == "MemberCluster" else None
        if member is None or not member.reachable or not member.tombstones:
            continue
        step = Honouring(ref_of(raw))
        stones, over = _honour(raw, member, step, view.now)
        if stones != list(member.tombstones):
            body = compose(raw, view.now, (), {"tombstones": stones or None})
            step.actions += [ConfirmNone(member.name, stone["namespace"], stone["uid"]) for stone in over]
            step.actions.append(PutStatus(ref_of(raw), str(raw["metadata"]["uid"]), body))
        if step.actions or step.purges:
            yield step


def _honour(
    raw: Mapping[str, Any], member: Member, step: Honouring, now: float
) -> tuple[list[dict[str, Any]], list[Mapping[str, Any]]]:
    """(tombstones that stay, those that go), with what is to be done for the former in `step`."""
    stones: list[dict[str, Any]] = []
    over: list[Mapping[str, Any]] = []
    for stone in member.tombstones:
        owner = Owner(stone["kind"], stone["namespace"], stone["name"], stone["uid"])
        there, busy = member.children.get(owner.uid, ()), kept.busy(kept.left(stone), owner)
        found = [(member.name, b) for b in roots(there) if (member.name, b["metadata"]["name"]) not in busy]
        if found:
            step.actions += deletes(found)
            stones.append(dict(stone))
            continue
        recorded = kept.left(stone)
        going = kept.clear(recorded, recorded, owner, {member.name: member}, now)
        step.purges += [(owner, one) for one in going.purges]
        for text in going.failures:
            step.actions.append(Announce(ref_of(raw), str(raw["metadata"]["uid"]), "Warning", "LeftBehind", text))
        if there or going.remaining or len(over) == CONFIRMED_AT_ONCE:
            told = {name: value for name, value in stone.items() if name != "kept"}
            stones.append(told | ({"kept": kept.told(going.remaining)} if going.remaining else {}))
        else:
            over.append(stone)
    return stones, over
