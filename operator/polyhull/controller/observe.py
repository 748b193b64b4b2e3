"""From what hub and members show to what a decision may know: one frozen instant. Pure but for reading mirrors.

Capacity is read before demand is judged, so that an error under-places and heals with the next cycle.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from polyhull.api.conditions import Reason
from polyhull.api.convert import is_online, key_of, managed_by_us
from polyhull.api.world import Memo, Observed, World, world_of
from polyhull.api.world import ref_of as world_ref
from polyhull.controller import checkpoints, children
from polyhull.controller.children import Member, News, Patience
from polyhull.controller.hubjob import HubJob, State, Verdict
from polyhull.controller.renders import HubDataSet
from polyhull.domain.fleet import Fleet, Pool, StorageKind
from polyhull.domain.labels import Labels
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.units import parse_whole
from polyhull.domain.workloads import ActiveTransfer, Key, Placed, Promise, Resume, Serving, TrainingJob
from polyhull.kube import inventory
from polyhull.kube.cache import Cache
from polyhull.kube.members import Member as Connection
from polyhull.kube.members import MemberState
from polyhull.kube.resources import DEPLOYMENTS, JOBS, PERSISTENT_VOLUME_CLAIMS, PODS, SERVICES, Manifest
from polyhull.optimize.learn import with_learnt
from polyhull.optimize.reached import with_reached
from polyhull.render import keeping, naming

_CHILD_KINDS = (JOBS, DEPLOYMENTS, SERVICES, PERSISTENT_VOLUME_CLAIMS)


@dataclass(frozen=True, slots=True)
class View:
    """One instant. `objects` are hub bodies with what is being written already in place."""

    now: float
    objects: tuple[Manifest, ...]
    members: Mapping[str, Member]
    observed: Mapping[str, Observed]
    caches: Mapping[str, Cache]
    """Of reachable members."""
    world: World
    jobs: tuple[HubJob, ...]
    services: tuple[Manifest, ...]
    data_sets: Mapping[Key, HubDataSet]
    """The checkpoints of stopped jobs among them."""
    transfers: Mapping[Key, tuple[ActiveTransfer, ...]]
    connections: Mapping[str, tuple[bool | None, str, str]] = field(default_factory=dict)
    """Condition Connected by member: status, reason, message."""
    versions: Mapping[str, str] = field(default_factory=dict)


def member_view(
    connection: Connection,
    raw: Manifest | None,
    news: tuple[News, ...],
    hub: str,
    patience: Patience,
    provisioning: Mapping[str, float] | None = None,
) -> Member:
    """A member's mirrors grouped by owner. Children of another hub are none of our business."""
    status = (raw or {}).get("status") or {}
    fenced = bool(((raw or {}).get("spec") or {}).get("fenced"))
    cache = connection.cache
    if not connection.connected or cache is None:
        stones = tuple(status.get("tombstones") or ())
        return Member(connection.name, False, fenced, tombstones=stones, patience=patience)
    ours = [body for resource in _CHILD_KINDS for body in cache.objects(resource) if _of_hub(body, hub)]
    pods = [body for body in cache.objects(PODS) if inventory.owner_uid(body) and _of_hub(body, hub)]
    return Member(
        name=connection.name,
        reachable=True,
        fenced=fenced,
        children=children.group_by_owner(ours),
        pods=children.group_by_owner(pods),
        news=news,
        patience=patience,
        tombstones=tuple(status.get("tombstones") or ()),
        provisioning=provisioning or {},
    )


def _of_hub(body: Manifest, hub: str) -> bool:
    return children.labels_of(body).get(naming.HUB, hub) == hub


def observed_of(connection: Connection, reachable: bool) -> Observed:
    """What contact tells of a member."""
    served = {
        "serves_pod_groups": connection.pod_groups is not None,
        "serves_service_exports": connection.service_exports,
    }
    if connection.wanted.local:
        return Observed(reachable, None, None, **served)
    if not reachable or connection.cache is None:
        return Observed(reachable, frozenset(), frozenset(), **served)
    allowed = inventory.allowed_service_accounts(connection.cache)
    accounts = frozenset(f"{namespace}/{name}" for namespace, names in allowed.items() for name in names)
    return Observed(reachable, inventory.accepted_namespaces(connection.cache), accounts, **served)


