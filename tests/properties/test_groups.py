"""Groups over a wide area: the cost is recomputed device by device, small cases against every partition."""

import itertools
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from polyhull.domain.errors import BrokenPromise
from polyhull.optimize import groups as python
from polyhull.optimize.data import Floats
from polyhull.optimize.groups import pipeline_groups, regions
from polyhull.optimize.large import groups as compiled
from polyhull.optimize.large.kernel import library
from tests.properties.amount import examples

SEEDS = st.integers(0, 10**6)
Partition = tuple[tuple[int, ...], ...]


def network(seed: int, devices: int, places: int) -> tuple[Floats, Floats]:
    """(delay, rate) of devices in regions, symmetric, faster inside."""
    dice = Random(seed)
    region = [dice.randrange(places) for _ in range(devices)]
    delay, rate = np.full((places, places), 0.005), np.full((places, places), 2e9)
    for r, s in itertools.combinations(range(places), 2):
        delay[r, s] = delay[s, r] = dice.uniform(0.01, 0.3)
        rate[r, s] = rate[s, r] = dice.uniform(0.3e9, 1.2e9)
    return delay[np.ix_(region, region)], rate[np.ix_(region, region)]


def seconds(groups: Partition, delay: Floats, rate: Floats, gradient: float, activation: float) -> float:
    """The definition, one device at a time, in the groups' order."""
    size = len(groups[0])
    parallel = max(
        sum(2 * (delay[i, j] + gradient / (size * rate[i, j])) for j in group if j != i)
        for group in groups
        for i in group
    )
    return parallel + 2 * sum(
        bottleneck(one, other, delay, rate, activation) for one, other in itertools.pairwise(groups)
    )


def bottleneck(one: tuple[int, ...], other: tuple[int, ...], delay: Floats, rate: Floats, activation: float) -> float:
    cost = delay[np.ix_(one, other)] + activation / rate[np.ix_(one, other)]
    for limit in np.unique(cost):
        over = (cost > limit).astype(float)
        if over[linear_sum_assignment(over)].sum() == 0:
            return float(limit)
    raise AssertionError("unreachable")


@examples(25, 0.3)
@given(SEEDS)
def test_what_it_says_is_what_the_groups_cost(seed: int) -> None:
    delay, rate = network(seed, 12, 3)
    found = pipeline_groups(delay, rate, 4, 1e9, 5e8, steps=200)
    assert sorted(itertools.chain.from_iterable(found.groups)) == list(range(12))
    assert {len(group) for group in found.groups} == {3}
    assert found.seconds == pytest.approx(seconds(found.groups, delay, rate, 1e9, 5e8))


@examples(25, 0.3)
@given(SEEDS)
def test_it_is_never_worse_than_groups_inside_regions_or_across_them_nor_than_fewer_steps(seed: int) -> None:
    delay, rate = network(seed, 12, 4)
    order = np.argsort(regions(delay, rate), kind="stable")
    inside = tuple(tuple(order[at : at + 3].tolist()) for at in range(0, 12, 3))
    across = tuple(tuple(order[at::4].tolist()) for at in range(4))
    first, longer = (pipeline_groups(delay, rate, 4, 1e9, 5e8, steps=n).seconds for n in (0, 400))
    assert longer <= first * (1 + 1e-9)
    best = min(
        seconds(order, delay, rate, 1e9, 5e8) for plan in (inside, across) for order in itertools.permutations(plan)
    )
    assert longer <= best * 1.35


@examples(8, 0.1)
@given(SEEDS)
def test_six_devices_against_every_partition(seed: int) -> None:
    delay, rate = network(seed, 6, 2)
    best = min(
        seconds(tuple(tuple(order[at : at + 2]) for at in (0, 2, 4)), delay, rate, 1e9, 5e8)
        for order in itertools.permutations(range(6))
    )
    found = pipeline_groups(delay, rate, 3, 1e9, 5e8).seconds
    assert best * (1 - 1e-9) <= found <= best * 1.25


@pytest.mark.skipif(library() is None, reason="needs a C compiler")
@examples(25, 0.3)
@given(SEEDS)
def test_the_compiled_steps_are_those_of_python_bit_by_bit(seed: int) -> None:
    dice, kernel = Random(seed), library()
    assert kernel is not None
    many, places, size = dice.randint(1, 7), dice.randint(1, 6), dice.randint(1, 9)
    table = np.array([[dice.choice([0.1, 0.25, dice.random()]) for _ in range(places)] for _ in range(places)])
    table = np.minimum(table, table.T)
    counts = np.array([np.bincount(dice.choices(range(places), k=size), minlength=places) for _ in range(many)])
    mixes = [tuple(row) for row in counts.tolist()]
    edge = compiled.bottlenecks(counts, table, kernel)
    assert edge.tolist() == [[python.bottleneck(one, other, table) for other in mixes] for one in mixes]
    assert compiled.cheapest_path(edge, kernel) == python.cheapest_path(edge)


def test_what_is_too_large_for_the_compiled_steps_is_refused_there() -> None:
    wide = np.zeros((compiled.MOST_GROUPS + 1, compiled.MOST_REGIONS + 1), dtype=np.int64)
    with pytest.raises(ValueError, match="regions"):
        compiled.bottlenecks(wide, np.zeros((65, 65)), library())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="groups"):
        compiled.cheapest_path(np.zeros((11, 11)), library())  # type: ignore[arg-type]


def test_two_regions_by_hand() -> None:
    """Between regions 10 times slower: groups inside regions for large gradients, across for large activations."""
    delay = np.zeros((4, 4))
    rate = np.full((4, 4), 1e8)
    rate[:2, :2] = rate[2:, 2:] = 1e9
    large_gradient = pipeline_groups(delay, rate, 2, 1e10, 1e6)
    assert set(large_gradient.groups) == {(0, 1), (2, 3)}
    assert large_gradient.data_parallel_seconds == pytest.approx(2 * 1e10 / (2 * 1e9))
    assert large_gradient.pipeline_seconds == pytest.approx(2 * 1e6 / 1e8)
    large_activation = pipeline_groups(delay, rate, 2, 1e6, 1e10)
    assert {len({device // 2 for device in group}) for group in large_activation.groups} == {2}
    assert large_activation.pipeline_seconds == pytest.approx(2 * 1e10 / 1e9)


def test_regions_are_devices_that_all_others_see_alike() -> None:
    delay, rate = network(3, 10, 3)
    found = regions(delay, rate)
    for i, j in itertools.combinations(range(10), 2):
        if found[i] == found[j]:
            others = [k for k in range(10) if k not in (i, j)]
            assert np.allclose(delay[i, others], delay[j, others]) and np.allclose(rate[i, others], rate[j, others])


def test_one_region_one_stage_and_one_device_each() -> None:
    delay, rate = np.full((4, 4), 0.001), np.full((4, 4), 1e9)
    assert pipeline_groups(delay, rate, 1, 1e9, 1e9).pipeline_seconds == 0.0
    each = pipeline_groups(delay, rate, 4, 1e9, 1e9)
    assert each.data_parallel_seconds == 0.0
    assert each.pipeline_seconds == pytest.approx(2 * 3 * (0.001 + 1.0))


def test_stages_must_divide_the_devices() -> None:
    with pytest.raises(BrokenPromise, match="not divisible"):
        pipeline_groups(np.zeros((5, 5)), np.ones((5, 5)), 2, 1.0, 1.0)
