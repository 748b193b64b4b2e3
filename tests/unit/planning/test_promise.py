"""The present plan survives a restart, takes arrivals at once, and gives way only to a clearly better one."""

from dataclasses import replace

from polyhull.domain.decision import Decision, Opportunity
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Promise
from polyhull.planning.decide import decide, quick
from polyhull.planning.objectives import MAKESPAN, WEIGHTED_COMPLETION, clearly_better
from tests.builders import NOW, fleet, job, option, pool, random_snapshot, snapshot


def promised(case: Snapshot, plan: Decision) -> Snapshot:
    told = {a.job: Promise(a.cluster, a.pool, a.option, a.order, NOW, NOW) for a in plan.assignments}
    return replace(case, jobs=tuple(replace(one, promise=told.get(one.key)) for one in case.jobs))


def test_a_restart_makes_the_same_plan_again() -> None:
    case = random_snapshot(5, 30, 5, 3)
    first = decide(case)
    again = decide(promised(case, first))
    assert again.plan_hash == first.plan_hash
    assert [(a.job, a.start_seconds, a.nodes) for a in again.assignments] == [
        (a.job, a.start_seconds, a.nodes) for a in first.assignments
    ]
    assert quick(promised(case, first)).plan_hash == first.plan_hash


def test_an_arrival_delays_no_promise() -> None:
    case = random_snapshot(6, 30, 5, 3)
    kept = promised(case, decide(case))
    arrival = job("arrival", [option("v100", 1.0, devices=4), option("npu", 1.0)], 5000.0)
    before, after = quick(kept), quick(replace(kept, jobs=tuple(sorted((*kept.jobs, arrival), key=lambda j: j.key))))
    ends = {a.job: a.end_seconds for a in before.assignments}
    assert all(a.end_seconds == ends.get(a.job, a.end_seconds) for a in after.assignments)
    assert len(after.assignments) == 31 and after.violations == ()


def test_a_bad_promise_gives_way_to_a_clearly_better_plan() -> None:
    where = fleet([pool("a", "v100", 1), pool("b", "npu", 1)])
    jobs = [
        replace(
            job("j", [option("v100", 10.0), option("npu", 1.0)], 100.0),
            promise=Promise("b", "b/npu", "npux1", 1, NOW, NOW),
        )
    ]
    plan = decide(snapshot(where, jobs))
    assert plan.assignments[0].pool == "a/v100" and "kept" not in plan.solver.status


def test_a_slightly_better_plan_does_not_replace_the_present_one() -> None:
    where = fleet([pool("a", "v100", 1), pool("b", "npu", 1)])
    jobs = [
        replace(
            job("j", [option("v100", 1.01), option("npu", 1.0)], 100.0),
            promise=Promise("b", "b/npu", "npux1", 1, NOW, NOW),
        )
    ]
    plan = decide(snapshot(where, jobs))
    assert plan.assignments[0].pool == "b/npu" and "kept" in plan.solver.status


def test_what_is_better() -> None:
    def better(fresh: tuple[int, ...], present: tuple[int, ...]) -> bool:
        return clearly_better(fresh, present, (MAKESPAN,), 0.02)

    assert better((0, 0, 100, 1), (1, 0, 90, 1))
    assert better((0, 0, 100, 1), (0, 1_000_000, 90, 1)), "a deadline is met"
    assert not better((0, 1_000_000, 80, 1), (0, 0, 100, 1)), "a deadline is missed"
    assert not better((0, 0, 100, 1), (0, 1_000, 100, 1)), "a broken promise alone moves nobody"
    assert not better((0, 1_000, 80, 1), (0, 0, 100, 1)), "no promise is broken for a gain"
    assert better((0, 0, 97, 1), (0, 0, 100, 1))
    assert not better((0, 0, 99, 1), (0, 0, 100, 1))
    assert not better((0, 0, 101, 0, 1, 1), (0, 0, 100, 0, 100, 1))


def test_a_later_level_replaces_a_plan_only_inside_the_tolerance_of_the_earlier_one() -> None:
    hour = 3600 * 1_000_000
    levels = (MAKESPAN, WEIGHTED_COMPLETION)
    assert clearly_better((0, 0, hour, 50, 1), (0, 0, hour, 100, 1), levels, 0.02)
    assert clearly_better((0, 0, hour + hour // 250, 50, 1), (0, 0, hour, 100, 1), levels, 0.02)
    assert not clearly_better((0, 0, hour + hour // 100, 50, 1), (0, 0, hour, 100, 1), levels, 0.02)


def test_an_arrival_leaves_dear_devices_to_others_where_that_costs_it_little() -> None:
    waits = replace(job("waits", [option("npu", 1.0, devices=8)], 10.0), promise=None)
    where = fleet([pool("a", "v100", 1), pool("b", "npu", 1)])
    told = Promise("b", "b/npu", "npux8", 1, NOW, NOW)
    dear = (Opportunity("a/v100", (NOW + 1e6,), (5.0,)),)

    def pool_of(rate: float, prices: tuple[Opportunity, ...]) -> str:
        arrival = job("arrival", [option("v100", 1.0), option("npu", rate)], 1000.0)
        case = replace(snapshot(where, [replace(waits, promise=told), arrival]), opportunities=prices)
        return next(a.pool for a in quick(case).assignments if a.job.name == "arrival")

    assert pool_of(0.99, ()) == "a/v100", "without prices it ends as soon as it can"
    assert pool_of(0.99, dear) == "b/npu"
    assert pool_of(0.5, dear) == "a/v100", "twice as long is not little"


def test_a_full_plan_prices_device_time_for_those_who_come() -> None:
    where = fleet([pool("a", "v100", 1)])
    plan = decide(snapshot(where, [job(f"j{i}", [option("v100", 1.0, devices=8)], 100.0) for i in range(4)]))
    (one,) = plan.opportunities
    assert one.pool == "a/v100" and max(one.weighted_seconds) > 0.0 and min(one.weighted_seconds) >= 0.0
    assert all(NOW < instant <= NOW + 400.0 * 1.001 for instant in one.instants)
    idle = fleet([pool("a", "v100", 8)])
    alone = decide(snapshot(idle, [job("j", [option("v100", 1.0)], 100.0)]))
    assert alone.opportunities == (), "time that nobody else wants is worth nothing"
