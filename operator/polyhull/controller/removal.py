"""How what we made goes away when its owner on the hub is deleted, whatever kind the owner is. Pure.

Everything that any reachable member shows is deleted; the finalizer goes once nothing is left and each cluster that
the owner's status names has confirmed it. An unreachable one gets a tombstone after a minute: a note in its
MemberCluster's status, honoured when it returns.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polyhull.controller.children import Member, instant
from polyhull.delivery.base import Action, ConfirmGone, Delete, Finalizer
from polyhull.kube.resources import Manifest, Ref, ref_of, uid_of
from polyhull.render import naming

MOST_TOMBSTONES = 1000
"""Per member: beyond it deletions wait for the member (or for `fenced`)."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What to do now; `tombstones` are members that need a note first; `due_at` when patience with them ends."""

    actions: tuple[Action, ...] = ()
    tombstones: tuple[str, ...] = ()
    due_at: float | None = None


def roots(bodies: Sequence[Manifest]) -> list[Manifest]:
    """Those that nothing else of ours owns there: the rest follows by garbage collection.

    A Job always counts: the claim that owns a copy's Job stays until no pod mounts it, and would wait for the copy.
    """
    uids = {uid_of(body) for body in bodies}
    return [
        body
        for body in bodies
        if body.get("kind") == "Job"
        or not any(owner.get("uid") in uids for owner in body["metadata"].get("ownerReferences") or ())
    ]


def leftovers(uid: str, members: Mapping[str, Member]) -> list[tuple[str, Manifest]]:
    """(cluster, object) of everything of that owner that reachable members show."""
    return [
        (member.name, body)
        for member in members.values()
        if member.reachable
        for body in roots(member.children.get(uid, ()))
    ]


def deletes(found: Sequence[tuple[str, Manifest]]) -> tuple[Action, ...]:
    """Deletes of those that are not on their way out already."""
    return tuple(
        Delete(name, ref_of(body), uid_of(body))
        for name, body in found
        if not body["metadata"].get("deletionTimestamp")
    )


def remove(
    raw: Manifest,
    homes: Mapping[str, Sequence[Ref]],
    members: Mapping[str, Member],
    now: float,
    busy: Collection[tuple[str, str]] = (),
) -> Removal:
    """The next step of a deletion. `homes`: clusters that may hold children, with the names they would have; `busy`:
    (cluster, name) of those that are left to their work."""
    uid, metadata = uid_of(raw), raw["metadata"]
    found = [(name, body) for name, body in leftovers(uid, members) if (name, body["metadata"]["name"]) not in busy]
    if found:
        return Removal(deletes(found))
    if naming.FINALIZER not in (metadata.get("finalizers") or ()):
        return Removal()
    confirmed: list[Action] = []
    silent: list[Member] = []
    for name, refs in homes.items():
        member = members.get(name)
        if member is None or member.fenced:
            continue  # an administrator vouches for it
        if member.reachable:
            confirmed += [ConfirmGone(name, ref) for ref in refs]
        elif not any(stone.get("uid") == uid for stone in member.tombstones):
            silent.append(member)
    if not silent:
        return Removal((*confirmed, Finalizer(ref_of(raw), uid, False)))
    since = instant(metadata.get("deletionTimestamp")) or now
    due_at = since + max(one.patience.tombstone for one in silent)
    if now < due_at:
        return Removal(due_at=due_at)
    return Removal(tombstones=tuple(one.name for one in silent if len(one.tombstones) < MOST_TOMBSTONES))


def tombstone(raw: Manifest, cluster: str) -> dict[str, Any]:
    """The note for `MemberCluster.status.tombstones` of that cluster."""
    metadata = raw["metadata"]
    written = [
        one for one in (raw.get("status") or {}).get("kept") or () if one["cluster"] == cluster and one.get("url")
    ]
    return {
        **({"kept": [dict(one) for one in written]} if written else {}),
        "kind": raw["kind"],
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "deletedTime": metadata["deletionTimestamp"],
    }
