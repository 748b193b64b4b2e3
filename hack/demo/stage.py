"""The example made ready for this machine: what to apply, which nodes stand for its pools, whom to trust."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hack.ground.ground import Cluster

Object = dict[str, Any]
SYSTEM = "polyhull-system"
HUB = "hub"
_TENANT_KINDS = {"TrainingJob", "InferenceJob", "DataSet"}
_ORDER = ("Site", "Link", "AcceleratorType", "PlacementPolicy", "ComputePool", "MemberCluster", "DataSet")


@dataclass(frozen=True, slots=True)
class Stage:
    """`documents` are what a user applies to the hub; `fleet` is what the ground starts.

    `racks` tells which of the ground's pools stand for a pool of the plan (`cluster/pool` -> names).
    """

    documents: tuple[Object, ...]
    fleet: Object
    racks: Mapping[str, frozenset[str]]
    namespaces: tuple[str, ...]
    members: tuple[str, ...]

    def of_kind(self, *kinds: str) -> list[Object]:
        return [document for document in self.documents if document["kind"] in kinds]

    def setting(self) -> list[Object]:
        """Everything but jobs, in an order in which nothing refers to what is not there yet."""
        return [document for kind in _ORDER for document in self.of_kind(kind)]

    def jobs(self) -> list[Object]:
        return self.of_kind("InferenceJob", "TrainingJob")


def prepare(documents: Iterable[Object], fleet: Object) -> Stage:
    """`fleet` is the ground's fleet file: a hub, and one cluster for each MemberCluster."""
    found = tuple(documents)
    members = tuple(sorted(d["metadata"]["name"] for d in found if d["kind"] == "MemberCluster"))
    racks = {
        f"{pool['spec']['cluster']}/{pool['metadata']['name']}": _racks(pool["spec"], fleet)
        for pool in found
        if pool["kind"] == "ComputePool"
    }
    spaces = {d["metadata"].get("namespace", "default") for d in found if d["kind"] in _TENANT_KINDS}
    return Stage(found, fleet, racks, tuple(sorted(spaces)), members)


def _racks(pool: Object, fleet: Object) -> frozenset[str]:
    """Pools of the ground whose nodes carry the labels this pool selects."""
    wanted = pool.get("nodeSelector", {}).items()
    return frozenset(
        rack["name"]
        for cluster in fleet["clusters"]
        if cluster["name"] == pool["cluster"]
        for rack in cluster["pools"]
        if wanted <= rack.get("labels", {}).items()
    )


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
