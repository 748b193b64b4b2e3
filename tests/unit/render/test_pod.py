"""Pods go where the plan put them and may do nothing the restricted profile forbids."""

import copy
from typing import Any

import pytest
from hypothesis import given

from polyhull.domain.errors import InvalidInput
from polyhull.domain.fleet import AcceleratorType, Node, Pool, Toleration
from polyhull.domain.resources import Resources
from polyhull.render.data import Data, environment_sources, located
from polyhull.render.pod import HOSTNAME, Extras, Place, pod_spec
from polyhull.render.training import Gang, job
from tests.unit.render.render_values import CPU, DATA, GPU, TEMPLATE, environment, gangs

SMALL = {"image": "x:1"}


def container(spec: Any) -> Any:
    (only,) = spec["containers"]
    return only


def test_the_pool_is_required_and_the_packing_s_nodes_are_preferred() -> None:
    node = pod_spec(SMALL, GPU, Extras(), "here")["affinity"]["nodeAffinity"]
    assert node["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] == [
        {
            "matchExpressions": [
                {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
                {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["V100"]},
            ]
        }
    ]
    assert node["preferredDuringSchedulingIgnoredDuringExecution"] == [
        {
            "weight": 100,
            "preference": {
                "matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1", "n2"]}]
            },
        }
    ]


def test_an_accelerator_is_requested_and_limited_and_its_taint_tolerated() -> None:
    spec = pod_spec(TEMPLATE, GPU, Extras(), "here")
    assert container(spec)["resources"] == {
        "requests": {"cpu": "2", "memory": "8Gi", "nvidia.com/gpu": "4"},
        "limits": {"ephemeral-storage": "1Gi", "memory": "16Gi", "nvidia.com/gpu": "4"},
    }
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]


def test_a_cpu_device_is_a_core_whatever_the_template_requests() -> None:
    resources = container(pod_spec(TEMPLATE, CPU, Extras(), "here"))["resources"]
    assert resources["requests"]["cpu"] == "32"
    assert "cpu" not in resources["limits"]


def test_a_cpu_limit_below_the_option_s_cores_is_refused() -> None:
    with pytest.raises(InvalidInput, match="below the 32 cores"):
        pod_spec({**SMALL, "resources": {"limits": {"cpu": "31999m"}}}, CPU, Extras(), "here")
    assert pod_spec({**SMALL, "resources": {"limits": {"cpu": "32"}}}, CPU, Extras(), "here")


@pytest.mark.parametrize("template", [SMALL, TEMPLATE])
def test_every_pod_fits_the_restricted_profile(template: dict[str, Any]) -> None:
    spec = pod_spec(template, GPU, Extras(data=DATA), "here")
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(spec)["securityContext"]["allowPrivilegeEscalation"] is False
    assert container(spec)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert spec["enableServiceLinks"] is False


def test_a_token_is_mounted_only_for_a_named_service_account() -> None:
    assert pod_spec(SMALL, GPU, Extras(), "here")["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod_spec(SMALL, GPU, Extras(), "here")
    named = pod_spec(TEMPLATE, GPU, Extras(), "here")
    assert (named["automountServiceAccountToken"], named["serviceAccountName"]) == (True, "trainer")


def test_volumes_are_split_from_their_mounts() -> None:
    spec = pod_spec(TEMPLATE, GPU, Extras(), "here")
    assert spec["volumes"] == [
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "code", "persistentVolumeClaim": {"claimName": "code"}},
        {"name": "conf", "configMap": {"name": "conf"}},
        {"name": "key", "secret": {"secretName": "key"}},
    ]
    assert {"name": "code", "mountPath": "/code", "readOnly": True} in container(spec)["volumeMounts"]


def test_ours_come_first_and_the_template_s_own_value_wins() -> None:
    template = {**SMALL, "env": [{"name": "NPROC_PER_NODE", "value": "1"}]}
    extras = Extras(environment=(("NPROC_PER_NODE", 32), ("NNODES", 8)))
    assert container(pod_spec(template, CPU, extras, "here"))["env"] == [
        {"name": "NNODES", "value": "8"},
        {"name": "NPROC_PER_NODE", "value": "1"},
    ]


def test_data_is_an_address_with_credentials_or_a_read_only_mount() -> None:
    spec = pod_spec(SMALL, GPU, Extras(data=DATA), "here")
    assert environment(spec) == {
        "POLYHULL_DATA_IMAGES_URL": "s3://bucket/images",
        "POLYHULL_DATA_WEIGHTS_PATH": "/weights",
    }
    assert container(spec)["envFrom"][0] == {"secretRef": {"name": "edge-s3"}}
    (volume,) = spec["volumes"]
    assert volume["persistentVolumeClaim"] == {"claimName": "copy-1", "readOnly": True}
    assert container(spec)["volumeMounts"] == [
        {"name": volume["name"], "mountPath": "/weights", "readOnly": True, "subPath": "data"}
    ]


