"""The clusters that work may be sent to: each with its own connection, mirrors and state, each on its own.

A member is a task that looks after one cluster: it reads the kubeconfig Secret on the hub, builds client and mirrors
anew when the Secret changes or the credentials stop working, and asks the API server every few seconds whether it is
there. Whatever goes wrong with one member becomes its state, never an exception of another's.
"""

import asyncio
import base64
import binascii
import hashlib
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from polyhull.domain.errors import InvalidInput, PolyhullError, Refused, Unreachable
from polyhull.kube import kubeconfig
from polyhull.kube.cache import Cache
from polyhull.kube.client import ClusterClient
from polyhull.kube.inventory import SELECTIONS, served_pod_groups, served_service_exports
from polyhull.kube.reflector import Backoff, OnChange, Selection
from polyhull.kube.resources import Ref, Resource
from polyhull.kube.transport import Object

logger = logging.getLogger(__name__)


class MemberState(StrEnum):
    """Reasons of the condition Connected as api/conditions.py spells them; CONNECTED alone means yes."""

    CONNECTING = "Connecting"
    CONNECTED = "Connected"
    UNREACHABLE = "Unreachable"
    INVALID_CREDENTIALS = "InvalidCredentials"
    CREDENTIALS_MISSING = "CredentialsMissing"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A MemberCluster as far as connecting goes: `local` uses the hub's own client, else `secret` holds the
    kubeconfig under `key`."""

    name: str
    local: bool = False
    secret: Ref | None = None
    key: str = "kubeconfig"


@dataclass(frozen=True, slots=True)
class Tempo:
    """Seconds."""

    probe: float = 10.0
    """Between looks at a member; jittered by a tenth."""
    silence: float = 30.0
    """Without an answer for so long a member is Unreachable; a shorter hiccup changes nothing."""
    discovery: float = 60.0
    """Between looks at which optional APIs it serves."""


Connect = Callable[[Any, str], ClusterClient]
"""Parsed kubeconfig and name to a client; raises InvalidInput."""


class Member:
    """One cluster as the rest of Polyhull sees it; its fields change under way, read them where they are needed."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.state = MemberState.CONNECTING
        self.message = "not connected yet"
        self.client: ClusterClient | None = None
        """None while there are no usable credentials."""
        self.cache: Cache | None = None
        self.version = ""
        self.pod_groups: Resource | None = None
        self.service_exports = False
        """The PodGroup resource it serves, if any."""
        self.contact: float | None = None
        """Monotonic time of the last answer to a probe."""

    @property
    def name(self) -> str:
        return self.wanted.name

    @property
    def connected(self) -> bool:
        """Reachable, with complete mirrors: fit for new work."""
        return self.state is MemberState.CONNECTED

    @property
    def last_contact(self) -> float | None:
        """Monotonic time of the last sign of life, by probe or by watch."""
        heard = [at for at in (self.contact, self.cache.last_contact if self.cache else None) if at is not None]
        return max(heard, default=None)


