"""Status holds all that a restart needs, and estimates do not twitch."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.api import readback
from polyhull.api import status as api
from polyhull.api.conditions import Reason, Type, set_condition
from polyhull.api.v1alpha1.dataset import DataSetStatus
from polyhull.api.v1alpha1.inference import InferenceJobStatus
from polyhull.api.v1alpha1.jobstatus import JobStatus
from polyhull.domain.decision import Alternative, Assignment, Explanation, Route, ServicePlan, ServingPlan, Transfer
from polyhull.domain.fleet import Evidence
from polyhull.domain.workloads import ActiveTransfer, Copy, CopyPart, Exclusion, Key, Promise, Serving

NOW = 1_800_000_000.0
DATA = Key("team-a", "imagenet", "DataSet")
ASSIGNMENT = Assignment(
    job=Key("team-a", "resnet"),
    cluster="edge-a",
    site="edge",
    pool="edge-a/ascend-310p",
    option="npu",
    accelerator="ascend-310p",
    device_class="NPU",
    replicas=2,
    devices_per_replica=4,
    nodes=(("n1", 1), ("n2", 1)),
    order=3,
    start_seconds=100.0,
    end_seconds=1000.0,
    data=((DATA, "cluster:edge-a"),),
    explanation=Explanation(
        "link edge-a->cloud-b is full until 14:02",
        10.2,
        20.7,
        2.0,
        900.0,
        alternatives=(Alternative("cloud-b", "cloud-b/v100", "v100x4", 333.3),),
        evidence=Evidence.ESTIMATED,
    ),
)
TRANSFER = Transfer(DATA, "cloud", "s3://b/i", "edge", "cluster:edge-a", "edge-a", ("l",), 10**9, 1e6, 0.0, 1000.0)


def _model(status: dict[str, Any]) -> JobStatus:
    return JobStatus.model_validate(status, extra="forbid")


def test_a_promise_survives_a_restart() -> None:
    status = api.job_status(ASSIGNMENT, [TRANSFER], NOW, "hash")
    promise = readback.read_promise(_model(status))
    assert promise is not None
    assert (promise.cluster, promise.pool, promise.option, promise.order) == (
        "edge-a",
        "edge-a/ascend-310p",
        "npu",
        3,
    )
    assert (promise.start_at, promise.finish_at) == (NOW + 100, NOW + 1000)
    assert readback.read_placed(_model(status)) is None
    assert status["transfers"][0]["bytesPerSecond"] == 1_000_000
    assert status["planHash"] == "hash"


def test_a_release_survives_a_restart_and_later_plans() -> None:
    status = api.job_status(ASSIGNMENT, [], NOW, "hash")
    status["assignment"] = api.assignment_status(ASSIGNMENT, released_at=NOW, started_at=NOW + 5)
    placed = readback.read_placed(_model(status))
    assert placed is not None
    assert (placed.cluster, placed.pool, placed.option) == ("edge-a", "edge-a/ascend-310p", "npu")
    assert placed.nodes == (("n1", 1), ("n2", 1))
    assert (placed.released_at, placed.started_at, placed.uncertain) == (NOW, NOW + 5, False)
    assert readback.read_promise(_model(status)) is None
    again = api.job_status(replace(ASSIGNMENT, fixed=True), [], NOW + 60, "other", before=status)
    assert readback.read_placed(_model(again)) == placed
    elsewhere = api.job_status(replace(ASSIGNMENT, pool="edge-a/cpu"), [], NOW + 60, "other", before=status)
    assert "releasedTime" not in elsewhere["assignment"]


def test_an_unreachable_member_makes_a_placement_uncertain() -> None:
    status = api.job_status(ASSIGNMENT, [], NOW, "hash")
    status["assignment"]["releasedTime"] = "2026-01-01T00:00:00Z"
    status["conditions"] = set_condition([], Type.PLACED, None, Reason.MEMBER_UNREACHABLE, "no answer", NOW, 1)
    placed = readback.read_placed(_model(status))
    assert placed is not None
    assert placed.uncertain


@pytest.mark.parametrize(
    ("state", "reason", "over"),
    [(True, Reason.COMPLETED, True), (False, Reason.FAILED, True), (False, Reason.CHILD_LOST, True),
     (False, Reason.RUNNING, False), (None, Reason.PENDING, False)],
)  # fmt: skip
def test_what_ended_is_neither_placed_nor_promised(state: bool | None, reason: Reason, over: bool) -> None:
    status = api.job_status(ASSIGNMENT, [], NOW, "hash")
    status["assignment"]["releasedTime"] = "2026-01-01T00:00:00Z"
    status["conditions"] = set_condition([], Type.SUCCEEDED, state, reason, "", NOW, 1)
    assert (readback.read_placed(_model(status)) is None) is over
    assert readback.ended(status) is over
    del status["assignment"]["releasedTime"]
    assert (readback.read_promise(_model(status)) is None) is over


@pytest.mark.parametrize(
    ("old", "new", "moved"),
    [(1000, 1059, False), (1000, 1061, True), (10_000, 10_499, False), (10_000, 10_501, True)],
)
def test_estimates_move_by_more_than_a_minute_and_five_percent(old: float, new: float, moved: bool) -> None:
    before = api.job_status(replace(ASSIGNMENT, end_seconds=old), [], NOW, "a")
    after = api.job_status(replace(ASSIGNMENT, end_seconds=new), [], NOW, "b", before=before)
    assert (after["estimatedCompletionTime"] != before["estimatedCompletionTime"]) is moved
    other = api.job_status(replace(ASSIGNMENT, end_seconds=new, option="x"), [], NOW, "b", before=before)
    assert other["estimatedCompletionTime"] != before["estimatedCompletionTime"], "another column is always written"


@given(st.floats(0, 10**7), st.floats(0, 10**7))
def test_settling_twice_changes_nothing(old: float, new: float) -> None:
    before = api.job_status(replace(ASSIGNMENT, end_seconds=old), [TRANSFER], NOW, "a")
    once = api.job_status(replace(ASSIGNMENT, end_seconds=new), [TRANSFER], NOW, "a", before=before)
    assert api.job_status(replace(ASSIGNMENT, end_seconds=new), [TRANSFER], NOW, "a", before=once) == once


def test_only_transfers_of_what_the_job_reads_there_are_shown() -> None:
    other = replace(TRANSFER, data_set=Key("team-b", "secret", "DataSet"))
    elsewhere = replace(TRANSFER, store="cluster:other")
    status = api.job_status(ASSIGNMENT, [other, TRANSFER, elsewhere], NOW, "a")
    assert [entry["store"] for entry in status["transfers"]] == ["cluster:edge-a"]


@given(st.text(max_size=3000), st.integers(0, 5), st.text("aé€😀", min_size=1, max_size=190))
def test_an_explanation_is_at_most_four_kibibytes(binds: str, count: int, name: str) -> None:
    others = tuple(Alternative(name, name, name, float(index)) for index in range(count))
    told = api.explanation_status(Explanation(binds, alternatives=others))
    assert len(json.dumps(told, ensure_ascii=False).encode("utf-8", "surrogatepass")) <= 4096
    assert len(told.get("alternatives", ())) <= 3


def test_exclusions_round_trip_and_end() -> None:
    exclusions = (
        Exclusion("edge-a", "", "DependencyMissing", "Secret token", NOW + 60),
        Exclusion("edge-a", "edge-a/cpu", "Unbound", "30 s", NOW - 1),
    )
    written = api.exclusion_status(exclusions, NOW)
    assert readback.read_exclusions(_model({"exclusions": written})) == exclusions[:1]
    assert readback.read_exclusions(None) == ()


def test_a_service_round_trips() -> None:
    plan = ServicePlan(
        Key("team-a", "chat", "InferenceJob"),
        (ServingPlan("edge-a", "edge", "edge-a/npu", "small", "ascend-310p", "NPU", 1, 3, (("n1", 3),)),),
        (
            Route("edge", "edge-a", "edge-a/npu", "small", 30.0),
            Route("edge", "cloud-b", "cloud-b/h100", "large", 10.0),
        ),
        40.0,
        40.0,
    )
    status = api.service_status(plan)
    model = InferenceJobStatus.model_validate(status, extra="forbid")
    assert readback.read_serving(model) == (Serving("edge-a", "edge-a/npu", "small", 3, (("n1", 3),)),)
    assert [route["weight"] for route in status["routes"]] == ["0.75", "0.25"]
    assert status["servedPerSecond"] == "40"


def test_copies_and_active_transfers_round_trip() -> None:
    active = ActiveTransfer(DATA, "cloud", "cluster:edge-a", "edge", "edge-a", ("a", "b.reverse"), 1e6, NOW)
    copy = Copy("cluster:cloud-b", "cloud")
    split = Transfer(
        DATA, "cloud", "", "edge", "cluster:edge-a", "edge-a", ("a", "b"), 10**9, 1e6, 0.0, 9.0,
        parts=(CopyPart("cloud", "", ("a",), 6 * 10**8, 6e5), CopyPart("far", "", ("b",), 4 * 10**8, 4e5)),
    )  # fmt: skip
    told = api.job_status(ASSIGNMENT, [split], NOW, "hash")["transfers"][0]
    assert [part["sourceSite"] for part in told["parts"]] == ["cloud", "far"] and "links" not in told
    raw = {"copies": [api.copy_status(copy, "cloud-b", NOW)], "transfers": [api.active_transfer_status(active)]}
    model = DataSetStatus.model_validate(raw, extra="forbid")
    assert readback.read_copies(model) == (copy,)
    assert readback.read_active_transfers(DATA, model) == (active,)


@given(st.floats(0, 1e14))
def test_decimals_have_no_exponent(value: float) -> None:
    text = api.decimal(value)
    assert set(text) <= set("0123456789.")
    assert float(text) == pytest.approx(value, abs=1e-6, rel=1e-9)


def test_what_was_promised_survives_a_restart() -> None:
    place = ("edge-a", "edge-a/ascend-310p", "npu")
    told = Promise(*place, 3, NOW + 100, NOW + 1000, NOW + 1500, NOW - 30, 2, NOW - 10, ("a/b", "y"))
    body = api.job_status(replace(ASSIGNMENT, promise=told), [], NOW, "hash")
    assert readback.read_promise(_model(body)) == told
    assert api.promise_status(replace(told, due_at=None)) == {}
