"""PlacementPlans and approvals: told rarely, the latest wins, an approval lasts while what it approved stands."""

from dataclasses import replace
from typing import Any

from polyhull.controller import approval
from polyhull.controller.plans import Adopted, Plans
from polyhull.delivery.base import Apply, Delete, PutStatus
from polyhull.domain.decision import Assignment, Decision, Transfer, Unplaced
from polyhull.domain.snapshot import Mode, Policy
from polyhull.domain.workloads import Key


def assigned(name: str, pool: str = "a/p", start: float = 0.0, fixed: bool = False) -> Assignment:
    nodes = (("n", 1),)
    return Assignment(
        Key("team", name), "a", "a", pool, "cpu", "cpu", "CPU", 1, 1, nodes, 1, start, start + 9.0, fixed=fixed
    )


def plan(plan_hash: str, *assignments: Assignment) -> Decision:
    return Decision(1.0, assignments, makespan_seconds=9.0, plan_hash=plan_hash)


def adopted(decision: Decision, at: float) -> Adopted:
    return Adopted(decision, "record", {}, at)


def stored(decision: Decision, approved: str = "") -> dict[str, Any]:
    """Its object as the hub would hold it."""
    metadata = {"name": f"plan-{decision.plan_hash}", "uid": "u", "annotations": approval.annotation(decision)}
    body = {"apiVersion": "polyhull.io/v1alpha1", "kind": "PlacementPlan", "metadata": metadata}
    return body | {"spec": {"approval": {"planHash": approved}}, "status": {"planHash": decision.plan_hash}}


def test_the_first_is_told_at_once_and_the_next_not_before_its_time_and_then_the_latest() -> None:
    wakes: list[float] = []
    plans, waiting = Plans(wakes.append), assigned("two", start=5.0)
    plans.adopt(adopted(one := plan("h1", assigned("one"), waiting), 100.0))
    step = plans.due(one, False, [], 100.0)
    assert step is not None
    assert [type(action) for action in step[1]] == [Apply, PutStatus]
    plans.adopt(adopted(plan("h2", assigned("one"), assigned("two", "a/q", 5.0)), 101.0))
    latest = plan("h3", assigned("one"), assigned("two", "a/r", 5.0))
    plans.adopt(adopted(latest, 102.0))
    assert plans.due(latest, False, [], 103.0) is None
    assert wakes == [7.0]
    step = plans.due(latest, False, [], 110.0)
    assert step is not None
    assert step[0].name == "plan-h3"
    assert plans.due(latest, False, [], 200.0) is None


def test_where_nobody_waits_it_is_told_once_it_stands_and_after_a_minute_at_the_latest() -> None:
    plans = Plans(lambda seconds: None)
    plans.adopt(adopted(first := plan("h0", assigned("zero")), 0.0))
    assert plans.due(first, False, [], 0.0) is not None
    for second in range(1, 60):
        plans.adopt(adopted(present := plan(f"h{second}", assigned(f"job-{second}")), float(second)))
        assert plans.due(present, False, [], float(second)) is None
    assert plans.due(present, False, [], 60.0) is not None
    plans.adopt(adopted(present := plan("last", assigned("last")), 61.0))
    assert plans.due(present, False, [], 70.0) is None
    assert plans.due(present, False, [], 71.0) is not None


def test_the_same_assignments_are_not_told_again_unless_somebody_has_to_approve_them() -> None:
    plans = Plans(lambda seconds: None)
    plans.adopt(adopted(first := plan("h1", assigned("one"), assigned("two")), 0.0))
    assert plans.due(first, False, [], 0.0) is not None
    later = plan("h2", replace(assigned("one"), end_seconds=77.0))
    plans.adopt(adopted(later, 500.0))
    assert plans.due(later, False, [], 500.0) is None
    plans.adopt(adopted(later, 501.0))
    step = plans.due(later, True, [], 501.0)
    assert step is not None
    assert isinstance(step[1][0], Apply)
    assert step[1][0].manifest["metadata"]["annotations"] == approval.annotation(later)


