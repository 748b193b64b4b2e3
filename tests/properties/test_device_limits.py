"""Device limits of namespaces: held at every instant beside power caps; bounds below what trying everything finds."""

import json
import subprocess
import sys
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.decision import Decision
from polyhull.domain.fleet import Power, Site
from polyhull.domain.snapshot import DeviceLimit, Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import Key, Placed
from polyhull.optimize.arrays import model_data
from polyhull.optimize.bound import lower_bound
from polyhull.optimize.build import build_columns
from polyhull.optimize.columns import Column
from polyhull.optimize.exact import ExactAnswer, ExactProblem, answer_from, problem_document
from polyhull.planning.decide import decide
from polyhull.planning.validate import validate
from tests.builders import NOW, fleet, growth, job, option, pool, service, snapshot, variant
from tests.properties.amount import examples
from tests.properties.brute import least_makespan

POLICY = Policy(startup_seconds=1.0, bandwidth_margin=1.0, solver=SolverLimits(search_steps=200, exact_jobs=0))
PROFILE = examples(15, 0.1)
SEEDS = st.integers(0, 100_000)


def shared_out(
    seed: int, jobs: int = 5, running: bool = False, serving: bool = False, grows: bool = False
) -> Snapshot:
    """Two pools of one kind at two sites, one of them capped at times; two of three namespaces share a limit."""
    dice = Random(seed)
    work = [
        job(
            f"job{i}",
            [option("v100", dice.choice([2.0, 3.0]), devices=dice.choice([1, 2])), option("k80", 0.2, devices=1)],
            dice.choice([30.0, 70.0, 110.0]),
            namespace=dice.choice(["red", "blue", "green"]),
        )
        for i in range(jobs)
    ]
    if running:
        there = Placed("a", "a/v100", "v100x1", (("a-v100-0", 1),), NOW - 10.0, NOW - 9.0)
        work.append(job("running", [option("v100", 1.0)], 60.0, namespace="red", placed=there))
    services = []
    if serving:
        web = service("web", [("a", 2.0)], [variant("v100", 5.0)])
        services.append(replace(web, key=Key("blue", "web", "InferenceJob")))
    sites = [Site("a", power=Power(cap_watts=dice.choice([None, 650.0])))]
    more = growth(1, 4, dice.choice([0.0, 15.0])) if grows else None
    where = fleet(
        [pool("a", "v100", 1, 4, growth=more), pool("b", "v100", 1, 4), pool("b", "k80", 1, 2)], sites=sites
    )
    limits = (DeviceLimit("shared", "v100", dice.choice([2, 3]), ("blue", "red")),)
    return snapshot(where, work, services=services, policy=replace(POLICY, device_limits=limits))


def held_at_most(plan: Decision, limit: DeviceLimit) -> int:
    """The most that its namespaces hold at one instant, growth nodes from release on."""
    mine = [one for one in plan.assignments if one.job.namespace in limit.namespaces]
    mine = [one for one in mine if one.accelerator == limit.accelerator]
    always = sum(
        part.replicas * part.devices_per_replica
        for one in plan.services
        for part in one.replicas
        if one.service.namespace in limit.namespaces and part.accelerator == limit.accelerator
    )
    return always + max(
        (
            sum(
                one.replicas * one.devices_per_replica
                for one in mine
                if one.start_seconds <= at.start_seconds < one.end_seconds
            )
            for at in mine
        ),
        default=0,
    )


def brute_force(case: Snapshot) -> float:
    """With devices, watts and the limit."""
    (limit,) = case.policy.device_limits
    watts = next(one.power.cap_watts for one in case.fleet.sites if one.name == "a") or 1e9

    def counts(one: Column) -> int:
        return one.devices * (one.accelerator == limit.accelerator and one.job.namespace in limit.namespaces)

    def within(now: list[Column]) -> bool:
        one = now[-1]
        devices = sum(other.devices for other in now if other.pool == one.pool)
        drawn = sum(other.devices * 300.0 for other in now if other.pool == "a/v100")
        room = devices <= (2 if one.pool == "b/k80" else 4) and sum(map(counts, now)) <= limit.devices
        return room and drawn <= watts

    return least_makespan(case, within)


def prove(problem: ExactProblem) -> ExactAnswer:
    """CP-SAT, in its process."""
    done = subprocess.run(
        [sys.executable, "-m", "polyhull.optimize.exact_worker"],
        input=json.dumps(problem_document(problem)),
        capture_output=True,
        text=True,
        check=True,
    )
    return answer_from(json.loads(done.stdout))


@pytest.mark.parametrize("seed", range(6))
def test_bound_below_everything_tried_below_the_plan(seed: int) -> None:
    case = shared_out(seed, jobs=4)
    best, plan = brute_force(case), decide(case)
    assert plan.violations == () and plan.unplaced == ()
    assert plan.lower_bound_seconds <= best * (1 + 1e-9)
    assert best <= plan.makespan_seconds * (1 + 1e-9)
    assert plan.makespan_seconds <= best * 1.05, "so small that the search should find it"


def test_the_exact_solver_knows_limits_and_watts() -> None:
    case = shared_out(3, jobs=4)
    solver = replace(case.policy.solver, exact_jobs=60)
    plan = decide(replace(case, policy=replace(case.policy, solver=solver)), prove)
    best = brute_force(case)
    assert plan.bound_kind.value == "ExactWholeCopy"
    assert best * (1 - 1e-3) <= plan.lower_bound_seconds <= best * (1 + 1e-9)


@PROFILE
@given(SEEDS)
def test_the_limit_is_held_beside_running_jobs_services_growth_and_power_caps(seed: int) -> None:
    case = shared_out(seed, 8, running=seed % 2 == 0, serving=seed % 3 == 0, grows=seed % 5 < 3)
    plan = decide(case)
    assert plan.violations == ()
    assert plan.lower_bound_seconds <= plan.makespan_seconds * (1 + 1e-9)
    (limit,) = case.policy.device_limits
    assert held_at_most(plan, limit) <= limit.devices


@PROFILE
@given(SEEDS)
def test_a_plan_that_knows_no_limit_is_refused_where_it_holds_too_much(seed: int) -> None:
    case = shared_out(seed, 8, grows=seed % 2 == 0)
    plan = decide(replace(case, policy=replace(case.policy, device_limits=())))
    (limit,) = case.policy.device_limits
    told = validate(case, replace(plan, lower_bound_seconds=0.0))
    assert any("the namespaces of policy shared hold" in line for line in told) == (
        held_at_most(plan, limit) > limit.devices
    )


@PROFILE
@given(SEEDS)
def test_more_devices_never_raise_the_bound(seed: int) -> None:
    case = shared_out(seed, 8, running=seed % 2 == 0)
    (limit,) = case.policy.device_limits
    more = replace(case.policy, device_limits=(replace(limit, devices=limit.devices + 1),))
    low, high = (
        lower_bound(model_data(one, build_columns(one))).seconds for one in (case, replace(case, policy=more))
    )
    assert high <= low * 1.002, "bisection stops at 0.1 %"
