"""The live table and the last word of the demo, as rich renderables."""

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hack.demo.compare import Outcome, Row
from hack.demo.observe import Run
from polyhull.domain.decision import Decision, ServicePlan, Transfer
from polyhull.domain.units import format_bytes

STYLE = {"CPU": "cyan", "GPU": "green", "NPU": "magenta"}


def live(
    result: Outcome, decision: Decision, runs: tuple[Run, ...], let_loose_at: float, elapsed: float
) -> RenderableType:
    parts: list[RenderableType] = [progress(result, elapsed), jobs(result.rows)]
    moved = {(run.owner, run.cluster): run for run in runs if run.component == "transfer"}
    if decision.transfers:
        parts.append(transfers(decision.transfers, moved, let_loose_at))
    if decision.services:
        parts.append(services(decision.services, [run for run in runs if run.component == "serving"]))
    return Group(*parts)


def progress(result: Outcome, elapsed: float) -> Text:
    done = sum(row.ended_seconds is not None for row in result.rows)
    share = min(1.0, elapsed / result.planned_makespan) if result.planned_makespan > 0 else 1.0
    bar = "━" * round(40 * share)
    text = Text(f"{done}/{len(result.rows)} jobs done   ", style="bold")
    text.append(f"{bar:<40}", style="green")
    text.append(f"  {elapsed:5.1f} s of {result.planned_makespan:.1f} s planned")
    return text


def jobs(rows: tuple[Row, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("job", "cluster", "pool", "kind", "option", "nodes"):
        table.add_column(name, no_wrap=True)
    for name in ("planned start", "planned finish", "seen start", "seen finish"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        plan = row.planned
        nodes = Text("-", style="dim") if not row.nodes else Text(_short(row.nodes))
        if row.nodes and not row.where_planned:
            nodes.stylize("bold red")
        table.add_row(
            plan.job,
            plan.cluster,
            plan.pool.partition("/")[2],
            Text(plan.device_class, style=STYLE.get(plan.device_class, "")),
            plan.option,
            nodes,
            f"{plan.start_seconds:.0f} s",
            f"{plan.finish_seconds:.0f} s",
            _seconds(row.begun_seconds),
            _seconds(row.ended_seconds),
        )
    return table


def transfers(moves: tuple[Transfer, ...], seen: Mapping[tuple[str, str], Run], origin: float) -> Table:
    table = Table(title="\nData moved", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("data set", "to", "over"):
        table.add_column(name, no_wrap=True)
    for name in ("size", "planned start", "planned finish", "seen start", "seen finish"):
        table.add_column(name, justify="right", no_wrap=True)
    for move in sorted(moves, key=lambda move: (move.start_seconds, move.name)):
        owner = f"{move.data_set.namespace}/{move.data_set.name}"
        run = seen.get((owner, move.cluster))
        table.add_row(
            owner,
            move.cluster,
            " > ".join(move.links) or "inside the site",
            format_bytes(move.transfer_bytes),
            f"{move.start_seconds:.0f} s",
            f"{move.end_seconds:.0f} s",
            _seconds(None if run is None or run.begun is None else run.begun - origin),
            _seconds(None if run is None or run.ended is None else run.ended - origin),
        )
    return table


def services(plans: tuple[ServicePlan, ...], runs: list[Run]) -> Table:
    table = Table(title="\nServices", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("service", "cluster", "pool", "kind", "variant"):
        table.add_column(name, no_wrap=True)
    for name in ("planned pods", "seen pods"):
        table.add_column(name, justify="right", no_wrap=True)
    for plan in plans:
        owner = f"{plan.service.namespace}/{plan.service.name}"
        for place in plan.replicas:
            # Pods name their pool in a label of ours; a run is one Deployment.
            here = [run for run in runs if run.owner == owner and run.cluster == place.cluster]
            table.add_row(
                owner,
                place.cluster,
                place.pool.partition("/")[2],
                Text(place.device_class, style=STYLE.get(place.device_class, "")),
                place.variant,
                str(place.replicas),
                str(sum(run.pods for run in here)) if here else "-",
            )
    return table


def verdict(result: Outcome, factor: float) -> Text:
    """What a person takes away."""
    text = Text("\n")
    if result.observed_makespan is None:
        text.append("Not everything finished.", style="bold red")
        return text
    deviation = result.deviation or 0.0
    style = "bold green" if abs(deviation) <= 0.10 else "bold yellow"
    text.append(f"Makespan: planned {result.planned_makespan:.1f} s, ")
    text.append(f"observed {result.observed_makespan:.1f} s ({deviation:+.1%})", style=style)
    if result.bound:
        text.append(f"\nNo plan can be faster than {result.bound:.1f} s ({result.bound_kind}): ")
        text.append("gap unknown" if result.gap is None else f"gap {result.gap:.1%}", style="bold")
    for words, seconds in (
        ("every job stays with its data", result.locality_only),
        ("every job takes the fastest devices", result.compute_only),
    ):
        if seconds:
            text.append(f"\nIf {words}: {seconds:.1f} s ({seconds / result.planned_makespan:.2f} x)")
    misplaced = [row.planned.job for row in result.rows if row.nodes and not row.where_planned]
    if misplaced:
        text.append(f"\nNot where the plan said: {', '.join(misplaced)}", style="bold red")
    text.append(
        f"\nWork and data are the example's, divided by {factor:g}; rates and links are as they are.", style="dim"
    )
    return text


def _seconds(value: float | None) -> Text:
    return Text("-", style="dim") if value is None else Text(f"{value:.1f} s")


def _short(nodes: tuple[str, ...]) -> str:
    return nodes[0] if len(nodes) == 1 else f"{nodes[0]} +{len(nodes) - 1}"
