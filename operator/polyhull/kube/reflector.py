"""One resource of one cluster, mirrored into memory by list and watch.

Written by ourselves because the client's own informer compares relists by name (a deleted and recreated object looks
modified), hammers after errors and has no time-out (reference/reliability.md §2). What this one promises: objects are
told apart by UID; a missed event is found by the next list; it never stops on its own, and says what keeps it.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from enum import StrEnum

from polyhull.domain.errors import Refused, Unreachable
from polyhull.kube.client import ClusterClient
from polyhull.kube.resources import Resource, key_of, uid_of, version_of
from polyhull.kube.transport import Object, WatchEvent

logger = logging.getLogger(__name__)

Trim = Callable[[Object], Object]
"""Keeps of an object what its readers need; see trims.py."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What to mirror. `optional`: the server need not serve the resource; it then counts as empty and is asked again
    from time to time."""

    resource: Resource
    namespace: str | None = None
    label_selector: str = ""
    field_selector: str = ""
    trim: Trim | None = None
    optional: bool = False


class ChangeKind(StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between what was mirrored and what is. Objects are shared: read them, never modify them."""

    cluster: str
    resource: Resource
    kind: ChangeKind
    old: Object | None
    new: Object | None

    @property
    def key(self) -> tuple[str, str]:
        return key_of(self.new or self.old or {})


