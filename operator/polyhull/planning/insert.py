"""Arrivals into a plan that stands: what `decide.quick` would say with one job more, at the price of that job.

Between solves hardly anything changes but that jobs come. What the plan rests on is kept then: its timelines, the
rules of admission, what was checked. A job that comes is placed behind all others, at its earliest finish or where
the prices say (promise.py), is told why, and the checker looks again at what the new plan touches. The answer is that
of `quick` for the same snapshot, byte for byte; where it cannot be had this way there is none, and the plan is made
anew.

What rules it out: a job that does not come last (a higher tier), one that fits nowhere, resources of pods that bind
here for the first time, data that makes an idle copy busy, objectives and budgets that every job takes part in.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar

import numpy as np

from polyhull.domain.decision import Assignment, Decision, LevelReport, SolverReport
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import DataSet, TrainingJob
from polyhull.optimize.admission import Admission
from polyhull.optimize.budgets import limits
from polyhull.optimize.build import columns_of
from polyhull.optimize.columns import ColumnSet
from polyhull.optimize.costs import Tariffs
from polyhull.optimize.paths import Network
from polyhull.optimize.relaxation import dropped
from polyhull.planning.assemble import assignment_line, hash_of, placed, service_lines, transfer_lines, transfers
from polyhull.planning.carried import promises_of
from polyhull.planning.choices import Chooser
from polyhull.planning.compiling import link_capacity
from polyhull.planning.deadlines import MOST_ADVICE, advised, is_late
from polyhull.planning.evict import evictions
from polyhull.planning.explain import explanation, likely, turn
from polyhull.planning.footprint import Account
from polyhull.planning.instance import Choice, Instance
from polyhull.planning.moving import Budgets, moves_of
from polyhull.planning.objectives import MAKESPAN, WEIGHTED_COMPLETION, levels_of
from polyhull.planning.pools import pods_by_pool, pool_model
from polyhull.planning.promise import near_cheapest
from polyhull.planning.relaxed import Guide
from polyhull.planning.reserve import Reserved, service_traffic
from polyhull.planning.robust import content_of, quantiles, spread, spread_with, with_makespan
from polyhull.planning.schedule import Moved, Schedule
from polyhull.planning.simulate import best, commit, replay
from polyhull.planning.urgency import deadline, promised, settled, weight
from polyhull.planning.validate import validate
from polyhull.planning.validate_scope import Passed

One = TypeVar("One")
INSERTED = "Inserted into the present plan"
_LEVELS = {MAKESPAN.name, WEIGHTED_COMPLETION.name}
"""Levels whose value is a matter of finishes alone."""


@dataclass(frozen=True, slots=True)
class Present:
    """A plan that stands, and what it was made of."""

    reserved: Reserved
    guide: Guide
    schedule: Schedule
    decision: Decision


def insertable(present: Present) -> bool:
    """Can arrivals be put into this plan at all?"""
    instance, decision = present.reserved.instance, present.decision
    policy = instance.snapshot.policy
    told = promises_of(decision)
    return (
        bool(instance.jobs)
        and not decision.violations
        # What is only watched is planned around all the others.
        and not any(policy.watches(name) for name, _ in policy.modes)
        and set(policy.objective) <= _LEVELS
        and not limits(policy)
        and all(slot is not None for slot in present.schedule.slots)
        # A start that is fixed from now on puts its job before others.
        and all(settled(replace(job, promise=told[job.key])) == settled(job) for job in instance.jobs)
    )


class Insertion:
    """The state of a plan that jobs are put into, one after the other. Not to be used further after a None."""

    def __init__(self, present: Present) -> None:
        """`present` is `insertable`."""
        reserved, schedule, decision = present.reserved, present.schedule, present.decision
        told, instance = promises_of(decision), reserved.instance
        jobs = tuple(replace(job, promise=told[job.key]) for job in instance.jobs)
        by_key = {job.key: job for job in jobs}
        self.snapshot = replace(
            instance.snapshot, jobs=tuple(by_key.get(job.key, job) for job in instance.snapshot.jobs)
        )
        self.instance = replace(instance, snapshot=self.snapshot, jobs=jobs)
        self.schedule, self.decision = schedule, decision
        self._state = replay(instance, schedule)
        self._spread = spread(self.instance, schedule)
        self._keep_rules(present)
        self._keep_lists()

    def _keep_rules(self, present: Present) -> None:
        snapshot, instance = self.snapshot, self.instance
        self._admission = Admission(snapshot, Network(snapshot.fleet, snapshot.policy.bandwidth_margin))
        self._tariffs = Tariffs(snapshot.fleet)
        self._budgets = Budgets(snapshot)
        self._capacity = link_capacity(snapshot, service_traffic(snapshot, present.guide.services))
        self._links = {name: i for i, name in enumerate(instance.link_names)}
        self._chooser = Chooser(
            instance.pools,
            instance.pool_index,
            instance.moves,
            {move.name: i for i, move in enumerate(instance.moves)},
            self._capacity,
            self._links,
            instance.caps,
        )
        self._moves = {move.name for move in instance.moves}
        self._pods = pods_by_pool(snapshot, instance.columns.columns)
        self._worth = {one.pool: one for one in snapshot.opportunities}

    def _keep_lists(self) -> None:
        snapshot, decision = self.snapshot, self.decision
        self._read = {wanted.data_set for job in snapshot.jobs for wanted in job.inputs}
        self._copied = {data.key for data in snapshot.data_sets if data.copies}
        self._contents = [content_of(job) for job in self.instance.jobs]
        self._running = {content_of(fixed.job) for fixed in self.instance.fixed}
        self._late = sum(is_late(self.instance, self.schedule, j) for j in range(len(self.instance.jobs)))
        self._keys = [job.key for job in self.instance.jobs]
        self._all_keys = [job.key for job in snapshot.jobs]
        self._assigned = list(decision.assignments)
        self._assigned_keys = [one.job for one in self._assigned]
        self._lines = [assignment_line(one) for one in self._assigned]
        self._service_lines = service_lines(decision.services)
        self._unplaced = decision.unplaced
        self._new_moves: dict[int, Moved] = {}
        self._passed = Passed(snapshot, decision)
        self._account = Account(snapshot, decision.services)
        for one in decision.assignments:
            self._account.place(self._account.jobs, one)
        for move in decision.transfers:
            self._account.carry(self._account.moves, move)
        self._transfers = list(decision.transfers)
        self._transfer_lines = [transfer_lines(one) for one in decision.transfers]
        placed = [(j, slot) for j, slot in enumerate(self.schedule.slots) if slot is not None]
        self._weighted = [self.instance.weights[j] * slot.end for j, slot in placed]
        self._order = np.array(self.schedule.order, dtype=np.int64)

    def insert(self, jobs: Sequence[TrainingJob], data_sets: Sequence[DataSet] = ()) -> Decision | None:
        """The plan with these jobs too, `data_sets` being new with them; None: it must be made anew."""
        if any(data.copies or data.max_copies is not None for data in data_sets):
            return None
        if data_sets:
            everything = sorted((*self.snapshot.data_sets, *data_sets), key=lambda data: data.key)
            self.snapshot = replace(self.snapshot, data_sets=tuple(everything))
            self._admission.data_sets.update((data.key, data) for data in data_sets)
        waiting: list[tuple[TrainingJob, tuple[Choice, ...]]] = []
        for job in sorted(jobs, key=lambda one: one.key):
            if job.placed is not None or job.promise is not None or not self._leaves_copies_idle(job):
                return None
            if job.checkpoint is not None or job.output is not None:
                return None  # room in stores, and who writes a data set, are promised among all
            found = columns_of(job, self.snapshot, self._admission)
            if not found.columns:
                self._leave_out(job, found)
            elif choices := self._choices(found):
                waiting.append((job, choices))
            else:
                return None
        # As promise.arrivals_behind has them.
        waiting.sort(key=lambda one: (-_tier(one[0]), -one[1][0].soonest, one[0].created_at, one[0].key))
        if not all(self._place(job, choices) for job, choices in waiting):
            return None
        return self._checked()

    def _leaves_copies_idle(self, job: TrainingJob) -> bool:
        """Does it read nothing of which there are copies that nobody else reads? They count as room."""
        return not any(one.data_set in self._copied - self._read for one in job.inputs)

    def _leave_out(self, job: TrainingJob, found: ColumnSet) -> None:
        """It has no column: why is all there is to say."""
        why = dropped(replace(self.snapshot, jobs=(job,)), found)
        self._unplaced = tuple(sorted((*self._unplaced, *why), key=lambda one: one.job))
        self._know(job)

    def _know(self, job: TrainingJob) -> None:
        at = bisect_left(self._all_keys, job.key)
        self._all_keys.insert(at, job.key)
        self.snapshot = replace(self.snapshot, jobs=_with(self.snapshot.jobs, at, job))
        self._read.update(one.data_set for one in job.inputs)

    def _choices(self, found: ColumnSet) -> tuple[Choice, ...]:
        """Its columns in the units of the pools, with their moves; none where a pool would count otherwise."""
        instance, fleet = self.instance, self.snapshot.fleet
        for column in found.columns:
            at, pods = instance.pool_index.get(column.pool), self._pods.get(column.pool, set())
            if at is None:
                return ()
            if column.pod not in pods:
                pods.add(column.pod)
                if pool_model(fleet, fleet.pools[at], pods).dimensions != instance.pools[at].dimensions:
                    return ()
        routes = tuple(one for one in found.routes if (one.data_set, one.store) not in self._moves)
        fresh, _ = moves_of(self.snapshot, replace(found, routes=routes), self._capacity, self._links, self._budgets)
        for k, move in enumerate(fresh):
            self._chooser.learn(len(instance.moves) + k, move)
            self._moves.add(move.name)
        self.instance = replace(instance, moves=(*instance.moves, *fresh))
        choices = self._chooser.choices(found.columns)
        return () if any(choice.others for choice in choices) else choices

    def _place(self, job: TrainingJob, choices: tuple[Choice, ...]) -> bool:
        """Behind all others; false where it cannot be, or where that is not all that changes."""
        content, j = content_of(job), bisect_left(self._keys, job.key)
        if _tier(job) > min(self.instance.tiers) or content in self._running or content in self._contents[j:]:
            return False
        self._know(job)
        instance = self.instance = _grown(self.instance, self.snapshot, j, job, choices)
        column = near_cheapest(instance, self._state, j, self._worth) if self._worth else None
        slot, plan = best(instance, self._state, j, column)
        if slot is None:
            return False
        asked = likely(instance, j, slot)
        its = turn(instance, self._state, j, slot, asked)
        commit(instance, self._state, choices[slot.choice], slot, plan)
        before = self.schedule
        self._order = np.append(self._order + (self._order >= j), j)
        self._weighted.insert(j, instance.weights[j] * slot.end)
        self._new_moves.update(plan)
        self.schedule = Schedule(
            tuple(self._order.tolist()),
            _with(before.slots, j, slot),
            self._state.moved,
            max(before.makespan, slot.end),
            (),
        )
        order = len(self.schedule.order)
        because = explanation(instance, self._state.moved, j, slot, asked, its)
        one = placed(instance, j, slot, order, because, self._tariffs)
        if is_late(instance, self.schedule, j):
            one = replace(one, remedy=advised(instance, self.schedule, j, self._late < MOST_ADVICE))
            self._late += 1
        self._spread, changed = spread_with(
            instance, self.schedule, self._spread, j, self._contents.count(content) + 1
        )
        self._contents.insert(j, content)
        self._keys.insert(j, job.key)
        at = bisect_left(self._assigned_keys, job.key)
        self._assigned_keys.insert(at, job.key)
        self._assigned.insert(at, one)
        self._lines.insert(at, assignment_line(one))
        self._account.place(at, one)
        self._estimate(changed)
        self._promise(j, one)
        return True

    def _estimate(self, changed: list[int]) -> None:
        """p50 and p90 of jobs whose finishes in the scenarios changed."""
        for j, (p50, p90) in zip(changed, quantiles(self._spread.ends[changed]), strict=True):
            at = bisect_left(self._assigned_keys, self._keys[j])
            one = self._assigned[at]
            if (one.end_p50_seconds, one.end_p90_seconds) != (p50, p90):
                self._assigned[at] = replace(one, end_p50_seconds=p50, end_p90_seconds=p90)

    def _promise(self, j: int, one: Assignment) -> None:
        """From now on the job is one of those that were promised."""
        job = replace(self.instance.jobs[j], promise=one.promise)
        at = bisect_left(self._all_keys, job.key)
        jobs = (*self.snapshot.jobs[:at], job, *self.snapshot.jobs[at + 1 :])
        self.snapshot = replace(self.snapshot, jobs=jobs)
        mine = (*self.instance.jobs[:j], job, *self.instance.jobs[j + 1 :])
        self.instance = replace(self.instance, snapshot=self.snapshot, jobs=mine)

    def _checked(self) -> Decision | None:
        """All that is said of the whole plan, and a look at what changed by other code."""
        schedule, before = self.schedule, self.decision
        starting, assigned = self._carry(), tuple(self._assigned)
        moved = tuple(self._transfers) if starting else before.transfers
        decision = replace(
            before,
            assignments=assigned,
            transfers=moved,
            evictions=evictions(self.snapshot, moved) if starting else before.evictions,
            unplaced=self._unplaced,
            makespan_seconds=schedule.makespan,
            levels=self._levels(),
            solver=SolverReport(0.0, INSERTED, 0),
            plan_hash=hash_of(chain(self._lines, chain.from_iterable(self._transfer_lines), self._service_lines)),
            footprint=self._account.total(assigned, schedule.makespan),
        )
        decision = with_makespan(decision, self._spread)
        if validate(self.snapshot, decision, self._passed):
            return None
        self.decision = decision
        return decision

    def _carry(self) -> bool:
        """Puts the moves of who came among the others; is there any?"""
        fresh = transfers(self.instance, replace(self.schedule, moves=self._new_moves)) if self._new_moves else ()
        self._new_moves = {}
        for move in fresh:
            at = bisect_left(self._transfers, (move.data_set, move.store), key=lambda one: (one.data_set, one.store))
            self._transfers.insert(at, move)
            self._transfer_lines.insert(at, transfer_lines(move))
            self._account.carry(at, move)
        return bool(fresh)

    def _levels(self) -> tuple[LevelReport, ...]:
        """As `levels.level_reports` has them for a plan that places everybody and proves nothing."""
        weight = sum(self.instance.weights)
        mean = sum(self._weighted) / weight if weight > 0.0 else 0.0
        values = {MAKESPAN.name: self.schedule.makespan, WEIGHTED_COMPLETION.name: mean}
        levels = levels_of(self.snapshot.policy.objective)
        return tuple(LevelReport(level.name, level.unit, values[level.name], None) for level in levels)


def _tier(job: TrainingJob) -> int:
    return 2 * job.priority + settled(job)


def _with(some: tuple[One, ...], at: int, one: One) -> tuple[One, ...]:
    return (*some[:at], one, *some[at:])


def _grown(instance: Instance, snapshot: Snapshot, j: int, job: TrainingJob, choices: tuple[Choice, ...]) -> Instance:
    now = snapshot.taken_at
    return replace(
        instance,
        snapshot=snapshot,
        jobs=_with(instance.jobs, j, job),
        choices=_with(instance.choices, j, choices),
        tiers=_with(instance.tiers, j, _tier(job)),
        weights=_with(instance.weights, j, weight(job, now)),
        deadlines=_with(instance.deadlines, j, deadline(job, now)),
        promised=_with(instance.promised, j, promised(job, now)),
    )
