"""Writes in flight: one step per owner, none on a stale look, the member's no told apart."""

import asyncio
from collections.abc import Sequence
from typing import Any

from polyhull.controller.outbox import Outbox, refused_child, vanished
from polyhull.delivery.base import Action, Apply, Outcome, PutStatus
from polyhull.domain.errors import Refused, Unreachable
from polyhull.kube.resources import TRAINING_JOBS, Ref

OWNER = Ref(TRAINING_JOBS, "team", "one")
PUT = PutStatus(OWNER, "u", {"planHash": "h"})
CHILD = Apply("edge", {"kind": "Job", "metadata": {"name": "c", "labels": {"polyhull.io/uid": "u"}}})


class Slow:
    """Delivers when told to."""

    def __init__(self) -> None:
        self.go, self.sent = asyncio.Event(), 0

    async def deliver(self, actions: Sequence[Action]) -> Outcome:
        self.sent += 1
        await self.go.wait()
        return Outcome(tuple(actions))


def outbox(delivery: Any, ended: list[Outcome], leading: bool = True) -> Outbox:
    return Outbox(
        delivery,
        lambda: 0.0,
        lambda: leading,
        lambda owner, outcome: ended.append(outcome),
        lambda: None,
        lambda s: None,
    )


def test_what_a_cycle_decided_before_a_step_ended_is_not_done_again() -> None:
    async def story() -> None:
        slow, ended = Slow(), list[Outcome]()
        held = outbox(slow, ended)
        held.looking()
        assert held.submit(OWNER, [PUT, CHILD])
        held.looking()  # the next cycle looks while the step is in flight, and decides while it ends
        slow.go.set()
        await held.drain()
        assert len(ended) == 1
        assert not held.submit(OWNER, [CHILD]), "the cycle has not seen the child"
        held.looking()
        assert held.submit(OWNER, [CHILD])
        await held.drain()
        assert slow.sent == 2

    asyncio.run(story())


def test_until_a_step_is_through_its_status_is_what_is_seen() -> None:
    async def story() -> None:
        slow = Slow()
        held = outbox(slow, [])
        body = {"apiVersion": "polyhull.io/v1alpha1", "kind": "TrainingJob"}
        body |= {"metadata": {"name": "one", "namespace": "team"}}
        held.submit(OWNER, [PUT, CHILD])
        assert held.apply_overlay(OWNER, body)["status"] == {"planHash": "h"}
        assert not held.submit(OWNER, [PUT])
        slow.go.set()
        await held.drain()
        assert "status" not in held.apply_overlay(OWNER, body)

    asyncio.run(story())


def test_each_cycle_within_a_pause_asks_for_one_after_it() -> None:
    """A trigger forgets what it was asked once a cycle begins, and a cycle soon follows a step that failed."""

    class Refusing:
        async def deliver(self, actions: Sequence[Action]) -> Outcome:
            return Outcome((), failed=CHILD, error=Refused(403, "Forbidden", "no"))

    async def story() -> None:
        now, due = 0.0, list[float]()
        held = Outbox(Refusing(), lambda: now, lambda: True, lambda o, r: None, lambda: None, due.append)
        held.submit(OWNER, [CHILD])
        await held.drain()
        due.clear()
        now = 0.25
        held.looking()
        assert (due, held.submit(OWNER, [CHILD])) == ([0.75], False)
        now = 1.0
        held.looking()
        assert (len(due), held.submit(OWNER, [CHILD])) == (1, True)
        await held.drain()

    asyncio.run(story())


def test_who_does_not_lead_sends_nothing() -> None:
    async def story() -> None:
        slow = Slow()
        held = outbox(slow, [], leading=False)
        held.submit(OWNER, [PUT])
        await held.drain()
        assert slow.sent == 0

    asyncio.run(story())


def test_a_members_no_is_told_from_a_line_that_is_down() -> None:
    quota = Refused(403, "Forbidden", "exceeded quota: none")
    told = refused_child(Outcome((PUT,), failed=CHILD, error=quota))
    assert told is not None
    assert (told[0], told[1].reason) == ("u", "QuotaExceeded")
    told = refused_child(Outcome((PUT,), failed=CHILD, error=Refused(422, "Invalid", "no")))
    assert told is not None
    assert told[1].reason == "Refused"
    assert refused_child(Outcome((PUT,), failed=CHILD, error=Refused(409, "Conflict", "later"))) is None
    assert refused_child(Outcome((PUT,), failed=CHILD, error=Unreachable("down"))) is None
    assert refused_child(Outcome((), failed=PUT, error=quota)) is None
    assert vanished(Outcome((), failed=PUT, error=Refused(404, "NotFound", "gone")))
    assert not vanished(Outcome((), failed=PUT, error=Unreachable("down")))


def test_room_is_what_the_lanes_have_left_and_who_ends_a_step_asks_for_a_cycle() -> None:
    async def story() -> None:
        slow, marks = Slow(), list[int]()
        held = Outbox(slow, lambda: 0.0, lambda: True, lambda o, r: None, lambda: marks.append(1), lambda s: None, 2)
        assert held.room == 16
        for name in ("one", "two", "three"):
            assert held.submit(Ref(TRAINING_JOBS, "team", name), [PUT])
        assert (held.room, marks) == (13, [])
        slow.go.set()
        await held.drain()
        assert (held.room, len(marks)) == (16, 3)

    asyncio.run(story())


def test_while_a_step_is_in_flight_every_look_sees_the_same_object() -> None:
    async def story() -> None:
        slow = Slow()
        held = outbox(slow, [])
        held.submit(OWNER, [PUT])
        body = {"metadata": {"name": "one"}}
        assert held.apply_overlay(OWNER, body) is held.apply_overlay(OWNER, body)
        assert held.apply_overlay(OWNER, dict(body)) is not body
        slow.go.set()
        await held.drain()
        assert held.apply_overlay(OWNER, body) is body

    asyncio.run(story())
