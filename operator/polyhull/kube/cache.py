"""What a cluster holds, in memory and current: a set of mirrors that are started, supervised and asked together."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator

from polyhull.domain.errors import BrokenPromise
from polyhull.kube.client import ClusterClient
from polyhull.kube.reflector import Backoff, Change, ChangeKind, OnChange, Reflector, Selection
from polyhull.kube.resources import Ref, Resource, ref_of
from polyhull.kube.transport import Object

__all__ = ["Backoff", "Cache", "Change", "ChangeKind", "Selection"]

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 150.0
"""Twice a watch's inactivity limit and a little: a mirror that heard nothing for so long is not trusted."""


class Cache:
    """Mirrors of several resources of one cluster. Objects handed out are shared: read them, never modify them."""

    def __init__(
        self,
        client: ClusterClient,
        selections: Iterable[Selection],
        on_change: OnChange,
        *,
        cluster: str = "",
        monotonic: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """`cluster` is the name in changes; the client's by default."""
        self.client = client
        self._monotonic = monotonic
        self._reflectors: dict[Resource, Reflector] = {}
        self._tasks: dict[Resource, asyncio.Task[None]] = {}
        self._stopping = False
        self.restarts = 0
        """Mirrors that ended although they never should; each was started again."""
        for selection in selections:
            if selection.resource in self._reflectors:
                raise BrokenPromise(f"{selection.resource.label} is selected twice for cluster {client.name}")
            self._reflectors[selection.resource] = Reflector(
                client, selection, on_change, cluster=cluster, monotonic=monotonic, chance=chance, backoff=backoff
            )

    def start(self) -> None:
        """Begin to follow; returns at once. Needs a running event loop."""
        self._stopping = False
        for resource in self._reflectors:
            self._launch(resource)

    async def stop(self) -> None:
        """End all mirrors; what they held stays readable."""
        self._stopping = True
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_synced(self, seconds: float = 30.0) -> bool:
        """Wait until every mirror holds a complete list; False when that took longer."""
        waits = [reflector.synced.wait() for reflector in self._reflectors.values()]
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*waits)
        except TimeoutError:
            return False
        return True

    # -- reading

    @property
    def synced(self) -> bool:
        """Whether every mirror has held a complete list."""
        return all(reflector.synced.is_set() for reflector in self._reflectors.values())

    def get(self, ref: Ref) -> Object | None:
        """One object, None when the mirror has none. Raises BrokenPromise when the resource is not mirrored."""
        return self._reflector(ref.resource).objects.get(ref.key)

    def objects(self, resource: Resource, namespace: str | None = None) -> list[Object]:
        """All mirrored objects of a resource, by namespace and name. Raises BrokenPromise when it is not mirrored."""
        held = self._reflector(resource).objects
        return [held[key] for key in sorted(held) if namespace is None or key[0] == namespace]

    def served(self, resource: Resource) -> bool:
        """Whether the server serves an optional resource, as far as known."""
        return self._reflector(resource).served

    def __contains__(self, resource: object) -> bool:
        return resource in self._reflectors

    def observe(self, obj: Object) -> None:
        """Take over what a write of ours returned, so that the next decision does not work on the state before it."""
        reflector = self._reflectors.get(ref_of(obj).resource)
        if reflector is not None:
            reflector.observe(obj)

    # -- health

    @property
    def last_contact(self) -> float | None:
        """Monotonic time at which any mirror last heard from the cluster; None when none ever did."""
        return max((heard for heard in self._contacts() if heard is not None), default=None)

    def problems(self) -> tuple[str, ...]:
        """What keeps which mirrors from following now; empty while all follow."""
        return tuple(
            f"{resource.label}: {reflector.problem}"
            for resource, reflector in self._reflectors.items()
            if reflector.problem is not None
        )

    def refused(self) -> int | None:
        """HTTP status if the cluster refuses some mirror (401, 403 …): our rights are at fault, not the line."""
        return next((reflector.refused for reflector in self._reflectors.values() if reflector.refused), None)

    def healthy(self, silence_seconds: float = SILENCE_SECONDS) -> bool:
        """Whether every mirror runs and has heard from the cluster within `silence_seconds`."""
        now = self._monotonic()
        running = all(resource in self._tasks and not self._tasks[resource].done() for resource in self._reflectors)
        return running and all(heard is not None and now - heard <= silence_seconds for heard in self._contacts())

    def retry_now(self) -> None:
        """End the pauses of mirrors that failed: the cluster is known to answer again."""
        for reflector in self._reflectors.values():
            reflector.retry_now()

    def relists(self) -> int:
        """How many complete lists were taken; grows when watches cannot be resumed."""
        return sum(reflector.relists for reflector in self._reflectors.values())

    def _contacts(self) -> Iterator[float | None]:
        for reflector in self._reflectors.values():
            # Nothing is heard of a resource that is not served, and nothing is missed.
            yield reflector.last_contact if reflector.served else self._monotonic()

    def _reflector(self, resource: Resource) -> Reflector:
        found = self._reflectors.get(resource)
        if found is None:
            raise BrokenPromise(f"{resource.label} is not mirrored for cluster {self.client.name}")
        return found

    def _launch(self, resource: Resource) -> None:
        task = asyncio.get_running_loop().create_task(
            self._reflectors[resource].run(), name=f"{self.client.name}:{resource.label}"
        )
        self._tasks[resource] = task
        task.add_done_callback(lambda ended: self._ended(resource, ended))

    def _ended(self, resource: Resource, task: asyncio.Task[None]) -> None:
        """A mirror must not end while the cache runs: start it again and let it be seen."""
        if self._stopping or self._tasks.get(resource) is not task:
            return
        self.restarts += 1
        level = logging.DEBUG if task.cancelled() else logging.ERROR  # cancelled from outside: the loop is closing
        logger.log(level, "mirror of %s in cluster %s ended; starting it again", resource.label, self.client.name)
        task.get_loop().call_later(1.0, self._relaunch, resource, task)

    def _relaunch(self, resource: Resource, ended: asyncio.Task[None]) -> None:
        if not self._stopping and self._tasks.get(resource) is ended:
            self._launch(resource)
