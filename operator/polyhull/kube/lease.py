"""Who of several replicas acts: leader election on a coordination.k8s.io Lease.

Written by ourselves because the client's helper knows only ConfigMaps and the wall clock. Time here is monotonic and
injected: clocks that are set back, or that differ between machines, change nothing; only a clock that runs at a wrong
*rate* could (15 s against 10 s: half as fast again). Election does not fence: `leading` is asked before each write,
and the epoch tells one leadership from the next.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

from polyhull.domain.errors import Refused, Unreachable
from polyhull.kube.client import ClusterClient
from polyhull.kube.resources import LEASES, Ref, version_of
from polyhull.kube.transport import Object

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. A leader that could not renew for `renew_deadline` stops before others may take over at `lease`."""

    lease: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0
    release: float = 3.0
    """How long a clean stop may take to give the Lease back."""


class _Result(Enum):
    HELD = auto()
    TAKEN = auto()
    """Somebody else holds it."""
    UNKNOWN = auto()


class Elector:
    """One candidate. `run` it as a task; cancelling the task gives the Lease back."""

    def __init__(
        self,
        client: ClusterClient,
        namespace: str,
        name: str,
        identity: str,
        *,
        now: Callable[[], float],
        on_started: Callable[[int], None],
        on_lost: Callable[[str], None],
        timing: Timing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: random.Random | None = None,
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        """`identity` is unique to this process. `now` (seconds since the epoch) only fills the times people read.

        `alive` is asked before each renewal: a leader that cannot act must not keep others from it.
        `on_started(epoch)` and `on_lost(reason)` are called in the event loop; a clean stop calls neither.
        """
        self.identity = identity
        self.epoch = 0
        """leaseTransitions of the leadership held now or last."""
        self._client, self._ref = client, Ref(LEASES, namespace, name)
        self._now, self._monotonic, self._sleep = now, monotonic, sleep
        self._on_started, self._on_lost, self._alive = on_started, on_lost, alive
        self._timing, self._chance = timing or Timing(), chance or random.Random()
        self._leader = False
        self._renewed_at = 0.0
        self._current: Object | None = None
        self._seen_version = ""
        self._seen_at = 0.0

    @property
    def leading(self) -> bool:
        """Whether this process may act now. Turns False by the clock alone when renewing fails."""
        return self._leader and self._monotonic() < self._renewed_at + self._timing.renew_deadline

    async def run(self) -> None:
        """Wait for leadership, keep it, report its loss, and wait again; until cancelled."""
        try:
            while True:
                await self._acquire()
                logger.info("leading %s as %s, epoch %d", self._ref, self.identity, self.epoch)
                self._on_started(self.epoch)
                reason = await self._keep()
                self._leader = False
                logger.warning("no longer leading %s: %s", self._ref, reason)
                self._on_lost(reason)
        finally:
            if self._leader:
                self._leader = False
                await self._release()

    async def _acquire(self) -> None:
        while True:
            started = self._monotonic()
            if await self._tried(self._timing.renew_deadline) is _Result.HELD:
                self._leader, self._renewed_at = True, started
                return
            await self._pause()

    async def _keep(self) -> str:
        """Renew until it is lost; answers why."""
        while True:
            await self._pause()
            started = self._monotonic()
            left = self._renewed_at + self._timing.renew_deadline - started
            if left <= 0:
                return f"not renewed for {self._timing.renew_deadline:g} s"
            if not self._alive():
                return "this process does not get on with its work"
            match await self._tried(left):
                case _Result.HELD:
                    # Counted from before the request: the server may have stored it as early as that.
                    self._renewed_at = started
                case _Result.TAKEN:
                    return "another replica holds the Lease"
                case _Result.UNKNOWN:
                    continue

    async def _tried(self, seconds: float) -> _Result:
        try:
            # Not wait_for: before Python 3.12 it swallows a cancellation that meets the answer, and with it our stop.
            async with asyncio.timeout(seconds):
                return await self._attempt()
        except (TimeoutError, Unreachable, Refused) as error:
            logger.warning("Lease %s: %s", self._ref, error or "no answer in time")
            self._current = None
            return _Result.UNKNOWN

    async def _attempt(self) -> _Result:
        """Read where needed, then compare-and-swap."""
        lease = self._current if self._leader else None
        if lease is None:
            lease = await self._client.find(self._ref)
            if lease is None:
                return await self._write(None, 0)
            self._see(lease)
        spec = lease.get("spec") or {}
        holder = str(spec.get("holderIdentity") or "")
        if holder and holder != self.identity:
            if self._monotonic() < self._seen_at + max(
                self._timing.lease, float(spec.get("leaseDurationSeconds") or 0)
            ):
                return _Result.TAKEN
            logger.info("Lease %s: %s has not renewed in time, taking over", self._ref, holder)
        return await self._write(lease, int(spec.get("leaseTransitions") or 0))

    async def _write(self, lease: Object | None, transitions: int) -> _Result:
        epoch = self.epoch if self._leader else transitions + 1
        stamp = _micro_time(self._now())
        spec: dict[str, Any] = {**((lease or {}).get("spec") or {})}
        spec |= {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self._timing.lease),
            "renewTime": stamp,
            "leaseTransitions": epoch,
        }
        if not self._leader:
            spec["acquireTime"] = stamp
        try:
            if lease is None:
                written = await self._client.create(self._ref, self._manifest({}, spec))
            else:
                written = await self._client.replace(self._ref, self._manifest(lease.get("metadata") or {}, spec))
        except Refused as refused:
            self._current = None
            if refused.status in (404, 409):
                return _Result.UNKNOWN  # somebody was faster, or ours went through before: the next look will tell
            raise
        self._current, self.epoch = written, epoch
        self._see(written)
        return _Result.HELD

    async def _release(self) -> None:
        """Give the Lease back, so that the next leader need not wait for it to run out."""
        try:
            async with asyncio.timeout(self._timing.release):
                await self._let_go()
        except (TimeoutError, Unreachable, Refused) as error:
            logger.info("Lease %s runs out by itself: %s", self._ref, error or "no answer in time")

    async def _let_go(self) -> None:
        lease = self._current or await self._client.find(self._ref)
        spec = dict((lease or {}).get("spec") or {})
        if lease is None or spec.get("holderIdentity") != self.identity:
            return
        spec |= {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time(self._now())}
        await self._client.replace(self._ref, self._manifest(lease.get("metadata") or {}, spec))

    def _see(self, lease: Object) -> None:
        """Remember when this version was first seen: another's Lease runs out counted from then, by our clock."""
        if version_of(lease) != self._seen_version:
            self._seen_version, self._seen_at = version_of(lease), self._monotonic()

    def _manifest(self, metadata: Object, spec: Object) -> Object:
        kept = {key: metadata[key] for key in ("uid", "resourceVersion", "labels", "annotations") if key in metadata}
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {**kept, "name": self._ref.name, "namespace": self._ref.namespace},
            "spec": spec,
        }

    async def _pause(self) -> None:
        await self._sleep(self._timing.retry * (1.0 + 0.2 * self._chance.random()))


def _micro_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
