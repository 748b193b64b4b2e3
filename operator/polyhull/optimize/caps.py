"""Caps on what is held at one instant: watts of a site, devices of a kind of some namespaces.

One notion for all: a device held in a pool counts for so much of a cap. Watts count from when nodes are up, devices
from when a job is released, while growth still brings up nodes for it too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from polyhull.domain.fleet import Fleet
from polyhull.domain.snapshot import DeviceLimit, Snapshot
from polyhull.optimize.costs import Tariffs

CLOSE = 1.0 + 1e-9
"""What fits up to rounding fits."""


class CapKind(StrEnum):
    POWER = "Power"
    DEVICE_LIMIT = "DeviceLimit"


@dataclass(frozen=True, slots=True)
class Cap:
    """`most` of it may be held at any instant."""

    kind: CapKind
    name: str
    """The site, or the limit's policy and kind of device."""
    most: float
    each: Mapping[str, float]
    """[pool] what one device counts for."""
    namespaces: frozenset[str] | None = None
    """Whose devices count; None: everybody's."""

    @property
    def from_release(self) -> bool:
        """Does a gang count while growth brings up its nodes?"""
        return self.kind is CapKind.DEVICE_LIMIT

    def covers(self, namespace: str) -> bool:
        return self.namespaces is None or namespace in self.namespaces

    def taken(self, namespace: str, held: Iterable[tuple[str, int]]) -> float:
        """What devices of a namespace take of it; `held`: (pool, devices)."""
        if not self.covers(namespace):
            return 0.0
        return sum(self.each.get(pool, 0.0) * devices for pool, devices in held)


def caps_of(snapshot: Snapshot, tariffs: Tariffs) -> tuple[Cap, ...]:
    """Capped sites by name, then limits by policy and kind."""
    fleet = snapshot.fleet
    limits = sorted(snapshot.policy.device_limits, key=lambda one: one.name)
    return (*_powers(fleet, tariffs), *(_limit(fleet, one) for one in limits))


def _powers(fleet: Fleet, tariffs: Tariffs) -> Iterable[Cap]:
    for site in sorted({pool.site for pool in fleet.pools}):
        if (most := tariffs.cap(site)) is not None:
            each = {pool.name: tariffs.of(pool.name).peak_watts or 0.0 for pool in fleet.pools if pool.site == site}
            yield Cap(CapKind.POWER, site, most, each)


def _limit(fleet: Fleet, limit: DeviceLimit) -> Cap:
    each = {pool.name: 1.0 for pool in fleet.pools if pool.accelerator == limit.accelerator}
    return Cap(CapKind.DEVICE_LIMIT, limit.name, float(limit.devices), each, frozenset(limit.namespaces))
