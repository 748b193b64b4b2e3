"""Pools -> Node objects, and stage files -> the configuration one cluster's KWOK reads."""

import json
from pathlib import Path
from typing import Any

from hack.ground.fleet import ClusterSpec, Pool

STAGES = Path(__file__).resolve().parent / "stages"
FAULT = "ground.polyhull.io/fault"
POOL = "ground.polyhull.io/pool"
RUN_SECONDS = "ground.polyhull.io/run-seconds"
STARTED_AT = "ground.polyhull.io/started-at"

_HAS_RUN_TIME = f'.metadata.annotations["{RUN_SECONDS}"] // "" | test("^[0-9]+([.][0-9]+)?$") | tostring'
# What is left of the run time, as Go writes durations. jq reads whole seconds only, so the fraction is added by hand.
_RUN_TIME = (
    f'.metadata.annotations | .["{STARTED_AT}"] as $start | ($start[0:19] + "Z" | fromdateiso8601)'
    ' + ("0" + ([$start | match("[.][0-9]+") | .string] | first // "") | tonumber)'
    f' + (.["{RUN_SECONDS}"] | tonumber) - now | . * 1000 | floor | tostring + "ms"'
)


def node(pool: Pool, index: int, site: str) -> dict[str, Any]:
    """One simulated node with the pool's resources in capacity and allocatable."""
    name = f"{pool.name}-{index}"
    resources = {"cpu": pool.cpu, "memory": pool.memory, "ephemeral-storage": pool.storage, "pods": str(pool.pods)}
    if pool.accelerator:
        resources[pool.accelerator] = str(pool.devices)
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        POOL: pool.name,
        **({"topology.kubernetes.io/region": site} if site else {}),
        **({FAULT: pool.fault} if pool.fault else {}),
        **pool.labels,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": [dict(taint) for taint in pool.taints]},
        "status": {"capacity": resources, "allocatable": resources},
    }


def nodes(cluster: ClusterSpec) -> list[dict[str, Any]]:
    return [node(pool, index, cluster.site) for pool in cluster.pools for index in range(pool.count)]


def stages(cluster: ClusterSpec) -> str:
    """All stage files as one document stream, with their shared expressions (jq) filled in.

    A stage sees a pod and not its node, so the faulty nodes' names are written into the expression.
    """
    fault = (
        f'.metadata.annotations["{FAULT}"] // .metadata.labels["{FAULT}"]'
        f' // ({json.dumps(cluster.node_faults())}[.spec.nodeName // ""]) // "none"'
    )
    text = "\n---\n".join(path.read_text() for path in sorted(STAGES.glob("*.yaml")))
    for token, expression in (("@fault@", fault), ("@has-run-time@", _HAS_RUN_TIME), ("@run-time@", _RUN_TIME)):
        text = text.replace(token, expression)
    return text