def test_two_secrets_do_not_overwrite_each_other() -> None:
    entries = [Data("a", url="s3://a", secret_name="one"), Data("b", url="s3://b", secret_name="two")]
    assert environment_sources(entries) == [
        {"prefix": "POLYHULL_DATA_A_", "secretRef": {"name": "one"}},
        {"prefix": "POLYHULL_DATA_B_", "secretRef": {"name": "two"}},
    ]


def test_two_entries_of_one_claim_share_its_volume() -> None:
    entries = (Data("a", claim_name="c", sub_path="a"), Data("b", claim_name="c", sub_path="b"))
    spec = pod_spec(SMALL, GPU, Extras(data=entries), "here")
    assert len(spec["volumes"]) == 1
    assert [mount["mountPath"] for mount in container(spec)["volumeMounts"]] == [
        "/polyhull/data/a",
        "/polyhull/data/b",
    ]


def test_entries_that_become_one_variable_are_refused() -> None:
    with pytest.raises(InvalidInput, match="POLYHULL_DATA_A_B"):
        pod_spec(SMALL, GPU, Extras(data=(Data("a-b", url="s3://x"), Data("a.b", url="s3://y"))), "here")


def test_a_claim_s_address_is_mounted() -> None:
    assert located("in", "pvc://shared/sets/images/") == Data("in", claim_name="shared", sub_path="sets/images")
    assert located("in", "s3://b/x", "key") == Data("in", url="s3://b/x", secret_name="key")


@pytest.mark.parametrize("url", ["pvc://", "pvc:///x", "pvc://claim/../other", "pvc://claim/a/.."])
def test_an_address_that_leaves_its_claim_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="pvc://CLAIM/PATH"):
        located("in", url)


def test_a_place_names_nodes_by_their_hostname_label() -> None:
    node = Node("ip-10-0-0-1", Resources(), labels=(("kubernetes.io/hostname", "worker-1"),))
    pool = Pool("edge-a/v100", "edge-a", "edge", "nvidia-v100", (node,), (("a", "b"),))
    kind = AcceleratorType("nvidia-v100", "GPU", "nvidia.com/gpu", tolerations=(Toleration("nvidia.com/gpu"),))
    place = Place.of(pool, kind, 4, (("gone", 1), ("ip-10-0-0-1", 2)))
    assert place == Place(pool.name, (("a", "b"),), ("gone", "worker-1"), "nvidia.com/gpu", 4, kind.tolerations)


def two_nodes(by_name: bool) -> Pool:
    nodes = tuple(Node(f"n{index}", Resources(), labels=((HOSTNAME, f"host-{index}"),)) for index in (2, 1))
    return Pool("edge-a/cpu-small", "edge-a", "edge", "cpu", nodes, (("a", "b"),), by_name=by_name)


def test_a_pool_that_no_labels_tell_apart_is_required_by_its_nodes_names() -> None:
    def required(by_name: bool) -> Any:
        place = Place.of(two_nodes(by_name), AcceleratorType("cpu", "CPU"), 1, (("n1", 1),))
        node = pod_spec(SMALL, place, Extras(), "here")["affinity"]["nodeAffinity"]
        (term,) = node["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        return term["matchExpressions"]

    label = {"key": "a", "operator": "In", "values": ["b"]}
    assert required(by_name=False) == [label]
    assert required(by_name=True) == [label, {"key": HOSTNAME, "operator": "In", "values": ["host-1", "host-2"]}]


@pytest.mark.parametrize(("nodes", "hosts"), [((("n1", 1), ("+1", 2)), ("host-1",)), ((("+1", 1), ("+2", 1)), ())])
def test_a_node_that_is_still_to_come_is_not_preferred_by_name(
    nodes: tuple[tuple[str, int], ...], hosts: tuple[str, ...]
) -> None:
    place = Place.of(two_nodes(by_name=False), AcceleratorType("cpu", "CPU"), 1, nodes)
    assert place.hosts == hosts
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    assert (preferred in pod_spec(SMALL, place, Extras(), "here")["affinity"]["nodeAffinity"]) == bool(hosts)


@given(gangs)
def test_what_is_handed_out_shares_nothing_with_what_was_handed_in(gang: Gang) -> None:
    before = copy.deepcopy(gang.template)
    manifest = job(gang)
    spec = manifest["spec"]["template"]["spec"]
    container(spec)["env"].clear()
    container(spec)["image"] = "changed"
    for volume in spec.get("volumes", []):
        volume.clear()
    assert gang.template == before
    assert job(gang) != manifest
