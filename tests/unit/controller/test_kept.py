"""What a job wrote goes when nobody needs it, from buckets too, and whoever was silent then is asked later."""

from dataclasses import replace
from typing import Any

import pytest

from polyhull.api.world import World
from polyhull.controller import kept
from polyhull.controller.children import Member
from polyhull.controller.fleet_status import honoured
from polyhull.controller.hubjob import HubJob, State
from polyhull.controller.jobs import GIVE_UP_SECONDS, judge
from polyhull.controller.kept import Left
from polyhull.controller.observe import View
from polyhull.controller.removal import tombstone
from polyhull.controller.renders import Renderer
from polyhull.delivery.base import Announce, ConfirmGone, ConfirmNone, Delete, Finalizer, PutStatus
from polyhull.domain.errors import InvalidInput
from polyhull.domain.fleet import Storage, StorageKind
from polyhull.render import naming, purge
from polyhull.render.keeping import CHECKPOINT, OUTPUT, Kept, claim_name
from tests import builders as b
from tests.unit.controller.test_jobs_life import KEY, NOW, UID, child, member, pod, stamp
from tests.unit.controller.test_outputs import claim, writer

OWNER = naming.Owner.of(KEY, UID)
BUCKET = Storage(StorageKind.BUCKET, url="s3://copies", secret_name="copies-s3")
FLEET = b.fleet([b.pool("edge", "cpu")], clusters=[b.cluster("edge", storage=BUCKET)])


def url(entry: str, bucket: str = "copies") -> str:
    return f"s3://{bucket}/{KEY.namespace}/{naming.child_name(OWNER)}/{entry}"


def at(cluster: str, entry: str = CHECKPOINT, bucket: str = "copies") -> Left:
    return Left(cluster, entry, url(entry, bucket) if bucket else "")


def job(*some: Left, **state: Any) -> HubJob:
    made = writer(**state)
    return HubJob({**made.raw, "status": {**made.raw["status"], "kept": kept.told(some)}}, KEY)


def removing(one: Left, end: str = "") -> dict[str, Any]:
    """The Job that removes it, as its member shows it."""
    body = dict(Renderer(FLEET, {}).purge(OWNER, Left("edge", one.entry, one.url)).manifest)
    conditions = [{"type": end, "status": "True", "message": "denied"}] if end else []
    body["metadata"] = {**body["metadata"], "uid": f"removes-{one.entry}", "creationTimestamp": stamp(NOW - 2)}
    return {**body, "status": {"startTime": stamp(NOW - 2), "conditions": conditions}}


def told(actions: Any) -> list[dict[str, str]]:
    (put,) = [one for one in actions if isinstance(one, PutStatus)]
    return list(put.status.get("kept") or ())


SILENT = {"far": Member("far", False)}


def test_what_is_handed_out_is_recorded_but_for_what_becomes_a_data_set() -> None:
    def written(**changes: Any) -> Kept:
        return replace(Kept(CHECKPOINT, OWNER, "site:edge", BUCKET, 1), **changes)

    volume = Storage(StorageKind.VOLUME)
    found = kept.handed({"kept": [at("far").told()]}, [("edge", written()), ("edge", written(storage=volume))])
    assert found == [at("far").told(), at("edge").told(), {"cluster": "edge", "entry": "Checkpoint"}]
    assert kept.handed({}, [("edge", written(entry=OUTPUT, data_set=OWNER))]) is None


def test_after_success_checkpoints_are_removed_and_the_output_stays_with_the_object() -> None:
    done = job(at("edge"), at("edge", OUTPUT), released=True, ended="True")
    first = judge(done, member("edge"), NOW)
    assert (first.purges, first.actions) == ((at("edge"),), ())
    running = judge(done, member("edge", removing(at("edge"))), NOW)
    assert (running.purges, running.actions) == ((), ()), "it is left to its work"
    over = judge(done, member("edge", removing(at("edge"), "Complete")), NOW)
    assert told(over.actions) == [at("edge", OUTPUT).told()]
    after = job(at("edge", OUTPUT), released=True, ended="True")
    (delete,) = judge(after, member("edge", removing(at("edge"), "Complete")), NOW).actions
    assert isinstance(delete, Delete) and delete.uid == "removes-checkpoint"
    assert judge(after, member("edge"), NOW).actions == (), "the finalizer stays for the output"


