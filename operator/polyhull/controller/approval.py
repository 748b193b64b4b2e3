"""What a person approved under mode Recommend: who runs where as what. Pure.

A plan's hash changes with every arrival and every release, so an approval bound to the present hash would be void
before all of it is released. What is approved is the plan's own list of assignments, kept as digests in an annotation
of its PlacementPlan. Whoever arrived later is not on the list and waits for a plan of their own. Once an assignment
on the list is another one in the present plan, the approved plan is not what would happen any more: the whole
approval is void.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from polyhull.domain.decision import Assignment, Decision, ServicePlan, Transfer
from polyhull.domain.snapshot import Mode, Policy
from polyhull.domain.workloads import Key
from polyhull.kube.resources import Manifest
from polyhull.render import naming

MOST_ENTRIES = 12_000
"""An object's annotations may hold 256 KiB; an entry takes 17 characters."""

Entries = Mapping[str, str]
"""Digest of what is assigned, by digest of whom."""


@dataclass(frozen=True, slots=True)
class Approval:
    """What may be acted on: what the mode of a namespace lets happen, after an approval where that asks for one."""

    policy: Policy
    entries: Entries = field(default_factory=dict)

    def covers(self, one: Assignment | ServicePlan) -> bool:
        mode = self.policy.mode_of(_key(one).namespace)
        if mode is not Mode.RECOMMEND:
            return mode is Mode.ENFORCE
        who, what = _entry(one)
        return self.entries.get(who) == what

    def covers_copy(self, moved: Transfer, decision: Decision) -> bool:
        """Whether a job that may be released reads what is moved."""
        mode = self.policy.mode_of(moved.data_set.namespace)
        if mode is not Mode.RECOMMEND:
            return mode is Mode.ENFORCE
        return any((moved.data_set, moved.store) in one.data and self.covers(one) for one in decision.assignments)


NOTHING = Approval(Policy(mode=Mode.OBSERVE))


def entries_of(decision: Decision) -> dict[str, str]:
    """What there is to approve, or to compare: all assignments and services, but no estimate."""
    placed = (one for one in decision.assignments if not one.observed)
    return dict([*map(_entry, placed), *map(_entry, decision.services)])


def annotation(decision: Decision) -> dict[str, str]:
    """The annotation of the plan's object."""
    entries = sorted(entries_of(decision).items())[:MOST_ENTRIES]
    return {naming.APPROVES: ",".join(who + what for who, what in entries)}


def given(plans: Iterable[Manifest], decision: Decision, policy: Policy) -> Approval:
    """What approved plans still cover of the present one. An approval names the hash of the plan it is on.

    Only namespaces that ask for it are looked at: what others are released or moved as voids no approval.
    """

    def asks(key: Key) -> bool:
        return policy.mode_of(key.namespace) is Mode.RECOMMEND

    jobs = dict(_entry(one) for one in decision.assignments if asks(one.job))
    gone = {_who(why.job) for why in decision.unplaced if asks(why.job)}
    covered: dict[str, str] = {}
    for plan in plans:
        approved = ((plan.get("spec") or {}).get("approval") or {}).get("planHash")
        if not approved or approved != (plan.get("status") or {}).get("planHash"):
            continue
        told = _told(plan)
        if not gone & told.keys() and all(told[who] == what for who, what in jobs.items() if who in told):
            covered |= told
    return Approval(policy, covered)


def _told(plan: Manifest) -> dict[str, str]:
    text = str((plan["metadata"].get("annotations") or {}).get(naming.APPROVES) or "")
    return {entry[:8]: entry[8:] for entry in text.split(",") if len(entry) == 16}


def _entry(one: Assignment | ServicePlan) -> tuple[str, str]:
    if isinstance(one, Assignment):
        places = ((part.cluster, part.pool, part.option, part.replicas) for part in one.places)
        return _who(one.job), _digest(*(told for place in places for told in place))
    parts = sorted((part.pool, part.variant, part.replicas) for part in one.replicas)
    return _who(one.service), _digest(*parts)


def _key(one: Assignment | ServicePlan) -> Key:
    return one.job if isinstance(one, Assignment) else one.service


def _who(key: object) -> str:
    return _digest(str(key))


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:8]
