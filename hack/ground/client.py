"""A small HTTPS client of one API server: JSON in, JSON out, and watches. The ground needs no more."""

import base64
import contextlib
import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

Object = dict[str, Any]
MERGE = "application/merge-patch+json"


class ApiError(RuntimeError):
    """The API server said no; `status` is the HTTP code (0: it did not answer at all)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Client:
    server: str
    token: str
    ca_pem: str
    _tls: ssl.SSLContext = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tls", ssl.create_default_context(cadata=self.ca_pem))

    @classmethod
    def of_kubeconfig(cls, path: Path) -> "Client":
        """From a kubeconfig this ground wrote: one cluster, an inline token and CA."""
        document = yaml.safe_load(path.read_text())
        cluster = document["clusters"][0]["cluster"]
        ca_pem = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return cls(cluster["server"], document["users"][0]["user"]["token"], ca_pem)

    def get(self, path: str, **query: str) -> Object:
        return self._call("GET", path, query=query)

    def post(self, path: str, body: Object) -> Object:
        return self._call("POST", path, body)

    def patch(self, path: str, body: Object) -> Object:
        return self._call("PATCH", path, body, MERGE)

    def delete(self, path: str) -> Object:
        return self._call("DELETE", path)

    def statuses(self, requests: Iterable[tuple[str, Object]]) -> Iterator[tuple[int, str]]:
        """(HTTP code, message of a refusal) of each POST of (path, body), one after the other over one connection:
        for thousands of them, each a handshake otherwise. Raises ApiError if the server does not answer.
        """
        address = urlsplit(self.server)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=30.0, context=self._tls
        )
        with contextlib.closing(connection):
            for path, body in requests:
                try:
                    connection.request("POST", path, json.dumps(body), headers)
                    with connection.getresponse() as answer:
                        said = answer.read()
                except (OSError, http.client.HTTPException) as error:
                    raise ApiError(0, f"POST {self.server}{path}: {error}") from error
                yield answer.status, "" if answer.status < 400 else _message(said)

    def ready(self) -> bool:
        try:
            with self._open("GET", "/readyz", None, "", 5.0) as answer:
                return bool(answer.status == 200)
        except ApiError:
            return False

    def watch(
        self, path: str, resource_version: str, limit_seconds: int, **more: str
    ) -> Iterator[tuple[str, Object]]:
        """(event type, object) until the server ends the watch after `limit_seconds`; raises ApiError."""
        query = {"watch": "1", "resourceVersion": resource_version, "timeoutSeconds": str(limit_seconds), **more}
        with self._open("GET", f"{path}?{urlencode(query)}", None, "", limit_seconds + 10.0) as answer:
            try:
                for line in answer:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise ApiError(event["object"].get("code", 0), event["object"].get("message", "watch ended"))
                    yield event["type"], event["object"]
            except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a line cut short
                raise ApiError(0, f"{self.server}{path}: {error}") from error

    def _call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        kind: str = "application/json",
        query: dict[str, str] | None = None,
    ) -> Object:
        if query:
            path = f"{path}?{urlencode(query)}"
        with self._open(method, path, body, kind, 30.0) as answer:
            result: Object = json.loads(answer.read())
            return result

    def _open(self, method: str, path: str, body: Object | None, kind: str, limit_seconds: float) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = kind
        request = urllib.request.Request(self.server + path, data=data, method=method, headers=headers)
        try:
            return urllib.request.urlopen(request, timeout=limit_seconds, context=self._tls)
        except urllib.error.HTTPError as error:
            with error:
                raise ApiError(error.code, f"{method} {path}: {_message(error.read())}") from None
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(0, f"{method} {self.server}{path}: {error}") from error


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:300]
