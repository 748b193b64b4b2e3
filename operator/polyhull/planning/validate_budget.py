"""The checker's page on what a plan spends: what its jobs commit to against the policies' budgets.

Like validate.py it shares no code with what made the plan. What nobody says counts as the dearest that somebody does.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from polyhull.domain.decision import Assignment, Decision
from polyhull.domain.snapshot import NamespaceBudget, Policy, Snapshot
from polyhull.planning.validate_facts import Facts

SLACK = Fraction(1, 10**6)
IDLE, WORKING = Fraction(15, 100), Fraction(72, 100)
"""Of the peak where no idle watts are stated; of the way from idle to peak (docs/model.md)."""
JOULES_PER_KILOWATT_HOUR = 3_600_000

Seconds = Callable[[Assignment], tuple[Fraction, Fraction]]


def budget(facts: Facts, decision: Decision, seconds: Seconds) -> Iterator[str]:
    """Violations as sentences; running jobs alone are not blamed.

    `seconds` of an assignment: how long its devices compute, and how long its nodes are still being brought up.
    """
    policy = facts.snapshot.policy
    yield from _kept(facts, decision, seconds, policy, "the plan's jobs")
    for some in policy.budgets:
        mine = replace(
            decision,
            assignments=tuple(one for one in decision.assignments if one.job.namespace in some.namespaces),
            transfers=tuple(one for one in decision.transfers if one.data_set.namespace in some.namespaces),
        )
        yield from _kept(facts, mine, seconds, some, f"the jobs of policy {some.policy}")


def _kept(
    facts: Facts, decision: Decision, seconds: Seconds, limits: Policy | NamespaceBudget, whose: str
) -> Iterator[str]:
    new = any(not one.fixed for one in decision.assignments)
    if limits.cost_budget is not None:
        yield from _held(f"{whose} cost {{}}", _cost(facts, decision), limits.cost_budget, new)
    if limits.energy_budget_kilowatt_hours is None and limits.carbon_budget_grams is None:
        return
    joules, grams = _drawn(facts.snapshot, decision, seconds)
    if limits.energy_budget_kilowatt_hours is not None:
        hours = joules / JOULES_PER_KILOWATT_HOUR
        yield from _held(f"{whose} draw {{}} kWh", hours, limits.energy_budget_kilowatt_hours, new)
    if limits.carbon_budget_grams is not None:
        yield from _held(f"{whose} emit {{}} g", grams, limits.carbon_budget_grams, new)


def _held(what: str, spent: Fraction, limit: float, new: bool) -> Iterator[str]:
    if new and spent > Fraction(limit) * (1 + SLACK) + SLACK:
        yield f"{what.format(f'{float(spent):.6g}')}; the budget is {limit:.6g}"


def _cost(facts: Facts, decision: Decision) -> Fraction:
    """Devices while held and bytes over links: of copies, and of what is streamed or exchanged."""
    egress = {name: link.price_per_gigabyte for name, link in facts.links.items()}
    most = max((price for price in egress.values() if price is not None), default=0.0)
    spent = Fraction(0)
    for one in decision.assignments:
        hours = Fraction(one.end_seconds - one.start_seconds) / 3600
        for place in one.places:
            spent += place.replicas * place.devices_per_replica * hours * facts.hourly(place.pool)
    for links, carried in _carried(decision):
        for name in links:
            price = egress.get(name)
            spent += carried / 10**9 * Fraction(most if price is None else price)
    return spent


def _carried(decision: Decision) -> Iterator[tuple[tuple[str, ...], Fraction]]:
    """(links, bytes over each)."""
    for move in decision.transfers:
        for part in move.flows if not move.active else ():
            yield part.links, Fraction(part.transfer_bytes)
    for one in decision.assignments:
        for read in one.reads:
            lasts = Fraction(read.end_seconds) - Fraction(read.start_seconds)
            yield read.links, Fraction(read.rate_bytes_per_second) * lasts
        for sent in one.exchanges:
            yield sent.links, Fraction(sent.transfer_bytes)


def _drawn(snapshot: Snapshot, decision: Decision, seconds: Seconds) -> tuple[Fraction, Fraction]:
    """(joules at the meter, grams): idle from when the nodes are up, more while computing."""
    watts = _watts(snapshot)
    most = max((one[1] for one in watts.values() if one is not None), default=Fraction(0))
    dearest = (most * IDLE, most)
    carbon = {site.name: site.power.carbon_grams_per_kilowatt_hour for site in snapshot.fleet.sites}
    sites = {pool.name: pool.site for pool in snapshot.fleet.pools}
    dirtiest = max((carbon[site] or 0.0 for site in set(sites.values()) if site in carbon), default=0.0)
    joules = grams = Fraction(0)
    for one in decision.assignments:
        computing, rising = seconds(one)
        held = Fraction(one.end_seconds) - Fraction(one.start_seconds) - rising
        for place in one.places:
            idle, working = watts.get(place.pool) or dearest
            each = idle * max(Fraction(0), held - computing) + working * computing
            drawn = place.replicas * place.devices_per_replica * each
            per_hour = carbon.get(sites.get(place.pool, ""))
            joules += drawn
            grams += drawn / JOULES_PER_KILOWATT_HOUR * Fraction(dirtiest if per_hour is None else per_hour)
    return joules, grams


def _watts(snapshot: Snapshot) -> dict[str, tuple[Fraction, Fraction] | None]:
    """Pool -> a device's watts idle and at work, at the meter; None where nobody states its peak."""
    kinds = {kind.name: kind for kind in snapshot.fleet.accelerators}
    pue = {site.name: site.power.pue for site in snapshot.fleet.sites}
    found: dict[str, tuple[Fraction, Fraction] | None] = {}
    for pool in snapshot.fleet.pools:
        kind = kinds.get(pool.accelerator)
        if kind is None or kind.peak_watts is None:
            found[pool.name] = None
            continue
        peak, more = Fraction(kind.peak_watts), Fraction(pue.get(pool.site) or 1.0)
        idle = peak * IDLE if kind.idle_watts is None else Fraction(kind.idle_watts)
        found[pool.name] = (idle * more, (idle + WORKING * (peak - idle)) * more)
    return found
