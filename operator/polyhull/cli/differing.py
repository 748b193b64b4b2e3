"""The answer to a what-if as tables for people, however it was asked."""

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from polyhull.domain.units import format_seconds

STYLE = {"Earlier": "green", "Placed": "green", "Later": "yellow", "Unplaced": "bold red", "ServesLess": "yellow"}
MOST_ROWS = 40


def tables(answer: dict[str, Any]) -> Iterator[RenderableType]:
    """Headline, then what becomes of each job."""
    yield _headline(answer)
    jobs = answer.get("jobs") or []
    if jobs:
        yield _jobs(jobs[:MOST_ROWS])
    for job in jobs:
        if job.get("reason"):
            yield Text(f"{job['namespace']}/{job['name']} is not placed any more: {job['reason']}")
    left = len(jobs) - MOST_ROWS
    if left > 0:
        yield Text(f"and {left} more; -o json shows them", style="dim")


def _headline(answer: dict[str, Any]) -> Text:
    text = Text()
    for change in answer.get("changes") or ():
        text.append(f"What if: {change}\n", style="bold")
    before, after = float(answer["baseMakespanSeconds"]), float(answer["makespanSeconds"])
    text.append("Everything finishes in ")
    text.append(format_seconds(after), style="bold")
    text.append(f" instead of {format_seconds(before)}")
    if after != before:
        style = "bold green" if after < before else "bold yellow"
        text.append(f", {format_seconds(abs(after - before))} {'sooner' if after < before else 'later'}", style=style)
    gaps = [answer.get(name) for name in ("gap", "baseGap")]
    shown = ["not proved" if gap is None else f"{float(gap):.1%}" for gap in gaps]
    text.append(f"\n  gap {shown[0]} instead of {shown[1]}", style="dim")
    for word, name, unit in (("cost", "cost", 1.0), ("energy in kWh", "energyJoules", 3.6e6)):
        then, now = answer.get(name), answer.get(f"base{name[0].upper()}{name[1:]}")
        if then is not None and now is not None:
            text.append(f"\n  {word} {float(then) / unit:,.4g} instead of {float(now) / unit:,.4g}", style="dim")
    counts = [f"{answer.get(name, 0)} {name}" for name in ("earlier", "later", "moved", "placed", "unplaced")]
    text.append(f"\n  jobs: {', '.join(counts)}", style="dim")
    return text


def _jobs(jobs: list[dict[str, Any]]) -> Table:
    table = Table(title="What changes", title_justify="left", title_style="bold", box=None, pad_edge=False,
                  padding=(0, 2, 0, 0))  # fmt: skip
    for name in ("job", "", "by", "from", "to"):
        table.add_column(name, no_wrap=True, justify="right" if name == "by" else "left")
    for job in jobs:
        later = job.get("laterSeconds")
        table.add_row(
            f"{job['namespace']}/{job['name']}",
            Text(job["fate"], style=STYLE.get(job["fate"], "")),
            format_seconds(abs(float(later))) if later else "",
            job.get("fromPool", ""),
            job.get("toPool", "") if job.get("toPool") != job.get("fromPool") else "",
        )
    return table
