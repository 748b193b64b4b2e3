"""What a cluster offers, read from its mirrors: pools, namespaces that accept work, what its API server serves."""

from collections.abc import Sequence

from polyhull.api.inventory import DeclaredPool, pools_of
from polyhull.domain.fleet import AcceleratorType, Pool
from polyhull.kube import trims
from polyhull.kube.cache import Cache, Selection
from polyhull.kube.client import ClusterClient
from polyhull.kube.resources import (
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    POD_GROUPS_V1ALPHA2,
    POD_GROUPS_V1BETA1,
    PODS,
    SERVICE_EXPORTS,
    SERVICES,
    Manifest,
    Resource,
)
from polyhull.render import naming

OURS = f"{naming.MANAGED_BY}={naming.FIELD_MANAGER}"
"""Label selector of what Polyhull made."""

SELECTIONS: tuple[Selection, ...] = (
    Selection(NODES, trim=trims.node),
    Selection(PODS, trim=trims.pod),
    Selection(NAMESPACES, label_selector=f"{naming.ACCEPT}=true", trim=trims.metadata_only),
    Selection(JOBS, label_selector=OURS, trim=trims.job),
    Selection(DEPLOYMENTS, label_selector=OURS, trim=trims.deployment),
    Selection(SERVICES, label_selector=OURS, trim=trims.metadata_only),
    Selection(PERSISTENT_VOLUME_CLAIMS, label_selector=OURS, trim=trims.without_bookkeeping),
)
"""What is mirrored of every cluster that work may be sent to. All pods: whatever runs on a node takes its room."""


def pools(
    cache: Cache,
    cluster: str,
    site: str,
    declared: Sequence[DeclaredPool],
    catalogue: Sequence[AcceleratorType],
    own_uids: frozenset[str] = frozenset(),
) -> tuple[Pool, ...]:
    """The cluster's pools now. Pods whose owner's uid is in `own_uids` (jobs of the snapshot) are not subtracted:
    in the plan their placements occupy the nodes."""

    def own(pod: Manifest) -> bool:
        return owner_uid(pod) in own_uids

    return pools_of(cluster, site, cache.objects(NODES), cache.objects(PODS), declared, catalogue, own)


def owner_uid(obj: Manifest) -> str:
    """Uid of the object of ours that a child or its pod belongs to; empty when it is nobody's."""
    labels = (obj.get("metadata") or {}).get("labels") or {}
    if labels.get(naming.MANAGED_BY) != naming.FIELD_MANAGER:
        return ""
    return str(labels.get(naming.UID) or "")


def accepted_namespaces(cache: Cache) -> frozenset[str]:
    """Namespaces that their cluster's administrator opened and that are not being deleted. For remote members; the
    local cluster needs no label (pass None to the Cluster)."""
    return frozenset(
        str(obj["metadata"]["name"])
        for obj in cache.objects(NAMESPACES)
        if not obj["metadata"].get("deletionTimestamp")
    )


def allowed_service_accounts(cache: Cache) -> dict[str, frozenset[str]]:
    """Accepted namespace -> ServiceAccounts that templates may name there (annotation beside the label)."""
    out: dict[str, frozenset[str]] = {}
    for obj in cache.objects(NAMESPACES):
        listed = str((obj["metadata"].get("annotations") or {}).get(naming.SERVICE_ACCOUNTS) or "")
        out[str(obj["metadata"]["name"])] = frozenset(name.strip() for name in listed.split(",") if name.strip())
    return out


async def served_pod_groups(client: ClusterClient) -> Resource | None:
    """The PodGroup resource the server serves, the newer version first; None when it knows no gangs.

    Raises Refused, Unreachable.
    """
    served = await client.discover(POD_GROUPS_V1BETA1.group)
    return next((wanted for wanted in (POD_GROUPS_V1BETA1, POD_GROUPS_V1ALPHA2) if wanted in served), None)


async def served_service_exports(client: ClusterClient) -> bool:
    """Whether the server serves the Multi-Cluster Services API (KEP-1645) in the version that all implementations do.

    Raises Refused, Unreachable.
    """
    return SERVICE_EXPORTS in await client.discover(SERVICE_EXPORTS.group)
