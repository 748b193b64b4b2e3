"""What is there before any new job: running jobs on their nodes, and services with their models and replicas.

Services hold their devices and link shares from now on for ever, so jobs are planned around them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf

from polyhull.domain.decision import Explanation, ServicePlan, ServingPlan
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import InferenceService, Serving, TrainingJob, Variant
from polyhull.optimize.columns import Column, ColumnSet
from polyhull.optimize.erlang import most_arrivals
from polyhull.optimize.paths import Network
from polyhull.optimize.resumed import leaving_seconds
from polyhull.optimize.spans import SpanPart
from polyhull.planning.compiling import compile_instance
from polyhull.planning.instance import Choice, Instance, PoolModel
from polyhull.planning.pools import units
from polyhull.planning.schedule import Slot
from polyhull.planning.simulate import (
    State,
    commit_moves,
    data_ready,
    earliest_gang,
    hold,
    with_growth,
)
from polyhull.planning.timeline import Units, copies, take_rate

FOREVER = inf
MOST_REPLICAS = 1_000_000


@dataclass(frozen=True, slots=True)
class Reserved:
    """An instance whose base holds running jobs and services, and what became of both."""

    instance: Instance
    fixed_nodes: tuple[tuple[tuple[tuple[str, int], ...], ...], ...]
    """Nodes of each place of each `instance.fixed`."""
    services: tuple[ServicePlan, ...]


def service_traffic(snapshot: Snapshot, plans: Sequence[ServicePlan]) -> dict[str, float]:
    """Bytes per second that requests and answers put on each link; both directions over the path of least latency."""
    network = Network(snapshot.fleet, snapshot.policy.bandwidth_margin)
    sites = {cluster.name: cluster.site for cluster in snapshot.fleet.clusters}
    demands = {(service.key, demand.site): demand for service in snapshot.services for demand in service.demand}
    traffic: dict[str, float] = {}
    for plan in plans:
        for route in plan.routes:
            demand = demands.get((plan.service, route.origin))
            site = sites.get(route.cluster)
            if demand is None or site is None:
                continue
            for source, target, size in (
                (route.origin, site, demand.request_bytes),
                (site, route.origin, demand.response_bytes),
            ):
                for link in network.nearest(source, target) or ():
                    traffic[link.name] = traffic.get(link.name, 0.0) + route.requests_per_second * size
    return traffic


def reserve(
    snapshot: Snapshot,
    columns: ColumnSet,
    plans: Sequence[ServicePlan],
    others: Sequence[ServicePlan] = (),
    before: Callable[[Instance, State], None] | None = None,
) -> Reserved:
    """The instance that jobs are planned into. Plans come with counts and routes; they leave with nodes and times.

    `before`: takes what a plan that stands already holds beside what runs; `others` are its services.
    """
    instance = compile_instance(snapshot, columns, service_traffic(snapshot, (*plans, *others)))
    state = State.of(instance)
    for fixed in instance.fixed:
        held = [(place.pool, place.devices) for place in fixed.column.places]
        draw(instance, state, fixed.job.key.namespace, held, (0.0, fixed.column.length_seconds))
    fixed_nodes = tuple(
        tuple(
            _hold_fixed(instance, state, fixed.column, place, nodes)
            for place, nodes in zip(fixed.column.places, fixed.nodes, strict=True)
        )
        for fixed in instance.fixed
    )
    for job in snapshot.jobs:
        _hold_leaving(instance, state, job)
    if before is not None:
        before(instance, state)
    services = {service.key: service for service in snapshot.services}
    out = [
        _serve(instance, state, services[plan.service], plan)
        for plan in sorted(plans, key=lambda plan: (-services[plan.service].priority, plan.service))
    ]
    base = replace(
        instance,
        base_nodes=tuple(tuple(pool) for pool in state.nodes),
        base_links=tuple(state.links),
        budgets=tuple(state.left),
        born=tuple(state.born),
        made=dict(state.moved),
    )
    return Reserved(base, fixed_nodes, tuple(sorted(out, key=lambda plan: plan.service)))


def draw(
    instance: Instance,
    state: State,
    namespace: str,
    held: Sequence[tuple[str, int]],
    during: tuple[float, float],
) -> None:
    """What devices that are held take of each cap."""
    for line, amount in instance.taken(namespace, held):
        take_rate(state.links[line], *during, amount)


def node_name(model: PoolModel, index: int) -> str:
    """Growth nodes have no name yet; `+1`, `+2` … can be no node's name."""
    return model.nodes[index] if index < len(model.nodes) else f"+{index - len(model.nodes) + 1}"


def named(model: PoolModel, where: tuple[tuple[int, int], ...]) -> tuple[tuple[str, int], ...]:
    return tuple((node_name(model, node), pods) for node, pods in where)


