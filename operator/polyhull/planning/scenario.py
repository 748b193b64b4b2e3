"""What if: a snapshot with changes made to it. Pure; the snapshot itself is a value and stays what it is."""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import replace
from difflib import get_close_matches
from functools import singledispatch
from typing import Any, TypeVar

from polyhull.domain.errors import InvalidInput
from polyhull.domain.fleet import Fleet, Link, Node, Pool, Site
from polyhull.domain.resources import Resources
from polyhull.domain.scenario import (
    AddCopy,
    AddDevices,
    AddNodes,
    Change,
    LoseCluster,
    RemoveJob,
    ResizePool,
    SetDeviceLimit,
    SetLink,
    SetObjective,
    SetPriority,
    SubmitJob,
)
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Copy, Key, PlacedPart, Resume, Serving, TrainingJob

T = TypeVar("T")
MOST_NODES = 100_000
"""A what-if asks about a fleet that could be bought."""


def changed(snapshot: Snapshot, changes: Iterable[Change], where: str = "") -> Snapshot:
    """The snapshot with all changes made in turn. Raises InvalidInput that names the change (`spec.changes[1]`).

    `where` names the asker in errors.
    """
    for index, change in enumerate(changes):
        try:
            snapshot = _made(change, snapshot)
        except _Wrong as wrong:
            field = f"spec.changes[{index}].{wrong.field}"
            raise InvalidInput(where or "the scenario", field, wrong.problem, wrong.remedy) from None
    return snapshot


class _Wrong(Exception):
    def __init__(self, field: str, problem: str, remedy: str) -> None:
        self.field, self.problem, self.remedy = field, problem, remedy


@singledispatch
def _made(change: Any, snapshot: Snapshot) -> Snapshot:
    raise TypeError(f"{type(change).__name__} is no change")


@_made.register
def _(change: AddNodes, snapshot: Snapshot) -> Snapshot:
    pool = _found(snapshot.fleet.pools, change.pool, "addNodes.pool", "pool")
    _bounded(len(pool.nodes) + change.nodes, "addNodes.nodes")
    return _with_pool(snapshot, _grown(pool, change.nodes, node_shape(pool), "addNodes.pool"))


@_made.register
def _(change: AddDevices, snapshot: Snapshot) -> Snapshot:
    cluster = _found(snapshot.fleet.clusters, change.cluster, "addDevices.cluster", "MemberCluster")
    kind = _found(snapshot.fleet.accelerators, change.accelerator, "addDevices.accelerator", "AcceleratorType")
    mine = [pool for pool in snapshot.fleet.pools if (pool.cluster, pool.accelerator) == (cluster.name, kind.name)]
    pool = next((one for one in mine if node_shape(one) is not None), None)
    shape = change.shape or (node_shape(pool) if pool is not None else None)
    if pool is None:
        name = f"{cluster.name}/{kind.name}"
        pool = next(iter(mine), Pool(name, cluster.name, cluster.site, kind.name))
    if shape is None or shape.devices < 1:
        problem = f"{cluster.name} has no {kind.name} node whose shape could be taken"
        raise _Wrong("addDevices.capacity", problem, "write the cpu and memory of one node, and devicesPerNode")
    whole, rest = divmod(change.devices, shape.devices)
    _bounded(len(pool.nodes) + whole + 1, "addDevices.devices")
    grown = _grown(pool, whole, shape, "addDevices")
    if rest:
        grown = _grown(grown, 1, replace(shape, devices=rest), "addDevices")
    return _with_pool(snapshot, grown)


@_made.register
def _(change: ResizePool, snapshot: Snapshot) -> Snapshot:
    pool = _found(snapshot.fleet.pools, change.pool, "resizePool.pool", "pool")
    more = change.nodes - len(pool.nodes)
    _bounded(change.nodes, "resizePool.nodes")
    if more >= 0:
        return _with_pool(snapshot, _grown(pool, more, node_shape(pool), "resizePool.pool"))
    busy = _busy(snapshot, pool.name)
    emptiest = sorted(pool.nodes, key=lambda node: (busy.get(node.name, 0), -node.free.devices, node.name))
    gone = {node.name for node in emptiest[:-more]}
    kept = tuple(node for node in pool.nodes if node.name not in gone)
    return _without_nodes(_with_pool(snapshot, replace(pool, nodes=kept)), pool.name, gone)


