"""A ground as its users see it: start it, ask its clusters, stop it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from hack.ground import nodes
from hack.ground.binaries import HACK
from hack.ground.client import ApiError, Client
from hack.ground.fleet import Pool
from hack.ground.processes import Identity, listening, memory_bytes, stop_identities, wait_until

STOP_LIMIT_SECONDS = 30.0


class GroundError(RuntimeError):
    """The ground did not start, or there is none; the message says where to look."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One running control plane. `processes` is name -> identity; `ports` are API server, etcd and its peer port."""

    name: str
    server: str
    token: str
    kubeconfig_path: Path
    ca_path: Path
    audit_path: Path | None
    kubectl_path: Path
    ports: tuple[int, ...]
    processes: Mapping[str, Identity]

    @property
    def ca(self) -> str:
        """The certificate authority, as PEM."""
        return self.ca_path.read_text()

    @property
    def client(self) -> Client:
        return Client(self.server, self.token, self.ca)

    def kubectl(self, *arguments: str, stdin: object = None, check: bool = True) -> Any:
        """Run kubectl as administrator and return its JSON output, parsed; plain text where it prints none.

        `stdin` is an object or a list of objects, for `apply -f -` and `create -f -`. Raises GroundError.
        """
        given = json.dumps({"apiVersion": "v1", "kind": "List", "items": stdin} if isinstance(stdin, list) else stdin)
        command = [str(self.kubectl_path), f"--kubeconfig={self.kubeconfig_path}", *arguments]
        if arguments[0] in {"get", "apply", "create", "patch"} and not any(
            part.startswith("-o") for part in arguments
        ):
            command.append("-ojson")
        text = None if stdin is None else given
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
        if check and done.returncode:
            raise GroundError(f"kubectl {' '.join(arguments)} on {self.name}: {done.stderr.strip()}")
        try:
            return json.loads(done.stdout)
        except ValueError:
            return done.stdout

    def install_crds(self, folder: Path) -> None:
        """Apply every CRD of `folder`; returns when each kind can be used. Raises GroundError."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(folder))
        self.await_crds(folder)

    def await_crds(self, folder: Path, limit_seconds: float = 60.0) -> None:
        """Return when every kind of `folder` is served and kubectl can find it. Raises GroundError.

        Established alone is not enough: for a moment after it the API server may still answer 404 for the kind, and
        discovery, by which kubectl finds a kind, is yet another moment behind.
        """
        specs = [yaml.safe_load(path.read_text())["spec"] for path in sorted(folder.glob("*.yaml"))]
        names = {f"{spec['names']['plural']}.{spec['group']}" for spec in specs}
        paths = [f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}" for spec in specs]

        def known() -> bool:
            if not all(self._serves(f"{path}?limit=1") for path in paths):
                return False
            found = {name for group in {spec["group"] for spec in specs} for name in self._api_resources(group)}
            return names <= found

        if not wait_until(known, limit_seconds):
            raise GroundError(
                f"{self.name}: {', '.join(sorted(names))}: not all are served after {limit_seconds:g} s"
            )

    def _api_resources(self, group: str) -> list[str]:
        return str(self.kubectl("api-resources", f"--api-group={group}", "-oname", check=False)).split()

    def _serves(self, path: str) -> bool:
        try:
            self.client.get(path)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def create_namespace(
        self, name: str, labels: Mapping[str, str] | None = None, limit_seconds: float = 60.0
    ) -> None:
        """Returns when pods can be made in it: until it has its default service account, each is refused."""
        self.client.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": dict(labels or {})}})
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        if not wait_until(lambda: self._serves(account), limit_seconds):
            raise GroundError(
                f"{self.name}: namespace {name} has no default service account after {limit_seconds:g} s"
            )

    def add_node(self, pool: Pool, index: int, site: str = "") -> str:
        """One more node while the cluster runs; returns its name (delete it with kubectl)."""
        made = self.client.post("/api/v1/nodes", nodes.node(pool, index, site))
        return str(made["metadata"]["name"])

    def audit_count(self) -> int:
        """How many requests the API server has noted so far."""
        return self._audit_lines().count(b"\n")

    def audit_events(self, since: int = 0) -> list[dict[str, Any]]:
        """What the API server was asked after the first `since` requests, oldest first; needs `audit: true` in the
        fleet file. A log of minutes is long: who wants the end of it should say so."""
        *whole, _ = self._audit_lines().split(b"\n")
        return [json.loads(line) for line in whole[since:]]

    def _audit_lines(self) -> bytes:
        if self.audit_path is None:
            raise GroundError(f"cluster {self.name} keeps no audit log; give it `audit: true` in the fleet file")
        return self.audit_path.read_bytes()

    def freeze(self) -> None:
        """The API server stops answering (connections hang), as over a broken link; `thaw` undoes it."""
        self.processes["kube-apiserver"].signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.processes["kube-apiserver"].signal(signal.SIGCONT)

    def memory_bytes(self) -> int:
        return sum(memory_bytes(identity.pid) for identity in self.processes.values())


class Ground:
    """N control planes under one state directory. Use as a context manager, or call `stop`."""

    def __init__(
        self, state: Path, document: Mapping[str, Any], starter: "subprocess.Popen[bytes] | None" = None
    ) -> None:
        self.state = state
        self.supervisor = Identity(**document["supervisor"])
        self.start_seconds = float(document.get("start_seconds", 0.0))
        self.clusters = {name: _cluster(name, values) for name, values in document["clusters"].items()}
        self._scratch = Path(document["scratch"])
        self._process = starter

    @classmethod
    def start(
        cls,
        fleet: Path,
        state: Path,
        binaries: Mapping[str, Path],
        *,
        keep: bool = False,
        truth: Path | None = None,
        progress: Callable[[str], None] = lambda text: None,
    ) -> "Ground":
        """Start what `fleet` describes; returns when every node is Ready. Raises GroundError, leaving nothing behind.

        Without `keep` the ground ends with this process, however this process ends.
        """
        state = state.resolve()
        _refuse_second(state)
        state.mkdir(parents=True, exist_ok=True)
        (state / "state.json").unlink(missing_ok=True)
        if fleet.resolve() != state / "fleet.yaml":
            shutil.copyfile(fleet, state / "fleet.yaml")
        request = {
            "keep": keep,
            "truth": str(truth.resolve()) if truth else "",
            "binaries": {k: str(v) for k, v in binaries.items()},
        }
        (state / "request.json").write_text(json.dumps(request))
        process = _supervise(state)
        try:
            document = _await_ready(state, process, progress)
        except BaseException:
            _let_go(process)
            raise
        return cls(state, document, process)

    @classmethod
    def load(cls, state: Path, *, ready: bool = True) -> "Ground":
        """The ground under `state`; raises GroundError if none runs there.

        `ready=False` (for stopping): also one still starting, or one of which only parts are left.
        """
        document = read_state(state)
        ground = cls(state, document) if document else None
        if document is None or ground is None or not (ground.supervisor.alive() or ground.living_processes()):
            raise GroundError(
                f"no ground is running under {state}; start one with `python -m hack.ground start --state {state}`"
            )
        if ready and not (document["status"] == "ready" and ground.supervisor.alive()):
            raise GroundError(
                f"the ground under {state} is not ready (last known: {document['status']}); "
                f"try again in a moment, or end what is left with `python -m hack.ground stop --state {state}`"
            )
        return ground

    def stop(self) -> None:
        """End exactly this ground's processes, in order, and wait until their ports are free."""
        if self._process is not None:
            _let_go(self._process)
        else:
            self.supervisor.signal(signal.SIGTERM)
            wait_until(lambda: not self.supervisor.alive(), STOP_LIMIT_SECONDS)
        # What follows does something only when the supervisor could not.
        everything = [identity for cluster in self.clusters.values() for identity in cluster.processes.values()]
        stop_identities([self.supervisor, *everything], 2.0)
        wait_until(lambda: not self.open_ports(), STOP_LIMIT_SECONDS)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def open_ports(self) -> list[int]:
        return [port for cluster in self.clusters.values() for port in cluster.ports if listening(port)]

    def living_processes(self) -> list[Identity]:
        everything = [identity for cluster in self.clusters.values() for identity in cluster.processes.values()]
        return [identity for identity in (self.supervisor, *everything) if identity.alive()]

    def kubeconfig(self) -> str:
        """All clusters in one kubeconfig, a context for each; the first is current."""
        documents = [yaml.safe_load(cluster.kubeconfig_path.read_text()) for cluster in self.clusters.values()]
        merged = {"apiVersion": "v1", "kind": "Config", "current-context": documents[0]["current-context"]}
        for key in ("clusters", "contexts", "users"):
            merged[key] = [dict(item) for document in documents for item in document[key]]
        for cluster, user, context in zip(self.clusters, merged["users"], merged["contexts"], strict=True):
            user["name"] = context["context"]["user"] = f"{cluster}-admin"
            context["context"] = dict(context["context"])
        return yaml.safe_dump(merged, sort_keys=False)

    def __enter__(self) -> "Ground":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def read_state(state: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads((state / "state.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return document


def _cluster(name: str, values: Mapping[str, Any]) -> Cluster:
    return Cluster(
        name=name,
        server=values["server"],
        token=values["token"],
        kubeconfig_path=Path(values["kubeconfig"]),
        ca_path=Path(values["ca"]),
        audit_path=Path(values["audit"]) if values["audit"] else None,
        kubectl_path=Path(values["kubectl"]),
        ports=tuple(values["ports"]),
        processes={part: Identity(**identity) for part, identity in values["processes"].items()},
    )


def _refuse_second(state: Path) -> None:
    document = read_state(state)
    if document and Identity(**document["supervisor"]).alive():
        raise GroundError(
            f"a ground is already running under {state}; stop it, or name another directory with --state"
        )


def _supervise(state: Path) -> "subprocess.Popen[bytes]":
    """Our end of its standard input tells it that we live; in a session of its own it is out of reach of Ctrl-C."""
    root = str(HACK.parent)
    paths = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    with (state / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "hack.ground.supervisor", "--state", str(state)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": paths},
        )


def _await_ready(state: Path, process: "subprocess.Popen[bytes]", progress: Callable[[str], None]) -> dict[str, Any]:
    while True:
        ended = process.poll() is not None
        document = read_state(state)
        if document and document["status"] == "ready" and not ended:
            return document
        if document and not ended:
            progress(f"{document['status']}: {document['message']}")
        if ended:
            stopped = document is not None and document["status"] == "stopped"
            why = (
                "it was stopped" if stopped else (document or {}).get("message") or f"see {state / 'supervisor.log'}"
            )
            raise GroundError(f"the ground did not start: {why}")
        time.sleep(0.05)


def _let_go(process: "subprocess.Popen[bytes]") -> None:
    """Ask the supervisor to stop and wait for it; it bounds its own steps, the limit here is for a frozen one."""
    process.terminate()
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(STOP_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
