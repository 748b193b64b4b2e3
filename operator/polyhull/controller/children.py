"""What members hold of ours, read as facts: does the child run, where, since when, and if not, why not. Pure.

Kubernetes says little that is dated: a pod that waits for a Secret has no "since". Where an object carries the
instant (creation, PodScheduled) it is used, so that a restarted operator does not begin its patience anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from polyhull.kube.resources import Manifest, Ref, ref_of, uid_of
from polyhull.render import naming


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds until something that does not happen counts as trouble."""

    unbound: float = 30.0
    """A released pod that kube-scheduler has not bound is withdrawn and planned again."""
    stuck: float = 120.0
    """A bound pod that misses an image, a Secret or a volume is withdrawn."""
    podless: float = 10.0
    """A Job without any pod was refused by quota or admission."""
    back_off: float = 600.0
    """How long a place that failed a job or a service is not tried again for it."""
    tombstone: float = 60.0
    """How long a deletion waits for an unreachable member before a tombstone takes the finalizer's place."""


DEPENDENCY = "DependencyMissing"
UNBOUND = "Unbound"
QUOTA = "QuotaExceeded"
REFUSED = "Refused"

_STUCK = {
    "CreateContainerConfigError": "a ConfigMap or Secret it names",
    "CreateContainerError": "something its container needs",
    "ImagePullBackOff": "its image",
    "ErrImagePull": "its image",
    "ErrImageNeverPull": "its image",
    "InvalidImageName": "its image",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a release does not come to run: a condition's reason and message, and what to do."""

    reason: str
    message: str
    cluster: str = ""
    """The member that is to blame; empty: where it was released to."""
    pool: str = ""
    """Of that member, where only this pool is to blame."""


@dataclass(frozen=True, slots=True)
class News:
    """A Warning that the member's API recorded about one object: `FailedCreate`, `FailedMount` …"""

    regarding_uid: str
    reason: str
    note: str


@dataclass(frozen=True, slots=True)
class Member:
    """One cluster as its caches show it at one instant. `reachable`: connected, and its caches are filled."""

    name: str
    reachable: bool
    fenced: bool = False
    children: Mapping[str, tuple[Manifest, ...]] = field(default_factory=dict)
    """Objects we wrote, by the uid of their owner on the hub; pods are not among them."""
    pods: Mapping[str, tuple[Manifest, ...]] = field(default_factory=dict)
    """Pods by the same uid."""
    news: tuple[News, ...] = ()
    tombstones: tuple[Mapping[str, Any], ...] = ()
    patience: Patience = Patience()
    provisioning: Mapping[str, float] = field(default_factory=dict)
    """Pools that an autoscaler may add nodes to -> seconds that takes: their pods may stay unbound longer by that."""

    def unbound_patience(self, pool: str) -> float:
        return self.patience.unbound + self.provisioning.get(pool, 0.0)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one child Job is. Instants are seconds since the epoch."""

    ref: Ref
    uid: str
    suspended: bool
    wanted: int
    active: int
    """Pods that hold devices: bound or waiting, not ended."""
    bound: int
    """Pods that kube-scheduler bound; those that ended well count."""
    running: int
    nodes: tuple[tuple[str, int], ...]
    started_at: float | None
    ended: str = ""
    """Complete or Failed."""
    ended_at: float | None = None
    message: str = ""
    failed: int = 0
    terminating: bool = False
    trouble: Trouble | None = None
    due_at: float | None = None
    """When patience with what it waits for ends."""

    @property
    def all_bound(self) -> bool:
        return self.bound >= self.wanted


@dataclass(frozen=True, slots=True)
class Serving:
    """How one Deployment fares. `unbound`: a pod of it waits for a node."""

    pods: int
    unbound: bool
    trouble: Trouble | None = None
    due_at: float | None = None


def group_by_owner(objects: Iterable[Manifest]) -> dict[str, tuple[Manifest, ...]]:
    """Objects by the owner-uid label; those without one are left out."""
    groups: dict[str, list[Manifest]] = {}
    for body in objects:
        uid = labels_of(body).get(naming.UID, "")
        if uid:
            groups.setdefault(uid, []).append(body)
    return {uid: tuple(found) for uid, found in groups.items()}


def labels_of(body: Manifest) -> Mapping[str, str]:
    return body["metadata"].get("labels") or {}


def annotations_of(body: Manifest) -> Mapping[str, str]:
    return body["metadata"].get("annotations") or {}


def component(body: Manifest) -> str:
    return labels_of(body).get(naming.COMPONENT, "")


def instant(text: str | None) -> float | None:
    """Seconds since the epoch of an RFC 3339 text."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else None


def progress(job: Manifest, member: Member, owner_uid: str, now: float, pool: str = "") -> Progress:
    """Facts about one child Job and its pods, as `member` shows them. `pool`: where it was released to."""
    pods = member.pods.get(owner_uid, ())
    spec, status = job.get("spec") or {}, job.get("status") or {}
    mine = [pod for pod in pods if _owned_by(pod, uid_of(job))]
    live = [pod for pod in mine if _phase(pod) in ("Pending", "Running", "Unknown")]
    well = [pod for pod in mine if _phase(pod) == "Succeeded"]
    bound = [pod for pod in live if (pod.get("spec") or {}).get("nodeName")]
    running = [pod for pod in live if _phase(pod) == "Running"]
    wanted = int(spec.get("completions") or spec.get("parallelism") or 1)
    ended, ended_at, message = _end(status)
    suspended = bool(spec.get("suspend"))
    trouble, due_at = (None, None) if ended or suspended else _trouble(job, live, len(well), member, now, pool)
    return Progress(
        ref=ref_of(job),
        uid=uid_of(job),
        suspended=suspended,
        wanted=wanted,
        active=len(live),
        bound=len(bound) + len(well),
        running=len(running) + len(well),
        nodes=_nodes(bound),
        started_at=_started(running + well, wanted),
        ended=ended,
        ended_at=ended_at,
        message=message,
        failed=int(status.get("failed") or 0),
        terminating=bool(job["metadata"].get("deletionTimestamp")),
        trouble=trouble,
        due_at=due_at,
    )


def last_words(member: Member, owner_uid: str, job_uid: str) -> tuple[str, ...]:
    """What the containers of a Job's pods that ended well left as their termination message."""
    pods = [pod for pod in member.pods.get(owner_uid, ()) if _owned_by(pod, job_uid) and _phase(pod) == "Succeeded"]
    states = [
        (one.get("state") or {}).get("terminated") or {}
        for pod in pods
        for one in (pod.get("status") or {}).get("containerStatuses") or ()
    ]
    return tuple(str(state["message"]).strip() for state in states if state.get("message"))


def _owned_by(pod: Manifest, uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in pod["metadata"].get("ownerReferences") or ())


def _phase(pod: Manifest) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def _nodes(pods: Sequence[Manifest]) -> tuple[tuple[str, int], ...]:
    counts: dict[str, int] = {}
    for pod in pods:
        counts[pod["spec"]["nodeName"]] = counts.get(pod["spec"]["nodeName"], 0) + 1
    return tuple(sorted(counts.items()))


def _started(pods: Sequence[Manifest], wanted: int) -> float | None:
    """When the last pod of the gang began to run; None while one does not."""
    if len(pods) < wanted:
        return None
    instants = [_container_start(pod) for pod in pods]
    known = [at for at in instants if at is not None]
    return max(known) if len(known) == len(instants) else None


def _container_start(pod: Manifest) -> float | None:
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        state = container.get("state") or {}
        for name in ("running", "terminated"):
            if (state.get(name) or {}).get("startedAt"):
                return instant(state[name]["startedAt"])
    return instant((pod.get("status") or {}).get("startTime"))


def _end(status: Mapping[str, Any]) -> tuple[str, float | None, str]:
    for condition in status.get("conditions") or ():
        if condition.get("status") == "True" and condition.get("type") in ("Complete", "Failed"):
            at = instant(status.get("completionTime") or condition.get("lastTransitionTime"))
            said = ": ".join(text for text in (condition.get("reason"), condition.get("message")) if text)
            return str(condition["type"]), at, said
    return "", None, ""


def serving(deployment: Manifest, member: Member, owner_uid: str, pool: str, now: float) -> Serving:
    """Facts about one Deployment and its pods, as `member` shows them."""
    selected = ((deployment.get("spec") or {}).get("selector") or {}).get("matchLabels") or labels_of(deployment)
    wanted = {name: selected.get(name) for name in (naming.POOL, naming.VARIANT)}
    live = [
        pod
        for pod in member.pods.get(owner_uid, ())
        if all(labels_of(pod).get(name) == value for name, value in wanted.items())
        and _phase(pod) in ("Pending", "Running", "Unknown")
        and not pod["metadata"].get("deletionTimestamp")
    ]
    trouble, due = _replica_failure(deployment, member, now)
    if trouble is None:
        trouble, later = _first_trouble(live, member, now, pool)
        due = min((at for at in (due, later) if at is not None), default=None)
    waiting = any(not (pod.get("spec") or {}).get("nodeName") for pod in live)
    return Serving(len(live), waiting, trouble, due)


def _replica_failure(deployment: Manifest, member: Member, now: float) -> tuple[Trouble | None, float | None]:
    """Pods that quota or admission refuse: the Deployment's own condition says so."""
    for condition in (deployment.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            since = instant(condition.get("lastTransitionTime")) or now
            if now < since + member.patience.podless:
                return None, since + member.patience.podless
            return _refusal(str(condition.get("message") or "no reason given")), None
    return None, None


def _trouble(
    job: Manifest, live: Sequence[Manifest], done: int, member: Member, now: float, pool: str
) -> tuple[Trouble | None, float | None]:
    if not live and not done:
        return _podless(job, member, now)
    return _first_trouble(live, member, now, pool)


def _first_trouble(
    live: Sequence[Manifest], member: Member, now: float, pool: str
) -> tuple[Trouble | None, float | None]:
    due: list[float] = []
    for pod in live:
        found, at = _pod_trouble(pod, member, now, member.unbound_patience(pool))
        if found is not None:
            return found, None
        if at is not None:
            due.append(at)
    return None, min(due) if due else None


def _podless(job: Manifest, member: Member, now: float) -> tuple[Trouble | None, float | None]:
    since = instant((job.get("status") or {}).get("startTime")) or instant(job["metadata"].get("creationTimestamp"))
    if int((job.get("status") or {}).get("failed") or 0):
        return None, None  # between attempts: the Job controller waits before it tries again
    patience = member.patience.podless
    if since is None or now < since + patience:
        return None, None if since is None else since + patience
    said = [item for item in member.news if item.regarding_uid == uid_of(job) and item.reason == "FailedCreate"]
    if not said:
        return None, None
    return _refusal(said[-1].note), None


def _refusal(note: str) -> Trouble:
    if "exceeded quota" in note or "must specify" in note:
        return Trouble(QUOTA, f"the namespace's quota refuses its pods: {note}"[:1000])
    return Trouble(REFUSED, f"its pods are refused: {note}"[:1000])


def _pod_trouble(pod: Manifest, member: Member, now: float, patience: float) -> tuple[Trouble | None, float | None]:
    """What one live pod is stuck on once patience is over, else when it will be."""
    if _phase(pod) != "Pending":
        return None, None
    scheduled = _condition(pod, "PodScheduled")
    if not pod["spec"].get("nodeName"):
        since = instant(pod["metadata"].get("creationTimestamp")) or now
        if now < since + patience:
            return None, since + patience
        said = str(scheduled.get("message") or "kube-scheduler gave no reason")
        return Trouble(UNBOUND, f"no node took its pod for {patience:.0f} s: {said}"[:1000]), None
    since = instant(scheduled.get("lastTransitionTime")) or instant(pod["metadata"].get("creationTimestamp")) or now
    found = _missing(pod, member.news)
    if now < since + member.patience.stuck:
        return None, since + member.patience.stuck
    return (Trouble(DEPENDENCY, found), None) if found else (None, None)


def _missing(pod: Manifest, news: Sequence[News]) -> str:
    status = pod.get("status") or {}
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _STUCK:
            detail = str(waiting.get("message") or waiting["reason"])
            return f"its pod misses {_STUCK[waiting['reason']]}: {waiting['reason']}: {detail}"[:1000]
    said = [item.note for item in news if item.regarding_uid == uid_of(pod) and item.reason == "FailedMount"]
    return f"its pod misses a volume: FailedMount: {said[-1]}"[:1000] if said else ""


def _condition(body: Manifest, name: str) -> Mapping[str, Any]:
    for condition in (body.get("status") or {}).get("conditions") or ():
        if condition.get("type") == name:
            found: Mapping[str, Any] = condition
            return found
    return {}
