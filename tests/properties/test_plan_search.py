"""What holds of the search: more steps never worse, what is taken off leaves no trace, a promised plan is kept."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Snapshot, SolverLimits
from polyhull.domain.workloads import Promise, Serving
from polyhull.optimize.build import build_columns
from polyhull.planning.board import Board
from polyhull.planning.canonical import canonical
from polyhull.planning.decide import decide, quick
from polyhull.planning.instance import Instance
from polyhull.planning.reserve import reserve
from polyhull.planning.search import improve
from polyhull.planning.simulate import State
from polyhull.planning.start import first_schedules
from tests.builders import data_set, fleet, growth, job, link, node, option, pool, service, snapshot, variant
from tests.properties.amount import examples

PROFILE = examples(40, 0.1)


def crowded(seed: int, jobs: int = 14) -> Snapshot:
    """More work than devices at the data's home, links worth queueing for, tiers, growth, a deadline, a service."""
    dice = Random(seed)
    names = ["east", "north", "west"]
    pools = [
        pool(name, kind, [node(f"{name}-{kind}-{i}", dice.choice([4, 8])) for i in range(dice.randint(1, 2))],
             growth=growth(1, provision=20.0) if dice.random() < 0.2 else None)
        for name in names for kind in dice.sample(["v100", "npu"], dice.randint(1, 2))
    ]  # fmt: skip
    links = [link(a, b, dice.choice([0.1, 0.5])) for a in names for b in names if a != b]
    sets = [data_set(f"set{i}", dice.choice([1, 4, 9]), dice.choice(names)) for i in range(5)]
    work = []
    for i in range(jobs):
        options = [option(kind, dice.choice([1.0, 2.0]), dice.choice([1, 1, 2]), dice.choice([1, 2, 4]))
                   for kind in ("v100", "npu")]  # fmt: skip
        late = dice.choice([None, None, None, 400.0])
        one = job(f"job{i:02d}", options, dice.choice([40, 90, 210]), dice.sample([s.key.name for s in sets], 1),
                  priority=dice.choice([0, 0, 0, 3]))  # fmt: skip
        work.append(replace(one, deadline_at=one.created_at + late) if late is not None else one)
    services = []
    if dice.random() < 0.5:
        kinds = [
            replace(variant("v100"), name="large", quality=0.9),
            replace(variant("npu"), name="small", quality=0.7),
        ]
        services.append(service("chat", [(dice.choice(names), 4.0)], kinds))
    return snapshot(fleet(pools, links), work, sets, services)


def instance_of(case: Snapshot) -> Instance:
    case = canonical(case)
    return reserve(case, build_columns(case), ()).instance


def picture(board: Board) -> object:
    state = board.state
    return (
        [[(list(t), list(f)) for t, f in pool] for pool in state.nodes],
        [(list(t), list(f)) for t, f in state.links],
        dict(state.moved), list(state.born), list(state.left), list(board.slots),
        [set(one) for one in board.on_pool], {move: set(who) for move, who in board.readers.items() if who},
    )  # fmt: skip


@PROFILE
@given(st.integers(0, 10_000))
def test_more_steps_are_never_worse(seed: int) -> None:
    instance = instance_of(crowded(seed))
    start, _ = first_schedules(instance, None)
    before = start.objective[:-1]
    for steps in (1, 7, 40, 200, 600):
        found, taken = improve(instance, start, steps, 1)
        assert found.objective[:-1] <= before
        assert taken <= steps
        assert improve(instance, start, steps, 1)[0] == found
        before = found.objective[:-1]


@PROFILE
@given(st.integers(0, 10_000))
def test_an_undone_step_leaves_no_trace(seed: int) -> None:
    instance, dice = instance_of(crowded(seed)), Random(seed)
    board = Board(instance, State.of(instance))
    everyone = range(len(instance.jobs))
    for j in everyone:
        board.put(j, dice.sample(range(len(instance.choices[j])), len(instance.choices[j])), 1e9)
    for _ in range(6):
        board.begin()
        before = picture(board)
        some = dice.sample(everyone, dice.randint(1, len(instance.jobs)))
        for j in some:
            board.remove(j)
        for j in dice.sample(some, len(some)):
            board.put_soonest(j, range(len(instance.choices[j])), dice.choice([100.0, 500.0, 1e9]))
        board.undo()
        assert picture(board) == before


