"""The checker's page on what checkpoints and failures take of a run. Shares no code with what made the plan.

1 - phi = delta/I + (I/2 + R) Lambda, in exact rationals but for the root in the best interval.
"""

from fractions import Fraction
from math import sqrt

from polyhull.domain.fleet import AcceleratorType, Cluster
from polyhull.domain.workloads import Option, TrainingJob

_DEVICE_MEAN_SECONDS = Fraction(54 * 86_400 * 16_384, 419)
_SAVED_BYTES_PER_SECOND = Fraction(10**10, 8)


def useful(
    job: TrainingJob, option: Option, kind: AcceleratorType | None, cluster: Cluster | None, startup: Fraction
) -> Fraction:
    """The share of its time that the job works on; 1 without checkpoints."""
    told = job.checkpoint
    if told is None:
        return Fraction(1)
    stated = cluster.storage.bytes_per_second if cluster is not None else None
    saving = told.size_bytes / (Fraction(stated) if stated else _SAVED_BYTES_PER_SECOND)
    hours = kind.mean_hours_between_failures if kind is not None else None
    mean = Fraction(hours) * 3600 if hours else _DEVICE_MEAN_SECONDS
    rate = option.replicas * option.devices_per_replica / mean
    best = Fraction(sqrt(2 * saving / rate))
    interval = best if told.interval_seconds is None else Fraction(told.interval_seconds)
    return 1 - saving / interval - (interval / 2 + startup + saving) * rate
