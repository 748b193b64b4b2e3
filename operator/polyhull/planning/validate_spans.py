"""The checker's page on jobs over several sites: their parts, what these send each other, and how long that takes.

Like validate.py it shares no code with what made the plan: the step is computed again from the plan's own layout and
rates, in exact rationals (docs/model.md, "Spans").
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise, permutations

from polyhull.domain.decision import Assignment, Exchange, Part
from polyhull.domain.fleet import AcceleratorType, Evidence, Link, Pool
from polyhull.domain.labels import Labels
from polyhull.domain.workloads import DataSet, Key, Option, Span, SpanMode, TrainingJob
from polyhull.planning.validate_facts import along

_SLACK = Fraction(1, 1000)
_MOST_SITES = 3

Held = tuple[str, str, tuple[tuple[str, int], ...]]
"""(pool, option, nodes)."""


def held(a: Assignment) -> Sequence[Held]:
    """Of each part; of a job at one site the one it is."""
    return [(part.pool, part.option, part.nodes) for part in a.parts] or [(a.pool, a.option, a.nodes)]


def gang(job: TrainingJob, a: Assignment) -> Iterator[str]:
    """Violations of what the parts must be together."""
    who, parts = job.key, a.parts
    if job.span is None:
        yield f"{who} is put on {len(parts)} sites and never said that it may span them"
        return
    if not 2 <= len(parts) <= min(_MOST_SITES, job.span.max_sites) or len({p.site for p in parts}) < len(parts):
        sites = ", ".join(part.site for part in parts)
        yield f"{who} is put on {sites}; it may span 2 to {job.span.max_sites} different sites"
    first = parts[0]
    if (a.cluster, a.site, a.pool, a.option, a.replicas, a.nodes) != (
        first.cluster, first.site, first.pool, first.option, first.replicas, first.nodes,
    ):  # fmt: skip
        yield f"{who}: what the plan says of it is not what it says of its first part"
    rank = 0
    for part in parts:
        if part.first_rank != rank:
            yield f"{who}: the part at {part.site} has ranks from {part.first_rank} on, not from {rank}"
        rank += part.replicas
    options = {option.name: option for option in job.options}
    for part in parts:
        option = options.get(part.option)
        if option is not None and option.replicas != rank:
            yield f"{who}: its parts have {rank} pods, option {option.name} {option.replicas}"


def exchanges(
    job: TrainingJob,
    a: Assignment,
    begin: Fraction,
    links: Mapping[str, Link],
    labels: Mapping[str, Labels],
    data_sets: Mapping[Key, DataSet],
) -> Iterator[str]:
    """Violations of the paths between the parts, and of when they are used: from `begin` to the end of the job."""
    residency = [data_sets[one.data_set].residency for one in job.inputs if one.data_set in data_sets]
    for one in a.exchanges:
        what = f"{job.key} sends from {one.source_site} to {one.target_site}"
        whose = "the residency of its data does"
        at = yield from along(what, one.source_site, one.links, links, labels, residency, whose)
        if at is None:
            return
        if at != one.target_site or not one.links or not one.rate_bytes_per_second > 0.0:
            yield f"{what}, over a path that ends at {at} or at no rate"
        if abs(Fraction(one.start_seconds) - begin) > _SLACK or abs(one.end_seconds - a.end_seconds) > _SLACK:
            yield f"{what} from {one.start_seconds} to {one.end_seconds} s, not while it computes"


def sent_bytes(job: TrainingJob, a: Assignment) -> Iterator[str]:
    """Violations of what its exchanges come to: every step's, in each direction that is used."""
    span = job.span
    if span is None:
        return
    members = len(a.parts)
    each = Fraction(span.activation_bytes) * span.samples_per_step
    if span.mode is SpanMode.DATA_PARALLEL:
        each = Fraction(2 * (members - 1), members) * Fraction(span.gradient_bytes) / span.synchronize_steps
    whole = each * Fraction(job.work_quantity) / Fraction(span.work_per_step)
    for one in a.exchanges:
        if abs(Fraction(one.transfer_bytes) - whole) > whole / 10**9:
            told = f"{one.transfer_bytes:.6g} bytes, its steps send {float(whole):.6g}"
            yield f"{job.key} sends from {one.source_site} to {one.target_site} {told}"


def compute_seconds(
    job: TrainingJob,
    a: Assignment,
    pools: Mapping[str, Pool],
    kinds: Mapping[str, AcceleratorType],
    links: Mapping[str, Link],
) -> Fraction | str:
    """What it takes after its start-up at the rates of the plan's exchanges; else why its layout is none."""
    span = job.span
    if span is None:
        return "it says nothing of several sites"
    speeds = [_speed(job, span, part, pools[part.pool]) for part in a.parts]
    if not all(speeds):
        return "a part has no rate"
    pairs = _pairs(span.mode, [part.site for part in a.parts])
    rates, delays = _between(a.exchanges, links)
    missing = [pair for pair in pairs if pair not in rates]
    if missing:
        return f"nothing is sent from {missing[0][0]} to {missing[0][1]}"
    full = _fullest(span, a.parts, kinds)
    if full > 1:
        return f"a device would hold {float(full):.3g} times its memory"
    step = _pipeline if span.mode is SpanMode.PIPELINE else _data_parallel
    seconds = step(span, a, speeds, [(rates[pair], delays[pair]) for pair in pairs])
    return (
        seconds if isinstance(seconds, str) else seconds * Fraction(job.work_quantity) / Fraction(span.work_per_step)
    )


