"""A plan's budget, settled before anything is scheduled: who can be paid for, and how much each job may spend.

Money is allotted per job, so that whatever the search does within the allotments holds the budget. First, jobs are
left out until what is cheapest for the others can be paid (lower tiers first, then the dearest). Each of the others
is allotted what the programme's column for it costs; while that is too much, the column that saves most money per
second lost gives way; what is left over goes to the longest jobs. From everybody's cheapest upwards is the other way;
the better of the two by the longest job and the fullest pool is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush

from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.optimize.columns import Column, ColumnSet, Inadmissible


@dataclass(frozen=True, slots=True)
class Offer:
    """One column of a job: what it costs at most (bytes and provisioning included), when it could end at best, and
    the seconds that it takes of its whole pool."""

    money: float
    seconds: float
    name: tuple[str, str]
    share_seconds: float


Offers = Mapping[Key, list[Offer]]
Choice = Mapping[Key, tuple[str, str]]


def payable(snapshot: Snapshot, columns: ColumnSet) -> ColumnSet:
    """Without the columns of jobs that the budget has no room for; those become inadmissible, with the numbers."""
    budget = snapshot.policy.cost_budget
    if budget is None:
        return columns
    offers = _offers(snapshot, columns)
    least = {key: min(one.money for one in some) for key, some in offers.items()}
    priority = {job.key: job.priority for job in snapshot.jobs}
    left = budget - _committed(columns)
    out: set[Key] = set()
    needed = sum(least[key] for key in sorted(least))
    for key in sorted(least, key=lambda key: (priority[key], -least[key], key)):
        if needed <= left:
            break
        out.add(key)
        needed -= least[key]
    if not out:
        return columns
    kept = tuple(column for column in columns.columns if column.fixed or column.job not in out)
    refused = [
        _refused(column, least[column.job], max(0.0, left - needed))
        for column in columns.columns
        if column.job in out
    ]
    everything = sorted((*columns.inadmissible, *refused), key=lambda one: (one.job, one.pool, one.option))
    return replace(columns, columns=kept, inadmissible=tuple(everything))


def allotted(snapshot: Snapshot, columns: ColumnSet, wanted: Choice | None) -> ColumnSet:
    """Only columns within each job's allotment; `wanted`: the programme's column of each job."""
    budget = snapshot.policy.cost_budget
    if budget is None:
        return columns
    offers = _offers(snapshot, columns)
    allowance = _allowances(offers, wanted or {}, budget - _committed(columns))
    within = {
        (key, one.name) for key, some in offers.items() for one in some if one.money <= allowance[key] * (1.0 + 1e-12)
    }
    kept = tuple(column for column in columns.columns if column.fixed or (column.job, column.name) in within)
    return replace(columns, columns=kept)


def _allowances(offers: Offers, wanted: Choice, budget: float) -> dict[Key, float]:
    """Money of each job; together no more than the budget, if that pays everybody's cheapest."""
    by_programme: dict[Key, Offer] = {}
    for key in sorted(offers):
        named = next((one for one in offers[key] if one.name == wanted.get(key)), None)
        by_programme[key] = named or min(offers[key], key=lambda one: (one.seconds, one.money, one.name))
    cheapest = {key: min(some, key=lambda one: (one.money, one.seconds, one.name)) for key, some in offers.items()}
    found = [_raised(offers, _lowered(offers, by_programme, budget), budget), _raised(offers, cheapest, budget)]
    return {key: one.money for key, one in min(found, key=_span).items()}


def _lowered(offers: Offers, chosen: dict[Key, Offer], budget: float) -> dict[Key, Offer]:
    """Down to the budget, least time lost per money first."""
    chosen = dict(chosen)
    spent = sum(one.money for one in chosen.values())
    heap = [step for key in sorted(chosen) if (step := _step(key, chosen[key], offers[key])) is not None]
    heapify(heap)
    while spent > budget and heap:
        _, key, name = heappop(heap)
        cheaper = next(one for one in offers[key] if one.name == name)
        spent += cheaper.money - chosen[key].money
        chosen[key] = cheaper
        step = _step(key, cheaper, offers[key])
        if step is not None:
            heappush(heap, step)
    return chosen


def _raised(offers: Offers, chosen: dict[Key, Offer], budget: float) -> dict[Key, Offer]:
    """What is left to the longest job of the moment, by its cheapest quicker column, as long as one is paid for."""
    chosen = dict(chosen)
    left = budget - sum(one.money for one in chosen.values())
    heap = [(-chosen[key].seconds, key) for key in sorted(chosen)]
    heapify(heap)
    while heap:
        _, key = heappop(heap)
        now = chosen[key]
        quicker = [one for one in offers[key] if one.seconds < now.seconds and one.money - now.money <= left]
        if quicker:
            chosen[key] = min(quicker, key=lambda one: (one.money, one.seconds, one.name))
            left -= chosen[key].money - now.money
            heappush(heap, (-chosen[key].seconds, key))
    return chosen


def _span(chosen: Mapping[Key, Offer]) -> float:
    """Seconds that it takes at least: the longest job, or the fullest pool."""
    pools: dict[str, float] = {}
    for key in sorted(chosen):
        one = chosen[key]
        pools[one.name[0]] = pools.get(one.name[0], 0.0) + one.share_seconds
    return max([0.0, *pools.values(), *(one.seconds for one in chosen.values())])


def _step(key: Key, now: Offer, some: list[Offer]) -> tuple[float, Key, tuple[str, str]] | None:
    """(seconds lost per money saved, job, column) of the best way for a job to spend less."""
    cheaper = [one for one in some if one.money < now.money]
    steps = [((one.seconds - now.seconds) / (now.money - one.money), key, one.name) for one in cheaper]
    return min(steps, default=None)


def _offers(snapshot: Snapshot, columns: ColumnSet) -> dict[Key, list[Offer]]:
    growth = {pool.name: pool.growth.provision_seconds for pool in snapshot.fleet.pools if pool.growth is not None}
    devices = {
        pool.name: sum(node.free.devices for node in pool.nodes)
        + (pool.growth.nodes * pool.growth.shape.devices if pool.growth is not None else 0)
        for pool in snapshot.fleet.pools
    }
    bytes_: dict[tuple[Key, str], float] = {}
    for route in columns.routes:
        at = (route.data_set, route.store)
        bytes_[at] = max(bytes_.get(at, 0.0), route.price)
    out: dict[Key, list[Offer]] = {}
    for column in columns.columns:
        if not column.fixed:
            held = column.hold_seconds
            # A gang on growth nodes is paid while they come up, too.
            money = column.price * (held + growth.get(column.pool, 0.0)) / held if held > 0.0 else column.price
            moves = {(need.data_set, need.store) for need in column.needs if not need.present}
            money += sum(bytes_.get(move, 0.0) for move in sorted(moves))
            soonest = max(column.head_seconds, column.transfer_seconds) + column.length_seconds
            share = column.devices * held / max(1, devices.get(column.pool, 0))
            out.setdefault(column.job, []).append(Offer(money, soonest, column.name, share))
    return out


def _committed(columns: ColumnSet) -> float:
    """What running jobs still cost."""
    return sum(column.price for column in columns.columns if column.fixed)


def _refused(column: Column, least: float, left: float) -> Inadmissible:
    text = (
        f"its cheapest way costs {least:.4g}, and {left:.4g} is left of costBudget beside the other jobs; raise it "
        "in the policy named default, or wait for one of them to end"
    )
    return Inadmissible(column.job, column.option, column.pool, "Budget", text)
