"""A plan's budget: held by both simulators and the checker; jobs it has no room for wait and say so."""

from dataclasses import replace
from itertools import permutations, product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.decision import Decision
from polyhull.domain.fleet import Power
from polyhull.domain.snapshot import NamespaceBudget, Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import Key
from polyhull.optimize.arrays import model_data
from polyhull.optimize.bound import lower_bound
from polyhull.optimize.build import build_columns
from polyhull.planning.decide import decide
from polyhull.planning.validate import validate
from tests.builders import data_set, fleet, job, link, option, pool, site, snapshot
from tests.properties.amount import examples

PROFILE = examples(10, 0.1)
SEEDS = st.integers(0, 100_000)


def limited(seed: int, jobs: int = 6, budget: float | None = None) -> Snapshot:
    """A dear fast pool and a cheap slow one behind a link with a price; a budget between scarce and plenty."""
    dice = Random(seed)
    work = [
        job(
            f"job{i}",
            [option("v100", 3.0, devices=dice.choice([1, 2])), option("k80", 1.0, devices=1)],
            dice.choice([600.0, 1800.0, 3600.0]),
            ["set"] if dice.random() < 0.3 else [],
        )
        for i in range(jobs)
    ]
    pools = [pool("a", "v100", 1, 4, price_per_device_hour=9.0), pool("b", "k80", 1, 4, price_per_device_hour=1.0)]
    links = [link("b", "a", 1.0, price_per_gigabyte=0.05), link("a", "b", 1.0)]
    some = dice.uniform(1.0, 14.0) if budget is None else budget
    policy = Policy(
        startup_seconds=1.0, bandwidth_margin=1.0, solver=SolverLimits(search_steps=100), cost_budget=some
    )
    return snapshot(fleet(pools, links), work, [data_set("set", 4.0, "b")], policy=policy)


@PROFILE
@given(SEEDS)
def test_the_budget_is_held_and_who_waits_says_why(seed: int) -> None:
    case = limited(seed)
    plan = decide(case)
    assert plan.violations == ()
    assert (plan.footprint.cost or 0.0) <= (case.policy.cost_budget or 0.0) * (1 + 1e-6) + 1e-6
    assert {one.reason for one in plan.unplaced} <= {"Budget"}
    assert plan.lower_bound_seconds <= plan.makespan_seconds * (1 + 1e-9)


@PROFILE
@given(SEEDS)
def test_a_plan_that_spends_more_is_refused(seed: int) -> None:
    case = limited(seed)
    free = decide(replace(case, policy=replace(case.policy, cost_budget=None)))
    told = validate(case, replace(free, lower_bound_seconds=0.0))
    assert any("budget" in line for line in told) == (
        (free.footprint.cost or 0.0) > (case.policy.cost_budget or 0.0) * (1 + 1e-6) + 1e-6
    )


@PROFILE
@given(SEEDS, st.floats(1.0, 3.0))
def test_more_money_never_raises_the_bound(seed: int, times: float) -> None:
    case = limited(seed, 8)
    columns = build_columns(case)
    least: dict[object, float] = {}
    for column in columns.columns:
        least[column.job] = min(least.get(column.job, column.price), column.price)
    enough = sum(least.values()) * 1.01
    poor, rich = (replace(case, policy=replace(case.policy, cost_budget=enough * by)) for by in (1.0, times))
    low, high = (lower_bound(model_data(one, columns)).seconds for one in (poor, rich))
    assert high <= low * 1.002, "bisection stops at 0.1 %"


@pytest.mark.parametrize("seed", range(6))
def test_bound_below_everything_tried(seed: int) -> None:
    """Three jobs without data: every column in every order that the budget pays."""
    case = limited(seed, 3, budget=4.0)
    case = replace(case, jobs=tuple(replace(one, inputs=()) for one in case.jobs), data_sets=())
    columns = build_columns(case).columns
    by_job = [[one for one in columns if one.job == job.key] for job in case.jobs]
    best = float("inf")
    for choice in product(*by_job):
        if sum(one.price for one in choice) > 4.0:
            continue
        for order in permutations(choice):
            ends: list[tuple[float, str, int]] = []
            for one in order:
                starts = sorted({0.0, *(end for end, _, _ in ends)})
                start = next(
                    at
                    for at in starts
                    if sum(n for end, where, n in ends if where == one.pool and end > at) + one.devices <= 4
                )
                ends.append((start + one.length_seconds, one.pool, one.devices))
            best = min(best, max(end for end, _, _ in ends))
    plan = decide(case)
    if best == float("inf"):
        assert plan.unplaced
    else:
        assert plan.unplaced == () and plan.violations == ()
        assert plan.lower_bound_seconds <= best * (1 + 1e-9) <= plan.makespan_seconds * (1 + 1e-8)


def clean_and_dirty(seed: int, carbon: float | None, energy: float | None, money: float | None) -> Snapshot:
    """Fast devices where power is dirty and dear, slow ones where it is clean."""
    base = limited(seed)
    sites = tuple(
        replace(site(name), power=Power(None, pue, grams))
        for name, pue, grams in (("a", 1.2, 700.0), ("b", 1.1, 50.0))
    )
    watts = {"v100": 300.0, "k80": 150.0}
    kinds = tuple(replace(one, peak_watts=watts.get(one.name)) for one in base.fleet.accelerators)
    policy = replace(base.policy, cost_budget=money, carbon_budget_grams=carbon, energy_budget_kilowatt_hours=energy)
    return replace(base, fleet=replace(base.fleet, sites=sites, accelerators=kinds), policy=policy)


