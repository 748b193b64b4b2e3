"""The live operator with a hub and two members: data that moves, members that fail, and never the same job twice."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.ground.fleet import Pool
from hack.ground.ground import Cluster, Ground
from tests.cluster.operating import (
    Operator,
    allow_no_pods,
    condition,
    data_set,
    finish_pods,
    get,
    install_crds,
    job,
    link,
    listed,
    member,
    option,
    running,
    site,
    wait_for,
)
from tests.unit.api.samples import product_objects

FLEET = """
clusters:
  - name: hub
    site: cloud
    pools: [{name: hub-cpu, count: 1, cpu: 8, memory: 32Gi}]
  - name: edge
    site: edge
    pools:
      - {name: edge-cpu, count: 1, cpu: 16, memory: 64Gi}
      - name: edge-broken
        count: 1
        cpu: 8
        memory: 64Gi
        accelerator: amd.com/gpu
        devices: 4
        labels: {polyhull.io/accelerator: amd-mi300x}
        fault: CreateContainerConfigError
      - name: edge-unpulled
        count: 1
        cpu: 8
        memory: 64Gi
        accelerator: habana.ai/gaudi
        devices: 4
        labels: {polyhull.io/accelerator: intel-gaudi2}
        fault: ImagePullBackOff
      - name: edge-unmounted
        count: 1
        cpu: 8
        memory: 64Gi
        accelerator: habana.ai/gaudi
        devices: 4
        labels: {polyhull.io/accelerator: intel-gaudi3}
        fault: FailedMount
      - name: edge-npu
        count: 1
        cpu: 64
        memory: 512Gi
        accelerator: huawei.com/Ascend910
        devices: 8
        labels: {accelerator-type: module-910b}
  - name: cloud
    site: cloud
    pools:
      - name: cloud-gpu
        count: 2
        cpu: 64
        memory: 512Gi
        accelerator: nvidia.com/gpu
        devices: 8
        labels: {polyhull.io/accelerator: nvidia-v100}
      - {name: cloud-cpu, count: 1, cpu: 32, memory: 128Gi}
