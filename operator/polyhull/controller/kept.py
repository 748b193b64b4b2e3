"""What a job was handed to write to, and how it goes: claims by deletion, what is in buckets by a Job for that.

`status.kept` names each place from the release on. An entry leaves it once the member confirms the claim gone, or the
Job that removes it is complete; so a member that is silent at the wrong moment is not forgotten. Pure.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from polyhull.controller import children
from polyhull.controller.children import Member
from polyhull.delivery.base import ConfirmGone
from polyhull.kube.resources import PERSISTENT_VOLUME_CLAIMS, Manifest, Ref
from polyhull.render import purge
from polyhull.render.keeping import Kept, claim_name
from polyhull.render.naming import Owner


@dataclass(frozen=True, slots=True)
class Left:
    """A checkpoint or an output at a cluster; `url` empty: in a claim."""

    cluster: str
    entry: str
    url: str = ""

    def told(self) -> dict[str, str]:
        """One entry of `status.kept`."""
        return {"cluster": self.cluster, "entry": self.entry.capitalize(), **({"url": self.url} if self.url else {})}


def left(status: Mapping[str, Any]) -> tuple[Left, ...]:
    """As recorded in a job's status, or with a tombstone."""
    return tuple(Left(one["cluster"], one["entry"].lower(), one.get("url") or "") for one in status.get("kept") or ())


def told(some: Iterable[Left]) -> list[dict[str, str]] | None:
    """For the status; None without any."""
    return [one.told() for one in dict.fromkeys(some)] or None


def handed(status: Mapping[str, Any], written: Iterable[tuple[str, Kept]]) -> list[dict[str, str]] | None:
    """`status.kept` once these are handed out as well, as (cluster, what). An output that becomes a data set is that
    one's."""
    new = [Left(cluster, one.entry, one.url) for cluster, one in written if one.data_set is None]
    return told((*left(status), *(one for one in new if not one.url or purge.removable(one.url))))


@dataclass(slots=True)
class Going:
    """What follows for places that are to go."""

    remaining: list[Left] = field(default_factory=list)
    """All that stay recorded."""
    confirms: list[ConfirmGone] = field(default_factory=list)
    """Before the others leave the record."""
    failures: list[str] = field(default_factory=list)
    """What cannot be removed and leaves the record nevertheless, in words."""
    purges: list[Left] = field(default_factory=list)
    """To be removed from their buckets now."""
    waits: bool = False
    """Removing takes its time."""
    due_at: float | None = None


def clear(
    recorded: Sequence[Left], leaving: Collection[Left], owner: Owner, members: Mapping[str, Member], now: float
) -> Going:
    """One step towards the end of those of `leaving` that a reachable member, or an administrator, answers for."""
    going = Going()
    staying = {one.url for one in recorded if one not in leaving}
    for one in recorded:
        member = members.get(one.cluster)
        if one not in leaving or (member is not None and not member.fenced and not member.reachable):
            going.remaining.append(one)
        elif member is None or member.fenced or (one.url and one.url in staying):
            pass  # an administrator vouches for it; or another cluster shares the bucket, and it is in use there
        elif one.url:
            _empty(one, owner, member, now, going)
        elif any(_is_claim(body, one.entry) for body in member.children.get(owner.uid, ())):
            going.remaining.append(one)
        else:
            ref = Ref(PERSISTENT_VOLUME_CLAIMS, owner.namespace, claim_name(owner, one.entry))
            going.confirms.append(ConfirmGone(one.cluster, ref))
    return going


def _is_claim(body: Manifest, entry: str) -> bool:
    return body["kind"] == "PersistentVolumeClaim" and children.component(body) == entry


def _empty(one: Left, owner: Owner, member: Member, now: float, going: Going) -> None:
    """Follow the Job that removes what is in a bucket."""
    job = _removing(one, owner, member)
    if job is None:
        going.remaining.append(one)
        going.purges.append(one)
        return
    seen = children.progress(job, member, owner.uid, now)
    if not seen.ended and seen.trouble is None:
        going.remaining.append(one)
        going.waits = True
        going.due_at = min((at for at in (going.due_at, seen.due_at) if at is not None), default=None)
    elif seen.ended != "Complete":
        going.failures.append(
            left_behind(one, seen.message or (seen.trouble.message if seen.trouble else "it failed"))
        )


def left_behind(one: Left, why: str) -> str:
    """For an Event."""
    return f"What it left at {one.url} could not be removed: {why}; remove it by hand"[:1000]


def _removing(one: Left, owner: Owner, member: Member) -> Manifest | None:
    """The Job that removes it, if the member shows one."""
    name = purge.job_name(owner, one.entry, one.url)
    jobs = (body for body in member.children.get(owner.uid, ()) if body["kind"] == "Job")
    return next((body for body in jobs if body["metadata"]["name"] == name), None)


def busy(leaving: Iterable[Left], owner: Owner) -> frozenset[tuple[str, str]]:
    """(cluster, name) of Jobs that remove these: nobody else's to delete."""
    return frozenset((one.cluster, purge.job_name(owner, one.entry, one.url)) for one in leaving if one.url)