def _speed(job: TrainingJob, span: Span, part: Part, pool: Pool) -> Fraction:
    """Steps per second of one of its pods, were it alone with all the work; 0 where nothing is known."""
    option = next((one for one in job.options if one.name == part.option), None)
    rate = None if option is None else _rate(option, part.site)
    if option is None or rate is None or rate <= 0:
        return Fraction(0)
    slower = max(Fraction(1), Fraction(pool.slowdown))
    return Fraction(rate) / Fraction(span.work_per_step) / option.replicas / slower


def _rate(option: Option, site: str) -> float | None:
    learnt = {one.site: one.rate_per_second for one in option.learnt}
    if option.rate_evidence is Evidence.MEASURED:
        return option.rate_per_second
    return learnt.get(site, learnt.get("", option.rate_per_second))


def _pairs(mode: SpanMode, sites: Sequence[str]) -> list[tuple[str, str]]:
    """Who sends whom: neighbours both ways; a ring of copies one way."""
    if mode is SpanMode.DATA_PARALLEL and len(sites) > 2:
        return [*pairwise(sites), (sites[-1], sites[0])]
    near = [pair for pair in permutations(sites, 2) if abs(sites.index(pair[0]) - sites.index(pair[1])) == 1]
    return sorted(near, key=lambda pair: (min(map(sites.index, pair)), sites.index(pair[0])))


def _between(
    sent: Sequence[Exchange], links: Mapping[str, Link]
) -> tuple[dict[tuple[str, str], Fraction], dict[tuple[str, str], Fraction]]:
    """Rate and one-way latency of each pair."""
    rates = {(one.source_site, one.target_site): Fraction(one.rate_bytes_per_second) for one in sent}
    delays = {
        (one.source_site, one.target_site): sum(
            (max(Fraction(0), Fraction(links[name].latency_seconds)) for name in one.links), Fraction(0)
        )
        for one in sent
    }
    return rates, delays


def _fullest(span: Span, parts: Sequence[Part], kinds: Mapping[str, AcceleratorType]) -> Fraction:
    """What the fullest device holds of the model's state, over its memory."""
    shares = [Fraction(0)]
    for part in parts:
        kind = kinds.get(part.accelerator)
        if kind is not None and kind.memory_bytes > 0:
            layers = Fraction(max(part.stage_layers, default=1), span.layers if part.stage_layers else 1)
            shares.append(Fraction(span.state_bytes) * layers / part.devices_per_replica / kind.memory_bytes)
    return max(shares) / (1 + Fraction(1, 10**9))


def _pipeline(
    span: Span, a: Assignment, speeds: Sequence[Fraction], borders: Sequence[tuple[Fraction, Fraction]]
) -> Fraction | str:
    """Seconds of a step: M micro-batches through the stages of one copy in a row, and over the borders both ways."""
    copies = {Fraction(part.replicas, max(1, len(part.stage_layers))) for part in a.parts}
    if len(copies) > 1 or (d := copies.pop()).denominator > 1 or any(not part.stage_layers for part in a.parts):
        return "its parts have no equal number of copies"
    if sum(sum(part.stage_layers) for part in a.parts) != span.layers or any(
        held < 1 for part in a.parts for held in part.stage_layers
    ):
        return f"its stages do not hold {span.layers} layers"
    M = a.micro_batches
    if not 1 <= M <= max(Fraction(1), span.samples_per_step / d):
        return f"{M} micro-batches are more than a copy has samples"
    stages = [
        held / (d * M * span.layers * speed)
        for part, speed in zip(a.parts, speeds, strict=True)
        for held in part.stage_layers
    ]
    # Both directions of a border take as long as the slower one.
    cuts = [
        (Fraction(span.activation_bytes) * span.samples_per_step / M / min(there[0], back[0]), max(there[1], back[1]))
        for there, back in zip(borders[::2], borders[1::2], strict=True)
    ]
    period = max([*stages, *(sent for sent, _ in cuts)])
    waits = sum((2 * (sent + delay) for sent, delay in cuts), Fraction(0))
    return sum(stages, Fraction(0)) + (M - 1) * period + waits


def _data_parallel(
    span: Span, a: Assignment, speeds: Sequence[Fraction], ring: Sequence[tuple[Fraction, Fraction]]
) -> Fraction | str:
    """Seconds of a step: every part its share of the samples, and the ring's exchange every H steps."""
    depths = {len(part.stage_layers) or 1 for part in a.parts}
    depth = max(depths)
    layers = a.parts[0].stage_layers or (span.layers,)
    if len(depths) > 1 or any(part.replicas % depth for part in a.parts) or sum(layers) != span.layers:
        return "its parts are no copies of the whole model"
    copies = [part.replicas // depth * speed for part, speed in zip(a.parts, speeds, strict=True)]
    M, whole = a.micro_batches, sum(copies, Fraction(0))
    stages = [held / (whole * M * span.layers) for held in layers]
    computed = sum(stages, Fraction(0)) + (M - 1) * max(stages)
    members = len(a.parts)
    share = Fraction(2 * (members - 1), members)
    slowest, delay = min(rate for rate, _ in ring), max(delay for _, delay in ring)
    exchanged = share * Fraction(span.gradient_bytes) / slowest + 2 * (members - 1) * delay
    return computed + exchanged / span.synchronize_steps