OnChange = Callable[[Change], None]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses after failures: doubling from `first` to `longest` seconds, each jittered between half and the whole."""

    first: float = 0.5
    longest: float = 30.0
    rediscover: float = 60.0
    """Between looks at a resource that is not served."""
    stable: float = 10.0
    """A watch that lived this long was a success even if nothing happened on it."""

    def pause(self, failures: int, chance: random.Random) -> float:
        """Seconds to wait after `failures` failures in a row."""
        if failures <= 0:
            return 0.0
        return min(self.longest, self.first * 2.0 ** min(failures - 1, 16)) * (0.5 + chance.random() / 2)


class Reflector:
    """Mirror of one selection. `run` it as a task; it ends only by cancellation."""

    def __init__(
        self,
        client: ClusterClient,
        selection: Selection,
        on_change: OnChange,
        *,
        cluster: str = "",
        monotonic: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.selection = selection
        self.objects: dict[tuple[str, str], Object] = {}
        """By (namespace, name)."""
        self.synced = asyncio.Event()
        """Set once the first list is complete; stays set."""
        self.served = True
        self.last_contact: float | None = None
        """Monotonic time of the last answer, event or bookmark."""
        self.problem: str | None = None
        """What keeps it from following now; None while it follows."""
        self.refused: int | None = None
        """HTTP status when the problem is a refusal (401, 403 …)."""
        self.relists = 0
        self._client, self._on_change, self._cluster = client, on_change, cluster or client.name
        self._monotonic, self._chance, self._backoff = monotonic, chance or random.Random(), backoff or Backoff()
        self._position: str | None = None
        self._failures = 0
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """List, watch, and again, for ever."""
        while True:
            pause = await self._round()
            self._wake.clear()
            if pause > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
            else:
                await asyncio.sleep(0)  # whatever happens, others get their turn

    def retry_now(self) -> None:
        """Do not wait for the end of a pause after failures. A resource that is not served is left alone."""
        if self.served:
            self._wake.set()

    def observe(self, obj: Object) -> None:
        """Take over an object that a write of ours has just returned, so that the next reader sees it at once.

        Ignored when the mirror has already passed that write: an old answer must not bring back a deleted object.
        """
        if self._position is None or not _newer(version_of(obj), self._position):
            return
        held = self.objects.get(key_of(obj))
        if held is None or _newer(version_of(obj), version_of(held)):
            self._put(self._trimmed(obj))

    # -- one round

    async def _round(self) -> float:
        """One list and watch; answers how long to pause before the next."""
        started = self._monotonic()
        try:
            if self._position is None:
                await self._relist()
            await self._follow()
            # Servers end watches on purpose after minutes; one that ends at once would have us spin.
            self._failures = 0 if self._monotonic() - started >= self._backoff.stable else self._failures + 1
        except Refused as refused:
            return self._refused(refused)
        except Unreachable as unreachable:
            self._fail(str(unreachable))
            if isinstance(unreachable.__cause__, ValueError):
                self._position = None  # nonsense on the stream: what was meant is only known from a new list
        except Exception as error:  # never die: a bug here would freeze the view of a whole cluster
            logger.exception("mirror of %s in cluster %s", self.selection.resource.label, self._cluster)
            self._fail(f"{type(error).__name__}: {error}")
            self._position = None
        return self._backoff.pause(self._failures, self._chance)

    def _refused(self, refused: Refused) -> float:
        if refused.status == 404 and self.selection.optional:
            self._replace({}, "")
            self._position, self.served, self.problem, self._failures = None, False, None, 0
            self._heard()
            self.synced.set()
            return self._backoff.rediscover * (0.5 + self._chance.random() / 2)
        expired = refused.status == 410
        self._fail(str(refused))
        self.refused = refused.status
        if expired or refused.status in (400, 404):
            self._position = None
        if expired:
            self.problem = self.refused = None  # ordinary: the server forgot the place where we were
        return self._backoff.pause(self._failures, self._chance)

    def _fail(self, problem: str) -> None:
        self._failures += 1
        self.problem, self.refused = problem, None
        if self._failures in (1, 5) or self._failures % 20 == 0:
            logger.warning(
                "cluster %s: %s not followed (%d times in a row): %s",
                self._cluster,
                self.selection.resource.label,
                self._failures,
                problem,
            )

    async def _relist(self) -> None:
        selection = self.selection
        found: dict[tuple[str, str], Object] = {}
        position = ""
        pages = self._client.pages(
            selection.resource,
            selection.namespace,
            label_selector=selection.label_selector,
            field_selector=selection.field_selector,
        )
        async with aclosing(pages):
            async for page in pages:
                position = page.resource_version
                for item in page.items:
                    found[key_of(item)] = self._trimmed(item)
                self._heard()
        self.relists += 1
        self.served, self.problem, self.refused = True, None, None
        self._replace(found, position)
        self._position = position
        self.synced.set()

    async def _follow(self) -> None:
        selection = self.selection
        events = self._client.watch(
            selection.resource,
            selection.namespace,
            resource_version=self._position or "",
            label_selector=selection.label_selector,
            field_selector=selection.field_selector,
            on_open=self._opened,
        )
        async with aclosing(events):
            async for event in events:
                self._take(event)

    def _opened(self) -> None:
        self.problem = self.refused = None
        self._heard()

    def _heard(self) -> None:
        self.last_contact = self._monotonic()

    # -- the mirror

    def _take(self, event: WatchEvent) -> None:
        version = version_of(event.object)
        if not version:
            raise ValueError(f"a {event.kind} event without resourceVersion")
        self._heard()
        self._failures = 0
        if event.kind != "BOOKMARK":
            held = self.objects.get(key_of(event.object))
            # Older than what a write of ours already told us: its own news will follow.
            if held is None or not _newer(version_of(held), version):
                if event.kind == "DELETED":
                    self._drop(key_of(event.object))
                else:
                    self._put(self._trimmed(event.object))
        self._position = version

    def _replace(self, found: dict[tuple[str, str], Object], position: str) -> None:
        """Make the mirror equal to a complete list taken at `position`."""
        for key, held in list(self.objects.items()):
            if key not in found and not (position and _newer(version_of(held), position)):
                self._drop(key)
        for key, obj in found.items():
            present = self.objects.get(key)
            if present is None or not _newer(version_of(present), version_of(obj)):
                self._put(obj)

    def _put(self, obj: Object) -> None:
        key = key_of(obj)
        held = self.objects.get(key)
        if held is not None and uid_of(held) != uid_of(obj):
            self._drop(key)  # deleted and created anew behind our back: two changes, not one
            held = None
        if held is not None and version_of(held) == version_of(obj):
            return
        self.objects[key] = obj
        if held is None:
            self._tell(ChangeKind.ADDED, None, obj)
        elif _content(held) != _content(obj):  # heartbeats and the like change only the version
            self._tell(ChangeKind.MODIFIED, held, obj)

    def _drop(self, key: tuple[str, str]) -> None:
        held = self.objects.pop(key, None)
        if held is not None:
            self._tell(ChangeKind.DELETED, held, None)

    def _tell(self, kind: ChangeKind, old: Object | None, new: Object | None) -> None:
        try:
            self._on_change(Change(self._cluster, self.selection.resource, kind, old, new))
        except Exception:  # a listener's bug must not cost the view
            logger.exception("a listener failed on %s of %s", kind, self.selection.resource.label)

    def _trimmed(self, obj: Object) -> Object:
        trim = self.selection.trim
        if trim is None:
            return obj
        try:
            return trim(obj)
        except Exception:  # an object of unforeseen shape is kept whole rather than lost
            logger.exception("trim of a %s failed", self.selection.resource.kind)
            return obj


def _content(obj: Object) -> Object:
    """The object without its resourceVersion."""
    metadata = dict(obj.get("metadata") or {})
    metadata.pop("resourceVersion", None)
    return {**obj, "metadata": metadata}


def _newer(left: str, right: str) -> bool:
    """Whether resource version `left` is later. They are decimal numbers; what is not is never newer."""
    return left.isdigit() and right.isdigit() and int(left) > int(right)