def _hold_fixed(
    instance: Instance, state: State, column: Column, place: SpanPart, nodes: tuple[tuple[str, int], ...]
) -> tuple[tuple[str, int], ...]:
    """Occupy the observed nodes of one place; pods whose node is not known are put where they fit now."""
    pool = instance.pool_index.get(place.pool)
    if pool is None:
        return nodes
    model = instance.pools[pool]
    pod, length = units(place.pod, model.dimensions), column.length_seconds
    index = {name: k for k, name in enumerate(model.nodes)}
    physical = {node.name for node in instance.snapshot.fleet.pools[_pool_at(instance, place.pool)].nodes}
    known = tuple((index[name], pods) for name, pods in nodes if name in index)
    hold(model, state, pool, pod, 0.0, length, known)
    left = place.replicas - sum(pods for name, pods in nodes if name in physical)
    seen = tuple((name, pods) for name, pods in nodes if name in physical)
    if left <= 0:
        return seen
    choice = Choice(column, pool, length, 0.0, left, pod, (), length, 0)
    slot = _now_or_growing(instance, state, choice)
    if slot is None:
        return seen
    hold(model, state, pool, pod, 0.0, slot.end, slot.nodes)
    return seen + named(model, slot.nodes)


def _hold_leaving(instance: Instance, state: State, job: TrainingJob) -> None:
    """The old pods of a stopped job, until they are gone."""
    seconds, resume = leaving_seconds(job, instance.snapshot.taken_at), job.resume
    if seconds <= 0.0 or resume is None or resume.pool not in instance.pool_index:
        return
    option = next((one for one in job.options if one.name == resume.option), None)
    if option is None:
        return
    pool = instance.pool_index[resume.pool]
    model = instance.pools[pool]
    index = {name: k for k, name in enumerate(model.nodes)}
    known = tuple((index[name], pods) for name, pods in resume.nodes if name in index)
    hold(model, state, pool, units(option.pod, model.dimensions), 0.0, seconds, known)
    held = ((resume.pool, sum(pods for _, pods in known) * option.devices_per_replica),)
    draw(instance, state, job.key.namespace, held, (0.0, seconds))


def _pool_at(instance: Instance, name: str) -> int:
    return next(i for i, pool in enumerate(instance.snapshot.fleet.pools) if pool.name == name)


def _now_or_growing(instance: Instance, state: State, choice: Choice) -> Slot | None:
    model = instance.pools[choice.pool]
    nodes = state.nodes[choice.pool]
    for unborn in (0, model.growth - state.born[choice.pool]):
        per_node = copies(model.shape, choice.pod) if unborn > 0 else 0
        waits = model.provision_seconds if unborn > 0 else 0.0
        at, where = earliest_gang(nodes, choice.pod, choice.replicas, 0.0, choice.length + waits, unborn, per_node)
        if at <= 0.0:
            full = with_growth(where, nodes, choice.replicas, per_node)
            return Slot(0, 0.0, 0.0, choice.length + waits, full, waits)
    return None


def _serve(instance: Instance, state: State, service: InferenceService, plan: ServicePlan) -> ServicePlan:
    """Put the replicas of one service on nodes, present ones first; those that fit nowhere are given up."""
    variants = {variant.name: variant for variant in service.variants}
    replicas: list[ServingPlan] = []
    short: list[tuple[ServingPlan, int]] = []
    for serving in sorted(plan.replicas, key=lambda s: (s.pool, s.variant)):
        placed = _place_replicas(instance, state, service, variants[serving.variant], serving)
        if placed is not None and placed.replicas > 0:
            replicas.append(placed)
        got = placed.replicas if placed is not None else 0
        if got < serving.replicas:
            short.append((serving, got))
    if not short:
        return replace(plan, replicas=tuple(replicas))
    return _cut(instance.snapshot, service, plan, tuple(replicas), short)


def _place_replicas(
    instance: Instance, state: State, service: InferenceService, variant: Variant, serving: ServingPlan
) -> ServingPlan | None:
    pool = instance.pool_index.get(serving.pool)
    if pool is None:
        return None
    model = instance.pools[pool]
    pod = units(variant.pod, model.dimensions)
    ready = _model_ready(instance, state, variant, serving)
    if ready == inf:
        return None
    each = ((serving.pool, serving.devices_per_replica),)
    most = min(serving.replicas, _most_under_caps(instance, state, service.key.namespace, each))
    where: dict[str, int] = {}
    begin = ready
    for name, pods in _kept(service.serving, replace(serving, replicas=most), model, state.nodes[pool], pod):
        hold(model, state, pool, pod, 0.0, FOREVER, ((model.nodes.index(name), pods),))
        where[name] = pods
    for _ in range(most - sum(where.values())):
        slot = _forever(instance, state, pool, pod)
        if slot is None:
            break
        hold(model, state, pool, pod, slot.start, FOREVER, slot.nodes)
        begin = max(begin, slot.start + slot.waits)
        for name, pods in named(model, slot.nodes):
            where[name] = where.get(name, 0) + pods
    held = ((serving.pool, sum(where.values()) * serving.devices_per_replica),)
    draw(instance, state, service.key.namespace, held, (0.0, FOREVER))
    return replace(serving, replicas=sum(where.values()), nodes=tuple(sorted(where.items())), ready_seconds=begin)


