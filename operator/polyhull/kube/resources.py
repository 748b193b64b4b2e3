"""The resources Polyhull speaks about, as values: how a kind is spelt in a path and how one object is named.

A path is never put together anywhere else, so a namespace that looks like a path cannot become one.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from polyhull.domain.errors import BrokenPromise

Manifest = Mapping[str, Any]
"""A Kubernetes object as the API spells it."""

GROUP = "polyhull.io"
VERSION = "v1alpha1"


class Resource(NamedTuple):
    """One resource of one API version. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def label(self) -> str:
        """Short name for counters, logs and messages: `jobs.batch`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def prefix(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def collection(self, namespace: str | None = None) -> str:
        """Path of the collection; without `namespace` over all namespaces."""
        if namespace and self.namespaced:
            return f"{self.prefix}/namespaces/{quote(namespace, safe='')}/{self.plural}"
        return f"{self.prefix}/{self.plural}"

    def path(self, name: str, namespace: str | None = None) -> str:
        """Path of one object. Raises BrokenPromise when name or namespace is missing."""
        if not name or name in (".", ".."):
            raise BrokenPromise(f"{self.label}: an object needs a name, got {name!r}")
        if self.namespaced and not namespace:
            raise BrokenPromise(f"{self.label} {name!r}: the namespace is missing")
        return f"{self.collection(namespace)}/{quote(name, safe='')}"


class Ref(NamedTuple):
    """One object; `namespace` is empty for cluster-scoped resources.

    A tuple, like Resource: every cycle looks each object up, and tuples are hashed and compared in C.
    """

    resource: Resource
    namespace: str
    name: str

    @property
    def path(self) -> str:
        return self.resource.path(self.name, self.namespace)

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, self.name)

    def __str__(self) -> str:
        return (
            f"{self.resource.kind} {self.namespace}/{self.name}"
            if self.namespace
            else f"{self.resource.kind} {self.name}"
        )


NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
PODS = Resource("", "v1", "pods", "Pod")
SERVICES = Resource("", "v1", "services", "Service")
SECRETS = Resource("", "v1", "secrets", "Secret")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
PERSISTENT_VOLUME_CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
JOBS = Resource("batch", "v1", "jobs", "Job")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
SELF_SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
POD_GROUPS_V1BETA1 = Resource("scheduling.k8s.io", "v1beta1", "podgroups", "PodGroup")
POD_GROUPS_V1ALPHA2 = Resource("scheduling.k8s.io", "v1alpha2", "podgroups", "PodGroup")
SERVICE_EXPORTS = Resource("multicluster.x-k8s.io", "v1alpha1", "serviceexports", "ServiceExport")

TRAINING_JOBS = Resource(GROUP, VERSION, "trainingjobs", "TrainingJob")
INFERENCE_JOBS = Resource(GROUP, VERSION, "inferencejobs", "InferenceJob")
DATA_SETS = Resource(GROUP, VERSION, "datasets", "DataSet")
SITES = Resource(GROUP, VERSION, "sites", "Site", namespaced=False)
LINKS = Resource(GROUP, VERSION, "links", "Link", namespaced=False)
MEMBER_CLUSTERS = Resource(GROUP, VERSION, "memberclusters", "MemberCluster", namespaced=False)
COMPUTE_POOLS = Resource(GROUP, VERSION, "computepools", "ComputePool", namespaced=False)
ACCELERATOR_TYPES = Resource(GROUP, VERSION, "acceleratortypes", "AcceleratorType", namespaced=False)
PLACEMENT_POLICIES = Resource(GROUP, VERSION, "placementpolicies", "PlacementPolicy", namespaced=False)
PLACEMENT_PLANS = Resource(GROUP, VERSION, "placementplans", "PlacementPlan", namespaced=False)
PLACEMENT_SCENARIOS = Resource(GROUP, VERSION, "placementscenarios", "PlacementScenario", namespaced=False)

OUR_KINDS: tuple[Resource, ...] = (
    TRAINING_JOBS,
    INFERENCE_JOBS,
    DATA_SETS,
    SITES,
    LINKS,
    MEMBER_CLUSTERS,
    COMPUTE_POOLS,
    ACCELERATOR_TYPES,
    PLACEMENT_POLICIES,
    PLACEMENT_PLANS,
    PLACEMENT_SCENARIOS,
)

KNOWN: tuple[Resource, ...] = (
    NAMESPACES,
    NODES,
    PODS,
    SERVICES,
    SECRETS,
    SERVICE_ACCOUNTS,
    PERSISTENT_VOLUME_CLAIMS,
    CONFIG_MAPS,
    JOBS,
    DEPLOYMENTS,
    LEASES,
    EVENTS,
    SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    CUSTOM_RESOURCE_DEFINITIONS,
    POD_GROUPS_V1BETA1,
    POD_GROUPS_V1ALPHA2,
    SERVICE_EXPORTS,
    *OUR_KINDS,
)

_BY_KIND = {(resource.api_version, resource.kind): resource for resource in KNOWN}


def resource_of(manifest: Manifest) -> Resource:
    """The resource of a manifest by its apiVersion and kind. Raises BrokenPromise for a kind not listed here."""
    api_version, kind = str(manifest.get("apiVersion", "")), str(manifest.get("kind", ""))
    found = _BY_KIND.get((api_version, kind))
    if found is None:
        raise BrokenPromise(f"{api_version} {kind} is not in kube/resources.py: add a Resource for it there")
    return found


def ref_of(manifest: Manifest) -> Ref:
    """The reference of a manifest: kind, namespace and name."""
    resource, metadata = resource_of(manifest), manifest.get("metadata") or {}
    namespace = str(metadata.get("namespace") or "") if resource.namespaced else ""
    return Ref(resource, namespace, str(metadata.get("name") or ""))


def key_of(obj: Manifest) -> tuple[str, str]:
    """(namespace, name); namespace is empty for cluster-scoped objects."""
    metadata = obj.get("metadata") or {}
    return (str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))


def uid_of(obj: Manifest) -> str:
    return str((obj.get("metadata") or {}).get("uid") or "")


def version_of(obj: Manifest) -> str:
    """The object's resourceVersion."""
    return str((obj.get("metadata") or {}).get("resourceVersion") or "")
