"""What the convex programme tells the schedule search: bound, columns, prices, services."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from polyhull.domain.decision import BoundKind, Price, ServicePlan, Unplaced
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.optimize.columns import Column, ColumnSet
from polyhull.optimize.data import ROUNDED_DOWN
from polyhull.optimize.exact import Offer
from polyhull.optimize.relaxation import dropped, relax
from polyhull.optimize.services import Serving
from polyhull.planning.standing import held, standing


@dataclass(frozen=True, slots=True)
class Offers:
    """Services, where they may run, requests per second and least replicas of each, for the exact problem."""

    services: tuple[Key, ...] = ()
    places: tuple[Offer, ...] = ()
    demand: tuple[float, ...] = ()
    replicas: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Guide:
    lower_bound_seconds: float = 0.0
    bound_kind: BoundKind = BoundKind.NONE
    choice: Mapping[Key, tuple[str, str]] | None = None
    """The programme's column of each job, by name."""
    order: tuple[Key, ...] = ()
    services: tuple[ServicePlan, ...] = ()
    unplaced: tuple[Unplaced, ...] = ()
    """Jobs without an admissible column, services without a replica."""
    pool_prices: tuple[Price, ...] = ()
    link_prices: tuple[Price, ...] = ()
    status: str = ""
    steps: int = 0
    ranking: Mapping[Key, tuple[Column, ...]] = field(default_factory=dict)
    """Each job's columns, cheapest at the bound's prices first."""
    critical: tuple[Key, ...] = ()
    """Jobs that the bound rests on."""

    @property
    def trouble(self) -> str:
        """What kept the programme from its answer; empty when nothing did."""
        return "" if self.status in ("", "Optimal", "NothingToPlace") else self.status


def unguided(snapshot: Snapshot, columns: ColumnSet) -> Guide:
    """Services by what runs and what the variants are worth; nothing is solved."""
    plans, unserved = Serving(snapshot, columns).plan({}) if snapshot.services else ((), ())
    return Guide(services=standing(snapshot, columns, plans), unplaced=(*dropped(snapshot, columns), *unserved))


def guided(snapshot: Snapshot, columns: ColumnSet) -> Guide:
    """Bound, prices, columns and services from the programme."""
    found = relax(snapshot, columns)
    return Guide(
        found.lower_bound_seconds,
        found.bound_kind,
        {key: column.name for key, column in found.choice.items()},
        found.order,
        found.services,
        found.unplaced,
        found.pool_prices,
        found.link_prices,
        found.status,
        found.steps,
        found.ranking,
        found.critical,
    )


def bound_without(
    snapshot: Snapshot, columns: ColumnSet, guide: Guide, plans: tuple[ServicePlan, ...], left_out: frozenset[Key]
) -> tuple[float, BoundKind]:
    """The bound of what the plan does: it may leave out jobs that never fit, and serve less than was wished."""
    served = {plan.service: plan.served_per_second for plan in guide.services}
    if any(plan.served_per_second < served[plan.service] * (1.0 - 1e-9) for plan in plans):
        alone: dict[Key, float] = {}
        for column in columns.columns:
            if column.job not in left_out:
                ends = max(column.head_seconds, column.transfer_seconds) + column.length_seconds
                alone[column.job] = min(alone.get(column.job, ends), ends)
        slowest = max(alone.values(), default=0.0) * ROUNDED_DOWN
        return slowest, BoundKind.STRENGTHENED if slowest > 0.0 else BoundKind.NONE
    if not left_out:
        return guide.lower_bound_seconds, guide.bound_kind
    kept = tuple(column for column in columns.columns if column.job not in left_out)
    again = relax(snapshot, replace(columns, columns=kept))
    return again.lower_bound_seconds, again.bound_kind


def offers(snapshot: Snapshot, columns: ColumnSet, plans: tuple[ServicePlan, ...]) -> Offers:
    """Every place that may serve what `plans` serve, with the most one replica there can answer in time.

    A service that runs or is promised and keeps its places in `plans` is not moved, just as a started job is not.
    """
    if not plans:
        return Offers()
    served: dict[tuple[Key, str], float] = {}
    for plan in plans:
        for route in plan.routes:
            at = (plan.service, route.origin)
            served[at] = served.get(at, 0.0) + route.requests_per_second
    services, demands, options = Serving(snapshot, columns).model(served)
    demand = [0.0] * len(services)
    for one in demands:
        demand[one.service] += one.requests_per_second
    pools = sorted(pool.name for pool in snapshot.fleet.pools)
    stays = _staying(snapshot, plans)
    places = []
    for option in options:
        key, pool = services[option.service].key, pools[option.pool]
        if key not in stays or (pool, option.variant) in stays[key]:
            rate = 1.0 / min(sigma for _, sigma in option.per_request)
            places.append(
                Offer(
                    option.service,
                    key.namespace,
                    option.variant,
                    pool,
                    option.pod.devices,
                    option.most_replicas,
                    rate,
                )
            )
    planned = {plan.service: sum(serving.replicas for serving in plan.replicas) for plan in plans}
    wanted = {service.key: service.min_replicas for service in snapshot.services}
    least = tuple(max(0, min(wanted[one.key], planned.get(one.key, 0))) for one in services)
    return Offers(tuple(one.key for one in services), tuple(places), tuple(demand), least)


def _staying(snapshot: Snapshot, plans: tuple[ServicePlan, ...]) -> dict[Key, set[tuple[str, str]]]:
    """Places of services that run, or are promised, in all the places their plan names."""
    running = {key: {(pool, variant) for pool, variant, _ in now} for key, now in held(snapshot).items()}
    out = {}
    for plan in plans:
        places = {(serving.pool, serving.variant) for serving in plan.replicas}
        if places and places <= running.get(plan.service, set()):
            out[plan.service] = places
    return out


def elsewhere(
    snapshot: Snapshot, columns: ColumnSet, plans: tuple[ServicePlan, ...], places: Offers, counts: tuple[int, ...]
) -> tuple[ServicePlan, ...] | None:
    """Services where the exact solver would have them; None if that serves less or changes nothing."""
    if not plans or len(counts) != len(places.places):
        return None
    preference = {
        (places.services[one.service], one.variant, one.pool): float(count)
        for one, count in zip(places.places, counts, strict=True)
    }
    moved, _ = Serving(snapshot, columns).plan(preference)
    now = {plan.service: plan for plan in plans}
    if {plan.service for plan in moved} != set(now):
        return None
    if any(plan.served_per_second < now[plan.service].served_per_second * (1.0 - 1e-9) for plan in moved):
        return None
    names = [_places(plan) for plan in moved]
    return None if names == [_places(now[plan.service]) for plan in moved] else moved


def _places(plan: ServicePlan) -> list[tuple[str, str, int]]:
    return sorted((serving.pool, serving.variant, serving.replicas) for serving in plan.replicas)
