"""How close the printed bound comes to the plan, over seeds: the bound's own figure beside the plan's."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks import instances
from benchmarks.figures import Figure, at_most, report, seconds
from polyhull.controller.prover import Prover
from polyhull.domain.decision import Decision
from polyhull.planning.decide import decide

SEEDS = range(1, 21)
TARGET = 0.94
SMALL = 60
PROVEN_GAP, PROVEN_SECONDS = 1e-4, 10.0


def bound_quality(data: Path | None) -> Iterator[Figure]:
    """Bound over our own plan, a floor of bound over best known: median and least over 20 seeds."""
    sources = instances.load_sources(data)
    for shape in (instances.JOINT_300, instances.PLAN_1000):
        shares = []
        for seed in SEEDS:
            with Prover(limit_seconds=60.0) as prove:
                found = decide(instances.gavel_skyplane(sources, replace(shape, seed=seed)), prove)
            shares.append(found.lower_bound_seconds / found.makespan_seconds)
        what = f"{str(shape).rsplit(', seed', 1)[0]}, seeds 1-20"
        middle = median(shares)
        anchor = "our own plan of the same run, which the best known can only shorten"
        name = f"bound-quality {shape.jobs} jobs: bound over plan, median"
        yield Figure(name, middle, "1", 1.0, anchor, TARGET, middle >= TARGET, what)
        yield report(f"bound-quality {shape.jobs} jobs: bound over plan, least", min(shares), "1", what)


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
    what = f"{str(shape).rsplit(', seed', 1)[0]}, seeds 1-20"
    yield at_most(f"proven-{SMALL}: gap, worst", max(gaps), "1", PROVEN_GAP, what)
    yield at_most(f"proven-{SMALL}: decision with proof, median", median(taken), "s", PROVEN_SECONDS, what)
    yield report(f"proven-{SMALL}: decision with proof, slowest", max(taken), "s", what)
