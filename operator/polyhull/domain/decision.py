"""What was decided and why: the value that is printed, recorded, delivered and replayed.

All `_seconds` of assignments and transfers count from `Decision.taken_at`.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from polyhull.domain.fleet import Evidence
from polyhull.domain.workloads import Copy, CopyPart, Key, Promise


class BoundKind(StrEnum):
    """What the printed lower bound is a bound of; docs/model.md defines each."""

    EXACT_WHOLE_COPY = "ExactWholeCopy"
    """CP-SAT's proven bound over the executed class: whole copies, one source and one path per transfer."""
    EXACT_SUBPROBLEM = "ExactSubproblem"
    """CP-SAT's proven bound over the executed class for the jobs that bind; more jobs only take longer."""
    STRENGTHENED_WHOLE_COPY = "StrengthenedWholeCopy"
    """Fixed-T programme of whole copies with the rows its solutions violate, bisected, over the executed class."""
    STRENGTHENED_SPLIT_COPY = "StrengthenedSplitCopy"
    """The same programme where copies may be split: each by one of its ways, the split one among them."""
    STRENGTHENED = "Strengthened"
    """Fixed-T programme with the column filter, bisected, over the whole class Pi."""
    FLUID = "Fluid"
    """Rate programme over the whole class Pi."""
    NONE = "None"
    """Nothing could be proved in the time given; lower_bound_seconds is 0."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One copy of a data set from `start_seconds` to `end_seconds`: whole, over one path at one rate, or in `parts`,
    each over a path and at a rate of its own. Then `links` are those of all parts, each once, the source is the first
    part's, and the rate is what all of them come to together."""

    data_set: Key
    source_site: str
    source_url: str
    target_site: str
    store: str
    cluster: str
    """Where the transfer's Job runs."""
    links: tuple[str, ...]
    """Names of links, in order; empty for a copy inside one site."""
    transfer_bytes: int
    rate_bytes_per_second: float
    start_seconds: float
    end_seconds: float
    price: float | None = None
    """What its bytes cost; None where a link of its path has no price."""
    active: bool = False
    """Already running when the snapshot was taken."""
    parts: tuple[CopyPart, ...] = ()
    """Empty for a whole copy."""
    whole_because: str = ""
    """Why it is not split although the policy allows it."""

    @property
    def name(self) -> tuple[str, str, str]:
        return (self.data_set.namespace, self.data_set.name, self.store)

    @property
    def flows(self) -> tuple[CopyPart, ...]:
        """Its parts; a whole copy is one."""
        whole = CopyPart(
            self.source_site, self.source_url, self.links, self.transfer_bytes, self.rate_bytes_per_second
        )
        return self.parts or (whole,)


