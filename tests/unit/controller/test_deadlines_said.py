"""What a job says of its deadline: expected, at risk with a remedy, met, missed, and nothing once it has none."""

from dataclasses import replace
from typing import Any

from polyhull.api.conditions import Type, get_condition, instant
from polyhull.controller import reports
from polyhull.controller.hubjob import HubJob
from polyhull.controller.jobs import judge
from polyhull.delivery.base import PutStatus
from polyhull.domain.decision import Assignment, Decision
from polyhull.domain.snapshot import Mode
from polyhull.domain.workloads import Promise
from tests.unit.controller.test_jobs_life import KEY, NOW, child, hub_job, member

ASSIGNMENT = Assignment(
    KEY, "edge", "edge", "edge/cpu", "x", "cpu", "CPU", 1, 1, (("n", 1),), 1, 100.0, 4000.0,
    end_p50_seconds=4000.0, end_p90_seconds=4300.0,
    promise=Promise("edge", "edge/cpu", "x", 1, NOW + 100.0, NOW + 4000.0, NOW + 3900.0, NOW - 60.0, 1),
)  # fmt: skip


def waiting(job: HubJob, assignment: Assignment) -> dict[str, Any]:
    plan = Decision(NOW, (assignment,), makespan_seconds=4000.0, plan_hash="sha256:abc")
    return reports.waiting(job, assignment, 1, plan, Mode.ENFORCE, NOW)


def on_time(status: dict[str, Any]) -> tuple[str, str, str] | None:
    found = get_condition(status["conditions"], Type.ON_TIME)
    return None if found is None else (found["status"], found["reason"], found["message"])


def test_a_waiting_job_says_whether_it_will_be_on_time() -> None:
    job = hub_job()
    assert on_time(waiting(job, ASSIGNMENT)) is None, "no deadline, nothing to say"
    state, reason, text = on_time(waiting(job, replace(ASSIGNMENT, deadline_seconds=5000.0))) or ("", "", "")
    assert (state, reason) == ("True", "DeadlineExpected") and "16 min 40 s before" in text
    late = replace(ASSIGNMENT, deadline_seconds=1000.0, remedy="a faster option would do")
    state, reason, text = on_time(waiting(job, late)) or ("", "", "")
    assert (state, reason) == ("False", "DeadlineMissed")
    assert "50 min 00 s after its deadline; a faster option would do" in text


def test_a_deadline_that_was_taken_away_is_not_said_for_ever() -> None:
    job = hub_job()
    late = waiting(job, replace(ASSIGNMENT, deadline_seconds=1000.0))
    again = waiting(HubJob({**job.raw, "status": late}, KEY), ASSIGNMENT)
    assert (on_time(again) or ("", ""))[:2] == ("Unknown", "NoDeadline")


def test_estimates_and_the_promise_are_in_the_status() -> None:
    status = waiting(hub_job(), ASSIGNMENT)
    assert status["completionEstimates"] == {"p50": instant(NOW + 4000), "p90": instant(NOW + 4300)}
    assert status["promise"] == {"completionTime": instant(NOW + 3900), "givenTime": instant(NOW - 60), "slips": 1}


def test_the_end_says_whether_the_deadline_was_met() -> None:
    for by, expected in ((NOW + 500.0, ("True", "DeadlineMet")), (NOW - 500.0, ("False", "DeadlineMissed"))):
        job = hub_job(released=True, started=True)
        raw = {**job.raw, "spec": {**job.raw.get("spec", {}), "deadline": instant(by)}}
        done = child(conditions=[{"type": "Complete", "status": "True"}], completionTime=instant(NOW - 1))
        verdict = judge(HubJob(raw, KEY), member("edge", done), NOW)
        (put,) = [action for action in verdict.actions if isinstance(action, PutStatus)]
        assert (on_time(dict(put.status)) or ("", ""))[:2] == expected
