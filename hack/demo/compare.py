"""Planned beside observed: values only, so that a test can ask the same questions as a person."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hack.demo.observe import Run

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Planned:
    """What the plan said of a job before anything was released; seconds from the plan's own now."""

    job: str
    cluster: str
    pool: str
    device_class: str
    option: str
    start_seconds: float
    finish_seconds: float


@dataclass(frozen=True, slots=True)
class Row:
    """One job, planned and seen; seconds from the moment the plan was let loose."""

    planned: Planned
    cluster: str = ""
    nodes: tuple[str, ...] = ()
    begun_seconds: float | None = None
    ended_seconds: float | None = None
    where_planned: bool = False
    """Bound by kube-scheduler, all of it, to nodes of the planned pool."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The demo's result. Makespans in seconds; `bound` and baselines as the operator's plan printed them."""

    rows: tuple[Row, ...]
    planned_makespan: float
    observed_makespan: float | None
    bound: float | None
    bound_kind: str
    gap: float | None
    locality_only: float | None
    compute_only: float | None

    @property
    def finished(self) -> bool:
        return all(row.ended_seconds is not None for row in self.rows)

    @property
    def deviation(self) -> float | None:
        """Observed over planned makespan, less one."""
        if self.observed_makespan is None or self.planned_makespan <= 0:
            return None
        return self.observed_makespan / self.planned_makespan - 1.0


def planned(jobs: Iterable[Object], planned_at: float) -> tuple[Planned, ...]:
    """From the status of hub objects in which the operator wrote an assignment and estimates."""
    rows = []
    for job in jobs:
        status = job.get("status", {})
        assignment = status.get("assignment")
        if assignment is None or "estimatedCompletionTime" not in status:
            continue
        rows.append(
            Planned(
                job=f"{job['metadata'].get('namespace', 'default')}/{job['metadata']['name']}",
                cluster=assignment["cluster"],
                pool=assignment["pool"],
                device_class=assignment.get("deviceClass", ""),
                option=assignment["option"],
                start_seconds=instant(status["estimatedStartTime"]) - planned_at,
                finish_seconds=instant(status["estimatedCompletionTime"]) - planned_at,
            )
        )
    return tuple(sorted(rows, key=lambda row: (row.start_seconds, row.job)))


def outcome(
    plans: tuple[Planned, ...],
    runs: tuple[Run, ...],
    let_loose_at: float,
    summary: Mapping[str, Any],
    racks: Mapping[str, frozenset[str]],
) -> Outcome:
    """`summary` is the status of the PlacementPlan that was let loose; `racks` as in `Stage`."""
    seen: dict[str, Run] = {run.owner: run for run in runs if run.component == "workers"}
    rows = tuple(_row(plan, seen.get(plan.job), let_loose_at, racks) for plan in plans)
    ends = [row.ended_seconds for row in rows]
    done = [end for end in ends if end is not None]
    gap = summary.get("gap")
    return Outcome(
        rows=rows,
        planned_makespan=max((plan.finish_seconds for plan in plans), default=0.0),
        observed_makespan=max(done) if done and len(done) == len(ends) else None,
        bound=summary.get("lowerBoundSeconds"),
        bound_kind=summary.get("boundKind", ""),
        gap=None if gap is None else float(gap),
        locality_only=summary.get("localityOnlySeconds"),
        compute_only=summary.get("computeOnlySeconds"),
    )


def _row(plan: Planned, run: Run | None, origin: float, racks: Mapping[str, frozenset[str]]) -> Row:
    if run is None:
        return Row(plan)
    # The ground names nodes `<its pool>-<n>`.
    stands = {node.rpartition("-")[0] for node in run.nodes}
    return Row(
        plan,
        run.cluster,
        run.nodes,
        None if run.begun is None else run.begun - origin,
        None if run.ended is None else run.ended - origin,
        where_planned=run.cluster == plan.cluster and bool(stands) and stands <= racks.get(plan.pool, frozenset()),
    )


def instant(text: str) -> float:
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
