"""The mirrors against a real HTTP server that loses, repeats, cuts and lies."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from polyhull.domain.errors import BrokenPromise
from polyhull.kube.cache import Backoff, Cache, Change, Selection
from polyhull.kube.resources import CONFIG_MAPS, NODES, POD_GROUPS_V1BETA1, PODS, Ref
from tests.unit.kube.small_api import SmallApi, eventually, once, run, status

MAPS = "/api/v1/namespaces/team/configmaps"
QUICK_BACKOFF = Backoff(first=0.01, longest=0.1, rediscover=0.1, stable=0.05)


@dataclass
class Seen:
    """What the listener heard."""

    changes: list[Change] = field(default_factory=list)

    def __call__(self, change: Change) -> None:
        self.changes.append(change)

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(change.kind.value, change.key[1]) for change in self.changes]


@asynccontextmanager
async def following(api: SmallApi, *selections: Selection, **options: Any) -> AsyncIterator[tuple[Cache, Seen]]:
    seen = Seen()
    async with api.serve(), api.client() as client:
        cache = Cache(client, selections or (Selection(CONFIG_MAPS),), seen, backoff=QUICK_BACKOFF, **options)
        cache.start()
        try:
            yield cache, seen
        finally:
            await cache.stop()


def names(cache: Cache) -> list[str]:
    return [obj["metadata"]["name"] for obj in cache.objects(CONFIG_MAPS)]


def test_it_follows_create_update_and_delete() -> None:
    async def work() -> None:
        api = SmallApi()
        await api.put(f"{MAPS}/before", data={"k": "1"})
        async with following(api) as (cache, seen):
            assert await cache.wait_synced(5)
            assert seen.told == [("ADDED", "before")]
            await api.put(f"{MAPS}/later", data={"k": "1"})
            await api.put(f"{MAPS}/later", data={"k": "2"})
            await api.remove(f"{MAPS}/before")
            await eventually(lambda: len(seen.told) == 4)
            assert seen.told[1:] == [("ADDED", "later"), ("MODIFIED", "later"), ("DELETED", "before")]
            found = cache.get(Ref(CONFIG_MAPS, "team", "later"))
            assert found is not None
            assert found["data"] == {"k": "2"}
            assert names(cache) == ["later"]
            assert cache.healthy()
            assert cache.problems() == ()
            assert cache.last_contact is not None

    run(work())


def test_a_cut_stream_goes_on_where_it_was() -> None:
    async def work() -> None:
        api = SmallApi()
        async with following(api) as (cache, seen):
            assert await cache.wait_synced(5)
            for index in range(5):
                await eventually(lambda: api._streams)
                api.break_watches()
                await api.put(f"{MAPS}/c{index}")
            await eventually(lambda: len(names(cache)) == 5)
            assert seen.told == [("ADDED", f"c{index}") for index in range(5)]
            assert cache.relists() == 1

    run(work())


def test_expired_history_is_listed_anew_and_finds_what_was_missed() -> None:
    async def work() -> None:
        api = SmallApi()
        await api.put(f"{MAPS}/goes")
        await api.put(f"{MAPS}/stays")
        async with following(api) as (cache, seen):
            await eventually(lambda: api._streams)
            await api.remove(f"{MAPS}/goes", silently=True)
            api.forget_history()
            api.break_watches()
            await eventually(lambda: names(cache) == ["stays"])
            assert seen.told[2:] == [("DELETED", "goes")]
            assert cache.relists() == 2

    run(work())


def test_an_object_made_anew_under_its_name_is_two_changes() -> None:
    async def work() -> None:
        api = SmallApi()
        await api.put(f"{MAPS}/a", data={"k": "same"})
        async with following(api) as (cache, seen):
            await eventually(lambda: api._streams)
            await api.remove(f"{MAPS}/a", silently=True)
            api.forget_history()
            await api.put(f"{MAPS}/a", data={"k": "same"})
            api.forget_history()
            api.break_watches()
            await eventually(lambda: len(seen.told) == 3)
            assert seen.told == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "a")]
            assert cache.synced

    run(work())


def test_a_missed_deletion_inside_the_stream_is_noticed_by_uid() -> None:
    async def work() -> None:
        api = SmallApi()
        await api.put(f"{MAPS}/a")
        async with following(api) as (_, seen):
            await eventually(lambda: api._streams)
            await api.remove(f"{MAPS}/a", silently=True)
            await api.put(f"{MAPS}/a")
            await eventually(lambda: len(seen.told) == 3)
            assert seen.told[1:] == [("DELETED", "a"), ("ADDED", "a")]

    run(work())


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"ADDED","object":{"metadata"\n',
        b"\xff\xfe garbage\n",
        b'{"type":"INVENTED","object":{"metadata":{"resourceVersion":"1"}}}\n',
        b'{"type":"MODIFIED","object":{"metadata":{"name":"a"}}}\n',
        b'{"type":"ERROR","object":{"kind":"Status","code":500,"reason":"InternalError"}}\n',
        b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}\n',
        b"[]\n",
    ],
)
def test_nonsense_on_the_stream_is_answered_by_a_new_list(line: bytes) -> None:
    async def work() -> None:
        api = SmallApi()
        async with following(api) as (cache, _):
            await eventually(lambda: api._streams)
            await api.say(line)
            await eventually(lambda: cache.relists() == 2)
            await api.put(f"{MAPS}/after")
            await eventually(lambda: names(cache) == ["after"])
            assert cache.problems() == ()

    run(work())


def test_an_event_longer_than_one_read_and_one_without_its_end() -> None:
    async def work() -> None:
        api = SmallApi()
        async with following(api) as (cache, _):
            await eventually(lambda: api._streams)
            await api.put(f"{MAPS}/big", data={"k": "x" * 3_000_000})
            await eventually(lambda: names(cache) == ["big"])
            await api.say(b'{"type":"ADDED","object":{"metadata":{"name":"half"')
            api.break_watches()
            await api.put(f"{MAPS}/next")
            await eventually(lambda: names(cache) == ["big", "next"])

    run(work())


def test_a_mute_stream_is_left_after_the_inactivity_limit() -> None:
    async def work() -> None:
        api = SmallApi()
        async with following(api) as (cache, seen):
            await eventually(lambda: api._streams)
            api.mute = True
            await api.put(f"{MAPS}/unheard")
            await asyncio.sleep(0.1)
            assert seen.told == []
            api.mute = False  # streams that are open stay mute: nothing wakes them
            await eventually(lambda: names(cache) == ["unheard"])
            assert api.count("GET", "/api/v1/configmaps", watch="true") >= 2
            assert cache.relists() == 1

    run(work())


def test_bookmarks_move_the_place_to_resume_from() -> None:
    async def work() -> None:
        api = SmallApi()
        async with following(api) as (_, seen):
            await eventually(lambda: api._streams)
            await api.say(b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"777"}}}\n')
            await asyncio.sleep(0.05)
            api.break_watches()
            await eventually(lambda: api.count("GET", "/api/v1/configmaps", watch="true", resourceVersion="777"))
            assert seen.told == []

    run(work())


@pytest.mark.parametrize("code", [401, 403, 429, 500, 503])
def test_refusals_and_outages_end_and_it_goes_on(code: int) -> None:
    async def work() -> None:
        api = SmallApi()
        api.faults += once(lambda: status(code, "No", headers={"Retry-After": "0"}), 12)
        async with following(api) as (cache, _):
            await eventually(lambda: cache.problems())
            assert not cache.synced
            assert (cache.refused() == code) == (code in (401, 403))
            assert await cache.wait_synced(10)
            await api.put(f"{MAPS}/a")
            await eventually(lambda: names(cache) == ["a"])
            assert cache.problems() == ()
            assert cache.refused() is None

    run(work())


def test_a_server_that_ends_every_watch_is_not_hammered() -> None:
    async def work() -> None:
        api = SmallApi()

        async def end(request: web.Request) -> web.StreamResponse | None:
            return web.Response() if "watch" in request.query else None

        async with following(api) as (cache, _):
            await cache.wait_synced(5)
            await eventually(lambda: api._streams)
            api.faults += [lambda request: end(request) for _ in range(1000)]
            began = time.monotonic()
            api.break_watches()
            await eventually(lambda: api.count("GET", "/api/v1/configmaps", watch="true") > 10)
            assert time.monotonic() - began > 0.2  # ten pauses, which grow to between 0.05 and 0.1 s

    run(work())


def test_silence_makes_it_unhealthy_by_the_clock_given() -> None:
    async def work() -> None:
        now = [0.0]
        api = SmallApi()
        async with following(api, monotonic=lambda: now[0]) as (cache, _):
            assert not cache.healthy()
            assert await cache.wait_synced(5)
            assert cache.healthy()
            now[0] = 151.0
            assert not cache.healthy()
            await api.put(f"{MAPS}/a")
            await eventually(cache.healthy)
            assert cache.last_contact == 151.0

    run(work())


def test_a_mirror_that_ends_is_started_again() -> None:
    async def work() -> None:
        api = SmallApi()
        async with following(api) as (cache, _):
            assert await cache.wait_synced(5)
            cache._tasks[CONFIG_MAPS].cancel()
            await eventually(lambda: cache.restarts == 1)
            assert not cache.healthy()
            await api.put(f"{MAPS}/a")
            await eventually(lambda: names(cache) == ["a"])
            assert cache.healthy()

    run(work())


def test_a_listener_that_fails_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        api = SmallApi()

        def failing(change: Change) -> None:
            raise RuntimeError("listener")

        async with api.serve(), api.client() as client:
            cache = Cache(client, [Selection(CONFIG_MAPS)], failing, backoff=QUICK_BACKOFF)
            cache.start()
            await api.put(f"{MAPS}/a")
            await api.put(f"{MAPS}/b")
            await eventually(lambda: names(cache) == ["a", "b"])
            await cache.stop()

    run(work())
    assert "a listener failed" in caplog.text


def test_what_is_not_served_counts_as_empty_until_it_is() -> None:
    async def work() -> None:
        api = SmallApi()
        api.missing.add("/apis/scheduling.k8s.io")
        async with following(api, Selection(POD_GROUPS_V1BETA1, optional=True), Selection(NODES)) as (cache, seen):
            assert await cache.wait_synced(5)
            assert not cache.served(POD_GROUPS_V1BETA1)
            assert cache.healthy()
            assert cache.problems() == ()
            await api.put("/apis/scheduling.k8s.io/v1beta1/namespaces/team/podgroups/g")
            api.missing.clear()
            await eventually(lambda: cache.objects(POD_GROUPS_V1BETA1))
            assert cache.served(POD_GROUPS_V1BETA1)
            api.missing.add("/apis/scheduling.k8s.io")
            api.break_watches()
            await eventually(lambda: not cache.served(POD_GROUPS_V1BETA1))
            assert seen.told[-1] == ("DELETED", "g")

    run(work())


def test_a_required_resource_that_is_not_served_is_a_problem() -> None:
    async def work() -> None:
        api = SmallApi()
        api.missing.add("/api/v1/nodes")
        async with following(api, Selection(NODES)) as (cache, _):
            await eventually(lambda: cache.problems())
            assert not cache.synced
            assert "nodes: 404" in cache.problems()[0]

    run(work())


def test_our_own_write_is_seen_at_once_and_never_brings_back_the_dead() -> None:
    async def work() -> None:
        api = SmallApi()
        async with following(api) as (cache, seen):
            await eventually(lambda: api._streams)
            api.mute = True  # the watch lags behind
            written = {**await api.put(f"{MAPS}/a", data={"k": "1"}), "apiVersion": "v1", "kind": "ConfigMap"}
            cache.observe(written)
            assert names(cache) == ["a"]
            api.mute = False
            await api.put(f"{MAPS}/a", data={"k": "2"})
            await eventually(lambda: len(seen.told) == 2)
            assert seen.told == [("ADDED", "a"), ("MODIFIED", "a")]
            await api.remove(f"{MAPS}/a")
            await eventually(lambda: names(cache) == [])
            cache.observe(written)  # an answer that arrives late
            assert names(cache) == []

    run(work())


def test_heartbeats_are_no_changes() -> None:
    async def work() -> None:
        api = SmallApi()
        await api.put(f"{MAPS}/a", data={"k": "1"})

        def trim(obj: dict[str, Any]) -> dict[str, Any]:
            return {"metadata": obj["metadata"], "data": obj["data"]}

        async with following(api, Selection(CONFIG_MAPS, trim=trim)) as (cache, seen):
            await eventually(lambda: api._streams)
            await api.put(f"{MAPS}/a", beat=1)
            await api.put(f"{MAPS}/a", beat=2)
            await api.put(f"{MAPS}/b", data={})
            await eventually(lambda: len(seen.told) == 2)
            assert seen.told == [("ADDED", "a"), ("ADDED", "b")]
            found = cache.get(Ref(CONFIG_MAPS, "team", "a"))
            assert found is not None
            assert found["metadata"]["resourceVersion"] == "103"
            assert "beat" not in found

    run(work())


def test_asking_for_what_is_not_mirrored_is_a_bug() -> None:
    async def work() -> None:
        async with following(SmallApi()) as (cache, _):
            with pytest.raises(BrokenPromise, match="not mirrored"):
                cache.objects(PODS)
            assert PODS not in cache
            assert CONFIG_MAPS in cache

    run(work())


def test_nothing_is_left_running_after_stop() -> None:
    async def work() -> None:
        api = SmallApi()
        async with following(api, Selection(CONFIG_MAPS), Selection(NODES)) as (cache, _):
            await cache.wait_synced(5)
            await cache.stop()
            mine = [task for task in asyncio.all_tasks() if task.get_name().startswith("small:")]
            assert mine == []
            assert cache.restarts == 0
            assert not cache.healthy()

    run(work())
