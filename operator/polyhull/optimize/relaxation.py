"""`relax`: the one entry of this room. What a snapshot's columns can reach at best, and where a search starts.

Online services are made integer first (phase 0: the most demand, by priority); the bound then holds for every
schedule that serves at least what the integer plan serves. Jobs of a lower priority never move the choice of a
higher one: tiers are solved in order, with the earlier ones' columns held.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np

from polyhull.domain.decision import BoundKind, Price, ServicePlan, Unplaced
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.optimize.arrays import model_data
from polyhull.optimize.bound import LARGE, fluid_bound, slowest
from polyhull.optimize.columns import Column, ColumnSet
from polyhull.optimize.data import ModelData
from polyhull.optimize.highs import solve
from polyhull.optimize.prices import Marginal, a_little_later, link_prices, of_fixed_time, of_rates, pool_prices
from polyhull.optimize.programme import Programme, programme
from polyhull.optimize.programme.windows import NO_WINDOWS
from polyhull.optimize.rounding import round_shares
from polyhull.optimize.services import Serving
from polyhull.optimize.whole_bound import WholeBound, whole_copy_bound
from polyhull.optimize.whole_copies import whole_copies

_SERVED_DOWN = 1.0 - 1e-9


@dataclass(frozen=True, slots=True)
class Relaxation:
    """`choice` and `ranking` by job key (fixed jobs not among them); services without nodes: planning packs them.

    `lower_bound_seconds` holds for every schedule of the class `bound_kind` names (docs/model.md) that runs all jobs
    with a column and serves at least the services' routes; 0 with `BoundKind.NONE` where nothing was proved.
    """

    lower_bound_seconds: float = 0.0
    bound_kind: BoundKind = BoundKind.NONE
    choice: dict[Key, Column] = field(default_factory=dict)
    ranking: dict[Key, tuple[Column, ...]] = field(default_factory=dict)
    order: tuple[Key, ...] = ()
    """Jobs to start with: higher tiers first, then what leaves least slack under the bound."""
    services: tuple[ServicePlan, ...] = ()
    unplaced: tuple[Unplaced, ...] = ()
    """Jobs without an admissible column and services without a replica."""
    pool_prices: tuple[Price, ...] = ()
    link_prices: tuple[Price, ...] = ()
    status: str = ""
    steps: int = 0
    """Linear programmes solved."""
    critical: tuple[Key, ...] = ()
    """Jobs that the bound rests on: the others could be dropped without lowering it."""


def relax(snapshot: Snapshot, columns: ColumnSet) -> Relaxation:
    """Bound, starting choice, service plans and prices of a snapshot; never raises for what a snapshot may hold."""
    serving = Serving(snapshot, columns)
    plans, unserved, steps = _services(snapshot, columns, serving)
    served = {
        (plan.service, origin): rate * _SERVED_DOWN for plan in plans for origin, rate in _by_origin(plan).items()
    }
    model = serving.model(served)
    data = model_data(snapshot, columns, model)
    whole = whole_copies(data, columns, under_way(snapshot))
    bound = whole_copy_bound(whole)
    seconds, kind = bound.seconds, _kind(bound, columns)
    steps += bound.steps
    marginal: Marginal | None = None
    if len(data.jobs) and len(data.columns) <= LARGE:
        fluid, rate_programme, rate_solution = fluid_bound(data)
        steps += 1
        if fluid > seconds * (1.0 + 1e-9):
            seconds, kind = fluid, BoundKind.FLUID
        if rate_solution.optimal:
            marginal = of_rates(rate_programme, rate_solution)
    pools, links = _prices(data, whole, marginal, bound, snapshot.policy.bandwidth_margin)
    choice, ranking, more = _choose(columns, whole, bound, snapshot)
    return Relaxation(
        lower_bound_seconds=seconds if math.isfinite(seconds) else 0.0,
        bound_kind=kind,
        choice=choice,
        ranking=ranking,
        order=_order(choice, data),
        services=plans,
        unplaced=tuple(sorted((*dropped(snapshot, columns), *unserved), key=lambda one: one.job)),
        pool_prices=pools,
        link_prices=links,
        status=bound.status,
        steps=steps + more,
        critical=bound.critical,
    )


def _prices(
    data: ModelData, whole: ModelData, rates: Marginal | None, bound: WholeBound, margin: float
) -> tuple[tuple[Price, ...], tuple[Price, ...]]:
    """Of the rate programme where a pool or a link limits it, else of the programme nearest to the printed bound."""
    if rates is not None:
        pools, links = pool_prices(data, rates), link_prices(data, rates, margin)
        if pools or links:
            return pools, links
    if bound.at is None or bound.solution is None:
        return (), ()
    windows = NO_WINDOWS if bound.windows is None else bound.windows
    later = programme(whole, a_little_later(bound.at.seconds), light=bound.windows is None, windows=windows)
    nearest = of_fixed_time(whole, bound.at, bound.solution, later)
    return ((), ()) if nearest is None else (pool_prices(whole, nearest), link_prices(whole, nearest, margin))


def under_way(snapshot: Snapshot) -> frozenset[tuple[Key, str]]:
    """(data set, store) of the transfers that run."""
    return frozenset((transfer.data_set, transfer.store) for transfer in snapshot.transfers)


def _kind(bound: WholeBound, columns: ColumnSet) -> BoundKind:
    if not bound.seconds > 0.0:
        return BoundKind.NONE
    return BoundKind.STRENGTHENED_SPLIT_COPY if columns.split else BoundKind.STRENGTHENED_WHOLE_COPY


def _services(
    snapshot: Snapshot, columns: ColumnSet, serving: Serving
) -> tuple[tuple[ServicePlan, ...], tuple[Unplaced, ...], int]:
    """Integer plans; one programme with soft demands says which variant and pool cost the whole plan least."""
    if not serving.services:
        return (), (), 0
    model = serving.model()
    data = model_data(snapshot, columns, model)
    preference: dict[tuple[Key, str, str], float] = {}
    steps = 0
    if data.serving and data.demands:
        seconds = max(2.0 * max(data.fixed_seconds, slowest(data)), 1.0)
        built = programme(data, seconds, soft=True, light=len(data.columns) > LARGE)
        gains = np.zeros(len(built.upper))
        first = built.service_start + len(data.serving)
        total = sum(demand.requests_per_second for demand in data.demands)
        for at, (_, i) in enumerate(built.pairs):
            gains[first + at] = 1e3 * (0.1 + data.demands[i].requests_per_second / total)
        found = solve(_few(data, built), gains)
        steps = 1
        if found.optimal:
            for v, option in enumerate(data.serving):
                name = (data.services[option.service].key, option.variant, data.pools[option.pool].name)
                preference[name] = float(found.primal[built.service_start + v])
    plans, unplaced = serving.plan(preference)
    return plans, unplaced, steps


def _few(data: ModelData, built: Programme) -> Programme:
    """Beyond `LARGE` columns: each class's three fastest, which is enough to see where devices are dear."""
    if len(data.columns) <= LARGE:
        return built
    order = np.lexsort((data.finish, data.job_class))
    classes = data.job_class[order]
    rank = np.arange(len(order)) - np.searchsorted(classes, classes)
    upper = built.upper.copy()
    upper[order[rank >= 3]] = 0.0
    return replace(built, upper=upper)


