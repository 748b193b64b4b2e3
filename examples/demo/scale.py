"""Divides work, data and batch requests by one factor, so that hours of a plan can be watched in minutes.

Rates, links, pools and prices stay as they are: every run and every transfer shrinks by the same factor, and the
plan keeps its shape. What does not shrink is start-up, which is why the factor is bounded by the shortest run.

`python -m examples.demo.scale examples/edge-to-cloud` prints the scaled objects as YAML.
"""

import argparse
import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from polyhull.domain.units import parse_decimal, parse_quantity

Document = dict[str, Any]
SHORTEST_RUN_SECONDS = 8.0
"""No option of any job may compute for less: below this, start-up would be most of what is seen."""
_DIGITS = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class Scaled:
    """`documents` with `factor` taken out; `shortest_run_seconds` is the least compute time of any option."""

    documents: tuple[Document, ...]
    factor: float
    shortest_run_seconds: float


def load(folder: Path) -> tuple[Document, ...]:
    """All YAML documents of a folder, files in order of name. Raises FileNotFoundError if there is none."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise FileNotFoundError(f"{folder}: no *.yaml here; name a folder of examples such as examples/edge-to-cloud")
    return tuple(document for file in files for document in yaml.safe_load_all(file.read_text()) if document)


def scale(
    documents: Sequence[Document], shortest_run_seconds: float = SHORTEST_RUN_SECONDS, factor: float | None = None
) -> Scaled:
    """Divide by `factor`, or by the largest whole number that keeps every run at `shortest_run_seconds` or more.

    Raises ValueError if an option has no rate (its run cannot be known), or if `factor` would cut a run shorter.
    """
    shortest = min((seconds for _, seconds in runs(documents)), default=None)
    if shortest is None:
        raise ValueError("there is no TrainingJob and no batch InferenceJob to scale")
    if factor is None:
        factor = float(max(1, int(shortest / shortest_run_seconds)))
    if factor <= 0 or shortest / factor < min(shortest_run_seconds, shortest):
        limit = shortest / shortest_run_seconds
        raise ValueError(f"a factor of {factor:g} cuts the shortest run below {shortest_run_seconds:g} s; "
                         f"take {limit:.4g} or less")  # fmt: skip
    scaled = tuple(_divided(document, Fraction(factor)) for document in documents)
    return Scaled(scaled, factor, min(seconds for _, seconds in runs(scaled)))


def runs(documents: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    """(`namespace/name option`, compute seconds) of every option of every finite job."""
    for document in documents:
        spec, metadata = document.get("spec", {}), document.get("metadata", {})
        owner = f"{metadata.get('namespace', 'default')}/{metadata.get('name')}"
        if document.get("kind") == "TrainingJob":
            for option in spec["options"]:
                if "rate" not in option:
                    raise ValueError(f"{owner}: option {option['name']} has no rate; give it one, or leave it out")
                yield f"{owner} {option['name']}", _ratio(spec["work"]["quantity"], option["rate"])
        elif document.get("kind") == "InferenceJob" and spec.get("mode") == "Batch":
            for variant in spec["variants"]:
                gang = int(spec.get("minReplicas", 1))
                yield f"{owner} {variant['name']}", _ratio(spec["requests"], variant["rate"]) / gang


def _ratio(amount: str, rate: str) -> float:
    return float(parse_decimal(amount) / parse_decimal(rate))


def _divided(document: Document, factor: Fraction) -> Document:
    out = copy.deepcopy(document)
    spec = out.get("spec", {})
    if out.get("kind") == "TrainingJob":
        spec["work"]["quantity"] = _decimal(parse_decimal(spec["work"]["quantity"]) / factor)
    elif out.get("kind") == "InferenceJob" and spec.get("mode") == "Batch":
        spec["requests"] = _decimal(parse_decimal(spec["requests"]) / factor)
    elif out.get("kind") == "DataSet":
        spec["size"] = str(-int(-parse_quantity(str(spec["size"])) // factor))
    return out


def _decimal(value: Fraction) -> str:
    """At most nine digits after the point, rounded up: what is asked for is never cut to nothing."""
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    text = f"{exact.quantize(_DIGITS, rounding=ROUND_UP):f}"
    return text.rstrip("0").rstrip(".")


def main() -> None:
    parser = argparse.ArgumentParser(description="Print a folder's objects with work and data divided by one factor.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shortest", type=float, default=SHORTEST_RUN_SECONDS, help="seconds of the shortest run")
    parser.add_argument("--factor", type=float, help="divide by exactly this")
    options = parser.parse_args()
    try:
        scaled = scale(load(options.folder), options.shortest, options.factor)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    sys.stdout.write(
        f"# Work and data divided by {scaled.factor:g}; shortest run {scaled.shortest_run_seconds:.3g} s.\n"
    )
    yaml.safe_dump_all(scaled.documents, sys.stdout, sort_keys=False, explicit_start=True)


if __name__ == "__main__":
    main()
