"""The one place where names, labels, annotations, field manager and finalizer are spelt.

Child names are a function of who owns the child and what it is for, so that a restarted operator finds what it made
and applying twice is applying once. Every name ends in a digest of the whole identity (never of concatenated text:
lengths are part of it), so two owners cannot meet in one name however alike they are written.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from polyhull.domain.workloads import Key

GROUP = "polyhull.io"
VERSION = "v1alpha1"
FIELD_MANAGER = "polyhull"
FINALIZER = "polyhull.io/children"

MANAGED_BY = "app.kubernetes.io/managed-by"
KIND = "polyhull.io/kind"
NAME = "polyhull.io/name"
NAMESPACE = "polyhull.io/namespace"
UID = "polyhull.io/uid"
HUB = "polyhull.io/hub"
"""Which hub wrote a child; optional. Two hubs may push to one member and must not take each other's for orphans."""
POOL = "polyhull.io/pool"
"""As a label shortened where need be (a pool's name has a slash); the annotation of the same key has it in full."""
VARIANT = "polyhull.io/variant"
DATA_SET = "polyhull.io/data-set"
STORE = "polyhull.io/store"
COMPONENT = "polyhull.io/component"
"""What a child is to its owner: `workers`, `rendezvous`, `gang`, `serving`, `transfer`, `copy`, `purge`, `checkpoint`
or `output`."""

ACCEPT = "polyhull.io/accept"
"""Label by which a member's administrator opens a namespace; read there, never set by us."""
SERVICE_ACCOUNTS = "polyhull.io/service-accounts"
"""Annotation beside it: comma-separated ServiceAccounts that templates may name there."""


APPROVES = "polyhull.io/approves"
"""Annotation on a PlacementPlan: digests of the assignments that approving it approves."""

HOSTS = "polyhull.io/hosts"
"""Annotation on a Deployment: the hosts its pods prefer, for as long as it lives."""
TEMPLATE = "polyhull.io/template"
"""Annotation on a Deployment: digest of the template it was made from, so that an edit is noticed."""
OPTION = "polyhull.io/option"
PLAN_HASH = "polyhull.io/plan-hash"
SOURCE_SITE = "polyhull.io/source-site"
LINKS = "polyhull.io/links"
TRANSFER_BYTES = "polyhull.io/transfer-bytes"
PART = "polyhull.io/part"
"""Of a copy that is split: which part, of how many (`2/3`)."""
RATE = "polyhull.io/rate-bytes-per-second"

STEM_LIMIT = 41
"""Longest readable part of a child's name. With the digest a name has at most 52 characters: an Indexed Job's pods
get `-<index>` as hostname on top, which must stay a DNS label of 63 for up to ten digits of index."""

_DIGEST_LENGTH = 10
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


@dataclass(frozen=True, slots=True)
class Owner:
    """The object of ours that a child belongs to. `uid` as the hub's API server gave it."""

    kind: str
    namespace: str
    name: str
    uid: str
    hub: str = ""

    @classmethod
    def of(cls, key: Key, uid: str, hub: str = "") -> "Owner":
        return cls(key.kind, key.namespace, key.name, uid, hub)


def digest(*parts: str) -> str:
    """Ten hexadecimal digits (40 bits) over the parts and their lengths."""
    framed = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(framed.encode()).hexdigest()[:_DIGEST_LENGTH]


def child_name(owner: Owner, *parts: str) -> str:
    """A DNS label of at most 52 characters, beginning with a letter (Services ask for that): `<stem>-<digest>`.

    `parts` tell several children of one owner apart (`pool`, `variant`). The digest covers kind, namespace, name,
    uid and parts; the stem is there for people only.
    """
    stem = _stem("-".join((owner.name, *parts)))
    return f"{stem}-{digest(owner.kind, owner.namespace, owner.name, owner.uid, *parts)}"


def rank(first: int, parts: int) -> tuple[str, ...]:
    """What tells the Job whose nodes begin with rank `first` from the others of its job; nothing for the only one."""
    return (f"rank-{first}",) if parts > 1 else ()


def _stem(text: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not plain or not plain[0].isalpha():
        plain = f"x-{plain}".rstrip("-")
    return plain[:STEM_LIMIT].rstrip("-")


def label_value(text: str) -> str:
    """`text` itself where it is a label value (<= 63 characters), else a readable stem and a digest of it."""
    if _LABEL_VALUE.fullmatch(text) is not None:
        return text
    return f"{_stem(text)}-{digest(text)}"


def labels(owner: Owner, component: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Labels of every child of `owner`; values that do not fit are replaced by stem and digest. Sorted by key."""
    values = {
        MANAGED_BY: FIELD_MANAGER,
        COMPONENT: component,
        KIND: owner.kind,
        NAME: owner.name,
        NAMESPACE: owner.namespace,
        UID: owner.uid,
        **({HUB: owner.hub} if owner.hub else {}),
        **(extra or {}),
    }
    return {key: label_value(values[key]) for key in sorted(values)}


def selector(wanted: Mapping[str, str]) -> str:
    """The text form of an equality selector, sorted."""
    return ",".join(f"{key}={wanted[key]}" for key in sorted(wanted))


def all_children_selector(hub: str = "") -> str:
    """Everything that Polyhull (of this hub, if named) wrote in a cluster."""
    return selector({MANAGED_BY: FIELD_MANAGER, **({HUB: label_value(hub)} if hub else {})})


def children_selector(uid: str) -> str:
    """Everything that belongs to one object of ours."""
    return selector({MANAGED_BY: FIELD_MANAGER, UID: label_value(uid)})


def join_links(links: tuple[str, ...]) -> str:
    """The `LINKS` annotation: link names are DNS names, so a comma cannot occur in them."""
    return ",".join(links)


def split_links(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
