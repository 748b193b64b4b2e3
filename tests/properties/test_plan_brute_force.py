"""Tiny instances solved by trying everything: no plan is better than that, no bound above it, the proof equals it."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from random import Random

import pytest

from polyhull.domain.decision import BoundKind
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.optimize.build import build_columns
from polyhull.optimize.columns import Column
from polyhull.optimize.exact import ExactAnswer, ExactProblem, answer_from, problem_document
from polyhull.planning.decide import decide
from tests.builders import data_set, fleet, job, link, option, pool, snapshot
from tests.properties.amount import many

OPERATOR = Path(__file__).parents[2] / "operator"
POLICY = Policy(startup_seconds=1.0, bandwidth_margin=1.0, solver=SolverLimits(search_steps=60))


def tiny(seed: int, jobs: int = 4) -> Snapshot:
    """Two sites, one node each, whole devices, one link per direction; data at one end."""
    dice = Random(seed)
    work = []
    for i in range(jobs):
        options = [
            option("v100", dice.choice([1.0, 3.0]), devices=dice.choice([2, 3, 4])),
            option("npu", 1.0, devices=2),
        ]
        data = [f"set{dice.randint(0, 2)}"] if dice.random() < 0.8 else []
        work.append(job(f"job{i}", options, dice.choice([30.0, 70.0, 110.0]), data))
    sets = [data_set(f"set{i}", dice.choice([2, 5, 9]), dice.choice(["a", "b"])) for i in range(3)]
    where = fleet([pool("a", "npu", 1, 4), pool("b", "v100", 1, 4)], [link("a", "b", 1.0), link("b", "a", 0.5)])
    return snapshot(where, work, sets, policy=POLICY)


def brute_force(case: Snapshot) -> float:
    """Every column choice, every order of transfers per link, every order of jobs: the least makespan."""
    columns = build_columns(case)
    seconds = {(route.data_set, route.store): (route.links, route.seconds) for route in columns.routes}
    by_job = [[c for c in columns.columns if c.job == one.key] for one in case.jobs]
    best = float("inf")
    for choice in product(*by_job):
        needed = sorted({(n.data_set, n.store) for c in choice for n in c.needs if not n.present})
        arrivals = set()
        for order in permutations(needed):
            busy: dict[str, float] = {}
            there = {}
            for move in order:
                links, length = seconds[move]
                start = max((busy.get(name, 0.0) for name in links), default=0.0)
                for name in links:
                    busy[name] = start + length
                there[move] = start + length
            arrivals.add(tuple(there[move] for move in needed))
        for times in arrivals:
            ready = dict(zip(needed, times, strict=True))
            for order_of_jobs in permutations(range(len(choice))):
                best = min(best, _serial(choice, order_of_jobs, ready, best))
    return best


def _serial(choice: tuple[Column, ...], order: tuple[int, ...], ready: dict, best: float) -> float:  # type: ignore[type-arg]
    """Devices of one node per pool (four each), each job as early as it fits."""
    placed: dict[str, list[tuple[float, float, int]]] = {}
    last = 0.0
    for j in order:
        column = choice[j]
        there = max([ready[n.data_set, n.store] for n in column.needs if not n.present], default=0.0)
        mine = placed.setdefault(column.pool, [])
        for start in sorted({there, *(end for _, end, _ in mine if end > there)}):
            end = start + column.length_seconds
            instants = [start, *(s for s, _, _ in mine if start < s < end)]
            if all(sum(d for s, e, d in mine if s <= at < e) + column.devices <= 4 for at in instants):
                mine.append((start, end, column.devices))
                last = max(last, end)
                break
        if last >= best:
            return last
    return last


def prove(problem: ExactProblem) -> ExactAnswer | None:
    done = subprocess.run(
        [sys.executable, "-m", "polyhull.optimize.exact_worker"],
        input=json.dumps(problem_document(problem)),
        capture_output=True, text=True, check=True, timeout=60, env={"PYTHONPATH": str(OPERATOR)},
    )  # fmt: skip
    return answer_from(json.loads(done.stdout))


def test_no_plan_beats_brute_force_and_no_bound_passes_it() -> None:
    hits, seeds = 0, range(many(30, 0.3))
    for seed in seeds:
        case = tiny(seed, 3 + seed % 2)
        best, plan = brute_force(case), decide(case)
        assert plan.violations == ()
        assert plan.makespan_seconds >= best * (1 - 1e-9)
        assert plan.lower_bound_seconds <= best * (1 + 1e-9)
        hits += plan.makespan_seconds <= best * (1 + 1e-9)
    assert hits >= 0.93 * len(seeds), "the search alone should nearly always find the optimum of four jobs"


@pytest.mark.parametrize("seed", [3, 11, 19])
def test_the_proof_is_the_optimum(seed: int) -> None:
    case = tiny(seed)
    best, plan = brute_force(case), decide(case, prove)
    assert plan.makespan_seconds == pytest.approx(best, rel=1e-9)
    assert plan.lower_bound_seconds <= best * (1 + 1e-9)
    assert plan.gap is not None and plan.gap < 1e-3
    assert plan.solver.status == "Optimal"
    assert plan.bound_kind in (BoundKind.EXACT_WHOLE_COPY, BoundKind.STRENGTHENED_WHOLE_COPY)


def captive(seed: int) -> Snapshot:
    """Five jobs whose data is too large to leave the edge, ten that may run anywhere."""
    dice = Random(seed)
    bound = [
        job(f"edge{i}", [option("v100", 1.0, devices=dice.choice([1, 2]))], dice.uniform(40, 90), [f"d{i}"])
        for i in range(5)
    ]
    free = [job(f"free{i}", [option("v100", 1.0)], dice.uniform(10, 40)) for i in range(10)]
    sets = [data_set(f"d{i}", 1000, "a") for i in range(5)]
    where = fleet([pool("a", "v100", 1, 3), pool("b", "v100", 4, 8)], [link("a", "b", 0.1), link("b", "a", 0.1)])
    return snapshot(
        where,
        bound + free,
        sets,
        policy=replace(POLICY, solver=SolverLimits(search_steps=200, exact_jobs=5, exact_deterministic_seconds=0.3)),
    )


def test_of_many_jobs_the_proof_is_about_those_that_bind() -> None:
    plan = decide(captive(1), prove)
    assert plan.violations == () and plan.gap is not None
    assert plan.gap < 5e-3, "five jobs on three devices are proved but for rounding"
    assert plan.bound_kind is BoundKind.EXACT_SUBPROBLEM
