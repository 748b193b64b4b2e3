"""Which kubeconfigs may open a member: only those that carry plain credentials for one https server.

A kubeconfig can name programs to run and files to read. One that arrives in a Secret is somebody else's input, so
everything but an address, a certificate authority, a token or a client certificate, all inline, is refused and the
field named. The rules follow what Kueue refuses for MultiKueue clusters, and add: no key we do not know.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

from polyhull.domain.errors import InvalidInput

MAXIMUM_BYTES = 256 * 1024
"""Of a whole kubeconfig; certificate bundles included it rarely passes 20 KiB."""

_REMEDY = "write it with `kubectl config view --minify --flatten --raw`, with a token or a client certificate inline"
_INLINE = "put the content itself, base64, into the ...-data field"
_FORBIDDEN_USER = {
    "exec": "would run a program in the operator",
    "auth-provider": "would run a login plugin in the operator",
    "tokenFile": "would read a file of the operator",
    "client-certificate": "would read a file of the operator",
    "client-key": "would read a file of the operator",
    "username": "basic authentication is not supported by Kubernetes any more",
    "password": "basic authentication is not supported by Kubernetes any more",
    "as": "impersonation is not allowed",
    "as-uid": "impersonation is not allowed",
    "as-groups": "impersonation is not allowed",
    "as-user-extra": "impersonation is not allowed",
}
_FORBIDDEN_CLUSTER = {
    "certificate-authority": "would read a file of the operator",
    "proxy-url": "would send the credentials through another host",
}
_ALLOWED_USER = frozenset({"token", "client-certificate-data", "client-key-data", "extensions"})
_ALLOWED_CLUSTER = frozenset(
    {"server", "certificate-authority-data", "tls-server-name", "disable-compression", "extensions"}
)
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?")
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the field, what is wrong with it and what to do."""

    field: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is needed to talk to one API server; nothing in it names a file. repr shows the server only."""

    server: str
    authority_pem: str = ""
    """Empty: the system's certificate authorities."""
    token: str = ""
    certificate_pem: str = ""
    key_pem: str = ""
    tls_server_name: str = ""

    def __repr__(self) -> str:
        return f"Credentials(server={self.server!r})"


def load(text: str | bytes) -> Any:
    """Parse a kubeconfig's YAML. Raises InvalidInput when it is too big or not YAML."""
    raw = text if isinstance(text, bytes) else text.encode()
    if len(raw) > MAXIMUM_BYTES:
        raise InvalidInput("kubeconfig", "", f"is {len(raw)} bytes, more than the {MAXIMUM_BYTES} allowed", _REMEDY)
    try:
        return yaml.safe_load(raw)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInput("kubeconfig", "", f"is not YAML ({first})", _REMEDY) from None


def problems_of(config: Any) -> tuple[Problem, ...]:
    """Everything that keeps `config` (a parsed kubeconfig) from being used; empty when it is fine."""
    if not isinstance(config, Mapping):
        return (Problem("kubeconfig", "is not a mapping", _REMEDY),)
    found: list[Problem] = []
    context = _only(config, "contexts", "context", found)
    cluster = _only(config, "clusters", "cluster", found)
    user = _only(config, "users", "user", found)
    if context is not None:
        found += _context_problems(config, context)
    if cluster is not None:
        found += _cluster_problems(cluster[1])
    if user is not None:
        found += _user_problems(user[1])
    return tuple(found)


def credentials_of(config: Any, where: str) -> Credentials:
    """The credentials in a parsed kubeconfig. Raises InvalidInput with the first problem of `where`."""
    found = problems_of(config)
    if found:
        raise InvalidInput(where, found[0].field, found[0].problem, found[0].remedy)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    return Credentials(
        server=cluster["server"].rstrip("/"),
        authority_pem=_decode(cluster.get("certificate-authority-data")) or "",
        token=str(user.get("token") or ""),
        certificate_pem=_decode(user.get("client-certificate-data")) or "",
        key_pem=_decode(user.get("client-key-data")) or "",
        tls_server_name=str(cluster.get("tls-server-name") or ""),
    )


def _only(
    config: Mapping[str, Any], plural: str, singular: str, found: list[Problem]
) -> tuple[str, Mapping[str, Any]] | None:
    """The single named entry of a list; two entries would leave open which one is meant."""
    entries = config.get(plural)
    if not isinstance(entries, list) or len(entries) != 1:
        count = len(entries) if isinstance(entries, list) else 0
        found.append(Problem(plural, f"has {count} entries, needs exactly one", _REMEDY))
        return None
    entry = entries[0]
    body = entry.get(singular) if isinstance(entry, Mapping) else None
    if not isinstance(body, Mapping):
        found.append(Problem(f"{plural}[0].{singular}", "is missing or not a mapping", _REMEDY))
        return None
    return str(entry.get("name") or ""), body