@dataclass(frozen=True, slots=True)
class StreamedRead:
    """A data set that a job reads while it computes, over one path at a steady rate."""

    data_set: Key
    source_site: str
    links: tuple[str, ...]
    transfer_bytes: int
    rate_bytes_per_second: float
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class Eviction:
    """A copy that nobody needs any more and that must go before a transfer to its store can start."""

    data_set: Key
    store: str
    freed_bytes: int


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another column and how much later (or what it needs) the job would finish there."""

    cluster: str
    pool: str
    option: str
    later_seconds: float


@dataclass(frozen=True, slots=True)
class Help:
    """A change to the fleet or the job, and how much sooner it would end: by planning again with the change made."""

    change: str
    """In words: `one more v100 node in pool cloud/v100`."""
    end_seconds: float
    """Its finish then, from now."""
    sooner_seconds: float | None = None
    """None: without the change it finds no place at all."""
    plan_sooner_seconds: float = 0.0
    """By how much everything would end sooner."""


@dataclass(frozen=True, slots=True)
class Binding:
    """The constraint that a job waited for last; empty: nothing holds it up.

    `kind`: Pool, Growth, Link, Power, DeviceLimit (then `name` is the limit's policy/accelerator).
    """

    kind: str = ""
    name: str = ""
    until_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why here: seconds by cause, what binds, the next best, and what would help."""

    binds: str
    """One sentence that names the binding constraint with its number."""
    queue_seconds: float = 0.0
    transfer_seconds: float = 0.0
    startup_seconds: float = 0.0
    compute_seconds: float = 0.0
    exchange_seconds: float = 0.0
    """What the parts of a job over several sites wait for each other's activations or gradients."""
    alternatives: tuple[Alternative, ...] = ()
    evidence: Evidence = Evidence.MEASURED
    binding: Binding = Binding()
    helps: tuple[Help, ...] = ()
    """The most helpful first; empty where none was tried or none helps."""
    failure_seconds: float = 0.0
    """Of a job with checkpoints: expected to be lost to saving checkpoints, and to work done again after failures."""


@dataclass(frozen=True, slots=True)
class Use:
    """What one placement costs, draws and emits from now to its end; None: a price or a figure is unknown."""

    cost: float | None = None
    """Of its devices."""
    energy_joules: float | None = None
    carbon_grams: float | None = None
    egress_cost: float | None = None
    """Of what it streams, and of what its parts exchange; None also where there is neither."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """The same of a whole plan, of what is known; None where nothing is. The names say what is missing."""

    cost: float | None = None
    egress_cost: float | None = None
    services_cost_per_hour: float | None = None
    energy_joules: float | None = None
    carbon_grams: float | None = None
    egress_bytes: int = 0
    unpriced: tuple[str, ...] = ()
    """Pools and links without a price that the plan uses."""
    unmetered: tuple[str, ...] = ()
    """Accelerators without watts that it uses."""
    carbon_unknown: tuple[str, ...] = ()
    """Sites without grams per kilowatt-hour that it uses."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a job runs in one pool: `replicas` pods with the ranks from `first_rank` on, out of those of all parts."""

    cluster: str
    site: str
    pool: str
    option: str
    accelerator: str
    device_class: str
    replicas: int
    devices_per_replica: int
    nodes: tuple[tuple[str, int], ...]
    first_rank: int = 0
    stage_layers: tuple[int, ...] = ()
    """Pipeline: layers of each stage here. With S stages here, the part's rank r holds stage r mod S of copy r div S.
    DataParallel, where one device cannot hold the model: likewise, all layers."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a job over several sites sends from one to another while it computes, over one path at one rate."""

    source_site: str
    target_site: str
    links: tuple[str, ...]
    rate_bytes_per_second: float
    start_seconds: float
    end_seconds: float
    transfer_bytes: float = 0.0
    """In all, at most what the rate allows; work that failures make it do again is not counted."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where and when one training or batch job runs.

    `start_seconds` is its release (devices are held from there: start-up, then compute); `end_seconds` its finish.
    A `fixed` one was released before the snapshot. `order` is its place in the plan's queue. Of a job over several
    sites `cluster` to `nodes` are those of its first part.
    """

    job: Key
    cluster: str
    site: str
    pool: str
    option: str
    accelerator: str
    device_class: str
    replicas: int
    devices_per_replica: int
    nodes: tuple[tuple[str, int], ...]
    order: int
    start_seconds: float
    end_seconds: float
    data: tuple[tuple[Key, str], ...] = ()
    """(data set, store or `site:` of a declared replica it is read from)."""
    fixed: bool = False
    explanation: Explanation = field(default_factory=lambda: Explanation(""))
    use: Use = Use()
    deadline_seconds: float | None = None
    """Seconds from `taken_at` to its deadline, negative when that is over; None without one."""
    end_p50_seconds: float | None = None
    """Its finish in half of the scenarios of uncertain durations, and in nine of ten."""
    end_p90_seconds: float | None = None
    promise: Promise | None = None
    """What this plan says of a job that waits, to be remembered; None for a fixed one."""
    remedy: str = ""
    """For a late job: what would help, tried in the same simulation."""
    reads: tuple[StreamedRead, ...] = ()
    checkpoint_interval_seconds: float = 0.0
    """From one checkpoint to the next, as the plan counts on; 0 without."""
    parts: tuple[Part, ...] = ()
    """All parts of a job over several sites, in the order of their ranks; empty for every other job."""
    exchanges: tuple[Exchange, ...] = ()
    micro_batches: int = 1
    """Into how many equal ones a copy's samples of a step are cut, where parts have stages."""
    observed: bool = False
    """Planned around everything else and never released: its namespace is in mode Observe, others are not."""

    @property
    def places(self) -> tuple[Part, ...]:
        """Its parts; of a job at one site the one it is."""
        return self.parts or (
            Part(
                self.cluster, self.site, self.pool, self.option, self.accelerator, self.device_class, self.replicas,
                self.devices_per_replica, self.nodes,
            ),
        )  # fmt: skip

    @property
    def late_seconds(self) -> float:
        """By how much it is expected to miss its deadline; 0 if it does not."""
        return 0.0 if self.deadline_seconds is None else max(0.0, self.end_seconds - self.deadline_seconds)

    @property
    def release_now(self) -> bool:
        return not self.fixed and self.start_seconds <= 0.0


@dataclass(frozen=True, slots=True)
class Route:
    """Requests per second from an origin site to one variant in one pool."""

    origin: str
    cluster: str
    pool: str
    variant: str
    requests_per_second: float


@dataclass(frozen=True, slots=True)
class Answerer:
    """A place that answers requests: how much quality its answers miss of the best variant's, and what its capacity
    is worth in the same unit. A router sends a request where loss + price is least."""

    pool: str
    variant: str
    loss: float
    price: float


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """Replica counts and routing weights of one online service. `rule`: where its places differ in quality."""

    service: Key
    replicas: tuple["ServingPlan", ...]
    routes: tuple[Route, ...]
    served_per_second: float
    demanded_per_second: float
    explanation: Explanation = field(default_factory=lambda: Explanation(""))
    rule: tuple[Answerer, ...] = ()


@dataclass(frozen=True, slots=True)
class ServingPlan:
    cluster: str
    site: str
    pool: str
    variant: str
    accelerator: str
    device_class: str
    devices_per_replica: int
    replicas: int
    nodes: tuple[tuple[str, int], ...]
    ready_seconds: float = 0.0
    """When its model is there: 0 if it already is."""


@dataclass(frozen=True, slots=True)
class Unplaced:
    """`reason` is a CamelCase word for a condition; `message` names the number that binds and what to do."""

    job: Key
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Price:
    """Shadow price of the bound: `per_unit` seconds of makespan per device-second (pool) or per byte (link)."""

    name: str
    per_unit: float
    makespan_seconds_per_unit: float
    """d(bound)/d(capacity): seconds per further device (pool) or per further bit/s (link); <= 0."""


@dataclass(frozen=True, slots=True)
class Opportunity:
    """What device time of a pool is worth until the next full plan, for those who come meanwhile.

    A device-second held before `instants[i]` (seconds since the epoch) delays others by `weighted_seconds[i]`.
    """

    pool: str
    instants: tuple[float, ...]
    weighted_seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LevelReport:
    """What one level of the objective came to, over all placed jobs; `bound` None: nothing is proved of it."""

    name: str
    unit: str
    value: float
    bound: float | None = None

    @property
    def gap(self) -> float | None:
        """value / bound - 1; None where nothing was proved."""
        if self.bound is None or self.bound <= 0.0:
            return 0.0 if self.bound is not None and self.value <= 0.0 else None
        return max(0.0, self.value / self.bound - 1.0)


@dataclass(frozen=True, slots=True)
class Baselines:
    """What other ways of thinking reach, through the same ordering and simulation; None if they place fewer jobs."""

    locality_only_seconds: float | None = None
    compute_only_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class SolverReport:
    seconds: float = 0.0
    """Wall time; measured outside the core and left 0 in recorded decisions, which must not depend on it."""
    status: str = ""
    """Optimal, Feasible, KeptLastPlan …, with what happened."""
    steps: int = 0


@dataclass(frozen=True, slots=True)
class RunningMove:
    """A running job that is to be stopped and to go on elsewhere; its assignment is the new one, and waits.

    What is written down when it is stopped, `Resume` in all but the instant, is `work_done`, `stores` and `moves`.
    """

    job: Key
    from_cluster: str
    from_pool: str
    from_option: str
    to_cluster: str
    to_pool: str
    to_option: str
    checkpoint_bytes: int
    """That go over links; 0 where the checkpoint is read from where it lies."""
    work_done: float
    """Units that its last checkpoint holds for certain, of all runs."""
    stores: tuple[Copy, ...]
    """That hold that checkpoint."""
    lost_seconds: float
    """Of work since then, to be done again."""
    gain_seconds: float
    """By how much sooner it ends."""
    moves: int = 1
    """How many times it will have been stopped then."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a snapshot. `violations` non-empty means: do not apply."""

    taken_at: float
    assignments: tuple[Assignment, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    evictions: tuple[Eviction, ...] = ()
    services: tuple[ServicePlan, ...] = ()
    unplaced: tuple[Unplaced, ...] = ()
    makespan_seconds: float = 0.0
    makespan_p50_seconds: float | None = None
    makespan_p90_seconds: float | None = None
    lower_bound_seconds: float = 0.0
    bound_kind: BoundKind = BoundKind.NONE
    objective: tuple[str, ...] = ("Makespan",)
    levels: tuple[LevelReport, ...] = ()
    """One for each name of `objective`, in its order."""
    pool_prices: tuple[Price, ...] = ()
    link_prices: tuple[Price, ...] = ()
    opportunities: tuple[Opportunity, ...] = ()
    baselines: Baselines = Baselines()
    solver: SolverReport = SolverReport()
    violations: tuple[str, ...] = ()
    plan_hash: str = ""
    footprint: Footprint = Footprint()
    moves: tuple[RunningMove, ...] = ()
    """Running jobs that this plan stops and places elsewhere, by key."""

    @property
    def gap(self) -> float | None:
        """makespan / bound - 1; None where nothing was proved."""
        if self.lower_bound_seconds <= 0.0:
            return 0.0 if self.makespan_seconds <= 0.0 else None
        return max(0.0, self.makespan_seconds / self.lower_bound_seconds - 1.0)
