"""Pools as what packs pods into them sees them: nodes that take new pods, and only the resources that bind."""

from collections.abc import Iterable

from polyhull.domain.fleet import Fleet, Pool, Taint
from polyhull.domain.resources import Resources
from polyhull.domain.snapshot import Snapshot
from polyhull.optimize.columns import Column
from polyhull.planning.instance import PoolModel
from polyhull.planning.timeline import Units


def usable(fleet: Fleet, pool: Pool) -> list[bool]:
    """Per node: may pods of this pool's accelerator be bound there."""
    kind = fleet.accelerator(pool.accelerator)
    tolerations = kind.tolerations if kind is not None else ()

    def repels(taint: Taint) -> bool:
        return taint.effect != "PreferNoSchedule" and not any(t.tolerates(taint) for t in tolerations)

    return [node.schedulable and not any(repels(taint) for taint in node.taints) for node in pool.nodes]


def binding_dimensions(shapes: Iterable[Resources], pods: Iterable[Resources]) -> tuple[int, ...]:
    """Indexes of the resources that can run out before devices do; exact cross-multiplication.

    If every pod asks for at most as much of a resource per device as every node has per device, then whatever fits
    by devices fits by that resource, whatever the mixture.
    """
    nodes = {shape.as_tuple() for shape in shapes if shape.devices > 0}
    wants = {pod.as_tuple() for pod in pods}
    out = [0]
    for k in range(1, 5):
        if any(want[k] * node[0] > max(0, node[k]) * want[0] for want in wants for node in nodes):
            out.append(k)
    return tuple(out)


def units(resources: Resources, dimensions: tuple[int, ...]) -> Units:
    values = resources.as_tuple()
    return values[0] if len(dimensions) == 1 else tuple(values[k] for k in dimensions)


def pods_by_pool(snapshot: Snapshot, columns: Iterable[Column]) -> dict[str, set[Resources]]:
    """What may have to be packed in each pool: pods of columns, and of services' variants of its kind."""
    by_kind: dict[str, set[Resources]] = {}
    for service in snapshot.services:
        for variant in service.variants:
            by_kind.setdefault(variant.accelerator, set()).add(variant.pod)
    pods = {pool.name: set(by_kind.get(pool.accelerator, ())) for pool in snapshot.fleet.pools}
    for job in snapshot.jobs:
        if job.resume is not None and job.resume.nodes:
            left = (option.pod for option in job.options if option.name == job.resume.option)
            pods.setdefault(job.resume.pool, set()).update(left)
    for column in columns:
        pods.setdefault(column.pool, set()).add(column.pod)
        for part in column.parts:
            pods.setdefault(part.pool, set()).add(part.pod)
    return pods


def pool_model(fleet: Fleet, pool: Pool, pods: Iterable[Resources]) -> PoolModel:
    """A pool as what packs these pods sees it."""
    may = usable(fleet, pool)
    nodes = [node for node, ok in zip(pool.nodes, may, strict=True) if ok]
    shapes = [node.free for node in nodes] + ([pool.growth.shape] if pool.growth else [])
    dimensions = binding_dimensions(shapes, pods)
    return PoolModel(
        pool.name,
        tuple(node.name for node in nodes),
        dimensions,
        tuple(units(node.free, dimensions) for node in nodes),
        pool.growth.nodes if pool.growth else 0,
        units(pool.growth.shape, dimensions) if pool.growth else 0,
        pool.growth.provision_seconds if pool.growth else 0.0,
    )
