"""What links really carry: the bandwidth that plans count on is tightened by what transfers were seen to reach.

A transfer runs under a limit, the rate its plan gave it. One that stayed below tells what the narrowest link of its
path carried; one that reached it tells only that so much was there. The share of a link that is counted on moves
a third of the way towards each slow transfer, and one step up with each that reached a limit near it, so that a link
that recovered is found out. It is used in whole steps: plans do not tremble with every completion.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import floor, isfinite

from polyhull.domain.fleet import Fleet, Link
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Shipment

AT_LIMIT = 0.93
"""A transfer that came to this share of its limit reached it; the rest is start and protocol."""
LEAST_SECONDS = 60.0
"""Shorter ones say more of starts than of links."""
SLOW_RUNS = 3
"""Before so many slow transfers of a link nothing is taken off it."""
PULL = 1.0 / 3.0
STEP = 0.05
LEAST = 0.3
"""No link is counted on for less than this share."""
LATEST = 16
"""Transfers of a link that count."""


def with_reached(snapshot: Snapshot, shipments: Sequence[Shipment]) -> Snapshot:
    """The snapshot with `Link.reached` of links that transfers were seen on; the same one where all is as planned."""
    policy = snapshot.policy
    links = {link.name: link for link in snapshot.fleet.links}
    seen: dict[str, list[Shipment]] = {}
    for one in sorted(shipments, key=lambda one: (one.ended_at, one.started_at, one.links, one.transfer_bytes)):
        path = [links[name] for name in one.links if name in links]
        if path and len(path) == len(one.links):
            narrow = min(path, key=lambda link: (link.bandwidth_bits_per_second, link.name))
            seen.setdefault(narrow.name, []).append(_all_of(one, narrow.name))
    shares = {
        name: reached_share(
            some[-LATEST:],
            policy.bandwidth_margin * links[name].bandwidth_bits_per_second / 8.0,
            policy.startup_seconds,
        )
        for name, some in seen.items()
    }
    if all(share == 1.0 for share in shares.values()):
        return snapshot
    return replace(snapshot, fleet=_with(snapshot.fleet, shares))


def _all_of(one: Shipment, link: str) -> Shipment:
    """What all parts of its copy sent over a link, had they gone as well as this one; the same of a whole copy."""
    if not one.shares:
        return one
    share = one.shares[one.links.index(link)]
    limit = one.limit_bytes_per_second / share
    return replace(one, transfer_bytes=round(one.transfer_bytes / share), limit_bytes_per_second=limit)


def reached_share(shipments: Sequence[Shipment], full: float, startup_seconds: float) -> float:
    """Of `full` bytes per second, in whole steps between `LEAST` and 1; `shipments` in the order of their ends."""
    share, slow = 1.0, 0
    for one in shipments:
        seconds = one.ended_at - one.started_at - startup_seconds
        if not (seconds >= LEAST_SECONDS and one.limit_bytes_per_second > 0.0 and isfinite(full) and full > 0.0):
            continue
        rate = one.transfer_bytes / seconds
        if rate < one.limit_bytes_per_second * AT_LIMIT:
            slow += 1
            share += PULL * (min(1.0, rate / full) - share)
        elif one.limit_bytes_per_second >= share * full * AT_LIMIT:
            share = min(1.0, share + STEP)
    if slow < SLOW_RUNS:
        return 1.0
    return min(1.0, max(LEAST, floor(share / STEP + 1e-9) * STEP))


def _with(fleet: Fleet, shares: dict[str, float]) -> Fleet:
    def tightened(link: Link) -> Link:
        return replace(link, reached=shares[link.name]) if link.name in shares else link

    return replace(fleet, links=tuple(tightened(link) for link in fleet.links))
