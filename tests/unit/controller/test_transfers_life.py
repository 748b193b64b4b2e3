"""A copy in parts is one copy: recorded as a whole, present when all parts are, gone when one fails."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from polyhull.api import readback
from polyhull.api.v1alpha1.dataset import DataSetStatus
from polyhull.controller import transfers
from polyhull.controller.children import Member
from polyhull.controller.renders import HubDataSet, Renderer
from polyhull.delivery.base import Action, Announce, Apply, Delete, PutStatus
from polyhull.domain.decision import Transfer
from polyhull.domain.fleet import Storage, StorageKind
from polyhull.domain.workloads import ActiveTransfer, Copy, CopyPart
from polyhull.render import naming, transfer
from tests import builders as make

NOW = 1_800_000_000.0
DATA = replace(make.data_set("images", 3, "east", "west"), largest_file_bytes=10**6)
PARTS = (
    CopyPart("east", "s3://east/images", ("east->t",), 2 * 10**9, 2e8),
    CopyPart("west", "s3://west/images", ("west->t",), 10**9, 1e8),
)
MOVE = Transfer(
    DATA.key, "east", PARTS[0].source_url, "t", "cluster:t", "t", ("east->t", "west->t"), 3 * 10**9, 3e8, 0.0, 10.0,
    parts=PARTS,
)  # fmt: skip
WHERE = make.fleet([make.pool("t", "v100")])


def held(status: dict[str, Any] | None = None, value: Any = DATA) -> HubDataSet:
    metadata = {"name": "images", "namespace": "team", "uid": "d", "finalizers": [naming.FINALIZER]}
    raw = {"apiVersion": "polyhull.io/v1alpha1", "kind": "DataSet", "metadata": metadata, "status": status or {}}
    return HubDataSet(raw, value)


def renderer(data: HubDataSet, volume: bool = True) -> Renderer:
    where = WHERE
    if not volume:
        bucket = Storage(StorageKind.BUCKET, url="s3://copies")
        where = make.fleet([make.pool("t", "v100")], clusters=[make.cluster("t", storage=bucket)])
    return Renderer(where, {DATA.key: data})


def made_by(actions: Sequence[Action]) -> list[dict[str, Any]]:
    """Manifests as a member would hold them."""
    bodies: list[dict[str, Any]] = []
    for one in actions:
        if isinstance(one, Apply):
            bodies += [one.manifest, *(one.owned("claim") if one.owned is not None else ())]
    return [{**body, "metadata": {**body["metadata"], "uid": f"uid-{k}"}} for k, body in enumerate(bodies)]


def told(actions: Sequence[Action]) -> dict[str, Any]:
    """The status that is put."""
    (put,) = [one.status for one in actions if isinstance(one, PutStatus)]
    return dict(put)


def active_of(status: dict[str, Any]) -> tuple[ActiveTransfer, ...]:
    return readback.read_active_transfers(DATA.key, DataSetStatus.model_validate(status))


def ended(body: dict[str, Any], how: str) -> dict[str, Any]:
    condition = {"type": how, "status": "True", "lastTransitionTime": "2027-01-15T08:00:00Z", "message": "so it is"}
    return {**body, "status": {"conditions": [condition]}}


def pod(job: dict[str, Any], said: str) -> dict[str, Any]:
    owner = {"kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
    state = {"terminated": {"exitCode": 0, "message": said}}
    status = {"phase": "Succeeded", "containerStatuses": [{"name": "rclone", "state": state}]}
    return {"metadata": {"name": "p", "ownerReferences": [owner]}, "spec": {}, "status": status}


def member(bodies: Sequence[dict[str, Any]], pods: Sequence[dict[str, Any]] = ()) -> dict[str, Member]:
    return {"t": Member("t", True, children={"d": tuple(bodies)}, pods={"d": tuple(pods)})}


@pytest.fixture
def begun() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Status and manifests after the start: the claim, then a Job for each part."""
    data = held()
    actions = transfers.start(data, [MOVE], (), renderer(data), "hash", NOW)
    bodies = made_by(actions)
    assert [body["kind"] for body in bodies] == ["PersistentVolumeClaim", "Job", "Job"]
    return told(actions), bodies


