"""Outputs that become data sets: who writes which, and what is to be recorded once a job has succeeded. Pure.

A job's finalizer stays until its output is in the data set's record, so a crash between the two loses nothing; once
it is gone nothing is recorded any more, so an evicted copy does not come back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from polyhull.api.conditions import Type
from polyhull.controller import status
from polyhull.controller.children import instant
from polyhull.controller.hubjob import HubJob
from polyhull.controller.renders import HubDataSet
from polyhull.domain.fleet import Fleet
from polyhull.domain.workloads import Copy, Key


@dataclass(slots=True)
class Outputs:
    """`due`: per data set what is to be recorded, as (copy, cluster, since when). `unrecorded`: uids of jobs whose
    finalizer waits for that. `claims`: per data set the stores where a job writes it now; None: wherever it may."""

    due: dict[Key, list[tuple[Copy, str, float]]] = field(default_factory=dict)
    unrecorded: set[str] = field(default_factory=set)
    claims: dict[Key, set[str] | None] = field(default_factory=dict)


def outputs(jobs: Iterable[HubJob], data_sets: Mapping[Key, HubDataSet], fleet: Fleet) -> Outputs:
    """What follows from the jobs as they stand."""
    found = Outputs()
    for job in jobs:
        key = written_by(job)
        held = data_sets.get(key) if key is not None else None
        if key is None or held is None or held.raw["metadata"].get("deletionTimestamp"):
            continue
        cluster = fleet.cluster(str(job.assignment.get("cluster") or ""))
        if not job.ended:
            stores = found.claims.setdefault(key, set())
            if cluster is None or not job.released:
                found.claims[key] = None
            elif stores is not None:
                stores.add(cluster.store)
        elif cluster is not None and job.has_finalizer and status.holds(job.raw, Type.SUCCEEDED) == "True":
            copies = (held.raw.get("status") or {}).get("copies") or ()
            if all(copy["store"] != cluster.store for copy in copies):
                since = instant(job.status.get("completionTime")) or 0.0
                found.due.setdefault(key, []).append((Copy(cluster.store, cluster.site), cluster.name, since))
                found.unrecorded.add(job.uid)
    return found


def written_by(job: HubJob) -> Key | None:
    """The data set that its output becomes."""
    named = ((job.raw.get("spec") or {}).get("output") or {}).get("dataSetRef") or {}
    return Key(job.key.namespace, named["name"], "DataSet") if named.get("name") else None