class Members:
    """The registry. `reconcile` says which members there should be; everything else happens by itself."""

    def __init__(
        self,
        hub: ClusterClient,
        on_change: OnChange,
        on_state: Callable[[Member], None],
        *,
        selections: Callable[[], Iterable[Selection]] = lambda: SELECTIONS,
        connect: Connect = ClusterClient.from_kubeconfig,
        monotonic: Callable[[], float] = time.monotonic,
        tempo: Tempo | None = None,
        backoff: Backoff | None = None,
        chance: random.Random | None = None,
    ) -> None:
        """`on_change` hears of every change in any member's mirrors, `on_state` of every change of state."""
        self._hub, self._on_change, self._on_state = hub, on_change, on_state
        self._selections, self._connect = selections, connect
        self._monotonic, self._tempo, self._backoff = monotonic, tempo or Tempo(), backoff
        self._chance = chance or random.Random()
        self._keepers: dict[str, _Keeper] = {}

    def __getitem__(self, name: str) -> Member:
        return self._keepers[name].member

    def get(self, name: str) -> Member | None:
        keeper = self._keepers.get(name)
        return keeper.member if keeper is not None else None

    def all(self) -> tuple[Member, ...]:
        """All members, by name."""
        return tuple(self._keepers[name].member for name in sorted(self._keepers))

    def client(self, name: str) -> ClusterClient | None:
        """The way into a member, None without usable credentials. May be there although the member is Unreachable."""
        member = self.get(name)
        return member.client if member is not None else None

    async def reconcile(self, wanted: Mapping[str, Wanted]) -> None:
        """Start members that are new, stop those that are gone, restart those whose way in changed."""
        for name, keeper in list(self._keepers.items()):
            if wanted.get(name) != keeper.member.wanted:
                del self._keepers[name]
                await keeper.stop()
        for name, entry in wanted.items():
            if name not in self._keepers:
                keeper = _Keeper(self, Member(entry))
                self._keepers[name] = keeper
                keeper.start()

    async def stop(self) -> None:
        """Leave all members."""
        await self.reconcile({})


