"""The trigger gathers bursts, is not starved by streams, keeps deadlines, and otherwise sleeps."""

import asyncio
import time

import pytest

from polyhull.controller.trigger import LONGEST_REST_SECONDS, Trigger


def test_nothing_marked_nothing_due_is_a_sleep() -> None:
    async def story() -> None:
        trigger = Trigger(time.monotonic, 0.001, 0.01)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(trigger.wait(), 0.1)

    asyncio.run(story())


def test_a_burst_is_one_cycle() -> None:
    async def story() -> None:
        trigger = Trigger(time.monotonic, 0.02, 1.0)
        for _ in range(100):
            trigger.mark()
        await asyncio.wait_for(trigger.wait(), 5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(trigger.wait(), 0.1)

    asyncio.run(story())


def test_a_steady_stream_does_not_starve_the_loop() -> None:
    async def story() -> None:
        trigger = Trigger(time.monotonic, 10.0, 0.05)

        async def stream() -> None:
            while True:
                trigger.mark()
                await asyncio.sleep(0.005)

        task = asyncio.create_task(stream())
        await asyncio.wait_for(trigger.wait(), 5)
        task.cancel()

    asyncio.run(story())


def test_an_earlier_deadline_wakes_a_waiter() -> None:
    async def story() -> None:
        trigger = Trigger(time.monotonic, 0.01, 0.1)
        trigger.wake_in(60)
        waiter = asyncio.create_task(trigger.wait())
        await asyncio.sleep(0.02)
        trigger.wake_in(0.02)
        await asyncio.wait_for(waiter, 5)

    asyncio.run(story())


def test_marks_during_a_cycle_lead_to_the_next() -> None:
    async def story() -> None:
        trigger = Trigger(time.monotonic, 0.01, 0.1)
        trigger.mark()
        await asyncio.wait_for(trigger.wait(), 5)
        trigger.mark()
        await asyncio.wait_for(trigger.wait(), 5)

    asyncio.run(story())


def test_after_a_long_cycle_it_rests_as_long_and_not_for_ever() -> None:
    class Clock:
        now = 0.0

        def __call__(self) -> float:
            return self.now

    async def story(took: float, rest: float) -> None:
        clock = Clock()
        trigger = Trigger(clock, 0.1, 0.5)
        trigger.mark()
        clock.now += 0.5
        await trigger.wait()
        trigger.mark()
        clock.now += took
        waiter = asyncio.create_task(trigger.wait())
        await asyncio.sleep(0.01)
        assert not waiter.done(), "the cycle has just ended"
        clock.now += rest + 0.5
        trigger.mark()  # so that it looks at the clock
        await asyncio.wait_for(waiter, 5)

    asyncio.run(story(0.6, 0.6))
    asyncio.run(story(30.0, LONGEST_REST_SECONDS))
