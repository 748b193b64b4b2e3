"""Services that stay: what was promised before it runs, and the best quality where the jobs lose nothing by it.

A service is moved for a gain only. What runs or is promised keeps its places while it serves as much there; a new
one gets its best variants unless the makespan pays for them.
"""

from polyhull.domain.decision import ServicePlan
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import InferenceService, Key
from polyhull.optimize.columns import ColumnSet
from polyhull.optimize.services import Serving
from polyhull.planning.reserve import Reserved, reserve
from polyhull.planning.schedule import Schedule
from polyhull.planning.simulate import run

Plans = tuple[ServicePlan, ...]

WITHIN_SECONDS = 1.0
"""Makespans that differ by less are equal when variants are chosen."""
_SERVED = 1.0 - 1e-9


def held(snapshot: Snapshot) -> dict[Key, tuple[tuple[str, str, int], ...]]:
    """(pool, variant, replicas) of services that run or, where nothing runs yet, are promised."""
    places = {one.key: one.serving or one.promise for one in snapshot.services}
    return {key: tuple((now.pool, now.variant, now.replicas) for now in some) for key, some in places.items() if some}


def standing(snapshot: Snapshot, columns: ColumnSet, plans: Plans) -> Plans:
    """`plans` with promised services where they were promised, unless they cannot serve as much there."""
    if not any(one.promise for one in snapshot.services):
        return plans
    places = held(snapshot)
    preference = {(key, variant, pool): float(n) for key, some in places.items() for pool, variant, n in some}
    for plan in plans:
        if plan.service not in places:
            preference |= {(plan.service, one.variant, one.pool): float(one.replicas) for one in plan.replicas}
    kept, _ = Serving(snapshot, columns).plan(preference)
    there = all(
        any((one.pool, one.variant) == (pool, variant) for pool, variant, _ in places[plan.service])
        for plan in kept
        if plan.service in places
        for one in plan.replicas
    )
    return kept if there and _serves_as_much(kept, plans) else plans


def best_quality(
    reserved: Reserved, columns: ColumnSet, schedule: Schedule, others: Plans
) -> tuple[Reserved, Schedule]:
    """Service by service, the plan of `others` where its quality is higher, if the same order ends within a second.

    Services that run or are promised stay. Never serves less and leaves out no job.
    """
    snapshot = reserved.instance.snapshot
    services = {one.key: one for one in snapshot.services}
    fixed = held(snapshot)
    limit = schedule.makespan + WITHIN_SECONDS
    for other in others:
        now = next((one for one in reserved.services if one.service == other.service), None)
        service = services[other.service]
        if now is None or other.service in fixed or not quality(service, other) > quality(service, now) + 1e-9:
            continue
        wanted = tuple(other if one.service == other.service else one for one in reserved.services)
        room = reserve(snapshot, columns, wanted)
        if not _serves_as_much(room.services, reserved.services):
            continue
        if len(room.instance.jobs) != len(reserved.instance.jobs):
            continue
        again = run(room.instance, schedule.order, [None if slot is None else slot.choice for slot in schedule.slots])
        if again.makespan <= limit and again.objective[0] <= schedule.objective[0]:
            reserved, schedule = room, again
    return reserved, schedule


def by_quality(snapshot: Snapshot, columns: ColumnSet) -> Plans:
    """The best answers that the fleet gives beside what runs, whatever they cost the jobs."""
    return Serving(snapshot, columns).best() if snapshot.services else ()


def quality(service: InferenceService, plan: ServicePlan) -> float:
    """Mean quality of the answers; 0 where nothing is served."""
    of = {one.name: one.quality for one in service.variants}
    total = sum(route.requests_per_second for route in plan.routes)
    if not total > 0.0:
        return max((of[one.variant] for one in plan.replicas), default=0.0)
    return sum(of[route.variant] * route.requests_per_second for route in plan.routes) / total


def same_places(one: Plans, two: Plans) -> bool:
    """Do both put the same replicas in the same pools?"""
    return [_places(plan) for plan in one] == [_places(plan) for plan in two]


def _places(plan: ServicePlan) -> tuple[Key, list[tuple[str, str, int]]]:
    return plan.service, sorted((now.pool, now.variant, now.replicas) for now in plan.replicas)


def _serves_as_much(plans: Plans, as_these: Plans) -> bool:
    served = {plan.service: plan.served_per_second for plan in plans}
    return all(
        plan.service in served and served[plan.service] >= plan.served_per_second * _SERVED for plan in as_these
    )
