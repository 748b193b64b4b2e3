"""A decision as tables for people. Values in, rich renderables out; nothing here decides anything."""

from collections.abc import Iterable, Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from polyhull.domain.decision import (
    Assignment,
    BoundKind,
    Decision,
    Footprint,
    Help,
    LevelReport,
    Price,
    ServicePlan,
    Transfer,
    Unplaced,
)
from polyhull.domain.fleet import Evidence
from polyhull.domain.units import format_bytes, format_seconds
from polyhull.domain.workloads import data_name
from polyhull.planning.report import transfers_of

CLASS_STYLE = {"CPU": "cyan", "GPU": "green", "NPU": "magenta", "TPU": "yellow"}
BOUND_WORDS = {
    BoundKind.EXACT_WHOLE_COPY: "proven over every schedule that moves whole copies over one path",
    BoundKind.EXACT_SUBPROBLEM: "proven for the jobs that bind, over every schedule of whole copies over one path",
    BoundKind.STRENGTHENED_SPLIT_COPY: "certified over every schedule whose copies are whole or take their one split",
    BoundKind.STRENGTHENED_WHOLE_COPY: "certified over every schedule of whole copies over one path",
    BoundKind.STRENGTHENED: "certified over every schedule, transfers split at will",
    BoundKind.FLUID: "fluid bound over every schedule",
    BoundKind.NONE: "nothing was proven in the time given",
}


def decision(value: Decision, *, wide: bool = False) -> Iterator[RenderableType]:
    """Everything a person wants of a plan, in reading order."""
    yield headline(value)
    if value.assignments:
        yield jobs(value.assignments, wide=wide)
    if value.services:
        yield services(value.services)
    if value.transfers:
        yield transfers(value.transfers)
    for move in value.moves:
        yield Text(f"moved       {move.job.namespace}/{move.job.name} to {move.to_pool}. {move.why}")
    for gone in value.evictions:
        freed = f"{format_bytes(gone.freed_bytes)} in {gone.store}"
        yield Text(
            f"evicted     {gone.data_set.namespace}/{gone.data_set.name}: nobody reads it, it makes room of {freed}"
        )
    priced = [price for price in (*value.pool_prices, *value.link_prices) if price.makespan_seconds_per_unit < 0]
    if priced:
        yield prices(value)
    for item in value.assignments:
        if item.late_seconds > 0.0:
            yield late(item)
    for missing in value.unplaced:
        line = Text("not placed  ", style="bold red")
        line.append(f"{missing.job.namespace}/{missing.job.name}", style="bold")
        line.append(f"  {missing.reason}: {missing.message}")
        yield line
    for violation in value.violations:
        yield Text(f"rejected by the checker: {violation}", style="bold red")


def headline(value: Decision) -> Text:
    """Makespan beside its bound, and beside what simpler ways of thinking reach."""
    text = Text()
    if value.assignments:
        _makespan(text, value)
    else:
        text.append(nothing_placed(value), style="bold")
    for level in value.levels[0 if value.objective[:1] != ("Makespan",) else 1 :]:
        text.append(f"\n  {level_words(level)}")
    rivals = (
        ("keeping jobs at their data", value.baselines.locality_only_seconds),
        ("chasing the fastest devices", value.baselines.compute_only_seconds),
    )
    for words, seconds in rivals:
        if seconds is not None:
            times = seconds / value.makespan_seconds if value.makespan_seconds > 0 else 1.0
            text.append(f"\n  {words}: {format_seconds(seconds)}", style="dim")
            text.append(f" ({times:.2f} x)", style="dim bold")
    if spent := spending(value.footprint):
        text.append(f"\n  {spent}", style="dim")
    if value.solver.status:
        text.append(f"\n  solver: {value.solver.status}", style="dim")
        if value.solver.seconds:
            text.append(f", {value.solver.seconds:.2f} s", style="dim")
    return text