"""
SERVICE_EXPORTS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "serviceexports.multicluster.x-k8s.io",
        "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes/enhancements/pull/1748"},
    },
    "spec": {
        "group": "multicluster.x-k8s.io",
        "names": {"kind": "ServiceExport", "plural": "serviceexports"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
        ],
    },
}
PATIENCE = "Patience(unbound=10.0, stuck=4.0, podless=2.0, back_off=20.0, tombstone=3.0)"
TEMPO = "Tempo(probe=0.5, silence=5.0, discovery=60.0)"
VOLUME = {"volume": {"storageClassName": "ground", "capacity": "10Gi"}}
Space = Callable[[str], str]
BUCKET = {"bucket": {"url": "s3://copies", "secretName": "copies-s3"}}


@pytest.fixture(scope="module")
def fleet(binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    directory = tmp_path_factory.mktemp("members")
    (directory / "fleet.yaml").write_text(FLEET)
    with Ground.start(directory / "fleet.yaml", directory, binaries) as started:
        hub = started.clusters["hub"]
        install_crds(hub)
        hub.kubectl("create", "namespace", "polyhull-system")
        _nothing_starts(started, "cordon")
        for name in ("edge", "cloud"):  # before the operator asks what they serve
            started.clusters[name].kubectl("apply", "-f", "-", stdin=SERVICE_EXPORTS)
        objects = [site("edge"), site("cloud"), link("edge", "cloud", "1G"), link("cloud", "edge", "1G")]
        objects += member(started, "edge", "edge", storage=VOLUME) + member(started, "cloud", "cloud", storage=BUCKET)
        hub.kubectl("apply", "-f", "-", stdin=objects)
        yield started


@pytest.fixture(scope="module")
def operator(fleet: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    directory = tmp_path_factory.mktemp("operator")
    with running(fleet.clusters["hub"], directory, pod_patience=PATIENCE, tempo=TEMPO) as started:
        yield started


@pytest.fixture
def space(fleet: Ground) -> Iterator[Callable[[str], str]]:
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        for cluster in fleet.clusters.values():
            cluster.create_namespace(name, {"polyhull.io/accept": "true"})
        return name

    yield make
    for name in made:
        fleet.clusters["hub"].kubectl(
            "delete", "trainingjobs,datasets,inferencejobs", "--all", "-n", name, "--wait=false"
        )


@pytest.fixture(scope="module")
def hub(fleet: Ground) -> Cluster:
    return fleet.clusters["hub"]


def _placed(hub: Cluster, namespace: str, name: str) -> bool:
    return condition(get(hub, "trainingjob", namespace, name), "Placed") == ("True", "Bound")


def _cluster_of(hub: Cluster, namespace: str, name: str) -> str:
    told = ((get(hub, "trainingjob", namespace, name) or {}).get("status") or {}).get("assignment") or {}
    return str(told.get("cluster", ""))


def _exclusions(hub: Cluster, kind: str, namespace: str, name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = ((get(hub, kind, namespace, name) or {}).get("status") or {}).get(
        "exclusions"
    ) or []
    return found


def _stores(hub: Cluster, namespace: str, data_set: str) -> list[str]:
    """Where copies of the data set are recorded."""
    copies = ((get(hub, "dataset", namespace, data_set) or {}).get("status") or {}).get("copies") or ()
    return [str(copy["store"]) for copy in copies]


def _connected(hub: Cluster, name: str) -> tuple[str, str]:
    return condition(get(hub, "membercluster", "", name), "Connected")


def test_data_moves_first_and_then_the_job_starts(
    fleet: Ground, hub: Cluster, operator: Operator, space: Callable[[str], str]
) -> None:
    name = space("moves")
    cloud = fleet.clusters["cloud"]
    data = data_set(name, "images", "100M", "edge")
    reads = [{"name": "images", "dataSetRef": {"name": "images"}}]
    hub.kubectl("apply", "-f", "-", stdin=[data, job(name, "learn", option("nvidia-v100", devices=8), data=reads)])
    (copy,) = wait_for("the copy's Job", lambda: listed(cloud, "jobs", name))
    container = copy["spec"]["template"]["spec"]["containers"][0]
    assert "--bwlimit=112500000B" in container["args"]  # 0.9 of 1 Gbit/s
    wait_for(
        "the data set says so",
        lambda: ((get(hub, "dataset", name, "images") or {}).get("status") or {}).get("transfers"),
    )
    assert len(listed(cloud, "jobs", name)) == 1, "the job must wait for its data"
    wait_for("its pod runs", lambda: [pod for pod in listed(cloud, "pods", name) if pod["spec"].get("nodeName")])
    finish_pods(cloud, name)
    wait_for("placed", lambda: _placed(hub, name, "learn"))
    copies = (get(hub, "dataset", name, "images") or {})["status"]["copies"]
    assert [(entry["store"], entry["cluster"]) for entry in copies] == [("site:cloud", "cloud")]
    (pod,) = [pod for pod in listed(cloud, "pods", name) if "learn" in pod["metadata"]["name"]]
    environment = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
    assert environment["POLYHULL_DATA_IMAGES_URL"].startswith("s3://copies/")
    wait_for("the copy's Job is removed", lambda: len(listed(cloud, "jobs", name)) == 1)
    finish_pods(cloud, name)
    wait_for("succeeded", lambda: condition(get(hub, "trainingjob", name, "learn"), "Succeeded")[0] == "True")


def test_one_job_over_two_clusters_runs_with_all_its_parts_or_none(
    fleet: Ground, hub: Cluster, operator: Operator, space: Callable[[str], str]
) -> None:
    """Three pods of twelve cores: one fits the edge, two the cloud."""
    name = space("spans")
    members = {at: fleet.clusters[at] for at in ("cloud", "edge")}
    crossing = {"crossSite": {"mode": "DataParallel", "model": {"gradientBytes": "1000"}}}

    def large(entry: str, **more: Any) -> dict[str, Any]:
        return job(name, entry, option("cpu", devices=12, replicas=3), placement=crossing, **more)

    def jobs() -> list[tuple[str, int]]:
        held = [(at, body) for at, cluster in members.items() for body in listed(cluster, "jobs", name)]
        return [(at, body["spec"]["completions"]) for at, body in held]

    def status(entry: str) -> dict[str, Any]:
        return (get(hub, "trainingjob", name, entry) or {}).get("status") or {}

    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": name},
        "spec": {"hard": {"count/jobs.batch": "0"}},
    }
    members["edge"].kubectl("apply", "-f", "-", stdin=quota)
    wait_for("the quota holds", lambda: (get(members["edge"], "resourcequota", name, "none") or {}).get("status"))
    hub.kubectl("apply", "-f", "-", stdin=large("refused"))
    (why,) = wait_for("one member says no", lambda: _exclusions(hub, "trainingjob", name, "refused"))
    assert (why["cluster"], why["reason"]) == ("edge", "QuotaExceeded")
    wait_for("then the other's part is taken back", lambda: not jobs() and "assignment" not in status("refused"))
    assert not listed(members["cloud"], "pods", name), "it was held there and never ran"
    hub.kubectl("delete", "trainingjob", "refused", "-n", name)
    members["edge"].kubectl("delete", "resourcequota", "none", "-n", name)

    hub.kubectl("apply", "-f", "-", stdin=large("trains", checkpoint={"size": "1Gi"}, output={"size": "1Gi"}))
    wait_for("both parts are bound", lambda: _placed(hub, name, "trains"))
    told = status("trains")["assignment"]
    assert [(part["cluster"], part["replicas"], part["firstRank"]) for part in told["parts"]] == [
        ("cloud", 2, 0),
        ("edge", 1, 2),
    ]
    assert (told["spans"], jobs()) == ("cloud,edge", [("cloud", 2), ("edge", 1)])
    (pod,) = listed(members["edge"], "pods", name)

    def exports() -> list[dict[str, Any]]:
        """What was refused goes with its Job, by the garbage collector, in its own time."""
        held = listed(members["cloud"], "serviceexports", name)
        return [one for one in held if one["metadata"]["name"].startswith("trains")]

    (export,) = exports()
    environment = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
    assert environment["MASTER_ADDR"] == f"{export['metadata']['name']}.{name}.svc.clusterset.local"
    assert [environment[one] for one in ("NODE_RANK", "NNODES", "WORLD_SIZE")] == ["2", "3", "36"]
    leader = next(
        one for one in listed(members["cloud"], "pods", name) if one["metadata"]["name"].startswith("trains")
    )
    handed = {one["name"]: one.get("value") for one in leader["spec"]["containers"][0]["env"]}
    assert handed["POLYHULL_OUTPUT_URL"] == status("trains")["output"]["url"]
    assert "POLYHULL_OUTPUT_URL" not in environment and not listed(members["edge"], "pvc", name), "where rank 0 is"
    folder = status("trains")["output"]["url"].removesuffix("/output")
    assert {one["url"] for one in status("trains")["kept"]} == {f"{folder}/checkpoint", f"{folder}/output"}
    for cluster in members.values():
        finish_pods(cluster, name)
    wait_for("both parts ended", lambda: condition(get(hub, "trainingjob", name, "trains"), "Succeeded")[0] == "True")

    def removing(entry: str) -> bool:
        """A Job in the cloud that removes it from the bucket, alone there."""
        called = [one["spec"]["template"]["spec"]["containers"][0] for one in listed(members["cloud"], "jobs", name)]
        path = f"target:{folder.removeprefix('s3://')}/{entry}"
        return [one.get("args", [])[:2] for one in called] == [["purge", path]]

    def gone() -> bool:
        finish_pods(members["cloud"], name)
        return not jobs()

    wait_for("its checkpoints are removed", lambda: removing("checkpoint"))
    wait_for("nothing runs any more", lambda: gone() and not listed(members["cloud"], "serviceexports", name))
    assert [one["entry"] for one in status("trains")["kept"]] == ["Output"], "that stays with the object"
    hub.kubectl("delete", "trainingjob", "trains", "-n", name, "--wait=false")
    wait_for("its output is removed", lambda: removing("output"))
    wait_for("with it the object", lambda: gone() and get(hub, "trainingjob", name, "trains") is None)

    hub.kubectl("apply", "-f", "-", stdin=large("leaves"))
    wait_for("placed", lambda: _placed(hub, name, "leaves"))
    hub.kubectl("delete", "trainingjob", "leaves", "-n", name)
    wait_for("deleted in both", lambda: not jobs() and get(hub, "trainingjob", name, "leaves") is None)


def test_a_split_copy_is_there_when_all_its_parts_are(
    fleet: Ground, hub: Cluster, operator: Operator, space: Callable[[str], str], request: pytest.FixtureRequest
) -> None:
    name = space("split")
    cloud = fleet.clusters["cloud"]
    policy = {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "PlacementPolicy",
        "metadata": {"name": "default"},
        "spec": {"transfers": {"split": "Allowed"}},
    }
    homes = [
        {"site": place, "url": f"s3://{place}/images", "secretName": f"{place}-s3"} for place in ("edge", "shore")
    ]
    data = {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "DataSet",
        "metadata": {"name": "images", "namespace": name},
        "spec": {"size": "900M", "largestFile": "1M", "replicas": homes},
    }
    reads = [{"name": "images", "dataSetRef": {"name": "images"}}]
    request.addfinalizer(lambda: hub.kubectl("delete", "placementpolicy", "default"))
    hub.kubectl("apply", "-f", "-", stdin=[policy, site("shore"), link("shore", "cloud", "500M"), data])
    hub.kubectl("apply", "-f", "-", stdin=[job(name, "learn", option("nvidia-v100", devices=8), data=reads)])

    def said() -> dict[str, Any]:
        return (get(hub, "dataset", name, "images") or {}).get("status") or {}

    def parts() -> dict[str, dict[str, Any]]:
        return {one["metadata"]["annotations"]["polyhull.io/part"]: one for one in listed(cloud, "jobs", name)}

    def part(entry: str) -> list[dict[str, Any]]:
        return [
            pod for pod in listed(cloud, "pods", name) if pod["metadata"]["annotations"]["polyhull.io/part"] == entry
        ]

    two = wait_for("a Job for each part", lambda: found if len(found := parts()) == 2 else None)
    arguments = {entry: one["spec"]["template"]["spec"]["containers"][0]["args"] for entry, one in two.items()}
    assert [arguments[entry][1] for entry in ("1/2", "2/2")] == ["source:edge/images", "source:shore/images"]
    assert "--bwlimit=112500000B" in arguments["1/2"] and "--bwlimit=56250000B" in arguments["2/2"]
    (active,) = wait_for("they are recorded", lambda: said().get("transfers"))
    assert [one["sourceSite"] for one in active["parts"]] == ["edge", "shore"]
    assert sum(one["transferBytes"] for one in active["parts"]) == 900_000_000
    # One that disappears is made again while the other goes on.
    cloud.kubectl("delete", "job", two["2/2"]["metadata"]["name"], "-n", name)
    wait_for("both run", lambda: all(any(pod["spec"].get("nodeName") for pod in part(k)) for k in ("1/2", "2/2")))
    finish_pods(cloud, name, only=part("1/2"))
    wait_for("one part is done", lambda: (parts()["1/2"].get("status") or {}).get("succeeded"))
    assert not said().get("copies"), "half a copy is none"
    finish_pods(cloud, name)
    wait_for("placed", lambda: _placed(hub, name, "learn"))
    assert [copy["store"] for copy in said()["copies"]] == ["site:cloud"] and not said().get("transfers")
    wait_for("the parts' Jobs are removed", lambda: len(listed(cloud, "jobs", name)) == 1)


def test_a_streamed_data_set_is_read_from_where_it_is(
    fleet: Ground, hub: Cluster, operator: Operator, space: Callable[[str], str]
) -> None:
    name = space("stream")
    cloud = fleet.clusters["cloud"]
    data = data_set(name, "images", "100M", "edge")
    reads = [{"name": "images", "dataSetRef": {"name": "images"}, "access": "Stream", "chunks": 4}]
    hub.kubectl("apply", "-f", "-", stdin=[data, job(name, "learn", option("nvidia-v100", devices=8), data=reads)])
    wait_for("placed", lambda: _placed(hub, name, "learn"), 60.0)
    (pod,) = listed(cloud, "pods", name)
    environment = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
    assert environment["POLYHULL_DATA_IMAGES_URL"] == "s3://edge/images"
    assignment = (get(hub, "trainingjob", name, "learn") or {})["status"]["assignment"]
    assert assignment["data"] == [{"dataSet": "images", "store": "site:edge"}]


def test_the_sample_of_the_design_runs_and_leaves_a_data_set_that_is_read_where_it_was_written(
    fleet: Ground, hub: Cluster, operator: Operator, space: Space, request: pytest.FixtureRequest
) -> None:
    """As the design says it, checkpoint and output included; the fleet has its NPU, in a confidential pool."""
    name, edge = space("sample"), fleet.clusters["edge"]

    def data(entry: str, *urls: str) -> dict[str, Any]:
        spec = {"size": "200Mi", "replicas": [{"site": "edge", "url": url} for url in urls]}
        meta = {"name": entry, "namespace": name}
        return {"apiVersion": "polyhull.io/v1alpha1", "kind": "DataSet", "metadata": meta, "spec": spec}

    def claims() -> dict[str, str]:
        """Component by claim, of those that Polyhull made."""
        return {
            one["metadata"]["labels"]["polyhull.io/component"]: one["metadata"]["name"]
            for one in listed(edge, "pvc", name)
            if "labels" in one["metadata"]
        }

    def finishing(look: Callable[[], bool]) -> bool:
        finish_pods(edge, name)
        return look()

    pool = {"cluster": "edge", "accelerator": "ascend-910b", "confidential": True}
    pool["nodeSelector"] = {"accelerator-type": "module-910b"}
    meta = {"name": "npu"}
    request.addfinalizer(lambda: hub.kubectl("delete", "computepool", "npu", "--wait=false"))
    hub.kubectl("patch", "site", "edge", "--type=merge", "-p", '{"spec": {"labels": {"country": "cn"}}}')
    storage = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    home = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "imagenet", "namespace": name}}
    edge.kubectl("apply", "-f", "-", stdin=[{**home, "spec": {**storage, "storageClassName": "ground"}}])
    sample = next(raw for raw in product_objects() if raw["kind"] == "TrainingJob")
    sample["metadata"]["namespace"] = name
    declared = {"apiVersion": "polyhull.io/v1alpha1", "kind": "ComputePool", "metadata": meta, "spec": pool}
    objects = [declared, data("imagenet", "pvc://imagenet"), data("resnet-weights"), sample]
    hub.kubectl("apply", "-f", "-", stdin=objects)

    wait_for("placed", lambda: _placed(hub, name, "resnet"), 60.0)
    (pod,) = listed(edge, "pods", name)
    mounts = {one["mountPath"]: one for one in pod["spec"]["containers"][0]["volumeMounts"]}
    assert {path: one.get("readOnly", False) for path, one in mounts.items()} == {
        "/data": True, "/ckpt": False, "/out": False,
    }  # fmt: skip
    assert set(claims()) == {"checkpoint", "copy"}
    status = (get(hub, "trainingjob", name, "resnet") or {})["status"]
    assert status["output"] == {"cluster": "edge", "store": "cluster:edge", "claimName": claims()["copy"]}
    assert status["assignment"]["checkpointIntervalSeconds"] == 600
    assert status["explanation"]["failureSeconds"] >= 1
    wait_for(
        "succeeded",
        lambda: finishing(lambda: condition(get(hub, "trainingjob", name, "resnet"), "Succeeded")[0] == "True"),
        60.0,
    )

    wait_for("its output is recorded", lambda: _stores(hub, name, "resnet-weights") == ["cluster:edge"])
    wait_for("its checkpoints are gone, its output is not", lambda: set(claims()) == {"copy"})
    reads = [{"name": "weights", "dataSetRef": {"name": "resnet-weights"}, "mountPath": "/model"}]
    hub.kubectl("apply", "-f", "-", stdin=[job(name, "evaluate", option("cpu"), data=reads)])
    wait_for("who reads it runs there", lambda: _placed(hub, name, "evaluate"), 60.0)
    assert _cluster_of(hub, name, "evaluate") == "edge"
    assert not listed(edge, "jobs", name)[1:], "nothing was copied"
    hub.kubectl("delete", "trainingjobs,datasets", "--all", "-n", name, "--wait=false")
    wait_for("nothing is left", lambda: not claims() and not listed(edge, "jobs,pods", name), 60.0)


@pytest.fixture
def moving(hub: Cluster) -> Iterator[None]:
    """A policy that lets running jobs move at once."""
    calm = {"moveRunning": "Allowed", "coolDownSeconds": 0}
    policy = {"apiVersion": "polyhull.io/v1alpha1", "kind": "PlacementPolicy", "metadata": {"name": "default"}}
    hub.kubectl("apply", "-f", "-", stdin=[{**policy, "spec": {"stabilisation": calm}}])
    yield
    hub.kubectl("delete", "placementpolicy", "default")


def _saving(namespace: str, *options: dict[str, Any]) -> dict[str, Any]:
    """A job of an hour on its first option that saves itself every ten seconds."""
    made = job(namespace, "learn", *options, quantity="3600", checkpoint={"size": "1Mi", "intervalSeconds": 10})
    made["spec"]["template"]["terminationGracePeriodSeconds"] = 2
    return made


def _workers(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    jobs = listed(cluster, "jobs", namespace)
    return [one for one in jobs if one["metadata"]["labels"]["polyhull.io/component"] == "workers"]


def test_a_running_job_moves_to_a_faster_pool_of_its_cluster_and_its_claim_stays(
    fleet: Ground, hub: Cluster, operator: Operator, space: Space, request: pytest.FixtureRequest, moving: None
) -> None:
    name, edge = space("faster"), fleet.clusters["edge"]

    def status() -> dict[str, Any]:
        return (get(hub, "trainingjob", name, "learn") or {}).get("status") or {}

    request.addfinalizer(lambda: edge.kubectl("uncordon", "edge-npu-0"))
    edge.kubectl("cordon", "edge-npu-0")
    options = option("cpu", devices=4, rate="1"), option("ascend-910b", devices=8, rate="100")
    learn = _saving(name, *options)
    learn["spec"]["placement"] = {"sites": {"matchLabels": {"place": "edge"}}}
    hub.kubectl("patch", "site", "edge", "--type=merge", "-p", '{"spec": {"labels": {"place": "edge"}}}')
    hub.kubectl("apply", "-f", "-", stdin=[learn])
    wait_for("it runs", lambda: status().get("startTime"))
    assert status()["assignment"]["accelerator"] == "cpu"
    ((slow,), (claim,)) = _workers(edge, name), listed(edge, "pvc", name)
    edge.kubectl("uncordon", "edge-npu-0")
    wait_for("it runs again", lambda: (status().get("move") or {}).get("phase") == "Resumed")
    (fast,) = _workers(edge, name)
    assert status()["assignment"]["accelerator"] == "ascend-910b"
    assert fast["metadata"]["name"] == slow["metadata"]["name"] and fast["metadata"]["uid"] != slow["metadata"]["uid"]
    assert [one["metadata"]["uid"] for one in listed(edge, "pvc", name)] == [claim["metadata"]["uid"]]
    told = status()["move"]
    assert (told["fromOption"], told["toOption"], told["moves"]) == ("cpu", "ascend-910b", 1)
    assert float(told["workDone"]) < 3600 and told["gainSeconds"] > 1000
    assert "failedAttempts" not in status()
    assert operator.figure('polyhull_running_jobs_moved_total{where="inside"}') == 1.0
    wait_for("it ends", lambda: finish_pods(edge, name) or condition({"status": status()}, "Succeeded")[0] == "True")
    assert told == status()["move"], "once"


def test_killed_between_stop_and_start_a_moved_job_goes_on_in_the_other_cluster_and_ends_once(
    fleet: Ground, hub: Cluster, operator: Operator, space: Space, request: pytest.FixtureRequest, moving: None
) -> None:
    name = space("carried")
    edge, cloud = fleet.clusters["edge"], fleet.clusters["cloud"]

    def patched(member: str, **spec: Any) -> None:
        hub.kubectl("patch", "membercluster", member, "--type=merge", "-p", json.dumps({"spec": spec}))

    def status() -> dict[str, Any]:
        return (get(hub, "trainingjob", name, "learn") or {}).get("status") or {}

    def phase() -> str:
        assert len(_workers(edge, name) + _workers(cloud, name)) <= 1, "never in two places"
        return str((status().get("move") or {}).get("phase"))

    request.addfinalizer(lambda: edge.kubectl("uncordon", "edge-broken-0"))
    edge.kubectl("cordon", "edge-broken-0")  # where no pod starts, one that removes neither
    request.addfinalizer(lambda: patched("edge", storage={**VOLUME, "bucket": None}))
    request.addfinalizer(lambda: patched("cloud", drain=False))
    patched("edge", storage={"volume": None, "bucket": {"url": "s3://edge-copies", "secretName": "edge-s3"}})
    patched("cloud", drain=True)
    options = option("cpu", devices=4, rate="1"), option("nvidia-v100", devices=8, rate="100")
    hub.kubectl("apply", "-f", "-", stdin=[_saving(name, *options)])
    wait_for("it runs at the edge", lambda: status().get("startTime"))
    assert _cluster_of(hub, name, "learn") == "edge"
    patched("cloud", drain=False)
    (copy,) = wait_for("its checkpoint is carried", lambda: phase() == "Carrying" and listed(cloud, "jobs", name))
    arguments = copy["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments[1].startswith("source:edge-copies/") and arguments[2].startswith("target:copies/")
    assert not _workers(edge, name)
    operator.kill()
    wait_for("its pod runs", lambda: [pod for pod in listed(cloud, "pods", name) if pod["spec"].get("nodeName")])
    finish_pods(cloud, name)
    operator.revive()
    wait_for("it runs in the cloud", lambda: phase() == "Resumed")
    (pod,) = [
        pod for pod in listed(cloud, "pods", name) if pod["metadata"]["labels"]["polyhull.io/kind"] != "Checkpoint"
    ]
    environment = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
    assert environment["POLYHULL_CHECKPOINT_URL"] == f"s3://{arguments[2].removeprefix('target:')}"
    assert [one["store"] for one in status()["move"]["stores"]] == ["site:cloud"]
    wait_for("the carrying Job is removed", lambda: len(listed(cloud, "jobs", name)) == 1)
    (removing,) = wait_for("what it left is removed", lambda: listed(edge, "jobs", name))
    folder = arguments[1].removeprefix("source:")
    assert f"target:{folder}" in removing["spec"]["template"]["spec"]["containers"][0]["args"]
    wait_for("nothing is left there", lambda: finish_pods(edge, name) or not listed(edge, "jobs,pods", name))
    wait_for("it ends", lambda: finish_pods(cloud, name) or condition({"status": status()}, "Succeeded")[0] == "True")


def test_a_copy_that_nobody_reads_makes_room_for_one_that_is_wanted(
    fleet: Ground, hub: Cluster, operator: Operator, space: Callable[[str], str], request: pytest.FixtureRequest
) -> None:
    name = space("full")
    edge = fleet.clusters["edge"]
    request.addfinalizer(lambda: edge.kubectl("uncordon", "edge-broken-0"))
    edge.kubectl("cordon", "edge-broken-0")  # where no pod starts, a copy's neither

    def stored(entry: str) -> list[str]:
        return _stores(hub, name, entry)

    def claims() -> list[str]:
        return [one["metadata"]["labels"]["polyhull.io/name"] for one in listed(edge, "pvc", name)]

    def succeeded(entry: str) -> bool:
        return condition(get(hub, "trainingjob", name, entry), "Succeeded")[0] == "True"

    def finishing(look: Callable[[], bool]) -> bool:
        finish_pods(edge, name)
        return look()

    hub.kubectl("patch", "site", "edge", "--type=merge", "-p", '{"spec": {"labels": {"place": "edge"}}}')
    for entry in ("first", "second"):
        reads = [{"name": "input", "dataSetRef": {"name": entry}}]
        learn = job(name, f"reads-{entry}", option("cpu", devices=1), data=reads)
        learn["spec"]["placement"] = {"sites": {"matchLabels": {"place": "edge"}}}
        hub.kubectl("apply", "-f", "-", stdin=[data_set(name, entry, "6Gi", "cloud"), learn])
        done = f"reads-{entry}"
        wait_for(
            "the copy is recorded", lambda entry=entry: finishing(lambda: stored(entry) == ["cluster:edge"]), 60.0
        )
        wait_for("succeeded", lambda done=done: finishing(lambda: succeeded(done)), 60.0)
    assert stored("first") == []
    wait_for("only the second's claim is left", lambda: claims() == ["second"])


def test_a_pod_that_misses_its_secret_is_taken_back_and_the_job_runs_elsewhere(
    fleet: Ground, hub: Cluster, operator: Operator, space: Callable[[str], str]
) -> None:
    name = space("stuck")
    options = (option("amd-mi300x", devices=4, rate="1000"), option("nvidia-v100", devices=1, rate="1"))
    hub.kubectl("apply", "-f", "-", stdin=job(name, "picky", *options, quantity="1000"))
    wait_for("first where it is fastest", lambda: _cluster_of(hub, name, "picky") == "edge")
    # Kept beside the next assignment; the condition that says it too is soon another.
    (why,) = wait_for("it says what is missing", lambda: _exclusions(hub, "trainingjob", name, "picky"))
    assert (why["cluster"], why["reason"]) == ("edge", "DependencyMissing")
    wait_for("then the next best", lambda: _cluster_of(hub, name, "picky") == "cloud")
    wait_for("placed", lambda: _placed(hub, name, "picky"))
    assert listed(fleet.clusters["edge"], "jobs", name) == []


def test_a_broken_kubeconfig_is_a_condition_and_the_others_go_on(
    fleet: Ground, hub: Cluster, operator: Operator, space: Callable[[str], str]
) -> None:
    name = space("broken")
    broken = member(fleet, "edge", "edge")
    broken[0]["metadata"]["name"] = broken[1]["spec"]["kubeconfigSecretRef"]["name"] = "broken-kubeconfig"
    broken[1]["metadata"]["name"] = "broken"
    broken[0]["stringData"]["kubeconfig"] = "users: [{name: u, user: {exec: {command: sh}}}]"
    hub.kubectl("apply", "-f", "-", stdin=broken)
    wait_for("it says so", lambda: _connected(hub, "broken") == ("False", "InvalidCredentials"))
    hub.kubectl("apply", "-f", "-", stdin=job(name, "on"))
    wait_for("placed", lambda: _placed(hub, name, "on"))
    hub.kubectl("delete", "membercluster", "broken")


def test_an_unreachable_member_keeps_its_jobs_and_they_are_placed_nowhere_else(
    fleet: Ground, hub: Cluster, operator: Operator, space: Callable[[str], str]
) -> None:
    name = space("silent")
    edge, cloud = fleet.clusters["edge"], fleet.clusters["cloud"]
    options = (option("amd-mi300x", devices=1, rate="1"), option("cpu", devices=14, rate="1000"))
    hub.kubectl("cordon", "hub-cpu-0", check=False)
    cloud.kubectl("cordon", "cloud-cpu-0")
    hub.kubectl("apply", "-f", "-", stdin=job(name, "stays", *options))
    wait_for("placed at the edge", lambda: _placed(hub, name, "stays") and _cluster_of(hub, name, "stays") == "edge")
    cloud.kubectl("uncordon", "cloud-cpu-0")
    edge.freeze()
    try:
        wait_for("it is noticed", lambda: _connected(hub, "edge") == ("False", "Unreachable"))
        wait_for(
            "the job says so",
            lambda: condition(get(hub, "trainingjob", name, "stays"), "Placed") == ("Unknown", "MemberUnreachable"),
        )
        operator.kill()
        operator.revive()
        wait_for("after a restart too", lambda: "polyhull_jobs{" in operator.metrics())
        hub.kubectl("apply", "-f", "-", stdin=job(name, "new"))
        wait_for("new work goes elsewhere", lambda: _cluster_of(hub, name, "new") == "cloud")
        assert _cluster_of(hub, name, "stays") == "edge"
        assert [body for body in listed(cloud, "jobs", name) if "stays" in body["metadata"]["name"]] == []
    finally:
        edge.thaw()
    wait_for("it is back", lambda: _connected(hub, "edge") == ("True", "Connected"))
    wait_for("and so is the job", lambda: _placed(hub, name, "stays"))
    finish_pods(edge, name)
    wait_for("it ends there", lambda: condition(get(hub, "trainingjob", name, "stays"), "Succeeded")[0] == "True")


def test_fenced_its_jobs_are_placed_elsewhere_and_what_returns_is_removed(
    fleet: Ground, hub: Cluster, operator: Operator, space: Callable[[str], str]
) -> None:
    name = space("fenced")
    edge, cloud = fleet.clusters["edge"], fleet.clusters["cloud"]
    cloud.kubectl("cordon", "cloud-cpu-0")
    hub.kubectl("apply", "-f", "-", stdin=job(name, "moved", option("cpu", devices=10)))
    wait_for("placed at the edge", lambda: _placed(hub, name, "moved") and _cluster_of(hub, name, "moved") == "edge")
    cloud.kubectl("uncordon", "cloud-cpu-0")
    edge.freeze()
    try:
        wait_for("it is noticed", lambda: _connected(hub, "edge") == ("False", "Unreachable"))
        hub.client.patch("/apis/polyhull.io/v1alpha1/memberclusters/edge", {"spec": {"fenced": True}})
        wait_for(
            "placed elsewhere", lambda: _placed(hub, name, "moved") and _cluster_of(hub, name, "moved") == "cloud"
        )
    finally:
        edge.thaw()
        hub.client.patch("/apis/polyhull.io/v1alpha1/memberclusters/edge", {"spec": {"fenced": False}})
    wait_for("what was left there goes", lambda: not listed(edge, "jobs", name))
    assert _cluster_of(hub, name, "moved") == "cloud"


def test_online_replicas_are_deployed_where_the_plan_says_and_leave_with_it(
    fleet: Ground, hub: Cluster, operator: Operator, space: Callable[[str], str]
) -> None:
    name = space("online")
    cloud = fleet.clusters["cloud"]
    service = {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "InferenceJob",
        "metadata": {"name": "chat", "namespace": name},
        "spec": {
            "mode": "Online",
            "demand": [{"site": "cloud", "requestsPerSecond": "15"}],
            "objective": {"latencyMilliseconds": 1000, "percentile": 95},
            "variants": [
                {
                    "name": "large",
                    "accelerator": "nvidia-v100",
                    "devicesPerReplica": 2,
                    "rate": "10",
                    "serviceMilliseconds": 100,
                    "quality": "0.8",
                }
            ],
            "template": {"image": "simulated", "ports": [{"name": "http", "containerPort": 8000}]},
        },
    }
    hub.kubectl("apply", "-f", "-", stdin=service)
    wait_for("ready", lambda: condition(get(hub, "inferencejob", name, "chat"), "Ready") == ("True", "Serving"))
    (deployment,) = listed(cloud, "deployments", name)
    body = get(hub, "inferencejob", name, "chat")
    assert body is not None
    assert body["status"]["replicas"] == deployment["spec"]["replicas"] >= 2
    assert body["status"]["routes"][0]["origin"] == "cloud"
    assert [entry["spec"]["ports"][0]["port"] for entry in listed(cloud, "services", name)] == [8000]
    hub.kubectl("delete", "inferencejob", "chat", "-n", name, "--wait=false")
    wait_for("it is gone", lambda: get(hub, "inferencejob", name, "chat") is None)
    wait_for(
        "nothing is left", lambda: not listed(cloud, "deployments", name) and not listed(cloud, "services", name)
    )


def _service(namespace: str, name: str, *accelerators: str, rate: str = "15", **spec: Any) -> dict[str, Any]:
    variants = [
        {
            "name": f"on-{accelerator}",
            "accelerator": accelerator,
            "devicesPerReplica": 2,
            "rate": "10",
            "serviceMilliseconds": 100,
            "quality": "0.8",
        }
        for accelerator in accelerators
    ]
    return {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "InferenceJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "mode": "Online",
            "demand": [{"site": "edge", "requestsPerSecond": rate}],
            "objective": {"latencyMilliseconds": 2000, "percentile": 95},
            "variants": variants,
            "template": {"image": "simulated", "ports": [{"name": "http", "containerPort": 8000}]},
            **spec,
        },
    }


def _ready(hub: Cluster, namespace: str, name: str) -> tuple[str, str]:
    return condition(get(hub, "inferencejob", namespace, name), "Ready")


def _message(hub: Cluster, kind: str, namespace: str, name: str, of: str) -> str:
    body = get(hub, kind, namespace, name) or {}
    return next(entry["message"] for entry in body["status"]["conditions"] if entry["type"] == of)


def _gpus(fleet: Ground, verb: str) -> None:
    for node in ("cloud-gpu-0", "cloud-gpu-1"):
        fleet.clusters["cloud"].kubectl(verb, node)


def _nothing_starts(fleet: Ground, verb: str) -> None:
    """Nodes for one test alone: a copy's pod that came there would fail too."""
    for node in ("edge-unpulled-0", "edge-unmounted-0"):
        fleet.clusters["edge"].kubectl(verb, node)


