"""Rates from runs: by hand, robust, and never less sure for having seen more."""

from dataclasses import replace
from math import exp, log, sqrt

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from polyhull.domain.fleet import Evidence
from polyhull.domain.workloads import Observation, Option
from polyhull.optimize.build import build_columns
from polyhull.optimize.learn import ESTIMATE_SPREAD, RUN_SPREAD, Seen, learn, with_learnt
from polyhull.planning.decide import decide
from tests import builders as b

RATIOS = st.floats(-2.0, 2.0)


def test_one_run_by_hand() -> None:
    """Prior variance 0.16, run variance 0.01: the estimate moves 16/17 of the way."""
    mean, spread = learn([Seen(0.1, 1e9)])
    assert mean == pytest.approx(0.1 * 16 / 17)
    assert spread == pytest.approx(sqrt(0.01 + 1.0 / (1 / 0.16 + 1 / 0.01)))


def test_nothing_seen_is_the_prior() -> None:
    assert learn([], 0.3, -0.2) == (-0.2, 0.3)
    assert learn([Seen(0.5, 100.0, ended=False)])[0] == 0.0, "a run that is not late teaches nothing"


def test_many_runs_leave_the_spread_of_single_runs() -> None:
    mean, spread = learn([Seen(-0.7, 1e6)] * 50)
    assert mean == pytest.approx(-0.7, abs=0.01)
    assert spread == pytest.approx(RUN_SPREAD, rel=0.02)


def test_a_short_run_says_less() -> None:
    assert learn([Seen(1.0, 2.0)])[0] < 0.5 * learn([Seen(1.0, 2000.0)])[0]


def test_a_late_run_lowers_the_rate_before_it_ends() -> None:
    mean, spread = learn([Seen(-1.0, 1e4, ended=False)])
    assert -1.0 < mean < -0.5
    assert spread < ESTIMATE_SPREAD
    again, _ = learn([Seen(0.0, 1e4), Seen(0.0, 1e4), Seen(0.0, 1e4), Seen(-3.0, 1e4, ended=False)])
    assert again > -0.3, "one that hangs is an odd one"


@given(st.lists(RATIOS, min_size=5, max_size=16), RATIOS)
def test_one_odd_run_hardly_counts(ratios: list[float], odd: float) -> None:
    close = [0.05 * ratio for ratio in ratios]
    plain, _ = learn([Seen(ratio, 1e6) for ratio in close])
    with_odd, _ = learn([Seen(ratio, 1e6) for ratio in [*close, odd * 100.0]])
    assert abs(with_odd - plain) < 0.1


@given(st.lists(RATIOS, min_size=1, max_size=16), st.randoms())
def test_the_answer_lies_between_prior_and_data_whatever_the_order(ratios: list[float], dice: object) -> None:
    seen = [Seen(ratio, 1e4) for ratio in ratios]
    mean, spread = learn(seen)
    assert min(0.0, *ratios) - 1e-9 <= mean <= max(0.0, *ratios) + 1e-9
    assert spread >= RUN_SPREAD
    shuffled = list(seen)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert learn(shuffled)[0] == pytest.approx(mean, abs=1e-9)


@given(RATIOS, st.integers(1, 15))
def test_more_of_the_same_is_never_less_sure(ratio: float, runs: int) -> None:
    assume(abs(ratio) < 1.0)
    fewer, more = learn([Seen(ratio, 1e4)] * runs), learn([Seen(ratio, 1e4)] * (runs + 1))
    assert more[1] <= fewer[1] + 1e-12
    assert abs(more[0] - ratio) <= abs(fewer[0] - ratio) + 1e-12


def estimated(rate: float = 1.0) -> Option:
    return replace(b.option("v100", rate), rate_evidence=Evidence.ESTIMATED)


