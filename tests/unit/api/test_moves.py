"""A job that was stopped to be moved is read back from its status alone, whatever step it was left at."""

from typing import Any

import pytest

from polyhull.api import convert, moves
from polyhull.api.catalogue import builtin_catalogue
from polyhull.api.conditions import instant
from polyhull.api.kinds import BY_NAME
from polyhull.api.schema import crd
from polyhull.api.world import world_of
from polyhull.domain.decision import RunningMove
from polyhull.domain.snapshot import Policy
from polyhull.domain.workloads import Copy, Key, Resume, TrainingJob, checkpoint_key
from tests.unit.api.test_convert import _job

NOW = 1_800_000_000.0
KEY = Key("team-a", "job")
AT = (Copy("cluster:cloud", "cloud"),)
MOVE = RunningMove(
    KEY, "cloud", "cloud/slow", "one", "cloud", "cloud/fast", "one", 0, 412.5, AT, 60.4, 1200.2, moves=2, why="faster"
)  # fmt: skip
ASSIGNMENT = {
    "cluster": "cloud", "site": "cloud", "pool": "cloud/slow", "option": "one", "accelerator": "nvidia-v100",
    "replicas": 2, "devicesPerReplica": 4, "order": 1, "nodes": [{"name": "n1", "pods": 2}],
    "releasedTime": instant(NOW - 900), "startedTime": instant(NOW - 890),
}  # fmt: skip
UNDER_WAY = {
    "store": "site:edge", "site": "edge", "cluster": "edge", "sourceSite": "cloud", "bytesPerSecond": 10,
    "startTime": instant(NOW), "links": ["up"],
}  # fmt: skip


def read(status: dict[str, Any], **spec: Any) -> TrainingJob:
    found = convert.training_job({**_job(**spec), "status": status}, builtin_catalogue())
    assert found.accepted, found.message
    assert found.value is not None
    return found.value


def test_one_that_is_being_stopped_holds_its_devices_for_the_grace_its_template_asks() -> None:
    status = {"assignment": ASSIGNMENT, "move": moves.move_status(MOVE, NOW)}
    found = read(status)
    assert found.placed is None
    assert found.resume == Resume(412.5, "cloud", "cloud/slow", "one", AT, NOW, 2, (("n1", 2),), NOW + 30.0)
    patient = {"image": "i", "terminationGracePeriodSeconds": 300}
    longer = read(status, template=patient).resume
    assert longer is not None and longer.free_at == NOW + 300.0


@pytest.mark.parametrize("step", [moves.CARRYING, moves.RESUMING, moves.RESUMED])
def test_later_it_holds_nothing_of_where_it_was(step: str) -> None:
    move = {**moves.move_status(MOVE, NOW - 40), "phase": step, "stoppedTime": instant(NOW)}
    status = {"move": move} if step == moves.CARRYING else {"move": move, "assignment": ASSIGNMENT}
    found = read(status, checkpoint={"size": "1Gi"})
    assert found.resume == Resume(412.5, "cloud", "cloud/slow", "one", AT, NOW, 2)
    assert (found.placed is None) == (step == moves.CARRYING)
    assert found.work_left == 1000 - 412.5


def test_it_stays_in_the_world_beyond_its_namespaces_number_and_so_does_its_checkpoint_under_way() -> None:
    rule = {
        "apiVersion": "polyhull.io/v1alpha1", "kind": "PlacementPolicy", "metadata": {"name": "few"},
        "spec": {"namespaceSelector": {}, "maxJobs": 0},
    }  # fmt: skip
    move = {**moves.move_status(MOVE, NOW), "phase": moves.CARRYING, "transfers": [UNDER_WAY]}
    stopped = {**_job(), "status": {"move": move}}
    world = world_of([rule, stopped], namespaces={"team-a": ()})
    assert [job.key for job in world.jobs] == [KEY]
    (one,) = world.transfers
    assert (one.data_set, one.store, one.started_at) == (checkpoint_key(KEY), "site:edge", NOW)


def test_an_ended_job_is_not_being_stopped() -> None:
    ended = {"type": "Succeeded", "status": "True", "reason": "Completed", "message": ""}
    ended["lastTransitionTime"] = instant(NOW)
    status = {"assignment": ASSIGNMENT, "move": moves.move_status(MOVE, NOW), "conditions": [ended]}
    found = read(status).resume
    assert found is not None and found.nodes == ()


def test_the_fleets_policy_says_whether_running_jobs_move() -> None:
    def policy(**calm: Any) -> Policy:
        meta = {"name": "default"}
        raw = {"apiVersion": "polyhull.io/v1alpha1", "kind": "PlacementPolicy", "metadata": meta, "spec": {}}
        found = convert.fleet_policy({**raw, "spec": {"stabilisation": calm}}).value
        assert found is not None
        return found

    assert (policy().move_running, policy().running_move_budget) == (False, 1)
    assert not policy(moveRunning="Never").move_running
    allowed = policy(moveRunning="Allowed", runningMoveBudget=3)
    assert (allowed.move_running, allowed.running_move_budget) == (True, 3)
    assert policy(runningMoveBudget=0).running_move_budget == 0


def test_what_is_written_fits_the_schema() -> None:
    text = str(crd(BY_NAME["TrainingJob"]))
    for name in moves.move_status(MOVE, NOW):
        assert f"'{name}'" in text
