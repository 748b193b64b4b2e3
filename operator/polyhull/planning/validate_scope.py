"""The checker's page on looking again: what a plan that grew out of a checked one can have broken.

The difference is taken by the checker itself, object by object; nobody tells it what changed. What the difference
touches (nodes, links, moves, jobs) is then checked whole, with everything on it and nothing else: an arrival costs
what it touches, however many jobs wait. Like validate.py it shares no code with what made the plan.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import TypeVar

from polyhull.domain.decision import Assignment, Decision, Transfer, Unplaced
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import CHECKPOINT, DataSet, Key, TrainingJob
from polyhull.planning.validate_difference import Change, Known
from polyhull.planning.validate_spans import held

One = TypeVar("One")
Seat = tuple[str, str]
"""(pool, node)."""
_ESTIMATES = ("end_p50_seconds", "end_p90_seconds")
_CHECKED = attrgetter(*(one.name for one in fields(Assignment) if one.name not in _ESTIMATES))
"""All but estimates, which nothing is checked against."""
_LASTING = attrgetter(*(one.name for one in fields(TrainingJob) if one.name != "promise"))
"""All but what the plan itself says of a job."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be looked at; everything else is as it was when it passed."""

    keys: tuple[Key, ...]
    """Jobs that are new, or that are placed or left out otherwise than before."""
    assignments: tuple[Assignment, ...]
    transfers: tuple[Transfer, ...]
    nodes: frozenset[Seat]
    links: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Growth:
    jobs: Change[Key, TrainingJob]
    data: Change[Key, DataSet]
    placed: Change[Key, Assignment]
    left_out: Change[Key, Unplaced]
    moved: Change[tuple[Key, str], Transfer]


@dataclass(frozen=True, slots=True)
class Part:
    """A plan that grew, cut to what the check of its `scope` can depend on. The fleet is whole."""

    scope: Scope
    snapshot: Snapshot
    decision: Decision
    stores: bool
    """Can the difference matter to what stores hold? They are looked at whole."""
    growth: _Growth


