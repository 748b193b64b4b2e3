"""The registry of members: every way a Secret can be wrong, and no member in another's way."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from polyhull.domain.errors import InvalidInput
from polyhull.kube.cache import Backoff, Change
from polyhull.kube.client import ClusterClient
from polyhull.kube.connection import from_credentials
from polyhull.kube.kubeconfig import Credentials, problems_of
from polyhull.kube.members import Member, Members, MemberState, Tempo, Wanted
from polyhull.kube.resources import NODES, POD_GROUPS_V1BETA1, SECRETS, Ref
from tests.unit.kube.small_api import QUICK, SmallApi, eventually, once, run, status

QUICK_TEMPO = Tempo(probe=0.1, silence=2.0, discovery=0.2)
"""A busy machine may stop us for a second: that must not look like silence."""
SECRET_PATH = "/api/v1/namespaces/polyhull/secrets"


def kubeconfig(token: str = "secret", server: str = "https://member.example") -> dict[str, Any]:
    return {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "users": [{"name": "a", "user": {"token": token}}],
    }


def data(config: Any, key: str = "kubeconfig") -> dict[str, str]:
    return {key: base64.b64encode(json.dumps(config).encode()).decode()}


def wanted(name: str) -> Wanted:
    return Wanted(name, secret=Ref(SECRETS, "polyhull", name))


@dataclass
class Fleet:
    """A hub, members behind names, and what the registry said."""

    hub: SmallApi
    apis: dict[str, SmallApi]
    members: Members = field(init=False)
    states: list[tuple[str, MemberState]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    def connect(self, config: Any, name: str) -> ClusterClient:
        """The rules for kubeconfigs as they are; only the address is the test server's, which speaks no TLS."""
        found = problems_of(config)
        if found:
            raise InvalidInput(name, found[0].field, found[0].problem, found[0].remedy)
        self.opened.append(name)
        credentials = Credentials(self.apis[name].server, token=config["users"][0]["user"]["token"])
        return ClusterClient(name, from_credentials(credentials, name), limits=replace(QUICK, total_seconds=1.5))

    def state(self, name: str) -> MemberState:
        return self.members[name].state

    def heard(self, member: Member) -> None:
        self.states.append((member.name, member.state))


@asynccontextmanager
async def fleet(*names: str) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(SmallApi().serve())
        apis = {name: await stack.enter_async_context(SmallApi().serve()) for name in names}
        made = Fleet(hub, apis)
        for name in names:
            await hub.put(f"{SECRET_PATH}/{name}", data=data(kubeconfig()))
            await apis[name].put("/api/v1/nodes/n1")
            await apis[name].put("/apis/scheduling.k8s.io", versions=[])
        client = await stack.enter_async_context(hub.client())
        made.members = Members(
            client,
            made.changes.append,
            made.heard,
            connect=made.connect,
            tempo=QUICK_TEMPO,
            backoff=Backoff(first=0.01, longest=0.1),
        )
        stack.push_async_callback(made.members.stop)
        await made.members.reconcile({name: wanted(name) for name in names})
        yield made


def test_members_connect_and_their_nodes_are_seen() -> None:
    async def work() -> None:
        async with fleet("cloud", "edge") as world:
            await eventually(lambda: all(member.connected for member in world.members.all()))
            for member in world.members.all():
                assert member.cache is not None
                assert len(member.cache.objects(NODES)) == 1
                assert member.version == "v1.36.3"
                assert member.pod_groups is None
                assert member.last_contact is not None
            assert {(change.cluster, change.key[1]) for change in world.changes} == {("cloud", "n1"), ("edge", "n1")}

    run(work())


def test_a_member_that_is_away_does_not_hold_up_others_and_is_found_again() -> None:
    async def work() -> None:
        async with fleet("cloud", "edge") as world:
            await eventually(lambda: all(member.connected for member in world.members.all()))
            edge = world.apis["edge"]

            async def drop(request: Any) -> None:
                request.transport.abort()

            edge.faults.append(drop)
            edge.break_watches()
            await eventually(lambda: world.state("edge") is MemberState.UNREACHABLE)
            assert world.members.client("edge") is not None
            assert ("cloud", MemberState.UNREACHABLE) not in world.states
            assert world.members["cloud"].connected
            edge.faults.clear()
            await eventually(lambda: world.state("edge") is MemberState.CONNECTED)
            await edge.put("/api/v1/nodes/n2")
            cache = world.members["edge"].cache
            assert cache is not None
            await eventually(lambda: len(cache.objects(NODES)) == 2)

    run(work())


def test_something_else_at_the_address() -> None:
    async def work() -> None:
        async with fleet("edge") as world:
            world.apis["edge"].missing.add("/")
            await eventually(lambda: world.state("edge") is MemberState.UNREACHABLE)
            assert "is not its API server" in world.members["edge"].message

    run(work())


def test_nobody_at_the_address() -> None:
    async def work() -> None:
        async with fleet("cloud", "edge") as world:
            world.apis["edge"].server = "http://127.0.0.1:1"
            await world.members.reconcile({"cloud": wanted("cloud")})
            await world.members.reconcile({"cloud": wanted("cloud"), "edge": wanted("edge")})
            await eventually(lambda: "does not answer" in world.members["edge"].message)
            assert world.state("edge") is MemberState.UNREACHABLE
            assert world.state("cloud") is MemberState.CONNECTED
            assert not world.members["edge"].connected

    run(work())


