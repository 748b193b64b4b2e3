"""Promises are kept or counted; a fresh plan moves no more jobs than pay, never back and forth, within the budget."""

from dataclasses import replace

import pytest

from polyhull.domain.decision import Assignment, Decision
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import Promise, TrainingJob
from polyhull.planning.carried import carrying
from polyhull.planning.decide import decide, quick
from polyhull.planning.urgency import allowance, promised, renewed, settled, weight
from tests.builders import NOW, fleet, job, option, pool, random_snapshot, snapshot

PLACE = ("a", "a/v100", "v100x1")


def by_name(plan: Decision) -> dict[str, Assignment]:
    return {one.job.name: one for one in plan.assignments}


def promise(due: float, given: float = 0.0, slips: int = 0, **more: object) -> Promise:
    return Promise(*PLACE, 1, NOW, NOW + due, NOW + due, NOW + given, slips, **more)  # type: ignore[arg-type]


def test_the_first_plan_gives_a_promise_and_later_ones_keep_it() -> None:
    first = renewed(None, NOW, PLACE, 1, (0.0, 3600.0))
    assert (first.due_at, first.given_at, first.slips) == (NOW + 3600.0, NOW, 0)
    later = renewed(first, NOW + 60.0, PLACE, 2, (0.0, 3600.0 + 500.0))
    assert (later.due_at, later.given_at, later.slips) == (first.due_at, first.given_at, 0)
    assert later.finish_at == NOW + 60.0 + 4100.0


def test_the_allowance_is_a_tenth_of_the_span_and_at_least_ten_minutes() -> None:
    assert allowance(promise(1000.0)) == 600.0
    assert allowance(promise(36_000.0)) == 3600.0
    assert allowance(promise(36_000.0, slips=3)) == 1.0
    one = replace(job("j", [option("v100")]), promise=promise(1000.0))
    assert promised(one, NOW + 100.0) == 1500.0


def test_a_slip_is_counted_and_the_promise_given_anew() -> None:
    first = promise(1000.0)
    slipped = renewed(first, NOW + 300.0, PLACE, 1, (0.0, 1400.0))
    assert (slipped.slips, slipped.due_at, slipped.given_at) == (1, NOW + 1700.0, NOW + 300.0)
    assert not settled(replace(job("j", [option("v100")]), promise=replace(slipped, slips=2)))
    assert settled(replace(job("j", [option("v100")]), promise=replace(slipped, slips=3)))


def test_a_move_is_remembered() -> None:
    moved = renewed(promise(1000.0), NOW + 50.0, ("b", "b/npu", "npux1"), 1, (0.0, 900.0))
    assert (moved.moved_at, moved.left) == (NOW + 50.0, ("a/v100", "v100x1"))
    stays = renewed(moved, NOW + 90.0, ("b", "b/npu", "npux1"), 1, (0.0, 900.0))
    assert (stays.moved_at, stays.left) == (NOW + 50.0, ("a/v100", "v100x1"))


def test_weights_grow_with_age_and_absurd_ages_do_no_harm() -> None:
    fresh = job("j", [option("v100")])
    assert weight(replace(fresh, created_at=NOW - 7200.0), NOW) == pytest.approx(3.0)
    assert weight(replace(fresh, created_at=0.0), NOW) == 1.0, "a file has no age"
    assert weight(replace(fresh, created_at=NOW + 500.0), NOW) == 1.0, "a clock that runs ahead"


def two_places(*jobs: TrainingJob, policy: Policy | None = None) -> Snapshot:
    return snapshot(fleet([pool("a", "v100", 1, devices=1), pool("b", "npu", 1, devices=1)]), jobs, policy=policy)


def either(name: str, work: float = 100.0, **changes: object) -> TrainingJob:
    return job(name, [option("v100", 1.0), option("npu", 1.0)], work, **changes)