class _Keeper:
    """Looks after one member."""

    def __init__(self, registry: Members, member: Member) -> None:
        self.member = member
        self._registry = registry
        self._task: asyncio.Task[None] | None = None
        self._digest = ""
        self._discovered_at: float | None = None
        self._began = registry._monotonic()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"member:{self.member.name}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._disconnect()

    async def _run(self) -> None:
        tempo = self._registry._tempo
        while True:
            try:
                state, message = await self._look()
            except Exception as error:  # a bug with one member must not take it out for ever
                logger.exception("member %s", self.member.name)
                state, message = MemberState.UNREACHABLE, f"{type(error).__name__}: {error}"
            self._enter(state, message)
            # A member that is coming up is looked at more often, so that it is ready as soon as its mirrors are.
            pause = tempo.probe if self.member.connected else min(tempo.probe, 1.0 + tempo.probe / 5)
            if state is MemberState.CONNECTING:
                pause = min(pause, 0.2)
            await asyncio.sleep(pause * (0.95 + self._registry._chance.random() / 10))

    def _enter(self, state: MemberState, message: str) -> None:
        member = self.member
        if (state, message) == (member.state, member.message):
            return
        changed = state is not member.state
        member.state, member.message = state, message
        if changed:
            logger.info("member %s: %s: %s", member.name, state, message)
        try:
            self._registry._on_state(member)
        except Exception:  # a listener's bug must not cost the member
            logger.exception("a listener failed on member %s", member.name)

    async def _look(self) -> tuple[MemberState, str]:
        """One look: credentials, then the API server, then the mirrors."""
        try:
            await self._credentials()
        except _Missing as missing:
            self._digest = ""
            await self._disconnect()
            return MemberState.CREDENTIALS_MISSING, str(missing)
        except InvalidInput as invalid:
            await self._disconnect()
            return MemberState.INVALID_CREDENTIALS, str(invalid)
        return await self._probe()

    async def _probe(self) -> tuple[MemberState, str]:
        client, cache = self.member.client, self.member.cache
        if client is None or cache is None:
            return self._silent("the hub does not give its Secret")
        try:
            # One look may not outlast the patience with the member.
            async with asyncio.timeout(self._registry._tempo.silence):
                self.member.version = await client.version()
            self.member.contact = self._registry._monotonic()
            await self._discover(client)
        except (TimeoutError, Unreachable) as error:
            return self._silent(str(error) or "no answer in time")
        except Refused as refused:
            if refused.status == 401:
                self._digest = ""  # read the Secret anew and connect again at the next look
                return MemberState.INVALID_CREDENTIALS, f"the API server does not accept the credentials: {refused}"
            if refused.status == 403:
                return MemberState.INVALID_CREDENTIALS, f"rights are missing: {refused}"
            return MemberState.UNREACHABLE, f"what answers at {client.server} is not its API server: {refused}"
        if (status := cache.refused()) in (401, 403):
            return MemberState.INVALID_CREDENTIALS, f"rights are missing ({status}): {'; '.join(cache.problems())}"
        if not cache.synced or (not self.member.connected and cache.problems()):
            cache.retry_now()  # the server answers: pauses after failures need not run out
            return MemberState.CONNECTING, "; ".join(cache.problems()) or "reading what is there"
        if not cache.healthy():
            return MemberState.UNREACHABLE, "; ".join(cache.problems()) or "its watches have been silent too long"
        return MemberState.CONNECTED, f"{client.server}, Kubernetes {self.member.version}"

    def _silent(self, why: str) -> tuple[MemberState, str]:
        """No answer now: the state stays until the patience is over."""
        heard = self.member.last_contact
        since = self._registry._monotonic() - (heard if heard is not None else self._began)
        never = heard is None
        if not never and since < self._registry._tempo.silence:
            return self.member.state, self.member.message
        return MemberState.UNREACHABLE, why

    async def _credentials(self) -> None:
        """Have client and mirrors for what the Secret says now. Raises _Missing, InvalidInput."""
        wanted = self.member.wanted
        if wanted.local:
            if self.member.client is None:
                self._install(self._registry._hub)
            return
        if wanted.secret is None:
            raise _Missing("spec.kubeconfigSecretRef is not set: name a Secret with a kubeconfig")
        try:
            secret = await self._registry._hub.find(wanted.secret)
        except PolyhullError as error:
            if isinstance(error, Refused) and self.member.client is None:
                raise _Missing(f"{wanted.secret} cannot be read on the hub: {error}") from None
            return  # the hub is not to be asked now: go on with what we have
        raw = _content(secret, wanted)
        digest = hashlib.sha256(raw).hexdigest()
        if digest == self._digest and self.member.client is not None:
            return
        client = self._open(raw, wanted)
        self._digest = digest
        await self._disconnect()
        self._install(client)

    def _open(self, raw: bytes, wanted: Wanted) -> ClusterClient:
        try:
            return self._registry._connect(kubeconfig.load(raw), self.member.name)
        except InvalidInput as invalid:
            field = f"data.{wanted.key}" + (f": {invalid.field}" if invalid.field else "")
            raise InvalidInput(str(wanted.secret), field, invalid.problem, invalid.remedy) from None

    def _install(self, client: ClusterClient) -> None:
        registry = self._registry
        cache = Cache(
            client,
            registry._selections(),
            registry._on_change,
            cluster=self.member.name,
            monotonic=registry._monotonic,
            chance=registry._chance,
            backoff=registry._backoff,
        )
        self.member.client, self.member.cache = client, cache
        self._discovered_at = None
        cache.start()

    async def _disconnect(self) -> None:
        client, cache = self.member.client, self.member.cache
        self.member.client = self.member.cache = None
        if cache is not None:
            await cache.stop()
        if client is not None and client is not self._registry._hub:
            await client.close()

    async def _discover(self, client: ClusterClient) -> None:
        now = self._registry._monotonic()
        if self._discovered_at is None or now - self._discovered_at >= self._registry._tempo.discovery:
            self.member.pod_groups = await served_pod_groups(client)
            self.member.service_exports = await served_service_exports(client)
            self._discovered_at = now


class _Missing(Exception):
    """There is no kubeconfig where the MemberCluster says."""


def _content(secret: Object | None, wanted: Wanted) -> bytes:
    if secret is None:
        raise _Missing(
            f"{wanted.secret} does not exist on the hub: create it with the kubeconfig under {wanted.key!r}"
        )
    encoded = (secret.get("data") or {}).get(wanted.key)
    if not encoded:
        raise _Missing(f"{wanted.secret} has no key {wanted.key!r}: store the kubeconfig there")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(
            str(wanted.secret), f"data.{wanted.key}", "is not base64", "create the Secret anew"
        ) from None
