"""Data that is read while computing, in equal chunks, instead of being copied first (docs/model.md, "Streams").

The chunks of all streamed data sets of a job are read one after another. At best the job is limited by the slower of
computing t and reading x at every step: its length is (1 - 1/q) max(t, x) + (t + x)/q. What is executed is a plain
promise that links can keep: each data set is read at one steady pace, bytes / S with S = max(t, X), so that reading
ends with the last chunk's turn and a link is never asked for more than the job can use; the last chunk is then
computed, t/q. X is what the paths alone would take; x, which only the bound uses, is over the maximum flow.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from polyhull.domain.fleet import Cluster
from polyhull.domain.workloads import Access, DataInput, DataSet, Key
from polyhull.optimize.admission import IN_SITE_BYTES_PER_SECOND, Admission, Refusal


@dataclass(frozen=True, slots=True)
class Read:
    """One data set read from one declared replica over one path. `rate_bytes_per_second` is what the links give it:
    the path's own until `paced` lowers it."""

    data_set: Key
    source_site: str
    links: tuple[str, ...]
    transfer_bytes: int
    rate_bytes_per_second: float


@dataclass(frozen=True, slots=True)
class Streams:
    """What a job streams to one cluster. `best_seconds` is x."""

    reads: tuple[Read, ...] = ()
    chunks: int = 1
    best_seconds: float = 0.0

    @property
    def path_seconds(self) -> float:
        """X: all of it, one after another, at the full rates of the paths."""
        return sum(read.transfer_bytes / read.rate_bytes_per_second for read in self.reads)


@dataclass(frozen=True, slots=True)
class Paced:
    """A job's streams beside its compute. The executed length is compute + overlap + pacing seconds."""

    reads: tuple[Read, ...] = ()
    reading_seconds: float = 0.0
    """S: how long the links are used, from the end of the start-up on."""
    overlap_seconds: float = 0.0
    """What reading adds to computing at best: this is in the bound."""
    pacing_seconds: float = 0.0
    """What the steady pace costs over the best."""


def streamed(inputs: Iterable[DataInput], admission: Admission, cluster: Cluster) -> Streams | Refusal:
    """The reads of what is not at the cluster already. A copy or a replica at its own site is simply read there."""
    reads: list[Read] = []
    chunks: list[int] = []
    groups: dict[object, list[float]] = {}
    for wanted in inputs:
        if wanted.access is not Access.STREAM or any(read.data_set == wanted.data_set for read in reads):
            continue
        found = _read(wanted, admission, cluster)
        if isinstance(found, Refusal):
            return found
        if found is None:
            continue
        reads.append(found)
        chunks.append(max(1, wanted.chunks or admission.overlap_chunks))
        data = admission.data_sets[wanted.data_set]
        allowed, sources = admission.allowed_sites(data.residency), admission.sources(data)
        fastest = admission.network.max_flow(sources - {cluster.site}, cluster.site, allowed)
        if cluster.site in sources:
            fastest += IN_SITE_BYTES_PER_SECOND
        group = groups.setdefault((sources, allowed), [0.0, max(fastest, found.rate_bytes_per_second)])
        group[0] += found.transfer_bytes
    best = max((size / rate for size, rate in groups.values()), default=0.0)
    return Streams(tuple(reads), min(chunks, default=1), best)


_NOTHING = Paced()


def paced(streams: Streams, compute_seconds: float) -> Paced:
    """The reads at the pace of this compute."""
    if not streams.reads:
        return _NOTHING
    q, t, x = streams.chunks, compute_seconds, streams.best_seconds
    reading = max(t, streams.path_seconds)
    best = (1.0 - 1.0 / q) * max(t, x) + (t + x) / q
    reads = tuple(replace(read, rate_bytes_per_second=read.transfer_bytes / reading) for read in streams.reads)
    return Paced(reads, reading, max(0.0, best - t), max(0.0, reading + t / q - best))


def _read(wanted: DataInput, admission: Admission, cluster: Cluster) -> Read | Refusal | None:
    """The widest path from a readable replica (ties: the source's name); None for data that is at hand."""
    data = admission.data_for(wanted, cluster)
    if isinstance(data, Refusal):
        return data
    if _at_hand(data, cluster):
        return None
    allowed = admission.allowed_sites(data.residency)
    found: Read | None = None
    for source in admission.readable(data):
        path = admission.network.widest(source, cluster.site, allowed)
        if not path:
            continue
        rate = admission.network.rate(path)
        if found is None or rate > found.rate_bytes_per_second:
            found = Read(data.key, source, tuple(link.name for link in path), max(1, data.size_bytes), rate)
    if found is None:
        text = f"no path of links inside its residency leads from {data.key.name} to {cluster.site}"
        return Refusal("NoReachableReplica", f"{text}; declare a Link or a replica with a reachable url")
    return found


def _at_hand(data: DataSet, cluster: Cluster) -> bool:
    """Is there a copy in the cluster's store or a replica at its site?"""
    return any(copy.store == cluster.store for copy in data.copies) or any(
        replica.site == cluster.site for replica in data.replicas
    )
