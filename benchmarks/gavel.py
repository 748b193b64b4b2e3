"""Gavel's two policies (Narayanan et al., OSDI 2020) on jobs drawn as its own sweep of policy run times draws them.

The peer is restated: its rows as its scheduler writes them (policies/policy.py, max_min_fairness.py,
min_total_duration.py of github.com/stanford-futuredata/gavel), in cvxpy, one row per job, vectorised; the makespan
by its bisection, which stops once the ends are within 5 %. Throughputs are the measured ones.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks.figures import Figure, SkipBenchmark, alternately, at_most, report, seconds
from polyhull.optimize.data import Floats
from polyhull.optimize.shares import Shares, makespan_shares, max_min_shares

KINDS = ("v100", "p100", "k80")
ROUNDS = 5
SOURCE = "Gavel's rows restated in cvxpy, one per job, with {solver}, same run"
CLARABEL, HIGHS = "CLARABEL", "HIGHS"


@dataclass(frozen=True, slots=True)
class Jobs:
    """`throughput` [job, kind] steps/s of the whole gang, `gang` devices, `work` steps, `devices` [kind]."""

    throughput: Floats
    gang: Floats
    work: Floats
    devices: Floats


def gavel_makespan(data: Path | None) -> Iterator[Figure]:
    """The last end of 1,024 jobs: Gavel's bisection against one programme, on a roomy and a crowded cluster."""
    table = load(data)
    for each in (850, 128):
        yield from _makespan(drawn(table, 1024, seed=2, devices=each), f"{each} of each of {len(KINDS)} kinds")


def _makespan(jobs: Jobs, cluster: str) -> Iterator[Figure]:
    what = f"1,024 jobs drawn as Gavel's sweep_policy_runtimes.py does, seed 2, {cluster}"
    ours: list[Shares] = []
    theirs: list[Floats] = []

    def exact() -> None:
        ours.append(makespan_shares(jobs.throughput, jobs.work, jobs.gang, jobs.devices))

    took, clarabel, highs = alternately(
        ROUNDS,
        lambda: seconds(exact),
        lambda: seconds(lambda: theirs.append(bisected_makespan(jobs, CLARABEL))),
        lambda: seconds(lambda: bisected_makespan(jobs, HIGHS)),
    )
    fastest = min(clarabel, highs)
    source = SOURCE.format(solver=f"the faster of {CLARABEL} ({clarabel:.3g} s) and {HIGHS} ({highs:.3g} s)")
    times = fastest / took
    yield Figure("gavel-makespan solve, theirs over ours", times, "x", 1.0, source, 1.0, times > 1.0, what)
    yield at_most("gavel-makespan solve", took, "s", fastest, what, fastest, source)
    reached = 1.0 / ours[-1].least
    got = float(np.max(jobs.work / (jobs.throughput * theirs[-1]).sum(axis=1)))
    yield at_most(
        "gavel-makespan makespan", reached, "s", got, what, got, f"reached by the shares {CLARABEL} ended with"
    )
    yield report("gavel-makespan proven gap", ours[-1].bound / ours[-1].least - 1.0, "1", what)


def gavel_max_min(data: Path | None) -> Iterator[Figure]:
    """Max-min of 16,384 jobs, which are 83 kinds of job: one row per job against one row per kind of job."""
    jobs = drawn(load(data), 16_384, seed=2, devices=4_096, every_kind=True)
    values = normalised(jobs)
    what = "16,384 jobs, uniform over the 83 measured (model, batch, gang), 4,096 of each of 3 kinds, seed 2"
    ours: list[Shares] = []
    theirs: list[float] = []
    took, clarabel = alternately(
        3,
        lambda: seconds(lambda: ours.append(max_min_shares(values, jobs.gang, jobs.devices, levels=1))),
        lambda: seconds(lambda: theirs.append(max_min_by_rows(values, jobs.gang, jobs.devices, CLARABEL))),
    )
    source = SOURCE.format(solver=f"{CLARABEL} ({HIGHS}' simplex needs far longer: 103.9 s in the study's run)")
    yield Figure(
        "gavel-max-min solve, theirs over ours",
        clarabel / took,
        "x",
        1.0,
        source,
        50.0,
        clarabel / took >= 50.0,
        what,
    )
    yield at_most("gavel-max-min solve", took, "s", 0.02, what, clarabel, source)
    apart = abs(ours[-1].least / theirs[-1] - 1.0)
    yield at_most("gavel-max-min optimum, relative difference", apart, "1", 1e-6, what, theirs[-1], "their optimum")
    yield report("gavel-max-min proven gap", ours[-1].bound / ours[-1].least - 1.0, "1", what)
    yield report("gavel-max-min rows for all jobs", float(ours[-1].classes), "classes", what)
    (whole,) = alternately(3, lambda: seconds(lambda: max_min_shares(values, jobs.gang, jobs.devices)))
    yield report("gavel-max-min all levels (lexicographic)", whole, "s", what)


