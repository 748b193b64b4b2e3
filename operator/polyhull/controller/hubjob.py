"""A finite job as the hub holds it, what it was assigned, and what follows for it: the values the controller passes.

A job at one site has one child, an Indexed Job. One over several sites has several: one with all nodes of its first
site, and one for each further node, since an environment variable cannot add a site's first rank to a pod's index.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from polyhull.api import moves
from polyhull.api.conditions import Reason, Type
from polyhull.controller import status
from polyhull.controller.children import Progress
from polyhull.controller.kept import Left
from polyhull.controller.status import Said
from polyhull.delivery.base import Action
from polyhull.domain.workloads import Key, Placed, SpanMode, writes_at
from polyhull.kube.resources import JOBS, Manifest, Ref, ref_of, uid_of
from polyhull.render import naming
from polyhull.render.keeping import CHECKPOINT, OUTPUT


@dataclass(frozen=True, slots=True)
class Child:
    """One Job that a member holds for a job of ours, as assigned: `replicas` nodes from `first_rank` on."""

    ref: Ref
    assignment: Mapping[str, Any]
    part: int
    """Which of the assignment's parts it belongs to."""
    replicas: int
    first_rank: int = 0

    @property
    def parts(self) -> tuple[Mapping[str, Any], ...]:
        return parts_of(self.assignment)

    @property
    def told(self) -> Mapping[str, Any]:
        """Its part as status tells it; of a job at one site the whole assignment."""
        return self.parts[self.part]

    @property
    def cluster(self) -> str:
        return str(self.told["cluster"])

    @property
    def pool(self) -> str:
        return str(self.told.get("pool") or "")

    @property
    def has_service(self) -> bool:
        """Whether others must find its first node by name."""
        return self.replicas > 1 or (len(self.parts) > 1 and self.first_rank == 0)


def parts_of(assignment: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """What runs at each site: the parts of a job over several, or the assignment itself."""
    return tuple(assignment.get("parts") or ((assignment,) if assignment else ()))


def children_of(assignment: Mapping[str, Any], owner: naming.Owner) -> tuple[Child, ...]:
    """The Jobs of an assignment, in the order of their ranks."""
    parts = parts_of(assignment)
    return tuple(
        Child(Ref(JOBS, owner.namespace, naming.child_name(owner, *rank)), assignment, part, replicas, first)
        for part, told in enumerate(parts)
        for first, replicas in _runs(part, told)
        for rank in (naming.rank(first, len(parts)),)
    )


def kept_entries(job: "HubJob", child: Child) -> tuple[str, ...]:
    """Which of `checkpoint` and `output` are kept where the child runs, if the job has them."""
    placement = (job.raw.get("spec") or {}).get("placement") or {}
    crossing = (placement.get("crossSite") or {}).get("mode", "Never")
    saves, leaves = writes_at(child.part, None if crossing == "Never" else SpanMode(crossing))
    return tuple(entry for entry, here in ((CHECKPOINT, saves), (OUTPUT, leaves)) if here)


def _runs(part: int, told: Mapping[str, Any]) -> list[tuple[int, int]]:
    """(first rank, nodes) of each Job of a part."""
    first, nodes = int(told.get("firstRank") or 0), int(told.get("replicas") or 1)
    return [(0, nodes)] if part == 0 else [(first + node, 1) for node in range(nodes)]


class State(StrEnum):
    """Where a job stands; also the label of the metric `polyhull_jobs`."""

    FOREIGN = "foreign"
    REFUSED = "refused"
    WAITING = "waiting"
    SUSPENDED = "suspended"
    RELEASED = "released"
    WITHDRAWING = "withdrawing"
    ENDED = "ended"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class HubJob:
    """A finite job as the hub holds it: TrainingJob, or InferenceJob of mode Batch."""

    raw: Manifest
    key: Key
    accepted: bool = True
    reason: str = ""
    """Of Accepted."""
    message: str = ""
    foreign: bool = False

    @property
    def uid(self) -> str:
        return uid_of(self.raw)

    @property
    def ref(self) -> Ref:
        return ref_of(self.raw)

    @property
    def status(self) -> Mapping[str, Any]:
        return self.raw.get("status") or {}

    @property
    def assignment(self) -> Mapping[str, Any]:
        return self.status.get("assignment") or {}

    @property
    def released(self) -> bool:
        return bool(self.assignment.get("releasedTime"))

    @property
    def move(self) -> Mapping[str, Any]:
        """`status.move`; empty for a job that was never stopped in order to be moved."""
        return self.status.get("move") or {}

    @property
    def stopping(self) -> bool:
        """Whether its child is to go so that it can go on elsewhere."""
        return self.released and moves.phase(self.status) == moves.STOPPING

    @property
    def deleting(self) -> bool:
        return bool(self.raw["metadata"].get("deletionTimestamp"))

    @property
    def has_finalizer(self) -> bool:
        return naming.FINALIZER in (self.raw["metadata"].get("finalizers") or ())

    @property
    def suspended(self) -> bool:
        return (self.raw.get("spec") or {}).get("suspend") is True

    @property
    def ended(self) -> bool:
        return status.holds(self.raw, Type.SUCCEEDED) in ("True", "False") and bool(self.status.get("completionTime"))

    @property
    def parts(self) -> tuple[Mapping[str, Any], ...]:
        return parts_of(self.assignment)

    @property
    def clusters(self) -> str:
        """Where it was released to, for people."""
        return ", ".join(dict.fromkeys(str(told["cluster"]) for told in self.parts))

    @property
    def pools(self) -> str:
        return ", ".join(str(told["pool"]) for told in self.parts)

    @property
    def children(self) -> tuple[Child, ...]:
        """As assigned; empty without an assignment."""
        return children_of(self.assignment, naming.Owner.of(self.key, self.uid))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows for a job without asking the plan. `placed`: it is a fixed column of the snapshot."""

    state: State
    placed: Placed | None = None
    actions: tuple[Action, ...] = ()
    progress: Progress | None = None
    due_at: float | None = None
    purges: tuple[Left, ...] = ()
    """To be removed from their buckets."""
    rerelease: bool = False
    """Released on the hub, but its member has no child of it yet: make it (again)."""
    tombstones: tuple[str, ...] = ()
    """Members that cannot confirm its deletion: a note in their status takes the finalizer's place."""
    event: str = ""
    """What happened, for metrics: `withdrawn:REASON`, `ended:Complete` …"""


SUSPENDED: tuple[Said, ...] = (
    (Type.PLANNED, False, Reason.SUSPENDED, "spec.suspend is true; set it to false and it is planned again"),
    (Type.PLACED, False, Reason.SUSPENDED, "spec.suspend is true"),
)
"""What a suspended job that was never released says."""