def _makespan(text: Text, value: Decision) -> None:
    text.append("Everything finishes in ", style="bold")
    text.append(format_seconds(value.makespan_seconds), style="bold green")
    gap = value.gap
    if value.bound_kind is BoundKind.NONE or gap is None:
        text.append(f"   no lower bound: {BOUND_WORDS[BoundKind.NONE]}")
    else:
        text.append(f"   no plan can do it under {format_seconds(value.lower_bound_seconds)}")
        text.append(f"   gap {gap:.1%}", style="bold" if gap <= 0.02 else "bold yellow")
        text.append(f"\n  bound: {value.bound_kind.value}, {BOUND_WORDS[value.bound_kind]}", style="dim")


def nothing_placed(value: Decision) -> str:
    """What stands where the makespan would, were there one."""
    return "No job is placed." if value.unplaced else "There is no job to plan."


def spending(value: Footprint) -> str:
    """Cost, energy and carbon of a plan in one line, and what nobody stated; empty where nothing was."""
    parts = []
    if value.cost is not None:
        parts.append(f"cost {value.cost:,.2f}")
    if value.energy_joules is not None:
        parts.append(f"energy {value.energy_joules / 3.6e6:,.4g} kWh")
    if value.carbon_grams is not None:
        parts.append(f"carbon {value.carbon_grams / 1000:,.4g} kg")
    if not parts:
        return ""
    missing = (("price", value.unpriced), ("watts", value.unmetered), ("carbon", value.carbon_unknown))
    unknown = [
        f"{what} of {', '.join(names[:3])}{' …' if len(names) > 3 else ''}" for what, names in missing if names
    ]
    return ", ".join(parts) + (f" (without {'; '.join(unknown)}: not stated)" if unknown else "")


def level_words(level: LevelReport) -> str:
    """A level in its own unit, with its bound if one is proved."""

    def amount(number: float) -> str:
        return format_seconds(number) if level.unit == "s" else f"{number:.6g} {level.unit}"

    if level.bound is None or level.gap is None:
        return f"{level.name}: {amount(level.value)}, no bound proved"
    return f"{level.name}: {amount(level.value)}, no plan can do it under {amount(level.bound)}, gap {level.gap:.1%}"


def _joined(names: Iterable[str]) -> str:
    """Without repetition: those of a job over several sites."""
    return "+".join(dict.fromkeys(names))


