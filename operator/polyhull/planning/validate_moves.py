"""The checker's page on jobs that are stopped to go on elsewhere: may they, what is left of their work, and what of
them is still where they were.

Like validate.py it shares no code with what made the plan. A plan with moves is checked as it is executed: each job
that it moves has been stopped now, its pods hold their devices until their grace is over, and it goes on from its
last checkpoint, which may be as old as the interval between two.
"""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from polyhull.domain.decision import Assignment, Decision, RunningMove
from polyhull.domain.fleet import Evidence, StorageKind
from polyhull.domain.labels import Selector
from polyhull.domain.resources import Resources
from polyhull.domain.snapshot import Mode, Snapshot
from polyhull.domain.workloads import (
    CHECKPOINT,
    Access,
    Copy,
    DataInput,
    DataSet,
    Key,
    Option,
    Placed,
    Resume,
    TrainingJob,
)
from polyhull.planning.validate_facts import SLACK_SECONDS, Facts, exact
from polyhull.planning.validate_failures import interval_seconds, useful

_OVERDUE_SECONDS = Fraction(1)


def as_stopped(snapshot: Snapshot, decision: Decision) -> Snapshot:
    """The snapshot once the jobs that the decision moves are stopped, with the checkpoints of all stopped jobs as
    data sets. The very snapshot where there is none."""
    moved = {move.job: move for move in decision.moves}
    jobs = tuple(_stopped(job, moved.get(job.key), snapshot.taken_at) for job in snapshot.jobs)
    if not any(job.resume is not None and job.placed is None for job in jobs):
        return snapshot
    sizes = {data.key: data for data in snapshot.data_sets if data.key.kind != CHECKPOINT}
    made = {}
    out = []
    for job in jobs:
        inputs = tuple(one for one in job.inputs if one.data_set.kind != CHECKPOINT)
        if job.resume is not None and job.resume.stores and job.placed is None and job.checkpoint is not None:
            key = Key(job.key.namespace, job.key.name, CHECKPOINT)
            made[key] = _left_behind(key, job, [sizes.get(one.data_set) for one in inputs])
            inputs += (DataInput(key),)
        out.append(job if inputs == job.inputs else replace(job, inputs=inputs))
    return replace(snapshot, jobs=tuple(out), data_sets=(*sizes.values(), *made.values()))


def _stopped(job: TrainingJob, move: RunningMove | None, now: float) -> TrainingJob:
    if move is None or job.placed is None:
        return job
    grace = next((one.grace_seconds for one in job.options if one.name == job.placed.option), 0.0)
    left = Resume(
        move.work_done, job.placed.cluster, job.placed.pool, job.placed.option, move.stores, now, move.moves,
        job.placed.nodes, now + grace,
    )  # fmt: skip
    return replace(job, placed=None, resume=left)


def _left_behind(key: Key, job: TrainingJob, read: list[DataSet | None]) -> DataSet:
    assert job.resume is not None and job.checkpoint is not None
    labels = tuple(pair for data in read if data is not None for pair in data.residency.match_labels)
    others = tuple(one for data in read if data is not None for one in data.residency.match_expressions)
    return DataSet(key, job.checkpoint.size_bytes, (), Selector(labels, others), copies=job.resume.stores)


def leaving(job: TrainingJob, now: float) -> Fraction:
    """Seconds for which the old pods of a stopped job hold what they had."""
    resume = job.resume
    if resume is None or job.placed is not None:
        return Fraction(0)
    return max(_OVERDUE_SECONDS if resume.nodes else Fraction(0), Fraction(resume.free_at) - Fraction(now))


def left_holding(snapshot: Snapshot) -> Iterator[tuple[str, str, str, int, Resources, int, Fraction]]:
    """(namespace, pool, node, pods, what one asks for, devices of one, seconds) of the old pods of stopped jobs."""
    for job in snapshot.jobs:
        seconds, resume = leaving(job, snapshot.taken_at), job.resume
        option = None if resume is None else _option(job, resume.option)
        if seconds > 0 and resume is not None and option is not None:
            for node, pods in resume.nodes:
                yield job.key.namespace, resume.pool, node, pods, option.pod, option.devices_per_replica, seconds


def goes_on(facts: Facts, job: TrainingJob, a: Assignment, decision: Decision) -> Iterator[str]:
    """Where a stopped job goes on, and how its checkpoint comes there."""
    if job.resume is None or job.checkpoint is None:
        return
    there = leaving(job, facts.snapshot.taken_at)
    start = exact(a.start_seconds)
    if start is not None and start < there - SLACK_SECONDS:
        yield f"{job.key} goes on at {a.start_seconds} s, while its pods end until {float(there)} s"
    for transfer in decision.transfers:
        if transfer.data_set != Key(job.key.namespace, job.key.name, CHECKPOINT):
            continue
        target = facts.clusters.get(transfer.cluster)
        if target is None or target.storage.kind is not StorageKind.BUCKET:
            yield f"the checkpoint of {job.key} is carried to {transfer.cluster}, which has no bucket"
        if transfer.active or transfer.rate_bytes_per_second <= 0:
            continue
        least = there + facts.startup() + Fraction(transfer.transfer_bytes) / Fraction(transfer.rate_bytes_per_second)
        end = exact(transfer.end_seconds)
        if end is None or end < least * (1 - Fraction(1, 10**9)) - SLACK_SECONDS:
            yield f"the checkpoint of {job.key} arrives at {transfer.end_seconds} s, {float(least)} s is the earliest"


