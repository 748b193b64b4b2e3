"""Max-min shares against cvxpy, which solves the definition: no classes, no prices, one programme per question."""

from random import Random
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.errors import SolverFailed
from polyhull.optimize.data import Floats
from polyhull.optimize.fairness import Entries, Polytope, between_namespaces, lexicographic
from polyhull.optimize.shares import classes_of, makespan_shares, max_min_shares
from tests.properties.amount import examples

SEEDS = st.integers(0, 10**6)
CLOSE = 1e-6


def by_definition(values: list[Any], rows: list[Any]) -> list[float]:
    """Lexicographic max-min: raise everybody free; hold who cannot gain while the others keep the level."""
    held: dict[int, float] = {}
    while len(held) < len(values):
        free = [i for i in range(len(values)) if i not in held]
        keep = [values[i] >= level * (1 - 1e-9) for i, level in held.items()]
        level = cp.Variable()
        problem = cp.Problem(cp.Maximize(level), rows + keep + [values[i] >= level for i in free])
        problem.solve(solver=cp.HIGHS)
        reached = float(level.value)
        stuck = []
        for i in free:
            others = [values[k] >= reached * (1 - 1e-9) for k in free if k != i]
            alone = cp.Problem(cp.Maximize(values[i]), rows + keep + others)
            alone.solve(solver=cp.HIGHS)
            if float(alone.value) <= reached * (1 + 1e-7) + 1e-9:
                stuck.append(i)
        assert stuck, "somebody must bind"
        held |= dict.fromkeys(stuck, reached)
    return [held[i] for i in range(len(values))]


def instance(seed: int) -> tuple[Floats, Floats, Floats]:
    """(throughput, gang, devices): some jobs alike, some kinds unable, some capacities scarce."""
    dice = Random(seed)
    kinds, types = dice.randint(1, 3), dice.randint(1, 4)
    rates = [[dice.choice([0.0, 0.5, 1.0, 2.0, 5.5]) for _ in range(kinds)] for _ in range(types)]
    rates = [row if any(row) else [1.0] * kinds for row in rates]
    picks = [dice.randrange(types) for _ in range(dice.randint(1, 6))]
    gangs = [float(dice.choice([1, 2, 4])) for _ in range(types)]
    devices = [float(dice.choice([1, 2, 4, 40])) for _ in range(kinds)]
    return np.array([rates[t] for t in picks]), np.array([gangs[t] for t in picks]), np.array(devices)


def shares(throughput: Floats, gang: Floats, devices: Floats) -> tuple[Any, list[Any]]:
    x = cp.Variable(throughput.shape, nonneg=True)
    return x, [cp.sum(x, axis=1) <= 1, cp.sum(cp.multiply(gang[:, None] * np.ones_like(throughput), x), 0) <= devices]


@examples(12, 0.3)
@given(SEEDS)
def test_shares_are_the_lexicographic_optimum_and_the_bound_is_tight(seed: int) -> None:
    throughput, gang, devices = instance(seed)
    x, rows = shares(throughput, gang, devices)
    values = [throughput[j] @ x[j] for j in range(len(gang))]
    expected = by_definition(values, rows)
    found = max_min_shares(throughput, gang, devices)
    assert found.values == pytest.approx(expected, rel=CLOSE, abs=CLOSE)
    assert found.least <= found.bound <= found.least * (1 + CLOSE) + CLOSE
    assert (found.share >= 0.0).all() and (found.share.sum(axis=1) <= 1 + CLOSE).all()
    assert (gang @ found.share <= devices * (1 + CLOSE)).all()
    assert (throughput * found.share).sum(axis=1) == pytest.approx(found.values, rel=CLOSE, abs=CLOSE)


@examples(12, 0.3)
@given(SEEDS)
def test_the_makespan_is_the_optimum_of_one_row_per_job(seed: int) -> None:
    throughput, gang, devices = instance(seed)
    dice = Random(-seed)
    work = np.array([10.0 ** dice.uniform(0, 3) for _ in gang])
    x, rows = shares(throughput, gang, devices)
    theta = cp.Variable()
    reach = float(np.max(work / throughput.max(axis=1)))
    each = cp.sum(cp.multiply(throughput / work[:, None] * reach, x), axis=1) >= theta
    best = cp.Problem(cp.Maximize(theta), [*rows, each]).solve(solver=cp.HIGHS) / reach
    found = makespan_shares(throughput, work, gang, devices)
    assert found.least == pytest.approx(best, rel=CLOSE)
    assert found.least <= found.bound <= found.least * (1 + CLOSE)
    assert (found.share.sum(axis=1) <= 1 + CLOSE).all()
    assert (gang @ found.share <= devices * (1 + CLOSE)).all()
    assert ((throughput * found.share).sum(axis=1) >= work * found.least * (1 - CLOSE)).all()


