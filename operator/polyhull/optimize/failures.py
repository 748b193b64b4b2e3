"""What failures take from a long run: more devices and longer distances fail more often (Young 1974, Daly 2006).

With failures at rate Lambda, checkpoints of delta seconds every I seconds and R seconds to restart, a share
1 - phi = delta/I + (I/2 + R) Lambda of the time is lost, to first order: a checkpoint per interval, and per failure a
restart and on average half an interval done again.
"""

import math
from dataclasses import dataclass

LEAST_USEFUL = 0.2
"""A way of running a job with less useful time than this is no way; the first order also ends about there."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """`checkpoint_seconds` delta, `restart_seconds` R, and the job's own interval I (None: the best one)."""

    checkpoint_seconds: float
    restart_seconds: float
    interval_seconds: float | None = None


def failure_rate(devices: float, device_mean_seconds: float, link_mean_seconds: tuple[float, ...] = ()) -> float:
    """Lambda per second: any device or any remote link stops the run. inf means that something never fails."""
    return devices / device_mean_seconds + math.fsum(1.0 / each for each in link_mean_seconds)


def best_interval(checkpoint_seconds: float, rate: float) -> float:
    """sqrt(2 delta / Lambda), which loses least; inf where nothing fails."""
    return math.inf if rate <= 0.0 else math.sqrt(2.0 * checkpoint_seconds / rate)


def useful_share(recovery: Recovery, rate: float) -> float:
    """phi; may be far below 0 where the interval does not suit the rate."""
    interval = recovery.interval_seconds
    if interval is None:
        interval = best_interval(recovery.checkpoint_seconds, rate)
    if rate <= 0.0 and math.isinf(interval):
        return 1.0
    lost = recovery.checkpoint_seconds / interval if interval > 0.0 else 0.0
    return 1.0 - lost - (interval / 2.0 + recovery.restart_seconds) * rate
