"""A day of a stream of jobs, simulated around the decision itself: no cluster, no clock, the same every time.

The world knows true rates and bandwidths; what the plan is told differs from them by a few per cent, drawn anew at
every tick, as measurements do. Arrivals are inserted at once, a full plan is sought and taken over as the operator
does it (controller/course.py), and what the plan starts now is started.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from random import Random

from benchmarks.figures import Figure, at_most, effort, percentile, report
from benchmarks.instances import Shape, gavel_skyplane, load_sources
from polyhull.domain.decision import Assignment, Decision, Opportunity, RunningMove, Transfer
from polyhull.domain.fleet import Storage, StorageKind
from polyhull.domain.snapshot import Snapshot, SolverLimits
from polyhull.domain.workloads import CHECKPOINT, ActiveTransfer, Checkpoint, Copy, Key, Placed, TrainingJob
from polyhull.planning.carried import carrying, promises_of, stopped
from polyhull.planning.decide import decide, quick
from polyhull.planning.gains import gains

HOUR = 3600.0
JOBS, DAY_SECONDS, TICK_SECONDS, NOISE = effort(300, 40), 24 * HOUR, 900.0, 0.05
MOST_MOVES_PER_JOB_HOUR = 0.02


@dataclass(slots=True)
class Account:
    """What the stream came to. A move: a waiting job changes its column from one plan to the next."""

    moves: int = 0
    back: int = 0
    """Moves straight back to where the job was before (A, B, A)."""
    running_moves: int = 0
    """Running jobs that were stopped to go on elsewhere."""
    slips: int = 0
    plans: int = 0
    replaced: int = 0
    """Full plans that were taken over."""
    ends: dict[Key, float] = field(default_factory=dict)
    starts: dict[Key, float] = field(default_factory=dict)
    flow_hours: dict[Key, float] = field(default_factory=dict)
    """From arrival to end."""
    violations: tuple[str, ...] = ()

    @property
    def moves_per_job_hour(self) -> float:
        return (self.moves + self.running_moves) / max(1e-9, sum(self.flow_hours.values()))


@dataclass(slots=True)
class Stream:
    """`base`: fleet, data sets and policy; `arrivals`: jobs, known from their `created_at` on."""

    base: Snapshot
    arrivals: Sequence[TrainingJob]
    seed: int = 1
    noise: float = NOISE
    tick_seconds: float = TICK_SECONDS
    account: Account = field(default_factory=Account)
    _waiting: dict[Key, TrainingJob] = field(default_factory=dict)
    _running: dict[Key, tuple[TrainingJob, float]] = field(default_factory=dict)
    _moving: list[tuple[ActiveTransfer, float]] = field(default_factory=list)
    _copies: dict[Key, set[Copy]] = field(default_factory=dict)
    _opportunities: tuple[Opportunity, ...] = ()
    _before: dict[Key, tuple[str, str]] = field(default_factory=dict)
    """Where each job was before its last move."""

    def run(self, until: float = inf) -> Account:
        """From the first arrival until all is done, or the time is up (seconds since the epoch)."""
        ahead = sorted(self.arrivals, key=lambda job: (job.created_at, job.key))
        now = ahead[0].created_at if ahead else 0.0
        began, ticked = now, -1
        while (ahead or self._waiting or self._running) and now <= until:
            self._settle(now)
            news = bool(ahead) and ahead[0].created_at <= now
            while ahead and ahead[0].created_at <= now:
                arrived = ahead.pop(0)
                self._waiting[arrived.key] = arrived
            tick = int((now - began) / self.tick_seconds)
            if self._waiting or (self._running and self.base.policy.move_running):
                self._carry_out(self._decided(now, tick, search=news or tick != ticked), now, tick)
            ticked = tick
            coming = [began + (tick + 1) * self.tick_seconds, *(end for _, end in self._moving)]
            coming += [end for _, end in self._running.values()]
            coming += [job.resume.free_at for job in self._waiting.values() if job.resume is not None]
            coming += [ahead[0].created_at] if ahead else []
            now = min(one for one in coming if one > now)
        return self.account

    def _settle(self, now: float) -> None:
        """Take down what has ended by now."""
        for move, end in [one for one in self._moving if one[1] <= now]:
            self._moving.remove((move, end))
            self._arrived(move.data_set, Copy(move.store, move.site))
        for key, job in self._waiting.items():
            if job.resume is not None and job.resume.nodes and job.resume.free_at <= now:
                self._waiting[key] = replace(job, resume=replace(job.resume, nodes=()))
        for key, (job, end) in list(self._running.items()):
            if end <= now:
                del self._running[key]
                self.account.ends[key] = end
                self.account.flow_hours[key] = (end - job.created_at) / HOUR

    def _arrived(self, key: Key, copy: Copy) -> None:
        if key.kind != CHECKPOINT:
            self._copies.setdefault(key, set()).add(copy)
            return
        job = self._waiting[Key(key.namespace, key.name)]
        assert job.resume is not None
        stores = tuple(sorted((*job.resume.stores, copy), key=lambda one: one.store))
        self._waiting[job.key] = replace(job, resume=replace(job.resume, stores=stores))

    def _decided(self, now: float, tick: int, search: bool) -> Decision:
        """As the operator does it: insert at once; a full plan is taken over if it still gains then."""
        seen = replace(self._seen(now, tick), opportunities=self._opportunities)
        held = quick(seen)
        if search:
            found = decide(seen)
            self.account.plans += 1
            self._opportunities = found.opportunities
            if all(job.promise is None for job in self._waiting.values()):
                return found
            renewed = quick(carrying(seen, found))
            if gains(held, renewed):
                held = replace(renewed, moves=found.moves)
                self.account.replaced += 1
        return held

    def _seen(self, now: float, tick: int) -> Snapshot:
        """The world as measured: rates and bandwidths off by up to `noise`."""
        jobs = [*self._waiting.values(), *(job for job, _ in self._running.values())]
        fleet = self.base.fleet
        links = tuple(
            replace(link, bandwidth_bits_per_second=link.bandwidth_bits_per_second * self._factor(tick, link.name))
            for link in fleet.links
        )
        return replace(
            self.base,
            taken_at=now,
            fleet=replace(fleet, links=links),
            jobs=tuple(sorted((self._measured(job, tick) for job in jobs), key=lambda job: job.key)),
            data_sets=tuple(
                replace(data, copies=tuple(sorted(self._copies.get(data.key, ()), key=lambda copy: copy.store)))
                for data in self.base.data_sets
            ),
            transfers=tuple(move for move, _ in self._moving),
        )

    def _measured(self, job: TrainingJob, tick: int) -> TrainingJob:
        options = tuple(
            option
            if option.rate_per_second is None
            else replace(
                option,
                rate_per_second=option.rate_per_second * self._factor(tick, f"{job.key}/{option.name}"),
            )
            for option in job.options
        )
        return replace(job, options=options)

    def _factor(self, tick: int, what: str) -> float:
        return 1.0 + self.noise * Random(f"{self.seed}/{tick}/{what}").uniform(-1.0, 1.0)

    def _carry_out(self, decision: Decision, now: float, tick: int) -> None:
        self.account.violations += decision.violations
        for move in decision.moves:
            self._stop(move, now)
        told = promises_of(decision)
        for key, promise in told.items():
            job = self._waiting[key]
            if job.promise is not None:
                self._compare(key, (job.promise.pool, job.promise.option), (promise.pool, promise.option))
                self.account.slips += promise.slips - job.promise.slips
            self._waiting[key] = replace(job, promise=promise)
        for move in decision.transfers:
            if not move.active and move.start_seconds <= 0.0:
                self._start_move(move, now)
        for assignment in decision.assignments:
            if assignment.release_now:
                self._start(assignment, now)

    def _compare(self, key: Key, was: tuple[str, str], now: tuple[str, str]) -> None:
        if was == now:
            return
        self.account.moves += 1
        self.account.back += self._before.get(key) == now
        self._before[key] = was

    def _stop(self, move: RunningMove, now: float) -> None:
        """Its last checkpoint holds what the plan said, which is what it did less an interval."""
        job, _ = self._running.pop(move.job)
        one = stopped(replace(self.base, taken_at=now, jobs=(job,)), (move,))
        self._waiting[move.job] = one.jobs[0]
        self.account.running_moves += 1
        was, goes = (move.from_pool, move.from_option), (move.to_pool, move.to_option)
        self.account.back += self._before.get(move.job, ("", ""))[0] == goes[0]
        self._before[move.job] = was

    def _start_move(self, move: Transfer, now: float) -> None:
        length = (move.end_seconds - move.start_seconds) / self._factor(-1, f"{move.name}")
        active = ActiveTransfer(
            move.data_set, move.source_site, move.store, move.target_site, move.cluster, move.links,
            move.rate_bytes_per_second, now,
        )  # fmt: skip
        self._moving.append((active, now + length))

    def _start(self, assignment: Assignment, now: float) -> None:
        job = self._waiting.pop(assignment.job)
        option = next(one for one in job.options if one.name == assignment.option)
        rate = (option.rate_per_second or 1.0) * self._factor(-1, f"{job.key}/{option.name}")
        end = now + self.base.policy.startup_seconds + job.work_left / rate
        placed = Placed(assignment.cluster, assignment.pool, assignment.option, assignment.nodes, now, now)
        self._running[job.key] = replace(job, placed=placed, promise=None), end
        self.account.starts[job.key] = now


def arriving(
    jobs: Sequence[TrainingJob], seconds: float, seed: int, start: float = 1_800_000_000.0
) -> list[TrainingJob]:
    """The jobs as a Poisson stream over so many seconds."""
    dice = Random(seed)
    instants = sorted(start + seconds * dice.random() for _ in jobs)
    return [replace(job, created_at=at) for job, at in zip(jobs, instants, strict=True)]


def day(
    data: Path | None, jobs: int = JOBS, seconds: float = DAY_SECONDS, steps: int = 400, moving: bool = False
) -> Stream:
    """Gavel's throughputs on the Skyplane network, two edge sites, busy enough that jobs wait.

    `moving`: running jobs may be moved; all save 2 GB every 15 min, to buckets.
    """
    shape = Shape(jobs, 3, 2, most_bytes=200e9, cloud_nodes=1, cloud_devices=4, edge_nodes=1, edge_devices=2)
    base = gavel_skyplane(load_sources(data), shape)
    policy = replace(base.policy, solver=SolverLimits(search_steps=steps), move_running=moving)
    base = replace(base, policy=policy)
    if moving:
        base = saving(base)
    return Stream(replace(base, jobs=()), arriving(base.jobs, seconds, 1))


def saving(base: Snapshot) -> Snapshot:
    """Every job saves 2 GB every 15 min, every cluster to a bucket of its site."""
    clusters = tuple(
        replace(cluster, storage=Storage(StorageKind.BUCKET, url=f"s3://{cluster.site}"))
        for cluster in base.fleet.clusters
    )
    jobs = tuple(replace(job, checkpoint=Checkpoint(2 * 10**9, 900.0)) for job in base.jobs)
    return replace(base, fleet=replace(base.fleet, clusters=clusters), jobs=jobs)


def stretches(stream: Stream) -> list[float]:
    """Of each job: from arrival to end, over what it takes on the fastest device there is, its data at hand."""
    out = []
    for job in stream.arrivals:
        fastest = job.work_quantity / max(option.rate_per_second or 0.0 for option in job.options)
        out.append(stream.account.flow_hours[job.key] * HOUR / (fastest + stream.base.policy.startup_seconds))
    return out


def stability(data: Path | None) -> Iterator[Figure]:
    """How calm the plan is over a day of arrivals and noise."""
    stream = day(data)
    account = stream.run()
    if account.violations:
        raise ValueError(f"the checker refused a plan: {account.violations[0]}")
    what = (
        f"{JOBS} jobs arriving over 24 h on 3 cloud and 2 edge sites, rates and bandwidths +-5 % at every tick of "
        f"15 min; {account.plans} full plans, {account.replaced} taken over, {account.slips} slips"
    )
    yield at_most("stability moves per job-hour", account.moves_per_job_hour, "1/h", MOST_MOVES_PER_JOB_HOUR, what)
    yield at_most("stability moves straight back (A, B, A)", float(account.back), "moves", 0.0, what)
    flows = list(account.flow_hours.values())
    yield from _moving(data)
    yield report("stability flow time, mean", sum(flows) / len(flows), "h", what)
    yield report("stability flow time, p95", percentile(flows, 0.95), "h", what)
    yield report("stability stretch, largest (flow over fastest run)", max(stretches(stream)), "x", what)


def _moving(data: Path | None) -> Iterator[Figure]:
    """The same day where running jobs may be moved as well."""
    account = day(data, moving=True).run()
    if account.violations:
        raise ValueError(f"the checker refused a plan: {account.violations[0]}")
    what = (
        "the same day with moveRunning: Allowed, checkpoints of 2 GB every 15 min in buckets; "
        f"{account.running_moves} running and {account.moves} waiting jobs moved"
    )
    name, back = "stability with running jobs moving", float(account.back)
    yield at_most(f"{name}, moves per job-hour", account.moves_per_job_hour, "1/h", MOST_MOVES_PER_JOB_HOUR, what)
    yield at_most(f"{name}, straight back (A, B, A)", back, "moves", 0.0, what)
