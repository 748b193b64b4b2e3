"""A real operator process on a real control plane, as its tests drive it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hack.ground.client import ApiError
from hack.ground.ground import Cluster, Ground
from hack.ground.nodes import RUN_SECONDS
from polyhull.api.kinds import KINDS

ROOT = Path(__file__).parents[2]
GROUP = "/apis/polyhull.io/v1alpha1"
T = TypeVar("T")


LIMIT_SECONDS = 120.0
"""No test is about how fast the machine is: this ends only what will never come."""


def wait_for(what: str, look: Callable[[], T | None], seconds: float = LIMIT_SECONDS) -> T:
    """The first true answer of `look`; fails with `what` when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


@dataclass
class Operator:
    """`python` runs the same `wiring.run` as `polyhull run`, with `settings` on top."""

    hub: Cluster
    directory: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    port: int = 0
    log: Path = Path()

    def start(self, **settings: str) -> None:
        chosen = {
            "kubeconfig": repr(str(self.hub.kubeconfig_path)),
            "metrics_port": "0",
            "records": f"Path({str(self.directory / 'records')!r})",
            # A busy machine must not cost it the lead; what short Leases do is tested in test_leader.py.
            "lease": "Timing(lease=60.0, renew_deadline=45.0, retry=1.0)",
            "plan_seconds": "1.0",
            "patience_seconds": "2.0",
            **self.settings,
            **settings,
        }
        chosen["kubeconfig"] = f"Path({chosen['kubeconfig']})"
        arguments = ", ".join(f"{name}={value}" for name, value in chosen.items())
        code = (
            "from pathlib import Path\n"
            "from polyhull import wiring\n"
            "from polyhull.controller.children import Patience\n"
            "from polyhull.kube.lease import Timing\n"
            "from polyhull.kube.members import Tempo\n"
            f"raise SystemExit(wiring.run(wiring.Settings({arguments})))\n"
        )
        self.log = self.directory / f"operator-{time.monotonic_ns()}.log"
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-c", code], stderr=log, stdout=log, env=environment)
        self.await_ready()

    def await_ready(self) -> None:
        """It takes a free port and says which in its log."""
        self.port = wait_for("the operator serves its telemetry", self._said_port)
        wait_for("the operator is ready", self.ready)

    def _said_port(self) -> int | None:
        self._lives()
        for line in self.log.read_text().splitlines():
            if line.startswith("{") and line.endswith("}") and '"telemetry on port' in line:
                return int(json.loads(line)["port"])
        return None

    def _lives(self) -> None:
        assert self.process is not None
        code = self.process.poll()
        assert code is None, f"the operator ended with code {code}:\n{self.log.read_text()[-3000:]}"

    def figure(self, series: str) -> float:
        """Value of one series, labels included in its name; 0 where it was never set."""
        for line in self.metrics().splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        return 0.0

    def ready(self) -> bool:
        self._lives()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=10):
                return True
        except OSError:
            return False

    def metrics(self) -> str:
        self._lives()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            return str(answer.read().decode())

    def kill(self) -> None:
        """As a node's failure would: no goodbye."""
        self._end(signal.SIGKILL)

    def revive(self) -> None:
        """Start again at once after a kill: the Lease, which would run out by itself, is taken from the dead.

        That it runs out by itself is what test_leader.py is about.
        """
        path = "/apis/coordination.k8s.io/v1/namespaces/polyhull-system/leases/polyhull-operator"
        self.hub.client.patch(path, {"spec": {"holderIdentity": ""}})
        self.start()

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(60)


@contextmanager
def running(hub: Cluster, directory: Path, **settings: str) -> Iterator[Operator]:
    operator = Operator(hub, directory, settings)
    try:
        operator.start()
        yield operator
    finally:
        operator.stop()
        if operator.log.is_file():
            print(operator.log.read_text()[-6000:])


def job(namespace: str, name: str, *options: dict[str, Any], quantity: str = "100", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "work": {"quantity": quantity, "unit": "Steps"},
            "options": list(options or (option(),)),
            "template": {"image": "simulated", "resources": {"requests": {"memory": "64Mi"}}},
            **spec,
        },
    }


def option(accelerator: str = "cpu", devices: int = 1, replicas: int = 1, rate: str = "20") -> dict[str, Any]:
    return {
        "name": accelerator,
        "accelerator": accelerator,
        "devicesPerReplica": devices,
        "replicas": replicas,
        "rate": rate,
    }


_CORE = {
    "pods": "api/v1", "services": "api/v1", "pvc": "api/v1", "resourcequota": "api/v1",
    "deployments": "apis/apps/v1", "jobs": "apis/batch/v1", "podgroups": "apis/scheduling.k8s.io/v1alpha2",
    "serviceexports": "apis/multicluster.x-k8s.io/v1alpha1",
}  # fmt: skip
_PLURALS = {"pvc": "persistentvolumeclaims", "resourcequota": "resourcequotas"}


