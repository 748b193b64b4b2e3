"""A stream of jobs around the real decision: no later than gathering them in batches, nobody starves, few moves."""

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stream import Account, Stream, saving
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import TrainingJob
from polyhull.planning.decide import decide
from tests.builders import NOW, fleet, job, link, option, pool, random_snapshot, snapshot
from tests.properties.amount import examples

POLICY = Policy(startup_seconds=0.0, bandwidth_margin=1.0, solver=SolverLimits(search_steps=60))


def streamed(base: Snapshot, arrivals: list[TrainingJob], noise: float = 0.0) -> Account:
    account = Stream(replace(base, jobs=()), arrivals, noise=noise, tick_seconds=1e9 if noise == 0.0 else 900.0).run()
    assert account.violations == ()
    assert set(account.ends) == {one.key for one in arrivals}
    return account


def gathered(base: Snapshot, arrivals: list[TrainingJob]) -> float:
    """The reference: arrivals wait until the batch before them is done, then they are planned together."""
    ahead, now = sorted(arrivals, key=lambda one: one.created_at), 0.0
    while ahead:
        now = max(now, ahead[0].created_at)
        batch = [one for one in ahead if one.created_at <= now]
        ahead = ahead[len(batch) :]
        now += decide(
            replace(base, taken_at=now, jobs=tuple(sorted(batch, key=lambda one: one.key)))
        ).makespan_seconds
    return now


@examples(6, 0.02)
@given(st.integers(0, 10_000))
def test_a_stream_ends_no_later_than_batches_of_it(seed: int) -> None:
    """The reference that is 2 rho-competitive: whoever is never later than it is so too."""
    dice = Random(seed)
    case = random_snapshot(seed, 8, 4, 2, policy=POLICY, nodes=1)
    arrivals = [replace(one, created_at=NOW + dice.choice([0.0, 300.0, 1500.0, 6000.0])) for one in case.jobs]
    assert max(streamed(case, arrivals).ends.values()) <= gathered(case, arrivals) * (1 + 1e-6)


@examples(6, 0.02)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 12), st.sampled_from([1, 2, 4])), min_size=2, max_size=7))
def test_one_pool_is_at_most_twice_the_optimum(jobs: list[tuple[int, int, int]]) -> None:
    """Against what no offline plan can beat: the last arrival and its length, and all work after the first."""
    case = snapshot(fleet([pool("a", "v100", 1, devices=4)]), policy=POLICY)
    arrivals = [
        replace(job(f"j{i}", [option("v100", 1.0, devices=wide)], 100.0 * long), created_at=NOW + 100.0 * at)
        for i, (long, at, wide) in enumerate(jobs)
    ]
    first = min(one.created_at for one in arrivals)
    longest = max(one.created_at + one.work_quantity for one in arrivals)
    area = sum(one.work_quantity * one.options[0].devices_per_replica for one in arrivals) / 4
    last = max(one.created_at for one in arrivals)
    end = max(streamed(case, arrivals).ends.values())
    # A list schedule of rigid jobs: 2 OPT behind the last arrival at most.
    assert end - first <= (last - first) + 2 * max(longest - first, area) + 1e-6


@examples(10, 0.02)
@given(st.integers(2, 8), st.integers(1, 20))
def test_ageing_prevents_starvation(times: int, hours: int) -> None:
    """By Smith's rule the long job is last among short ones, until its age outweighs its length."""
    case = snapshot(
        fleet([pool("a", "v100", 1, devices=1)]), policy=replace(POLICY, objective=("WeightedCompletion",))
    )
    long = replace(job("long", [option("v100", 1.0)], 900.0 * times), created_at=NOW - 3600.0 * hours)
    short = [replace(job(f"s{i}", [option("v100", 1.0)], 900.0), created_at=NOW) for i in range(3)]
    plan = decide(replace(case, jobs=(long, *short)))
    start = next(a.start_seconds for a in plan.assignments if a.job == long.key)
    if 1 + hours > times:
        assert start == 0.0
    elif 1 + hours < times:
        assert start == 2700.0


def test_nobody_starves_in_a_stream() -> None:
    """Short jobs come for ever, as fast as they are done; the long one, promised, is not put off for ever."""
    case = snapshot(
        fleet([pool("a", "v100", 1, devices=1)]), policy=replace(POLICY, objective=("WeightedCompletion",))
    )
    long = replace(job("long", [option("v100", 1.0)], 3600.0), created_at=NOW)
    short = [
        replace(job(f"s{i:02d}", [option("v100", 1.0)], 900.0), created_at=NOW - 10.0 + 880.0 * i) for i in range(18)
    ]
    account = streamed(case, [long, *short])
    waited = account.starts[long.key] - NOW
    assert waited <= 3 * 3600.0
    assert sum(account.starts[one.key] > account.starts[long.key] for one in short) >= 8


def test_a_noisy_afternoon_is_calm() -> None:
    case = random_snapshot(11, 25, 4, 3, policy=POLICY, nodes=1)
    dice = Random(5)
    arrivals = [replace(one, created_at=NOW + dice.uniform(0.0, 4 * 3600.0)) for one in case.jobs]
    account = streamed(case, arrivals, noise=0.05)
    assert account.plans > 20
    assert account.back == 0
    assert account.moves_per_job_hour <= 0.05


def test_the_same_stream_comes_to_the_same() -> None:
    case = random_snapshot(3, 10, 3, 2, policy=POLICY, nodes=1)
    arrivals = [replace(one, created_at=NOW + 400.0 * i) for i, one in enumerate(case.jobs)]
    assert streamed(case, arrivals, noise=0.05) == streamed(case, list(reversed(arrivals)), noise=0.05)


def test_a_running_job_moves_once_when_the_fast_pool_becomes_free() -> None:
    """One has the fast device for so long that the other is sooner done on the slow one; then it goes on there."""
    policy = replace(POLICY, move_running=True)
    where = fleet([pool("a", "v100", 1, devices=1), pool("b", "k80", 1, devices=1)], [link("b", "a"), link("a", "b")])
    short = job("short", [option("v100", 1.0)], 30_000.0)
    long = job("long", [option("v100", 4.0), option("k80", 1.0)], 38_000.0)
    base = saving(snapshot(where, [replace(one, created_at=NOW) for one in (short, long)], policy=policy))
    stay = Stream(replace(base, jobs=(), policy=POLICY), base.jobs, noise=0.0).run()
    move = Stream(replace(base, jobs=()), base.jobs, noise=0.0).run()
    assert stay.violations == move.violations == ()
    assert (move.running_moves, move.back) == (1, 0)
    assert move.ends[long.key] < stay.ends[long.key] - 5000.0
    assert set(move.ends) == {short.key, long.key}
