"""Jobs over several sites among others: every plan passes the checker, and no bound is above any schedule."""

from dataclasses import replace
from itertools import permutations, product
from math import inf
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.decision import Decision
from polyhull.domain.fleet import Power, Site, Storage, StorageKind
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import Checkpoint, Output, Placed, PlacedPart, Span, SpanMode
from polyhull.optimize.build import build_columns
from polyhull.optimize.relaxation import relax
from polyhull.planning.decide import decide
from polyhull.planning.reserve import reserve
from polyhull.planning.simulate import run
from tests.builders import NOW, cluster, data_set, fleet, growth, job, link, option, pool, service, snapshot, variant
from tests.properties.amount import examples
from tests.properties.test_plan_brute_force import prove

POLICY = Policy(startup_seconds=1.0, solver=SolverLimits(search_steps=60))


def span(dice: Random) -> Span:
    return Span(
        dice.choice(list(SpanMode)),
        dice.choice([2, 2, 3]),
        dice.choice([1, 5, 50]),
        dice.choice([1.0, 4.0]),
        samples_per_step=dice.choice([1, 6, 16]),
        layers=dice.choice([1, 4, 9]),
        activation_bytes=dice.choice([0.0, 1e5, 1e7]),
        gradient_bytes=dice.choice([0.0, 1e7, 1e9]),
        state_bytes=dice.choice([0.0, 0.0, 3e10]),
    )


def saving(dice: Random) -> Checkpoint | None:
    return dice.choice([None, None, Checkpoint(10**9), Checkpoint(10**8, 600.0)])


def case(seed: int, jobs: int, services: bool = True) -> Snapshot:
    """Up to four sites with small pools, gangs some of which fit nowhere alone, data at some sites, watts capped."""
    dice = Random(seed)
    sites = "abcd"[: dice.randint(2, 4)]
    pools = [
        pool(
            at,
            kind,
            dice.randint(1, 2),
            dice.choice([2, 4]),
            slowdown=dice.choice([1.0, 1.0, 1.3]),
            growth=dice.choice([None, None, growth(dice.randint(1, 2), 4, dice.choice([5.0, 30.0]))]),
        )
        for at in sites
        for kind in dice.sample(["v100", "npu"], dice.randint(1, 2))
    ]
    links = [
        link(x, y, dice.choice([0.01, 0.5, 2.0]), latency_seconds=dice.choice([0.0, 0.02]))
        for x in sites
        for y in sites
        if x != y and dice.random() < 0.85
    ]
    sets = [data_set(f"set{i}", dice.choice([1, 4]), dice.choice(sites)) for i in range(2)]
    work = []
    for i in range(jobs):
        replicas = dice.choice([1, 2, 4, 6])
        options = [option(kind, dice.choice([0.5, 2.0]), replicas, dice.choice([1, 2])) for kind in ("v100", "npu")]
        data = [dice.choice(sets).key.name] if dice.random() < 0.4 else []
        work.append(
            job(
                f"job{i}",
                options,
                dice.choice([20.0, 90.0]),
                data,
                span=span(dice),
                checkpoint=saving(dice),
                output=dice.choice([None, None, Output(10**9, mounted=dice.random() < 0.5)]),
            )
        )
    watts = [Site(at, power=Power(cap_watts=dice.choice([None, None, 900.0]))) for at in sites]
    online = [service("chat", [(sites[0], 3.0)], [variant("v100"), replace(variant("npu"), name="n")])]
    asked = online if services and dice.random() < 0.4 else []
    stores = [Storage(), Storage(StorageKind.VOLUME), Storage(StorageKind.VOLUME, capacity_bytes=6 * 10**9)]
    clusters = [cluster(at, storage=dice.choice(stores[1:] * 2 + stores)) for at in sites]
    return snapshot(fleet(pools, links, clusters, sites=watts), work, sets, asked, policy=POLICY)


@examples(25)
@given(st.integers(0, 10**6))
def test_a_plan_passes_the_checker_and_its_bound_is_below(seed: int) -> None:
    one = case(seed, 5)
    plan = decide(one)
    assert plan.violations == ()
    assert plan.lower_bound_seconds <= plan.makespan_seconds * (1 + 1e-9)
    again = decide(released(one, plan, seed))
    assert again.violations == ()
    assert again.lower_bound_seconds <= again.makespan_seconds * (1 + 1e-9)


def released(one: Snapshot, plan: Decision, seed: int) -> Snapshot:
    """What the plan starts now runs; everything else is to be planned around it."""
    begun = {a.job: a for a in plan.assignments if a.release_now}
    jobs = []
    for each in one.jobs:
        a = begun.get(each.key)
        if a is not None:
            parts = tuple(PlacedPart(p.cluster, p.pool, p.option, p.replicas, p.nodes) for p in a.parts)
            started = NOW - 3.0 if seed % 2 else None
            each = replace(each, placed=Placed(a.cluster, a.pool, a.option, a.nodes, NOW - 5.0, started, parts=parts))
        jobs.append(each)
    return replace(one, jobs=tuple(jobs))


def test_what_cp_sat_proves_of_both_sites_is_below_the_plan() -> None:
    """Two gangs that fit no site alone take turns: the exact bound knows both pools of each."""
    both = [link(x, y, 1.0, latency_seconds=0.01) for x, y in ("ab", "ba")]
    many_copies = Span(SpanMode.DATA_PARALLEL, gradient_bytes=1e8, synchronize_steps=10)
    work = [job(name, [option("v100", 1.0, 4)], 50.0, span=many_copies) for name in ("one", "two")]
    policy = replace(POLICY, startup_seconds=0.0)
    plan = decide(snapshot(fleet([pool(at, "v100", 1, 2) for at in "ab"], both), work, policy=policy), prove)
    assert plan.violations == () and plan.makespan_seconds > 100.0
    assert plan.lower_bound_seconds >= plan.makespan_seconds * (1 - 1e-3)


@examples(25)
@given(st.integers(0, 10**6))
def test_no_order_of_any_columns_beats_the_bound(seed: int) -> None:
    """Every schedule that the simulation can make: each order of three jobs with each of their columns."""
    one = case(seed, 3, services=False)
    columns = build_columns(one)
    bound = relax(one, columns).lower_bound_seconds
    instance = reserve(one, columns, ()).instance
    if len(instance.jobs) < len(one.jobs):
        return
    few = [sorted(range(len(options)), key=lambda c: options[c].soonest)[:5] for options in instance.choices]
    best = min(
        (
            schedule.makespan
            for order in permutations(range(len(instance.jobs)))
            for chosen in product(*few)
            if None not in (schedule := run(instance, order, chosen)).slots
        ),
        default=inf,
    )
    assert bound <= best * (1 + 1e-9)
