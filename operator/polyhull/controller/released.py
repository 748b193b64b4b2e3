"""What follows for a job that was released, from what its members show. Pure.

The hub's status is the only memory: `assignment.releasedTime` says "children may exist there", and nothing but the
confirmed absence of each (or an administrator's word: fenced, member deleted) takes it away.

A job over several sites runs with all its children or with none. They are created suspended and let go together once
every member shows its own. What stands against one of them takes all of them back.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from polyhull.api.conditions import Reason, Type
from polyhull.controller import children, moves, status
from polyhull.controller.children import Member, Progress, Trouble
from polyhull.controller.hubjob import SUSPENDED, HubJob, State, Verdict
from polyhull.controller.looking import Look, look, placed
from polyhull.controller.status import Said, compose, exclusions
from polyhull.delivery.base import Action, Announce, ConfirmGone, Delete, PutStatus, Suspend
from polyhull.domain.units import format_seconds
from polyhull.domain.workloads import Exclusion

_WITHDRAWING = frozenset({children.UNBOUND, children.DEPENDENCY, children.QUOTA, children.REFUSED})
_LEAVING = _WITHDRAWING | {Reason.WITHDRAWN, Reason.SUSPENDED, Reason.MOVING}
"""Reasons of Placed=False under which the child is on its way out (or may be): its absence is no loss."""


def judge(job: HubJob, members: Mapping[str, Member], now: float, refused: Trouble | None) -> Verdict:
    """`refused`: a member's API answered no to a child itself (admission, quota, rights)."""
    seen = look(job, members, now)
    if seen.silent:
        return _unreachable(job, seen, now)
    if seen.vouched and seen.present:
        return _withdraw(job, seen, Trouble(Reason.WITHDRAWN, seen.vouched), now)
    if seen.vouched:
        return _freed(job, seen, Trouble(Reason.WITHDRAWN, seen.vouched), now)
    whole = seen.whole
    return _absent(job, seen, now, refused) if whole is None else _present(job, seen, whole, now, refused)


def _unreachable(job: HubJob, seen: Look, now: float) -> Verdict:
    """It may run there, so it is placed nowhere else. Parts elsewhere that have not begun hold devices in vain: after
    a while they are taken back."""
    held = placed(job, seen, uncertain=True)
    if status.reason(job.raw, Type.PLACED) in _LEAVING - {Reason.SUSPENDED}:
        return Verdict(State.RELEASED, held, _deletes(seen))  # the reason stays: its absence will be no loss
    names = ", ".join(seen.silent)
    text = f"{names} does not answer; it may still run there, so it is placed nowhere else"
    put = _put(job, now, [(Type.PLACED, None, Reason.MEMBER_UNREACHABLE, text)])
    if not seen.present or _began(job):
        return Verdict(State.RELEASED, held, put)
    due_at = (status.since(job.raw, Type.PLACED) if _cut_off(job) else now) + seen.seen[0].member.patience.unbound
    if now < due_at:
        return Verdict(State.RELEASED, held, put, due_at=due_at)
    return Verdict(State.RELEASED, held, (*put, *_deletes(seen)))


def _began(job: HubJob) -> bool:
    return bool(job.status.get("startTime"))


def _cut_off(job: HubJob) -> bool:
    """Whether it was last known to have a part in a member that did not answer, before all of it ran."""
    unreachable = status.reason(job.raw, Type.PLACED) == Reason.MEMBER_UNREACHABLE
    return unreachable and len(job.parts) > 1 and not _began(job)


def _absent(job: HubJob, seen: Look, now: float, refused: Trouble | None) -> Verdict:
    """The members answer and show no child."""
    why, text = status.reason(job.raw, Type.PLACED), status.message(job.raw, Type.PLACED)
    if job.stopping and why not in _LEAVING:  # its member did not answer for a while
        return _freed(job, seen, Trouble(Reason.MOVING, "stopped in order to go on elsewhere"), now)
    if why in _LEAVING:
        return _freed(job, seen, Trouble(why, text), now)
    if _cut_off(job):
        return _freed(job, seen, Trouble(Reason.WITHDRAWN, "a part was taken back: it is planned again"), now)
    if _was_seen(job):
        return _lost(job, seen, now)
    if job.suspended:
        return _freed(job, seen, Trouble(Reason.SUSPENDED, "spec.suspend is true"), now)
    if refused is not None:
        against = _blamed(refused, seen)
        return _freed(job, seen, replace(against, message=_where(against)), now)
    return Verdict(State.RELEASED, placed(job), rerelease=True)


