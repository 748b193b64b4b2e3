"""Seeded instances made of measured throughputs (Gavel) and a measured wide-area network (Skyplane).

What is measured: steps per second by model, GPU kind and gang size; bit/s between regions; egress prices. What is
assumed, and stands here: how many devices each site has, the lengths of jobs, sizes and birthplaces of data, and that
a link out of an edge site carries at most 0.2 Gbit/s and one into it at most 1 Gbit/s.
"""

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

from benchmarks.figures import SkipBenchmark
from polyhull.domain.fleet import AcceleratorType, Cluster, Fleet, Link, Node, Pool, Site, Storage, StorageKind
from polyhull.domain.resources import Resources
from polyhull.domain.snapshot import Policy, Snapshot
from polyhull.domain.workloads import DataInput, DataSet, Key, Option, Replica, TrainingJob

GPUS = ("k80", "p100", "v100")
PEAK_FLOPS = {"k80": 4.37e12, "p100": 10.6e12, "v100": 15.7e12}
"""fp32, data sheets; only used where a rate is missing, which here it never is."""
NAMESPACE = "bench"
POD = {"cpu_millicores": 2000, "memory_bytes": 8 * 2**30, "pods": 1}
NODE = {"cpu_millicores": 96_000, "memory_bytes": 768 * 2**30, "ephemeral_bytes": 2**40, "pods": 110}

Rates = Mapping[str, Mapping[tuple[str, int], float]]
"""GPU kind -> (model and batch, gang size) -> steps per second."""


@dataclass(frozen=True, slots=True)
class Wan:
    """Ordered region pairs: bit/s, $/GB, and one-way seconds."""

    bits_per_second: Mapping[tuple[str, str], float]
    price_per_gigabyte: Mapping[tuple[str, str], float]
    latency_seconds: Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class Sources:
    rates: Rates
    wan: Wan


@dataclass(frozen=True, slots=True)
class Shape:
    """An instance's assumptions. Sizes and lengths are drawn log-uniformly between their two ends."""

    jobs: int
    clouds: int
    edges: int
    seed: int = 1
    least_bytes: float = 10e9
    most_bytes: float = 10e12
    least_seconds: float = 900.0
    """Of a job on V100s."""
    most_seconds: float = 14_400.0
    born_at_edge: float = 0.6
    cloud_nodes: int = 2
    edge_nodes: int = 1
    cloud_devices: int = 8
    edge_devices: int = 4
    edge_kinds: tuple[str, ...] = GPUS
    up_bits_per_second: float = 0.2e9
    down_bits_per_second: float = 1e9

    def __str__(self) -> str:
        pools = len(GPUS) * self.clouds + len(self.edge_kinds) * self.edges
        return (
            f"{self.jobs} jobs x {pools} pools x {self.clouds + self.edges} sites "
            f"({self.edges} edge), data {self.least_bytes / 1e9:g} GB-{self.most_bytes / 1e12:g} TB, "
            f"Gavel x Skyplane, seed {self.seed}"
        )


JOINT_300 = Shape(jobs=300, clouds=8, edges=4)
"""Row 1 of docs/benchmarks.md."""
PLAN_1000 = Shape(jobs=1000, clouds=6, edges=4, most_bytes=3e12)


def load_sources(data: Path | None) -> Sources:
    """Read the real data. Raises SkipBenchmark with where to get it."""
    if data is None or not (data / "gavel").is_dir() or not (data / "skyplane").is_dir():
        raise SkipBenchmark(
            f"needs the folders gavel/ (scheduler/ of github.com/stanford-futuredata/gavel @ c4fa400) and skyplane/ "
            f"(throughput.csv @ 70973a3, latency.csv @ f1628c9, cost.csv @ d131b75 of "
            f"github.com/skyplane-project/skyplane) in --data DIR; looked in {data}"
        )
    return _read(data)


@cache
def _read(data: Path) -> Sources:
    table = json.loads((data / "gavel" / "simulation_throughputs.json").read_text())
    rates = {gpu: {_kind(name): float(row["null"]) for name, row in table[gpu].items()} for gpu in GPUS}
    bits = _pairs(data / "skyplane" / "throughput.csv", "src_region", "dst_region", "throughput_received")
    price = _pairs(data / "skyplane" / "cost.csv", "src", "dest", "cost")
    trips = _pairs(data / "skyplane" / "latency.csv", "src_region", "dst_region", "avg_rtt")
    return Sources(rates, Wan(bits, price, {pair: trip / 2000.0 for pair, trip in trips.items()}))


def _kind(name: str) -> tuple[str, int]:
    """`('ResNet-18 (batch size 16)', 4)` as a pair."""
    model, _, gang = name[1:-1].rpartition(", ")
    return model[1:-1], int(gang)


def _pairs(file: Path, source: str, target: str, value: str) -> dict[tuple[str, str], float]:
    """The last row of each ordered pair; where tiers are given, those with PREMIUM at both ends."""
    found: dict[tuple[str, str], float] = {}
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row.get("src_tier", "PREMIUM") == row.get("dst_tier", "PREMIUM") == "PREMIUM" and row[value]:
                found[row[source], row[target]] = float(row[value])
    return found


