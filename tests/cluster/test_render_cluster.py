"""What is rendered, as a real scheduler sees it: gangs whole or not at all, in the pool, on the packing's nodes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from hack.ground.ground import Cluster, Ground
from hack.ground.nodes import POOL, RUN_SECONDS
from hack.ground.processes import wait_until
from polyhull.domain.decision import Transfer
from polyhull.domain.fleet import Storage, StorageKind
from polyhull.domain.workloads import Key
from polyhull.render import inference, naming, training, transfer
from polyhull.render.inference import Serving
from polyhull.render.naming import Owner
from polyhull.render.pod import Place
from polyhull.render.training import Gang

LIMIT_SECONDS = 60.0
SMALL = {"image": "simulated"}
GPUS = Place("cloud/gpu", ((POOL, "cloud-gpu"),), ("cloud-gpu-1",), "nvidia.com/gpu", 4)
CORES = Place("cloud/cpu", ((POOL, "cloud-cpu"),), ("cloud-cpu-0",), "", 6)
Namespace = Callable[[], str]


def _apply(cluster: Cluster, manifest: dict[str, Any]) -> dict[str, Any]:
    applied: dict[str, Any] = cluster.kubectl(
        "apply", "--server-side", "--field-manager=polyhull", "-f-", stdin=manifest
    )
    return applied


def _release(cluster: Cluster, gang: Gang) -> None:
    uid = _apply(cluster, training.job(gang))["metadata"]["uid"]
    for manifest in training.dependents(gang, uid):
        _apply(cluster, manifest)


def _nodes(cluster: Cluster, namespace: str, uid: str) -> list[str]:
    """Names of the nodes that the owner's pods are bound to, "" for one that is not."""
    found = cluster.client.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=naming.children_selector(uid))[
        "items"
    ]
    return sorted(pod["spec"].get("nodeName", "") for pod in found)


def _gang(namespace: str, uid: str, replicas: int, place: Place) -> Gang:
    return Gang(Owner("TrainingJob", namespace, uid, uid), "any", replicas, place, SMALL, pod_groups=True)


@pytest.fixture
def team(ground: Ground, namespace: Namespace) -> Iterator[str]:
    """A namespace in clusters where no other pod is left; what a test makes there goes before the next one begins."""

    members = [ground.clusters["edge"], ground.clusters["cloud"]]

    def empty() -> bool:
        return not any(cluster.client.get("/api/v1/pods")["items"] for cluster in members)

    assert wait_until(empty, LIMIT_SECONDS)
    name = namespace()
    yield name
    for cluster in members:
        cluster.kubectl("delete", "jobs,deployments", "--all", "-n", name, "--cascade=foreground", "--timeout=60s")


def test_a_gang_is_bound_whole_in_its_pool_or_not_at_all(ground: Ground, team: str) -> None:
    cluster, name = ground.clusters["cloud"], team
    too_big = _gang(name, "too-big", 5, GPUS)  # two nodes of eight devices hold four such pods
    _release(cluster, too_big)
    wait_until(lambda: len(_nodes(cluster, name, "too-big")) == 5, LIMIT_SECONDS)
    fits = _gang(name, "fits", 4, GPUS)
    _release(cluster, fits)
    wanted = ["cloud-gpu-0", "cloud-gpu-0", "cloud-gpu-1", "cloud-gpu-1"]
    assert wait_until(lambda: _nodes(cluster, name, "fits") == wanted, LIMIT_SECONDS)
    assert _nodes(cluster, name, "too-big") == [""] * 5


@pytest.mark.parametrize("pod_groups", [True, False], ids=["gang", "one by one"])
def test_the_packing_s_nodes_win_over_spreading(ground: Ground, team: str, pod_groups: bool) -> None:
    """kube-scheduler would rather use the emptier node, and keep pods of one Service apart."""
    cluster, name = ground.clusters["edge"], team
    seven_cores = Place("edge/ascend", ((POOL, "edge-ascend"),), ("edge-ascend-0",), "", 7)
    _release(cluster, replace(_gang(name, "packed", 3, seven_cores), pod_groups=pod_groups))
    assert wait_until(lambda: len(bound := _nodes(cluster, name, "packed")) == 3 and "" not in bound, LIMIT_SECONDS)
    assert _nodes(cluster, name, "packed") == ["edge-ascend-0"] * 3


def test_cores_of_a_cpu_pool_are_taken_from_it(ground: Ground, team: str) -> None:
    cluster, name = ground.clusters["cloud"], team
    _release(cluster, _gang(name, "cores", 5, CORES))
    assert wait_until(lambda: _nodes(cluster, name, "cores") == ["cloud-cpu-0"] * 5, LIMIT_SECONDS)
    _release(cluster, _gang(name, "one-more", 1, CORES))  # 30 of 32 cores are taken
    wait_until(lambda: _nodes(cluster, name, "one-more") == [""], LIMIT_SECONDS)
    assert _nodes(cluster, name, "one-more") == [""]


def test_a_transfer_runs_to_its_end_beside_a_full_pool(ground: Ground, team: str) -> None:
    cluster, name = ground.clusters["cloud"], team
    _release(cluster, _gang(name, "full", 2, replace(CORES, devices=16)))
    planned = Transfer(
        Key(name, "images", "DataSet"), "edge", "s3://b/i", "cloud", "site:cloud", "cloud", ("edge-cloud",),
        10**9, 1e8, 0.0, 10.0,
    )  # fmt: skip
    storage = Storage(StorageKind.BUCKET, url="s3://copies", secret_name="cloud-s3")
    manifest = transfer.job(transfer.Copying(Owner("DataSet", name, "images", "d-1"), planned, storage))
    manifest["spec"]["template"]["metadata"]["annotations"][RUN_SECONDS] = "1"
    _apply(cluster, manifest)

    def complete() -> bool:
        path = f"/apis/batch/v1/namespaces/{name}/jobs/{manifest['metadata']['name']}"
        status = cluster.client.get(path).get("status", {})
        return any(one["type"] == "Complete" for one in status.get("conditions", []))

    assert wait_until(complete, LIMIT_SECONDS)


def test_a_service_s_replicas_become_ready_and_are_reached(ground: Ground, team: str) -> None:
    cluster, name = ground.clusters["edge"], team
    owner = Owner("InferenceJob", name, "chat", "i-1")
    template = {**SMALL, "ports": [{"name": "http", "containerPort": 8080}]}
    npus = Place("edge/ascend", ((POOL, "edge-ascend"),), ("edge-ascend-0",), "huawei.com/Ascend310P", 1)
    deployment = _apply(cluster, inference.deployment(Serving(owner, "small", 2, npus, template)))
    service = _apply(cluster, inference.service(owner, [template]))

    def ready() -> bool:
        found = cluster.client.get(f"/apis/apps/v1/namespaces/{name}/deployments/{deployment['metadata']['name']}")
        return bool(found.get("status", {}).get("readyReplicas") == 2)

    def addresses() -> int:
        wanted = f"kubernetes.io/service-name={service['metadata']['name']}"
        path = f"/apis/discovery.k8s.io/v1/namespaces/{name}/endpointslices"
        slices = cluster.client.get(path, labelSelector=wanted)["items"]
        return sum(len(one.get("endpoints") or ()) for one in slices)

    assert wait_until(ready, LIMIT_SECONDS)
    assert wait_until(lambda: addresses() == 2, LIMIT_SECONDS)
    assert _nodes(cluster, name, "i-1") == ["edge-ascend-0", "edge-ascend-0"]
