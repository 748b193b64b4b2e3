"""What all pages of the checker look things up in: the snapshot by name, and how exact things are."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from math import isfinite

from polyhull.domain.fleet import AcceleratorType, Cluster, Link, Node, Pool
from polyhull.domain.labels import Labels, Selector
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import DataSet, InferenceService, Key, TrainingJob

SLACK_SECONDS = Fraction(1, 1000)
LINK_SLACK = Fraction(1, 10**6)


class Facts:
    """A snapshot by name; of things with the same name the last counts, of nodes the first."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        fleet = snapshot.fleet
        self.jobs: dict[Key, TrainingJob] = {job.key: job for job in snapshot.jobs}
        self.pools: dict[str, Pool] = {pool.name: pool for pool in fleet.pools}
        self.clusters: dict[str, Cluster] = {cluster.name: cluster for cluster in fleet.clusters}
        self.links: dict[str, Link] = {link.name: link for link in fleet.links}
        self.labels: dict[str, Labels] = {site.name: site.labels for site in fleet.sites}
        self.data_sets: dict[Key, DataSet] = {data.key: data for data in snapshot.data_sets}
        self.kinds: dict[str, AcceleratorType] = {kind.name: kind for kind in fleet.accelerators}
        self.services: dict[Key, InferenceService] = {service.key: service for service in snapshot.services}
        self.nodes: dict[tuple[str, str], Node] = {
            (pool.name, node.name): node for pool in reversed(fleet.pools) for node in reversed(pool.nodes)
        }

    @cached_property
    def dearest_hourly(self) -> Fraction:
        """The most that somebody asks for a device-hour: what a pool without a price counts as."""
        prices = [pool.price_per_device_hour for pool in self.pools.values()]
        return Fraction(max((price for price in prices if price is not None), default=0.0))

    def hourly(self, pool: str) -> Fraction:
        """Of a device of the pool."""
        price = self.pools[pool].price_per_device_hour if pool in self.pools else None
        return self.dearest_hourly if price is None else Fraction(price)

    def startup(self) -> Fraction:
        """From the release of anything, a transfer too, to the moment it works."""
        return max(Fraction(0), Fraction(self.snapshot.policy.startup_seconds))


def along(
    what: str,
    source: str,
    names: Iterable[str],
    links: Mapping[str, Link],
    labels: Mapping[str, Labels],
    residency: Sequence[Selector],
    whose: str,
) -> Generator[str, None, str | None]:
    """Walks a path: violations as sentences; returns the site where it ends, None where it breaks off."""
    at = source
    for name in names:
        link = links.get(name)
        if link is None or link.source != at:
            yield f"{what} over {name}, which does not leave {at}"
            return None
        at = link.target
        if not all(selector.matches(labels.get(at, ())) for selector in residency):
            yield f"{what} past site {at}, where {whose} not allow it"
    return at


def exact(value: float) -> Fraction | None:
    """None for what is no number of seconds."""
    return Fraction(value) if isfinite(value) else None
