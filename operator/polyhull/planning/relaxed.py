"""What the convex programme tells the schedule search: bound, columns, prices, services."""

from collections.abc import Mapping
from dataclasses import dataclass

from polyhull.domain.decision import BoundKind, Price, ServicePlan, Unplaced
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.optimize.columns import ColumnSet
from polyhull.optimize.exact import Offer
from polyhull.optimize.relaxation import _dropped, relax
from polyhull.optimize.services import Serving

Offers = tuple[tuple[Offer, ...], tuple[float, ...], tuple[int, ...]]
"""Places, requests per second and least replicas of services, as the exact problem needs them."""


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


def unguided(snapshot: Snapshot, columns: ColumnSet) -> Guide:
    """Services by what runs and what the variants are worth; nothing is solved."""
    plans, unserved = Serving(snapshot, columns).plan({}) if snapshot.services else ((), ())
    return Guide(services=plans, unplaced=(*_dropped(snapshot, columns), *unserved))


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
    )


def offers(snapshot: Snapshot, columns: ColumnSet, plans: tuple[ServicePlan, ...]) -> Offers:
    """Every place that may serve what `plans` serve, with the most one replica there can answer in time."""
    if not plans:
        return (), (), ()
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
    places = tuple(
        Offer(
            option.service,
            pools[option.pool],
            option.pod.devices,
            option.most_replicas,
            1.0 / min(sigma for _, sigma in option.per_request),
        )
        for option in options
    )
    return places, tuple(demand), (0,) * len(services)
