"""Questions that may wait: what-ifs, and what would help the jobs that wait.

One at a time, in a process of its own that gives way to every other, and never beside the search for the plan itself
unless a question has waited long. Answers to scenarios go into their status; helps into the explanations of jobs as
long as these stay where they are.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from polyhull.api.conditions import Reason, instant
from polyhull.api.convert_scenario import answer as fields_of
from polyhull.api.convert_scenario import scenario as changes_of
from polyhull.controller import scenarios
from polyhull.controller.observe import View
from polyhull.controller.scenarios import MOST_QUEUED, Answer
from polyhull.controller.worker import Worker
from polyhull.domain.decision import Assignment, Decision, Help
from polyhull.domain.difference import Difference
from polyhull.domain.errors import InvalidInput, SolverFailed
from polyhull.domain.scenario import Change
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.kube.resources import Manifest
from polyhull.planning.scenario import changed

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 30.0
"""After this a question is asked beside a search."""
HELP_SECONDS = 60.0
"""Between two looks at what would help."""
PLANS = 6.0
"""A what-if plans four times, and gives way meanwhile: it may take as long as so many plans."""
NICE = 10

Place = tuple[str, str]
"""Pool and option."""


def attend(snapshot: Snapshot, changes: tuple[Change, ...]) -> Difference:
    """In the worker: the difference that the changes make."""
    from polyhull.controller.prover import Prover
    from polyhull.planning.whatif import what_if

    _give_way()
    if snapshot.policy.solver.exact_jobs == 0:
        return what_if(snapshot, changes)[0]
    with Prover(limit_seconds=snapshot.policy.solver.kill_seconds / 2) as prove:
        return what_if(snapshot, changes, prove)[0]


def look_for_help(snapshot: Snapshot, decision: Decision) -> Decision:
    """In the worker: the decision with what would help."""
    from polyhull.planning.helping import helped

    _give_way()
    return helped(snapshot, decision)


def aside(work: str, *arguments: Any) -> Any:
    """In the worker: either of the two, by its name."""
    answer: Callable[..., Any] = attend if work == "attend" else look_for_help
    return answer(*arguments)


def _said(error: InvalidInput) -> str:
    return f"{error.field}: {error.problem}; {error.remedy}"


def _give_way() -> None:
    with contextlib.suppress(OSError):
        os.nice(max(0, NICE - os.nice(0)))


@dataclass(slots=True)
class Asides:
    """`mark` asks for a cycle, `wake` for one in so many seconds."""

    monotonic: Callable[[], float]
    mark: Callable[[], None]
    wake: Callable[[float], None]
    help_seconds: float = HELP_SECONDS
    worker: Worker = field(default_factory=lambda: Worker("polyhull.controller.asides:aside"))
    answers: dict[str, Answer] = field(default_factory=dict)
    """To scenarios, by uid."""
    _helps: dict[Key, tuple[Place, tuple[Help, ...]]] = field(default_factory=dict)
    _helped: str = ""
    """Hash of the plan that was looked at last."""
    _helped_at: float | None = None
    _since: float | None = None
    """Since when something waits."""
    _task: "asyncio.Task[None] | None" = None

    def attend(self, view: View, snapshot: Snapshot, present: Decision | None, searching: bool) -> Decision | None:
        """Begin what may begin now; the present plan comes back with the helps that are known."""
        there = {str(raw["metadata"]["uid"]) for raw in view.objects if raw["kind"] == "PlacementScenario"}
        for uid in self.answers.keys() - there:
            del self.answers[uid]
        waiting = [
            raw
            for raw in scenarios.pending(view.objects, accepted(view), self.answers)[:MOST_QUEUED]
            if self._makes_sense(raw, snapshot)
        ]
        if self._task is None and present is not None and self._may_begin(bool(waiting), searching):
            if waiting:
                self._begin(self._answer(waiting[0], snapshot, view.now))
            elif self._help_is_due(present, searching):
                self._begin(self._look_for_help(snapshot, present))
        return None if present is None else known(present, self._helps)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.worker.close()

    def _makes_sense(self, raw: Manifest, snapshot: Snapshot) -> bool:
        """Whether its changes can be made; what cannot be is answered at once."""
        generation = scenarios.generation_of(raw)
        try:
            changed(snapshot, changes_of(raw, snapshot.fleet.accelerators).value or ())
        except InvalidInput as error:
            self._put(raw, Answer(generation, reason=Reason.CANNOT_BE_MADE, problem=_said(error)))
            return False
        return True

    def _put(self, raw: Manifest, answer: Answer) -> None:
        self.answers[str(raw["metadata"]["uid"])] = answer

    def _may_begin(self, waits: bool, searching: bool) -> bool:
        """Not beside a search, unless something has waited long."""
        now = self.monotonic()
        self._since = (now if self._since is None else self._since) if waits else None
        if not searching:
            return True
        if self._since is None:
            return False
        left = self._since + PATIENCE_SECONDS - now
        if left > 0.0:
            self.wake(left)
        return left <= 0.0

    def _help_is_due(self, present: Decision, searching: bool) -> bool:
        waits = any(not one.fixed and not one.release_now for one in present.assignments)
        if searching or not waits or present.plan_hash == self._helped:
            return False
        left = 0.0 if self._helped_at is None else self._helped_at + self.help_seconds - self.monotonic()
        if left > 0.0:
            self.wake(left)
        return left <= 0.0

    def _begin(self, work: Any) -> None:
        self._task = asyncio.get_running_loop().create_task(self._through(work))

    async def _through(self, work: Any) -> None:
        try:
            await work
        finally:
            await self.worker.close()  # its memory is not kept for questions that nobody asks
            self._task, self._since = None, None
            self.mark()

    async def _answer(self, raw: Manifest, snapshot: Snapshot, now: float) -> None:
        generation = scenarios.generation_of(raw)
        changes = changes_of(raw, snapshot.fleet.accelerators).value or ()
        try:
            limit = PLANS * snapshot.policy.solver.kill_seconds
            found = await self.worker.ask("attend", snapshot, changes, limit_seconds=limit)
        except SolverFailed as error:
            logger.error("a scenario was not answered: %s", error)
            self._put(raw, Answer(generation, reason=Reason.NO_ANSWER, problem=str(error)))
            return
        self._put(raw, Answer(generation, {**fields_of(found), "answeredTime": instant(now)}))

    async def _look_for_help(self, snapshot: Snapshot, present: Decision) -> None:
        self._helped, self._helped_at = present.plan_hash, self.monotonic()
        try:
            limit = snapshot.policy.solver.kill_seconds
            found = await self.worker.ask("look_for_help", snapshot, present, limit_seconds=limit)
        except SolverFailed as error:
            logger.warning("what would help is not known: %s", error)
            return
        self._helps = {
            one.job: ((one.pool, one.option), one.explanation.helps)
            for one in found.assignments
            if one.explanation.helps
        }


def accepted(view: View) -> Iterable[str]:
    """Names of the scenarios that make sense."""
    return (
        ref.name for ref, said in view.world.verdicts.items() if ref.kind == "PlacementScenario" and said.accepted
    )


def known(decision: Decision, helps: Mapping[Key, tuple[Place, tuple[Help, ...]]]) -> Decision:
    """The decision with the helps of jobs that are where they were when these were found."""
    if not helps:
        return decision

    def told(one: Assignment) -> Assignment:
        place, found = helps.get(one.job, (("", ""), ()))
        if one.fixed or not found or place != (one.pool, one.option):
            return one
        return replace(one, explanation=replace(one.explanation, helps=found))

    return replace(decision, assignments=tuple(told(one) for one in decision.assignments))
