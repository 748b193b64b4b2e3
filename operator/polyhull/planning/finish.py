"""From a schedule to the decision that is printed, recorded and carried out."""

from dataclasses import replace

from polyhull.domain.decision import Baselines, BoundKind, Decision, SolverReport
from polyhull.planning.assemble import assignments, plan_hash, transfers, unplaced
from polyhull.planning.evict import evictions
from polyhull.planning.explain import explain
from polyhull.planning.footprint import footprint
from polyhull.planning.levels import Levelled, level_reports, opportunities
from polyhull.planning.relaxed import Guide
from polyhull.planning.reserve import Reserved
from polyhull.planning.robust import estimated
from polyhull.planning.validate import validate


def finished(
    reserved: Reserved,
    found: Levelled,
    guide: Guide,
    proved: tuple[float, BoundKind],
    baselines: Baselines,
    report: SolverReport,
) -> Decision:
    """`found` in names, with reasons, prices, estimates and a check by other code. `proved`: bound and its kind."""
    instance, schedule = reserved.instance, found.schedule
    assigned = assignments(reserved, schedule, explain(instance, schedule))
    moved = transfers(instance, schedule)
    decision = Decision(
        taken_at=instance.snapshot.taken_at,
        assignments=assigned,
        transfers=moved,
        evictions=evictions(instance.snapshot, moved, assigned),
        services=reserved.services,
        unplaced=unplaced(reserved, schedule, guide.unplaced),
        makespan_seconds=schedule.makespan,
        lower_bound_seconds=proved[0],
        bound_kind=proved[1] if proved[0] > 0.0 else BoundKind.NONE,
        objective=instance.snapshot.policy.objective,
        levels=level_reports(instance, found, proved[0]),
        pool_prices=guide.pool_prices,
        link_prices=guide.link_prices,
        opportunities=opportunities(instance, found),
        baselines=baselines,
        solver=report,
        plan_hash=plan_hash(assigned, moved, reserved.services),
        footprint=footprint(instance.snapshot, assigned, moved, reserved.services, schedule.makespan),
    )
    decision = estimated(decision, instance, schedule)
    return replace(decision, violations=validate(instance.snapshot, decision))
