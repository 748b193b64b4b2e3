"""Moves of running jobs on random fleets: never worse than staying, no bound above them, none against the rules."""

from dataclasses import replace
from itertools import chain, combinations, permutations, product
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.fleet import Storage, StorageKind
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import Checkpoint, Placed, TrainingJob
from polyhull.optimize.build import build_columns
from polyhull.optimize.movers import Stop, stops
from polyhull.planning.canonical import canonical
from polyhull.planning.decide import decide, planned
from polyhull.planning.moves_side import stopped
from polyhull.planning.reserve import reserve
from polyhull.planning.simulate import run
from tests import builders as b
from tests.properties.amount import examples

POLICY = Policy(startup_seconds=2.0, solver=SolverLimits(search_steps=40), move_running=True, running_move_budget=2)


def under_way(case: Snapshot, seed: int, most: int = 4) -> Snapshot:
    """Some of the jobs that a plan starts at once have run for a while, in clusters with buckets; all save."""
    dice = Random(seed)
    clusters = tuple(
        replace(one, storage=Storage(StorageKind.BUCKET, url=f"s3://{one.site}")) for one in case.fleet.clusters
    )
    fleet = replace(case.fleet, clusters=clusters)
    jobs = tuple(
        replace(one, checkpoint=Checkpoint(dice.choice([1, 20, 300]) * 10**9, dice.choice([300.0, None, 900.0])))
        for one in case.jobs
    )
    case = replace(case, fleet=fleet, jobs=jobs)
    begun = [one for one in planned(case).decision.assignments if one.start_seconds <= 0.0][:most]
    placed: dict[object, Placed] = {}
    for one in begun:
        # On any pool that takes it now, not on the best one.
        at = b.NOW - dice.choice([700.0, 1500.0, 4000.0])
        placed[one.job] = Placed(one.cluster, one.pool, one.option, one.nodes, at - 5.0, at)
    started = tuple(replace(job, placed=placed.get(job.key)) for job in case.jobs)
    return replace(case, jobs=started, policy=POLICY)


def slowed(case: Snapshot, seed: int) -> Snapshot:
    """What runs turns out to be slower there than was thought."""
    dice = Random(seed)

    def slower(job: TrainingJob) -> TrainingJob:
        if job.placed is None:
            return job
        by = dice.choice([1.0, 4.0, 10.0])
        options = tuple(
            replace(one, rate_per_second=(one.rate_per_second or 1.0) / by) if one.name == job.placed.option else one
            for one in job.options
        )
        return replace(job, options=options)

    return replace(case, jobs=tuple(map(slower, case.jobs)))


@examples(8, 0.05)
@given(st.integers(0, 10_000))
def test_moves_make_no_plan_worse_and_the_bound_is_true_of_both(seed: int) -> None:
    case = slowed(under_way(b.random_snapshot(seed, 9, 5, 3, nodes=1), seed), seed)
    stay = decide(replace(case, policy=replace(case.policy, move_running=False)))
    plan = decide(case)
    assert stay.violations == plan.violations == ()
    assert len(plan.assignments) >= len(stay.assignments)
    assert plan.makespan_seconds <= stay.makespan_seconds * (1 + 1e-9)
    assert plan.lower_bound_seconds <= plan.makespan_seconds * (1 + 1e-9)
    if plan.moves:
        gain = case.policy.minimum_gain * len(plan.moves)
        assert plan.makespan_seconds <= stay.makespan_seconds * (1 - gain) + 1e-6
        assert len(plan.moves) <= case.policy.running_move_budget
    else:
        assert [one.pool for one in plan.assignments] == [one.pool for one in stay.assignments]
    assert decide(canonical(case)) == plan


def tiny(seed: int) -> Snapshot:
    """Two jobs run on the slow node of one site, two wait; two nodes of the other site are faster."""
    dice = Random(seed)
    jobs = []
    for i in range(4):
        options = [b.option("k80", dice.choice([0.2, 1.0])), b.option("v100", dice.choice([1.0, 3.0]))]
        saves = Checkpoint(dice.choice([1, 30, 200]) * 10**9, 200.0)
        job = b.job(f"job{i}", options, dice.choice([2000.0, 4000.0]), checkpoint=saves)
        if i < 2:
            at = b.NOW - dice.choice([800.0, 1200.0])
            job = replace(job, placed=Placed("a", "a/k80", "k80x1", (("a-k80-0", 1),), at, at))
        jobs.append(job)
    bucket = Storage(StorageKind.BUCKET, url="s3://copies", bytes_per_second=2e10)
    where = b.fleet(
        [b.pool("a", "k80", 1, 2), b.pool("b", "v100", 1, 2)],
        [b.link("a", "b", dice.choice([0.5, 5.0]))],
        [b.cluster(name, storage=bucket) for name in "ab"],
    )
    return b.snapshot(where, jobs, policy=POLICY)


def brute_force(case: Snapshot) -> float:
    """Everybody who may be stopped is or is not, in every order and column: the least makespan."""
    case = canonical(case)
    may = {key: stop for key, stop in stops(case).items() if isinstance(stop, Stop)}
    best = float("inf")
    for moved in chain.from_iterable(combinations(sorted(may), n) for n in range(len(may) + 1)):
        shot = stopped(case, {key: may[key] for key in moved})
        instance = reserve(shot, build_columns(shot), ()).instance
        for columns in product(*(range(len(options)) for options in instance.choices)):
            for order in permutations(range(len(instance.jobs))):
                best = min(best, run(instance, order, columns).makespan)
    return best


@examples(4, 0.02)
@given(st.integers(0, 10_000))
def test_no_plan_is_better_than_all_there_are_and_no_bound_above_them(seed: int) -> None:
    case = tiny(seed)
    plan, best = decide(case), brute_force(case)
    assert plan.violations == ()
    assert plan.lower_bound_seconds <= best * (1 + 1e-9)
    assert best <= plan.makespan_seconds * (1 + 1e-9)


def test_where_a_move_pays_the_plan_is_the_best_there_is() -> None:
    for seed in (1, 2, 4, 5, 6, 9):
        case = tiny(seed)
        plan = decide(case)
        assert plan.moves != ()
        assert plan.makespan_seconds <= brute_force(case) * (1 + 1e-9)
