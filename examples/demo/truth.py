"""The truth table of the demo: how long each job really runs on each pool, and how fast each link really is.

Made from the examples' own figures (work, rates and bandwidths with their sources), never from a plan: what the
demo observes is not what the plan said. Form: hack/README.md.

`python -m examples.demo.truth examples/edge-to-cloud examples/demo/fleet.yaml` prints that of the scaled example.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from examples.demo.scale import SHORTEST_RUN_SECONDS, load, scale
from polyhull.domain.units import parse_decimal, parse_quantity

Document = Mapping[str, Any]


def table(
    documents: Sequence[Document],
    fleet: Document,
    *,
    seed: int = 1,
    noise: float = 0.05,
    slower: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The table as plain values.

    `documents` are the objects the demo applies (already scaled), `fleet` the ground's fleet file. `slower` makes
    the truth differ from what they say: job name -> factor on its run times, link name -> divisor of its bandwidth.
    """
    off = dict(slower or {})
    pools = _pools_by_accelerator(documents, fleet)
    jobs = [rule for document in documents if (rule := _rule(document, pools, off)) is not None]
    links = {
        document["metadata"]["name"]: float(parse_quantity(str(document["spec"]["bandwidth"])))
        / off.get(document["metadata"]["name"], 1.0)
        for document in documents
        if document["kind"] == "Link"
    }
    return {"seed": seed, "noise": noise, "speedup": 1, "jobs": jobs, "transfers": {"links": links, "inside": "10G"}}


def _pools_by_accelerator(documents: Sequence[Document], fleet: Document) -> dict[str, tuple[str, ...]]:
    """Accelerator name -> names of the ground's pools that a ComputePool's node selector finds in its cluster."""
    found: dict[str, set[str]] = {}
    for document in documents:
        if document["kind"] != "ComputePool":
            continue
        spec = document["spec"]
        wanted = spec.get("nodeSelector", {}).items()
        names = {
            pool["name"]
            for cluster in fleet["clusters"]
            if cluster["name"] == spec["cluster"]
            for pool in cluster["pools"]
            if wanted <= pool.get("labels", {}).items()
        }
        if not names:
            pool = document["metadata"]["name"]
            where = f"no pool of cluster {spec['cluster']} in the fleet file"
            raise ValueError(f"ComputePool {pool}: {where} has its labels; add them there")
        found.setdefault(spec["accelerator"], set()).update(names)
    return {accelerator: tuple(sorted(names)) for accelerator, names in found.items()}


def _rule(
    document: Document, pools: Mapping[str, tuple[str, ...]], slower: Mapping[str, float]
) -> dict[str, Any] | None:
    spec, metadata = document["spec"], document["metadata"]
    if document["kind"] == "TrainingJob":
        work, ways = spec["work"]["quantity"], spec["options"]
    elif document["kind"] == "InferenceJob" and spec["mode"] == "Batch":
        work, ways = spec["requests"], spec["variants"]
    else:
        return None
    seconds: dict[str, dict[int, float]] = {}
    for way in ways:
        batch = document["kind"] == "InferenceJob"
        pods = int(spec.get("minReplicas", 1) if batch else way.get("replicas", 1))
        rate = parse_decimal(way["rate"]) * (pods if batch else 1)
        run = float(parse_decimal(work) / rate) * slower.get(metadata["name"], 1.0)
        for pool in pools.get(way["accelerator"], ()):
            seconds.setdefault(pool, {})[pods] = round(run, 6)
    match = {"kind": document["kind"], "namespace": metadata.get("namespace", "default"), "name": metadata["name"]}
    return {"match": match, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the truth table of an example for the proving ground.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("fleet", type=Path)
    parser.add_argument("--shortest", type=float, default=SHORTEST_RUN_SECONDS, help="as for examples.demo.scale")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--noise", type=float, default=0.05)
    options = parser.parse_args()
    scaled = scale(load(options.folder), options.shortest)
    fleet = yaml.safe_load(options.fleet.read_text())
    found = table(scaled.documents, fleet, seed=options.seed, noise=options.noise)
    yaml.safe_dump(found, sys.stdout, sort_keys=False)


if __name__ == "__main__":
    main()
