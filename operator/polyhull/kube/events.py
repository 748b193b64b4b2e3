"""Events for people: one per change, repeats counted instead of written again, and never in the way of the work.

An Event may be lost, a decision may not: posting only puts into a bounded queue, and a cluster that refuses Events
costs nothing but them. Whatever a user must act on is in a condition as well.
"""

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from polyhull.domain.errors import PolyhullError, Refused
from polyhull.kube.client import ClusterClient
from polyhull.kube.resources import EVENTS, Ref
from polyhull.kube.transport import Object

logger = logging.getLogger(__name__)

CONTROLLER = "polyhull.io/operator"
NOTE_LIMIT = 1024
_QUIET_SECONDS = 60.0
_MEMORY = 2000


@dataclass(frozen=True, slots=True)
class News:
    """What to say about an object. `kind` is Normal or Warning; `reason` and `action` are CamelCase words."""

    about: Ref
    uid: str
    kind: str
    reason: str
    action: str
    note: str


@dataclass(slots=True)
class _Told:
    ref: Ref
    count: int
    written_at: float


class EventWriter:
    """Writes Events to one cluster. `post` from anywhere in the event loop; `run` as a task."""

    def __init__(
        self,
        client: ClusterClient,
        instance: str,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
        queue: int = 1000,
        quiet_seconds: float = _QUIET_SECONDS,
    ) -> None:
        """`instance` names this process; `now` is the wall clock in seconds since the epoch."""
        self.dropped = 0
        """News lost because the queue was full or the cluster refused them."""
        self._client, self._instance, self._now, self._monotonic = client, instance, now, monotonic
        self._queue: deque[News] = deque()
        self._limit, self._quiet = queue, quiet_seconds
        self._some = asyncio.Event()
        self._told: OrderedDict[News, _Told] = OrderedDict()
        self._serial = 0

    def post(self, news: News) -> None:
        """Say it soon. When the queue is full the oldest news is dropped."""
        if len(self._queue) >= self._limit:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(news)
        self._some.set()

    async def run(self) -> None:
        """Write what is posted, until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write all that is queued now."""
        while self._queue:
            news = self._queue.popleft()
            try:
                await self._write(news)
            except PolyhullError as error:
                self.dropped += 1
                logger.info("event %s of %s is lost: %s", news.reason, news.about, error)

    async def _write(self, news: News) -> None:
        told = self._told.get(news)
        if told is not None:
            self._told.move_to_end(news)
            told.count += 1
            if self._monotonic() - told.written_at < self._quiet:
                return  # counted; written with the next repeat after the quiet time
            if await self._repeat(told):
                return
        await self._first(news)

    async def _repeat(self, told: _Told) -> bool:
        """Raise the counter of an Event written before; False when it is gone."""
        series = {"count": told.count, "lastObservedTime": _micro_time(self._now())}
        try:
            await self._client.patch_merge(told.ref, {"series": series})
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        told.written_at = self._monotonic()
        return True

    async def _first(self, news: News) -> None:
        self._serial += 1
        namespace = news.about.namespace or "default"  # the API wants this of cluster-scoped objects
        name = f"{news.about.name[:200]}.{int(self._now() * 1e6):x}{self._serial:x}"
        ref = Ref(EVENTS, namespace, name)
        await self._client.create(ref, self._manifest(news, ref))
        self._told[news] = _Told(ref, 1, self._monotonic())
        while len(self._told) > _MEMORY:
            self._told.popitem(last=False)

    def _manifest(self, news: News, ref: Ref) -> Object:
        regarding = {
            "apiVersion": news.about.resource.api_version,
            "kind": news.about.resource.kind,
            "name": news.about.name,
            "uid": news.uid,
        }
        if news.about.namespace:
            regarding["namespace"] = news.about.namespace
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": ref.name, "namespace": ref.namespace},
            "eventTime": _micro_time(self._now()),
            "type": news.kind,
            "reason": news.reason[:128],
            "action": news.action[:128],
            "note": shortened(news.note),
            "regarding": regarding,
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance[:128],
        }


def shortened(note: str) -> str:
    """At most 1024 characters and bytes, as the API allows; what is cut is shown by an ellipsis."""
    if len(note.encode()) <= NOTE_LIMIT:
        return note
    return note.encode()[: NOTE_LIMIT - 3].decode(errors="ignore") + "…"


def _micro_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
