"""The live cycle: wait, freeze what is known, follow what runs, decide, act, say so.

    trigger.wait -> look -> verdicts -> snapshot -> decide (worker process) -> steps -> outbox -> publish

Level-triggered: a cycle looks at what is, never at what happened, so a missed event or a restart costs nothing. What
must follow from observation alone (ends, deletions, withdrawals) does not wait for a good decision.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from polyhull.controller import observe, services, steps
from polyhull.controller.asides import Asides
from polyhull.controller.children import Trouble
from polyhull.controller.course import Course
from polyhull.controller.observe import View
from polyhull.controller.outbox import Outbox, refused_child, vanished
from polyhull.controller.plans import Adopted, Plans
from polyhull.controller.publish import Publisher
from polyhull.controller.steps import Memory, Planned
from polyhull.controller.trigger import Trigger
from polyhull.controller.verdicts import Verdicts, of_copies
from polyhull.delivery.base import Outcome
from polyhull.domain.decision import Decision
from polyhull.domain.fleet import Pool
from polyhull.domain.snapshot import Snapshot
from polyhull.kube.resources import Ref
from polyhull.render import transfer

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Loop:
    """`look` freezes hub and members; `took` takes over a body that a cluster returned; the rest is in the cycle."""

    trigger: Trigger
    look: Callable[[], View]
    took: Callable[[Outcome], None]
    course: Course
    asides: Asides
    publisher: Publisher
    plans: Plans
    monotonic: Callable[[], float]
    hub: str = ""
    rclone_image: str = transfer.IMAGE
    memory: Memory = field(default_factory=Memory)
    verdicts: Verdicts = field(default_factory=Verdicts)
    outbox: Outbox = field(init=False)
    refusals: dict[str, Trouble] = field(default_factory=dict)
    """By uid: members that answered no to a child, until the hub has stored it."""
    _pools: dict[str, Pool] = field(default_factory=dict)

    async def run(self) -> None:
        """Cycle for ever. A cycle that fails is logged and tried again; it does not end the operator."""
        while True:
            await self.trigger.wait()
            began = self.monotonic()
            try:
                await self.cycle()
                self.publisher.cycled("ok", self.monotonic() - began)
            except Exception:
                logger.exception("a cycle failed; it is tried again")
                self.publisher.cycled("failed", self.monotonic() - began)
                self.trigger.wake_in(1.0)

    async def cycle(self) -> None:
        """One cycle."""
        self.outbox.looking()
        view = self.look()
        verdicts = self.verdicts.of(view, self.refusals)
        moving = of_copies(view)
        self.memory.refusals = self.refusals
        snapshot = observe.snapshot_of(view, verdicts, self.course.promises, self._pools)
        self._pools.update((pool.name, pool) for pool in snapshot.fleet.pools if pool.nodes)
        present = self.asides.attend(view, snapshot, await self.course.hold(snapshot), self.course.searching)
        follow = steps.steps(
            view, verdicts, moving, snapshot, present, self.memory, self.hub, self.rclone_image,
            self.course.planner.trouble, self.asides.answers, self.outbox.busy,
        )  # fmt: skip
        self._send(follow, view)
        await self._tell_plan(view, snapshot, present)
        self.publisher.publish(view, verdicts, present, self.course.planner)

    def settled(self, owner: Ref, outcome: Outcome) -> None:
        """A step is through, or stopped."""
        self.took(outcome)
        self.publisher.delivered(outcome)
        if (refused := refused_child(outcome)) is not None:
            self.refusals[refused[0]] = refused[1]
        elif vanished(outcome):
            logger.info("%s is gone from the hub", owner)

    def _send(self, planned: Planned, view: View) -> None:
        self.refusals.update(planned.refusals)
        kept = {job.uid for job in view.jobs if job.released or self.outbox.in_flight(job.ref)}
        kept |= services.refused(view, self.refusals)
        for uid in self.refusals.keys() - kept:
            del self.refusals[uid]
        for step in planned.urgent:
            if self.outbox.submit(step.owner, step.actions) and step.event:
                self.publisher.started(step.event)
        free = [step for step in planned.reports if not self.outbox.busy(step.owner)]
        for step in self.memory.worth_writing(free, view.now, self.trigger.wake_in, self.outbox.room):
            self.outbox.submit(step.owner, step.actions)
        if planned.due_at is not None:
            self.trigger.wake_in(max(0.05, planned.due_at - view.now))

    async def _tell_plan(self, view: View, snapshot: Snapshot, present: Decision | None) -> None:
        """The record of a newly adopted full plan at once, its PlacementPlan in time."""
        if (news := self.course.take_news()) is not None:
            record = await asyncio.to_thread(self.publisher.adopted, news.snapshot, news.decision, news.method)
            self.plans.adopt(Adopted(news.decision, record, news.before, view.now))
        told = [raw for raw in view.objects if raw["kind"] == "PlacementPlan"]
        if (step := self.plans.due(present, snapshot.policy.asks, told, view.now)) is not None:
            self.outbox.submit(*step)
