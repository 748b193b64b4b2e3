"""ComputePool and AcceleratorType: what discovery cannot know about devices, written down."""

from typing import Annotated, Literal

from pydantic import Field

from polyhull.api.v1alpha1.common import (
    Count,
    Decimal,
    LabelKey,
    LabelMap,
    LabelValue,
    Model,
    Name,
    Object,
    ObjectName,
    PositiveDecimal,
    Quantity,
    Status,
    Text,
    keyed,
    unique,
)
from polyhull.api.v1alpha1.jobstatus import EvidenceName


class AutoscalerHook(Model):
    """How growth is asked for, beyond pending pods."""

    type: Literal["CapacityBuffer", "ProvisioningRequest", "PriorityExpander"]


class Autoscaling(Model):
    """The pool may grow: the plan may count on nodes that an autoscaler will add."""

    min_nodes: Count = 0
    max_nodes: Annotated[int, Field(ge=1, le=100_000)]
    provision_seconds: Annotated[int, Field(ge=0, le=86_400)] = 300
    """From demand to a ready node."""
    hook: AutoscalerHook | None = None


class Capacity(Model):
    """Nodes of the pool as declared. `nodes` is used by `polyhull plan -f` only, where no cluster is asked;
    the rest is also the shape of nodes that autoscaling adds."""

    nodes: Annotated[int, Field(ge=0, le=10_000)] = 0
    cpu: Quantity
    memory: Quantity
    ephemeral_storage: Quantity | None = None
    pods: Annotated[int, Field(ge=1, le=1000)] = 110


class TaintSpec(Model):
    """A taint of the declared nodes."""

    key: LabelKey
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


class ComputePoolSpec(Model):
    """Nodes of one cluster that are alike. Overrides what discovery found, or adds what does not exist yet."""

    cluster: Name
    """Name of the MemberCluster; `local` where none is declared."""
    site: Name | None = None
    """Where the nodes are, if not where the cluster is."""
    node_selector: LabelMap | None = None
    """Labels of the pool's nodes; with labels that no other node has, they are what pods will require."""
    accelerator: Name
    devices_per_node: Annotated[int, Field(ge=0, le=1024)] | None = None
    """Declared devices of one node; for class CPU cores, taken from capacity.cpu if unset."""
    price_per_device_hour: Decimal | None = None
    """One currency for the whole fleet; unset: unknown, and said so wherever a cost is reported."""
    confidential: bool = False
    """Nodes run confidential virtual machines or devices."""
    confidential_slowdown: Decimal | None = None
    """How many times longer work takes on them than at its stated rate, as measured; 1 where unset."""
    capacity: Capacity | None = None
    taints: Annotated[list[TaintSpec], Field(max_length=16)] | None = None
    autoscaling: Autoscaling | None = None


class ComputePoolStatus(Status):
    """What was found."""

    nodes: Count | None = None
    devices: Count | None = None
    free_devices: Count | None = None


class ComputePool(Object):
    """A pool of like nodes, declared. Its name in plans is `<cluster>/<name>`."""

    kind: Literal["ComputePool"]
    spec: ComputePoolSpec
    status: ComputePoolStatus | None = None


class LabelMatcher(Model):
    """A node label that tells the model of a device."""

    key: LabelKey
    operator: Literal["In", "Prefix", "Exists"] = "In"
    values: Annotated[list[LabelValue], Field(max_length=16)] | None = None
    """In: one of these. Prefix: the value starts with one of these (products get suffixes such as -SHARED)."""


class Matcher(Model):
    """Labels that together tell the model; one matcher of several is enough."""

    labels: Annotated[list[LabelMatcher], Field(min_length=1, max_length=8)]


class PeakFlops(Model):
    """Peak arithmetic of one device at one precision."""

    precision: Literal["fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8", "int4", "fp4"]
    flops_per_second: Quantity
    """Dense, without sparsity; 989T is 989e12."""


class TolerationSpec(Model):
    """A taint that device nodes usually carry."""

    key: LabelKey
    operator: Literal["Exists", "Equal"] = "Exists"
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class AcceleratorTypeSpec(Model):
    """A kind of device."""

    device_class: Literal["CPU", "GPU", "NPU", "TPU", "DPU", "FPGA", "Analog", "Optical"] = Field(alias="class")
    vendor: Annotated[str, Field(max_length=63)] | None = None
    resource_name: LabelKey | None = None
    """What pods request, such as nvidia.com/gpu; none for class CPU."""
    device_class_name: ObjectName | None = None
    """DRA device class, instead of a resource."""
    matchers: Annotated[list[Matcher], Field(max_length=16)] | None = None
    """Node labels that tell this model; none: any node that offers the resource and fits nothing better."""
    memory: Quantity | None = None
    """Of one device."""
    peak_flops: (
        Annotated[list[PeakFlops], Field(max_length=16, json_schema_extra=keyed("precision")), unique("precision")]
        | None
    ) = None
    memory_bandwidth: Quantity | None = None
    """Bytes per second of one device."""
    idle_watts: Decimal | None = None
    peak_watts: Decimal | None = None
    mean_hours_between_failures: PositiveDecimal | None = None
    """Of one device and its share of node, network and software; for jobs with checkpoints. Unset: 50,677, what
    Llama 3 saw of H100s."""
    tolerations: Annotated[list[TolerationSpec], Field(max_length=8)] | None = None
    evidence: EvidenceName = "Datasheet"
    source: Text | None = None
    """Where the figures come from."""


class AcceleratorType(Object):
    """A kind of device that options name."""

    kind: Literal["AcceleratorType"]
    spec: AcceleratorTypeSpec
    status: Status | None = None
