"""A command survives a solver that hangs or crashes: the plan is then made without one, and says so."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from polyhull.cli import again, offline
from polyhull.cli.guarded import within
from polyhull.domain.errors import SolverFailed
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.optimize import highs
from polyhull.planning.decide import decide, quick
from polyhull.telemetry import record
from tests.builders import random_snapshot


def case(kill_seconds: float) -> Snapshot:
    return random_snapshot(4, 8, 3, 2, policy=Policy(solver=SolverLimits(100, kill_seconds=kill_seconds)))


def test_an_answer_and_an_error_come_back() -> None:
    assert within(10.0, lambda: [1, "two"]) == [1, "two"]

    with pytest.raises(SolverFailed, match="the search failed: ZeroDivisionError: integer"):
        within(10.0, lambda: 1 // 0)


def test_without_trouble_nothing_is_different() -> None:
    found = offline.decide(case(60.0), None)
    assert offline.bare(found, None) == decide(case(60.0))
    assert offline.method(found, proof=True) is record.Method.FULL


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        (lambda *_: time.sleep(60.0), "the search gave no answer within 0.5 s; it was ended"),
        (lambda *_: os.kill(os.getpid(), signal.SIGKILL), "the search ended with signal 9 and no answer"),
    ],
)
def test_highs_hangs_or_crashes(trouble: object, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(highs, "run_linear", trouble)
    snapshot, began = case(0.5 if "within" in says else 60.0), time.monotonic()
    found = offline.decide(snapshot, None)
    assert time.monotonic() - began < 30.0
    plain = quick(snapshot)
    assert found.solver.status == f"{plain.solver.status}; {says}"
    assert not found.violations
    assert replace(found, solver=plain.solver) == plain
    # A record of it is made again as what it is.
    kept = tmp_path / "plan.json.gz"
    offline.keep(kept, snapshot, offline.bare(found, None), offline.method(found, proof=True))
    opened = record.read(kept)
    assert again.same(opened, again.decide(opened)[0])


def test_a_prover_that_was_lent_is_asked_and_ended() -> None:
    with offline.prover(enabled=True) as prove:
        assert prove is not None
        found = offline.decide(case(60.0), prove)
        assert "Optimal" in found.solver.status
        process = prove._waiting
        assert process is not None
    assert process.poll() is not None


def test_nothing_stays_behind(tmp_path: Path) -> None:
    told = tmp_path / "pid"

    def hangs() -> None:
        told.write_text(str(os.getpid()))
        time.sleep(60.0)

    with pytest.raises(SolverFailed):
        within(1.0, hangs)
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)
