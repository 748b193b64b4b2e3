"""Nodes become pools: like with like, selectable, named for good, and free is what others leave."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.api.catalogue import builtin_catalogue, builtin_objects, catalogue_with
from polyhull.api.inventory import DeclaredPool, accelerator_of, pod_requests, pools_of, requested_by_node
from polyhull.domain.fleet import Pool, Taint
from polyhull.domain.labels import labels_of
from polyhull.domain.resources import Resources

Raw = dict[str, Any]
CATALOGUE = builtin_catalogue()
GI = 2**30
V100 = {"nvidia.com/gpu.product": "Tesla-V100-SXM2-16GB"}


def node(name: str, labels: dict[str, str] | None = None, created: str = "2026-01-01T00:00:00Z", **more: Any) -> Raw:
    allocatable = {
        "cpu": "64",
        "memory": "256Gi",
        "pods": "110",
        "ephemeral-storage": "100Gi",
        **more.pop("offers", {}),
    }
    return {
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, **(labels or {})},
            "creationTimestamp": created,
        },
        "spec": more.pop("spec", {}),
        "status": {
            "allocatable": allocatable,
            "conditions": [{"type": "Ready", "status": more.pop("ready", "True")}],
        },
    }


def gpu(name: str, count: int = 8, labels: dict[str, str] | None = None, **more: Any) -> Raw:
    return node(name, {**V100, **(labels or {})}, offers={"nvidia.com/gpu": str(count)}, **more)


def pod(name: str, where: str, requests: dict[str, str], **status: Any) -> Raw:
    return {
        "metadata": {"name": name},
        "spec": {"nodeName": where, "containers": [{"resources": {"requests": requests}}]},
        "status": status,
    }


def pools(nodes: list[Raw], pods: list[Raw] = [], declared: list[DeclaredPool] = [], **more: Any) -> dict[str, Pool]:  # noqa: B006
    return {pool.name: pool for pool in pools_of("edge", "here", nodes, pods, declared, CATALOGUE, **more)}


def test_like_nodes_are_one_pool_and_an_accelerator_node_is_no_cpu_pool() -> None:
    found = pools([gpu("g1"), gpu("g2"), node("c1")])
    assert set(found) == {"edge/nvidia-v100", "edge/cpu"}
    assert [n.name for n in found["edge/nvidia-v100"].nodes] == ["g1", "g2"]
    assert found["edge/nvidia-v100"].nodes[0].free == Resources(8, 64_000, 256 * GI, 100 * GI, 110)
    assert found["edge/cpu"].nodes[0].free.devices == 64, "class CPU: a device is a core"
    assert found["edge/cpu"].site == "here"


def test_free_is_what_all_other_pods_leave() -> None:
    pods = [
        pod("a", "g1", {"cpu": "1500m", "memory": "1Gi", "nvidia.com/gpu": "3"}, phase="Running"),
        pod("b", "g1", {"cpu": "1", "nvidia.com/gpu": "1"}, phase="Pending"),
        pod("done", "g1", {"cpu": "9"}, phase="Succeeded"),
        pod("mine", "g1", {"cpu": "9"}, phase="Running"),
        pod("c", "c1", {"cpu": "500m"}, phase="Running"),
        pod("nowhere", "", {"cpu": "9"}, phase="Pending"),
    ]
    found = pools([gpu("g1"), node("c1")], pods, own_pod=lambda raw: raw["metadata"]["name"] == "mine")
    assert found["edge/nvidia-v100"].nodes[0].free == Resources(4, 61_500, 255 * GI, 100 * GI, 108)
    assert found["edge/cpu"].nodes[0].free.devices == 63, "whole cores only"


def test_more_asked_than_there_is_leaves_nothing_rather_than_less() -> None:
    found = pools([gpu("g1")], [pod("a", "g1", {"cpu": "100", "nvidia.com/gpu": "9"})])
    assert found["edge/nvidia-v100"].nodes[0].free.devices == 0
    assert found["edge/nvidia-v100"].nodes[0].free.cpu_millicores == 0


def test_sidecars_init_steps_and_overhead_count_as_the_scheduler_counts_them() -> None:
    def container(cpu: str, **more: Any) -> Raw:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [container("1"), container("2")],
        "initContainers": [container("1", restartPolicy="Always"), container("5"), container("1")],
        "overhead": {"cpu": "250m"},
    }
    assert pod_requests(spec) == {"cpu": 6250}
    assert pod_requests({**spec, "resources": {"requests": {"cpu": "9"}}}) == {"cpu": 9250}
    assert pod_requests({"containers": [{"resources": {"limits": {"cpu": "3"}}}]}) == {"cpu": 3000}


def test_cordoned_and_unready_nodes_stay_in_their_pool_but_take_nothing() -> None:
    unwell = [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]
    cordon = {"unschedulable": True, "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]}
    found = pools([gpu("g1"), gpu("g2", spec=cordon), gpu("g3", ready="Unknown", spec={"taints": unwell})])
    (pool,) = found.values()
    assert {n.name: n.schedulable for n in pool.nodes} == {"g1": True, "g2": False, "g3": False}


def test_taints_are_kept_and_part_pools() -> None:
    taint = {"key": "team", "value": "a", "effect": "NoSchedule"}
    soft = {"key": "soft", "effect": "PreferNoSchedule"}
    found = pools([gpu("g1", spec={"taints": [taint, soft]}), gpu("g2")])
    assert len(found) == 2
    tainted = next(pool for pool in found.values() if pool.nodes[0].taints)
    assert tainted.nodes[0].taints == (Taint("team", "a", "NoSchedule"),)


MODELS = [
    ({"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}, "nvidia.com/gpu", "nvidia-a100-80gb"),
    ({"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB-SHARED"}, "nvidia.com/gpu", "nvidia-a100"),
    ({"nvidia.com/gpu.product": "NVIDIA-A10"}, "nvidia.com/gpu", "nvidia-a10"),
    ({"nvidia.com/gpu.product": "NVIDIA-L4"}, "nvidia.com/gpu", "nvidia-l4"),
    ({"nvidia.com/gpu.product": "NVIDIA-L40S"}, "nvidia.com/gpu", "nvidia-l40s"),
    ({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}, "nvidia.com/gpu", "nvidia-h100"),
    ({}, "nvidia.com/gpu", "nvidia-gpu"),
    ({"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"}, "amd.com/gpu", "amd-mi300x"),
    ({"accelerator": "huawei-Ascend910"}, "huawei.com/Ascend910", "ascend-910"),
    ({"accelerator": "huawei-Ascend910", "accelerator-type": "module-910b-8"}, "huawei.com/Ascend910", "ascend-910b"),
    ({"node.kubernetes.io/npu.chip.name": "910B3"}, "huawei.com/Ascend910", "ascend-910b"),
    ({}, "huawei.com/Ascend310P", "ascend-310p"),
    ({}, "npu.intel.com/accel", "intel-npu"),
    ({"polyhull.io/accelerator": "intel-gaudi3"}, "habana.ai/gaudi", "intel-gaudi3"),
    ({}, "habana.ai/gaudi", "intel-gaudi2"),
    ({"cloud.google.com/gke-tpu-accelerator": "tpu-v6e-slice"}, "google.com/tpu", "google-tpu-v6e"),
    ({"node.kubernetes.io/instance-type": "trn1.32xlarge"}, "aws.amazon.com/neuron", "aws-trainium"),
    ({"polyhull.io/accelerator": "nvidia-t4"}, "nvidia.com/gpu", "nvidia-t4"),
    ({"polyhull.io/accelerator": "nvidia-t4"}, "amd.com/gpu", "amd-gpu"),
    (V100, "unknown.example/device", "cpu"),
]


@pytest.mark.parametrize(("labels", "resource", "expected"), MODELS)
def test_a_node_is_of_the_most_specific_kind(labels: dict[str, str], resource: str, expected: str) -> None:
    assert accelerator_of(labels_of(labels), {"cpu": "8", resource: "8"}, CATALOGUE) == expected
    assert accelerator_of(labels_of(labels), {"cpu": "8", resource: "0"}, CATALOGUE) == "cpu"


def test_the_catalogue_covers_what_was_promised_and_says_where_from() -> None:
    names = {kind.name for kind in CATALOGUE}
    assert {"cpu", "ascend-310p", "ascend-910", "ascend-910b", "intel-npu", "google-tpu-v5e", "aws-trainium"} <= names
    models = ("k80", "p100", "v100", "t4", "l4", "a10", "a40", "a100", "h100", "jetson-orin")
    assert {f"nvidia-{model}" for model in models} <= names
    assert all(raw["spec"].get("source") for raw in builtin_objects())
    assert {kind.device_class for kind in CATALOGUE} == {"CPU", "GPU", "NPU", "TPU"}
    better = replace(next(kind for kind in CATALOGUE if kind.name == "cpu"), peak_watts=7.0)
    assert next(kind for kind in catalogue_with([better]) if kind.name == "cpu").peak_watts == 7.0
    assert len(catalogue_with([better])) == len(CATALOGUE)


def test_a_pool_keeps_its_name_when_another_shape_appears() -> None:
    first = gpu("g1", created="2026-01-01T00:00:00Z")
    later = gpu("a1", count=4, created="2026-02-01T00:00:00Z")
    assert set(pools([first])) == {"edge/nvidia-v100"}
    both = pools([first, later])
    assert both["edge/nvidia-v100"].nodes[0].name == "g1"
    assert set(both) == {"edge/nvidia-v100", "edge/nvidia-v100-4x-64c-256g"}


def test_a_pool_label_of_ours_names_the_pool_and_selects_it() -> None:
    found = pools(
        [gpu("g1", labels={"polyhull.io/pool": "training"}), gpu("g2", labels={"polyhull.io/pool": "other"})]
    )
    assert set(found) == {"edge/training", "edge/other"}
    assert found["edge/training"].node_selector == (("polyhull.io/pool", "training"),)


def test_a_node_group_label_of_a_cloud_is_preferred_as_selector() -> None:
    labels = {"karpenter.sh/nodepool": "gpus", "zone": "a"}
    found = pools([gpu("g1", labels=labels), gpu("g2", labels={**labels, "zone": "b"}), node("c1")])
    assert found["edge/nvidia-v100"].node_selector == (("karpenter.sh/nodepool", "gpus"),)


def test_two_labels_together_may_select_a_pool() -> None:
    nodes = [
        node("a", {"x": "1", "y": "1"}, offers={"cpu": "8"}),
        node("b", {"x": "1", "y": "2"}, offers={"cpu": "16"}),
        node("c", {"x": "2", "y": "1"}, offers={"cpu": "32"}),
    ]
    by_node = {pool.nodes[0].name: pool for pool in pools(nodes).values()}
    assert by_node["a"].node_selector == (("x", "1"), ("y", "1"))
    assert by_node["b"].node_selector == (("y", "2"),)
    assert not by_node["a"].by_name


def test_a_pool_that_no_label_tells_apart_says_so() -> None:
    nodes = [node("a", offers={"cpu": "8"}), node("a2", offers={"cpu": "8"}), node("b", offers={"cpu": "16"})]
    small, large = sorted(pools(nodes).values(), key=lambda pool: len(pool.nodes), reverse=True)
    assert small.by_name
    assert not large.by_name
    assert large.node_selector == (("kubernetes.io/hostname", "b"),)


def test_the_site_label_of_a_node_counts_for_more_than_its_clusters() -> None:
    found = pools([node("a"), node("b", {"polyhull.io/site": "there"})])
    assert {pool.site for pool in found.values()} == {"here", "there"}


DECLARED = DeclaredPool(
    "training",
    "edge",
    "",
    "nvidia-v100",
    node_selector=(("team", "a"),),
    price_per_device_hour=2.5,
    confidential=True,
    shape=Resources(8, 64_000, 256 * GI, 0, 110),
    nodes=2,
    max_nodes=5,
    provision_seconds=90.0,
)


def test_a_declared_pool_takes_its_nodes_out_of_discovery_and_may_grow() -> None:
    found = pools([gpu("g1", labels={"team": "a"}), gpu("g2")], declared=[DECLARED])
    mine = found["edge/training"]
    assert [n.name for n in mine.nodes] == ["g1"]
    assert (mine.price_per_device_hour, mine.confidential) == (2.5, True)
    assert mine.growth is not None
    assert (mine.growth.nodes, mine.growth.provision_seconds) == (4, 90.0)
    assert mine.node_selector == (("team", "a"),)
    assert [n.name for n in found["edge/nvidia-v100"].nodes] == ["g2"]


def test_declared_nodes_exist_in_files_only() -> None:
    live = pools([], declared=[DECLARED])["edge/training"]
    assert live.nodes == ()
    assert live.growth is not None
    assert live.growth.nodes == 5
    planned = pools([], declared=[DECLARED], declared_nodes=True)["edge/training"]
    assert [n.name for n in planned.nodes] == ["edge-training-0000", "edge-training-0001"]
    assert planned.nodes[0].labels == (("team", "a"),)
    assert planned.growth is not None
    assert planned.growth.nodes == 3


def test_pools_of_other_clusters_are_left_alone() -> None:
    assert pools([], declared=[replace(DECLARED, cluster="cloud")], declared_nodes=True) == {}


def test_a_node_that_writes_nonsense_counts_as_empty() -> None:
    odd = {"metadata": {"name": "odd"}, "status": {"allocatable": {"cpu": "many", "memory": "-5Gi", "pods": None}}}
    (pool,) = pools([odd]).values()
    assert pool.nodes[0].free == Resources()


@given(st.permutations(["g1", "g2", "g3", "c1", "c2"]))
def test_pools_do_not_depend_on_the_order_nodes_come_in(order: list[str]) -> None:
    every = {name: gpu(name) if name.startswith("g") else node(name) for name in order}
    every["g3"] = gpu("g3", count=4, created="2026-03-01T00:00:00Z")
    assert pools(list(every.values())) == pools([every[name] for name in sorted(every)])


def test_requests_by_node_counts_pods() -> None:
    counted = requested_by_node([pod("a", "n", {"cpu": "1"}), pod("b", "n", {})], lambda raw: False)
    assert counted == {"n": {"pods": 2, "cpu": 1000}}
