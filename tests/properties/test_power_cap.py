"""A site's power cap: held at every instant, by both simulators; bounds below what trying everything finds."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.fleet import Power, Site
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import Placed
from polyhull.optimize.arrays import model_data
from polyhull.optimize.bound import lower_bound
from polyhull.optimize.build import build_columns
from polyhull.optimize.columns import Column
from polyhull.planning.decide import decide
from polyhull.planning.validate import validate
from tests.builders import NOW, WATTS, fleet, job, option, pool, service, snapshot, variant
from tests.properties.amount import examples
from tests.properties.brute import least_makespan

POLICY = Policy(startup_seconds=1.0, bandwidth_margin=1.0, solver=SolverLimits(search_steps=200))
PROFILE = examples(25, 0.1)
SEEDS = st.integers(0, 100_000)


def capped(seed: int, jobs: int = 5, running: bool = False, serving: bool = False) -> Snapshot:
    """Two kinds of device at one site of 600 to 1,500 W, another site without a cap and much slower."""
    dice = Random(seed)
    work = [
        job(
            f"job{i}",
            [
                option("v100", dice.choice([2.0, 3.0]), devices=dice.choice([1, 2])),
                option("npu", dice.choice([0.5, 1.0]), devices=dice.choice([1, 2, 4])),
                option("k80", 0.1, devices=1),
            ],
            dice.choice([30.0, 70.0, 110.0]),
        )
        for i in range(jobs)
    ]
    if running:
        there = Placed("a", "a/v100", "v100x1", (("a-v100-0", 1),), NOW - 10.0, NOW - 9.0)
        work.append(job("running", [option("v100", 1.0)], 60.0, placed=there))
    services = [service("web", [("a", 2.0)], [variant("v100", 5.0)])] if serving else []
    site = Site("a", power=Power(cap_watts=dice.choice([600.0, 750.0, 1000.0, 1500.0]), pue=dice.choice([None, 1.2])))
    where = fleet([pool("a", "npu", 1, 8), pool("a", "v100", 1, 8), pool("b", "k80", 1, 2)], sites=[site])
    return snapshot(where, work, services=services, policy=POLICY)


def brute_force(case: Snapshot) -> float:
    """With devices and watts."""
    power = next(site.power for site in case.fleet.sites if site.name == "a")
    cap = (power.cap_watts or 0.0) / (power.pue or 1.0) * (1 + 1e-9)

    def within(now: list[Column]) -> bool:
        one = now[-1]
        devices = sum(other.devices for other in now if other.pool == one.pool)
        drawn = sum(other.devices * WATTS[other.accelerator] for other in now if other.site == "a")
        return devices <= (8 if one.site == "a" else 2) and (one.site != "a" or drawn <= cap)

    return least_makespan(case, within)


@pytest.mark.parametrize("seed", range(8))
def test_bound_below_everything_tried_below_the_plan(seed: int) -> None:
    case = capped(seed, jobs=4)
    best, plan = brute_force(case), decide(case)
    assert plan.violations == () and plan.unplaced == ()
    assert plan.lower_bound_seconds <= best * (1 + 1e-9)
    assert best <= plan.makespan_seconds * (1 + 1e-9)
    assert plan.makespan_seconds <= best * 1.05, "so small that the search should find it"


@PROFILE
@given(SEEDS)
def test_the_cap_is_held_beside_running_jobs_and_services(seed: int) -> None:
    case = capped(seed, 8, running=seed % 2 == 0, serving=seed % 3 == 0)
    plan = decide(case)
    assert plan.violations == ()
    assert plan.lower_bound_seconds <= plan.makespan_seconds * (1 + 1e-9)


@PROFILE
@given(SEEDS)
def test_a_plan_without_the_cap_is_refused_where_it_draws_too_much(seed: int) -> None:
    case = capped(seed, 8)
    free = replace(
        case.fleet, sites=tuple(replace(site, power=replace(site.power, cap_watts=None)) for site in case.fleet.sites)
    )
    plan = decide(replace(case, fleet=free))
    power = next(site.power for site in case.fleet.sites if site.name == "a")
    edges = [one.start_seconds for one in plan.assignments]
    drawn = max(
        sum(
            one.replicas * one.devices_per_replica * WATTS[one.accelerator] * (power.pue or 1.0)
            for one in plan.assignments
            if one.site == "a" and one.start_seconds <= at < one.end_seconds
        )
        for at in edges
    )
    told = validate(case, replace(plan, lower_bound_seconds=0.0))
    assert any("draws" in line for line in told) == (drawn > (power.cap_watts or 0.0) * (1 + 1e-6))


@PROFILE
@given(SEEDS)
def test_more_watts_never_raise_the_bound(seed: int) -> None:
    case = capped(seed, 8, running=seed % 2 == 0)
    more = replace(
        case.fleet,
        sites=tuple(
            replace(site, power=replace(site.power, cap_watts=site.power.cap_watts and site.power.cap_watts * 1.5))
            for site in case.fleet.sites
        ),
    )
    low, high = (
        lower_bound(model_data(one, build_columns(one))).seconds for one in (case, replace(case, fleet=more))
    )
    assert high <= low * 1.002, "bisection stops at 0.1 %"


def test_two_jobs_that_cannot_draw_together_wait_for_each_other_and_the_bound_knows() -> None:
    """300 W each under 400 W: joules alone would allow 150 s; that two never run together, 200 s."""
    site = Site("a", power=Power(cap_watts=400.0))
    jobs = [job(name, [option("v100", 1.0)], 99.0) for name in ("one", "two")]
    plan = decide(snapshot(fleet([pool("a", "v100", 1, 8)], sites=[site]), jobs, policy=POLICY))
    assert plan.makespan_seconds == pytest.approx(200.0)
    assert plan.lower_bound_seconds == pytest.approx(200.0, rel=2e-3)
    second = max(plan.assignments, key=lambda one: one.start_seconds)
    assert "no 300 W left under its power cap" in second.explanation.binds


def test_what_draws_too_much_or_nobody_knows_how_much_is_refused_by_name() -> None:
    site = Site("a", power=Power(cap_watts=500.0, pue=1.1))
    where = fleet([pool("a", "v100", 1, 8), pool("a", "x", 1, 8)], sites=[site])
    jobs = [job("large", [option("v100", 1.0, devices=2)]), job("unknown", [option("x", 1.0)])]
    plan = decide(snapshot(where, jobs, policy=POLICY))
    told = {one.job.name: (one.reason, one.message) for one in plan.unplaced}
    assert told["large"][0] == "PowerCap" and "660 W" in told["large"][1]
    assert told["unknown"][0] == "PowerUnknown"
