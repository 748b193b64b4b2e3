"""From the present plan to a fresh one, with no more moves than pay.

A move is a waiting job that changes its column. A fresh plan replaces the present one only if it is clearly better
(`objectives.clearly_better`), and each doubling of the number of moves must be so again. A job that moved keeps its
place for the policy's cool-down and never goes straight back; one whose start is fixed does not move at all.
"""

from polyhull.planning.instance import Instance
from polyhull.planning.objectives import clearly_better, levels_of
from polyhull.planning.promise import Kept, keep
from polyhull.planning.schedule import Schedule
from polyhull.planning.simulate import run
from polyhull.planning.urgency import settled


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
    policy = instance.snapshot.policy
    levels = levels_of(policy.objective)
    movers = [j for j, slot in enumerate(fresh.slots) if slot is not None and _moves(present, j, slot.choice)]
    free = sorted((j for j in movers if _may_move(instance, fresh, j)), key=lambda j: (_matters(present, j), j))
    if policy.move_budget is not None:
        free = free[: policy.move_budget]
    best = present.schedule
    for count in _doublings(len(free)):
        everybody = count == len(movers)
        candidate = fresh if everybody else _with(instance, fresh, present, frozenset(free[:count]))
        if clearly_better(candidate.objective, best.objective, levels, policy.minimum_gain):
            best = candidate
    return best


def _with(instance: Instance, fresh: Schedule, present: Kept, moved: frozenset[int]) -> Schedule:
    """The fresh order; only some jobs move, arrivals are where the fresh plan has them."""
    columns: list[int | None] = []
    for j, slot in enumerate(fresh.slots):
        held = present.prescribed[j]
        takes_fresh = held is None or j in moved
        columns.append((None if slot is None else slot.choice) if takes_fresh else held)
    return run(instance, fresh.order, columns)


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


def _doublings(most: int) -> list[int]:
    """0, 1, 2, 4, ... most."""
    out, count = [0], 1
    while count < most:
        out.append(count)
        count *= 2
    return [*out, most] if most else out
