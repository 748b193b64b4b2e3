"""The demand side: training jobs, inference jobs and the data sets they read.

Times are seconds. Instants are seconds since the epoch (UTC), as floats; durations say so in their names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from polyhull.domain.fleet import Evidence
from polyhull.domain.labels import Selector
from polyhull.domain.resources import Resources

CHECKPOINT = "Checkpoint"
"""The kind of `checkpoint_key`."""


class Key(NamedTuple):
    """Identity of a namespaced object. `kind` is TrainingJob, InferenceJob or DataSet; also Checkpoint, which is
    what a stopped job goes on from and no object of its own.

    A tuple, not a dataclass: plans of thousands of jobs hash and compare keys more than they do anything else.
    """

    namespace: str
    name: str
    kind: str = "TrainingJob"

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


class Access(StrEnum):
    STAGE = "Stage"
    STREAM = "Stream"


@dataclass(frozen=True, slots=True)
class DataInput:
    """One data set a job reads. `mounted` asks for files under a path, which needs volume storage."""

    data_set: Key
    access: Access = Access.STAGE
    chunks: int | None = None
    """Streamed: equal parts; None: as many as the policy says."""
    mounted: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """One run of a job: of what kind, on what, where, how much work since when. `ended_at` None: it still runs."""

    signature: str
    accelerator: str
    site: str
    pool: str
    work_quantity: float
    started_at: float
    ended_at: float | None
    useful: float = 1.0
    """Share of that time that checkpoints and failures were expected to leave for work."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """A transfer that ended well: how long its bytes took over its links, under which limit."""

    links: tuple[str, ...]
    transfer_bytes: int
    limit_bytes_per_second: float
    started_at: float
    ended_at: float
    shares: tuple[float, ...] = ()
    """Of a part of a split copy, by link: its limit over those of all parts that the link carried; else empty."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """An option's rate as runs of its kind taught it; `site` "": over all sites."""

    site: str
    rate_per_second: float
    spread: float
    """Standard deviation of the logarithm of the next run's rate."""
    observations: int


@dataclass(frozen=True, slots=True)
class Option:
    """One acceptable way to run a training or batch job: a gang of `replicas` pods.

    `rate_per_second` is work units per second of the whole gang; None: nobody knows.
    `pod` is what one pod requests (devices included, `pods=1`).
    """

    name: str
    accelerator: str
    replicas: int
    devices_per_replica: int
    rate_per_second: float | None
    pod: Resources
    rate_evidence: Evidence = Evidence.MEASURED
    service_account: str = ""
    """That its template names; a member's administrator must allow it there."""
    learnt: tuple[Learnt, ...] = ()
    """Sorted by site. What was learnt counts for more than a rate that was not measured."""
    grace_seconds: float = 30.0
    """That its template leaves a pod to end by itself when it is stopped (terminationGracePeriodSeconds)."""

    def rate_at(self, site: str) -> tuple[float | None, Evidence]:
        """What was learnt there, else anywhere, else as stated or estimated."""
        if self.learnt and self.rate_evidence is not Evidence.MEASURED:
            known = {one.site: one for one in self.learnt}
            found = known.get(site) or known.get("")
            if found is not None:
                return found.rate_per_second, Evidence.LEARNT
        return self.rate_per_second, self.rate_evidence


class SpanMode(StrEnum):
    """How one job runs over several sites."""

    PIPELINE = "Pipeline"
    """Every site holds some of the layers; activations go from site to site."""
    DATA_PARALLEL = "DataParallel"
    """Every site trains the whole model on its part of each step's samples; gradients are exchanged."""


@dataclass(frozen=True, slots=True)
class Span:
    """A training job that may run over several sites, its gang split between them, and what its model sends then.

    The rates of its options hold for its whole gang: a part of the gang does its share of them. Bytes as sent.
    """

    mode: SpanMode
    max_sites: int = 2
    synchronize_steps: int = 1
    """DataParallel: gradients are exchanged every so many steps."""
    work_per_step: float = 1.0
    """Units of `work_quantity` that one step of the whole gang does."""
    samples_per_step: int = 1
    """Pipeline: they are cut into micro-batches."""
    layers: int = 1
    activation_bytes: float = 0.0
    """Pipeline: of one sample between two layers; as much comes back."""
    gradient_bytes: float = 0.0
    """DataParallel: of all parameters, per exchange."""
    state_bytes: float = 0.0
    """Weights, gradients and optimizer of the whole model; 0: memory is not looked at."""


