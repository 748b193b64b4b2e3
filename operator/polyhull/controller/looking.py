"""What members show of a released job, all its children as one. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from polyhull.controller import children
from polyhull.controller.children import Member, Progress, Trouble
from polyhull.controller.hubjob import Child, HubJob
from polyhull.domain.workloads import Placed, PlacedPart
from polyhull.kube.resources import Manifest


@dataclass(frozen=True, slots=True)
class Seen:
    """A child in the member it was released to, which answers. `progress` None: there is none."""

    child: Child
    member: Member
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class Look:
    """At all children of a job at once."""

    seen: tuple[Seen, ...]
    """Those in members that answer, in the order of their ranks."""
    silent: tuple[str, ...] = ()
    """Members that do not."""
    vouched: str = ""
    """Why a child is gone without a member that says so: an administrator's word."""

    @property
    def present(self) -> tuple[tuple[Seen, Progress], ...]:
        return tuple((one, one.progress) for one in self.seen if one.progress is not None)

    @property
    def absent(self) -> tuple[Seen, ...]:
        return tuple(one for one in self.seen if one.progress is None)

    @property
    def whole(self) -> Progress | None:
        """Of the children that are there; None without any."""
        found = [progress for _, progress in self.present]
        return merged(found, len(found) == len(self.seen)) if found else None

    @property
    def trouble(self) -> Trouble | None:
        """The first child's that has any, with the place to blame."""
        for one, progress in self.present:
            if progress.trouble is not None:
                pool = one.child.pool if progress.trouble.reason == children.UNBOUND else ""
                return replace(progress.trouble, cluster=one.member.name, pool=pool)
        return None


def child_of(child: Child, uid: str, member: Member) -> Manifest | None:
    """The child in its member's cache. `uid`: of its owner on the hub."""
    for body in member.children.get(uid, ()):
        if body.get("kind") == "Job" and body["metadata"]["name"] == child.ref.name:
            return body
    return None


def look(job: HubJob, members: Mapping[str, Member], now: float) -> Look:
    """At a released job."""
    seen: list[Seen] = []
    silent: dict[str, None] = {}
    vouched = ""
    for child in job.children:
        member = members.get(child.cluster)
        if member is None or member.fenced:
            why = "was deleted" if member is None else "is fenced: nothing of ours runs there any more"
            vouched = vouched or f"MemberCluster {child.cluster} {why}"
        elif not member.reachable:
            silent[member.name] = None
        else:
            body = child_of(child, job.uid, member)
            progress = None if body is None else children.progress(body, member, job.uid, now, child.pool)
            seen.append(Seen(child, member, progress))
    return Look(tuple(seen), tuple(silent), vouched)


def merged(found: Sequence[Progress], complete: bool = True) -> Progress:
    """Several children as one: bound and running when all are, failed when one is, ended well when all have.

    `complete`: none is missing.
    """
    if len(found) == 1 and complete:
        return found[0]
    failed = [one for one in found if one.ended == "Failed"]
    well = complete and all(one.ended for one in found)
    last = failed[:1] or (found if well else [])
    starts = [one.started_at for one in found if one.started_at is not None]
    return replace(
        found[0],
        suspended=any(one.suspended for one in found),
        wanted=sum(one.wanted for one in found),
        active=sum(one.active for one in found),
        bound=sum(one.bound for one in found),
        running=sum(one.running for one in found),
        nodes=together(found),
        started_at=max(starts) if complete and len(starts) == len(found) else None,
        ended="Failed" if failed else "Complete" if well else "",
        ended_at=max((one.ended_at for one in last if one.ended_at is not None), default=None),
        message=failed[0].message if failed else "",
        failed=max(one.failed for one in found),
        terminating=any(one.terminating for one in found),
        trouble=next((one.trouble for one in found if one.trouble is not None), None),
        due_at=min((one.due_at for one in found if one.due_at is not None), default=None),
    )


def together(found: Sequence[Progress]) -> tuple[tuple[str, int], ...]:
    """(node, bound pods there) of several children."""
    counts: dict[str, int] = {}
    for one in found:
        for node, pods in one.nodes:
            counts[node] = counts.get(node, 0) + pods
    return tuple(sorted(counts.items()))


def placed(job: HubJob, seen: Look | None = None, uncertain: bool = False) -> Placed:
    """The job as a fixed column: nodes as observed where pods are bound, else as planned."""
    told, whole = job.assignment, seen.whole if seen is not None else None
    parts = tuple(_part(one, index, seen) for index, one in enumerate(job.parts))
    first, started = parts[0], whole.started_at if whole is not None else None
    return Placed(
        cluster=first.cluster,
        pool=first.pool,
        option=first.option,
        nodes=first.nodes,
        released_at=children.instant(told["releasedTime"]) or 0.0,
        started_at=started if started is not None else children.instant(told.get("startedTime")),
        uncertain=uncertain,
        parts=parts if len(parts) > 1 else (),
    )


def _part(told: Mapping[str, Any], index: int, seen: Look | None) -> PlacedPart:
    live = [
        progress for one, progress in (seen.present if seen else ()) if one.child.part == index and progress.active
    ]
    planned = tuple((node["name"], int(node["pods"])) for node in told.get("nodes") or ())
    return PlacedPart(
        cluster=str(told["cluster"]),
        pool=str(told["pool"]),
        option=str(told["option"]),
        replicas=int(told.get("replicas") or 1),
        nodes=together(live) or planned,
    )
