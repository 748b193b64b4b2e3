"""What holds of every plan, on random fleets: it passes the checker, lies between bound and greedy, never varies."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.decision import BoundKind
from polyhull.domain.labels import Selector, labels_of
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import Copy
from polyhull.planning.decide import decide, quick
from tests.builders import (
    cluster,
    data_set,
    fleet,
    growth,
    job,
    link,
    node,
    option,
    pool,
    room,
    service,
    site,
    snapshot,
    variant,
)
from tests.kernel_cases import everything
from tests.properties.amount import examples

POLICY = Policy(startup_seconds=1.0, bandwidth_margin=0.9, solver=SolverLimits(search_steps=30))


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Two or three sites, uneven nodes, shared and private data, gangs, tiers, services, growth."""
    dice = Random(draw(st.integers(0, 2**32)))
    names = ["east", "north", "west"][: draw(st.integers(1, 3))]
    kinds = ["v100", "npu", "cpu"]
    pools = []
    for name in names:
        for kind in dice.sample(kinds, dice.randint(1, 3)):
            many = [
                node(f"{name}-{kind}-{i}", dice.choice([4, 8, 8]), schedulable=dice.random() < 0.9)
                for i in range(dice.randint(0, 3))
            ]
            more = growth(dice.randint(1, 2), provision=dice.choice([0.0, 50.0])) if dice.random() < 0.3 else None
            pools.append(pool(name, kind, many, growth=more))
    links = [
        link(a, b, dice.choice([0.1, 0.4, 1.0, 1.0]), latency_seconds=dice.choice([0.001, 0.02]))
        for a in names
        for b in names
        if a != b and dice.random() < 0.8
    ]
    sites = [site(name, country=dice.choice(["cn", "de"])) for name in names]
    sets = []
    for i in range(draw(st.integers(1, 4))):
        homes = dice.sample(names, dice.randint(1, len(names)))
        residency = Selector(labels_of({"country": "cn"})) if dice.random() < 0.15 else Selector()
        limit = dice.choice([None, None, 1, 2])
        sets.append(data_set(f"set{i}", dice.choice([1, 5, 20]), *homes, residency=residency, max_copies=limit))
        if dice.random() < 0.2:
            at = dice.choice(names)
            sets[-1] = replace(sets[-1], copies=(Copy(f"cluster:{at}", at),))
    jobs = []
    for i in range(draw(st.integers(0, 9))):
        options = [
            option(kind, dice.choice([0.5, 1.0, 2.0, 7.3]), dice.choice([1, 1, 2, 3]), dice.choice([1, 2, 4, 5, 8]))
            for kind in dice.sample(kinds, dice.randint(1, 3))
        ]
        data = dice.sample([one.key.name for one in sets], dice.randint(0, min(2, len(sets))))
        jobs.append(job(f"job{i}", options, dice.choice([50, 200, 333.3]), data, priority=dice.choice([0, 0, 0, 5])))
    services = []
    if dice.random() < 0.4:
        model = dice.choice(["", sets[0].key.name])
        services.append(
            service("chat", [(dice.choice(names), dice.choice([3.0, 20.0]))], [variant("v100", model=model)])
        )
    return snapshot(fleet(pools, links, sites=sites), jobs, sets, services, policy=POLICY)


@examples(60)
@given(snapshots())
def test_every_plan_passes_the_checker_and_lies_between_bound_and_greedy(case: Snapshot) -> None:
    plan = decide(case)
    assert plan.violations == ()
    assert plan.lower_bound_seconds <= plan.makespan_seconds * (1 + 1e-9)
    assert (plan.lower_bound_seconds > 0) == (plan.bound_kind is not BoundKind.NONE)
    everyone = {one.key for one in case.jobs}
    assert {a.job for a in plan.assignments} | {u.job for u in plan.unplaced} >= everyone
    if all(one.priority == 0 for one in case.jobs) and not any(u.job in everyone for u in plan.unplaced):
        for rival in (plan.baselines.locality_only_seconds, plan.baselines.compute_only_seconds):
            assert rival is None or plan.makespan_seconds <= rival * (1 + 1e-9)
    for a in plan.assignments:
        why = a.explanation
        split = why.queue_seconds + why.transfer_seconds + why.startup_seconds + why.compute_seconds
        assert split == pytest.approx(a.end_seconds, rel=1e-9, abs=1e-6)
        assert why.binds


