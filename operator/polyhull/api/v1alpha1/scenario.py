"""PlacementScenario: a what-if, answered by the operator as a difference to today's plan."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from polyhull.api.v1alpha1.common import (
    MAX_WHOLE,
    Count,
    Decimal,
    Instant,
    Label,
    Model,
    Name,
    Object,
    ObjectName,
    PoolName,
    PositiveDecimal,
    Quantity,
    Seconds,
    Status,
    Text,
    count_set,
    exactly_one,
    fail,
    keyed,
    rules,
    unique,
)
from polyhull.api.v1alpha1.compute import Capacity
from polyhull.api.v1alpha1.plan import BoundName, Hash
from polyhull.api.v1alpha1.policy import ObjectiveName
from polyhull.api.v1alpha1.template import DataSetRef
from polyhull.api.v1alpha1.training import DevicesPerReplica, Priority, Replicas, Work


class AddDevices(Model):
    """More devices of a kind in a cluster: in its pool of that kind, else in a new pool of nodes of `capacity`."""

    cluster: Name
    accelerator: Name
    devices: Annotated[int, Field(ge=1, le=1_000_000)]
    devices_per_node: Annotated[int, Field(ge=1, le=1024)] | None = None
    capacity: Capacity | None = None
    """One node of a new pool (`nodes` is not read)."""


class AddNodes(Model):
    """More empty nodes in a pool, shaped like those it has."""

    pool: PoolName
    nodes: Annotated[int, Field(ge=1, le=100_000)]


class ResizePool(Model):
    """That many nodes in a pool; the emptiest go first, and what ran on those that go starts again."""

    pool: PoolName
    nodes: Annotated[int, Field(ge=0, le=100_000)]


class ScaleLink(Model):
    """Another bandwidth from one site to another, this way only; 0 takes the link away, a missing one is added."""

    source: Name = Field(alias="from")
    target: Name = Field(alias="to")
    bandwidth: Quantity


class LoseCluster(Model):
    """A cluster gone, with what runs there."""

    cluster: Name


class SetObjective(Model):
    """Another objective."""

    objective: Annotated[list[ObjectiveName], Field(min_length=1, max_length=5)]


class ScenarioOption(Model):
    """One acceptable way to run the job."""

    name: Name
    accelerator: Name
    replicas: Replicas = 1
    devices_per_replica: DevicesPerReplica
    rate: PositiveDecimal | None = None
    cpu: Quantity | None = None
    """What one pod requests."""
    memory: Quantity | None = None


class ScenarioData(Model):
    """A data set the job reads."""

    name: Name
    data_set_ref: DataSetRef
    access: Literal["Stage", "Stream"] = "Stage"
    chunks: Annotated[int, Field(ge=1, le=10_000)] | None = None


class SetDeviceLimit(Model):
    """Another number of devices of a kind that the namespaces of a policy may hold together."""

    policy: ObjectName
    accelerator: Name
    devices: Count


class SubmitJob(Model):
    """One more training job."""

    namespace: Label
    name: Name
    priority: Priority | None = None
    work: Work
    options: Annotated[
        list[ScenarioOption], Field(min_length=1, max_length=16, json_schema_extra=keyed("name")), unique("name")
    ]
    data: (
        Annotated[list[ScenarioData], Field(max_length=16, json_schema_extra=keyed("name")), unique("name")] | None
    ) = None


class ScenarioJob(Model):
    """A job or a service."""

    kind: Literal["TrainingJob", "InferenceJob"] = "TrainingJob"
    namespace: Label
    name: Name


class RemoveJob(ScenarioJob):
    """A job or a service gone."""


class SetPriority(ScenarioJob):
    """Another tier for a job or a service."""

    priority: Priority


class AddCopy(Model):
    """A complete copy of a data set at a site."""

    namespace: Label
    name: Name
    site: Name


CHANGES = (
    "addDevices", "addNodes", "resizePool", "setLink", "loseCluster", "setObjective", "submitJob", "removeJob",
    "setPriority", "addCopy", "setDeviceLimit",
)  # fmt: skip


class Change(Model):
    """One change: exactly one of these."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one(*CHANGES)))

    add_devices: AddDevices | None = None
    add_nodes: AddNodes | None = None
    resize_pool: ResizePool | None = None
    set_link: ScaleLink | None = None
    lose_cluster: LoseCluster | None = None
    set_objective: SetObjective | None = None
    submit_job: SubmitJob | None = None
    remove_job: RemoveJob | None = None
    set_priority: SetPriority | None = None
    add_copy: AddCopy | None = None
    set_device_limit: SetDeviceLimit | None = None

    @model_validator(mode="after")
    def _one(self) -> "Change":
        if count_set(self, *type(self).model_fields) != 1:
            raise fail("union", "not exactly one change", f"set one of {', '.join(CHANGES)}")
        return self


class PlacementScenarioSpec(Model):
    """What if these changes were made, in turn, to the fleet of now."""

    changes: Annotated[list[Change], Field(min_length=1, max_length=16)]


Later = Annotated[int, Field(ge=-MAX_WHOLE, le=MAX_WHOLE)]


class JobDifferenceStatus(Model):
    """What becomes of one job or service."""

    kind: Literal["TrainingJob", "InferenceJob"]
    namespace: Label
    name: ObjectName
    fate: Literal["Earlier", "Later", "Moved", "Placed", "Unplaced", "Added", "Removed", "ServesMore", "ServesLess"]
    from_pool: Annotated[str, Field(max_length=1024)] | None = None
    to_pool: Annotated[str, Field(max_length=1024)] | None = None
    later_seconds: Later | None = None
    """How much later it ends; negative: sooner."""
    reason: Text | None = None


class PlacementScenarioStatus(Status):
    """The difference to today's plan."""

    changes: Annotated[list[Annotated[str, Field(max_length=512)]], Field(max_length=16)] | None = None
    """In words."""
    base_makespan_seconds: Seconds | None = None
    makespan_seconds: Seconds | None = None
    base_lower_bound_seconds: Seconds | None = None
    lower_bound_seconds: Seconds | None = None
    bound_kind: BoundName | None = None
    base_gap: Decimal | None = None
    gap: Decimal | None = None
    gain: Annotated[str, Field(max_length=32)] | None = None
    """Share by which everything ends sooner, such as "0.12"; negative: later."""
    base_cost: Decimal | None = None
    cost: Decimal | None = None
    """In the currency of the prices; only where all are known."""
    base_energy_joules: Decimal | None = None
    energy_joules: Decimal | None = None
    earlier: Count | None = None
    later: Count | None = None
    moved: Count | None = None
    placed: Count | None = None
    """How many find a place that had none."""
    unplaced: Count | None = None
    """How many find none any more."""
    jobs: Annotated[list[JobDifferenceStatus], Field(max_length=100)] | None = None
    """The largest differences."""
    base_plan_hash: Hash | None = None
    answered_time: Instant | None = None


class PlacementScenario(Object):
    """A question that touches nothing."""

    kind: Literal["PlacementScenario"]
    spec: PlacementScenarioSpec
    status: PlacementScenarioStatus | None = None
