"""The checker's page on what checkpoints and failures take of a run. Shares no code with what made the plan.

1 - phi = delta/I + (I/2 + R) Lambda, in exact rationals but for the root in the best interval.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import sqrt

from polyhull.domain.fleet import AcceleratorType, Cluster
from polyhull.domain.workloads import TrainingJob

_DEVICE_MEAN_SECONDS = Fraction(54 * 86_400 * 16_384, 419)
_SAVED_BYTES_PER_SECOND = Fraction(10**10, 8)


Held = tuple[int, AcceleratorType | None, Cluster | None]
"""Devices of a kind at a cluster."""


def useful(job: TrainingJob, held: Sequence[Held], startup: Fraction) -> Fraction:
    """The share of its time that the job works on, on all these devices at once; 1 without checkpoints."""
    told = job.checkpoint
    if told is None:
        return Fraction(1)
    saving = max(told.size_bytes / _speed(cluster) for _, _, cluster in held)
    rate = sum((devices / _mean_seconds(kind) for devices, kind, _ in held), Fraction(0))
    best = Fraction(sqrt(2 * saving / rate))
    interval = best if told.interval_seconds is None else Fraction(told.interval_seconds)
    return 1 - saving / interval - (interval / 2 + startup + saving) * rate


def _speed(cluster: Cluster | None) -> Fraction:
    stated = cluster.storage.bytes_per_second if cluster is not None else None
    return Fraction(stated) if stated else _SAVED_BYTES_PER_SECOND


def _mean_seconds(kind: AcceleratorType | None) -> Fraction:
    hours = kind.mean_hours_between_failures if kind is not None else None
    return Fraction(hours) * 3600 if hours else _DEVICE_MEAN_SECONDS
