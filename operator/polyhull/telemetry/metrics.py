"""The catalogue of metrics: every name, unit and label in one place, every label's values bounded.

Labels are clusters, reasons, verbs and states, never objects or namespaces: ten thousand jobs must not become ten
thousand series.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0)


class Metrics:
    """One registry, so that tests and several operators in one process do not meet."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.cycles = Counter("polyhull_cycles", "Cycles of the live loop by result.", ["result"], registry=registry)
        self.cycle_seconds = Histogram(
            "polyhull_cycle_seconds", "Wall time of a cycle.", buckets=_SECONDS, registry=registry
        )
        self.decision_seconds = Histogram(
            "polyhull_decision_seconds",
            "Wall time of a decision (quick: insertion; full: with search and proof).",
            ["kind"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.solver_failures = Counter(
            "polyhull_solver_failures",
            "Decisions that crashed, hung or were refused by the checker; the last good plan stayed.",
            ["kind"],
            registry=registry,
        )
        self.plans = Counter("polyhull_plans_adopted", "Full plans that replaced the one before.", registry=registry)
        self.makespan = Gauge(
            "polyhull_plan_makespan_seconds",
            "Makespan of the full plan taken last, counted from polyhull_plan_timestamp_seconds.",
            registry=registry,
        )
        self.lower_bound = Gauge(
            "polyhull_plan_lower_bound_seconds",
            "Lower bound on polyhull_plan_makespan_seconds, of the same instant; 0: none proved.",
            registry=registry,
        )
        self.remaining = Gauge(
            "polyhull_remaining_seconds", "From now until the present plan's last end.", registry=registry
        )
        self.plan_time = Gauge(
            "polyhull_plan_timestamp_seconds",
            "When the full plan taken last was decided (Unix time).",
            registry=registry,
        )
        self.plan_kept = Gauge(
            "polyhull_plan_stale", "1 while the last good plan is kept because deciding fails.", registry=registry
        )
        self.jobs = Gauge("polyhull_jobs", "Objects of ours by state.", ["state"], registry=registry)
        self.unplaced = Gauge(
            "polyhull_jobs_unplaced", "Jobs the plan could not place, by reason.", ["reason"], registry=registry
        )
        self.actions = Counter(
            "polyhull_actions", "Writes by kind of action and outcome.", ["action", "outcome"], registry=registry
        )
        self.withdrawn = Counter(
            "polyhull_releases_withdrawn", "Releases taken back, by reason.", ["reason"], registry=registry
        )
        self.moved = Counter(
            "polyhull_running_jobs_moved",
            "Running jobs stopped in order to go on elsewhere, inside their cluster or across.",
            ["where"],
            registry=registry,
        )
        self.moving = Gauge(
            "polyhull_running_jobs_moving", "Jobs stopped in order to be moved that do not run again yet.",
            registry=registry,
        )  # fmt: skip
        self.ends = Counter("polyhull_jobs_ended", "Jobs that ended, by result.", ["result"], registry=registry)
        self.placing_seconds = Histogram(
            "polyhull_release_to_bound_seconds",
            "From release to every pod bound.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.connected = Gauge(
            "polyhull_member_connected", "1 while the member answers.", ["cluster"], registry=registry
        )
        self.leader = Gauge("polyhull_leader", "1 while this process holds the lease.", registry=registry)
        self.records = Gauge("polyhull_record_bytes", "Size of the record ring on disk.", registry=registry)
