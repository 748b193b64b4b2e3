"""What would help: plausible changes, each made and planned again. No number comes from a price alone.

Candidates are chosen by what binds and by the prices; each is tried by one re-run: the plan at hand is carried to the
changed fleet, its jobs free to use what is new, and a little search follows where the size allows. The same re-run
without any change is what gains are counted from, so that searching longer is never taken for help.

No text names another tenant's things: what is changed is the fleet, or the job asked about and its own data.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from polyhull.domain.decision import Assignment, Decision, Help, Price, Unplaced
from polyhull.domain.errors import InvalidInput
from polyhull.domain.scenario import AddCopy, AddNodes, Change, SetDeviceLimit, SetLink, SetPriority
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key, TrainingJob
from polyhull.optimize.build import build_columns
from polyhull.optimize.caps import CapKind
from polyhull.optimize.columns import ColumnSet
from polyhull.planning.canonical import canonical
from polyhull.planning.carried import carrying
from polyhull.planning.promise import arrivals_behind, keep
from polyhull.planning.relaxed import unguided
from polyhull.planning.reserve import reserve
from polyhull.planning.scenario import changed
from polyhull.planning.search import improve
from polyhull.planning.simulate import run
from polyhull.planning.watched import acted_on
from polyhull.planning.wording import words

SHOWN = 3
OF_JOB = 8
"""Re-runs for one job that is asked about."""
FEW, MANY = 100, 1000
STEPS = 200
"""Of search in a re-run of up to FEW jobs."""
LEAST_SECONDS, LEAST_SHARE = 1.0, 0.005
"""What counts as sooner."""
WIDER = 2.0


def most_reruns(jobs: int) -> int:
    """How many changes are tried for the plan as a whole."""
    return 5 if jobs <= FEW else 2 if jobs <= MANY else 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Finishes in seconds from now by job, and the last of all."""

    ends: Mapping[Key, float]
    makespan: float


def helped(snapshot: Snapshot, decision: Decision) -> Decision:
    """The decision with what would help each job that waits, as far as changes that help many tell."""
    snapshot = acted_on(snapshot)
    waiting = [one for one in decision.assignments if not one.fixed]
    tried = _tried(snapshot, decision, candidates(decision, snapshot)[: most_reruns(len(waiting))])
    if not tried:
        return decision

    def told(one: Assignment) -> Assignment:
        helps = () if one.fixed else _ranked(one.job, tried)
        return replace(one, explanation=replace(one.explanation, helps=helps)) if helps else one

    return replace(decision, assignments=tuple(told(one) for one in decision.assignments))


def help_for(
    snapshot: Snapshot, decision: Decision, subject: Assignment | Unplaced, highest_priority: int | None = None
) -> tuple[Help, ...]:
    """What would help one job, by up to OF_JOB re-runs. `highest_priority`: the most its namespace may ask for."""
    snapshot = acted_on(snapshot)
    job = next((one for one in snapshot.jobs if one.key == subject.job), None)
    if job is None or (isinstance(subject, Assignment) and subject.fixed):
        return ()
    own = _own(snapshot, job, subject, highest_priority)
    changes = list(dict.fromkeys((*own, *candidates(decision, snapshot))))[:OF_JOB]
    return _ranked(subject.job, _tried(snapshot, decision, changes))


def candidates(decision: Decision, snapshot: Snapshot) -> list[Change]:
    """Nodes for pools and bandwidth for links, those first for which jobs wait longest, then those with a price."""
    waits: Counter[tuple[str, str]] = Counter()
    for one in decision.assignments:
        why = one.explanation
        if not one.fixed and why.binding.kind:
            waits[why.binding.kind, why.binding.name] += round(1000 * (why.queue_seconds + why.transfer_seconds))
    for kind, prices in (("Pool", decision.pool_prices), ("Link", decision.link_prices)):
        for price in sorted(prices, key=_by_price):
            if price.makespan_seconds_per_unit < 0.0:
                waits.setdefault((kind, price.name), 0)
    ordered = sorted(waits.items(), key=lambda entry: -entry[1])  # stable: prices keep their order behind
    return [change for (kind, name), _ in ordered if (change := _more(snapshot, kind, name)) is not None]


def _by_price(price: Price) -> tuple[float, str]:
    return (price.makespan_seconds_per_unit, price.name)


def _more(snapshot: Snapshot, kind: str, name: str) -> Change | None:
    if kind in ("Pool", "Growth"):
        return AddNodes(name, 1)
    if kind == CapKind.DEVICE_LIMIT:
        limit = next((one for one in snapshot.policy.device_limits if one.name == name), None)
        return None if limit is None else SetDeviceLimit(limit.policy, limit.accelerator, 2 * limit.devices)
    link = next((one for one in snapshot.fleet.links if one.name == name), None)
    return SetLink(link.source, link.target, WIDER * link.bandwidth_bits_per_second) if link is not None else None