def drawn(table: Any, count: int, seed: int, devices: int, every_kind: bool = False) -> Jobs:
    """Jobs as `_generate_job` of Gavel's sweep draws them: a model, 10^2 to 10^4 minutes on a V100, Philly's gangs.

    `every_kind`: uniform over all measured (model, gang) instead.
    """
    dice = Random(seed)
    rows = {_kind(name): [float(table[kind][name]["null"]) for kind in KINDS] for name in sorted(table[KINDS[0]])}
    rows = {key: rates for key, rates in rows.items() if max(rates) > 0.0}
    pairs = sorted(rows)
    models = sorted({model for model, _ in pairs})
    picked: list[tuple[str, int]] = []
    work: list[float] = []
    for _ in range(count):
        if every_kind:
            key = dice.choice(pairs)
        else:
            model, chance = dice.choice(models), dice.random()
            gang = 1 if chance < 0.8 else 2 if chance <= 0.85 else 4 if chance <= 0.95 else 8
            key = (model, gang) if (model, gang) in rows else (model, 1)
        picked.append(key)
        work.append(60.0 * 10.0 ** dice.uniform(2.0, 4.0) * rows[key][0])
    gangs = np.array([float(gang) for _, gang in picked])
    return Jobs(np.array([rows[key] for key in picked]), gangs, np.array(work), np.full(len(KINDS), float(devices)))


def normalised(jobs: Jobs) -> Floats:
    """Gavel's objective: throughput x gang over what a share proportional to the devices of each kind would give."""
    share = jobs.devices / jobs.devices.sum()
    values: Floats = jobs.throughput * jobs.gang[:, None] / (jobs.throughput @ share)[:, None]
    return values


def max_min_by_rows(values: Floats, gang: Floats, devices: Floats, solver: str) -> float:
    """max_min_fairness.py of Gavel, restated: the objective's value."""
    import cvxpy as cp

    x = cp.Variable(values.shape)
    least = cp.min(cp.sum(cp.multiply(values, x), axis=1))
    problem = cp.Problem(cp.Maximize(least), _base(cp, x, gang, devices))
    problem.solve(solver=solver)
    return float(problem.value)


def bisected_makespan(jobs: Jobs, solver: str) -> Floats:
    """min_total_duration.py of Gavel, restated: the shares [job, kind] of the last feasible T."""
    import cvxpy as cp

    most, least, top = 1e6, 100.0, 1e6
    found: Floats | None = None
    while found is None:
        while 1.05 * least < most:
            middle = (least + most) / 2.0
            x = cp.Variable(jobs.throughput.shape)
            enough = cp.sum(cp.multiply(jobs.throughput, x), axis=1) >= jobs.work / middle
            problem = cp.Problem(cp.Maximize(1), [*_base(cp, x, jobs.gang, jobs.devices), enough])
            problem.solve(solver=solver)
            if problem.status == "optimal":
                found, most = np.clip(x.value, 0.0, 1.0), middle
            else:
                least = middle
        most, least, top = top * 10.0, top, top * 10.0
    return found


def _base(cp: Any, x: Any, gang: Floats, devices: Floats) -> list[Any]:
    wide = np.repeat(gang[:, None], x.shape[1], axis=1)
    return [x >= 0, cp.sum(cp.multiply(wide, x), axis=0) <= devices, cp.sum(x, axis=1) <= 1]


def load(data: Path | None) -> Any:
    """The throughput table. Raises SkipBenchmark with where to get it."""
    if data is None or not (data / "gavel" / "simulation_throughputs.json").is_file():
        raise SkipBenchmark(
            "needs gavel/simulation_throughputs.json (scheduler/ of github.com/stanford-futuredata/gavel @ c4fa400) "
            f"in --data DIR; looked in {data}"
        )
    return _read(data / "gavel" / "simulation_throughputs.json")


@cache
def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def _kind(name: str) -> tuple[str, int]:
    """`('ResNet-18 (batch size 16)', 4)` as a pair."""
    model, _, gang = name[1:-1].rpartition(", ")
    return model[1:-1], int(gang)