def test_after_a_failure_both_stay() -> None:
    failed = job(at("edge"), at("edge", OUTPUT), released=True, ended="False")
    verdict = judge(failed, member("edge"), NOW)
    assert (verdict.actions, verdict.purges) == ((), ())


def test_with_the_object_all_goes_after_its_pods() -> None:
    gone = job(at("edge"), at("edge", OUTPUT), released=True, deleted_at=NOW - 5)
    early = judge(gone, member("edge", child()), NOW)
    assert early.purges == () and [type(one) for one in early.actions] == [Delete], "pods still write"
    assert set(judge(gone, member("edge"), NOW).purges) == {at("edge"), at("edge", OUTPUT)}
    half = judge(gone, member("edge", removing(at("edge"), "Complete"), removing(at("edge", OUTPUT))), NOW)
    assert told(half.actions) == [at("edge", OUTPUT).told()]
    last = judge(job(released=True, deleted_at=NOW - 5), member("edge"), NOW)
    assert isinstance(last.actions[-1], Finalizer)


def test_what_cannot_be_removed_is_said_and_holds_nobody_up() -> None:
    gone = job(at("edge"), released=True, deleted_at=NOW - 5)
    put, event = judge(gone, member("edge", removing(at("edge"), "Failed")), NOW).actions
    assert isinstance(put, PutStatus) and "kept" not in put.status
    assert isinstance(event, Announce) and "denied; remove it by hand" in event.note and url(CHECKPOINT) in event.note
    late = job(at("edge"), released=True, deleted_at=NOW - GIVE_UP_SECONDS)
    event, *_, finalizer = judge(late, member("edge"), NOW).actions
    assert isinstance(event, Announce) and isinstance(finalizer, Finalizer)


def test_a_member_that_was_silent_when_it_mattered_is_not_forgotten() -> None:
    """Withdrawn from `far`, whose claim stayed; then `far` falls silent, and the job ends elsewhere or is deleted."""
    claimed = at("far", bucket="")
    done = job(claimed, released=True, ended="True")
    assert judge(done, {**member("edge"), **SILENT}, NOW).actions == (), "the finalizer waits for its word"
    back = {**member("edge"), **member("far", claim(CHECKPOINT))}
    assert [one.cluster for one in judge(done, back, NOW).actions if isinstance(one, Delete)] == ["far"]
    confirm, put = judge(done, {**member("edge"), **member("far")}, NOW).actions
    assert isinstance(confirm, ConfirmGone) and confirm.cluster == "far"
    assert confirm.ref.name == claim_name(OWNER, CHECKPOINT)
    assert isinstance(put, PutStatus) and "kept" not in put.status

    gone = job(claimed, deleted_at=NOW - 100)
    assert judge(gone, {**member("edge"), **SILENT}, NOW).tombstones == ("far",)
    noted = {"far": Member("far", False, tombstones=({"uid": UID},))}
    assert isinstance(judge(gone, {**member("edge"), **noted}, NOW).actions[-1], Finalizer)


def test_once_it_runs_elsewhere_what_it_wrote_before_goes() -> None:
    elsewhere = at("far")
    runs = job(elsewhere, at("edge", bucket="other"), released=True, placed=("True", "Bound"), started=True)
    running = pod(node="n1", phase="Running")
    members = {**member("edge", child(), pods=(running,)), **member("far")}
    (put,) = judge(runs, members, NOW).actions
    assert isinstance(put, PutStatus)
    told_so = HubJob({**runs.raw, "status": put.status}, KEY)
    verdict = judge(told_so, members, NOW)
    assert (verdict.state, verdict.actions, verdict.purges) == (State.RELEASED, (), (elsewhere,))
    carried = HubJob({**told_so.raw, "status": {**put.status, "move": {"phase": "Resuming"}}}, KEY)
    assert judge(carried, members, NOW).purges == (), "it may go back there still"


