"""Condition types and reasons: the words that every kind's status speaks, spelt once.

A reason is part of the API: people and scripts match on it. Messages name the number that binds and what to do.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class Type(StrEnum):
    """Condition types; all of positive polarity save ScaleIgnored, which warns."""

    ACCEPTED = "Accepted"
    """The object makes sense and everything in it is acted on."""
    PLANNED = "Planned"
    """The present plan holds it."""
    DATA_READY = "DataReady"
    """What it reads is where it will run."""
    PLACED = "Placed"
    """Its pods are bound. Unknown: the member does not answer."""
    GANG_SCHEDULED = "GangScheduled"
    """All pods of the gang are bound at once."""
    ON_TIME = "OnTime"
    """Its deadline is expected to be met; only on jobs that have one."""
    SUCCEEDED = "Succeeded"
    """Summary of what ends: training and batches."""
    READY = "Ready"
    """Summary of what stays: online services."""
    SCALE_IGNORED = "ScaleIgnored"
    """Somebody wrote replicas although the plan decides them."""
    CONNECTED = "Connected"
    """MemberCluster: it answers."""
    ANSWERED = "Answered"
    """PlacementScenario: the difference is in its status."""


class Reason(StrEnum):
    """Reasons. Which type they go with is said by their group."""

    # Accepted
    VALID = "Valid"
    INVALID_SPEC = "InvalidSpec"
    INVALID_REFERENCE = "InvalidReference"
    NOT_SUPPORTED = "NotSupported"
    CONFLICT = "Conflict"
    PRIORITY_OUT_OF_RANGE = "PriorityOutOfRange"
    TOO_MANY_JOBS = "TooManyJobs"
    POLICY_OVERLAP = "PolicyOverlap"
    # Planned
    WAITING_FOR_PLAN = "WaitingForPlan"
    IN_PLAN = "InPlan"
    SUSPENDED = "Suspended"
    OBSERVE_ONLY = "ObserveOnly"
    WAITING_FOR_APPROVAL = "WaitingForApproval"
    NO_ADMISSIBLE_POOL = "NoAdmissiblePool"
    NO_RATE = "NoRate"
    NO_CAPACITY = "NoCapacity"
    NAMESPACE_NOT_ACCEPTED = "NamespaceNotAccepted"
    SERVICE_ACCOUNT_NOT_ALLOWED = "ServiceAccountNotAllowed"
    NO_REACHABLE_REPLICA = "NoReachableReplica"
    KEPT_LAST_PLAN = "KeptLastPlan"
    # DataReady
    NO_DATA_NEEDED = "NoDataNeeded"
    DATA_PRESENT = "DataPresent"
    TRANSFER_PLANNED = "TransferPlanned"
    TRANSFERRING = "Transferring"
    TRANSFER_FAILED = "TransferFailed"
    # Placed
    WAITING_FOR_TURN = "WaitingForTurn"
    RELEASING = "Releasing"
    BOUND = "Bound"
    UNBOUND = "Unbound"
    MEMBER_UNREACHABLE = "MemberUnreachable"
    DEPENDENCY_MISSING = "DependencyMissing"
    QUOTA_EXCEEDED = "QuotaExceeded"
    REFUSED = "Refused"
    WITHDRAWN = "Withdrawn"
    MOVING = "Moving"
    ENDED = "Ended"
    # OnTime
    DEADLINE_EXPECTED = "DeadlineExpected"
    DEADLINE_MISSED = "DeadlineMissed"
    DEADLINE_MET = "DeadlineMet"
    NO_DEADLINE = "NoDeadline"
    # Succeeded
    PENDING = "Pending"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CHILD_LOST = "ChildLost"
    DELETING = "Deleting"
    # Ready
    SERVING = "Serving"
    NOT_ENOUGH_REPLICAS = "NotEnoughReplicas"
    DEMAND_NOT_MET = "DemandNotMet"
    # ScaleIgnored
    PLAN_DECIDES = "PlanDecides"
    # Connected
    CONNECTED = "Connected"
    UNREACHABLE = "Unreachable"
    INVALID_CREDENTIALS = "InvalidCredentials"
    CREDENTIALS_MISSING = "CredentialsMissing"
    FENCED = "Fenced"
    # Answered
    ANSWERED = "Answered"
    QUEUED = "Queued"
    QUEUE_FULL = "QueueFull"
    CANNOT_BE_MADE = "CannotBeMade"
    NO_ANSWER = "NoAnswer"


Conditions = list[dict[str, Any]]
MESSAGE_LENGTH = 2048


def instant(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in whole seconds, as Kubernetes writes times."""
    return datetime.fromtimestamp(round(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def get_condition(conditions: Iterable[Mapping[str, Any]] | None, kind: str) -> Mapping[str, Any] | None:
    """The condition of that type, or None."""
    for entry in conditions or ():
        if (type(entry) is dict or isinstance(entry, Mapping)) and entry.get("type") == kind:
            return entry
    return None


def condition_status(conditions: Iterable[Mapping[str, Any]] | None, kind: str) -> str:
    """`True`, `False` or `Unknown`; a condition never set is Unknown."""
    found = get_condition(conditions, kind)
    return str(found.get("status", "Unknown")) if found else "Unknown"


def set_condition(
    conditions: Iterable[Mapping[str, Any]] | None,
    kind: str,
    status: str | bool | None,
    reason: str,
    message: str,
    now: float,
    generation: int | None = None,
) -> Conditions:
    """A new list with that condition set; the input is left alone, order is kept.

    `status` may be a bool, or None for Unknown. `now` is seconds since the epoch; lastTransitionTime moves only
    when the status does, so setting the same again gives an equal list (and nothing to write).
    """
    word = "Unknown" if status is None else str(status)
    before = get_condition(conditions, kind)
    same = before is not None and before.get("status") == word
    entry: dict[str, Any] = {
        "type": str(kind),
        "status": word,
        "reason": str(reason),
        "message": message[:MESSAGE_LENGTH],
        "lastTransitionTime": str(before["lastTransitionTime"]) if before is not None and same else instant(now),
    }
    if generation is not None:
        entry["observedGeneration"] = generation
    out: Conditions = [dict(old) for old in conditions or ()]
    for index, old in enumerate(out):
        if old.get("type") == kind:
            out[index] = entry
            return out
    return [*out, entry]