def jobs(assignments: tuple[Assignment, ...], *, wide: bool = False) -> Table:
    table = Table(
        title="Jobs", title_justify="left", title_style="bold", pad_edge=False, box=None, padding=(0, 2, 0, 0)
    )
    for name in ("job", "cluster", "pool", "kind", "option"):
        table.add_column(name, no_wrap=True)
    for name in ("devices", "start", "finish"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold" if wide else "ellipsis", no_wrap=not wide)
    for item in sorted(assignments, key=lambda a: (a.start_seconds, a.order, a.job)):
        marks = "" if item.explanation.evidence is Evidence.MEASURED else f" ({item.explanation.evidence.value})"
        table.add_row(
            f"{item.job.namespace}/{item.job.name}",
            _joined(place.cluster for place in item.places),
            _joined(place.pool.partition("/")[2] or place.pool for place in item.places),
            Text(item.device_class, style=CLASS_STYLE.get(item.device_class, "")),
            f"{item.option}{marks}",
            str(sum(place.replicas * place.devices_per_replica for place in item.places)),
            "running" if item.fixed else format_seconds(item.start_seconds),
            format_seconds(item.end_seconds),
            Text(item.explanation.binds, style="dim"),
        )
    return table


def late(item: Assignment) -> Text:
    """A job that will miss its deadline: by how much, and what would help."""
    line = Text("late  ", style="bold yellow")
    line.append(f"{item.job.namespace}/{item.job.name}", style="bold")
    line.append(f"  ends {format_seconds(item.late_seconds)} after its deadline; {item.remedy}".rstrip("; "))
    return line


def services(plans: tuple[ServicePlan, ...]) -> Table:
    table = Table(
        title="Services", title_justify="left", title_style="bold", pad_edge=False, box=None, padding=(0, 2, 0, 0)
    )
    for name in ("service", "cluster", "pool", "kind", "variant"):
        table.add_column(name, no_wrap=True)
    for name in ("replicas", "requests/s"):
        table.add_column(name, justify="right", no_wrap=True)
    for plan in plans:
        name = f"{plan.service.namespace}/{plan.service.name}"
        for serving in plan.replicas:
            load = sum(
                route.requests_per_second
                for route in plan.routes
                if (route.pool, route.variant) == (serving.pool, serving.variant)
            )
            table.add_row(
                name,
                serving.cluster,
                serving.pool.partition("/")[2] or serving.pool,
                Text(serving.device_class, style=CLASS_STYLE.get(serving.device_class, "")),
                serving.variant,
                str(serving.replicas),
                f"{load:.3g}",
            )
        if plan.served_per_second < plan.demanded_per_second * (1 - 1e-9):
            short = f"serves {plan.served_per_second:.3g} of {plan.demanded_per_second:.3g} requests/s"
            table.add_row(name, "", "", "", Text(short, style="bold red"), "", "")
    return table


def transfers(moves: tuple[Transfer, ...]) -> Table:
    table = Table(
        title="Data moved", title_justify="left", title_style="bold", pad_edge=False, box=None, padding=(0, 2, 0, 0)
    )
    table.add_column("data set", no_wrap=True)
    table.add_column("over", no_wrap=True)
    for name in ("size", "rate", "start", "finish"):
        table.add_column(name, justify="right", no_wrap=True)
    for move in sorted(moves, key=lambda t: (t.start_seconds, t.name)):
        name, parts = f"{move.data_set.namespace}/{data_name(move.data_set)}", len(move.flows)
        for k, part in enumerate(move.flows, 1):
            table.add_row(
                name if parts == 1 else f"{name} {k}/{parts}",
                " > ".join(part.links) or f"inside {move.target_site}",
                format_bytes(part.transfer_bytes),
                f"{part.rate_bytes_per_second * 8 / 1e6:.4g} Mbit/s",
                "running" if move.active else format_seconds(move.start_seconds),
                format_seconds(move.end_seconds),
            )
    return table


def prices(value: Decision) -> Table:
    """Shadow prices of the bound: what one more device or 100 Mbit/s more would take off it."""
    table = Table(
        title="What binds (shadow prices of the bound)",
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column("resource", no_wrap=True)
    table.add_column("one more", no_wrap=True)
    table.add_column("bound sooner by", justify="right", no_wrap=True)
    rows: list[tuple[float, str, str]] = []
    for price in value.pool_prices:
        rows.append((-price.makespan_seconds_per_unit, price.name, "device"))
    for price in value.link_prices:
        rows.append((-price.makespan_seconds_per_unit * 1e8, price.name, "100 Mbit/s"))
    for seconds, name, unit in sorted(rows, key=lambda row: (-row[0], row[1]))[:8]:
        if seconds > 0:
            table.add_row(name, unit, format_seconds(seconds))
    return table


def helps(rows: Iterable[tuple[str, float | None, float | None]]) -> Table:
    """What would help: a change, how much sooner, and the finish then."""
    table = Table(
        title="What would help (planned again with each)", title_justify="left", box=None, pad_edge=False,
        padding=(0, 2, 0, 0),
    )  # fmt: skip
    table.add_column("change", no_wrap=True)
    for name in ("sooner by", "finish then"):
        table.add_column(name, justify="right")
    for change, sooner, end in rows:
        gain = "it finds a place" if sooner is None else format_seconds(sooner)
        table.add_row(change, gain, "" if end is None else format_seconds(end))
    return table


def subject(
    item: Assignment | ServicePlan | Unplaced, value: Decision, more: tuple[Help, ...] = ()
) -> Iterator[RenderableType]:
    """`polyhull explain` for whatever was asked about; `more` is what would help one that is not placed."""
    if isinstance(item, Unplaced):
        yield Text(f"{item.job.kind} {item.job.namespace}/{item.job.name} is not placed", style="bold red")
        yield Text(f"{item.reason}: {item.message}")
        if more:
            yield helps((one.change, one.sooner_seconds, one.end_seconds) for one in more)
    elif isinstance(item, ServicePlan):
        yield services((item,))
        yield Text(item.explanation.binds)
    else:
        yield from why(item, transfers_of(item, value.transfers), value.pool_prices)


def why(item: Assignment, moves: tuple[Transfer, ...], pool_prices: tuple[Price, ...]) -> Iterator[RenderableType]:
    """`polyhull explain`: where, why here, what binds, and the next best."""
    reason = item.explanation
    head = Text()
    head.append(f"{item.job.kind} {item.job.namespace}/{item.job.name}\n", style="bold")
    for index, place in enumerate(item.places):
        words = "and" if index else "runs"
        head.append(f"  {words} as {place.option} on {place.replicas} x {place.devices_per_replica} ")
        head.append(f"{place.accelerator} ")
        head.append(f"({place.device_class})", style=CLASS_STYLE.get(place.device_class, ""))
        head.append(f" in pool {place.pool}, cluster {place.cluster}, site {place.site}\n")
    begins = "is running" if item.fixed else f"starts in {format_seconds(item.start_seconds)}"
    head.append(f"  {begins}, finishes in {format_seconds(item.end_seconds)}\n")
    if item.end_p90_seconds is not None:
        head.append(f"  in nine of ten cases in {format_seconds(item.end_p90_seconds)}\n", style="dim")
    head.append(f"  {reason.binds}\n" if reason.binds else "")
    if item.late_seconds > 0.0:
        words = f"  ends {format_seconds(item.late_seconds)} after its deadline; {item.remedy}"
        head.append(f"{words}\n", style="yellow")
    if spent := spending(Footprint(item.use.cost, None, None, item.use.energy_joules, item.use.carbon_grams)):
        egress = item.use.egress_cost
        head.append(f"  {spent}{'' if egress is None else f', and {egress:,.2f} for what it sends over links'}\n")
    if reason.evidence is not Evidence.MEASURED:
        head.append(f"  its rate is {reason.evidence.value}, not measured\n", style="yellow")
    head.rstrip()
    yield head
    split = Table(title="Its seconds", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    seconds = {
        "queue": reason.queue_seconds,
        "transfer": reason.transfer_seconds,
        "start-up": reason.startup_seconds,
        "compute": reason.compute_seconds,
    }
    if reason.exchange_seconds > 0.0:
        seconds["exchange"] = reason.exchange_seconds
    if reason.failure_seconds > 0.0:
        seconds["failure overhead"] = reason.failure_seconds
    for name in seconds:
        split.add_column(name, justify="right")
    split.add_row(*(format_seconds(value) for value in seconds.values()))
    yield split
    if moves:
        yield transfers(moves)
        for move in moves:
            if move.whole_because:
                yield Text(f"  one whole copy: {move.whole_because}", style="dim")
    if reason.alternatives:
        table = Table(title="Next best", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name in ("cluster", "pool", "option", "finishes later by"):
            table.add_column(name, justify="right" if "later" in name else "left")
        for other in reason.alternatives:
            table.add_row(other.cluster, other.pool, other.option, format_seconds(other.later_seconds))
        yield table
    elif not item.fixed:
        yield Text("Next best: no other pool would take it.", style="dim")
    if reason.helps:
        yield helps((one.change, one.sooner_seconds, one.end_seconds) for one in reason.helps)
    elif not item.fixed:
        yield Text("What would help: nothing of what was tried makes it end sooner.", style="dim")
    price = next((p for p in pool_prices if p.name == item.pool and p.makespan_seconds_per_unit < 0), None)
    if price is not None:
        sooner = format_seconds(-price.makespan_seconds_per_unit)
        yield Text(f"One more device in {item.pool} lowers the bound of the whole plan by {sooner}.", style="dim")
