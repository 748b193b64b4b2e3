"""What would help: true (the change made and planned again gives it), bounded, and silent about other tenants."""

from dataclasses import replace

import pytest

from polyhull.domain.decision import Assignment, Help
from polyhull.domain.scenario import AddNodes, SetLink
from polyhull.planning import helping
from polyhull.planning.decide import decide
from polyhull.planning.helping import help_for, helped
from polyhull.planning.whatif import what_if
from tests.builders import data_set, fleet, job, link, option, pool, random_snapshot, snapshot


def find(plan, name) -> Assignment:  # type: ignore[no-untyped-def]
    return next(one for one in plan.assignments if one.job.name == name)


def test_a_node_more_helps_who_waits_for_devices_and_by_as_much_as_it_says() -> None:
    jobs = [job("a", [option("v100", devices=6)], 100.0), job("b", [option("v100", devices=5)], 50.0)]
    case = snapshot(fleet([pool("x", "v100", 1)]), jobs)
    plan = helped(case, decide(case))
    late, soon = sorted(plan.assignments, key=lambda one: -one.end_seconds)
    (first,) = late.explanation.helps
    assert first.change == "one more v100 node in pool x/v100"
    assert soon.explanation.helps == ()
    found, _ = what_if(case, [AddNodes("x/v100", 1)])
    real = next(-(one.later_seconds or 0.0) for one in found.jobs if one.job == late.job)
    assert first.sooner_seconds == pytest.approx(real)
    assert first.plan_sooner_seconds == pytest.approx(found.before.makespan_seconds - found.after.makespan_seconds)


def test_a_wider_link_a_copy_and_a_higher_tier_help_who_waits_for_data() -> None:
    where = fleet([pool("a", "npu", 0), pool("b", "v100", 1)], [link("a", "b", 0.8)])
    jobs = [job("first", [option("v100")], 100.0, ["d0"]), job("second", [option("v100")], 10.0, ["d1"])]
    case = snapshot(where, jobs, [data_set("d0", 2, "a"), data_set("d1", 1, "a")])
    plan = decide(case)
    item = find(plan, "second")
    told = {one.change: one.sooner_seconds for one in help_for(case, plan, item, highest_priority=5)}
    assert item.end_seconds == pytest.approx(40.0)
    assert told == {
        "a copy of d1 at b": pytest.approx(30.0),
        "priority 1 instead of 0": pytest.approx(20.0),
        "the link a to b at 1.6 Gbit/s instead of 800 Mbit/s": pytest.approx(15.0),
    }
    assert not [one for one in help_for(case, plan, item) if "priority" in one.change]


def test_a_job_without_a_place_is_told_what_would_give_it_one() -> None:
    where = fleet([pool("a", "v100", 1)])
    case = snapshot(where, [job("wide", [option("v100", replicas=2, devices=8)], 100.0)])
    plan = decide(case)
    assert plan.assignments == ()
    (one,) = help_for(case, plan, plan.unplaced[0])
    assert one == Help("one more v100 node in pool a/v100", 100.0)


def test_what_runs_already_and_what_nothing_helps_are_told_nothing() -> None:
    case = snapshot(fleet([pool("a", "v100", 1)]), [job("j", [option("v100")], 60.0)])
    plan = decide(case)
    assert help_for(case, plan, plan.assignments[0], 5) == ()
    assert helped(case, plan) == plan


def test_reruns_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = helping.rerun
    monkeypatch.setattr(helping, "rerun", lambda *given: calls.append(1) or real(*given))
    case = random_snapshot(5, 30, 8, 4)
    plan = decide(case)
    helped(case, plan)
    assert 0 < len(calls) <= 1 + helping.most_reruns(30)
    calls.clear()
    help_for(case, plan, plan.assignments[0], 5)
    assert 0 < len(calls) <= 1 + helping.OF_JOB


def test_gains_are_those_of_the_change_and_no_text_names_another_tenants_things() -> None:
    case = random_snapshot(7, 30, 4, 3)
    secret = tuple(
        replace(one, key=one.key._replace(namespace="rival", name=f"secret-{one.key.name}"), inputs=())
        if i % 2
        else one
        for i, one in enumerate(case.jobs)
    )
    case = replace(case, jobs=secret)
    plan = helped(case, decide(case))
    helps = [one for item in plan.assignments for one in item.explanation.helps]
    assert helps
    for one in helps:
        assert "secret" not in one.change and "job-" not in one.change and "data-" not in one.change
        assert one.sooner_seconds is None or one.sooner_seconds > 0.0
    assert all(len(item.explanation.helps) <= helping.SHOWN for item in plan.assignments)
    assert helped(case, decide(case)) == plan


def test_candidates_come_from_what_binds() -> None:
    where = fleet([pool("a", "npu", 0), pool("b", "v100", 1)], [link("a", "b", 0.8)])
    jobs = [
        job("first", [option("v100", devices=8)], 100.0, ["d0"]),
        job("second", [option("v100", devices=8)], 90.0),
    ]
    case = snapshot(where, jobs, [data_set("d0", 2, "a")])
    assert set(helping.candidates(decide(case), case)) <= {AddNodes("b/v100", 1), SetLink("a", "b", 1.6e9)}
