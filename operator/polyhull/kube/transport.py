"""The one road to a cluster's API server: every call bounded in time, size, rate and retries, and its errors sorted.

Errors have two meanings only: `Refused`, the cluster answered no (4xx; 404 and 409 included, see `status`), and
`Unreachable`, it did not answer, is overloaded or is not an API server: try again later.
"""

import asyncio
import json
import random
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp

from polyhull import __version__
from polyhull.domain.errors import Refused, Unreachable
from polyhull.kube.connection import Connection
from polyhull.kube.limiter import Counters, TokenBucket

JSON = "application/json"

Object = dict[str, Any]
Query = Mapping[str, str | int | bool | None]

_BROKEN = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""What a failed exchange raises: no connection, no TLS, no time, nonsense."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of every call."""

    connect_seconds: float = 5.0
    total_seconds: float = 30.0
    """One call, its retries included; waiting for the token bucket is not counted."""
    attempts: int = 4
    backoff_seconds: float = 0.2
    """Before the second attempt; doubles each time, jittered between half and the whole."""
    longest_wait_seconds: float = 8.0
    """Of one pause between attempts, also when the server's Retry-After asks for more."""
    response_bytes: int = 64 * 1024 * 1024
    watch_line_bytes: int = 16 * 1024 * 1024
    inactivity_seconds: float = 70.0
    """A watch that hears neither event nor bookmark for this long is dead; API servers send bookmarks each minute."""
    watch_seconds: int = 290
    """The server ends a watch after this long."""
    page: int = 500
    """Objects per part of a list."""
    rate: float = 200.0
    """Requests per second in the long run: a placement takes four, and Kueue's rate, 42.7 a second, is to be had."""
    burst: float = 400.0


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """`kind` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    kind: str
    object: Object


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `verb` and `label` name it in counters; `idempotent` says that sending it twice does no harm."""

    verb: str
    label: str
    method: str
    path: str
    query: Query | None = None
    body: Any = None
    content_type: str = JSON
    idempotent: bool = True

    def encoded(self) -> bytes | None:
        """The body on the wire. Raises ValueError for what JSON cannot say, NaN included."""
        if self.body is None:
            return None
        return json.dumps(self.body, separators=(",", ":"), allow_nan=False).encode()

    def target(self) -> str:
        pairs = [
            (key, str(value).lower() if isinstance(value, bool) else str(value))
            for key, value in (self.query or {}).items()
            if value is not None
        ]
        return f"{self.path}?{urlencode(pairs)}" if pairs else self.path


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one attempt came to: an answer, or an error that may be worth another attempt."""

    answer: Object | None = None
    error: Refused | Unreachable | None = None
    again: bool = False
    retry_after: str | None = None


class Transport:
    """Sends calls to one cluster."""

    def __init__(
        self,
        name: str,
        connection: Connection,
        limits: Limits,
        monotonic: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self.name, self.limits, self.counters = name, limits, Counters()
        self._connection, self._monotonic = connection, monotonic
        self._chance = chance or random.Random()  # jitter only, never a decision
        self._bucket = TokenBucket(limits.rate, limits.burst, monotonic)

    @property
    def server(self) -> str:
        return self._connection.server

    async def close(self) -> None:
        await self._connection.close()

    async def call(self, call: Call) -> Object:
        """Send until it is answered, refused or out of attempts. Raises Refused, Unreachable."""
        body = call.encoded()
        deadline = self._monotonic() + self.limits.total_seconds
        fresh = False
        last: Refused | Unreachable | None = None
        for attempt in range(self.limits.attempts):
            outcome = await self._attempt(call, body, deadline, fresh)
            if outcome.answer is not None:
                return outcome.answer
            last = outcome.error
            if isinstance(last, Refused) and last.status == 401 and not fresh:
                fresh = True  # a rotated token: ask for the new one, once
                continue
            left = deadline - self._monotonic()
            if not outcome.again or attempt + 1 == self.limits.attempts or left <= 0:
                break
            self.counters.retries += 1
            await asyncio.sleep(min(self._pause(attempt, outcome.retry_after), left))
        raise last or Unreachable(f"{self._who} got no attempt: the limits allow none")

    async def stream(self, call: Call, on_open: Callable[[], None] | None = None) -> AsyncGenerator[WatchEvent, None]:
        """The events of a watch until the server ends it. Raises Refused (410 among them) and Unreachable."""
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self.limits.connect_seconds, sock_read=self.limits.inactivity_seconds
        )
        try:
            response = await self._send(call, None, timeout, fresh=False)
            if response.status == 401:  # a rotated token: ask for the new one, once
                response.close()
                response = await self._send(call, None, timeout, fresh=True)
            try:
                if response.status != 200:
                    self.counters.failures[response.status] += 1
                    raise self._error(response, await self._body(response))
                if on_open is not None:
                    on_open()
                async with aclosing(_lines(response.content, self.limits.watch_line_bytes)) as lines:
                    async for line in lines:
                        yield _event(line)
            finally:
                response.close()
        except _BROKEN as error:
            self.counters.failures[0] += 1
            raise Unreachable(f"{self._who}: watch of {call.label} broke: {_why(error)}") from error

    async def _attempt(self, call: Call, body: bytes | None, deadline: float, fresh: bool) -> _Outcome:
        self.counters.throttled_seconds += await self._bucket.take()
        timeout = aiohttp.ClientTimeout(
            total=max(0.05, deadline - self._monotonic()), sock_connect=self.limits.connect_seconds
        )
        try:
            response = await self._send(call, body, timeout, fresh)
            try:
                raw = await self._body(response)
            finally:
                response.release()
        except _BROKEN as problem:
            self.counters.failures[0] += 1
            silent = Unreachable(f"{self._who} does not answer: {_why(problem)}")
            silent.__cause__ = problem
            return _Outcome(error=silent, again=_worth_repeating(problem, call))
        if response.status < 300:
            return self._answer(raw)
        self.counters.failures[response.status] += 1
        error = self._error(response, raw)
        later = response.status == 429 or (response.status >= 500 and call.idempotent)
        return _Outcome(
            error=error,
            again=later and isinstance(error, Unreachable),
            retry_after=response.headers.get("Retry-After"),
        )

    async def _send(
        self, call: Call, body: bytes | None, timeout: aiohttp.ClientTimeout, fresh: bool
    ) -> aiohttp.ClientResponse:
        self.counters.requests[(call.verb, call.label)] += 1
        headers = {"Accept": JSON, "User-Agent": f"polyhull/{__version__}"}
        headers |= await self._connection.headers(fresh=fresh)
        if body is not None:
            headers["Content-Type"] = call.content_type
        return await self._connection.send(call.method.upper(), call.target(), headers, body, timeout)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """The whole body; ValueError as soon as it grows too big."""
        parts, size = [], 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > self.limits.response_bytes:
                response.close()
                raise ValueError(f"the answer is longer than {self.limits.response_bytes} bytes")
            parts.append(part)
        return b"".join(parts)

    def _answer(self, raw: bytes) -> _Outcome:
        try:
            answer = json.loads(raw) if raw else {}
        except ValueError:
            answer = None
        if isinstance(answer, dict):
            return _Outcome(answer)
        return _Outcome(error=Unreachable(f"{self._who}: what answers there is not a Kubernetes API server"))

    def _error(self, response: aiohttp.ClientResponse, raw: bytes) -> Refused | Unreachable:
        """What a status of 300 and more means."""
        status = response.status
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = None
        told = answer if isinstance(answer, dict) else {}
        reason = str(told.get("reason") or response.reason or "")
        message = str(told.get("message") or raw[:500].decode(errors="replace"))
        if status < 400:
            return Unreachable(
                f"{self._who} answers with a redirect ({status}), which is not followed so that credentials stay "
                "with one host: write the final address as the kubeconfig's server"
            )
        if status == 500 and "typed patch object" in message:
            # What server-side apply answers for a field the schema does not have: ours to mend, not to repeat.
            return Refused(400, "BadRequest", message)
        if status >= 500 or status == 429:
            return Unreachable(f"{self._who} answers {status} {reason}: {message}")
        return Refused(status, reason, message)

    def _pause(self, attempt: int, retry_after: str | None) -> float:
        """Seconds before the next attempt; the server's wish is honoured, with jitter on top, up to the longest."""
        jittered = self.limits.backoff_seconds * 2.0**attempt * (0.5 + self._chance.random() / 2)
        wished = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
        return min(wished + jittered, self.limits.longest_wait_seconds)

    @property
    def _who(self) -> str:
        return f"cluster {self.name} at {self.server}"


