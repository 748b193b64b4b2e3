"""Checkpoints and failures inside a column's run time, against a simulation of failures and against the checker."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhull.domain.fleet import Storage, StorageKind
from polyhull.domain.snapshot import Policy, SolverLimits
from polyhull.domain.workloads import Checkpoint, Placed
from polyhull.optimize.build import build_columns
from polyhull.optimize.columns import Column
from polyhull.optimize.failures import DEVICE_MEAN_SECONDS, Recovery, best_interval, useful_share
from polyhull.planning.decide import decide
from polyhull.planning.validate import validate
from tests import builders as b

HOUR = 3600.0


def simulated_share(recovery: Recovery, rate: float, runs: int) -> float:
    """Useful over all time of `runs` intervals, failures at exponential times, nothing neglected."""
    random, interval = Random(7), recovery.interval_seconds or best_interval(recovery.checkpoint_seconds, rate)
    spent = 0.0
    for _ in range(runs):
        needed = interval + recovery.checkpoint_seconds
        while (until := random.expovariate(rate)) < needed:
            spent += until + recovery.restart_seconds
        spent += needed
    return runs * interval / spent


@pytest.mark.parametrize("interval", [None, 900.0, 7200.0])
def test_the_first_order_is_near_what_failures_really_take(interval: float | None) -> None:
    recovery, rate = Recovery(30.0, 60.0, interval), 1.0 / (20.0 * HOUR)
    assert useful_share(recovery, rate) == pytest.approx(simulated_share(recovery, rate, 20_000), abs=0.004)


def column_of(checkpoint: Checkpoint | None, devices: int = 8, mean_hours: float | None = None) -> Column | None:
    kind = replace(b.accelerator("v100"), mean_hours_between_failures=mean_hours)
    fleet = b.fleet([b.pool("a", "v100", devices // 8)], kinds=[kind])
    job = b.job("j", [b.option("v100", replicas=devices // 8, devices=8)], work=1e5, checkpoint=checkpoint)
    return next(iter(build_columns(b.snapshot(fleet, [job])).columns), None)


def test_a_job_without_checkpoints_is_planned_as_before() -> None:
    plain = column_of(None)
    assert plain is not None
    assert (plain.compute_seconds, plain.failure_seconds) == (1e5, 0.0)


def test_overhead_grows_with_devices_and_falls_with_better_devices() -> None:
    saved = Checkpoint(100 * 10**9)
    few, many, better = column_of(saved), column_of(saved, 512), column_of(saved, 512, 1e6)
    assert few is not None and many is not None and better is not None
    assert 0.0 < few.failure_seconds < better.failure_seconds * 3 < many.failure_seconds * 3
    assert many.compute_seconds - many.failure_seconds == pytest.approx(1e5)
    rate, delta = 512 / DEVICE_MEAN_SECONDS, 100e9 / (10e9 / 8)
    share = 1.0 - (2.0 * delta * rate) ** 0.5 - delta * rate
    assert many.compute_seconds == pytest.approx(1e5 / share)


def test_a_gang_that_would_hardly_work_is_no_column() -> None:
    assert column_of(Checkpoint(10**9, 1.0)) is None
    job = b.job("j", [b.option("v100", devices=8)], checkpoint=Checkpoint(10**9, 1.0))
    found = build_columns(b.snapshot(b.fleet([b.pool("a", "v100")]), [job]))
    assert [one.reason for one in found.inadmissible] == ["MostlyLost"]
    assert "8 x v100" in found.inadmissible[0].message


def test_a_slow_store_makes_saving_dear_and_a_running_job_keeps_its_share() -> None:
    slow = b.cluster("a", storage=Storage(StorageKind.VOLUME, bytes_per_second=1e8))
    job = b.job("j", [b.option("v100", devices=8)], work=1e5, checkpoint=Checkpoint(10**10, 1000.0))
    waiting = b.snapshot(b.fleet([b.pool("a", "v100")], clusters=[slow]), [job])
    column = build_columns(waiting).columns[0]
    assert column.failure_seconds / column.compute_seconds == pytest.approx(0.1, abs=1e-3)
    placed = Placed("a", "a/v100", "v100x8", (("a-v100-0", 1),), b.NOW - 5e4, b.NOW - 5e4)
    running = build_columns(replace(waiting, jobs=(replace(job, placed=placed),))).columns[0]
    assert running.compute_seconds == pytest.approx(column.compute_seconds - 5e4)
    assert running.failure_seconds / running.compute_seconds == pytest.approx(0.1, abs=1e-3)


def test_the_checker_counts_failures_too() -> None:
    job = b.job("j", [b.option("v100", devices=8)], work=1e5, checkpoint=Checkpoint(10**10, 600.0))
    case = b.snapshot(b.fleet([b.pool("a", "v100")]), [job])
    assert decide(case).violations == ()
    bare = decide(replace(case, jobs=(replace(job, checkpoint=None),)))
    assert any("by its rate" in said for said in validate(case, bare))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), gigabytes=st.floats(0.01, 500.0), interval=st.none() | st.integers(60, 100_000))
def test_bound_and_plan_hold_with_checkpoints(seed: int, gigabytes: float, interval: int | None) -> None:
    policy = Policy(startup_seconds=5.0, solver=SolverLimits(search_steps=20, exact_jobs=0))
    case = b.random_snapshot(seed, jobs=6, pools=4, policy=policy)
    told = Checkpoint(int(gigabytes * 1e9), interval)
    saving = replace(case, jobs=tuple(replace(one, checkpoint=told) for one in case.jobs))
    plan = decide(saving)
    assert plan.violations == ()
    assert plan.lower_bound_seconds <= plan.makespan_seconds * (1 + 1e-9)
    for one in plan.assignments:
        assert one.explanation.failure_seconds > 0.0
