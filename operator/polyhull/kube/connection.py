"""How a cluster is reached: address, trust and who we are, turned into one HTTP session of the Kubernetes client.

Three ways in: credentials out of a validated kubeconfig (members), the pod's own service account (in-cluster), and
the kubeconfig of the person at the keyboard (which may run login programs, as kubectl does). Key material of members
touches the disk only for the instant the TLS library needs a file.
"""

import asyncio
import os
import ssl
import tempfile
import time
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio import config as library_config
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config.config_exception import ConfigException

from polyhull.domain.errors import InvalidInput
from polyhull.kube.kubeconfig import Credentials

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_AGE_SECONDS = 60.0
"""How long a token read from a file is trusted; the kubelet rotates it well before it expires."""

Authorization = Callable[[bool], Awaitable[str | None]]
"""Gives the value of the Authorization header; True asks for a fresh one because the last was not accepted."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Files of authority, client certificate and its key; whether the server's certificate is verified."""

    authority_path: str | None
    certificate_path: str | None
    key_path: str | None
    verified: bool = True


class Connection:
    """One HTTP session to one API server. Opened by the first request, closed by `close`."""

    def __init__(self, configuration: Any, authorization: Authorization, *, environment_proxy: bool = False) -> None:
        # trust_env would also read ~/.netrc, so it is on only for the person at the keyboard.
        configuration.client_session_kwargs = {"trust_env": environment_proxy}
        self.server = str(configuration.host).rstrip("/")
        self._configuration = configuration
        self._rest = _Rest(configuration)
        self._authorization = authorization
        self._session: aiohttp.ClientSession | None = None

    @property
    def trust(self) -> "Trust":
        """What TLS works with, for another library that opens connections of its own to the same server."""
        held = self._configuration
        return Trust(
            held.ssl_ca_cert or None, held.cert_file or None, held.key_file or None, verified=bool(held.verify_ssl)
        )

    async def headers(self, *, fresh: bool = False) -> dict[str, str]:
        """The headers that say who we are; none when a client certificate says it."""
        value = await self._authorization(fresh)
        return {"Authorization": value} if value else {}

    async def send(
        self,
        method: str,
        path_and_query: str,
        headers: dict[str, str],
        body: bytes | None,
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """Send one request and return with the response's head. Redirects are not followed."""
        if self._session is None or self._session.closed:
            self._session = self._rest.session()
        extra: dict[str, Any] = {}
        if self._configuration.tls_server_name:
            extra["server_hostname"] = self._configuration.tls_server_name
        if self._configuration.proxy:
            extra["proxy"] = self._configuration.proxy
        return await self._session.request(
            method,
            self.server + path_and_query,
            headers=headers,
            data=body,
            timeout=timeout,
            allow_redirects=False,
            **extra,
        )

    async def close(self) -> None:
        """End all connections now. TLS would wait half a minute for the farewell of a server that is frozen."""
        session, self._session = self._session, None
        if session is None:
            return
        await session.close()
        for transport in list(self._rest.transports):
            transport.abort()
        for _ in range(3):  # the loop needs a few turns to close what was aborted
            await asyncio.sleep(0)


class _Rest(RESTClientObject):  # type: ignore[misc]  # the library is untyped
    """The client's own session, over a connector that remembers its transports."""

    def __init__(self, configuration: Any) -> None:
        super().__init__(configuration)
        self.transports: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    def session(self) -> aiohttp.ClientSession:
        made: aiohttp.ClientSession = self._create_pool_manager()
        return made

    def _create_connector(self) -> aiohttp.TCPConnector:
        return _Connector(self.transports, limit=self.maxsize, ssl=self.ssl_context)


class _Connector(aiohttp.TCPConnector):
    def __init__(self, transports: "weakref.WeakSet[asyncio.Transport]", **options: Any) -> None:
        super().__init__(**options)
        self._seen = transports

    async def connect(self, *arguments: Any, **options: Any) -> Any:
        connection = await super().connect(*arguments, **options)
        if isinstance(connection.transport, asyncio.Transport):
            self._seen.add(connection.transport)
        return connection


def from_credentials(credentials: Credentials, where: str) -> Connection:
    """A connection from inline credentials. Raises InvalidInput when TLS cannot use the certificates."""
    with tempfile.TemporaryDirectory(prefix="polyhull-") as folder:
        configuration = Configuration(host=credentials.server, ca_cert_data=credentials.authority_pem or None)
        configuration.tls_server_name = credentials.tls_server_name or None
        if credentials.certificate_pem:
            configuration.cert_file = _private_file(folder, "crt", credentials.certificate_pem)
            configuration.key_file = _private_file(folder, "key", credentials.key_pem)
        try:
            return Connection(configuration, _fixed(credentials.token))
        except (ssl.SSLError, ValueError, OSError) as error:
            raise InvalidInput(
                where, "kubeconfig", f"its certificates cannot be used ({error})", "write the kubeconfig anew"
            ) from None


def in_cluster(
    folder: Path = SERVICE_ACCOUNT,
    environment: dict[str, str] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Connection:
    """The connection of a pod to its own cluster. Raises InvalidInput outside of a pod."""
    variables = os.environ if environment is None else environment
    host, port = variables.get("KUBERNETES_SERVICE_HOST", ""), variables.get("KUBERNETES_SERVICE_PORT", "")
    token, authority = folder / "token", folder / "ca.crt"
    if not host or not port or not token.is_file() or not authority.is_file():
        raise InvalidInput(
            "in-cluster configuration",
            "",
            f"KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT or the files in {folder} are missing",
            "run inside a pod with a service account, or give --kubeconfig",
        )
    address = f"[{host}]" if ":" in host else host
    configuration = Configuration(host=f"https://{address}:{port}", ssl_ca_cert=str(authority))
    return Connection(configuration, TokenFile(token, monotonic))


async def from_default(kubeconfig_path: str | None = None, context: str | None = None) -> Connection:
    """As kubectl finds its cluster: the given file, $KUBECONFIG, ~/.kube/config, else the pod's service account.

    Raises InvalidInput when there is none or it cannot be used.
    """
    path = kubeconfig_path or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if kubeconfig_path is None and context is None and not _any_file(path):
        return in_cluster()
    configuration = Configuration()

    async def reload() -> None:
        try:
            await library_config.load_kube_config(
                config_file=path, context=context, client_configuration=configuration, persist_config=False
            )
        except (ConfigException, OSError, ValueError, TypeError) as error:
            raise InvalidInput(path, context or "", str(error), "check --kubeconfig and --context") from None

    async def authorization(fresh: bool) -> str | None:
        if fresh:
            await reload()
        value = configuration.api_key.get("BearerToken")
        return str(value) if value else None

    await reload()
    try:
        return Connection(configuration, authorization, environment_proxy=True)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise InvalidInput(path, context or "", f"its certificates cannot be used ({error})", "renew them") from None


class TokenFile:
    """A bearer token that somebody else keeps fresh in a file."""

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path, self._monotonic = path, monotonic
        self._value: str | None = None
        self._read_at = 0.0

    async def __call__(self, fresh: bool) -> str | None:
        now = self._monotonic()
        if fresh or self._value is None or now - self._read_at >= TOKEN_AGE_SECONDS:
            try:
                text = self._path.read_text(encoding="ascii").strip()
            except (OSError, ValueError):
                text = ""  # mid-rotation: the last token is better than none
            if text:
                self._value, self._read_at = f"Bearer {text}", now
        return self._value


def _fixed(token: str) -> Authorization:
    async def authorization(fresh: bool) -> str | None:
        return f"Bearer {token}" if token else None

    return authorization


def _private_file(folder: str, name: str, text: str) -> str:
    path = os.path.join(folder, name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)
    return path


def _any_file(path: str) -> bool:
    return any(Path(part).is_file() for part in path.split(os.pathsep) if part)
