"""One order for everything in a snapshot, so that the order in which objects are listed decides nothing."""

from dataclasses import replace

from polyhull.domain.snapshot import Snapshot
from polyhull.optimize.resumed import resumed


def canonical(snapshot: Snapshot) -> Snapshot:
    """The same snapshot whatever order its objects came in, checkpoints of stopped jobs among its data sets."""
    fleet, snapshot = snapshot.fleet, resumed(snapshot)
    return replace(
        snapshot,
        jobs=tuple(sorted(snapshot.jobs, key=lambda job: job.key)),
        services=tuple(sorted(snapshot.services, key=lambda service: service.key)),
        data_sets=tuple(sorted(snapshot.data_sets, key=lambda data: data.key)),
        transfers=tuple(sorted(snapshot.transfers, key=lambda t: (t.data_set, t.store, t.source_site))),
        fleet=replace(
            fleet,
            sites=tuple(sorted(fleet.sites, key=lambda site: site.name)),
            links=tuple(sorted(fleet.links, key=lambda link: link.name)),
            clusters=tuple(sorted(fleet.clusters, key=lambda cluster: cluster.name)),
            pools=tuple(
                replace(pool, nodes=tuple(sorted(pool.nodes, key=lambda node: node.name)))
                for pool in sorted(fleet.pools, key=lambda pool: pool.name)
            ),
            accelerators=tuple(sorted(fleet.accelerators, key=lambda kind: kind.name)),
        ),
    )
