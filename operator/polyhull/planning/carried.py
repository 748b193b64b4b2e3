"""A decision carried over to another snapshot: its columns and places as the promises that `promise.keep` reads."""

from collections.abc import Mapping
from dataclasses import replace

from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key, Promise, Serving


def promises_of(decision: Decision) -> dict[Key, Promise]:
    """Column, place and what was promised of every job that waits."""
    now = decision.taken_at
    return {
        one.job: one.promise
        or Promise(one.cluster, one.pool, one.option, one.order, now + one.start_seconds, now + one.end_seconds)
        for one in decision.assignments
        if not one.fixed
    }


def places_of(decision: Decision) -> dict[Key, tuple[Serving, ...]]:
    """Where every service is planned."""
    return {
        plan.service: tuple(
            Serving(one.cluster, one.pool, one.variant, one.replicas, one.nodes) for one in plan.replicas
        )
        for plan in decision.services
    }


def promised(
    snapshot: Snapshot, promises: Mapping[Key, Promise], places: Mapping[Key, tuple[Serving, ...]]
) -> Snapshot:
    """The snapshot with these promises for jobs that wait, and for services."""
    return replace(
        snapshot,
        jobs=tuple(
            job if job.placed is not None else replace(job, promise=promises.get(job.key, job.promise))
            for job in snapshot.jobs
        ),
        services=tuple(
            replace(service, promise=places.get(service.key, service.promise)) for service in snapshot.services
        ),
    )


def carrying(snapshot: Snapshot, decision: Decision) -> Snapshot:
    """The snapshot with everything promised as the decision has it, and its prices for those who come later."""
    carried = promised(snapshot, promises_of(decision), places_of(decision))
    return replace(carried, opportunities=decision.opportunities)
