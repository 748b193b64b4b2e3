"""The checker's page on watts: sites whose power is capped, at every instant of the plan.

Like validate.py it shares no code with what made the plan.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import isfinite

from polyhull.domain.decision import Assignment, Decision
from polyhull.domain.snapshot import Snapshot
from polyhull.planning.validate_moves import left_holding
from polyhull.planning.validate_times import Interval, at_starts

SLACK = Fraction(1, 10**6)

Held = tuple[Interval, Fraction, bool]
"""When, watts, whether it was released before the plan."""


def watts(snapshot: Snapshot, decision: Decision, provisioning: Callable[[Assignment], Fraction]) -> Iterator[str]:
    """Violations as sentences: devices held, at their peak, times the PUE. Running jobs are counted, never blamed.

    `provisioning`: seconds at the beginning of an assignment in which its nodes are still being brought up.
    """
    caps = {site.name: site.power for site in snapshot.fleet.sites if site.power.cap_watts is not None}
    if not caps:
        return
    pools = {pool.name: pool for pool in snapshot.fleet.pools}
    peaks = {kind.name: kind.peak_watts for kind in snapshot.fleet.accelerators}
    uses: dict[str, list[Held]] = {}
    for name, devices, start, end, fixed in (*_held(decision, provisioning), *_leaving(snapshot)):
        pool = pools.get(name)
        if pool is None or pool.site not in caps:
            continue
        peak, pue = peaks.get(pool.accelerator), caps[pool.site].pue
        if peak is not None:
            drawn = devices * Fraction(peak) * Fraction(1.0 if pue is None else pue)
            uses.setdefault(pool.site, []).append(((start, end), drawn, fixed))
        elif not fixed:
            yield f"{name} gets work at capped site {pool.site}, and nobody says what its devices draw"
    for site, entries in sorted(uses.items()):
        cap = Fraction(caps[site].cap_watts or 0.0)
        for instant, now in at_starts(entries):
            total = sum((one[1] for one in now), Fraction(0))
            if total > cap * (1 + SLACK) and not all(one[2] for one in now):
                yield f"site {site} draws {float(total):.6g} W of {float(cap):.6g} at {float(instant)} s"


def _leaving(snapshot: Snapshot) -> Iterator[tuple[str, int, Fraction, Fraction | None, bool]]:
    for pool, _, pods, _, devices, seconds in left_holding(snapshot):
        yield pool, pods * devices, Fraction(0), seconds, True


def _held(
    decision: Decision, provisioning: Callable[[Assignment], Fraction]
) -> Iterator[tuple[str, int, Fraction, Fraction | None, bool]]:
    """(pool, devices, from, until, running already)."""
    for one in decision.assignments:
        if isfinite(one.start_seconds) and isfinite(one.end_seconds):
            begin = Fraction(one.start_seconds) + provisioning(one)
            for place in one.places:
                devices = place.replicas * place.devices_per_replica
                yield place.pool, devices, begin, Fraction(one.end_seconds), one.fixed
    for plan in decision.services:
        for part in plan.replicas:
            yield part.pool, part.replicas * part.devices_per_replica, Fraction(0), None, False
