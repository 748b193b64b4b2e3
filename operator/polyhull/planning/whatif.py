"""What if: today's plan and the plan after some changes, as a difference. Touches nothing.

Both plans are sought from the same start with the same effort: from what is promised now or, where nothing is, from
a first plan. So a job moves only where the operator would move it, and no change at all gives no difference at all.
"""

from collections.abc import Iterable, Sequence

from polyhull.domain.decision import Assignment, Decision, ServicePlan
from polyhull.domain.difference import Difference, Fate, JobDifference, Side
from polyhull.domain.errors import SolverFailed
from polyhull.domain.scenario import Change
from polyhull.domain.snapshot import Snapshot
from polyhull.optimize.exact import Prove
from polyhull.planning.carried import carrying
from polyhull.planning.decide import decide
from polyhull.planning.scenario import changed
from polyhull.planning.wording import words

LEAST_SECONDS = 1.0
"""Finishes that differ by less are the same."""


def what_if(
    snapshot: Snapshot, changes: Sequence[Change], prove: Prove | None = None, where: str = "the scenario"
) -> tuple[Difference, Decision]:
    """The difference, and the plan after the changes.

    Raises InvalidInput that names the change which cannot be made, and SolverFailed if the checker refuses a plan.
    """
    changed(snapshot, changes, where)  # what cannot be made is said before anything is planned
    start = _promised(snapshot)
    today = decide(start, prove)
    then = decide(changed(start, changes, where), prove)
    for decision in (today, then):
        if decision.violations:
            raise SolverFailed(f"the checker refused a plan: {decision.violations[0]}")
    said = tuple(words(change, snapshot) for change in changes)
    return difference(said, today, then), then


def _promised(snapshot: Snapshot) -> Snapshot:
    """With the present plan as promises."""
    if any(job.promise is not None for job in snapshot.jobs if job.placed is None):
        return snapshot
    return carrying(snapshot, decide(snapshot))


def difference(changes: Iterable[str], before: Decision, after: Decision) -> Difference:
    """Two plans side by side."""
    jobs = [*_jobs(before, after), *_services(before, after)]
    jobs.sort(key=lambda one: (-abs(one.later_seconds or 0.0), one.fate, one.job))
    return Difference(tuple(changes), _side(before), _side(after), tuple(jobs))


def _side(decision: Decision) -> Side:
    return Side(
        decision.makespan_seconds,
        decision.lower_bound_seconds,
        decision.bound_kind,
        decision.gap,
        decision.footprint.cost,
        decision.footprint.energy_joules,
        len(decision.assignments) + len(decision.services),
        len(decision.unplaced),
        decision.plan_hash,
    )


def _jobs(before: Decision, after: Decision) -> Iterable[JobDifference]:
    was = {one.job: one for one in before.assignments}
    now = {one.job: one for one in after.assignments}
    lost_before = {one.job for one in before.unplaced}
    lost_after = {one.job: f"{one.reason}: {one.message}" for one in after.unplaced}
    for key in sorted(was.keys() | now.keys() | lost_before | lost_after.keys()):
        one, other = was.get(key), now.get(key)
        if one is not None and other is not None:
            fate = _fate(one, other)
            if fate is not None:
                yield JobDifference(key, fate, one.pool, other.pool, one.end_seconds, other.end_seconds)
        elif other is not None:
            fate = Fate.PLACED if key in lost_before else Fate.ADDED
            yield JobDifference(key, fate, "", other.pool, None, other.end_seconds)
        elif key in lost_after and (one is not None or key not in lost_before):
            pool, end = (one.pool, one.end_seconds) if one is not None else ("", None)
            yield JobDifference(key, Fate.UNPLACED, pool, "", end, None, lost_after[key])
        elif key not in lost_after and key not in {plan.service for plan in after.services}:
            pool, end = (one.pool, one.end_seconds) if one is not None else ("", None)
            yield JobDifference(key, Fate.REMOVED, pool, "", end)


def _fate(one: Assignment, other: Assignment) -> Fate | None:
    later = other.end_seconds - one.end_seconds
    if abs(later) > LEAST_SECONDS:
        return Fate.LATER if later > 0.0 else Fate.EARLIER
    return Fate.MOVED if one.pool != other.pool else None


def _services(before: Decision, after: Decision) -> Iterable[JobDifference]:
    was = {plan.service: plan for plan in before.services}
    now = {plan.service: plan for plan in after.services}
    lost_before, lost_after = ({one.job for one in decision.unplaced} for decision in (before, after))
    for key in sorted(was.keys() | now.keys()):
        one, other = was.get(key), now.get(key)
        from_pool, to_pool = _pools(one), _pools(other)
        if one is None:
            yield JobDifference(key, Fate.PLACED if key in lost_before else Fate.ADDED, from_pool, to_pool)
        elif other is None:
            if key not in lost_after:
                yield JobDifference(key, Fate.REMOVED, from_pool, to_pool)
        elif abs(other.served_per_second - one.served_per_second) > 1e-6 * max(1.0, one.demanded_per_second):
            more = other.served_per_second > one.served_per_second
            yield JobDifference(key, Fate.SERVES_MORE if more else Fate.SERVES_LESS, from_pool, to_pool)
        elif from_pool != to_pool:
            yield JobDifference(key, Fate.MOVED, from_pool, to_pool)


def _pools(plan: ServicePlan | None) -> str:
    return "" if plan is None else ", ".join(sorted({part.pool for part in plan.replicas}))
