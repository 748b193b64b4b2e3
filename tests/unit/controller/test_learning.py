"""What ran teaches the next snapshot, from hub objects alone: nothing is stored, so a restart knows it too."""

from polyhull.controller import observe
from polyhull.controller.children import Patience
from polyhull.controller.hubjob import State, Verdict
from polyhull.domain.fleet import Evidence
from polyhull.domain.workloads import Key
from tests.unit.api.test_observations import finished

NOW = 1_800_000_000.0


def test_a_new_job_of_the_same_kind_is_planned_with_the_rate_that_was_seen() -> None:
    fresh = finished("new")
    del fresh["status"]
    objects = [*(finished(f"old-{i}", minutes=20) for i in range(3)), fresh]
    seen = observe.view(NOW, objects, (), {}, "hub", {}, Patience())
    key = Key("team-a", "new")
    snapshot = observe.snapshot_of(seen, {key: Verdict(State.WAITING)}, {}, {})
    (job,) = snapshot.jobs
    rate, evidence = job.options[0].rate_at("edge")
    assert evidence is Evidence.LEARNT
    assert rate is not None and abs(rate - 1.0) < 0.15, "1,200 steps in 20 minutes"
    assert job.options[0].rate_per_second is not None and job.options[0].rate_per_second > 20.0
