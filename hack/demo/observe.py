"""What really happened, seen by an eye of its own: pods of the members, watched from outside the operator."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hack.ground.client import ApiError, Client, Object

LABEL = "app.kubernetes.io/managed-by=polyhull"
WATCH_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Run:
    """All pods of one child: `begun` when the last of them ran, `ended` when the last succeeded (epoch seconds)."""

    cluster: str
    component: str
    owner: str
    """namespace/name of the object on the hub."""
    child: str
    """Name of the child (Job or Deployment) the pods belong to."""
    annotations: tuple[tuple[str, str], ...] = ()
    nodes: tuple[str, ...] = ()
    pods: int = 0
    bound: float | None = None
    begun: float | None = None
    ended: float | None = None


@dataclass(slots=True)
class Pod:
    cluster: str
    labels: dict[str, str]
    annotations: dict[str, str]
    node: str = ""
    bound: float | None = None
    begun: float | None = None
    ended: float | None = None


@dataclass(slots=True)
class Observer:
    """Watches the pods of every member from its start on; `runs()` at any time."""

    clients: dict[str, Client]
    _pods: dict[tuple[str, str], Pod] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        for name, client in self.clients.items():
            threading.Thread(target=self._follow, args=(name, client), daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def runs(self) -> tuple[Run, ...]:
        """One entry per child of ours, in order of binding."""
        with self._lock:
            groups: dict[tuple[str, str], list[Pod]] = {}
            for pod in self._pods.values():
                groups.setdefault((pod.cluster, _child(pod.labels)), []).append(replace(pod))
        found = [_run(cluster, child, pods) for (cluster, child), pods in groups.items()]
        return tuple(sorted(found, key=lambda run: (run.bound or float("inf"), run.cluster, run.child)))

    def _follow(self, cluster: str, client: Client) -> None:
        while not self._stopped.is_set():
            try:
                listed = client.get("/api/v1/pods", labelSelector=LABEL)
                for pod in listed["items"]:
                    self._see(cluster, pod)
                version = listed["metadata"]["resourceVersion"]
                for _, pod in client.watch("/api/v1/pods", version, WATCH_SECONDS):
                    if self._stopped.is_set():
                        return
                    if pod.get("kind") == "Pod":
                        self._see(cluster, pod)
            except ApiError:
                self._stopped.wait(0.5)

    def _see(self, cluster: str, raw: Object) -> None:
        meta, status = raw["metadata"], raw.get("status", {})
        if meta.get("labels", {}).get("app.kubernetes.io/managed-by") != "polyhull":
            return
        now = time.time()
        with self._lock:
            pod = self._pods.setdefault(
                (cluster, meta["uid"]), Pod(cluster, meta.get("labels", {}), meta.get("annotations", {}))
            )
            pod.node = raw.get("spec", {}).get("nodeName", "") or pod.node
            if pod.node and pod.bound is None:
                pod.bound = now
            phase = status.get("phase")
            if phase in {"Running", "Succeeded"} and pod.begun is None:
                pod.begun = now
            if phase == "Succeeded" and pod.ended is None:
                pod.ended = now


def _child(labels: dict[str, str]) -> str:
    return labels.get("batch.kubernetes.io/job-name") or labels.get("polyhull.io/uid", "") + labels.get(
        "pod-template-hash", ""
    )


def _run(cluster: str, child: str, pods: list[Pod]) -> Run:
    first = pods[0]
    return Run(
        cluster=cluster,
        component=first.labels.get("polyhull.io/component", ""),
        owner=f"{first.labels.get('polyhull.io/namespace', '')}/{first.labels.get('polyhull.io/name', '')}",
        child=child,
        annotations=tuple(sorted(first.annotations.items())),
        nodes=tuple(sorted({pod.node for pod in pods if pod.node})),
        pods=len(pods),
        bound=_last(pod.bound for pod in pods),
        begun=_last(pod.begun for pod in pods),
        ended=_last(pod.ended for pod in pods),
    )


def _last(times: Iterable[float | None]) -> float | None:
    known = list(times)
    return None if any(moment is None for moment in known) else max(moment for moment in known if moment is not None)
