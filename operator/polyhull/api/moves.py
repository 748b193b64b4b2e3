"""Moves of running jobs to status and back: `status.move` is all that a restarted operator has to go on."""

from collections.abc import Mapping, Sequence
from typing import Any

from polyhull.api.conditions import instant
from polyhull.api.podtemplate import GRACE_SECONDS
from polyhull.api.readback import ended, read_nodes, read_transfers
from polyhull.api.results import parse_instant
from polyhull.api.status import copy_status, decimal
from polyhull.api.v1alpha1.jobstatus import JobStatus
from polyhull.domain.decision import RunningMove
from polyhull.domain.workloads import ActiveTransfer, Copy, Key, Option, Resume, checkpoint_key

STOPPING, CARRYING, RESUMING, RESUMED = "Stopping", "Carrying", "Resuming", "Resumed"
"""`status.move.phase`, in its order."""


def move_status(move: RunningMove, decided_at: float) -> dict[str, Any]:
    """`status.move` of a job that is to be stopped; write it before anything is deleted."""
    return {
        "phase": STOPPING,
        "fromCluster": move.from_cluster,
        "fromPool": move.from_pool,
        "fromOption": move.from_option,
        "toCluster": move.to_cluster,
        "toPool": move.to_pool,
        "toOption": move.to_option,
        "moves": move.moves,
        "workDone": decimal(move.work_done),
        "checkpointBytes": move.checkpoint_bytes,
        "lostSeconds": max(0, round(move.lost_seconds)),
        "gainSeconds": max(0, round(move.gain_seconds)),
        "why": move.why[:1024],
        "decidedTime": instant(decided_at),
        "stores": [copy_status(copy, move.from_cluster) for copy in move.stores],
    }


def stopping(status: JobStatus | None) -> bool:
    """Whether its pods are being stopped in order to move it: it holds devices and does not count as placed."""
    return status is not None and status.move is not None and status.move.phase == STOPPING and not ended(status)


def read_resume(status: JobStatus | None, options: Sequence[Option]) -> Resume | None:
    """What a job that was stopped goes on from; None for one that never was."""
    told = status.move if status is not None else None
    if status is None or told is None:
        return None
    nodes: tuple[tuple[str, int], ...] = ()
    free_at = 0.0
    if stopping(status) and status.assignment is not None:
        grace = {one.name: one.grace_seconds for one in options}.get(told.from_option, GRACE_SECONDS)
        nodes, free_at = read_nodes(status.assignment.nodes), parse_instant(told.decided_time) + grace
    return Resume(
        work_done=float(told.work_done),
        cluster=told.from_cluster,
        pool=told.from_pool,
        option=told.from_option,
        stores=tuple(sorted((Copy(one.store, one.site) for one in told.stores or ()), key=lambda one: one.store)),
        stopped_at=parse_instant(told.stopped_time or told.decided_time),
        moves=told.moves,
        nodes=nodes,
        free_at=free_at,
    )


def checkpoint_transfers(job: Key, status: JobStatus | None) -> tuple[ActiveTransfer, ...]:
    """Transfers of its checkpoint that are under way, by store."""
    told = status.move if status is not None else None
    return read_transfers(checkpoint_key(job), (told.transfers if told is not None else None) or ())


def phase(status: Mapping[str, Any]) -> str:
    """Of a raw status; empty for a job that was never stopped to be moved."""
    return str((status.get("move") or {}).get("phase") or "")
