"""How close the printed bound comes to the plan and to the best schedules known, over seeds."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks import instances
from benchmarks.executed import BEST_KNOWN, SEEDS, SHAPES
from benchmarks.figures import Figure, at_most, report, seconds
from polyhull.controller.prover import Prover
from polyhull.domain.decision import Decision
from polyhull.planning.decide import decide

TARGET = 0.94
SMALL = 60
PROVEN_GAP, PROVEN_SECONDS = 1e-4, 10.0


def bound_quality(data: Path | None) -> Iterator[Figure]:
    """The bound that `decide` prints, proof included, over the best known makespan and over its own plan's."""
    sources = instances.load_sources(data)
    known = json.loads(BEST_KNOWN.read_text())
    for jobs, shape in SHAPES.items():
        over_plan, over_best, taken = [], [], []
        for seed in SEEDS:
            snapshot = instances.gavel_skyplane(sources, replace(shape, seed=seed))
            began = time.process_time()
            with Prover(limit_seconds=60.0) as prove:
                found = decide(snapshot, prove)
            taken.append(time.process_time() - began)
            entry = known.get(str(jobs), {}).get(str(seed))
            best = min(found.makespan_seconds, entry["makespan_seconds"] if entry else found.makespan_seconds)
            over_plan.append(found.lower_bound_seconds / found.makespan_seconds)
            over_best.append(found.lower_bound_seconds / best)
        what = f"{str(shape).rsplit(', seed', 1)[0]}, seeds {SEEDS[0]}-{SEEDS[-1]}"
        name = f"bound-quality {jobs} jobs"
        middle = median(over_best)
        anchor = "the best known: on file in benchmarks/best_known.json, or this plan"
        yield Figure(
            f"{name}: bound over the best known, median", middle, "1", 1.0, anchor, TARGET, middle >= TARGET, what
        )
        yield report(f"{name}: bound over the best known, least", min(over_best), "1", what)
        yield report(f"{name}: bound over the plan, median", median(over_plan), "1", what)
        yield report(f"{name}: bound over the plan, least", min(over_plan), "1", what)
        yield at_most(
            f"{name}: processor time of the decision (CP-SAT's apart), median", median(taken), "s", 30.0, what
        )


def proven_60(data: Path | None) -> Iterator[Figure]:
    """Sixty jobs: whether plan and bound meet, and how soon, over 20 seeds."""
    sources = instances.load_sources(data)
    shape = replace(instances.JOINT_300, jobs=SMALL)
    found: list[Decision] = []
    taken = []
    for seed in SEEDS:
        with Prover(limit_seconds=60.0) as prove:
            prove.start()
            case = instances.gavel_skyplane(sources, replace(shape, seed=seed))
            taken.append(seconds(lambda case=case, prove=prove: found.append(decide(case, prove))))  # type: ignore[misc]
    gaps = [one.makespan_seconds / one.lower_bound_seconds - 1.0 for one in found]
    what = f"{str(shape).rsplit(', seed', 1)[0]}, seeds {SEEDS[0]}-{SEEDS[-1]}"
    yield at_most(f"proven-{SMALL}: gap, worst", max(gaps), "1", PROVEN_GAP, what)
    yield at_most(f"proven-{SMALL}: decision with proof, median", median(taken), "s", PROVEN_SECONDS, what)
    yield report(f"proven-{SMALL}: decision with proof, slowest", max(taken), "s", what)
