"""The client against a real HTTP server that misbehaves."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.aio.client.configuration import Configuration

from polyhull.domain.errors import BrokenPromise, InvalidInput, Refused, Unreachable
from polyhull.kube import connection as connections
from polyhull.kube.client import ClusterClient
from polyhull.kube.limiter import TokenBucket
from polyhull.kube.resources import CONFIG_MAPS, NODES, PODS, Ref, Resource, ref_of
from polyhull.kube.transport import _lines
from tests.unit.kube.small_api import QUICK, SmallApi, once, run, status

PATH = "/api/v1/namespaces/team/configmaps/a"
REF = Ref(CONFIG_MAPS, "team", "a")
MANIFEST = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "namespace": "team"},
    "data": {"k": "v"},
}


def test_every_request_says_who_asks() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client(token="abc") as client:
            await client.list(CONFIG_MAPS)
            await client.apply(MANIFEST)
            await client.delete(REF)
            stream = client.watch(CONFIG_MAPS, resource_version="10000")
            with pytest.raises(Unreachable):
                await anext(stream)
            assert len(api.requests) == 4
            assert {headers["Authorization"] for *_, headers in api.requests} == {"Bearer abc"}
            assert all(headers["User-Agent"].startswith("polyhull/") for *_, headers in api.requests)

    run(work())


def test_in_cluster_token_is_sent_and_read_again(tmp_path: Path) -> None:
    async def work() -> None:
        now = [0.0]
        (tmp_path / "token").write_text("one\n")
        source = connections.TokenFile(tmp_path / "token", lambda: now[0])
        async with SmallApi().serve() as api:
            connection = connections.Connection(Configuration(host=api.server), source)
            async with ClusterClient("c", connection, limits=QUICK) as client:
                await client.version()
                (tmp_path / "token").write_text("two")
                await client.version()
                now[0] = 61.0
                await client.version()
                (tmp_path / "token").write_text("three")
                api.token = "three"
                await client.version()
        sent = [headers.get("Authorization") for *_, headers in api.requests]
        assert sent == ["Bearer one", "Bearer one", "Bearer two", "Bearer two", "Bearer three"]

    run(work())


def test_in_cluster_outside_of_a_pod_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="run inside a pod"):
        connections.in_cluster(tmp_path, {})


def test_lists_come_in_parts() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            for index in range(8):
                await api.put(f"/api/v1/namespaces/team/configmaps/c{index}")
            items = await client.list(CONFIG_MAPS)
            assert [item["metadata"]["name"] for item in items] == [f"c{index}" for index in range(8)]
            assert items[0]["kind"] == "ConfigMap"
            assert client.counters.requests[("list", "configmaps")] == 3
            assert "resourceVersion" not in api.requests[0][2]

    run(work())


def test_a_list_that_expires_midway_starts_again() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            for index in range(5):
                await api.put(f"/api/v1/nodes/n{index}")

            async def expire(request: web.Request) -> web.Response | None:
                return status(410, "Expired") if "continue" in request.query else None

            api.faults.append(expire)
            assert len(await client.list(NODES)) == 5

    run(work())


@pytest.mark.parametrize("code", [429, 500, 503, 504])
def test_later_is_tried_again(code: int) -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            api.faults += once(lambda: status(code, "Later", headers={"Retry-After": "0"}), 2)
            await client.apply(MANIFEST)
            assert api.count("PATCH", PATH) == 3
            assert client.counters.retries == 2
            assert client.counters.failures[code] == 2

    run(work())


def test_retry_after_is_honoured_up_to_the_longest_wait() -> None:
    client = ClusterClient("c", _Nowhere(), limits=replace(QUICK, longest_wait_seconds=2.0))
    pause = client._transport._pause
    assert 1.0 <= pause(0, "1") <= 1.1
    assert pause(0, "3600") == 2.0
    assert pause(9, None) == 2.0
    assert 0.005 <= pause(0, "Wed, 21 Oct 2026 07:28:00 GMT") <= 0.01


def test_attempts_are_bounded_and_then_it_is_unreachable() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            api.faults += once(lambda: status(503, "ServiceUnavailable", "etcd is gone"), 20)
            with pytest.raises(Unreachable, match="etcd is gone"):
                await client.get(REF)
            assert len(api.requests) == QUICK.attempts

    run(work())


def test_create_is_not_sent_twice_after_an_unclear_end() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:

            async def drop(request: web.Request) -> web.Response:
                assert request.transport is not None
                request.transport.abort()
                return web.Response()

            api.faults.append(drop)
            with pytest.raises(Unreachable):
                await client.create(REF, MANIFEST)
            assert len(api.requests) == 1
            api.faults.append(drop)
            await client.apply(MANIFEST)  # idempotent: sent again
            assert api.count("PATCH", PATH) == 2

    run(work())


@pytest.mark.parametrize(
    ("code", "reason"),
    [(400, "BadRequest"), (403, "Forbidden"), (404, "NotFound"), (409, "Conflict"), (422, "Invalid")],
)
def test_no_is_no(code: int, reason: str) -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            api.faults += once(lambda: status(code, reason, "because"))
            with pytest.raises(Refused) as caught:
                await client.apply(MANIFEST)
            assert (caught.value.status, caught.value.reason, caught.value.message) == (code, reason, "because")
            assert len(api.requests) == 1

    run(work())


def test_redirects_are_not_followed() -> None:
    async def work() -> None:
        async with SmallApi().serve() as elsewhere, SmallApi().serve() as api, api.client() as client:
            api.faults += once(lambda: web.Response(status=307, headers={"Location": f"{elsewhere.server}/version"}))
            with pytest.raises(Unreachable, match="redirect"):
                await client.version()
            assert elsewhere.requests == []

    run(work())


def test_an_endless_answer_is_cut() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client(replace(QUICK, response_bytes=10_000, attempts=1)) as client:
            api.faults += once(lambda: web.Response(body=b'{"x":"' + b"y" * 20_000 + b'"}'))
            with pytest.raises(Unreachable, match="longer than 10000"):
                await client.version()

    run(work())


@pytest.mark.parametrize("body", [b"<html>login</html>", b"[1]", b'"text"'])
def test_something_else_answering_is_not_an_api_server(body: bytes) -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            api.faults += once(lambda: web.Response(body=body))
            with pytest.raises(Unreachable, match="not a Kubernetes API server"):
                await client.version()

    run(work())


def test_a_silent_server_costs_no_more_than_the_time_limit() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api:
            waits = asyncio.Event()

            async def hang(request: web.Request) -> web.Response:
                await waits.wait()
                return web.Response()

            api.faults.append(hang)
            async with api.client(replace(QUICK, total_seconds=0.3)) as client:
                with pytest.raises(Unreachable, match="time limit"):
                    await client.version()
            waits.set()
            assert len(api.requests) == 1

    run(work())


def test_nobody_there() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api:
            client = api.client()
        async with client:
            with pytest.raises(Unreachable, match="does not answer"):
                await client.create(REF, MANIFEST)
            assert client.counters.requests[("create", "configmaps")] == QUICK.attempts  # never left: safe to repeat

    run(work())


def test_delete_of_nothing_is_done_and_of_another_is_refused() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            await client.delete(REF, uid="x")
            old = await api.put(PATH)
            await api.remove(PATH)
            await api.put(PATH)
            with pytest.raises(Refused) as caught:
                await client.delete(REF, uid=old["metadata"]["uid"])
            assert caught.value.status == 409
            assert PATH in api.objects

    run(work())


def test_writes_name_their_manager_and_are_strict() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            await client.apply(MANIFEST, dry_run=True)
            _, path, query, headers = api.requests[-1]
            assert path == PATH
            assert query == {
                "fieldManager": "polyhull",
                "fieldValidation": "Strict",
                "dryRun": "All",
                "force": "true",
            }
            assert headers["Content-Type"] == "application/apply-patch+yaml"
            assert client.counters.writes == 1

    run(work())


def test_what_json_cannot_say_is_an_error_of_ours() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            with pytest.raises(ValueError, match="JSON"):
                await client.apply({**MANIFEST, "data": {"k": float("nan")}})
            assert api.requests == []

    run(work())


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_cannot_leave_its_collection(name: str) -> None:
    with pytest.raises(BrokenPromise):
        _ = Ref(PODS, "team", name).path


def test_slashes_in_names_are_quoted() -> None:
    assert Ref(PODS, "a/b", "../../secrets").path == "/api/v1/namespaces/a%2Fb/pods/..%2F..%2Fsecrets"
    with pytest.raises(BrokenPromise):
        _ = Ref(PODS, "", "a").path


def test_ref_of_a_manifest() -> None:
    assert ref_of(MANIFEST) == REF
    with pytest.raises(BrokenPromise, match=r"resources\.py"):
        ref_of({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}})


def test_discovery_of_what_is_not_there_is_empty() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            api.missing.add("/apis/example.com")
            assert await client.discover("example.com") == frozenset()
            assert not await client.serves(Resource("example.com", "v1", "things", "Thing"))

    run(work())


def test_the_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    now = [0.0]
    bucket = TokenBucket(rate=10.0, burst=3.0, monotonic=lambda: now[0])
    assert [bucket.reserve() for _ in range(5)] == pytest.approx([0.0, 0.0, 0.0, 0.1, 0.2])
    now[0] = 100.0
    assert [bucket.reserve() for _ in range(4)] == pytest.approx([0.0, 0.0, 0.0, 0.1])
    now[0] = 99.0  # a clock that goes back does not mint tokens
    assert bucket.reserve() == pytest.approx(0.2)


class _Nowhere(connections.Connection):
    def __init__(self) -> None:
        super().__init__(Configuration(host="http://127.0.0.1:1"), _nobody)


async def _nobody(fresh: bool) -> Any:
    return None


LINES = st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line and line.strip() != b""), max_size=8)


@given(LINES, st.data())
def test_lines_are_the_same_however_the_stream_is_cut(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(line + b"\n" for line in lines) + b"a line without its end"
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=10).map(sorted))
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    async def work() -> None:
        stream = _Chunks(chunks)
        assert [line async for line in _lines(stream, 1000)] == lines  # type: ignore[arg-type]

    asyncio.run(work())


@dataclass
class _Chunks:
    """A stream that comes in given pieces."""

    pieces: list[bytes]

    async def iter_any(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
