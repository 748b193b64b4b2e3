"""Rates that nobody measured: a roofline from the device's data sheet and what one unit of work needs.

A unit takes the longer of its arithmetic at a share of the peak and its memory traffic at a share of the bandwidth
(Williams, Waterman, Patterson 2009). Every figure that comes from here is an estimate; benchmark `roofline` says how
far it is off.
"""

from dataclasses import dataclass
from math import inf, isfinite, sqrt

from polyhull.domain.fleet import AcceleratorType

TRAINING_SHARE = 0.4
"""Of the peak that training reaches: 0.38 to 0.43 in bf16 for Llama 3 405B on up to 16,384 H100 (arXiv:2407.21783);
ResNet-50 in fp32 by Gavel's throughputs: 0.3 to 0.5 on P100 and V100, 0.2 on K80."""
SERVING_SHARE = 0.7
"""Of the peak that a model's matrix products reach over a prompt: medians of Vidur's profiles of Llama-2 on A40, A100
and H100 are 0.63 to 0.76 where arithmetic binds."""
MEMORY_SHARE = 0.6
"""Of the bandwidth where memory binds: medians of the same profiles are 0.51 to 0.74."""
SCALING_EXPONENT = 0.2
MEASURED_GANG = 8
"""A gang of n devices has n^-0.2 of its devices' rates together: medians of Gavel's throughputs are 0.88, 0.68 and
0.71 for 2, 4 and 8 devices in one place, 0.87, 0.76 and 0.66 this way. Nothing was measured beyond 8: it stays."""
BITS = {"int4": 4, "fp4": 4, "fp8": 8, "int8": 8, "bf16": 16, "fp16": 16, "tf32": 32, "fp32": 32, "fp64": 64}
"""Narrow to wide; bits that a number takes in memory."""
_USUAL = ("bf16", "fp16", "tf32", "fp32", "fp8", "int8", "fp64", "fp4", "int4")
"""What work is taken to be done in that names no precision."""
_COMPARED = ("fp32", "bf16", "fp16", "tf32", "fp8", "int8", "fp64", "fp4", "int4")
"""Which peak two devices are compared by: the first that both state. fp32 foretells Gavel's ratios best."""


@dataclass(frozen=True, slots=True)
class UnitWork:
    """What one unit of work needs: FLOP, bytes through device memory, and the precision ("" : the device's usual)."""

    flops: float = 0.0
    memory_bytes: float = 0.0
    precision: str = ""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A request to a language model: weights read once per token of the answer for the whole batch."""

    parameters: float
    prompt_tokens: int
    output_tokens: int
    precision: str = ""
    batch: int = 8
    """Requests a replica works on side by side."""


def gang_efficiency(devices: int) -> float:
    """Share of its devices' single rates that a gang reaches."""
    return float(max(1, min(devices, MEASURED_GANG)) ** -SCALING_EXPONENT)


def peak(kind: AcceleratorType, precision: str) -> float | None:
    """FLOP/s in a precision, else in one as wide, else in the next wider one; None where no such peak is stated."""
    have = {name: value for name, value in kind.peak_flops if value > 0.0}
    if not precision:
        return next((have[name] for name in _USUAL if name in have), None)
    wide = BITS.get(precision, 0)
    as_wide = [name for name in BITS if BITS[name] == wide and name != precision]
    wider = [name for name in BITS if BITS[name] > wide]
    return next((have[name] for name in (precision, *as_wide, *wider) if name in have), None)


def training_rate(kind: AcceleratorType, devices: int, unit: UnitWork) -> float | None:
    """Units per second of a gang; None where the data sheet lacks what the unit needs."""
    seconds = _unit_seconds(kind, unit)
    return None if seconds is None else devices * gang_efficiency(devices) / seconds


def scaled_rate(
    rate: float,
    known: AcceleratorType,
    known_devices: int,
    kind: AcceleratorType,
    devices: int,
    unit: UnitWork | None = None,
) -> float | None:
    """A rate measured on `known`, on another kind; None where the two data sheets share no figure.

    By their rooflines where the unit's needs are stated, else by the geometric mean of the quotients of peak and of
    memory bandwidth (one of them where the other is not stated).
    """
    if known_devices < 1 or devices < 1:
        return None
    gangs = devices * gang_efficiency(devices) / (known_devices * gang_efficiency(known_devices))
    if unit is not None:
        slow, fast = _unit_seconds(known, unit), _unit_seconds(kind, unit)
        if slow is not None and fast is not None:
            return rate * gangs * slow / fast
    quotients = []
    have, want = dict(known.peak_flops), dict(kind.peak_flops)
    shared = next((name for name in _COMPARED if have.get(name, 0.0) > 0.0 and want.get(name, 0.0) > 0.0), None)
    if shared is not None:
        quotients.append(want[shared] / have[shared])
    if known.memory_bytes_per_second > 0.0 and kind.memory_bytes_per_second > 0.0:
        quotients.append(kind.memory_bytes_per_second / known.memory_bytes_per_second)
    if not quotients:
        return None
    return rate * gangs * (sqrt(quotients[0] * quotients[1]) if len(quotients) == 2 else quotients[0])


def serving_rate(kind: AcceleratorType, devices: int, tokens: Tokens) -> tuple[float, float] | None:
    """(requests per second, seconds of one request) of a replica under a full batch; None without the figures.

    2 FLOP per parameter and token (Kaplan et al. 2020); an answer's token costs its arithmetic for the batch or one
    reading of the weights, whichever is longer. Attention over long prompts and its cache are left out.
    """
    flops = peak(kind, tokens.precision)
    if flops is None or kind.memory_bytes_per_second <= 0.0:
        return None
    together = devices * gang_efficiency(devices)
    per_token = 2.0 * tokens.parameters / (flops * SERVING_SHARE * together)
    weights = weight_bytes(tokens) / (kind.memory_bytes_per_second * MEMORY_SHARE * together)
    step = max(tokens.batch * per_token, weights)
    seconds = tokens.batch * tokens.prompt_tokens * per_token + tokens.output_tokens * step
    return (tokens.batch / seconds, seconds) if 0.0 < seconds < inf else None


def weight_bytes(tokens: Tokens) -> float:
    """What the model's weights take in memory."""
    return tokens.parameters * BITS.get(tokens.precision, 16) / 8.0


def _unit_seconds(kind: AcceleratorType, unit: UnitWork) -> float | None:
    """Seconds of one unit on one device."""
    flops, bandwidth = peak(kind, unit.precision), kind.memory_bytes_per_second
    if (unit.flops > 0.0 and flops is None) or (unit.memory_bytes > 0.0 and bandwidth <= 0.0):
        return None
    arithmetic = unit.flops / (flops * TRAINING_SHARE) if flops is not None else 0.0
    memory = unit.memory_bytes / (bandwidth * MEMORY_SHARE) if unit.memory_bytes > 0.0 else 0.0
    seconds = max(arithmetic, memory)
    return seconds if seconds > 0.0 and isfinite(seconds) else None
