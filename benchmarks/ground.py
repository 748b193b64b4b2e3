"""The ground of the live benchmarks: a hub, one member, the operator as a process of its own, and what they ask."""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.figures import SkipBenchmark
from hack.demo import stage
from hack.ground.binaries import CONTROL_PLANE, BinariesMissing, obtain
from hack.ground.client import ApiError, Client
from hack.ground.ground import Cluster, Ground
from hack.ground.processes import spawn
from polyhull.wiring import LOST_LEASE

Object = dict[str, Any]
ROOT = Path(__file__).parents[1]
SPACE = "bench"
MEMBER = "member"
LIMIT_SECONDS = 300.0
NAME = "polyhull.io/name"
DIRECT = "bench.polyhull.io/direct"
OURS = ("polyhull/", "kopf")
"""How the operator's requests call themselves in audit logs."""
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(slots=True)
class Bound:
    """When each pod of a Job was first seen bound (monotonic seconds), by the name its job was created under."""

    client: Client
    label: str
    seen: dict[str, float] = field(default_factory=dict)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> "Bound":
        threading.Thread(target=self._follow, daemon=True).start()
        return self

    def stop(self) -> None:
        self._stopped.set()

    def _follow(self) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(ApiError):
                listed = self.client.get("/api/v1/pods", labelSelector=self.label)
                for pod in listed["items"]:
                    self._note(pod)
                version = listed["metadata"]["resourceVersion"]
                for _, pod in self.client.watch("/api/v1/pods", version, 60, labelSelector=self.label):
                    self._note(pod)
                    if self._stopped.is_set():
                        return

    def _note(self, pod: Object) -> None:
        if pod["spec"].get("nodeName"):
            self.seen.setdefault(pod["metadata"]["labels"][self.label], time.monotonic())


@dataclass(slots=True)
class Operator:
    """The operator's process; started again when it gave up its Lease, as a Deployment does, and that is counted."""

    hub: Cluster
    work: Path
    process: "subprocess.Popen[bytes]" = field(init=False)
    restarts: int = 0

    def __post_init__(self) -> None:
        self.process = _operate(self.hub, self.work)

    def check(self) -> None:
        """Raises RuntimeError if it ended for any other reason."""
        code = self.process.poll()
        if code is not None and code != LOST_LEASE:
            raise RuntimeError(f"the operator ended with code {code}")
        if code is not None:
            self.restarts += 1
            self.process = _operate(self.hub, self.work)

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def stand_up(stack: contextlib.ExitStack, nodes: int = 0) -> tuple[Ground, Operator]:
    """Ground, CRDs, one member (with so many `nodes` of two cores beside its own), mode Enforce, the operator."""
    try:
        binaries = obtain(CONTROL_PLANE, lambda text: None)
    except BinariesMissing as error:
        raise SkipBenchmark(str(error)) from error
    work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="polyhull-bench-")))
    ground = Ground.start(_layout(work, nodes), work / "ground", binaries)
    stack.callback(ground.stop)
    hub, member = ground.clusters["hub"], ground.clusters[MEMBER]
    hub.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    hub.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    spaces = [stage.namespace(stage.SYSTEM, accept=False), stage.namespace(SPACE, accept=False)]
    hub.kubectl("apply", "--server-side", "-f", "-", stdin=spaces)
    member.kubectl("apply", "--server-side", "-f", "-", stdin=[stage.namespace(SPACE, accept=True)])
    fleet = [
        _ours("Site", MEMBER, {"tier": "Cloud"}),
        _ours("MemberCluster", MEMBER, {"siteRef": {"name": MEMBER}, "kubeconfigSecretRef": {"name": "member"}}),
    ]
    hub.kubectl("apply", "--server-side", "-f", "-", stdin=[stage.credentials(fleet[1], member), *fleet])
    operator = Operator(hub, work)
    stack.callback(operator.end)
    return ground, operator


def _layout(work: Path, nodes: int) -> Path:
    layout = yaml.safe_load((ROOT / "benchmarks" / "live.yaml").read_text())
    if nodes:
        many = {"name": "small", "count": nodes, "cpu": 2, "memory": "8Gi"}
        layout["clusters"][1]["pools"].append(many | {"labels": {"node.kubernetes.io/instance-type": "cores-2"}})
    path = work / "layout.yaml"
    path.write_text(yaml.safe_dump(layout))
    return path


