"""One suite over every way of delivery: what the loop relies on holds in memory and on a real API server alike."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from polyhull.delivery.base import (
    HUB,
    Action,
    Apply,
    ConfirmGone,
    ConfirmNone,
    Delete,
    Finalizer,
    Outcome,
    PutStatus,
    StillThere,
    Suspend,
)
from polyhull.delivery.direct import DirectDelivery
from polyhull.delivery.memory import MemoryDelivery
from polyhull.domain.errors import Refused, Unreachable
from polyhull.kube.client import ClusterClient
from polyhull.kube.resources import JOBS, TRAINING_JOBS, Ref, uid_of
from polyhull.render import naming


@dataclass
class Subject:
    """`deliver` runs a step, `get` reads as somebody else, `put` creates as somebody else."""

    deliver: Callable[..., Outcome]
    get: Callable[[str, Ref], dict[str, Any] | None]
    put: Callable[[str, dict[str, Any]], dict[str, Any]]
    namespace: str


def _memory() -> Subject:
    delivery = MemoryDelivery("edge")

    def deliver(*actions: Action) -> Outcome:
        return asyncio.run(delivery.deliver(actions))

    return Subject(deliver, delivery.get, delivery.put, "team")


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One real API server with our kinds; skipped where its binaries cannot be had."""
    from hack.ground.binaries import CONTROL_PLANE, BinariesMissing, obtain
    from hack.ground.ground import Ground

    try:
        binaries = obtain(CONTROL_PLANE, print)
    except BinariesMissing as error:
        pytest.skip(str(error))
    directory = tmp_path_factory.mktemp("contract")
    (directory / "fleet.yaml").write_text("clusters: [{name: hub, pools: [{name: cpu, count: 1}]}]")
    with Ground.start(directory / "fleet.yaml", directory, binaries) as started:
        hub = started.clusters["hub"]
        hub.install_crds(Path(__file__).parents[2] / "crds")
        yield hub


def _direct(cluster: Any) -> Subject:
    """Hub and member are the same real cluster; `away` is one without a way in."""
    path = str(cluster.kubeconfig_path)

    def run(work: Callable[[ClusterClient], Coroutine[Any, Any, Any]]) -> Any:
        async def story() -> Any:
            async with await ClusterClient.from_default(path) as client:
                return await work(client)

        return asyncio.run(story())

    def deliver(*actions: Action) -> Outcome:
        async def work(client: ClusterClient) -> Outcome:
            known = {HUB: client, "edge": client}
            return await DirectDelivery(known.get, lambda news: None).deliver(actions)

        outcome: Outcome = run(work)
        return outcome

    def get(name: str, ref: Ref) -> dict[str, Any] | None:
        found: dict[str, Any] | None = run(lambda client: client.find(ref))
        return found

    def put(name: str, body: dict[str, Any]) -> dict[str, Any]:
        from polyhull.kube.resources import ref_of

        made: dict[str, Any] = run(lambda client: client.create(ref_of(body), body))
        return made

    namespace = f"contract-{uuid.uuid4().hex[:6]}"
    cluster.create_namespace(namespace)
    return Subject(deliver, get, put, namespace)


@pytest.fixture(params=["memory", pytest.param("direct", marks=pytest.mark.cluster)])
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param == "memory":
        return _memory()
    return _direct(request.getfixturevalue("control_plane"))


def owner(subject: Subject) -> dict[str, Any]:
    return {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "resnet", "namespace": subject.namespace},
        "spec": {
            "work": {"quantity": "1"},
            "options": [{"name": "cpu", "accelerator": "cpu", "devicesPerReplica": 1, "rate": "1"}],
            "template": {"image": "simulated"},
        },
    }


def child(subject: Subject, name: str = "child") -> dict[str, Any]:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "simulated"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": subject.namespace},
        "spec": {"completions": 1, "parallelism": 1, "template": {"spec": pod}},
    }


def refs(subject: Subject) -> tuple[Ref, Ref]:
    return Ref(TRAINING_JOBS, subject.namespace, "resnet"), Ref(JOBS, subject.namespace, "child")


def test_a_release_goes_through_in_order(subject: Subject) -> None:
    made, (hub, job) = subject.put(HUB, owner(subject)), refs(subject)
    status = {"planHash": "abc"}
    outcome = subject.deliver(
        Finalizer(hub, uid_of(made), True), PutStatus(hub, uid_of(made), status), Apply("edge", child(subject))
    )
    assert outcome.complete, outcome.error
    body = subject.get(HUB, hub)
    assert body is not None
    assert body["metadata"]["finalizers"] == [naming.FINALIZER]
    assert body["status"] == status
    assert subject.get("edge", job) is not None
    assert [cluster for cluster, _ in outcome.objects] == [HUB, HUB, "edge"]