@examples(12, 0.3)
@given(SEEDS)
def test_namespaces_share_what_binds(seed: int) -> None:
    """theta_u T_u_iso over namespaces whose classes compete for pools, against the definition."""
    dice = Random(seed)
    namespaces, pools = dice.randint(1, 3), dice.randint(1, 3)
    owner = np.array([u for u in range(namespaces) for _ in range(dice.randint(1, 2))])
    many = np.array([float(dice.randint(1, 5)) for _ in owner])
    job_class = np.array([j for j in range(len(owner)) for _ in range(pools)])
    seconds = np.array([dice.choice([1.0, 3.0, 10.0]) for _ in job_class])
    place = np.tile(np.arange(pools), len(owner))
    size = np.array([dice.choice([1.0, 2.0, 8.0]) for _ in range(pools)])
    alone = np.array([dice.choice([1.0, 5.0, 20.0]) for _ in range(namespaces)])
    space = Polytope(
        Entries(place, np.arange(len(job_class)), seconds / size[place]),
        np.ones(pools),
        np.zeros(pools, dtype=np.bool_),
        np.full(len(job_class), np.inf),
    )
    y, theta = cp.Variable(len(job_class), nonneg=True), cp.Variable(namespaces, nonneg=True)
    rows = [cp.sum(cp.multiply((seconds / size[place])[place == p], y[place == p])) <= 1 for p in range(pools)]
    rows += [cp.sum(y[job_class == j]) == many[j] * theta[owner[j]] for j in range(len(owner))]
    expected = by_definition([theta[u] * alone[u] for u in range(namespaces)], rows)
    found = between_namespaces(space, job_class, many, owner, alone)
    assert found.status == "Optimal"
    assert found.values == pytest.approx(expected, rel=CLOSE, abs=CLOSE)
    assert found.point[-namespaces:] * alone == pytest.approx(found.values, rel=CLOSE, abs=CLOSE)
    assert (found.bounds >= found.values * (1 - CLOSE)).all()
    assert (found.bounds[found.levels == 0] <= found.values[found.levels == 0] * (1 + CLOSE)).all()


@examples(12, 0.3)
@given(SEEDS)
def test_order_and_number_of_copies_change_nothing(seed: int) -> None:
    throughput, gang, devices = instance(seed)
    order = np.array(Random(seed).sample(range(len(gang)), len(gang)))
    found, moved = max_min_shares(throughput, gang, devices), max_min_shares(throughput[order], gang[order], devices)
    assert moved.values == pytest.approx(found.values[order], rel=CLOSE, abs=CLOSE)
    twice = max_min_shares(np.tile(throughput, (2, 1)), np.tile(gang, 2), 2 * devices)
    assert twice.least == pytest.approx(found.least, rel=CLOSE)
    assert twice.classes == found.classes


def test_two_groups_one_of_them_capped_elsewhere() -> None:
    """By hand: both want the pool of 4; the first is capped at 1 by a row of its own, so the second gets 3."""
    rows = Entries(np.array([0, 0, 1]), np.array([0, 1, 0]), np.ones(3))
    space = Polytope(rows, np.array([4.0, 1.0]), np.zeros(2, dtype=np.bool_), np.full(2, np.inf))
    gains = Entries(np.arange(2), np.arange(2), np.ones(2))
    whole = lexicographic(space, gains, 2)
    assert whole.values == pytest.approx([1.0, 3.0])
    assert whole.levels.tolist() == [0, 1]
    assert whole.bounds == pytest.approx([1.0, 3.0])
    first = lexicographic(space, gains, 2, levels=1)
    assert first.values.min() == pytest.approx(1.0) and first.levels.tolist() == [0, -1]


def test_a_group_that_nothing_serves_holds_nobody_else_back() -> None:
    space = Polytope(
        Entries(np.array([0]), np.array([0]), np.ones(1)), np.array([2.0]), np.zeros(1, dtype=np.bool_), np.ones(1)
    )
    found = lexicographic(space, Entries(np.array([0]), np.array([0]), np.ones(1)), 2)
    assert found.values == pytest.approx([1.0, 0.0])


def test_without_a_limit_the_status_says_so() -> None:
    space = Polytope(
        Entries(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)),
        np.zeros(0),
        np.zeros(0, dtype=np.bool_),
        np.array([np.inf]),
    )
    found = lexicographic(space, Entries(np.array([0]), np.array([0]), np.ones(1)), 1)
    assert found.status in ("Unbounded", "Primal infeasible or unbounded")
    assert found.levels.tolist() == [-1]


def test_a_job_that_no_kind_runs_is_named_before_anything_is_solved() -> None:
    with pytest.raises(SolverFailed, match="leave it out"):
        makespan_shares(np.array([[1.0, 0.0]]), np.ones(1), np.ones(1), np.array([0.0, 1.0]))


def test_classes_are_equal_rows_even_where_one_number_per_row_does_not_tell() -> None:
    first, second = np.sqrt(3.0), np.sqrt(2.0)
    rows = np.array([[first, 0.0], [0.0, second], [first, 0.0]])
    member, head = classes_of(rows)
    assert len(head) == 2 and member[0] == member[2] != member[1]
