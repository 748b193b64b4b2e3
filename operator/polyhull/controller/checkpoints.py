"""The checkpoint of a job that was stopped to be moved: a data set without an object, recorded in the job's status.

Its copies are the stores that hold it whole; it is carried from those of them that are buckets, as outputs are.
Transfers of it are followed, recorded and made again as all others are (transfers.py).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polyhull.api import moves
from polyhull.controller import children
from polyhull.controller.children import Member
from polyhull.controller.hubjob import HubJob
from polyhull.controller.renders import HubDataSet
from polyhull.domain.fleet import Storage
from polyhull.domain.units import parse_whole
from polyhull.domain.workloads import Copy, DataSet, Key, checkpoint_key
from polyhull.kube.resources import JOBS, PERSISTENT_VOLUME_CLAIMS, Ref
from polyhull.render import purge, transfer
from polyhull.render.keeping import CHECKPOINT, claim_name, own_url
from polyhull.render.naming import Owner


@dataclass(frozen=True, slots=True)
class HubCheckpoint(HubDataSet):
    """`raw` is the job."""

    owner: Owner
    """The job."""

    @property
    def copies(self) -> Sequence[Mapping[str, Any]]:
        return self._move.get("stores") or ()

    def closed(self, members: Mapping[str, Member], now: float) -> bool:
        """While its pods may still write, while a folder that it left before is being removed, and once it is
        released again."""
        if moves.phase(self.raw.get("status") or {}) != moves.CARRYING:
            return True
        shown = ((member, body) for member in members.values() for body in member.children.get(self.uid, ()))
        return any(
            seen.trouble is None and not seen.ended
            for member, body in shown
            if body["kind"] == "Job" and children.component(body) == purge.COMPONENT
            for seen in (children.progress(body, member, self.uid, now),)
        )

    def record(self, copies: Sequence[Mapping[str, Any]], active: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        told = {**self._move, "stores": [dict(copy) for copy in copies], "transfers": list(active)}
        return {"move": {name: value for name, value in told.items() if value != []}}

    def bucket_url(self, storage: Storage) -> str:
        return own_url(self.owner, storage, CHECKPOINT)

    @property
    def _move(self) -> Mapping[str, Any]:
        return (self.raw.get("status") or {}).get("move") or {}


def checkpoints(jobs: Iterable[HubJob]) -> dict[Key, HubDataSet]:
    """Of all jobs that were stopped to be moved and are not on their way out."""
    found: dict[Key, HubDataSet] = {}
    for job in jobs:
        told = (job.raw.get("spec") or {}).get(CHECKPOINT)
        if not job.move or not told or job.foreign or job.deleting or job.ended:
            continue
        key, owner = checkpoint_key(job.key), _owner(job)
        stores = tuple(Copy(entry["store"], entry["site"]) for entry in job.move.get("stores") or ())
        size = parse_whole(str(told["size"]))
        found[key] = HubCheckpoint(job.raw, DataSet(key, size, (), copies=stores), owner)
    return found


def places(job: HubJob) -> Iterator[tuple[str, Ref]]:
    """(cluster, object) of what may be there of it: claims that hold it, and Jobs that carry it."""
    key = checkpoint_key(job.key)
    for entry in job.move.get("stores") or ():
        yield entry["cluster"], Ref(PERSISTENT_VOLUME_CLAIMS, key.namespace, claim_name(_owner(job), CHECKPOINT))
    for entry in job.move.get("transfers") or ():
        parts = len(entry.get("parts") or ())
        for name in transfer.job_names(Owner.of(key, job.uid), entry["store"], parts):
            yield entry["cluster"], Ref(JOBS, key.namespace, name)


def _owner(job: HubJob) -> Owner:
    return Owner.of(job.key, job.uid)
