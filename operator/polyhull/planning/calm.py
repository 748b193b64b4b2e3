"""From the present plan to a fresh one, with no more moves than pay.

A move is a waiting job that changes its column. Moves are taken over one by one, the best first, as long as each
makes the plan clearly better (`objectives.clearly_better`); the fresh plan as a whole must pay for all its moves at
once. A job that moved keeps its place for the policy's cool-down and never goes straight back; one whose start is
fixed does not move at all.
"""

from polyhull.planning.instance import Instance
from polyhull.planning.objectives import clearly_better, levels_of
from polyhull.planning.promise import Kept, keep
from polyhull.planning.runner import runner
from polyhull.planning.schedule import Schedule
from polyhull.planning.urgency import settled

TRIED = 12
"""Of the jobs that the fresh plan moves so many are tried as the next one, those that end last."""
MOST_GAIN = 0.5
"""However many jobs it moves, a plan that is better by this share replaces the present one."""


def adopted(instance: Instance, fresh: Schedule) -> tuple[Schedule, str]:
    """The plan to carry out, and what became of the present one (empty: there was none)."""
    present = keep(instance)
    if present is None:
        return fresh, ""
    chosen = _gradually(instance, fresh, present)
    if chosen is present.schedule:
        return chosen, ", present plan kept"
    moves = sum(slot is not None and _moves(present, j, slot.choice) for j, slot in enumerate(chosen.slots))
    return chosen, f", {moves} waiting jobs moved" if moves else ", present plan reordered"


def _gradually(instance: Instance, fresh: Schedule, present: Kept) -> Schedule:
    policy, run = instance.snapshot.policy, runner(instance)
    levels = levels_of(policy.objective)
    movers = [j for j, slot in enumerate(fresh.slots) if slot is not None and _moves(present, j, slot.choice)]
    free = sorted((j for j in movers if _may_move(instance, fresh, j)), key=lambda j: (_matters(present, j), j))
    most = len(free) if policy.move_budget is None else min(policy.move_budget, len(free))

    def trial(moved: frozenset[int]) -> Schedule:
        return run(fresh.order, _columns(fresh, present, moved))

    best, moved = present.schedule, frozenset[int]()
    reordered = trial(moved)
    if clearly_better(reordered.objective, best.objective, levels, policy.minimum_gain):
        best = reordered
    while len(moved) < most:
        trials = [(trial(moved | {j}), j) for j in [j for j in free if j not in moved][:TRIED]]
        one, j = min(trials, key=lambda found: found[0].objective)
        if not clearly_better(one.objective, best.objective, levels, policy.minimum_gain):
            break
        best, moved = one, moved | {j}
    further = len(movers) - len(moved)
    if len(free) == len(movers) <= most and further:
        share = min(MOST_GAIN, policy.minimum_gain * further)
        if clearly_better(fresh.objective, best.objective, levels, share):
            best = fresh
    return best


def _columns(fresh: Schedule, present: Kept, moved: frozenset[int]) -> list[int | None]:
    """Only some jobs move; arrivals are where the fresh plan has them."""
    columns: list[int | None] = []
    for j, slot in enumerate(fresh.slots):
        held = present.prescribed[j]
        takes_fresh = held is None or j in moved
        columns.append((None if slot is None else slot.choice) if takes_fresh else held)
    return columns


def _moves(present: Kept, j: int, column: int) -> bool:
    """Does the job leave a place that it was promised and could keep?"""
    return present.prescribed[j] not in (None, column) and present.schedule.slots[j] is not None


def _may_move(instance: Instance, fresh: Schedule, j: int) -> bool:
    job, slot = instance.jobs[j], fresh.slots[j]
    if job.promise is None or slot is None or settled(job):
        return False
    policy, now = instance.snapshot.policy, instance.snapshot.taken_at
    rested = job.promise.moved_at is None or now - job.promise.moved_at >= policy.cool_down_seconds
    return rested and instance.choices[j][slot.choice].name != job.promise.left


def _matters(present: Kept, j: int) -> float:
    """What ends last in the present plan is worth moving first."""
    slot = present.schedule.slots[j]
    return 0.0 if slot is None else -slot.end
