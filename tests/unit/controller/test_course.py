"""The plan through time: bursts wait for the search, arrivals do not, failures keep the last good plan."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from polyhull.controller.course import Course
from polyhull.controller.planner import Planner, problem_of
from polyhull.domain.decision import Assignment, Decision, LevelReport
from polyhull.domain.errors import SolverFailed
from polyhull.domain.fleet import Fleet
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key, TrainingJob
from polyhull.planning.carried import promised, promises_of
from polyhull.planning.gains import gains
from polyhull.planning.grown import Arrivals
from polyhull.telemetry.record import Method


def jobs(*names: str) -> tuple[TrainingJob, ...]:
    return tuple(TrainingJob(Key("team", name), name, 0.0, 1.0, ()) for name in names)


def snapshot(*names: str) -> Snapshot:
    return Snapshot(0.0, Fleet(), jobs(*names))


def plan(of: Snapshot, pool: str = "a/quick", makespan: float = 100.0) -> Decision:
    assigned = tuple(
        Assignment(
            job.key,
            "a",
            "a",
            job.promise.pool if job.promise else pool,
            "cpu",
            "cpu",
            "CPU",
            1,
            1,
            (),
            k,
            0.0,
            makespan,
        )
        for k, job in enumerate(of.jobs)
    )
    return Decision(of.taken_at, assigned, makespan_seconds=makespan)


class FakeWorker:
    """Answers by a function; counts the questions."""

    def __init__(self, answer: Callable[[Snapshot], Decision], delay: float = 0.0) -> None:
        self.answer, self.delay, self.asked = answer, delay, 0

    async def ask(self, question: Snapshot, limit_seconds: float) -> Decision:
        self.asked += 1
        await asyncio.sleep(self.delay)
        return self.answer(question)


def course(quick: FakeWorker, full: FakeWorker, patience: float = 5.0) -> tuple[Course, list[str]]:
    failed: list[str] = []
    planner = Planner(time.monotonic, lambda kind, seconds: None, failed.append, quick, full)  # type: ignore[arg-type]
    return Course(planner, time.monotonic, lambda: None, lambda seconds: None, patience), failed


async def search_ends() -> None:
    """Turns enough for tasks that wait for nothing but each other."""
    for _ in range(100):
        await asyncio.sleep(0)


def test_an_arrival_is_inserted_without_waiting_for_the_search() -> None:
    async def story() -> None:
        held, _ = course(FakeWorker(plan), FakeWorker(plan, delay=60.0))
        decision = await asyncio.wait_for(held.hold(snapshot("one")), 5)
        assert decision is not None
        assert decision.assignments[0].pool == "a/quick"
        await held.close()

    asyncio.run(story())


def test_insertions_are_recorded_with_what_they_were_made_from_but_not_one_by_one() -> None:
    async def story() -> None:
        def hashed(of: Snapshot) -> Decision:
            return replace(plan(of), plan_hash=",".join(job.key.name for job in of.jobs))

        held, _ = course(FakeWorker(hashed), FakeWorker(hashed, delay=60.0))
        now, kept = [0.0], []  # type: ignore[var-annotated]
        held.monotonic = lambda: now[0]
        held.keep = lambda snapshot, decision, method: kept.append((len(snapshot.jobs), decision.plan_hash, method))
        await held.hold(snapshot("one"))
        await held.hold(snapshot("one", "two"))
        assert kept == [(1, "one", Method.INSERTED)]
        now[0] = 61.0
        await held.hold(snapshot("one", "three"))
        assert kept[1:] == [(2, "one,three", Method.INSERTED)]
        await held.close()

    asyncio.run(story())


def test_a_burst_waits_for_the_search_and_takes_its_columns() -> None:
    def better(question: Snapshot) -> Decision:
        return plan(question, "a/full", 50.0)

    async def story() -> None:
        held, _ = course(FakeWorker(plan), FakeWorker(better, delay=0.05), patience=60.0)
        burst = snapshot("one", "two", "three", "four")
        assert await held.hold(burst) is None
        while (decision := await held.hold(burst)) is None:
            await asyncio.sleep(0.01)
        assert {one.pool for one in decision.assignments} == {"a/full"}
        assert held.take_news() is not None
        assert held.take_news() is None

    asyncio.run(story())


def test_a_burst_does_not_wait_beyond_its_patience() -> None:
    async def story() -> None:
        held, _ = course(FakeWorker(plan), FakeWorker(plan, delay=60.0), patience=0.05)
        burst = snapshot("one", "two", "three", "four")
        assert await held.hold(burst) is None
        await asyncio.sleep(0.1)
        assert await held.hold(burst) is not None
        await held.close()

    asyncio.run(story())


def test_the_same_facts_ask_nobody() -> None:
    async def story() -> None:
        quick = FakeWorker(plan)
        held, _ = course(quick, FakeWorker(plan))
        first = await held.hold(snapshot("one"))
        await search_ends()
        await held.hold(snapshot("one"))
        asked = quick.asked
        assert await held.hold(replace(snapshot("one"), taken_at=500.0)) is not None
        assert quick.asked == asked
        assert first is not None

    asyncio.run(story())


def test_a_solver_that_fails_is_said_and_releases_nothing() -> None:
    def fail(question: Snapshot) -> Decision:
        raise SolverFailed("crashed")

    async def story() -> None:
        held, failed = course(FakeWorker(fail), FakeWorker(fail))
        assert await held.hold(snapshot("one")) is None
        await search_ends()
        assert set(failed) == {"quick", "full"}
        assert "crashed" in held.planner.trouble

    asyncio.run(story())


def test_a_search_that_failed_is_tried_again_in_its_time_though_nothing_changes() -> None:
    def fail(question: Snapshot) -> Decision:
        raise SolverFailed("crashed")

    async def story() -> None:
        now, due, full = 0.0, list[float](), FakeWorker(fail)
        held, _ = course(FakeWorker(plan), full)
        held.monotonic, held.wake = lambda: now, due.append
        for look in range(3):  # each cycle asks for the next: a trigger forgets
            due.clear()
            assert await held.hold(snapshot("one")) is not None
            await search_ends()
            assert (full.asked, bool(due)) == (1, look > 0)
        now += due[-1]
        await held.hold(snapshot("one"))
        await search_ends()
        assert full.asked == 2
        await held.close()

    asyncio.run(story())


def test_a_plan_that_the_checker_refused_or_with_nonsense_is_not_one() -> None:
    good = plan(snapshot("one"))
    assert problem_of(good) == ""
    assert "checker" in problem_of(replace(good, violations=("pool a is over its capacity",)))
    assert problem_of(replace(good, makespan_seconds=float("nan")))


def test_more_placed_counts_before_sooner() -> None:
    one, two = plan(snapshot("one")), plan(snapshot("one", "two"), makespan=500.0)
    assert gains(one, two)
    assert not gains(two, one)


def test_levels_count_in_their_order_and_within_their_tolerance() -> None:
    def levelled(makespan: float, mean: float) -> Decision:
        levels = (LevelReport("Makespan", "s", makespan), LevelReport("WeightedCompletion", "s", mean))
        return replace(plan(snapshot("one"), makespan=makespan), levels=levels)

    assert gains(levelled(1000.0, 500.0), levelled(990.0, 600.0))
    assert gains(levelled(1000.0, 500.0), levelled(1004.0, 400.0))
    assert not gains(levelled(1000.0, 500.0), levelled(1000.0, 500.0))
    assert not gains(levelled(1000.0, 500.0), levelled(1010.0, 400.0))


def test_fewer_late_jobs_count_before_every_level() -> None:
    one, two = plan(snapshot("one"), makespan=100.0), plan(snapshot("one"), makespan=90.0)
    late = replace(two, assignments=tuple(replace(a, deadline_seconds=50.0) for a in two.assignments))
    assert gains(late, one)
    assert not gains(one, late)


def test_who_comes_soon_after_is_asked_about_as_of_the_present_plan() -> None:
    """So the worker need only be told who came; a minute later, or after anything else, it is asked as of now."""

    class Keeping(FakeWorker):
        async def ask(self, question: object, limit_seconds: float) -> object:
            asked.append(question)
            if isinstance(question, Arrivals):
                return replace(plan(Snapshot(question.taken_at, Fleet(), question.jobs)), plan_hash="grown")
            return await super().ask(question, limit_seconds)  # type: ignore[arg-type]

    def promising(of: Snapshot) -> Decision:
        told = plan(of)
        kept = tuple(replace(one, promise=promises_of(told)[one.job]) for one in told.assignments)
        return replace(told, assignments=kept, plan_hash="first")

    async def seen_at(held: Course, now: float, *names: str) -> Decision | None:
        return await held.hold(promised(replace(snapshot(*names), taken_at=now), held.promises, {}))

    asked: list[object] = []

    async def story() -> None:
        held, _ = course(Keeping(promising), FakeWorker(plan, delay=60.0))
        await seen_at(held, 0.0, "one")
        second = await seen_at(held, 20.0, "one", "two")
        assert second is not None
        assert (second.taken_at, second.plan_hash, len(second.assignments)) == (0.0, "grown", 2)
        assert isinstance(asked[1], Arrivals)
        third = await seen_at(held, 70.0, "one", "two", "three")
        assert third is not None
        assert third.taken_at == 70.0
        assert isinstance(asked[2], Snapshot)
        await held.close()

    asyncio.run(story())
