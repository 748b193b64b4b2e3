"""The life of one finite job, as a function: what the hub says, what its member shows, and what follows. Pure.

    waiting --release--> Releasing --bound--> Bound --end--> ended --child deleted--> done
                             |                  |
                             +--- withdrawing --+---> waiting (with an exclusion)

The hub's status is the only memory: `assignment.releasedTime` says "a child may exist there", and nothing but a
confirmed absence of that child (or an administrator's word: fenced, member deleted) takes it away. Every arrow writes
the hub first and acts second, or acts idempotently, so that dying between two writes changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from polyhull.api import status as api_status
from polyhull.api.conditions import Reason, Type
from polyhull.controller import children, status
from polyhull.controller.children import Member, Progress, Trouble
from polyhull.controller.removal import deletes, leftovers, remove
from polyhull.controller.status import Said, compose
from polyhull.delivery.base import Action, Announce, ConfirmGone, Delete, Finalizer, PutStatus, Suspend
from polyhull.domain.units import format_seconds
from polyhull.domain.workloads import Exclusion, Key, Placed
from polyhull.kube.resources import JOBS, Manifest, Ref, ref_of, uid_of
from polyhull.render import naming

_WITHDRAWING = frozenset({children.UNBOUND, children.DEPENDENCY, children.QUOTA, children.REFUSED})
_LEAVING = _WITHDRAWING | {Reason.WITHDRAWN, Reason.SUSPENDED}
"""Reasons of Placed=False under which the child is on its way out (or may be): its absence is no loss."""


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
    def child_ref(self) -> Ref:
        return Ref(JOBS, self.key.namespace, naming.child_name(naming.Owner.of(self.key, self.uid)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows for a job without asking the plan. `placed`: it is a fixed column of the snapshot."""

    state: State
    placed: Placed | None = None
    actions: tuple[Action, ...] = ()
    progress: Progress | None = None
    due_at: float | None = None
    rerelease: bool = False
    """Released on the hub, but its member has no child of it yet: make it (again)."""
    tombstones: tuple[str, ...] = ()
    """Members that cannot confirm its deletion: a note in their status takes the finalizer's place."""
    event: str = ""
    """What happened, for metrics: `withdrawn:REASON`, `ended:Complete` …"""


def judge(job: HubJob, members: Mapping[str, Member], now: float, refused: Trouble | None = None) -> Verdict:
    """The first thing that applies, in order of authority: whose it is, deletion, end, release, waiting.

    `refused`: the member's API answered no to the child itself (admission, quota, rights).
    """
    if job.foreign:
        return Verdict(State.FOREIGN)
    if job.deleting:
        return _deleting(job, members, now)
    if job.ended:
        return _ended(job, members)
    if job.released:
        verdict = _released(job, members, now, refused)
        return replace(verdict, actions=(*verdict.actions, *(strays(job, members) or ())))
    found = strays(job, members)
    if found is not None:
        return Verdict(State.WITHDRAWING, actions=found)
    if not job.accepted:
        return Verdict(State.REFUSED)
    if job.suspended:
        return Verdict(State.SUSPENDED)
    ends = [children.instant(one["untilTime"]) or 0.0 for one in job.status.get("exclusions") or ()]
    return Verdict(State.WAITING, due_at=min((at for at in ends if at > now), default=None))


SUSPENDED: tuple[Said, ...] = (
    (Type.PLANNED, False, Reason.SUSPENDED, "spec.suspend is true; set it to false and it is planned again"),
    (Type.PLACED, False, Reason.SUSPENDED, "spec.suspend is true"),
)
"""What a suspended job that was never released says."""


def child_of(job: HubJob, member: Member) -> Manifest | None:
    """The child Job in a member's cache."""
    name = job.child_ref.name
    for body in member.children.get(job.uid, ()):
        if body.get("kind") == "Job" and body["metadata"]["name"] == name:
            return body
    return None


def _look(job: HubJob, member: Member, now: float) -> Progress | None:
    child = child_of(job, member)
    if child is None:
        return None
    return children.progress(child, member, job.uid, now, str(job.assignment.get("pool") or ""))