class Passed:
    """A plan in which the checker found nothing wrong, what it was made from, and both by name."""

    def __init__(self, snapshot: Snapshot, decision: Decision) -> None:
        self._begin(snapshot, decision)

    def _begin(self, snapshot: Snapshot, decision: Decision) -> None:
        self.snapshot, self.decision = snapshot, decision
        self._jobs = Known(snapshot.jobs, attrgetter("key"))
        self._data = Known(snapshot.data_sets, attrgetter("key"))
        self._placed = Known(decision.assignments, attrgetter("job"))
        self._left_out = Known(decision.unplaced, attrgetter("job"))
        self._moved = Known(decision.transfers, attrgetter("data_set", "store"))
        self._copies: dict[Key, list[Transfer]] = {}
        self._at: dict[Seat, dict[Key, Assignment]] = {}
        self._talking: dict[str, dict[Key, Assignment]] = {}
        """By link: jobs that use it while they run."""
        self._carrying: dict[str, list[Transfer]] = {}
        self._learn(decision.assignments, decision.transfers)
        self._stopped = [job.key for job in snapshot.jobs if job.resume is not None and job.placed is None]
        self._kept = any(cluster.storage.capacity_bytes is not None for cluster in snapshot.fleet.clusters)
        self._kept |= any(map(_keeps, snapshot.jobs)) or any(map(_rationed, snapshot.data_sets))
        known = (self._jobs, self._data, self._placed, self._left_out, self._moved)
        self._shared = bool(
            decision.violations or decision.moves or _together(snapshot) or any(one.twice for one in known)
        )
        """Does everything have to be looked at, whatever is new?"""

    def part(self, snapshot: Snapshot, decision: Decision) -> Part | None:
        """What to look at; None: other facts than those that passed, more than additions, or rules that all jobs
        share in: look at everything."""
        grown = self._growth(snapshot, decision)
        if grown is None:
            return None
        scope = self._scope(grown)
        around = self._around(scope, grown)
        keys = dict.fromkeys((*around, *scope.keys, *self._stopped))
        jobs = [job for key in keys if (job := self._now(grown.jobs, self._jobs, key)) is not None]
        moves = self._moves(scope, jobs)
        read = {one.data_set for job in jobs for one in job.inputs} | {one.data_set for one in moves}
        data = [one for key in sorted(read) if (one := self._now(grown.data, self._data, key)) is not None]
        out = [why for key in scope.keys if (why := self._now(grown.left_out, self._left_out, key)) is not None]
        told = replace(decision, assignments=tuple(around.values()), transfers=tuple(moves), unplaced=tuple(out))
        return Part(
            scope,
            replace(snapshot, jobs=tuple(jobs), data_sets=tuple(data)),
            told,
            self._kept or bool(decision.evictions) or any(map(_keeps, grown.jobs.come.values())),
            grown,
        )

    def follow(self, snapshot: Snapshot, decision: Decision, part: Part | None) -> None:
        """This plan, of which that was the part to look at, passed too."""
        if part is None:
            self._begin(snapshot, decision)
            return
        grown = part.growth
        for one in grown.placed.gone.values():
            for seat in seats(one):
                self._at[seat].pop(one.job, None)
            for link in _links(one):
                self._talking[link].pop(one.job, None)
        self._learn(grown.placed.come.values(), grown.moved.come.values())
        self._stopped += [job.key for job in grown.jobs.come.values() if job.resume is not None]
        self._kept |= any(map(_keeps, grown.jobs.come.values())) or any(map(_rationed, grown.data.come.values()))
        self._jobs.follow(snapshot.jobs, grown.jobs)
        self._data.follow(snapshot.data_sets, grown.data)
        self._placed.follow(decision.assignments, grown.placed)
        self._left_out.follow(decision.unplaced, grown.left_out)
        self._moved.follow(decision.transfers, grown.moved)
        self.snapshot, self.decision = snapshot, decision

    def _learn(self, placed: Iterable[Assignment], moved: Iterable[Transfer]) -> None:
        for one in placed:
            for seat in seats(one):
                self._at.setdefault(seat, {})[one.job] = one
            for link in _links(one):
                self._talking.setdefault(link, {})[one.job] = one
        for move in moved:
            self._copies.setdefault(move.data_set, []).append(move)
            for link in {name for flow in move.flows for name in flow.links}:
                self._carrying.setdefault(link, []).append(move)

    def _growth(self, snapshot: Snapshot, decision: Decision) -> _Growth | None:
        """What is new; None as in `part`."""
        if self._shared or decision.moves or not _same_facts(self, snapshot, decision):
            return None
        jobs, data = self._jobs.change(snapshot.jobs), self._data.change(snapshot.data_sets)
        placed, left_out = self._placed.change(decision.assignments), self._left_out.change(decision.unplaced)
        moved = self._moved.change(decision.transfers)
        if jobs is None or data is None or placed is None or left_out is None or moved is None:
            return None
        jobs, placed = jobs.less(_LASTING), placed.less(_CHECKED)
        if jobs.gone or data.gone or moved.gone:
            return None
        return _Growth(jobs, data, placed, left_out, moved)

    def _scope(self, grown: _Growth) -> Scope:
        new, old = grown.placed.come, grown.placed.gone
        placed, touched = dict(new), (*new.values(), *old.values())
        nodes = frozenset(seat for one in touched for seat in seats(one))
        for seat in nodes:
            if seat[1].startswith("+"):
                # Who waits for such a node depends on who asked for it first.
                placed |= {
                    key: one for key, one in self._at.get(seat, {}).items() if key not in new and key not in old
                }
        moved = tuple(grown.moved.come.values())
        links = {name for move in moved for flow in move.flows for name in flow.links}
        links |= {name for one in touched for name in _links(one)}
        keys = {*grown.jobs.come, *grown.left_out.come, *grown.left_out.gone, *new, *old}
        return Scope(tuple(sorted(keys)), tuple(placed.values()), moved, nodes, frozenset(links))

    def _around(self, scope: Scope, grown: _Growth) -> dict[Key, Assignment]:
        """Everything placed on the scope's links, and on all nodes that anything of the scope holds."""
        found: dict[Key, Assignment] = {}
        for seat in scope.nodes.union(*map(seats, scope.assignments)):
            found |= self._at.get(seat, {})
        for link in scope.links:
            found |= self._talking.get(link, {})
        known = self._placed.by_name
        found |= {key: known[key] for key in scope.keys if key in known}
        return {key: one for key, one in found.items() if key not in grown.placed.gone} | dict(grown.placed.come)

    def _moves(self, scope: Scope, jobs: Iterable[TrainingJob]) -> list[Transfer]:
        """Those over the scope's links and those that bring what its jobs read."""
        found = [move for link in scope.links for move in self._carrying.get(link, ())]
        asked = {one.data_set for job in jobs for one in job.inputs}
        asked |= {Key(key.namespace, key.name, CHECKPOINT) for key in self._stopped}
        found += [move for key in asked for move in self._copies.get(key, ())]
        return list({(move.data_set, move.store): move for move in (*found, *scope.transfers)}.values())

    @staticmethod
    def _now(change: Change[Key, One], known: Known[Key, One], key: Key) -> One | None:
        return change.come.get(key) or (None if key in change.gone else known.by_name.get(key))


def seats(one: Assignment) -> list[Seat]:
    """Of all its places."""
    return [(pool, name) for pool, _, nodes in held(one) for name, _ in nodes]


def _links(one: Assignment) -> set[str]:
    """What it uses while it runs."""
    return {name for read in one.reads for name in read.links} | {n for sent in one.exchanges for n in sent.links}


def _same_facts(passed: Passed, now: Snapshot, decision: Decision) -> bool:
    then = passed.snapshot
    return (
        now.taken_at == then.taken_at
        and now.fleet == then.fleet
        and now.services == then.services
        and now.transfers == then.transfers
        and now.policy == then.policy
        and decision.services == passed.decision.services
    )


def _together(snapshot: Snapshot) -> bool:
    """Are there limits that all jobs share in?"""
    policy = snapshot.policy
    budgets = (policy.cost_budget, policy.energy_budget_kilowatt_hours, policy.carbon_budget_grams, *policy.budgets)
    capped = bool(policy.device_limits) or any(site.power.cap_watts is not None for site in snapshot.fleet.sites)
    return capped or any(one is not None for one in budgets)


def _keeps(job: TrainingJob) -> bool:
    """Does something stay where it runs?"""
    return job.checkpoint is not None or job.output is not None


def _rationed(data: DataSet) -> bool:
    return data.max_copies is not None
