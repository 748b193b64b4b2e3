"""One cluster's API as a handful of verbs over raw JSON.

Raw JSON because decoding into typed models costs about six times as much (reference/ecosystem.md §6.5), and because
server-side apply wants exactly the fields we mean. Every verb raises `Refused` when the cluster answers no (4xx; see
`status`) and `Unreachable` when it does not answer; how calls are bounded is transport.py's business.
"""

import random
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from polyhull.domain.errors import Refused
from polyhull.kube import connection as connections
from polyhull.kube.connection import Connection
from polyhull.kube.kubeconfig import credentials_of
from polyhull.kube.limiter import Counters
from polyhull.kube.resources import Manifest, Ref, Resource, ref_of
from polyhull.kube.transport import JSON, Call, Limits, Object, Query, Transport, WatchEvent
from polyhull.render import naming

APPLY = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list; `resource_version` is the same for all parts of one list."""

    items: list[Object]
    resource_version: str


class ClusterClient:
    """All that Polyhull does to one cluster. One per cluster and event loop; `close` when done."""

    def __init__(
        self,
        name: str,
        connection: Connection,
        *,
        limits: Limits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self.name = name
        self._transport = Transport(name, connection, limits or Limits(), monotonic, chance)

    @classmethod
    def from_kubeconfig(
        cls, config: Any, name: str, *, limits: Limits | None = None, **options: Any
    ) -> "ClusterClient":
        """A client for a member from a parsed kubeconfig. Raises InvalidInput for what kubeconfig.py refuses."""
        where = f"MemberCluster {name}"
        connection = connections.from_credentials(credentials_of(config, where), where)
        return cls(name, connection, limits=limits, **options)

    @classmethod
    def in_cluster(cls, name: str = "local", *, limits: Limits | None = None, **options: Any) -> "ClusterClient":
        """The pod's own cluster by its service account. Raises InvalidInput outside of a pod."""
        return cls(name, connections.in_cluster(), limits=limits, **options)

    @classmethod
    async def from_default(
        cls,
        kubeconfig_path: str | None = None,
        context: str | None = None,
        name: str = "local",
        *,
        limits: Limits | None = None,
        **options: Any,
    ) -> "ClusterClient":
        """As kubectl finds its cluster; awaited because login programs may run. Raises InvalidInput without one."""
        return cls(name, await connections.from_default(kubeconfig_path, context), limits=limits, **options)

    @property
    def server(self) -> str:
        return self._transport.server

    @property
    def counters(self) -> Counters:
        return self._transport.counters

    @property
    def limits(self) -> Limits:
        return self._transport.limits

    async def close(self) -> None:
        await self._transport.close()

    async def __aenter__(self) -> "ClusterClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- reading

    async def get(self, ref: Ref) -> Object:
        """One object. Raises Refused(404) when there is none."""
        return await self._transport.call(Call("get", ref.resource.label, "GET", ref.path))

    async def find(self, ref: Ref) -> Object | None:
        """One object, None when there is none."""
        try:
            return await self.get(ref)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    async def pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[Page, None]:
        """A list, part by part. No resourceVersion is sent, so the first part is current and never from an old cache.

        Raises Refused(410) when the list's snapshot expired between two parts: start again.
        """
        token = ""
        while True:
            query: dict[str, str | int | bool | None] = {
                "limit": self.limits.page,
                "labelSelector": label_selector or None,
                "fieldSelector": field_selector or None,
                "continue": token or None,
            }
            answer = await self._transport.call(
                Call("list", resource.label, "GET", resource.collection(namespace), query)
            )
            metadata = answer.get("metadata") or {}
            items = answer.get("items") or []
            for item in items:  # lists leave these out of the items
                item.setdefault("apiVersion", resource.api_version)
                item.setdefault("kind", resource.kind)
            yield Page(items, str(metadata.get("resourceVersion") or ""))
            token = str(metadata.get("continue") or "")
            if not token:
                return

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        kept: Callable[[Object], Object] = lambda item: item,
    ) -> list[Object]:
        """All objects of a resource, read in parts; starts again (twice at most) when the snapshot expires midway.

        `kept`: what the caller wants of each, so that no more than one part is ever held whole.
        """
        for attempt in range(3):
            items: list[Object] = []
            try:
                async for page in self.pages(
                    resource, namespace, label_selector=label_selector, field_selector=field_selector
                ):
                    items += map(kept, page.items)
                return items
            except Refused as refused:
                if refused.status != 410 or attempt == 2:
                    raise
        raise AssertionError("unreachable")

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events after `resource_version`, bookmarks among them, until the server ends the watch.

        Raises Refused (410: list again), Unreachable (silence for `inactivity_seconds`, a broken stream, a line that
        is not JSON). `on_open` is called when the server has accepted the watch.
        """
        query: Query = {
            "watch": True,
            "allowWatchBookmarks": True,
            "timeoutSeconds": self.limits.watch_seconds,
            "resourceVersion": resource_version or None,
            "labelSelector": label_selector or None,
            "fieldSelector": field_selector or None,
        }
        call = Call("watch", resource.label, "GET", resource.collection(namespace), query)
        async with aclosing(self._transport.stream(call, on_open)) as events:
            async for event in events:
                yield event

    # -- writing

    async def apply(
        self, manifest: Manifest, *, force: bool = True, subresource: str | None = None, dry_run: bool = False
    ) -> Object:
        """Server-side apply under the field manager `polyhull`: afterwards the fields named are as named.

        Fields applied before and left out now are removed. Unknown fields are refused (400), never dropped silently.
        Raises Refused(409) on a conflict when `force` is off.
        """
        ref = ref_of(manifest)
        query = _write_query(dry_run) | {"force": force}
        path = f"{ref.path}/{subresource}" if subresource else ref.path
        return await self._transport.call(Call("apply", ref.resource.label, "PATCH", path, query, manifest, APPLY))

    async def create(
        self, ref: Ref, body: Manifest, *, subresource: str | None = None, dry_run: bool = False
    ) -> Object:
        """POST to a collection or subresource: Events, tokens (`subresource="token"`), access reviews.

        Sent again only when it was surely not carried out. Raises Refused(409, AlreadyExists).
        """
        path = f"{ref.path}/{subresource}" if subresource else ref.resource.collection(ref.namespace)
        call = Call("create", ref.resource.label, "POST", path, _write_query(dry_run), body, JSON, idempotent=False)
        return await self._transport.call(call)

    async def delete(
        self,
        ref: Ref,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str = "Background",
        grace_seconds: int | None = None,
    ) -> None:
        """Delete; done already when there is none. With `uid` only that incarnation: another one is Refused(409)."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if uid or resource_version:
            body["preconditions"] = {key: value for key, value in preconditions.items() if value}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        try:
            # Without a precondition a second attempt could hit a successor of the same name.
            call = Call(
                "delete", ref.resource.label, "DELETE", ref.path, None, body, JSON, bool(uid or resource_version)
            )
            await self._transport.call(call)
        except Refused as refused:
            if refused.status != 404:
                raise

    async def patch_merge(
        self, ref: Ref, patch: Manifest, *, subresource: str | None = None, dry_run: bool = False
    ) -> Object:
        """JSON merge patch: lists are replaced whole, null removes. A resourceVersion inside is a precondition."""
        path = f"{ref.path}/{subresource}" if subresource else ref.path
        query = _write_query(dry_run)
        return await self._transport.call(Call("patch", ref.resource.label, "PATCH", path, query, patch, MERGE_PATCH))

    async def patch_json(self, ref: Ref, operations: Sequence[Manifest], *, subresource: str | None = None) -> Object:
        """JSON patch (RFC 6902). `test` operations make it safe for lists such as finalizers; a failing test is
        Refused(422)."""
        path = f"{ref.path}/{subresource}" if subresource else ref.path
        body = list(operations)
        call = Call("patch", ref.resource.label, "PATCH", path, _write_query(False), body, JSON_PATCH, False)
        return await self._transport.call(call)

    async def replace(self, ref: Ref, body: Manifest) -> Object:
        """PUT. With a resourceVersion in `body` it is a compare-and-swap: Refused(409) when somebody was faster."""
        call = Call("replace", ref.resource.label, "PUT", ref.path, _write_query(False), body, JSON, False)
        return await self._transport.call(call)

    async def request(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Any = None,
        content_type: str | None = None,
    ) -> Object:
        """Anything else; GET is retried, other methods are not."""
        call = Call("request", path, method, path, query, body, content_type or JSON, method.upper() == "GET")
        return await self._transport.call(call)

    # -- asking about the server

    async def version(self) -> str:
        """The server's version, e.g. `v1.36.3`."""
        return str((await self._transport.call(Call("get", "version", "GET", "/version"))).get("gitVersion") or "")

    async def discover(self, group: str, version: str | None = None) -> frozenset[Resource]:
        """The resources of a group that the server serves now, subresources left out; empty when it has none."""
        if not group:
            return await self._served("", version or "v1")
        if version is not None:
            return await self._served(group, version)
        try:
            answer = await self._transport.call(Call("get", "discovery", "GET", f"/apis/{group}"))
        except Refused as refused:
            if refused.status == 404:
                return frozenset()
            raise
        found: frozenset[Resource] = frozenset()
        for entry in answer.get("versions") or []:
            found |= await self._served(group, str(entry.get("version") or ""))
        return found

    async def serves(self, resource: Resource) -> bool:
        """Whether the server serves this resource in this version."""
        return any(found.plural == resource.plural for found in await self._served(resource.group, resource.version))

    async def _served(self, group: str, version: str) -> frozenset[Resource]:
        prefix = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            answer = await self._transport.call(Call("get", "discovery", "GET", prefix))
        except Refused as refused:
            if refused.status == 404:
                return frozenset()
            raise
        return frozenset(
            Resource(group, version, str(entry["name"]), str(entry["kind"]), bool(entry.get("namespaced")))
            for entry in answer.get("resources") or []
            if "/" not in str(entry.get("name"))
        )


def _write_query(dry_run: bool) -> dict[str, str | int | bool | None]:
    return {"fieldManager": naming.FIELD_MANAGER, "fieldValidation": "Strict", "dryRun": "All" if dry_run else None}
