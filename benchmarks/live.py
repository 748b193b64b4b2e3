"""What the operator does on real control planes: created object -> pods bound, and requests for each placement.

A hub and one member of the proving ground, the operator as a process of its own, a watcher of its own on the
member's pods. Created at a fixed pace with unfinished jobs present; then as many batch/v1 Jobs of the same shape
straight in the member, in the same run: that is the anchor.
"""

import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, SkipBenchmark, at_most, percentile, report
from hack.demo import stage
from hack.ground.binaries import CONTROL_PLANE, BinariesMissing, obtain
from hack.ground.client import ApiError, Client
from hack.ground.ground import Cluster, Ground

Object = dict[str, Any]
ROOT = Path(__file__).parents[1]
SPACE = "bench"
MEMBER = "member"
PRESENT = 200
CREATED = 100
PER_SECOND = 5.0
LIMIT_SECONDS = 300.0
NAME = "polyhull.io/name"
DIRECT = "bench.polyhull.io/direct"
OURS = ("polyhull/", "kopf")
"""How the operator's requests call themselves in audit logs."""


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


def arrival(data: Path | None) -> Iterator[Figure]:
    """Created object -> pods bound at five objects a second with 200 unfinished jobs present; requests for each."""
    with contextlib.ExitStack() as stack:
        ground, operator = _stand(stack)
        hub, member = ground.clusters["hub"], ground.clusters[MEMBER]
        watcher = Bound(member.client, NAME).start()
        stack.callback(watcher.stop)
        what = f"{PER_SECOND:g} TrainingJobs a second, {CREATED} in all, {PRESENT} unfinished present, one pod each"

        before = [f"present-{index:04d}" for index in range(PRESENT)]
        _create(hub.client, before, _training, 50.0)
        _await(lambda: set(before) <= set(watcher.seen), f"{PRESENT} pods bound before measuring", operator)
        _quiet(hub, member)
        asked = {cluster.name: requests_by_kind(cluster.audit_events()) for cluster in (hub, member)}

        names = [f"job-{index:04d}" for index in range(CREATED)]
        created = _create(hub.client, names, _training, PER_SECOND)
        _await(lambda: set(names) <= set(watcher.seen), f"{CREATED} pods bound", operator)
        ours = [watcher.seen[name] - created[name] for name in names]
        _await(lambda: _placed(hub.client, names), "every job Placed=True", operator)
        _quiet(hub, member)
        spent = {
            cluster.name: requests_by_kind(cluster.audit_events()) - asked[cluster.name] for cluster in (hub, member)
        }

        straight = Bound(member.client, DIRECT).start()
        stack.callback(straight.stop)
        direct_names = [f"direct-{index:04d}" for index in range(CREATED)]
        direct_created = _create(member.client, direct_names, _direct, PER_SECOND)
        _await(lambda: set(direct_names) <= set(straight.seen), "pods of direct Jobs bound", operator)
        theirs = [straight.seen[name] - direct_created[name] for name in direct_names]

        anchor = "the same Jobs created directly in the member, same run"
        yield at_most("arrival-latency p50", percentile(ours, 0.5), "s", 3.0, what, percentile(theirs, 0.5), anchor)
        yield Figure(
            "arrival-latency p99", percentile(ours, 0.99), "s", percentile(theirs, 0.99), anchor, None, True, what
        )
        for name, target, theirs_count in (("hub", 4.0, 7.9), (MEMBER, 1.0, 3.8)):
            value = sum(count for kind, count in spent[name].items() if kind not in PROBES) / CREATED
            source = "MultiKueue, manager / worker, measured elsewhere"
            yield at_most(f"requests-per-placement {name}", value, "1", target, what, theirs_count, source)
            for kind, count in sorted(spent[name].items()):
                yield report(f"requests-per-placement {name}: {kind}", count / CREATED, "1", what)
        calm = _writes_in(hub, member, 60.0)
        yield at_most("writes per minute when nothing changes", calm, "1", 0.0, f"{PRESENT + CREATED} placed jobs")
        yield report("memory of the operator", _memory_mebibytes(operator.pid), "MiB", f"{PRESENT + CREATED} jobs")


