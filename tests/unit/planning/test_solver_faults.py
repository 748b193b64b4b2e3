"""Whatever a solver answers, the decision is a valid plan whose bound is true and whose status says what happened.

HiGHS is replaced where it is called (`run_linear`), CP-SAT where it is asked (`prove`), the search by one that
cheats. Hangs and crashes need a process: tests/unit/controller/test_solver_faults.py.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from polyhull.domain.decision import BoundKind, Decision
from polyhull.domain.snapshot import Policy, SolverLimits
from polyhull.optimize import highs
from polyhull.optimize.exact import ExactAnswer, ExactProblem
from polyhull.planning import decide as page
from polyhull.planning import fallback
from polyhull.planning.decide import decide, quick
from polyhull.planning.report import document
from tests.builders import data_set, fleet, job, link, option, pool, service, snapshot, variant

CASE = snapshot(
    fleet([pool("a", "v100"), pool("b", "v100", 2)], [link("a", "b"), link("b", "a")]),
    [job(f"j{k}", [option("v100", 1.0, 1, 4 + k)], 100.0 + 10 * k, ["d"]) for k in range(4)],
    [data_set("d", 5, "a")],
    [service("chat", [("a", 3.0)], [variant("v100")])],
    Policy(startup_seconds=1.0, solver=SolverLimits(search_steps=50)),
)
HONEST = decide(CASE)
Linear = tuple[Any, Any, str, int]
real = highs.run_linear


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [one for entry in value.values() for one in _numbers(entry)]
    if isinstance(value, list):
        return [one for entry in value for one in _numbers(entry)]
    return [value] if isinstance(value, float) else []


def _fit(plan: Decision) -> None:
    assert plan.violations == ()
    assert {one.job for one in plan.assignments} == {one.key for one in CASE.jobs}
    assert plan.lower_bound_seconds <= plan.makespan_seconds * (1 + 1e-9)
    assert plan.lower_bound_seconds <= HONEST.makespan_seconds * (1 + 1e-9), "a false bound was believed"
    assert all(math.isfinite(one) for one in _numbers(document(plan)))


def _refused(*given: Any, **more: Any) -> Linear:
    return None, None, "Refused", 0


def _infeasible(*given: Any, **more: Any) -> Linear:
    return None, None, "Infeasible", 3


def _out_of_steps(*given: Any, **more: Any) -> Linear:
    primal, duals, _, steps = real(*given, **more)
    return primal, duals, "Iteration limit reached", steps


def _nan(*given: Any, **more: Any) -> Linear:
    """What HiGHS gives with NaN among its numbers: `run_linear` lets none of it through."""
    return None, None, "Optimal", 3


def _nan_prices(*given: Any, **more: Any) -> Linear:
    primal, duals, status, steps = real(*given, **more)
    return primal, None if duals is None else np.full_like(duals, np.nan), status, steps


def _zeros(*given: Any, **more: Any) -> Linear:
    primal, duals, status, steps = real(*given, **more)
    return np.zeros_like(primal), None if duals is None else np.zeros_like(duals), status, steps


def _wild(*given: Any, **more: Any) -> Linear:
    """Finite, called optimal, and wrong by far."""
    primal, duals, status, steps = real(*given, **more)
    return primal * 1e6, None if duals is None else duals * -1e12, status, steps


def _praised(*given: Any, **more: Any) -> Linear:
    """A share that nothing supports: it would make any T look infeasible, were it believed."""
    primal, duals, status, steps = real(*given, **more)
    primal = primal.copy()
    primal[-1] = 1e-9
    return primal, duals, status, steps


LIES = [_refused, _infeasible, _out_of_steps, _nan, _nan_prices, _zeros, _wild, _praised]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: str(lie.__name__).strip("_"))
def test_a_linear_programme_that_fails_or_lies_costs_the_bound_and_nothing_else(
    lie: Callable[..., Linear], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(highs, "run_linear", lie)
    plan = decide(CASE)
    _fit(plan)
    if lie in (_refused, _infeasible, _out_of_steps, _nan):
        assert "the programme: " in plan.solver.status


def test_nan_out_of_highs_is_no_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nan:
        def __init__(self, solver: Any) -> None:
            self._solver = solver

        def __getattr__(self, name: str) -> Any:
            return getattr(self._solver, name)

        def getSolution(self) -> Any:  # noqa: N802 - as HiGHS spells it
            found = self._solver.getSolution()
            found.col_value = [math.nan for _ in found.col_value]
            return found

    loaded = highs.loaded

    def broken(*given: Any, **more: Any) -> Any:
        return Nan(loaded(*given, **more))

    monkeypatch.setattr(highs, "loaded", broken)
    plan = decide(CASE)
    _fit(plan)
    assert "NoNumbers" in plan.solver.status


def _asked(answer: Callable[[ExactProblem], ExactAnswer | None]) -> Decision:
    return decide(CASE, answer)


def test_an_exact_solver_that_gives_nothing_changes_nothing() -> None:
    plan = _asked(lambda problem: None)
    _fit(plan)
    assert plan.solver.status == "Feasible; the exact solver gave no answer"
    assert replace(plan, solver=HONEST.solver) == HONEST


@pytest.mark.parametrize("status", ["INFEASIBLE", "MODEL_INVALID"])
def test_an_exact_solver_that_denies_the_plan_it_is_shown_is_not_believed(status: str) -> None:
    plan = _asked(lambda problem: ExactAnswer(status, problem.horizon))
    _fit(plan)
    assert status in plan.solver.status
    assert plan.lower_bound_seconds == HONEST.lower_bound_seconds


def test_a_bound_above_the_plan_is_discarded_whole() -> None:
    plan = _asked(lambda problem: ExactAnswer("OPTIMAL", problem.horizon * 2))
    _fit(plan)
    assert "refuted by this plan" in plan.solver.status
    assert plan.bound_kind is HONEST.bound_kind is not BoundKind.EXACT_WHOLE_COPY
    assert plan.lower_bound_seconds == HONEST.lower_bound_seconds


def test_optimal_is_said_only_where_the_bound_meets_the_plan() -> None:
    plan = _asked(lambda problem: ExactAnswer("OPTIMAL", problem.least + 1))
    _fit(plan)
    assert plan.solver.status == "Feasible"


NONSENSE = [
    ExactAnswer("OPTIMAL", math.nan),  # type: ignore[arg-type]
    ExactAnswer("FEASIBLE", 0, ((0, 0),)),
    ExactAnswer("FEASIBLE", 0, ((10**6, 0),) * 4),
    ExactAnswer("FEASIBLE", 0, (), ((99, 0, 0),)),
    ExactAnswer("FEASIBLE", 0, (), ((0, 0, -1),)),
    ExactAnswer("FEASIBLE", 0, (), (), (-1,)),
]


@pytest.mark.parametrize("answer", NONSENSE, ids=range(len(NONSENSE)))
def test_an_answer_to_another_question_is_nonsense(answer: ExactAnswer) -> None:
    plan = _asked(lambda problem: answer)
    _fit(plan)
    assert plan.solver.status == "Feasible; the exact solver answered nonsense"


def test_a_schedule_that_cannot_be_is_only_a_candidate() -> None:
    def all_at_once(problem: ExactProblem) -> ExactAnswer:
        first = {column.job: g for g, column in reversed(list(enumerate(problem.columns)))}
        return ExactAnswer("FEASIBLE", 0, tuple((first[j], 0) for j in range(problem.jobs)))

    plan = _asked(all_at_once)
    _fit(plan)
    assert plan.makespan_seconds <= HONEST.makespan_seconds


def _cheating(monkeypatch: pytest.MonkeyPatch, *, also_plain: bool) -> None:
    """The search claims to be done in half the time."""
    honest = page.searched

    def searched(reserved: Any, guide: Any) -> Any:
        found, baselines, steps = honest(reserved, guide)
        slots = tuple(slot and replace(slot, start=slot.start / 2, end=slot.end / 2) for slot in found.slots)
        return replace(found, slots=slots), baselines, steps

    monkeypatch.setattr(page, "searched", searched)
    if also_plain:
        monkeypatch.setattr(page, "quick", lambda case: replace(quick(case), violations=("too small",)))


def test_a_plan_that_the_checker_refuses_gives_way_to_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _cheating(monkeypatch, also_plain=False)
    plan = decide(CASE)
    _fit(plan)
    assert plan.assignments == quick(CASE).assignments
    assert "the checker refused the plan that was sought" in plan.solver.status


def test_with_nothing_valid_left_the_refusal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _cheating(monkeypatch, also_plain=True)
    assert decide(CASE).violations


def test_nothing_is_remarked_when_nothing_failed() -> None:
    assert fallback.remarks(page.guided(CASE, page.build_columns(CASE))) == ""
