"""The worker survives every way a solver can misbehave, and says which it was."""

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from polyhull.controller.worker import Worker
from polyhull.domain.errors import SolverFailed

ANSWERS = """
import os, sys, time, signal, subprocess
def double(x):
    print("solvers print to standard output")
    return 2 * x
def wrong(x):
    raise ValueError("no basis")
def crash(x):
    os.kill(os.getpid(), signal.SIGSEGV)
def hang(x):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "polyhull-test-" + x])
    time.sleep(60)
def big(n):
    return b"x" * n
"""


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "polyhull_test_answers.py").write_text(ANSWERS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    return "polyhull_test_answers"


def test_answers_come_back_and_prints_do_not_disturb(target: str) -> None:
    async def story() -> list[int]:
        worker = Worker(f"{target}:double")
        try:
            return [await worker.ask(n, limit_seconds=30) for n in (1, 2, 3)]
        finally:
            await worker.close()

    assert asyncio.run(story()) == [2, 4, 6]


def test_large_answers_are_whole(target: str) -> None:
    async def story() -> int:
        worker = Worker(f"{target}:big")
        try:
            return len(await worker.ask(5_000_000, limit_seconds=30))
        finally:
            await worker.close()

    assert asyncio.run(story()) == 5_000_000


@pytest.mark.parametrize(("name", "said"), [("wrong", "ValueError: no basis"), ("crash", "signal 11")])
def test_failures_are_named_and_the_next_question_gets_a_fresh_process(target: str, name: str, said: str) -> None:
    async def story() -> None:
        worker = Worker(f"{target}:{name}")
        try:
            for _ in range(2):
                with pytest.raises(SolverFailed, match=said):
                    await worker.ask("x", limit_seconds=30)
        finally:
            await worker.close()

    asyncio.run(story())


def test_a_hanging_solver_is_ended_with_everything_it_started(target: str) -> None:
    mark = str(os.getpid())

    async def story() -> None:
        worker = Worker(f"{target}:hang")
        with pytest.raises(SolverFailed, match="no answer within"):
            await worker.ask(mark, limit_seconds=3)

    asyncio.run(story())
    deadline = time.monotonic() + 5
    while _running(f"polyhull-test-{mark}") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _running(f"polyhull-test-{mark}")


def _running(mark: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False
