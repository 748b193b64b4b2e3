"""Every fast path beside its definition in cvxpy, on small random instances: how far the two are apart.

`python -m tests.properties.oracle 1000 [PATH ...]` tries a thousand seeds of each path and prints the worst of each
as a JSON line; test_oracle.py tries a few in every run.
"""

import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random

import cvxpy as cp
import numpy as np

from benchmarks import fleets
from polyhull.domain.snapshot import Snapshot
from polyhull.optimize import bound, highs
from polyhull.optimize.arrays import model_data
from polyhull.optimize.build import build_columns
from polyhull.optimize.data import ModelData
from polyhull.optimize.definition import largest_share
from polyhull.optimize.instances import least_cost
from polyhull.optimize.interval import _Model, instants, jobs_of
from polyhull.optimize.interval_definition import least_weighted_completion
from polyhull.optimize.large.kernel import library
from polyhull.optimize.large.problem import LargeProblem
from polyhull.optimize.large.solve import solve
from polyhull.optimize.programme import programme
from polyhull.optimize.services import Serving
from polyhull.optimize.shares import makespan_shares, max_min_shares
from polyhull.optimize.whole_copies import whole_copies
from polyhull.planning.canonical import canonical
from polyhull.planning.reserve import reserve
from tests import builders as b
from tests.properties.test_budget import limited
from tests.properties.test_count_relaxation import instance as kinds
from tests.properties.test_device_limits import shared_out
from tests.properties.test_fairness_oracle import instance as sharing
from tests.properties.test_growth import growing
from tests.properties.test_power_cap import capped
from tests.unit.optimize.test_optimize_programme import arrays
from tests.unit.optimize.test_optimize_programme import instance as mixed

CLOSE = 1e-6


@dataclass(frozen=True, slots=True)
class Pair:
    """What the fast path and the definition say; nan: no answer."""

    found: float
    wanted: float

    @property
    def apart(self) -> float:
        """The difference, relative where the numbers are above 1; 0 where both say that there is no answer."""
        if math.isnan(self.found) or math.isnan(self.wanted):
            return 0.0 if math.isnan(self.found) and math.isnan(self.wanted) else math.inf
        return abs(self.found - self.wanted) / max(1.0, abs(self.wanted))


def pooled(seed: int) -> Pair | None:
    """The programme at a fixed T: shared data, relays, online demand, running jobs."""
    data = arrays(mixed(seed))
    return _programme(data, bound.slowest(data) * (1.0 + (seed % 4) / 2), seed) if data.jobs else None


def copied(seed: int) -> Pair | None:
    """The same with whole copies; every fifth instance streams, and every fifth may split them."""
    case = mixed(seed) if seed % 5 != 1 else b.splitting(mixed(seed))
    if seed % 5 == 3:
        case = replace(case, jobs=tuple(map(b.streaming, case.jobs)))
    data = whole_copies(arrays(case), build_columns(case))
    return _programme(data, bound.slowest(data) * (1.0 + (seed % 4) / 2), seed) if data.jobs else None


def budgeted(seed: int) -> Pair:
    return _of(limited(seed, budget=12.0), 900.0 + seed % 3000, seed)


def under_a_power_cap(seed: int) -> Pair:
    return _of(capped(seed, 5, running=seed % 3 == 0), 60.0 + seed % 90, seed)


def under_device_limits(seed: int) -> Pair:
    case = shared_out(seed, 5, running=seed % 3 == 0, serving=seed % 4 == 0)
    columns = build_columns(case)
    return _programme(model_data(case, columns, Serving(case, columns).model()), 60.0 + seed % 90, seed)


def growing_pools(seed: int) -> Pair:
    case = growing(seed)
    columns = build_columns(case)
    return _programme(model_data(case, columns, Serving(case, columns).model()), 70.0 + seed % 90, seed)


def _of(case: Snapshot, seconds: float, seed: int) -> Pair:
    return _programme(model_data(case, build_columns(case)), seconds, seed)