def view(
    now: float,
    objects: Iterable[Manifest],
    connections: Iterable[Connection],
    news: Mapping[str, tuple[News, ...]],
    hub: str,
    namespaces: Mapping[str, Labels],
    patience: Patience,
    memo: Memo | None = None,
) -> View:
    """Everything at one instant. `memo`: of the looks before."""
    bodies, connected = tuple(objects), tuple(connections)
    raw_members = {body["metadata"]["name"]: body for body in bodies if body["kind"] == "MemberCluster"}
    reachable = {one.name: one.connected and one.cache is not None for one in connected}
    observed = {one.name: observed_of(one, reachable[one.name]) for one in connected}
    caches = {one.name: one.cache for one in connected if one.connected and one.cache is not None}
    world = world_of(bodies, observed=observed, namespaces=namespaces, memo=memo)
    growing = {
        f"{pool.cluster}/{pool.name}": pool.provision_seconds
        for pool in world.declared_pools
        if pool.max_nodes is not None
    }
    members = {
        one.name: member_view(one, raw_members.get(one.name), news.get(one.name, ()), hub, patience, growing)
        for one in connected
    }
    data_sets = {entry.key: entry for entry in world.data_sets}
    transfers: dict[Key, tuple[ActiveTransfer, ...]] = {}
    for moved in world.transfers:
        transfers[moved.data_set] = (*transfers.get(moved.data_set, ()), moved)
    jobs = tuple(_hub_job(body, world) for body in bodies if _finite(body))
    return View(
        now=now,
        objects=bodies,
        members=members,
        observed=observed,
        caches=caches,
        world=world,
        jobs=jobs,
        services=tuple(body for body in bodies if is_online(body) and managed_by_us(body)),
        data_sets={
            key_of(body): HubDataSet(body, data_sets[key_of(body)])
            for body in bodies
            if body["kind"] == "DataSet" and key_of(body) in data_sets
        }
        | checkpoints.checkpoints(jobs),
        transfers=transfers,
        connections={one.name: _connected(one) for one in connected},
        versions={one.name: one.version for one in connected},
    )


def _connected(connection: Connection) -> tuple[bool | None, str, str]:
    known: bool | None = connection.connected
    if connection.state is MemberState.CONNECTING:
        known = None
    return known, str(connection.state), connection.message


def _finite(body: Manifest) -> bool:
    return body["kind"] == "TrainingJob" or (body["kind"] == "InferenceJob" and not is_online(body))


def _hub_job(body: Manifest, world: World) -> HubJob:
    if not managed_by_us(body):
        return HubJob(body, key_of(body), foreign=True)
    verdict = world.verdicts.get(world_ref(body))
    if verdict is None:
        return HubJob(body, key_of(body), False, Reason.INVALID_SPEC, "it could not be read")
    return HubJob(body, key_of(body), verdict.accepted, verdict.reason, verdict.message)


def fleet_of(seen: View, own_uids: frozenset[str]) -> Fleet:
    """Sites, links, clusters and pools now; pods of `own_uids` are left to the plan to account for."""
    world = seen.world
    pools: list[Pool] = []
    for cluster in world.clusters:
        cache = seen.caches.get(cluster.name)
        if cache is not None:
            pools += inventory.pools(
                cache, cluster.name, cluster.site, world.declared_pools, world.accelerators, own_uids
            )
    return Fleet(world.sites, world.links, world.clusters, tuple(sorted(pools, key=_name)), world.accelerators)


def _name(pool: Pool) -> str:
    return pool.name


def snapshot_of(
    seen: View, verdicts: Mapping[Key, Verdict], promises: Mapping[Key, Promise], remembered: Mapping[str, Pool]
) -> Snapshot:
    """What the decision may know. `remembered`: pools as last seen, for jobs in members that do not answer."""
    placed = {key: verdict.placed for key, verdict in verdicts.items() if verdict.placed is not None}
    own = {job.uid for job in seen.jobs if job.key in placed} | {str(raw["metadata"]["uid"]) for raw in seen.services}
    fleet = fleet_of(seen, frozenset(own))
    known = {pool.name for pool in fleet.pools}
    extra = tuple(
        replace(pool, nodes=(), growth=None)
        for name, pool in sorted(remembered.items())
        if name not in known and any(name in one.pools for one in placed.values())
    )
    pools = tuple(sorted((*fleet.pools, *extra), key=_name))
    names = {pool.name for pool in pools}
    jobs = [
        job
        for job in (_planned(job, verdicts.get(job.key), promises, seen.now) for job in seen.world.jobs)
        if job is not None and (job.placed is None or names.issuperset(job.placed.pools))
    ]
    services = [
        replace(
            service,
            serving=tuple(_bound(one, service.uid, seen.members) for one in service.serving),
            exclusions=tuple(one for one in service.exclusions if one.until > seen.now),
        )
        for service in seen.world.services
    ]
    snapshot = Snapshot(
        taken_at=seen.now,
        fleet=less_kept(replace(fleet, pools=pools), seen.members, {job.uid for job in jobs}),
        jobs=tuple(jobs),
        services=tuple(services),
        data_sets=seen.world.data_sets,
        transfers=tuple(sorted(seen.world.transfers, key=lambda one: (one.data_set, one.store))),
        policy=seen.world.policy,
    )
    taught = with_learnt(snapshot, seen.world.observations, seen.world.signatures)
    return with_reached(taught, seen.world.shipments)


