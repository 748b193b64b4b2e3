"""The checker's page on what is capped at every instant of the plan: watts of sites, devices of a kind of namespaces.

Like validate.py it shares no code with what made the plan.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import isfinite
from typing import NamedTuple

from polyhull.domain.decision import Assignment, Decision
from polyhull.domain.snapshot import Snapshot
from polyhull.planning.validate_moves import left_holding
from polyhull.planning.validate_times import Instant, Interval, at_starts

SLACK = Fraction(1, 10**6)

Taken = tuple[Interval, Fraction, bool]
"""When, how much, whether it was released before the plan."""


class Held(NamedTuple):
    """Devices of one namespace in one pool, from release to end."""

    namespace: str
    pool: str
    devices: int
    start: Fraction
    up: Fraction
    """When the nodes that growth adds for it are there."""
    end: Fraction | None
    fixed: bool


def caps(snapshot: Snapshot, decision: Decision, provisioning: Callable[[Assignment], Fraction]) -> Iterator[str]:
    """Violations as sentences. What runs is counted, never blamed.

    `provisioning`: seconds at the beginning of an assignment in which its nodes are still being brought up.
    """
    capped = any(site.power.cap_watts is not None for site in snapshot.fleet.sites)
    if not capped and not snapshot.policy.device_limits:
        return
    held = [*_held(decision, provisioning), *_leaving(snapshot)]
    yield from _watts(snapshot, held)
    yield from _devices(snapshot, held)


def _watts(snapshot: Snapshot, held: list[Held]) -> Iterator[str]:
    """Devices held, at their peak, times the PUE."""
    power = {site.name: site.power for site in snapshot.fleet.sites if site.power.cap_watts is not None}
    pools = {pool.name: pool for pool in snapshot.fleet.pools}
    peaks = {kind.name: kind.peak_watts for kind in snapshot.fleet.accelerators}
    uses: dict[str, list[Taken]] = {}
    for one in held:
        pool = pools.get(one.pool)
        if pool is None or pool.site not in power:
            continue
        peak, pue = peaks.get(pool.accelerator), power[pool.site].pue
        if peak is not None:
            drawn = one.devices * Fraction(peak) * Fraction(1.0 if pue is None else pue)
            uses.setdefault(pool.site, []).append(((one.up, one.end), drawn, one.fixed))
        elif not one.fixed:
            yield f"{one.pool} gets work at capped site {pool.site}, and nobody says what its devices draw"
    for site, entries in sorted(uses.items()):
        most = Fraction(power[site].cap_watts or 0.0)
        for instant, total in _beyond(entries, most * (1 + SLACK)):
            yield f"site {site} draws {float(total):.6g} W of {float(most):.6g} at {float(instant)} s"


def _devices(snapshot: Snapshot, held: list[Held]) -> Iterator[str]:
    """What the namespaces of each limit hold of its kind: whole devices, so without a tolerance."""
    kind_of = {pool.name: pool.accelerator for pool in snapshot.fleet.pools}
    for limit in snapshot.policy.device_limits:
        entries: list[Taken] = [
            ((one.start, one.end), Fraction(one.devices), one.fixed)
            for one in held
            if one.namespace in limit.namespaces and kind_of.get(one.pool) == limit.accelerator
        ]
        for instant, total in _beyond(entries, Fraction(limit.devices)):
            yield (
                f"the namespaces of policy {limit.policy} hold {total} {limit.accelerator} of {limit.devices} "
                f"at {float(instant)} s"
            )


def _beyond(entries: list[Taken], most: Fraction) -> Iterator[tuple[Instant, Fraction]]:
    """Instants at which more is taken, not all of it by what was there before."""
    for instant, now in at_starts(entries):
        total = sum((one[1] for one in now), Fraction(0))
        if total > most and not all(one[2] for one in now):
            yield instant, total


def _leaving(snapshot: Snapshot) -> Iterator[Held]:
    """Old pods of stopped jobs."""
    now = Fraction(0)
    for namespace, pool, _, pods, _, devices, seconds in left_holding(snapshot):
        yield Held(namespace, pool, pods * devices, now, now, seconds, True)


def _held(decision: Decision, provisioning: Callable[[Assignment], Fraction]) -> Iterator[Held]:
    for one in decision.assignments:
        if isfinite(one.start_seconds) and isfinite(one.end_seconds):
            start, end = Fraction(one.start_seconds), Fraction(one.end_seconds)
            for place in one.places:
                devices, up = place.replicas * place.devices_per_replica, start + provisioning(one)
                yield Held(one.job.namespace, place.pool, devices, start, up, end, one.fixed)
    for plan in decision.services:
        for part in plan.replicas:
            devices, now = part.replicas * part.devices_per_replica, Fraction(0)
            yield Held(plan.service.namespace, part.pool, devices, now, now, None, False)
