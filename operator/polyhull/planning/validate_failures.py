"""The checker's page on what checkpoints and failures take of a run. Shares no code with what made the plan.

1 - phi = delta/I + (I/2 + R) Lambda, in exact rationals but for the root in the best interval.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import sqrt

from polyhull.domain.fleet import AcceleratorType, Cluster
from polyhull.domain.workloads import Checkpoint, TrainingJob

_DEVICE_MEAN_SECONDS = Fraction(54 * 86_400 * 16_384, 419)
_SAVED_BYTES_PER_SECOND = Fraction(10**10, 8)


Held = tuple[int, AcceleratorType | None, Cluster | None]
"""Devices of a kind at a cluster."""


def useful(job: TrainingJob, held: Sequence[Held], startup: Fraction) -> Fraction:
    """The share of its time that the job works on, on all these devices at once; 1 without checkpoints."""
    interval = interval_seconds(job, held)
    if job.checkpoint is None or interval is None:
        return Fraction(1)
    saving, rate = _saving(job.checkpoint, held), _failures(held)
    return 1 - saving / interval - (interval / 2 + startup + saving) * rate


def interval_seconds(job: TrainingJob, held: Sequence[Held]) -> Fraction | None:
    """From one checkpoint to the next; None without any."""
    told = job.checkpoint
    if told is None:
        return None
    if told.interval_seconds is not None:
        return Fraction(told.interval_seconds)
    return Fraction(sqrt(2 * _saving(told, held) / _failures(held)))


def _saving(told: Checkpoint, held: Sequence[Held]) -> Fraction:
    return max(told.size_bytes / _speed(cluster) for _, _, cluster in held)


def _failures(held: Sequence[Held]) -> Fraction:
    return sum((devices / _mean_seconds(kind) for devices, kind, _ in held), Fraction(0))


def _speed(cluster: Cluster | None) -> Fraction:
    stated = cluster.storage.bytes_per_second if cluster is not None else None
    return Fraction(stated) if stated else _SAVED_BYTES_PER_SECOND


def _mean_seconds(kind: AcceleratorType | None) -> Fraction:
    hours = kind.mean_hours_between_failures if kind is not None else None
    return Fraction(hours) * 3600 if hours else _DEVICE_MEAN_SECONDS
