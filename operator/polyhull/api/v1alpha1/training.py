"""TrainingJob: a finite job with several acceptable ways to run it, exactly one of which is chosen."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from polyhull.api.v1alpha1.common import (
    Instant,
    LabelSelector,
    Model,
    MountPath,
    Name,
    Object,
    PositiveDecimal,
    Quantity,
    immutable,
    keyed,
    rules,
    unique,
)
from polyhull.api.v1alpha1.jobstatus import EvidenceName, JobStatus
from polyhull.api.v1alpha1.template import DataSetRef, PodTemplate

MANAGED_BY = "polyhull.io/operator"
Precision = Literal["fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8", "int4", "fp4"]
Replicas = Annotated[int, Field(ge=1, le=4096)]
DevicesPerReplica = Annotated[int, Field(ge=1, le=1024)]
Priority = Annotated[int, Field(ge=-1_000_000, le=1_000_000)]
ManagedBy = Annotated[str, Field(min_length=1, max_length=127)]


class Work(Model):
    """How much there is to do."""

    quantity: PositiveDecimal
    unit: Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[A-Z][A-Za-z0-9]*$")] = "Steps"
    """What is counted: Steps, Samples, Tokens, Epochs …"""
    flops_per_unit: Quantity | None = None
    """Floating-point operations of one unit, such as 6 x parameters x tokens for a step of a transformer; options
    without a rate are then estimated from data sheets."""
    bytes_per_unit: Quantity | None = None
    """Bytes that one unit moves through device memory, where that may bind."""
    precision: Precision | None = None
    """What it computes in; unset: bf16 or what the device has nearest."""


class OptionSpec(Model):
    """One acceptable way to run the job: a gang of `replicas` pods on one kind of device."""

    name: Name
    accelerator: Name
    """Name of an AcceleratorType."""
    replicas: Replicas = 1
    devices_per_replica: DevicesPerReplica
    """For class CPU a device is a core and sets requests.cpu."""
    rate: PositiveDecimal | None = None
    """Work units per second of the whole gang; estimated from a sibling's or from data sheets where absent."""
    rate_evidence: EvidenceName = "Measured"
    template: PodTemplate | None = None
    """Replaces the job's template field by field, lists whole."""


class DataEntry(Model):
    """A data set the job reads."""

    name: Name
    data_set_ref: DataSetRef
    access: Literal["Stage", "Stream"] = "Stage"
    """Stage: the whole copy first. Stream: read while computing."""
    chunks: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Stream: equal parts; unset: the policy's overlapChunks."""
    mount_path: MountPath | None = None
    """Where its files appear; needs volume storage. Without it the copy's URL is in the environment."""


class Output(Model):
    """What the job writes, to POLYHULL_OUTPUT_URL or, where storage is volumes, to POLYHULL_OUTPUT_PATH."""

    size: Quantity
    mount_path: MountPath | None = None
    """Where it writes files; needs volume storage."""
    data_set_ref: DataSetRef | None = None
    """A DataSet without replicas: what was written becomes its copy once the job has succeeded. Without it what is in
    a volume goes with the job's object."""


class Checkpoint(Model):
    """How the job saves its state. Plans count the time that takes, and what failures are expected to cost."""

    size: Quantity
    """Of one checkpoint."""
    interval_seconds: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """From one to the next; unset: what loses least. POLYHULL_CHECKPOINT_INTERVAL_SECONDS tells the job."""
    mount_path: MountPath | None = None
    """Where it saves files; needs volume storage. Unset: POLYHULL_CHECKPOINT_URL, or POLYHULL_CHECKPOINT_PATH. It
    outlives pods and releases to the same cluster, until the job has succeeded or is deleted."""


