"""Rates that an object leaves out, estimated where it is read: everything behind it sees a rate and its evidence.

An option takes, in this order: its own rate; that of the first sibling (by name) that has one, scaled; the roofline
of `work.flopsPerUnit` and `bytesPerUnit`. What none of them gives stays without a rate, and is refused as `NoRate`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from polyhull.api.v1alpha1.inference import VariantSpec
from polyhull.domain.fleet import AcceleratorType, Evidence
from polyhull.domain.roofline import Tokens, UnitWork, scaled_rate, serving_rate, training_rate, weight_bytes
from polyhull.domain.units import parse_whole
from polyhull.domain.workloads import Option

Kinds = Mapping[str, AcceleratorType]


@dataclass(frozen=True, slots=True)
class Served:
    """What one replica of a variant does; `rate` None where it was neither given nor can be estimated."""

    rate: float | None
    seconds: float
    evidence: Evidence


def served(entry: VariantSpec, kinds: Kinds) -> Served:
    """Rate and service time as given; where one is missing, from the estimate.

    No estimate for a model whose weights are larger than the replica's devices have memory.
    """
    rate = None if entry.rate is None else float(entry.rate)
    seconds = None if entry.service_milliseconds is None else entry.service_milliseconds / 1000
    if (rate is not None and seconds is not None) or entry.estimate is None:
        return Served(rate, seconds or 0.0, Evidence(entry.rate_evidence))
    tokens = Tokens(
        float(parse_whole(str(entry.estimate.parameters))),
        entry.estimate.prompt_tokens,
        entry.estimate.output_tokens,
        entry.estimate.precision or "",
        entry.estimate.batch,
    )
    kind = kinds.get(entry.accelerator)
    found = None
    if kind is not None and _holds(kind, entry.devices_per_replica, tokens):
        found = serving_rate(kind, entry.devices_per_replica, tokens)
    if found is None:
        return Served(rate, seconds or 0.0, Evidence(entry.rate_evidence))
    return Served(found[0] if rate is None else rate, found[1] if seconds is None else seconds, Evidence.ESTIMATED)


def _holds(kind: AcceleratorType, devices: int, tokens: Tokens) -> bool:
    return kind.memory_bytes <= 0 or weight_bytes(tokens) <= kind.memory_bytes * devices


def with_rates(options: Sequence[Option], unit: UnitWork | None, kinds: Kinds) -> tuple[Option, ...]:
    """The options, those without a rate with an estimated one where there is any ground for it."""
    known = sorted((one for one in options if one.rate_per_second), key=lambda one: one.name)
    return tuple(one if one.rate_per_second is not None else _estimated(one, known, unit, kinds) for one in options)


def _estimated(option: Option, known: Sequence[Option], unit: UnitWork | None, kinds: Kinds) -> Option:
    kind = kinds.get(option.accelerator)
    if kind is None:
        return option
    devices = option.replicas * option.devices_per_replica
    for other in known:
        if other.accelerator in kinds and other.rate_per_second is not None:
            there = other.replicas * other.devices_per_replica
            rate = scaled_rate(other.rate_per_second, kinds[other.accelerator], there, kind, devices, unit)
            if rate is not None:
                return replace(option, rate_per_second=rate, rate_evidence=Evidence.ESTIMATED)
    rate = None if unit is None else training_rate(kind, devices, unit)
    return option if rate is None else replace(option, rate_per_second=rate, rate_evidence=Evidence.ESTIMATED)
