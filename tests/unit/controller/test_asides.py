"""What may wait: scenarios are queued, answered once per generation, and never in the way of the plan."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from polyhull.api.conditions import get_condition
from polyhull.api.world import Ref as WorldRef
from polyhull.api.world import Verdict, World
from polyhull.controller import scenarios
from polyhull.controller.asides import PATIENCE_SECONDS, Asides, aside, known
from polyhull.controller.observe import View
from polyhull.controller.scenarios import MOST_QUEUED
from polyhull.controller.status import settle
from polyhull.controller.worker import Worker
from polyhull.domain.decision import Explanation, Help
from polyhull.domain.errors import SolverFailed
from polyhull.domain.scenario import AddNodes
from polyhull.planning.decide import decide
from tests.builders import fleet, job, option, pool, snapshot

JOBS = [job(name, [option("v100", devices=8)], 100.0) for name in ("one", "two")]
CASE = snapshot(fleet([pool("b", "v100", 1)]), JOBS)
SOUND = ("Accepted", True, "Valid", "fine")


def scenario(name: str = "s", generation: int = 1, created: str = "", **change: Any) -> dict[str, Any]:
    return {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "PlacementScenario",
        "metadata": {"name": name, "uid": f"uid-{name}", "generation": generation, "creationTimestamp": created},
        "spec": {"changes": [change or {"addNodes": {"pool": "b/v100", "nodes": 1}}]},
    }


def view(*raws: dict[str, Any]) -> View:
    refs = [WorldRef("PlacementScenario", "", raw["metadata"]["name"]) for raw in raws]
    world = World(verdicts={ref: Verdict(ref) for ref in refs})
    return cast(View, SimpleNamespace(now=1000.0, objects=raws, world=world))


class Bench:
    """Asides with a worker that answers in this process, and a clock that is told."""

    def __init__(self, fails: bool = False) -> None:
        self.now, self.marks, self.asked, self.wakes = 0.0, 0, [], []  # type: ignore[var-annotated]
        self.fails = fails

        async def ask(*arguments: Any, limit_seconds: float) -> Any:
            self.asked.append(arguments[0])
            await asyncio.sleep(0)
            if self.fails:
                raise SolverFailed("it crashed")
            return aside(*arguments)

        async def close() -> None:
            return None

        worker = cast(Worker, SimpleNamespace(ask=ask, close=close))
        self.asides = Asides(lambda: self.now, self._mark, self.wakes.append, worker=worker)

    def _mark(self) -> None:
        self.marks += 1

    async def idle(self) -> None:
        while self.asides._task is not None:
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def not_nice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyhull.controller.asides.os.nice", lambda by: 0)


def said(raw: dict[str, Any], bench: Bench, place: int | None = None) -> tuple[dict[str, Any], str, str, str]:
    body = scenarios.report(raw, SOUND, bench.asides.answers, place, 1000.0)
    answered = get_condition(body["conditions"], "Answered")
    assert answered is not None
    return body, answered["status"], answered["reason"], answered["message"]


def test_a_scenario_is_answered_once_and_asked_again_when_it_changes() -> None:
    async def play() -> None:
        bench, raw = Bench(), scenario()
        plan = decide(CASE)
        assert bench.asides.attend(view(raw), CASE, plan, False) == plan
        await bench.idle()
        assert (bench.asked, bench.marks) == (["attend"], 1)
        body, status, reason, _ = said(raw, bench)
        assert (status, reason) == ("True", "Answered")
        assert (body["baseMakespanSeconds"], body["makespanSeconds"], body["gain"]) == (200, 100, "0.5000")
        assert [(one["name"], one["fate"], one["laterSeconds"]) for one in body["jobs"]] == [("two", "Earlier", -100)]
        told = raw | {"status": body}
        bench.asides.attend(view(told), CASE, plan, True)
        assert bench.asides._task is None, "it is answered"
        changed = scenario(generation=2) | {"status": body}
        assert len(scenarios.pending([changed], ["s"], bench.asides.answers)) == 1
        waiting = scenarios.report(changed, SOUND, bench.asides.answers, 0, 1000.0)
        assert "makespanSeconds" not in waiting, "an answer to another question is taken back"

    asyncio.run(play())


def test_a_restart_leaves_answers_as_they_are() -> None:
    answered = {"type": "Answered", "status": "True", "reason": "Answered", "observedGeneration": 1, "message": "x",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}  # fmt: skip
    raw = scenario() | {"status": {"conditions": [answered], "makespanSeconds": 5}}
    assert scenarios.pending([raw], ["s"], {}) == []
    body = scenarios.report(raw, SOUND, {}, None, 2000.0)
    assert body["makespanSeconds"] == 5
    assert get_condition(body["conditions"], "Answered") == answered


def test_a_change_that_cannot_be_made_says_which_and_why() -> None:
    async def play() -> None:
        bench, raw = Bench(), scenario(addNodes={"pool": "b/v10", "nodes": 1})
        bench.asides.attend(view(raw), CASE, None, True)
        _, status, reason, message = said(raw, bench)
        assert bench.asked == [], "nothing needs to be planned to see that"
        assert (status, reason) == ("False", "CannotBeMade")
        assert message == "spec.changes[0].addNodes.pool: there is no pool b/v10; write one such as b/v100"

    asyncio.run(play())


def test_a_worker_that_fails_is_an_answer_too() -> None:
    async def play() -> None:
        bench, raw = Bench(fails=True), scenario()
        bench.asides.attend(view(raw), CASE, decide(CASE), False)
        await bench.idle()
        assert said(raw, bench)[1:3] == ("False", "NoAnswer")

    asyncio.run(play())


def test_one_at_a_time_the_oldest_first_and_behind_the_search() -> None:
    async def play() -> None:
        bench = Bench()
        late, early = scenario("late", created="2026-01-02"), scenario("early", created="2026-01-01")
        plan = decide(CASE)
        bench.asides.attend(view(late, early), CASE, plan, True)
        assert bench.asides._task is None, "a search runs"
        assert bench.wakes == [PATIENCE_SECONDS]
        bench.now = PATIENCE_SECONDS + 1.0
        bench.asides.attend(view(late, early), CASE, plan, True)
        bench.asides.attend(view(late, early), CASE, plan, True)
        await bench.idle()
        assert (bench.asked, set(bench.asides.answers)) == (["attend"], {"uid-early"})
        bench.asides.attend(view(late), CASE, plan, False)
        await bench.idle()
        assert set(bench.asides.answers) == {"uid-late"}, "answers to what is gone are forgotten"

    asyncio.run(play())


def test_the_queue_says_where_it_ends() -> None:
    bench, raw = Bench(), scenario()
    assert said(raw, bench, place=0)[1:3] == ("Unknown", "Queued")
    assert said(raw, bench, place=MOST_QUEUED)[1:3] == ("Unknown", "QueueFull")


def test_a_refused_scenario_is_not_queued() -> None:
    body = scenarios.report(scenario(), ("Accepted", False, "InvalidSpec", "x"), {}, None, 1.0)
    assert get_condition(body["conditions"], "Answered")["status"] == "False"  # type: ignore[index]


def test_what_would_help_is_looked_for_once_for_a_plan_and_told_while_jobs_stay() -> None:
    async def play() -> None:
        bench, plan = Bench(), decide(CASE)
        assert bench.asides.attend(view(), CASE, plan, False) == plan
        await bench.idle()
        told = bench.asides.attend(view(), CASE, plan, False)
        assert told is not None
        assert bench.asked == ["look_for_help"]
        (helps,) = [one.explanation.helps for one in told.assignments if one.explanation.helps]
        assert helps[0].change == "one more v100 node in pool b/v100"
        moved = replace(plan, assignments=tuple(replace(one, pool="b/other") for one in plan.assignments))
        assert known(moved, bench.asides._helps) == moved
        again = replace(plan, plan_hash="another")
        bench.asides.attend(view(), CASE, again, False)
        assert bench.asked == ["look_for_help"], "not twice within a minute"

    asyncio.run(play())


def test_nothing_is_begun_without_a_plan() -> None:
    bench = Bench()
    assert bench.asides.attend(view(scenario()), CASE, None, False) is None
    assert bench.asides._task is None


def test_an_answer_in_a_real_process() -> None:
    async def play() -> None:
        worker = Worker("polyhull.controller.asides:aside")
        try:
            found = await worker.ask("attend", CASE, (AddNodes("b/v100", 1),), limit_seconds=60.0)
        finally:
            await worker.close()
        assert found.after.makespan_seconds == pytest.approx(100.0)

    asyncio.run(play())


def test_helps_found_later_are_worth_a_write_and_are_kept() -> None:
    def status(helps: list[Any]) -> dict[str, Any]:
        why = {"binds": "b"} | ({"helps": helps} if helps else {})
        return {"assignment": {"pool": "p"}, "explanation": why, "estimatedStartTime": "2026-01-01T00:00:00Z"}

    with_it = [{"change": "c", "soonerSeconds": 5}]
    assert settle(status([]), status(with_it), 0.0)["explanation"]["helps"] == with_it
    assert settle(status(with_it), status([]), 0.0)["explanation"]["helps"] == with_it


def test_the_explanation_of_a_status_stays_small() -> None:
    import json

    from polyhull.api.status import EXPLANATION_BYTES, explanation_status

    helps = tuple(Help(f"{i}" + "x" * 5000, 1.0, 2.0) for i in range(3))
    body = explanation_status(Explanation("b" * 2000, helps=(*helps, Help("no place", 1.0))))
    assert len(json.dumps(body)) <= EXPLANATION_BYTES
    assert 1 <= len(body["helps"]) <= 3
