"""How good executed schedules are: against the best ones known, and how much of those the certified bound covers.

`python -m benchmarks.executed DATA JOBS SEED STEPS` searches for long and keeps what it finds in best_known.json if
it is better than what stands there. Seeds 1 to 20 of both sizes are run, each with a tenth of the steps as well.
"""

import base64
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import instances
from benchmarks.figures import Figure, SkipBenchmark, at_most, effort, report
from polyhull.optimize.build import build_columns
from polyhull.planning.canonical import canonical
from polyhull.planning.instance import Instance
from polyhull.planning.kernels import NOT_BUILT, library
from polyhull.planning.relaxed import Guide, guided
from polyhull.planning.reserve import reserve
from polyhull.planning.runner import runner
from polyhull.planning.schedule import Schedule
from polyhull.planning.search import improve
from polyhull.planning.start import first_schedules, ranked

BEST_KNOWN = Path(__file__).with_name("best_known.json")
"""By jobs and seed: a makespan, the steps and processor minutes it took, and the schedule: order and columns."""
SHAPES = {300: instances.JOINT_300, 1000: instances.PLAN_1000}
SEEDS = range(1, 1 + effort(20, 1))
STEPS = {300: effort(500_000, 5_000), 1000: effort(1_000_000, 5_000)}
"""Ten seconds of the compiled search on one core are at least as many."""
FEWER = 10
"""The same search with so many times fewer steps: more must never be worse."""
EQUAL = 1e-9

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """An instance as `decide` searches it."""

    instance: Instance
    guide: Guide

    def search(self, steps: int) -> Schedule:
        limits = self.instance.snapshot.policy.solver
        start, _ = first_schedules(self.instance, self.guide.choice)
        ranking = ranked(self.instance, self.guide.choice, self.guide.ranking)
        return improve(self.instance, start, steps, limits.seed, ranking, self.guide.lower_bound_seconds)[0]


@dataclass(frozen=True, slots=True)
class Outcome:
    makespan: float
    with_fewer: float
    best: float
    """The best known: on file, or this one."""
    lower_bound: float
    search_seconds: float
    as_recorded: bool
    """The schedule on file takes as long as the file says."""


def case_of(sources: instances.Sources, jobs: int, seed: int) -> Case:
    snapshot = canonical(instances.gavel_skyplane(sources, replace(SHAPES[jobs], seed=seed)))
    columns = build_columns(snapshot)
    guide = guided(snapshot, columns)
    return Case(reserve(snapshot, columns, guide.services).instance, guide)


def entry_of(schedule: Schedule, steps: int, minutes: float) -> dict[str, Any]:
    """A schedule in a few bytes per job: who comes when (16 bits), and the column each takes (8 bits; 255: none)."""
    columns = [255 if slot is None else slot.choice for slot in schedule.slots]
    return {
        "makespan_seconds": schedule.makespan,
        "steps": steps,
        "minutes": minutes,
        "order": base64.b64encode(np.array(schedule.order, dtype="<u2").tobytes()).decode(),
        "columns": base64.b64encode(np.array(columns, dtype="u1").tobytes()).decode(),
    }


def simulated(instance: Instance, entry: Entry) -> Schedule:
    """What is on file, through the simulation that every plan goes through. Raises ValueError if not of this."""
    order = np.frombuffer(base64.b64decode(entry["order"]), dtype="<u2").tolist()
    columns = np.frombuffer(base64.b64decode(entry["columns"]), dtype="u1").tolist()
    rows = zip(columns, instance.choices, strict=False)
    if sorted(order) != list(range(len(instance.jobs))) or len(columns) != len(order):
        raise ValueError("the schedule on file is of other jobs; search again: python -m benchmarks.executed")
    if any(column >= len(options) for column, options in rows if column < 255):
        raise ValueError("the schedule on file names columns that are not there; search again")
    return runner(instance)(order, [None if column == 255 else column for column in columns])


