"""The composition root: concrete clients, clock, files and processes are chosen here and nowhere else."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from polyhull.api.world import Memo
from polyhull.controller import handlers, observe
from polyhull.controller.asides import HELP_SECONDS, Asides
from polyhull.controller.children import News, Patience
from polyhull.controller.course import Course
from polyhull.controller.echo import Echo
from polyhull.controller.handlers import Login
from polyhull.controller.loop import Loop
from polyhull.controller.observe import View
from polyhull.controller.outbox import Outbox
from polyhull.controller.planner import Planner
from polyhull.controller.plans import TELL_SECONDS, Plans
from polyhull.controller.publish import Publisher, Record
from polyhull.controller.store import Store
from polyhull.controller.trigger import Trigger
from polyhull.delivery.base import HUB, Outcome
from polyhull.delivery.direct import DirectDelivery
from polyhull.domain.decision import Decision
from polyhull.domain.errors import PolyhullError
from polyhull.domain.labels import Labels, labels_of
from polyhull.domain.snapshot import Snapshot
from polyhull.kube import connection as connections
from polyhull.kube.cache import Cache, Change, Selection
from polyhull.kube.client import ClusterClient
from polyhull.kube.events import EventWriter
from polyhull.kube.events import News as EventNews
from polyhull.kube.inventory import SELECTIONS
from polyhull.kube.leader import Leader
from polyhull.kube.lease import Elector, Timing
from polyhull.kube.members import Members, Tempo, Wanted
from polyhull.kube.resources import EVENTS, NAMESPACES, OUR_KINDS, SECRETS, Manifest, Ref, ref_of
from polyhull.kube.served import list_all
from polyhull.kube.trims import metadata_only
from polyhull.planning import kernels
from polyhull.render.transfer import IMAGE as TRANSFER_IMAGE
from polyhull.telemetry import logs
from polyhull.telemetry.metrics import Metrics
from polyhull.telemetry.record import Method, Ring
from polyhull.telemetry.server import TelemetryServer

logger = logging.getLogger(__name__)

LOCAL = "local"
RELIST_SECONDS = 300.0
"""Between complete lists of our kinds: kopf does not tell of objects that went away while a watch was down."""
LEASE_NAME = "polyhull-operator"
STUCK_SECONDS = 30.0
"""An event loop that did not turn for so long is not alive."""
GARBAGE_THRESHOLDS = 100_000, 20, 20
"""Of the operator: with ten thousand objects in memory a third of each cycle went into looking for cycles."""
LOST_LEASE = 3
"""Exit code when another replica took over."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line decides."""

    kubeconfig: Path | None = None
    """None: as kubectl finds its cluster, or the pod's own."""
    context: str | None = None
    namespace: str = "polyhull-system"
    """The operator's own: its Lease and the members' Secrets."""
    metrics_port: int = 8080
    """0: any free port."""
    records: Path | None = None
    """Folder of the ring of decision records; None: none are kept."""
    log_level: str = "info"
    lease_name: str = LEASE_NAME
    idle_seconds: float = 0.08
    """A cycle waits for the fleet to be quiet this long, but no longer than `debounce_seconds`."""
    debounce_seconds: float = 0.5
    patience_seconds: float = 10.0
    """How long a burst of arrivals waits for the full plan before it is inserted."""
    plan_seconds: float = TELL_SECONDS
    """PlacementPlans are not written more often than this."""
    help_seconds: float = HELP_SECONDS
    """Between two looks at what would help the jobs that wait."""
    pod_patience: Patience = field(default_factory=Patience)
    lease: Timing = field(default_factory=Timing)
    tempo: Tempo = field(default_factory=Tempo)
    """How often members are asked whether they are there, and their kubeconfig Secrets are read: by name, because
    the operator has no right to list Secrets."""
    transfer_image: str = ""
    """Image of the copies' Jobs; empty: the one that render/transfer.py names."""


