"""`python -m benchmarks.page LINES > docs/benchmarks.md`: the page is made from the lines, by nobody's hand.

LINES is a file with the JSON lines that `python -m benchmarks all` printed.
"""

import json
import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HEAD = """# Benchmarks

Made by `python -m benchmarks.page` from the lines of `python -m benchmarks all --data DIR`. Ratios within one run
count; seconds are for orientation. Figures that do not hold are here like the others.

| figure | value | target | holds | compared with | instance |
|---|---|---|---|---|---|
"""


PLOT = "![How the cost of a bound grows with the number of columns](images/cost-growth.svg)"
"""Drawn by `python -m benchmarks cost-growth`."""


def page(lines: Iterable[str], machine: str) -> str:
    """The page as Markdown. Raises ValueError for a line that is no figure."""
    rows = [_row(json.loads(line)) for line in lines if line.strip()]
    return f"{HEAD}{''.join(rows)}\nMeasured on {machine}.\n\n{PLOT}\n"


def _row(figure: Mapping[str, Any]) -> str:
    missing = {"figure", "value", "unit", "holds", "instance"} - figure.keys()
    if missing:
        raise ValueError(f"{figure}: not a figure, {', '.join(sorted(missing))} is missing")
    unit = figure["unit"]
    anchor = figure.get("anchor")
    against = "-" if anchor is None else f"{_number(anchor)} {unit}: {figure.get('anchor_source', '')}"
    target = figure.get("target")
    holds = "-" if target is None else "yes" if figure["holds"] else "**no**"
    goal = "-" if target is None else f"{_number(target)} {unit}"
    cells = (figure["figure"], f"{_number(figure['value'])} {unit}", goal, holds, against, figure["instance"])
    return "| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |\n"


def _number(value: float) -> str:
    return f"{value:.4g}"


if __name__ == "__main__":
    import os

    cores = os.cpu_count()
    sys.stdout.write(
        page(
            Path(sys.argv[1]).read_text().splitlines(),
            f"{cores} cores, {platform.system()}, Python {platform.python_version()}",
        )
    )
