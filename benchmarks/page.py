"""`python -m benchmarks.page LINES > docs/benchmarks.md`: the page is made from the lines, by nobody's hand.

LINES is a file with the JSON lines that one or more runs of `python -m benchmarks` printed.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import MACHINE, SMOKE
from benchmarks.targets import TARGETS

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A section: what is compared, and how the names of its figures begin. The headline is the first figure with a
    target of the first beginning that has one."""

    title: str
    begins: tuple[str, ...]

    def place(self, figure: Line) -> int:
        """Which of `begins` the figure's name begins with."""
        return next(n for n, begin in enumerate(self.begins) if str(figure["figure"]).startswith(begin))


ROWS = (
    Row("The joint plan against its rivals, executed", ("joint ", "regime ")),
    Row("Executed schedules and their bounds", ("executed-schedule", "bound-quality", "proven-60")),
    Row("Gavel's makespan policy, 1,024 jobs", ("gavel-makespan",)),
    Row("Gavel's max-min policy, 16,384 jobs", ("gavel-max-min",)),
    Row("Melange's choice of instances", ("melange",)),
    Row("Helix's layer placement", ("helix",)),
    Row("DT-FM's groups over a wide area", ("dtfm",)),
    Row("The joint programme, 101,049 columns", ("large-programme 101,049 columns",)),
    Row("The joint programme, 1,004,540 columns", ("large-programme 1,004,540 columns", "large-programme")),
    Row("100,480 servers", ("fleet-100k",)),
    Row("A plan after one event, 1,004,540 columns", ("replan",)),
    Row("A decision for one arrival", ("arrival-decision",)),
    Row("From a created object to bound pods", ("created to bound", "arrival-latency")),
    Row("API requests of a placement", ("requests-per-placement",)),
    Row("Writes when nothing changes", ("steady-state writes", "writes per minute")),
    Row("Memory of the operator", ("steady-state memory", "memory of the operator")),
    Row("The example, and a thousand jobs", ("example-plan", "plan-1000")),
    Row("How cost grows", ("cost-growth",)),
    Row("Stability over a day", ("stability",)),
    Row("Rates without a profile", ("roofline",)),
    Row("Other figures", ("",)),
)
PICTURES = {"How cost grows": "![Seconds of a bound against the number of columns](images/cost-growth.svg)"}
"""Drawn by the benchmark of that section."""
HEAD = """# Benchmarks

Made by `python -m benchmarks.page` from the lines that `python -m benchmarks all --data DIR` printed. Ratios within
one run count; seconds are for orientation. Figures that do not hold are here like the others.

"""


def page(lines: Iterable[str]) -> str:
    """The page as Markdown. Raises ValueError for a line that is no figure, or of a quick run."""
    figures = [_checked(json.loads(line)) for line in lines if line.strip()]
    machines: list[str] = []
    sections: dict[Row, list[Line]] = {row: [] for row in ROWS}
    measured: dict[Row, set[int]] = {row: set() for row in ROWS}
    for figure in figures:
        if figure["figure"] == MACHINE:
            if SMOKE in figure["instance"]:
                raise ValueError(f"the lines are of {SMOKE}: run without --quick")
            machines.append(f"{_number(figure['value'])} {figure['unit']}, {figure['instance']}")
            continue
        row = next(row for row in ROWS if str(figure["figure"]).startswith(row.begins))
        sections[row].append(figure)
        measured[row].add(len(machines))
    parts = [HEAD, _overview(sections), _machines(machines), _targets(figures)]
    for row, found in sections.items():
        if found:
            runs = sorted(measured[row]) if len(machines) > 1 else []
            parts.append(_section(row, found, runs))
    return "\n".join(parts)


def _checked(figure: Line) -> Line:
    missing = {"figure", "value", "unit", "holds", "instance"} - figure.keys()
    if missing:
        raise ValueError(f"{figure}: not a figure, {', '.join(sorted(missing))} is missing")
    return figure