def _programme(data: ModelData, seconds: float, seed: int) -> Pair:
    """Seeds take the programme of rates and the one at a fixed T in turn."""
    rates = seed % 2 == 1
    found = highs.solve(programme(data, seconds, strengthened=not rates, light=True))
    return Pair(found.share if found.optimal else math.nan, largest_share(data, seconds, rates))


def by_intervals(seed: int) -> Pair:
    """Weighted completion on a grid of instants."""
    case = canonical(b.random_snapshot(seed, jobs=3, pools=3, sites=2))
    columns = build_columns(case)
    data, instance = model_data(case, columns), reserve(case, columns, ()).instance
    weights = {job.key: weight for job, weight in zip(instance.jobs, instance.weights, strict=True)}
    deadlines = {one.key: [math.inf, 900.0, 6000.0][i % 3] for i, one in enumerate(instance.jobs)}
    jobs = jobs_of(data, weights, deadlines)
    tau = np.append(instants(data, jobs, 20_000.0)[:-1:8], math.inf)
    model = _Model(data, jobs, tau)
    everything = np.arange(len(model.job))
    _, shares, _ = model.solve(everything)
    found = math.nan if shares is None else float(model.costs(*model.variables(everything)) @ shares)
    wanted = least_weighted_completion(data, jobs, tau)
    return Pair(found / max(1.0, abs(wanted)), wanted / max(1.0, abs(wanted)))


def max_min(seed: int) -> Pair:
    """The least of the jobs' shares of time."""
    rates, gang, devices = sharing(seed)
    x = cp.Variable(rates.shape, nonneg=True)
    problem = cp.Problem(
        cp.Maximize(cp.min(cp.sum(cp.multiply(rates, x), axis=1))),
        [cp.sum(x, axis=1) <= 1, gang @ x <= devices],
    )
    return Pair(max_min_shares(rates, gang, devices, levels=1).least, _solved(problem))


def makespan(seed: int) -> Pair:
    """1/T of jobs that share time, in units of the longest job's best."""
    rates, gang, devices = sharing(seed)
    dice = Random(-seed)
    work = np.array([10.0 ** dice.uniform(0, 3) for _ in gang])
    scale = float(np.max(work / rates.max(axis=1)))
    x = cp.Variable(rates.shape, nonneg=True)
    reached = cp.sum(cp.multiply(rates / work[:, None] * scale, x), axis=1)
    problem = cp.Problem(cp.Maximize(cp.min(reached)), [cp.sum(x, axis=1) <= 1, gang @ x <= devices])
    return Pair(makespan_shares(rates, work, gang, devices).least * scale, _solved(problem))


def instance_counts(seed: int) -> Pair:
    """Least-cost whole counts of kinds."""
    load, price, usage, room = kinds(Random(seed))
    # HiGHS's integrality of 1e-6 buys nothing worth comparing at loads of a thousand replicas and prices of 100.
    load, price = load[:6, :4] / 20.0, np.maximum(price[:4], 0.1)
    able = np.isfinite(load)
    most = np.full(len(price), 50.0)
    found = least_cost(load, price, most, usage[:, :4], room)
    x, n = cp.Variable(load.shape, nonneg=True), cp.Variable(len(price), integer=True)
    rows = [cp.sum(x, axis=1) == 1, x <= able.astype(float), n >= 0, n <= most]
    rows.append(cp.sum(cp.multiply(np.where(able, load, 0.0), x), axis=0) <= n)
    if len(room):
        rows.append(usage[:, :4] @ n <= room)
    wanted = _solved(cp.Problem(cp.Minimize(price @ n), rows), mip_rel_gap=0.0)
    return Pair(found.cost if found.status == "Optimal" else math.nan, wanted)