def _was_seen(job: HubJob) -> bool:
    return status.reason(job.raw, Type.PLACED) == Reason.BOUND or _began(job)


def _present(job: HubJob, seen: Look, whole: Progress, now: float, refused: Trouble | None) -> Verdict:
    if whole.ended:
        return _end(job, whole, now)
    why = status.reason(job.raw, Type.PLACED)
    if whole.terminating or job.stopping or why in _LEAVING - {Reason.SUSPENDED}:
        return _withdraw(job, seen, None, now)
    if seen.absent:
        return _incomplete(job, seen, now, refused)
    if whole.suspended and not job.suspended and (_cut_off(job) or _held(job)):
        return _let_go(job, seen, whole)
    if job.suspended or whole.suspended:
        return _suspension(job, seen, whole, now)
    if seen.trouble is not None:
        return _withdraw(job, seen, seen.trouble, now)
    return _running(job, seen, whole, now)


def _incomplete(job: HubJob, seen: Look, now: float, refused: Trouble | None) -> Verdict:
    """Some of its children are there, others are not."""
    if _cut_off(job) or status.reason(job.raw, Type.PLACED) == Reason.SUSPENDED:
        return _withdraw(job, seen, None, now)
    if _was_seen(job):
        return _lost(job, seen, now)
    if job.suspended:
        return _withdraw(job, seen, Trouble(Reason.SUSPENDED, "spec.suspend is true"), now)
    if refused is not None or seen.trouble is not None:
        return _withdraw(job, seen, seen.trouble if refused is None else _blamed(refused, seen), now)
    return Verdict(State.RELEASED, placed(job, seen), rerelease=True)


def _held(job: HubJob) -> bool:
    """Whether its children were created suspended and wait for each other."""
    return len(job.parts) > 1 and status.reason(job.raw, Type.PLACED) == Reason.RELEASING


def _let_go(job: HubJob, seen: Look, whole: Progress) -> Verdict:
    """All members hold their part: now it may begin everywhere."""
    actions = tuple(
        Suspend(one.member.name, progress.ref, progress.uid, suspend=False)
        for one, progress in seen.present
        if progress.suspended
    )
    return Verdict(State.RELEASED, placed(job, seen), actions, whole)


def _running(job: HubJob, seen: Look, progress: Progress, now: float) -> Verdict:
    held = placed(job, seen)
    started = progress.started_at if progress.started_at is not None else held.started_at
    said: list[Said] = []
    actions: tuple[Action, ...] = ()
    event = ""
    if progress.all_bound:
        if status.reason(job.raw, Type.PLACED) != Reason.BOUND:
            note = f"All pods are bound in pool {job.pools}"
            actions = (Announce(job.ref, job.uid, "Normal", "Placed", note),)
            event = "bound"
        said.append((Type.PLACED, True, Reason.BOUND, f"all {progress.wanted} pods are bound in pool {job.pools}"))
    elif status.holds(job.raw, Type.PLACED) != "True":
        said.append((Type.PLACED, False, Reason.RELEASING, f"released to {job.clusters}; its pods are being bound"))
    if started is not None:
        said.append((Type.SUCCEEDED, None, Reason.RUNNING, "it runs"))
    fields: dict[str, Any] = {"failedAttempts": progress.failed or None}
    # Its start is worth a write, but not one of its own while another is about to follow: Placed carries it, or the
    # estimates that come with a real start.
    if started is not None and not job.status.get("startTime"):
        fields["startTime"] = status.at(started)
        fields["assignment"] = {**job.assignment, "startedTime": status.at(started)}
        fields |= moves.resumed(job)
    return Verdict(
        State.RELEASED,
        held,
        (*_put(job, now, said, fields), *actions),
        progress,
        progress.due_at,
        rerelease=not progress.all_bound and _lacks_companions(job, seen),
        event=event,
    )


def _lacks_companions(job: HubJob, seen: Look) -> bool:
    """A crash may have left out Service and PodGroup: until all pods are bound they are applied again."""
    return any(
        one.child.has_service and not any(body.get("kind") == "Service" for body in one.member.children[job.uid])
        for one, _ in seen.present
    )


def _suspension(job: HubJob, seen: Look, whole: Progress, now: float) -> Verdict:
    """Suspended by its owner: stop the pods, keep the children. No longer: remove them, then plan again."""
    if not job.suspended:
        return _withdraw(job, seen, Trouble(Reason.WITHDRAWN, "resumed: it is planned again"), now)
    stop = tuple(
        Suspend(one.member.name, progress.ref, progress.uid)
        for one, progress in seen.present
        if not progress.suspended
    )
    said: Said = (Type.PLACED, False, Reason.SUSPENDED, "spec.suspend is true; its child is suspended")
    held = placed(job, seen) if stop or whole.active else None
    return Verdict(State.SUSPENDED, held, (*stop, *_put(job, now, [SUSPENDED[0], said])), whole)