@_made.register
def _(change: SetLink, snapshot: Snapshot) -> Snapshot:
    fleet = snapshot.fleet
    for field, name in (("from", change.source), ("to", change.target)):
        _found(fleet.sites, name, f"setLink.{field}", "Site")
    ends = (change.source, change.target)
    if change.source == change.target:
        raise _Wrong("setLink.to", "is the site it starts from", "name two sites")
    others = tuple(link for link in fleet.links if (link.source, link.target) != ends)
    old = next((link for link in fleet.links if (link.source, link.target) == ends), None)
    speed = change.bandwidth_bits_per_second
    if speed <= 0.0:
        if old is None:
            raise _Wrong("setLink", f"there is no link from {ends[0]} to {ends[1]} to take away", "leave it out")
        return replace(snapshot, fleet=replace(fleet, links=others))
    taken = {link.name for link in fleet.links}
    name = next(name for name in (f"what-if-{ends[0]}-{ends[1]}", "what-if") if name not in taken)
    new = replace(old, bandwidth_bits_per_second=speed) if old is not None else Link(name, *ends, speed)
    return replace(snapshot, fleet=replace(fleet, links=(*others, new)))


@_made.register
def _(change: LoseCluster, snapshot: Snapshot) -> Snapshot:
    fleet = snapshot.fleet
    lost = _found(fleet.clusters, change.cluster, "loseCluster.cluster", "MemberCluster")
    clusters = tuple(one for one in fleet.clusters if one.name != lost.name)
    stores = {one.store for one in clusters}
    left: Fleet = replace(
        fleet, clusters=clusters, pools=tuple(pool for pool in fleet.pools if pool.cluster != lost.name)
    )
    sets = tuple(
        replace(data, copies=tuple(copy for copy in data.copies if copy.store != lost.store or copy.store in stores))
        for data in snapshot.data_sets
    )
    moving = tuple(one for one in snapshot.transfers if one.cluster != lost.name)
    gone = set() if lost.store in stores else {lost.store}
    jobs = tuple(replace(job, resume=_still_held(job.resume, gone)) for job in snapshot.jobs)
    kept = replace(snapshot, fleet=left, data_sets=sets, transfers=moving, jobs=jobs)
    return _restarted(kept, lambda place: place.cluster == lost.name)


@_made.register
def _(change: SetDeviceLimit, snapshot: Snapshot) -> Snapshot:
    limits = snapshot.policy.device_limits
    old = _found(limits, f"{change.policy}/{change.accelerator}", "setDeviceLimit", "device limit")
    new = tuple(replace(one, devices=change.devices) if one is old else one for one in limits)
    return replace(snapshot, policy=replace(snapshot.policy, device_limits=new))


@_made.register
def _(change: SetObjective, snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, policy=replace(snapshot.policy, objective=change.terms))


@_made.register
def _(change: SubmitJob, snapshot: Snapshot) -> Snapshot:
    key = change.job.key
    if key in _keys(snapshot):
        raise _Wrong("submitJob.name", f"there is a {key.kind} {key.namespace}/{key.name} already", "name it anew")
    known = {data.key for data in snapshot.data_sets}
    for index, read in enumerate(change.job.inputs):
        if read.data_set not in known:
            problem = f"namespace {read.data_set.namespace} has no usable DataSet {read.data_set.name}"
            raise _Wrong(f"submitJob.data[{index}].dataSetRef", problem, "name one that there is")
    return replace(snapshot, jobs=(*snapshot.jobs, change.job))


@_made.register
def _(change: RemoveJob, snapshot: Snapshot) -> Snapshot:
    _job(snapshot, change.key, "removeJob")
    return replace(
        snapshot,
        jobs=tuple(one for one in snapshot.jobs if one.key != change.key),
        services=tuple(one for one in snapshot.services if one.key != change.key),
    )


@_made.register
def _(change: SetPriority, snapshot: Snapshot) -> Snapshot:
    _job(snapshot, change.key, "setPriority")

    def raised(one: Any) -> Any:
        return replace(one, priority=change.priority) if one.key == change.key else one

    return replace(snapshot, jobs=tuple(map(raised, snapshot.jobs)), services=tuple(map(raised, snapshot.services)))


@_made.register
def _(change: AddCopy, snapshot: Snapshot) -> Snapshot:
    site: Site = _found(snapshot.fleet.sites, change.site, "addCopy.site", "Site")
    data = next((one for one in snapshot.data_sets if one.key == change.data_set), None)
    if data is None:
        names = [one.key.name for one in snapshot.data_sets if one.key.namespace == change.data_set.namespace]
        raise _unknown("addCopy.name", "DataSet", change.data_set.name, names)
    if not data.residency.matches(site.labels):
        raise _Wrong("addCopy.site", f"{site.name} is outside the data set's residency", "name a site inside it")
    stores = {cluster.store for cluster in snapshot.fleet.clusters if cluster.site == site.name}
    if not stores:
        raise _Wrong("addCopy.site", f"{site.name} has no cluster that could read it", "name a site with one")
    new = tuple(Copy(store, site.name) for store in sorted(stores - {copy.store for copy in data.copies}))
    more = replace(data, copies=(*data.copies, *new))
    return replace(snapshot, data_sets=tuple(more if one is data else one for one in snapshot.data_sets))


