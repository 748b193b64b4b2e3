"""Numbers with units as people write them, and back. Exact where the text is exact (`Fraction`)."""

import re
from fractions import Fraction
from functools import lru_cache

_SUFFIX = {
    "": Fraction(1),
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12),
    "P": Fraction(10**15), "E": Fraction(10**18),
    "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40),
    "Pi": Fraction(2**50), "Ei": Fraction(2**60),
}  # fmt: skip
_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,18})?|\.[0-9]{1,18}))(?:([eE][+-]?[0-9]{1,2})|([numkMGTPE]|[KMGTPE]i)?)"
)
_DECIMAL = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,18})?")


@lru_cache(4096)
def parse_quantity(text: str) -> Fraction:
    """A Kubernetes quantity (`200Mi`, `4k`, `0.5`, `1e3`) as an exact number.

    Raises ValueError for anything else. Source: k8s.io/apimachinery resource.Quantity.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity such as 200Mi, 4k or 1500")
    number, exponent, suffix = match.groups()
    if exponent is not None:
        return Fraction(f"{number}{exponent}" if not number.endswith(".") else f"{number}0{exponent}")
    return Fraction(number if not number.endswith(".") else number + "0") * _SUFFIX[suffix or ""]


def parse_decimal(text: str) -> Fraction:
    """A plain decimal string (`38.2`) as an exact number. Raises ValueError for anything else."""
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a decimal number such as 38.2")
    return Fraction(text)


def parse_whole(text: str) -> int:
    """A quantity rounded up to a whole number (bytes, bits per second): what is asked for is never cut."""
    value = parse_quantity(text)
    return -int(-value // 1)


def parse_millicores(text: str) -> int:
    """A cpu quantity in thousandths of a core, rounded up as the scheduler does."""
    return -int(-(parse_quantity(text) * 1000) // 1)


def format_bytes(count: float) -> str:
    """`1.2 TB`: decimal, three significant digits, for people."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if abs(value) < 999.5 or unit == "PB":
            return f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def format_seconds(seconds: float) -> str:
    """`47 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`, for people."""
    whole = round(seconds)
    if abs(seconds) < 10:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
