"""Who may run where: every hard rule that drops a (job, option, pool) before anything is optimised.

Each refusal is a `Refusal`: a CamelCase reason and a message that names the number that binds and what to do.
Answers are cached by what they depend on, so identical jobs cost one look-up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from polyhull.domain.fleet import Cluster, Fleet, Node, Pool, Storage, StorageKind, Toleration
from polyhull.domain.labels import Labels, Selector
from polyhull.domain.resources import Resources
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.units import format_bytes
from polyhull.domain.workloads import ActiveTransfer, DataInput, DataSet, Exclusion, Key, TrainingJob
from polyhull.optimize.caps import CLOSE, Cap, CapKind, caps_of
from polyhull.optimize.costs import Tariffs
from polyhull.optimize.paths import Allowed, Network
from polyhull.optimize.resumed import is_bucket, leaving_seconds, stopped_of
from polyhull.optimize.stores import buckets, homes, promised_room

IN_SITE_BYTES_PER_SECOND = 10e9 / 8
"""A copy inside one site uses no link; 10 Gbit/s is assumed for it."""
OVERDUE_SHARE = 0.05
"""What should have ended by now is expected to take this share of its length more …"""
OVERDUE_SECONDS = 1.0
"""… and never less than this."""


class Refusal(NamedTuple):
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Room:
    """How many pods of one shape a pool holds when nothing of ours runs there."""

    now: int
    """On nodes that exist and may be used."""
    grown: int
    """With every node that growth may add."""


@dataclass(frozen=True, slots=True)
class DataAt:
    """One data set as a cluster sees it; `rate_bytes_per_second` is the most that can reach it."""

    store: str
    present: bool
    missing_bytes: float = 0.0
    rate_bytes_per_second: float = math.inf
    group: tuple[Allowed, Allowed] | None = None
    """(sources, allowed sites): data sets of one group share every path. None: copied inside the site, alone."""
    active_seconds: float | None = None
    """Seconds until a transfer that already runs ends."""


class Admission:
    """Hard rules over one snapshot."""

    def __init__(self, snapshot: Snapshot, network: Network) -> None:
        fleet = snapshot.fleet
        self.now = snapshot.taken_at
        self.startup_seconds = max(0.0, snapshot.policy.startup_seconds)
        self.overlap_chunks = snapshot.policy.overlap_chunks
        self.network = network
        self.clusters: dict[str, Cluster] = {cluster.name: cluster for cluster in fleet.clusters}
        self.pools: dict[str, Pool] = {pool.name: pool for pool in fleet.pools}
        self.labels: dict[str, Labels] = {site.name: site.labels for site in fleet.sites}
        self.sites: tuple[str, ...] = _all_sites(fleet)
        self.data_sets: dict[Key, DataSet] = {data.key: data for data in snapshot.data_sets}
        self.active: dict[tuple[Key, str], ActiveTransfer] = {}
        for transfer in sorted(snapshot.transfers, key=lambda one: (one.data_set, one.store, one.source_site)):
            self.active.setdefault((transfer.data_set, transfer.store), transfer)
        self.stopped = stopped_of(snapshot)
        self.tariffs = Tariffs(fleet)
        self.caps = caps_of(snapshot, self.tariffs)
        self._tolerations = {kind.name: kind.tolerations for kind in fleet.accelerators}
        self._allowed: dict[Selector, Allowed] = {}
        self._matches: dict[tuple[Selector, str], bool] = {}
        self._nodes: dict[str, tuple[Node, ...]] = {}
        self._rooms: dict[tuple[Resources, str], Room] = {}
        self._data: dict[tuple[Key, bool, str], DataAt | Refusal] = {}
        self._sources: dict[Key, Allowed] = {}
        self._promised = promised_room(snapshot)
        self._writers = _writers(snapshot)
        self._buckets = buckets(fleet)

    # -- members and sites ------------------------------------------------------------------------------------

    def member(self, namespace: str, cluster: str, account: str = "") -> Refusal | None:
        """May this cluster take new work of this namespace, under this ServiceAccount?"""
        found = self.clusters.get(cluster)
        if found is None:
            return Refusal("MemberUnknown", f"no MemberCluster named {cluster} is in the fleet; create it")
        if not found.connected:
            return Refusal("MemberUnreachable", f"{cluster} does not answer; new work waits until it does")
        if found.fenced:
            return Refusal("Fenced", f"{cluster} is fenced (spec.fenced); lift the fence to use it again")
        if found.drain:
            return Refusal("Draining", f"{cluster} is draining (spec.drain) and takes no new work")
        if found.accepts is not None and namespace not in found.accepts:
            text = f'namespace {namespace} of {cluster} is not labelled polyhull.io/accept: "true"'
            return Refusal("NamespaceNotAccepted", f"{text}; its administrator sets that label there")
        allowed = found.service_accounts
        if account and allowed is not None and f"{namespace}/{account}" not in allowed:
            text = f"serviceAccountName {account} is not allowed in namespace {namespace} of {cluster}"
            remedy = "its administrator lists it in the namespace's annotation polyhull.io/service-accounts"
            return Refusal("ServiceAccountNotAllowed", f"{text}; {remedy}, or leave it out")
        return None

    def site_allowed(self, selector: Selector, site: str) -> bool:
        key = (selector, site)
        if key not in self._matches:
            self._matches[key] = selector.empty or selector.matches(self.labels.get(site, ()))
        return self._matches[key]

    def allowed_sites(self, selector: Selector) -> Allowed:
        if selector not in self._allowed:
            self._allowed[selector] = frozenset(s for s in self.sites if self.site_allowed(selector, s))
        return self._allowed[selector]

    def place(
        self, pool: Pool, selector: Selector, confidential: bool, exclusions: tuple[Exclusion, ...]
    ) -> Refusal | None:
        """Site, confidentiality and back-off."""
        if not self.site_allowed(selector, pool.site):
            text = (
                f"the labels of site {pool.site} do not match placement.sites; widen the selector or its spec.labels"
            )
            return Refusal("SiteSelector", text)
        if confidential and not pool.confidential:
            return Refusal("Confidential", f"pool {pool.name} is not confidential and the job requires it")
        for exclusion in exclusions:
            if exclusion.until > self.now and exclusion.cluster == pool.cluster and exclusion.pool in ("", pool.name):
                left = exclusion.until - self.now
                text = f"{exclusion.reason} at {exclusion.pool or exclusion.cluster}: {exclusion.message}"
                return Refusal("Excluded", f"{text}; tried again in {left:.0f} s")
        return None

    def capped(self, namespace: str, *held: tuple[Pool, int]) -> Refusal | None:
        """Would so many devices of these pools at once stay within every cap if nothing else ran there?"""
        for pool, _ in held:
            most = self.tariffs.cap(pool.site)
            if most is not None and self.tariffs.of(pool.name).peak_watts is None:
                text = f"site {pool.site} is capped at {most:g} W and nobody says what {pool.accelerator} draws"
                return Refusal("PowerUnknown", f"{text}; write peakWatts of that AcceleratorType")
        named = [(pool.name, devices) for pool, devices in held]
        for cap in self.caps:
            taken = cap.taken(namespace, named)
            if taken > cap.most * CLOSE:
                return _over(cap, taken, [(pool, devices) for pool, devices in held if pool.name in cap.each])
        return None

    # -- nodes ------------------------------------------------------------------------------------------------

    def usable_nodes(self, pool: Pool) -> tuple[Node, ...]:
        """Schedulable nodes whose taints the accelerator's tolerations cover."""
        if pool.name not in self._nodes:
            tolerations = self._tolerations.get(pool.accelerator, ())
            self._nodes[pool.name] = tuple(
                node for node in pool.nodes if node.schedulable and not _repels(node, tolerations)
            )
        return self._nodes[pool.name]

    def room(self, pod: Resources, pool: Pool) -> Room:
        key = (pod, pool.name)
        if key not in self._rooms:
            counts: dict[Resources, int] = {}
            now = 0
            for node in self.usable_nodes(pool):
                if node.free not in counts:
                    counts[node.free] = pod.copies_in(node.free)
                now += counts[node.free]
            growth = pool.growth
            extra = max(0, growth.nodes) * pod.copies_in(growth.shape) if growth else 0
            self._rooms[key] = Room(now, now + extra)
        return self._rooms[key]

    def fits(self, pod: Resources, replicas: int, pool: Pool) -> Refusal | None:
        """Would a gang of `replicas` such pods fit if nothing of ours ran in the pool?"""
        room = self.room(pod, pool)
        if replicas >= 1 and room.grown >= replicas:
            return None
        if replicas < 1:
            return Refusal("PoolTooSmall", f"{replicas} replicas asked for; at least 1 is needed")
        everywhere = sum(pod.copies_in(node.free) for node in pool.nodes)
        if everywhere >= replicas:
            return _blocked(pool, self._tolerations.get(pool.accelerator, ()), replicas, room.grown)
        return Refusal("PoolTooSmall", _too_small(pod, replicas, pool, self.usable_nodes(pool), room.grown))

    # -- data -------------------------------------------------------------------------------------------------

    def sources(self, data: DataSet) -> Allowed:
        """Sites that hold the data set now, or will once a running transfer ends: what the bound may draw from."""
        if data.key not in self._sources:
            found = {replica.site for replica in data.replicas} | {copy.site for copy in data.copies}
            found |= {transfer.site for (key, _), transfer in self.active.items() if key == data.key}
            self._sources[data.key] = frozenset(found)
        return self._sources[data.key]

    def data_at(self, need: DataInput, cluster: Cluster) -> DataAt | Refusal:
        """Is the data set at this cluster, can it come, and how fast at best?"""
        key = (need.data_set, need.mounted, cluster.name)
        if key not in self._data:
            self._data[key] = self._data_at(need, cluster)
        return self._data[key]

    def keeps(self, job: TrainingJob, cluster: Cluster, leaves: bool = True) -> Refusal | None:
        """May what the job writes, checkpoints and (if it `leaves` it there) output, be kept at this cluster?"""
        saves, out = job.checkpoint, job.output if leaves else None
        if saves is None and out is None:
            return None
        storage = cluster.storage
        mounted = any(one.mounted for one in (saves, out) if one is not None)
        if mounted and storage.kind is not StorageKind.VOLUME:
            text = f"what it writes has a mountPath and {cluster.name} has no volume storage"
            return Refusal("NeedsVolumeStorage", f"{text}; give it storage.volume or drop mountPath")
        if out is not None and storage.kind is StorageKind.NONE:
            text = f"its output must be kept and {cluster.name} has no storage"
            return Refusal("NoStorage", f"{text}; give the MemberCluster storage.volume or storage.bucket")
        if cluster.store in self._promised and job.key not in self._promised[cluster.store]:
            text = f"what it writes is {format_bytes(job.kept_bytes)}, which storage of {cluster.name} has not free"
            return Refusal("StorageFull", f"{text} beside what others were promised; raise its capacity, or wait")
        return None if out is None or out.data_set is None else self._writes(job, out.data_set, cluster)

    def _writes(self, job: TrainingJob, key: Key, cluster: Cluster) -> Refusal | None:
        data = self.data_for(DataInput(key), cluster)
        if isinstance(data, Refusal):
            return data
        if data.replicas or data.copies:
            text = f"{key.name}, which it is to write, is there already"
            return Refusal("OutputExists", f"{text}; let it write a DataSet without replicas and copies")
        if self._writers[key] != job.key:
            text = f"another unfinished job writes {key.name}"
            return Refusal("OutputTaken", f"{text}; let this one write another DataSet, or delete that job")
        return None

    def data_for(self, need: DataInput, cluster: Cluster) -> DataSet | Refusal:
        """The data set, if it is known and may be read at this cluster, staged or streamed."""
        data = self.data_sets.get(need.data_set)
        if data is None:
            return Refusal("DataSetUnknown", f"{need.data_set} does not exist or is not accepted; create it")
        if not self.site_allowed(data.residency, cluster.site):
            text = f"residency of {data.key.name} does not allow site {cluster.site}"
            return Refusal("Residency", f"{text}; widen residency.sites or use a pool inside it")
        return data

    def _data_at(self, need: DataInput, cluster: Cluster) -> DataAt | Refusal:
        data = self.data_for(need, cluster)
        if isinstance(data, Refusal):
            return data
        if need.mounted and cluster.storage.kind is not StorageKind.VOLUME:
            text = f"{data.key.name} has a mountPath and {cluster.name} has no volume storage"
            return Refusal("NeedsVolumeStorage", f"{text}; give it storage.volume or drop mountPath")
        if any(copy.store == cluster.store for copy in data.copies):
            return DataAt(cluster.store, True)
        if data.key in self.stopped:
            return self._carried(data, cluster)
        here = [replica for replica in data.replicas if replica.site == cluster.site]
        if any(replica.url.startswith("pvc://") for replica in here if need.mounted):
            return DataAt(f"site:{cluster.site}", True)
        if here and not need.mounted:
            return DataAt(f"site:{cluster.site}", True)
        return self._under_way(data, cluster) or self._movable(data, cluster)

    def _carried(self, data: DataSet, cluster: Cluster) -> DataAt | Refusal:
        """The checkpoint of a stopped job, at a cluster where it is not yet."""
        if not is_bucket(cluster):
            text = f"its checkpoint would have to be carried to {cluster.name}, which keeps none in a bucket"
            return Refusal("CheckpointStays", f"{text}; give that MemberCluster storage.bucket")
        if not self.readable(data):
            text = "its checkpoint lies in a claim, which is only read inside its cluster"
            return Refusal("CheckpointStays", f"{text}; storage.bucket of a MemberCluster lets jobs move on")
        return self._under_way(data, cluster) or self._movable(data, cluster)

    def _under_way(self, data: DataSet, cluster: Cluster) -> DataAt | None:
        active = self.active.get((data.key, cluster.store))
        if active is None:
            return None
        seconds = self.remaining_transfer(data, active) / usable_rate(active)
        return DataAt(cluster.store, False, active_seconds=seconds)

    def _movable(self, data: DataSet, cluster: Cluster) -> DataAt | Refusal:
        storage: Storage = cluster.storage
        size = format_bytes(data.size_bytes)
        if storage.kind is StorageKind.NONE:
            text = f"{data.key.name} ({size}) must be copied and {cluster.name} has no storage"
            return Refusal("NoStorage", f"{text}; give the MemberCluster storage.volume or storage.bucket")
        if storage.capacity_bytes is not None and data.size_bytes > storage.capacity_bytes:
            text = (
                f"{data.key.name} is {size}, storage of {cluster.name} holds {format_bytes(storage.capacity_bytes)}"
            )
            return Refusal("StorageTooSmall", f"{text}; raise its capacity")
        stores = {copy.store for copy in data.copies}
        stores |= {store for key, store in self.active if key == data.key}
        if data.max_copies is not None and len(stores) >= data.max_copies:
            text = f"{data.key.name} already has {len(stores)} copies of maxCopies {data.max_copies}"
            return Refusal("CopiesLimit", f"{text}; raise maxCopies")
        allowed = self.allowed_sites(data.residency)
        if not any(self.network.widest(site, cluster.site, allowed) is not None for site in self.readable(data)):
            if not data.replicas:
                if not data.copies:
                    text = f"{data.key.name} is only where a job is to write it"
                elif self.readable(data):
                    text = f"no path of links inside its residency leads from {data.key.name} to {cluster.site}"
                else:
                    text = f"{data.key.name} is only in a claim that a job wrote, which other clusters cannot read"
                return Refusal("NoReachableReplica", f"{text}; let the job run there, or declare a replica")
            homes = ", ".join(sorted({replica.site for replica in data.replicas}))
            text = f"no path of links inside its residency leads from {data.key.name} ({homes}) to {cluster.site}"
            return Refusal("NoReachableReplica", f"{text}; declare a Link or a replica with a reachable url")
        sources = self.sources(data)
        rate = self.network.max_flow(sources - {cluster.site}, cluster.site, allowed)
        size_bytes = float(max(0, data.size_bytes))
        if cluster.site in sources:
            return DataAt(cluster.store, False, size_bytes, rate + IN_SITE_BYTES_PER_SECOND)
        return DataAt(cluster.store, False, size_bytes, rate, (sources, allowed))

    def readable(self, data: DataSet) -> Mapping[str, str]:
        """Sites from which another cluster can read it, sorted, with the address."""
        found = homes(data, self._buckets)
        return {site: found[site] for site in sorted(found)}

    def remaining_transfer(self, data: DataSet, active: ActiveTransfer) -> float:
        """Bytes an active transfer still has to move; overdue ones are expected to need a little more."""
        rate = usable_rate(active)
        moving = self.now - active.started_at - self.startup_seconds
        left = data.size_bytes - rate * max(0.0, moving)
        floor = max(OVERDUE_SECONDS * rate, OVERDUE_SHARE * data.size_bytes)
        return min(float(data.size_bytes), left) if left > 0.0 else floor

    def transfer_startup(self, data: DataSet) -> float:
        """Seconds until the bytes of a new transfer flow; a checkpoint stays while its job's pods end."""
        job = self.stopped.get(data.key)
        return self.startup_seconds + (0.0 if job is None else leaving_seconds(job, self.now))

    def remaining_startup(self, active: ActiveTransfer) -> float:
        """Seconds until its bytes flow."""
        return max(0.0, self.startup_seconds - max(0.0, self.now - active.started_at))


