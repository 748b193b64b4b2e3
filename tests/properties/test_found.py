"""What the ten thousand instances of `make fuzz` found once, shrunken."""

from dataclasses import replace

import pytest

from polyhull.domain.snapshot import Policy
from polyhull.planning.decide import decide, quick
from tests.builders import data_set, fleet, growth, job, link, option, pool, service, snapshot, variant

POLICY = Policy(startup_seconds=1.0, bandwidth_margin=0.9)


def test_a_job_that_the_fastest_devices_have_no_room_for_is_not_left_out_of_the_comparison() -> None:
    """Six of eight V100 serve: a baseline that cannot place five more takes the next best, it is not faster."""
    web = service("web", [("a", 20.0)], [variant("v100", 5.0)])
    wide = job("wide", [option("v100", 7.3, devices=5), option("npu", 1.0, devices=4)], 50.0)
    case = snapshot(fleet([pool("a", "v100", 1), pool("a", "npu", 1)]), [wide, job("short", [option("npu")], 10.0)],
                    services=[web], policy=POLICY)  # fmt: skip
    plan = decide(case)
    assert plan.violations == () and plan.unplaced == ()
    assert plan.baselines.compute_only_seconds == pytest.approx(plan.makespan_seconds)


def test_a_job_that_starts_when_a_grown_node_is_there_does_not_wait_for_it_again() -> None:
    """Its instant is a sum of floats: 9.888... + 50 is a hair later in exact numbers than on the board."""
    first = [job(f"first{k}", [option("v100", 1.0, devices=4)], 400.0, ["d"]) for k in range(2)]
    then = [job(f"then{k}", [option("v100", 1.0, devices=4)], 300.0 - k) for k in range(4)]
    where = fleet([pool("a", "v100", 0, growth=growth(2, provision=50.0))], [link("b", "a", 1.0)])
    case = snapshot(where, [*first, *then], [data_set("d", 1, "b")], policy=POLICY)
    for plan in (decide(case), quick(case)):
        assert plan.violations == ()


def test_a_replica_of_countless_slots_is_checked_at_once() -> None:
    """10^15 requests a second of 100 s each: the checker went through their 10^17 slots one by one."""
    fast = replace(variant("v100", 1e15), service_seconds=100.0)
    web = replace(service("web", [("a", 1.0)], [fast]), latency_seconds=1000.0)
    plan = decide(snapshot(fleet([pool("a", "v100", 1)]), services=[web], policy=POLICY))
    assert plan.violations == () and plan.services[0].replicas
