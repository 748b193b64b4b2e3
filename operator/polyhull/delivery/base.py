"""What is to be done, as values, and the port that does it.

An action names the cluster it is for; `HUB` is the cluster that holds our kinds. A *step* is a sequence of actions
for one owner in the order that safety asks for (finalizer, then status, then child): it stops at the first that
fails, so nothing later can have happened. Every action may be repeated: names are deterministic, and deletes carry
the uid of what was observed, so repeating one is doing it once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from polyhull.domain.errors import PolyhullError
from polyhull.kube.resources import DEPLOYMENTS, JOBS, PERSISTENT_VOLUME_CLAIMS, SERVICES, Ref

HUB = ""
Manifest = Mapping[str, Any]
CHILD_KINDS = (JOBS, DEPLOYMENTS, SERVICES, PERSISTENT_VOLUME_CLAIMS)
"""What an owner may have in a member besides what its Jobs own there."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of `manifest`, then of what it owns there once its uid is known."""

    cluster: str
    manifest: Manifest
    owned: Callable[[str], tuple[Manifest, ...]] | None = None
    uid: str = ""
    """Whose it is, where that is another than its label says: the job that writes a data set's copy."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete exactly the object observed under `uid`. Already gone is success.

    In the foreground: the object stays visible until its pods are gone, so its absence means theirs.
    """

    cluster: str
    ref: Ref
    uid: str


@dataclass(frozen=True, slots=True)
class ConfirmGone:
    """Ask the cluster itself (no cache) that no such object exists. Fails while it does."""

    cluster: str
    ref: Ref


@dataclass(frozen=True, slots=True)
class ConfirmNone:
    """Ask the cluster itself that nothing in `namespace` belongs to the owner `uid`. Fails while something does."""

    cluster: str
    namespace: str
    uid: str


@dataclass(frozen=True, slots=True)
class Finalizer:
    """Have our finalizer on the hub object `uid`, or not. Fails if the object is gone or another one now."""

    ref: Ref
    uid: str
    present: bool


@dataclass(frozen=True, slots=True)
class PutStatus:
    """Our whole status of the hub object `uid` (empty: whichever is there): fields left out are taken back."""

    ref: Ref
    uid: str
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Announce:
    """An Event on a hub object. Best effort: news may be lost, so it never fails a step."""

    ref: Ref
    uid: str
    kind: str
    """Normal or Warning."""
    reason: str
    note: str


@dataclass(frozen=True, slots=True)
class Suspend:
    """Set `suspend` on exactly the Job observed under `uid`: one field, the rest stays as it was applied."""

    cluster: str
    ref: Ref
    uid: str
    suspend: bool = True
    """False: let it go."""


Action = Apply | Delete | Suspend | ConfirmGone | ConfirmNone | Finalizer | PutStatus | Announce


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step came to. `objects` are the bodies that the clusters returned, as (cluster, body)."""

    done: tuple[Action, ...]
    objects: tuple[tuple[str, Manifest], ...] = ()
    failed: Action | None = None
    error: PolyhullError | None = None

    @property
    def complete(self) -> bool:
        return self.failed is None


class StillThere(PolyhullError):
    """An object that must be gone before the next action is not gone yet."""


class Delivery(Protocol):
    """Does a step's actions one after the other and stops at the first that fails."""

    async def deliver(self, actions: Sequence[Action]) -> Outcome: ...
