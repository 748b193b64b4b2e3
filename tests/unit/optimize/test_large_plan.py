"""Whole jobs between solves: counts and loads stay true, old prices still prove a bound, few jobs move."""

import dataclasses

import numpy as np
import pytest

from polyhull.optimize.large.kernel import Descent, library
from polyhull.optimize.large.plan import Job, Plan, rounded, whole
from polyhull.optimize.large.problem import LargeProblem
from polyhull.optimize.large.solve import even_prices, fill, improve
from tests.unit.optimize.test_large import optimum, random_problem

pytestmark = pytest.mark.skipif(library() is None, reason="no C compiler: the descent was not built")


def planned(seed: int = 1, classes: int = 150) -> tuple[LargeProblem, Plan]:
    problem, compiled = random_problem(seed, classes=classes, sites=4), library()
    assert compiled is not None
    descent = Descent(problem, compiled)
    return problem, rounded(descent, improve(descent, 0.01, fill(descent, even_prices(problem))))


def counted(problem: LargeProblem, plan: Plan) -> np.ndarray:
    """Loads of the rows, by plain addition."""
    load = np.zeros(problem.rows)
    for g in range(problem.columns):
        load[problem.row[g, 0]] += plan.count[g] * problem.use[g, 0]
    return load / plan.room[: problem.rows]


@pytest.mark.parametrize("seed", range(4))
def test_whole_jobs_are_all_jobs(seed: int) -> None:
    problem, plan = planned(seed)
    assert (np.add.reduceat(plan.count, problem.column_of[:-1]) == problem.jobs).all()
    assert np.allclose(plan.load[: problem.rows], counted(problem, plan))
    assert plan.lower() <= optimum(problem) <= plan.top * (1 + 1e-9)
    assert plan.top <= plan.lower() * 1.1


def test_remainders_are_given_to_the_largest() -> None:
    problem = random_problem(1, classes=2)
    problem = dataclasses.replace(
        problem, column_of=np.array([0, 2, 3]), row=problem.row[:3], use=problem.use[:3], site=problem.site[:3],
        jobs=np.array([5.0, 2.0]), need_of=np.zeros(3, dtype=int),
    )  # fmt: skip
    assert whole(problem, np.array([0.5, 0.5, 1.0])).tolist() == [3, 2, 2]
    assert whole(problem, np.array([0.25, 0.75, 1.0])).tolist() == [1, 4, 2]


def test_a_lost_node_moves_jobs_away_and_the_bound_stays_true() -> None:
    problem, plan = planned()
    row = int(np.argmax(plan.load[: problem.rows]))
    before, most = plan.count.copy(), plan.top
    plan.lose(row, problem.room[row] * 0.2)
    over = plan.load[row]
    moved = plan.repair(row, most * 1.02, jobs=25)
    assert 0 < moved <= 25
    assert np.abs(plan.count - before).sum() == 2 * moved
    assert plan.load[row] < over
    assert np.allclose(plan.load[: problem.rows], counted(problem, plan))
    changed = dataclasses.replace(problem, room=plan.room)
    assert plan.lower() <= optimum(changed) * (1 + 1e-9)


def test_an_arrival_goes_where_there_is_room_and_is_counted_in_the_bound() -> None:
    problem, plan = planned()
    low, before = plan.lower(), plan.load.copy()
    job = Job(np.array([[0], [1]]), np.array([[problem.room[0] * 2 * plan.top], [0.1]]), np.array([-1, -1]))
    assert plan.arrive(job, plan.top * 1.01) == 1
    assert plan.load[1] == pytest.approx(before[1] + 0.1 / plan.room[1])
    assert plan.lower() > low


def test_a_finish_takes_its_load_with_it() -> None:
    problem, plan = planned()
    column = int(np.flatnonzero(plan.count)[0])
    plan.finish(column)
    assert np.allclose(plan.load[: problem.rows], counted(problem, plan))
    fewer = dataclasses.replace(problem, jobs=plan.jobs)
    assert plan.lower() <= optimum(fewer) * (1 + 1e-9)


def test_what_cannot_be_done_is_said() -> None:
    problem, plan = planned()
    with pytest.raises(ValueError, match="solve anew"):
        plan.lose(0, problem.room[0])
    with pytest.raises(ValueError, match="no job of column"):
        plan.finish(int(np.flatnonzero(plan.count == 0)[0]))
