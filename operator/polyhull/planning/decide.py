"""The decision on one page: a snapshot in, a checked plan out. No I/O, no clock, the same answer every time.

columns -> relaxation (bound, prices, services) -> what is there already -> present plan and fresh candidates, all
through one simulation -> proof where the size allows -> names, reasons, and an independent check of the result.
"""

from dataclasses import replace

from polyhull.domain.decision import Baselines, BoundKind, Decision, SolverReport
from polyhull.domain.snapshot import Snapshot
from polyhull.optimize.budgets import limits
from polyhull.optimize.build import build_columns
from polyhull.optimize.exact import Prove
from polyhull.planning.afford import allotted, payable
from polyhull.planning.calm import adopted
from polyhull.planning.canonical import canonical
from polyhull.planning.deadlines import fewest_late
from polyhull.planning.fallback import accepted, remarks
from polyhull.planning.finish import finished
from polyhull.planning.insert import INSERTED, Present
from polyhull.planning.levels import Levelled, later_levels
from polyhull.planning.moves import with_moves
from polyhull.planning.objectives import makespan_first
from polyhull.planning.planned import Planned
from polyhull.planning.promise import keep
from polyhull.planning.prove import prove_and_improve, to_prove
from polyhull.planning.relaxed import Guide, bound_without, guided, unguided
from polyhull.planning.reserve import Reserved, reserve
from polyhull.planning.robust import steadiest
from polyhull.planning.schedule import Schedule
from polyhull.planning.search import improve
from polyhull.planning.standing import best_quality, by_quality, same_places, standing
from polyhull.planning.start import first_schedules, ranked
from polyhull.planning.watched import acted_on, with_watched


def decide(snapshot: Snapshot, prove: Prove | None = None) -> Decision:
    """The joint plan of everything, running jobs moved where the policy allows it and it pays.

    `prove` runs the exact solver, on all jobs or on those that bind.
    """
    found = with_moves(planned(acted_on(snapshot), prove), planned, prove)
    return with_watched(snapshot, found, lambda room, guide: searched(room, guide)[0])


def planned(snapshot: Snapshot, prove: Prove | None = None) -> Planned:
    """The same with every running job where it is."""
    snapshot = canonical(snapshot)
    columns = payable(snapshot, build_columns(snapshot))
    guide = guided(snapshot, columns)
    within = allotted(snapshot, columns, guide.choice)
    reserved = reserve(snapshot, within, standing(snapshot, columns, guide.services))

    fresh, baselines, steps = searched(reserved, guide)
    better, raised = best_quality(reserved, within, fresh, by_quality(snapshot, columns))
    if not same_places(better.services, reserved.services):
        again, baselines, more = searched(better, guide)
        reserved, fresh, steps = better, min(raised, again, key=lambda one: one.objective), steps + more
    instance = reserved.instance
    left_out = frozenset(job.key for job, slot in zip(instance.jobs, fresh.slots, strict=True) if slot is None)
    bound, kind = bound_without(snapshot, columns, guide, reserved.services, left_out)
    status = "Feasible"
    provable = makespan_first(snapshot) and not limits(snapshot.policy)
    asked = to_prove(instance, guide.critical)
    if prove is not None and provable and asked:
        proved = prove_and_improve(reserved, columns, fresh, bound, prove, asked)
        reserved, fresh, status = proved.reserved, proved.schedule, proved.status
        if proved.lower_bound_seconds > bound:
            bound, kind = proved.lower_bound_seconds, proved.kind

    levelled = later_levels(reserved.instance, fresh)
    schedule, kept = adopted(reserved.instance, steadiest(reserved.instance, levelled.schedule))
    report = SolverReport(0.0, status + kept + remarks(guide), steps + levelled.steps)
    found = finished(reserved, replace(levelled, schedule=schedule), guide, (bound, kind), baselines, report)
    decision = accepted(found, lambda: quick(snapshot))
    return Planned(decision, columns, reserved, schedule, decision is found and not found.violations)


def searched(reserved: Reserved, guide: Guide) -> tuple[Schedule, Baselines, int]:
    """The best schedule around what is reserved, the baselines there, and the steps it took."""
    instance, limits = reserved.instance, reserved.instance.snapshot.policy.solver
    start, baselines = first_schedules(instance, guide.choice)
    present = keep(instance)
    start = start if present is None else min(start, present.schedule, key=lambda one: one.objective)
    start, settled = fewest_late(instance, start, limits.level_steps, limits.seed)
    ranking = ranked(instance, guide.choice, guide.ranking)
    steps = limits.steps_for(len(instance.jobs))
    found, steps = improve(instance, start, steps, limits.seed, ranking, guide.lower_bound_seconds)
    return found, baselines, settled + steps


def quick(snapshot: Snapshot) -> Decision:
    """The present plan with arrivals inserted at their earliest finish; nothing is solved and nothing proved."""
    return present_plan(snapshot).decision


def present_plan(snapshot: Snapshot) -> Present:
    """The same with what it was made of, so that who comes next can be inserted into it (insert.py)."""
    everything, snapshot = snapshot, canonical(acted_on(snapshot))
    columns = payable(snapshot, build_columns(snapshot))
    guide = unguided(snapshot, columns)
    reserved = reserve(snapshot, allotted(snapshot, columns, guide.choice), guide.services)
    schedule, promised = _present(reserved)
    report = SolverReport(0.0, INSERTED if promised else "Feasible", 0)
    found = finished(reserved, Levelled(schedule), guide, (0.0, BoundKind.NONE), Baselines(), report)
    found = with_watched(everything, found, lambda room, guide: _present(room)[0])
    return Present(reserved, guide, schedule, found)


def _present(reserved: Reserved) -> tuple[Schedule, bool]:
    """What was promised, carried on; else a first schedule. Was anything promised?"""
    present = keep(reserved.instance)
    return (first_schedules(reserved.instance, None)[0], False) if present is None else (present.schedule, True)