def run_of(site: str, seconds: float, ended: bool = True, work: float = 100.0) -> Observation:
    start = b.NOW - 10_000.0 if ended else b.NOW - seconds
    return Observation("s", "v100", site, f"{site}/v100", work, start, start + seconds if ended else None)


def test_a_plan_uses_what_was_learnt_where_it_was_learnt_and_the_checker_agrees() -> None:
    where = b.fleet([b.pool("a", "v100"), b.pool("b", "v100")])
    case = b.snapshot(where, [b.job("j", [estimated()]), b.job("measured", [b.option("v100", 1.0)])])
    signs = {(job.key, "v100x1"): "s" for job in case.jobs}
    runs = [run_of("b", 50.0)] * 8 + [run_of("a", 200.0)] * 8
    taught = with_learnt(case, runs, signs)
    columns = {(one.job.name, one.site): one for one in build_columns(taught).columns}
    assert columns["j", "b"].compute_seconds == pytest.approx(50.0, rel=0.1)
    assert columns["j", "a"].compute_seconds == pytest.approx(200.0, rel=0.1)
    assert columns["j", "b"].evidence is Evidence.LEARNT
    assert columns["measured", "b"].compute_seconds == 100.0
    plan = decide(taught)
    assert plan.violations == ()
    placed = next(one for one in plan.assignments if one.job.name == "j")
    assert placed.site == "b" and placed.explanation.evidence is Evidence.LEARNT


def test_a_site_that_was_not_seen_takes_what_holds_over_all() -> None:
    where = b.fleet([b.pool("a", "v100"), b.pool("c", "v100")])
    case = b.snapshot(where, [b.job("j", [estimated()])])
    taught = with_learnt(case, [run_of("a", 50.0)] * 4, {(case.jobs[0].key, "v100x1"): "s"})
    rates = {one.site: one.compute_seconds for one in build_columns(taught).columns}
    assert rates["a"] == pytest.approx(50.0, rel=0.02)
    assert rates["c"] == pytest.approx(50.0, rel=0.05)


def test_a_slow_confidential_pool_is_not_taken_for_a_slow_device() -> None:
    where = b.fleet([b.pool("a", "v100", confidential=True, slowdown=2.0), b.pool("c", "v100")])
    case = b.snapshot(where, [b.job("j", [estimated()])])
    taught = with_learnt(case, [run_of("a", 200.0)] * 8, {(case.jobs[0].key, "v100x1"): "s"})
    rates = {one.site: one.compute_seconds for one in build_columns(taught).columns}
    assert rates == {"a": pytest.approx(200.0), "c": pytest.approx(100.0)}


def test_a_running_job_teaches_in_steps_and_nothing_changes_in_between() -> None:
    where = b.fleet([b.pool("a", "v100")])
    case = b.snapshot(where, [b.job("j", [estimated()])])
    signs = {(case.jobs[0].key, "v100x1"): "s"}

    def after(seconds: float) -> Option:
        return with_learnt(case, [run_of("a", seconds, ended=False)], signs).jobs[0].options[0]

    assert after(90.0).learnt == after(124.0).learnt == ()
    assert after(126.0).learnt == after(150.0).learnt != ()
    assert after(160.0).rate_at("a")[0] < after(130.0).rate_at("a")[0] < 1.0  # type: ignore[operator]
    assert case is with_learnt(case, [], signs)


def test_ln_and_back() -> None:
    """The learnt rate is the estimate times e to the mean."""
    where = b.fleet([b.pool("a", "v100")])
    case = b.snapshot(where, [b.job("j", [estimated(2.0)])])
    taught = with_learnt(case, [run_of("a", 100.0)], {(case.jobs[0].key, "v100x1"): "s"})
    overall = next(one for one in taught.jobs[0].options[0].learnt if one.site == "")
    mean, spread = learn([Seen(log(0.5), 100.0)])
    assert overall.rate_per_second == pytest.approx(2.0 * exp(mean))
    assert (overall.spread, overall.observations) == (pytest.approx(spread), 1)
