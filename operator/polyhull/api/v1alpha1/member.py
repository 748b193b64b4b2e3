"""MemberCluster: a cluster that work may be sent to."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from polyhull.api.v1alpha1.common import (
    Count,
    Instant,
    Label,
    Model,
    NameRef,
    Object,
    ObjectName,
    Quantity,
    Status,
    count_set,
    exactly_one,
    fail,
    rules,
)
from polyhull.api.v1alpha1.copies import KeptStatus
from polyhull.api.v1alpha1.dataset import Url
from polyhull.api.v1alpha1.template import DataKey


class KubeconfigRef(Model):
    """A Secret in the operator's own namespace; its kubeconfig may hold no exec plugin and no file path."""

    name: ObjectName
    key: DataKey = "kubeconfig"


class ProfileRef(Model):
    """A ClusterProfile (multicluster.x-k8s.io)."""

    name: ObjectName
    namespace: Label


class VolumeStorage(Model):
    """Copies are ReadWriteMany claims that Polyhull makes in the tenant's namespace."""

    storage_class_name: ObjectName | None = None
    capacity: Quantity | None = None
    bandwidth: Quantity | None = None
    """Bits per second at which one job saves a checkpoint; unset: 10 Gbit/s."""


class BucketStorage(Model):
    """Copies are objects under one URL, shared by the clusters of a site."""

    url: Url
    secret_name: ObjectName | None = None
    """A Secret of this name in each tenant's namespace of the member."""
    capacity: Quantity | None = None
    bandwidth: Quantity | None = None
    """Bits per second at which one job saves a checkpoint; unset: 10 Gbit/s."""


class StorageSpec(Model):
    """Where copies of data land: exactly one of these."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("volume", "bucket")))

    volume: VolumeStorage | None = None
    bucket: BucketStorage | None = None

    @model_validator(mode="after")
    def _one(self) -> "StorageSpec":
        if count_set(self, "volume", "bucket") != 1:
            raise fail("union", "not exactly one kind of storage", "set one of volume, bucket")
        return self


class MemberClusterSpec(Model):
    """How the cluster is reached, and what it is good for."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "(self.local ? 1 : 0) + (has(self.kubeconfigSecretRef) ? 1 : 0)"
                " + (has(self.clusterProfileRef) ? 1 : 0) == 1",
                "set exactly one of local: true, kubeconfigSecretRef, clusterProfileRef",
            ),
            ("self.local == oldSelf.local", "local is immutable"),
        )
    )

    site_ref: NameRef
    local: bool = False
    """The cluster that the operator itself runs in."""
    kubeconfig_secret_ref: KubeconfigRef | None = None
    cluster_profile_ref: ProfileRef | None = None
    fenced: bool = False
    """The administrator says that nothing of ours runs there any more: its jobs may be placed elsewhere."""
    drain: bool = False
    """No new work; what runs there ends there."""
    storage: StorageSpec | None = None
    service_domain: ObjectName | None = None
    """Domain under which pods of other clusters find Services of this one: `<service>.<namespace>.<serviceDomain>`.
    Unset: svc.clusterset.local where the cluster serves ServiceExports (the Multi-Cluster Services API), else none.
    Jobs over several sites need it."""

    @model_validator(mode="after")
    def _one(self) -> "MemberClusterSpec":
        if int(self.local) + count_set(self, "kubeconfig_secret_ref", "cluster_profile_ref") != 1:
            remedy = "set exactly one of local: true, kubeconfigSecretRef, clusterProfileRef"
            raise fail("union", "not exactly one way to reach the cluster", remedy)
        return self


class Tombstone(Model):
    """A deleted job whose child could not be confirmed gone; honoured when the member returns."""

    kind: Literal["TrainingJob", "InferenceJob", "DataSet"]
    namespace: Label
    name: ObjectName
    uid: Annotated[str, Field(min_length=1, max_length=64)]
    deleted_time: Instant
    kept: Annotated[list[KeptStatus], Field(max_length=128)] | None = None
    """What it wrote into buckets there; removed once the member answers."""


class MemberClusterStatus(Status):
    """Connected says whether it answers."""

    version: Annotated[str, Field(max_length=64)] | None = None
    last_contact_time: Instant | None = None
    pools: Count | None = None
    nodes: Count | None = None
    serves_pod_groups: bool | None = None
    serves_service_exports: bool | None = None
    tombstones: Annotated[list[Tombstone], Field(max_length=1000)] | None = None


class MemberCluster(Object):
    """A cluster that work may be sent to."""

    kind: Literal["MemberCluster"]
    spec: MemberClusterSpec
    status: MemberClusterStatus | None = None
