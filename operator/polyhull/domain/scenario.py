"""Changes that a what-if makes to a snapshot, as values. `planning/scenario.py` makes them; nothing here is real."""

from dataclasses import dataclass

from polyhull.domain.resources import Resources
from polyhull.domain.workloads import Key, TrainingJob


@dataclass(frozen=True, slots=True)
class AddNodes:
    """More empty nodes in a pool, shaped like those it has."""

    pool: str
    nodes: int


@dataclass(frozen=True, slots=True)
class AddDevices:
    """More devices of a kind in a cluster: in its pool of that kind, else in a new pool of nodes of `shape`."""

    cluster: str
    accelerator: str
    devices: int
    shape: Resources | None = None
    """One node of a new pool; needed where the cluster has no pool of the kind."""


@dataclass(frozen=True, slots=True)
class ResizePool:
    """That many nodes in a pool: more are added as by AddNodes, fewer are taken away, the emptiest first."""

    pool: str
    nodes: int


@dataclass(frozen=True, slots=True)
class SetLink:
    """Another bandwidth from one site to another, this way only; 0 takes the link away, a missing one is added."""

    source: str
    target: str
    bandwidth_bits_per_second: float


@dataclass(frozen=True, slots=True)
class LoseCluster:
    """A cluster with its nodes, the copies on its volumes, and what runs there; the site and its links stay."""

    cluster: str


@dataclass(frozen=True, slots=True)
class SetDeviceLimit:
    """Another number of devices of a kind that the namespaces of a policy may hold together."""

    policy: str
    accelerator: str
    devices: int


@dataclass(frozen=True, slots=True)
class SetObjective:
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SubmitJob:
    job: TrainingJob


@dataclass(frozen=True, slots=True)
class RemoveJob:
    """A job or a service that is gone."""

    key: Key


@dataclass(frozen=True, slots=True)
class SetPriority:
    key: Key
    priority: int


@dataclass(frozen=True, slots=True)
class AddCopy:
    """One more complete copy of a data set, at a site, as if its owner had put it there."""

    data_set: Key
    site: str


Change = (
    AddNodes | AddDevices | ResizePool | SetLink | LoseCluster | SetObjective | SubmitJob | RemoveJob | SetPriority
    | AddCopy | SetDeviceLimit
)  # fmt: skip
