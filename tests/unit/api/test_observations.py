"""What the objects themselves tell of rates: who counts, what is alike, and that it is bounded."""

import copy
from typing import Any

import pytest

from polyhull.api.observations import MOST_ALIKE, bounded, observation, signature, unmeasured
from polyhull.api.world import Memo, world_of
from polyhull.domain.workloads import Key, Observation
from tests.unit.api.samples import Raw
from tests.unit.api.test_world import job


def finished(name: str = "old", minutes: int = 10, **changes: Any) -> Raw:
    """Without a rate, ran at the edge for some minutes."""
    raw = job(
        name,
        work={"quantity": "1200", "unit": "Steps", "flopsPerUnit": "1T"},
        options=[{"name": "one", "accelerator": "nvidia-v100", "devicesPerReplica": 2}],
    )
    raw["status"] = {
        "assignment": {"option": "one", "accelerator": "nvidia-v100", "site": "edge", "pool": "edge/v100"},
        "startTime": "2026-01-02T00:00:00Z",
        "completionTime": f"2026-01-02T00:{minutes:02d}:00Z",
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "Completed", "message": "",
                        "lastTransitionTime": "2026-01-02T00:10:00Z"}],
        **changes,
    }  # fmt: skip
    return raw


def test_a_finished_job_tells_how_long_it_took() -> None:
    run = observation(finished())
    assert run is not None
    assert (run.work_quantity, run.site, run.pool, run.accelerator) == (1200.0, "edge", "edge/v100", "nvidia-v100")
    assert run.ended_at is not None and run.ended_at - run.started_at == 600.0


def test_a_running_one_tells_since_when() -> None:
    run = observation(finished(conditions=[], completionTime=None))
    assert run is not None and run.ended_at is None


@pytest.mark.parametrize(
    "changes",
    [
        {"failedAttempts": 1},
        {"startTime": None},
        {"startTime": "yesterday"},
        {"assignment": None},
        {"assignment": {"option": "another"}},
        {"completionTime": None},
        {"conditions": "nonsense"},
        {"conditions": [{"type": "Succeeded", "status": "False", "reason": "Failed"}]},
    ],
)
def test_what_failed_or_is_not_known_tells_nothing(changes: Raw) -> None:
    assert observation(finished(**changes)) is None


def test_a_measured_rate_needs_no_teaching() -> None:
    raw = finished()
    raw["spec"]["options"][0]["rate"] = "3"
    assert unmeasured(raw) == {} and observation(raw) is None
    raw["spec"]["options"][0]["rateEvidence"] = "Assumed"
    assert set(unmeasured(raw)) == {"one"}


def test_alike_means_the_same_program_on_the_same_gang_in_the_same_namespace() -> None:
    def sign(change: Any) -> str:
        raw = copy.deepcopy(finished())
        change(raw)
        return signature(raw, raw["spec"]["options"][0])

    plain = sign(lambda raw: None)
    assert plain == sign(lambda raw: raw["spec"]["work"].update(quantity="7"))
    assert plain == sign(lambda raw: raw["metadata"].update(name="other"))
    assert plain == sign(lambda raw: raw["spec"]["template"].update(env=[{"name": "SEED", "value": "2"}]))
    for change in (
        lambda raw: raw["metadata"].update(namespace="team-b"),
        lambda raw: raw["spec"]["work"].update(unit="Epochs"),
        lambda raw: raw["spec"]["template"].update(args=["--batch", "64"]),
        lambda raw: raw["spec"]["options"][0].update(devicesPerReplica=4),
        lambda raw: raw["spec"]["options"][0].update(template={"image": "j"}),
    ):
        assert sign(change) != plain


def test_the_world_asks_only_where_a_rate_is_missing() -> None:
    fresh = finished("new")
    del fresh["status"]
    memo = Memo()
    world = world_of([finished(), fresh], memo=memo)
    assert [one.pool for one in world.observations] == ["edge/v100"]
    (sign,) = {one.signature for one in world.observations}
    assert world.signatures == {(Key("team-a", "new"), "one"): sign}
    assert world_of([finished(), fresh], memo=memo).observations == world.observations
    assert world_of([finished(), job()]).observations == ()
    other = copy.deepcopy(fresh)
    other["metadata"]["namespace"] = "team-b"
    assert world_of([finished(), other]).observations == (), "never another tenant's runs"


def test_only_the_latest_of_a_kind_are_kept() -> None:
    runs = [Observation("s", "v100", "a", "a/v100", 1.0, float(i), i + 5.0) for i in range(100)]
    kept = bounded(runs)
    assert len(kept) == MOST_ALIKE
    assert min(run.started_at for run in kept) == 100 - MOST_ALIKE
    assert bounded(reversed(runs)) == kept