def test_applying_twice_is_applying_once(subject: Subject) -> None:
    first = subject.deliver(Apply("edge", child(subject))).objects[0][1]
    second = subject.deliver(Apply("edge", child(subject))).objects[0][1]
    assert uid_of(first) == uid_of(second)


def test_what_a_child_owns_follows_it_with_its_uid(subject: Subject) -> None:
    def owned(uid: str) -> tuple[dict[str, Any], ...]:
        other = child(subject, "companion")
        other["metadata"]["ownerReferences"] = [
            {"apiVersion": "batch/v1", "kind": "Job", "name": "child", "uid": uid}
        ]
        return (other,)

    outcome = subject.deliver(Apply("edge", child(subject), owned))
    assert outcome.complete, outcome.error
    (_, made), (_, other) = outcome.objects
    assert other["metadata"]["ownerReferences"][0]["uid"] == uid_of(made)


def test_status_left_out_is_taken_back(subject: Subject) -> None:
    made, (hub, _) = subject.put(HUB, owner(subject)), refs(subject)
    assert subject.deliver(PutStatus(hub, uid_of(made), {"planHash": "a", "failedAttempts": 1})).complete
    assert subject.deliver(PutStatus(hub, uid_of(made), {"planHash": "b"})).complete
    body = subject.get(HUB, hub)
    assert body is not None
    assert body["status"] == {"planHash": "b"}


def test_an_owner_that_is_another_now_gets_nothing(subject: Subject) -> None:
    subject.put(HUB, owner(subject))
    hub, job = refs(subject)
    outcome = subject.deliver(Finalizer(hub, "of-one-that-is-gone", True), Apply("edge", child(subject)))
    assert isinstance(outcome.error, Refused)
    assert outcome.error.status in (409, 422)  # a CRD's uid is checked by validation
    assert outcome.done == ()
    assert subject.get("edge", job) is None


def test_a_vanished_owner_is_not_made_anew(subject: Subject) -> None:
    hub, _ = refs(subject)
    outcome = subject.deliver(Finalizer(hub, "gone", True))
    assert isinstance(outcome.error, Refused)
    assert subject.get(HUB, hub) is None


def test_only_what_was_observed_is_deleted(subject: Subject) -> None:
    subject.deliver(Apply("edge", child(subject)))
    _, job = refs(subject)
    assert subject.deliver(Delete("edge", job, "00000000-0000-0000-0000-000000000000")).complete
    assert subject.get("edge", job) is not None


def test_deleting_what_is_gone_is_done(subject: Subject) -> None:
    _, job = refs(subject)
    assert subject.deliver(Delete("edge", job, "x"), ConfirmGone("edge", job)).complete


def test_a_step_stops_while_something_is_still_there(subject: Subject) -> None:
    made, (hub, job) = subject.put(HUB, owner(subject)), refs(subject)
    subject.deliver(Apply("edge", child(subject)))
    outcome = subject.deliver(ConfirmGone("edge", job), PutStatus(hub, uid_of(made), {"planHash": "late"}))
    assert isinstance(outcome.error, StillThere)
    body = subject.get(HUB, hub)
    assert body is not None
    assert "status" not in body


def test_a_step_stops_while_anything_of_an_owner_is_still_there(subject: Subject) -> None:
    made, owner_uid = child(subject), "owner-uid"
    made["metadata"]["labels"] = {"polyhull.io/uid": owner_uid}
    _, job = refs(subject)
    assert subject.deliver(ConfirmNone("edge", job.namespace, owner_uid)).complete
    subject.deliver(Apply("edge", made))
    assert isinstance(subject.deliver(ConfirmNone("edge", job.namespace, owner_uid)).error, StillThere)
    assert subject.deliver(ConfirmNone("edge", job.namespace, "another-uid")).complete


def test_a_cluster_without_a_way_in_is_unreachable(subject: Subject) -> None:
    outcome = subject.deliver(Apply("away", child(subject)))
    assert isinstance(outcome.error, Unreachable)


def test_suspend_changes_one_field_of_the_one_observed(subject: Subject) -> None:
    made = subject.deliver(Apply("edge", child(subject))).objects[0][1]
    _, job = refs(subject)
    assert not subject.deliver(Suspend("edge", job, "00000000-0000-0000-0000-000000000000")).complete
    assert subject.deliver(Suspend("edge", job, uid_of(made))).complete
    body = subject.get("edge", job)
    assert body is not None
    assert body["spec"]["suspend"] is True
    assert body["spec"]["completions"] == 1
    assert subject.deliver(Suspend("edge", job, uid_of(made), suspend=False)).complete
    assert (subject.get("edge", job) or {})["spec"]["suspend"] is False
