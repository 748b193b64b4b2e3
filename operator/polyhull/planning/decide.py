"""The decision on one page: a snapshot in, a checked plan out. No I/O, no clock, the same answer every time."""

from polyhull.domain.decision import Baselines, BoundKind, Decision, SolverReport
from polyhull.domain.snapshot import Snapshot
from polyhull.optimize.columns import build_columns
from polyhull.planning.assemble import assignments, plan_hash, transfers, unplaced
from polyhull.planning.order import best_of, compute_only, initial_orders, locality_only
from polyhull.planning.reserve import reserve
from polyhull.planning.search import improve


def decide(snapshot: Snapshot, prove: object = None) -> Decision:
    columns = build_columns(snapshot)
    reserved = reserve(snapshot, columns, ())
    instance = reserved.instance
    free = tuple(None for _ in instance.jobs)
    orders = initial_orders(instance, free)
    local, fast = best_of(locality_only(instance), orders), best_of(compute_only(instance), orders)
    start = best_of(instance, orders)
    limits = snapshot.policy.solver
    best, steps = improve(instance, start, limits.search_steps, limits.seed)
    assigned, moved = assignments(reserved, best, {}), transfers(instance, best)
    return Decision(
        snapshot.taken_at,
        assigned,
        moved,
        reserved.services,
        unplaced(reserved, best),
        best.makespan,
        0.0,
        BoundKind.NONE,
        snapshot.policy.objective,
        (),
        (),
        Baselines(local.makespan, fast.makespan),
        SolverReport(0.0, "Feasible", steps),
        (),
        plan_hash(assigned, moved, reserved.services),
    )
