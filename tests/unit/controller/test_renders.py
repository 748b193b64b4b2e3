"""Where a pod finds its data: the copy in its cluster, the replica at its site, or the one it streams from."""

from dataclasses import replace
from typing import Any

import pytest

from polyhull.controller.hubjob import HubJob
from polyhull.controller.renders import HubDataSet, Renderer
from polyhull.delivery.base import Apply
from polyhull.domain.errors import InvalidInput
from polyhull.domain.workloads import Copy, DataSet, Key, Replica
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
