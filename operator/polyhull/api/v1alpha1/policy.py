"""PlacementPolicy: the fleet's settings (`default`), and what namespaces may ask for."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from polyhull.api.v1alpha1.common import (
    Count,
    Decimal,
    LabelSelector,
    Model,
    Name,
    Object,
    Share,
    Status,
    fail,
    keyed,
    rules,
    unique,
)
from polyhull.api.v1alpha1.training import Priority

ModeName = Literal["Observe", "Recommend", "Enforce"]
ObjectiveName = Literal["Makespan", "WeightedCompletion", "Cost", "Energy", "Carbon", "MaxMinFairness"]


class Stabilisation(Model):
    """How calm the plan is."""

    minimum_gain: Share | None = None
    """A new plan replaces the present one only if it is better by this share, and so again for each waiting job that
    it moves; unset: 0.07."""
    move_budget: Count | None = None
    """Waiting jobs that may change their place from one plan to the next; unset: no limit."""
    cool_down_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = None
    """How long a job keeps a place it was moved to or began at; unset: 600."""
    move_running: Literal["Never", "Allowed"] | None = None
    """Allowed: a running TrainingJob with `checkpoint` may be stopped in order to go on elsewhere; unset: Never."""
    running_move_budget: Count | None = None
    """Running jobs that may be under way at once: stopped, and not running again yet; unset: 1."""


class Solver(Model):
    """Budgets; steps rather than seconds, so that the same input gives the same plan anywhere."""

    search_steps: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Steps of the schedule search; unset: by the number of jobs."""
    exact_jobs: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Up to this many jobs an exact proof is tried; of more, for those the bound rests on while they are no more;
    unset: 60."""
    exact_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Deterministic time of the exact proof; unset: 3."""
    kill_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Wall time after which the solver is stopped and the last good plan stays; unset: 60."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None


class Transfers(Model):
    """How data is moved."""

    split: Literal["Never", "Allowed"] | None = None
    """Allowed: a copy may come in parts, from several sources and over several paths at once, where its data set says
    `largestFile` and that is faster; unset: Never. Fewer plans are then proved optimal."""


class PriorityRange(Model):
    """Tiers that jobs of the namespaces may ask for."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.min <= self.default && self.default <= self.max", "order must be min <= default <= max")
        )
    )

    min: Priority = 0
    max: Priority = 0
    default: Priority = 0

    @model_validator(mode="after")
    def _ordered(self) -> "PriorityRange":
        if not self.min <= self.default <= self.max:
            raise fail("range", "order must be min <= default <= max", "change min, default or max")
        return self


class DeviceLimit(Model):
    """The most devices of a kind that the selected namespaces may hold together at any instant, by jobs and services;
    devices that growth is still bringing up for a job count. Nothing that runs is stopped to keep it."""

    accelerator: Name
    devices: Count


class PlacementPolicySpec(Model):
    """The one named `default` is the fleet's; others select namespaces."""

    mode: ModeName | None = None
    """Observe: plan and report only. Recommend: plans wait for approval. Enforce: act (the default). Of selected
    namespaces it is the most that may happen: where the fleet's is stricter, that holds."""
    objective: Annotated[list[ObjectiveName], Field(min_length=1, max_length=5)] | None = None
    """default only: levels, the first weighs most."""
    stabilisation: Stabilisation | None = None
    solver: Solver | None = None
    overlap_chunks: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """default only: into how many equal parts a streamed data set falls that does not say so itself (1: it is read
    first, then computed with)."""
    bandwidth_margin: Share | None = None
    """default only: share of a link's bandwidth that plans count on."""
    startup_seconds: Annotated[int, Field(ge=0, le=3600)] | None = None
    """default only: from release to running (image, rendezvous)."""
    cost_budget: Decimal | None = None
    """The most that all unfinished jobs (of the selected namespaces together) may cost from now on: devices while
    held, and bytes over links. What ended jobs have cost, services, and unused parts of growth nodes are not in it.
    Jobs beyond it wait."""
    energy_budget_kilowatt_hours: Decimal | None = None
    """The most that the devices of all those jobs may draw from now on, at the meter."""
    carbon_budget_grams: Decimal | None = None
    """The most that they may emit from now on, by their sites' carbonGramsPerKilowattHour."""
    transfers: Transfers | None = None
    """default only."""
    namespace_selector: LabelSelector | None = None
    priority_range: PriorityRange | None = None
    max_jobs: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Unfinished jobs of each selected namespace; the youngest beyond it are refused."""
    device_limits: (
        Annotated[
            list[DeviceLimit], Field(max_length=32, json_schema_extra=keyed("accelerator")), unique("accelerator")
        ]
        | None
    ) = None


FLEET_FIELDS = (
    "objective", "stabilisation", "solver", "overlapChunks", "bandwidthMargin", "startupSeconds",
     "transfers",
)  # fmt: skip
_NAMESPACE = ("namespaceSelector", "deviceLimits")


class PlacementPolicy(Object):
    """Settings of the fleet, or of some namespaces."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.metadata.name != 'default' || ("
                + " && ".join(f"!has(self.spec.{name})" for name in _NAMESPACE)
                + ")",
                "the policy named default is the fleet's: namespaceSelector and deviceLimits belong into another",
            ),
            (
                "self.metadata.name == 'default' || (has(self.spec.namespaceSelector) && "
                + " && ".join(f"!has(self.spec.{name})" for name in FLEET_FIELDS)
                + ")",
                "a policy not named default needs namespaceSelector, and no fleet settings ("
                + ", ".join(FLEET_FIELDS)
                + ")",
            ),
        )
    )

    kind: Literal["PlacementPolicy"]
    spec: PlacementPolicySpec
    status: Status | None = None