def _by_origin(plan: ServicePlan) -> dict[str, float]:
    served: dict[str, float] = {}
    for route in plan.routes:
        served[route.origin] = served.get(route.origin, 0.0) + route.requests_per_second
    return served


def _choose(
    columns: ColumnSet, data: ModelData, bound: WholeBound, snapshot: Snapshot
) -> tuple[dict[Key, Column], dict[Key, tuple[Column, ...]], int]:
    """One column per job. With several priorities, tier after tier, the earlier ones' columns held."""
    by_job: dict[Key, list[Column]] = {}
    for column in columns.columns:
        if not column.fixed:
            by_job.setdefault(column.job, []).append(column)
    tiers = sorted({int(priority) for priority in data.priority}, reverse=True)
    # Jobs whose data no way brings whole are not in the programme: any column of theirs will do.
    choice = {key: mine[0] for key, mine in by_job.items()}
    ranking = {key: tuple(mine) for key, mine in by_job.items()}
    if len(tiers) <= 1:
        rounded = round_shares(data, by_job, bound.at, bound.solution)
        return choice | rounded.choice, ranking | rounded.ranking, 0
    settled: set[Key] = set()
    steps = 0
    priority = {job.key: job.priority for job in snapshot.jobs}
    services = (data.services, data.demands, data.serving)
    for tier in tiers:
        kept = tuple(
            column
            for column in columns.columns
            if column.fixed
            or priority[column.job] == tier
            or (column.job in settled and column.name == choice[column.job].name)
        )
        chosen = replace(columns, columns=kept)
        part = whole_copies(model_data(snapshot, chosen, services), chosen, under_way(snapshot))
        solved = whole_copy_bound(part, programmes=0)
        steps += solved.steps
        some: dict[Key, list[Column]] = {}
        for column in kept:
            if not column.fixed:
                some.setdefault(column.job, []).append(column)
        rounded = round_shares(part, some, solved.at, solved.solution)
        for key, column in rounded.choice.items():
            if priority[key] == tier:
                choice[key], ranking[key] = column, rounded.ranking[key]
                settled.add(key)
    return choice, ranking, steps


def _order(choice: dict[Key, Column], data: ModelData) -> tuple[Key, ...]:
    tier = {key: int(data.priority[j]) for j, members in enumerate(data.jobs) for key in members}
    return tuple(sorted(choice, key=lambda key: (-tier[key], -choice[key].length_seconds, key)))


_STAGES = (
    "NoPool", "MemberUnknown", "MemberUnreachable", "Fenced", "Draining", "NamespaceNotAccepted",
    "ServiceAccountNotAllowed", "SiteSelector",
    "Confidential", "Excluded", "PoolTooSmall", "NodesUnavailable", "Taint", "PowerUnknown", "PowerCap",
    "DeviceLimit",
    "NoRate", "DataSetUnknown", "Residency",
    "NeedsVolumeStorage", "NoStorage", "StorageTooSmall", "CopiesLimit", "CheckpointStays", "NoReachableReplica",
    "Budget",
)  # fmt: skip
"""Rules in the order they are checked: the refusal that came latest was nearest to a yes."""


def dropped(snapshot: Snapshot, columns: ColumnSet) -> tuple[Unplaced, ...]:
    """Jobs without any column, with the refusal that came nearest."""
    have = {column.job for column in columns.columns}
    found = []
    for key in sorted({job.key for job in snapshot.jobs} - have):
        refusals = [one for one in columns.inadmissible if one.job == key]
        if not refusals:
            found.append(Unplaced(key, "NoOption", f"{key} has no option; write spec.options"))
            continue
        best = max(refusals, key=lambda one: _STAGES.index(one.reason) if one.reason in _STAGES else 0)
        others = sorted({one.reason for one in refusals} - {best.reason})
        count = "1 choice" if len(refusals) == 1 else f"{len(refusals)} choices"
        also = f"; also {', '.join(others)}" if others else ""
        found.append(Unplaced(key, best.reason, f"{best.message} ({count} refused{also})"))
    return tuple(found)
