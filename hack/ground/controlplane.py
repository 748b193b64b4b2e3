"""One control plane: its files, its five command lines and what "ready" means."""

import base64
import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from hack.ground import keys, nodes
from hack.ground.client import ApiError, Client
from hack.ground.fleet import ClusterSpec
from hack.ground.processes import spawn

ADMIN = "ground-admin"
# Node lifecycle would judge simulated nodes by leases they do not write; the others need a cloud.
_CONTROLLERS = (
    "*,-node-lifecycle-controller,-taint-eviction-controller,-node-ipam-controller,-node-route-controller"
    ",-service-lb-controller,-cloud-node-lifecycle-controller,-ttl-controller,-persistentvolume-attach-detach-controller"
)
_STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "ground", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "ground.polyhull.io/volume",
}


@dataclass
class ControlPlane:
    """The processes of one cluster. `directory` holds what a person may read; `data` is etcd's.

    Every method is called from the supervisor's main thread (see processes.spawn); each step returns at once.
    """

    spec: ClusterSpec
    binaries: Mapping[str, Path]
    directory: Path
    data: Path
    ports: tuple[int, int, int]
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self.ports[0]}"

    @property
    def kubeconfig_path(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def ca_path(self) -> Path:
        # The server writes its own certificate here and its issuer's after it, in one file.
        return self.directory / "pki" / "apiserver.crt"

    @property
    def audit_path(self) -> Path | None:
        return self.directory / "audit.log" if self.spec.audit else None

    def start_store_and_server(self) -> None:
        """etcd and the API server together: the server waits for its store by itself."""
        self._write_files()
        _, client_port, peer_port = self.ports
        store, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
        self._run(
            "etcd",
            f"--name={self.name}",
            f"--data-dir={self.data}",
            f"--listen-client-urls={store}",
            f"--advertise-client-urls={store}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={self.name}={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )
        key = self.directory / "service-account.key"
        self._run(
            "kube-apiserver",
            f"--etcd-servers={store}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.ports[0]}",
            "--endpoint-reconciler-type=none",
            f"--cert-dir={self.directory / 'pki'}",
            f"--token-auth-file={self.directory / 'tokens.csv'}",
            "--authorization-mode=Node,RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--feature-gates=GenericWorkload=true",
            "--runtime-config=scheduling.k8s.io/v1alpha2=true",
            # It would taint new nodes not-ready until the node lifecycle controller, which is off, takes that back.
            "--disable-admission-plugins=TaintNodesByCondition",
            "--profiling=false",
            *self._audit_flags(),
        )

    def answering(self) -> bool:
        """The API server is up with its bootstrap roles; from then on kubeconfig_path is good."""
        if not self.ca_path.exists() or not self.client().ready():
            return False
        self._write_kubeconfig()
        return True

    def start_the_rest(self) -> None:
        """Nodes, then the scheduler, the controllers and KWOK."""
        client = self.client()
        client.post("/apis/storage.k8s.io/v1/storageclasses", _STORAGE_CLASS)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda body: client.post("/api/v1/nodes", body), nodes.nodes(self.spec)))
        self._run("kube-scheduler", f"--config={self._scheduler_config()}", "--secure-port=0",
                  "--feature-gates=GenericWorkload=true,GangScheduling=true")  # fmt: skip
        self._run(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig_path}",
            f"--service-account-private-key-file={self.directory / 'service-account.key'}",
            f"--root-ca-file={self.ca_path}",
            f"--controllers={_CONTROLLERS}",
            "--feature-gates=GenericWorkload=true",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        )
        stages = self.directory / "stages.yaml"
        stages.write_text(nodes.stages(self.spec))
        self._run(
            "kwok",
            f"--kubeconfig={self.kubeconfig_path}",
            f"--config={stages}",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            "--node-lease-duration-seconds=0",
            "--node-ip=10.255.0.1",
            "--cidr=10.244.0.1/16",
            "--v=WARN",
        )

    def ready(self) -> bool:
        """Every node Ready and the controllers at work (they made the default service account)."""
        with contextlib.suppress(ApiError):
            client = self.client()
            client.get("/api/v1/namespaces/default/serviceaccounts/default")
            return all(_is_ready(item) for item in client.get("/api/v1/nodes")["items"])
        return False

    def client(self) -> Client:
        return Client(self.server, self.token, self.ca_path.read_text())

    def failure(self) -> str:
        """Which process ended although it should not, with the end of its log; empty when all run."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                tail = "\n".join(self._log(name).read_text(errors="replace").splitlines()[-8:])
                where = f"{name} of cluster {self.name}"
                return f"{where} ended with code {process.returncode}; {self._log(name)} says:\n{tail}"
        return ""

    def _run(self, name: str, *arguments: str) -> None:
        # Times in annotations are written by KWOK and read by its jq, which knows no zones.
        environment = {**os.environ, "TZ": "UTC"}
        self.processes[name] = spawn([self.binaries[name], *arguments], self._log(name), environment)

    def _log(self, name: str) -> Path:
        return self.directory / "logs" / f"{name}.log"

    def _write_files(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)  # logs and keys of an earlier run
        self.directory.mkdir(parents=True)
        self.data.mkdir(parents=True, exist_ok=True)
        _private(self.directory / "tokens.csv", f'{self.token},{ADMIN},{ADMIN},"system:masters"\n')
        _private(self.directory / "service-account.key", keys.service_account_key_pem())

    def _audit_flags(self) -> tuple[str, ...]:
        if self.audit_path is None:
            return ()
        policy = self.directory / "audit-policy.yaml"
        rules = [{"level": "Metadata", "omitStages": ["RequestReceived"]}]
        policy.write_text(yaml.safe_dump({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules}))
        return (f"--audit-policy-file={policy}", f"--audit-log-path={self.audit_path}", "--audit-log-mode=blocking")

    def _scheduler_config(self) -> Path:
        path = self.directory / "scheduler.yaml"
        config = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": {"leaderElect": False},
            "clientConnection": {"kubeconfig": str(self.kubeconfig_path), "qps": 500, "burst": 1000},
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def _write_kubeconfig(self) -> None:
        authority = base64.b64encode(self.ca_path.read_bytes()).decode()
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": self.name, "cluster": {"server": self.server, "certificate-authority-data": authority}}
            ],
            "users": [{"name": ADMIN, "user": {"token": self.token}}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": ADMIN}}],
            "current-context": self.name,
        }
        _private(self.kubeconfig_path, yaml.safe_dump(document, sort_keys=False))


def _is_ready(node: dict[str, object]) -> bool:
    conditions = node["status"].get("conditions", [])  # type: ignore[attr-defined]
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
