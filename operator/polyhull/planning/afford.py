"""A plan's budgets, settled before anything is scheduled: who can be paid for, and how much each job may spend.

Money (energy, carbon) is allotted per job, so that whatever the search does within the allotments holds the budgets.
First, jobs are left out until what is least for the others can be paid (lower tiers first, then the dearest). Each of
the others is allotted what the programme's column for it takes; while that is too much, whatever saves most for
each second lost gives way; what is left over goes to the longest jobs. From everybody's least upwards is the other
way; the better of the two by the longest job and the fullest pool is taken. With several budgets, what a column takes
is compared by the sum of its shares of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush

from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.optimize.budgets import Budget, limits
from polyhull.optimize.columns import Column, ColumnSet, Inadmissible

Amounts = tuple[float, ...]
"""Of each budget that is set, in its own unit."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One column of a job: what it takes of the budgets at most (bytes and provisioning included), that as the sum of
    its shares of them, when it could end at best, and the seconds that it takes of its whole pool."""

    spent: Amounts
    share: float
    seconds: float
    name: tuple[str, str]
    pool_seconds: float


Offers = Mapping[Key, list[Offer]]
Choice = Mapping[Key, tuple[str, str]]


def payable(snapshot: Snapshot, columns: ColumnSet) -> ColumnSet:
    """Without the columns of jobs that the budgets have no room for; those become inadmissible, with the numbers."""
    budgets = tuple(budget for budget, _ in limits(snapshot.policy))
    if not budgets:
        return columns
    left = _left(snapshot, columns)
    least = {key: _least(some) for key, some in _offers(snapshot, columns, left).items()}
    priority = {job.key: job.priority for job in snapshot.jobs}
    out: set[Key] = set()
    needed = _sum([least[key].spent for key in sorted(least)], len(budgets))
    for key in sorted(least, key=lambda key: (priority[key], -least[key].share, key)):
        over = [amount > most for amount, most in zip(needed, left, strict=True)]
        if not any(over):
            break
        if any(part > 0.0 for part, beyond in zip(least[key].spent, over, strict=True) if beyond):
            out.add(key)
            needed = _less(needed, least[key].spent)
    if not out:
        return columns
    free = _less(left, needed)
    kept = tuple(column for column in columns.columns if column.fixed or column.job not in out)
    refused = [
        _refused(column, budgets, least[column.job].spent, free) for column in columns.columns if column.job in out
    ]
    everything = sorted((*columns.inadmissible, *refused), key=lambda one: (one.job, one.pool, one.option))
    return replace(columns, columns=kept, inadmissible=tuple(everything))


def allotted(snapshot: Snapshot, columns: ColumnSet, wanted: Choice | None) -> ColumnSet:
    """Only columns within each job's allotment; `wanted`: the programme's column of each job."""
    if not limits(snapshot.policy):
        return columns
    left = _left(snapshot, columns)
    offers = _offers(snapshot, columns, left)
    allowance = _allowances(offers, wanted or {}, left)
    within = {
        (key, one.name)
        for key, some in offers.items()
        for one in some
        if all(part <= most * (1.0 + 1e-12) for part, most in zip(one.spent, allowance[key], strict=True))
    }
    kept = tuple(column for column in columns.columns if column.fixed or (column.job, column.name) in within)
    return replace(columns, columns=kept)


def _allowances(offers: Offers, wanted: Choice, left: Amounts) -> dict[Key, Amounts]:
    """Amounts of each job; together no more than there is, if that pays everybody's least."""
    by_programme: dict[Key, Offer] = {}
    for key in sorted(offers):
        named = next((one for one in offers[key] if one.name == wanted.get(key)), None)
        by_programme[key] = named or min(offers[key], key=lambda one: (one.seconds, one.share, one.name))
    least = {key: _least(some) for key, some in offers.items()}
    lowered = _lowered(offers, by_programme, left)
    found = [_raised(offers, start, left) for start in ([lowered, least] if lowered else [least])]
    return {key: one.spent for key, one in min(found, key=_span).items()}


def _lowered(offers: Offers, chosen: dict[Key, Offer], left: Amounts) -> dict[Key, Offer]:
    """Down to what there is, least time lost per share saved first; empty where that ends too high in one budget."""
    chosen = dict(chosen)
    spent = _sum([chosen[key].spent for key in sorted(chosen)], len(left))
    heap = [step for key in sorted(chosen) if (step := _step(key, chosen[key], offers[key])) is not None]
    heapify(heap)
    while heap and not _fits(spent, left):
        _, key, name = heappop(heap)
        thriftier = next(one for one in offers[key] if one.name == name)
        spent = _less(spent, _less(chosen[key].spent, thriftier.spent))
        chosen[key] = thriftier
        step = _step(key, thriftier, offers[key])
        if step is not None:
            heappush(heap, step)
    return chosen if _fits(spent, left) else {}


