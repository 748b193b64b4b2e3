"""The checker's page on online services: where they run, whom they answer, and in what time.

Like validate.py it shares no code with what made the plan.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from math import exp, isfinite

from polyhull.domain.decision import Decision, ServicePlan
from polyhull.domain.fleet import Cluster, Fleet, Pool
from polyhull.domain.labels import Selector
from polyhull.domain.workloads import DataInput, InferenceService, Key, Variant
from polyhull.planning.validate_facts import Facts

LOAD_SLACK = 1e-6
MOST_SERVERS = 1_000_000
"""The recursion takes a step for each; no planner comes near without holding the objective even if all wait."""

Admitted = Callable[[Key, Pool, Cluster, Selector, bool, str], Iterator[str]]
Present = Callable[[Key, DataInput, Cluster, Fraction, str | None], Iterator[str]]


def served(
    facts: Facts, service: InferenceService, plan: ServicePlan, admitted: Admitted, present: Present
) -> Iterator[str]:
    """One service's replicas and routes as sentences of what is wrong.

    `admitted`: may such a pod be there? `present`: is its model there in time?"""
    who = service.key
    variants = {variant.name: variant for variant in service.variants}
    total = 0
    for serving in plan.replicas:
        variant, pool = variants.get(serving.variant), facts.pools.get(serving.pool)
        cluster = facts.clusters.get(serving.cluster)
        if variant is None or pool is None or cluster is None or pool.cluster != serving.cluster:
            yield f"{who} is served by {serving.variant} in {serving.pool}, which do not belong together"
            continue
        if variant.accelerator != pool.accelerator:
            yield f"{who}: {variant.name} asks for {variant.accelerator}, {pool.name} has {pool.accelerator}"
        if sum(pods for _, pods in serving.nodes) != serving.replicas:
            yield f"{who}: {serving.replicas} replicas in {pool.name}, but its nodes take another number"
        if not any((now.pool, now.variant) == (serving.pool, serving.variant) for now in service.serving):
            account = variant.service_account
            yield from admitted(who, pool, cluster, service.site_selector, service.confidential, account)
        total += serving.replicas
        if variant.model is not None:
            begin = Fraction(serving.ready_seconds) if isfinite(serving.ready_seconds) else Fraction(0)
            yield from present(who, variant.model, cluster, begin, None)
    if service.fixed_replicas is not None and total > service.fixed_replicas:
        yield f"{who} gets {total} replicas; its scaler says {service.fixed_replicas}"
    if service.cost_per_hour is not None:
        cost = sum(
            (part.replicas * part.devices_per_replica * facts.hourly(part.pool) for part in plan.replicas),
            Fraction(0),
        )
        if cost > Fraction(service.cost_per_hour) * (1 + Fraction(1, 10**6)):
            yield f"{who} costs {float(cost):.6g} an hour; it may cost {service.cost_per_hour:g}"
    yield from _routes(facts, service, plan, variants)


def _routes(
    facts: Facts, service: InferenceService, plan: ServicePlan, variants: dict[str, Variant]
) -> Iterator[str]:
    who = service.key
    counts = {(s.pool, s.variant): s.replicas for s in plan.replicas}
    loads: dict[tuple[str, str], float] = {}
    by_origin: dict[str, float] = {}
    for route in plan.routes:
        place = (route.pool, route.variant)
        if place not in counts or route.requests_per_second < 0:
            yield f"{who} sends requests from {route.origin} to {route.pool}, where no replica is"
        loads[place] = loads.get(place, 0.0) + route.requests_per_second
        by_origin[route.origin] = by_origin.get(route.origin, 0.0) + route.requests_per_second
    demand: dict[str, float] = {}
    for one in service.demand:
        demand[one.site] = demand.get(one.site, 0.0) + one.requests_per_second
    for origin, rate in sorted(by_origin.items()):
        if rate > demand.get(origin, 0.0) * (1 + LOAD_SLACK):
            yield f"{who} routes {rate} requests/s from {origin}, where {demand.get(origin, 0.0)} arise"
    served = sum(by_origin.values())
    if abs(served - plan.served_per_second) > LOAD_SLACK * max(1.0, served):
        yield f"{who} says it serves {plan.served_per_second} requests/s; its routes carry {served}"
    for route in plan.routes:
        place = (route.pool, route.variant)
        variant, cluster = variants.get(route.variant), facts.clusters.get(route.cluster)
        if place in counts and variant is not None and cluster is not None and route.requests_per_second > 0:
            slowed = _slowed(variant, facts.pools.get(route.pool))
            late = _late(facts, service, slowed, counts[place], loads[place], route.origin, cluster.site)
            if late is not None:
                yield f"{who}: requests from {route.origin} to {route.pool} {late}"


def _late(
    facts: Facts, service: InferenceService, variant: Variant, replicas: int, load: float, origin: str, site: str
) -> str | None:
    """M/M/c waiting plus a fixed service time against the objective (docs/model.md section 3)."""
    there = nearest(facts.snapshot.fleet, origin, site)
    back = nearest(facts.snapshot.fleet, site, origin)
    if there is None or back is None:
        return "have no path"
    latency = sum(facts.links[name].latency_seconds for name in (*there, *back))
    left = service.latency_seconds - latency - variant.service_seconds
    if left < 0:
        return f"take {latency + variant.service_seconds:.4g} s unqueued, over {service.latency_seconds:.4g} s"
    slots = max(1, int(variant.rate_per_second * variant.service_seconds + 1e-9))
    mu = variant.rate_per_second / slots
    servers = replicas * slots
    if load >= servers * mu * (1 + LOAD_SLACK):
        return f"bring {load:.6g} requests/s to {replicas} replicas that finish {servers * mu:.6g}"
    longer = exp(-max(0.0, servers * mu - load) * left)
    allowed = (1 - service.percentile) * (1 + 1e-6) + 1e-9
    if longer > allowed and (waiting := _erlang_c(servers, load / mu) * longer) > allowed:
        return f"miss {service.latency_seconds:.4g} s in {waiting:.3%} of cases, over {1 - service.percentile:.3%}"
    return None


def traffic(facts: Facts, decision: Decision) -> dict[str, Fraction]:
    """Requests and answers over the path of least latency, both ways."""
    out: dict[str, Fraction] = {}
    for plan in decision.services:
        service = facts.services.get(plan.service)
        for route in plan.routes if service is not None else ():
            assert service is not None
            demand = next((d for d in service.demand if d.site == route.origin), None)
            cluster = facts.clusters.get(route.cluster)
            if demand is None or cluster is None:
                continue
            rate = Fraction(route.requests_per_second)
            for source, target, size in (
                (route.origin, cluster.site, demand.request_bytes),
                (cluster.site, route.origin, demand.response_bytes),
            ):
                for name in nearest(facts.snapshot.fleet, source, target) or ():
                    out[name] = out.get(name, Fraction(0)) + rate * Fraction(size)
    return out


def _slowed(variant: Variant, pool: Pool | None) -> Variant:
    """What the variant does on confidential nodes."""
    times = max(1.0, pool.slowdown) if pool is not None else 1.0
    rate, seconds = variant.rate_per_second / times, variant.service_seconds * times
    return replace(variant, rate_per_second=rate, service_seconds=seconds)


def _erlang_c(servers: int, offered: float) -> float:
    """Probability that an arrival waits; the recursion of Erlang B, then C. Of more than MOST_SERVERS: 1."""
    if offered <= 0:
        return 0.0
    if servers > MOST_SERVERS:
        return 1.0
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    busy = offered / servers
    return min(1.0, blocked / (1 - busy * (1 - blocked))) if busy < 1 else 1.0


def nearest(fleet: Fleet, source: str, target: str) -> tuple[str, ...] | None:
    """The path of least latency; Bellman and Ford, so as not to share the planner's search."""
    best: dict[str, tuple[Fraction, int, tuple[str, ...]]] = {source: (Fraction(0), 0, ())}
    links = [
        link
        for link in fleet.links
        if link.source != link.target
        and isfinite(link.bandwidth_bits_per_second)
        and link.bandwidth_bits_per_second > 0
    ]
    for _ in range(len({link.source for link in links}) + 1):
        changed = False
        for link in links:
            if link.source not in best:
                continue
            latency, hops, path = best[link.source]
            extra = (
                Fraction(link.latency_seconds) if isfinite(link.latency_seconds) and link.latency_seconds > 0 else 0
            )
            candidate = (latency + extra, hops + 1, (*path, link.name))
            if link.target not in best or candidate < best[link.target]:
                best[link.target], changed = candidate, True
        if not changed:
            break
    return best[target][2] if target in best else None
