"""Fleets of up to ten million columns: joint programmes by prices against HiGHS, events between solves, growth.

Ours stops at a certified gap of 1 %. HiGHS's methods are stopped where they can be: interior point and PDLP by their
tolerances of 1e-2 (what their own duals prove then is printed); simplex runs to the optimum. A method that needs more
than the limit counts with the limit, so the ratio is then a lower bound. HiGHS's clock runs in `run()` alone; ours
from the arrays to the answer.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import highspy
import numpy as np

from benchmarks import fleets
from benchmarks.arrivals import arrival_live
from benchmarks.figures import Figure, SkipBenchmark, at_most, effort, percentile, report, seconds
from benchmarks.fleets import FleetShape, Linear
from polyhull.optimize.large.kernel import Descent, library
from polyhull.optimize.large.plan import Job, Plan, rounded
from polyhull.optimize.large.problem import LargeProblem
from polyhull.optimize.large.solve import Answer, even_prices, fill, improve, solve

GAP = 0.01
LEAST_LIMIT_SECONDS, FIRST_LIMIT_SECONDS = effort(30, 1), effort(240, 1)
"""A method may take half again what the target allows it, and at least so long; the first one so long in any case:
the study's interior point needed 167 s for the million columns."""
REPEATED_BELOW_SECONDS = 10.0
"""What takes longer is measured once: noise of a second no longer matters there."""
METHODS: dict[str, dict[str, Any]] = {
    "interior point, 1e-2, no crossover": {"solver": "ipm", "run_crossover": "off", "ipm_optimality_tolerance": 1e-2},
    "PDLP, 1e-2": {"solver": "pdlp", "kkt_tolerance": 1e-2},
    "interior point with crossover": {"solver": "ipm"},
    "simplex to the optimum": {"solver": "simplex"},
}
"""The fastest wherever one ended comes first: once one has ended at our gap, the others get no longer."""
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "cost-growth.svg"


@dataclass(frozen=True, slots=True)
class Run:
    seconds: float
    status: str
    gap: float
    """Of its own solution: objective over what its duals prove; infinite where it has none."""
    limit: float

    @property
    def reached(self) -> bool:
        return self.gap <= GAP

    @property
    def stopped(self) -> bool:
        return self.seconds >= self.limit

    def __str__(self) -> str:
        if self.stopped and not self.reached:
            return f"stopped by its limit, no gap of {GAP:g} yet"
        return f"{self.status}, gap by its own duals {self.gap:.3g}"


def highs(problem: LargeProblem, written: Linear, options: dict[str, Any], limit: float) -> Run:
    solver: Any = highspy.Highs()
    for name, value in {"output_flag": False, "threads": 1, "time_limit": limit, **options}.items():
        solver.setOptionValue(name, value)
    lp: Any = highspy.HighsLp()
    matrix = written.matrix
    lp.num_col_, lp.num_row_ = matrix.shape[1], matrix.shape[0]
    lp.col_cost_, lp.row_lower_, lp.row_upper_ = written.cost, written.lower, written.upper
    lp.col_lower_, lp.col_upper_ = np.zeros(matrix.shape[1]), np.full(matrix.shape[1], highspy.kHighsInf)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
    solver.passModel(lp)
    taken = seconds(solver.run)
    duals = np.array(solver.getSolution().row_dual)
    first = problem.classes
    gap = np.inf
    if len(duals):
        prices = np.maximum(-duals[first : first + len(problem.room)], 0.0) / problem.room
        proved = problem.load_at_least(prices) / 3600.0
        primal = solver.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        objective = solver.getInfo().objective_function_value
        gap = objective / proved - 1.0 if proved > 0.0 and (primal or objective >= proved) else np.inf
    return Run(taken, str(solver.modelStatusToString(solver.getModelStatus())), float(gap), limit)


def compiled() -> Any:
    found = library()
    if found is None:
        raise SkipBenchmark("the descent is not built: python hatch_build.py (needs a C compiler)")
    return found


