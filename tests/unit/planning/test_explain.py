"""Reasons: the seconds add up, what binds is named with its number, alternatives are true, names stay private."""

from dataclasses import replace

import pytest

from polyhull.planning.decide import decide
from tests.builders import data_set, fleet, growth, job, link, option, pool, random_snapshot, snapshot


def why(case, name):  # type: ignore[no-untyped-def]
    plan = decide(case)
    return next(a for a in plan.assignments if a.job.name == name), plan


def test_a_short_pool_is_named_with_the_devices_it_lacks() -> None:
    jobs = [job("a", [option("v100", devices=6)], 100.0), job("b", [option("v100", devices=5)], 50.0)]
    found, _ = why(snapshot(fleet([pool("x", "v100", 1)]), jobs), "a")
    assert found.explanation.binds == "Pool x/v100 is short by 3 of 6 devices until 50 s from now."
    assert (found.explanation.queue_seconds, found.explanation.compute_seconds) == (50.0, 100.0)


def test_a_busy_link_is_named_with_its_times() -> None:
    where = fleet([pool("a", "npu", 0), pool("b", "v100", 1)], [link("a", "b", 0.8)])
    jobs = [job("first", [option("v100")], 100.0, ["d0"]), job("second", [option("v100")], 10.0, ["d1"])]
    found, _ = why(snapshot(where, jobs, [data_set("d0", 2, "a"), data_set("d1", 1, "a")]), "second")
    assert found.explanation.binds == "Link a->b is busy until 20 s from now, then brings its data by 30 s."
    assert (found.explanation.queue_seconds, found.explanation.transfer_seconds) == (20.0, 10.0)


def test_nothing_and_growth_bind_too() -> None:
    free, _ = why(snapshot(fleet([pool("a", "v100", 1)]), [job("j", [option("v100")], 60.0)]), "j")
    assert free.explanation.binds == "Nothing holds it up: it runs 1 min 00 s in a/v100."
    grown, _ = why(snapshot(fleet([pool("a", "v100", 0, growth=growth(1))]), [job("j", [option("v100")], 60.0)]), "j")
    assert grown.explanation.binds == "Pool a/v100 needs 1 min 00 s to add a node for it."
    assert grown.explanation.startup_seconds == 60.0


def test_an_alternative_finishes_when_it_says() -> None:
    where = fleet(
        [pool("a", "v100", 1), pool("b", "npu", 1), pool("c", "k80", 1), pool("d", "p100", 1), pool("e", "cpu", 1)]
    )
    options = [option("v100", 4.0), option("npu", 3.0), option("k80", 1.0), option("p100", 2.0), option("cpu", 0.5)]
    found, _ = why(snapshot(where, [job("j", options, 120.0)]), "j")
    told = [(other.pool, other.later_seconds) for other in found.explanation.alternatives]
    assert found.pool == "a/v100"
    assert told == [("b/npu", pytest.approx(10.0)), ("d/p100", pytest.approx(30.0)), ("c/k80", pytest.approx(90.0))]


def test_no_text_names_another_tenants_things() -> None:
    case = random_snapshot(7, 40, 4, 3)
    secret = tuple(
        replace(one, key=one.key._replace(namespace="rival", name=f"secret-{one.key.name}"), inputs=())
        if i % 2
        else one
        for i, one in enumerate(case.jobs)
    )
    plan = decide(replace(case, jobs=secret))
    assert len(plan.assignments) == 40
    for a in plan.assignments:
        assert "secret" not in a.explanation.binds and "rival" not in a.explanation.binds
        assert "job-" not in a.explanation.binds and "data-" not in a.explanation.binds
