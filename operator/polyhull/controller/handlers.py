"""kopf's part: keep the hub's view of our kinds current. Handlers take note and return; nothing is decided here.

Only `on.event` handlers: any other kopf decorator leaves annotations or finalizers of its own on users' objects.
Peering, posting, scanning and webhooks are off; the Lease (kube/lease.py) says who acts.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import kopf

from polyhull.controller.store import Store
from polyhull.kube.resources import OUR_KINDS, Manifest


@dataclass(frozen=True, slots=True)
class Login:
    """How to reach the hub, in files and text."""

    server: str
    ca_path: str | None = None
    certificate_path: str | None = None
    private_key_path: str | None = None
    authorization: str | None = None
    """Value of the Authorization header."""
    insecure: bool | None = None


def registry(
    store: Store, login: Callable[[], Awaitable[Login]], heard: Callable[[Manifest], None]
) -> kopf.OperatorRegistry:
    """Handlers for all our kinds. `heard` is told of every body that a watch brings."""
    handlers = kopf.OperatorRegistry()

    async def take(event: Any, **_: Any) -> None:
        body: dict[str, Any] = dict(event["object"])
        heard(body)
        if event["type"] == "DELETED":
            store.remove(body)
        else:
            store.put(body)

    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        given = await login()
        scheme, token = ([*(given.authorization or "").split(" ", 1), "", ""])[:2]
        return kopf.ConnectionInfo(
            server=given.server,
            ca_path=given.ca_path,
            insecure=given.insecure,
            certificate_path=given.certificate_path,
            private_key_path=given.private_key_path,
            scheme=scheme or None,
            token=token or None,
        )

    kopf.on.login(registry=handlers)(log_in)
    for resource in OUR_KINDS:
        kopf.on.event(resource.group, resource.version, resource.plural, registry=handlers)(take)
    return handlers


def settings() -> kopf.OperatorSettings:
    """Calm defaults: patient retries for ever, watches that notice silence, no traces on anybody's objects."""
    chosen = kopf.OperatorSettings()
    chosen.process.ultimate_exiting_timeout = None
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.scanning.disabled = True
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 310
    chosen.watching.connect_timeout = 30
    chosen.watching.inactivity_timeout = 70
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 10
    chosen.networking.error_backoffs = _Forever()
    chosen.networking.enforce_retry_after = True
    chosen.execution.max_workers = 1
    chosen.persistence.diffbase_storage = _NothingKept()
    logging.getLogger("kopf").setLevel(logging.WARNING)
    return chosen


class _NothingKept(kopf.DiffBaseStorage):
    """kopf copies each object to tell what changed since its last handling; nobody here asks it, and the copies were
    a tenth of the operator's time."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        pass


class _Forever:
    """1, 2, 4 … 30, 30 seconds, without end: an API server that is away for five minutes must not end a watch."""

    def __iter__(self) -> Any:
        pause = 1.0
        while True:
            yield pause
            pause = min(30.0, pause * 2)


async def run(handlers: kopf.OperatorRegistry, started: Callable[[], None]) -> None:
    """Follow our kinds until cancelled. `started` is called once kopf has taken the process's signal handlers, to
    take them back: when to stop is the composition root's to say."""
    others = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=handlers,
        settings=settings(),
        clusterwide=True,
        standalone=True,
        # Named by us: kopf would ask for the user's name, and a container's user has none.
        identity="polyhull",  # type: ignore[arg-type]
    )
    started()
    await kopf.run_tasks(tasks, ignored=others)
