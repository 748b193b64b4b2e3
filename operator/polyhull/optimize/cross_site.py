"""One training job over up to three sites: how long a step takes, and what it sends over each link.

Tensor parallel inside a node only, pipeline cuts at the borders of sites (and between nodes), data parallel inside a
site, or across sites with an all-reduce every H steps. Every layout is a column with numbers:

    step = sum_i c_i + sum_e 2 (a_e + l_e) + (M - 1) max(c_i, a_e)  +  exchange inside  +  exchange across / H

- M micro-batches pass P stages and the cuts between them one after the other: the makespan of M equal jobs through
  machines in series. c_i: stage i, forwards and backwards, its all-reduces inside the node included; a_e: activations
  of a micro-batch over cut e, l_e its latency. The backward pass uses the link's other direction.
- exchange: a ring all-reduce over D members moves 2 (D - 1)/D of the bytes over its narrowest link in 2 (D - 1) hops.
  The link between sites carries the gradient of all stages.
- Layers go to stages as the fastest period allows: k_s(tau) = floor(tau / seconds per layer at s) layers per stage is
  enough for period tau if sum_s P_s k_s >= layers; the period is a breakpoint (as in stages.py).
- seconds = step / phi: failures of all devices and remote links (failures.py). Below `LEAST_USEFUL` it is dropped.
"""

import itertools
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from polyhull.optimize.failures import LEAST_USEFUL, Recovery, failure_rate, useful_share

MOST_SITES = 3
Mode = Literal["Pipeline", "DataParallel"]


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What is trained. `step_flops`: forwards and backwards of the whole batch of `samples`; `activation_bytes`: of
    one sample between two layers; `state_bytes`: what is kept per parameter (weights, gradients, optimizer)."""

    parameters: float
    layers: int
    step_flops: float
    samples: int
    activation_bytes: float
    gradient_bytes: float
    state_bytes: float


@dataclass(frozen=True, slots=True)
class SitePart:
    """What the job holds at one site: `nodes` alike; rates are what a device and its links really reach, in bytes."""

    site: str
    nodes: int
    devices_per_node: int
    device_flops_per_second: float
    device_memory_bytes: float
    node_bytes_per_second: float
    """Between two devices of a node."""
    site_bytes_per_second: float
    """Between two nodes of the site."""
    site_latency_seconds: float
    device_mean_seconds: float
    """Mean time between failures of one device."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Between two sites, both ways: payload rate (line rate x efficiency x margin), one-way latency, mean uptime."""

    bytes_per_second: float
    latency_seconds: float
    mean_seconds: float = math.inf


Connections = Mapping[frozenset[str], Connection]


@dataclass(frozen=True, slots=True)
class StepSeconds:
    """Where a step's time goes; the sum is the step."""

    compute: float
    cuts: float
    exchange_inside: float
    exchange_across: float

    @property
    def total(self) -> float:
        return math.fsum((self.compute, self.cuts, self.exchange_inside, self.exchange_across))


