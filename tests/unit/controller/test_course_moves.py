"""Moves of running jobs through time: found behind, kept until they are carried out, never more than allowed."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from polyhull.controller.course import Course
from polyhull.controller.planner import Quick
from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Policy, Snapshot
from polyhull.domain.workloads import Resume
from polyhull.planning.decide import decide, present_plan
from tests import builders as b
from tests.unit.controller.test_course import FakeWorker, course, search_ends
from tests.unit.planning.test_moves import POLICY, running, world

TO_CLOUD = "cloud/v100"


def moving(full: Callable[[Snapshot], Decision] = decide) -> tuple[Course, FakeWorker]:
    search = FakeWorker(full)
    return course(FakeWorker(Quick()), search)[0], search  # type: ignore[arg-type]


async def found(held: Course, snapshot: Snapshot) -> Decision:
    """The plan once the search behind it has ended."""
    await held.hold(snapshot)
    await search_ends()
    decision = await held.hold(snapshot)
    assert decision is not None
    return decision


def place(decision: Decision | None, name: str = "long") -> tuple[str, bool]:
    assert decision is not None
    (one,) = [one for one in decision.assignments if one.job.name == name]
    return one.pool, one.fixed


def test_a_move_stands_until_it_is_carried_out_and_the_place_is_kept_for_it() -> None:
    async def story() -> None:
        held, _ = moving()
        before = world(running())
        decision = await found(held, before)
        (move,) = decision.moves
        assert place(decision) == (TO_CLOUD, False)
        news = held.take_news()
        assert news is not None
        assert news.decision.moves == (move,)
        small = b.job("small", [b.option("v100", 4.0)], work=400.0)
        after = await held.hold(replace(world(running(), small), taken_at=b.NOW + 60.0))
        assert after is not None
        assert (after.moves, place(after)) == ((move,), (TO_CLOUD, False)), "an arrival does not take it back"
        left = Resume(
            move.work_done, "edge", "edge/k80", "k80x1", move.stores, b.NOW + 61.0, 1,
            (("edge-k80-0", 1),), b.NOW + 91.0,
        )  # fmt: skip
        stopping = running(placed=None, resume=left, promise=held.promises[move.job])
        later = await held.hold(replace(world(stopping, small), taken_at=b.NOW + 62.0))
        assert later is not None
        assert later.moves == ()
        assert place(later) == (TO_CLOUD, False)
        await held.close()

    asyncio.run(story())


def test_a_move_of_a_job_that_ended_meanwhile_or_that_is_too_many_by_now_is_dropped() -> None:
    async def story() -> None:
        other = Resume(10.0, "edge", "edge/k80", "k80x1", (), b.NOW - 5.0)
        for then in (world(), world(running(), running("other", placed=None, resume=other))):
            held, _ = moving()
            await held.hold(world(running()))
            await search_ends()
            decision = await held.hold(then)
            assert decision is not None
            assert decision.moves == ()
            await held.close()

    asyncio.run(story())


def test_running_jobs_alone_are_worth_a_search_once_they_kept_their_place_and_no_other_time() -> None:
    async def story() -> None:
        held, search = moving()
        wakes: list[float] = []
        held.wake = wakes.append
        fresh = replace(POLICY, cool_down_seconds=2000.0)
        await held.hold(world(running(), policy=fresh))
        await search_ends()
        assert (search.asked, wakes) == (0, [200.0])
        rested = replace(world(running(), policy=fresh), taken_at=b.NOW + 200.0)
        assert (await found(held, rested)).moves
        assert search.asked == 1
        still, never = moving()
        await still.hold(world(running(), policy=Policy(solver=POLICY.solver)))
        await search_ends()
        assert never.asked == 0
        await held.close()

    asyncio.run(story())


def test_starts_and_ends_are_searched_about_no_more_often_than_a_tenth_of_the_cool_down() -> None:
    async def story() -> None:
        held, search = moving(lambda question: present_plan(question).decision)
        now, wakes = [0.0], []  # type: ignore[var-annotated]
        held.monotonic, held.wake = lambda: now[0], wakes.append
        two = world(running(), running("other"))
        await found(held, two)
        one = world(running())
        await found(held, one)
        assert search.asked == 1
        assert wakes[-1] == 60.0
        now[0] = 61.0
        await found(held, one)
        assert search.asked == 2
        await held.close()

    asyncio.run(story())