def _writers(snapshot: Snapshot) -> dict[Key, Key]:
    """Data sets that unfinished jobs write, each with the one that may: who was released, else the oldest."""
    out: dict[Key, Key] = {}
    for job in sorted(snapshot.jobs, key=lambda job: (job.placed is None, job.created_at, job.key)):
        if job.output is not None and job.output.data_set is not None:
            out.setdefault(job.output.data_set, job.key)
    return out


def remaining_seconds(length_seconds: float, elapsed_seconds: float) -> float:
    """What is left of something that runs; once overdue, 5 % of its length and at least 1 s."""
    left = length_seconds - max(0.0, elapsed_seconds)
    return left if left > 0.0 else max(OVERDUE_SECONDS, OVERDUE_SHARE * length_seconds)


def usable_rate(active: ActiveTransfer) -> float:
    rate = active.rate_bytes_per_second
    return rate if math.isfinite(rate) and rate > 1e-9 else 1e-9


def _all_sites(fleet: Fleet) -> tuple[str, ...]:
    names = {site.name for site in fleet.sites} | {cluster.site for cluster in fleet.clusters}
    names |= {link.source for link in fleet.links} | {link.target for link in fleet.links}
    return tuple(sorted(names))


def _repels(node: Node, tolerations: tuple[Toleration, ...]) -> bool:
    return any(
        taint.effect in ("NoSchedule", "NoExecute") and not any(t.tolerates(taint) for t in tolerations)
        for taint in node.taints
    )