def test_a_service_whose_pods_miss_something_moves_to_the_next_best(
    fleet: Ground, hub: Cluster, operator: Operator, space: Space, request: pytest.FixtureRequest
) -> None:
    _nothing_starts(fleet, "uncordon")
    request.addfinalizer(lambda: _nothing_starts(fleet, "cordon"))
    name = space("restless")
    edge = fleet.clusters["edge"]
    # Beside it three that have no other place: pods miss their image, a volume, or a node (their claim is none).
    alone = {"unpulled": "intel-gaudi2", "unmounted": "intel-gaudi3", "unbound": "ascend-910b"}
    services = {entry: _service(name, entry, accelerator) for entry, accelerator in alone.items()}
    claim = {"size": "1M", "replicas": [{"site": "edge", "url": "pvc://nowhere"}]}
    model = {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "DataSet",
        "metadata": {"name": "model", "namespace": name},
    }
    services["unbound"]["spec"]["variants"][0]["model"] = {"dataSetRef": {"name": "model"}, "mountPath": "/model"}
    hub.kubectl("apply", "-f", "-", stdin=[{**model, "spec": claim}, *services.values()])
    _gpus(fleet, "cordon")
    try:
        hub.kubectl("apply", "-f", "-", stdin=_service(name, "chat", "amd-mi300x", "nvidia-v100"))
        wait_for("first where there is room", lambda: listed(edge, "deployments", name))
    finally:
        _gpus(fleet, "uncordon")
    (why,) = wait_for("it says what is missing", lambda: _exclusions(hub, "inferencejob", name, "chat"))
    assert (why["cluster"], why["reason"]) == ("edge", "DependencyMissing")
    assert "member edge" in why["message"] and "secret not found" in why["message"]
    wait_for("it serves elsewhere", lambda: _ready(hub, name, "chat") == ("True", "Serving"))
    wait_for("the old is gone", lambda: not listed(edge, "deployments", name) and not listed(edge, "services", name))
    body = get(hub, "inferencejob", name, "chat") or {}
    wait_for(
        "only the new is recorded",
        lambda: [
            one["cluster"] for one in (get(hub, "inferencejob", name, "chat") or {})["status"]["serving"]
        ] == ["cloud"],
    )  # fmt: skip
    assert body["status"]["selector"] and body["status"]["replicas"] >= 2
    told = {"unpulled": ("DependencyMissing", "image"), "unmounted": ("DependencyMissing", "FailedMount")}
    for entry, (reason, missing) in (told | {"unbound": ("Unbound", "nowhere")}).items():
        (why,) = wait_for(f"{entry} says so", lambda entry=entry: _exclusions(hub, "inferencejob", name, entry))
        assert (why["cluster"], why["reason"]) == ("edge", reason) and missing in why["message"], why
        assert ("pool" in why) == (reason == "Unbound"), "a pool that has no room; a cluster that lacks something"
    hub.kubectl("delete", "inferencejobs", "--all", "-n", name, "--wait=false")
    wait_for("they are gone", lambda: not listed(hub, "inferencejobs", name))
    for cluster in (edge, fleet.clusters["cloud"]):
        wait_for("nothing is left", lambda: not listed(cluster, "deployments,services", name))  # noqa: B023