def _own(
    snapshot: Snapshot, job: TrainingJob, subject: Assignment | Unplaced, highest_priority: int | None
) -> Iterable[Change]:
    """What binds this job, faster places it could have, its data there, a higher tier."""
    columns = build_columns(canonical(snapshot))
    if isinstance(subject, Unplaced):
        kinds = {option.accelerator for option in job.options}
        yield from _limits_of(snapshot, job)
        yield from (AddNodes(pool.name, 1) for pool in snapshot.fleet.pools if pool.accelerator in kinds)
        return
    binding = subject.explanation.binding
    if (first := _more(snapshot, binding.kind, binding.name) if binding.kind else None) is not None:
        yield first
    above = (
        min(highest_priority, max(one.priority for one in snapshot.jobs) + 1) if highest_priority else job.priority
    )
    if above > job.priority:
        yield SetPriority(job.key, above)
    for site, pool in _better(columns, subject):
        yield from (AddCopy(read.data_set, site) for read in job.inputs if not _there(columns, read.data_set, site))
        if pool:
            yield AddNodes(pool, 1)


def _limits_of(snapshot: Snapshot, job: TrainingJob) -> Iterable[Change]:
    """Limits that let its gang through, where they are below it."""
    for limit in snapshot.policy.device_limits:
        mine = [one.replicas * one.devices_per_replica for one in job.options if one.accelerator == limit.accelerator]
        if mine and job.key.namespace in limit.namespaces and min(mine) > limit.devices:
            yield SetDeviceLimit(limit.policy, limit.accelerator, min(mine))


def _better(columns: ColumnSet, subject: Assignment) -> list[tuple[str, str]]:
    """Its own site, then (site, pool) of up to two columns that compute faster than its own: they may lack data."""
    mine = sorted(
        (column for column in columns.columns if column.job == subject.job),
        key=lambda column: (column.length_seconds, column.name),
    )
    why = subject.explanation
    length = why.startup_seconds + why.compute_seconds + why.failure_seconds
    fast = [(one.site, one.pool) for one in mine if one.pool != subject.pool and one.length_seconds < length]
    return [(subject.site, ""), *fast[:2]]


def _there(columns: ColumnSet, data_set: Key, site: str) -> bool:
    needs = (need for column in columns.columns for need in column.needs)
    return any(need.data_set == data_set and need.site == site and need.present for need in needs)


def _tried(snapshot: Snapshot, decision: Decision, changes: Iterable[Change]) -> list[tuple[str, Outcome, Outcome]]:
    """(words, without, with) of every change that can be made."""
    out: list[tuple[str, Outcome, Outcome]] = []
    base: Outcome | None = None
    for change in changes:
        try:
            other = changed(snapshot, (change,))
        except InvalidInput:
            continue
        base = base or rerun(snapshot, decision)
        out.append((words(change, snapshot), base, rerun(other, decision)))
    return out


def rerun(snapshot: Snapshot, decision: Decision) -> Outcome:
    """The decision carried to this snapshot: its columns, else any column in its order, and a little search."""
    carried = canonical(carrying(snapshot, decision))
    columns = build_columns(carried)
    instance = reserve(carried, columns, unguided(carried, columns).services).instance
    kept = keep(instance)
    free = (None,) * len(instance.jobs)
    order = kept.order if kept is not None else arrivals_behind(instance, free)
    schedules = [kept.schedule] if kept is not None else []
    if len(instance.jobs) <= FEW or not schedules:
        schedules.append(run(instance, order, free))
    best = min(schedules, key=lambda schedule: schedule.objective)
    if len(instance.jobs) <= FEW:
        best, _ = improve(instance, best, STEPS, carried.policy.solver.seed)
    ends = {job.key: slot.end for job, slot in zip(instance.jobs, best.slots, strict=True) if slot is not None}
    return Outcome(ends, best.makespan)


def _ranked(job: Key, tried: Iterable[tuple[str, Outcome, Outcome]]) -> tuple[Help, ...]:
    helps = []
    for text, before, after in tried:
        end, was = after.ends.get(job), before.ends.get(job)
        if end is None:
            continue
        if was is None:
            helps.append(Help(text, end))
        elif was - end > max(LEAST_SECONDS, LEAST_SHARE * was):
            helps.append(Help(text, end, was - end, max(0.0, before.makespan - after.makespan)))
    return tuple(sorted(helps, key=lambda one: (one.end_seconds, one.change))[:SHOWN])
