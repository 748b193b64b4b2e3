"""Writes in flight: one step per owner at a time, many owners side by side, never waited for by the loop.

A cluster that answers slowly must not hold up the others, so a cycle hands its steps over and goes on. Until a step
is through, the next cycle sees the owner as the step will leave it (`overlay`), so that nothing is decided twice.
A step that ends while a cycle is deciding is not in what that cycle looked at: whatever the cycle wants of that owner
is stale and not taken; the next one looks again.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from polyhull.controller.children import QUOTA, REFUSED, Trouble
from polyhull.delivery.base import HUB, Action, Apply, Delivery, Finalizer, Outcome, PutStatus, StillThere
from polyhull.domain.errors import Refused
from polyhull.kube.resources import Manifest, Ref
from polyhull.render import naming

logger = logging.getLogger(__name__)

LONGEST_BACKOFF_SECONDS = 30.0


@dataclass(slots=True)
class _Owner:
    task: asyncio.Task[None] | None = None
    overlay: Mapping[str, Any] | None = None
    overlaid: tuple[Manifest, Manifest] | None = None
    """A body and the same with the overlay: while both stay, whoever looks again sees the same object."""
    failures: int = 0
    blocked_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that stopped: which owner, which action, why."""

    owner: Ref
    action: Action
    error: Exception


@dataclass(slots=True)
class Outbox:
    """`leading` is asked before each step, `on_done` hears of every outcome.

    `mark` says that something changed, `wake(seconds)` asks for a cycle then.
    """

    delivery: Delivery
    monotonic: Callable[[], float]
    leading: Callable[[], bool]
    on_done: Callable[[Ref, Outcome], None]
    mark: Callable[[], None]
    wake: Callable[[float], None]
    width: int = 32
    _owners: dict[Ref, _Owner] = field(default_factory=dict)
    _gate: asyncio.Semaphore | None = None
    _unseen: set[Ref] = field(default_factory=set)
    """Owners of steps that ended since the cycle looked."""

    def looking(self) -> None:
        """A cycle looks now: what ended so far is in what it sees. Whose pause is not over yet is due after it."""
        self._unseen.clear()
        pauses = [held.blocked_until - self.monotonic() for held in self._owners.values() if held.task is None]
        if (pause := min((left for left in pauses if left > 0.0), default=None)) is not None:
            self.wake(pause)

    def busy(self, owner: Ref) -> bool:
        """Whether a step of the owner is in flight, ended unseen by the present cycle, or failed a moment ago."""
        held = self._owners.get(owner)
        blocked = held is not None and (held.task is not None or self.monotonic() < held.blocked_until)
        return blocked or owner in self._unseen

    def in_flight(self, owner: Ref) -> bool:
        held = self._owners.get(owner)
        return held is not None and held.task is not None

    @property
    def room(self) -> int:
        """How many more steps would keep all lanes busy until the next cycle; what is urgent does not ask."""
        return max(0, 8 * self.width - sum(held.task is not None for held in self._owners.values()))

    def apply_overlay(self, ref: Ref, body: Manifest) -> Manifest:
        """The body as the step in flight will leave its status."""
        held = self._owners.get(ref)
        if held is None or held.task is None or held.overlay is None:
            return body
        if held.overlaid is None or held.overlaid[0] is not body:
            held.overlaid = (body, {**body, "status": held.overlay})
        return held.overlaid[1]

    def submit(self, owner: Ref, actions: Sequence[Action]) -> bool:
        """Start a step; False when the owner has one already."""
        if not actions or self.busy(owner):
            return False
        held = self._owners.setdefault(owner, _Owner())
        held.overlay = next(
            (action.status for action in reversed(actions) if isinstance(action, PutStatus) and action.ref == owner),
            None,
        )
        held.task = asyncio.get_running_loop().create_task(self._run(owner, held, tuple(actions)))
        return True

    async def drain(self) -> None:
        """Wait for everything in flight."""
        while tasks := [held.task for held in self._owners.values() if held.task is not None]:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, owner: Ref, held: _Owner, actions: tuple[Action, ...]) -> None:
        self._gate = self._gate or asyncio.Semaphore(self.width)
        try:
            async with self._gate:
                if not self.leading():
                    return
                outcome = await self.delivery.deliver(actions)
            self._settle(owner, held, outcome)
            self.on_done(owner, outcome)
        except Exception:
            logger.exception("a step of %s", owner)
            self._back_off(held)
        finally:
            held.task, held.overlay, held.overlaid = None, None, None
            self._unseen.add(owner)
            self.mark()

    def _settle(self, owner: Ref, held: _Owner, outcome: Outcome) -> None:
        if outcome.complete:
            self._owners.pop(owner, None)
            return
        logger.info(
            "step of %s stopped at %s: %s", owner, type(outcome.failed).__name__, outcome.error,
            extra={"done": len(outcome.done)},
        )  # fmt: skip
        self._back_off(held, quick=isinstance(outcome.error, StillThere))

    def _back_off(self, held: _Owner, quick: bool = False) -> None:
        held.failures += 1
        pause = 0.5 if quick else min(LONGEST_BACKOFF_SECONDS, 0.5 * 2 ** min(held.failures, 10))
        held.blocked_until = self.monotonic() + pause
        self.wake(pause)


def refused_child(outcome: Outcome) -> tuple[str, Trouble] | None:
    """Uid of the owner and the member's own "no" to its child (no conflict, not "too many requests"), if that is
    what stopped the step."""
    failed, error = outcome.failed, outcome.error
    if not isinstance(failed, Apply) or failed.cluster == HUB or not isinstance(error, Refused):
        return None
    if error.status in (401, 408, 409, 410, 429):
        return None
    uid = failed.uid or str((failed.manifest["metadata"].get("labels") or {}).get(naming.UID) or "")
    reason = QUOTA if "exceeded quota" in str(error) else REFUSED
    return uid, Trouble(reason, f"its child is refused: {error}"[:1000], failed.cluster)


def vanished(outcome: Outcome) -> bool:
    """Whether the hub said that the owner is gone, or another one now."""
    return (
        isinstance(outcome.failed, PutStatus | Finalizer)
        and isinstance(outcome.error, Refused)
        and (outcome.error.status in (404, 409) or "metadata.uid" in outcome.error.message)
    )
