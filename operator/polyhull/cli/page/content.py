"""What the page shows, as plain JSON values: seconds from the snapshot, bits per second, devices. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from polyhull.cli.show import BOUND_WORDS, nothing_placed, spending
from polyhull.domain.decision import (
    Assignment,
    BoundKind,
    Decision,
    Exchange,
    Part,
    Price,
    ServicePlan,
    StreamedRead,
    Transfer,
)
from polyhull.domain.fleet import Evidence, Link, Pool
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import CopyPart, data_name
from polyhull.planning.reserve import service_traffic
from polyhull.planning.watched import is_watched

Raw = dict[str, Any]
Held = tuple[float, float, float]
"""(from, until, how much)."""
Flow = tuple[Transfer | StreamedRead, Assignment | None]
"""Bytes on links; the job that reads them while computing, None for a transfer ahead of its readers."""
Steady = Transfer | StreamedRead | Exchange
"""What takes a rate of links from one instant to another."""
LEAST_SECONDS = 1e-6


def content(snapshot: Snapshot, decision: Decision, title: str) -> Raw:
    """Everything of one decision. Lists are sorted by name, so that the same decision gives the same page."""
    flows = _flows(decision)
    loads: list[Steady] = [flow for flow, _ in flows]
    loads += [exchange for one in decision.assignments for exchange in one.exchanges]
    ends = (one.end_seconds for one in decision.assignments)
    horizon = max([decision.makespan_seconds, *(flow.end_seconds for flow, _ in flows), *ends, 1.0])
    requests = _requests(snapshot, decision)
    carrying = _carrying(snapshot, loads, requests)
    return {
        "title": title,
        "takenAt": decision.taken_at,
        "planHash": decision.plan_hash,
        "horizon": horizon,
        "summary": _summary(decision),
        "pools": [_pool(pool, snapshot, decision, horizon) for pool in _used_first(snapshot, decision)],
        "links": [_link(link, snapshot, decision.link_prices, loads, requests, horizon) for link in carrying],
        "jobs": [_job(one, flows) for one in sorted(decision.assignments, key=lambda one: one.job)],
        "moves": [_move(flow, reader) for flow, reader in flows],
        "services": [_service(plan) for plan in decision.services],
        "unplaced": [
            {"namespace": one.job.namespace, "name": one.job.name, "kind": one.job.kind, "reason": one.reason,
             "message": one.message}
            for one in decision.unplaced
        ],
        "prices": _prices(decision),
        "violations": list(decision.violations),
    }  # fmt: skip


def _flows(decision: Decision) -> list[Flow]:
    """Transfers, each part by itself, and what jobs read while they compute, by start."""
    flows: list[Flow] = [(_alone(move, part), None) for move in decision.transfers for part in move.flows]
    flows += [(read, one) for one in decision.assignments for read in one.reads]
    return sorted(flows, key=lambda flow: (flow[0].start_seconds, flow[0].data_set, flow[0].links))


def _alone(move: Transfer, part: CopyPart) -> Transfer:
    return replace(
        move,
        source_site=part.source_site,
        links=part.links,
        transfer_bytes=part.transfer_bytes,
        rate_bytes_per_second=part.rate_bytes_per_second,
        parts=(),
    )


def _summary(decision: Decision) -> Raw:
    proved = decision.bound_kind is not BoundKind.NONE and decision.gap is not None
    rivals = (
        ("keeping jobs at their data", decision.baselines.locality_only_seconds),
        ("chasing the fastest devices", decision.baselines.compute_only_seconds),
    )
    return {
        "makespan": decision.makespan_seconds,
        "nothing": nothing_placed(decision),
        "bound": decision.lower_bound_seconds if proved else None,
        "boundKind": decision.bound_kind.value,
        "boundWords": BOUND_WORDS[decision.bound_kind],
        "gap": decision.gap if proved else None,
        "objective": list(decision.objective),
        "rivals": [{"name": name, "seconds": seconds} for name, seconds in rivals if seconds is not None],
        "spending": spending(decision.footprint),
        "egressBytes": sum(move.transfer_bytes for move in decision.transfers if move.links),
        "status": decision.solver.status,
        "late": sum(one.late_seconds > 0.0 for one in decision.assignments),
    }


def _used_first(snapshot: Snapshot, decision: Decision) -> list[Pool]:
    """Pools that run something, by site and name, then those that do not."""
    used = {place.pool for one in decision.assignments for place in one.places}
    used |= {part.pool for plan in decision.services for part in plan.replicas}
    return sorted(snapshot.fleet.pools, key=lambda pool: (pool.name not in used, pool.site, pool.name))


def _pool(pool: Pool, snapshot: Snapshot, decision: Decision, horizon: float) -> Raw:
    kind = snapshot.fleet.accelerator(pool.accelerator)
    held: list[Held] = [
        (one.start_seconds, one.end_seconds, place.replicas * place.devices_per_replica)
        for one in decision.assignments
        for place in one.places
        if place.pool == pool.name
    ]
    serving = sum(
        part.replicas * part.devices_per_replica
        for plan in decision.services
        for part in plan.replicas
        if part.pool == pool.name
    )
    there = sum(max(0, node.free.devices) for node in pool.nodes if node.schedulable)
    growth = pool.growth.nodes * pool.growth.shape.devices if pool.growth else 0
    return {
        "name": pool.name,
        "site": pool.site,
        "accelerator": pool.accelerator,
        "class": kind.device_class if kind else "",
        "devices": there,
        "growth": growth,
        "serving": serving,
        "load": _steps([*held, (0.0, horizon, serving)]),
        "price": _price(decision.pool_prices, pool.name),
    }


def _requests(snapshot: Snapshot, decision: Decision) -> dict[str, float]:
    """Bits per second of each link that requests and answers take, from now on; not of what is only watched."""
    watched = {one.key for one in snapshot.services if is_watched(snapshot, one)}
    serving = [plan for plan in decision.services if plan.service not in watched]
    return {name: 8.0 * amount for name, amount in service_traffic(snapshot, serving).items()}


def _carrying(snapshot: Snapshot, flows: Sequence[Steady], requests: Mapping[str, float]) -> list[Link]:
    used = {name for flow in flows for name in flow.links} | {name for name, bits in requests.items() if bits > 0.0}
    return sorted(snapshot.fleet.links, key=lambda link: (link.name not in used, link.name))


def _link(
    link: Link,
    snapshot: Snapshot,
    prices: Iterable[Price],
    flows: Sequence[Steady],
    requests: Mapping[str, float],
    horizon: float,
) -> Raw:
    asked = requests.get(link.name, 0.0)
    held: list[Held] = [
        (flow.start_seconds, flow.end_seconds, flow.rate_bytes_per_second * 8.0)
        for flow in flows
        if link.name in flow.links
    ]
    return {
        "name": link.name,
        "from": link.source,
        "to": link.target,
        "bandwidth": link.bandwidth_bits_per_second * snapshot.policy.bandwidth_margin,
        "serving": asked,
        "load": _steps([*held, (0.0, horizon, asked)]),
        "price": _price(prices, link.name),
    }


def _steps(held: Iterable[Held]) -> list[list[float]]:
    """[second, amount from then on], merged where nothing changes."""
    changes: dict[float, float] = defaultdict(float)
    for begin, end, amount in held:
        changes[begin] += amount
        changes[end] -= amount
    out: list[list[float]] = []
    total = 0.0
    for at in sorted(changes):
        total += changes[at]
        level = 0.0 if abs(total) < LEAST_SECONDS else total
        if out and at - out[-1][0] < LEAST_SECONDS:
            out[-1][1] = level
        elif not out or out[-1][1] != level:
            out.append([at, level])
    return out


def _place(place: Part) -> Raw:
    return {
        "pool": place.pool,
        "site": place.site,
        "option": place.option,
        "accelerator": place.accelerator,
        "replicas": place.replicas,
        "perReplica": place.devices_per_replica,
        "nodes": [[name, pods] for name, pods in place.nodes],
    }


def _job(one: Assignment, flows: list[Flow]) -> Raw:
    why, reads = one.explanation, set(one.data)
    brings = [
        i
        for i, (flow, reader) in enumerate(flows)
        if reader is one or (isinstance(flow, Transfer) and (flow.data_set, flow.store) in reads)
    ]
    return {
        "namespace": one.job.namespace,
        "name": one.job.name,
        "kind": one.job.kind,
        "pool": " + ".join(place.pool for place in one.places),
        "option": " + ".join(dict.fromkeys(place.option for place in one.places)),
        "accelerator": " + ".join(dict.fromkeys(place.accelerator for place in one.places)),
        "class": one.device_class,
        "devices": sum(place.replicas * place.devices_per_replica for place in one.places),
        "places": [_place(place) for place in one.places],
        "start": one.start_seconds,
        "end": one.end_seconds,
        "running": one.fixed,
        "observed": one.observed,
        "deadline": one.deadline_seconds,
        "late": one.late_seconds,
        "remedy": one.remedy,
        "evidence": "" if why.evidence is Evidence.MEASURED else why.evidence.value,
        "binds": why.binds,
        "seconds": [
            ["queue", why.queue_seconds],
            ["transfer", why.transfer_seconds],
            ["start-up", why.startup_seconds],
            ["compute", why.compute_seconds],
            *([["exchange", why.exchange_seconds]] if why.exchange_seconds > 0.0 else []),
            *([["failures", why.failure_seconds]] if why.failure_seconds > 0.0 else []),
        ],
        "startup": why.startup_seconds,
        "alternatives": [
            {"pool": other.pool, "option": other.option, "later": other.later_seconds} for other in why.alternatives
        ],
        "helps": [{"change": other.change, "sooner": other.sooner_seconds} for other in why.helps],
        "moves": brings,
    }


def _move(flow: Transfer | StreamedRead, reader: Assignment | None) -> Raw:
    target = flow.target_site if isinstance(flow, Transfer) else reader.site if reader else ""
    return {
        "namespace": flow.data_set.namespace,
        "name": data_name(flow.data_set),
        "from": flow.source_site,
        "to": target,
        "links": list(flow.links),
        "bytes": flow.transfer_bytes,
        "rate": flow.rate_bytes_per_second * 8.0,
        "start": flow.start_seconds,
        "end": flow.end_seconds,
        "running": isinstance(flow, Transfer) and flow.active,
        "streamed": reader is not None,
    }


def _service(plan: ServicePlan) -> Raw:
    return {
        "namespace": plan.service.namespace,
        "name": plan.service.name,
        "served": plan.served_per_second,
        "demanded": plan.demanded_per_second,
        "binds": plan.explanation.binds,
        "parts": [
            {"pool": part.pool, "variant": part.variant, "replicas": part.replicas,
             "devices": part.replicas * part.devices_per_replica, "class": part.device_class}
            for part in plan.replicas
        ],
    }  # fmt: skip


def _price(prices: Iterable[Price], name: str) -> float:
    """Seconds by which the bound falls with one more device, or one more bit per second."""
    return next((-price.makespan_seconds_per_unit for price in prices if price.name == name), 0.0)


def _prices(decision: Decision) -> list[Raw]:
    rows = [(-p.makespan_seconds_per_unit, p.name, "one more device") for p in decision.pool_prices]
    rows += [(-p.makespan_seconds_per_unit * 1e8, p.name, "100 Mbit/s more") for p in decision.link_prices]
    return [
        {"name": name, "unit": unit, "sooner": sooner}
        for sooner, name, unit in sorted(rows, key=lambda row: (-row[0], row[1]))
        if sooner > 0.0
    ]