# -- released


def _released(job: HubJob, members: Mapping[str, Member], now: float, refused: Trouble | None) -> Verdict:
    member = members.get(str(job.assignment.get("cluster")))
    if member is None or member.fenced:
        why = "was deleted" if member is None else "is fenced: nothing of ours runs there any more"
        return _freed(job, now, Reason.WITHDRAWN, f"MemberCluster {job.assignment.get('cluster')} {why}", None)
    if not member.reachable:
        return _unreachable(job, member, now)
    progress = _look(job, member, now)
    return _absent(job, member, now, refused) if progress is None else _present(job, member, progress, now)


def _unreachable(job: HubJob, member: Member, now: float) -> Verdict:
    placed = _placed(job, None, uncertain=True)
    text = f"{member.name} does not answer; it may still run there, so it is placed nowhere else"
    said = (Type.PLACED, None, Reason.MEMBER_UNREACHABLE, text)
    return Verdict(State.RELEASED, placed, _put(job, now, [said]))


def _absent(job: HubJob, member: Member, now: float, refused: Trouble | None) -> Verdict:
    """The member answers and shows no child."""
    why = status.reason(job.raw, Type.PLACED)
    if why in _LEAVING:
        return _freed(job, now, why, status.message(job.raw, Type.PLACED), member)
    if why == Reason.BOUND or job.status.get("startTime"):
        return _lost(job, member, now)
    if job.suspended:
        return _freed(job, now, Reason.SUSPENDED, "spec.suspend is true", member)
    if refused is not None:
        return _freed(job, now, refused.reason, f"{refused.message} (member {member.name})", member)
    return Verdict(State.RELEASED, _placed(job, None), rerelease=True)


def _present(job: HubJob, member: Member, progress: Progress, now: float) -> Verdict:
    if progress.ended:
        return _end(job, progress, now)
    why = status.reason(job.raw, Type.PLACED)
    if progress.terminating or why in _WITHDRAWING or why == Reason.WITHDRAWN:
        return _withdraw(job, member, progress, None, now)
    if job.suspended or progress.suspended:
        return _suspension(job, member, progress, now)
    if progress.trouble is not None:
        return _withdraw(job, member, progress, progress.trouble, now)
    return _running(job, member, progress, now)


def _running(job: HubJob, member: Member, progress: Progress, now: float) -> Verdict:
    placed = _placed(job, progress)
    started = progress.started_at if progress.started_at is not None else placed.started_at
    said: list[Said] = []
    actions: tuple[Action, ...] = ()
    event = ""
    if progress.all_bound:
        pool = job.assignment.get("pool")
        if status.reason(job.raw, Type.PLACED) != Reason.BOUND:
            actions = (Announce(job.ref, job.uid, "Normal", "Placed", f"All pods are bound in pool {pool}"),)
            event = "bound"
        said.append((Type.PLACED, True, Reason.BOUND, f"all {progress.wanted} pods are bound in pool {pool}"))
    elif status.holds(job.raw, Type.PLACED) != "True":
        said.append((Type.PLACED, False, Reason.RELEASING, f"released to {member.name}; its pods are being bound"))
    if started is not None:
        said.append((Type.SUCCEEDED, None, Reason.RUNNING, "it runs"))
    fields: dict[str, Any] = {"failedAttempts": progress.failed or None}
    # Its start is worth a write, but not one of its own while another is about to follow: Placed carries it, or the
    # estimates that come with a real start.
    if started is not None and not job.status.get("startTime"):
        fields["startTime"] = status.at(started)
        fields["assignment"] = {**job.assignment, "startedTime": status.at(started)}
    # Companions (Service, PodGroup) may have been left out by a crash: until all pods are bound, apply them again.
    missing = progress.wanted > 1 and not progress.all_bound and len(member.children.get(job.uid, ())) < 2
    return Verdict(
        State.RELEASED,
        placed,
        (*_put(job, now, said, fields), *actions),
        progress,
        progress.due_at,
        rerelease=missing,
        event=event,
    )


