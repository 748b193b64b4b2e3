"""What waiting does to a job: its weight grows, its deadline comes nearer, its promise is to be kept."""

from math import inf

from polyhull.domain.workloads import Promise, TrainingJob

AGEING_SECONDS = 3600.0
"""After so long a job weighs twice as much as when it came: weight 1 + age / 1 h, so that nothing starves."""
_HOPELESS = 1e15
"""Seconds beyond which a weight no longer grows: an absurd creation time must not drown the others in rounding."""


def weight(job: TrainingJob, now: float) -> float:
    """1 for an arrival (and for a file, which was never created), more with every hour."""
    if job.created_at <= 0.0:
        return 1.0
    return 1.0 + min(max(0.0, now - job.created_at), _HOPELESS) / AGEING_SECONDS


def deadline(job: TrainingJob, now: float) -> float:
    """Seconds from now until its deadline, negative when it is over; inf without one."""
    return inf if job.deadline_at is None else job.deadline_at - now


SLACK_SHARE, SLACK_SECONDS = 0.1, 600.0
MOST_SLIPS = 3
"""After so many slips the start is fixed: the job goes before others of its tier, in its place."""
_EXACT_SECONDS = 1.0
"""What a fixed start may still move by: instants are stored in whole seconds."""


def settled(job: TrainingJob) -> bool:
    """Has it slipped so often that its start is fixed?"""
    return job.promise is not None and job.promise.slips >= MOST_SLIPS


def allowance(promise: Promise) -> float:
    """By how much a later plan may exceed what was promised: 10 % of its span, at least 10 minutes."""
    if promise.due_at is None:
        return inf
    if promise.slips >= MOST_SLIPS:
        return _EXACT_SECONDS
    return max(SLACK_SHARE * max(0.0, promise.due_at - promise.given_at), SLACK_SECONDS)


def promised(job: TrainingJob, now: float) -> float:
    """Seconds from now by which it must end for its promise to be kept; inf without one."""
    promise = job.promise
    if promise is None or promise.due_at is None:
        return inf
    return promise.due_at + allowance(promise) - now


def renewed(
    promise: Promise | None, now: float, place: tuple[str, str, str], order: int, times: tuple[float, float]
) -> Promise:
    """What to remember of a job that waits: kept if the plan keeps it, given anew (a slip) if it cannot.

    `place`: cluster, pool, option; `times`: start and finish in seconds from now.
    """
    start, finish = now + times[0], now + times[1]
    if promise is None:
        return Promise(*place, order, start, finish, due_at=finish, given_at=now)
    moved = promise.moved_at, promise.left
    if (promise.pool, promise.option) != place[1:]:
        moved = now, (promise.pool, promise.option)
    due, given, slips = promise.due_at, promise.given_at, promise.slips
    if due is None:
        due, given = finish, now
    elif finish > due + allowance(promise):
        due, given, slips = finish, now, slips + 1
    return Promise(*place, order, start, finish, due, given, slips, *moved)
