"""A job's columns over several sites: which combinations are looked at, and what each takes (docs/model.md, "Spans").

A gang of n pods is split over one pool at each of two or three sites, in proportion to what fits into them (nodes of
growth count where the others do not suffice), and n is the number of ranks everywhere. The rates of options hold for
the whole gang, so k of its pods do k/n of it. What distance adds to that is cross_site.py's: stages that wait for
each other, activations or gradients over the links, failures. Links are promised to the job at one steady pace while
it computes, and the times are those at that pace: the thriftiest of `PACES` that costs at most `NEAR` of the fastest.
"""

import itertools
import math
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from polyhull.domain.fleet import Evidence, Link
from polyhull.domain.resources import Resources
from polyhull.domain.workloads import Span, SpanMode
from polyhull.optimize.admission import Refusal
from polyhull.optimize.cross_site import (
    MOST_SITES,
    Connection,
    Connections,
    CrossSiteColumn,
    SitePart,
    TrainedModel,
    cross_site_column,
)
from polyhull.optimize.failures import Recovery
from polyhull.optimize.paths import Allowed, Network

MOST_CANDIDATES = 6
"""Sites of a job that are combined: those where most of its gang's speed fits."""
MOST_COLUMNS = 8
"""Combinations of a job that become columns: those that take least, data included, with everything else empty."""
PACES = (1.0, 0.5, 0.25, 0.125, 0.0625)
"""Shares of a path that a job may be promised."""
NEAR = 1.05

_TRUST = (Evidence.MEASURED, Evidence.LEARNT, Evidence.DATASHEET, Evidence.ESTIMATED, Evidence.ASSUMED)


@dataclass(frozen=True, slots=True)
class SpanPart:
    """Some pods of a job's gang in one pool, with the ranks from `first_rank` on."""

    pool: str
    cluster: str
    site: str
    option: str
    accelerator: str
    device_class: str
    replicas: int
    devices_per_replica: int
    pod: Resources
    first_rank: int = 0
    stage_layers: tuple[int, ...] = ()

    @property
    def devices(self) -> int:
        return self.replicas * self.devices_per_replica


@dataclass(frozen=True, slots=True)
class SteadyFlow:
    """What one site sends another while the job computes."""

    source_site: str
    target_site: str
    links: tuple[str, ...]
    transfer_bytes: float
    """In all."""
    rate_bytes_per_second: float


