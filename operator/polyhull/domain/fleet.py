"""The supply side: sites, links between them, member clusters, and pools of like nodes."""

from dataclasses import dataclass, field
from enum import StrEnum

from polyhull.domain.labels import Labels, Requirement
from polyhull.domain.resources import Resources


class Evidence(StrEnum):
    """How much a figure can be trusted; printed beside every figure that rests on it."""

    MEASURED = "Measured"
    LEARNT = "Learnt"
    """From jobs of the same kind that Polyhull saw run."""
    DATASHEET = "Datasheet"
    ESTIMATED = "Estimated"
    ASSUMED = "Assumed"


@dataclass(frozen=True, slots=True)
class AcceleratorType:
    """A kind of device, as the catalogue describes it.

    `resource_name` is what pods request (`nvidia.com/gpu`); empty for class CPU, where a device is a core and
    pods request `cpu`. A node is of this kind when it offers the resource, all `node_labels` match, and, where
    there are `matchers`, all requirements of at least one of them match.
    """

    name: str
    device_class: str
    """CPU, GPU, NPU, TPU …"""
    resource_name: str = ""
    node_labels: Labels = ()
    memory_bytes: int = 0
    peak_flops: tuple[tuple[str, float], ...] = ()
    """(precision, FLOP per second) pairs, e.g. ("bf16", 989e12)."""
    memory_bytes_per_second: float = 0.0
    idle_watts: float | None = None
    peak_watts: float | None = None
    """Of one device; None: nobody said."""
    evidence: Evidence = Evidence.DATASHEET
    tolerations: tuple["Toleration", ...] = ()
    matchers: tuple[tuple[Requirement, ...], ...] = ()
    mean_hours_between_failures: float | None = None
    """Of what takes one device out: itself, or its share of node, network and software; None: nobody said."""


@dataclass(frozen=True, slots=True)
class Taint:
    key: str
    value: str = ""
    effect: str = "NoSchedule"


@dataclass(frozen=True, slots=True)
class Toleration:
    key: str
    operator: str = "Exists"
    value: str = ""
    effect: str = ""

    def tolerates(self, taint: Taint) -> bool:
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        return self.operator == "Exists" or self.value == taint.value


@dataclass(frozen=True, slots=True)
class Power:
    """Electricity of a site; None: nobody said."""

    cap_watts: float | None = None
    """The most that devices held by planned work may draw at their peak, times `pue`."""
    pue: float | None = None
    """Power usage effectiveness: drawn by the site per watt that reaches a device; 1 where unknown."""
    carbon_grams_per_kilowatt_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Site:
    name: str
    tier: str = "Cloud"
    """Device, Edge, Metro or Cloud."""
    region: str = ""
    labels: Labels = ()
    power: Power = Power()


@dataclass(frozen=True, slots=True)
class Link:
    """One direction between two sites. `bandwidth_bits_per_second` is nominal; the policy's margin is applied
    by the optimiser."""

    name: str
    source: str
    target: str
    bandwidth_bits_per_second: float
    latency_seconds: float = 0.0
    price_per_gigabyte: float | None = None
    reached: float = 1.0
    """Share of the margin's bandwidth that transfers were seen to reach: plans count on no more."""

    @property
    def counted_bits_per_second(self) -> float:
        """What plans count on before the policy's margin."""
        return self.bandwidth_bits_per_second * self.reached


@dataclass(frozen=True, slots=True)
class Node:
    """`free` is what is allocatable less what all pods there request that are not placements of the snapshot's
    own jobs; placements of the snapshot's jobs occupy it in the plan."""

    name: str
    free: Resources
    labels: Labels = ()
    taints: tuple[Taint, ...] = ()
    schedulable: bool = True
    """Ready and not cordoned."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Nodes an autoscaler may add to a pool: up to `nodes` more of `shape`, each `provision_seconds` after demand."""

    nodes: int
    shape: Resources
    provision_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Pool:
    """Like nodes of one cluster. `name` is unique in the fleet: `<cluster>/<short name>`."""

    name: str
    cluster: str
    site: str
    accelerator: str
    nodes: tuple[Node, ...] = ()
    node_selector: Labels = ()
    """Labels that a pod requires to land in this pool and in no other."""
    price_per_device_hour: float | None = None
    """In the administrator's currency, one for the whole fleet; None: unknown."""
    confidential: bool = False
    growth: Growth | None = None
    by_name: bool = False
    """No labels select exactly this pool: pods require one of its nodes by name instead."""
    slowdown: float = 1.0
    """How many times longer work takes than at its rate: measured, where devices or machines are confidential."""

    @property
    def short_name(self) -> str:
        return self.name.partition("/")[2]


class StorageKind(StrEnum):
    NONE = "None"
    VOLUME = "Volume"
    BUCKET = "Bucket"


@dataclass(frozen=True, slots=True)
class Storage:
    """Where copies of data land in a cluster: PVCs of a class, or a bucket shared by the clusters of a site."""

    kind: StorageKind = StorageKind.NONE
    storage_class_name: str = ""
    url: str = ""
    secret_name: str = ""
    capacity_bytes: int | None = None
    bytes_per_second: float | None = None
    """At which one job saves to it and reads back; None: nobody said."""


CLUSTERSET_DOMAIN = "svc.clusterset.local"
"""Where the Multi-Cluster Services API (KEP-1645) gives exported Services their names."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A member. `accepts` is None where every namespace is accepted (the local cluster)."""

    name: str
    site: str
    local: bool = False
    connected: bool = True
    fenced: bool = False
    drain: bool = False
    accepts: frozenset[str] | None = None
    service_accounts: frozenset[str] | None = None
    """`namespace/name` of those that templates may name; None: any (the local cluster)."""
    storage: Storage = Storage()
    serves_pod_groups: bool = False
    service_domain: str = ""
    """Domain under which pods of other clusters find its Services (`<service>.<namespace>.<domain>`); empty: none."""

    @property
    def takes_new_work(self) -> bool:
        return self.connected and not self.fenced and not self.drain

    @property
    def store(self) -> str:
        """Key of the place where copies land: `cluster:<name>` for volumes, `site:<name>` for buckets."""
        return f"site:{self.site}" if self.storage.kind is StorageKind.BUCKET else f"cluster:{self.name}"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Sorted by name within each tuple; built once per snapshot."""

    sites: tuple[Site, ...] = ()
    links: tuple[Link, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    pools: tuple[Pool, ...] = ()
    accelerators: tuple[AcceleratorType, ...] = field(default=())

    def site(self, name: str) -> Site | None:
        return next((site for site in self.sites if site.name == name), None)

    def cluster(self, name: str) -> Cluster | None:
        return next((cluster for cluster in self.clusters if cluster.name == name), None)

    def pool(self, name: str) -> Pool | None:
        return next((pool for pool in self.pools if pool.name == name), None)

    def accelerator(self, name: str) -> AcceleratorType | None:
        return next((kind for kind in self.accelerators if kind.name == name), None)
