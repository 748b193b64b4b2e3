"""A look at what changed finds what a look at everything finds, whatever was done to a plan that had passed."""

from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.decision import Assignment, Decision, Transfer, Unplaced
from polyhull.domain.snapshot import Policy, Snapshot
from polyhull.planning.canonical import canonical
from polyhull.planning.decide import quick
from polyhull.planning.validate import validate
from polyhull.planning.validate_difference import Known
from polyhull.planning.validate_scope import Passed
from tests.builders import NOW, job, option, random_snapshot
from tests.kernel_cases import everything
from tests.properties.amount import examples

PROFILE = examples(40)
Break = Callable[[Snapshot, Decision, Random], tuple[Snapshot, Decision]]


def _one(one: Assignment, other: Assignment, dice: Random) -> Assignment:
    start = dice.choice([0.0, one.start_seconds, one.start_seconds / 2, other.start_seconds])
    return dice.choice(
        [
            replace(one, start_seconds=start, end_seconds=start + one.end_seconds - one.start_seconds),
            replace(one, nodes=other.nodes, pool=other.pool, cluster=other.cluster, site=other.site),
            replace(one, option="none"),
            replace(one, end_seconds=one.end_seconds * 1.5),
            replace(one, deadline_seconds=5.0),
            replace(one, end_p50_seconds=1.0),
            replace(one, job=other.job),
        ]
    )


def _moved(one: Transfer, dice: Random) -> Transfer:
    return dice.choice(
        [
            replace(one, start_seconds=0.0, end_seconds=one.end_seconds - one.start_seconds),
            replace(one, rate_bytes_per_second=one.rate_bytes_per_second * 3.0),
            replace(one, links=one.links[1:]),
        ]
    )


def _assignments(snapshot: Snapshot, plan: Decision, dice: Random) -> tuple[Snapshot, Decision]:
    some = list(plan.assignments)
    for _ in range(dice.randint(1, 3)):
        k = dice.randrange(len(some))
        some[k] = _one(some[k], dice.choice(plan.assignments), dice)
    return snapshot, replace(plan, assignments=tuple(some))


def _transfers(snapshot: Snapshot, plan: Decision, dice: Random) -> tuple[Snapshot, Decision]:
    some = list(plan.transfers)
    if some:
        k = dice.randrange(len(some))
        some[k : k + 1] = dice.choice([[], [_moved(some[k], dice)], [some[k], some[k]]])
    return snapshot, replace(plan, transfers=tuple(some))


def _lists(snapshot: Snapshot, plan: Decision, dice: Random) -> tuple[Snapshot, Decision]:
    some = list(plan.assignments)
    one = some.pop(dice.randrange(len(some)))
    if dice.random() < 0.5:
        return snapshot, replace(plan, assignments=(*some, one, one))
    why = (*plan.unplaced, Unplaced(one.job, "NoPool", "nowhere"))
    return snapshot, replace(
        plan, assignments=tuple(some), unplaced=dice.choice([why, (*why, why[-1]), plan.unplaced])
    )


def _jobs(snapshot: Snapshot, plan: Decision, dice: Random) -> tuple[Snapshot, Decision]:
    new = job("new", [option("v100", 1.0)], 60.0)
    known = dice.choice(snapshot.jobs)
    grown = dice.choice([(*snapshot.jobs, new), (*snapshot.jobs, known), snapshot.jobs[1:]])
    told = (*plan.unplaced, Unplaced(new.key, "NoPool", "nowhere"))
    return replace(snapshot, jobs=grown), replace(plan, unplaced=dice.choice([told, plan.unplaced]))


def _totals(snapshot: Snapshot, plan: Decision, dice: Random) -> tuple[Snapshot, Decision]:
    longer = replace(plan, makespan_seconds=plan.makespan_seconds + 1.0)
    return snapshot, dice.choice([longer, replace(plan, lower_bound_seconds=plan.makespan_seconds * 2.0)])


BREAKS: tuple[Break, ...] = (_assignments, _transfers, _lists, _jobs, _totals)


@PROFILE
@given(st.integers(0, 100_000))
def test_a_broken_plan_is_told_the_same(seed: int) -> None:
    dice = Random(seed)
    snapshot = canonical(everything(seed) if seed % 3 else random_snapshot(seed, 14, 4, 3, policy=Policy()))
    good = quick(replace(snapshot, taken_at=NOW))
    snapshot = replace(snapshot, taken_at=NOW)
    if not good.assignments or good.violations:
        return
    passed = Passed(snapshot, good)
    for _ in range(6):
        now, broken = dice.choice(BREAKS)(snapshot, good, dice)
        everything_said = validate(now, broken)
        assert validate(now, broken, passed) == everything_said
        if not everything_said:
            snapshot, good = now, broken  # it passed, so that is what the next one grows out of
            assert passed.decision is good


@PROFILE
@given(st.lists(st.integers(0, 30), unique=True), st.lists(st.integers(0, 30), unique=True), st.integers(0, 7))
def test_what_is_new_is_found_by_name(before: list[int], after: list[int], kept: int) -> None:
    """Ordered lists in which some things are the very same objects and some were replaced by others."""
    old = {name: (str(name), object()) for name in before}
    new = {name: old[name] if name in old and name % 8 != kept else (str(name), object()) for name in after}
    known = Known([old[name] for name in sorted(old)], lambda one: int(one[0]))
    now = [new[name] for name in sorted(new)]
    found = known.change(now)
    assert found is not None
    assert dict(found.gone) == {name: one for name, one in old.items() if new.get(name) is not one}
    assert dict(found.come) == {name: one for name, one in new.items() if old.get(name) is not one}
    known.follow(now, found)
    assert known.by_name == new
    assert known.change([*now, *now[:1]]) is None or not now


def test_what_says_the_same_is_no_change() -> None:
    known = Known([job("a", [option("v100", 1.0)], 1.0)], attrgetter("key"))
    found = known.change([job("a", [option("v100", 1.0)], 1.0)])
    assert found is not None
    assert len(found.come) == 1
    assert not found.less(attrgetter("work_quantity")).come