def _over(cap: Cap, taken: float, held: Sequence[tuple[Pool, int]]) -> Refusal:
    """`held`: what counts for the cap."""
    kinds = " + ".join(f"{devices} x {pool.accelerator}" for pool, devices in held)
    if cap.kind is CapKind.POWER:
        text = f"{kinds} draw {taken:g} W at their peak, {cap.name} has {cap.most:g} W"
        return Refusal("PowerCap", f"{text}; raise power.capWatts of the Site, or use fewer devices")
    policy, kind = cap.name.split("/", 1)
    text = f"it needs {taken:g} {kind}, and the namespaces of policy {policy} may hold {cap.most:g} together"
    return Refusal("DeviceLimit", f"{text}; raise devices in its deviceLimits, or use fewer devices")


def _blocked(pool: Pool, tolerations: tuple[Toleration, ...], replicas: int, fit: int) -> Refusal:
    tainted = [node for node in pool.nodes if _repels(node, tolerations)]
    if tainted:
        taint = tainted[0].taints[0]
        text = f"{len(tainted)} of {len(pool.nodes)} nodes of {pool.name} are tainted ({taint.key}:{taint.effect})"
        return Refusal("Taint", f"{text}; {fit} of {replicas} pods fit on the others; remove it or tolerate it")
    closed = sum(not node.schedulable for node in pool.nodes)
    text = f"{closed} of {len(pool.nodes)} nodes of {pool.name} are cordoned or not ready"
    return Refusal("NodesUnavailable", f"{text}; {fit} of {replicas} pods fit on the others")


_NAMES = ("devices", "millicores of cpu", "bytes of memory", "bytes of ephemeral storage", "pods")


def _too_small(pod: Resources, replicas: int, pool: Pool, nodes: tuple[Node, ...], fit: int) -> str:
    shapes = [node.free for node in nodes] + ([pool.growth.shape] if pool.growth and pool.growth.nodes > 0 else [])
    if not shapes:
        return f"pool {pool.name} has no usable node; {replicas} pods need one"
    for place, name in enumerate(_NAMES):
        want, best = pod.as_tuple()[place], max(shape.as_tuple()[place] for shape in shapes)
        if want > best:
            return f"a pod needs {want} {name}; the largest node of {pool.name} has {best} free; ask for less"
    return f"{replicas} pods are needed at once; {fit} fit into {pool.name} ({len(nodes)} nodes); use fewer replicas"
