"""Leader election with clocks in the test's hand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from polyhull.kube.lease import Elector, Timing
from tests.unit.kube.small_api import SmallApi, eventually, once, run, status

PATH = "/apis/coordination.k8s.io/v1/namespaces/polyhull/leases/operator"


@dataclass
class Clock:
    """Time passes only by `advance`; sleepers wake when theirs has come, and must sleep again before it goes on."""

    now: float = 1000.0
    sleepers: list[tuple[float, asyncio.Event]] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        entry = (self.now + seconds, asyncio.Event())
        self.sleepers.append(entry)
        try:
            await entry[1].wait()
        finally:
            if entry in self.sleepers:
                self.sleepers.remove(entry)

    def settled(self) -> bool:
        return len(self.sleepers) == sum(not task.done() for task in self.tasks)

    async def advance(self, seconds: float, step: float = 0.5) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += step
            for at, woken in list(self.sleepers):
                if at <= self.now:
                    self.sleepers.remove((at, woken))
                    woken.set()
            await asyncio.sleep(0)
            await eventually(self.settled)  # requests take real time


@dataclass
class Candidate:
    elector: Elector
    said: list[str]
    task: asyncio.Task[None]

    async def kill(self) -> None:
        """As kill -9: nothing is given back."""
        self.elector._leader = False
        await self.stop()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@asynccontextmanager
async def candidates(api: SmallApi, clock: Clock, *identities: str) -> AsyncIterator[list[Candidate]]:
    async with api.serve():
        clients = [api.client(name=identity) for identity in identities]
        made = []
        for client, identity in zip(clients, identities, strict=True):
            said: list[str] = []
            elector = Elector(
                client,
                "polyhull",
                "operator",
                identity,
                now=lambda: 0.0,
                on_started=_into(said, "started "),
                on_lost=_into(said, "lost: "),
                monotonic=clock,
                sleep=clock.sleep,
            )
            made.append(Candidate(elector, said, asyncio.create_task(elector.run())))
            clock.tasks.append(made[-1].task)
            await eventually(clock.settled)  # one after the other: the first leads
        try:
            yield made
        finally:
            for candidate in made:
                await candidate.stop()
            for client in clients:
                await client.close()


def _into(said: list[str], prefix: str) -> Callable[[object], None]:
    return lambda what: said.append(f"{prefix}{what}")


def leaders(made: list[Candidate]) -> list[str]:
    return [candidate.elector.identity for candidate in made if candidate.elector.leading]


def test_one_leads_and_keeps_leading() -> None:
    async def work() -> None:
        api, clock = SmallApi(), Clock()
        async with candidates(api, clock, "a", "b") as made:
            await eventually(lambda: leaders(made))
            await clock.advance(120)
            assert leaders(made) == ["a"]
            assert made[0].said == ["started 1"]
            assert made[1].said == []
            spec = api.objects[PATH]["spec"]
            assert spec["holderIdentity"] == "a"
            assert spec["leaseTransitions"] == 1
            assert spec["renewTime"] == "1970-01-01T00:00:00.000000Z"
            assert 45 <= api.count("PUT", PATH) <= 65  # every 2 to 2.4 s

    run(work())


def test_after_a_kill_the_other_takes_over_when_the_lease_ran_out_and_not_before() -> None:
    async def work() -> None:
        api, clock = SmallApi(), Clock()
        async with candidates(api, clock, "a", "b") as made:
            await clock.advance(5)
            await made[0].kill()
            await clock.advance(10)
            assert leaders(made) == []
            await clock.advance(12)
            assert leaders(made) == ["b"]
            assert made[1].said == ["started 2"]
            assert made[1].elector.epoch == 2

    run(work())


def test_a_clean_stop_hands_over_within_one_retry() -> None:
    async def work() -> None:
        api, clock = SmallApi(), Clock()
        async with candidates(api, clock, "a", "b") as made:
            await clock.advance(5)
            await made[0].stop()
            assert api.objects[PATH]["spec"]["holderIdentity"] == ""
            await clock.advance(3)
            assert leaders(made) == ["b"]
            assert made[0].said == ["started 1"]

    run(work())


def test_a_leader_cut_off_stops_before_the_other_may_start() -> None:
    async def work() -> None:
        api, clock = SmallApi(), Clock()
        async with candidates(api, clock, "a", "b") as made:
            await clock.advance(5)
            api.faults += once(lambda: status(403, "Forbidden"), 500, method="PUT")
            for _ in range(60):
                await clock.advance(0.5)
                assert len(leaders(made)) <= 1
            assert leaders(made) == []
            assert made[0].said[1].startswith("lost: not renewed for 10 s")
            api.faults.clear()
            await clock.advance(30)
            assert len(leaders(made)) == 1
            assert api.objects[PATH]["spec"]["leaseTransitions"] == 2

    run(work())


def test_a_frozen_leader_knows_by_the_clock_alone_that_it_leads_no_more() -> None:
    async def work() -> None:
        api, clock = SmallApi(), Clock()
        async with candidates(api, clock, "a") as made:
            await eventually(lambda: leaders(made))
            clock.now += 10.0  # SIGSTOP and SIGCONT: time passed, nothing ran
            assert leaders(made) == []

    run(work())


def test_wall_clocks_do_not_matter() -> None:
    async def work() -> None:
        api, clock = SmallApi(), Clock()
        async with candidates(api, clock, "a", "b") as made:
            await clock.advance(5)
            await api.put(PATH, spec={**api.objects[PATH]["spec"], "renewTime": "1999-01-01T00:00:00.000000Z"})
            await clock.advance(60)
            assert leaders(made) == ["a"]

    run(work())


def test_somebody_elses_hand_is_a_loss() -> None:
    async def work() -> None:
        api, clock = SmallApi(), Clock()
        async with candidates(api, clock, "a") as made:
            await clock.advance(3)
            await api.put(PATH, spec={**api.objects[PATH]["spec"], "holderIdentity": "x", "leaseTransitions": 7})
            await clock.advance(6)
            assert made[0].said == ["started 1", "lost: another replica holds the Lease"]
            await clock.advance(30)
            assert made[0].said[-1] == "started 8"

    run(work())


def test_a_lost_answer_to_a_renewal_costs_nothing() -> None:
    async def work() -> None:
        api, clock = SmallApi(), Clock()
        async with candidates(api, clock, "a") as made:
            await clock.advance(3)
            lease = api.objects[PATH]
            await api.put(PATH, spec=lease["spec"])  # as if ours had been stored and the answer lost
            await clock.advance(30)
            assert made[0].said == ["started 1"]
            assert leaders(made) == ["a"]

    run(work())


def test_the_defaults_leave_room_between_stopping_and_taking_over() -> None:
    timing = Timing()
    assert timing.renew_deadline + timing.retry < timing.lease
