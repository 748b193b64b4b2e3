"""Least-cost counts against scipy's MILP over the definition, against Melange's slices, and by hand."""

import itertools
import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from polyhull.optimize.data import Floats
from polyhull.optimize.instances import least_cost
from tests.properties.amount import examples

SEEDS = st.integers(0, 10**6)


def instance(seed: int) -> tuple[Floats, Floats]:
    dice = Random(seed)
    buckets, kinds = dice.randint(1, 6), dice.randint(1, 4)
    load = [[10.0 ** dice.uniform(-1.5, 1.0) for _ in range(kinds)] for _ in range(buckets)]
    for row in load:
        for g in range(kinds):
            if dice.random() < 0.15:
                row[g] = math.inf
        row[dice.randrange(kinds)] = 10.0 ** dice.uniform(-1.0, 1.0)
    return np.array(load), np.array([round(10.0 ** dice.uniform(-0.5, 1.0), 2) for _ in range(kinds)])


def by_milp(
    load: Floats, price: Floats, most: Floats, usage: Floats | None = None, room: Floats | None = None
) -> float:
    """The definition, x and n; inf where it is infeasible."""
    B, G = load.shape
    able = np.isfinite(load)
    each, busy = np.zeros((B, B * G + G)), np.zeros((G, B * G + G))
    for i, g in itertools.product(range(B), range(G)):
        each[i, i * G + g] = 1.0
        busy[g, i * G + g] = load[i, g] if able[i, g] else 0.0
    busy[:, B * G :] = -np.eye(G)
    rows = [LinearConstraint(each, 1, 1), LinearConstraint(busy, -np.inf, 0)]
    if usage is not None and room is not None:
        rows.append(LinearConstraint(np.hstack([np.zeros((len(room), B * G)), usage]), -np.inf, room))
    found = milp(
        np.concatenate([np.zeros(B * G), price]),
        integrality=np.concatenate([np.zeros(B * G), np.ones(G)]),
        bounds=Bounds(0, np.concatenate([np.where(able, 1.0, 0.0).ravel(), most])),
        constraints=rows,
        options={"mip_rel_gap": 0.0},
    )
    return float(found.fun) if found.success else math.inf


def carries(load: Floats, counts: Floats, share: Floats) -> bool:
    work = np.where(np.isfinite(load), load, 0.0) * share
    unable = ~np.isfinite(load) & (share > 0.0)
    return bool(
        not unable.any()
        and np.allclose(share.sum(axis=1), 1.0)
        and (work.sum(axis=0) <= counts * (1 + 1e-6) + 1e-6).all()
    )


@examples(60)
@given(SEEDS)
def test_the_cost_is_the_least_and_the_bound_meets_it(seed: int) -> None:
    load, price = instance(seed)
    found = least_cost(load, price)
    assert found.status == "Optimal"
    assert found.cost == pytest.approx(by_milp(load, price, np.full(len(price), np.inf)), rel=1e-6)
    assert found.cost * (1 - 1e-6) <= found.bound <= found.cost
    assert found.cost == pytest.approx(float(price @ found.counts))
    assert carries(load, found.counts.astype(np.float64), found.share)


@examples(60)
@given(SEEDS)
def test_limits_of_kinds_and_shared_resources_hold_or_it_says_infeasible(seed: int) -> None:
    load, price = instance(seed)
    dice = Random(-seed)
    most = np.array([float(dice.choice([0, 1, 2, 5, 50])) for _ in price])
    usage = np.array([[float(dice.choice([0, 1, 2, 8])) for _ in price]])
    room = np.array([float(dice.choice([2, 16, 200]))])
    found, expected = least_cost(load, price, most, usage, room), by_milp(load, price, most, usage, room)
    if math.isinf(expected):
        assert (found.status, found.cost) == ("Infeasible", math.inf)
        return
    assert found.cost == pytest.approx(expected, rel=1e-6)
    assert (found.counts <= most).all() and (usage @ found.counts <= room + 1e-9).all()
    assert found.bound <= found.cost and carries(load, found.counts.astype(np.float64), found.share)


@examples(20, 0.3)
@given(SEEDS)
def test_it_is_never_dearer_than_any_choice_of_whole_slices(seed: int) -> None:
    load, price = instance(seed)
    load = load[:4]
    cheapest = min(
        float(price @ np.ceil(np.bincount(kinds, load[range(len(load)), kinds], minlength=len(price)) - 1e-9))
        for kinds in itertools.product(range(len(price)), repeat=len(load))
        if np.isfinite(load[range(len(load)), kinds]).all()
    )
    assert least_cost(load, price).cost <= cheapest * (1 + 1e-9)


@examples(20, 0.3)
@given(SEEDS, st.floats(0.1, 0.99))
def test_less_load_never_costs_more(seed: int, part: float) -> None:
    load, price = instance(seed)
    assert least_cost(load * part, price).cost <= least_cost(load, price).cost * (1 + 1e-9)


@examples(20, 0.3)
@given(SEEDS)
def test_a_budget_of_one_step_gives_an_answer_and_a_true_bound(seed: int) -> None:
    load, price = instance(seed)
    first, whole = least_cost(load, price, steps=1), least_cost(load, price)
    assert first.nodes == 1 and first.status in ("Optimal", "Steps")
    assert first.bound <= whole.cost * (1 + 1e-9) <= first.cost * (1 + 2e-9)
    assert carries(load, first.counts.astype(np.float64), first.share)


def test_nothing_to_carry_costs_nothing() -> None:
    found = least_cost(np.zeros((2, 2)), np.ones(2))
    assert (found.cost, found.bound, found.status) == (0.0, 0.0, "Optimal")


def test_a_bucket_that_no_kind_serves_is_infeasible() -> None:
    found = least_cost(np.array([[math.inf, math.inf], [1.0, 1.0]]), np.ones(2))
    assert (found.status, found.cost) == ("Infeasible", math.inf)
    assert not found.counts.any()