def _operate(hub: Cluster, work: Path) -> "subprocess.Popen[bytes]":
    """The operator as `polyhull run` starts it, with free ports and its records beside its log.

    It dies with us, however we die.
    """
    command = [sys.executable, "-m", "polyhull", "run", "--kubeconfig", str(hub.kubeconfig_path)]
    command += ["--metrics-port", "0", "--records", str(work / "records")]
    return spawn(command, work / "operator.log")


def _ours(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": "polyhull.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def training(name: str) -> tuple[str, Object]:
    """A one-core job of one pod that does not end while it is measured."""
    option = {"name": "cpu", "accelerator": "cpu", "devicesPerReplica": 1, "rate": "1"}
    template = {"image": "busybox:1.37", "resources": {"requests": {"memory": "64Mi"}}}
    spec = {"work": {"quantity": "100000"}, "options": [option], "template": template}
    body = _ours("TrainingJob", name, spec)
    body["metadata"]["namespace"] = SPACE
    return f"/apis/polyhull.io/v1alpha1/namespaces/{SPACE}/trainingjobs", body


def suspended(name: str) -> tuple[str, Object]:
    path, body = training(name)
    body["spec"]["suspend"] = True
    return path, body


def direct(name: str) -> tuple[str, Object]:
    """The same as a plain Job."""
    container = {"name": "main", "image": "busybox:1.37", "resources": {"requests": {"cpu": "1", "memory": "64Mi"}}}
    pod = {"metadata": {"labels": {DIRECT: name}}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": pod}}
    return f"/apis/batch/v1/namespaces/{SPACE}/jobs", body


def create(
    client: Client, names: Iterable[str], make: Callable[[str], tuple[str, Object]], per_second: float
) -> Mapping[str, float]:
    """Post one after the other at this pace; when each was answered (monotonic seconds)."""
    began, created = time.monotonic(), {}
    for index, name in enumerate(names):
        time.sleep(max(0.0, began + index / per_second - time.monotonic()))
        client.post(*make(name))
        created[name] = time.monotonic()
    return created


def wait_for(
    done: Callable[[], bool],
    what: str,
    operator: Operator,
    limit_seconds: float = LIMIT_SECONDS,
    every_seconds: float = 0.2,
) -> None:
    until = time.monotonic() + limit_seconds
    while not done():
        operator.check()
        if time.monotonic() > until:
            raise TimeoutError(f"not within {limit_seconds:g} s: {what}")
        time.sleep(every_seconds)


def requests_by_kind(events: Iterable[Object], verbs: frozenset[str] | None = None) -> Counter[str]:
    """The operator's completed requests by `verb resource/subresource`, watches and the Lease left out."""
    found: Counter[str] = Counter()
    for event in events:
        target = event.get("objectRef", {})
        mine = str(event.get("userAgent", "")).lower().startswith(OURS)
        if not mine or event.get("stage") != "ResponseComplete" or target.get("resource") == "leases":
            continue
        if event.get("verb") != "watch" and (verbs is None or event.get("verb") in verbs):
            name = "/".join(part for part in (target.get("resource", "-"), target.get("subresource")) if part)
            found[f"{event.get('verb')} {name}"] += 1
    return found


def writes_in(hub: Cluster, member: Cluster, seconds: float) -> float:
    """Writes of the operator to both clusters within the next `seconds`, per minute."""
    before = sum(requests_by_kind(cluster.audit_events(), WRITES).total() for cluster in (hub, member))
    time.sleep(seconds)
    after = sum(requests_by_kind(cluster.audit_events(), WRITES).total() for cluster in (hub, member))
    return (after - before) * 60.0 / seconds


def quiet(hub: Cluster, member: Cluster) -> None:
    """Wait until the operator wrote nothing for five seconds (at most a minute)."""
    for _ in range(12):
        if writes_in(hub, member, 5.0) == 0.0:
            return


def memory_mebibytes(pid: int) -> float:
    """Resident memory of one process, its solver's worker not counted."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024.0
    return float("nan")


def children_of(pid: int) -> list[int]:
    """The operator's workers: processes that it started and that run."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_seconds(pid: int) -> float:
    """CPU time of one process so far, its children's left out."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
