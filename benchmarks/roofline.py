"""How far rates from data sheets are from measured ones: training on Gavel's devices, serving on Vidur's.

An error is the factor between estimate and measurement, whichever is larger over the other; 1 is exact. Formulas and
shares are those of the product (domain/roofline.py), data sheets those of its catalogue. The shares were chosen with
these measurements in view (docs/model.md), so this is a fit, not a forecast, except across devices (siblings).
"""

import csv
import math
import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, SkipBenchmark, at_most, report
from benchmarks.instances import GPUS, Rates, load_sources
from polyhull.api.catalogue import builtin_catalogue
from polyhull.domain.fleet import AcceleratorType
from polyhull.domain.roofline import (
    MEMORY_SHARE,
    SERVING_SHARE,
    UnitWork,
    gang_efficiency,
    peak,
    scaled_rate,
    training_rate,
)

RESNET50_FLOPS = 3 * 2 * 4.09e9
"""Of a 224 x 224 image forwards and backwards: 4.09 x 10^9 multiply-adds forwards (torchvision), twice that back."""
BATCHES = (16, 32, 64, 128)
GANGS = (1, 2, 4, 8)
VIDUR = {"a40": "nvidia-a40", "a100": "nvidia-a100-80gb", "h100": "nvidia-h100"}
MODELS = ("Llama-2-7b-hf", "Llama-2-70b-hf")
SPREAD = 0.4
"""Standard deviation of a logarithm that plans assume of a rate from data sheets."""


def roofline(data: Path | None) -> Iterator[Figure]:
    """Median errors and, where the plan's margin rests on it, the spread."""
    rates = load_sources(data).rates
    kinds = {kind.name: kind for kind in builtin_catalogue()}
    devices = {gpu: kinds[f"nvidia-{gpu}"] for gpu in GPUS}
    ours, peaks = list(_siblings(rates, devices, True)), list(_siblings(rates, devices, False))
    where = f"Gavel: {len(ours)} ordered pairs of one device each on K80, P100, V100, 26 kinds of model and batch"
    anchor = "the quotient of peaks at the narrowest shared precision alone, same pairs"
    yield at_most("roofline_sibling_error", _median(ours), "x", 1.5, where, _median(peaks), anchor)
    yield report("roofline_sibling_spread", _spread(ours), "sd of ln", where)
    trained = list(_resnet50(rates, devices))
    where = f"Gavel: ResNet-50 in fp32, {len(trained)} of batch 16 to 128 on gangs of 1 to 8 K80, P100, V100"
    yield at_most("roofline_training_error", _median(trained), "x", 1.5, where)
    yield at_most("roofline_training_spread", _spread(trained), "sd of ln", SPREAD, where)
    gangs = list(_gangs(rates))
    where = f"Gavel: {len(gangs)} gangs of 2, 4 and 8 in one place against the single device, all kinds of job"
    yield at_most(
        "roofline_gang_error",
        _median(gangs),
        "x",
        1.5,
        where,
        _median(list(_linear(rates))),
        "n devices are n times as fast",
    )
    served = list(_products(_vidur(data), kinds))
    where = (
        f"Vidur: {len(served)} MLP blocks of Llama-2 7B and 70B, 1 to 4,096 tokens, 1 to 8 devices, A40, A100, H100"
    )
    yield at_most("roofline_serving_error", _median(served), "x", 1.25, where)
    yield at_most("roofline_serving_spread", _spread(served), "sd of ln", SPREAD, where)


def _siblings(rates: Rates, devices: dict[str, AcceleratorType], ours: bool) -> Iterator[float]:
    """ln(estimate / measured) of every rate from another device's."""
    for known in GPUS:
        for name in GPUS:
            for (model, gang), rate in sorted(rates[known].items()):
                measured = rates[name].get((model, gang), 0.0)
                if known == name or gang != 1 or rate <= 0.0 or measured <= 0.0:
                    continue
                there, here = devices[known], devices[name]
                if ours:
                    estimate = scaled_rate(rate, there, 1, here, 1)
                else:
                    shared = next(
                        p for p in ("fp16", "fp32") if p in dict(there.peak_flops) and p in dict(here.peak_flops)
                    )
                    estimate = rate * dict(here.peak_flops)[shared] / dict(there.peak_flops)[shared]
                assert estimate is not None
                yield math.log(estimate / measured)


def _resnet50(rates: Rates, devices: dict[str, AcceleratorType]) -> Iterator[float]:
    for gpu, kind in devices.items():
        for batch in BATCHES:
            for gang in GANGS:
                measured = rates[gpu].get((f"ResNet-50 (batch size {batch})", gang), 0.0)
                estimate = training_rate(kind, gang, UnitWork(batch * RESNET50_FLOPS, 0.0, "fp32"))
                if measured > 0.0 and estimate is not None:
                    yield math.log(estimate / measured)


def _gangs(rates: Rates) -> Iterator[float]:
    for gang, gain in _gains(rates):
        yield math.log(gang * gang_efficiency(gang) / gain)


def _linear(rates: Rates) -> Iterator[float]:
    for gang, gain in _gains(rates):
        yield math.log(gang / gain)


def _gains(rates: Rates) -> Iterator[tuple[int, float]]:
    """(devices, rate of the gang over the rate of one)."""
    for gpu in GPUS:
        for (model, gang), rate in sorted(rates[gpu].items()):
            alone = rates[gpu].get((model, 1), 0.0)
            if gang > 1 and rate > 0.0 and alone > 0.0:
                yield gang, rate / alone


def _vidur(data: Path | None) -> Path:
    folder = None if data is None else data / "vidur" / "compute"
    if folder is None or not folder.is_dir():
        raise SkipBenchmark(
            "needs the folder vidur/ (data/profiling of github.com/microsoft/vidur @ 7d47513) in --data DIR; "
            f"looked in {data}"
        )
    return folder


def _products(folder: Path, kinds: dict[str, AcceleratorType]) -> Iterator[float]:
    """ln(estimated / measured seconds) of the up and down projections of one layer, gated, 16 bits."""
    for device, name in VIDUR.items():
        flops, bandwidth = peak(kinds[name], "fp16"), kinds[name].memory_bytes_per_second
        assert flops is not None
        for model in MODELS:
            with (folder / device / "meta-llama" / model / "mlp.csv").open(newline="") as lines:
                for row in csv.DictReader(lines):
                    tokens, split = int(row["num_tokens"]), int(row["num_tensor_parallel_workers"])
                    wide, inner = int(row["n_embd"]), int(row["n_expanded_embd"]) / split
                    measured = sum(float(row[f"time_stats.mlp_{part}_proj.median"]) for part in ("up", "down")) / 1e3
                    if tokens < 1 or measured <= 0.0:
                        continue
                    arithmetic = 2.0 * tokens * 3.0 * wide * inner / (flops * SERVING_SHARE)
                    moved = 2.0 * (3.0 * wide * inner + tokens * (2.0 * wide + 3.0 * inner))
                    yield math.log(max(arithmetic, moved / (bandwidth * MEMORY_SHARE)) / measured)


def _median(errors: list[float]) -> float:
    return math.exp(statistics.median(abs(error) for error in errors))


def _spread(errors: list[float]) -> float:
    return math.sqrt(statistics.fmean(error * error for error in errors))