def _worth_repeating(problem: BaseException, call: Call) -> bool:
    """A wrong certificate stays wrong; a call that never left may be sent again whatever it does."""
    if isinstance(problem, ssl.SSLError | aiohttp.ClientConnectorCertificateError | aiohttp.InvalidURL):
        return False
    return call.idempotent or isinstance(problem, aiohttp.ClientConnectorError)


def _event(line: bytes) -> WatchEvent:
    """One line of a watch. Raises Refused for an ERROR event, ValueError for a line that is none."""
    told = json.loads(line)
    kind = told.get("type") if isinstance(told, dict) else None
    body = told.get("object") if isinstance(told, dict) else None
    if not isinstance(body, dict):
        raise ValueError("a line of the stream is not a watch event")
    if kind == "ERROR":
        code = int(body.get("code") or 500)
        if code >= 500 or code == 429:
            raise ValueError(f"{code} {body.get('reason')}: {body.get('message')}")
        raise Refused(code, str(body.get("reason") or ""), str(body.get("message") or ""))
    if kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
        raise ValueError(f"a watch event of type {kind!r}")
    return WatchEvent(kind, body)


async def _lines(stream: aiohttp.StreamReader, longest: int) -> AsyncGenerator[bytes, None]:
    """Lines of a stream; a last line without its end is a truncated event and is dropped."""
    parts: list[bytes] = []
    size = 0
    async for chunk in stream.iter_any():
        first, *others = chunk.split(b"\n")
        if others:
            *complete, rest = others
            for line in (b"".join((*parts, first)), *complete):
                if line.strip():
                    yield line
            parts, size = [], 0
        else:
            rest = first
        size += len(rest)
        if size > longest:
            raise ValueError(f"a watch event is longer than {longest} bytes")
        if rest:
            parts.append(rest)


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer within the time limit"
    return str(error) or type(error).__name__
