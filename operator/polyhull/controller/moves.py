"""The life of a move of a running job: what is written when, so that a crash anywhere loses nothing. Pure.

    runs --stop--> Stopping --absence confirmed--> Carrying --release--> Resuming --it runs--> Resumed
                                                       ^                     |                    |
                                                       '----- withdrawn, refused, suspended ------'

The intent is in the job's status before its child is deleted, and the assignment stays there until the child is
confirmed gone: so at most one of the old and the new child exists. What the last checkpoint holds, and which stores
have it, never leaves the status, so the job goes on from there wherever it is released next, at the old place too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from polyhull.api.conditions import Reason, Type
from polyhull.api.moves import CARRYING, RESUMED, RESUMING, STOPPING, move_status
from polyhull.controller import kept, status
from polyhull.controller.hubjob import HubJob, State, Verdict
from polyhull.controller.status import Said, compose
from polyhull.delivery.base import Action, Announce, Delete, PutStatus
from polyhull.domain.decision import RunningMove
from polyhull.domain.errors import InvalidInput
from polyhull.domain.fleet import Cluster, StorageKind
from polyhull.domain.units import format_seconds

CHECKPOINT_LOST = "CheckpointLost"
"""Reason of the Event."""


def stoppable(job: HubJob, move: RunningMove, verdict: Verdict) -> bool:
    """Whether it still is what the plan took it for: it runs there, for certain, and nothing else is being done."""
    held, progress = verdict.placed, verdict.progress
    if verdict.state is not State.RELEASED or verdict.actions or held is None or progress is None:
        return False
    here = (held.cluster, held.pool, held.option) == (move.from_cluster, move.from_pool, move.from_option)
    sure = not held.uncertain and not held.parts and held.started_at is not None
    tidy = all(one.cluster == held.cluster for one in kept.left(job.status))  # what it left elsewhere goes first
    return here and sure and tidy and not job.suspended and not job.stopping and not progress.terminating


def stop(job: HubJob, move: RunningMove, verdict: Verdict, now: float) -> tuple[Action, ...]:
    """The intent first, then the child: a crash between finds the intent and goes on from it."""
    assert verdict.progress is not None
    text = f"stopped in order to go on in pool {move.to_pool}. {move.why}"
    said: Said = (Type.PLACED, False, Reason.MOVING, text)
    gain = f"it is expected to end {format_seconds(move.gain_seconds)} sooner"
    note = f"From pool {move.from_pool} to pool {move.to_pool}: {gain if move.gain_seconds > 0.0 else move.why}"[
        :1000
    ]
    return (
        PutStatus(job.ref, job.uid, compose(job.raw, now, [said], {"move": move_status(move, now)})),
        Announce(job.ref, job.uid, "Normal", "Moved", note),
        Delete(move.from_cluster, verdict.progress.ref, verdict.progress.uid),
    )


def freed(job: HubJob, now: float) -> dict[str, Any]:
    """Its child is gone: it waits, and goes on from its checkpoint."""
    told = job.move
    match told.get("phase"):
        case "Stopping":
            return {"move": {**told, "phase": CARRYING, "stoppedTime": status.at(now)}}
        case "Resuming":
            return {"move": _without_store({**told, "phase": CARRYING})}
        case "Resumed":  # what it did here since then nobody counted
            here = {f"from{name}": told[f"to{name}"] for name in ("Cluster", "Pool", "Option")}
            return {"move": _without_store({**told, **here, "phase": CARRYING, "stoppedTime": status.at(now)})}
    return {}


def released(job: HubJob, cluster: Cluster, assignment: Mapping[str, Any]) -> dict[str, Any]:
    """It is released again. Raises InvalidInput where its checkpoint is not there yet."""
    if not job.move:
        return {}
    if all(entry["store"] != cluster.store for entry in job.move.get("stores") or ()):
        raise InvalidInput(str(job.key), "", f"its checkpoint is not at {cluster.name} yet", "wait for its transfer")
    names = ("Cluster", "Pool", "Option")
    there = {f"to{name}": assignment[name.lower()] for name in names} | {"toStore": cluster.store}
    told = {name: value for name, value in job.move.items() if name != "transfers"}
    return {"move": {**told, **there, "phase": RESUMING}}


def resumed(job: HubJob) -> dict[str, Any]:
    """It runs again: from now on only what it saves there counts."""
    told = job.move
    if told.get("phase") != RESUMING:
        return {}
    kept = [entry for entry in told.get("stores") or () if entry["store"] == told.get("toStore")]
    return {"move": {**told, "phase": RESUMED, "stores": kept}}


def abandoned(job: HubJob, clusters: Sequence[Cluster], now: float) -> tuple[Action, ...]:
    """Where no store that holds its checkpoint can be read any more it begins again: a claim goes with its cluster, a
    bucket does not."""
    if job.move.get("phase") != CARRYING:
        return ()
    usable = {one.store for one in clusters if one.storage.kind is StorageKind.BUCKET or not one.fenced}
    held = [entry["store"] for entry in job.move.get("stores") or ()]
    if usable.intersection(held):
        return ()
    text = f"its last checkpoint is lost with {', '.join(held) or 'its store'}: it begins again"
    return (
        PutStatus(job.ref, job.uid, compose(job.raw, now, (), {"move": None})),
        Announce(job.ref, job.uid, "Warning", CHECKPOINT_LOST, text),
    )


def waits(job: HubJob, pool: str) -> tuple[Said, ...]:
    """What a stopped job says instead of that it waits its turn."""
    if job.move.get("phase") != CARRYING:
        return ()
    where = f"stopped in pool {job.move['fromPool']}"
    text = f"{where}, it goes on in pool {pool} from its last checkpoint" if pool else f"{where}; no place for it"
    return ((Type.PLACED, False, Reason.MOVING, text),)


def under_way(job: HubJob) -> bool:
    """Whether it was stopped and does not run again yet."""
    return job.move.get("phase") in (STOPPING, CARRYING, RESUMING) and not job.ended


def _without_store(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != "toStore"}
