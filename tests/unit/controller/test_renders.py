"""Where a pod finds its data: the copy in its cluster, the replica at its site, or the one it streams from."""

from dataclasses import replace
from typing import Any

import pytest

from polyhull.controller.hubjob import HubJob
from polyhull.controller.renders import HubDataSet, Renderer
from polyhull.delivery.base import Apply
from polyhull.domain.errors import InvalidInput
from polyhull.domain.fleet import Storage, StorageKind
from polyhull.domain.workloads import Copy, DataSet, Key, Replica
from polyhull.render.naming import Owner
from polyhull.render.transfer import copy_name
from tests import builders as make

FLEET = make.fleet([make.pool("cloud", "v100")], [make.link("edge", "cloud")])
HOMES = (Replica("edge", "s3://edge/images", "edge-s3"), Replica("far", "s3://far/images", "far-s3"))
DATA = replace(make.data_set("images", 1), replicas=HOMES)
RAW = {
    "apiVersion": "polyhull.io/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {"name": "learn", "namespace": "team", "uid": "u"},
    "spec": {
        "options": [{"name": "gpu", "accelerator": "v100", "replicas": 1, "devicesPerReplica": 1}],
        "data": [{"name": "input", "dataSetRef": {"name": "images"}}],
        "template": {"image": "learn:1"},
    },
}


def rendered(renderer: Renderer, assignment: dict[str, Any]) -> Apply:
    job = HubJob(RAW | {"status": {"assignment": assignment}}, Key("team", "learn"))
    return renderer.child(job, job.children[0], "hash")


def url(data: DataSet, store: str | None) -> str:
    """POLYHULL_DATA_INPUT_URL of the job's container."""
    assignment: dict[str, Any] = {
        "cluster": "cloud", "pool": "cloud/v100", "option": "gpu", "accelerator": "v100", "replicas": 1,
        "devicesPerReplica": 1, "data": [{"dataSet": "images", "store": store}] if store else [],
    }  # fmt: skip
    renderer = Renderer(FLEET, {data.key: HubDataSet({"metadata": {"uid": "d"}}, data)})
    made = rendered(renderer, assignment)
    (container,) = made.manifest["spec"]["template"]["spec"]["containers"]
    return str({one["name"]: one.get("value") for one in container["env"]}["POLYHULL_DATA_INPUT_URL"])


def test_a_stream_is_read_where_the_plan_said() -> None:
    assert url(DATA, "site:edge") == "s3://edge/images"
    assert url(DATA, "site:far") == "s3://far/images"


def test_a_replica_at_its_site_is_read_there() -> None:
    here = replace(DATA, replicas=(*HOMES, Replica("cloud", "s3://cloud/images")))
    assert url(here, "site:cloud") == url(here, None) == "s3://cloud/images"


def test_data_that_is_nowhere_to_be_read_is_said() -> None:
    with pytest.raises(InvalidInput, match="is not at cloud yet"):
        url(DATA, None)
    with pytest.raises(InvalidInput, match="is not at cloud yet"):
        url(DATA, "site:moon")


def test_a_copy_in_its_cluster_comes_first() -> None:
    copied = replace(DATA, copies=(Copy("cluster:cloud", "cloud"),))
    renderer = Renderer(FLEET, {copied.key: HubDataSet({"metadata": {"uid": "d"}}, copied)})
    assignment = {
        "cluster": "cloud", "pool": "cloud/v100", "option": "gpu", "accelerator": "v100", "replicas": 1,
        "devicesPerReplica": 1, "data": [{"dataSet": "images", "store": "site:edge"}],
    }  # fmt: skip
    made = rendered(renderer, assignment)
    assert any("persistentVolumeClaim" in one for one in made.manifest["spec"]["template"]["spec"]["volumes"])


WRITES = {
    **RAW["spec"],  # type: ignore[dict-item]
    "data": [],
    "checkpoint": {"size": "300Mi", "mountPath": "/ckpt"},
    "output": {"size": "1Gi", "dataSetRef": {"name": "weights"}},
}
WEIGHTS = make.data_set("weights", 1)


def written(storage: Storage) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Claims, pod spec and status.output of a job that writes both."""
    fleet = make.fleet([make.pool("cloud", "v100")], clusters=[make.cluster("cloud", storage=storage)])
    renderer = Renderer(fleet, {WEIGHTS.key: HubDataSet({"metadata": {"uid": "d"}}, WEIGHTS)})
    assignment = {
        "cluster": "cloud", "pool": "cloud/v100", "option": "gpu", "accelerator": "v100", "replicas": 1,
        "devicesPerReplica": 1, "checkpointIntervalSeconds": 600,
    }  # fmt: skip
    job = HubJob(RAW | {"spec": WRITES, "status": {"assignment": assignment}}, Key("team", "learn"))
    made = renderer.child(job, job.children[0], "hash")
    claims = [one.manifest for one in renderer.claims(job, job.children[0])]
    pod: dict[str, Any] = made.manifest["spec"]["template"]["spec"]
    return claims, pod, renderer.output_status(job, job.children[0])["output"]


def test_what_it_writes_is_claimed_before_it_and_mounted_for_writing() -> None:
    (checkpoint, output), pod, told = written(Storage(StorageKind.VOLUME, storage_class_name="nfs"))
    assert checkpoint["metadata"]["labels"]["polyhull.io/uid"] == "u"
    assert checkpoint["metadata"]["labels"]["polyhull.io/component"] == "checkpoint"
    assert checkpoint["spec"]["resources"]["requests"]["storage"] == "315Mi"
    assert output["metadata"]["labels"]["polyhull.io/uid"] == "d", "it is to become the data set's copy"
    assert output["metadata"]["name"] == copy_name(Owner.of(WEIGHTS.key, "d"), "cluster:cloud")
    mounts = {one["mountPath"]: one for one in pod["containers"][0]["volumeMounts"]}
    assert set(mounts) == {"/ckpt", "/polyhull/output"}
    assert not any("readOnly" in one for one in mounts.values())
    assert all("readOnly" not in one["persistentVolumeClaim"] for one in pod["volumes"])
    assert pod["securityContext"]["fsGroup"] == 65532
    environment = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}
    assert environment["POLYHULL_CHECKPOINT_PATH"] == "/ckpt"
    assert environment["POLYHULL_OUTPUT_PATH"] == "/polyhull/output"
    assert environment["POLYHULL_CHECKPOINT_INTERVAL_SECONDS"] == "600"
    assert told == {"cluster": "cloud", "store": "cluster:cloud", "claimName": output["metadata"]["name"]}


def test_in_a_bucket_it_is_told_where_to_write() -> None:
    claims, pod, told = written(Storage(StorageKind.BUCKET, url="s3://copies", secret_name="keys"))
    assert claims == []
    environment = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}
    assert environment["POLYHULL_CHECKPOINT_URL"].startswith("s3://copies/team/learn-")
    assert environment["POLYHULL_CHECKPOINT_URL"].endswith("/checkpoint")
    assert environment["POLYHULL_OUTPUT_URL"] == told["url"]
    assert told["url"].startswith("s3://copies/team/weights-")
    assert {"secretRef": {"name": "keys"}} in pod["containers"][0]["envFrom"]
