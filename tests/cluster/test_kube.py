"""The client, its mirrors and the Lease against real API servers."""

import asyncio
import base64
import statistics
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.ground.ground import Cluster, Ground
from polyhull.api.catalogue import builtin_catalogue
from polyhull.domain.errors import Refused, Unreachable
from polyhull.kube import inventory
from polyhull.kube.cache import Backoff, Cache, Change, Selection
from polyhull.kube.client import ClusterClient
from polyhull.kube.events import EventWriter, News
from polyhull.kube.lease import Elector, Timing
from polyhull.kube.members import Members, MemberState, Tempo, Wanted
from polyhull.kube.resources import (
    CONFIG_MAPS,
    EVENTS,
    JOBS,
    NODES,
    POD_GROUPS_V1ALPHA2,
    POD_GROUPS_V1BETA1,
    SECRETS,
    SERVICE_ACCOUNTS,
    Ref,
    uid_of,
    version_of,
)
from polyhull.kube.transport import Limits

MakeNamespace = Callable[[], str]


def run(work: Coroutine[Any, Any, None], seconds: float = 300.0) -> None:
    asyncio.run(asyncio.wait_for(work, seconds))


async def eventually(holds: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not (said := holds()):
        assert time.monotonic() < end, f"still {said!r} after {seconds} s"
        await asyncio.sleep(0.02)


def kubeconfig(cluster: Cluster, token: str | None = None) -> dict[str, Any]:
    """What a person would store in a member's Secret."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster.name,
        "contexts": [{"name": cluster.name, "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {
                "name": "c",
                "cluster": {
                    "server": cluster.server,
                    "certificate-authority-data": base64.b64encode(cluster.ca.encode()).decode(),
                },
            }
        ],
        "users": [{"name": "u", "user": {"token": token or cluster.token}}],
    }


def client_of(cluster: Cluster, limits: Limits | None = None) -> ClusterClient:
    return ClusterClient.from_kubeconfig(kubeconfig(cluster), cluster.name, limits=limits)


def config_map(namespace: str, name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name}, "data": data}


def test_applying_twice_changes_nothing(ground: Ground, namespace: MakeNamespace) -> None:
    async def work() -> None:
        team = namespace()
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"namespace": team, "name": "train", "labels": {"app": "x"}},
            "spec": {
                "suspend": True,
                "template": {
                    "spec": {
                        "restartPolicy": "Never",
                        "containers": [{"name": "main", "image": "simulated", "resources": {"limits": {"cpu": "1"}}}],
                    }
                },
            },
        }
        async with client_of(ground.clusters["edge"]) as client:
            planned = await client.apply(job, dry_run=True)
            assert planned["spec"]["suspend"] is True
            assert await client.find(Ref(JOBS, team, "train")) is None
            ref = Ref(JOBS, team, "train")
            await client.apply(job)
            while not (await client.get(ref)).get("status", {}).get("conditions"):
                await asyncio.sleep(0.05)  # the Job controller has its say first
            first = await client.apply(job)
            second = await client.apply(job)
            assert version_of(first) == version_of(second)
            managers = {entry["manager"]: entry["operation"] for entry in first["metadata"]["managedFields"]}
            assert managers["polyhull"] == "Apply"
            del job["metadata"]["labels"]  # type: ignore[attr-defined]
            third = await client.apply(job)
            assert "app" not in third["metadata"].get("labels", {})

    run(work())


def test_a_field_the_schema_lacks_is_refused(ground: Ground, namespace: MakeNamespace) -> None:
    async def work() -> None:
        team = namespace()
        async with client_of(ground.clusters["edge"]) as client:
            with pytest.raises(Refused, match="not declared in schema") as caught:
                await client.apply({**config_map(team, "a"), "dta": {}})
            assert caught.value.status == 400
            assert client.counters.retries == 0

    run(work())


def test_a_conflict_is_told_when_not_forced(ground: Ground, namespace: MakeNamespace) -> None:
    async def work() -> None:
        team = namespace()
        cluster = ground.clusters["edge"]
        cluster.client.post(f"/api/v1/namespaces/{team}/configmaps", config_map(team, "a", k="theirs"))
        async with client_of(cluster) as client:
            with pytest.raises(Refused) as caught:
                await client.apply(config_map(team, "a", k="ours"), force=False)
            assert caught.value.status == 409
            assert (await client.apply(config_map(team, "a", k="ours")))["data"] == {"k": "ours"}

    run(work())


def test_a_delete_meant_for_the_dead_spares_the_living(ground: Ground, namespace: MakeNamespace) -> None:
    async def work() -> None:
        ref = Ref(CONFIG_MAPS, namespace(), "a")
        async with client_of(ground.clusters["edge"]) as client:
            old = await client.apply(config_map(ref.namespace, "a"))
            await client.delete(ref, uid=uid_of(old))
            await client.delete(ref, uid=uid_of(old))  # gone already: done
            new = await client.apply(config_map(ref.namespace, "a"))
            with pytest.raises(Refused) as caught:
                await client.delete(ref, uid=uid_of(old))
            assert caught.value.status == 409
            with pytest.raises(Refused):
                await client.delete(ref, resource_version=version_of(old))
            assert uid_of(await client.get(ref)) == uid_of(new)
            await client.delete(ref, uid=uid_of(new), resource_version=version_of(new))
            assert await client.find(ref) is None

    run(work())


def test_finalizers_by_json_patch_with_a_test(ground: Ground, namespace: MakeNamespace) -> None:
    async def work() -> None:
        ref = Ref(CONFIG_MAPS, namespace(), "a")
        async with client_of(ground.clusters["edge"]) as client:
            await client.apply(config_map(ref.namespace, "a"))
            await client.patch_merge(ref, {"metadata": {"finalizers": ["polyhull.io/children"]}})
            remove = {"op": "remove", "path": "/metadata/finalizers/0"}
            with pytest.raises(Refused) as caught:
                await client.patch_json(
                    ref, [{"op": "test", "path": "/metadata/finalizers/0", "value": "else"}, remove]
                )
            assert caught.value.status == 422
            test = {"op": "test", "path": "/metadata/finalizers/0", "value": "polyhull.io/children"}
            assert "finalizers" not in (await client.patch_json(ref, [test, remove]))["metadata"]

    run(work())


def test_lists_in_parts_are_whole(ground: Ground, namespace: MakeNamespace) -> None:
    async def work() -> None:
        team = namespace()
        async with client_of(ground.clusters["edge"], Limits(page=7)) as client:
            await asyncio.gather(*(client.apply(config_map(team, f"c{index:02}")) for index in range(20)))
            names = [item["metadata"]["name"] for item in await client.list(CONFIG_MAPS, team)]
            wanted = [f"c{index:02}" for index in range(20)]
            assert [name for name in names if name in wanted] == wanted
            assert client.counters.requests[("list", "configmaps")] >= 3

    run(work())


def test_the_mirror_follows_and_how_fast(
    ground: Ground, namespace: MakeNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work() -> None:
        team = namespace()
        sent: dict[str, float] = {}
        delays: list[float] = []
        told: list[tuple[str, str]] = []

        def hear(change: Change) -> None:
            if change.key[1] == "kube-root-ca.crt":
                return  # comes into every namespace by itself
            told.append((change.kind.value, change.key[1]))
            if change.kind.value == "ADDED" and change.key[1] in sent:
                delays.append(time.perf_counter() - sent[change.key[1]])

        async with client_of(ground.clusters["hub"]) as client:
            cache = Cache(client, [Selection(CONFIG_MAPS, namespace=team)], hear)
            cache.start()
            assert await cache.wait_synced()
            told.clear()
            for index in range(100):
                sent[f"c{index}"] = time.perf_counter()
                await client.apply(config_map(team, f"c{index}", k="1"))
                await asyncio.sleep(0.01)
            await eventually(lambda: len(delays) == 100)
            await client.apply(config_map(team, "c0", k="2"))
            old = await client.get(Ref(CONFIG_MAPS, team, "c1"))
            await client.delete(Ref(CONFIG_MAPS, team, "c1"), uid=uid_of(old))
            await client.apply(config_map(team, "c1", k="again"))
            await eventually(lambda: len(told) == 103)
            assert told[100:] == [("MODIFIED", "c0"), ("DELETED", "c1"), ("ADDED", "c1")]
            found = cache.get(Ref(CONFIG_MAPS, team, "c1"))
            assert found is not None
            assert found["data"] == {"k": "again"}
            assert cache.relists() == 1
            await cache.stop()
        delays.sort()
        with capsys.disabled():
            p50, p99 = statistics.median(delays) * 1000, delays[98] * 1000
            print(f"\nfrom sending an apply to the mirror's callback: p50 {p50:.1f} ms, p99 {p99:.1f} ms")

    run(work())


def test_a_frozen_server_is_missed_and_found_again(ground: Ground, namespace: MakeNamespace) -> None:
    async def work() -> None:
        team, cluster = namespace(), ground.clusters["edge"]
        quick = Limits(inactivity_seconds=2.0, connect_seconds=1.0, total_seconds=2.0)
        async with client_of(cluster, quick) as client:
            selection = Selection(CONFIG_MAPS, namespace=team)
            cache = Cache(client, [selection], lambda change: None, backoff=Backoff(first=0.1, longest=1.0))
            cache.start()
            assert await cache.wait_synced()
            cluster.freeze()
            try:
                await eventually(lambda: cache.problems())
                assert not cache.healthy(silence_seconds=1.0)
                with pytest.raises(Unreachable):
                    await client.version()
            finally:
                cluster.thaw()
            await eventually(lambda: not cache.problems())
            async with client_of(cluster) as patient:
                await patient.apply(config_map(team, "after"))
            await eventually(lambda: cache.get(Ref(CONFIG_MAPS, team, "after")))
            await cache.stop()

    run(work())


def test_two_candidates_and_one_is_killed(ground: Ground, namespace: MakeNamespace) -> None:
    async def work() -> None:
        team = namespace()
        timing = Timing(lease=6.0, renew_deadline=5.0, retry=0.5)
        started: list[tuple[str, int, float]] = []
        async with client_of(ground.clusters["hub"]) as first, client_of(ground.clusters["hub"]) as second:

            def candidate(client: ClusterClient, identity: str) -> Elector:
                return Elector(
                    client,
                    team,
                    "operator",
                    identity,
                    now=time.time,
                    on_started=lambda epoch: started.append((identity, epoch, time.monotonic())),
                    on_lost=lambda reason: None,
                    timing=timing,
                )

            a, b = candidate(first, "a"), candidate(second, "b")
            leading = asyncio.create_task(a.run())
            await eventually(lambda: a.leading)
            waiting = asyncio.create_task(b.run())
            await asyncio.sleep(7.0)  # longer than the Lease: it is renewed
            assert a.leading
            assert not b.leading
            a._leader = False  # as kill -9: nothing is given back
            leading.cancel()
            killed = time.monotonic()
            await asyncio.gather(leading, return_exceptions=True)
            await eventually(lambda: b.leading)
            assert [(identity, epoch) for identity, epoch, _ in started] == [("a", 1), ("b", 2)]
            assert started[1][2] - killed >= timing.lease - timing.retry * 1.2 - 0.5  # never too early
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            lease = await first.get(a._ref)
            assert lease["spec"].get("holderIdentity", "") == ""
            assert lease["spec"]["leaseTransitions"] == 2

    run(work())


def test_members_by_secret(ground: Ground, namespace: MakeNamespace) -> None:
    async def work() -> None:
        team = namespace()
        secrets = {name: Ref(SECRETS, team, name) for name in ("edge", "cloud", "gone")}
        async with client_of(ground.clusters["hub"]) as hub:

            async def store(name: str, config: Any) -> None:
                text = base64.b64encode(yaml.safe_dump(config).encode()).decode()
                meta = {"namespace": team, "name": name}
                await hub.apply(
                    {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"kubeconfig": text}}
                )

            await store("edge", kubeconfig(ground.clusters["edge"]))
            await store("cloud", kubeconfig(ground.clusters["cloud"]))
            tempo = Tempo(probe=0.5, silence=3.0)
            members = Members(hub, lambda change: None, lambda member: None, tempo=tempo)
            wanted = {name: Wanted(name, secret=ref) for name, ref in secrets.items()}
            await members.reconcile({**wanted, "local": Wanted("local", local=True)})
            try:
                await eventually(lambda: all(members[name].connected for name in ("edge", "cloud", "local")))
                assert members["gone"].state is MemberState.CREDENTIALS_MISSING
                edge = members["edge"]
                assert edge.pod_groups in (POD_GROUPS_V1ALPHA2, POD_GROUPS_V1BETA1)
                assert edge.cache is not None
                assert team in inventory.accepted_namespaces(edge.cache)
                assert len(edge.cache.objects(NODES)) == 3
                pools = inventory.pools(edge.cache, "edge", "edge", (), builtin_catalogue())
                assert {(pool.accelerator != "cpu", len(pool.nodes)) for pool in pools} == {(True, 2), (False, 1)}
                await store("edge", kubeconfig(ground.clusters["edge"], token="wrong"))
                await eventually(lambda: members["edge"].state is MemberState.INVALID_CREDENTIALS)
                await eventually(lambda: members["cloud"].connected)
                await store("edge", kubeconfig(ground.clusters["edge"]))
                await eventually(lambda: members["edge"].connected)
                ground.clusters["cloud"].freeze()
                try:
                    await eventually(lambda: members["cloud"].state is MemberState.UNREACHABLE)
                    await eventually(lambda: members["edge"].connected)
                finally:
                    ground.clusters["cloud"].thaw()
                await eventually(lambda: members["cloud"].connected)
            finally:
                await members.stop()

    run(work())


def test_a_service_account_opens_a_member_as_far_as_its_role_goes(
    ground: Ground, namespace: MakeNamespace, tmp_path: Path
) -> None:
    async def work() -> None:
        team, cluster = namespace(), ground.clusters["edge"]
        cluster.client.post(f"/api/v1/namespaces/{team}/serviceaccounts", {"metadata": {"name": "hub"}})
        async with client_of(cluster) as admin:
            body = {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": 600},
            }
            answer = await admin.create(Ref(SERVICE_ACCOUNTS, team, "hub"), body, subresource="token")
        config = kubeconfig(cluster, token=answer["status"]["token"])
        async with ClusterClient.from_kubeconfig(config, "edge") as client:
            with pytest.raises(Refused) as caught:
                await client.list(NODES)
            assert caught.value.status == 403
            assert f"system:serviceaccount:{team}:hub" in caught.value.message
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(kubeconfig(cluster)))
        async with await ClusterClient.from_default(str(path)) as client:  # as a person would
            assert (await client.version()).startswith("v1.")
            assert len(await client.list(NODES)) == 3

    run(work())


def test_events_are_accepted(ground: Ground, namespace: MakeNamespace) -> None:
    async def work() -> None:
        team = namespace()
        async with client_of(ground.clusters["hub"]) as client:
            about = Ref(CONFIG_MAPS, team, "a")
            made = await client.apply(config_map(team, "a"))
            writer = EventWriter(client, "test", now=time.time, quiet_seconds=0.0)
            for _ in range(3):
                writer.post(News(about, uid_of(made), "Warning", "Unplaced", "Plan", "é" * 3000))
            await writer.flush()
            assert writer.dropped == 0
            (event,) = await client.list(EVENTS, team)
            assert event["series"]["count"] == 3
            assert event["note"].endswith("…")

    run(work())
