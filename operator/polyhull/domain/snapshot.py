"""Everything a decision may know, frozen at one instant. Picklable, replayable, hashable by content."""

from dataclasses import dataclass, field
from enum import StrEnum

from polyhull.domain.decision import Opportunity
from polyhull.domain.fleet import Fleet
from polyhull.domain.workloads import ActiveTransfer, DataSet, InferenceService, TrainingJob

OBJECTIVES = ("Makespan", "WeightedCompletion", "MaxMinFairness", "Cost", "Energy", "Carbon")
"""What `PlacementPolicy.spec.objective` may list; `planning/objectives.py` has a level for each."""


class Mode(StrEnum):
    OBSERVE = "Observe"
    RECOMMEND = "Recommend"
    ENFORCE = "Enforce"

    def stricter(self, other: "Mode") -> "Mode":
        """Of the two the one that lets less happen."""
        return min(self, other, key=list(Mode).index)


@dataclass(frozen=True, slots=True)
class SolverLimits:
    """Budgets in steps, so that the same snapshot gives the same plan on any machine; `kill_seconds` only kills."""

    search_steps: int | None = None
    """Steps of the schedule search; more of them are never worse. None: by the number of jobs."""
    exact_jobs: int = 60
    """Up to this many jobs CP-SAT is asked for a proof; of more jobs, about those the bound rests on while they are
    no more than this."""
    exact_deterministic_seconds: float = 3.0
    """CP-SAT's deterministic time. Most proofs of the exact size take a fraction of it; where none is to be had, one
    such second took 4 to 5 s of wall time on two shared cores: the prover ends within half of `kill_seconds`."""
    kill_seconds: float = 60.0
    """Wall time after which the worker is killed and the last good plan stays."""
    seed: int = 1

    def steps_for(self, jobs: int) -> int:
        """Of the makespan's search: a second or two, compiled."""
        return min(100 * jobs, 100_000) if self.search_steps is None else self.search_steps

    @property
    def level_steps(self) -> int:
        """Of the searches that run in Python only: deadlines and the levels behind the makespan."""
        return 2000 if self.search_steps is None else self.search_steps


@dataclass(frozen=True, slots=True)
class DeviceLimit:
    """The most devices of a kind that some namespaces hold together at any instant, those of services included."""

    policy: str
    """That says so."""
    accelerator: str
    devices: int
    namespaces: tuple[str, ...]
    """Sorted; of those that it selects the ones with jobs."""

    @property
    def name(self) -> str:
        return f"{self.policy}/{self.accelerator}"


@dataclass(frozen=True, slots=True)
class NamespaceBudget:
    """The most that unfinished jobs of some namespaces may take together from now on; None: no limit."""

    policy: str
    """That says so."""
    namespaces: tuple[str, ...]
    """Sorted; of those that it selects the ones with jobs."""
    cost_budget: float | None = None
    energy_budget_kilowatt_hours: float | None = None
    carbon_budget_grams: float | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The `default` PlacementPolicy as the decision reads it."""

    mode: Mode = Mode.ENFORCE
    objective: tuple[str, ...] = ("Makespan",)
    bandwidth_margin: float = 0.9
    """Share of a link's nominal bandwidth the plan counts on."""
    startup_seconds: float = 2.0
    """Image and rendezvous: from release to running. Measured on the proving ground; see docs/benchmarks.md."""
    overlap_chunks: int = 1
    """Equal parts of a streamed data set that does not name its own."""
    cost_budget: float | None = None
    """The most that unfinished jobs may cost from now on, devices and bytes; None: no limit."""
    energy_budget_kilowatt_hours: float | None = None
    """The most that their devices may draw from now on, at the meter."""
    carbon_budget_grams: float | None = None
    """The most that they may emit from now on."""
    split_transfers: bool = False
    """A copy may come in parts from several sources and over several paths at once."""
    minimum_gain: float = 0.07
    """A new full plan replaces the present one only if a level is better by this share, and so again for each waiting
    job that it moves. Measured rates are off by 5 %, two of them by 7 %: less is noise."""
    move_budget: int | None = None
    """At most so many waiting jobs change their place from one plan to the next; None: no limit."""
    cool_down_seconds: float = 600.0
    """A waiting job that changed its place keeps it for so long; so does a running one, and one that just started."""
    move_running: bool = False
    """A running job with checkpoints may be stopped in order to go on elsewhere."""
    running_move_budget: int = 1
    """At most so many jobs are under way at once: stopped to be moved, and not running again yet."""
    device_limits: tuple[DeviceLimit, ...] = ()
    """Of the policies of namespaces."""
    budgets: tuple[NamespaceBudget, ...] = ()
    """Likewise, beside those of everybody together."""
    modes: tuple[tuple[str, Mode], ...] = ()
    """(namespace, mode), sorted, of those whose own policy is stricter than `mode`."""
    solver: SolverLimits = field(default_factory=SolverLimits)

    def mode_of(self, namespace: str) -> Mode:
        """What may happen to the jobs of a namespace."""
        return next((mode for name, mode in self.modes if name == namespace), self.mode)

    def watches(self, namespace: str) -> bool:
        """Is it in mode Observe while others are not? Its jobs are planned last then, around everything else."""
        return self.mode is not Mode.OBSERVE and self.mode_of(namespace) is Mode.OBSERVE

    @property
    def moves_running(self) -> bool:
        """May running jobs be stopped in order to go on elsewhere?"""
        return self.move_running and self.mode is not Mode.OBSERVE

    @property
    def asks(self) -> bool:
        """Does something wait for an approval?"""
        return self.mode is not Mode.ENFORCE or any(mode is Mode.RECOMMEND for _, mode in self.modes)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`taken_at` is the decision's now. Jobs sorted by key."""

    taken_at: float
    fleet: Fleet
    jobs: tuple[TrainingJob, ...] = ()
    services: tuple[InferenceService, ...] = ()
    data_sets: tuple[DataSet, ...] = ()
    transfers: tuple[ActiveTransfer, ...] = ()
    policy: Policy = field(default_factory=Policy)
    opportunities: tuple[Opportunity, ...] = ()
    """Of the last full plan: what an arrival should leave to others."""
