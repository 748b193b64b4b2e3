"""A gang becomes one Indexed Job, whose pods find each other and are bound together or not at all."""

import json

from hypothesis import given

from polyhull.render import naming
from polyhull.render.training import Gang, dependents, job
from tests.unit.render.render_values import CPU, GPU, OWNER, environment, gangs, keys_of

SMALL = {"image": "x:1"}


@given(gangs)
def test_world_size_is_replicas_times_devices(gang: Gang) -> None:
    manifest = job(gang)
    values = environment(manifest["spec"]["template"]["spec"])
    assert int(values["WORLD_SIZE"]) == gang.replicas * gang.place.devices
    assert int(values["NNODES"]) * int(values["NPROC_PER_NODE"]) == int(values["WORLD_SIZE"])
    assert {name: values[f"PET_{name}"] for name in ("MASTER_ADDR", "MASTER_PORT", "NNODES")} == {
        name: values[name] for name in ("MASTER_ADDR", "MASTER_PORT", "NNODES")
    }


@given(gangs)
def test_rendering_twice_gives_the_same_bytes(gang: Gang) -> None:
    assert json.dumps([job(gang), *dependents(gang, "u")]) == json.dumps([job(gang), *dependents(gang, "u")])


@given(gangs)
def test_completions_parallelism_and_gang_are_the_replicas(gang: Gang) -> None:
    spec = job(gang)["spec"]
    assert (spec["completionMode"], spec["suspend"]) == ("Indexed", gang.suspend)
    assert spec["completions"] == spec["parallelism"] == gang.replicas
    groups = [child for child in dependents(gang, "u") if child["kind"] == "PodGroup"]
    assert [group["spec"] for group in groups] == (
        [{"schedulingPolicy": {"gang": {"minCount": gang.replicas}}}] if gang.pod_groups and gang.replicas > 1 else []
    )
    assert ("schedulingGroup" in spec["template"]["spec"]) == bool(groups)


@given(gangs)
def test_the_child_owes_nothing_to_the_hub(gang: Gang) -> None:
    manifest = job(gang)
    assert not {"ownerReferences", "finalizers", "ttlSecondsAfterFinished", "managedBy"} & set(keys_of(manifest))


@given(gangs)
def test_dependents_belong_to_the_job_in_the_member(gang: Gang) -> None:
    for child in dependents(gang, "uid-of-job"):
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", job(gang)["metadata"]["name"], "uid-of-job")
        assert child["metadata"]["labels"][naming.UID] == OWNER.uid


def test_one_pod_is_one_request() -> None:
    gang = Gang(OWNER, "v100x4", 1, GPU, SMALL, pod_groups=True)
    assert dependents(gang, "u") == ()
    spec = job(gang)["spec"]["template"]["spec"]
    assert environment(spec)["MASTER_ADDR"] == "localhost"
    assert not {"subdomain", "schedulingGroup"} & set(spec)


def test_the_first_pod_is_reached_through_the_service() -> None:
    gang = Gang(OWNER, "cpu", 3, CPU, SMALL)
    manifest, (service,) = job(gang), dependents(gang, "u")
    pod = manifest["spec"]["template"]
    name = manifest["metadata"]["name"]
    assert environment(pod["spec"])["MASTER_ADDR"] == f"{name}-0.{service['metadata']['name']}"
    assert pod["spec"]["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)


def test_the_rank_is_the_completion_index() -> None:
    spec = job(Gang(OWNER, "cpu", 3, CPU, SMALL))["spec"]["template"]["spec"]
    ranks = {entry["name"]: entry["valueFrom"] for entry in spec["containers"][0]["env"] if "valueFrom" in entry}
    path = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert ranks == {
        name: {"fieldRef": {"apiVersion": "v1", "fieldPath": path}} for name in ("NODE_RANK", "PET_NODE_RANK")
    }


def test_a_gang_fails_as_a_whole_and_disruptions_do_not_count() -> None:
    spec = job(Gang(OWNER, "cpu", 8, CPU, SMALL, retry_limit=3))["spec"]
    assert spec["backoffLimit"] == 24
    assert spec["podFailurePolicy"]["rules"][0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert (spec["podReplacementPolicy"], spec["template"]["spec"]["restartPolicy"]) == ("Failed", "Never")


def test_what_was_decided_is_written_on_the_job() -> None:
    metadata = job(Gang(OWNER, "v100x4", 1, GPU, SMALL, plan_hash="ab12"))["metadata"]
    assert metadata["annotations"] == {
        "polyhull.io/option": "v100x4",
        "polyhull.io/plan-hash": "ab12",
        "polyhull.io/pool": "edge-a/v100",
    }
    assert metadata["namespace"] == "team-a"


def test_the_pod_group_is_of_the_version_the_member_serves() -> None:
    gang = Gang(OWNER, "cpu", 2, CPU, SMALL, pod_groups=True, pod_group_api="scheduling.k8s.io/v1beta1")
    assert [child["apiVersion"] for child in dependents(gang, "u")] == ["v1", "scheduling.k8s.io/v1beta1"]
