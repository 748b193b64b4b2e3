"""Scenarios are the same for every plan and every machine; p50 and p90 are what a hand calculation says."""

from dataclasses import replace
from math import exp, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhull.domain.fleet import Evidence
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key, Learnt, Placed
from polyhull.optimize.build import build_columns
from polyhull.planning.canonical import canonical
from polyhull.planning.decide import decide
from polyhull.planning.instance import Instance
from polyhull.planning.reserve import reserve
from polyhull.planning.robust import SCENARIOS, risk, spread, steadiest
from polyhull.planning.simulate import run
from polyhull.planning.start import first_schedules
from tests.builders import NOW, fleet, job, option, pool, random_snapshot, snapshot


def instance_of(case: Snapshot) -> Instance:
    case = canonical(case)
    return reserve(case, build_columns(case), ()).instance


def rated(name: str, seconds: float, evidence: Evidence = Evidence.MEASURED, **changes: object):  # type: ignore[no-untyped-def]
    return job(name, [replace(option("v100", 1.0), rate_evidence=evidence)], seconds, **changes)


def test_one_job_spreads_as_its_evidence_says() -> None:
    for evidence, width in ((Evidence.MEASURED, 0.05), (Evidence.LEARNT, 0.1), (Evidence.DATASHEET, 0.4)):
        instance = instance_of(snapshot(fleet([pool("a", "v100", 1)]), [rated("j", 1000.0, evidence)]))
        ends = spread(instance, run(instance, [0])).ends[0]
        assert len(ends) == SCENARIOS
        assert np.quantile(ends, 0.5) == pytest.approx(1000.0, rel=0.01)
        assert np.quantile(ends, 0.9) == pytest.approx(1000.0 * exp(width * NormalDist().inv_cdf(0.9)), rel=0.03)


def test_a_learnt_rate_spreads_as_its_own_runs_did() -> None:
    """More at a site that was seen to be unsteady."""
    rates = (Learnt("", 1.0, 0.2, 9), Learnt("b", 1.0, 0.3, 4))
    taught = replace(option("v100", 1.0), rate_evidence=Evidence.ESTIMATED, learnt=rates)
    for at, width in (("a", 0.2), ("b", 0.3)):
        instance = instance_of(snapshot(fleet([pool(at, "v100", 1)]), [job("j", [taught], 1000.0)]))
        ends = spread(instance, run(instance, [0])).ends[0]
        assert np.quantile(ends, 0.9) == pytest.approx(1000.0 * exp(width * NormalDist().inv_cdf(0.9)), rel=0.03)


def test_cvar_is_the_mean_of_the_worst_tenth() -> None:
    values = np.arange(1.0, 33.0)
    tail = (32 + 31 + 30 + 0.2 * 29) / 3.2
    assert risk(values) == pytest.approx(values.mean() + tail)


def test_jobs_in_a_row_add_up_and_jobs_beside_each_other_do_not() -> None:
    where = fleet([pool("a", "v100", 1, devices=1)])
    instance = instance_of(snapshot(where, [rated("one", 1000.0), rated("two", 1000.5)]))
    both = spread(instance, run(instance, [0, 1]))
    assert np.all(both.ends[1] > both.ends[0])
    # Two independent log-normal durations: the deviations add up in squares.
    assert np.std(both.ends[1]) == pytest.approx(1000.0 * 0.05 * sqrt(2.0), rel=0.35)
    wide = instance_of(snapshot(fleet([pool("a", "v100", 1)]), [rated("one", 1000.0), rated("two", 1000.5)]))
    assert np.max(spread(wide, run(wide, [0, 1])).ends) < 1200.0


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_without_doubt_every_scenario_is_the_plan(seed: int) -> None:
    """With all factors 1 the propagation gives back the simulated finishes, whatever the instance."""
    instance = instance_of(random_snapshot(seed, 12, 4, 3, nodes=2))
    schedule, _ = first_schedules(instance, None)
    with pytest.MonkeyPatch.context() as patch:
        # Not `exp` below it: what `_factor` has given once it remembers.
        patch.setattr("polyhull.planning.robust._factor", lambda *given: np.ones(SCENARIOS))
        found = spread(instance, schedule)
    for ends, slot in zip(found.ends, schedule.slots, strict=True):
        assert slot is not None and ends == pytest.approx(np.full(SCENARIOS, slot.end), rel=1e-9)


def test_what_runs_already_is_in_doubt_too() -> None:
    placed = Placed("a", "a/v100", "v100x1", (("a-v100-0", 1),), NOW, NOW)
    jobs = [replace(rated("run", 1000.0), placed=placed), rated("wait", 100.0)]
    instance = instance_of(snapshot(fleet([pool("a", "v100", 1, devices=1)]), jobs))
    found = spread(instance, run(instance, [0]))
    assert np.std(found.fixed[0]) > 10.0
    assert np.allclose(found.ends[0] - found.fixed[0], found.ends[0] - found.fixed[0])
    assert np.all(found.ends[0] > found.fixed[0])


def test_scenarios_do_not_know_names() -> None:
    def case(*names: str) -> Snapshot:
        return snapshot(
            fleet([pool("a", "v100", 1, devices=1)]),
            [rated(name, seconds) for name, seconds in zip(names, (500.0, 900.0, 1300.0), strict=True)],
        )

    one, other = decide(case("a", "b", "c")), decide(case("z", "y", "x"))
    assert one.makespan_p90_seconds == other.makespan_p90_seconds > one.makespan_seconds
    ends = {Key("team", "a"): "z", Key("team", "b"): "y", Key("team", "c"): "x"}
    theirs = {a.job.name: a.end_p90_seconds for a in other.assignments}
    assert all(a.end_p90_seconds == theirs[ends[a.job]] for a in one.assignments)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_the_steadiest_order_is_as_good_at_every_level_and_no_riskier(seed: int) -> None:
    instance = instance_of(random_snapshot(seed, 15, 3, 2, nodes=1))
    best, _ = first_schedules(instance, None)
    found = steadiest(instance, best)
    assert found.objective[:-1] <= best.objective[:-1]
    assert risk(spread(instance, found).makespan()) <= risk(spread(instance, best).makespan()) * (1 + 1e-9)
