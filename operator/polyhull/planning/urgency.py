"""What waiting does to a job: its weight grows, its deadline comes nearer, its promise is to be kept."""

from math import inf

from polyhull.domain.workloads import TrainingJob

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