def test_replicas_are_the_plan_s_unless_scaling_is_external(
    fleet: Ground, hub: Cluster, operator: Operator, space: Space
) -> None:
    name = space("scaled")
    cloud = fleet.clusters["cloud"]
    hub.kubectl("apply", "-f", "-", stdin=_service(name, "chat", "nvidia-v100"))
    wait_for("ready", lambda: _ready(hub, name, "chat") == ("True", "Serving"))
    planned = sum(one["spec"]["replicas"] for one in listed(cloud, "deployments", name))
    assert condition(get(hub, "inferencejob", name, "chat"), "ScaleIgnored") == ("", "")
    hub.kubectl("scale", "inferencejob/chat", f"--replicas={planned + 1}", "-n", name)
    wait_for(
        "it says so",
        lambda: condition(get(hub, "inferencejob", name, "chat"), "ScaleIgnored") == ("True", "PlanDecides"),
    )
    assert sum(one["spec"]["replicas"] for one in listed(cloud, "deployments", name)) == planned
    hub.client.patch(
        f"/apis/polyhull.io/v1alpha1/namespaces/{name}/inferencejobs/chat", {"spec": {"scaling": "External"}}
    )
    wait_for(
        "the total is the scaler's",
        lambda: sum(one["spec"]["replicas"] for one in listed(cloud, "deployments", name)) == planned + 1,
    )
    wait_for(
        "nothing is ignored",
        lambda: condition(get(hub, "inferencejob", name, "chat"), "ScaleIgnored") == ("False", "PlanDecides"),
    )
    pods = {pod["metadata"]["uid"] for pod in listed(cloud, "pods", name)}
    wait_for("all run", lambda: _ready(hub, name, "chat") == ("True", "Serving"))
    assert pods <= {pod["metadata"]["uid"] for pod in listed(cloud, "pods", name)}, "adding one restarts nobody"