def node_shape(pool: Pool) -> Resources | None:
    """What an empty node of the pool offers: what its nodes have free at most, else what growth would add."""
    shapes = [node.free for node in pool.nodes] + ([pool.growth.shape] if pool.growth else [])
    if not shapes:
        return None
    most = Resources(*(max(values) for values in zip(*(shape.as_tuple() for shape in shapes), strict=True)))
    return most if most.devices > 0 else None


def _grown(pool: Pool, count: int, shape: Resources | None, field: str) -> Pool:
    if count and shape is None:
        problem = f"{pool.name} has no node whose shape could be taken"
        raise _Wrong(field, problem, "declare the pool's capacity in a ComputePool")
    assert shape is not None or not count
    pattern = next(iter(pool.nodes), None)
    labels = pattern.labels if pattern is not None else pool.node_selector
    first = len(pool.nodes)
    new = tuple(
        Node(f"what-if-{pool.short_name}-{first + i:05d}", shape, labels) for i in range(count) if shape is not None
    )
    return replace(pool, nodes=(*pool.nodes, *new))


def _with_pool(snapshot: Snapshot, pool: Pool) -> Snapshot:
    others = tuple(one for one in snapshot.fleet.pools if one.name != pool.name)
    return replace(snapshot, fleet=replace(snapshot.fleet, pools=(*others, pool)))


def _busy(snapshot: Snapshot, pool: str) -> Mapping[str, int]:
    """Pods of jobs and services under way, by node of the pool."""
    places: list[PlacedPart | Serving] = [
        place for job in snapshot.jobs if job.placed is not None for place in job.placed.places
    ]
    places += [one for service in snapshot.services for one in service.serving]
    out: dict[str, int] = {}
    for place in places:
        for name, pods in place.nodes if place.pool == pool else ():
            out[name] = out.get(name, 0) + pods
    return out


def _without_nodes(snapshot: Snapshot, pool: str, gone: set[str]) -> Snapshot:
    return _restarted(snapshot, lambda place: place.pool == pool and any(name in gone for name, _ in place.nodes))


def _still_held(resume: Resume | None, gone: Set[str]) -> Resume | None:
    """What a stopped job goes on from, less what lies in stores that are gone."""
    if resume is None or not gone:
        return resume
    return replace(resume, stores=tuple(copy for copy in resume.stores if copy.store not in gone))


def _restarted(snapshot: Snapshot, hit: Callable[[PlacedPart | Serving], bool]) -> Snapshot:
    """Jobs whose place is hit start again from nothing; replicas there are gone."""

    def again(job: TrainingJob) -> TrainingJob:
        return (
            replace(job, placed=None, resume=None)
            if job.placed is not None and any(map(hit, job.placed.places))
            else job
        )

    return replace(
        snapshot,
        jobs=tuple(map(again, snapshot.jobs)),
        services=tuple(
            replace(one, serving=tuple(part for part in one.serving if not hit(part))) for one in snapshot.services
        ),
    )


def _keys(snapshot: Snapshot) -> tuple[Key, ...]:
    return (*(job.key for job in snapshot.jobs), *(service.key for service in snapshot.services))


def _job(snapshot: Snapshot, key: Key, field: str) -> None:
    names = [one.name for one in _keys(snapshot) if (one.kind, one.namespace) == (key.kind, key.namespace)]
    if key.name not in names:
        raise _unknown(f"{field}.name", f"{key.kind} of namespace {key.namespace}", key.name, names)


def _found(those: Iterable[T], name: str, field: str, what: str) -> T:
    known = {str(one.name): one for one in those}  # type: ignore[attr-defined]
    if name not in known:
        raise _unknown(field, what, name, known)
    return known[name]


def _unknown(field: str, what: str, name: str, names: Iterable[str]) -> _Wrong:
    there = sorted(names)
    near = get_close_matches(name, there, n=3) or there[:5]
    remedy = f"write one such as {', '.join(near)}" if near else "there is none at all"
    return _Wrong(field, f"there is no {what} {name}", remedy)


def _bounded(nodes: int, field: str) -> None:
    if nodes > MOST_NODES:
        raise _Wrong(field, f"a pool would have {nodes} nodes", f"ask about at most {MOST_NODES}")
