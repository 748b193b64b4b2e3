"""Delivery to clusters that are dictionaries: honest about uids, finalizers, conflicts and what does not answer.

For tests of everything above delivery. What it promises is what `tests/contract` asks of the real one too.
"""

import copy
import itertools
from collections.abc import Sequence
from typing import Any

from polyhull.delivery.base import (
    CHILD_KINDS,
    HUB,
    Action,
    Announce,
    Apply,
    ConfirmGone,
    ConfirmNone,
    Delete,
    Finalizer,
    Manifest,
    Outcome,
    PutStatus,
    StillThere,
    Suspend,
)
from polyhull.domain.errors import PolyhullError, Refused, Unreachable
from polyhull.kube.resources import Ref, ref_of, uid_of
from polyhull.render import naming


class MemoryDelivery:
    """`clusters` by name, each a dict of objects by reference; `HUB` always exists.

    `down` names clusters that do not answer; `refusing` maps (cluster, resource label) to the Refused to raise.
    `log` is every write that happened.
    """

    def __init__(self, *clusters: str) -> None:
        self.clusters: dict[str, dict[Ref, dict[str, Any]]] = {name: {} for name in (HUB, *clusters)}
        self.down: set[str] = set()
        self.refusing: dict[tuple[str, str], Refused] = {}
        self.log: list[Action] = []
        self._numbers = itertools.count(1)

    def put(self, cluster: str, manifest: Manifest) -> dict[str, Any]:
        """Create or replace an object as somebody else would."""
        body = copy.deepcopy(dict(manifest))
        held = self.clusters[cluster].get(ref_of(body))
        body["metadata"].setdefault("uid", uid_of(held) if held else f"uid-{next(self._numbers)}")
        self._store(cluster, body)
        return body

    def get(self, cluster: str, ref: Ref) -> dict[str, Any] | None:
        return self.clusters[cluster].get(ref)

    async def deliver(self, actions: Sequence[Action]) -> Outcome:
        done: list[Action] = []
        objects: list[tuple[str, Manifest]] = []
        for action in actions:
            try:
                objects += self._do(action)
            except PolyhullError as error:
                return Outcome(tuple(done), tuple(objects), action, error)
            done.append(action)
            self.log.append(action)
        return Outcome(tuple(done), tuple(objects))

    def _do(self, action: Action) -> list[tuple[str, Manifest]]:
        match action:
            case Apply():
                made = self._merge(action.cluster, action.manifest)
                owned = action.owned(uid_of(made)) if action.owned is not None else ()
                return [(action.cluster, body) for body in (made, *(self._merge(action.cluster, m) for m in owned))]
            case Delete():
                self._delete(action)
            case ConfirmGone():
                if action.ref in self._answering(action.cluster):
                    raise StillThere(f"{action.ref} is still in {action.cluster or 'the hub'}")
            case ConfirmNone():
                self._confirm_none(action)
            case Finalizer():
                return [(HUB, self._finalize(action))]
            case PutStatus():
                body = copy.deepcopy(self._hub(action.ref, action.uid))
                body["status"] = copy.deepcopy(dict(action.status))
                return [(HUB, self._store(HUB, body))]
            case Suspend():
                body = copy.deepcopy(self._answering(action.cluster).get(action.ref) or {})
                if not body or uid_of(body) != action.uid:
                    raise Refused(409, "Conflict", f"{action.ref} is another one now")
                body["spec"]["suspend"] = action.suspend
                return [(action.cluster, self._store(action.cluster, body))]
            case Announce():
                pass
        return []

    def _answering(self, cluster: str) -> dict[Ref, dict[str, Any]]:
        if cluster in self.down or cluster not in self.clusters:
            raise Unreachable(f"there is no way into cluster {cluster or '(hub)'} now")
        return self.clusters[cluster]

    def _merge(self, cluster: str, manifest: Manifest) -> dict[str, Any]:
        ref = ref_of(manifest)
        held = self._answering(cluster).get(ref)
        refusal = self.refusing.get((cluster, ref.resource.label))
        if refusal is not None:
            raise refusal
        body = copy.deepcopy(dict(manifest))
        metadata = dict(held["metadata"]) if held else {"uid": f"uid-{next(self._numbers)}"}
        body["metadata"] = {**metadata, **body["metadata"]}
        if held and "status" in held:
            body["status"] = held["status"]
        return self._store(cluster, body)

    def _confirm_none(self, action: ConfirmNone) -> None:
        for ref, body in self._answering(action.cluster).items():
            labels = body["metadata"].get("labels") or {}
            mine = labels.get(naming.UID) == naming.label_value(action.uid) and ref.resource in CHILD_KINDS
            if mine and ref.namespace == action.namespace:
                raise StillThere(f"{ref} is still in {action.cluster}")

    def _delete(self, action: Delete) -> None:
        held = self._answering(action.cluster).get(action.ref)
        if held is None or uid_of(held) != action.uid:
            return
        if held["metadata"].get("finalizers"):
            held["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            return
        self._remove(action.cluster, action.ref)

    def _remove(self, cluster: str, ref: Ref) -> None:
        gone = self.clusters[cluster].pop(ref)
        for other in [
            other
            for other, body in self.clusters[cluster].items()
            if any(owner.get("uid") == uid_of(gone) for owner in body["metadata"].get("ownerReferences") or ())
        ]:
            self._remove(cluster, other)

    def _hub(self, ref: Ref, uid: str) -> dict[str, Any]:
        held = self._answering(HUB).get(ref)
        if held is None:
            raise Refused(409, "Conflict", f"{ref} with uid {uid} is gone")
        if uid and uid_of(held) != uid:
            raise Refused(422, "Invalid", f"{ref}: metadata.uid is immutable")
        return held

    def _finalize(self, action: Finalizer) -> dict[str, Any]:
        body = copy.deepcopy(self._hub(action.ref, action.uid))
        held = [name for name in body["metadata"].get("finalizers") or () if name != naming.FINALIZER]
        if action.present and body["metadata"].get("deletionTimestamp"):
            raise Refused(422, "Invalid", "no new finalizers can be added if the object is being deleted")
        body["metadata"]["finalizers"] = [*held, naming.FINALIZER] if action.present else held
        self._store(HUB, body)
        if body["metadata"].get("deletionTimestamp") and not body["metadata"]["finalizers"]:
            self._remove(HUB, action.ref)
        return body

    def _store(self, cluster: str, body: dict[str, Any]) -> dict[str, Any]:
        body["metadata"]["resourceVersion"] = str(next(self._numbers))
        self.clusters[cluster][ref_of(body)] = body
        return body
