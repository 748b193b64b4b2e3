"""Growth of autoscaled pools: services may use it, its delay is in every bound, its price in every cost."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.fleet import Growth
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.planning.decide import decide
from tests.builders import fleet, growth, job, option, pool, room, service, snapshot, variant
from tests.properties.amount import examples
from tests.properties.test_plan_brute_force import prove

POLICY = Policy(startup_seconds=1.0, bandwidth_margin=1.0, solver=SolverLimits(search_steps=100))
SEEDS = st.integers(0, 100_000)
PROFILE = examples(25, 0.1)


def growing(seed: int) -> Snapshot:
    """One or no node, growth of one to three after some seconds, a service that needs several replicas, and jobs."""
    dice = Random(seed)
    more = growth(dice.randint(1, 3), 4, dice.choice([0.0, 20.0, 60.0]))
    where = fleet([pool("a", "v100", dice.randint(0, 1), 4, growth=more, price_per_device_hour=2.0)])
    web = service(
        "web", [("a", dice.choice([3.0, 9.0, 14.0]))], [variant("v100", 5.0, devices=dice.choice([1, 2, 4]))]
    )
    jobs = [
        job(f"job{i}", [option("v100", 1.0, devices=dice.choice([1, 2, 3]))], dice.choice([15.0, 40.0, 90.0]))
        for i in range(dice.randint(1, 5))
    ]
    return snapshot(where, jobs, services=[web], policy=POLICY)


@PROFILE
@given(SEEDS)
def test_services_on_growth_nodes_are_checked_and_no_bound_is_above_the_plan(seed: int) -> None:
    plan = decide(growing(seed))
    assert plan.violations == ()
    assert plan.lower_bound_seconds <= plan.makespan_seconds * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_nor_is_the_proof(seed: int) -> None:
    plan = decide(growing(seed), prove)
    assert plan.violations == ()


def test_a_service_without_a_node_is_served_once_growth_is_there_and_its_price_counts() -> None:
    """Two replicas of four devices fill a node of eight that comes up after 60 s."""
    more = Growth(1, room(8), 60.0)
    where = fleet([pool("a", "v100", 0, growth=more, price_per_device_hour=3.6)])
    web = service("web", [("a", 3.0)], [variant("v100", 5.0, devices=4)])
    work = job("train", [option("v100", 1.0)], 100.0)
    alone = decide(snapshot(where, services=[web], policy=POLICY))
    (part,) = (part for plan in alone.services for part in plan.replicas)
    assert (part.replicas, part.nodes, part.ready_seconds) == (2, (("+1", 2),), 60.0)
    assert alone.services[0].served_per_second == pytest.approx(3.0)
    assert alone.violations == ()
    full = decide(snapshot(where, [work], services=[web], policy=POLICY))
    assert [one.reason for one in full.unplaced] == ["NoCapacity"]
    larger = replace(where, pools=(replace(where.pools[0], growth=Growth(2, room(8), 60.0)),))
    both = decide(snapshot(larger, [work], services=[web], policy=POLICY))
    assert both.makespan_seconds == pytest.approx(161.0) and both.violations == ()
    assert both.footprint.cost == pytest.approx(2 * 8 * 161.0 * 0.001), "two whole nodes from the first demand on"