def test_after_a_restart_a_plan_that_is_there_is_not_told_again() -> None:
    decision = plan("h1", assigned("one"))
    plans = Plans(lambda seconds: None)
    plans.adopt(adopted(decision, 0.0))
    assert plans.due(decision, True, [stored(decision)], 0.0) is None


def test_the_last_twenty_are_kept() -> None:
    decision = plan("new", assigned("one"))
    plans = Plans(lambda seconds: None)
    plans.adopt(adopted(decision, 0.0))
    held = [stored(plan(f"{k:02d}", assigned("one"))) for k in range(25)]
    for k, body in enumerate(held):
        body["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{k:02d}Z"
    step = plans.due(decision, False, held, 0.0)
    assert step is not None
    gone = [action.ref.name for action in step[1] if isinstance(action, Delete)]
    assert gone == [f"plan-{k:02d}" for k in range(6)]


ASKS = Policy(mode=Mode.RECOMMEND)


def test_an_approval_outlives_arrivals_releases_ends_and_estimates() -> None:
    approved = plan("h1", assigned("one"), assigned("two", start=9.0))
    plans = [stored(approved, "h1")]
    later = plan("h2", assigned("two", start=3.0), assigned("late"))
    found = approval.given(plans, later, ASKS)
    assert [found.covers(one) for one in later.assignments] == [True, False]
    assert found.covers(assigned("one", fixed=True))


def test_an_approval_is_void_once_an_assignment_it_approved_is_another() -> None:
    approved = plan("h1", assigned("one"), assigned("two"))
    plans = [stored(approved, "h1")]
    moved = plan("h2", assigned("one"), assigned("two", "a/q"))
    assert not approval.given(plans, moved, ASKS).covers(assigned("one"))
    without = replace(plan("h3", assigned("one")), unplaced=(Unplaced(Key("team", "two"), "NoCapacity", "full"),))
    assert not approval.given(plans, without, ASKS).covers(assigned("one"))


def test_an_approval_of_another_hash_approves_nothing() -> None:
    decision = plan("h1", assigned("one"))
    assert not approval.given([stored(decision, "other")], decision, ASKS).covers(assigned("one"))
    assert not approval.given([stored(decision)], decision, ASKS).covers(assigned("one"))


def test_a_copy_is_approved_with_the_job_that_reads_it() -> None:
    data = Key("team", "set", "DataSet")
    reader = replace(assigned("one"), data=((data, "store"),))
    moved = Transfer(data, "b", "s3://x/y", "a", "store", "a", ("b-to-a",), 1, 1.0, 0.0, 1.0)
    decision = plan("h1", reader)
    assert approval.given([stored(decision, "h1")], decision, ASKS).covers_copy(moved, decision)
    assert not approval.given([stored(decision, "h1")], decision, ASKS).covers_copy(
        replace(moved, store="x"), decision
    )


def test_only_namespaces_that_ask_wait_for_an_approval_and_void_one() -> None:
    policy = Policy(modes=(("look", Mode.OBSERVE), ("team", Mode.RECOMMEND)))
    free, watched = (replace(assigned("one"), job=Key(name, "one")) for name in ("other", "look"))
    approved = plan("h1", assigned("one"), free)
    moved = plan("h2", assigned("one"), replace(free, pool="a/q"), watched)
    found = approval.given([stored(approved, "h1")], moved, policy)
    assert [found.covers(one) for one in moved.assignments] == [True, True, False]
    asked = approval.given([], moved, policy)
    assert [asked.covers(one) for one in moved.assignments] == [False, True, False]
    data = Key("look", "set", "DataSet")
    copy = Transfer(data, "b", "s3://x/y", "a", "store", "a", (), 1, 1.0, 0.0, 1.0)
    assert not found.covers_copy(copy, moved)
    assert found.covers_copy(replace(copy, data_set=Key("other", "set", "DataSet")), moved)
