"""Delivery straight to each cluster's API server, by server-side apply under one field manager."""

from collections.abc import Callable, Sequence

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
from polyhull.kube.client import ClusterClient
from polyhull.kube.resources import JOBS, Ref, ref_of, uid_of
from polyhull.render import naming

Clients = Callable[[str], ClusterClient | None]
"""The client of a cluster by name (`HUB`: the hub), None when there is no way in now."""


class DirectDelivery:
    """`announce` queues an Event and never fails."""

    def __init__(self, clients: Clients, announce: Callable[[Announce], None]) -> None:
        self._clients, self._announce = clients, announce

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
            case ConfirmNone():
                await self._confirm_none(action)
            case Finalizer():
                return [(HUB, await self._client(HUB).apply(_finalizer(action)))]
            case PutStatus():
                return [(HUB, await self._client(HUB).apply(_status(action), subresource="status"))]
            case Suspend():
                patch = {"metadata": {"uid": action.uid}, "spec": {"suspend": action.suspend}}
                return [(action.cluster, await self._client(action.cluster).patch_merge(action.ref, patch))]
            case Announce():
                self._announce(action)
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

    async def _confirm_none(self, action: ConfirmNone) -> None:
        wanted = f"{naming.UID}={naming.label_value(action.uid)}"
        for resource in CHILD_KINDS:
            client = self._client(action.cluster)
            if found := await client.list(resource, action.namespace, label_selector=wanted):
                raise StillThere(f"{ref_of(found[0])} is still in {action.cluster}")

    async def _delete(self, action: Delete) -> None:
        # Only a Job has pods to wait for; anything else would merely linger.
        propagation = "Foreground" if action.ref.resource == JOBS else "Background"
        try:
            await self._client(action.cluster).delete(action.ref, uid=action.uid, propagation=propagation)
        except Refused as refused:
            if refused.status != 409:  # another object of that name: ours is gone
                raise


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
    metadata: dict[str, object] = {"name": ref.name, **({"uid": uid} if uid else {})}
    if ref.namespace:
        metadata["namespace"] = ref.namespace
    return metadata