def large_programme(data: Path | None) -> Iterator[Figure]:
    """101,049 and 1,004,540 columns: seconds to 1 % certified, against the fastest of HiGHS's methods."""
    for shape, target in ((fleets.MEDIUM, 10.0), (fleets.LARGE, 30.0)):
        yield from _against_highs(shape, target, dict(list(METHODS.items())[: effort(len(METHODS), 1)]))
    said = json.loads(_child(fleets.LARGE))
    yield at_most("large-programme peak memory of a process", said["bytes"] / 1e9, "GB", 2.0, str(fleets.LARGE))


def _against_highs(shape: FleetShape, target: float, methods: dict[str, dict[str, Any]]) -> Iterator[Figure]:
    """Ours before and after every method of HiGHS. About ten minutes for a million columns, three for 10^5."""
    problem = fleets.draw(shape)
    found: list[Answer] = []
    ours = [seconds(lambda: found.append(solve(problem, compiled(), GAP))) for _ in range(2)]
    written, rivals = fleets.linear(problem), dict[str, Run]()
    size = f"large-programme {shape.columns:,} columns"
    for name, options in methods.items():
        limit = max(LEAST_LIMIT_SECONDS, 1.5 * target * max(ours), 0.0 if rivals else FIRST_LIMIT_SECONDS)
        limit = min([limit, *(run.seconds for run in rivals.values() if run.reached)])
        run = rivals[name] = highs(problem, written, options, limit)
        ours += [seconds(lambda: found.append(solve(problem, compiled(), GAP))) for _ in range(2)]
        least = "at least " if run.stopped and not run.reached else ""
        yield report(f"{size}: HiGHS {name}", run.seconds, "s", f"{least}so long: {run}; {shape}")
    mine, answer = float(np.median(ours)), found[-1]
    ratio, against = beaten(mine, rivals)
    source = f"HiGHS {highspy.Highs().version()}, {against}; {ratio * mine:.4g} s"
    name = f"{size}: fastest HiGHS method at our gap over ours"
    yield Figure(name, ratio, "x", 1.0, source, target, ratio >= target, str(shape))
    yield report(f"{size}: ours", mine, "s", f"{shape}; {answer.passes} passes")
    yield at_most(f"{size}: certified gap of ours", answer.gap, "1", GAP, str(shape))
    whole = rounded(*_solved(problem))
    yield report(f"{size}: certified gap in whole jobs", whole.top / answer.lower - 1.0, "1", str(shape))


def beaten(mine: float, rivals: Mapping[str, Run]) -> tuple[float, str]:
    """(how many times our seconds the fastest at our gap took, which that is); at least so many if all were stopped.

    A method that ended by itself without our gap is no rival at equal gap; one that was stopped may have needed
    any time from its limit on.
    """
    there = {name: run.seconds for name, run in rivals.items() if run.reached}
    if there:
        fastest = min(there, key=lambda name: there[name])
        return there[fastest] / mine, fastest
    stopped = [run.seconds for run in rivals.values() if run.stopped]
    if not stopped:
        return 0.0, "none reached our gap, none was stopped: nothing to compare with"
    return min(stopped) / mine, "at least: every method was stopped before it had our gap"


def _solved(problem: LargeProblem) -> tuple[Descent, Answer]:
    descent = Descent(problem, compiled())
    return descent, improve(descent, GAP, fill(descent, even_prices(problem)))


def _child(shape: FleetShape) -> str:
    command = [sys.executable, "-m", "benchmarks.large", *(str(getattr(shape, name)) for name in _ARGUMENTS)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=True).stdout


_ARGUMENTS = ("classes", "pools", "sites", "columns", "most_bytes")


