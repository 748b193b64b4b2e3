"""What the plan lets a job say: that it waits and until when, why it cannot be placed, or that it is being released.

Pure. Each gives a whole status body; whether it is worth a write is decided by whoever compares it with the last one.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from polyhull.api import status as api_status
from polyhull.api.conditions import Reason, Type
from polyhull.controller import moves, status
from polyhull.controller.hubjob import SUSPENDED, HubJob
from polyhull.controller.status import Said, compose, settle
from polyhull.domain.decision import Assignment, Decision, Transfer, Unplaced
from polyhull.domain.snapshot import Mode
from polyhull.domain.units import format_seconds
from polyhull.domain.workloads import CHECKPOINT, Key

ACCEPTED: Said = (Type.ACCEPTED, True, Reason.VALID, "every field is understood and acted on")
NOT_ENDED: Said = (Type.SUCCEEDED, None, Reason.PENDING, "it has not started")
_PLAN_FIELDS = (
    "assignment", "planHash", "transfers", "estimatedStartTime", "estimatedCompletionTime", "explanation",
    "completionEstimates", "promise",
)  # fmt: skip
_UNPLANNED = dict.fromkeys(_PLAN_FIELDS)


def release(job: HubJob, assignment: Assignment, order: int, decision: Decision, now: float) -> dict[str, Any]:
    """From here on the hub says that a child may exist."""
    planned = _planned(job, assignment, order, decision)
    planned["assignment"] = {
        **api_status.assignment_status(assignment, released_at=now),
        "order": order,
    }
    text = f"released to {_joined(part.cluster for part in assignment.places)}; its pods are being bound"
    said: list[Said] = [
        ACCEPTED,
        (Type.PLANNED, True, Reason.IN_PLAN, f"in {_where(assignment)}"),
        _data(assignment, (), now),
        (Type.PLACED, False, Reason.RELEASING, text),
        *_on_time(job, assignment),
        NOT_ENDED,
    ]
    return compose(job.raw, now, said, {**planned, "startTime": None})


def waiting(
    job: HubJob, assignment: Assignment, order: int, decision: Decision, mode: Mode, now: float
) -> dict[str, Any]:
    """It is in the plan; its turn has not come."""
    copies = _moves(assignment, decision)
    begins = format_seconds(assignment.start_seconds)
    said: list[Said] = [
        ACCEPTED,
        (Type.PLANNED, True, Reason.IN_PLAN, f"in {_where(assignment)}, expected to start in {begins}"),
        _data(assignment, copies, now),
        *(moves.waits(job, assignment.pool) or (_turn(assignment, mode),)),
        *_on_time(job, assignment),
        NOT_ENDED,
    ]
    body = compose(job.raw, now, said, _planned(job, assignment, order, decision))
    return settle(job.status, body, now)


def running(job: HubJob, assignment: Assignment, decision: Decision, now: float) -> dict[str, Any]:
    """Released: only its estimated end is the plan's to tell."""
    fields = {
        "estimatedCompletionTime": status.at(decision.taken_at + assignment.end_seconds),
        "completionEstimates": api_status.completion_estimates(assignment, decision.taken_at),
    }
    return settle(job.status, compose(job.raw, now, _on_time(job, assignment), fields), now)


def unplaced(job: HubJob, why: Unplaced, now: float) -> dict[str, Any]:
    """The plan has no place for it."""
    said: list[Said] = [
        ACCEPTED,
        (Type.PLANNED, False, why.reason, why.message),
        *(moves.waits(job, "") or _not_placed(job, why.message)),
        NOT_ENDED,
    ]
    return compose(job.raw, now, said, _UNPLANNED)


def undecided(job: HubJob, trouble: str, now: float) -> dict[str, Any]:
    """No new plan could be made: what was planned stays."""
    text = f"no new plan could be made, the last good one stays: {trouble}"
    return compose(job.raw, now, [ACCEPTED, (Type.PLANNED, None, Reason.KEPT_LAST_PLAN, text), NOT_ENDED])


def refused(job: HubJob, now: float) -> dict[str, Any]:
    """It makes no sense, or asks for what nothing acts on."""
    said: list[Said] = [
        (Type.ACCEPTED, False, job.reason, job.message),
        (Type.PLANNED, False, job.reason, "it is not accepted; see the condition Accepted"),
        (Type.PLACED, False, Reason.WAITING_FOR_PLAN, "it is not accepted; see the condition Accepted"),
        NOT_ENDED,
    ]
    return compose(job.raw, now, said, _UNPLANNED)


