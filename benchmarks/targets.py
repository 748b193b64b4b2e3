"""What this project set itself, row by row, and which figures of the benchmarks show whether it is reached."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """`aim` in words with its anchor; `figures` are whole names, printed by `benchmark`."""

    what: str
    aim: str
    benchmark: str
    figures: tuple[str, ...]


def _executed(jobs: int) -> Iterator[Target]:
    what, name = f"Executed schedules, {jobs:,} jobs, 20 seeds", f"executed-schedule {jobs} jobs"
    yield Target(
        what,
        "at most 1 % (median) and 3 % (worst) above the best known, in 10 s",
        "executed-schedule",
        tuple(
            f"{name}: {rest}"
            for rest in (
                "above the best known, median",
                "above the best known, worst",
                "bound over ours, median",
                "seeds where ten times the steps are worse",
                "processor time of the search, median",
            )
        ),
    )
    yield Target(
        what,
        "a bound of at least 94 % of the best known (median), in 30 s",
        "bound-quality",
        tuple(
            f"bound-quality {jobs} jobs: {rest}"
            for rest in (
                "bound over the best known, median",
                "processor time of the decision (CP-SAT's apart), median",
            )
        ),
    )


def _large(columns: str, times: int) -> Target:
    name = f"large-programme {columns} columns"
    return Target(
        f"Joint programme, {columns} columns",
        f"{times} times faster than HiGHS's fastest method at the same certified gap, at most 1 %",
        "large-programme",
        (f"{name}: fastest HiGHS method at our gap over ours", f"{name}: certified gap of ours"),
    )


TARGETS = (
    Target(
        "Joint plan against its rivals, 300 jobs, 20 seeds, Gavel x Skyplane",
        "2 times better than each, executed",
        "joint-vs-baselines",
        tuple(
            f"joint plan, executed: {rival} over it, median"
            for rival in (
                "locality-only",
                "compute-only",
                "compute placed as if links were unbounded",
                "SkyPilot's link model (10 Gbit/s everywhere)",
            )
        ),
    ),
    *_executed(300),
    *_executed(1_000),
    Target(
        "Up to 60 jobs",
        "proven optimal in seconds",
        "proven-60",
        ("proven-60: gap, worst", "proven-60: decision with proof, median"),
    ),
    Target(
        "Gavel's makespan policy, 1,024 jobs",
        "exact (597,000 s), faster than its bisection (606,000 s)",
        "gavel-makespan",
        ("gavel-makespan solve, theirs over ours", "gavel-makespan makespan"),
    ),
    Target(
        "Gavel's max-min policy, 16,384 jobs",
        "at most 0.02 s, the same optimum to six digits",
        "gavel-max-min",
        ("gavel-max-min solve", "gavel-max-min optimum, relative difference"),
    ),
    Target(
        "Melange's choice of instances, Azure conversations",
        "the same cost or less, 100 times faster",
        "melange",
        ("melange choice, theirs over ours", "melange cost"),
    ),
    Target(
        "Helix's layer placement, by Helix's own .lp",
        "286.587, 1,754 and 5,441 tokens/s, in 0.1 s",
        "helix",
        ("helix tokens/s by Helix's own .lp", "helix placement"),
    ),
    Target(
        "DT-FM's three wide-area cases",
        "16.087, 34.802 and 49.218 s or less, found in 0.02 s",
        "dtfm",
        ("dtfm communication per iteration", "dtfm placement"),
    ),
    _large("101,049", 10),
    _large("1,004,540", 30),
    Target("... its memory", "at most 2 GB", "large-programme", ("large-programme peak memory of a process",)),
    Target(
        "100,480 servers",
        "a certified gap of at most 1 %, in seconds",
        "fleet-100k",
        ("fleet-100k certified gap", "fleet-100k certified gap in whole jobs", "fleet-100k seconds to it"),
    ),
    Target(
        "A plan after one event, 1,004,540 columns",
        "at most 200 ms, at most 100 jobs moved",
        "replan",
        (
            "replan after one arrival, worst of 20",
            "replan after one finish, worst of 20",
            "replan after one node lost, worst of 20",
            "replan: jobs moved for one lost node, most",
        ),
    ),
    Target(
        "A decision for one arrival between solves",
        "p99 at most 10 ms (Karmada 32 ms on its own machine)",
        "arrival-decision",
        (
            "arrival-decision by prices, p99",
            "arrival-decision in the live plan, 300 waiting jobs, p99",
            "arrival-decision in the live plan, 1000 waiting jobs, p99",
        ),
    ),
    Target(
        "Created object to bound pods, sustained",
        "at least 0.8 of the same Jobs created directly",
        "sustained",
        ("created to bound, sustained, ours over direct",),
    ),
    Target(
        "API requests from creation to Placed",
        "at most 4 on the hub, 1 in the member",
        "requests-per-placement",
        ("requests-per-placement hub", "requests-per-placement member"),
    ),
    Target(
        "Ten thousand objects, nothing changes",
        "no writes beside the Lease",
        "steady-state",
        ("steady-state writes per minute",),
    ),
    Target(
        "Memory of the operator, 10,000 objects, 1,000 nodes",
        "at most 300 MB beside the solver's worker",
        "steady-state",
        ("steady-state memory of the operator beside its workers",),
    ),
)


def unmet(ran: Collection[str], printed: Collection[str]) -> list[str]:
    """The targets of benchmarks that `ran` to which a figure is missing among those `printed`, with its name."""
    return [
        f"{target.what}: {figure}"
        for target in TARGETS
        if target.benchmark in ran
        for figure in target.figures
        if figure not in printed
    ]


def table() -> str:
    """The rows as Markdown, for docs/how-to/run-the-benchmarks.md."""
    rows = ["| what | aimed at | `make bench ONLY=` | figures |", "|---|---|---|---|"]
    for target in TARGETS:
        rows.append(f"| {target.what} | {target.aim} | {target.benchmark} | {'<br>'.join(target.figures)} |")
    return "\n".join(rows) + "\n"
