"""How good executed schedules are: against the best ones known, and how much of those the certified bound covers.

`python -m benchmarks.executed DATA JOBS SEED STEPS` searches for long and prints an entry for best_known.json.
"""

import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import instances
from benchmarks.figures import Figure, SkipBenchmark, at_most, report
from polyhull.optimize.columns import build_columns
from polyhull.planning.canonical import canonical
from polyhull.planning.kernels import NOT_BUILT, library
from polyhull.planning.relaxed import guided
from polyhull.planning.reserve import reserve
from polyhull.planning.search import improve
from polyhull.planning.start import first_schedules, ranked

BEST_KNOWN = Path(__file__).with_name("best_known.json")
"""Makespans of long searches by jobs and seed, each with the steps and minutes it took."""
SHAPES = {300: instances.JOINT_300, 1000: instances.PLAN_1000}
STEPS = {300: 2_000_000, 1000: 1_000_000}
"""About ten seconds of the compiled search on one core."""


@dataclass(frozen=True, slots=True)
class Outcome:
    makespan: float
    lower_bound: float
    search_seconds: float


def searched(sources: instances.Sources, jobs: int, seed: int, steps: int) -> Outcome:
    """The search as `decide` runs it, with another budget."""
    snapshot = canonical(instances.gavel_skyplane(sources, replace(SHAPES[jobs], seed=seed)))
    columns = build_columns(snapshot)
    guide = guided(snapshot, columns)
    instance = reserve(snapshot, columns, guide.services).instance
    start, _ = first_schedules(instance, guide.choice)
    ranking = ranked(instance, guide.choice, guide.ranking)
    began = time.process_time()
    found, _ = improve(instance, start, steps, snapshot.policy.solver.seed, ranking, guide.lower_bound_seconds)
    return Outcome(found.makespan, guide.lower_bound_seconds, time.process_time() - began)


def executed_schedule(data: Path | None) -> Iterator[Figure]:
    """Every instance whose best known makespan is on file: ours over it, the bound over it, and both together."""
    sources = instances.load_sources(data)
    if library() is None:
        raise SkipBenchmark(f"without the compiled kernel ten seconds are no measure: {NOT_BUILT}")
    known = json.loads(BEST_KNOWN.read_text())
    for jobs in SHAPES:
        over, covered, seconds = [], [], []
        for seed, entry in sorted(known[str(jobs)].items(), key=lambda one: int(one[0])):
            found = searched(sources, jobs, int(seed), STEPS[jobs])
            best = min(entry["makespan_seconds"], found.makespan)
            over.append(found.makespan / best - 1.0)
            covered.append(found.lower_bound / best)
            seconds.append(found.search_seconds)
        what = f"{len(over)} seeds of {SHAPES[jobs]}, {STEPS[jobs]} steps, long runs in benchmarks/best_known.json"
        name = f"executed-schedule {jobs} jobs"
        yield at_most(f"{name}: above the best known, median", statistics.median(over), "1", 0.01, what)
        yield at_most(f"{name}: above the best known, worst", max(over), "1", 0.03, what)
        cover = statistics.median(covered)
        yield Figure(
            f"{name}: bound over the best known, median", cover, "1", None, "none", 0.94, cover >= 0.94, what
        )
        product = statistics.median(c / (1.0 + o) for c, o in zip(covered, over, strict=True))
        yield report(f"{name}: bound over ours, median", product, "1", what)
        yield at_most(f"{name}: processor time of the search, median", statistics.median(seconds), "s", 10.0, what)


if __name__ == "__main__":
    began = time.monotonic()
    folder, jobs, seed, steps = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    outcome = searched(instances.load_sources(folder), jobs, seed, steps)
    minutes = round((time.monotonic() - began) / 60.0, 1)
    entry = {"makespan_seconds": outcome.makespan, "steps": steps, "minutes": minutes}
    print(json.dumps({str(jobs): {str(seed): entry}}))
