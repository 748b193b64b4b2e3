"""What members and the fleet's other kinds say: Connected, Accepted, tombstones. Pure.

Nothing here changes with time alone, so that a quiet fleet writes nothing: `lastContactTime` is that of the last
change of state.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from polyhull.api.conditions import Reason, Type
from polyhull.api.world import ref_of as world_ref
from polyhull.controller import status
from polyhull.controller.children import Member
from polyhull.controller.observe import View
from polyhull.controller.removal import deletes, roots
from polyhull.controller.status import Said, compose
from polyhull.delivery.base import Action
from polyhull.domain.snapshot import Snapshot
from polyhull.kube.resources import Manifest, Ref, ref_of

_OTHERS = (
    "AcceleratorType", "ComputePool", "DataSet", "Link", "PlacementPolicy", "PlacementScenario", "Site",
)  # fmt: skip


def reports(
    view: View, snapshot: Snapshot, tombstones: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[tuple[Manifest, dict[str, Any]]]:
    """(object, whole status) of every member, and of the other kinds that have a verdict."""
    for raw in view.objects:
        if raw["metadata"].get("deletionTimestamp"):
            continue
        if raw["kind"] == "MemberCluster":
            yield raw, _member(raw, view, snapshot, tombstones.get(raw["metadata"]["name"], ()))
        elif raw["kind"] in _OTHERS:
            yield raw, compose(raw, view.now, [_accepted(raw, view)])


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
        fields["version"] = view.versions.get(name) or before.get("version")
    stones = [stone for stone in before.get("tombstones") or () if not _over(stone, member)]
    known = {stone["uid"] for stone in stones}
    stones += [dict(stone) for stone in new if stone["uid"] not in known]
    fields["tombstones"] = stones or None
    return compose(raw, view.now, said, fields)


def _over(stone: Mapping[str, Any], member: Member | None) -> bool:
    """The member answers and shows nothing of it any more."""
    return member is not None and member.reachable and not member.children.get(stone["uid"])


def honoured(view: View) -> Iterator[tuple[Ref, tuple[Action, ...]]]:
    """Deletes of what tombstones remember, in members that answer again."""
    for raw in view.objects:
        if raw["kind"] != "MemberCluster":
            continue
        member = view.members.get(raw["metadata"]["name"])
        if member is None or not member.reachable:
            continue
        found = [
            (member.name, body)
            for stone in member.tombstones
            for body in roots(member.children.get(stone["uid"], ()))
        ]
        if actions := deletes(found):
            yield ref_of(raw), actions