def test_pods_that_quota_refuses_are_taken_back_and_tried_again_after_the_back_off(
    fleet: Ground, hub: Cluster, operator: Operator, space: Space
) -> None:
    name = space("quota")
    cloud = fleet.clusters["cloud"]
    allow_no_pods(cloud, name)
    objects = [_service(name, "chat", "nvidia-v100"), job(name, "learn", option("nvidia-v100"))]
    hub.kubectl("apply", "-f", "-", stdin=objects)
    wait_for("the service says so", lambda: _ready(hub, name, "chat") == ("False", "QuotaExceeded"))
    assert "member cloud" in _message(hub, "inferencejob", name, "chat", "Ready")
    wait_for(
        "the job says so",
        lambda: condition(get(hub, "trainingjob", name, "learn"), "Placed") == ("False", "QuotaExceeded"),
    )
    cloud.kubectl("delete", "resourcequota", "none", "-n", name)
    wait_for("placed after the back-off", lambda: _placed(hub, name, "learn"))
    wait_for("served after the back-off", lambda: _ready(hub, name, "chat") == ("True", "Serving"))


def test_a_service_account_must_be_allowed_by_the_member_s_administrator(
    fleet: Ground, hub: Cluster, operator: Operator, space: Space
) -> None:
    name = space("accounts")
    cloud = fleet.clusters["cloud"]
    template = {"image": "simulated", "serviceAccountName": "trainer"}
    hub.kubectl("apply", "-f", "-", stdin=job(name, "learn", option("nvidia-v100"), template=template))
    wait_for(
        "it says so",
        lambda: condition(get(hub, "trainingjob", name, "learn"), "Planned") == ("False", "ServiceAccountNotAllowed"),
    )
    assert "trainer" in _message(hub, "trainingjob", name, "learn", "Planned")
    cloud.kubectl("create", "serviceaccount", "trainer", "-n", name)
    cloud.kubectl("annotate", "namespace", name, "polyhull.io/service-accounts=other, trainer")
    wait_for("placed", lambda: _placed(hub, name, "learn"))
    assert [pod["spec"]["serviceAccountName"] for pod in listed(cloud, "pods", name)] == ["trainer"]


