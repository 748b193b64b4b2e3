"""What if: today's plan and the plan after some changes, as a difference. Touches nothing.

Both plans are sought with the same effort, once from nothing and once from today's plan (what is promised now or,
where nothing is, the one found from nothing); the better of the two counts. So no change at all gives no difference
at all, and what was good before is not missed after. The question is what the fleet could do: a better plan counts
however small the gain and however lately a job moved, on both sides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from polyhull.domain.decision import Assignment, Decision, ServicePlan
from polyhull.domain.difference import Difference, Fate, JobDifference, Side
from polyhull.domain.errors import SolverFailed
from polyhull.domain.scenario import Change
from polyhull.domain.snapshot import Snapshot
from polyhull.optimize.exact import Prove
from polyhull.planning.carried import carrying
from polyhull.planning.decide import decide
from polyhull.planning.gains import gains, served
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
    eager = _eager(snapshot)
    fresh = decide(_unpromised(eager), prove)
    start = eager if _is_promised(snapshot) else carrying(eager, fresh)
    today = _better(fresh, decide(start, prove))
    other = changed(start, changes, where)
    then = _better(decide(_unpromised(other), prove), decide(other, prove))
    for decision in (today, then):
        if decision.violations:
            raise SolverFailed(f"the checker refused a plan: {decision.violations[0]}")
    said = tuple(words(change, snapshot) for change in changes)
    return difference(said, today, then), then


def _is_promised(snapshot: Snapshot) -> bool:
    return any(job.promise is not None for job in snapshot.jobs if job.placed is None)


def _better(one: Decision, other: Decision) -> Decision:
    """The better plan, with the better of what was proved where both place and serve as much."""
    best = other if not other.violations and gains(one, other) else one
    if (
        one.moves
        or other.moves
        or served(one) != served(other)
        or best.lower_bound_seconds >= max(one.lower_bound_seconds, other.lower_bound_seconds)
    ):
        return best
    proved = other if best is one else one
    return replace(best, lower_bound_seconds=proved.lower_bound_seconds, bound_kind=proved.bound_kind)


def _unpromised(snapshot: Snapshot) -> Snapshot:
    jobs = tuple(replace(job, promise=None) for job in snapshot.jobs)
    return replace(snapshot, jobs=jobs, services=tuple(replace(one, promise=()) for one in snapshot.services))


def _eager(snapshot: Snapshot) -> Snapshot:
    """Without the calm that keeps a live plan from moving for little."""
    policy = replace(snapshot.policy, minimum_gain=0.0, cool_down_seconds=0.0, move_budget=None)
    return replace(snapshot, policy=policy)


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
