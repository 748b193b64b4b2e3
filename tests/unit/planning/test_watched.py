"""Namespaces in mode Observe beside others: planned last, in nobody's way, never counted, never moved."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.decision import Decision
from polyhull.domain.fleet import Power, Site
from polyhull.domain.snapshot import DeviceLimit, Mode, Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import Key, Placed, Serving, TrainingJob
from polyhull.planning.canonical import canonical
from polyhull.planning.carried import carrying
from polyhull.planning.decide import decide, present_plan, quick
from polyhull.planning.helping import help_for
from polyhull.planning.insert import insertable
from polyhull.planning.validate import validate
from polyhull.planning.watched import acted_on
from tests.builders import NOW, data_set, fleet, growth, job, link, option, pool, service, snapshot, variant
from tests.properties.amount import examples

POLICY = Policy(
    startup_seconds=0.0,
    solver=SolverLimits(search_steps=100, exact_jobs=0),
    modes=(("look", Mode.OBSERVE), ("review", Mode.RECOMMEND)),
)
WHERE = fleet([pool("a", "v100", 1, 8)])


def work(name: str, namespace: str, devices: int = 8, **changes: object) -> TrainingJob:
    return job(name, [option("v100", 1.0, devices=devices)], 100.0, namespace=namespace, **changes)


def starts(plan: Decision) -> dict[str, tuple[float, bool]]:
    return {one.job.name: (one.start_seconds, one.observed) for one in plan.assignments}


def test_what_is_watched_comes_last_whatever_its_priority_and_age() -> None:
    first = replace(work("watched", "look", priority=9), created_at=NOW - 9e6)
    case = snapshot(WHERE, [first, work("acts", "team"), work("asks", "review")], policy=POLICY)
    plan = decide(case)
    assert plan.violations == ()
    assert starts(plan)["watched"] == (pytest.approx(200.0), True)
    assert plan.makespan_seconds == pytest.approx(200.0), "what is watched is in no total"
    watched = next(one for one in plan.assignments if one.observed)
    assert "short by 8 of 8 devices" in watched.explanation.binds
    assert help_for(case, plan, watched) == ()


def test_the_others_plan_is_the_same_byte_for_byte() -> None:
    others = [work(f"j{i}", "team", 1 + i % 4) for i in range(6)]
    without = snapshot(WHERE, others, policy=POLICY)
    plan = decide(replace(without, jobs=(work("watched", "look"), *others)))
    mine = tuple(one for one in plan.assignments if not one.observed)
    assert len(plan.assignments) == 7
    assert replace(plan, assignments=mine) == decide(without)


def test_a_fleet_that_observes_plans_everybody_together() -> None:
    policy = replace(POLICY, mode=Mode.OBSERVE, modes=())
    plan = decide(snapshot(WHERE, [work("one", "look"), work("two", "team")], policy=policy))
    assert not any(one.observed for one in plan.assignments)
    assert plan.makespan_seconds == pytest.approx(200.0)


def test_what_runs_in_such_a_namespace_holds_its_devices() -> None:
    there = Placed("a", "a/v100", "v100x8", (("a-v100-0", 1),), NOW - 40.0, NOW - 40.0)
    case = snapshot(WHERE, [work("runs", "look", placed=there), work("acts", "team")], policy=POLICY)
    assert starts(decide(case)) == {"runs": (0.0, False), "acts": (pytest.approx(60.0), False)}


def web(**changes: object) -> object:
    one = service("web", [("a", 8.0)], [variant("v100", 5.0)])
    return replace(one, key=Key("look", "web", "InferenceJob"), **changes)  # type: ignore[arg-type]


def test_a_watched_service_waits_for_devices_that_are_free_for_good() -> None:
    case = snapshot(WHERE, [work("acts", "team")], services=[web()], policy=POLICY)  # type: ignore[list-item]
    plan = decide(case)
    assert plan.violations == ()
    assert starts(plan)["acts"][0] == 0.0
    assert plan.services[0].replicas[0].ready_seconds == pytest.approx(100.0)


def test_a_service_that_runs_there_keeps_its_replicas() -> None:
    runs = (Serving("a", "a/v100", "on-v100", 3, (("a-v100-0", 3),)),)
    case = snapshot(WHERE, [work("acts", "team", 5)], services=[web(serving=runs)], policy=POLICY)  # type: ignore[list-item]
    plan = decide(case)
    assert plan.violations == ()
    assert [part.replicas for part in plan.services[0].replicas] == [3]
    assert starts(plan)["acts"][0] == 0.0


def test_arrivals_beside_what_is_watched_are_planned_anew() -> None:
    case = canonical(snapshot(WHERE, [work("acts", "team"), work("watched", "look")], policy=POLICY))
    present = present_plan(carrying(case, decide(case)))
    assert not insertable(present)
    assert starts(present.decision)["watched"] == (pytest.approx(100.0), True)


@pytest.mark.parametrize("observed", [True, False])
def test_the_checker_knows_who_is_only_watched(observed: bool) -> None:
    case = snapshot(WHERE, [work("one", "team" if observed else "look")], policy=POLICY)
    plan = decide(case)
    wrong = replace(plan, assignments=tuple(replace(one, observed=observed) for one in plan.assignments))
    assert any("only observed" in said for said in validate(case, wrong))


def mixed(seed: int) -> Snapshot:
    """Namespaces of all three modes over two sites with growth, a link, data, a power cap and a device limit."""
    dice = Random(seed)
    spaces = ["look", "team", "review"]
    sets = [data_set(f"d{name}", 1.0, "a", namespace=name) for name in spaces]
    jobs = []
    for i in range(9):
        space = dice.choice(spaces)
        kinds = [option("v100", 2.0, devices=dice.choice([1, 4])), option("npu", 1.0, devices=2)]
        read = [f"d{space}"] if dice.random() < 0.5 else []
        jobs.append(job(f"j{i}", kinds, dice.choice([50.0, 200.0]), data=read, namespace=space))
    more = growth(2, 4, dice.choice([0.0, 30.0])) if dice.random() < 0.5 else None
    pools = [pool("a", "npu", 1, 4), pool("b", "v100", 1, 4, growth=more)]
    sites = [Site("b", power=Power(cap_watts=dice.choice([None, 1500.0])))]
    limits = (DeviceLimit("p", "v100", 4, ("look",)), DeviceLimit("q", "v100", 4, ("team",)))
    services = [web(), replace(web(), key=Key("team", "web", "InferenceJob"))] if dice.random() < 0.5 else []  # type: ignore[type-var]
    where = fleet(pools, [link("a", "b", 0.2), link("b", "a", 0.2)], sites=sites)
    policy = replace(POLICY, device_limits=limits)
    return snapshot(where, jobs, sets, services, policy)  # type: ignore[arg-type]


@examples(10, 0.2)
@given(st.integers(0, 100_000))
def test_watching_takes_nothing_from_anybody_and_breaks_nothing(seed: int) -> None:
    case = mixed(seed)
    for plan, alone in ((decide(case), decide(acted_on(case))), (quick(case), quick(acted_on(case)))):
        assert plan.violations == ()
        assert tuple(one for one in plan.assignments if not one.observed) == alone.assignments
        assert (plan.makespan_seconds, plan.plan_hash) == (alone.makespan_seconds, alone.plan_hash)
        everybody = {one.job for one in (*plan.assignments, *plan.unplaced)} | {one.service for one in plan.services}
        assert everybody == {one.key for one in (*case.jobs, *case.services)}
        assert not any("the checker refused" in one.message for one in plan.unplaced)
