"""What goes out when: a child that is there is not applied again, bound and running share one status."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from polyhull.controller.children import Member, Progress
from polyhull.controller.hubjob import Child, HubJob, State, Verdict
from polyhull.controller.steps import REPORTS_PER_SECOND, SETTLE_SECONDS, Memory, Step, _Steps
from polyhull.delivery.base import Action, Announce, Apply, PutStatus
from polyhull.domain.workloads import Key
from polyhull.kube.resources import JOBS, Ref

ASSIGNMENT = {"cluster": "edge", "releasedTime": "2026-01-01T00:00:00Z"}
BODY = {
    "apiVersion": "polyhull.io/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {"name": "one", "namespace": "team", "uid": "u"},
    "status": {"assignment": ASSIGNMENT},
}
JOB = HubJob(BODY, Key("team", "one"))
CHILD = {"kind": "Job", "metadata": {"name": JOB.children[0].ref.name, "uid": "child"}}
SERVICE = {"kind": "Service", "metadata": {"name": "s"}}


class Rendering:
    """Renders a gang: a Job, and a Service that belongs to it."""

    def child(self, job: HubJob, child: Child, plan_hash: str) -> Apply:
        return Apply("edge", CHILD, lambda uid: (SERVICE | {"owner": uid},))

    def claims(self, job: HubJob, child: Child) -> tuple[Apply, ...]:
        return ()


def followed(verdict: Verdict, now: float, memory: Memory, *children: Any) -> tuple[tuple[Action, ...], list[float]]:
    view: Any = SimpleNamespace(now=now, members={"edge": Member("edge", True, children={"u": children})})
    build = _Steps(view, SimpleNamespace(), memory, Rendering())  # type: ignore[arg-type]
    build.follow(JOB, verdict)
    return tuple(action for step in build.urgent for action in step.actions), build.dues


def test_a_child_that_is_missing_is_applied_and_one_that_is_there_only_gets_its_companions() -> None:
    again = Verdict(State.RELEASED, rerelease=True)
    (made,), _ = followed(again, 0.0, Memory())
    assert isinstance(made, Apply)
    assert made.manifest is CHILD
    (made,), _ = followed(again, 0.0, Memory(), CHILD)
    assert isinstance(made, Apply)
    assert made.manifest == SERVICE | {"owner": "child"}


def test_bound_waits_a_moment_for_running_and_no_longer() -> None:
    told = Announce(JOB.ref, JOB.uid, "Normal", "Placed", "all bound")
    memory, ref = Memory(), Ref(JOBS, "team", "c")

    def bound(started: float | None) -> Verdict:
        return Verdict(
            State.RELEASED,
            actions=(told,),
            progress=Progress(ref, "c", False, 1, 1, 1, 0, (), started),
            event="bound",
        )

    assert followed(bound(None), 100.0, memory) == ((), [100.0 + SETTLE_SECONDS])
    assert followed(bound(100.0), 100.3, memory)[0] == (told,)
    assert followed(bound(None), 200.0, memory)[0] == ()
    assert followed(bound(None), 200.0 + SETTLE_SECONDS, memory)[0] == (told,)


def test_a_report_is_composed_again_only_when_its_body_or_its_causes_changed() -> None:
    view: Any = SimpleNamespace(now=0.0, members={})
    memory, suspended = Memory(), Verdict(State.SUSPENDED)

    def told(job: HubJob) -> tuple[Step, ...]:
        build = _Steps(view, SimpleNamespace(fleet=SimpleNamespace(clusters=())), memory, Rendering())  # type: ignore[arg-type]
        build.follow(job, suspended)
        return tuple(build.told)

    waits = replace(JOB, raw={**BODY, "status": {}})
    (step,) = told(waits)
    assert told(waits) == (step,), "what was not written yet is said again"
    (put,) = step.actions
    assert isinstance(put, PutStatus)
    written = replace(JOB, raw={**BODY, "status": put.status})
    assert told(written) == ()
    assert memory.said == {"u": (written.raw,)}
    view.now = 1e6
    assert told(written) == () and memory.said["u"][0] is written.raw
    (step,) = told(replace(JOB, raw={**BODY, "status": {}}))
    memory.forget(set())
    assert memory.said == {}


def test_reports_go_out_as_far_as_there_is_room_and_not_faster_than_their_rate() -> None:
    def reports(count: int) -> list[Step]:
        refs = [Ref(JOBS, "team", f"job-{i}") for i in range(count)]
        return [Step(ref, (PutStatus(ref, "u", {"observedGeneration": 1}),)) for ref in refs]

    woken: list[float] = []
    memory = Memory()
    assert len(memory.worth_writing(reports(70), 1000.0, woken.append, room=64)) == 64
    assert woken == [], "whoever ends a step asks again"
    left = int(REPORTS_PER_SECOND) - 64
    assert len(memory.worth_writing(reports(200)[70:], 1000.0, woken.append, room=64)) == left
    assert woken and set(woken) == {0.2}
    assert len(memory.worth_writing(reports(300)[200:], 1000.5, woken.append, room=64)) == REPORTS_PER_SECOND / 2