@examples(60)
@given(snapshots())
def test_the_insertion_passes_the_checker_too(case: Snapshot) -> None:
    assert quick(case).violations == ()


@examples(12, 0.3)
@given(st.integers(0, 100_000))
def test_plans_of_a_bit_of_everything_pass_the_checker(seed: int) -> None:
    """Streams, caps, running transfers, promises and limits together, as the kernel's tests have them."""
    case = everything(seed)
    for plan in (decide(case), quick(case)):
        assert plan.violations == ()
        assert plan.lower_bound_seconds <= plan.makespan_seconds * (1 + 1e-9)


@examples(20, 0.5)
@given(snapshots(), st.integers(0, 1000))
def test_the_order_of_objects_changes_nothing(case: Snapshot, seed: int) -> None:
    dice = Random(seed)

    def mixed(values: tuple) -> tuple:  # type: ignore[type-arg]
        return tuple(dice.sample(values, len(values)))

    where = case.fleet
    pools = tuple(replace(one, nodes=mixed(one.nodes)) for one in where.pools)
    shuffled = replace(
        case,
        jobs=mixed(case.jobs),
        data_sets=mixed(case.data_sets),
        fleet=replace(where, sites=mixed(where.sites), links=mixed(where.links), clusters=mixed(where.clusters),
                      pools=mixed(pools), accelerators=mixed(where.accelerators)),
    )  # fmt: skip
    assert decide(shuffled) == decide(case)


@examples(20, 0.5)
@given(snapshots())
def test_names_decide_nothing(case: Snapshot) -> None:
    """Longer names in the same order: the same seconds."""
    renamed = replace(
        case,
        jobs=tuple(replace(one, key=one.key._replace(name=f"zz-{one.key.name}-renamed")) for one in case.jobs),
    )
    first, second = decide(case), decide(renamed)
    assert first.makespan_seconds == second.makespan_seconds
    assert [a.pool for a in first.assignments] == [a.pool for a in second.assignments]


DEGENERATE = {
    "nothing": snapshot(fleet([])),
    "no jobs": snapshot(fleet([pool("a", "v100")])),
    "no pools": snapshot(fleet([]), [job("j", [option("v100")])]),
    "empty pool": snapshot(fleet([pool("a", "v100", 0)]), [job("j", [option("v100")])]),
    "no options": snapshot(fleet([pool("a", "v100")]), [job("j", [])]),
    "no bandwidth": snapshot(
        fleet([pool("a", "v100")], [link("b", "a", 0.0)]),
        [job("j", [option("v100")], data=["d"])],
        [data_set("d", 1, "b")],
    ),
    "unknown data": snapshot(fleet([pool("a", "v100")]), [job("j", [option("v100")], data=["missing"])]),
    "empty data": snapshot(
        fleet([pool("a", "v100")], [link("b", "a")]),
        [job("j", [option("v100")], data=["d"])],
        [data_set("d", 0, "b")],
    ),
    "no storage": snapshot(
        fleet([pool("a", "v100")], [link("b", "a")], [cluster("a", storage=cluster("x").storage.__class__())]),
        [job("j", [option("v100")], data=["d"])],
        [data_set("d", 1, "b")],
    ),
    "zero devices": snapshot(
        fleet([pool("a", "v100", [node("n", 0)])]), [job("j", [option("v100", pod=room(0, 1, 1, 1))])]
    ),
    "growth only": snapshot(fleet([pool("a", "v100", 0, growth=growth(1))]), [job("j", [option("v100")])]),
    "service without a place": snapshot(
        fleet([pool("a", "npu")]), services=[service("s", [("a", 1.0)], [variant("v100")])]
    ),
}


@pytest.mark.parametrize("name", sorted(DEGENERATE))
def test_degenerate_input_gets_an_answer(name: str) -> None:
    case = DEGENERATE[name]
    for plan in (decide(case), quick(case)):
        assert plan.violations == ()
        assert len(plan.assignments) + len(plan.unplaced) == len(case.jobs) + len(case.services)
        assert all(entry.reason and entry.message for entry in plan.unplaced)


def test_a_thousand_identical_jobs() -> None:
    case = snapshot(fleet([pool("a", "v100", 10)]), [job(f"j{i:04d}", [option("v100")], 10.0) for i in range(1000)])
    plan = decide(case)
    assert plan.violations == ()
    assert plan.makespan_seconds == 130.0  # 80 devices: 12 full rounds of ten seconds and one of forty jobs
