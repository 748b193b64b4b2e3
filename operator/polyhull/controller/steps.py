"""From verdicts and decision to steps: what is written now, for whom, in which order of urgency. Pure.

Urgent steps change the world (release, withdraw, copy, delete) and go out at once. Reports only tell people something
and pass a limiter. An owner has at most one step in flight, so each step is whole in itself.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from polyhull.api.conditions import Type
from polyhull.api.convert import key_of
from polyhull.controller import (
    approval,
    fleet_status,
    kept,
    moves,
    orders,
    removal,
    reports,
    services,
    status,
    transfers,
)
from polyhull.controller.children import DEPENDENCY, Trouble, instant
from polyhull.controller.hubjob import HubJob, State, Verdict, children_of
from polyhull.controller.kept import Left
from polyhull.controller.looking import child_of
from polyhull.controller.observe import View
from polyhull.controller.outputs import Outputs, outputs, written_by
from polyhull.controller.renders import Renderer
from polyhull.controller.scenarios import Answers
from polyhull.delivery.base import Action, Apply, Finalizer, PutStatus
from polyhull.domain.decision import Assignment, Decision, Eviction, RunningMove, Transfer
from polyhull.domain.errors import InvalidInput
from polyhull.domain.snapshot import Mode, Snapshot
from polyhull.domain.workloads import Key
from polyhull.kube.resources import Ref, ref_of, uid_of
from polyhull.render import naming, transfer
from polyhull.render.naming import Owner

logger = logging.getLogger(__name__)

ESTIMATE_SECONDS = 60.0
"""At most once a minute per object where nothing but estimates changed."""
REPORTS_PER_SECOND = 100.0
"""Half of what a cluster is asked at most in a second."""
SETTLE_SECONDS = 1.0
"""How long Placed=True waits for the start of pods just bound: most run within a second, and one status says both."""


@dataclass(frozen=True, slots=True)
class Step:
    """Actions for one owner. `event` is for metrics: `release`, `withdrawn:REASON`, `ended:Complete` …"""

    owner: Ref
    actions: tuple[Action, ...]
    event: str = ""
    uid: str = ""
    before: Mapping[str, Any] = field(default_factory=dict)
    """Status that a report replaces."""


@dataclass(frozen=True, slots=True)
class Planned:
    urgent: tuple[Step, ...]
    reports: tuple[Step, ...]
    due_at: float | None = None
    refusals: Mapping[str, Trouble] = field(default_factory=dict)
    """By uid: children that cannot be rendered any more."""


@dataclass(slots=True)
class Memory:
    """What is remembered between cycles without being needed after a restart."""

    transfer_blocked: dict[tuple[Key, str], float] = field(default_factory=dict)
    """Copies that failed: not started again before then (seconds since the epoch)."""
    bound_at: dict[str, float] = field(default_factory=dict)
    """By uid: when pods that do not run yet were seen bound, until the hub is told (seconds since the epoch)."""
    refusals: Mapping[str, Trouble] = field(default_factory=dict)
    """By uid: members that answered no to a child."""
    said: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """By uid: what the status already says all of; it is composed again when one of these has changed."""
    _last: dict[Ref, float] = field(default_factory=dict)
    _tokens: float = REPORTS_PER_SECOND
    _at: float = 0.0

    def forget(self, known: Set[str]) -> None:
        """All but these uids."""
        for held in (self.bound_at, self.said):
            for uid in held.keys() - known:
                del held[uid]

    def worth_writing(
        self, wished: Iterable[Step], now: float, wake: Callable[[float], None], room: int
    ) -> list[Step]:
        """Reports that may go out now, at most `room`: whoever ends a step asks again. `wake` is told when others
        may."""
        self._tokens = min(REPORTS_PER_SECOND, self._tokens + max(0.0, now - self._at) * REPORTS_PER_SECOND)
        self._at = now
        out: list[Step] = []
        for step in wished:
            body = next((action.status for action in step.actions if isinstance(action, PutStatus)), {})
            last = self._last.get(step.owner, 0.0)
            if now < last + ESTIMATE_SECONDS and status.only_estimates(step.before, body):
                wake(last + ESTIMATE_SECONDS - now)
            elif len(out) >= room:
                break
            elif self._tokens < 1.0:
                wake(0.2)
            else:
                self._tokens -= 1.0
                self._last[step.owner] = now
                out.append(step)
        return out


def steps(
    view: View,
    verdicts: Mapping[Key, Verdict],
    moving: Mapping[Key, transfers.Verdict],
    snapshot: Snapshot,
    decision: Decision | None,
    memory: Memory,
    hub: str,
    rclone_image: str = transfer.IMAGE,
    trouble: str = "",
    answers: Answers | None = None,
    busy: Callable[[Ref], bool] = lambda owner: False,
) -> Planned:
    """Everything that follows now. `trouble`: why there is no decision, if there is none; `answers`: to scenarios;
    `busy`: whose step is in flight, so that what would be found for a job now could not go out."""
    build = _Steps(view, snapshot, memory, Renderer(snapshot.fleet, view.data_sets, hub, rclone_image), busy)
    build.outputs = outputs(view.jobs, view.data_sets, snapshot.fleet)
    for job in view.jobs:
        build.follow(job, verdicts[job.key])
    memory.forget({job.uid for job in view.jobs})
    for key, verdict in moving.items():
        build.copies(key, verdict)
    if decision is not None:
        build.approval = _approval(view, snapshot, decision)
        build.decided(decision, {job.key: job for job in view.jobs}, verdicts, moving)
    if decision is None and trouble:
        build.undecided([job for job in view.jobs if verdicts[job.key].state is State.WAITING], trouble)
    build.online(decision)
    build.fleet(answers or {})
    return Planned(tuple(build.urgent), tuple(build.told), min(build.dues, default=None), build.refusals)


class _Steps:
    def __init__(
        self,
        view: View,
        snapshot: Snapshot,
        memory: Memory,
        renderer: Renderer,
        busy: Callable[[Ref], bool] = lambda owner: False,
    ) -> None:
        self.view, self.snapshot, self.memory, self.renderer, self.busy = view, snapshot, memory, renderer, busy
        self.urgent: list[Step] = []
        self.told: list[Step] = []
        self.dues: list[float] = []
        self.refusals: dict[str, Trouble] = {}
        self.tombstones: dict[str, list[dict[str, Any]]] = {}
        self.approval = approval.NOTHING
        self.outputs = Outputs()

    # -- what follows from observation alone

    def follow(self, job: HubJob, verdict: Verdict) -> None:
        """Ends, withdrawals, deletions, children to be made again."""
        actions = verdict.actions
        if job.uid in self.outputs.unrecorded and any(isinstance(one, Finalizer) for one in actions):
            actions = ()
        if verdict.rerelease and not self.busy(job.ref):
            actions = (*actions, *self._again(job))
        if verdict.state in (State.WAITING, State.SUSPENDED):
            actions = (*actions, *moves.abandoned(job, self.snapshot.fleet.clusters, self.view.now))
        actions = (*actions, *self._purges(Owner.of(job.key, job.uid), verdict.purges))
        if verdict.due_at is not None:
            self.dues.append(verdict.due_at)
        self._entomb(job.raw, verdict.tombstones)
        if self._starts_soon(job, verdict):
            return
        if actions:
            event = verdict.event
            if event == "bound" and (released := instant(job.assignment.get("releasedTime"))) is not None:
                event = f"bound:{max(0.0, self.view.now - released):.3f}"
            self.urgent.append(Step(job.ref, actions, event, job.uid))
        elif verdict.state is State.REFUSED:
            self._tell_anew(job, (job.reason, job.message), lambda: reports.refused(job, self.view.now))
        elif verdict.state is State.SUSPENDED and not job.released:
            self._tell_anew(job, (), lambda: reports.suspended(job, self.view.now))

    def _starts_soon(self, job: HubJob, verdict: Verdict) -> bool:
        """Whether its pods are bound, do not run yet, and may do so within a moment."""
        progress = verdict.progress
        if verdict.event != "bound" or progress is None or progress.started_at is not None:
            self.memory.bound_at.pop(job.uid, None)
            return False
        until = self.memory.bound_at.setdefault(job.uid, self.view.now) + SETTLE_SECONDS
        if self.view.now >= until:
            return False
        self.dues.append(until)
        return True

    def _again(self, job: HubJob) -> tuple[Action, ...]:
        """The children once more, or what a crash left out beside them: a Job that is there is not applied again,
        since its template cannot change and what it is rendered from may have."""
        actions: list[Action] = []
        for child in job.children:
            try:
                made = self.renderer.child(job, child, str(job.status.get("planHash") or ""))
            except (InvalidInput, KeyError) as error:
                self.refusals[job.uid] = Trouble(DEPENDENCY, str(error), child.cluster)
                self.dues.append(self.view.now + 0.5)
                return ()
            member = self.view.members.get(child.cluster)
            body = child_of(child, job.uid, member) if member is not None else None
            if body is None:
                actions += [*self.renderer.claims(job, child), made]
            elif made.owned is not None:
                actions += [Apply(made.cluster, manifest) for manifest in made.owned(uid_of(body))]
        return tuple(actions)

    def _purges(self, owner: Owner, some: Iterable[Left]) -> tuple[Action, ...]:
        made: list[Action] = []
        for one in some:
            try:
                made.append(self.renderer.purge(owner, one))
            except InvalidInput as error:
                logger.warning("%s: %s", owner, error)
        return tuple(made)

    def copies(self, key: Key, verdict: transfers.Verdict) -> None:
        held = self.view.data_sets[key]
        for store in verdict.failed_stores:
            self.memory.transfer_blocked[key, store] = self.view.now + transfers.RETRY_SECONDS
            self.dues.append(self.view.now + transfers.RETRY_SECONDS)
        if verdict.due_at is not None:
            self.dues.append(verdict.due_at)
        self._entomb(held.raw, verdict.tombstones)
        actions = verdict.actions
        for one in verdict.lost if not actions else ():
            try:
                actions = (*actions, *transfers.resume(held, one, self.renderer, ""))
            except InvalidInput as error:
                logger.warning("copy of %s to %s: %s", key, one.transfer.store, error)
        if not actions and not verdict.closed and (due := self.outputs.due.get(key)):
            actions = transfers.written(held, due, self.view.transfers.get(key, ()), self.view.now)
        if actions:
            self.urgent.append(Step(ref_of(held.raw), actions, uid=held.uid))

    def _entomb(self, raw: Mapping[str, Any], members: tuple[str, ...]) -> None:
        for name in members:
            self.tombstones.setdefault(name, []).append(removal.tombstone(raw, name))

    # -- what the plan says

    def decided(
        self,
        decision: Decision,
        by_key: Mapping[Key, HubJob],
        verdicts: Mapping[Key, Verdict],
        moving: Mapping[Key, transfers.Verdict],
    ) -> None:
        waiting = [one for one in decision.assignments if _state(verdicts, one.job) is State.WAITING]
        queue = [one.job for one in sorted(waiting, key=lambda one: (one.order, one.job))]
        stored = {key: int(by_key[key].assignment.get("order") or 0) for key in queue}
        places = orders.numbers(queue, stored)
        for one in decision.assignments:
            job = by_key.get(one.job)
            if job is None or self.busy(job.ref):
                continue
            if _state(verdicts, one.job) is State.WAITING and not one.fixed:
                self._turn(job, one, places[one.job], decision)
            elif _state(verdicts, one.job) is State.RELEASED and one.fixed and not verdicts[one.job].actions:
                self._tell_running(job, one, decision)
        planned = {one.job: one for one in decision.assignments}
        for move in decision.moves:
            if (job := by_key.get(move.job)) is not None:
                self._move(job, move, planned[move.job], verdicts[move.job])
        for why in decision.unplaced:
            job = by_key.get(why.job)
            if job is not None and _state(verdicts, why.job) is State.WAITING:
                self._tell(job, reports.unplaced(job, why, self.view.now))
        self._start_copies(decision, moving)
        self._clear_copies(decision, moving)

    def undecided(self, waiting: Iterable[HubJob], trouble: str) -> None:
        """Deciding failed: nothing is released, nothing is taken back, and whoever waits is told."""
        for job in waiting:
            self._tell(job, reports.undecided(job, trouble, self.view.now))

    def _turn(self, job: HubJob, one: Assignment, order: int, decision: Decision) -> None:
        now, mode = self.view.now, self.snapshot.policy.mode_of(job.key.namespace)
        if one.release_now and self.approval.covers(one) and all(self._takes(part.cluster) for part in one.places):
            body = reports.release(job, one, order, decision, now)
            try:
                assigned = children_of(body["assignment"], Owner.of(job.key, job.uid))
                body |= self.renderer.output_status(job, assigned[0])
                written = [(child.cluster, one) for child in assigned for one in self.renderer.kept(job, child)]
                if recorded := kept.handed(job.status, written):
                    body["kept"] = recorded
                body |= moves.released(job, self.renderer.cluster(one.cluster), body["assignment"])
                made = tuple(
                    apply
                    for child in assigned
                    for apply in (
                        *self.renderer.claims(job, child),
                        self.renderer.child(job, child, decision.plan_hash),
                    )
                )
            except (InvalidInput, KeyError) as error:
                logger.warning("%s is not released: %s", job.key, error)
                return
            guard = () if job.has_finalizer else (Finalizer(job.ref, job.uid, True),)
            put = PutStatus(job.ref, job.uid, body)
            self.urgent.append(Step(job.ref, (*guard, *self._guard_output(job), put, *made), "release", job.uid))
            return
        moved = decision.transfers if one.data else ()
        because = (one, order, mode, decision.taken_at, moved, now // ESTIMATE_SECONDS)
        self._tell_anew(job, because, lambda: reports.waiting(job, one, order, decision, mode, now))

    def _tell_running(self, job: HubJob, one: Assignment, decision: Decision) -> None:
        because = (one, decision.taken_at, self.view.now // ESTIMATE_SECONDS)
        self._tell_anew(job, because, lambda: reports.running(job, one, decision, self.view.now))

    def _move(self, job: HubJob, move: RunningMove, planned: Assignment, verdict: Verdict) -> None:
        """Stop a running job that the plan has elsewhere."""
        if self.approval.covers(planned) and self._takes(move.to_cluster) and moves.stoppable(job, move, verdict):
            across = "inside" if move.from_cluster == move.to_cluster else "across"
            self.urgent.append(
                Step(job.ref, moves.stop(job, move, verdict, self.view.now), f"moved:{across}", job.uid)
            )

    def _guard_output(self, job: HubJob) -> tuple[Finalizer, ...]:
        """The data set that its output becomes has a claim from now on."""
        held = self.view.data_sets.get(key) if (key := written_by(job)) is not None else None
        if held is None or naming.FINALIZER in (held.raw["metadata"].get("finalizers") or ()):
            return ()
        return (Finalizer(ref_of(held.raw), held.uid, True),)

    def _start_copies(self, decision: Decision, moving: Mapping[Key, transfers.Verdict]) -> None:
        """Copies whose turn is now. Where a store is full, what makes room goes first; they start after that."""
        begin: dict[Key, list[Transfer]] = {}
        leave: dict[Key, set[str]] = {}
        full: dict[str, list[Eviction]] = {}
        for one in decision.evictions:
            full.setdefault(one.store, []).append(one)
        for moved in decision.transfers:
            blocked = self.memory.transfer_blocked.get((moved.data_set, moved.store), 0.0) > self.view.now
            if moved.active or moved.start_seconds > 0.0 or blocked or not self._takes(moved.cluster):
                continue
            if not self.approval.covers_copy(moved, decision):
                continue
            for one in full.get(moved.store, ()):
                leave.setdefault(one.data_set, set()).add(one.store)
            if moved.store not in full:
                begin.setdefault(moved.data_set, []).append(moved)
        for store in full.keys() & self._released_to(decision):
            for one in full[store]:
                leave.setdefault(one.data_set, set()).add(store)
        for key, stores in leave.items():
            held = self.view.data_sets.get(key)
            if held is not None and key in moving and not moving[key].actions and not moving[key].closed:
                made = transfers.evict(held, stores, self.view.transfers.get(key, ()), self.view.now)
                self.urgent.append(Step(ref_of(held.raw), made, "evict", held.uid))
        for key, planned in begin.items():
            held, verdict = self.view.data_sets.get(key), moving.get(key)
            if held is None or verdict is None or verdict.actions or verdict.closed:
                continue
            active = self.view.transfers.get(key, ())
            there = {one.store for one in active}
            fresh = [moved for moved in planned if moved.store not in there]
            if not fresh:
                continue
            try:
                made = transfers.start(held, fresh, active, self.renderer, decision.plan_hash, self.view.now)
            except InvalidInput as error:
                logger.warning("copy of %s is not started: %s", key, error)
                continue
            self.urgent.append(Step(ref_of(held.raw), made, "transfer", held.uid))

    def _released_to(self, decision: Decision) -> set[str]:
        """Stores of the clusters where jobs are released now: what they write needs its room."""
        stores = {cluster.name: cluster.store for cluster in self.snapshot.fleet.clusters}
        return {stores[one.cluster] for one in decision.assignments if one.release_now and self.approval.covers(one)}

    def _clear_copies(self, decision: Decision, moving: Mapping[Key, transfers.Verdict]) -> None:
        """Claims of copies that were evicted, or that failed and are wanted no more."""
        policy = self.snapshot.policy
        stepped = {step.owner for step in self.urgent}
        wanted: dict[Key, set[str]] = {}
        for moved in decision.transfers:
            wanted.setdefault(moved.data_set, set()).add(moved.store)
        for key, verdict in moving.items():
            held = self.view.data_sets[key]
            if policy.mode_of(key.namespace) is Mode.OBSERVE:
                continue
            if verdict.actions or verdict.closed or key in self.outputs.due or ref_of(held.raw) in stepped:
                continue
            writes = self.outputs.claims.get(key, set())
            if writes is None:
                continue
            active = self.view.transfers.get(key, ())
            made = transfers.unrecorded(held, {*wanted.get(key, ()), *writes}, active, self.view.members)
            if made:
                self.urgent.append(Step(ref_of(held.raw), made, uid=held.uid))

    def _takes(self, cluster: str) -> bool:
        found = self.snapshot.fleet.cluster(cluster)
        return found is not None and found.takes_new_work

    # -- services, and what the fleet's own kinds say

    def online(self, decision: Decision | None) -> None:
        planned = {plan.service: plan for plan in decision.services} if decision is not None else {}
        for raw in self.view.services:
            plan = planned.get(key_of(raw))
            act = plan is not None and self.approval.covers(plan)
            said_no = self.memory.refusals.get(str(raw["metadata"]["uid"]))
            made = services.follow(raw, self.view, self.snapshot, decision, self.renderer, act, said_no)
            self._entomb(raw, made.tombstones)
            if made.due_at is not None:
                self.dues.append(made.due_at)
            if made.urgent:
                self.urgent.append(Step(ref_of(raw), made.urgent, made.event, raw["metadata"]["uid"]))
            elif made.report is not None:
                self._put(raw, made.report)

    def fleet(self, answers: Answers) -> None:
        for raw, body in fleet_status.reports(self.view, self.snapshot, self.tombstones, answers):
            self._put(raw, body)
        for step in fleet_status.honoured(self.view):
            made = tuple(one for whose, some in step.purges for one in self._purges(whose, (some,)))
            self.urgent.append(Step(step.owner, (*step.actions, *made)))

    def _tell_anew(self, job: HubJob, because: tuple[Any, ...], made: Callable[[], dict[str, Any]]) -> None:
        """Unless its status was found to say all that follows from the same body and the same causes."""
        held = self.memory.said.get(job.uid)
        if held is not None and held[0] is job.raw and held[1:] == because:
            return
        body = made()
        if body == job.status:
            self.memory.said[job.uid] = (job.raw, *because)
        else:
            self._tell(job, body)

    def _tell(self, job: HubJob, body: dict[str, Any]) -> None:
        self._put(job.raw, body)

    def _put(self, raw: Mapping[str, Any], body: dict[str, Any]) -> None:
        before = raw.get("status") or {}
        if body != before:
            ref, uid = ref_of(raw), str(raw["metadata"]["uid"])
            self.told.append(Step(ref, (PutStatus(ref, uid, body),), uid=uid, before=before))


def _approval(view: View, snapshot: Snapshot, decision: Decision) -> approval.Approval:
    """What the modes let happen."""
    if snapshot.policy.asks:
        plans = (raw for raw in view.objects if raw["kind"] == "PlacementPlan")
        return approval.given(plans, decision, snapshot.policy)
    return approval.Approval(snapshot.policy)


def _state(verdicts: Mapping[Key, Verdict], key: Key) -> State | None:
    verdict = verdicts.get(key)
    return None if verdict is None else verdict.state


def accepted(raw: Mapping[str, Any]) -> bool:
    return status.holds(raw, Type.ACCEPTED) == "True"
