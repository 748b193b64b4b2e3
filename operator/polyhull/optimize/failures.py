"""What failures take from a long run: more devices and longer distances fail more often (Young 1974, Daly 2006).

With failures at rate Lambda, checkpoints of delta seconds every I seconds and R seconds to restart, a share
1 - phi = delta/I + (I/2 + R) Lambda of the time is lost, to first order: a checkpoint per interval, and per failure a
restart and on average half an interval done again.
"""

import math
from dataclasses import dataclass

from polyhull.domain.fleet import AcceleratorType, Cluster
from polyhull.domain.workloads import Checkpoint

DEVICE_MEAN_SECONDS = 54 * 86_400 * 16_384 / 419
"""M1 where its AcceleratorType says nothing: 50,677 h. Llama 3 lost 419 times in 54 days what ran on 16,384 H100s, to
hardware, network or software (arXiv:2407.21783, section 3.3.4)."""
SAVED_BYTES_PER_SECOND = 10e9 / 8
"""Of a checkpoint where the store's rate is not stated: what copies inside a site are assumed to run at. Amazon EFS
lets all writers of a file system have 1 to 5 GiB/s, by region (its quotas, elastic throughput)."""
LEAST_USEFUL = 0.2
"""A way of running a job with less useful time than this is no way; the first order also ends about there."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """`checkpoint_seconds` delta, `restart_seconds` R, and the job's own interval I (None: the best one)."""

    checkpoint_seconds: float
    restart_seconds: float
    interval_seconds: float | None = None

    def interval(self, rate: float) -> float:
        """Seconds between checkpoints: its own, else what loses least at this rate of failures."""
        return (
            best_interval(self.checkpoint_seconds, rate) if self.interval_seconds is None else self.interval_seconds
        )


def failure_rate(devices: float, device_mean_seconds: float, link_mean_seconds: tuple[float, ...] = ()) -> float:
    """Lambda per second: any device or any remote link stops the run. inf means that something never fails."""
    return devices / device_mean_seconds + math.fsum(1.0 / each for each in link_mean_seconds)


def best_interval(checkpoint_seconds: float, rate: float) -> float:
    """sqrt(2 delta / Lambda), which loses least; inf where nothing fails."""
    return math.inf if rate <= 0.0 else math.sqrt(2.0 * checkpoint_seconds / rate)


def useful_share(recovery: Recovery, rate: float) -> float:
    """phi; may be far below 0 where the interval does not suit the rate."""
    interval = recovery.interval(rate)
    if rate <= 0.0 and math.isinf(interval):
        return 1.0
    lost = recovery.checkpoint_seconds / interval if interval > 0.0 else 0.0
    return 1.0 - lost - (interval / 2.0 + recovery.restart_seconds) * rate


def device_mean_seconds(kind: AcceleratorType | None) -> float:
    """M1 of a kind of device: as stated, else `DEVICE_MEAN_SECONDS`."""
    hours = kind.mean_hours_between_failures if kind is not None else None
    return DEVICE_MEAN_SECONDS if hours is None or not hours > 0.0 else 3600.0 * hours


def recovery(checkpoint: Checkpoint, cluster: Cluster | None, startup_seconds: float) -> Recovery:
    """A job at a cluster: a checkpoint is read back in the time it is written in, and a restart starts up again."""
    stated = cluster.storage.bytes_per_second if cluster is not None else None
    seconds = checkpoint.size_bytes / (SAVED_BYTES_PER_SECOND if stated is None or not stated > 0.0 else stated)
    return Recovery(seconds, startup_seconds + seconds, checkpoint.interval_seconds)
