"""A small API server over real HTTP: enough of list, watch and writes to test clients, with faults on request."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from polyhull.kube.client import ClusterClient
from polyhull.kube.connection import from_credentials
from polyhull.kube.kubeconfig import Credentials
from polyhull.kube.transport import Limits

Object = dict[str, Any]
Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
QUICK = Limits(
    connect_seconds=1, total_seconds=3, backoff_seconds=0.01, longest_wait_seconds=0.2, inactivity_seconds=0.5, page=3
)


def run(work: Coroutine[Any, Any, None], seconds: float = 120.0) -> None:
    """Run a test's coroutine; hanging is failing."""
    asyncio.run(asyncio.wait_for(work, seconds))


async def eventually(holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until `holds()`; fails with what it last said."""
    end = asyncio.get_running_loop().time() + seconds
    while not (said := holds()):
        assert asyncio.get_running_loop().time() < end, f"still {said!r} after {seconds} s"
        await asyncio.sleep(0.01)


def status(code: int, reason: str, message: str = "", headers: dict[str, str] | None = None) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message or reason}
    return web.json_response(body, status=code, headers=headers)


class SmallApi:
    """State, history and misbehaviour. Paths are kept as clients write them."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        """Path of the object -> object."""
        self.version = 100
        self.history: list[tuple[int, str, Object, str]] = []
        """(version, event, object, collection path without namespace)."""
        self.oldest = 0
        """Watches from before this version get 410."""
        self.requests: list[tuple[str, str, dict[str, str], dict[str, str]]] = []
        """(method, path, query, headers), in order."""
        self.faults: list[Fault] = []
        """Asked first, in order; one that answers is used up."""
        self.missing: set[str] = set()
        """Path prefixes that are not served."""
        self.token: str | None = None
        """If set, the only bearer token accepted."""
        self.mute = False
        """Watches stay open and say nothing."""
        self._streams: list[tuple[web.StreamResponse, web.Request]] = []
        self._news = asyncio.Condition()
        self.server = ""

    # -- what tests do to it

    async def put(self, path: str, **fields: Any) -> Object:
        """Create or change the object at `path` as somebody else would."""
        old = self.objects.get(path)
        obj = copy.deepcopy(old) if old else {"metadata": self._identity(path)}
        obj.update(copy.deepcopy({key: value for key, value in fields.items() if key != "metadata"}))
        obj["metadata"].update(fields.get("metadata") or {})
        return await self._store(path, obj, "MODIFIED" if old else "ADDED")

    async def remove(self, path: str, *, silently: bool = False) -> None:
        """Delete; `silently`: no watch will ever tell."""
        obj = copy.deepcopy(self.objects.pop(path))
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        if not silently:
            await self._tell("DELETED", obj, path)

    def forget_history(self) -> None:
        """As after compaction: only a new list tells what happened before."""
        self.version += 1
        self.history.clear()
        self.oldest = self.version

    def break_watches(self) -> int:
        """Cut all open watches in the middle of the stream; answers how many there were."""
        count = 0
        for _, request in self._streams:
            if request.transport is not None:
                request.transport.abort()
                count += 1
        self._streams.clear()
        return count

    async def say(self, line: bytes) -> None:
        """Put bytes into all open watches."""
        for response, _ in list(self._streams):
            await response.write(line)

    def count(self, method: str, path: str, **query: str) -> int:
        return sum(
            1
            for seen_method, seen_path, seen_query, _ in self.requests
            if seen_method == method
            and seen_path == path
            and all(seen_query.get(key) == value for key, value in query.items())
        )

    # -- serving

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["SmallApi"]:
        application = web.Application()
        application.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.server = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            self.break_watches()
            await runner.cleanup()

    def client(
        self, limits: Limits = QUICK, token: str = "secret", name: str = "small", **options: Any
    ) -> ClusterClient:
        return ClusterClient(
            name, from_credentials(Credentials(self.server, token=token), "test"), limits=limits, **options
        )

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.query), dict(request.headers)))
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return status(401, "Unauthorized")
        for fault in list(self.faults):
            answer = await fault(request)
            if answer is not None:
                if fault in self.faults:
                    self.faults.remove(fault)
                return answer
        if any(request.path.startswith(prefix) for prefix in self.missing):
            return web.Response(status=404, text="404 page not found")
        if request.path == "/version":
            return web.json_response({"gitVersion": "v1.36.3"})
        match request.method:
            case "GET" if request.path in self.objects:
                return web.json_response(self.objects[request.path])
            case "GET" if request.query.get("watch") == "true":
                return await self._watch(request)
            case "GET" if request.path.rsplit("/", 1)[-1].endswith("s"):
                return self._list(request)
            case "GET":
                return status(404, "NotFound")
        body = await request.json()
        match request.method:
            case "POST":
                return await self._create(request, body)
            case "PUT":
                return await self._replace(request, body)
            case "PATCH":
                return await self._patch(request, body)
            case "DELETE":
                return await self._delete(request, body)
        return status(405, "MethodNotAllowed")

    async def _create(self, request: web.Request, body: Object) -> web.Response:
        path = f"{request.path}/{body['metadata']['name']}"
        if path in self.objects:
            return status(409, "AlreadyExists")
        body["metadata"] = {**body["metadata"], **self._identity(path)}
        return web.json_response(await self._store(path, body, "ADDED"), status=201)

    async def _replace(self, request: web.Request, body: Object) -> web.Response:
        present = self.objects.get(request.path)
        if present is None:
            return status(404, "NotFound")
        if body["metadata"].get("resourceVersion") not in (None, present["metadata"]["resourceVersion"]):
            return status(409, "Conflict")
        return web.json_response(await self._store(request.path, body, "MODIFIED"))

    async def _patch(self, request: web.Request, body: Object) -> web.Response:
        present = self.objects.get(request.path)
        if present is None and request.headers["Content-Type"] != "application/apply-patch+yaml":
            return status(404, "NotFound")
        merged = {**(present or {"metadata": self._identity(request.path)}), **body}
        merged["metadata"] = {
            **(present or merged)["metadata"],
            **(body.get("metadata") or {}),
            **self._identity(request.path),
        }
        return web.json_response(await self._store(request.path, merged, "MODIFIED" if present else "ADDED"))

    async def _delete(self, request: web.Request, body: Object) -> web.Response:
        present = self.objects.get(request.path)
        if present is None:
            return status(404, "NotFound")
        if (body.get("preconditions") or {}).get("uid", present["metadata"]["uid"]) != present["metadata"]["uid"]:
            return status(409, "Conflict")
        await self.remove(request.path)
        return web.json_response({"kind": "Status", "status": "Success"})

    def _list(self, request: web.Request) -> web.Response:
        items = [obj for path, obj in sorted(self.objects.items()) if _within(path, request.path)]
        version, start = self.version, 0
        if token := request.query.get("continue"):
            taken_at, start = (int(part) for part in token.split(":"))
            if taken_at < self.oldest:
                return status(410, "Expired")
            version = taken_at
        limit = int(request.query.get("limit", "0")) or len(items)
        part = items[start : start + limit]
        metadata = {"resourceVersion": str(version)}
        if start + limit < len(items):
            metadata["continue"] = f"{version}:{start + limit}"
        return web.json_response({"kind": "List", "metadata": metadata, "items": part})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        at = int(request.query.get("resourceVersion") or self.version)
        if at < self.oldest:
            return status(410, "Expired")
        response = web.StreamResponse()
        await response.prepare(request)
        self._streams.append((response, request))
        while True:
            if not self.mute:
                for version, kind, obj, path in list(self.history):
                    if version > at and _within(path, request.path):
                        at = version
                        await response.write(json.dumps({"type": kind, "object": obj}).encode() + b"\n")
            async with self._news:
                await self._news.wait()

    def _identity(self, path: str) -> Object:
        parts = path.split("/")
        identity: Object = {"name": parts[-1]}
        if "namespaces" in parts[:-2]:
            identity["namespace"] = parts[parts.index("namespaces") + 1]
        present = self.objects.get(path)
        identity["uid"] = present["metadata"]["uid"] if present else f"uid-{self.version + 1}"
        return identity

    async def _store(self, path: str, obj: Object, kind: str) -> Object:
        self.version += 1
        obj = copy.deepcopy(obj)
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path] = obj
        await self._tell(kind, obj, path)
        return obj

    async def _tell(self, kind: str, obj: Object, path: str) -> None:
        self.history.append((self.version, kind, copy.deepcopy(obj), path))
        async with self._news:
            self._news.notify_all()


def _within(path: str, collection: str) -> bool:
    """Whether an object's path is in a collection, which may be over all namespaces."""
    if path.rpartition("/")[0] == collection:
        return True
    prefix, _, plural = collection.rpartition("/")
    parts = path.split("/")
    return "namespaces" in parts[:-2] and parts[-2] == plural and path.startswith(f"{prefix}/namespaces/")


def once(answer: Callable[[], web.StreamResponse], times: int = 1, method: str = "", path: str = "") -> list[Fault]:
    """Faults that answer the next `times` matching requests."""

    def fault() -> Fault:
        async def answering(request: web.Request) -> web.StreamResponse | None:
            wanted = (not method or request.method == method) and path in request.path
            return answer() if wanted else None

        return answering

    return [fault() for _ in range(times)]
