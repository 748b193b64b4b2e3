"""Each folder is a story: the objects in snapshot.yaml, and in expect.yaml what must become of them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from polyhull.api.files import snapshot_from_files
from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Snapshot
from polyhull.planning.decide import decide

HERE = Path(__file__).parent
STORIES = sorted(path.parent.name for path in HERE.glob("*/snapshot.yaml"))
KEYS = {
    "story", "placed", "unplaced", "transfers", "sameNode", "accepts", "late", "serves", "parts", "spans", "moves",
    "observed",
}  # fmt: skip


def world(folder: Path, expect: Mapping[str, Any]) -> Snapshot:
    """What the files say, with the namespaces that members accept (files cannot say that)."""
    case, findings = snapshot_from_files([folder / "snapshot.yaml"], 1_800_000_000.0)
    assert [str(finding) for finding in findings] == []
    accepts = expect.get("accepts", {})
    clusters = tuple(
        replace(one, accepts=frozenset(accepts[one.name])) if one.name in accepts else one
        for one in case.fleet.clusters
    )
    return replace(case, fleet=replace(case.fleet, clusters=clusters))


def check(plan: Decision, expect: Mapping[str, Any]) -> None:
    placed = {f"{a.job.namespace}/{a.job.name}": a for a in plan.assignments}
    assert set(placed) == set(expect.get("placed", {}))
    for name, wanted in expect.get("placed", {}).items():
        assert placed[name].pool == wanted["pool"], name
        if "startSeconds" in wanted:
            assert placed[name].start_seconds == pytest.approx(wanted["startSeconds"], abs=1e-6), name
        if "option" in wanted:
            assert placed[name].option == wanted["option"], name
        assert wanted.get("binds", "") in placed[name].explanation.binds, name
        if "failureShare" in wanted:
            why = placed[name].explanation
            spent = why.compute_seconds + why.failure_seconds
            assert why.failure_seconds / spent == pytest.approx(wanted["failureShare"], abs=5e-4), name
    refused = {f"{u.job.namespace}/{u.job.name}": u.reason for u in plan.unplaced}
    assert refused == expect.get("unplaced", {})
    assert [t.data_set.name for t in plan.transfers] == expect.get("transfers", [])
    assert sorted(name for name, one in placed.items() if one.late_seconds > 0.0) == expect.get("late", [])
    plans = {f"{one.service.namespace}/{one.service.name}": one for one in plan.services}
    for name, wanted in expect.get("serves", {}).items():
        assert plans[name].served_per_second == pytest.approx(wanted["requestsPerSecond"]), name
        assert {part.variant: part.replicas for part in plans[name].replicas} == wanted["replicas"], name
    parts = {t.data_set.name: [part.source_site for part in t.parts] for t in plan.transfers if t.parts}
    assert parts == expect.get("parts", {})
    spans = {name: [part.pool for part in one.parts] for name, one in placed.items() if one.parts}
    assert spans == expect.get("spans", {})
    moves = {
        f"{m.job.namespace}/{m.job.name}": {"from": m.from_pool, "to": m.to_pool, "lostSeconds": m.lost_seconds}
        for m in plan.moves
    }
    assert moves == expect.get("moves", {})
    assert sorted(name for name, one in placed.items() if one.observed) == expect.get("observed", [])
    nodes = {placed[name].nodes for name in expect.get("sameNode", [])}
    assert len(nodes) <= 1


@pytest.mark.parametrize("story", STORIES)
def test_story(story: str) -> None:
    expect = yaml.safe_load((HERE / story / "expect.yaml").read_text())
    assert set(expect) <= KEYS
    plan = decide(world(HERE / story, expect))
    assert plan.violations == ()
    check(plan, expect)


def test_there_are_stories() -> None:
    assert len(STORIES) >= 6