def test_what_is_recorded_reads_back_as_the_same_parts(begun: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    (one,) = active_of(begun[0])
    assert one.parts == tuple(replace(part, source_url="") for part in PARTS)
    assert (one.links, one.rate_bytes_per_second) == (MOVE.links, 3e8)
    assert "links" not in begun[0]["transfers"][0]


def test_it_is_present_only_when_every_part_is(begun: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    status, (claim, first, second) = begun
    data, active = held(status), active_of(status)
    half = transfers.judge(data, active, member([claim, ended(first, "Complete"), second]), NOW)
    assert half.actions == () and half.lost == () and half.failed_stores == ()
    pods = [pod(first, "same"), pod(second, "same")]
    bodies = [claim, ended(first, "Complete"), ended(second, "Complete")]
    whole = transfers.judge(data, active, member(bodies, pods), NOW)
    after = told(whole.actions)
    assert [copy["store"] for copy in after["copies"]] == ["cluster:t"] and after.get("transfers") is None
    assert [one.note for one in whole.actions if isinstance(one, Announce)] == ["Copied to t (t) from east and west"]
    done = transfers.judge(held(after), (), member(bodies, pods), NOW)
    gone = {one.ref.name for one in done.actions if isinstance(one, Delete)}
    assert gone == {first["metadata"]["name"], second["metadata"]["name"]}


def test_one_part_that_fails_takes_all_with_it(begun: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    status, (claim, first, second) = begun
    bodies = [claim, ended(first, "Complete"), ended(second, "Failed")]
    failed = transfers.judge(held(status), active_of(status), member(bodies), NOW)
    after = told(failed.actions)
    assert failed.failed_stores == ("cluster:t",)
    assert after.get("copies") is None and after.get("transfers") is None
    data = held(after)
    gone = transfers.judge(data, (), member(bodies), NOW).actions
    assert {one.ref.resource.kind for one in gone if isinstance(one, Delete)} == {"Job"} and len(gone) == 2
    # The claim stays for the next attempt while the plan wants it there, and goes when it does not.
    assert transfers.unrecorded(data, ["cluster:t"], (), member(bodies)) == ()
    assert len(transfers.unrecorded(data, [], (), member(bodies))) == 1


def test_parts_that_saw_different_files_are_no_copy(begun: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    status, (claim, first, second) = begun
    bodies = [claim, ended(first, "Complete"), ended(second, "Complete")]
    pods = [pod(first, "one list"), pod(second, "another")]
    verdict = transfers.judge(held(status), active_of(status), member(bodies, pods), NOW)
    assert verdict.failed_stores == ("cluster:t",) and told(verdict.actions).get("copies") is None
    assert any("saw different files" in one.note for one in verdict.actions if isinstance(one, Announce))


@pytest.mark.parametrize("volume", [True, False])
def test_a_part_without_a_job_gets_its_own_again_and_no_other(volume: bool) -> None:
    data = held()
    actions = transfers.start(data, [MOVE], (), renderer(data, volume), "hash", NOW)
    status, bodies = told(actions), made_by(actions)
    jobs = [body for body in bodies if body["kind"] == "Job"]
    there = [body for body in bodies if body is not jobs[1]]
    data = held(status)
    (lost,) = transfers.judge(data, active_of(status), member(there), NOW).lost
    assert lost.parts == (1,)
    (again,) = [b for b in made_by(transfers.resume(data, lost, renderer(data, volume), "")) if b["kind"] == "Job"]
    assert again["metadata"]["name"] == jobs[1]["metadata"]["name"]
    assert again["spec"] == jobs[1]["spec"]


def test_removal_asks_for_the_jobs_of_all_parts(begun: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    status, _ = begun
    data = held(status)
    data.raw["metadata"]["deletionTimestamp"] = "2027-01-15T08:00:00Z"
    verdict = transfers.judge(data, active_of(status), member([]), NOW)
    owner = naming.Owner.of(DATA.key, "d")
    asked = {one.ref.name for one in verdict.actions if hasattr(one, "cluster")}
    assert asked == {*transfer.job_names(owner, "cluster:t", 2), transfer.copy_name(owner, "cluster:t")}


def test_what_a_job_wrote_into_a_bucket_is_copied_from_there() -> None:
    """From our own folder of it, with the bucket's Secret; read while computing likewise."""
    at = [
        make.cluster(name, storage=Storage(StorageKind.BUCKET, url=f"s3://{name}", secret_name=f"{name}-s3"))
        for name in ("a", "t")
    ]
    data = held(value=replace(DATA, replicas=(), copies=(Copy("site:a", "a"),)))
    makes = Renderer(make.fleet([make.pool("t", "v100")], clusters=at), {DATA.key: data})
    move = replace(MOVE, source_site="a", source_url="s3://a", store="site:t", parts=(), links=("a->t",))
    (job,) = made_by(transfers.start(data, [move], (), makes, "hash", NOW))
    spec = job["spec"]["template"]["spec"]["containers"][0]
    folder = f"team/{naming.child_name(naming.Owner.of(DATA.key, 'd'))}"
    assert spec["args"][1:3] == [f"source:a/{folder}", f"target:t/{folder}"]
    assert {one["secretRef"]["name"] for one in spec["envFrom"]} == {"a-s3", "t-s3"}
    active = ActiveTransfer(DATA.key, "a", "site:t", "t", "t", ("a->t",), 3e8, NOW)
    (again,) = transfers.resume(data, transfers.Lost(active, (0,)), makes, "hash")
    assert again.manifest["spec"]["template"] == job["spec"]["template"], "after a crash the same"