def suspended(job: HubJob, now: float) -> dict[str, Any]:
    """Its owner holds it back; it was never released."""
    return compose(job.raw, now, [ACCEPTED, *SUSPENDED, NOT_ENDED], _UNPLANNED)


def _planned(job: HubJob, assignment: Assignment, order: int, decision: Decision) -> dict[str, Any]:
    body = api_status.job_status(
        assignment, _moves(assignment, decision), decision.taken_at, decision.plan_hash, job.status
    )
    body["assignment"] = {**body["assignment"], "order": order}
    return {**_UNPLANNED, **body}


def _joined(names: Iterable[str]) -> str:
    """Without repetition, in their order."""
    return ", ".join(dict.fromkeys(names))


def _where(assignment: Assignment) -> str:
    pools, options = (_joined(names) for names in zip(*((p.pool, p.option) for p in assignment.places), strict=True))
    return f"pool {pools} as option {options}"


def _sites(assignment: Assignment) -> str:
    return _joined(part.site for part in assignment.places)


def _moves(assignment: Assignment, decision: Decision) -> tuple[Transfer, ...]:
    wanted = set(assignment.data)
    return tuple(moved for moved in decision.transfers if (moved.data_set, moved.store) in wanted)


def _data(assignment: Assignment, moves: Sequence[Transfer], now: float) -> Said:
    if not assignment.data:
        return (Type.DATA_READY, True, Reason.NO_DATA_NEEDED, "it reads no data set")
    if not moves:
        return (Type.DATA_READY, True, Reason.DATA_PRESENT, f"what it reads is at {_sites(assignment)}")
    under_way = any(moved.active for moved in moves)
    names = ", ".join(sorted({_called(moved.data_set) for moved in moves}))
    if under_way:
        return (Type.DATA_READY, False, Reason.TRANSFERRING, f"{names} is on its way to {_sites(assignment)}")
    return (Type.DATA_READY, False, Reason.TRANSFER_PLANNED, f"{names} will be copied to {_sites(assignment)}")


def _called(data_set: Key) -> str:
    return "its checkpoint" if data_set.kind == CHECKPOINT else data_set.name


def _turn(assignment: Assignment, mode: Mode) -> Said:
    if assignment.release_now and mode is Mode.OBSERVE:
        text = "the mode of the fleet or of its namespace is Observe: nothing is released"
        return (Type.PLACED, False, Reason.OBSERVE_ONLY, text)
    if assignment.release_now and mode is Mode.RECOMMEND:
        which = "the mode of the fleet or of its namespace is Recommend"
        text = f"{which}: approve the plan (spec.approval.planHash of its PlacementPlan)"
        return (Type.PLACED, False, Reason.WAITING_FOR_APPROVAL, text)
    why = assignment.explanation.binds or "others come first"
    return (Type.PLACED, False, Reason.WAITING_FOR_TURN, why)


def _on_time(job: HubJob, assignment: Assignment) -> tuple[Said, ...]:
    """Whether the deadline is expected to be met; by how much it is not, and what would help."""
    late = assignment.late_seconds
    if assignment.deadline_seconds is None:
        text = "it has no deadline any more"
        return ((Type.ON_TIME, None, Reason.NO_DEADLINE, text),) if status.holds(job.raw, Type.ON_TIME) else ()
    if late > 0.0:
        text = f"expected to end {format_seconds(late)} after its deadline; {assignment.remedy}".rstrip("; ")
        return ((Type.ON_TIME, False, Reason.DEADLINE_MISSED, text),)
    spare = format_seconds(assignment.deadline_seconds - assignment.end_seconds)
    return ((Type.ON_TIME, True, Reason.DEADLINE_EXPECTED, f"expected to end {spare} before its deadline"),)


def _not_placed(job: HubJob, text: str) -> tuple[Said, ...]:
    """What took its last release back stays readable until it is placed again."""
    kept = (Reason.DEPENDENCY_MISSING, Reason.QUOTA_EXCEEDED, Reason.REFUSED, Reason.UNBOUND)
    if status.reason(job.raw, Type.PLACED) in kept:
        return ()
    return ((Type.PLACED, False, Reason.WAITING_FOR_PLAN, text),)