def path_of(kind: str, namespace: str) -> str:
    """Where the API server lists a kind, called as kubectl calls it.

    Tests look again and again until something has come true; a kubectl for each look costs far more than the look.
    """
    ours = {word: one for one in KINDS for word in (one.name.lower(), one.plural)}.get(kind.lower())
    if ours is not None:
        return f"{GROUP}/namespaces/{namespace}/{ours.plural}" if ours.namespaced else f"{GROUP}/{ours.plural}"
    return f"/{_CORE[kind]}/namespaces/{namespace}/{_PLURALS.get(kind, kind)}"


def get(cluster: Cluster, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
    try:
        return cluster.client.get(f"{path_of(kind, namespace)}/{name}")
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def condition(body: dict[str, Any] | None, kind: str) -> tuple[str, str]:
    """(status, reason); empty words when there is none."""
    for entry in ((body or {}).get("status") or {}).get("conditions") or ():
        if entry["type"] == kind:
            return entry["status"], entry["reason"]
    return "", ""


def listed(cluster: Cluster, kind: str, namespace: str) -> list[dict[str, Any]]:
    """All of a kind, or of several (`jobs,pods`)."""
    return [item for one in kind.split(",") for item in cluster.client.get(path_of(one, namespace))["items"]]


def finish_pods(
    cluster: Cluster, namespace: str, seconds: str = "0.5", only: list[dict[str, Any]] | None = None
) -> None:
    """Tell the ground how long the namespace's pods (or some of them) run, as its truth table would."""
    for pod in listed(cluster, "pods", namespace) if only is None else only:
        if (pod["metadata"].get("annotations") or {}).get(RUN_SECONDS) == seconds:
            continue  # saying it again would start its run anew
        path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}"
        with contextlib.suppress(ApiError):  # gone meanwhile
            cluster.client.patch(path, {"metadata": {"annotations": {RUN_SECONDS: seconds}}})


def quiet(cluster: Cluster, seconds: float, account: str = "") -> bool:
    """Whether the operator (or only one account of it) writes nothing for so long."""
    seen = cluster.audit_count()
    time.sleep(seconds)
    return not [event for event in writes(cluster, seen) if event["user"]["username"].endswith(account)]


def writes(cluster: Cluster, since: int = 0) -> list[dict[str, Any]]:
    """Audit events of completed writes that the operator sent after the first `since` events."""
    return [
        event
        for event in cluster.audit_events(since)
        if event.get("stage") == "ResponseComplete"
        and event["verb"] in ("create", "update", "patch", "delete")
        and str(event.get("userAgent", "")).startswith("polyhull")
        and (event.get("objectRef") or {}).get("resource") != "leases"
    ]


def install_crds(hub: Cluster) -> None:
    hub.install_crds(ROOT / "crds")


def member(ground: Ground, name: str, site: str, **spec: Any) -> list[dict[str, Any]]:
    """MemberCluster and the Secret with its kubeconfig."""
    cluster = ground.clusters[name]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {"name": "c", "cluster": {"server": cluster.server, "certificate-authority-data": _base64(cluster.ca)}}
        ],
        "users": [{"name": "u", "user": {"token": cluster.token}}],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{name}-kubeconfig", "namespace": "polyhull-system"},
            "stringData": {"kubeconfig": json.dumps(config)},
        },
        {
            "apiVersion": "polyhull.io/v1alpha1",
            "kind": "MemberCluster",
            "metadata": {"name": name},
            "spec": {"siteRef": {"name": site}, "kubeconfigSecretRef": {"name": f"{name}-kubeconfig"}, **spec},
        },
    ]


def site(name: str) -> dict[str, Any]:
    spec = {"tier": "Cloud"}
    return {"apiVersion": "polyhull.io/v1alpha1", "kind": "Site", "metadata": {"name": name}, "spec": spec}


def link(source: str, target: str, bandwidth: str) -> dict[str, Any]:
    return {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "Link",
        "metadata": {"name": f"{source}-to-{target}"},
        "spec": {"from": source, "to": target, "bandwidth": bandwidth, "latencyMilliseconds": "10"},
    }


def data_set(namespace: str, name: str, size: str, home: str) -> dict[str, Any]:
    """With one replica, in a bucket at site `home`."""
    replica = {"site": home, "url": f"s3://{home}/{name}", "secretName": f"{home}-s3"}
    return {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "DataSet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"size": size, "replicas": [replica]},
    }


def allow_no_pods(cluster: Cluster, namespace: str) -> None:
    """A ResourceQuota named `none`, there when it counts."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": namespace},
        "spec": {"hard": {"pods": "0"}},
    }
    cluster.kubectl("apply", "-f", "-", stdin=quota)
    wait_for("the quota counts", lambda: listed(cluster, "resourcequota", namespace)[0].get("status", {}).get("hard"))


def _base64(text: str) -> str:
    import base64

    return base64.b64encode(text.encode()).decode()
