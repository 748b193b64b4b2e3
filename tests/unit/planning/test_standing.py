"""Services stay where they are promised, and get their best variants where the jobs lose nothing by it."""

from dataclasses import replace

from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Serving, Variant
from polyhull.planning.decide import decide, quick
from tests.builders import fleet, job, link, option, pool, service, snapshot, variant

LARGE: Variant = replace(variant("v100"), name="large", quality=0.9)
SMALL: Variant = replace(variant("npu"), name="small", quality=0.6)


def places(plan: Decision) -> list[tuple[str, str, int]]:
    return [(one.pool, one.variant, one.replicas) for served in plan.services for one in served.replicas]


def case(jobs: int, promise: tuple[Serving, ...] = ()) -> Snapshot:
    """One service of three replicas; jobs take four of the eight devices that its better variant would use."""
    chat = replace(service("chat", [("a", 4.0)], [LARGE, SMALL]), promise=promise)
    work = [job(f"j{i}", [option("v100", devices=4)], 100.0) for i in range(jobs)]
    where = fleet([pool("a", "v100", 1), pool("b", "npu", 1)], [link("a", "b"), link("b", "a")])
    return snapshot(where, work, services=[chat])


def test_the_best_variant_where_it_costs_no_time() -> None:
    assert {variant for _, variant, _ in places(decide(case(jobs=1)))} == {"large"}


def test_the_smaller_one_where_the_jobs_would_wait_for_it() -> None:
    plan = decide(case(jobs=2))
    assert plan.makespan_seconds == 100.0
    assert {variant for _, variant, _ in places(plan)} == {"small"}


def test_a_promised_service_stays_whatever_is_better_now() -> None:
    promise = (Serving("a", "a/v100", "large", 1),)
    for plan in (decide(case(jobs=2, promise=promise)), quick(case(jobs=2, promise=promise))):
        assert [where[:2] for where in places(plan)] == [("a/v100", "large")]
    promise = (Serving("b", "b/npu", "small", 1),)
    for plan in (decide(case(jobs=0, promise=promise)), quick(case(jobs=0, promise=promise))):
        assert [where[:2] for where in places(plan)] == [("b/npu", "small")]


def test_a_promise_that_serves_less_than_can_be_served_is_void() -> None:
    promise = (Serving("gone", "gone/v100", "large", 1),)
    assert places(decide(case(jobs=2, promise=promise))) == places(decide(case(jobs=2)))
