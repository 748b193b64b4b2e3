"""The checker's page on looking again: what a plan that grew out of a checked one can have broken.

The difference is taken by the checker itself, object by object; nobody tells it what changed. What the difference
touches (nodes, links, moves, jobs) is then checked whole, with everything on it. Like validate.py it shares no code
with what made the plan.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

from polyhull.domain.decision import Assignment, Decision, Transfer
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.planning.validate_spans import held

One = TypeVar("One")
_ESTIMATES = ("end_p50_seconds", "end_p90_seconds")
_CHECKED = tuple(one.name for one in fields(Assignment) if one.name not in _ESTIMATES)


@dataclass(frozen=True, slots=True)
class Passed:
    """A plan in which the checker found nothing wrong, and what it was made from."""

    snapshot: Snapshot
    decision: Decision


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be looked at; everything else is as it was when it passed."""

    keys: tuple[Key, ...]
    """Jobs that are new, or that are placed or left out otherwise than before."""
    assignments: tuple[Assignment, ...]
    transfers: tuple[Transfer, ...]
    nodes: frozenset[tuple[str, str]]
    """(pool, node)."""
    links: frozenset[str]


def changed(snapshot: Snapshot, decision: Decision, passed: Passed) -> Scope | None:
    """None: other facts than those that `passed` was checked against, or more than additions: look at everything."""
    before, then = passed.snapshot, passed.decision
    if then.violations or not _same_facts(snapshot, before) or decision.services != then.services:
        return None
    if _without(before.data_sets, snapshot.data_sets):
        return None
    if _without(before.jobs, snapshot.jobs):
        return None
    if _without(then.transfers, decision.transfers):
        return None
    kept = {one.job for one in decision.assignments}
    if len(kept) < len(decision.assignments) or len({one.job for one in decision.unplaced}) < len(decision.unplaced):
        return None
    placed = _without(decision.assignments, then.assignments)
    displaced = _without(then.assignments, decision.assignments)
    old = {one.job: one for one in displaced}
    placed = [one for one in placed if one.job not in old or not _alike(one, old[one.job])]
    displaced = [one for one in displaced if one.job not in kept or any(new.job == one.job for new in placed)]
    moved = _without(decision.transfers, then.transfers)
    nodes = frozenset(at for one in (*placed, *displaced) for at in _seats(one))
    if grown := {at for at in nodes if at[1].startswith("+")}:
        # Who waits for such a node depends on who asked for it first.
        there = {one.job for one in placed}
        placed += [
            one for one in decision.assignments if one.job not in there and any(at in grown for at in _seats(one))
        ]
    links = {name for one in moved for part in one.flows for name in part.links}
    links |= {name for one in (*placed, *displaced) for read in one.reads for name in read.links}
    links |= {name for one in (*placed, *displaced) for sent in one.exchanges for name in sent.links}
    left_out = (*_without(decision.unplaced, then.unplaced), *_without(then.unplaced, decision.unplaced))
    keys = {job.key for job in _without(snapshot.jobs, before.jobs)} | {one.job for one in left_out}
    keys |= {one.job for one in (*placed, *displaced)}
    return Scope(tuple(sorted(keys)), tuple(placed), tuple(moved), nodes, frozenset(links))


def _seats(one: Assignment) -> Iterable[tuple[str, str]]:
    return ((pool, name) for pool, _, nodes in held(one) for name, _ in nodes)


def _same_facts(one: Snapshot, other: Snapshot) -> bool:
    return (
        one.taken_at == other.taken_at
        and one.fleet == other.fleet
        and one.services == other.services
        and one.transfers == other.transfers
        and one.policy == other.policy
    )


def _without(some: Iterable[One], others: Sequence[One]) -> list[One]:
    """Those of `some` that are not the very objects of `others`: what is equal but another object counts as new."""
    if some is others:
        return []
    there = set(map(id, others))
    return [one for one in some if id(one) not in there]


def _alike(one: Assignment, other: Assignment) -> bool:
    """The same but for estimates, which nothing is checked against."""
    return all(getattr(one, name) is getattr(other, name) for name in _CHECKED)