def writes_at(part: int, mode: SpanMode | None) -> tuple[bool, bool]:
    """Whether the `part` of a job (0: where rank 0 is) keeps checkpoints, and whether it keeps the output.

    Rank 0 writes both, but stages of a pipeline, which nobody else holds, are saved where they run.
    """
    return part == 0 or mode is SpanMode.PIPELINE, part == 0


@dataclass(frozen=True, slots=True)
class PlacedPart:
    """What was released of a job at one of its sites; as in `Placed`."""

    cluster: str
    pool: str
    option: str
    replicas: int
    nodes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """What was released for a job, as observed. It is never moved by a plan: the job is a fixed column."""

    cluster: str
    pool: str
    option: str
    nodes: tuple[tuple[str, int], ...]
    """(node name, pods there); bound pods where observed, else the nodes the plan chose."""
    released_at: float
    started_at: float | None = None
    """When the last pod of the gang ran; None while it is not running yet."""
    uncertain: bool = False
    """The member is unreachable: the job may or may not be running. Never placed again elsewhere."""
    parts: tuple[PlacedPart, ...] = ()
    """Of a job over several sites all of them, in the order of their ranks; `cluster` to `nodes` are the first's."""

    @property
    def places(self) -> tuple[PlacedPart, ...]:
        """Its parts; of a job at one site the one it is."""
        pods = sum(count for _, count in self.nodes)
        return self.parts or (PlacedPart(self.cluster, self.pool, self.option, pods, self.nodes),)

    @property
    def pools(self) -> tuple[str, ...]:
        return tuple(part.pool for part in self.parts) or (self.pool,)


@dataclass(frozen=True, slots=True)
class Promise:
    """What the last accepted plan said of a job that has not started: column and place in the queue."""

    cluster: str
    pool: str
    option: str
    order: int
    start_at: float
    finish_at: float
    due_at: float | None = None
    """P: the finish that was promised, first or after the last slip; None before anything was."""
    given_at: float = 0.0
    """When that was said."""
    slips: int = 0
    """How often a later plan had to go beyond it."""
    moved_at: float | None = None
    """When its column last changed."""
    left: tuple[str, str] | None = None
    """(pool, option) it was moved away from last; it does not go back there."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A place a job must not be put until `until`: a refused, unbindable or dependency-less release."""

    cluster: str
    pool: str
    """Empty: the whole cluster."""
    reason: str
    message: str
    until: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How a job saves its state: the size of one checkpoint, and seconds from one to the next (None: the best)."""

    size_bytes: int
    interval_seconds: float | None = None
    mounted: bool = False
    """It asks for files under a path, which needs volume storage."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a job leaves behind; with `data_set` as that data set's first copy, where it was written."""

    size_bytes: int
    mounted: bool = False
    data_set: Key | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """A job that was stopped in order to be moved, and what it goes on from: its last checkpoint.

    While it is not `placed` again it waits like a new job, but for `work_done`, and it reads its checkpoint, the
    private data set `checkpoint_key`, before it starts. Once it is placed again this stays, as its history.
    """

    work_done: float
    """Units of work that the checkpoint holds, of all runs before."""
    cluster: str
    pool: str
    option: str
    """Where it ran last."""
    stores: tuple["Copy", ...]
    """Sorted; that hold the checkpoint whole. None: a job that is not placed begins anew."""
    stopped_at: float
    moves: int = 1
    """How many times it was stopped so far, this one included."""
    nodes: tuple[tuple[str, int], ...] = ()
    """(node name, pods there) where its old pods have not been seen gone; nobody else has these devices yet."""
    free_at: float = 0.0
    """When they are expected to be gone: nothing of it starts before. 0: they are."""


def checkpoint_key(job: Key) -> Key:
    """By which a stopped job's checkpoint goes in plans and transfers; no object has it."""
    return Key(job.namespace, job.name, CHECKPOINT)