def test_a_short_silence_changes_nothing_a_long_one_does() -> None:
    async def work() -> None:
        async with fleet("edge") as world:
            await eventually(lambda: world.members["edge"].connected)
            api = world.apis["edge"]
            hold = asyncio.Event()

            async def hang(request: Any) -> None:
                await hold.wait()

            api.faults.append(hang)
            api.break_watches()
            await asyncio.sleep(0.2)
            assert world.members["edge"].connected
            await eventually(lambda: world.state("edge") is MemberState.UNREACHABLE)
            hold.set()
            api.faults.clear()
            await eventually(lambda: world.members["edge"].connected)
            kinds = [state for _, state in world.states]
            assert kinds.count(MemberState.UNREACHABLE) == 1
            assert kinds[-1] is MemberState.CONNECTED

    run(work())


@pytest.mark.parametrize(
    ("secret", "state", "message"),
    [
        (None, MemberState.CREDENTIALS_MISSING, "does not exist"),
        ({}, MemberState.CREDENTIALS_MISSING, "no key 'kubeconfig'"),
        (data(kubeconfig(), key="config"), MemberState.CREDENTIALS_MISSING, "no key 'kubeconfig'"),
        ({"kubeconfig": "%%%"}, MemberState.INVALID_CREDENTIALS, "data.kubeconfig: is not base64"),
        (data("text"), MemberState.INVALID_CREDENTIALS, "is not a mapping"),
        (data(kubeconfig(server="http://x")), MemberState.INVALID_CREDENTIALS, "clusters[0].cluster.server"),
        (data(kubeconfig(token="")), MemberState.INVALID_CREDENTIALS, "users[0].user"),
        (
            data({**kubeconfig(), "users": [{"name": "a", "user": {"exec": {"command": "sh"}}}]}),
            MemberState.INVALID_CREDENTIALS,
            "users[0].user.exec",
        ),
    ],
)
def test_a_secret_that_is_wrong_says_what_and_is_mended_by_a_good_one(
    secret: dict[str, str] | None, state: MemberState, message: str
) -> None:
    async def work() -> None:
        async with fleet("edge") as world:
            await eventually(lambda: world.members["edge"].connected)
            path = f"{SECRET_PATH}/edge"
            if secret is None:
                await world.hub.remove(path)
            else:
                await world.hub.put(path, data=secret)
            await eventually(lambda: world.state("edge") is state)
            assert message in world.members["edge"].message
            assert "Secret polyhull/edge" in world.members["edge"].message
            assert world.members.client("edge") is None
            await asyncio.sleep(0.4)
            assert world.state("edge") is state  # and it stays said, without a loop of changes
            assert len(world.states) <= 3
            await world.hub.put(path, data=data(kubeconfig()))
            await eventually(lambda: world.members["edge"].connected)

    run(work())


def test_a_new_token_in_the_secret_is_taken_up() -> None:
    async def work() -> None:
        async with fleet("edge") as world:
            await eventually(lambda: world.members["edge"].connected)
            world.apis["edge"].token = "rotated"
            world.apis["edge"].break_watches()
            await eventually(lambda: world.state("edge") is MemberState.INVALID_CREDENTIALS)
            assert "does not accept the credentials" in world.members["edge"].message
            await world.hub.put(f"{SECRET_PATH}/edge", data=data(kubeconfig(token="rotated")))
            await eventually(lambda: world.members["edge"].connected)

    run(work())


def test_a_hub_that_is_away_leaves_members_as_they_are() -> None:
    async def work() -> None:
        async with fleet("edge") as world:
            await eventually(lambda: world.members["edge"].connected)
            world.hub.token = "nobody"
            await asyncio.sleep(0.5)
            assert world.members["edge"].connected
            assert world.opened == ["edge"]

    run(work())


def test_missing_rights_are_named() -> None:
    async def work() -> None:
        async with fleet("edge") as world:
            await eventually(lambda: world.members["edge"].connected)
            world.apis["edge"].faults += once(
                lambda: status(403, "Forbidden", "may not list pods"), 10_000, path="/pods"
            )
            world.apis["edge"].break_watches()
            await eventually(lambda: world.state("edge") is MemberState.INVALID_CREDENTIALS)
            assert "may not list pods" in world.members["edge"].message

    run(work())


def test_the_local_member_uses_the_hubs_own_client() -> None:
    async def work() -> None:
        async with fleet() as world:
            await world.hub.put("/apis/scheduling.k8s.io", versions=[{"version": "v1beta1"}])
            groups = [
                {"name": "podgroups", "kind": "PodGroup", "namespaced": True},
                {"name": "podgroups/status", "kind": "PodGroup"},
            ]
            await world.hub.put("/apis/scheduling.k8s.io/v1beta1", resources=groups)
            await world.members.reconcile({"local": Wanted("local", local=True)})
            await eventually(lambda: world.members["local"].connected)
            assert world.members.client("local") is world.members._hub
            assert world.members["local"].pod_groups == POD_GROUPS_V1BETA1
            assert world.opened == []
            await world.members.reconcile({})
            assert world.members.get("local") is None
            assert await world.members._hub.version()  # still open

    run(work())


def test_reconcile_restarts_only_what_changed_and_leaves_nothing_behind() -> None:
    async def work() -> None:
        async with fleet("cloud", "edge") as world:
            await eventually(lambda: all(member.connected for member in world.members.all()))
            cloud = world.members["cloud"]
            await world.hub.put(f"{SECRET_PATH}/other", data=data(kubeconfig()))
            await world.members.reconcile(
                {"cloud": wanted("cloud"), "edge": Wanted("edge", secret=Ref(SECRETS, "polyhull", "other"))}
            )
            assert world.members["cloud"] is cloud
            await eventually(lambda: world.members["edge"].connected)
            assert world.opened.count("edge") == 2
            await world.members.stop()
            names = {task.get_name() for task in asyncio.all_tasks()}
            assert not {name for name in names if name.startswith(("member:", "edge:", "cloud:"))}

    run(work())
