"""The demo tells planned from observed: a job in truth twice as slow as its object says is seen to be late."""

import argparse
import contextlib

import pytest
import yaml
from rich.console import Console

from hack.demo import play
from hack.demo.compare import Outcome

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(900)]

KEPT = ("gate-features", "clinic-notes-lm", "web-lm", "sensor-transformer", "lidar-night-cyclegan")
SLOW = "clinic-notes-lm"


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Five jobs of the example on three control planes, one of them with a truth of its own."""
    folder = tmp_path_factory.mktemp("small")
    for path in sorted(play.EXAMPLE.glob("*.yaml")):
        documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
        kept = [
            d for d in documents if d["kind"] not in {"TrainingJob", "InferenceJob"} or d["metadata"]["name"] in KEPT
        ]
        (folder / path.name).write_text(yaml.safe_dump_all(kept))
    options = argparse.Namespace(example=folder, fleet=play.FLEET, keep=False, wrong=[SLOW], svg=None, shortest=3.0)
    with contextlib.ExitStack() as stack:
        result, _, _ = play.play(options, Console(quiet=True), stack)
    return result


def late_by(outcome: Outcome, name: str) -> float:
    row = next(row for row in outcome.rows if row.planned.job.endswith(f"/{name}"))
    assert row.ended_seconds is not None
    return row.ended_seconds - row.planned.finish_seconds


def longer_by(outcome: Outcome, name: str) -> float:
    row = next(row for row in outcome.rows if row.planned.job.endswith(f"/{name}"))
    assert row.begun_seconds is not None and row.ended_seconds is not None
    return (row.ended_seconds - row.begun_seconds) - (row.planned.finish_seconds - row.planned.start_seconds)


def test_every_job_ran_where_the_plan_said(outcome: Outcome) -> None:
    assert outcome.finished
    assert [row.planned.job for row in outcome.rows if not row.where_planned] == []
    assert len(outcome.rows) == len(KEPT)


def test_the_job_whose_truth_is_wrong_is_seen_to_be_late(outcome: Outcome) -> None:
    row = next(row for row in outcome.rows if row.planned.job.endswith(f"/{SLOW}"))
    believed = row.planned.finish_seconds - row.planned.start_seconds
    assert late_by(outcome, SLOW) > 0.6 * believed, "twice the run time must show, five per cent of noise aside"


def test_the_others_run_as_long_as_planned(outcome: Outcome) -> None:
    """Their runs, not their ends: when each could begin depends on how busy this machine is."""
    others = [name for name in KEPT if name != SLOW]
    assert max(abs(longer_by(outcome, name)) for name in others) < 0.6 * longer_by(outcome, SLOW)
