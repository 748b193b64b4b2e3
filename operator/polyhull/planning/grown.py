"""What the process that keeps a plan is told and answers when jobs come: the difference only, both ways.

A thousand jobs are half a megabyte each way; who comes and what that changes is a page.
"""

from dataclasses import dataclass, fields, replace
from operator import attrgetter

from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import DataSet, TrainingJob
from polyhull.planning.carried import promises_of

_LASTING = attrgetter(*(one.name for one in fields(TrainingJob) if one.name != "promise"))
"""All of a job but its promise."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Jobs that came, and data sets with them, into the plan of this hash and instant."""

    plan_hash: str
    taken_at: float
    jobs: tuple[TrainingJob, ...]
    data_sets: tuple[DataSet, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """The last question and its answer."""

    snapshot: Snapshot
    decision: Decision


def arrivals(before: Asked, snapshot: Snapshot) -> Arrivals | None:
    """Who came since; None where anything else changed but what the answer itself promised."""
    then, decision = before.snapshot, before.decision
    same = (
        snapshot.taken_at == then.taken_at
        and snapshot.policy == then.policy
        and snapshot.transfers == then.transfers
        and snapshot.services == then.services
        and snapshot.opportunities == then.opportunities
        and snapshot.fleet == then.fleet
    )
    if not same or (data_sets := _new_data(then, snapshot)) is None:
        return None
    known, told = {job.key: job for job in then.jobs}, promises_of(decision)
    come = []
    for job in snapshot.jobs:
        was = known.pop(job.key, None)
        if was is None and job.promise is None and job.placed is None:
            come.append(job)
        elif was is None or job.promise != told.get(job.key, was.promise) or not _lasts(job, was):
            return None
    return None if known or not come else Arrivals(decision.plan_hash, then.taken_at, tuple(come), data_sets)


def _new_data(then: Snapshot, now: Snapshot) -> tuple[DataSet, ...] | None:
    if now.data_sets == then.data_sets:
        return ()
    known = {data.key: data for data in then.data_sets}
    come = tuple(data for data in now.data_sets if known.pop(data.key, None) != data)
    return None if known or len(come) != len(now.data_sets) - len(then.data_sets) else come


def _lasts(one: TrainingJob, other: TrainingJob) -> bool:
    """The same but for its promise."""
    return one is other or _LASTING(one) == _LASTING(other)


def difference(before: Decision, after: Decision) -> Decision:
    """`after` with only those assignments and transfers that are not the very objects of `before`."""
    known = {id(one) for one in before.assignments}
    moved = {id(one) for one in before.transfers}
    return replace(
        after,
        assignments=tuple(one for one in after.assignments if id(one) not in known),
        transfers=tuple(one for one in after.transfers if id(one) not in moved),
    )


def grown(before: Decision, part: Decision) -> Decision:
    """`before` with a `difference` to it: no job and no transfer of it is gone."""
    assigned = {one.job: one for one in (*before.assignments, *part.assignments)}
    moved = {(one.data_set, one.store): one for one in (*before.transfers, *part.transfers)}
    return replace(
        part,
        assignments=tuple(sorted(assigned.values(), key=lambda one: one.job)),
        transfers=tuple(moved[at] for at in sorted(moved)),
    )