@dataclass(frozen=True, slots=True)
class CrossSiteColumn:
    """One way to run the job. `layers[i]`: of each stage at `sites[i]`, a node each; `replicas[i]` data-parallel
    copies there (the same copies in mode Pipeline). `link_bytes`: per step, between two sites, one way."""

    mode: Mode
    sites: tuple[str, ...]
    layers: tuple[tuple[int, ...], ...]
    replicas: tuple[int, ...]
    micro_batches: int
    step: StepSeconds
    useful: float
    link_bytes: tuple[tuple[tuple[str, str], float], ...]
    checkpoint_interval_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """Wall seconds per step, failures included."""
        return self.step.total / self.useful


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no column, in the form of `columns.py`: a reason and the number that binds."""

    reason: str
    message: str


def cross_site_column(
    model: TrainedModel,
    parts: Sequence[SitePart],
    connections: Connections,
    mode: Mode,
    recovery: Recovery,
    synchronize_steps: int = 1,
    in_order: bool = False,
    leading: Container[str] | None = None,
) -> CrossSiteColumn | Refusal:
    """The fastest layout over exactly these sites (1 to 3) that gives every node a place, or why there is none.

    A pipeline goes through them in the order that is fastest and begins at a site of `leading` (None: anywhere);
    `in_order`: as given.
    """
    names = [part.site for part in parts]
    if not 1 <= len(parts) <= MOST_SITES or len(set(names)) != len(names):
        return Refusal("TooManySites", f"a job spans 1 to {MOST_SITES} different sites, not {', '.join(names)}")
    missing = [pair for pair in itertools.combinations(names, 2) if frozenset(pair) not in connections]
    chains = [chain for chain in itertools.permutations(parts) if _joined(chain, connections, mode)]
    if not chains:
        said = ", ".join(f"{one} and {other}" for one, other in missing)
        return Refusal("NoLink", f"no link joins {said}; declare Links both ways")
    if mode == "DataParallel" or in_order:
        chains = [chain for chain in chains if chain == tuple(parts)]
    elif leading is not None:
        chains = [chain for chain in chains if chain[0].site in leading]
    best: CrossSiteColumn | None = None
    fullest, useful = math.inf, -math.inf
    for chain in chains:
        for layout in _layouts(model, chain, mode):
            held = _memory_share(model, layout)
            fullest = min(fullest, held)
            if held > 1.0:
                continue
            column = _column(model, layout, connections, recovery, synchronize_steps)
            useful = max(useful, column.useful)
            if column.useful >= LEAST_USEFUL and (best is None or column.seconds < best.seconds):
                best = column
    if best is not None:
        return best
    if math.isinf(fullest):
        return Refusal("TooFewNodes", f"{model.layers} layers and {len(parts)} sites leave no stage for every node")
    if math.isinf(useful):
        return Refusal("Memory", f"a device would hold {fullest:.3g} times its memory at best; add nodes")
    lost = f"failures leave {max(useful, 0.0):.0%} of the time, less than {LEAST_USEFUL:.0%}"
    return Refusal("Failures", f"{lost}; use fewer devices or shorter checkpoints")


@dataclass(frozen=True, slots=True)
class _Layout:
    """Layers of each stage and copies at each site of a chain, micro-batches of a copy's samples."""

    mode: Mode
    chain: tuple[SitePart, ...]
    layers: tuple[tuple[int, ...], ...]
    replicas: tuple[int, ...]
    micro_batches: int
    samples: tuple[float, ...]
    """Of one step, per copy at each site."""


def _joined(chain: Sequence[SitePart], connections: Connections, mode: Mode) -> bool:
    pairs = itertools.pairwise(chain) if mode == "Pipeline" else itertools.combinations(chain, 2)
    return all(frozenset((one.site, other.site)) in connections for one, other in pairs)


