"""What a plan costs, draws and emits: per assignment as a `Use`, in all as a `Footprint`.

What is known is added up; what is not is named, never taken for zero in silence. Services are counted from when they
are ready to the end of the plan. A growth node is paid as a whole from its first demand to its last use.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from polyhull.domain.decision import Assignment, Footprint, ServicePlan, ServingPlan, Transfer, Use
from polyhull.domain.fleet import Fleet
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
    assigned: Sequence[Assignment],
    moved: Sequence[Transfer],
    plans: Iterable[ServicePlan],
    makespan: float,
) -> Footprint:
    """The plan's totals over [now, makespan)."""
    account = Account(snapshot, plans)
    for one in assigned:
        account.place(account.jobs, one)
    for move in moved:
        account.carry(account.moves, move)
    return account.total(assigned, makespan)


class Amounts:
    """Numbers in an order, unknown ones among them, which add nothing."""

    def __init__(self, some: Iterable[float | None] = ()) -> None:
        given = tuple(some)
        self.values = [0.0 if one is None else one for one in given]
        self.known = sum(one is not None for one in given)

    def put(self, at: int, value: float | None) -> None:
        self.values.insert(at, 0.0 if value is None else value)
        self.known += value is not None


class Account:
    """What a plan spends, line by line in the plan's order: one more job is one more line."""

    def __init__(self, snapshot: Snapshot, plans: Iterable[ServicePlan]) -> None:
        self.jobs = self.moves = 0
        """Lines so far."""
        fleet = snapshot.fleet
        self._fleet, self._tariffs = fleet, Tariffs(fleet)
        self._accelerators = {pool.name: pool.accelerator for pool in fleet.pools}
        self._sites = {pool.name: pool.site for pool in fleet.pools}
        self._serving = [part for plan in plans for part in plan.replicas]
        self._growing = any(pool.growth is not None for pool in fleet.pools)
        self._places: list[int] = []
        """Of each job, and so how far down its lines are."""
        self._cost, self._joules, self._grams = Amounts(), Amounts(), Amounts()
        self._fares = Amounts()
        self._bytes: list[int] = []
        self._steady: list[list[tuple[float, float | None]]] = []
        """Of each job, (bytes, price) of what it sends while it runs."""
        self._unpriced: set[str] = set()
        self._unmetered: set[str] = set()
        self._carbon_unknown: set[str] = set()

    def place(self, at: int, one: Assignment) -> None:
        """A job, the `at`-th of the plan."""
        uses, tariffs = _uses(self._tariffs, one), self._tariffs
        first = sum(self._places[:at])
        for k, (pool, its) in enumerate(uses):
            self._name(pool, its)
            self._cost.put(first + k, its.cost)
            self._joules.put(first + k, its.energy_joules)
            self._grams.put(first + k, its.carbon_grams)
        sent = []
        for links, carried in _steady(one):
            price = tariffs.known_egress(dict.fromkeys(links, carried))
            self._name_links(links, price)
            sent.append((carried, price))
        self._steady.insert(at, sent)
        self._places.insert(at, len(uses))
        self.jobs += 1

    def carry(self, at: int, move: Transfer) -> None:
        """A copy, the `at`-th of the plan."""
        price = move.price if move.links else None
        if move.links:
            self._name_links(move.links, price)
        self._fares.put(at, price)
        self._bytes.insert(at, move.transfer_bytes if move.links else 0)
        self.moves += 1

    def total(self, assigned: Sequence[Assignment], makespan: float) -> Footprint:
        """Of all lines, services and unused growth nodes over [now, makespan). `assigned`: the jobs of the lines."""
        serving, tariffs = self._serving, self._tariffs
        more = [(part.pool, _served(tariffs, part, makespan)) for part in serving]
        if self._growing:
            unused = _unused_growth(self._fleet, assigned, serving, makespan)
            more += [(pool, use(tariffs.of(pool), 1, seconds, 0.0)) for pool, seconds in unused]
        for pool, its in more:
            self._name(pool, its)
        sent = list(chain.from_iterable(self._steady))
        fares = (self._fares, Amounts(price for _, price in sent))
        hourly = [tariffs.of(part.pool).price_per_second for part in serving]
        devices = [part.replicas * part.devices_per_replica for part in serving]
        return Footprint(
            cost=_sum(self._cost, Amounts(one.cost for _, one in more), *fares),
            egress_cost=_sum(*fares),
            services_cost_per_hour=_sum(
                Amounts(
                    None if price is None else price * n * SECONDS_PER_HOUR
                    for price, n in zip(hourly, devices, strict=True)
                )
            ),
            energy_joules=_sum(self._joules, Amounts(one.energy_joules for _, one in more)),
            carbon_grams=_sum(self._grams, Amounts(one.carbon_grams for _, one in more)),
            egress_bytes=round(sum(chain(self._bytes, (carried for carried, _ in sent)))),
            unpriced=tuple(sorted(self._unpriced)),
            unmetered=tuple(sorted(self._unmetered)),
            carbon_unknown=tuple(sorted(self._carbon_unknown)),
        )

    def _name(self, pool: str, its: Use) -> None:
        """What is not known of a place."""
        if its.cost is None:
            self._unpriced.add(pool)
        if its.energy_joules is None:
            self._unmetered.add(self._accelerators.get(pool, pool))
        elif its.carbon_grams is None:
            self._carbon_unknown.add(self._sites.get(pool, pool))

    def _name_links(self, links: Iterable[str], price: float | None) -> None:
        if price is None:
            self._unpriced.update(name for name in links if _free(self._fleet, name))


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
    fleet: Fleet, placed: Sequence[Assignment], serving: list[ServingPlan], makespan: float
) -> Iterator[tuple[str, float]]:
    """(pool, device-seconds) of growth nodes, from their first demand to their last use, that no placement counts."""
    shapes = {pool.name: pool.growth.shape.devices for pool in fleet.pools if pool.growth is not None}
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


def _free(fleet: Fleet, name: str) -> bool:
    link = next((link for link in fleet.links if link.name == name), None)
    return link is None or link.price_per_gigabyte is None


def _sum(*amounts: Amounts) -> float | None:
    """Of what is known; None if nothing is."""
    if not any(one.known for one in amounts):
        return None
    return sum(chain.from_iterable(one.values for one in amounts))
