"""`/metrics`, `/healthz` and `/readyz` on a thread of their own.

A thread, so that a stuck event loop shows as an unhealthy operator instead of a silent one. All replicas serve, also
those that wait for the lease.
"""

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import make_wsgi_app

Check = Callable[[], str]
"""Empty when fine, else one sentence that says what is wrong."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 10  # a half-open client must not keep a thread for ever

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Probes every few seconds are not news."""


class TelemetryServer:
    """Port 0 takes any free port; `port` tells which."""

    def __init__(self, registry: CollectorRegistry, healthy: Check, ready: Check, port: int, host: str = "") -> None:
        self._metrics, self._checks = make_wsgi_app(registry), {"/healthz": healthy, "/readyz": ready}
        self._server = make_server(host, port, self._answer, server_class=_Server, handler_class=_Quiet)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="telemetry", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            body: Iterable[bytes] = self._metrics(environ, start_response)
            return body
        if (check := self._checks.get(path)) is None:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"try /metrics, /healthz or /readyz\n"]
        problem = check()
        status = "503 Service Unavailable" if problem else "200 OK"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{problem or 'ok'}\n".encode()]
