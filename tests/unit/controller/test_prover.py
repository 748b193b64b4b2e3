"""The exact solver may crash, hang or lie; the caller gets an answer or None, and no process stays behind."""

import sys

import pytest

from polyhull.controller.prover import Prover
from polyhull.optimize.exact import ExactColumn, ExactPool, ExactProblem


def problem() -> ExactProblem:
    """Two jobs of 10 on a pool with one device: no schedule ends before 20."""
    columns = tuple(ExactColumn(job, 0, 10, 0, 1, 1, ()) for job in range(2))
    pool = ExactPool((1,), 0, 0, ())
    return ExactProblem(
        1.0, 30, 0, 2, columns, (), (), 0, (), (pool,), (), (), (), ((0, 0), (1, 10)), (), 5.0, 1
    )  # fmt: skip


def test_it_proves() -> None:
    with Prover(60.0) as prove:
        prove.start()
        answer = prove(problem())
    assert answer is not None
    assert (answer.status, answer.bound) == ("OPTIMAL", 20)


def test_it_can_be_asked_again() -> None:
    with Prover(60.0) as prove:
        answers = [prove(problem()), prove(problem())]
    assert answers[0] == answers[1]
    assert answers[0] is not None


@pytest.mark.parametrize(
    ("code", "limit", "says"),
    [
        ("import sys; sys.exit(3)", 60.0, "code 3"),
        ("import os; os.abort()", 60.0, "code -6"),
        ("import sys; sys.stdin.read(); print('NaN')", 60.0, "nonsense"),
        ("import sys; sys.stdin.read(); print('{}')", 60.0, "nonsense"),
        ("import time; time.sleep(60)", 1.0, "within 1 s"),
    ],
)
def test_a_broken_solver_is_no_answer(code: str, limit: float, says: str) -> None:
    with Prover(limit, (sys.executable, "-c", code)) as prove:
        assert prove(problem()) is None
        assert says in prove.failure


def test_closing_ends_a_process_that_was_never_asked() -> None:
    prove = Prover(60.0)
    prove.start()
    process = prove._waiting
    assert process is not None
    prove.close()
    assert process.poll() is not None
