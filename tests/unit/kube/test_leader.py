"""The Lease's own thread: kept while the operator's loop stands still, given back on a stop, and its end is told."""

import asyncio
import threading
from typing import Any

import pytest

from polyhull.domain.errors import InvalidInput
from polyhull.kube.leader import Leader
from polyhull.kube.lease import Elector, Timing
from polyhull.kube.resources import Ref

TIMING = Timing(lease=3.0, renew_deadline=2.0, retry=0.01, release=1.0)


class Leases:
    """An API server that knows one Lease and never says no."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] = {}
        self.renewed, self.wanted = threading.Event(), 0

    async def __aenter__(self) -> "Leases":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def find(self, ref: Ref) -> dict[str, Any] | None:
        return self.lease or None

    async def create(self, ref: Ref, body: dict[str, Any]) -> dict[str, Any]:
        return await self.replace(ref, body)

    async def replace(self, ref: Ref, body: dict[str, Any]) -> dict[str, Any]:
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": "1"}}
        self.wanted -= 1
        if self.wanted == 0:
            self.renewed.set()
        return self.lease

    def more(self, renewals: int) -> threading.Event:
        self.renewed.clear()
        self.wanted = renewals
        return self.renewed

    @property
    def holder(self) -> str:
        return str(self.lease["spec"]["holderIdentity"])


def leader(leases: Leases, started: threading.Event, **more: Any) -> Leader:
    async def connect() -> Any:
        return leases

    def elect(client: Any) -> Elector:
        return Elector(
            client,
            "polyhull",
            "operator",
            "me",
            now=lambda: 0.0,
            on_started=lambda epoch: started.set(),
            timing=TIMING,
            **({"on_lost": lambda reason: None} | more),
        )

    return Leader(connect, elect)


def test_it_is_renewed_while_the_loop_stands_still_and_given_back_on_a_stop() -> None:
    async def story() -> None:
        leases, started = Leases(), threading.Event()
        led = leader(leases, started)
        assert not led.leading
        task = asyncio.create_task(led.run())
        await asyncio.to_thread(started.wait, 10)
        assert led.leading
        assert leases.more(5).wait(10), "this loop does not turn, and the Lease is renewed all the same"
        assert led.leading
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not led.leading
        assert leases.holder == ""

    asyncio.run(story())


def test_who_does_not_get_on_with_its_work_lets_go() -> None:
    lost: list[str] = []

    async def story() -> None:
        alive, gone, started = threading.Event(), threading.Event(), threading.Event()
        alive.set()

        def told(reason: str) -> None:
            lost.append(reason)
            gone.set()

        led = leader(Leases(), started, alive=alive.is_set, on_lost=told)
        task = asyncio.create_task(led.run())
        await asyncio.to_thread(started.wait, 10)
        alive.clear()
        await asyncio.to_thread(gone.wait, 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())
    assert lost[0] == "this process does not get on with its work"


def test_no_way_in_is_told_to_whoever_runs_it() -> None:
    async def connect() -> Any:
        raise InvalidInput("kubeconfig", "", "is missing", "write one")

    async def story() -> None:
        await Leader(connect, lambda client: pytest.fail("nobody to elect")).run()

    with pytest.raises(InvalidInput):
        asyncio.run(story())
