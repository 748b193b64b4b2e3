"""What a device costs, draws and emits in each pool. Unknown is not zero (docs/model.md, Money, watts and carbon).

Prices are per device and second in the fleet's one currency; watts are at the site's meter, its PUE included.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from polyhull.domain.fleet import AcceleratorType, Fleet, Link, Pool, Power

UTILISATION = 0.72
"""Share of the way from idle to peak that working devices draw on average: with `IDLE_SHARE` it makes 76 % of the
peak, what computationally intensive training drew of the rating of an 8 x H100 node (arXiv:2506.14551)."""
IDLE_SHARE = 0.15
"""An idle device's share of its peak where no idle watts are stated: an assumption, A100 and H100 idle near it."""
SECONDS_PER_HOUR = 3600.0
JOULES_PER_KILOWATT_HOUR = 3.6e6


@dataclass(frozen=True, slots=True)
class Tariff:
    """One device of a pool; None: nobody said."""

    price_per_second: float | None
    idle_watts: float | None
    active_watts: float | None
    """Mean of a device that works."""
    peak_watts: float | None
    grams_per_joule: float | None


class Tariffs:
    """Tariffs of all pools. Where something must be compared, what is unknown counts as the dearest that is known,
    so that leaving a price out never attracts work; nothing known at all counts as 0 everywhere."""

    def __init__(self, fleet: Fleet) -> None:
        kinds = {kind.name: kind for kind in fleet.accelerators}
        power = {site.name: site.power for site in fleet.sites}
        self._of = {
            pool.name: _tariff(pool, kinds.get(pool.accelerator), power.get(pool.site)) for pool in fleet.pools
        }
        self._links = {link.name: link for link in fleet.links}
        self._caps = {name: one.cap_watts for name, one in power.items() if one.cap_watts is not None}
        known = self._of.values()
        self._price = max((one.price_per_second for one in known if one.price_per_second is not None), default=0.0)
        self._watts = max((one.active_watts for one in known if one.active_watts is not None), default=0.0)
        self._grams = max((one.grams_per_joule for one in known if one.grams_per_joule is not None), default=0.0)
        self._egress = max(
            (link.price_per_gigabyte for link in fleet.links if link.price_per_gigabyte is not None), default=0.0
        )

    def of(self, pool: str) -> Tariff:
        return self._of.get(pool, _NOTHING)

    def cap(self, site: str) -> float | None:
        """Watts that devices held at a site may draw at their peak; None: no cap."""
        return self._caps.get(site)

    def price(self, pool: str, device_seconds: float) -> float:
        """What holding devices costs, for comparisons."""
        known = self.of(pool).price_per_second
        return device_seconds * (self._price if known is None else known)

    def hourly(self, pool: str, devices: int) -> float:
        """What holding devices for an hour costs, for comparisons."""
        return self.price(pool, devices * SECONDS_PER_HOUR)

    def joules(self, pool: str, devices: int, idle_seconds: float, active_seconds: float) -> float:
        """What devices draw, for comparisons."""
        tariff = self.of(pool)
        active = self._watts if tariff.active_watts is None else tariff.active_watts
        idle = active * IDLE_SHARE if tariff.idle_watts is None else tariff.idle_watts
        return devices * (idle * idle_seconds + active * active_seconds)

    def grams(self, pool: str, devices: int, idle_seconds: float, active_seconds: float) -> float:
        """What devices emit, for comparisons."""
        return self.emitted(pool, self.joules(pool, devices, idle_seconds, active_seconds))

    def emitted(self, pool: str, joules: float) -> float:
        """Grams of what is drawn there, for comparisons."""
        known = self.of(pool).grams_per_joule
        return joules * (self._grams if known is None else known)

    def egress(self, links: tuple[str, ...], transfer_bytes: float) -> float:
        """What bytes over a path of links cost, for comparisons."""
        return transfer_bytes / 1e9 * sum(self._per_gigabyte(name) for name in links)

    def carried(self, volumes: Mapping[str, float]) -> float:
        """The same of bytes by link."""
        return math.fsum(amount / 1e9 * self._per_gigabyte(name) for name, amount in volumes.items())

    def known_egress(self, volumes: Mapping[str, float]) -> float | None:
        """The same of bytes by link as far as it is known; None where one of the links has no price."""
        spent = 0.0
        for name, transfer_bytes in volumes.items():
            price = self._links[name].price_per_gigabyte if name in self._links else None
            if price is None:
                return None
            spent += transfer_bytes / 1e9 * price
        return spent

    def _per_gigabyte(self, name: str) -> float:
        link: Link | None = self._links.get(name)
        if link is None or link.price_per_gigabyte is None:
            return self._egress
        return link.price_per_gigabyte


_NOTHING = Tariff(None, None, None, None, None)


def _tariff(pool: Pool, kind: AcceleratorType | None, power: Power | None) -> Tariff:
    peak = None if kind is None else kind.peak_watts
    idle = active = at_meter = None
    if peak is not None:
        stated = kind.idle_watts if kind is not None else None
        rest = peak * IDLE_SHARE if stated is None else stated
        pue = 1.0 if power is None or power.pue is None else power.pue
        idle, at_meter = rest * pue, peak * pue
        active = (rest + UTILISATION * (peak - rest)) * pue
    carbon = None if power is None else power.carbon_grams_per_kilowatt_hour
    hourly = pool.price_per_device_hour
    return Tariff(
        None if hourly is None else hourly / SECONDS_PER_HOUR,
        idle,
        active,
        at_meter,
        None if carbon is None else carbon / JOULES_PER_KILOWATT_HOUR,
    )
