"""What a job writes outlives its pods, becomes a data set's copy once, and goes with what it belongs to."""

from typing import Any

import pytest

from polyhull.api import convert
from polyhull.controller import transfers
from polyhull.controller.children import Member
from polyhull.controller.hubjob import HubJob
from polyhull.controller.jobs import judge
from polyhull.controller.observe import less_kept
from polyhull.controller.outputs import outputs
from polyhull.controller.renders import HubDataSet
from polyhull.delivery.base import Announce, ConfirmGone, Delete, Finalizer, PutStatus
from polyhull.domain.fleet import Storage, StorageKind
from polyhull.domain.workloads import Copy, Key
from polyhull.render import naming
from polyhull.render.keeping import CHECKPOINT, OUTPUT, claim_name
from tests import builders as b
from tests.unit.controller.test_jobs_life import KEY, NOW, UID, child, hub_job, member, stamp

EDGE = b.cluster("edge", storage=Storage(StorageKind.VOLUME, capacity_bytes=10 * 2**30))
FLEET = b.fleet([b.pool("edge", "cpu")], clusters=[EDGE])
WEIGHTS = Key("team", "weights", "DataSet")


def claim(entry: str) -> dict[str, Any]:
    owner = naming.Owner.of(KEY, UID)
    metadata = {"name": claim_name(owner, entry), "namespace": "team", "uid": entry}
    metadata["labels"] = naming.labels(owner, entry)  # type: ignore[assignment]
    spec = {"resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def writer(**state: Any) -> HubJob:
    made = hub_job(**state)
    spec = {**made.raw["spec"], "checkpoint": {"size": "1Gi"}, "output": {"size": "1Gi"}}
    return HubJob({**made.raw, "spec": spec}, KEY)


def into_weights(**state: Any) -> HubJob:
    made = writer(**state)
    told = {"size": "1Gi", "dataSetRef": {"name": "weights"}}
    return HubJob({**made.raw, "spec": {**made.raw["spec"], "output": told}}, KEY)


def deleted(job: HubJob, members: dict[str, Member]) -> set[str]:
    return {one.uid for one in judge(job, members, NOW).actions if isinstance(one, Delete)}


def test_claims_outlive_a_withdrawn_gang_until_it_is_released_elsewhere() -> None:
    kept = member("edge", claim(CHECKPOINT), claim(OUTPUT))
    assert deleted(writer(), kept) == set(), "it may come back there"
    elsewhere = {**member("far", claim(CHECKPOINT), claim(OUTPUT)), **member("edge", child())}
    assert deleted(writer(released=True, placed=("True", "Bound")), elsewhere) == {CHECKPOINT, OUTPUT}


@pytest.mark.parametrize(("ended", "goes"), [("True", {CHECKPOINT}), ("False", set())])
def test_after_its_end_what_is_of_use_stays_and_the_finalizer_with_it(ended: str, goes: set[str]) -> None:
    job = writer(released=True, ended=ended)
    assert deleted(job, member("edge", child(), claim(CHECKPOINT), claim(OUTPUT))) == goes | {"child-uid"}
    left = member("edge", claim(OUTPUT)) if goes else member("edge", claim(CHECKPOINT))
    assert judge(job, left, NOW).actions == (), "the finalizer stays"
    done = judge(job, member(), NOW).actions
    assert [type(one) for one in done] == [ConfirmGone, Finalizer]


def test_with_the_object_everything_goes() -> None:
    gone = writer(released=True, ended="True", deleted_at=NOW - 1)
    assert deleted(gone, member("edge", claim(OUTPUT))) == {OUTPUT}
    confirmed = [one.ref.name for one in judge(gone, member(), NOW).actions if isinstance(one, ConfirmGone)]
    owner = naming.Owner.of(KEY, UID)
    assert set(confirmed) >= {claim_name(owner, CHECKPOINT), claim_name(owner, OUTPUT)}


def weights(*stores: str) -> HubDataSet:
    metadata = {"name": "weights", "namespace": "team", "uid": "d", "generation": 1}
    raw: dict[str, Any] = {"apiVersion": "polyhull.io/v1alpha1", "kind": "DataSet", "metadata": metadata}
    raw["spec"] = {"size": "1Gi"}
    raw["status"] = {"copies": [{"store": store, "site": "edge", "cluster": "edge"} for store in stores]}
    value = convert.data_set(raw).value
    assert value is not None
    return HubDataSet(raw, value)


def test_an_output_is_recorded_once_and_the_finalizer_waits_for_that() -> None:
    job = into_weights(released=True, ended="True")
    found = outputs([job], {WEIGHTS: weights()}, FLEET)
    assert found.unrecorded == {UID}
    assert found.due == {WEIGHTS: [(Copy("cluster:edge", "edge"), "edge", NOW)]}
    guard, put, news = transfers.written(weights(), found.due[WEIGHTS], (), NOW)
    assert isinstance(guard, Finalizer) and isinstance(put, PutStatus) and isinstance(news, Announce)
    (copy,) = put.status["copies"]
    assert copy == {"store": "cluster:edge", "site": "edge", "cluster": "edge", "completionTime": stamp(NOW)}
    again = outputs([job], {WEIGHTS: weights("cluster:edge")}, FLEET)
    assert (again.unrecorded, again.due) == (set(), {})


@pytest.mark.parametrize(
    "state", [{"ended": "False", "released": True}, {"ended": "True", "released": True, "finalizer": False}]
)
def test_what_failed_or_was_recorded_long_ago_is_not_recorded(state: dict[str, Any]) -> None:
    found = outputs([into_weights(**state)], {WEIGHTS: weights()}, FLEET)
    assert (found.unrecorded, found.due, found.claims) == (set(), {}, {})


def test_a_claim_that_a_job_may_write_is_nobodys_to_clear() -> None:
    assert outputs([into_weights()], {WEIGHTS: weights()}, FLEET).claims == {WEIGHTS: None}
    assert outputs([into_weights(released=True)], {WEIGHTS: weights()}, FLEET).claims == {WEIGHTS: {"cluster:edge"}}


def test_what_ended_jobs_keep_is_missing_from_the_store() -> None:
    held = member("edge", claim(OUTPUT), child())
    (cluster,) = less_kept(FLEET, held, set()).clusters
    assert cluster.storage.capacity_bytes == 9 * 2**30
    assert less_kept(FLEET, held, {UID}) == FLEET, "the plan itself counts those that take part in it"
