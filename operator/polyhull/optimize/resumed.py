"""Jobs that were stopped to be moved: what they go on from is a data set like others, which only they read.

A checkpoint is read from where it lies: by pods in the cluster of a claim, by pods of every cluster that shares a
bucket. Elsewhere it comes as copies come, but from bucket to bucket alone, and past no site where an input of the job
may not be.
"""

from dataclasses import replace

from polyhull.domain.fleet import Cluster, StorageKind
from polyhull.domain.labels import Selector
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import DataInput, DataSet, Key, Resume, TrainingJob, checkpoint_key

LEAVING_SECONDS = 1.0
"""Pods that should be gone by now are expected to take this much longer."""


def resumed(snapshot: Snapshot) -> Snapshot:
    """With the checkpoints of stopped jobs as data sets that they read; the same where that has been done."""
    stopped = {job.key: job for job in snapshot.jobs if job.resume is not None and job.placed is None}
    known = {data.key for data in snapshot.data_sets}
    new = {
        key: _checkpoint(snapshot, job)
        for key, job in stopped.items()
        if job.checkpoint is not None and not job.begins_anew and checkpoint_key(key) not in known
    }
    if not new:
        return snapshot
    return replace(
        snapshot,
        jobs=tuple(
            replace(job, inputs=(*job.inputs, DataInput(checkpoint_key(job.key)))) if job.key in new else job
            for job in snapshot.jobs
        ),
        data_sets=tuple(sorted((*snapshot.data_sets, *new.values()), key=lambda data: data.key)),
    )


def _checkpoint(snapshot: Snapshot, job: TrainingJob) -> DataSet:
    assert job.resume is not None and job.checkpoint is not None
    allowed, copies = residency(snapshot, job), job.resume.stores
    return DataSet(checkpoint_key(job.key), job.checkpoint.size_bytes, (), allowed, copies=copies)


def residency(snapshot: Snapshot, job: TrainingJob) -> Selector:
    """Where a checkpoint may be: wherever all that the job reads may be."""
    binding = {data.key: data.residency for data in snapshot.data_sets}
    allowed = Selector()
    for wanted in job.inputs:
        allowed = allowed.also(binding.get(wanted.data_set, Selector()))
    return allowed


def is_bucket(cluster: Cluster) -> bool:
    return cluster.storage.kind is StorageKind.BUCKET


def leaving_seconds(job: TrainingJob, now: float) -> float:
    """Until the old pods of a stopped job are expected to be gone; 0 where they are."""
    return 0.0 if job.resume is None or job.placed is not None else _leaving(job.resume, now)


def _leaving(resume: Resume, now: float) -> float:
    return max(resume.free_at - now, LEAVING_SECONDS if resume.nodes else 0.0)


def stopped_of(snapshot: Snapshot) -> dict[Key, TrainingJob]:
    """By the key of their checkpoint."""
    return {checkpoint_key(job.key): job for job in snapshot.jobs if job.resume is not None and job.placed is None}
