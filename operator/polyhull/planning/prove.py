"""Asking for a proof: the best schedule as the one to beat, and the answer's order back through the simulation."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from polyhull.domain.decision import BoundKind
from polyhull.domain.workloads import Key
from polyhull.optimize.columns import ColumnSet
from polyhull.optimize.data import ROUNDED_DOWN
from polyhull.optimize.exact import Built, ExactAnswer, Prove, ToBeat, build, fits
from polyhull.optimize.narrow import narrowed
from polyhull.planning.instance import Instance
from polyhull.planning.order import Prescribed
from polyhull.planning.relaxed import elsewhere, offers
from polyhull.planning.reserve import Reserved, reserve
from polyhull.planning.schedule import Schedule
from polyhull.planning.simulate import run
from polyhull.planning.standing import WITHIN_SECONDS, best_quality

OPTIMAL_WITHIN = 1e-3
"""The exact problem's grid is that coarse for chains of some fifty intervals (exact.GRID)."""


@dataclass(frozen=True, slots=True)
class Proved:
    """The best schedule known now, what it is planned into, and the bound proved for the executed class (0: none)."""

    reserved: Reserved
    schedule: Schedule
    lower_bound_seconds: float
    status: str
    kind: BoundKind = BoundKind.EXACT_WHOLE_COPY


def to_prove(instance: Instance, critical: Sequence[Key]) -> frozenset[Key]:
    """All jobs while they are few, else those the bound rests on while those are; empty: there is nothing to ask.

    Nothing is asked where a copy may be split: the exact problem knows whole copies, one at a time on each link.
    """
    if instance.columns.split:
        return frozenset()
    most = instance.snapshot.policy.solver.exact_jobs
    for jobs in (frozenset(job.key for job in instance.jobs), frozenset(critical)):
        if len(jobs) <= most:
            return jobs
    return frozenset()


def prove_and_improve(
    reserved: Reserved, columns: ColumnSet, best: Schedule, known_bound: float, prove: Prove, jobs: Set[Key]
) -> Proved:
    """Never worse than `best`; a solver that fails changes nothing. `jobs`: the others are left out of the question,
    which can only lower its answer."""
    instance = reserved.instance
    if not best.makespan > 0.0 or not any(slot is not None for slot in best.slots):
        return Proved(reserved, best, 0.0, "Nothing to prove")
    snapshot = instance.snapshot
    places = offers(snapshot, columns, reserved.services)
    beat = _to_beat(instance, best, known_bound, jobs)
    if not beat.jobs:
        return Proved(reserved, best, 0.0, "Nothing to prove")
    few = narrowed(snapshot, columns, beat)
    built = build(snapshot, few, beat, places.places, places.demand, places.replicas)
    answer = prove(built.problem)
    if answer is None:
        return Proved(reserved, best, 0.0, "Feasible; the exact solver gave no answer")
    if answer.status in ("INFEASIBLE", "MODEL_INVALID"):
        return Proved(reserved, best, 0.0, f"Feasible; the exact solver answered {answer.status}")
    if not fits(built.problem, answer):
        return Proved(reserved, best, 0.0, "Feasible; the exact solver answered nonsense")
    where, better = reserved, best
    rooms = [reserved]
    moved = elsewhere(snapshot, columns, reserved.services, places, answer.replicas)
    if moved is not None:
        rooms.append(reserve(snapshot, columns, moved))
    for room in rooms:
        for order, prescribed in _orders(room.instance, best, built, answer):
            candidate = run(room.instance, order, prescribed)
            if candidate.objective < better.objective and (room is reserved or _pays(candidate, better)):
                where, better = room, candidate
    if where is not reserved:
        where, better = best_quality(where, columns, better, reserved.services)
    bound = answer.bound * built.problem.unit_seconds * ROUNDED_DOWN  # the grid's units are rounded down
    if not bound <= better.makespan * (1.0 + 1e-9):
        # A schedule that exists refutes it: then nothing of what the solver proved can be believed.
        refuted = f"the exact solver's bound of {bound:.6g} s is refuted by this plan and was discarded"
        return Proved(where, better, 0.0, f"Feasible; {refuted}")
    done = answer.status == "OPTIMAL" and better.makespan <= bound * (1.0 + OPTIMAL_WITHIN)
    part = any(
        job.key not in beat.jobs for job, slot in zip(instance.jobs, best.slots, strict=True) if slot is not None
    )
    kind = BoundKind.EXACT_SUBPROBLEM if part else BoundKind.EXACT_WHOLE_COPY
    return Proved(where, better, min(bound, better.makespan), "Optimal" if done else "Feasible", kind)


def _pays(moved: Schedule, stays: Schedule) -> bool:
    """Services are moved for more than a second, or for a job that finds no place otherwise."""
    return moved.objective[0] < stays.objective[0] or moved.makespan < stays.makespan - WITHIN_SECONDS


def _to_beat(instance: Instance, best: Schedule, known_bound: float, among: Set[Key]) -> ToBeat:
    jobs = {
        instance.jobs[j].key: (instance.choices[j][slot.choice].name, slot.start + slot.waits)
        for j, slot in enumerate(best.slots)
        if slot is not None and instance.jobs[j].key in among
    }
    moves = {}
    for index, (way, start, _) in best.moves.items():
        move = instance.moves[index]
        if move.active_until is None:
            moves[move.data_set, move.store] = (move.ways[way].route.source_site, start)
    return ToBeat(best.makespan, known_bound, jobs, moves)


def _orders(
    instance: Instance, best: Schedule, built: Built, answer: ExactAnswer
) -> list[tuple[tuple[int, ...], Prescribed]]:
    """By start, and by when its first transfer starts; tiers stay in order, jobs that were left out come last.

    Jobs that were not asked for keep their columns and come when their data is there now.
    """
    if not answer.starts:
        return []
    starts = {built.jobs[j]: (built.columns[c], start) for j, (c, start) in enumerate(answer.starts)}
    moved = {built.moves[m]: start for m, _, start in answer.moves}
    prescribed: list[int | None] = []
    keys: list[tuple[int, int]] = []
    for job, options, slot in zip(instance.jobs, instance.choices, best.slots, strict=True):
        if job.key not in starts:
            prescribed.append(None if slot is None else slot.choice)
            now = 1 << 60 if slot is None else int(slot.ready / built.problem.unit_seconds)
            keys.append((now, now))
            continue
        column, start = starts[job.key]
        prescribed.append(next((i for i, option in enumerate(options) if option.name == column.name), None))
        needed = [moved[need.data_set, need.store] for need in column.needs if (need.data_set, need.store) in moved]
        keys.append((start, min(needed, default=start)))
    everyone = range(len(instance.jobs))
    by_start = sorted(everyone, key=lambda j: (-instance.tiers[j], keys[j], instance.jobs[j].key))
    by_move = sorted(everyone, key=lambda j: (-instance.tiers[j], keys[j][1], keys[j][0], instance.jobs[j].key))
    orders = [tuple(by_start), tuple(by_move)]
    if any(slot is not None and job.key not in starts for job, slot in zip(instance.jobs, best.slots, strict=True)):
        # A part of the jobs was asked for: they trade places among themselves.
        asked = iter([j for j in by_move if instance.jobs[j].key in starts])
        orders.append(tuple(next(asked) if instance.jobs[j].key in starts else j for j in best.order))
    return [(order, tuple(prescribed)) for order in orders]