def fleet_100k(data: Path | None) -> Iterator[Figure]:
    """100,480 servers, three million jobs: seconds to 1 %, fractional and in whole jobs."""
    file = data / "dede" / "cluster_spec.json" if data is not None else None
    if file is None or not file.is_file():
        raise SkipBenchmark(
            f"needs dede/cluster_spec.json (github.com/illinois-nsai/dede @ bbda485) in --data DIR; looked for {file}"
        )
    mix = tuple(int(count) for count in json.loads(file.read_text()).values())
    shape = FleetShape(10_000, 200, 30, 1_004_540, 0.08e12, most_jobs=600, servers=100_480, mix=mix)
    problem = fleets.draw(shape)
    what = (
        f"100,480 servers (their number: CvxCluster's abstract; mix of ten kinds: DeDe's cluster_spec.json; 8 "
        f"devices each and everything else assumed), {int(problem.jobs.sum()):,} jobs; {shape}"
    )
    taken = []
    for _ in range(3):
        taken.append(seconds(lambda: solve(problem, compiled(), GAP)))
    descent, answer = _solved(problem)
    theirs = "CvxCluster: within 3 % of the optimum (its abstract; another model, another machine)"
    yield Figure("fleet-100k certified gap", answer.gap, "1", 0.03, theirs, GAP, answer.gap <= GAP, what)
    yield at_most("fleet-100k seconds to it", float(np.median(taken)), "s", 10.0, what)
    took: list[Plan] = []
    rounding = seconds(lambda: took.append(rounded(descent, answer)))
    gap = took[0].top / answer.lower - 1.0
    yield Figure("fleet-100k certified gap in whole jobs", gap, "1", 0.03, theirs, GAP, gap <= GAP, what)
    yield report("fleet-100k rounding to whole jobs", rounding, "s", what)


def replan(data: Path | None) -> Iterator[Figure]:
    """One event at a million columns: old prices, at most 100 jobs moved, the bound anew."""
    problem = fleets.draw(fleets.LARGE)
    descent, answer = _solved(problem)
    plan = rounded(descent, answer)
    dice = np.random.default_rng(7)
    most = plan.top
    took: dict[str, list[float]] = {"arrival": [], "finish": [], "node lost": []}
    moved, gaps = [], []
    large = np.flatnonzero(problem.room[: problem.rows] >= 64.0)
    for row in dice.permutation(large)[:20].tolist():
        began = time.perf_counter()
        plan.lose(row, 8.0)
        moved.append(plan.repair(row, most))
        gaps.append(plan.top / plan.lower() - 1.0)
        took["node lost"].append(time.perf_counter() - began)
        began = time.perf_counter()
        plan.arrive(_arrival(problem, dice), most)
        gaps.append(plan.top / plan.lower() - 1.0)
        took["arrival"].append(time.perf_counter() - began)
        column = int(dice.choice(np.flatnonzero(plan.count > 0)))
        began = time.perf_counter()
        plan.finish(column)
        gaps.append(plan.top / plan.lower() - 1.0)
        took["finish"].append(time.perf_counter() - began)
    for event, times in took.items():
        yield at_most(f"replan after one {event}, worst of 20", 1e3 * max(times), "ms", 200.0, str(fleets.LARGE))
    yield at_most("replan: jobs moved for one lost node, most", float(max(moved)), "jobs", 100.0, str(fleets.LARGE))
    before = f"{fleets.LARGE}; {most / answer.lower - 1.0:.4f} in whole jobs before the events"
    yield report("replan: certified gap after 20 nodes lost, 20 arrivals, 20 finishes", gaps[-1], "1", before)


def _arrival(problem: LargeProblem, dice: np.random.Generator) -> Job:
    """A job like those of some class, up to twice as long or half as long."""
    j = int(dice.integers(problem.classes))
    mine = slice(int(problem.column_of[j]), int(problem.column_of[j + 1]))
    needs = range(int(problem.need_of[j]), int(problem.need_of[j + 1]))
    data = tuple((int(problem.need_commodity[n]), float(problem.need_bytes[n])) for n in needs)
    return Job(
        problem.row[mine], problem.use[mine] * float(np.exp(dice.uniform(-0.7, 0.7))), problem.site[mine], data
    )