def _layouts(model: TrainedModel, chain: tuple[SitePart, ...], mode: Mode) -> Iterator[_Layout]:
    fewest = min(part.nodes for part in chain)
    if mode == "Pipeline":
        for copies in range(1, fewest + 1):
            if any(part.nodes % copies for part in chain):
                continue
            layers = _layers(model.layers, chain, [part.nodes // copies for part in chain])
            if sum(map(len, layers)) * copies < sum(part.nodes for part in chain):
                continue  # fewer layers than nodes
            samples = model.samples / copies
            for batches in _micro_batches(samples):
                yield _Layout(mode, chain, layers, (copies,) * len(chain), batches, (samples,) * len(chain))
        return
    for depth in range(1, min(fewest, model.layers) + 1):
        if any(part.nodes % depth for part in chain):
            continue
        copies_at = tuple(part.nodes // depth for part in chain)
        speeds = [copies * _speed(part) for copies, part in zip(copies_at, chain, strict=True)]
        even = tuple((model.layers + stage) // depth for stage in range(depth))
        per_copy = tuple(
            model.samples * speed / math.fsum(speeds) / copies
            for speed, copies in zip(speeds, copies_at, strict=True)
        )
        for batches in _micro_batches(min(per_copy)):
            yield _Layout(mode, chain, (even,) * len(chain), copies_at, batches, per_copy)


def _micro_batches(samples: float) -> Iterator[int]:
    """Powers of two, as long as a micro-batch holds a sample."""
    batches = 1
    while batches == 1 or batches <= samples:
        yield batches
        batches *= 2


def _speed(part: SitePart) -> float:
    return part.devices_per_node * part.device_flops_per_second


def _layers(total: int, chain: Sequence[SitePart], stages: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Layers of each stage at each site with the shortest period; () where a site would have none."""
    if total < len(chain):
        return ()
    for period in sorted({k / _speed(part) for part in chain for k in range(1, total + 1)}):
        most = [min(total, math.floor(period * _speed(part) * (1.0 + 1e-12))) for part in chain]
        if min(most) >= 1 and sum(count * k for count, k in zip(stages, most, strict=True)) >= total:
            break
    held = [[k] * count for count, k in zip(stages, most, strict=True)]
    surplus = sum(map(sum, held)) - total
    # What is not needed is taken from the slowest sites, a whole stage only once every stage has a single layer.
    slowest = sorted(range(len(chain)), key=lambda at: (_speed(chain[at]), at))
    for at in slowest:
        for stage in range(len(held[at])):
            taken = min(surplus, held[at][stage] - 1)
            held[at][stage] -= taken
            surplus -= taken
    for at in slowest:
        spare = min(surplus, len(held[at]) - 1)
        held[at], surplus = held[at][spare:], surplus - spare
    return tuple(map(tuple, held))


def _memory_share(model: TrainedModel, layout: _Layout) -> float:
    """The fullest device's weights, gradients and optimizer state over its memory."""
    per_layer = model.parameters * model.state_bytes / model.layers
    return max(
        max(held) * per_layer / part.devices_per_node / part.device_memory_bytes
        for held, part in zip(layout.layers, layout.chain, strict=True)
    )


def _column(
    model: TrainedModel, layout: _Layout, connections: Connections, recovery: Recovery, synchronize_steps: int
) -> CrossSiteColumn:
    across = [connections[frozenset(pair)] for pair in _borders(layout)]
    if layout.mode == "Pipeline":
        compute, cuts = _pipeline(model, layout, range(len(layout.chain)), across)
        exchanged = 0.0
        bytes_per_link = model.activation_bytes * model.samples
    else:
        # The slowest site's copies set the pace: all wait for the exchange.
        paths = [_pipeline(model, layout, [at], []) for at in range(len(layout.chain))]
        compute, cuts = max(paths, key=sum)
        members = len(layout.chain)
        hops, share = 2 * (members - 1), 2.0 * (members - 1) / members
        bytes_per_link = share * model.gradient_bytes / synchronize_steps
        slowest = max((1.0 / one.bytes_per_second for one in across), default=0.0)
        exchanged = share * model.gradient_bytes * slowest + hops * max(
            (one.latency_seconds for one in across), default=0.0
        )
    inside = max(_inside(model, layout, at) for at in range(len(layout.chain)))
    rate = failure_rate(0.0, 1.0, tuple(one.mean_seconds for one in across))
    rate += math.fsum(failure_rate(p.nodes * p.devices_per_node, p.device_mean_seconds) for p in layout.chain)
    return CrossSiteColumn(
        mode=layout.mode,
        sites=tuple(part.site for part in layout.chain),
        layers=layout.layers,
        replicas=layout.replicas,
        micro_batches=layout.micro_batches,
        step=StepSeconds(compute, cuts, inside, exchanged / synchronize_steps),
        useful=useful_share(recovery, rate),
        link_bytes=tuple((pair, bytes_per_link) for pair in _borders(layout)),
        checkpoint_interval_seconds=recovery.interval(rate),
    )


def _borders(layout: _Layout) -> list[tuple[str, str]]:
    """Pairs of sites that talk: neighbours of the pipeline; all around the ring of copies."""
    names = [part.site for part in layout.chain]
    if layout.mode == "Pipeline" or len(names) < 3:
        return list(itertools.pairwise(names))
    return [*itertools.pairwise(names), (names[-1], names[0])]


def _pipeline(
    model: TrainedModel, layout: _Layout, sites: Sequence[int], borders: Sequence[Connection]
) -> tuple[float, float]:
    """(compute, cuts) of the stages at these sites in a row; `borders` between them, the sites' own links inside."""
    stage_seconds: list[float] = []
    cuts: list[tuple[float, float]] = []
    for n, at in enumerate(sites):
        part, layers = layout.chain[at], layout.layers[at]
        samples = layout.samples[at] / layout.micro_batches
        activation = model.activation_bytes * samples
        width = part.devices_per_node
        # Two all-reduces of the activations forwards and two backwards, per layer (Shoeybi et al., Megatron-LM).
        tensor = 4.0 * 2.0 * (width - 1) / width * activation / part.node_bytes_per_second
        per_layer = model.step_flops / model.samples * samples / model.layers / _speed(part) + tensor
        stage_seconds += [per_layer * held for held in layers]
        if n > 0:
            border = borders[n - 1]
            cuts.append((layout.replicas[at] * activation / border.bytes_per_second, border.latency_seconds))
        cuts += [(activation / part.site_bytes_per_second, part.site_latency_seconds)] * (len(layers) - 1)
    period = max(stage_seconds + [sent for sent, _ in cuts])
    longest = max(stage_seconds)
    compute = math.fsum(stage_seconds) + (layout.micro_batches - 1) * longest
    waits = math.fsum(2.0 * (sent + latency) for sent, latency in cuts)
    return compute, waits + (layout.micro_batches - 1) * (period - longest)


def _inside(model: TrainedModel, layout: _Layout, at: int) -> float:
    """Ring all-reduce of a stage's gradient among the copies at one site."""
    part, copies = layout.chain[at], layout.replicas[at]
    gradient = model.gradient_bytes * max(layout.layers[at]) / model.layers
    share = 2.0 * (copies - 1) / copies
    return share * gradient / part.site_bytes_per_second + 2 * (copies - 1) * part.site_latency_seconds
