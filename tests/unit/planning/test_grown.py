"""What makes a snapshot more than the last one with arrivals, and plans told by their difference."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from polyhull.domain.snapshot import Policy, Snapshot
from polyhull.planning.canonical import canonical
from polyhull.planning.carried import carrying
from polyhull.planning.decide import quick
from polyhull.planning.grown import Asked, arrivals, difference, grown
from polyhull.planning.validate import validate
from polyhull.planning.validate_scope import Passed
from tests.builders import NOW, data_set, job, option, random_snapshot


def waiting() -> tuple[Asked, Snapshot]:
    """A question with its answer, and the snapshot as it is then."""
    first = canonical(random_snapshot(3, 12, 3, 2, policy=Policy()))
    second = carrying(first, quick(first))
    decision = quick(second)
    return Asked(second, decision), carrying(second, decision)


NEW = replace(job("new", [option("v100", 1.0)], 60.0), created_at=NOW)


def test_who_came_and_what_came_with_them() -> None:
    before, then = waiting()
    data = data_set("fresh", 1, "s0")
    now = canonical(replace(then, jobs=(*then.jobs, NEW), data_sets=(*then.data_sets, data)))
    found = arrivals(before, now)
    assert found is not None
    assert (found.jobs, found.data_sets, found.plan_hash) == ((NEW,), (data,), before.decision.plan_hash)


@pytest.mark.parametrize(
    "change",
    [
        lambda now: replace(now, taken_at=NOW + 1.0),
        lambda now: replace(now, jobs=now.jobs[1:]),
        lambda now: replace(now, jobs=(replace(now.jobs[0], priority=3), *now.jobs[1:])),
        lambda now: replace(now, jobs=(replace(now.jobs[0], promise=None), *now.jobs[1:])),
        lambda now: replace(now, data_sets=now.data_sets[1:]),
        lambda now: replace(now, data_sets=(replace(now.data_sets[0], size_bytes=7), *now.data_sets[1:])),
        lambda now: replace(now, fleet=replace(now.fleet, pools=now.fleet.pools[1:])),
        lambda now: replace(now, policy=replace(now.policy, startup_seconds=9.0)),
    ],
)
def test_anything_else_is_no_arrival(change: Callable[[Snapshot], Snapshot]) -> None:
    before, then = waiting()
    now = replace(then, jobs=(*then.jobs, NEW))
    assert arrivals(before, now) is not None
    assert arrivals(before, change(now)) is None


def test_nothing_new_is_no_arrival() -> None:
    before, then = waiting()
    assert arrivals(before, then) is None


def test_a_plan_and_its_difference_make_the_plan() -> None:
    before, then = waiting()
    after = quick(canonical(replace(then, jobs=(*then.jobs, NEW))))
    assert grown(before.decision, difference(before.decision, after)) == after


def test_the_checker_looks_again_at_what_changed_and_finds_the_same() -> None:
    """A plan with one assignment broken: the same sentences from a look at all and from one at the difference."""
    _, then = waiting()
    good = quick(then)
    for k, one in enumerate(good.assignments):
        for broken in (
            replace(one, nodes=(("nowhere", 1),)),
            replace(one, start_seconds=0.0, end_seconds=one.end_seconds - one.start_seconds),
            replace(one, option="none"),
        ):
            passed = Passed(then, good)
            some = list(good.assignments)
            some[k] = broken
            decision = replace(good, assignments=tuple(some))
            part = passed.part(then, decision)
            assert part is not None
            assert {at.job for at in part.scope.assignments} == ({one.job} if broken != one else set())
            assert validate(then, decision, passed) == validate(then, decision)
    passed = Passed(then, good)
    twice = replace(good, assignments=(*good.assignments, good.assignments[0]))
    assert validate(then, twice, passed) == validate(then, twice)
    none = replace(good, assignments=good.assignments[1:])
    assert validate(then, none, passed) == validate(then, none)
    assert validate(then, none, passed)