def _raised(offers: Offers, chosen: dict[Key, Offer], most: Amounts) -> dict[Key, Offer]:
    """What is left to the longest job of the moment, by its least quicker column, as long as one is paid for."""
    chosen = dict(chosen)
    left = _less(most, _sum([chosen[key].spent for key in sorted(chosen)], len(most)))
    heap = [(-chosen[key].seconds, key) for key in sorted(chosen)]
    heapify(heap)
    while heap:
        _, key = heappop(heap)
        now = chosen[key]
        room = _sum([left, now.spent], len(left))
        quicker = [one for one in offers[key] if one.seconds < now.seconds and _fits(one.spent, room)]
        if quicker:
            chosen[key] = min(quicker, key=lambda one: (one.share, one.seconds, one.name))
            left = _less(room, chosen[key].spent)
            heappush(heap, (-chosen[key].seconds, key))
    return chosen


def _span(chosen: Mapping[Key, Offer]) -> float:
    """Seconds that it takes at least: the longest job, or the fullest pool."""
    pools: dict[str, float] = {}
    for key in sorted(chosen):
        one = chosen[key]
        pools[one.name[0]] = pools.get(one.name[0], 0.0) + one.pool_seconds
    return max([0.0, *pools.values(), *(one.seconds for one in chosen.values())])


def _step(key: Key, now: Offer, some: list[Offer]) -> tuple[float, Key, tuple[str, str]] | None:
    """(seconds lost per share saved, job, column) of the best way for a job to spend less."""
    thriftier = [one for one in some if one.share < now.share]
    steps = [((one.seconds - now.seconds) / (now.share - one.share), key, one.name) for one in thriftier]
    return min(steps, default=None)


def _least(some: list[Offer]) -> Offer:
    return min(some, key=lambda one: (one.share, one.seconds, one.name))


def _offers(snapshot: Snapshot, columns: ColumnSet, left: Amounts) -> dict[Key, list[Offer]]:
    budgets = tuple(budget for budget, _ in limits(snapshot.policy))
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
    scale = [max(amount, 1e-9) for amount in left]
    out: dict[Key, list[Offer]] = {}
    for column in columns.columns:
        if column.fixed:
            continue
        held = column.hold_seconds
        moves = {(need.data_set, need.store) for need in column.needs if not need.present}
        carried = sum(bytes_.get(move, 0.0) for move in sorted(moves))
        # A gang on growth nodes is paid while they come up, too.
        rising = max(growth.get(place.pool, 0.0) for place in column.places)
        longer = (held + rising) / held if held > 0.0 else 1.0
        spent = tuple(
            budget.taken(column) * (longer if budget.paid_while_provisioning else 1.0)
            + (carried if budget.pays_bytes and budget.covers(column) else 0.0)
            for budget in budgets
        )
        share = sum(amount / most for amount, most in zip(spent, scale, strict=True))
        soonest = max(column.head_seconds, column.transfer_seconds) + column.length_seconds
        pool_seconds = column.devices * held / max(1, devices.get(column.pool, 0))
        out.setdefault(column.job, []).append(Offer(spent, share, soonest, column.name, pool_seconds))
    return out


def _left(snapshot: Snapshot, columns: ColumnSet) -> Amounts:
    """What running jobs leave."""
    fixed = [column for column in columns.columns if column.fixed]
    return tuple(
        max(0.0, limit - sum(budget.taken(column) for column in fixed)) for budget, limit in limits(snapshot.policy)
    )


def _sum(parts: Sequence[Amounts], count: int) -> Amounts:
    return tuple(sum(part[at] for part in parts) for at in range(count))


def _less(amounts: Amounts, others: Amounts) -> Amounts:
    return tuple(one - other for one, other in zip(amounts, others, strict=True))


def _fits(amounts: Amounts, room: Amounts) -> bool:
    return all(amount <= most for amount, most in zip(amounts, room, strict=True))


def _refused(column: Column, budgets: Sequence[Budget], least: Amounts, free: Amounts) -> Inadmissible:
    """Names the budget that it exceeds most."""
    over = max(range(len(budgets)), key=lambda at: (least[at] - free[at]) / max(free[at], 1e-9))
    text = (
        f"{budgets[over].way} {least[over]:.4g}, and {free[over]:.4g} is left of {budgets[over].field} beside the "
        f"other jobs; raise it in the policy named {budgets[over].policy}, or wait for one of them to end"
    )
    return Inadmissible(column.job, column.option, column.pool, "Budget", text)