def _suspension(job: HubJob, member: Member, progress: Progress, now: float) -> Verdict:
    """Suspended by its owner: stop the pods, keep the child. No longer: remove the child, then plan again."""
    if not job.suspended:
        return _withdraw(job, member, progress, Trouble(Reason.WITHDRAWN, "resumed: it is planned again"), now)
    stop = () if progress.suspended else (Suspend(member.name, progress.ref, progress.uid),)
    said: Said = (Type.PLACED, False, Reason.SUSPENDED, "spec.suspend is true; its child is suspended")
    held = None if progress.suspended and progress.active == 0 else _placed(job, progress)
    return Verdict(State.SUSPENDED, held, (*stop, *_put(job, now, [SUSPENDED[0], said])), progress)


def _withdraw(job: HubJob, member: Member, progress: Progress, trouble: Trouble | None, now: float) -> Verdict:
    """Say why, then delete the child and wait until it is gone with its pods."""
    actions: tuple[Action, ...] = ()
    event = ""
    if trouble is not None:
        said: Said = (Type.PLACED, False, trouble.reason, f"{trouble.message} (member {member.name})")
        note = f"Withdrawn from {member.name}: {trouble.message}"
        actions = (*_put(job, now, [said]), Announce(job.ref, job.uid, "Warning", trouble.reason, note))
        event = f"withdrawn:{trouble.reason}"
    if not progress.terminating:
        actions = (*actions, Delete(member.name, progress.ref, progress.uid))
    return Verdict(State.WITHDRAWING, _placed(job, progress), actions, progress, event=event)


def _freed(job: HubJob, now: float, reason: str, text: str, member: Member | None) -> Verdict:
    """The child is gone (or, without `member`, an administrator vouches for it): the assignment may go too."""
    fields: dict[str, Any] = {
        "assignment": None,
        "startTime": None,
        "estimatedStartTime": None,
        "estimatedCompletionTime": None,
        "transfers": None,
        "exclusions": _exclusions(job, reason, text, now, member),
    }
    said: Said = (Type.PLACED, False, reason, text or "withdrawn")
    confirm = () if member is None else (ConfirmGone(member.name, job.child_ref),)
    put = PutStatus(job.ref, job.uid, compose(job.raw, now, [said], fields))
    return Verdict(State.WITHDRAWING, _placed(job, None), (*confirm, put))


def _exclusions(
    job: HubJob, reason: str, text: str, now: float, member: Member | None
) -> list[dict[str, Any]] | None:
    if member is None or reason not in _WITHDRAWING:
        return exclusions(job.status, now)
    pool = str(job.assignment["pool"]) if reason == children.UNBOUND else ""
    return exclusions(job.status, now, Exclusion(member.name, pool, reason, text, now + member.patience.back_off))


def exclusions(held: Mapping[str, Any], now: float, new: Exclusion | None = None) -> list[dict[str, Any]] | None:
    """`status.exclusions` still in force, with `new` in the place of what was said of the same pool or cluster."""
    live = [one for one in held.get("exclusions") or () if (children.instant(one["untilTime"]) or 0.0) > now]
    if new is not None:
        live = [one for one in live if (one["cluster"], one.get("pool") or "") != (new.cluster, new.pool)]
        live += api_status.exclusion_status([new], now)
    return live[-16:] or None


def _lost(job: HubJob, member: Member, now: float) -> Verdict:
    text = f"its child vanished from {member.name} before its end was seen"
    fields = {"completionTime": status.at(now)}
    said: list[Said] = [
        (Type.SUCCEEDED, False, Reason.CHILD_LOST, text),
        (Type.PLACED, False, Reason.ENDED, text),
    ]
    actions = (
        ConfirmGone(member.name, job.child_ref),
        PutStatus(job.ref, job.uid, compose(job.raw, now, said, fields)),
        Announce(job.ref, job.uid, "Warning", Reason.CHILD_LOST, text),
    )
    return Verdict(State.RELEASED, _placed(job, None), actions, event="ended:ChildLost")


