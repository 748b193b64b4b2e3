"""What a plan costs, draws and emits: per assignment as a `Use`, in all as a `Footprint`.

What is known is added up; what is not is named, never taken for zero in silence. Services are counted from when they
are ready to the end of the plan. A growth node is paid as a whole from its first demand to its last use.
"""

import math
from collections.abc import Iterable, Iterator

from polyhull.domain.decision import Assignment, Footprint, ServicePlan, ServingPlan, Transfer, Use
from polyhull.domain.snapshot import Snapshot
from polyhull.optimize.costs import SECONDS_PER_HOUR, Tariff, Tariffs


def use(tariff: Tariff, devices: int, held: float, compute: float, waits: float = 0.0) -> Use:
    """Of `devices` held for `held` seconds: `waits` of them without a node, `compute` at work, the rest idle."""
    cost = None if tariff.price_per_second is None else devices * held * tariff.price_per_second
    if tariff.idle_watts is None or tariff.active_watts is None:
        return Use(cost)
    idle = max(0.0, held - waits - compute)
    joules = devices * (idle * tariff.idle_watts + compute * tariff.active_watts)
    return Use(cost, joules, _grams(joules, tariff))


def together(uses: Iterable[Use]) -> Use:
    """Of all parts of a job; unknown where one of them is."""
    costs, joules, grams = zip(*((one.cost, one.energy_joules, one.carbon_grams) for one in uses), strict=True)
    return Use(*(None if None in values else math.fsum(values) for values in (costs, joules, grams)))


def footprint(
    snapshot: Snapshot,
    assigned: Iterable[Assignment],
    moved: Iterable[Transfer],
    plans: Iterable[ServicePlan],
    makespan: float,
) -> Footprint:
    """The plan's totals over [now, makespan)."""
    tariffs = Tariffs(snapshot.fleet)
    placed, moves = tuple(assigned), tuple(moved)
    serving = [part for plan in plans for part in plan.replicas]
    growing = list(_unused_growth(snapshot, placed, serving, makespan))
    uses = [pair for one in placed for pair in _uses(tariffs, one)]
    uses += [(part.pool, _served(tariffs, part, makespan)) for part in serving]
    uses += [(pool, use(tariffs.of(pool), 1, seconds, 0.0)) for pool, seconds in growing]
    accelerators = {pool.name: pool.accelerator for pool in snapshot.fleet.pools}
    sites = {pool.name: pool.site for pool in snapshot.fleet.pools}
    paths: list[tuple[tuple[str, ...], float, float | None]]
    paths = [(move.links, move.transfer_bytes, move.price) for move in moves if move.links]
    for one in placed:
        for links, carried in _steady(one):
            paths.append((links, carried, tariffs.known_egress(dict.fromkeys(links, carried))))
    hourly = [tariffs.of(part.pool).price_per_second for part in serving]
    devices = [part.replicas * part.devices_per_replica for part in serving]
    return Footprint(
        cost=_sum([one.cost for _, one in uses] + [price for _, _, price in paths]),
        egress_cost=_sum(price for _, _, price in paths),
        services_cost_per_hour=_sum(
            None if price is None else price * n * SECONDS_PER_HOUR for price, n in zip(hourly, devices, strict=True)
        ),
        energy_joules=_sum(one.energy_joules for _, one in uses),
        carbon_grams=_sum(one.carbon_grams for _, one in uses),
        egress_bytes=round(sum(carried for _, carried, _ in paths)),
        unpriced=_names(
            [pool for pool, one in uses if one.cost is None]
            + [name for links, _, price in paths if price is None for name in links if _free(snapshot, name)]
        ),
        unmetered=_names(accelerators.get(pool, pool) for pool, one in uses if one.energy_joules is None),
        carbon_unknown=_names(
            sites.get(pool, pool) for pool, one in uses if one.energy_joules is not None and one.carbon_grams is None
        ),
    )


def _steady(one: Assignment) -> Iterator[tuple[tuple[str, ...], float]]:
    """(links, bytes) of what it streams or its parts exchange from now on."""
    for read in one.reads:
        yield read.links, read.rate_bytes_per_second * (read.end_seconds - read.start_seconds)
    for sent in one.exchanges:
        yield sent.links, sent.transfer_bytes


def _uses(tariffs: Tariffs, one: Assignment) -> list[tuple[str, Use]]:
    """(pool, use) of each of its places."""
    if not one.parts:
        return [(one.pool, one.use)]
    why, held = one.explanation, one.end_seconds - one.start_seconds
    busy = held - why.startup_seconds
    return [
        (part.pool, use(tariffs.of(part.pool), part.replicas * part.devices_per_replica, held, busy))
        for part in one.parts
    ]


def _served(tariffs: Tariffs, part: ServingPlan, makespan: float) -> Use:
    seconds = max(0.0, makespan - max(0.0, part.ready_seconds))
    return use(tariffs.of(part.pool), part.replicas * part.devices_per_replica, seconds, seconds)


def _unused_growth(
    snapshot: Snapshot, placed: tuple[Assignment, ...], serving: list[ServingPlan], makespan: float
) -> Iterator[tuple[str, float]]:
    """(pool, device-seconds) of growth nodes, from their first demand to their last use, that no placement counts."""
    shapes = {pool.name: pool.growth.shape.devices for pool in snapshot.fleet.pools if pool.growth is not None}
    if not shapes:
        return
    spans: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for one in placed:
        for place in one.places:
            for node, pods in place.nodes:
                paid = pods * place.devices_per_replica * (one.end_seconds - one.start_seconds)
                spans.setdefault((place.pool, node), []).append((one.start_seconds, one.end_seconds, paid))
    for part in serving:
        for node, pods in part.nodes:
            paid = pods * part.devices_per_replica * max(0.0, makespan - part.ready_seconds)
            spans.setdefault((part.pool, node), []).append((0.0, makespan, paid))
    for (pool, node), uses in sorted(spans.items()):
        if node.startswith("+") and pool in shapes:
            whole = shapes[pool] * (max(end for _, end, _ in uses) - min(start for start, _, _ in uses))
            yield pool, max(0.0, whole - sum(paid for _, _, paid in uses))


def _grams(joules: float, tariff: Tariff) -> float | None:
    return None if tariff.grams_per_joule is None else joules * tariff.grams_per_joule


def _free(snapshot: Snapshot, name: str) -> bool:
    link = next((link for link in snapshot.fleet.links if link.name == name), None)
    return link is None or link.price_per_gigabyte is None


def _sum(parts: Iterable[float | None]) -> float | None:
    """Of what is known; None if nothing is."""
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))
