"""Planned beside observed: values only, so that a test can ask the same questions as a person."""

from collections.abc import Mapping
from dataclasses import dataclass

from hack.demo.observe import Run
from polyhull.domain.decision import BoundKind, Decision


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


def planned(decision: Decision) -> tuple[Planned, ...]:
    """Every job of a decision; in the order in which they start."""
    rows = (
        Planned(
            job=f"{item.job.namespace}/{item.job.name}",
            cluster=item.cluster,
            pool=item.pool,
            device_class=item.device_class,
            option=item.option,
            start_seconds=item.start_seconds,
            finish_seconds=item.end_seconds,
        )
        for item in decision.assignments
    )
    return tuple(sorted(rows, key=lambda row: (row.start_seconds, row.job)))


def outcome(
    decision: Decision, runs: tuple[Run, ...], let_loose_at: float, racks: Mapping[str, frozenset[str]]
) -> Outcome:
    """`decision` is the one that was let loose at `let_loose_at` (epoch seconds); `racks` as in `Stage`."""
    seen: dict[str, Run] = {run.owner: run for run in runs if run.component == "workers"}
    plans = planned(decision)
    rows = tuple(_row(plan, seen.get(plan.job), let_loose_at, racks) for plan in plans)
    done = [row.ended_seconds for row in rows if row.ended_seconds is not None]
    return Outcome(
        rows=rows,
        planned_makespan=decision.makespan_seconds,
        observed_makespan=max(done) if done and len(done) == len(rows) else None,
        bound=decision.lower_bound_seconds if decision.bound_kind is not BoundKind.NONE else None,
        bound_kind=decision.bound_kind.value,
        gap=decision.gap,
        locality_only=decision.baselines.locality_only_seconds,
        compute_only=decision.baselines.compute_only_seconds,
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