def _context_problems(config: Mapping[str, Any], context: tuple[str, Mapping[str, Any]]) -> list[Problem]:
    name, body = context
    found: list[Problem] = []
    if not name or config.get("current-context") != name:
        found.append(Problem("current-context", f"must name the one context ({name!r})", _REMEDY))
    for singular in ("cluster", "user"):
        entries = config.get(f"{singular}s")
        if isinstance(entries, list) and len(entries) == 1 and isinstance(entries[0], Mapping):
            expected = entries[0].get("name")
            if not expected or body.get(singular) != expected:
                found.append(
                    Problem(
                        f"contexts[0].context.{singular}", f"must name the one {singular} ({expected!r})", _REMEDY
                    )
                )
    return found


def _cluster_problems(cluster: Mapping[str, Any]) -> list[Problem]:
    at = "clusters[0].cluster"
    found = [
        Problem(f"{at}.{key}", why, _INLINE if "file" in why else "remove it")
        for key, why in _FORBIDDEN_CLUSTER.items()
        if cluster.get(key)
    ]
    if cluster.get("insecure-skip-tls-verify"):
        found.append(
            Problem(f"{at}.insecure-skip-tls-verify", "would send credentials to anyone", "give the authority's data")
        )
    known = _ALLOWED_CLUSTER | _FORBIDDEN_CLUSTER.keys() | {"insecure-skip-tls-verify"}
    found += [Problem(f"{at}.{key}", "is not known", "remove it") for key in cluster if key not in known]
    found += _server_problems(cluster.get("server"), f"{at}.server")
    name = cluster.get("tls-server-name")
    if name and not (isinstance(name, str) and _NAME.fullmatch(name)):
        found.append(Problem(f"{at}.tls-server-name", "is not a host name", "write the name in the certificate"))
    found += _pem_problems(cluster, "certificate-authority-data", "CERTIFICATE", at)
    return found


def _server_problems(server: Any, field: str) -> list[Problem]:
    if not isinstance(server, str) or not server:
        return [Problem(field, "is missing", "write https://host:port of the member's API server")]
    try:
        parts = urlsplit(server)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return [Problem(field, "is not an address", "write https://host:port")]
    if parts.scheme != "https":
        return [Problem(field, "is not https", "write https://host:port: credentials travel encrypted or not at all")]
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        return [Problem(field, "carries more than host, port and path", "write https://host:port")]
    if re.search(r"[\s\x00-\x1f\x7f\\]", server):
        return [Problem(field, "has characters that no address has", "write https://host:port")]
    return _host_problems(host, field)


def _host_problems(host: str, field: str) -> list[Problem]:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if not _NAME.fullmatch(host) or ".." in host or host.replace(".", "").isdigit():
            return [Problem(field, "has no usable host", "write https://host:port")]
        return []
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified:
        return [Problem(field, "is a link-local, multicast or unspecified address", "write the API server's address")]
    return []


def _user_problems(user: Mapping[str, Any]) -> list[Problem]:
    at = "users[0].user"
    found = [
        Problem(f"{at}.{key}", why, _INLINE if "read a file" in why else "use a token or a client certificate")
        for key, why in _FORBIDDEN_USER.items()
        if user.get(key)
    ]
    known = _ALLOWED_USER | _FORBIDDEN_USER.keys()
    found += [Problem(f"{at}.{key}", "is not known", "remove it") for key in user if key not in known]
    token, certificate, key = user.get("token"), user.get("client-certificate-data"), user.get("client-key-data")
    if token and not (isinstance(token, str) and _TOKEN.fullmatch(token)):
        found.append(Problem(f"{at}.token", "is not one word of printable characters", "write the token alone"))
    if bool(certificate) != bool(key):
        missing = "client-key-data" if certificate else "client-certificate-data"
        found.append(Problem(f"{at}.{missing}", "is missing beside its other half", "give both or neither"))
    if not token and not certificate and not found:
        found.append(Problem(at, "has no credentials", "give a token, or a client certificate and its key"))
    found += _pem_problems(user, "client-certificate-data", "CERTIFICATE", at)
    found += _pem_problems(user, "client-key-data", "PRIVATE KEY", at)
    return found


def _pem_problems(body: Mapping[str, Any], field: str, marker: str, at: str) -> list[Problem]:
    value = body.get(field)
    if not value:
        return []
    text = _decode(value)
    if text is None or "-----BEGIN" not in text or marker not in text:
        return [Problem(f"{at}.{field}", f"is not a PEM {marker.lower()} in base64", _REMEDY)]
    if "ENCRYPTED" in text:
        return [Problem(f"{at}.{field}", "is protected by a passphrase", "store the key without one")]
    return []


def _decode(value: Any) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    try:
        return base64.b64decode("".join(value.split()), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None