def arrival_decision(data: Path | None) -> Iterator[Figure]:
    """One new job between two solves: its column by prices and what is left."""
    problem = fleets.draw(fleets.LARGE)
    descent, answer = _solved(problem)
    plan = rounded(descent, answer)
    dice = np.random.default_rng(11)
    most, took = plan.top, []
    for _ in range(2_000):
        job = _arrival(problem, dice)
        took.append(1e3 * seconds(lambda job=job: plan.arrive(job, most)))  # type: ignore[misc]
    karmada = "Karmada schedules in p50/p99 12/32 ms on its own machine (its published figure)"
    p99 = percentile(took, 0.99)
    what = f"2,000 arrivals into {fleets.LARGE}"
    yield Figure("arrival-decision by prices, p99", p99, "ms", 32.0, karmada, 10.0, p99 <= 10.0, what)
    p50 = percentile(took, 0.5)
    yield Figure("arrival-decision by prices, p50", p50, "ms", 12.0, karmada, None, True, what)
    yield report("arrival-decision: certified gap after them", plan.top / plan.lower() - 1.0, "1", what)
    yield from arrival_live(data)


GROWTH = (
    FleetShape(40, 40, 8, 1_000, 0.3e12),
    FleetShape(300, 70, 12, 10_000, 0.4e12),
    fleets.MEDIUM,
    fleets.LARGE,
    FleetShape(50_000, 400, 40, 10_000_000, 8e12),
)


def cost_growth(data: Path | None) -> Iterator[Figure]:
    """Seconds and memory from a thousand to ten million columns; HiGHS while it stays below the limit."""
    ours: list[tuple[int, float, float]] = []
    theirs: list[tuple[int, float, bool]] = []
    method = "interior point, 1e-2, no crossover"
    for shape in GROWTH[: effort(len(GROWTH), 3)]:
        said = json.loads(_child(shape))
        ours.append((shape.columns, said["seconds"], said["bytes"]))
        held = f"{shape}; certified gap {said['gap']:.4f}; {said['bytes'] / 1e9:.2f} GB at most"
        yield report("cost-growth: ours", said["seconds"], "s", held)
        if shape.columns <= fleets.LARGE.columns:
            problem = fleets.draw(shape)
            run = highs(problem, fleets.linear(problem), METHODS[method], LEAST_LIMIT_SECONDS)
            theirs.append((shape.columns, run.seconds, run.stopped))
            yield report(f"cost-growth: HiGHS {method}", run.seconds, "s", f"{shape}; {run}")
    if len(ours) == len(GROWTH):
        _draw(ours, theirs)


def _draw(ours: list[tuple[int, float, float]], theirs: list[tuple[int, float, bool]]) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "polyhull"
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.0))
    axes.loglog(
        [n for n, _, _ in ours], [t for _, t, _ in ours], "o-", color="#1f6f8b", label="prices, 1 % certified"
    )
    axes.loglog(
        [n for n, _, _ in theirs],
        [t for _, t, _ in theirs],
        "s--",
        color="#b5533c",
        label="HiGHS interior point, 1e-2, no crossover",
    )
    for n, t, cut in theirs:
        if cut:
            axes.annotate("stopped", (n, t), textcoords="offset points", xytext=(4, 6), fontsize=8, color="#b5533c")
    for n, t, held in ours:
        axes.annotate(f"{held / 1e9:.2g} GB", (n, t), textcoords="offset points", xytext=(4, -12), fontsize=8)
    axes.set_xlabel("columns of the joint programme")
    axes.set_ylabel("seconds, one thread")
    axes.grid(True, which="major", linewidth=0.4)
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None})
    plt.close(figure)


def main(arguments: list[str]) -> None:
    """A process of its own for peak memory: classes pools sites columns most_bytes -> one JSON object."""
    classes, pools, sites, columns = (int(one) for one in arguments[:4])
    problem = fleets.draw(replace(fleets.MEDIUM, classes=classes, pools=pools, sites=sites, columns=columns,
                                  most_bytes=float(arguments[4])))  # fmt: skip
    found: list[Answer] = []
    taken = seconds(lambda: found.append(solve(problem, compiled(), GAP)))
    if taken < REPEATED_BELOW_SECONDS:
        taken = min(taken, *(seconds(lambda: found.append(solve(problem, compiled(), GAP))) for _ in range(2)))
    # Not ru_maxrss: a child inherits that of the process that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    most = int(status.split("VmHWM:")[1].split()[0]) * 1024
    print(json.dumps({"seconds": taken, "bytes": most, "gap": found[-1].gap}))


if __name__ == "__main__":
    main(sys.argv[1:])
