"""`python -m benchmarks NAME... [--data DIR]`: one JSON line per figure on standard output; `all` runs everything.

The first line is the machine; how long each benchmark took goes to standard error.

Exit code 0: every figure was printed or skipped with a reason; 1: a benchmark failed. A figure that does not hold
is no failure: its line says so.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import bounds, dtfm, executed, gavel, helix, large, live, melange, planning, roofline, stream
from benchmarks.figures import Figure, SkipBenchmark, machine

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


def main(arguments: list[str] | None = None, benchmarks: Mapping[str, Benchmark] = BENCHMARKS) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*benchmarks, "all"], metavar="NAME", help=", ".join(benchmarks))
    parser.add_argument("--data", type=Path, help="folder with gavel/ and skyplane/")
    options = parser.parse_args(arguments)
    asked = list(benchmarks) if "all" in options.names else options.names
    names = list({benchmarks[name]: name for name in asked}.values())
    failed = False
    print(machine().line(), flush=True)
    for name in names:
        began = time.monotonic()
        try:
            for figure in benchmarks[name](options.data):
                print(figure.line(), flush=True)
        except SkipBenchmark as reason:
            print(f"{name}: skipped: {reason}", file=sys.stderr, flush=True)
        except Exception as error:  # the others still run
            failed = True
            print(f"{name}: failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
