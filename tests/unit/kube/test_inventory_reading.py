"""What mirrors keep and what is read from them."""

from typing import Any

from polyhull.domain.fleet import AcceleratorType
from polyhull.kube import inventory, trims
from polyhull.kube.cache import Cache
from polyhull.kube.resources import NAMESPACES, NODES, POD_GROUPS_V1ALPHA2, POD_GROUPS_V1BETA1, PODS
from polyhull.render import naming
from tests.unit.kube.small_api import SmallApi, eventually, run

GPU = AcceleratorType("nvidia-v100", "GPU", "nvidia.com/gpu")
OWN = {naming.MANAGED_BY: naming.FIELD_MANAGER, naming.UID: "job-1"}


def container(gpus: int) -> dict[str, Any]:
    return {
        "name": "main",
        "image": "x" * 500,
        "env": [{"name": "A", "value": "b"}],
        "resources": {"requests": {"nvidia.com/gpu": str(gpus), "cpu": "1"}},
    }


NODE = {
    "metadata": {
        "name": "n1",
        "uid": "u",
        "resourceVersion": "1",
        "labels": {"a": "b"},
        "annotations": {"x": "y"},
        "managedFields": [{"manager": "kubelet"}],
    },
    "spec": {"podCIDR": "10.0.0.0/24", "taints": [{"key": "k", "effect": "NoSchedule"}]},
    "status": {
        "allocatable": {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "4", "pods": "110"},
        "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}],
        "images": [{"names": ["x" * 200]}] * 50,
    },
}
POD = {
    "metadata": {"name": "p", "namespace": "team", "uid": "u", "resourceVersion": "2", "labels": OWN},
    "spec": {
        "nodeName": "n1",
        "containers": [container(2)],
        "initContainers": [{**container(0), "restartPolicy": "Always"}],
        "volumes": [{"name": "v", "secret": {"secretName": "s"}}],
    },
    "status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "ImagePullBackOff"}}, "imageID": "x"}],
        "hostIP": "10.0.0.1",
    },
}


def test_nodes_keep_what_decides_and_lose_the_rest() -> None:
    kept = trims.node({"apiVersion": "v1", "kind": "Node", **NODE})
    assert kept["metadata"] == {"name": "n1", "uid": "u", "resourceVersion": "1", "labels": {"a": "b"}}
    assert kept["spec"] == {"taints": [{"key": "k", "effect": "NoSchedule"}]}
    assert kept["status"] == {
        "allocatable": NODE["status"]["allocatable"],  # type: ignore[index]
        "conditions": [{"type": "Ready", "status": "True"}],
    }


def test_pods_keep_requests_and_reasons_and_no_secret_names() -> None:
    kept = trims.pod({"apiVersion": "v1", "kind": "Pod", **POD})
    assert kept["spec"]["nodeName"] == "n1"
    assert kept["spec"]["containers"] == [{"name": "main", "resources": container(2)["resources"]}]
    assert kept["spec"]["initContainers"][0]["restartPolicy"] == "Always"
    assert kept["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ImagePullBackOff"
    assert "secretName" not in repr(kept)
    assert "image" not in kept["spec"]["containers"][0]


def test_trims_take_objects_with_nothing_in_them() -> None:
    for trim in (trims.node, trims.pod, trims.job, trims.deployment, trims.metadata_only, trims.without_bookkeeping):
        assert trim({"metadata": {"name": "a", "resourceVersion": "1"}})["metadata"]["name"] == "a"
        assert trim({})["metadata"] == {}


def test_our_annotations_stay_and_others_go() -> None:
    metadata = {"name": "a", "annotations": {"polyhull.io/option": "o", "kubectl.kubernetes.io/x": "y"}}
    assert trims.metadata_only({"metadata": metadata})["metadata"]["annotations"] == {"polyhull.io/option": "o"}


def test_pools_and_namespaces_of_a_cluster() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            await api.put("/api/v1/nodes/n1", **NODE)
            await api.put("/api/v1/namespaces/team/pods/ours", **POD)
            stranger = {**POD, "metadata": {"labels": {naming.UID: "job-1"}}}
            await api.put("/api/v1/namespaces/team/pods/theirs", **stranger)
            annotations = {naming.SERVICE_ACCOUNTS: "trainer, loader,"}
            await api.put("/api/v1/namespaces/open", metadata={"annotations": annotations})
            await api.put("/api/v1/namespaces/going", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
            chosen = [one for one in inventory.SELECTIONS if one.resource in (NODES, PODS, NAMESPACES)]
            cache = Cache(client, chosen, lambda change: None)
            cache.start()
            assert await cache.wait_synced(5)
            (pool,) = inventory.pools(cache, "edge", "site", (), (GPU,))
            assert pool.nodes[0].free.devices == 0
            (pool,) = inventory.pools(cache, "edge", "site", (), (GPU,), frozenset({"job-1"}))
            assert pool.nodes[0].free.devices == 2  # only the pod that is really ours is left out
            assert inventory.accepted_namespaces(cache) == frozenset({"open"})
            assert inventory.allowed_service_accounts(cache)["open"] == frozenset({"trainer", "loader"})
            selectors = {query["labelSelector"] for _, path, query, _ in api.requests if path == "/api/v1/namespaces"}
            assert selectors == {"polyhull.io/accept=true"}
            await api.put("/api/v1/nodes/n1", spec={"unschedulable": True})
            await eventually(lambda: not inventory.pools(cache, "edge", "site", (), (GPU,))[0].nodes[0].schedulable)
            await cache.stop()

    run(work())


def test_the_newest_gang_api_served_is_used() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            entry = {"name": "podgroups", "kind": "PodGroup", "namespaced": True}
            group = "/apis/scheduling.k8s.io"
            api.missing.add(group)
            assert await inventory.served_pod_groups(client) is None
            api.missing.clear()
            await api.put(f"{group}", versions=[{"version": "v1"}, {"version": "v1alpha2"}])
            await api.put(f"{group}/v1", resources=[{"name": "priorityclasses", "kind": "PriorityClass"}])
            await api.put(f"{group}/v1alpha2", resources=[entry])
            assert await inventory.served_pod_groups(client) == POD_GROUPS_V1ALPHA2
            await api.put(f"{group}", versions=[{"version": "v1beta1"}, {"version": "v1alpha2"}])
            await api.put(f"{group}/v1beta1", resources=[entry])
            assert await inventory.served_pod_groups(client) == POD_GROUPS_V1BETA1

    run(work())


def test_exported_services_are_known_by_the_api_that_is_served() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            group = "/apis/multicluster.x-k8s.io"
            api.missing.add(group)
            assert not await inventory.served_service_exports(client)
            api.missing.clear()
            await api.put(group, versions=[{"version": "v1alpha1"}])
            entry = {"name": "serviceexports", "kind": "ServiceExport", "namespaced": True}
            await api.put(f"{group}/v1alpha1", resources=[entry])
            assert await inventory.served_service_exports(client)

    run(work())
