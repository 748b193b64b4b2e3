"""Every non-convex choice as a column with numbers computed beforehand (docs/model.md section 1)."""

from dataclasses import dataclass

from polyhull.domain.fleet import Evidence
from polyhull.domain.resources import Resources
from polyhull.domain.workloads import Key


@dataclass(frozen=True, slots=True)
class Route:
    """One way to bring a whole copy of a data set to a store: one source, one path, one rate.

    The path is the widest one over links with both ends allowed by the data set's residency (ties: fewer hops,
    less latency, name). `rate_bytes_per_second` is margin times the narrowest link's bandwidth / 8.
    """

    data_set: Key
    store: str
    site: str
    source_site: str
    source_url: str
    links: tuple[str, ...]
    rate_bytes_per_second: float
    transfer_bytes: int
    price: float

    @property
    def seconds(self) -> float:
        return self.transfer_bytes / self.rate_bytes_per_second


@dataclass(frozen=True, slots=True)
class Need:
    """A data set a column must have at a store before it starts. `present`: nothing to move."""

    data_set: Key
    store: str
    site: str
    present: bool


@dataclass(frozen=True, slots=True)
class Column:
    """One admissible way to run one job: option x pool. Seconds, devices, bytes as in docs/model.md.

    `length_seconds` is tau without transfer: start-up + compute (a fixed column: what remains of it).
    `transfer_seconds` is x: the missing bytes over the maximum flow, links otherwise empty (a lower bound on
    any executed transfer time). `head_seconds` is the earliest possible release.
    """

    job: Key
    option: str
    accelerator: str
    device_class: str
    pool: str
    cluster: str
    site: str
    replicas: int
    devices_per_replica: int
    pod: Resources
    startup_seconds: float
    compute_seconds: float
    transfer_seconds: float
    head_seconds: float
    needs: tuple[Need, ...]
    price: float
    evidence: Evidence
    fixed: bool = False

    @property
    def devices(self) -> int:
        return self.replicas * self.devices_per_replica

    @property
    def length_seconds(self) -> float:
        return self.startup_seconds + self.compute_seconds

    @property
    def name(self) -> tuple[str, str]:
        return (self.pool, self.option)


@dataclass(frozen=True, slots=True)
class Inadmissible:
    """Why a job (or a service's variant) cannot use an option in a pool: kept for `explain` and conditions."""

    job: Key
    option: str
    pool: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ColumnSet:
    """Sorted by (job, pool, option); `routes` by (data set, store, source site)."""

    columns: tuple[Column, ...]
    routes: tuple[Route, ...]
    inadmissible: tuple[Inadmissible, ...]
