"""The interval-indexed programme: equal to its definition in cvxpy, and never above what a schedule reaches."""

from dataclasses import replace
from itertools import permutations, product
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.optimize.arrays import model_data
from polyhull.optimize.build import build_columns
from polyhull.optimize.data import ModelData
from polyhull.optimize.interval import RATIO, _Model, instants, jobs_of, weighted_completion
from polyhull.optimize.interval_definition import least_weighted_completion
from polyhull.planning.canonical import canonical
from polyhull.planning.instance import Instance
from polyhull.planning.objectives import Outcome
from polyhull.planning.objectives import weighted_completion as executed
from polyhull.planning.reserve import reserve
from polyhull.planning.simulate import run
from tests.builders import NOW, fleet, growth, job, option, pool, random_snapshot, snapshot


def prepared(case: Snapshot) -> tuple[ModelData, Instance]:
    case = canonical(case)
    columns = build_columns(case)
    return model_data(case, columns), reserve(case, columns, ()).instance


def weights_of(instance: Instance) -> dict[Key, float]:
    return {job.key: weight for job, weight in zip(instance.jobs, instance.weights, strict=True)}


@pytest.mark.parametrize("seed", range(4))
def test_the_sparse_rows_are_the_definition(seed: int) -> None:
    data, instance = prepared(random_snapshot(seed, jobs=5, pools=3, sites=2))
    deadlines = {one.key: [inf, 900.0, 6000.0][i % 3] for i, one in enumerate(instance.jobs)}
    jobs = jobs_of(data, weights_of(instance), deadlines)
    tau = np.append(instants(data, jobs, 20_000.0)[:-1:6], inf)
    model = _Model(data, jobs, tau)
    everything = np.arange(len(model.job))
    status, shares, prices = model.solve(everything)
    assert status == "Optimal" and shares is not None and prices is not None
    value = float(model.costs(*model.variables(everything)) @ shares)
    assert value == pytest.approx(least_weighted_completion(data, jobs, tau), rel=1e-6)
    bound, _ = model.certificate(prices)
    assert value * (1 - 1e-6) <= bound <= value * (1 + 1e-9), "strong duality, recomputed from the prices alone"
    rng = np.random.default_rng(seed)
    for _ in range(5):
        assert model.certificate(rng.random(prices.shape) * prices.max())[0] <= value * (1 + 1e-9)


def test_the_grid_is_geometric_with_a_ratio_of_at_most_sqrt_2() -> None:
    data, instance = prepared(random_snapshot(1, jobs=8, pools=3, sites=2))
    tau = instants(data, jobs_of(data, weights_of(instance), {}), 50_000.0)
    assert tau[-1] == inf and np.all(tau[1:-1] / tau[:-2] <= RATIO * (1 + 1e-9))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_no_schedule_beats_the_bound(seed: int) -> None:
    case = random_snapshot(seed, jobs=3, pools=3, sites=2, nodes=1)
    case = replace(case, jobs=tuple(replace(one, created_at=NOW - 900.0 * i) for i, one in enumerate(case.jobs)))
    data, instance = prepared(case)
    best = inf
    for order in permutations(range(3)):
        for columns in product(*(range(min(3, len(options))) for options in instance.choices)):
            found = run(instance, order, columns)
            best = min(best, executed(Outcome(instance, found.slots, found.moves, 0.0, range(3))))
        best = min(best, executed(Outcome(instance, run(instance, order).slots, {}, 0.0, range(3))))
    answer = weighted_completion(data, weights_of(instance), {}, 10_000.0)
    assert answer is not None
    assert 0.0 < answer.bound_seconds <= best * (1 + 1e-9)


def test_one_machine_is_ordered_by_weight_over_length() -> None:
    jobs = [
        replace(job(name, [option("v100", 1.0, devices=8)], seconds), created_at=NOW - age)
        for name, seconds, age in (("long", 900.0, 0.0), ("short", 100.0, 0.0), ("old", 900.0, 36_000.0))
    ]
    data, instance = prepared(snapshot(fleet([pool("a", "v100", 1)]), jobs))
    answer = weighted_completion(data, weights_of(instance), {}, 1900.0)
    assert answer is not None
    order = sorted(answer.completion, key=lambda key: answer.completion[key])
    assert [key.name for key in order][-1] == "long"
    best = min(
        executed(Outcome(instance, run(instance, order).slots, {}, 0.0, range(3))) for order in permutations(range(3))
    )
    assert answer.bound_seconds >= 0.8 * best
    prices = answer.pool_prices["a/v100"]
    assert max(prices) > 0.0 and min(prices) >= 0.0


def test_growth_counts_only_after_its_delay() -> None:
    jobs = [job(f"j{i}", [option("v100", 1.0, devices=8)], 100.0) for i in range(4)]
    slow = fleet([pool("a", "v100", 1, growth=growth(3, provision=1000.0))])
    data, instance = prepared(snapshot(slow, jobs))
    answer = weighted_completion(data, weights_of(instance), {}, 400.0)
    assert answer is not None and answer.bound_seconds >= 0.8 * (100 + 200 + 300 + 400) / 4


def test_nothing_to_run_has_no_bound() -> None:
    data, _ = prepared(snapshot(fleet([pool("a", "v100", 1)])))
    assert weighted_completion(data, {}, {}, 100.0) is None
