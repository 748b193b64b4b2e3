"""The life of one finite job, as a function: what the hub says, what its member shows, and what follows. Pure.

    waiting --release--> Releasing --bound--> Bound --end--> ended --child deleted--> done
                             |                  |
                             +--- withdrawing --+---> waiting (with an exclusion)

The hub's status is the only memory: `assignment.releasedTime` says "a child may exist there", and nothing but a
confirmed absence of that child (or an administrator's word: fenced, member deleted) takes it away. Every arrow writes
the hub first and acts second, or acts idempotently, so that dying between two writes changes nothing.
"""

from collections.abc import Mapping
from dataclasses import replace

from polyhull.api.conditions import Type
from polyhull.controller import checkpoints, children, released, status
from polyhull.controller.children import Member, Trouble, component
from polyhull.controller.hubjob import HubJob, State, Verdict, kept_entries
from polyhull.controller.removal import deletes, leftovers, remove
from polyhull.delivery.base import Action, ConfirmGone, Finalizer
from polyhull.kube.resources import PERSISTENT_VOLUME_CLAIMS, Ref
from polyhull.render import naming
from polyhull.render.keeping import CHECKPOINT, OUTPUT, claim_name
from polyhull.render.transfer import COMPONENT as TRANSFER

_CLAIMS = frozenset({CHECKPOINT, OUTPUT})
"""Components of what a job writes; they outlive its pods."""


def judge(job: HubJob, members: Mapping[str, Member], now: float, refused: Trouble | None = None) -> Verdict:
    """The first thing that applies, in order of authority: whose it is, deletion, end, release, waiting.

    `refused`: the member's API answered no to the child itself (admission, quota, rights).
    """
    if job.foreign:
        return Verdict(State.FOREIGN)
    if job.deleting:
        return _deleting(job, members, now)
    if job.ended:
        return _ended(job, members)
    if job.released:
        verdict = released.judge(job, members, now, refused)
        return replace(verdict, actions=(*verdict.actions, *(strays(job, members) or ())))
    found = strays(job, members)
    if found is not None:
        return Verdict(State.WITHDRAWING, actions=found)
    if not job.accepted:
        return Verdict(State.REFUSED)
    if job.suspended:
        return Verdict(State.SUSPENDED)
    ends = [children.instant(one["untilTime"]) or 0.0 for one in job.status.get("exclusions") or ()]
    return Verdict(State.WAITING, due_at=min((at for at in ends if at > now), default=None))


def _ended(job: HubJob, members: Mapping[str, Member]) -> Verdict:
    """Its end is stored: the children go, then our finalizer.

    The claim of an output stays with the job's object, and after a failure that of its checkpoints: so does the
    finalizer, for the sake of their end.
    """
    stays = {OUTPUT} if status.holds(job.raw, Type.SUCCEEDED) == "True" else _CLAIMS
    found = leftovers(job.uid, members)
    if going := [(cluster, body) for cluster, body in found if component(body) not in stays]:
        return Verdict(State.ENDED, actions=deletes(going))
    if found or not job.has_finalizer:
        return Verdict(State.ENDED)
    homes = [(child, members[child.cluster]) for child in job.children if child.cluster in members]
    asked = [(child, home) for child, home in homes if not home.fenced]
    if not all(home.reachable for _, home in asked):
        return Verdict(State.ENDED)
    gone = tuple(ConfirmGone(home.name, child.ref) for child, home in asked)
    return Verdict(State.ENDED, actions=(*gone, Finalizer(job.ref, job.uid, False)))


def _deleting(job: HubJob, members: Mapping[str, Member], now: float) -> Verdict:
    homes: dict[str, tuple[Ref, ...]] = {}
    for child in job.children if job.released else ():
        homes[child.cluster] = (*homes.get(child.cluster, ()), child.ref, *_claims(job))
    for cluster, ref in checkpoints.places(job):
        homes[cluster] = (*homes.get(cluster, ()), ref)
    removal = remove(job.raw, homes, members, now)
    return Verdict(State.DELETING, actions=removal.actions, due_at=removal.due_at, tombstones=removal.tombstones)


def strays(job: HubJob, members: Mapping[str, Member]) -> tuple[Action, ...] | None:
    """Deletes of children that are not of its assignment (a fenced member that came back); None without any.

    While it waits, what it wrote stays where it is: it may come back there. Released elsewhere it is stale.
    """
    mine = job.children if job.released else ()
    assigned = {(child.cluster, child.ref.name) for child in mine}
    homes = {child.cluster for child in mine}
    kept = {(child.cluster, entry) for child in mine for entry in kept_entries(job, child)}
    found = [
        (cluster, body)
        for cluster, body in leftovers(job.uid, members)
        if cluster not in homes
        or (component(body) == "workers" and (cluster, body["metadata"]["name"]) not in assigned)
        or (component(body) in _CLAIMS and (cluster, component(body)) not in kept)
    ]
    stays = _CLAIMS if not job.released else frozenset()
    if job.move:
        stays |= {TRANSFER}  # of its checkpoint: transfers.py follows these
    found = [(cluster, body) for cluster, body in found if component(body) not in stays]
    return deletes(found) if found else None


def _claims(job: HubJob) -> tuple[Ref, ...]:
    """Claims that it may have wherever it runs."""
    owner = naming.Owner.of(job.key, job.uid)
    return tuple(
        Ref(PERSISTENT_VOLUME_CLAIMS, job.key.namespace, claim_name(owner, entry))
        for entry in sorted(_CLAIMS)
        if (job.raw.get("spec") or {}).get(entry)
    )
