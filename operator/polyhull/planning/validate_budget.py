"""The checker's page on money: what the jobs of a plan commit to against the policy's budget.

Like validate.py it shares no code with what made the plan.
"""

from collections.abc import Iterator
from fractions import Fraction

from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Snapshot

SLACK = Fraction(1, 10**6)


def budget(snapshot: Snapshot, decision: Decision) -> Iterator[str]:
    """Devices while held and bytes over links, an unknown price as the dearest; running jobs alone are not blamed."""
    limit = snapshot.policy.cost_budget
    if limit is None:
        return
    hourly = {pool.name: pool.price_per_device_hour for pool in snapshot.fleet.pools}
    dearest = max((price for price in hourly.values() if price is not None), default=0.0)
    egress = {link.name: link.price_per_gigabyte for link in snapshot.fleet.links}
    most = max((price for price in egress.values() if price is not None), default=0.0)
    spent = Fraction(0)
    for one in decision.assignments:
        hours = Fraction(one.end_seconds - one.start_seconds) / 3600
        for place in one.places:
            price = hourly.get(place.pool)
            spent += (
                place.replicas * place.devices_per_replica * hours * Fraction(dearest if price is None else price)
            )
    for move in decision.transfers:
        for part in move.flows if not move.active else ():
            for name in part.links:
                price = egress.get(name)
                spent += Fraction(part.transfer_bytes, 10**9) * Fraction(most if price is None else price)
    new = any(not one.fixed for one in decision.assignments)
    if new and spent > Fraction(limit) * (1 + SLACK) + SLACK:
        yield f"the plan's jobs cost {float(spent):.6g}; the budget is {limit:.6g}"
