"""Max-min fairness between namespaces: the value, its bound, and what the level does."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import TrainingJob
from polyhull.optimize.build import build_columns
from polyhull.optimize.isolated import isolated, least_ratio, least_seconds
from polyhull.planning.canonical import canonical
from polyhull.planning.decide import decide
from polyhull.planning.fair import MEAN, unfairness
from polyhull.planning.objectives import Outcome
from polyhull.planning.reserve import reserve
from polyhull.planning.simulate import run
from tests.builders import fleet, job, option, pool, snapshot

FAIR = Policy(
    startup_seconds=0.0,
    bandwidth_margin=1.0,
    solver=SolverLimits(search_steps=100),
    objective=("MaxMinFairness", "Makespan"),
)


def whole_pool(name: str, seconds: float, namespace: str) -> TrainingJob:
    return job(name, [option("v100", 1.0, devices=8)], seconds, namespace=namespace)


def case(*jobs: TrainingJob, policy: Policy = FAIR) -> Snapshot:
    return canonical(snapshot(fleet([pool("a", "v100", 1)]), jobs, policy=policy))


def test_a_namespace_alone_needs_its_work_over_its_share() -> None:
    where = case(whole_pool("a", 100.0, "one"), whole_pool("b", 300.0, "two"), whole_pool("c", 300.0, "two"))
    alone = isolated(where, build_columns(where))
    assert alone == {"one": pytest.approx(200.0), "two": pytest.approx(1200.0)}


def test_the_small_namespace_is_not_made_to_wait_for_the_large_one() -> None:
    jobs = [whole_pool(f"big{i}", 300.0, "big") for i in range(4)] + [whole_pool("tiny", 100.0, "small")]
    plan = decide(case(*jobs))
    ends = {a.job.name: a.end_seconds for a in plan.assignments}
    assert ends["tiny"] == 100.0
    level = plan.levels[0]
    # big: 1300 / 2400; small: 100 / 200.
    assert level.value == pytest.approx(1300 / 2400 + MEAN * (1300 / 2400 + 0.5) / 2, rel=1e-6)
    assert level.bound is not None and level.bound <= level.value


def test_good_prices_are_found_where_pools_differ() -> None:
    """Ten jobs of 10 s on a slow pool or 1 s on a fast one of one device each: at least 100 / 11 s in all."""
    options = [option("v100", 1.0), option("npu", 0.1)]
    where = canonical(
        snapshot(
            fleet([pool("a", "v100", 1, devices=1), pool("b", "npu", 1, devices=1)]),
            [job(f"j{i}", options, 1.0) for i in range(10)],
            policy=FAIR,
        )
    )
    columns = build_columns(where).columns
    jobs = [[one for one in columns if one.job.name == f"j{i}"] for i in range(10)]
    found = least_seconds(jobs, {"a/v100": 1.0, "b/npu": 1.0})
    assert 0.97 * 100 / 11 <= found <= 100 / 11


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["one", "two", "three"])), min_size=1, max_size=5))
def test_no_order_is_fairer_than_the_bound(jobs: list[tuple[int, str]]) -> None:
    where = case(*(whole_pool(f"j{i}", 10.0 * long, name) for i, (long, name) in enumerate(jobs)))
    columns = build_columns(where)
    instance = reserve(where, columns, ()).instance
    everyone = range(len(jobs))
    best = min(
        unfairness(Outcome(instance, run(instance, order).slots, {}, 0.0, everyone))
        for order in permutations(everyone)
    )
    worst, mean = least_ratio(where, columns)
    assert worst + MEAN * mean <= best * (1 + 1e-9)
    plan = decide(where)
    assert plan.levels[0].value <= best * 1.005 + 1e-6