def running_moves(snapshot: Snapshot, decision: Decision) -> Iterator[str]:
    """May the jobs that the decision moves be moved, and is what it says of them true?"""
    if not decision.moves:
        return
    facts, policy = Facts(snapshot), snapshot.policy
    if not policy.move_running or policy.mode is Mode.OBSERVE:
        yield f"{len(decision.moves)} running jobs are moved, which the policy does not allow"
    if len({move.job for move in decision.moves}) < len(decision.moves):
        yield "a running job is moved twice at once"
    budget = policy.running_move_budget
    if len(decision.moves) + _under_way(snapshot) > budget:
        yield f"{len(decision.moves)} running jobs are moved beside {_under_way(snapshot)} on their way, of {budget}"
    placed = {one.job: one for one in decision.assignments}
    for move in decision.moves:
        job = facts.jobs.get(move.job)
        if job is None or job.placed is None or move.job not in placed:
            yield f"{move.job} is moved, but it does not run or is placed nowhere"
            continue
        if policy.watches(job.key.namespace):
            yield f"{job.key} is moved, though its namespace is only observed"
        yield from _may_move(facts, job, job.placed, move)
        yield from _as_told(facts, job, job.placed, move, placed[move.job], decision)


def _under_way(snapshot: Snapshot) -> int:
    return sum(
        job.resume is not None and (job.placed is None or job.placed.started_at is None) for job in snapshot.jobs
    )


def _may_move(facts: Facts, job: TrainingJob, placed: Placed, move: RunningMove) -> Iterator[str]:
    cluster, now = facts.clusters.get(placed.cluster), facts.snapshot.taken_at
    if job.key.kind != "TrainingJob" or job.checkpoint is None or job.span is not None or placed.parts:
        yield f"{job.key} is moved, but it saves no checkpoint that one place could go on from"
    if any(one.access is Access.STREAM for one in job.inputs):
        yield f"{job.key} is moved, but it reads while it computes"
    if placed.uncertain or cluster is None or not cluster.connected or cluster.fenced:
        yield f"{job.key} is moved away from {placed.cluster}, which does not answer"
    elif cluster.storage.kind is StorageKind.NONE or move.stores != (Copy(cluster.store, cluster.site),):
        yield f"{job.key} is moved, but its checkpoint is not where it ran"
    if placed.started_at is None:
        yield f"{job.key} is moved before it runs"
        return
    rest = facts.snapshot.policy.cool_down_seconds
    since = [placed.started_at] + ([job.resume.stopped_at] if job.resume is not None else [])
    if any(now - at < rest for at in since):
        yield f"{job.key} is moved, though it began or was moved less than {rest} s ago"
    if job.resume is not None and move.to_pool == job.resume.pool:
        yield f"{job.key} is moved straight back to {move.to_pool}"


def _as_told(
    facts: Facts, job: TrainingJob, placed: Placed, move: RunningMove, a: Assignment, decision: Decision
) -> Iterator[str]:
    if (move.from_cluster, move.from_pool, move.from_option) != (placed.cluster, placed.pool, placed.option):
        yield f"{job.key} does not run at {move.from_pool} as {move.from_option}"
    if (move.to_cluster, move.to_pool, move.to_option) != (a.cluster, a.pool, a.option) or a.fixed:
        yield f"{job.key} is moved to {move.to_pool} as {move.to_option}, but is planned otherwise"
    if (placed.pool, placed.option) == (a.pool, a.option):
        yield f"{job.key} is stopped to go on where it is"
    if move.moves != (1 if job.resume is None else job.resume.moves + 1):
        yield f"{job.key} is not moved for the {move.moves}th time"
    carried = [t for t in decision.transfers if t.data_set == Key(job.key.namespace, job.key.name, CHECKPOINT)]
    over_links = sum(transfer.transfer_bytes for transfer in carried)
    if over_links != move.checkpoint_bytes or len(carried) > 1:
        yield f"{move.checkpoint_bytes} bytes of {job.key} are said to be carried, {over_links} are"
    saved = _saved(facts, job, placed)
    if saved is None or Fraction(move.work_done) > saved * (1 + Fraction(1, 10**9)):
        most = "nothing" if saved is None else f"{float(saved)}"
        yield f"{job.key} is said to have saved {move.work_done} units of work, certain is {most}"


def _saved(facts: Facts, job: TrainingJob, placed: Placed) -> Fraction | None:
    """Work that its last checkpoint holds for certain; None where it cannot be said."""
    option, pool = _option(job, placed.option), facts.pools.get(placed.pool)
    if option is None or pool is None or placed.started_at is None:
        return None
    learnt = {one.site: one.rate_per_second for one in option.learnt}
    rate = option.rate_per_second
    if option.rate_evidence is not Evidence.MEASURED:
        rate = learnt.get(pool.site, learnt.get("", rate))
    kind, cluster = facts.kinds.get(pool.accelerator), facts.clusters.get(placed.cluster)
    held = [(option.replicas * option.devices_per_replica, kind, cluster)]
    share, interval = useful(job, held, facts.startup()), interval_seconds(job, held)
    if rate is None or rate <= 0 or share <= 0 or interval is None:
        return None
    per_second = Fraction(rate) * share / max(Fraction(1), Fraction(pool.slowdown))
    elapsed = Fraction(facts.snapshot.taken_at) - Fraction(placed.started_at)
    before = Fraction(0) if job.resume is None else Fraction(job.resume.work_done)
    return min(Fraction(job.work_quantity), before + max(Fraction(0), elapsed - interval) * per_second)


def _option(job: TrainingJob, name: str) -> Option | None:
    return next((one for one in job.options if one.name == name), None)