@PROFILE
@given(SEEDS, st.floats(1.0, 600.0), st.floats(0.05, 3.0), st.sampled_from([None, 8.0]))
def test_carbon_and_energy_are_held_together_with_money(seed: int, grams: float, hours: float, money: float) -> None:
    case = clean_and_dirty(seed, grams, hours, money)
    plan = decide(case)
    assert plan.violations == ()
    assert (plan.footprint.carbon_grams or 0.0) <= grams * (1 + 1e-6) + 1e-6
    assert (plan.footprint.energy_joules or 0.0) / 3.6e6 <= hours * (1 + 1e-6) + 1e-6
    assert {one.reason for one in plan.unplaced} <= {"Budget"}
    assert plan.lower_bound_seconds <= plan.makespan_seconds * (1 + 1e-9)
    free = replace(decide(clean_and_dirty(seed, None, None, None)), lower_bound_seconds=0.0)
    told = "; ".join(validate(clean_and_dirty(seed, grams, hours, None), free))
    assert (" g; the budget" in told) == ((free.footprint.carbon_grams or 0.0) > grams * (1 + 1e-6) + 1e-6)
    assert ("kWh; the budget" in told) == ((free.footprint.energy_joules or 0.0) / 3.6e6 > hours * (1 + 1e-6) + 1e-6)


def test_carbon_by_hand() -> None:
    """An hour on 4 V100s draws at the meter 4 x (45 + 0.72 x 255) x 1.2 W, 1.097 kWh or 767.9 g of dirty power; three
    hours of one K80 0.377 kWh or 18.85 g: 800 g pay for one fast job and one slow, for no second fast one."""
    case = clean_and_dirty(0, 800.0, None, None)
    work = tuple(job(f"job{i}", [option("v100", 3.0, devices=4), option("k80", 1.0)], 10_797.0) for i in range(2))
    startless = replace(case.policy, startup_seconds=0.0)
    plan = decide(replace(case, jobs=work, policy=startless))
    assert sorted(one.pool for one in plan.assignments) == ["a/v100", "b/k80"]
    assert plan.footprint.carbon_grams == pytest.approx(767.9 + 18.85, rel=1e-4)
    poor = decide(replace(case, jobs=work, policy=replace(startless, carbon_budget_grams=25.0)))
    assert [one.pool for one in poor.assignments] == ["b/k80"]
    (left,) = poor.unplaced
    assert left.reason == "Budget" and "emits 18.85" in left.message and "carbonBudgetGrams" in left.message


def test_by_hand() -> None:
    """An hour on four V100s at 9 each costs 36, three on a K80 cost 3: 10 pay for three slow jobs, no fast one."""
    work = [job(f"job{i}", [option("v100", 3.0, devices=4), option("k80", 1.0)], 10_796.0) for i in range(4)]
    pools = [pool("a", "v100", 1, 4, price_per_device_hour=9.0), pool("b", "k80", 1, 4, price_per_device_hour=1.0)]
    policy = Policy(startup_seconds=1.0, solver=SolverLimits(search_steps=50), cost_budget=10.0)
    plan = decide(snapshot(fleet(pools), work, policy=policy))
    assert {one.pool for one in plan.assignments} == {"b/k80"} and len(plan.assignments) == 3
    (left,) = plan.unplaced
    assert left.reason == "Budget" and "costs 2.999" in left.message and "1.0" in left.message


def of_two_teams(seed: int) -> Snapshot:
    """Red and blue share a budget, green has none of its own; at times there is one of everybody too."""
    dice = Random(seed)
    case = limited(seed, 8)
    spaces = {one.key: dice.choice(["red", "blue", "green"]) for one in case.jobs}
    jobs = tuple(
        replace(one, key=replace_namespace(one.key, spaces[one.key]), inputs=(), priority=dice.choice([0, 0, 1]))
        for one in case.jobs
    )
    shared = NamespaceBudget("shared", ("blue", "red"), cost_budget=dice.uniform(0.5, 6.0))
    everybody = dice.choice([None, 8.0])
    policy = replace(case.policy, cost_budget=everybody, budgets=(shared,))
    return replace(case, jobs=tuple(sorted(jobs, key=lambda one: one.key)), data_sets=(), policy=policy)


def replace_namespace(key: Key, namespace: str) -> Key:
    return Key(namespace, key.name, key.kind)


def spent_by(plan: Decision, namespaces: tuple[str, ...]) -> float:
    return sum(one.use.cost or 0.0 for one in plan.assignments if one.job.namespace in namespaces)


@PROFILE
@given(SEEDS)
def test_a_budget_of_namespaces_is_held_and_only_theirs_wait_for_it(seed: int) -> None:
    case = of_two_teams(seed)
    plan = decide(case)
    (shared,) = case.policy.budgets
    most = (shared.cost_budget or 0.0) * (1 + 1e-6) + 1e-6
    assert plan.violations == ()
    assert spent_by(plan, shared.namespaces) <= most
    assert plan.lower_bound_seconds <= plan.makespan_seconds * (1 + 1e-9)
    if case.policy.cost_budget is None:
        assert {one.job.namespace for one in plan.unplaced} <= set(shared.namespaces)
    for one in plan.unplaced:
        assert one.reason == "Budget"
        assert "costBudget beside the other jobs; raise it in the policy named" in one.message
    free = decide(replace(case, policy=replace(case.policy, budgets=())))
    told = validate(case, replace(free, lower_bound_seconds=0.0))
    assert any("the jobs of policy shared cost" in line for line in told) == (
        spent_by(free, shared.namespaces) > most
    )