class SpannedModel(Model):
    """What sites exchange of the model, and what they must hold of it, when the job spans them."""

    parameters: Quantity | None = None
    """How many; what gradientBytes and stateBytes follow from where they are not written."""
    layers: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Pipeline: a site holds whole layers."""
    samples_per_step: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """Pipeline: the whole batch of a step, which is cut into micro-batches."""
    activation_bytes_per_sample: Quantity | None = None
    """Pipeline: between two layers, as sent. As much comes back."""
    gradient_bytes: Quantity | None = None
    """DataParallel: of all parameters, as sent; unset: 2 bytes per parameter."""
    state_bytes: Quantity | None = None
    """Weights, gradients and optimizer of the whole model; unset: 16 bytes per parameter."""


class CrossSite(Model):
    """Whether one job may span sites."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.mode != 'Never' || !(has(self.maxSites) || has(self.synchronizeSteps)"
                " || has(self.workPerStep) || has(self.model))",
                "mode Never takes no other field: leave them out, or write Pipeline or DataParallel",
            ),
            (
                "self.mode == 'DataParallel' || !has(self.synchronizeSteps)",
                "synchronizeSteps is how often gradients are exchanged: write mode DataParallel, or leave it out",
            ),
            (
                "self.mode != 'Pipeline' || (has(self.model) && has(self.model.layers)"
                " && has(self.model.samplesPerStep) && has(self.model.activationBytesPerSample))",
                "mode Pipeline needs model.layers, model.samplesPerStep and model.activationBytesPerSample",
            ),
            (
                "self.mode != 'DataParallel' || (has(self.model)"
                " && (has(self.model.parameters) || has(self.model.gradientBytes)))",
                "mode DataParallel needs model.gradientBytes or model.parameters",
            ),
        )
    )

    mode: Literal["Never", "Pipeline", "DataParallel"] = "Never"
    """Pipeline: every site holds some of the layers. DataParallel: every site trains all of them on its samples."""
    max_sites: Annotated[int, Field(ge=1, le=3)] | None = None
    """Unset: 2."""
    synchronize_steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """DataParallel: gradients are exchanged every so many steps; unset: every step."""
    work_per_step: PositiveDecimal | None = None
    """Work units that one step of the whole gang does; unset: 1."""
    model: SpannedModel | None = None


class Placement(Model):
    """Where the job may run."""

    sites: LabelSelector | None = None
    """Labels of sites; none: anywhere."""
    confidential: Literal["None", "Required"] = "None"
    """Required: only pools that are declared confidential."""
    cross_site: CrossSite | None = None


class TrainingJobSpec(Model):
    """Immutable except suspend, priority and deadline."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *immutable("managedBy", "retryLimit", "work", "options"),
            *immutable("data", "output", "checkpoint", "placement", "template", optional=True),
            (
                "(has(self.template) && has(self.template.image)) || "
                "self.options.all(o, has(o.template) && has(o.template.image))",
                "set template.image, or an image in every option's template",
            ),
        )
    )

    suspend: bool = False
    """Not started: leaves the plan. Running: stopped; devices are free once no pod is active."""
    managed_by: ManagedBy = MANAGED_BY
    """Another value: Polyhull writes nothing at all, not even status."""
    priority: Priority | None = None
    """Tier, inside the range that the namespace's policy allows; unset: the policy's default, else 0."""
    deadline: Instant | None = None
    retry_limit: Annotated[int, Field(ge=0, le=100)] = 3
    work: Work
    options: Annotated[
        list[OptionSpec], Field(min_length=1, max_length=16, json_schema_extra=keyed("name")), unique("name")
    ]
    data: Annotated[list[DataEntry], Field(max_length=16, json_schema_extra=keyed("name")), unique("name")] | None = (
        None
    )
    output: Output | None = None
    checkpoint: Checkpoint | None = None
    placement: Placement | None = None
    template: PodTemplate | None = None


class TrainingJob(Object):
    """A training job, placed where it and everything else finishes soonest."""

    kind: Literal["TrainingJob"]
    spec: TrainingJobSpec
    status: JobStatus | None = None