def run(settings: Settings) -> int:
    """Run until told to stop. Exit code 0 after SIGTERM or Ctrl-C, 3 when the Lease was lost, 2 for no way in."""
    logs.configure(settings.log_level)
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    if kernels.library() is None:
        logger.warning(kernels.NOT_BUILT)
    try:
        return asyncio.run(Operator(settings).run())
    except PolyhullError as error:
        logger.error("the operator cannot start: %s", error)
        return 2


class Operator:
    """One process: hub client, members, kopf, the loop, and what watches over them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.instance = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self.trigger: Trigger
        self.store = Store(self._changed)
        self.hub: ClusterClient
        self.members: Members
        self.namespaces: Cache
        self.leader = Leader(self._client_of_its_own, self._elector)
        self.echo = Echo(time.monotonic)
        self.ready = False
        self._starting = "starting"
        self._beat = time.monotonic()
        self._hub_id = ""
        self._memo = Memo()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._code = 0
        self._leading: asyncio.Event

    async def run(self) -> int:
        self._loop, self._stop, self._leading = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self.trigger = Trigger(time.monotonic, self.settings.idle_seconds, self.settings.debounce_seconds)
        self._take_signals()
        connection = await self._connection()
        self.hub = ClusterClient("hub", connection)
        server = TelemetryServer(self.metrics.registry, self._unhealthy, self._unready, self.settings.metrics_port)
        server.start()
        logger.info("telemetry on port %d", server.port, extra={"port": server.port})
        tasks = [
            asyncio.create_task(self.leader.run(), name="lead"),
            asyncio.create_task(self._heart(), name="heart"),
        ]
        try:
            tasks.append(asyncio.create_task(self._operate(connection), name="operate"))
            stopped = asyncio.create_task(self._stop.wait())
            done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                if task.exception() is not None:
                    logger.error("%s ended: %s", task.get_name(), task.exception(), exc_info=task.exception())
                self._code = self._code or 1
            stopped.cancel()
        finally:
            for task in reversed(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            server.close()
            await self.hub.close()
        return self._code

    def _take_signals(self) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, self._stop.set)

    # -- leadership

    async def _connection(self) -> connections.Connection:
        path = str(self.settings.kubeconfig) if self.settings.kubeconfig else None
        return await connections.from_default(path, self.settings.context)

    async def _client_of_its_own(self) -> ClusterClient:
        return ClusterClient("hub", await self._connection())

    def _elector(self, client: ClusterClient) -> Elector:
        """In the Lease's thread: what begins is told to our loop, what is lost ends the process there and then."""
        return Elector(
            client,
            self.settings.namespace,
            self.settings.lease_name,
            self.instance,
            now=time.time,
            on_started=self._elected,
            on_lost=self._lost,
            timing=self.settings.lease,
            alive=lambda: self._silent_seconds() < STUCK_SECONDS,
        )

    def _elected(self, epoch: int) -> None:
        self._loop.call_soon_threadsafe(self._started_leading)

    def _started_leading(self) -> None:
        self.metrics.leader.set(1)
        self._leading.set()

    def _lost(self, reason: str) -> None:
        """Another replica may act from now on: be gone at once, whatever is under way."""
        logger.critical("the Lease is lost: %s", reason)
        logging.shutdown()
        os._exit(LOST_LEASE)

    # -- the leader's work

    async def _operate(self, connection: connections.Connection) -> None:
        await self._leading.wait()
        self._hub_id = await self._hub_uid()
        planner = Planner(time.monotonic, self._decided, self._failed)
        publisher = Publisher(self.metrics, self._recorder())
        course = Course(
            planner,
            time.monotonic,
            self.trigger.mark,
            self.trigger.wake_in,
            self.settings.patience_seconds,
            publisher.keep,
        )
        asides = Asides(time.monotonic, self.trigger.mark, self.trigger.wake_in, self.settings.help_seconds)
        events = EventWriter(self.hub, self.instance, now=time.time)
        self.members = Members(
            self.hub,
            self._member_changed,
            lambda member: self.trigger.mark(),
            selections=_selections,
            tempo=self.settings.tempo,
        )
        self.namespaces = Cache(
            self.hub,
            [Selection(NAMESPACES, trim=metadata_only)],
            self._hub_changed,
        )
        live = Loop(
            trigger=self.trigger,
            look=self._look,
            took=self._took,
            course=course,
            asides=asides,
            publisher=publisher,
            plans=Plans(self.trigger.wake_in, self.settings.plan_seconds),
            monotonic=time.monotonic,
            hub=self._hub_id,
            rclone_image=self.settings.transfer_image or TRANSFER_IMAGE,
        )
        self.publisher, self.loop = publisher, live
        delivery = DirectDelivery(self._client, lambda news: events.post(_event(news)))
        live.outbox = Outbox(
            delivery,
            time.monotonic,
            lambda: self.leader.leading,
            live.settled,
            self.trigger.mark,
            self.trigger.wake_in,
        )
        self.outbox = live.outbox
        await planner.start()
        self.namespaces.start()
        await self.namespaces.wait_synced()
        await self._relist()
        await self._members_settled()
        tasks = [
            asyncio.create_task(
                handlers.run(handlers.registry(self.store, _login(connection), self.echo.heard), self._take_signals),
                name="kopf",
            ),
            asyncio.create_task(self._relists(), name="relists"),
            asyncio.create_task(self._follow_members(), name="members"),
            asyncio.create_task(events.run(), name="events"),
            asyncio.create_task(live.run(), name="loop"),
        ]
        self.ready = True
        self.trigger.mark()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
                raise RuntimeError(f"{task.get_name()} ended")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await course.close()
            await asides.close()
            await planner.close()
            await self.members.stop()
            await self.namespaces.stop()

    def _look(self) -> View:
        objects = [self.outbox.apply_overlay(ref, body) for ref, body in self.store.items()]
        namespaces: dict[str, Labels] = {
            str(body["metadata"]["name"]): labels_of(body["metadata"].get("labels") or {})
            for body in self.namespaces.objects(NAMESPACES)
        }
        news = {member.name: _news(member.cache) for member in self.members.all() if member.cache is not None}
        return observe.view(
            time.time(),
            objects,
            self.members.all(),
            news,
            self._hub_id,
            namespaces,
            self.settings.pod_patience,
            self._memo,
        )

    def _took(self, outcome: Outcome) -> None:
        """What a write returned is newer than any mirror: later cycles must not decide on what was before."""
        for cluster, body in outcome.objects:
            if cluster == HUB:
                self.echo.wrote(body, self.store.get(ref_of(body)))
                self.store.put(body)
                continue
            member = self.members.get(cluster)
            if member is not None and member.cache is not None:
                member.cache.observe(dict(body))

    def _client(self, cluster: str) -> ClusterClient | None:
        """Asked before each action of a step: a process that was frozen in the middle of one must not go on."""
        if not self.leader.leading:
            return None
        return self.hub if cluster == HUB else self.members.client(cluster)

    async def _hub_uid(self) -> str:
        """Uid of the hub's kube-system namespace: by it the hub's children are told from another hub's."""
        found = await self.hub.find(Ref(NAMESPACES, "", "kube-system"))
        return str(found["metadata"]["uid"]) if found is not None else ""

    # -- the hub's objects

    def _changed(self, body: Manifest) -> None:
        if self.store.get(ref_of(body)) is None:
            self.echo.forget(ref_of(body))
        if body["kind"] == "MemberCluster":
            self._wanted_changed.set()
        self.trigger.mark()

    async def _relist(self) -> None:
        self.store.replace_all(await list_all(self.hub, OUR_KINDS, self._wait_for, kept=self.store.as_held))

    def _wait_for(self, problem: str) -> None:
        self._starting = problem or "starting"

    async def _relists(self) -> None:
        while True:
            await asyncio.sleep(RELIST_SECONDS)
            with contextlib.suppress(PolyhullError):
                await self._relist()

    @property
    def _wanted_changed(self) -> asyncio.Event:
        if not hasattr(self, "_wanted_event"):
            self._wanted_event = asyncio.Event()
        return self._wanted_event

    def _wanted(self) -> dict[str, Wanted]:
        found: dict[str, Wanted] = {}
        for body in self.store.objects():
            if body["kind"] != "MemberCluster":
                continue
            name, spec = body["metadata"]["name"], body.get("spec") or {}
            secret = spec.get("kubeconfigSecretRef") or {}
            ref = Ref(SECRETS, self.settings.namespace, secret["name"]) if secret.get("name") else None
            found[name] = Wanted(name, bool(spec.get("local")), ref, str(secret.get("key") or "kubeconfig"))
        return found or {LOCAL: Wanted(LOCAL, local=True)}

    async def _members_settled(self, limit_seconds: float = 10.0) -> None:
        """Give members a moment to connect, so that the first plan sees the whole fleet."""
        await self.members.reconcile(self._wanted())
        until = time.monotonic() + limit_seconds
        while time.monotonic() < until and any(member.state == "Connecting" for member in self.members.all()):
            await asyncio.sleep(0.05)

    async def _follow_members(self) -> None:
        while True:
            await self._wanted_changed.wait()
            self._wanted_changed.clear()
            await self.members.reconcile(self._wanted())
            self.trigger.mark()

    def _member_changed(self, change: Change) -> None:
        self.trigger.mark()

    def _hub_changed(self, change: Change) -> None:
        self.trigger.mark()

    # -- telling

    def _decided(self, kind: str, seconds: float) -> None:
        self.publisher.decided(kind, seconds)

    def _failed(self, kind: str) -> None:
        self.publisher.failed(kind)

    def _recorder(self) -> Record:
        if self.settings.records is None:
            return lambda snapshot, decision, method: ""
        ring = Ring(self.settings.records)

        def record(snapshot: Snapshot, decision: Decision, method: Method) -> str:
            digest = ring.write(snapshot, decision, method)[1]
            self.metrics.records.set(ring.size_bytes())
            return digest

        return record

    # -- health

    async def _heart(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(1.0)

    def _silent_seconds(self) -> float:
        return time.monotonic() - self._beat

    def _unhealthy(self) -> str:
        silent = self._silent_seconds()
        if silent > STUCK_SECONDS:
            return f"the event loop has been stuck for {silent:.0f} s"
        # While the hub does not answer at all, silence is no fault of ours and a restart no cure.
        return self.echo.problem() if self.ready and self.leader.leading else ""

    def _unready(self) -> str:
        if self._unhealthy():
            return self._unhealthy()
        fine = self.ready or not getattr(self, "_leading", None) or not self._leading.is_set()
        return "" if fine else self._starting


def _selections() -> list[Selection]:
    """The members' mirrors, and the Warnings that say why a pod is not made or not mounted."""
    return [*SELECTIONS, Selection(EVENTS, field_selector="type=Warning", trim=_warning)]


def _warning(body: Manifest) -> dict[str, object]:
    kept = metadata_only(dict(body))
    for name in ("reason", "note", "regarding", "type"):
        kept[name] = body.get(name)
    return kept


def _news(cache: Cache) -> tuple[News, ...]:
    return tuple(
        News(
            str((body.get("regarding") or {}).get("uid") or ""), str(body.get("reason")), str(body.get("note") or "")
        )
        for body in cache.objects(EVENTS)
        if body.get("reason") in ("FailedCreate", "FailedMount")
    )


def _event(news: object) -> EventNews:
    return EventNews(news.ref, news.uid, news.kind, news.reason, news.reason, news.note)  # type: ignore[attr-defined]


def _login(connection: connections.Connection) -> Callable[[], Awaitable[Login]]:
    async def login() -> Login:
        headers = await connection.headers(fresh=True)
        return connection_login(connection, headers.get("Authorization"))

    return login


def connection_login(connection: connections.Connection, authorization: str | None) -> Login:
    trust = connection.trust
    return Login(
        server=connection.server,
        ca_path=trust.authority_path,
        certificate_path=trust.certificate_path,
        private_key_path=trust.key_path,
        authorization=authorization,
        insecure=None if trust.verified else True,
    )
