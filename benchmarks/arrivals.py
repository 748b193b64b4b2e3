"""One job arriving in the live plan: the decision, and what the operator does around it. No cluster is needed.

The plan stands in the worker process; between solves a job comes and is put into it (planning/insert.py). The target
is for the decision; beside it stand the way to the worker and back with pickling, what the cycle does to the snapshot
before it asks, and the same plan made anew, which the answer equals byte for byte.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from benchmarks import instances
from benchmarks.figures import Figure, as_worker, effort, percentile, report, seconds
from polyhull.controller import observe
from polyhull.controller.planner import Planner
from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key, Promise, TrainingJob
from polyhull.optimize.build import build_columns
from polyhull.optimize.columns import Column
from polyhull.planning.carried import carrying, promises_of
from polyhull.planning.carried import promised as with_promises
from polyhull.planning.decide import present_plan, quick
from polyhull.planning.grown import Asked, arrivals
from polyhull.planning.insert import Insertion

COME = effort(100, 10)
MOST_MILLISECONDS = 10.0
KARMADA = "Karmada schedules in p50/p99 12/32 ms on its own machine (its published figure)"


def arrival_live(data: Path | None) -> Iterator[Figure]:
    """A hundred jobs, one after the other, into plans of 300, 1,000 and 3,000 that wait."""
    sources = instances.load_sources(data)
    for waiting in (300, 1_000, 3_000)[: effort(3, 2)]:
        shape = replace(instances.PLAN_1000, jobs=waiting + COME)
        what = f"{COME} jobs, one by one, into a plan of {waiting} waiting ones; {shape}"
        yield from _live(*_standing(instances.gavel_skyplane(sources, shape)), waiting, what)


def _live(snapshot: Snapshot, come: Sequence[TrainingJob], waiting: int, what: str) -> Iterator[Figure]:
    insertion = Insertion(present_plan(snapshot))
    took = []
    with as_worker():
        for job in come:
            began = time.perf_counter()
            _must(insertion.insert([job]))
            took.append(1e3 * (time.perf_counter() - began))
    p99 = percentile(took, 0.99)
    name = f"arrival-decision in the live plan, {waiting} waiting jobs"
    yield Figure(f"{name}, p99", p99, "ms", 32.0, KARMADA, MOST_MILLISECONDS, p99 <= MOST_MILLISECONDS, what)
    yield report(f"{name}, p50", percentile(took, 0.5), "ms", what)
    yield report(f"{name}: the plan made anew", seconds(lambda: quick(snapshot)), "s", what)
    around, asked = asyncio.run(_asked(snapshot, come))
    yield report(f"{name}: asked of the worker process, there and back, p99", percentile(asked, 0.99), "ms", what)
    text = f"{name}: promises, comparison with the last look, and the difference, before it is asked, p99"
    yield report(text, percentile(around, 0.99), "ms", what)


def _must(decision: Decision | None) -> Decision:
    if decision is None:
        raise ValueError("an arrival could not be inserted: nothing was measured")
    return decision


async def _asked(snapshot: Snapshot, come: Sequence[TrainingJob]) -> tuple[list[float], list[float]]:
    """Milliseconds before the question, and of the question, per arrival; as controller/course.py asks."""
    planner = Planner(time.monotonic, lambda *_: None, lambda _: None)
    around, asked = [], []
    try:
        await planner.start()
        decision = _must(await planner.insert(snapshot))
        await asyncio.sleep(0.003 * max(1_000, len(snapshot.jobs)))  # it gets ready while nobody waits
        for job in come:
            began = time.perf_counter()
            told = with_promises(snapshot, promises_of(decision), {})
            now = replace(told, jobs=tuple(sorted((*told.jobs, job), key=lambda one: one.key)))
            same = observe.essence(now) == observe.essence(snapshot)
            found = arrivals(Asked(snapshot, decision), now)
            around.append(1e3 * (time.perf_counter() - began))
            if same or found is None:
                raise ValueError("an arrival was not seen as one: nothing was measured")
            began = time.perf_counter()
            decision = _must(await planner.insert(now))
            asked.append(1e3 * (time.perf_counter() - began))
            snapshot = now
    finally:
        await planner.close()
    return around, asked


def _standing(snapshot: Snapshot) -> tuple[Snapshot, list[TrainingJob]]:
    """All but `COME` jobs with the promises of a plan of theirs, and those that are to come."""
    come = Random(5).sample(snapshot.jobs, COME)
    there = {job.key for job in snapshot.jobs} - {job.key for job in come}
    first = promised(replace(snapshot, jobs=tuple(job for job in snapshot.jobs if job.key in there)))
    return carrying(first, quick(first)), come


def promised(snapshot: Snapshot) -> Snapshot:
    """Every job has a place in the queue and the column that would end soonest, all else empty."""
    soonest: dict[Key, Column] = {}
    for column in build_columns(snapshot).columns:
        best = soonest.get(column.job)
        if best is None or _end(column) < _end(best):
            soonest[column.job] = column
    jobs = [
        replace(job, promise=Promise(at.cluster, at.pool, at.option, order, 0.0, _end(at)))
        for order, job in enumerate(snapshot.jobs)
        for at in (soonest[job.key],)
    ]
    return replace(snapshot, jobs=tuple(jobs))


def _end(column: Column) -> float:
    return max(column.head_seconds, column.transfer_seconds) + column.length_seconds
