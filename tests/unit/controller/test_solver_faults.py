"""A solver that hangs or takes its process with it: the deadline holds, a valid plan stands, and it is said."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from polyhull.controller.course import Course
from polyhull.controller.planner import Planner
from polyhull.controller.worker import Worker
from polyhull.domain.decision import BoundKind
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.planning.validate import validate
from tests.builders import fleet, job, option, pool, snapshot

FAULTS = """
import os, signal, sys, time
from polyhull.controller import planner
from polyhull.optimize import highs
from polyhull.planning import finish

def hang(*given, **more):
    time.sleep(600)

def crash(*given, **more):
    os.kill(os.getpid(), signal.SIGSEGV)

def raises(*given, **more):
    raise ValueError("no basis")

def full_hangs(snapshot):
    highs.run_linear = hang
    return planner.full(snapshot)

def full_crashes(snapshot):
    highs.run_linear = crash
    return planner.full(snapshot)

def full_raises(snapshot):
    highs.run_linear = raises
    return planner.full(snapshot)

def full_is_refused(snapshot):
    finish.validate = lambda snapshot, decision: ("too small",)
    return planner.full(snapshot)

def quick_crashes_from_the_second(snapshot):
    if len(snapshot.jobs) > 1:
        crash()
    return planner.quick(snapshot)
"""
QUICK = "polyhull.controller.planner:quick"
SAID = {
    "full_hangs": "no answer within 2 s",
    "full_crashes": "signal 11",
    "full_raises": "ValueError: no basis",
    "full_is_refused": "the checker refused it: too small",
}


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "polyhull_test_faults.py").write_text(FAULTS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    return "polyhull_test_faults"


def asked(*names: str, kill_seconds: float = 120.0) -> Snapshot:
    limits = SolverLimits(search_steps=20, kill_seconds=kill_seconds, exact_jobs=0)
    jobs = [job(name, [option("v100", 1.0, 1, 8)]) for name in names]
    return snapshot(fleet([pool("a", "v100")]), jobs, policy=Policy(solver=limits))


@asynccontextmanager
async def course(full: str, quick: str = QUICK) -> AsyncIterator[tuple[Course, list[str]]]:
    failed: list[str] = []
    planner = Planner(time.monotonic, lambda kind, seconds: None, failed.append, Worker(quick), Worker(full))
    held = Course(planner, time.monotonic, lambda: None, lambda seconds: None)
    try:
        yield held, failed
    finally:
        await held.close()
        await planner.close()


@pytest.mark.parametrize("fault", sorted(SAID))
def test_the_search_fails_and_the_inserted_plan_stands(
    faults: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        case = asked("one", "two", kill_seconds=2.0 if fault == "full_hangs" else 120.0)
        async with course(f"{faults}:{fault}") as (held, failed):
            plan = await held.hold(case)
            while "full" not in failed:
                await asyncio.sleep(0.05)
            assert plan is not None
            assert len(plan.assignments) == 2
            assert validate(case, plan) == ()
            assert plan.bound_kind is BoundKind.NONE
            assert await held.hold(case) is plan
        assert SAID[fault] in caplog.text
        assert "the last good one stays" in caplog.text

    asyncio.run(story())


def test_nothing_can_be_decided_any_more_and_the_last_good_plan_stays(faults: str) -> None:
    async def story() -> None:
        async with course(f"{faults}:full_crashes", f"{faults}:quick_crashes_from_the_second") as (held, failed):
            good = await held.hold(asked("one"))
            assert good is not None
            assert await held.hold(asked("one", "two")) is None  # for what arrived there is no plan
            assert "quick" in failed
            assert held.present is good
            assert "signal 11" in held.planner.trouble
            assert await held.hold(asked("one")) is good
            later = replace(asked("one"), taken_at=asked("one").taken_at + 60.0)
            assert await held.hold(later) is good

    asyncio.run(story())