def _most_under_caps(instance: Instance, state: State, namespace: str, each: Sequence[tuple[str, int]]) -> int:
    """Replicas that every cap has room for at every instant; `each`: what one holds."""
    rooms = (min(state.links[line][1]) / amount for line, amount in instance.taken(namespace, each))
    return int(min(rooms, default=MOST_REPLICAS) + 1e-9)


def _kept(
    now: tuple[Serving, ...],
    serving: ServingPlan,
    model: PoolModel,
    nodes: list[tuple[list[float], list[Units]]],
    pod: Units,
) -> list[tuple[str, int]]:
    """Replicas that run already stay where they are, as far as the plan still wants them and nodes hold them."""
    left = serving.replicas
    out = []
    for running in now:
        if (running.pool, running.variant) != (serving.pool, serving.variant):
            continue
        for name, pods in sorted(running.nodes):
            if name in model.nodes and left > 0:
                _, free = nodes[model.nodes.index(name)]
                take = min(left, pods, min(copies(value, pod) for value in free))
                if take > 0:
                    out.append((name, take))
                    left -= take
    return out


def _forever(instance: Instance, state: State, pool: int, pod: Units) -> Slot | None:
    """Room for one replica from the earliest instant on, for ever; a growth node if that is sooner."""
    model, nodes = instance.pools[pool], state.nodes[pool]
    at, where = earliest_gang(nodes, pod, 1, 0.0, FOREVER, 0, 0)
    unborn = model.growth - state.born[pool]
    if unborn > 0 and copies(model.shape, pod) > 0 and at > model.provision_seconds:
        return Slot(0, 0.0, 0.0, FOREVER, ((len(nodes), 1),), model.provision_seconds)
    return Slot(0, at, at, FOREVER, where) if at < inf else None


def _model_ready(instance: Instance, state: State, variant: Variant, serving: ServingPlan) -> float:
    """When the model is at the cluster's store; the move is made if it is missing."""
    if variant.model is None:
        return 0.0
    cluster = instance.snapshot.fleet.cluster(serving.cluster)
    stores = {cluster.store} if cluster is not None else set()
    index = next(
        (
            i
            for i, move in enumerate(instance.moves)
            if move.data_set == variant.model.data_set and move.store in stores
        ),
        None,
    )
    if index is None:
        return 0.0
    ready, plan = data_ready(instance, state, (index,))
    if ready < inf:
        commit_moves(instance, state, plan)
    return ready


def _cut(
    snapshot: Snapshot,
    service: InferenceService,
    plan: ServicePlan,
    replicas: tuple[ServingPlan, ...],
    short: list[tuple[ServingPlan, int]],
) -> ServicePlan:
    """Less demand served where replicas found no node: as much as those that did still answer in time."""
    share = {(s.pool, s.variant): _share(snapshot, service, plan, s, got) for s, got in short}
    routes = []
    for route in plan.routes:
        rate = route.requests_per_second * share.get((route.pool, route.variant), 1.0)
        if rate > 0.0:
            routes.append(replace(route, requests_per_second=rate))
    words = "; ".join(f"pool {s.pool} has room for {got} of {s.replicas} replicas of {s.variant}" for s, got in short)
    served = sum(route.requests_per_second for route in routes)
    return replace(
        plan,
        replicas=replicas,
        routes=tuple(routes),
        served_per_second=served,
        rule=(),
        explanation=Explanation(f"{words}: {served:.3g} of {plan.demanded_per_second:.3g} requests/s are served."),
    )


def _share(snapshot: Snapshot, service: InferenceService, plan: ServicePlan, serving: ServingPlan, got: int) -> float:
    """What part of a place's load `got` replicas hold the latency objective for."""
    if got == 0:
        return 0.0
    network = Network(snapshot.fleet, snapshot.policy.bandwidth_margin)
    pool = snapshot.fleet.pool(serving.pool)
    variant = next(one for one in service.variants if one.name == serving.variant)
    variant = variant.slowed(pool.slowdown if pool else 1.0)
    load, slack = 0.0, inf
    for route in plan.routes:
        if (route.pool, route.variant) == (serving.pool, serving.variant):
            paths = (
                network.nearest(route.origin, serving.site) or (),
                network.nearest(serving.site, route.origin) or (),
            )
            trip = sum(max(0.0, link.latency_seconds) for path in paths for link in path)
            slack = min(slack, service.latency_seconds - trip - variant.service_seconds)
            load += route.requests_per_second
    most = most_arrivals(got, variant.rate_per_second, variant.service_seconds, slack, service.percentile)
    return min(1.0, most / load) if load > 0.0 else 0.0