def _overview(sections: Mapping[Row, Sequence[Line]]) -> str:
    """A line for each section: its first figure with a target, and how many of those with one hold."""
    rows = ["| what | headline | target | targets held |", "|---|---|---|---|"]
    for row, found in sections.items():
        aimed = [figure for figure in found if figure.get("target") is not None]
        if not aimed:
            if row.begins != ("",) and not found:
                rows.append(f"| {row.title} | not measured in these lines | - | - |")
            continue
        first, held = min(aimed, key=row.place), sum(bool(figure["holds"]) for figure in aimed)
        count = "all" if held == len(aimed) else f"**{held} of {len(aimed)}**"
        says = f"{_short(first, row)}: {_value(first)}"
        rows.append(f"| [{row.title}](#{_anchor(row.title)}) | {says} | {_target(first)} | {count} |")
    return "\n".join(rows) + "\n"


def _machines(machines: Sequence[str]) -> str:
    if len(machines) < 2:
        return "".join(f"Measured on {machine}.\n" for machine in machines)
    return "Measured in several runs:\n\n" + "".join(f"{n}. {one}\n" for n, one in enumerate(machines, 1))


def _targets(figures: Sequence[Line]) -> str:
    """What was set as an aim, row by row, beside the figures that show it."""
    table = ["| what | aimed at | reached |", "|---|---|---|"]
    for target in TARGETS:
        reached = [_reached(name, [one for one in figures if one["figure"] == name]) for name in target.figures]
        table.append("| " + " | ".join((target.what, target.aim, "<br>".join(reached))) + " |")
    return "## Row by row: aims and figures\n\n" + "\n".join(table) + "\n"


def _reached(name: str, found: Sequence[Line]) -> str:
    values = ", ".join(f"{_value(one)}" if one["holds"] else f"**{_value(one)}**" for one in found)
    return f"{name}: {values or 'not measured in these lines'}"


def _section(row: Row, found: Sequence[Line], runs: Sequence[int]) -> str:
    """A table with short cells; instances and sources are numbered notes below it."""
    notes: list[str] = []
    table = ["| figure | ours | target | holds | against | notes |", "|---|---|---|---|---|---|"]
    for figure in found:
        anchor, source = figure.get("anchor"), figure.get("anchor_source", "none")
        against = "-" if anchor is None else f"{_number(anchor)} {_unit(figure)}".strip()
        marks = [_note(notes, figure["instance"]), *([] if anchor is None else [_note(notes, source)])]
        holds = "-" if figure.get("target") is None else "yes" if figure["holds"] else "**no**"
        cells = (_short(figure, row), _value(figure), _target(figure), holds, against, ", ".join(marks))
        table.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    listed = "".join(f"{n}. {note}\n" for n, note in enumerate(notes, 1))
    run = f"\nRun {', '.join(map(str, runs))}.\n" if runs else ""
    picture = f"\n{PICTURES[row.title]}\n" if row.title in PICTURES else ""
    return f"## {row.title}\n\n" + "\n".join(table) + f"\n\n{listed}{run}{picture}"


def _note(notes: list[str], text: str) -> str:
    if text not in notes:
        notes.append(text)
    return str(notes.index(text) + 1)


def _short(figure: Line, row: Row) -> str:
    """The figure's name without how those of its section usually begin."""
    name = str(figure["figure"])
    return name.removeprefix(row.begins[0]).lstrip(" ,:_") or name


def _value(figure: Line) -> str:
    return f"{_number(figure['value'])} {_unit(figure)}".strip()


def _target(figure: Line) -> str:
    target = figure.get("target")
    return "-" if target is None else f"{_number(target)} {_unit(figure)}".strip()


def _unit(figure: Line) -> str:
    return "" if figure["unit"] == "1" else str(figure["unit"])


def _number(value: float) -> str:
    return f"{value:.4g}"


def _anchor(title: str) -> str:
    """GitHub's name of a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c == "-")


if __name__ == "__main__":
    sys.stdout.write(page(Path(sys.argv[1]).read_text().splitlines()))