def _stand(stack: contextlib.ExitStack) -> tuple[Ground, Any]:
    """Ground, CRDs, one member, mode Enforce, the operator running."""
    try:
        binaries = obtain(CONTROL_PLANE, lambda text: None)
    except BinariesMissing as error:
        raise SkipBenchmark(str(error)) from error
    work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="polyhull-bench-")))
    ground = Ground.start(ROOT / "benchmarks" / "live.yaml", work / "ground", binaries)
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
    operator = _operate(hub, work)
    stack.callback(_end, operator)
    return ground, operator


def _operate(hub: Cluster, work: Path) -> "subprocess.Popen[bytes]":
    """The operator as `polyhull run` starts it, with free ports and its records beside its log."""
    command = [sys.executable, "-m", "polyhull", "run", "--kubeconfig", str(hub.kubeconfig_path)]
    command += ["--metrics-port", "0", "--records", str(work / "records")]
    with (work / "operator.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ours(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": "polyhull.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _training(name: str) -> tuple[str, Object]:
    """A one-core job of one pod that does not end while it is measured."""
    option = {"name": "cpu", "accelerator": "cpu", "devicesPerReplica": 1, "rate": "1"}
    template = {"image": "busybox:1.37", "resources": {"requests": {"memory": "64Mi"}}}
    spec = {"work": {"quantity": "100000"}, "options": [option], "template": template}
    body = _ours("TrainingJob", name, spec)
    body["metadata"]["namespace"] = SPACE
    return f"/apis/polyhull.io/v1alpha1/namespaces/{SPACE}/trainingjobs", body


def _direct(name: str) -> tuple[str, Object]:
    """The same as a plain Job."""
    container = {"name": "main", "image": "busybox:1.37", "resources": {"requests": {"cpu": "1", "memory": "64Mi"}}}
    pod = {"metadata": {"labels": {DIRECT: name}}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": pod}}
    return f"/apis/batch/v1/namespaces/{SPACE}/jobs", body


def _create(
    client: Client, names: Iterable[str], make: Callable[[str], tuple[str, Object]], per_second: float
) -> Mapping[str, float]:
    """Post one after the other at this pace; when each was answered (monotonic seconds)."""
    began, created = time.monotonic(), {}
    for index, name in enumerate(names):
        time.sleep(max(0.0, began + index / per_second - time.monotonic()))
        client.post(*make(name))
        created[name] = time.monotonic()
    return created


def _await(done: Callable[[], bool], what: str, operator: Any) -> None:
    until = time.monotonic() + LIMIT_SECONDS
    while not done():
        if operator.poll() is not None:
            raise RuntimeError(f"the operator ended with code {operator.returncode}")
        if time.monotonic() > until:
            raise TimeoutError(f"not within {LIMIT_SECONDS:g} s: {what}")
        time.sleep(0.2)


def _placed(client: Client, names: Iterable[str]) -> bool:
    listed = client.get(f"/apis/polyhull.io/v1alpha1/namespaces/{SPACE}/trainingjobs")
    placed = {
        job["metadata"]["name"]
        for job in listed["items"]
        for condition in job.get("status", {}).get("conditions", ())
        if (condition["type"], condition["status"]) == ("Placed", "True")
    }
    return set(names) <= placed


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


PROBES = frozenset({"get secrets", "get -"})
"""A member's probe, every ten seconds whatever is placed: its kubeconfig Secret and its version. Shown, like the
watches and the Lease not counted as requests of a placement."""
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


def _writes_in(hub: Cluster, member: Cluster, seconds: float) -> float:
    """Writes of the operator to both clusters within the next `seconds`, per minute."""
    before = sum(requests_by_kind(cluster.audit_events(), WRITES).total() for cluster in (hub, member))
    time.sleep(seconds)
    after = sum(requests_by_kind(cluster.audit_events(), WRITES).total() for cluster in (hub, member))
    return (after - before) * 60.0 / seconds


def _quiet(hub: Cluster, member: Cluster) -> None:
    """Wait until the operator wrote nothing for five seconds (at most a minute)."""
    for _ in range(12):
        if _writes_in(hub, member, 5.0) == 0.0:
            return


def _memory_mebibytes(pid: int) -> float:
    """Resident memory of one process, its solver's worker not counted."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024.0
    return float("nan")
