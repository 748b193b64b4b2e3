"""What the run times really are: a table, not the plan, decides how long every pod of a Job runs.

A follower watches the pods of Jobs in every cluster and, once a pod is bound, writes the table's answer for the node
it got onto it (`ground.polyhull.io/run-seconds`, see stages/pod.yaml). Pods the table knows nothing about keep
running, and that is reported once. The table's form is described in hack/README.md.
"""

import argparse
import hashlib
import json
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from hack.ground.client import ApiError, Client, Object
from hack.ground.nodes import POOL, RUN_SECONDS

# How pods say whose they are and what they move: a wire format, spelt in operator/polyhull/render/naming.py.
KIND, NAME, NAMESPACE = "polyhull.io/kind", "polyhull.io/name", "polyhull.io/namespace"
COMPONENT, LINKS = "polyhull.io/component", "polyhull.io/links"
TRANSFER_BYTES, RATE = "polyhull.io/transfer-bytes", "polyhull.io/rate-bytes-per-second"
JOB_NAME = "batch.kubernetes.io/job-name"

_WATCH_SECONDS = 300
_RETRY_SECONDS = 1.0
_SUFFIXES = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


class TableError(ValueError):
    """The truth table cannot be read; the message names the place."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Run times of the jobs that match: pool or resource name -> seconds, or -> {pods of the gang: seconds}."""

    kind: str
    namespace: str
    name: str
    seconds: Mapping[str, float | Mapping[int, float]]

    def matches(self, labels: Mapping[str, str]) -> bool:
        wanted = ((KIND, self.kind), (NAMESPACE, self.namespace), (NAME, self.name))
        return all(fnmatchcase(labels.get(key, ""), pattern) for key, pattern in wanted)


@dataclass(frozen=True, slots=True)
class Table:
    """`noise` is the half-width of a uniform factor around 1; real seconds are simulated seconds over `speedup`."""

    seed: int = 0
    noise: float = 0.05
    speedup: float = 1.0
    rules: tuple[Rule, ...] = ()
    link_bits_per_second: Mapping[str, float] = field(default_factory=dict)
    default_bits_per_second: float = 1e9
    inside_bits_per_second: float = 1e10

    def run_seconds(self, cluster: str, pod: Object, node: Object, gang: int) -> float | None:
        """How long this pod runs on this node, in real seconds; None when the table does not know."""
        labels = pod["metadata"].get("labels", {})
        annotations = pod["metadata"].get("annotations", {})
        if TRANSFER_BYTES in annotations:
            seconds: float | None = self._transfer_seconds(annotations)
        else:
            seconds = self._job_seconds(labels, pod, node, gang)
        if seconds is None:
            return None
        owner = (labels.get(part, "") for part in (KIND, NAMESPACE, NAME, COMPONENT))
        return seconds * self._factor(cluster, *owner) / self.speedup

    def _transfer_seconds(self, annotations: Mapping[str, str]) -> float:
        """Bytes over the narrowest link, or over the program's own limit where that is less."""
        links = [link for link in annotations.get(LINKS, "").split(",") if link]
        rates = [self.link_bits_per_second.get(link, self.default_bits_per_second) for link in links]
        rate = min(rates, default=self.inside_bits_per_second) / 8
        return float(annotations[TRANSFER_BYTES]) / min(rate, float(annotations.get(RATE, rate)))

    def _job_seconds(self, labels: Mapping[str, str], pod: Object, node: Object, gang: int) -> float | None:
        for rule in self.rules:
            if rule.matches(labels):
                for key in (node["metadata"].get("labels", {}).get(POOL, ""), _device(pod)):
                    if (known := rule.seconds.get(key)) is not None:
                        return known.get(gang) if isinstance(known, Mapping) else known
                return None
        return None

    def _factor(self, *key: str) -> float:
        """The same for every pod of a gang and in every run with this seed."""
        digest = hashlib.sha256("\0".join((str(self.seed), *key)).encode()).digest()
        return 1.0 + self.noise * (2.0 * int.from_bytes(digest[:8], "big") / (2**64 - 1) - 1.0)


def load_table(path: Path) -> Table:
    """Read a table file; raises TableError."""
    try:
        return parse_table(yaml.safe_load(path.read_text()) or {})
    except FileNotFoundError:
        raise TableError(f"{path}: no such truth table") from None
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise TableError(f"{path}: {error}") from error


def parse_table(document: Mapping[str, Any]) -> Table:
    if unknown := sorted(set(document) - {"seed", "noise", "speedup", "jobs", "transfers"}):
        raise TableError(f"unknown key {unknown[0]!r}; known are seed, noise, speedup, jobs, transfers")
    transfers = document.get("transfers") or {}
    return Table(
        seed=int(document.get("seed", 0)),
        noise=float(document.get("noise", 0.05)),
        speedup=float(document.get("speedup", 1.0)),
        rules=tuple(_rule(item) for item in document.get("jobs") or ()),
        link_bits_per_second={name: bits_per_second(rate) for name, rate in (transfers.get("links") or {}).items()},
        default_bits_per_second=bits_per_second(transfers.get("default", "1G")),
        inside_bits_per_second=bits_per_second(transfers.get("inside", "10G")),
    )


def bits_per_second(text: object) -> float:
    """`800M`, `10G` or a plain number."""
    value = str(text)
    factor = _SUFFIXES.get(value[-1:], 1.0)
    return float(value[:-1] if factor > 1.0 else value) * factor


