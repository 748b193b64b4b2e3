"""Quantities and decimals: what Kubernetes accepts is read exactly, everything else is refused with an example."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain import units


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", Fraction(0)),
        ("200Mi", Fraction(200 * 2**20)),
        ("1200Gi", Fraction(1200 * 2**30)),
        ("4k", Fraction(4000)),
        ("1.5", Fraction(3, 2)),
        (".5", Fraction(1, 2)),
        ("2.", Fraction(2)),
        ("1e3", Fraction(1000)),
        ("1E3", Fraction(1000)),
        ("100m", Fraction(1, 10)),
        ("-1", Fraction(-1)),
        ("1E", Fraction(10**18)),
    ],
)
def test_a_kubernetes_quantity_is_read_exactly(text: str, value: Fraction) -> None:
    assert units.parse_quantity(text) == value


@pytest.mark.parametrize(
    "text", ["", " ", "ten", "1 Gi", "1gi", "0x10", "NaN", "inf", "1e", "--1", "1e308", "٣", "1\n"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        units.parse_quantity(text)


@pytest.mark.parametrize("text", ["", "1e3", "4k", "nan", "1,5", "1.", "٣"])
def test_a_decimal_string_has_no_suffix_and_no_exponent(text: str) -> None:
    with pytest.raises(ValueError, match="decimal"):
        units.parse_decimal(text)


@given(st.integers(0, 10**15), st.sampled_from(["", "k", "M", "Ki", "Mi", "Gi"]))
def test_whole_numbers_survive(number: int, suffix: str) -> None:
    assert units.parse_whole(f"{number}{suffix}") == number * units.parse_quantity(f"1{suffix}")


@given(st.fractions(min_value=0, max_value=10**9))
def test_rounding_up_never_asks_for_less(value: Fraction) -> None:
    text = f"{float(value):.6f}"
    assert Fraction(text) <= units.parse_whole(text) < Fraction(text) + 1
    assert units.parse_millicores(text) >= Fraction(text) * 1000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (4.25, "4.2 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (273_600, "3 d 4 h")],
)
def test_durations_read_like_speech(seconds: float, text: str) -> None:
    assert units.format_seconds(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1_200_000, "1.2 MB"), (2.5e12, "2.5 TB")])
def test_bytes_have_three_digits(count: float, text: str) -> None:
    assert units.format_bytes(count) == text