def data_name(data_set: Key) -> str:
    """As tables and pages call what is moved."""
    return f"{data_set.name} (checkpoint)" if data_set.kind == CHECKPOINT else data_set.name


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A finite job: training, or batch inference converted to the same shape (`key.kind` tells)."""

    key: Key
    uid: str
    created_at: float
    work_quantity: float
    options: tuple[Option, ...]
    inputs: tuple[DataInput, ...] = ()
    priority: int = 0
    deadline_at: float | None = None
    site_selector: Selector = Selector()
    confidential: bool = False
    placed: Placed | None = None
    promise: Promise | None = None
    exclusions: tuple[Exclusion, ...] = ()
    span: Span | None = None
    """None: it runs at one site."""
    checkpoint: Checkpoint | None = None
    """None: a failure is not planned for."""
    output: Output | None = None
    resume: Resume | None = None
    """None: it was never stopped in order to be moved."""

    @property
    def work_left(self) -> float:
        """Units of work from its last start on: all of it where it was never stopped, or begins anew."""
        if self.resume is None or self.checkpoint is None or self.begins_anew:
            return self.work_quantity
        return max(0.0, self.work_quantity - self.resume.work_done)

    @property
    def begins_anew(self) -> bool:
        """It was stopped, and no store holds its checkpoint any more."""
        return self.resume is not None and self.placed is None and not self.resume.stores

    @property
    def kept_bytes(self) -> int:
        """What it keeps in the store of where it runs; of a job over several sites the most at one of them."""
        if self.checkpoint is None and self.output is None:
            return 0
        return sum(one.size_bytes for one in (self.checkpoint, self.output) if one is not None)

    def kept_at(self, clusters: Sequence[str]) -> dict[str, int]:
        """By cluster, what it keeps where its parts run in these, in the order of their ranks."""
        found: dict[str, int] = {}
        for part, cluster in enumerate(clusters):
            saves, leaves = writes_at(part, self.span.mode if self.span is not None else None)
            told = (self.checkpoint if saves else None, self.output if leaves else None)
            found.setdefault(cluster, sum(one.size_bytes for one in told if one is not None))
        return {cluster: size for cluster, size in found.items() if size > 0}


@dataclass(frozen=True, slots=True)
class Demand:
    """Online requests that arise at a site."""

    site: str
    requests_per_second: float
    request_bytes: float = 0.0
    response_bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Variant:
    """One model on one kind of device that may serve a service. `rate_per_second` is of one replica."""

    name: str
    accelerator: str
    devices_per_replica: int
    rate_per_second: float
    service_seconds: float
    quality: float
    pod: Resources
    model: DataInput | None = None
    rate_evidence: Evidence = Evidence.MEASURED
    service_account: str = ""

    def slowed(self, factor: float) -> "Variant":
        """The same where everything takes `factor` times as long."""
        if factor <= 1.0:
            return self
        rate, seconds = self.rate_per_second / factor, self.service_seconds * factor
        return replace(self, rate_per_second=rate, service_seconds=seconds)


@dataclass(frozen=True, slots=True)
class Serving:
    """Replicas of one variant in one pool."""

    cluster: str
    pool: str
    variant: str
    replicas: int
    nodes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class InferenceService:
    """An online inference job. `fixed_replicas` is set when an external scaler owns the total."""

    key: Key
    uid: str
    created_at: float
    demand: tuple[Demand, ...]
    variants: tuple[Variant, ...]
    latency_seconds: float
    percentile: float = 0.99
    min_replicas: int = 1
    cost_per_hour: float | None = None
    """The most that its replicas may cost in an hour; None: no limit."""
    fixed_replicas: int | None = None
    priority: int = 0
    site_selector: Selector = Selector()
    confidential: bool = False
    serving: tuple[Serving, ...] = ()
    """What runs now."""
    promise: tuple[Serving, ...] = ()
    """Where the last accepted plan put it; tells while nothing runs yet."""
    exclusions: tuple[Exclusion, ...] = ()


@dataclass(frozen=True, slots=True)
class Replica:
    """A declared home of a data set: the owner put it there; Polyhull never deletes it."""

    site: str
    url: str
    secret_name: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """A complete copy that Polyhull made and observed. `store` as in `Cluster.store`."""

    store: str
    site: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """`residency` holds for compute on the data and for every hop of a transfer."""

    key: Key
    size_bytes: int
    replicas: tuple[Replica, ...]
    residency: Selector = Selector()
    max_copies: int | None = None
    copies: tuple[Copy, ...] = ()
    largest_file_bytes: int | None = None
    """No file is larger; None: nobody said, so copies of it are never split."""


@dataclass(frozen=True, slots=True)
class CopyPart:
    """What one source sends over one path of a copy that is split. `source_url`: empty where a status was read.

    Parts share a copy's files in their order: each carries about `transfer_bytes`, and one more file at most.
    """

    source_site: str
    source_url: str
    links: tuple[str, ...]
    transfer_bytes: int
    rate_bytes_per_second: float


@dataclass(frozen=True, slots=True)
class ActiveTransfer:
    """A transfer whose Jobs exist in the member and whose completion has not been observed. Where it is split,
    `links` are those of all `parts`, `source_site` is the first one's, and the rate is what they come to together."""

    data_set: Key
    source_site: str
    store: str
    site: str
    cluster: str
    links: tuple[str, ...]
    rate_bytes_per_second: float
    started_at: float
    parts: tuple[CopyPart, ...] = ()
    """Empty for a whole copy."""
