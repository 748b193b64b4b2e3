"""The proving ground keeps its promises: what other cluster tests conclude rests on these."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hack.ground.binaries import CONTROL_PLANE, HACK, BinariesMissing, obtain
from hack.ground.client import ApiError, Client
from hack.ground.fleet import FleetError, Pool, parse_fleet
from hack.ground.ground import Cluster, Ground, GroundError
from hack.ground.nodes import FAULT, RUN_SECONDS, STARTED_AT
from hack.ground.processes import Identity, listening, wait_until
from hack.ground.truth import Truth, parse_table

ONE_CLUSTER = "clusters: [{name: lone, pools: [{name: cpu, count: 1}]}]"
LIMIT_SECONDS = 60.0
Namespace = Callable[[], str]


def _job(
    name: str, pods: int, resource: str = "", annotations: dict[str, str] | None = None, **pod: Any
) -> dict[str, Any]:
    limits = {resource: "1"} if resource else {}
    container = {"name": "main", "image": "simulated", "resources": {"limits": limits}}
    template = {
        "metadata": {"annotations": annotations or {}, "labels": {"polyhull.io/name": name}},
        "spec": {"restartPolicy": "Never", "containers": [container], **pod},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"completions": pods, "parallelism": pods, "backoffLimit": 0, "template": template},
    }


def _pods(cluster: Cluster, namespace: str, job: str) -> list[dict[str, Any]]:
    found = cluster.client.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"job-name={job}")
    return list(found["items"])


def _job_condition(cluster: Cluster, namespace: str, job: str, kind: str) -> bool:
    conditions = cluster.client.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/{job}")["status"].get(
        "conditions", []
    )
    return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)


def _bound(pods: list[dict[str, Any]]) -> list[str]:
    return [pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")]


def _waiting_reasons(pods: list[dict[str, Any]]) -> list[str]:
    return [
        status["state"].get("waiting", {}).get("reason", "")
        for pod in pods
        for status in pod["status"].get("containerStatuses", [])
    ]


def test_nodes_are_ready_and_carry_their_devices(ground: Ground) -> None:
    nodes = {node["metadata"]["name"]: node for node in ground.clusters["edge"].kubectl("get", "nodes")["items"]}
    assert sorted(nodes) == ["edge-ascend-0", "edge-ascend-1", "edge-cpu-0"]
    for node in nodes.values():
        assert {"type": "Ready", "status": "True"}.items() <= {
            key: value
            for item in node["status"]["conditions"]
            if item["type"] == "Ready"
            for key, value in item.items()
        }.items()
        assert node["spec"].get("taints", []) == []
    assert nodes["edge-ascend-0"]["status"]["allocatable"]["huawei.com/Ascend310P"] == "4"
    assert "huawei.com/Ascend310P" not in nodes["edge-cpu-0"]["status"]["allocatable"]


def test_job_runs_on_gpu_nodes_for_its_time_and_completes(ground: Ground, namespace: Namespace) -> None:
    cloud, where = ground.clusters["cloud"], namespace()
    cloud.kubectl("create", "-n", where, "-f", "-", stdin=_job("two", 2, "nvidia.com/gpu", {RUN_SECONDS: "2.5"}))
    assert wait_until(lambda: _job_condition(cloud, where, "two", "Complete"), LIMIT_SECONDS)
    pods = _pods(cloud, where, "two")
    assert len(pods) == 2
    for pod in pods:
        assert pod["spec"]["nodeName"].startswith("cloud-gpu-")
        started = datetime.fromisoformat(pod["metadata"]["annotations"][STARTED_AT][:26].rstrip("Z") + "+00:00")
        finished = datetime.fromisoformat(pod["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"])
        # The API server keeps whole seconds of the finish.
        assert (finished - started).total_seconds() > 2.5 - 1.0


def test_pod_without_a_time_runs_until_it_is_given_one(ground: Ground, namespace: Namespace) -> None:
    edge, where = ground.clusters["edge"], namespace()
    edge.kubectl("create", "-n", where, "-f", "-", stdin=_job("open", 1, "huawei.com/Ascend310P"))
    assert wait_until(
        lambda: [p["status"]["phase"] for p in _pods(edge, where, "open")] == ["Running"], LIMIT_SECONDS
    )
    (pod,) = _pods(edge, where, "open")
    path = f"/api/v1/namespaces/{where}/pods/{pod['metadata']['name']}"
    edge.client.patch(path, {"metadata": {"labels": {"touched": "once"}}})
    assert edge.client.get(path)["status"]["phase"] == "Running"
    edge.client.patch(path, {"metadata": {"annotations": {RUN_SECONDS: "0.1"}}})
    assert wait_until(lambda: _job_condition(edge, where, "open", "Complete"), LIMIT_SECONDS)


@pytest.mark.parametrize("fault", ["CreateContainerConfigError", "ImagePullBackOff", "FailedMount"])
def test_held_pod_names_its_reason_and_recovers(ground: Ground, namespace: Namespace, fault: str) -> None:
    cloud, where = ground.clusters["cloud"], namespace()
    cloud.kubectl(
        "create", "-n", where, "-f", "-", stdin=_job("held", 1, annotations={FAULT: fault, RUN_SECONDS: "0"})
    )
    shown = "ContainerCreating" if fault == "FailedMount" else fault
    assert wait_until(lambda: _waiting_reasons(_pods(cloud, where, "held")) == [shown], LIMIT_SECONDS)
    (pod,) = _pods(cloud, where, "held")
    assert pod["status"]["phase"] == "Pending"
    cloud.kubectl("annotate", "-n", where, "pod", pod["metadata"]["name"], f"{FAULT}-")
    assert wait_until(lambda: _job_condition(cloud, where, "held", "Complete"), LIMIT_SECONDS)


@pytest.mark.parametrize("fault", ["Refused", "Error"])
def test_failing_pod_fails_its_job(ground: Ground, namespace: Namespace, fault: str) -> None:
    cloud, where = ground.clusters["cloud"], namespace()
    cloud.kubectl(
        "create", "-n", where, "-f", "-", stdin=_job("bad", 1, annotations={FAULT: fault, RUN_SECONDS: "0"})
    )
    assert wait_until(lambda: _job_condition(cloud, where, "bad", "Failed"), LIMIT_SECONDS)
    (pod,) = _pods(cloud, where, "bad")
    assert pod["status"].get("reason", "") == ("UnexpectedAdmissionError" if fault == "Refused" else "")


def test_gang_waits_for_its_last_node(ground: Ground, namespace: Namespace) -> None:
    cloud, where = ground.clusters["cloud"], namespace()
    pool = Pool(name=f"gang-{where[-6:]}", count=3, accelerator="example.com/gang", devices=1)
    names = [cloud.add_node(pool, index) for index in range(3)]
    try:
        group = {
            "apiVersion": "scheduling.k8s.io/v1alpha2",
            "kind": "PodGroup",
            "metadata": {"name": "gang", "namespace": where},
            "spec": {"schedulingPolicy": {"gang": {"minCount": 4}}},
        }
        cloud.client.post(f"/apis/scheduling.k8s.io/v1alpha2/namespaces/{where}/podgroups", group)
        gang = _job("gang", 4, pool.accelerator, {RUN_SECONDS: "0"}, schedulingGroup={"podGroupName": "gang"})
        cloud.kubectl("create", "-n", where, "-f", "-", stdin=gang)
        assert wait_until(lambda: len(_unschedulable(_pods(cloud, where, "gang"))) == 4, LIMIT_SECONDS)
        assert _bound(_pods(cloud, where, "gang")) == []
        names.append(cloud.add_node(pool, 3))
        assert wait_until(lambda: _job_condition(cloud, where, "gang", "Complete"), LIMIT_SECONDS)
        assert sorted(_bound(_pods(cloud, where, "gang"))) == sorted(names)
    finally:
        cloud.kubectl("delete", "node", *names)


def _unschedulable(pods: list[dict[str, Any]]) -> list[str]:
    return [
        pod["metadata"]["name"]
        for pod in pods
        for condition in pod["status"].get("conditions", [])
        if condition["type"] == "PodScheduled" and condition["status"] == "False"
    ]


def test_rbac_refuses_a_service_account_without_rights(ground: Ground, namespace: Namespace) -> None:
    edge, where = ground.clusters["edge"], namespace()
    accounts = f"/api/v1/namespaces/{where}/serviceaccounts"
    edge.client.post(accounts, {"metadata": {"name": "nobody"}})
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = edge.client.post(f"{accounts}/nobody/token", request)["status"]["token"]
    nobody = Client(edge.server, token, edge.ca)
    pods = f"/api/v1/namespaces/{where}/pods"
    with pytest.raises(ApiError) as refused:
        nobody.get(pods)
    assert refused.value.status == 403
    assert f"system:serviceaccount:{where}:nobody" in str(refused.value)
    edge.kubectl(
        "create", "rolebinding", "may", "--clusterrole=view", f"--serviceaccount={where}:nobody", "-n", where
    )
    assert wait_until(lambda: _allowed(nobody, pods), LIMIT_SECONDS)
    with pytest.raises(ApiError):
        nobody.get(f"/api/v1/namespaces/{where}/secrets")


def _allowed(client: Client, path: str) -> bool:
    try:
        client.get(path)
    except ApiError:
        return False
    return True


def test_stranger_and_wrong_authority_are_turned_away(ground: Ground) -> None:
    edge, cloud = ground.clusters["edge"], ground.clusters["cloud"]
    with pytest.raises(ApiError) as refused:
        Client(edge.server, "not-a-token", edge.ca).get("/api/v1/nodes")
    assert refused.value.status == 401
    with pytest.raises(ApiError, match="CERTIFICATE_VERIFY_FAILED"):
        Client(edge.server, edge.token, cloud.ca).get("/api/v1/nodes")


def test_claim_gets_a_volume_and_gives_it_back(ground: Ground, namespace: Namespace) -> None:
    edge, where = ground.clusters["edge"], namespace()
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "5Mi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "copy"}, "spec": spec}
    edge.kubectl("create", "-n", where, "-f", "-", stdin=claim)

    def volume() -> str:
        found = edge.kubectl("get", "pvc", "copy", "-n", where)
        return str(found["spec"].get("volumeName", "")) if found["status"].get("phase") == "Bound" else ""

    assert wait_until(lambda: bool(volume()), LIMIT_SECONDS)
    name = volume()
    edge.kubectl("delete", "pvc", "copy", "-n", where)
    assert wait_until(lambda: edge.kubectl("get", "pv", name, "--ignore-not-found") == "", LIMIT_SECONDS)


def test_truth_decides_by_where_a_pod_landed(ground: Ground, namespace: Namespace) -> None:
    where = namespace()
    seconds = {"nvidia.com/gpu": 0.5, "huawei.com/Ascend310P": {1: 99.0, 2: 0.25}}
    rule = {"match": {"name": "judged-*"}, "seconds": seconds}
    table = parse_table({"seed": 7, "noise": 0.05, "jobs": [rule]})
    entries: list[dict[str, Any]] = []
    clusters = {name: ground.clusters[name] for name in ("edge", "cloud")}
    truth = Truth(table, {name: cluster.client for name, cluster in clusters.items()}, entries.append).start()
    try:
        clusters["cloud"].kubectl("create", "-n", where, "-f", "-", stdin=_job("judged-gpu", 1, "nvidia.com/gpu"))
        clusters["edge"].kubectl(
            "create", "-n", where, "-f", "-", stdin=_job("judged-npu", 2, "huawei.com/Ascend310P")
        )
        clusters["edge"].kubectl("create", "-n", where, "-f", "-", stdin=_job("unknown", 1))
        assert wait_until(lambda: _job_condition(clusters["cloud"], where, "judged-gpu", "Complete"), LIMIT_SECONDS)
        assert wait_until(lambda: _job_condition(clusters["edge"], where, "judged-npu", "Complete"), LIMIT_SECONDS)
        assert wait_until(lambda: len([e for e in entries if e["namespace"] == where]) == 4, LIMIT_SECONDS)
    finally:
        truth.stop()
    told = {(entry["owner"], entry["seconds"]) for entry in entries if entry["namespace"] == where}
    assert len(told) == 3, "both pods of the gang share one time"
    times = dict(told)
    assert times["judged-gpu"] == pytest.approx(0.5, rel=0.05)
    assert times["judged-gpu"] != 0.5
    assert times["judged-npu"] == pytest.approx(0.25, rel=0.05)
    assert times["unknown"] is None


def test_audit_log_tells_who_asked_what(ground: Ground, namespace: Namespace) -> None:
    where = namespace()
    made = [
        event
        for event in ground.clusters["hub"].audit_events()
        if event["verb"] == "create"
        and event["objectRef"].get("resource") == "namespaces"
        and event["objectRef"]["name"] == where
    ]
    assert [event["user"]["username"] for event in made] == ["ground-admin"]


def test_frozen_api_server_hangs_and_comes_back(tmp_path: Path, binaries: dict[str, Path]) -> None:
    with _start(tmp_path, binaries) as lone:
        cluster = lone.clusters["lone"]
        cluster.freeze()
        assert not cluster.client.ready()
        cluster.thaw()
        assert wait_until(cluster.client.ready, LIMIT_SECONDS)
        cluster.freeze()  # a frozen ground must stop too
    _assert_nothing_left(lone)


def test_a_second_ground_in_one_directory_is_refused(ground: Ground, binaries: dict[str, Path]) -> None:
    with pytest.raises(GroundError, match="already running"):
        Ground.start(ground.state / "fleet.yaml", ground.state, binaries)
    assert Ground.load(ground.state).clusters.keys() == ground.clusters.keys()


def test_killed_starter_leaves_nothing(tmp_path: Path, binaries: dict[str, Path]) -> None:
    (tmp_path / "fleet.yaml").write_text(ONE_CLUSTER)
    command = [
        sys.executable,
        "-m",
        "hack.ground",
        "start",
        "--state",
        str(tmp_path),
        "--fleet",
        str(tmp_path / "fleet.yaml"),
    ]
    with subprocess.Popen(command, cwd=HACK.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as starter:
        assert wait_until(lambda: _running(tmp_path), LIMIT_SECONDS)
        lone = Ground.load(tmp_path)
        starter.kill()
    assert wait_until(lambda: not lone.living_processes(), LIMIT_SECONDS)
    _assert_nothing_left(lone)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_killed_supervisor_leaves_nothing(tmp_path: Path, binaries: dict[str, Path]) -> None:
    lone = _start(tmp_path, binaries)
    os.kill(lone.supervisor.pid, signal.SIGKILL)
    assert wait_until(lambda: not lone.living_processes(), LIMIT_SECONDS)
    lone.stop()
    _assert_nothing_left(lone)


def test_failed_start_says_which_program_and_leaves_nothing(tmp_path: Path, binaries: dict[str, Path]) -> None:
    broken = tmp_path / "kwok"
    broken.write_text("#!/bin/sh\necho no stages today\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(GroundError, match=r"kwok of cluster lone ended with code 3(.|\n)*no stages today"):
        _start(tmp_path, {**binaries, "kwok": broken})
    document = json.loads((tmp_path / "state.json").read_text())
    identities = [
        Identity(**document["supervisor"]),
        *(Identity(**one) for one in document["clusters"]["lone"]["processes"].values()),
    ]
    assert [identity for identity in identities if identity.alive()] == []
    assert [port for port in document["clusters"]["lone"]["ports"] if listening(port)] == []


def test_no_binaries_and_no_go_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    with pytest.raises(BinariesMissing, match=r"KUBEBUILDER_ASSETS \(not set\).*install Go 1\.26") as missing:
        obtain(CONTROL_PLANE)
    assert "\n" not in str(missing.value)


def test_fleet_mistakes_name_their_place() -> None:
    with pytest.raises(FleetError, match=r"clusters\[0\]\.pools\[0\]: unknown key 'gpus'"):
        parse_fleet({"clusters": [{"name": "a", "pools": [{"name": "p", "count": 1, "gpus": 8}]}]}, "fleet.yaml")
    with pytest.raises(FleetError, match=r"pools\[0\]: `count` is missing"):
        parse_fleet({"clusters": [{"name": "a", "pools": [{"name": "p"}]}]}, "fleet.yaml")


def _start(directory: Path, binaries: dict[str, Path]) -> Ground:
    (directory / "fleet.yaml").write_text(ONE_CLUSTER)
    return Ground.start(directory / "fleet.yaml", directory, binaries)


def _running(directory: Path) -> bool:
    try:
        Ground.load(directory)
    except GroundError:
        return False
    return True


def _assert_nothing_left(ground: Ground) -> None:
    assert ground.living_processes() == []
    assert ground.open_ports() == []