@dataclass(frozen=True, slots=True)
class Spanned:
    """How a job runs over several sites. `compute_seconds` is all of it after the start-up; the other seconds are
    parts of that."""

    parts: tuple[SpanPart, ...]
    flows: tuple[SteadyFlow, ...]
    micro_batches: int
    compute_seconds: float
    exchange_seconds: float
    failure_seconds: float
    evidence: Evidence
    checkpoint_interval_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where pods of a gang may run: `most` of its `gang` pods, each at `rate` units per second of all the work."""

    pool: str
    cluster: str
    site: str
    option: str
    accelerator: str
    device_class: str
    devices_per_replica: int
    pod: Resources
    gang: int
    most: int
    rate: float
    memory_bytes: float
    device_mean_seconds: float
    evidence: Evidence

    @property
    def speed(self) -> float:
        return self.most * self.rate


def combinations(candidates: Iterable[Candidate], most_sites: int) -> Iterator[tuple[tuple[Candidate, int], ...]]:
    """(candidate, pods) of 2 to `most_sites` sites that hold a whole gang together, by names; one pool per site."""
    gangs: dict[int, dict[str, Candidate]] = {}
    for one in sorted(candidates, key=lambda one: (-one.speed, one.pool, one.option)):
        if one.most > 0:
            gangs.setdefault(one.gang, {}).setdefault(one.site, one)
    for gang, by_site in sorted(gangs.items()):
        fastest = sorted(list(by_site.values())[:MOST_CANDIDATES], key=lambda one: one.site)
        for count in range(2, min(most_sites, MOST_SITES, gang) + 1):
            for chosen in itertools.combinations(fastest, count):
                if sum(one.most for one in chosen) >= gang:
                    yield tuple(zip(chosen, _split(gang, [one.most for one in chosen]), strict=True))


def _split(gang: int, most: Sequence[int]) -> tuple[int, ...]:
    """In proportion to `most`, at least one each; what rounding leaves goes to the largest remainders."""
    total = sum(most)
    whole = [max(1, gang * room // total) for room in most]
    order = sorted(range(len(most)), key=lambda i: (-(gang * most[i] % total), i))
    while sum(whole) < gang:
        i = next(i for i in order if whole[i] < most[i])
        order = [*(k for k in order if k != i), i]
        whole[i] += 1
    while sum(whole) > gang:
        i = max(range(len(most)), key=lambda i: (whole[i], -i))
        whole[i] -= 1
    return tuple(whole)


def spanned(
    span: Span,
    work: float,
    chosen: Sequence[tuple[Candidate, int]],
    network: Network,
    allowed: Allowed,
    recovery: Recovery,
    in_order: bool = False,
    leading: Container[str] | None = None,
) -> Spanned | Refusal:
    """`work` units over these pools, with links otherwise empty. Its traffic passes sites of `allowed` only; rank 0
    is at a site of `leading` (None: at any)."""
    if leading is not None and span.mode is SpanMode.DATA_PARALLEL:
        chosen = _led(chosen, leading)
    paths = _paths([one.site for one, _ in chosen], span.mode, network, allowed)
    if isinstance(paths, Refusal):
        return paths
    uses = Counter(link.name for path in paths.values() for link in path)
    found: list[tuple[CrossSiteColumn, Mapping[tuple[str, str], float]]] = []
    for pace in PACES:
        rates = {
            pair: pace * min(network.bytes_per_second[link.name] / uses[link.name] for link in path)
            for pair, path in paths.items()
        }
        column = cross_site_column(
            _model(span), [_site(span, one, pods) for one, pods in chosen], _connections(paths, rates),
            span.mode.value, recovery, span.synchronize_steps, in_order, leading,
        )  # fmt: skip
        if not isinstance(column, CrossSiteColumn):
            return Refusal(column.reason, column.message)
        if found and column.seconds > found[0][0].seconds * NEAR:
            break
        found.append((column, rates))
    return _result(span, work, chosen, paths, *found[-1])


def span_name(parts: Sequence[Candidate] | Sequence[SpanPart]) -> tuple[str, str]:
    """(pools, options) joined by +, an option that all share once."""
    options = dict.fromkeys(part.option for part in parts)
    return "+".join(part.pool for part in parts), "+".join(options)


def by_rates(work: float, chosen: Sequence[tuple[Candidate, int]]) -> Spanned:
    """The same without anything between the sites."""
    seconds = work / math.fsum(one.rate * pods for one, pods in chosen)
    ranks = itertools.accumulate((pods for _, pods in chosen), initial=0)
    parts = tuple(_part(one, pods, rank, ()) for (one, pods), rank in zip(chosen, ranks, strict=False))
    return Spanned(parts, (), 1, seconds, 0.0, 0.0, max((one.evidence for one, _ in chosen), key=_TRUST.index))


def _part(one: Candidate, pods: int, rank: int, layers: tuple[int, ...]) -> SpanPart:
    return SpanPart(
        one.pool, one.cluster, one.site, one.option, one.accelerator, one.device_class, pods, one.devices_per_replica,
        one.pod, rank, layers,
    )  # fmt: skip


def _led(chosen: Sequence[tuple[Candidate, int]], leading: Container[str]) -> Sequence[tuple[Candidate, int]]:
    """Turned until a site of `leading` is first: in a ring that changes nothing else."""
    first = next((at for at, (one, _) in enumerate(chosen) if one.site in leading), 0)
    return (*chosen[first:], *chosen[:first])


Paths = Mapping[tuple[str, str], tuple[Link, ...]]
"""(source, target) site -> links."""


def _paths(sites: Sequence[str], mode: SpanMode, network: Network, allowed: Allowed) -> Paths | Refusal:
    """Where traffic between pods goes: over the paths of least latency, both ways; a ring of three goes one way."""
    pairs = list(itertools.permutations(sites, 2))
    if mode is SpanMode.DATA_PARALLEL and len(sites) == MOST_SITES:
        pairs = [*itertools.pairwise(sites), (sites[-1], sites[0])]
    found: dict[tuple[str, str], tuple[Link, ...]] = {}
    for source, target in pairs:
        path = network.nearest(source, target)
        if not path:
            return Refusal("NoLink", f"no links lead from {source} to {target}; declare Links both ways")
        outside = [link.target for link in path if link.target not in allowed]
        if outside:
            text = f"what {source} sends {target} would pass {outside[0]}, outside the residency of its data"
            return Refusal("Residency", f"{text}; declare a Link between them")
        found[source, target] = path
    return found


def _connections(paths: Paths, rates: Mapping[tuple[str, str], float]) -> Connections:
    """Both ways alike: the slower rate, the greater latency."""
    found: dict[frozenset[str], Connection] = {}
    for pair, path in paths.items():
        latency = math.fsum(max(0.0, link.latency_seconds) for link in path)
        other = found.get(frozenset(pair), Connection(math.inf, 0.0))
        found[frozenset(pair)] = Connection(
            min(other.bytes_per_second, rates[pair]), max(other.latency_seconds, latency)
        )
    return found


def _model(span: Span) -> TrainedModel:
    """Computing is measured in steps: a gang of rate 1 does one a second."""
    return TrainedModel(
        parameters=1.0,
        layers=span.layers,
        step_flops=1.0,
        samples=span.samples_per_step,
        activation_bytes=span.activation_bytes,
        gradient_bytes=span.gradient_bytes,
        state_bytes=span.state_bytes,
    )


def _site(span: Span, one: Candidate, pods: int) -> SitePart:
    """Exchanges inside a site are in its rate already."""
    return SitePart(
        site=one.site,
        nodes=pods,
        devices_per_node=one.devices_per_replica,
        device_flops_per_second=one.rate / span.work_per_step / one.devices_per_replica,
        device_memory_bytes=one.memory_bytes,
        node_bytes_per_second=math.inf,
        site_bytes_per_second=math.inf,
        site_latency_seconds=0.0,
        device_mean_seconds=one.device_mean_seconds,
    )


def _result(
    span: Span,
    work: float,
    chosen: Sequence[tuple[Candidate, int]],
    paths: Paths,
    column: CrossSiteColumn,
    rates: Mapping[tuple[str, str], float],
) -> Spanned:
    steps = work / span.work_per_step
    by_site = {one.site: (one, pods) for one, pods in chosen}
    parts: list[SpanPart] = []
    rank = 0
    for site, layers in zip(column.sites, column.layers, strict=True):
        one, pods = by_site[site]
        parts.append(_part(one, pods, rank, layers if span.layers > 1 else ()))
        rank += pods
    talk = {frozenset(pair): sent for pair, sent in column.link_bytes}
    total, step = steps * column.seconds, column.step
    return Spanned(
        parts=tuple(parts),
        flows=tuple(
            SteadyFlow(*pair, tuple(link.name for link in path), steps * talk[frozenset(pair)], rates[pair])
            for pair, path in sorted(paths.items())
            if frozenset(pair) in talk
        ),
        micro_batches=column.micro_batches,
        compute_seconds=total,
        exchange_seconds=steps * (step.cuts + step.exchange_across),
        failure_seconds=total - steps * step.total,
        checkpoint_interval_seconds=column.checkpoint_interval_seconds,
        evidence=max((one.evidence for one, _ in chosen), key=_TRUST.index),
    )
