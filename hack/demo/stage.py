"""The example made ready for this machine: objects scaled down, nodes to stand for its pools, members to talk to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hack.ground.ground import Cluster

Object = dict[str, Any]
SYSTEM = "polyhull-system"
HUB = "hub"
_TENANT_KINDS = {"TrainingJob", "InferenceJob", "DataSet"}
_ORDER = ("Site", "Link", "AcceleratorType", "PlacementPolicy", "ComputePool", "MemberCluster", "DataSet")


@dataclass(frozen=True, slots=True)
class Stage:
    """`documents` are what a user applies to the hub; `fleet` is what the ground starts."""

    documents: tuple[Object, ...]
    fleet: Object
    namespaces: tuple[str, ...]
    members: tuple[str, ...]

    def of_kind(self, *kinds: str) -> list[Object]:
        return [document for document in self.documents if document["kind"] in kinds]

    def setting(self) -> list[Object]:
        """Everything but jobs, in an order in which nothing refers to what is not there yet."""
        return [document for kind in _ORDER for document in self.of_kind(kind)]

    def jobs(self) -> list[Object]:
        return self.of_kind("InferenceJob", "TrainingJob")


def read(folder: Path) -> list[Object]:
    """Every object of a folder's YAML files, in order of file name."""
    found: list[Object] = []
    for path in sorted(folder.glob("*.yaml")):
        found += [document for document in yaml.safe_load_all(path.read_text()) if document]
    return found


def prepare(documents: Iterable[Object], catalogue: Mapping[str, Object]) -> Stage:
    """`catalogue` is name -> AcceleratorType object: it tells which resource and labels a pool's nodes carry."""
    found = tuple(documents)
    members = tuple(sorted(d["metadata"]["name"] for d in found if d["kind"] == "MemberCluster"))
    pools = [d for d in found if d["kind"] == "ComputePool"]
    clusters: list[Object] = [{"name": HUB, "pools": []}]
    for member in members:
        mine = [_pool(pool, catalogue) for pool in pools if pool["spec"]["cluster"] == member]
        clusters.append({"name": member, "pools": mine})
    spaces = {d["metadata"].get("namespace", "default") for d in found if d["kind"] in _TENANT_KINDS}
    return Stage(found, {"clusters": clusters}, tuple(sorted(spaces)), members)


def _pool(pool: Object, catalogue: Mapping[str, Object]) -> Object:
    """A ComputePool as nodes of the ground, with the labels by which discovery knows the accelerator."""
    spec, name = pool["spec"], pool["metadata"]["name"]
    kind = catalogue[spec["accelerator"]]["spec"]
    capacity = spec["capacity"]
    labels = {**_labels(kind), **spec.get("nodeSelector", {})}
    nodes: Object = {
        "name": name,
        "count": capacity.get("nodes", 0),
        "cpu": str(capacity["cpu"]),
        "memory": str(capacity["memory"]),
        "labels": labels,
        "taints": spec.get("taints", []),
    }
    if kind.get("resourceName"):
        nodes |= {"accelerator": kind["resourceName"], "devices": spec["devicesPerNode"]}
    return nodes


def _labels(kind: Object) -> dict[str, str]:
    """Labels that make a node of this kind: the first alternative of the catalogue's matchers."""
    matchers = kind.get("matchers") or []
    if not matchers:
        return {}
    return {m["key"]: (m.get("values") or ["true"])[0] for m in matchers[0]["labels"]}


def namespace(name: str, *, accept: bool) -> Object:
    labels = {"polyhull.io/accept": "true"} if accept else {}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def credentials(member: Object, cluster: Cluster) -> Object:
    """The Secret a MemberCluster names, in the operator's own namespace."""
    reference = member["spec"]["kubeconfigSecretRef"]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": reference["name"], "namespace": SYSTEM},
        "stringData": {reference.get("key", "kubeconfig"): cluster.kubeconfig_path.read_text()},
    }
