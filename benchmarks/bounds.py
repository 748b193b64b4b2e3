"""How close the printed bound comes to the plan, over seeds: the bound's own figure beside the plan's."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks import instances
from benchmarks.figures import Figure, report
from polyhull.controller.prover import Prover
from polyhull.planning.decide import decide

SEEDS = range(1, 21)
TARGET = 0.94


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
