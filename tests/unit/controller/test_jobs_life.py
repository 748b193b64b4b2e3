"""The life of a job as a function: what is written when, and that "never twice" holds whatever the members show."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.controller.children import Member, News, Patience, Trouble
from polyhull.controller.hubjob import HubJob, State, Verdict
from polyhull.controller.jobs import judge
from polyhull.delivery.base import ConfirmGone, Delete, Finalizer, PutStatus, Suspend
from polyhull.domain.workloads import Key
from polyhull.render import naming, purge

NOW = 1_800_000_000.0
KEY = Key("team", "resnet")
UID = "uid-1"
CHILD = naming.child_name(naming.Owner.of(KEY, UID))
LABELS = naming.labels(naming.Owner.of(KEY, UID), "workers")


def stamp(seconds: float) -> str:
    from polyhull.api.conditions import instant

    return instant(seconds)


def hub_job(
    released: bool = False,
    placed: tuple[str, str] | None = None,
    finalizer: bool = True,
    deleted_at: float | None = None,
    ended: str = "",
    started: bool = False,
    suspend: bool = False,
    **more: Any,
) -> HubJob:
    status: dict[str, Any] = {"conditions": []}
    if released:
        status["assignment"] = {
            "cluster": "edge",
            "site": "edge",
            "pool": "edge/cpu",
            "option": "cpu",
            "accelerator": "cpu",
            "replicas": 1,
            "devicesPerReplica": 1,
            "order": 1,
            "nodes": [{"name": "n1", "pods": 1}],
            "releasedTime": stamp(NOW - 100),
        }
    if placed:
        status["conditions"].append(
            {
                "type": "Placed",
                "status": placed[0],
                "reason": placed[1],
                "message": "m",
                "lastTransitionTime": stamp(NOW),
            }
        )
    if ended:
        status["conditions"].append(
            {
                "type": "Succeeded",
                "status": ended,
                "reason": "Completed",
                "message": "",
                "lastTransitionTime": stamp(NOW),
            }
        )
        status["completionTime"] = stamp(NOW)
    if started:
        status["startTime"] = stamp(NOW - 50)
    metadata: dict[str, Any] = {"name": KEY.name, "namespace": KEY.namespace, "uid": UID, "generation": 1}
    if finalizer:
        metadata["finalizers"] = [naming.FINALIZER]
    if deleted_at is not None:
        metadata["deletionTimestamp"] = stamp(deleted_at)
    raw = {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "TrainingJob",
        "metadata": metadata,
        "spec": {"suspend": suspend},
        "status": status,
    }
    return HubJob(raw, KEY, **more)


def child(age: float = 5.0, suspended: bool = False, **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": CHILD,
            "namespace": KEY.namespace,
            "uid": "child-uid",
            "labels": LABELS,
            "creationTimestamp": stamp(NOW - age),
        },
        "spec": {"completions": 1, "parallelism": 1, "suspend": suspended},
        "status": status,
    }


def pod(age: float = 5.0, node: str = "", phase: str = "Pending", waiting: str = "") -> dict[str, Any]:
    body: dict[str, Any] = {
        "metadata": {
            "name": "p",
            "namespace": KEY.namespace,
            "uid": "pod-uid",
            "labels": LABELS,
            "creationTimestamp": stamp(NOW - age),
            "ownerReferences": [{"uid": "child-uid"}],
        },
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "conditions": []},
    }
    if node:
        body["status"]["conditions"] = [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp(NOW - age)}
        ]
    if waiting:
        body["status"]["containerStatuses"] = [
            {"state": {"waiting": {"reason": waiting, "message": "no such thing"}}}
        ]
    return body


def member(
    name: str = "edge", *children: dict[str, Any], pods: tuple[dict[str, Any], ...] = (), **more: Any
) -> dict[str, Member]:
    held = {UID: children} if children else {}
    return {name: Member(name, more.pop("reachable", True), children=held, pods={UID: pods} if pods else {}, **more)}


def kinds(verdict: Verdict) -> list[str]:
    return [type(action).__name__ for action in verdict.actions]


def reason_written(verdict: Verdict) -> str:
    for action in verdict.actions:
        if isinstance(action, PutStatus):
            for entry in action.status["conditions"]:
                if entry["type"] == "Placed":
                    return str(entry["reason"])
    return ""


def test_foreign_jobs_are_left_alone_in_every_state() -> None:
    verdict = judge(hub_job(released=True, foreign=True, deleted_at=NOW), member("edge", child()), NOW)
    assert (verdict.state, verdict.actions) == (State.FOREIGN, ())


def test_an_unreachable_member_keeps_the_job_and_says_so() -> None:
    verdict = judge(hub_job(released=True), member(reachable=False), NOW)
    assert verdict.placed is not None
    assert verdict.placed.uncertain
    assert reason_written(verdict) == "MemberUnreachable"


def test_a_member_that_falls_silent_while_a_child_is_taken_back_does_not_make_that_a_loss() -> None:
    job = hub_job(released=True, placed=("False", "Withdrawn"), started=True)
    silent = judge(job, member(reachable=False), NOW)
    assert silent.actions == ()
    assert silent.placed is not None
    assert silent.placed.uncertain
    back = judge(job, member(), NOW)
    assert (back.state, kinds(back)) == (State.WITHDRAWING, ["ConfirmGone", "PutStatus"])


def test_a_job_that_removes_what_was_left_elsewhere_is_given_up_in_time() -> None:
    """Nothing changes when its pod is stuck for long enough: somebody must look then."""
    owner, url = naming.Owner.of(KEY, UID), "s3://far/team/x/checkpoint"
    job = hub_job(released=True, placed=("True", "Bound"), started=True)
    job.raw["status"]["kept"] = [{"cluster": "far", "entry": "Checkpoint", "url": url}]
    removing = child()
    removing["metadata"] |= {"name": purge.job_name(owner, "checkpoint", url), "uid": "purge-uid"}
    stuck = pod(age=60, node="n1", waiting="CreateContainerConfigError")
    stuck["metadata"]["ownerReferences"] = [{"uid": "purge-uid"}]
    running = member("edge", child(), pods=(pod(node="n1", phase="Running"),))
    shown = {**running, **member("far", removing, pods=(stuck,))}
    put = next(action for action in judge(job, shown, NOW).actions if isinstance(action, PutStatus))
    told = HubJob({**job.raw, "status": put.status}, KEY)
    verdict = judge(told, shown, NOW)
    assert (verdict.actions, verdict.due_at) == ((), NOW + 60.0)


def test_a_release_without_child_is_made_again() -> None:
    verdict = judge(hub_job(released=True, placed=("False", "Releasing")), member(), NOW)
    assert verdict.rerelease
    assert verdict.placed is not None


@pytest.mark.parametrize(
    "seen", [{"placed": ("True", "Bound")}, {"placed": ("Unknown", "MemberUnreachable"), "started": True}]
)
def test_a_child_that_was_seen_and_vanished_is_lost(seen: dict[str, Any]) -> None:
    verdict = judge(hub_job(released=True, **seen), member(), NOW)
    assert kinds(verdict) == ["ConfirmGone", "PutStatus", "Announce"]
    assert verdict.event == "ended:ChildLost"


def test_refused_by_the_member_it_is_freed_with_an_exclusion() -> None:
    verdict = judge(
        hub_job(released=True, placed=("False", "Releasing")), member(), NOW, Trouble("Refused", "admission says no")
    )
    assert kinds(verdict) == ["ConfirmGone", "PutStatus"]
    put = verdict.actions[1]
    assert isinstance(put, PutStatus)
    assert "assignment" not in put.status
    assert put.status["exclusions"][0]["cluster"] == "edge"


@pytest.mark.parametrize(
    ("pods", "news", "reason"),
    [
        ((pod(age=31),), (), "Unbound"),
        ((pod(age=121, node="n1", waiting="CreateContainerConfigError"),), (), "DependencyMissing"),
        ((pod(age=121, node="n1", waiting="ImagePullBackOff"),), (), "DependencyMissing"),
        ((pod(age=121, node="n1"),), (News("pod-uid", "FailedMount", "claim x is missing"),), "DependencyMissing"),
        ((), (News("child-uid", "FailedCreate", "exceeded quota: none"),), "QuotaExceeded"),
        ((), (News("child-uid", "FailedCreate", "admission webhook denied"),), "Refused"),
    ],
)
def test_what_does_not_come_to_run_is_said_and_taken_back(
    pods: tuple[dict[str, Any], ...], news: tuple[News, ...], reason: str
) -> None:
    job = hub_job(released=True, placed=("False", "Releasing"))
    verdict = judge(job, member("edge", child(age=200), pods=pods, news=news), NOW)
    assert verdict.state is State.WITHDRAWING
    assert reason_written(verdict) == reason
    assert kinds(verdict)[-1] == "Delete"
    assert verdict.placed is not None, "it holds its place until the child is confirmed gone"
    put = next(action for action in verdict.actions if isinstance(action, PutStatus))
    (kept_from,) = put.status["exclusions"]
    assert (kept_from["cluster"], kept_from["reason"]) == ("edge", reason)
    assert kept_from.get("pool") == ("edge/cpu" if reason == "Unbound" else None), (
        "another node may be free elsewhere"
    )


@pytest.mark.parametrize("pods", [(pod(age=29),), (pod(age=119, node="n1", waiting="ImagePullBackOff"),)])
def test_patience_has_an_end_that_is_known(pods: tuple[dict[str, Any], ...]) -> None:
    verdict = judge(hub_job(released=True), member("edge", child(), pods=pods), NOW)
    assert verdict.state is State.RELEASED
    assert verdict.due_at == pytest.approx(NOW + 1.0)


def test_a_slow_image_is_no_trouble() -> None:
    verdict = judge(hub_job(released=True), member("edge", child(), pods=(pod(age=1000, node="n1"),)), NOW)
    assert verdict.state is State.RELEASED
    assert "Delete" not in kinds(verdict)


def test_bound_is_told_once() -> None:
    shown = member("edge", child(), pods=(pod(node="n1"),))
    verdict = judge(hub_job(released=True, placed=("False", "Releasing")), shown, NOW)
    assert reason_written(verdict) == "Bound"
    put = next(action for action in verdict.actions if isinstance(action, PutStatus))
    told = HubJob({**hub_job(released=True).raw, "status": put.status}, KEY)
    assert judge(told, shown, NOW + 5).actions == ()


def test_an_end_is_stored_before_the_child_goes() -> None:
    done = child(conditions=[{"type": "Complete", "status": "True"}], completionTime=stamp(NOW - 1))
    verdict = judge(hub_job(released=True, placed=("True", "Bound")), member("edge", done), NOW)
    assert kinds(verdict) == ["PutStatus", "Announce"]
    after = judge(hub_job(released=True, ended="True"), member("edge", done), NOW)
    assert after.state is State.ENDED
    assert kinds(after) == ["Delete"]
    last = judge(hub_job(released=True, ended="True"), member(), NOW)
    assert kinds(last) == ["ConfirmGone", "Finalizer"]


def test_suspended_it_stops_and_keeps_its_child() -> None:
    shown = member("edge", child(), pods=(pod(node="n1", phase="Running"),))
    verdict = judge(hub_job(released=True, placed=("True", "Bound"), suspend=True), shown, NOW)
    assert [type(action) for action in verdict.actions] == [Suspend, PutStatus]
    assert verdict.placed is not None, "its devices are free only once no pod is active"
    stopped = judge(hub_job(released=True, suspend=True), member("edge", child(suspended=True)), NOW)
    assert stopped.placed is None


def test_a_deletion_waits_for_the_silent_then_leaves_a_note() -> None:
    silent = member(reachable=False)
    early = judge(hub_job(released=True, deleted_at=NOW - 30), silent, NOW)
    assert (early.actions, early.tombstones) == ((), ())
    assert early.due_at == pytest.approx(NOW + 30)
    late = judge(hub_job(released=True, deleted_at=NOW - 61), silent, NOW)
    assert late.tombstones == ("edge",)
    noted = member(reachable=False, tombstones=({"uid": UID},))
    assert kinds(judge(hub_job(released=True, deleted_at=NOW - 61), noted, NOW)) == ["Finalizer"]


def test_fenced_it_is_free_and_what_returns_is_removed() -> None:
    verdict = judge(hub_job(released=True), member(reachable=False, fenced=True), NOW)
    assert kinds(verdict) == ["PutStatus"]
    returned = judge(hub_job(), member("edge", child()), NOW)
    assert returned.state is State.WITHDRAWING
    assert kinds(returned) == ["Delete"]


@given(
    released=st.booleans(),
    placed=st.sampled_from(
        [None, ("True", "Bound"), ("False", "Releasing"), ("False", "Unbound"), ("Unknown", "MemberUnreachable")]
    ),
    deleted=st.booleans(),
    suspend=st.booleans(),
    reachable=st.booleans(),
    shown=st.booleans(),
    ended=st.sampled_from(["", "True", "False"]),
)
def test_nothing_lets_go_of_a_release_without_a_confirmed_absence(
    released: bool,
    placed: tuple[str, str] | None,
    deleted: bool,
    suspend: bool,
    reachable: bool,
    shown: bool,
    ended: str,
) -> None:
    """Whatever hub and member say: assignment or finalizer only go after ConfirmGone, in the same step."""
    job = hub_job(released, placed, True, NOW - 5 if deleted else None, ended, suspend=suspend)
    bodies = (child(),) if shown and reachable else ()
    verdict = judge(job, member("edge", *bodies, reachable=reachable), NOW)
    confirmed = False
    for action in verdict.actions:
        confirmed = confirmed or isinstance(action, ConfirmGone)
        if released and isinstance(action, PutStatus) and "assignment" not in action.status:
            assert confirmed
        if released and isinstance(action, Finalizer) and not action.present:
            assert confirmed
        if isinstance(action, Delete):
            assert action.uid == "child-uid"
    if released and not ended and not deleted:
        assert verdict.placed is not None or suspend, "a released job stays a fixed column"


def test_patience_is_the_products() -> None:
    assert Patience() == Patience(30.0, 120.0, 10.0)


def test_the_end_of_a_back_off_is_waited_for() -> None:
    job = hub_job()
    job.raw["status"]["exclusions"] = [
        {"cluster": "edge", "reason": "QuotaExceeded", "message": "m", "untilTime": stamp(NOW + after)}
        for after in (-5.0, 20.0, 90.0)
    ]
    verdict = judge(job, member(), NOW)
    assert (verdict.state, verdict.due_at) == (State.WAITING, NOW + 20.0)


def test_a_pod_of_a_pool_that_grows_may_wait_for_its_node() -> None:
    job = hub_job(released=True, placed=("False", "Releasing"))
    patience = Patience(unbound=30.0)
    held = {"pods": (pod(age=40.0),), "patience": patience}
    assert "Delete" in kinds(judge(job, member("edge", child(age=40.0), **held), NOW))
    growing = judge(job, member("edge", child(age=40.0), **held, provisioning={"edge/cpu": 60.0}), NOW)
    assert "Delete" not in kinds(growing)
    assert (growing.state, growing.due_at) == (State.RELEASED, NOW + 50.0)


def test_an_exclusion_lasts_as_long_as_patience_says_and_replaces_the_one_before() -> None:
    job = hub_job(released=True, placed=("False", "Releasing"))
    job.raw["status"]["exclusions"] = [
        {"cluster": "edge", "reason": "Refused", "message": "m", "untilTime": stamp(NOW + 9)},
        {"cluster": "cloud", "reason": "Refused", "message": "m", "untilTime": stamp(NOW + 9)},
    ]
    verdict = judge(job, member("edge", patience=Patience(back_off=77.0)), NOW, Trouble("QuotaExceeded", "m"))
    put = next(action for action in verdict.actions if isinstance(action, PutStatus))
    told = {one["cluster"]: (one["reason"], one["untilTime"]) for one in put.status["exclusions"]}
    assert told == {"edge": ("QuotaExceeded", stamp(NOW + 77)), "cloud": ("Refused", stamp(NOW + 9))}
