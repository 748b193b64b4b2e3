"""Rates from data sheets, by hand and by what must hold whatever the numbers."""

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.fleet import AcceleratorType
from polyhull.domain.roofline import (
    MEMORY_SHARE,
    SERVING_SHARE,
    TRAINING_SHARE,
    Tokens,
    UnitWork,
    gang_efficiency,
    peak,
    scaled_rate,
    serving_rate,
    training_rate,
)


def kind(bandwidth: float = 1e12, **peaks: float) -> AcceleratorType:
    return AcceleratorType("x", "GPU", peak_flops=tuple(sorted(peaks.items())), memory_bytes_per_second=bandwidth)


def test_the_longer_of_arithmetic_and_memory_decides() -> None:
    one = kind(bf16=100e12)
    assert training_rate(one, 1, UnitWork(4e13, 0.0)) == pytest.approx(TRAINING_SHARE * 100e12 / 4e13)
    assert training_rate(one, 1, UnitWork(4e10, 1e12)) == pytest.approx(MEMORY_SHARE)
    assert training_rate(one, 8, UnitWork(4e13)) == pytest.approx(8 * 8**-0.2)
    assert training_rate(kind(0.0, bf16=1e12), 1, UnitWork(1.0, 1.0)) is None
    assert training_rate(kind(), 1, UnitWork(1.0)) is None
    assert training_rate(one, 1, UnitWork()) is None


def test_a_precision_that_is_missing_falls_back_to_one_as_wide_then_wider() -> None:
    old = kind(fp16=125.0, fp32=15.7)
    assert peak(old, "bf16") == 125.0
    assert peak(old, "int8") == 125.0
    assert peak(old, "tf32") == 15.7
    assert peak(old, "fp64") is None
    assert peak(old, "") == 125.0
    assert peak(kind(), "") is None


def test_a_gang_of_more_than_what_was_measured_scales_no_worse() -> None:
    assert gang_efficiency(1) == 1.0
    assert gang_efficiency(8) == gang_efficiency(512) == pytest.approx(0.6598, abs=1e-4)


def test_a_sibling_is_scaled_by_both_figures_or_by_what_the_work_needs() -> None:
    slow, fast = kind(0.5e12, fp32=10.0, bf16=10.0), kind(2e12, fp32=40.0, bf16=90.0)
    assert scaled_rate(3.0, slow, 1, fast, 1) == pytest.approx(3.0 * sqrt(4.0 * 4.0))
    assert scaled_rate(3.0, slow, 1, fast, 1, UnitWork(1.0, 0.0, "bf16")) == pytest.approx(27.0)
    assert scaled_rate(3.0, slow, 1, fast, 1, UnitWork(0.0, 1.0)) == pytest.approx(12.0)
    assert scaled_rate(3.0, slow, 1, kind(0.0, bf16=20.0), 1) == pytest.approx(6.0)
    assert scaled_rate(3.0, slow, 2, slow, 4) == pytest.approx(6.0 * 2**-0.2)
    assert scaled_rate(3.0, kind(0.0, fp64=1.0), 1, kind(0.0, int8=1.0), 1) is None


def test_a_language_model_by_hand() -> None:
    """8 x 10^9 parameters in 16 bits, 500 tokens in, 100 out, on one device of 100 TFLOP/s and 1 TB/s."""
    rate, seconds = serving_rate(kind(bf16=100e12), 1, Tokens(8e9, 500, 100, "bf16", 4)) or (0.0, 0.0)
    per_token = 16e9 / (100e12 * SERVING_SHARE)
    step = 16e9 / (1e12 * MEMORY_SHARE)
    assert step > 4 * per_token
    assert seconds == pytest.approx(4 * 500 * per_token + 100 * step)
    assert rate == pytest.approx(4 / seconds)
    assert serving_rate(kind(0.0, bf16=1e12), 1, Tokens(8e9, 1, 1)) is None
    assert serving_rate(kind(bf16=1e12), 1, Tokens(0.0, 1, 1)) is None


POSITIVE = st.floats(1e-3, 1e15)


@given(flops=POSITIVE, moved=POSITIVE, speed=POSITIVE, bandwidth=POSITIVE, factor=st.floats(1.0, 100.0))
def test_a_better_device_is_never_slower_and_more_work_never_faster(
    flops: float, moved: float, speed: float, bandwidth: float, factor: float
) -> None:
    unit = UnitWork(flops, moved)
    plain = training_rate(kind(bandwidth, bf16=speed), 2, unit)
    assert plain is not None and plain > 0.0
    for better in (kind(bandwidth, bf16=speed * factor), kind(bandwidth * factor, bf16=speed)):
        assert (training_rate(better, 2, unit) or 0.0) >= plain
    assert (training_rate(kind(bandwidth, bf16=speed), 3, unit) or 0.0) > plain
    assert (training_rate(kind(bandwidth, bf16=speed), 2, UnitWork(flops * factor, moved)) or 0.0) <= plain


@given(rate=POSITIVE, a=POSITIVE, b=POSITIVE, devices=st.integers(1, 64))
def test_scaling_there_and_back_gives_the_same(rate: float, a: float, b: float, devices: int) -> None:
    one, two = kind(a, bf16=a), kind(b, bf16=b)
    there = scaled_rate(rate, one, 1, two, devices)
    assert there is not None
    assert scaled_rate(there, two, devices, one, 1) == pytest.approx(rate)
