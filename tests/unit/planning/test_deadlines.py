"""Deadlines: the least-weight set is late, late jobs still run, and each says what would help."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from polyhull.domain.workloads import TrainingJob
from polyhull.optimize.build import build_columns
from polyhull.planning.canonical import canonical
from polyhull.planning.deadlines import fewest_late
from polyhull.planning.decide import decide
from polyhull.planning.instance import Instance
from polyhull.planning.objectives import PER_UNIT
from polyhull.planning.reserve import reserve
from polyhull.planning.simulate import run
from polyhull.planning.start import first_schedules
from polyhull.planning.validate import validate
from tests.builders import NOW, fleet, job, option, pool, snapshot


def due(name: str, seconds: float, deadline: float | None, age: float = 0.0, **changes: object) -> TrainingJob:
    """A job that takes a whole one-node pool for `seconds`."""
    made = job(name, [option("v100", 1.0, devices=8)], seconds, **changes)
    return replace(made, created_at=NOW - age, deadline_at=None if deadline is None else NOW + deadline)


def instance_of(jobs: Sequence[TrainingJob]) -> Instance:
    case = canonical(snapshot(fleet([pool("a", "v100", 1)]), jobs))
    return reserve(case, build_columns(case), ()).instance


def late_weight(instance: Instance, jobs: Sequence[TrainingJob]) -> float:
    """By trying every order."""
    orders = permutations(range(len(jobs)))
    return min(run(instance, order).objective[1] for order in orders) / PER_UNIT


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(-1, 30), st.integers(0, 3)), min_size=1, max_size=5))
def test_the_late_set_weighs_as_little_as_any_order_allows(jobs: list[tuple[int, int, int]]) -> None:
    many = [due(f"j{i}", 100.0 * long, 100.0 * by, 3600.0 * age) for i, (long, by, age) in enumerate(jobs)]
    instance = instance_of(many)
    start, _ = first_schedules(instance, None)
    found, steps = fewest_late(instance, start, 400, 1)
    assert found.objective[1] / PER_UNIT <= late_weight(instance, many) + 1e-6
    assert fewest_late(instance, start, 400, 1) == (found, steps)


def test_a_deadline_goes_before_the_makespan_and_is_checked() -> None:
    where = fleet([pool("a", "v100", 1), pool("b", "npu", 1)])
    jobs = [
        job("bulk", [option("v100", 1.0, devices=8)], 1000.0),
        job(
            "urgent", [option("v100", 1.0, devices=8), option("npu", 0.2, devices=8)], 200.0, deadline_at=NOW + 250.0
        ),
    ]
    case = snapshot(where, jobs)
    plan = decide(case)
    urgent = next(a for a in plan.assignments if a.job.name == "urgent")
    assert (urgent.start_seconds, urgent.late_seconds, plan.makespan_seconds) == (0.0, 0.0, 1200.0)
    wrong = tuple(replace(a, deadline_seconds=None) for a in plan.assignments)
    assert any("deadline" in said for said in validate(case, replace(plan, assignments=wrong)))


def test_an_impossible_deadline_costs_nobody_else_and_says_what_would_help() -> None:
    jobs = [due("never", 500.0, 100.0), due("one", 300.0, 400.0), due("two", 300.0, 650.0)]
    plan = decide(snapshot(fleet([pool("a", "v100", 1)]), jobs))
    by = {a.job.name: a for a in plan.assignments}
    assert (by["one"].late_seconds, by["two"].late_seconds) == (0.0, 0.0)
    assert by["never"].late_seconds == 1000.0
    assert "even alone on the whole fleet it would end 6 min 40 s late" in by["never"].remedy


def test_a_late_job_that_others_delay_learns_that_priority_would_help() -> None:
    jobs = [due("heavy", 300.0, 300.0, age=7200.0), due("light", 300.0, 400.0)]
    plan = decide(snapshot(fleet([pool("a", "v100", 1)]), jobs))
    light = next(a for a in plan.assignments if a.job.name == "light")
    assert light.late_seconds == 200.0
    assert "higher priority" in light.remedy
    raised = decide(snapshot(fleet([pool("a", "v100", 1)]), [jobs[0], replace(jobs[1], priority=1)]))
    assert next(a for a in raised.assignments if a.job.name == "light").late_seconds == 0.0


def test_deadlines_of_a_higher_tier_come_first() -> None:
    jobs = [due("low", 300.0, 300.0, age=36_000.0), due("high", 300.0, 300.0, priority=5)]
    plan = decide(snapshot(fleet([pool("a", "v100", 1)]), jobs))
    assert {a.job.name: a.late_seconds for a in plan.assignments} == {"high": 0.0, "low": 300.0}


def test_absurd_deadlines_harm_nobody() -> None:
    jobs = [due("past", 300.0, -NOW), due("far", 300.0, 1e15), due("none", 300.0, None)]
    plan = decide(snapshot(fleet([pool("a", "v100", 1)]), jobs))
    assert plan.violations == () and len(plan.assignments) == 3
    assert [a.job.name for a in plan.assignments if a.late_seconds > 0.0] == ["past"]
