"""InferenceJob: an online service with planned replicas, or a finite batch of requests."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from polyhull.api.v1alpha1.common import (
    Count,
    Decimal,
    Instant,
    Model,
    Name,
    Object,
    PoolName,
    PositiveDecimal,
    Quantity,
    Share,
    fail,
    immutable,
    keyed,
    rules,
    unique,
)
from polyhull.api.v1alpha1.jobstatus import EvidenceName, JobStatus, NodeShare
from polyhull.api.v1alpha1.template import DataRef, PodTemplate
from polyhull.api.v1alpha1.training import (
    MANAGED_BY,
    DevicesPerReplica,
    ManagedBy,
    Placement,
    Precision,
    Priority,
)


class DemandEntry(Model):
    """Requests that arise at a site."""

    site: Name
    requests_per_second: PositiveDecimal
    request_bytes: Quantity | None = None
    response_bytes: Quantity | None = None


class ServiceObjective(Model):
    """What the service promises."""

    latency_milliseconds: Annotated[int, Field(ge=1, le=3_600_000)]
    percentile: Annotated[int, Field(ge=1, le=99)] = 99
    cost_per_hour: PositiveDecimal | None = None
    """The most that its replicas may cost in an hour; as many requests as that pays for are answered, as well as it
    pays for."""


class TokenEstimate(Model):
    """What a request to a language model needs: rate and service time are estimated from the device's data sheet."""

    parameters: Quantity
    """Of the model, such as 8G."""
    prompt_tokens: Annotated[int, Field(ge=0, le=10_000_000)]
    """Of a typical request."""
    output_tokens: Annotated[int, Field(ge=0, le=10_000_000)]
    """Of a typical answer."""
    precision: Precision | None = None
    """Of the weights; unset: 16 bits."""
    batch: Annotated[int, Field(ge=1, le=4096)] = 8
    """Requests that a replica works on side by side."""


class VariantSpec(Model):
    """One model on one kind of device that may serve."""

    name: Name
    accelerator: Name
    """Name of an AcceleratorType."""
    devices_per_replica: DevicesPerReplica
    rate: PositiveDecimal | None = None
    """Requests per second of one replica; estimated where absent, see estimate."""
    estimate: TokenEstimate | None = None
    """Where there is no rate: what it is estimated from."""
    rate_evidence: EvidenceName = "Measured"
    service_milliseconds: Annotated[int, Field(ge=1, le=3_600_000)] | None = None
    """Time to serve one request without waiting; needed when mode is Online, unless there is an estimate."""
    quality: Decimal | None = None
    """Of its answers, such as its accuracy; among variants, more is better."""
    model: DataRef | None = None
    template: PodTemplate | None = None
    """Replaces the job's template field by field, lists whole."""


