"""Which kubeconfigs are refused, and that what is accepted keeps no key on disk and in no message."""

import base64
import copy
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.errors import InvalidInput
from polyhull.kube import kubeconfig
from polyhull.kube.client import ClusterClient
from polyhull.kube.kubeconfig import credentials_of, load, problems_of

AUTHORITY = """-----BEGIN CERTIFICATE-----
MIIBdzCCAR2gAwIBAgIBADAKBggqhkjOPQQDAjAjMSEwHwYDVQQDDBhrM3Mtc2Vy
-----END CERTIFICATE-----
"""


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def good() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "edge",
        "contexts": [{"name": "edge", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://edge.example:6443/"}}],
        "users": [{"name": "u", "user": {"token": "a.b-c"}}],
    }


def changed(*path: Any, value: Any) -> dict[str, Any]:
    """The good one with one place changed."""
    config = copy.deepcopy(good())
    place: Any = config
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return config


CLUSTER = ("clusters", 0, "cluster")
USER = ("users", 0, "user")
AUTHORITY_DATA = (*CLUSTER, "certificate-authority-data")
PEM = encoded(AUTHORITY)
KEY = encoded("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n")
LOCKED = encoded("-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n-----END ENCRYPTED PRIVATE KEY-----\n")

PLACE = {"C": "clusters[0].cluster", "U": "users[0].user", "X": "contexts[0].context"}
"""The first letter of a field in the table stands for this."""
REFUSED: list[tuple[str, Any, str]] = [
    ("exec", changed(*USER, "exec", value={"command": "/bin/sh"}), "U.exec"),
    ("exec beside a token", changed(*USER, value={"token": "a", "exec": {"command": "x"}}), "U.exec"),
    ("auth provider", changed(*USER, "auth-provider", value={"name": "gcp"}), "U.auth-provider"),
    ("token file", changed(*USER, value={"tokenFile": "/var/run/secrets/token"}), "U.tokenFile"),
    ("certificate file", changed(*USER, "client-certificate", value="/etc/c.crt"), "U.client-certificate"),
    ("key file", changed(*USER, "client-key", value="/etc/c.key"), "U.client-key"),
    ("basic authentication", changed(*USER, value={"username": "a", "password": "b"}), "U.username"),
    ("impersonation", changed(*USER, "as", value="system:admin"), "U.as"),
    ("impersonated group", changed(*USER, "as-groups", value=["system:masters"]), "U.as-groups"),
    ("unknown key of a user", changed(*USER, "future", value=True), "U.future"),
    ("no credentials", changed(*USER, value={}), "U"),
    ("token of two lines", changed(*USER, "token", value="a\r\nX-Remote-User: admin"), "U.token"),
    ("token that is a number", changed(*USER, "token", value=123456), "U.token"),
    ("certificate alone", changed(*USER, value={"client-certificate-data": PEM}), "U.client-key-data"),
    ("key alone", changed(*USER, value={"client-key-data": KEY}), "U.client-certificate-data"),
    (
        "key with a passphrase",
        changed(*USER, value={"client-certificate-data": PEM, "client-key-data": LOCKED}),
        "U.client-key-data",
    ),
    ("authority file", changed(*CLUSTER, "certificate-authority", value="/etc/ca.crt"), "C.certificate-authority"),
    ("authority not base64", changed(*AUTHORITY_DATA, value="%%%"), "C.certificate-authority-data"),
    ("authority not PEM", changed(*AUTHORITY_DATA, value=encoded("x")), "C.certificate-authority-data"),
    ("no verification", changed(*CLUSTER, "insecure-skip-tls-verify", value=True), "C.insecure-skip-tls-verify"),
    ("proxy", changed(*CLUSTER, "proxy-url", value="http://evil.example"), "C.proxy-url"),
    ("unknown key of a cluster", changed(*CLUSTER, "future", value=1), "C.future"),
    ("odd server name", changed(*CLUSTER, "tls-server-name", value="a b"), "C.tls-server-name"),
    *(
        (f"server {server!r}", changed(*CLUSTER, "server", value=server), "C.server")
        for server in (
            "", None, 6443, "http://edge.example", "edge.example:6443", "unix:///var/run/x.sock", "file:///etc/passwd",
            "https://", "https://user:pass@edge.example", "https://edge.example?x=1", "https://edge.example#x",
            "https://169.254.169.254", "https://[fe80::1]", "https://[::ffff:169.254.169.254]", "https://0.0.0.0",
            "https://224.0.0.1", "https://edge.example:99999", "https://edge .example",
            "https://edge.example\r\nHost: x",
            "https://2130706433", "https://a..b", "https://[::1", "https://edge.example\\@evil.example",
        )
    ),
    ("two contexts", changed("contexts", value=good()["contexts"] * 2), "contexts"),
    ("two clusters", changed("clusters", value=good()["clusters"] * 2), "clusters"),
    ("no user", changed("users", value=[]), "users"),
    ("users not a list", changed("users", value={"u": 1}), "users"),
    ("user not a mapping", changed("users", value=["u"]), "U"),
    ("no current context", changed("current-context", value=""), "current-context"),
    ("another current context", changed("current-context", value="cloud"), "current-context"),
    ("context of another cluster", changed("contexts", 0, "context", "cluster", value="x"), "X.cluster"),
    ("context of another user", changed("contexts", 0, "context", "user", value="x"), "X.user"),
    ("a list", [], "kubeconfig"),
    ("nothing", None, "kubeconfig"),
    ("text", "hello", "kubeconfig"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "field"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused_with_the_field_named(config: Any, field: str) -> None:
    place, dot, rest = field.partition(".")
    expected = PLACE.get(place, place) + dot + rest
    assert expected in {problem.field for problem in problems_of(config)}
    with pytest.raises(InvalidInput) as caught:
        ClusterClient.from_kubeconfig(config, "edge")
    assert caught.value.remedy


def test_the_good_one_is_good() -> None:
    assert problems_of(good()) == ()
    credentials = credentials_of(good(), "test")
    assert (credentials.server, credentials.token) == ("https://edge.example:6443", "a.b-c")


@pytest.mark.parametrize(
    "server", ["https://127.0.0.1:6443", "https://[fd00::1]:6443", "https://kube.local/k8s/clusters/c-1"]
)
def test_addresses_people_use(server: str) -> None:
    assert problems_of(changed(*CLUSTER, "server", value=server)) == ()


def test_secrets_are_not_shown() -> None:
    assert "a.b-c" not in repr(credentials_of(good(), "test"))


def test_certificates_that_tls_cannot_use_are_refused_and_leave_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    config = changed(*USER, value={"client-certificate-data": PEM, "client-key-data": KEY})
    with pytest.raises(InvalidInput, match="certificates cannot be used"):
        ClusterClient.from_kubeconfig(config, "edge")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["a: [", "!!python/object/apply:os.system ['true']", "\x00", "[" * 5000, b"\xff\xfe\xfa"]
)
def test_what_is_not_yaml(text: str | bytes) -> None:
    with pytest.raises(InvalidInput, match="not YAML"):
        load(text)


def test_too_big() -> None:
    with pytest.raises(InvalidInput, match="more than"):
        load("a: " + "x" * kubeconfig.MAXIMUM_BYTES)


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
PLACES = [
    ("contexts",), ("clusters",), ("users",), ("current-context",), ("contexts", 0), ("clusters", 0), ("users", 0),
    ("contexts", 0, "context"), CLUSTER, USER, (*CLUSTER, "server"), (*USER, "token"),
    (*CLUSTER, "certificate-authority-data"), (*CLUSTER, "tls-server-name"), (*USER, "client-key-data"),
]  # fmt: skip


@given(st.sampled_from(PLACES), JSON_LIKE)
def test_any_value_anywhere_is_judged_and_never_crashes(place: tuple[Any, ...], value: Any) -> None:
    config = changed(*place, value=value)
    if not problems_of(config):
        credentials = credentials_of(config, "test")
        assert credentials.server.startswith("https://")
        assert credentials.token or credentials.key_pem
