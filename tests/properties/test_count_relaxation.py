"""The compiled dual simplex against HiGHS: the same optimum for every range of counts, from whatever basis."""

from random import Random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polyhull.optimize.count_relaxation import HighsCounts, Relaxation
from polyhull.optimize.data import Floats
from polyhull.optimize.large.counts import MOST_ROWS, CompiledCounts
from polyhull.optimize.large.kernel import library
from tests.properties.amount import examples

SHARE = 1e-10
"""counts.c: so far outside its range a value may be (times one more than it is), and each costs its price."""


def instance(dice: Random) -> tuple[Floats, Floats, Floats, Floats]:
    """(load, price, usage, available), with kinds that are alike, buckets that are alike, kinds for nothing."""
    buckets, kinds, resources = dice.randint(1, 25), dice.randint(1, 9), dice.randint(0, 4)
    load = np.array([[10.0 ** dice.uniform(-3.0, 2.0) for _ in range(kinds)] for _ in range(buckets)])
    load[np.array([[dice.random() < 0.2 for _ in range(kinds)] for _ in range(buckets)])] = np.inf
    price = np.array([dice.choice([0.0, 1.0, round(10.0 ** dice.uniform(-1.0, 2.0), 2)]) for _ in range(kinds)])
    if kinds > 1 and dice.random() < 0.3:
        load[:, 0], price[0] = load[:, 1], price[1]
    if buckets > 1 and dice.random() < 0.3:
        load[0] = load[1]
    load[range(buckets), [dice.randrange(kinds) for _ in range(buckets)]] = 1.0
    usage = np.array([[float(dice.choice([0, 0, 1, 4])) for _ in range(kinds)] for _ in range(resources)])
    room = np.array([float(dice.choice([0, 8, 100, 1000])) for _ in range(resources)])
    return load, price, usage.reshape(resources, kinds), room


def ranged(dice: Random, top: Floats) -> tuple[Floats, Floats]:
    low = [dice.randint(0, int(most)) if dice.random() < 0.3 else 0 for most in top]
    high = [dice.randint(a, int(most)) if dice.random() < 0.5 else most for a, most in zip(low, top, strict=True)]
    return np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)


def check(found: Relaxation, load: Floats, price: Floats, usage: Floats, room: Floats, high: Floats) -> None:
    share, count = found.share, found.count
    busy = (np.where(np.isfinite(load), load, 0.0) * share).sum(axis=0)
    assert share.min() >= -1e-9 and share[~np.isfinite(load)].max(initial=0.0) == 0.0
    assert share.sum(axis=1) == pytest.approx(1.0, abs=1e-9)
    assert (busy <= count + 1e-7 * (1.0 + count)).all() and (count <= high * (1 + 1e-9) + 1e-9).all()
    assert (usage @ count <= room + 1e-6 * (1.0 + room)).all()


def proved(
    found: Relaxation, load: Floats, price: Floats, usage: Floats, room: Floats, low: Floats, high: Floats
) -> float:
    """What the prices prove that every choice costs at least (docs/model.md, least-cost instances)."""
    kinds = len(price)
    kind, resource = np.maximum(found.prices[:kinds], 0.0), np.maximum(found.prices[kinds:], 0.0)
    buckets = np.where(np.isfinite(load), np.where(np.isfinite(load), load, 0.0) * kind, np.inf).min(axis=1).sum()
    left = price + resource @ usage - kind
    return float(buckets + np.where(left > 0.0, left * low, left * high).sum() - resource @ room)


@pytest.mark.skipif(library() is None, reason="needs a C compiler")
@examples(60)
@given(st.integers(0, 10**6))
@example(1315)  # HiGHS stops 4e-6 above the optimum, within its own tolerance
@example(42920)  # HiGHS does not know
@example(751)  # a share of 1e-10 too little of the dearest kind
@example(11035)  # a resource of which there is nothing: prices of thousands
def test_every_range_has_the_optimum_that_highs_finds(seed: int) -> None:
    dice = Random(seed)
    load, price, usage, room = instance(dice)
    kernel = library()
    assert kernel is not None
    ours, theirs = CompiledCounts(load, price, usage, room, kernel), HighsCounts(load, price, usage, room)
    top = np.ceil(np.where(np.isfinite(load), load, 0.0).sum(axis=0))
    for _ in range(6):
        low, high = ranged(dice, top)
        status = ours.solve(low, high)
        told = theirs.solve(low, high)
        assert told in (status, "Unknown", "Not Set"), "HiGHS may give up; what we found is proved all the same"
        if status == "Optimal":
            check(ours, load, price, usage, room, high)
            assert ours.prices.min(initial=0.0) >= -1e-9
            dearest = max(price.max(), ours.prices.max())
            slack = 1e-7 + 2.0 * SHARE * len(ours.prices) * (1.0 + top.max()) * dearest
            assert price @ ours.count == pytest.approx(proved(ours, load, price, usage, room, low, high), abs=slack)
            if told == "Optimal":
                assert price @ ours.count <= price @ theirs.count * (1 + 1e-6) + slack


def test_a_programme_that_is_too_wide_is_refused_by_the_kernel() -> None:
    wide = np.ones((1, MOST_ROWS + 1))
    with pytest.raises(ValueError, match="together"):
        CompiledCounts(wide, wide[0], np.zeros((0, MOST_ROWS + 1)), np.zeros(0), library())  # type: ignore[arg-type]
