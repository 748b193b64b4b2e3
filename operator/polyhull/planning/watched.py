"""What is only watched: jobs and services of namespaces in mode Observe while the fleet acts for others.

The others are planned as if these were not there, so being watched takes nothing from anybody. Then these are planned
into what that plan leaves at every instant, by the same simulation and search; nothing is proved of them, and no
total of the plan counts them. What already runs in such a namespace is held where it is, as everywhere.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from polyhull.domain.decision import Assignment, Decision, Exchange, ServicePlan, StreamedRead, Transfer, Unplaced
from polyhull.domain.resources import Resources
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import InferenceService, Key, TrainingJob
from polyhull.optimize.build import build_columns
from polyhull.planning.assemble import assignments, transfers, unplaced
from polyhull.planning.canonical import canonical
from polyhull.planning.explain import explain
from polyhull.planning.instance import Instance, PoolModel
from polyhull.planning.moving import Budgets
from polyhull.planning.pools import units
from polyhull.planning.relaxed import Guide, unguided
from polyhull.planning.reserve import FOREVER, Reserved, draw, reserve
from polyhull.planning.robust import estimated
from polyhull.planning.schedule import Schedule
from polyhull.planning.simulate import State, hold
from polyhull.planning.timeline import take_rate
from polyhull.planning.validate import validate

Plan = Callable[[Reserved, Guide], Schedule]
"""A schedule of what waits in an instance."""
NO_ROOM = "the checker refused what was planned for it beside the others"


def is_watched(snapshot: Snapshot, one: TrainingJob | InferenceService) -> bool:
    """Is it to be planned only to be looked at? What runs, or was stopped to be moved, is not."""
    if isinstance(one, InferenceService):
        return not one.serving and snapshot.policy.watches(one.key.namespace)
    return one.placed is None and one.resume is None and snapshot.policy.watches(one.key.namespace)


def acted_on(snapshot: Snapshot) -> Snapshot:
    """Without what is only watched. Services that run in such namespaces stay at the replicas that they have."""
    policy = snapshot.policy
    if not any(policy.watches(name) for name, _ in policy.modes):
        return snapshot
    services = (
        replace(one, fixed_replicas=sum(part.replicas for part in one.serving), promise=())
        if policy.watches(one.key.namespace)
        else one
        for one in snapshot.services
        if not is_watched(snapshot, one)
    )
    jobs = tuple(job for job in snapshot.jobs if not is_watched(snapshot, job))
    return replace(snapshot, jobs=jobs, services=tuple(services))


def with_watched(snapshot: Snapshot, decision: Decision, plan: Plan) -> Decision:
    """`decision`, that of `acted_on(snapshot)`, and beside it what is only watched."""
    if acted_on(snapshot) is snapshot:
        return decision
    snapshot = canonical(snapshot)
    keys = {job.key for job in snapshot.jobs if is_watched(snapshot, job)}
    services = tuple(one for one in snapshot.services if is_watched(snapshot, one))
    if not keys and not services:
        return decision
    for some in (services, ()):
        found = _beside(snapshot, decision, keys, some, plan)
        left = (one for one in services if one.key not in {plan.service for plan in found.services})
        told = {one.job for one in found.unplaced}
        found = _with_unplaced(found, [one.key for one in left if one.key not in told])
        if decision.violations or not (wrong := validate(snapshot, found)):
            return found
    return _with_unplaced(decision, [*keys, *(one.key for one in services)], wrong[0])


def _with_unplaced(decision: Decision, keys: list[Key], wrong: str = "") -> Decision:
    message = f"{NO_ROOM}: {wrong}" if wrong else NO_ROOM
    more = (Unplaced(key, "NoCapacity", message) for key in keys)
    return replace(decision, unplaced=tuple(sorted((*decision.unplaced, *more), key=lambda one: one.job)))


def _beside(
    snapshot: Snapshot, decision: Decision, keys: set[Key], services: tuple[InferenceService, ...], plan: Plan
) -> Decision:
    columns = build_columns(snapshot)
    jobs = tuple(job for job in snapshot.jobs if job.placed is not None or job.key in keys)
    asked = replace(snapshot, services=services, jobs=jobs)
    guide = unguided(asked, columns)
    reserved = reserve(snapshot, columns, guide.services, decision.services, partial(_occupy, decision))
    reserved = replace(reserved, instance=_only(reserved.instance, keys))
    instance, schedule = reserved.instance, plan(reserved, guide)
    placed = assignments(reserved, schedule, explain(instance, schedule))
    mine = tuple(replace(one, observed=True) for one in placed if one.job in keys)
    mine = estimated(Decision(snapshot.taken_at, assignments=mine), instance, schedule).assignments
    there = {(one.data_set, one.store) for one in decision.transfers}
    moved = (one for one in transfers(instance, schedule) if (one.data_set, one.store) not in there)
    asked_for = {*keys, *(one.key for one in services)}
    out = (one for one in unplaced(reserved, schedule, guide.unplaced) if one.job in asked_for)
    return replace(
        decision,
        assignments=tuple(sorted((*decision.assignments, *mine), key=lambda one: one.job)),
        transfers=tuple(sorted((*decision.transfers, *moved), key=lambda one: (one.data_set, one.store))),
        services=tuple(sorted((*decision.services, *reserved.services), key=lambda one: one.service)),
        unplaced=tuple(sorted((*decision.unplaced, *out), key=lambda one: one.job)),
    )


def _only(instance: Instance, keys: set[Key]) -> Instance:
    """The instance with these jobs only."""
    kept = [j for j, job in enumerate(instance.jobs) if job.key in keys]
    return replace(
        instance,
        jobs=tuple(instance.jobs[j] for j in kept),
        choices=tuple(instance.choices[j] for j in kept),
        tiers=tuple(instance.tiers[j] for j in kept),
        weights=tuple(instance.weights[j] for j in kept),
        deadlines=tuple(instance.deadlines[j] for j in kept),
        promised=tuple(instance.promised[j] for j in kept),
    )


# -- what the others' plan holds, at every instant


def _occupy(decision: Decision, instance: Instance, state: State) -> None:
    jobs = {job.key: job for job in instance.snapshot.jobs}
    services = {one.key: one for one in instance.snapshot.services}
    for plan in decision.services:
        _occupy_by_service(instance, state, services[plan.service], plan)
    for one in sorted(decision.assignments, key=lambda one: (one.order, one.job)):
        if not one.fixed:
            _occupy_by_job(instance, state, jobs[one.job], one)
    index = {name: line for line, name in enumerate(instance.link_names)}
    budgets = Budgets(instance.snapshot)
    for move in decision.transfers:
        if not move.active:
            _occupy_by_copy(state, index, move)
            for budget, amount in budgets.draws(move.data_set, move.store, move.transfer_bytes):
                state.left[budget] -= amount


def _occupy_by_service(instance: Instance, state: State, service: InferenceService, plan: ServicePlan) -> None:
    pods = {variant.name: variant.pod for variant in service.variants}
    for part in plan.replicas:
        _take(instance, state, part.pool, pods[part.variant], part.nodes, (0.0, FOREVER))
        held = ((part.pool, part.replicas * part.devices_per_replica),)
        draw(instance, state, service.key.namespace, held, (0.0, FOREVER))


def _occupy_by_job(instance: Instance, state: State, job: TrainingJob, one: Assignment) -> None:
    during = (one.start_seconds, one.end_seconds)
    pods = {option.name: option.pod for option in job.options}
    for place in one.places:
        _take(instance, state, place.pool, pods[place.option], place.nodes, during)
    held = [(place.pool, place.replicas * place.devices_per_replica) for place in one.places]
    draw(instance, state, job.key.namespace, held, during)
    index = {name: line for line, name in enumerate(instance.link_names)}
    flows: tuple[StreamedRead | Exchange, ...] = (*one.reads, *one.exchanges)
    for flow in flows:
        for name in flow.links:
            take_rate(state.links[index[name]], flow.start_seconds, flow.end_seconds, flow.rate_bytes_per_second)


def _occupy_by_copy(state: State, index: dict[str, int], move: Transfer) -> None:
    for part in move.flows:
        for name in part.links:
            take_rate(state.links[index[name]], move.start_seconds, move.end_seconds, part.rate_bytes_per_second)


def _take(
    instance: Instance,
    state: State,
    pool: str,
    pod: Resources,
    nodes: tuple[tuple[str, int], ...],
    during: tuple[float, float],
) -> None:
    at = instance.pool_index[pool]
    model, timelines = instance.pools[at], state.nodes[at]
    for place, pods in sorted((_place(model, name), pods) for name, pods in nodes):
        while len(timelines) < place:  # somebody else's growth node: nobody's here
            timelines.append(([0.0], [0 if isinstance(model.shape, int) else tuple(0 for _ in model.shape)]))
            state.born[at] += 1
        hold(model, state, at, units(pod, model.dimensions), *during, ((place, pods),))


def _place(model: PoolModel, name: str) -> int:
    """Of a node, growth nodes (`+1`, `+2` ...) behind those that are there."""
    return len(model.nodes) + int(name[1:]) - 1 if name.startswith("+") else model.nodes.index(name)