def measured(case: Case, jobs: int, entry: Entry | None) -> Outcome:
    fewer = case.search(STEPS[jobs] // FEWER)
    began = time.process_time()
    found = case.search(STEPS[jobs])
    took = time.process_time() - began
    on_file = simulated(case.instance, entry) if entry is not None else found
    said = entry["makespan_seconds"] if entry is not None else found.makespan
    same = abs(on_file.makespan / said - 1.0) <= EQUAL
    best = min(found.makespan, on_file.makespan)
    return Outcome(found.makespan, fewer.makespan, best, case.guide.lower_bound_seconds, took, same)


def executed_schedule(data: Path | None) -> Iterator[Figure]:
    """Ours over the best known, the bound over that, and both together."""
    sources = instances.load_sources(data)
    if library() is None:
        raise SkipBenchmark(f"without the compiled kernel ten seconds are no measure: {NOT_BUILT}")
    known = json.loads(BEST_KNOWN.read_text())
    for jobs in SHAPES:
        on_file = known.get(str(jobs), {})
        found = [measured(case_of(sources, jobs, seed), jobs, on_file.get(str(seed))) for seed in SEEDS]
        yield from _figures(jobs, found, on_file)


def _figures(jobs: int, found: list[Outcome], on_file: Mapping[str, Entry]) -> Iterator[Figure]:
    minutes = [entry["minutes"] for entry in on_file.values()] or [0.0]
    shape = str(SHAPES[jobs]).rsplit(", seed", 1)[0]
    what = (
        f"{len(found)} seeds of {shape}, {STEPS[jobs]} steps; best known: {len(on_file)} schedules on file, of "
        f"{min(minutes):g} to {max(minutes):g} processor minutes"
    )
    name = f"executed-schedule {jobs} jobs"
    over = [one.makespan / one.best - 1.0 for one in found]
    yield at_most(f"{name}: above the best known, median", statistics.median(over), "1", 0.01, what)
    yield at_most(f"{name}: above the best known, worst", max(over), "1", 0.03, what)
    optimum = [one.makespan / one.lower_bound - 1.0 for one in found]
    proved = sum(gap <= 0.01 for gap in optimum)
    yield report(
        f"{name}: above the optimum at most (plan over bound), median", statistics.median(optimum), "1", what
    )
    yield report(f"{name}: above the optimum at most, worst", max(optimum), "1", what)
    yield report(f"{name}: seeds where the bound proves at most 1 % above the optimum", proved, "seeds", what)
    cover = statistics.median(one.lower_bound / one.best for one in found)
    yield Figure(f"{name}: bound over the best known, median", cover, "1", None, "none", 0.94, cover >= 0.94, what)
    product = statistics.median(one.lower_bound / one.makespan for one in found)
    yield report(f"{name}: bound over ours, median", product, "1", what)
    worse = sum(one.makespan > one.with_fewer * (1.0 + EQUAL) for one in found)
    yield at_most(f"{name}: seeds where ten times the steps are worse", worse, "seeds", 0, what)
    saved = statistics.median(1.0 - one.makespan / one.with_fewer for one in found)
    yield report(f"{name}: what ten times the steps save of the makespan, median", saved, "1", what)
    strange = sum(not one.as_recorded for one in found)
    yield at_most(f"{name}: schedules on file that take other times than the file says", strange, "seeds", 0, what)
    seconds = statistics.median(one.search_seconds for one in found)
    yield at_most(f"{name}: processor time of the search, median", seconds, "s", 10.0, what)


def keep(jobs: int, seed: int, entry: Entry, file: Path = BEST_KNOWN) -> bool:
    """Into the file if it is better than what is there; whether it was."""
    known = json.loads(file.read_text())
    there = known.setdefault(str(jobs), {}).get(str(seed))
    if there is not None and there["makespan_seconds"] <= entry["makespan_seconds"]:
        return False
    known[str(jobs)][str(seed)] = dict(entry)
    ordered = {size: dict(sorted(seeds.items(), key=lambda one: int(one[0]))) for size, seeds in known.items()}
    file.write_text(json.dumps(ordered, indent=1) + "\n")
    return True


if __name__ == "__main__":
    folder, jobs, seed, steps = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    schedule = case_of(instances.load_sources(folder), jobs, seed).search(steps)
    entry = entry_of(schedule, steps, max(0.1, round(time.process_time() / 60.0, 1)))
    better = keep(jobs, seed, entry)
    print(f"{jobs} jobs, seed {seed}: {schedule.makespan:.3f} s, {'kept' if better else 'the file knows better'}")