def by_prices(seed: int) -> Pair:
    """Many columns: the optimum, in its own units, lies between what prices prove and what shares reach."""
    dice = Random(seed)
    sites, pools, classes = dice.randint(2, 4), dice.randint(2, 6), dice.randint(2, 12)
    columns = 1 + sites * sites * (sites - 1) + dice.randint(classes, classes * pools)
    problem = fleets.draw(fleets.FleetShape(classes, pools, sites, columns, 10.0 ** dice.uniform(9, 13), seed=seed))
    kernel = library()
    assert kernel is not None, "not built: python hatch_build.py"
    answer, wanted = solve(problem, kernel), least_load(problem)
    low, high = problem.load_at_least(answer.prices) / wanted, answer.upper / wanted
    return Pair(min(max(low, 1.0), high), 1.0)


def least_load(problem: LargeProblem) -> float:
    """The least possible largest load, flows of data by link."""
    J, R, E = problem.classes, problem.rows, len(problem.link_from)
    share, top = cp.Variable(problem.columns, nonneg=True), cp.Variable()
    jobs = problem.jobs[problem.class_of]
    member = np.eye(J)[:, problem.class_of]
    use = np.zeros((R, problem.columns))
    for w in range(problem.row.shape[1]):
        mine = np.flatnonzero(problem.row[:, w] >= 0)
        use[problem.row[mine, w], mine] += (problem.use[:, w] * jobs)[mine] / problem.room[problem.row[mine, w]]
    rows = [member @ share == 1, use @ share <= top]
    carried: list[cp.Expression] = []
    for k in range(problem.commodities):
        ways = problem.way[problem.way_of[k] : problem.way_of[k + 1]]
        volume = problem.room[R + ways]
        scale = float(volume.max(initial=1.0))
        flow = cp.Variable(len(ways), nonneg=True)  # parts of `volume`
        arrives, needed = np.zeros((problem.sites, len(ways))), np.zeros((problem.sites, problem.columns))
        arrives[problem.link_to[ways], np.arange(len(ways))] += volume / scale
        arrives[problem.link_from[ways], np.arange(len(ways))] -= volume / scale
        for j in range(J):
            for at in range(int(problem.need_of[j]), int(problem.need_of[j + 1])):
                if problem.need_commodity[at] == k:
                    mine = np.flatnonzero((problem.class_of == j) & (problem.site >= 0))
                    needed[problem.site[mine], mine] += problem.need_bytes[at] * jobs[mine] / scale
        free = problem.source[problem.source_of[k] : problem.source_of[k + 1]]
        bound_to = np.setdiff1d(np.arange(problem.sites), free)
        rows.append(arrives[bound_to] @ flow >= needed[bound_to] @ share)
        carried.append(np.eye(E)[:, ways] @ flow)
    if carried:
        rows.append(cp.sum(carried) <= top)
    return _solved(cp.Problem(cp.Minimize(top), rows))


def _solved(problem: cp.Problem, **options: float) -> float:
    problem.solve(solver=cp.HIGHS, **options)
    return float(problem.value) if problem.status == cp.OPTIMAL else math.nan


PATHS: Mapping[str, Callable[[int], Pair | None]] = {
    "programme": pooled,
    "whole copies": copied,
    "budget": budgeted,
    "power cap": under_a_power_cap,
    "device limits": under_device_limits,
    "growth": growing_pools,
    "intervals": by_intervals,
    "max-min shares": max_min,
    "makespan shares": makespan,
    "instance counts": instance_counts,
    "prices": by_prices,
}


def main(arguments: list[str]) -> int:
    many, worst = int(arguments[0]), 0.0
    for name in arguments[1:] or PATHS:
        compared, most, at = 0, 0.0, -1
        for seed in range(many):
            pair = PATHS[name](seed)
            if pair is not None:
                compared += 1
                if not pair.apart <= most:
                    most, at = pair.apart, seed
        print(json.dumps({"path": name, "instances": compared, "worst": most, "seed": at}), flush=True)
        worst = max(worst, most)
    return int(worst > CLOSE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
