"""What a job says back. Job status is the only truth a restart needs: assignment, order and plan hash."""

from typing import Annotated, Literal

from pydantic import Field

from polyhull.api.v1alpha1.common import (
    Bytes,
    Count,
    Decimal,
    Instant,
    Model,
    Name,
    ObjectName,
    PoolName,
    Seconds,
    Status,
    Text,
    keyed,
)
from polyhull.api.v1alpha1.copies import ActiveTransferStatus, CopyPartStatus, CopyStatus, KeptStatus, LinkName, Store

Names = Annotated[str, Field(min_length=1, max_length=600)]
"""Of pools or options; those of a job over several sites joined by +."""
ShortNames = Annotated[str, Field(min_length=1, max_length=128)]
PoolNames = Annotated[str, Field(min_length=3, max_length=380)]
"""The same, cut where they are too long: for people."""
EvidenceName = Literal["Measured", "Learnt", "Datasheet", "Estimated", "Assumed"]


class NodeShare(Model):
    """Pods of the gang on one node."""

    name: ObjectName
    pods: Count


class DataSource(Model):
    """Where an input is read from: a store (`cluster:NAME`, `site:NAME`) or a declared replica (`site:NAME`)."""

    data_set: Name
    store: Store


class PlaceStatus(Model):
    """Pods of one gang in one pool."""

    cluster: Name
    site: Name
    pool: PoolName
    option: Name
    accelerator: Name
    device_class: Annotated[str, Field(max_length=16)] = ""
    replicas: Count
    devices_per_replica: Count


class PartStatus(PlaceStatus):
    """What a job over several sites runs in one pool: pods with the ranks from `firstRank` on."""

    first_rank: Count = 0
    stage_layers: Annotated[list[Count], Field(max_length=4096)] | None = None
    """Pipeline: layers of each stage here; with S stages the part's n-th node holds stage n mod S of copy n div S."""
    nodes: Annotated[list[NodeShare], Field(max_length=256)] | None = None


class AssignmentStatus(PlaceStatus):
    """The column the job got, and its place in the plan's queue. Of a job over several sites cluster to nodes are
    those of its first part."""

    order: Count
    nodes: Annotated[list[NodeShare], Field(max_length=256)] | None = None
    data: Annotated[list[DataSource], Field(max_length=48)] | None = None
    checkpoint_interval_seconds: Seconds | None = None
    """How often the plan counts on a checkpoint."""
    released_time: Instant | None = None
    """Set before the child is made; from here on the job is never placed elsewhere until that child is gone."""
    started_time: Instant | None = None
    """When the last pod of the gang ran."""
    spans: Annotated[str, Field(max_length=192)] | None = None
    """Sites of a job over several, in the order of their ranks, with commas."""
    micro_batches: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """Into how many a copy's samples of a step are cut, where parts have stages."""
    parts: Annotated[list[PartStatus], Field(max_length=3)] | None = None
    """All parts of a job over several sites, in the order of their ranks."""


class TransferStatus(Model):
    """One copy of a data set that this job waits for, or waited for; `parts` where it is split."""

    data_set: Name
    source_site: Name
    target_site: Name
    store: Store
    cluster: Name
    links: Annotated[list[LinkName], Field(max_length=16)] | None = None
    transfer_bytes: Bytes
    bytes_per_second: Bytes
    start_time: Instant
    completion_time: Instant
    phase: Literal["Planned", "Running", "Complete"] = "Planned"
    parts: Annotated[list[CopyPartStatus], Field(max_length=8)] | None = None
    """Without it the copy is whole, over `links`; with it they are at each part."""


class AlternativeStatus(Model):
    """Another way, and how much later the job would finish there."""

    cluster: ShortNames
    pool: PoolNames
    option: ShortNames
    later_seconds: Seconds


class HelpStatus(Model):
    """A change, and how much sooner the job would end with it: planned again with the change made."""

    change: Annotated[str, Field(max_length=512)]
    sooner_seconds: Seconds