def test_a_deletion_that_a_silent_member_cannot_confirm_leaves_a_tombstone(
    fleet: Ground, hub: Cluster, operator: Operator, space: Space
) -> None:
    name = space("buried")
    edge, cloud = fleet.clusters["edge"], fleet.clusters["cloud"]
    cloud.kubectl("cordon", "cloud-cpu-0")
    hub.kubectl("apply", "-f", "-", stdin=job(name, "gone", option("cpu", devices=10)))
    wait_for("placed at the edge", lambda: _placed(hub, name, "gone") and _cluster_of(hub, name, "gone") == "edge")
    cloud.kubectl("uncordon", "cloud-cpu-0")
    uid = (get(hub, "trainingjob", name, "gone") or {})["metadata"]["uid"]
    edge.freeze()
    try:
        wait_for("it is noticed", lambda: _connected(hub, "edge") == ("False", "Unreachable"))
        hub.kubectl("delete", "trainingjob", "gone", "-n", name, "--wait=false")
        wait_for("a tombstone stands", lambda: uid in _tombstones(hub, "edge"))
        wait_for("the finalizer is off", lambda: get(hub, "trainingjob", name, "gone") is None)
        assert uid in _tombstones(hub, "edge")
    finally:
        edge.thaw()
    wait_for("it is honoured", lambda: not listed(edge, "jobs", name))
    wait_for("and goes", lambda: uid not in _tombstones(hub, "edge"))


