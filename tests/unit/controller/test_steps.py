"""What goes out when: a child that is there is not applied again, bound and running share one status."""

from types import SimpleNamespace
from typing import Any

from polyhull.controller.children import Member, Progress
from polyhull.controller.hubjob import Child, HubJob, State, Verdict
from polyhull.controller.steps import SETTLE_SECONDS, Memory, _Steps
from polyhull.delivery.base import Action, Announce, Apply
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