def less_kept(fleet: Fleet, members: Mapping[str, Member], planned: Set[str]) -> Fleet:
    """Volume storage less what claims of jobs hold that are not in the plan: those that ended, or are suspended."""
    clusters = []
    for cluster in fleet.clusters:
        member, capacity = members.get(cluster.name), cluster.storage.capacity_bytes
        if member is not None and capacity is not None and cluster.storage.kind is StorageKind.VOLUME:
            held = sum(_claimed(body) for uid, some in member.children.items() if uid not in planned for body in some)
            cluster = replace(cluster, storage=replace(cluster.storage, capacity_bytes=max(0, capacity - held)))
        clusters.append(cluster)
    return replace(fleet, clusters=tuple(clusters))


def _claimed(body: Manifest) -> int:
    """Bytes of a claim of checkpoints or of an output."""
    if children.component(body) not in (keeping.CHECKPOINT, keeping.OUTPUT):
        return 0
    return parse_whole(str(body["spec"]["resources"]["requests"]["storage"]))


def _planned(
    job: TrainingJob, verdict: Verdict | None, promises: Mapping[Key, Promise], now: float
) -> TrainingJob | None:
    """The job as the plan sees it; None when it takes no part now."""
    if verdict is None:
        return None
    exclusions = tuple(one for one in job.exclusions if one.until > now)
    placed: Placed | None = verdict.placed
    if placed is not None and job.resume is not None and job.resume.free_at > 0.0:
        resume, waits = job.resume, not placed.uncertain
        told = replace(resume, nodes=placed.nodes, free_at=_free_at(resume, now)) if waits else _gone(resume)
        promise = promises.get(job.key) if waits else None
        return replace(job, placed=None if waits else placed, resume=told, promise=promise, exclusions=exclusions)
    if placed is not None:
        return replace(job, placed=placed, promise=None, exclusions=exclusions)
    if verdict.state is State.WAITING:
        return replace(job, placed=None, promise=promises.get(job.key, job.promise), exclusions=exclusions)
    return None


def _free_at(resume: Resume, now: float) -> float:
    """When pods that are being stopped are expected to be gone; twice as long as that once it is over, and so on."""
    grace = max(1.0, resume.free_at - resume.stopped_at)
    while resume.stopped_at + grace <= now:
        grace *= 2.0
    return resume.stopped_at + grace


def _gone(resume: Resume) -> Resume:
    return replace(resume, nodes=(), free_at=0.0)


def _bound(serving: Serving, uid: str, members: Mapping[str, Member]) -> Serving:
    """Nodes as observed where all replicas are bound, else as planned."""
    member = members.get(serving.cluster)
    if member is None or not member.reachable:
        return serving
    counts: dict[str, int] = {}
    for pod in member.pods.get(uid, ()):
        labels: Mapping[str, Any] = children.labels_of(pod)
        same = labels.get(naming.POOL) == naming.label_value(serving.pool)
        same = same and labels.get(naming.VARIANT) == naming.label_value(serving.variant)
        if (
            same
            and (node := (pod.get("spec") or {}).get("nodeName"))
            and not pod["metadata"].get("deletionTimestamp")
        ):
            counts[node] = counts.get(node, 0) + 1
    if sum(counts.values()) != serving.replicas:
        return serving
    return replace(serving, nodes=tuple(sorted(counts.items())))


Digest = Callable[[Snapshot], Any]


def essence(snapshot: Snapshot) -> Any:
    """The snapshot without its instant: equal essence, nothing new to decide (but for time passing)."""
    return replace(snapshot, taken_at=0.0)
