"""Verdicts of all finite jobs, and of all copies.

Of ten thousand jobs hardly one changes between two looks: the others keep their verdict. It follows from the job,
from what members show under its uid, from what is known of the members themselves, and from time only where it says
until when it stands; it is kept while all of that is what it was, if it asks for nothing to be done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from polyhull.controller import jobs, transfers
from polyhull.controller.children import Member, Trouble
from polyhull.controller.hubjob import HubJob, State, Verdict
from polyhull.controller.observe import View
from polyhull.domain.workloads import Key
from polyhull.kube.resources import Manifest

Shown = tuple[tuple[str, tuple[Manifest, ...]], ...]
"""Members with what they show of one job: children, then pods."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a verdict was made from. Bodies are compared by identity: a mirror replaces what changes."""

    job: HubJob
    shown: Shown
    refused: Trouble | None
    verdict: Verdict

    def stands(self, job: HubJob, shown: Shown, refused: Trouble | None, now: float) -> bool:
        mine, due_at = self.job, self.verdict.due_at
        return (
            job.raw is mine.raw
            and (due_at is None or now < due_at)
            and (job.accepted, job.reason, job.message) == (mine.accepted, mine.reason, mine.message)
            and refused == self.refused
            and shown == self.shown
        )


@dataclass(slots=True)
class Verdicts:
    """Kept from look to look."""

    _kept: dict[str, _Kept] = field(default_factory=dict)
    _members: Mapping[str, Member] = field(default_factory=dict)

    def of(self, view: View, refusals: Mapping[str, Trouble]) -> dict[Key, Verdict]:
        """`refusals`: by uid, members that answered no to a child."""
        members = {name: replace(member, children={}, pods={}) for name, member in view.members.items()}
        before, self._kept = (self._kept if members == self._members else {}), {}
        self._members = members
        shown = _shown(view.members)
        return {job.key: self._one(job, before, view, shown.get(job.uid, ()), refusals) for job in view.jobs}

    def _one(
        self, job: HubJob, before: Mapping[str, _Kept], view: View, shown: Shown, refusals: Mapping[str, Trouble]
    ) -> Verdict:
        uid = job.uid
        kept, refused = before.get(uid), refusals.get(uid)
        if kept is None or not kept.stands(job, shown, refused, view.now):
            kept = _Kept(job, shown, refused, jobs.judge(job, view.members, view.now, refused))
        if _may_stay(kept.verdict):
            self._kept[uid] = kept
        return kept.verdict


def of_copies(view: View) -> dict[Key, transfers.Verdict]:
    """By data set."""
    return {
        key: transfers.judge(held, view.transfers.get(key, ()), view.members, view.now)
        for key, held in view.data_sets.items()
    }


def _may_stay(verdict: Verdict) -> bool:
    asks = verdict.actions or verdict.purges or verdict.rerelease or verdict.tombstones or verdict.event
    return not asks and verdict.state is not State.DELETING


def _shown(members: Mapping[str, Member]) -> dict[str, Shown]:
    found: dict[str, Shown] = {}
    for name, member in members.items():
        for groups in (member.children, member.pods):
            for uid, bodies in groups.items():
                found[uid] = (*found.get(uid, ()), (name, bodies))
    return found
