"""PlacementPlan: written by the operator, approved by people."""

from typing import Annotated, Literal

from pydantic import Field

from polyhull.api.v1alpha1.common import (
    Bytes,
    Count,
    Decimal,
    Instant,
    Label,
    Model,
    Object,
    ObjectName,
    PoolName,
    Seconds,
    Status,
    Text,
)

Hash = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[a-z0-9:]+$")]
BoundName = Literal[
    "ExactWholeCopy",
    "ExactSubproblem",
    "StrengthenedWholeCopy",
    "StrengthenedSplitCopy",
    "Strengthened",
    "Fluid",
    "None",
]


class Approval(Model):
    """Names the plan that may be carried out; void once assignments changed."""

    plan_hash: Hash


class PlacementPlanSpec(Model):
    """The only thing people set."""

    approval: Approval | None = None


class PriceStatus(Model):
    """Shadow price of the bound."""

    name: Annotated[str, Field(max_length=190)]
    per_unit: Annotated[str, Field(max_length=32)]
    """Seconds of makespan per device-second (pool) or per byte (link), as a decimal or scientific number."""


class MoveStatus(Model):
    """A job whose place changed with this plan."""

    kind: Literal["TrainingJob", "InferenceJob"]
    namespace: Label
    name: ObjectName
    from_pool: PoolName | None = None
    to_pool: PoolName | None = None


class LevelStatus(Model):
    """What one level of the objective came to, in its unit, beside what no plan can go below."""

    name: Annotated[str, Field(max_length=32)]
    unit: Annotated[str, Field(max_length=32)]
    value: Decimal
    bound: Decimal | None = None
    """Absent where nothing is proved of it."""
    gap: Decimal | None = None


class PlacementPlanStatus(Status):
    """Summary; at most 64 KiB. Full records are files, never objects."""

    plan_hash: Hash | None = None
    record_hash: Hash | None = None
    planned_time: Instant | None = None
    makespan_seconds: Seconds | None = None
    makespan_p50_seconds: Seconds | None = None
    """In half of the scenarios of uncertain durations, and in nine of ten."""
    makespan_p90_seconds: Seconds | None = None
    lower_bound_seconds: Seconds | None = None
    bound_kind: BoundName | None = None
    gap: Decimal | None = None
    """makespan over bound, less one."""
    objective: Annotated[list[Annotated[str, Field(max_length=32)]], Field(max_length=5)] | None = None
    levels: Annotated[list[LevelStatus], Field(max_length=5)] | None = None
    """One for each name of `objective`."""
    late: Count | None = None
    """Jobs that are expected to miss their deadline."""
    placed: Count | None = None
    unplaced: Count | None = None
    cost: Decimal | None = None
    """Of devices from now to each end, of services up to the plan's end, and of bytes over links; what is known."""
    energy_joules: Decimal | None = None
    carbon_grams: Decimal | None = None
    unknown: Annotated[list[Annotated[str, Field(max_length=256)]], Field(max_length=32)] | None = None
    """Prices, watts and grams that nobody stated and the sums leave out."""
    egress_bytes: Bytes | None = None
    locality_only_seconds: Seconds | None = None
    compute_only_seconds: Seconds | None = None
    solver_status: Text | None = None
    pool_prices: Annotated[list[PriceStatus], Field(max_length=100)] | None = None
    link_prices: Annotated[list[PriceStatus], Field(max_length=100)] | None = None
    moves: Annotated[list[MoveStatus], Field(max_length=100)] | None = None


class PlacementPlan(Object):
    """What was decided for the whole fleet."""

    kind: Literal["PlacementPlan"]
    spec: PlacementPlanSpec = Field(default_factory=PlacementPlanSpec)
    status: PlacementPlanStatus | None = None
