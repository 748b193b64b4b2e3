"""`python -m benchmarks NAME... [--data DIR] [--quick]`: one JSON line per figure on standard output; `all` runs
everything, `--only 'plan-*'` a part of it.

The first line is the machine. Progress and a summary go to standard error. Each benchmark has a process of its own;
when the command is told to stop (Ctrl-C, SIGTERM), so is that, and what it started.

Exit code 0: every figure was printed or skipped with a reason; 1: a benchmark failed (a line says so in place of its
figures) or one of the figures in targets.py is missing; 130, 143: stopped. A figure that does not hold is no failure:
its line says so.
"""

import argparse
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks import bounds, dtfm, executed, gavel, helix, large, live, melange, planning, roofline, stream
from benchmarks.figures import QUICK, Figure, SkipBenchmark
from benchmarks.run import SKIPPED, Run, failure
from benchmarks.targets import unmet

Benchmark = Callable[[Path | None], Iterator[Figure]]

BENCHMARKS: Mapping[str, Benchmark] = {
    "example-plan": planning.example_plan,
    "plan-1000": planning.plan_1000,
    "plan-10000": planning.plan_10000,
    "joint-vs-baselines": planning.joint_vs_baselines,
    "executed-schedule": executed.executed_schedule,
    "bound-quality": bounds.bound_quality,
    "proven-60": bounds.proven_60,
    "roofline": roofline.roofline,
    "gavel-makespan": gavel.gavel_makespan,
    "gavel-max-min": gavel.gavel_max_min,
    "melange": melange.melange,
    "helix": helix.helix,
    "dtfm": dtfm.dtfm,
    "large-programme": large.large_programme,
    "fleet-100k": large.fleet_100k,
    "replan": large.replan,
    "arrival-decision": large.arrival_decision,
    "cost-growth": large.cost_growth,
    "stability": stream.stability,
    "arrival-latency": live.arrival,
    "requests-per-placement": live.arrival,  # one run measures all three
    "sustained": live.arrival,
    "steady-state": live.steady_state,
}
"""A new benchmark is one function and one entry here."""


LIMIT_SECONDS = 1800.0


def main(arguments: list[str] | None = None, benchmarks: Mapping[str, Benchmark] = BENCHMARKS) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*benchmarks, "all"], metavar="NAME", help=", ".join(benchmarks))
    parser.add_argument("--data", type=Path, help="folder with gavel/, skyplane/, azure/, ...")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="of those named, the ones like this: 'plan-*'")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run of minutes: fewer seeds, smaller; no record"
    )
    parser.add_argument("--limit", type=float, default=LIMIT_SECONDS, metavar="SECONDS", help="for each benchmark")
    parser.add_argument("--here", action="store_true", help="in this process, as the command starts each")
    options = parser.parse_args(arguments)
    asked = [name for name in (benchmarks if "all" in options.names else options.names)
             if fnmatchcase(name, options.only)]  # fmt: skip
    if not asked:
        parser.error(f"--only {options.only}: none of {', '.join(benchmarks)} is like this")
    names = list({benchmarks[name]: name for name in asked}.values())
    if options.here:
        return _here(names, options.data, benchmarks)
    if options.quick:
        os.environ[QUICK] = "1"
    command = [sys.executable, "-m", "benchmarks", "--here"]
    run = Run(command if options.data is None else [*command, "--data", str(options.data)], options.limit)
    code = run.all(names)
    skipped = {benchmarks[name] for name in run.tally.skipped}
    ran = [name for name in asked if benchmarks[name] not in skipped]
    missing = unmet(ran, {one["figure"] for one in run.tally.figures}) if code in (0, 1) else []
    for target in missing:
        print(f"without a figure: {target}", file=sys.stderr)
    return 1 if missing else code


def _here(names: Sequence[str], data: Path | None, benchmarks: Mapping[str, Benchmark]) -> int:
    """The lines of these; told to end by SIGTERM, they clean up behind them. Exit code: 0, 1 or SKIPPED."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    code = 0
    for name in names:
        try:
            with contextlib.closing(benchmarks[name](data)) as figures:  # type: ignore[type-var]
                for figure in figures:
                    print(figure.line(), flush=True)
        except SkipBenchmark as reason:
            print(f"{name}: skipped: {reason}", file=sys.stderr, flush=True)
            code = code or SKIPPED
        except Exception as error:  # the others still run
            traceback.print_exc()
            print(failure(name, f"{type(error).__name__}: {error}"), flush=True)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