def _tombstones(hub: Cluster, name: str) -> list[str]:
    status = (get(hub, "membercluster", "", name) or {}).get("status") or {}
    return [stone["uid"] for stone in status.get("tombstones") or ()]


def test_a_data_set_s_copies_end_with_it(fleet: Ground, hub: Cluster, operator: Operator, space: Space) -> None:
    name = space("copies")
    edge = fleet.clusters["edge"]
    data = data_set(name, "images", "1M", "cloud")
    reads = [{"name": "images", "dataSetRef": {"name": "images"}, "mountPath": "/data"}]
    options = (option("cpu", devices=14),)
    hub.kubectl("apply", "-f", "-", stdin=[data, job(name, "learn", *options, data=reads)])
    wait_for("a copy is under way", lambda: listed(edge, "jobs", name) and listed(edge, "pvc", name))
    hub.kubectl("delete", "trainingjob", "learn", "-n", name, "--wait=false")
    hub.kubectl("delete", "dataset", "images", "-n", name, "--wait=false")
    wait_for("the data set is gone", lambda: get(hub, "dataset", name, "images") is None)
    wait_for("nothing is left", lambda: not listed(edge, "jobs,pods", name) and not listed(edge, "pvc", name))


def test_a_pool_that_may_grow_is_asked_for_by_its_label(
    fleet: Ground, hub: Cluster, operator: Operator, space: Space
) -> None:
    name = space("growth")
    cloud = fleet.clusters["cloud"]
    pool = {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "ComputePool",
        "metadata": {"name": "late"},
        "spec": {
            "cluster": "cloud",
            "accelerator": "nvidia-h100",
            "devicesPerNode": 4,
            "nodeSelector": {"polyhull.io/pool": "late"},
            "capacity": {"cpu": "32", "memory": "256Gi"},
            "autoscaling": {"maxNodes": 2, "provisionSeconds": 30},
        },
    }
    hub.kubectl("apply", "-f", "-", stdin=[pool, job(name, "patient", option("nvidia-h100", devices=4))])
    (pod,) = wait_for("its pod asks for the pool", lambda: listed(cloud, "pods", name))
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert {"key": "polyhull.io/pool", "operator": "In", "values": ["late"]} in terms["nodeSelectorTerms"][0][
        "matchExpressions"
    ]
    time.sleep(12.0)  # longer than the patience with pods of pools that do not grow
    assert [one["metadata"]["uid"] for one in listed(cloud, "pods", name)] == [pod["metadata"]["uid"]]
    labels = {"polyhull.io/pool": "late", "polyhull.io/accelerator": "nvidia-h100"}
    node = Pool("late", 1, "32", "256Gi", accelerator="nvidia.com/gpu", devices=4, labels=labels)
    made = cloud.add_node(node, 0, "cloud")
    try:
        wait_for("placed", lambda: _placed(hub, name, "patient"))
        assert [one["spec"]["nodeName"] for one in listed(cloud, "pods", name)] == [made]
    finally:
        hub.kubectl("delete", "trainingjob", "patient", "-n", name, "--wait=false")
        hub.kubectl("delete", "computepool", "late")
        wait_for("its pod is gone", lambda: not listed(cloud, "pods", name))
        cloud.kubectl("delete", "node", made)