class InferenceJobSpec(Model):
    """`mode` is immutable; a Batch job is immutable except suspend, priority and deadline."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.mode != 'Online' || (has(self.demand) && size(self.demand) > 0 && has(self.objective) "
                "&& !has(self.requests))",
                "mode Online needs demand and objective, and no requests",
            ),
            (
                "self.mode != 'Batch' || (has(self.requests) && !has(self.demand))",
                "mode Batch needs requests, and no demand",
            ),
            (
                "self.mode != 'Online' || self.variants.all(v, has(v.serviceMilliseconds) || has(v.estimate))",
                "mode Online needs serviceMilliseconds (or an estimate) in every variant",
            ),
            ("self.variants.all(v, has(v.rate) || has(v.estimate))", "set rate or estimate in every variant"),
            *immutable("mode", "managedBy"),
            *immutable("retryLimit", "variants", "minReplicas", when="self.mode == 'Batch'"),
            *immutable("requests", "placement", "template", optional=True, when="self.mode == 'Batch'"),
            (
                "(has(self.template) && has(self.template.image)) || "
                "self.variants.all(v, has(v.template) && has(v.template.image))",
                "set template.image, or an image in every variant's template",
            ),
            ("self.mode != 'Online' || !self.suspend", "suspend is for mode Batch; set no demand or delete the job"),
        )
    )

    mode: Literal["Online", "Batch"]
    suspend: bool = False
    """Batch only."""
    managed_by: ManagedBy = MANAGED_BY
    """Another value: Polyhull writes nothing at all, not even status."""
    priority: Priority | None = None
    deadline: Instant | None = None
    """Batch only."""
    retry_limit: Annotated[int, Field(ge=0, le=100)] = 3
    demand: (
        Annotated[list[DemandEntry], Field(max_length=64, json_schema_extra=keyed("site")), unique("site")] | None
    ) = None
    """Online: where requests arise."""
    requests: PositiveDecimal | None = None
    """Batch: how many requests there are."""
    objective: ServiceObjective | None = None
    variants: Annotated[
        list[VariantSpec], Field(min_length=1, max_length=16, json_schema_extra=keyed("name")), unique("name")
    ]
    min_replicas: Annotated[int, Field(ge=1, le=4096)] = 1
    """Online: never fewer. Batch: how many replicas work through the requests side by side."""
    scaling: Literal["Planned", "External"] = "Planned"
    replicas: Annotated[int, Field(ge=0, le=100_000)] = 1
    """Total when scaling is External. The operator never writes it."""
    placement: Placement | None = None
    template: PodTemplate | None = None

    @model_validator(mode="after")
    def _mode(self) -> "InferenceJobSpec":
        for variant in self.variants:
            if variant.rate is None and variant.estimate is None:
                raise fail("rate", f"variant {variant.name} has neither rate nor estimate", "set one of them")
        if self.mode == "Online":
            self._check_online()
        elif self.requests is None or self.demand is not None:
            raise fail("mode", "mode Batch needs requests, and no demand", "set requests and take demand out")
        return self

    def _check_online(self) -> None:
        if not self.demand or self.objective is None or self.requests is not None:
            problem = "mode Online needs demand and objective, and no requests"
            raise fail("mode", problem, "set demand and objective, or mode Batch")
        if self.suspend:
            raise fail("mode", "suspend is for mode Batch", "take suspend out, or delete the job")
        for variant in self.variants:
            if variant.service_milliseconds is None and variant.estimate is None:
                problem = f"variant {variant.name} has no serviceMilliseconds"
                raise fail("mode", problem, "set serviceMilliseconds, which mode Online needs")


class ServingStatus(Model):
    """Replicas of one variant in one pool."""

    cluster: Name
    site: Name
    pool: PoolName
    variant: Name
    accelerator: Name
    replicas: Count
    ready_replicas: Count = 0
    nodes: Annotated[list[NodeShare], Field(max_length=64)] | None = None


class RouteStatus(Model):
    """Share of an origin's requests that one pool's variant serves."""

    origin: Name
    cluster: Name
    pool: PoolName
    variant: Name
    requests_per_second: Decimal
    weight: Share | None = None


class InferenceJobStatus(JobStatus):
    """Status of a service (serving, routes, replicas) or of a batch (as a TrainingJob's)."""

    replicas: Count | None = None
    """Replicas that exist; the scale subresource reads it."""
    ready_replicas: Count | None = None
    selector: Annotated[str, Field(max_length=512)] | None = None
    """Label selector of the pods, as text, for autoscalers."""
    serving: Annotated[list[ServingStatus], Field(max_length=64)] | None = None
    routes: Annotated[list[RouteStatus], Field(max_length=256)] | None = None
    served_per_second: Decimal | None = None
    demanded_per_second: Decimal | None = None


class InferenceJob(Object):
    """An inference service or a batch of requests, placed together with everything else."""

    kind: Literal["InferenceJob"]
    spec: InferenceJobSpec
    status: InferenceJobStatus | None = None