def gavel_skyplane(sources: Sources, shape: Shape) -> Snapshot:
    """The same snapshot for the same sources and shape, always."""
    dice = Random(shape.seed)
    regions = _regions(sources.wan, shape.clouds + shape.edges, dice)
    where = {_name(region): region for region in regions}
    clouds, edges = list(where)[: shape.clouds], list(where)[shape.clouds :]
    links = _links(sources.wan, where, frozenset(edges), shape)
    sites = [Site(name, tier="Edge" if name in edges else "Cloud") for name in where]
    pools = [pool for name in clouds for pool in _pools(name, GPUS, shape.cloud_nodes, shape.cloud_devices)]
    pools += [pool for name in edges for pool in _pools(name, shape.edge_kinds, shape.edge_nodes, shape.edge_devices)]
    jobs, data = _jobs(sources.rates, shape, clouds, edges, dice)
    fleet = Fleet(
        sites=tuple(sorted(sites, key=lambda site: site.name)),
        links=tuple(sorted(links, key=lambda link: link.name)),
        clusters=tuple(_cluster(name) for name in sorted(clouds + edges)),
        pools=tuple(sorted(pools, key=lambda pool: pool.name)),
        accelerators=tuple(AcceleratorType(gpu, "GPU", "nvidia.com/gpu", peak_flops=_peak(gpu)) for gpu in GPUS),
    )
    return Snapshot(0.0, fleet, jobs, (), data, (), Policy())


def with_links(snapshot: Snapshot, bits_per_second: Mapping[str, float]) -> Snapshot:
    """The same snapshot as somebody sees it who believes other bandwidths; links not named stay."""
    links = tuple(
        replace(link, bandwidth_bits_per_second=bits_per_second.get(link.name, link.bandwidth_bits_per_second))
        for link in snapshot.fleet.links
    )
    return replace(snapshot, fleet=replace(snapshot.fleet, links=links))


def _regions(wan: Wan, count: int, dice: Random) -> list[str]:
    """Regions drawn at random such that every ordered pair of them was measured."""
    names = sorted({name for pair in wan.bits_per_second for name in pair})
    dice.shuffle(names)
    chosen: list[str] = []
    for name in names:
        if all((name, other) in wan.bits_per_second and (other, name) in wan.bits_per_second for other in chosen):
            chosen.append(name)
        if len(chosen) == count:
            return chosen
    raise ValueError(f"there are no {count} regions with every pair measured")


def _name(region: str) -> str:
    return region.replace(":", "-")


def _links(wan: Wan, where: Mapping[str, str], edges: frozenset[str], shape: Shape) -> list[Link]:
    """Measured links between all regions, those of edge sites cut to what an edge site is assumed to have."""
    links = []
    for source, source_region in where.items():
        for target, target_region in where.items():
            if source == target:
                continue
            pair = source_region, target_region
            up = shape.up_bits_per_second if source in edges else math.inf
            down = shape.down_bits_per_second if target in edges else math.inf
            bits = min(wan.bits_per_second[pair], up, down)
            latency, price = wan.latency_seconds.get(pair, 0.0), wan.price_per_gigabyte.get(pair, 0.0)
            links.append(Link(f"{source}-to-{target}", source, target, bits, latency, price))
    return links


def _cluster(name: str) -> Cluster:
    return Cluster(name, name, storage=Storage(StorageKind.BUCKET, url=f"s3://{name}"))


def _pools(site: str, kinds: tuple[str, ...], nodes: int, devices: int) -> list[Pool]:
    room = Resources(devices=devices, **NODE)
    return [
        Pool(f"{site}/{gpu}", site, site, gpu, tuple(Node(f"{site}-{gpu}-{i}", room) for i in range(nodes)))
        for gpu in kinds
    ]


def _peak(gpu: str) -> tuple[tuple[str, float], ...]:
    return (("fp32", PEAK_FLOPS[gpu]),)


def _jobs(
    rates: Rates, shape: Shape, clouds: list[str], edges: list[str], dice: Random
) -> tuple[tuple[TrainingJob, ...], tuple[DataSet, ...]]:
    """Models uniformly of Gavel's; gangs of 1, 2, 4 with weights 6 : 2 : 2; each job reads a data set of its own."""
    kinds = sorted({kind for gpu in GPUS for kind, rate in rates[gpu].items() if rate > 0.0})
    by_gang = {
        gang: [kind for kind in kinds if kind[1] == gang and rates["v100"].get(kind, 0.0) > 0.0] for gang in (1, 2, 4)
    }
    jobs, data = [], []
    for index in range(shape.jobs):
        gang = dice.choices((1, 2, 4), weights=(6, 2, 2))[0]
        kind = dice.choice(by_gang[gang])
        length = _between(shape.least_seconds, shape.most_seconds, dice)
        home = dice.choice(edges) if edges and dice.random() < shape.born_at_edge else dice.choice(clouds)
        size = int(_between(shape.least_bytes, shape.most_bytes, dice))
        key, source = Key(NAMESPACE, f"job-{index:05d}"), Key(NAMESPACE, f"data-{index:05d}", "DataSet")
        options = tuple(
            Option(f"{gpu}-x{gang}", gpu, 1, gang, rates[gpu][kind], Resources(devices=gang, **POD))
            for gpu in GPUS
            if rates[gpu].get(kind, 0.0) > 0.0
        )
        work = rates["v100"][kind] * length
        jobs.append(TrainingJob(key, f"uid-{index}", float(index) * 1e-3, work, options, (DataInput(source),)))
        data.append(DataSet(source, size, (Replica(home, f"s3://{home}/{source.name}"),)))
    return tuple(jobs), tuple(data)


def _between(least: float, most: float, dice: Random) -> float:
    return math.exp(dice.uniform(math.log(least), math.log(most)))
