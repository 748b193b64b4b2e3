"""Every non-convex choice as a column with numbers computed beforehand (docs/model.md section 1): the values.

`build.py` makes them, `released.py` those of what already runs, `routes.py` the ways of their data.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from polyhull.domain.fleet import Evidence
from polyhull.domain.resources import Resources
from polyhull.domain.workloads import CopyPart, Key, Placed
from polyhull.optimize.spans import SpanPart, SteadyFlow, span_name
from polyhull.optimize.streams import Paced, Read


@dataclass(frozen=True, slots=True)
class Route:
    """One way to bring a copy of a data set to a store: whole, with one source, one path, one rate, or in `parts`.

    The path is the widest one over links with both ends allowed by the data set's residency (ties: fewer hops,
    less latency, name). `rate_bytes_per_second` is margin times the narrowest link's bandwidth / 8; of a split copy
    what its parts come to together (splits.py), its `links` being those of all parts. The links are held from the
    transfer's release on: its own start-up (image, connection), then the bytes.
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
    startup_seconds: float = 0.0
    parts: tuple[CopyPart, ...] = ()
    whole_because: str = ""
    """Why there is no split beside it although the policy allows one."""

    @property
    def seconds(self) -> float:
        return self.startup_seconds + self.transfer_bytes / self.rate_bytes_per_second

    @property
    def loads(self) -> dict[str, float]:
        """Bytes per second that it takes of each of its links."""
        if not self.parts:
            return dict.fromkeys(self.links, self.rate_bytes_per_second)
        return _over_links((part.links, part.rate_bytes_per_second) for part in self.parts)

    @property
    def volumes(self) -> dict[str, float]:
        """Bytes that it sends over each of its links."""
        if not self.parts:
            return dict.fromkeys(self.links, float(self.transfer_bytes))
        return _over_links((part.links, float(part.transfer_bytes)) for part in self.parts)


def _over_links(flows: Iterable[tuple[tuple[str, ...], float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for links, amount in flows:
        for link in links:
            total[link] = total.get(link, 0.0) + amount
    return total


def bytes_by_link(sent: Iterable[Read | SteadyFlow]) -> dict[str, float]:
    """Of what is sent while computing."""
    return _over_links((one.links, float(one.transfer_bytes)) for one in sent)


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

    `length_seconds` is tau without staged transfer: start-up + compute + what streamed reads add at best (a fixed
    column: what remains of it); `hold_seconds` is what is executed, streamed reads at a steady pace.
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
    """What failures are expected to take included: t / phi."""
    transfer_seconds: float
    head_seconds: float
    needs: tuple[Need, ...]
    price: float
    """Of its devices for its length, for comparisons: an unknown price counts as the dearest (costs.py)."""
    evidence: Evidence
    fixed: bool = False
    energy_joules: float = 0.0
    """Of its devices for its length, for comparisons too."""
    carbon_grams: float = 0.0
    egress_price: float = 0.0
    """Of what it streams or its parts exchange, for comparisons too."""
    streams: Paced = Paced()
    parts: tuple[SpanPart, ...] = ()
    """Of a job over several sites all its parts; `pool` to `pod` are the first's, `needs` those of all."""
    flows: tuple[SteadyFlow, ...] = ()
    """What its parts send each other from the end of the start-up on."""
    micro_batches: int = 1
    exchange_seconds: float = 0.0
    """The part of `compute_seconds` that its parts wait for each other's activations or gradients."""
    failure_seconds: float = 0.0
    """The part of `compute_seconds` that saves checkpoints, restarts, or is done again."""
    checkpoint_interval_seconds: float = 0.0
    """From one checkpoint to the next; 0 without."""
    leaving_seconds: float = 0.0
    """Of `head_seconds`, until the pods of a stopped job are gone from where it ran."""

    @property
    def devices(self) -> int:
        """Of all parts."""
        return sum(part.devices for part in self.parts) if self.parts else self.replicas * self.devices_per_replica

    @property
    def volumes(self) -> dict[str, float]:
        """Bytes that it sends over each link while it computes."""
        return bytes_by_link((*self.streams.reads, *self.flows))

    @property
    def places(self) -> tuple[SpanPart, ...]:
        """Its parts; of a job at one site the one it is."""
        return self.parts or (
            SpanPart(
                self.pool, self.cluster, self.site, self.option, self.accelerator, self.device_class, self.replicas,
                self.devices_per_replica, self.pod,
            ),
        )  # fmt: skip

    @property
    def length_seconds(self) -> float:
        return self.startup_seconds + self.compute_seconds + self.streams.overlap_seconds

    @property
    def hold_seconds(self) -> float:
        return self.length_seconds + self.streams.pacing_seconds

    @property
    def name(self) -> tuple[str, str]:
        """What tells it from the job's other columns: pool and option, those of several parts joined by +."""
        return span_name(self.parts) if self.parts else (self.pool, self.option)


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
    """Sorted by (job, pool, option); `routes` by (data set, store, source site), the split one behind."""

    columns: tuple[Column, ...]
    routes: tuple[Route, ...]
    inadmissible: tuple[Inadmissible, ...]

    @property
    def split(self) -> bool:
        """Is there a copy that may come, or comes, in parts?"""
        return any(route.parts for route in self.routes)


LONGEST_SECONDS = 1e15
"""Nothing that would take longer is a choice; it also keeps every sum finite."""


def held(placed: Placed | None, column: Column, pool: str) -> Iterator[tuple[tuple[str, int], Resources]]:
    """(node, pods) that a released job has in a pool, and what one of those pods asks for."""
    if placed is not None:
        for place, there in zip(column.places, placed.places, strict=True):
            yield from ((seat, place.pod) for seat in there.nodes if place.pool == pool)
