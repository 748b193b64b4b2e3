"""The eleven kinds: names, scope, columns. A new kind is one model and one entry here."""

from dataclasses import dataclass

from polyhull.api.v1alpha1.common import Object
from polyhull.api.v1alpha1.compute import AcceleratorType, ComputePool
from polyhull.api.v1alpha1.dataset import DataSet
from polyhull.api.v1alpha1.inference import InferenceJob
from polyhull.api.v1alpha1.member import MemberCluster
from polyhull.api.v1alpha1.plan import PlacementPlan
from polyhull.api.v1alpha1.policy import PlacementPolicy
from polyhull.api.v1alpha1.scenario import PlacementScenario
from polyhull.api.v1alpha1.topology import Link, Site
from polyhull.api.v1alpha1.training import TrainingJob


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column; `wide` ones show with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False


def _state(condition: str) -> str:
    return f'.status.conditions[?(@.type=="{condition}")].status'


def _why(condition: str) -> str:
    return f'.status.conditions[?(@.type=="{condition}")].reason'


def _text(condition: str) -> str:
    return f'.status.conditions[?(@.type=="{condition}")].message'


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind is served."""

    model: type[Object]
    plural: str
    short: str
    namespaced: bool
    columns: tuple[Column, ...]
    scale: bool = False

    @property
    def name(self) -> str:
        return self.model.__name__

    @property
    def singular(self) -> str:
        return self.name.lower()


_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_ACCEPTED = Column("Accepted", _state("Accepted"))
_NOT_ACCEPTED = Column("Why", _text("Accepted"), wide=True)

_WHERE = (
    Column("Pool", ".status.assignment.pool"),
    Column("Option", ".status.assignment.option"),
    Column("Placed", _state("Placed")),
    Column("Why", _why("Placed")),
    Column("Since", ".status.startTime", "date"),
    Column("Until", ".status.estimatedCompletionTime"),
)
_WHERE_WIDE = (
    Column("Accepted", _why("Accepted"), wide=True),
    Column("Data", _why("DataReady"), wide=True),
    Column("Order", ".status.assignment.order", "integer", wide=True),
    Column("Priority", ".spec.priority", "integer", wide=True),
    Column("Binds", ".status.explanation.binds", wide=True),
)

KINDS: tuple[Kind, ...] = (
    Kind(
        TrainingJob,
        "trainingjobs",
        "tj",
        True,
        (
            Column("Succeeded", _state("Succeeded")),
            *_WHERE,
            _AGE,
            *_WHERE_WIDE,
            Column("Spans", ".status.assignment.spans", wide=True),
        ),
    ),
    Kind(
        InferenceJob,
        "inferencejobs",
        "ij",
        True,
        (
            Column("Mode", ".spec.mode"),
            Column("Ready", _state("Ready")),
            Column("Replicas", ".status.replicas", "integer"),
            *_WHERE,
            _AGE,
            *_WHERE_WIDE,
            Column("Serves", ".status.servedPerSecond", wide=True),
        ),
        scale=True,
    ),
    Kind(
        DataSet,
        "datasets",
        "pds",
        True,
        (
            Column("Size", ".spec.size"),
            Column("At", ".spec.replicas[*].site"),
            Column("Copies", ".status.copies[*].site"),
            Column("Moving-To", ".status.transfers[*].site"),
            _ACCEPTED,
            _AGE,
            _NOT_ACCEPTED,
        ),
    ),
    Kind(
        Site,
        "sites",
        "psite",
        False,
        (Column("Tier", ".spec.tier"), Column("Region", ".spec.region"), _ACCEPTED, _AGE, _NOT_ACCEPTED),
    ),
    Kind(
        Link,
        "links",
        "plink",
        False,
        (
            Column("From", ".spec.from"),
            Column("To", ".spec.to"),
            Column("Bandwidth", ".spec.bandwidth"),
            Column("Symmetric", ".spec.symmetric", "boolean"),
            _ACCEPTED,
            _AGE,
            _NOT_ACCEPTED,
        ),
    ),
    Kind(
        MemberCluster,
        "memberclusters",
        "pmc",
        False,
        (
            Column("Site", ".spec.siteRef.name"),
            Column("Connected", _state("Connected")),
            Column("Why", _why("Connected")),
            Column("Version", ".status.version"),
            Column("Pools", ".status.pools", "integer"),
            Column("Last-Contact", ".status.lastContactTime", "date"),
            _ACCEPTED,
            _AGE,
            Column("Fenced", ".spec.fenced", "boolean", wide=True),
            Column("Drain", ".spec.drain", "boolean", wide=True),
            Column("Message", _text("Connected"), wide=True),
        ),
    ),
    Kind(
        ComputePool,
        "computepools",
        "pcp",
        False,
        (
            Column("Cluster", ".spec.cluster"),
            Column("Accelerator", ".spec.accelerator"),
            Column("Nodes", ".status.nodes", "integer"),
            Column("Devices", ".status.devices", "integer"),
            Column("Free", ".status.freeDevices", "integer"),
            _ACCEPTED,
            _AGE,
            _NOT_ACCEPTED,
        ),
    ),
    Kind(
        AcceleratorType,
        "acceleratortypes",
        "pat",
        False,
        (
            Column("Class", ".spec.class"),
            Column("Resource", ".spec.resourceName"),
            Column("Memory", ".spec.memory"),
            Column("Evidence", ".spec.evidence"),
            _ACCEPTED,
            _AGE,
            _NOT_ACCEPTED,
        ),
    ),
    Kind(
        PlacementPolicy,
        "placementpolicies",
        "ppol",
        False,
        (
            Column("Mode", ".spec.mode"),
            Column("Objective", ".spec.objective[0]"),
            _ACCEPTED,
            _AGE,
            _NOT_ACCEPTED,
        ),
    ),
    Kind(
        PlacementPlan,
        "placementplans",
        "pplan",
        False,
        (
            Column("Makespan", ".status.makespanSeconds", "integer"),
            Column("Bound", ".status.lowerBoundSeconds", "integer"),
            Column("Bound-Kind", ".status.boundKind"),
            Column("Gap", ".status.gap"),
            Column("Placed", ".status.placed", "integer"),
            Column("Unplaced", ".status.unplaced", "integer"),
            _AGE,
            Column("Hash", ".status.planHash", wide=True),
            Column("Solver", ".status.solverStatus", wide=True),
        ),
    ),
    Kind(
        PlacementScenario,
        "placementscenarios",
        "pscn",
        False,
        (
            Column("Today", ".status.baseMakespanSeconds", "integer"),
            Column("Then", ".status.makespanSeconds", "integer"),
            Column("Gain", ".status.gain"),
            Column("Earlier", ".status.earlier", "integer"),
            Column("Later", ".status.later", "integer"),
            Column("Moved", ".status.moved", "integer"),
            Column("Answered", _state("Answered")),
            _ACCEPTED,
            _AGE,
            _NOT_ACCEPTED,
        ),
    ),
)

BY_NAME: dict[str, Kind] = {kind.name: kind for kind in KINDS}