class ExplanationStatus(Model):
    """Why here, in seconds by cause; at most 4 KiB."""

    binds: Text
    queue_seconds: Seconds = 0
    transfer_seconds: Seconds = 0
    startup_seconds: Seconds = 0
    compute_seconds: Seconds = 0
    exchange_seconds: Seconds | None = None
    """What the parts of a job over several sites wait for each other's activations or gradients."""
    failure_seconds: Seconds | None = None
    """Of a job with checkpoints: what saving them and failures are expected to take."""
    alternatives: Annotated[list[AlternativeStatus], Field(max_length=3)] | None = None
    helps: Annotated[list[HelpStatus], Field(max_length=3)] | None = None
    """What is known to help, the most helpful first; looked for while nothing else is to be decided."""
    evidence: EvidenceName = "Measured"


class ExclusionStatus(Model):
    """A place this job is kept away from for a while, and why."""

    cluster: Name
    pool: PoolName | None = None
    reason: Annotated[str, Field(min_length=1, max_length=128)]
    message: Text
    until_time: Instant


class CompletionStatus(Model):
    """When it ends if durations spread as their evidence says: in half of the cases, and in nine of ten."""

    p50: Instant
    p90: Instant


class PromiseStatus(Model):
    """When the job was promised to end. Later plans keep to it within 10 % of its span, at least 10 minutes."""

    completion_time: Instant
    given_time: Instant
    slips: Count = 0
    """How often a plan had to go beyond it (capacity or durations changed, a higher tier came); after 3 its start is
    fixed."""
    moved_time: Instant | None = None
    """When the plan last changed its place while it waited."""
    left_pool: Names | None = None
    """Where it was moved away from then; it does not go back there."""
    left_option: Names | None = None


class OutputStatus(Model):
    """Where what the job leaves behind is."""

    cluster: Name
    store: Store
    claim_name: Name | None = None
    """A claim of the job's namespace there."""
    url: Annotated[str, Field(max_length=2048)] | None = None


class MoveStatus(Model):
    """A job that ran was stopped in order to go on elsewhere from its last checkpoint: what a restart must know."""

    phase: Literal["Stopping", "Carrying", "Resuming", "Resumed"]
    """Stopping: where it ran it may run still. Carrying: it does not; it waits, and its checkpoint is carried where
    need be. Resuming: released again. Resumed: it runs again; what follows is history."""
    from_cluster: Name
    from_pool: PoolName
    from_option: Name
    to_cluster: Name
    """Where it was to go when it was stopped; since its release where it went."""
    to_pool: PoolName
    to_option: Name
    to_store: Store | None = None
    """Where it saves its checkpoints since its release."""
    moves: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """How many times it was stopped so far."""
    work_done: Decimal
    """Units of work that its checkpoint holds at least, of all runs before."""
    checkpoint_bytes: Bytes = 0
    """That had to go over links."""
    lost_seconds: Seconds = 0
    """Work since its last checkpoint, at most, which is done again."""
    gain_seconds: Seconds = 0
    """By how much sooner it was expected to end."""
    why: Text = ""
    decided_time: Instant
    stopped_time: Instant | None = None
    """When its pods were seen gone."""
    stores: Annotated[list[CopyStatus], Field(max_length=128, json_schema_extra=keyed("store"))] | None = None
    """Where its last checkpoint lies whole."""
    transfers: (
        Annotated[list[ActiveTransferStatus], Field(max_length=64, json_schema_extra=keyed("store"))] | None
    ) = None
    """Of its checkpoint, under way."""


class JobStatus(Status):
    """Status of a job that runs to its end."""

    assignment: AssignmentStatus | None = None
    plan_hash: Annotated[str, Field(max_length=128)] | None = None
    transfers: Annotated[list[TransferStatus], Field(max_length=16)] | None = None
    estimated_start_time: Instant | None = None
    estimated_completion_time: Instant | None = None
    completion_estimates: CompletionStatus | None = None
    promise: PromiseStatus | None = None
    explanation: ExplanationStatus | None = None
    exclusions: Annotated[list[ExclusionStatus], Field(max_length=16)] | None = None
    output: OutputStatus | None = None
    """Since it was released."""
    kept: Annotated[list[KeptStatus], Field(max_length=128)] | None = None
    """Where it may have written, from its release until it is seen that nothing of it is left there."""
    move: MoveStatus | None = None
    """Of a job that was stopped in order to be moved."""
    start_time: Instant | None = None
    """When it was observed to run."""
    completion_time: Instant | None = None
    """When its end was observed."""
    failed_attempts: Count | None = None