@PROFILE
@given(st.integers(0, 10_000))
def test_an_emptied_board_is_as_it_was(seed: int) -> None:
    case = crowded(seed)
    without_growth = replace(case.fleet, pools=tuple(replace(one, growth=None) for one in case.fleet.pools))
    instance, dice = instance_of(replace(case, fleet=without_growth)), Random(seed)
    board = Board(instance, State.of(instance))
    fresh = picture(board)
    for j in range(len(instance.jobs)):
        board.put(j, range(len(instance.choices[j])), 1e9)
    assert picture(board) != fresh
    for j in dice.sample(range(len(instance.jobs)), len(instance.jobs)):
        board.remove(j)
    nodes, links, *rest = picture(board)  # type: ignore[misc]
    assert nodes == fresh[0]  # type: ignore[index]
    assert rest == list(fresh[2:])  # type: ignore[index]
    for (times, free), (_, full) in zip(links, fresh[1], strict=True):  # type: ignore[index]
        assert len(times) >= 1
        assert free == pytest.approx([full[0]] * len(free), rel=1e-7)


def promised(case: Snapshot, plan: Decision) -> Snapshot:
    """What the controller tells the next decision."""
    now = plan.taken_at
    jobs = {
        a.job: Promise(a.cluster, a.pool, a.option, a.order, now + a.start_seconds, now + a.end_seconds)
        for a in plan.assignments
    }
    places = {
        one.service: tuple(Serving(r.cluster, r.pool, r.variant, r.replicas, r.nodes) for r in one.replicas)
        for one in plan.services
    }
    return replace(
        case,
        jobs=tuple(replace(one, promise=jobs.get(one.key)) for one in case.jobs),
        services=tuple(replace(one, promise=places.get(one.key, ())) for one in case.services),
    )


def clearly_sooner(case: Snapshot, before: Decision, after: Decision) -> bool:
    """Does some tier end sooner by what a move has to gain?"""

    def lasts(plan: Decision) -> list[float]:
        tier = {one.key: one.priority for one in case.jobs}
        ends = [(tier[a.job], a.end_seconds) for a in plan.assignments]
        return [max(end for t, end in ends if t == level) for level in sorted(set(tier.values()))]

    least = 1.0 - case.policy.minimum_gain
    return any(now <= then * least for then, now in zip(lasts(before), lasts(after), strict=True))


@examples(25, 0.1)
@given(st.integers(0, 10_000))
def test_a_promised_plan_is_decided_again(seed: int) -> None:
    case = crowded(seed, jobs=9)
    case = replace(case, policy=replace(case.policy, solver=SolverLimits(search_steps=60)))
    first = decide(case)
    again, inserted = decide(promised(case, first)), quick(promised(case, first))
    for other in (again, inserted):
        assert other.violations == ()
        if other is again and clearly_sooner(case, first, again):
            continue  # the search went on where the first had used up its steps
        assert [(s.service, s.replicas) for s in other.services] == [(s.service, s.replicas) for s in first.services]
        assert [(a.job, a.pool, a.option, a.start_seconds) for a in other.assignments] == [
            (a.job, a.pool, a.option, a.start_seconds) for a in first.assignments
        ]
        assert other.plan_hash == first.plan_hash


def test_the_search_empties_the_bank_of_a_tight_site() -> None:
    """Four whole-node jobs of two kinds and one long thin one: greedy orders leave a hole the search closes."""
    work = [job(f"wide{i}", [option("v100", 1.0, devices=4)], 40.0) for i in range(3)]
    work += [job(f"thin{i}", [option("v100", 1.0, devices=1)], 120.0 if i == 0 else 30.0) for i in range(9)]
    case = snapshot(fleet([pool("a", "v100", [node("n0", 4), node("n1", 4)])]), work)
    instance = instance_of(case)
    start, _ = first_schedules(instance, None)
    found, _ = improve(instance, start, 400, 1)
    work_seconds = sum(one.length * one.column.devices for (one, *_) in instance.choices)
    assert found.makespan <= max(120.0, work_seconds / 8) * 1.1