def _rule(item: Mapping[str, Any]) -> Rule:
    match = item.get("match") or {}
    if unknown := sorted(set(match) - {"kind", "namespace", "name"}):
        raise TableError(f"jobs: match: unknown key {unknown[0]!r}; known are kind, namespace, name")
    seconds = {key: _seconds(value) for key, value in item["seconds"].items()}
    return Rule(match.get("kind", "*"), match.get("namespace", "*"), match.get("name", "*"), seconds)


def _seconds(value: Any) -> float | dict[int, float]:
    if isinstance(value, Mapping):
        return {int(pods): float(seconds) for pods, seconds in value.items()}
    return float(value)


def _device(pod: Object) -> str:
    """The extended resource the pod holds, or `cpu`."""
    for container in pod["spec"]["containers"]:
        for resource in container.get("resources", {}).get("limits", {}):
            if "/" in resource:
                return str(resource)
    return "cpu"


class Truth:
    """Follows all clusters, one thread each, until `stop`. `report` gets one mapping per pod decided or unknown."""

    def __init__(
        self, table: Table, clients: Mapping[str, Client], report: Callable[[Object], None] = lambda entry: None
    ) -> None:
        self._table = table
        self._report = report
        self.failure = ""
        self._stopping = threading.Event()
        self._clients = dict(clients)
        self._threads = [
            threading.Thread(target=self._follow, args=(name, client), name=f"truth-{name}", daemon=True)
            for name, client in self._clients.items()
        ]

    def start(self) -> "Truth":
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """No pod is decided after this; a thread still inside a quiet watch ends with it (they are daemons)."""
        self._stopping.set()

    def wait(self) -> None:
        self._stopping.wait()

    def _follow(self, name: str, client: Client) -> None:
        try:
            self._follow_until_stopped(name, client)
        except Exception as error:
            # One blind cluster would look like jobs that never end: stop all and say why.
            self.failure = f"truth table: cluster {name}: {type(error).__name__}: {error}"
            self._stopping.set()
            raise

    def _follow_until_stopped(self, name: str, client: Client) -> None:
        follower = _Follower(name, client, self._table, self._report)
        while not self._stopping.is_set():
            try:
                listed = client.get("/api/v1/pods", labelSelector=JOB_NAME)
                for pod in listed["items"]:
                    follower.consider(pod)
                version = listed["metadata"]["resourceVersion"]
                for kind, pod in client.watch("/api/v1/pods", version, _WATCH_SECONDS, labelSelector=JOB_NAME):
                    if self._stopping.is_set():
                        return
                    if kind in {"ADDED", "MODIFIED"}:
                        follower.consider(pod)
            except ApiError:
                # An API server that is frozen or restarting: list again when it answers.
                self._stopping.wait(_RETRY_SECONDS)


class _Follower:
    """One cluster's pods. Nodes and Jobs are read once each: a node's pool and a gang's size do not change."""

    def __init__(self, cluster: str, client: Client, table: Table, report: Callable[[Object], None]) -> None:
        self._cluster = cluster
        self._client = client
        self._table = table
        self._report = report
        self._decided: set[str] = set()
        self._nodes: dict[str, Object] = {}
        self._gangs: dict[str, int] = {}

    def consider(self, pod: Object) -> None:
        metadata, node_name = pod["metadata"], pod["spec"].get("nodeName", "")
        if not node_name or metadata["uid"] in self._decided or metadata.get("deletionTimestamp"):
            return
        if RUN_SECONDS in metadata.get("annotations", {}):
            self._decided.add(metadata["uid"])
            return
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        try:
            seconds = self._table.run_seconds(self._cluster, pod, self._node(node_name), self._gang(pod))
            if seconds is not None:
                self._client.patch(path, {"metadata": {"annotations": {RUN_SECONDS: f"{seconds:.3f}"}}})
        except ApiError as error:
            if error.status != 404:  # 404: the pod or its job went meanwhile
                raise
            return
        self._decided.add(metadata["uid"])
        self._report(
            {
                "cluster": self._cluster,
                "namespace": metadata["namespace"],
                "pod": metadata["name"],
                "owner": metadata.get("labels", {}).get(NAME, ""),
                "node": node_name,
                "seconds": seconds,
            }
        )

    def _node(self, name: str) -> Object:
        if name not in self._nodes:
            self._nodes[name] = self._client.get(f"/api/v1/nodes/{name}")
        return self._nodes[name]

    def _gang(self, pod: Object) -> int:
        """How many pods the Job runs at once."""
        namespace, job = pod["metadata"]["namespace"], pod["metadata"]["labels"][JOB_NAME]
        uid = next((owner["uid"] for owner in pod["metadata"].get("ownerReferences", ())), "")
        if uid not in self._gangs:
            found = self._client.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/{job}")
            self._gangs[uid] = int(found["spec"].get("parallelism", 1))
        return self._gangs[uid]


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the truth table's run times onto the pods of a ground.")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--state", type=Path, default=Path(".ground"))
    options = parser.parse_args()
    clusters = json.loads((options.state / "state.json").read_text())["clusters"]
    clients = {name: Client.of_kubeconfig(Path(values["kubeconfig"])) for name, values in clusters.items()}
    lock = threading.Lock()

    def report(entry: Object) -> None:
        with lock:
            sys.stdout.write(json.dumps(entry) + "\n")
            sys.stdout.flush()

    truth = Truth(load_table(options.table), clients, report).start()
    signal.signal(signal.SIGTERM, lambda *_: truth.stop())
    truth.wait()
    if truth.failure:
        raise SystemExit(truth.failure)


if __name__ == "__main__":
    main()