def _withdraw(job: HubJob, seen: Look, trouble: Trouble | None, now: float) -> Verdict:
    """Say why, then delete the children and wait until they are gone with their pods."""
    actions: tuple[Action, ...] = ()
    event = ""
    if trouble is not None:
        note = f"Withdrawn from {job.clusters}: {trouble.message}"
        trouble = replace(trouble, message=_where(replace(trouble, cluster=trouble.cluster or job.clusters)))
        said: Said = (Type.PLACED, False, trouble.reason, trouble.message)
        put = _put(job, now, [said], {"exclusions": _exclusions(job, seen, trouble, now)})
        actions = (*put, Announce(job.ref, job.uid, "Warning", trouble.reason, note))
        event = f"withdrawn:{trouble.reason}"
    return Verdict(State.WITHDRAWING, placed(job, seen), (*actions, *_deletes(seen)), seen.whole, event=event)


def _deletes(seen: Look) -> tuple[Action, ...]:
    return tuple(
        Delete(one.member.name, progress.ref, progress.uid)
        for one, progress in seen.present
        if not progress.terminating
    )


def _confirms(seen: Look) -> tuple[Action, ...]:
    return tuple(ConfirmGone(one.member.name, one.child.ref) for one in seen.absent)


def _freed(job: HubJob, seen: Look, trouble: Trouble, now: float) -> Verdict:
    """The children are gone (or an administrator vouches for it): the assignment may go too."""
    fields: dict[str, Any] = {
        "assignment": None,
        "startTime": None,
        "estimatedStartTime": None,
        "estimatedCompletionTime": None,
        "transfers": None,
        "output": None,
        "exclusions": _exclusions(job, seen, trouble, now),
        **moves.freed(job, now),
    }
    said: Said = (Type.PLACED, False, trouble.reason, trouble.message or "withdrawn")
    put = PutStatus(job.ref, job.uid, compose(job.raw, now, [said], fields))
    return Verdict(State.WITHDRAWING, placed(job), (*_confirms(seen), put))


def _blamed(refused: Trouble, seen: Look) -> Trouble:
    """With the member that said no; unsaid, it is the first child's."""
    cluster = refused.cluster or seen.seen[0].member.name
    return replace(refused, cluster=cluster)


def _where(trouble: Trouble) -> str:
    return f"{trouble.message} (member {trouble.cluster})"


def _exclusions(job: HubJob, seen: Look, trouble: Trouble, now: float) -> list[dict[str, Any]] | None:
    """Where it is not tried again for a while: the place that is to blame."""
    member = next((one.member for one in seen.seen if one.member.name == trouble.cluster), None)
    if member is None or trouble.reason not in _WITHDRAWING:
        return exclusions(job.status, now)
    until = now + member.patience.back_off
    return exclusions(job.status, now, Exclusion(member.name, trouble.pool, trouble.reason, trouble.message, until))


def _lost(job: HubJob, seen: Look, now: float) -> Verdict:
    names = ", ".join(dict.fromkeys(one.member.name for one in seen.absent))
    text = f"its child vanished from {names} before its end was seen"
    fields = {"completionTime": status.at(now)}
    said: list[Said] = [
        (Type.SUCCEEDED, False, Reason.CHILD_LOST, text),
        (Type.PLACED, False, Reason.ENDED, text),
    ]
    actions = (
        *_confirms(seen),
        PutStatus(job.ref, job.uid, compose(job.raw, now, said, fields)),
        Announce(job.ref, job.uid, "Warning", Reason.CHILD_LOST, text),
    )
    return Verdict(State.RELEASED, placed(job, seen), actions, event="ended:ChildLost")


def _end(job: HubJob, progress: Progress, now: float) -> Verdict:
    well = progress.ended == "Complete"
    ended_at = progress.ended_at or now
    reason = Reason.COMPLETED if well else Reason.FAILED
    text = f"it ran to its end in {job.clusters}" if well else progress.message[:1000] or "it failed"
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


def _put(job: HubJob, now: float, said: list[Said], fields: Mapping[str, Any] | None = None) -> tuple[Action, ...]:
    """The status if it says anything new."""
    body = compose(job.raw, now, said, fields)
    return () if body == dict(job.status) else (PutStatus(job.ref, job.uid, body),)