def test_what_is_wanted_again_is_no_longer_removed_and_nothing_is_released_before_that_has_stopped() -> None:
    """It ran at `edge`, then elsewhere, where it was withdrawn: now it may go back."""
    here = at("edge")
    waiting = judge(job(here, at("far")), {**member("edge", removing(here)), **member("far")}, NOW)
    assert waiting.state is State.WITHDRAWING
    assert [one.uid for one in waiting.actions if isinstance(one, Delete)] == ["removes-checkpoint"]
    back = judge(job(here, released=True), member("edge", child(), removing(here)), NOW)
    assert [one.uid for one in back.actions if isinstance(one, Delete)] == ["removes-checkpoint"]


def test_a_bucket_that_clusters_share_is_not_emptied_while_one_of_them_uses_it() -> None:
    here, there = at("edge"), at("twin")
    going = kept.clear([here, there], [there], OWNER, {**member("edge"), **member("twin")}, NOW)
    assert (going.remaining, going.purges, going.failures) == ([here], [], [])


def test_an_administrator_s_word_is_enough() -> None:
    going = kept.clear([at("lost"), at("edge", bucket="")], [at("lost"), at("edge", bucket="")], OWNER, {}, NOW)
    assert going == kept.Going()


STONE = {"kind": "TrainingJob", "namespace": KEY.namespace, "name": KEY.name, "uid": UID, "deletedTime": stamp(NOW)}


def test_a_tombstone_remembers_buckets_and_goes_when_they_are_empty() -> None:
    gone = job(at("far"), at("edge"), at("far", OUTPUT, ""), deleted_at=NOW)
    stone = tombstone(gone.raw, "far")
    assert stone["kept"] == [at("far").told()], "claims are found by their labels"

    def step(*bodies: dict[str, Any], **changes: Any) -> Any:
        noted = {**STONE, "kept": [at("edge").told()], **changes}
        noted = {name: value for name, value in noted.items() if value}
        meta, status = {"name": "edge", "uid": "m"}, {"tombstones": [noted]}
        raw = {"apiVersion": "polyhull.io/v1alpha1", "kind": "MemberCluster", "metadata": meta, "status": status}
        seen = Member("edge", True, children={UID: bodies} if bodies else {}, tombstones=(noted,))
        return next(honoured(View(NOW, (raw,), {"edge": seen}, {}, {}, World(), (), (), {}, {})), None)

    (delete,) = step(child()).actions
    assert isinstance(delete, Delete), "pods go first"
    assert step().purges == [(OWNER, at("edge"))] and step().actions == []
    assert step(removing(at("edge"))) is None
    (put,) = step(removing(at("edge"), "Complete")).actions
    assert put.status["tombstones"] == [STONE]
    confirm, put = step(kept=None).actions
    assert isinstance(confirm, ConfirmNone) and "tombstones" not in put.status


@pytest.mark.parametrize(
    "wrong", ["s3://copies", "s3://copies/team", "s3://copies/team/other-job-0123456789/checkpoint", url(OUTPUT)]
)
def test_only_its_own_folder_is_ever_removed(wrong: str) -> None:
    with pytest.raises(InvalidInput, match="it is not removed"):
        Renderer(FLEET, {}).purge(OWNER, Left("edge", CHECKPOINT, wrong))
    made = Renderer(FLEET, {}, "hub-1").purge(OWNER, at("edge")).manifest
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["args"][:2] == ["purge", f"target:{url(CHECKPOINT).removeprefix('s3://')}"]
    assert container["envFrom"] == [{"prefix": "RCLONE_CONFIG_TARGET_", "secretRef": {"name": "copies-s3"}}]
    assert made["metadata"]["labels"][naming.HUB] == "hub-1" and made["metadata"]["labels"][naming.UID] == UID
    assert made["metadata"]["labels"][naming.COMPONENT] == purge.COMPONENT
