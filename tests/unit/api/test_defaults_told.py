"""What the policy's fields say of themselves when unset is what the decision then does."""

import re
from typing import Any

import pytest

from polyhull.api.v1alpha1.policy import Solver, Stabilisation
from polyhull.domain.snapshot import Policy, SolverLimits

TOLD: list[tuple[Any, str, object]] = [
    (Solver, "exact_jobs", SolverLimits().exact_jobs),
    (Solver, "exact_seconds", SolverLimits().exact_deterministic_seconds),
    (Solver, "kill_seconds", SolverLimits().kill_seconds),
    (Stabilisation, "minimum_gain", Policy().minimum_gain),
    (Stabilisation, "cool_down_seconds", Policy().cool_down_seconds),
    (Stabilisation, "running_move_budget", Policy().running_move_budget),
]


@pytest.mark.parametrize(("model", "name", "default"), TOLD, ids=[name for _, name, _ in TOLD])
def test_the_description_names_the_default(model: Any, name: str, default: float) -> None:
    text = model.model_fields[name].description or ""
    found = re.search(r"unset: ([0-9.]*[0-9])", text)
    assert found is not None, f"{name}: {text!r} does not say what holds when it is unset"
    assert float(found.group(1)) == default


def test_steps_are_by_the_number_of_jobs() -> None:
    assert SolverLimits().search_steps is None
    assert "unset: by the number of jobs" in (Solver.model_fields["search_steps"].description or "")
