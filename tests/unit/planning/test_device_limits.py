"""Device limits of namespaces as people meet them: reasons, explanations, help, services first, arrivals."""

from dataclasses import replace

import pytest

from polyhull.domain.snapshot import DeviceLimit, Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import Key, Placed, TrainingJob
from polyhull.optimize.build import build_columns
from polyhull.optimize.isolated import isolated
from polyhull.planning.canonical import canonical
from polyhull.planning.carried import carrying
from polyhull.planning.decide import decide, present_plan, quick
from polyhull.planning.helping import help_for, helped
from polyhull.planning.insert import Insertion, insertable
from tests.builders import NOW, fleet, growth, job, option, pool, service, snapshot, variant

LIMIT = DeviceLimit("shared", "v100", 4, ("blue", "red"))
POLICY = Policy(startup_seconds=0.0, solver=SolverLimits(search_steps=100, exact_jobs=0), device_limits=(LIMIT,))
WHERE = fleet([pool("a", "v100", 2, 8)])


def work(name: str, namespace: str, devices: int = 4, seconds: float = 100.0, **changes: object) -> TrainingJob:
    return job(name, [option("v100", 1.0, devices=devices)], seconds, namespace=namespace, **changes)


def case(*jobs: TrainingJob, policy: Policy = POLICY, **changes: object) -> Snapshot:
    return snapshot(WHERE, jobs, policy=policy, **changes)  # type: ignore[arg-type]


def test_namespaces_of_one_policy_share_its_limit_and_others_do_not_feel_it() -> None:
    limited = case(work("one", "red"), work("two", "blue"), work("three", "green"))
    plan = helped(limited, decide(limited))
    starts = {one.job.name: one.start_seconds for one in plan.assignments}
    assert starts["three"] == 0.0
    assert sorted((starts["one"], starts["two"])) == [0.0, pytest.approx(100.0)]
    assert plan.lower_bound_seconds == pytest.approx(200.0, rel=2e-3), "two that never run together"
    waits = max(plan.assignments, key=lambda one: one.start_seconds).explanation
    assert "device limit of policy shared: 4 of 4 v100 held, it needs 4" in waits.binds
    assert (waits.binding.kind, waits.binding.name) == ("DeviceLimit", "shared/v100")
    assert [one.change for one in waits.helps] == ["device limit of policy shared: 8 v100 instead of 4"]


def test_a_gang_beyond_the_limit_is_refused_and_told_what_would_help() -> None:
    limited = case(work("wide", "red", 8))
    plan = decide(limited)
    (refused,) = plan.unplaced
    assert refused.reason == "DeviceLimit"
    assert "needs 8 v100, and the namespaces of policy shared may hold 4 together" in refused.message
    first = help_for(limited, plan, refused)[0]
    assert first.change == "device limit of policy shared: 8 v100 instead of 4"


def test_nothing_is_nothing() -> None:
    policy = replace(POLICY, device_limits=(replace(LIMIT, devices=0),))
    plan = decide(case(work("one", "red", 1), work("two", "green", 1), policy=policy))
    assert [one.reason for one in plan.unplaced] == ["DeviceLimit"]
    assert [one.job.name for one in plan.assignments] == ["two"]
    assert plan.violations == ()


def test_services_fit_first_and_no_further_than_the_limit() -> None:
    web = replace(service("web", [("a", 28.0)], [variant("v100", 5.0)]), key=Key("blue", "web", "InferenceJob"))
    plan = decide(case(work("one", "red", 1), services=[web]))
    assert sum(part.replicas for part in plan.services[0].replicas) == 4, "six would answer everything"
    assert [one.reason for one in plan.unplaced] == ["NoCapacity"]
    assert plan.violations == ()


def test_what_runs_stays_where_a_limit_shrank_below_it() -> None:
    there = Placed("a", "a/v100", "v100x8", (("a-v100-0", 1),), NOW - 10.0, NOW - 10.0)
    plan = decide(case(work("runs", "red", 8, placed=there), work("waits", "blue")))
    starts = {one.job.name: (one.fixed, one.start_seconds) for one in plan.assignments}
    assert starts == {"runs": (True, 0.0), "waits": (False, pytest.approx(90.0))}
    assert plan.violations == ()


def test_devices_count_from_release_on_while_growth_brings_them_up() -> None:
    """B's node comes up at 60, when A has ended; released before that, both would be asked for at once."""
    grows = fleet([pool("a", "v100", 1, 4, growth=growth(1, 4, 60.0))])
    other = work("other", "green", 4, 500.0, placed=Placed("a", "a/v100", "v100x4", (("a-v100-0", 1),), NOW, NOW))
    first = Placed("a", "a/v100", "v100x4", (("+1", 1),), NOW, NOW)
    jobs = (other, work("first", "red", 4, 50.0, placed=first), work("second", "blue", 4, 50.0))
    plan = decide(snapshot(grows, jobs, policy=POLICY))
    assert plan.violations == ()
    second = next(one for one in plan.assignments if one.job.name == "second")
    assert second.start_seconds >= 50.0


def test_an_arrival_is_inserted_as_it_would_be_planned_anew() -> None:
    before = canonical(case(work("one", "red"), work("two", "green")))
    present = present_plan(carrying(before, decide(before)))
    assert insertable(present)
    late = replace(work("late", "blue"), created_at=NOW)
    inserted = Insertion(present).insert([late])
    assert inserted is not None
    anew = quick(carrying(replace(before, jobs=(*before.jobs, late)), present.decision))
    assert inserted.plan_hash == anew.plan_hash
    one = next(one for one in inserted.assignments if one.job.name == "late")
    assert one.start_seconds == pytest.approx(100.0)
    assert "4 of 4 v100 held" in one.explanation.binds


def test_a_share_of_the_limit_is_part_of_what_a_namespace_needs_alone() -> None:
    limited = case(work("one", "red"), work("two", "blue"), work("three", "green"))
    alone = isolated(limited, build_columns(limited))
    assert alone["red"] == alone["blue"] == pytest.approx(200.0)
    assert alone["green"] == pytest.approx(100.0)
