"""The life of one finite job, as a function: what the hub says, what its member shows, and what follows. Pure.

    waiting --release--> Releasing --bound--> Bound --end--> ended --child deleted--> done
                             |                  |
                             +--- withdrawing --+---> waiting (with an exclusion)

The hub's status is the only memory: `assignment.releasedTime` says "a child may exist there", and nothing but a
confirmed absence of that child (or an administrator's word: fenced, member deleted) takes it away. Every arrow writes
the hub first and acts second, or acts idempotently, so that dying between two writes changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from polyhull.api.conditions import Type
from polyhull.controller import checkpoints, children, kept, moves, released, status
from polyhull.controller.children import Member, Trouble, component
from polyhull.controller.hubjob import HubJob, State, Verdict, kept_entries
from polyhull.controller.kept import Left
from polyhull.controller.removal import deletes, leftovers, remove
from polyhull.controller.status import compose
from polyhull.delivery.base import Action, Announce, ConfirmGone, Finalizer, PutStatus
from polyhull.kube.resources import PERSISTENT_VOLUME_CLAIMS, Manifest, Ref
from polyhull.render import naming
from polyhull.render.keeping import CHECKPOINT, OUTPUT, claim_name
from polyhull.render.purge import COMPONENT as PURGE
from polyhull.render.transfer import COMPONENT as TRANSFER

_CLAIMS = frozenset({CHECKPOINT, OUTPUT})
"""Components of what a job writes; they outlive its pods."""
GIVE_UP_SECONDS = 600.0
"""How long a deletion waits for what is in buckets to be removed."""


def judge(job: HubJob, members: Mapping[str, Member], now: float, refused: Trouble | None = None) -> Verdict:
    """The first thing that applies, in order of authority: whose it is, deletion, end, release, waiting.

    `refused`: the member's API answered no to the child itself (admission, quota, rights).
    """
    if job.foreign:
        return Verdict(State.FOREIGN)
    if job.deleting:
        return _deleting(job, members, now)
    if job.ended:
        return _ended(job, members, now)
    if job.released:
        verdict = released.judge(job, members, now, refused)
        verdict = replace(verdict, actions=(*verdict.actions, *(strays(job, members) or ())))
        return verdict if verdict.actions else _settled(job, verdict, members, now)
    found = strays(job, members)
    if found is not None:
        return Verdict(State.WITHDRAWING, actions=found)
    if not job.accepted:
        return Verdict(State.REFUSED)
    if job.suspended:
        return Verdict(State.SUSPENDED)
    ends = [children.instant(one["untilTime"]) or 0.0 for one in job.status.get("exclusions") or ()]
    return Verdict(State.WAITING, due_at=min((at for at in ends if at > now), default=None))


def _settled(job: HubJob, verdict: Verdict, members: Mapping[str, Member], now: float) -> Verdict:
    """What it wrote elsewhere before goes."""
    going = kept.clear(kept.left(job.status), _stale(job), _owner(job), members, now)
    due_at = min((at for at in (verdict.due_at, going.due_at) if at is not None), default=None)
    return replace(verdict, actions=_recorded(job, going, now), purges=tuple(going.purges), due_at=due_at)


def _stale(job: HubJob) -> list[Left]:
    """Once it runs, what it wrote elsewhere is of no use; before that it may come back there."""
    if not job.released or not job.status.get("startTime") or moves.under_way(job):
        return []
    here = {(child.cluster, entry) for child in job.children for entry in kept_entries(job, child)}
    return [one for one in kept.left(job.status) if (one.cluster, one.entry) not in here]


def _recorded(job: HubJob, going: kept.Going, now: float) -> tuple[Action, ...]:
    """What is left after this step, if that is news; claims are confirmed gone before."""
    if tuple(going.remaining) == kept.left(job.status):
        return ()
    put = PutStatus(job.ref, job.uid, compose(job.raw, now, (), {"kept": kept.told(going.remaining)}))
    return (*going.confirms, put, *_regrets(job, going.failures))


def _regrets(job: HubJob, failures: Iterable[str]) -> tuple[Action, ...]:
    return tuple(Announce(job.ref, job.uid, "Warning", "LeftBehind", text) for text in failures)


def _ended(job: HubJob, members: Mapping[str, Member], now: float) -> Verdict:
    """Its end is stored: the children go, then our finalizer.

    An output stays with the job's object, and after a failure its checkpoints: so does the finalizer, for the sake of
    their end.
    """
    stays = {OUTPUT} if status.holds(job.raw, Type.SUCCEEDED) == "True" else _CLAIMS
    recorded = kept.left(job.status)
    leaving = [one for one in recorded if one.entry not in stays]
    found = _idle(job, members, leaving)
    if over := [(cluster, body) for cluster, body in found if component(body) not in stays]:
        return Verdict(State.ENDED, actions=deletes(over))
    going = kept.clear(recorded, leaving, _owner(job), members, now)
    if (made := _recorded(job, going, now)) or going.purges:
        return Verdict(State.ENDED, actions=made, purges=tuple(going.purges), due_at=going.due_at)
    if found or recorded or not job.has_finalizer:
        return Verdict(State.ENDED, due_at=going.due_at)
    homes = [(child, members[child.cluster]) for child in job.children if child.cluster in members]
    asked = [(child, home) for child, home in homes if not home.fenced]
    if not all(home.reachable for _, home in asked):
        return Verdict(State.ENDED)
    gone = tuple(ConfirmGone(home.name, child.ref) for child, home in asked)
    return Verdict(State.ENDED, actions=(*gone, Finalizer(job.ref, job.uid, False)))


def _deleting(job: HubJob, members: Mapping[str, Member], now: float) -> Verdict:
    """Its children go first, then what it wrote, then our finalizer."""
    homes: dict[str, tuple[Ref, ...]] = {}
    for child in job.children if job.released else ():
        homes[child.cluster] = (*homes.get(child.cluster, ()), child.ref, *_claims(job))
    for cluster, ref in checkpoints.places(job):
        homes[cluster] = (*homes.get(cluster, ()), ref)
    recorded = kept.left(job.status)
    for one in recorded:
        homes[one.cluster] = (*homes.get(one.cluster, ()), *_claims(job))
    going = kept.clear(recorded, recorded, _owner(job), members, now)
    if not _idle(job, members, recorded) and (verdict := _emptying(job, going, now)) is not None:
        return verdict
    removal = remove(job.raw, homes, members, now, kept.busy(recorded, _owner(job)))
    actions = removal.actions
    if any(isinstance(one, Finalizer) for one in actions):
        given_up = [one for one in going.remaining if one.url and members[one.cluster].reachable]
        why = f"not within {GIVE_UP_SECONDS:.0f} s of the deletion"
        actions = (*_regrets(job, (kept.left_behind(one, why) for one in given_up)), *actions)
    return Verdict(State.DELETING, actions=actions, due_at=removal.due_at, tombstones=removal.tombstones)


def _emptying(job: HubJob, going: kept.Going, now: float) -> Verdict | None:
    """While buckets are being emptied; None when they are, or when that takes too long."""
    made = _recorded(job, going, now)
    until = (children.instant(job.raw["metadata"]["deletionTimestamp"]) or now) + GIVE_UP_SECONDS
    if now >= until or not (made or going.purges or going.waits):
        return None
    due_at = until if going.due_at is None else min(until, going.due_at)
    return Verdict(State.DELETING, actions=made, purges=tuple(going.purges), due_at=due_at)


def _idle(job: HubJob, members: Mapping[str, Member], leaving: Iterable[Left]) -> list[tuple[str, Manifest]]:
    """Its leftovers but for Jobs that are removing what is `leaving`. One that removes what is wanted again is a
    leftover: nothing is released until it is gone."""
    busy = kept.busy(leaving, _owner(job))
    return [
        (cluster, body)
        for cluster, body in leftovers(job.uid, members)
        if (cluster, body["metadata"]["name"]) not in busy
    ]


def _owner(job: HubJob) -> naming.Owner:
    return naming.Owner.of(job.key, job.uid)


def strays(job: HubJob, members: Mapping[str, Member]) -> tuple[Action, ...] | None:
    """Deletes of children that are not of its assignment (a fenced member that came back); None without any.

    While it waits, what it wrote stays where it is: it may come back there. Released elsewhere it is stale.
    """
    mine = job.children if job.released else ()
    assigned = {(child.cluster, child.ref.name) for child in mine}
    homes = {child.cluster for child in mine}
    here = {(child.cluster, entry) for child in mine for entry in kept_entries(job, child)}
    found = [
        (cluster, body)
        for cluster, body in _idle(job, members, _stale(job))
        if cluster not in homes
        or component(body) == PURGE
        or (component(body) == "workers" and (cluster, body["metadata"]["name"]) not in assigned)
        or (component(body) in _CLAIMS and (cluster, component(body)) not in here)
    ]
    stays = _CLAIMS if not job.released else frozenset()
    if job.move:
        stays |= {TRANSFER}  # of its checkpoint: transfers.py follows these
    found = [(cluster, body) for cluster, body in found if component(body) not in stays]
    return deletes(found) if found else None


def _claims(job: HubJob) -> tuple[Ref, ...]:
    """Claims that it may have wherever it runs."""
    return tuple(
        Ref(PERSISTENT_VOLUME_CLAIMS, job.key.namespace, claim_name(_owner(job), entry))
        for entry in sorted(_CLAIMS)
        if (job.raw.get("spec") or {}).get(entry)
    )