def test_a_service_deleted_in_any_phase_leaves_nothing(
    fleet: Ground, hub: Cluster, operator: Operator, space: Space
) -> None:
    name = space("phases")
    edge, cloud = fleet.clusters["edge"], fleet.clusters["cloud"]
    kinds = ("unplaced", "nvidia-h100"), ("stuck", "amd-mi300x"), ("served", "nvidia-v100"), ("fresh", "nvidia-v100")
    services = {kind: _service(name, kind, accelerator) for kind, accelerator in kinds}
    fresh = services.pop("fresh")
    hub.kubectl("apply", "-f", "-", stdin=list(services.values()))
    wait_for("one serves", lambda: _ready(hub, name, "served") == ("True", "Serving"))
    wait_for("one is stuck", lambda: listed(edge, "deployments", name))
    wait_for("one has no place", lambda: _ready(hub, name, "unplaced") == ("False", "NoPool"))
    hub.kubectl("apply", "-f", "-", stdin=fresh)
    hub.kubectl("delete", "inferencejobs", "--all", "-n", name, "--wait=false")
    wait_for("all are gone", lambda: not listed(hub, "inferencejobs", name))
    for cluster in (edge, cloud):
        wait_for("nothing is left", lambda: not listed(cluster, "deployments,services,pods", name))  # noqa: B023