# -- ended


def _end(job: HubJob, progress: Progress, now: float) -> Verdict:
    well = progress.ended == "Complete"
    ended_at = progress.ended_at or now
    reason = Reason.COMPLETED if well else Reason.FAILED
    text = f"it ran to its end in {job.assignment.get('cluster')}" if well else progress.message[:1000] or "it failed"
    started = progress.started_at or children.instant(job.status.get("startTime"))
    fields: dict[str, Any] = {
        "completionTime": status.at(ended_at),
        "startTime": status.at(started),
        "failedAttempts": progress.failed or None,
    }
    said: list[Said] = [
        (Type.SUCCEEDED, well, reason, text),
        (Type.PLACED, False, Reason.ENDED, text),
        *_on_time(job, ended_at, well),
    ]
    actions = (
        PutStatus(job.ref, job.uid, compose(job.raw, now, said, fields)),
        Announce(job.ref, job.uid, "Normal" if well else "Warning", reason, text),
    )
    return Verdict(State.RELEASED, None, actions, progress, event=f"ended:{progress.ended}")


def _on_time(job: HubJob, ended_at: float, well: bool) -> tuple[Said, ...]:
    """What became of its deadline, if it has one."""
    deadline = children.instant((job.raw.get("spec") or {}).get("deadline"))
    if deadline is None:
        return ()
    if well and ended_at <= deadline:
        return ((Type.ON_TIME, True, Reason.DEADLINE_MET, "it ended before its deadline"),)
    text = f"it ended {format_seconds(max(0.0, ended_at - deadline))} after its deadline" if well else "it failed"
    return ((Type.ON_TIME, False, Reason.DEADLINE_MISSED, text),)


def _ended(job: HubJob, members: Mapping[str, Member]) -> Verdict:
    """Its end is stored: the child goes, then our finalizer."""
    found = leftovers(job.uid, members)
    if found or not job.has_finalizer:
        return Verdict(State.ENDED, actions=deletes(found))
    home = members.get(str(job.assignment.get("cluster")))
    drop = Finalizer(job.ref, job.uid, False)
    if home is None or home.fenced:
        return Verdict(State.ENDED, actions=(drop,))
    return Verdict(State.ENDED, actions=(ConfirmGone(home.name, job.child_ref), drop) if home.reachable else ())


def _deleting(job: HubJob, members: Mapping[str, Member], now: float) -> Verdict:
    homes = {str(job.assignment["cluster"]): (job.child_ref,)} if job.released else {}
    removal = remove(job.raw, homes, members, now)
    return Verdict(State.DELETING, actions=removal.actions, due_at=removal.due_at, tombstones=removal.tombstones)


def strays(job: HubJob, members: Mapping[str, Member]) -> tuple[Action, ...] | None:
    """Deletes of children where the job is not assigned (a fenced member that came back); None without any."""
    home = str(job.assignment.get("cluster")) if job.released else ""
    found = leftovers(job.uid, {name: member for name, member in members.items() if name != home})
    return deletes(found) if found else None


# -- parts


def _placed(job: HubJob, progress: Progress | None, uncertain: bool = False) -> Placed:
    told = job.assignment
    planned = tuple((node["name"], int(node["pods"])) for node in told.get("nodes") or ())
    nodes = progress.nodes if progress is not None and progress.active and progress.nodes else planned
    started = progress.started_at if progress is not None else None
    return Placed(
        cluster=told["cluster"],
        pool=told["pool"],
        option=told["option"],
        nodes=nodes,
        released_at=children.instant(told["releasedTime"]) or 0.0,
        started_at=started if started is not None else children.instant(told.get("startedTime")),
        uncertain=uncertain,
    )


def _put(job: HubJob, now: float, said: list[Said], fields: Mapping[str, Any] | None = None) -> tuple[Action, ...]:
    """The status if it says anything new."""
    body = compose(job.raw, now, said, fields)
    return () if body == dict(job.status) else (PutStatus(job.ref, job.uid, body),)
