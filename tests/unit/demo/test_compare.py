"""Planned beside observed, as values: what the demo claims must follow from what was seen."""

import pytest

from hack.demo import compare, stage
from hack.demo.observe import Run
from polyhull.domain.decision import Assignment, BoundKind, Decision
from polyhull.domain.workloads import Key

RACKS = {"edge-a/npu": frozenset({"ascend"}), "edge-a/gpu": frozenset({"p100"})}


def assignment(name: str, pool: str, start: float, end: float) -> Assignment:
    key = Key("team", name)
    return Assignment(key, "edge-a", "edge-a", pool, "one", "x", "NPU", 1, 1, (), 0, start, end)


def decision() -> Decision:
    jobs = (assignment("late", "edge-a/gpu", 10.0, 20.0), assignment("early", "edge-a/npu", 0.0, 10.0))
    return Decision(0.0, jobs, makespan_seconds=20.0, lower_bound_seconds=19.0, bound_kind=BoundKind.STRENGTHENED)


def run(name: str, node: str, begun: float | None, ended: float | None) -> Run:
    return Run("edge-a", "workers", f"team/{name}", name, (), (node,), 1, begun, begun, ended)


def test_seconds_count_from_the_moment_the_plan_was_let_loose() -> None:
    runs = (run("early", "ascend-0", 101.0, 111.0), run("late", "p100-3", 111.0, 122.0))
    result = compare.outcome(decision(), runs, 100.0, RACKS)
    assert [row.planned.job for row in result.rows] == ["team/early", "team/late"]
    assert result.finished
    assert result.observed_makespan == pytest.approx(22.0)
    assert result.deviation == pytest.approx(0.10)
    assert result.gap == pytest.approx(20 / 19 - 1)
    assert all(row.where_planned for row in result.rows)


def test_a_pod_on_another_pool_is_seen() -> None:
    runs = (run("early", "p100-0", 101.0, 111.0),)
    result = compare.outcome(decision(), runs, 100.0, RACKS)
    assert not result.rows[0].where_planned


def test_nothing_is_claimed_before_everything_ended() -> None:
    result = compare.outcome(decision(), (run("early", "ascend-0", 101.0, None),), 100.0, RACKS)
    assert not result.finished
    assert result.observed_makespan is None
    assert result.deviation is None


def test_a_pool_stands_on_the_racks_that_carry_its_labels() -> None:
    pool = {
        "kind": "ComputePool",
        "metadata": {"name": "npu"},
        "spec": {"cluster": "edge-a", "accelerator": "x", "nodeSelector": {"type": "a"}},
    }
    member = {"kind": "MemberCluster", "metadata": {"name": "edge-a"}, "spec": {}}
    racks = [{"name": "one", "labels": {"type": "a", "more": "x"}}, {"name": "two", "labels": {"type": "b"}}]
    scene = stage.prepare([pool, member], {"clusters": [{"name": "edge-a", "pools": racks}]})
    assert scene.racks == {"edge-a/npu": frozenset({"one"})}
    assert scene.members == ("edge-a",)
