"""Delivery straight to each cluster's API server, by server-side apply under one field manager."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from polyhull.delivery.base import (
    HUB,
    Action,
    Announce,
    Apply,
    ConfirmGone,
    Delete,
    Finalizer,
    Manifest,
    Outcome,
    PutStatus,
    StillThere,
    Suspend,
)
from polyhull.domain.errors import PolyhullError, Refused, Unreachable
from polyhull.kube.client import ClusterClient
from polyhull.kube.resources import EVENTS, JOBS, Ref, uid_of
from polyhull.render import naming

COMPONENT = "polyhull"

Clients = Callable[[str], ClusterClient | None]
"""The client of a cluster by name (`HUB`: the hub), None when there is no way in now."""


class DirectDelivery:
    """`now` is the wall clock in seconds since the epoch, for Events' times; `instance` names this process there."""

    def __init__(self, clients: Clients, now: Callable[[], float], instance: str = COMPONENT) -> None:
        self._clients, self._now, self._instance = clients, now, instance

    async def deliver(self, actions: Sequence[Action]) -> Outcome:
        done: list[Action] = []
        objects: list[tuple[str, Manifest]] = []
        for action in actions:
            try:
                objects += await self._do(action)
            except PolyhullError as error:
                return Outcome(tuple(done), tuple(objects), action, error)
            done.append(action)
        return Outcome(tuple(done), tuple(objects))

    async def _do(self, action: Action) -> list[tuple[str, Manifest]]:
        match action:
            case Apply():
                return await self._apply(action)
            case Delete():
                await self._delete(action)
            case ConfirmGone():
                if (found := await self._client(action.cluster).find(action.ref)) is not None:
                    raise StillThere(f"{action.ref} is still in {action.cluster or 'the hub'} (uid {uid_of(found)})")
            case Finalizer():
                return [(HUB, await self._client(HUB).apply(_finalizer(action)))]
            case PutStatus():
                return [(HUB, await self._client(HUB).apply(_status(action), subresource="status"))]
            case Suspend():
                patch = {"metadata": {"uid": action.uid}, "spec": {"suspend": True}}
                return [(action.cluster, await self._client(action.cluster).patch_merge(action.ref, patch))]
            case Announce():
                await self._announce(action)
        return []

    def _client(self, cluster: str) -> ClusterClient:
        client = self._clients(cluster)
        if client is None:
            raise Unreachable(f"there is no way into cluster {cluster or '(hub)'} now")
        return client

    async def _apply(self, action: Apply) -> list[tuple[str, Manifest]]:
        client = self._client(action.cluster)
        made = await client.apply(action.manifest)
        objects: list[tuple[str, Manifest]] = [(action.cluster, made)]
        for manifest in action.owned(uid_of(made)) if action.owned is not None else ():
            objects.append((action.cluster, await client.apply(manifest)))
        return objects

    async def _delete(self, action: Delete) -> None:
        # Only a Job has pods to wait for; anything else would merely linger.
        propagation = "Foreground" if action.ref.resource == JOBS else "Background"
        try:
            await self._client(action.cluster).delete(action.ref, uid=action.uid, propagation=propagation)
        except Refused as refused:
            if refused.status != 409:  # another object of that name: ours is gone
                raise

    async def _announce(self, action: Announce) -> None:
        try:
            ref, body = _event(action, self._now(), self._instance)
            await self._client(HUB).create(ref, body)
        except PolyhullError:
            return


def _finalizer(action: Finalizer) -> Manifest:
    """The uid makes an apply to a vanished object a conflict instead of a creation."""
    metadata = _metadata(action.ref, action.uid)
    if action.present:
        metadata["finalizers"] = [naming.FINALIZER]
    return {"apiVersion": action.ref.resource.api_version, "kind": action.ref.resource.kind, "metadata": metadata}


def _status(action: PutStatus) -> Manifest:
    return {
        "apiVersion": action.ref.resource.api_version,
        "kind": action.ref.resource.kind,
        "metadata": _metadata(action.ref, action.uid),
        "status": dict(action.status),
    }


def _metadata(ref: Ref, uid: str) -> dict[str, object]:
    metadata: dict[str, object] = {"name": ref.name, "uid": uid}
    if ref.namespace:
        metadata["namespace"] = ref.namespace
    return metadata


def _event(action: Announce, now: float, instance: str) -> tuple[Ref, Manifest]:
    """An events.k8s.io/v1 Event; its name differs by time, so that each is a news item of its own."""
    namespace = action.ref.namespace or "default"
    name = f"{action.ref.name[:200]}.{naming.digest(action.uid, action.reason, repr(now))}"
    body: Manifest = {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": name, "namespace": namespace},
        "eventTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": naming.GROUP + "/" + COMPONENT,
        "reportingInstance": instance[:128],
        "action": action.reason[:128],
        "reason": action.reason[:128],
        "note": action.note[:1024],
        "type": action.kind,
        "regarding": {
            "apiVersion": action.ref.resource.api_version,
            "kind": action.ref.resource.kind,
            "name": action.ref.name,
            "uid": action.uid,
            **({"namespace": action.ref.namespace} if action.ref.namespace else {}),
        },
    }
    return Ref(EVENTS, namespace, name), body