def test_a_promise_is_kept_although_another_order_ends_sooner() -> None:
    """The long job first is the shorter plan; the short one was promised to be first."""
    short = replace(job("short", [option("v100", 1.0)], 1000.0), promise=promise(1000.0))
    other = replace(
        job("other", [option("v100", 1.0), option("npu", 0.2)], 1000.0),
        promise=replace(promise(2000.0), order=2),
    )
    case = two_places(short, other)
    plan = by_name(decide(case))
    assert plan["short"].end_seconds == 1000.0
    assert plan["short"].promise is not None and plan["short"].promise.slips == 0


def test_a_higher_tier_may_break_a_promise_and_the_slip_is_counted() -> None:
    waiting = replace(job("low", [option("v100", 1.0)], 3000.0), promise=promise(3000.0))
    urgent = job("high", [option("v100", 1.0)], 3000.0, priority=1)
    plan = by_name(decide(two_places(waiting, urgent)))
    assert plan["high"].start_seconds == 0.0
    told = plan["low"].promise
    assert told is not None and (told.slips, told.due_at) == (1, NOW + 6000.0)


def test_after_three_slips_the_start_is_fixed() -> None:
    tired = replace(job("tired", [option("v100", 1.0)], 3000.0), promise=replace(promise(3000.0, slips=3), order=9))
    others = [
        replace(job(f"j{i}", [option("v100", 1.0)], 100.0), promise=replace(promise(100.0 * i), order=i))
        for i in range(1, 4)
    ]
    plan = by_name(decide(two_places(tired, *others)))
    assert plan["tired"].start_seconds == 0.0


def test_no_more_jobs_move_than_pay() -> None:
    """Six jobs wait in one place of two equal ones; one move shortens the plan most, each further one less."""
    jobs = [replace(either(f"j{i}"), promise=replace(promise(100.0 * i), order=i)) for i in range(1, 7)]
    plan = decide(two_places(*jobs))
    moved = [a for a in plan.assignments if a.pool == "b/npu"]
    assert len(moved) == 3 and plan.makespan_seconds == 300.0
    calm = decide(two_places(*jobs, policy=replace(two_places().policy, move_budget=1)))
    assert sum(a.pool == "b/npu" for a in calm.assignments) == 1 and calm.makespan_seconds == 500.0
    still = decide(two_places(*jobs, policy=replace(two_places().policy, move_budget=0)))
    assert still.makespan_seconds == 600.0 and "kept" in still.solver.status


def test_a_job_that_moved_rests_and_never_goes_straight_back() -> None:
    policy = Policy(startup_seconds=0.0, bandwidth_margin=1.0, solver=SolverLimits(search_steps=50))
    jobs = [replace(either(f"j{i}"), promise=replace(promise(100.0 * i), order=i)) for i in (1, 2)]
    rests = [replace(one, promise=replace(one.promise, moved_at=NOW - 60.0)) for one in jobs if one.promise]
    assert decide(two_places(*jobs, policy=policy)).makespan_seconds == 100.0
    assert decide(two_places(*rests, policy=policy)).makespan_seconds == 200.0
    rested = replace(policy, cool_down_seconds=30.0)
    assert decide(two_places(*rests, policy=rested)).makespan_seconds == 100.0
    came = [replace(one, promise=replace(one.promise, left=("b/npu", "npux1"))) for one in jobs if one.promise]
    assert decide(two_places(*came, policy=policy)).makespan_seconds == 200.0


def test_an_arrival_is_inserted_at_once_and_gets_a_promise() -> None:
    case = random_snapshot(7, 20, 4, 3)
    kept = carrying(case, decide(case))
    new = job("arrival", [option("v100", 1.0)], 500.0)
    plan = by_name(quick(replace(kept, jobs=tuple(sorted((*kept.jobs, new), key=lambda one: one.key)))))
    told = plan["arrival"].promise
    assert told is not None and told.due_at == NOW + plan["arrival"].end_seconds and told.slips == 0
    assert all(one.promise is not None and one.promise.slips == 0 for one in plan.values())
