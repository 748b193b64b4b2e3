"""Layer placements: what flows is a maximum flow, never above brute force or bound, never below the obvious."""

import itertools
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from polyhull.optimize.data import Ints
from polyhull.optimize.large import stages as compiled
from polyhull.optimize.large.kernel import library
from polyhull.optimize.layers import Machines, compute_bound, flow
from polyhull.optimize.stages import pair_of_stages, place_layers
from tests.properties.amount import examples

SEEDS = st.integers(0, 10**6)


def cluster(seed: int, many: int, most: int, wide: bool = True) -> Machines:
    """Whole numbers, so that scipy's integer flow is exact. `wide`: links never bind."""
    dice = Random(seed)
    kinds = [[1000 // (k + 1) * speed for k in range(dice.randint(1, most))] for speed in (1, dice.choice([2, 3, 5]))]
    rates = np.zeros((many, most))
    for row in rates:
        kind = dice.choice(kinds)
        row[: len(kind)] = kind
    link = (
        np.full((many, many), 1e6)
        if wide
        else np.array([[dice.randint(0, 900) for _ in range(many)] for _ in range(many)])
    )
    link = link.astype(np.float64)
    np.fill_diagonal(link, 0.0)
    return Machines(rates, link, np.full(many, 1e6), np.full(many, 1e6))


def by_scipy(machines: Machines, start: Ints, layers: Ints, total: int) -> int:
    """Node-split network: 2i -> 2i + 1 carries the machine."""
    many = len(start)
    source, sink = 2 * many, 2 * many + 1
    capacity = np.zeros((2 * many + 2, 2 * many + 2), dtype=np.int32)
    for i in np.flatnonzero(layers > 0):
        capacity[2 * i, 2 * i + 1] = machines.throughput[i, layers[i] - 1]
        if start[i] == 0:
            capacity[source, 2 * i] = machines.entry[i]
        if start[i] + layers[i] == total:
            capacity[2 * i + 1, sink] = machines.exit[i]
        for j in np.flatnonzero(layers > 0):
            if start[i] + layers[i] == start[j]:
                capacity[2 * i + 1, 2 * j] = machines.link[i, j]
    return int(maximum_flow(csr_array(capacity), source, sink).flow_value)


@examples(30, 0.3)
@given(SEEDS)
def test_the_rate_of_any_placement_is_its_maximum_flow(seed: int) -> None:
    dice = Random(seed)
    machines = cluster(seed, 6, 4, wide=False)
    total = dice.randint(1, 6)
    layers = np.array([dice.randint(0, min(4, total)) for _ in range(6)])
    start = np.array([dice.randint(0, total - int(k)) for k in layers])
    assert flow(machines, start, layers, total) == pytest.approx(by_scipy(machines, start, layers, total))


def best_of_all(machines: Machines, total: int) -> float:
    many, most = machines.throughput.shape
    places = [(s, k) for k in range(1, most + 1) for s in range(total - k + 1)] + [(0, 0)]
    best = 0
    for chosen in itertools.product(places, repeat=many):
        start, layers = (np.array(column) for column in zip(*chosen, strict=True))
        best = max(best, by_scipy(machines, start, layers, total))
    return float(best)


@examples(3, 0.03)
@given(SEEDS)
def test_three_machines_against_every_placement(seed: int) -> None:
    machines, total = cluster(seed, 3, 2), Random(seed).randint(1, 4)
    found, best = place_layers(machines, total), best_of_all(machines, total)
    assert found.tokens_per_second <= best * (1 + 1e-9) and best <= found.bound * (1 + 1e-9)
    # One chain of groups, or two chains, are all that three machines with links that never bind can be.
    assert found.tokens_per_second == pytest.approx(best)


@examples(30, 0.3)
@given(SEEDS)
def test_a_layout_is_what_it_says_and_never_worse_than_one_machine_a_stage(seed: int) -> None:
    machines, total = cluster(seed, 8, 4), Random(seed).randint(2, 14)
    found = place_layers(machines, total)
    assert found.tokens_per_second <= found.bound * (1 + 1e-9) == pytest.approx(compute_bound(machines, total))
    assert found.tokens_per_second == pytest.approx(by_scipy(machines, found.start, found.layers, total))
    simple = [
        target
        for target in np.unique(machines.throughput[machines.throughput > 0])
        if (machines.throughput >= target).sum() >= total
    ]
    assert found.tokens_per_second >= max(simple, default=0.0) * (1 - 1e-9)
    for nodes in found.stages:
        assert len({(int(found.start[i]), int(found.layers[i])) for i in nodes}) == 1


@examples(30, 0.3)
@given(SEEDS)
def test_more_machines_or_fewer_layers_are_never_worse(seed: int) -> None:
    machines, total = cluster(seed, 7, 4), Random(seed).randint(2, 10)
    fewer = Machines(machines.throughput[:6], machines.link[:6, :6], machines.entry[:6], machines.exit[:6])
    found = place_layers(machines, total).tokens_per_second
    assert found >= place_layers(fewer, total).tokens_per_second * (1 - 1e-9)
    assert place_layers(machines, total - 1).tokens_per_second >= found * (1 - 1e-9)


def two_sites(between: float) -> Machines:
    """Two machines here, two there, alike; inside a site links are wide."""
    rates = np.tile([100.0, 50.0], (4, 1))
    link = np.full((4, 4), between)
    link[:2, :2] = link[2:, 2:] = 1000.0
    np.fill_diagonal(link, 0.0)
    return Machines(rates, link, np.full(4, 1000.0), np.full(4, 1000.0))


@pytest.mark.parametrize(
    ("between", "layers", "rate", "words"),
    [
        (200.0, 4, 100.0, "a link carries all: one machine a stage"),
        (50.0, 4, 100.0, "one link is too narrow for a chain of four: two and two hold two layers, four links"),
        (60.0, 3, 100.0, "two machines on one side of the border: two links of 60"),
    ],
)
def test_borders_by_hand(between: float, layers: int, rate: float, words: str) -> None:
    found = place_layers(two_sites(between), layers)
    assert found.tokens_per_second == pytest.approx(rate), words


def test_the_same_machines_give_the_same_layout() -> None:
    machines = cluster(11, 8, 4, wide=False)
    first, again = place_layers(machines, 6), place_layers(machines, 6)
    assert np.array_equal(first.start, again.start) and np.array_equal(first.layers, again.layers)


def test_a_limit_on_stages_holds_and_costs_throughput() -> None:
    rates = np.tile([100.0, 40.0, 20.0], (6, 1))
    machines = Machines(rates, np.full((6, 6), 1e6), np.full(6, 1e6), np.full(6, 1e6))
    free, short = place_layers(machines, 6), place_layers(machines, 6, most_stages=2)
    assert (len(free.stages), free.tokens_per_second) == (6, pytest.approx(100.0))
    assert (len(short.stages), short.tokens_per_second) == (2, pytest.approx(60.0))


def test_a_model_that_does_not_fit_flows_at_nothing() -> None:
    found = place_layers(cluster(1, 2, 2), 50)
    assert found.tokens_per_second == 0.0 and found.stages == ()
    assert not found.layers.any()


@pytest.mark.skipif(library() is None, reason="needs a C compiler")
@examples(25, 0.3)
@given(SEEDS)
def test_the_compiled_choice_of_a_pair_is_that_of_python_bit_by_bit(seed: int) -> None:
    dice, kernel = Random(seed), library()
    assert kernel is not None
    many, kinds = dice.randint(2, 12), dice.randint(1, 3)
    kind = np.array([dice.randrange(kinds) for _ in range(many)])
    link = np.array([[dice.choice([0.0, 1.0, dice.random()]) for _ in range(many)] for _ in range(many)])
    order = dice.sample(range(many), many)
    cut = dice.randint(1, many - 1)
    sides = []
    for nodes in (sorted(order[:cut]), sorted(order[cut:])):
        have = np.bincount(kind[nodes], minlength=kinds)
        wanted = np.array([dice.randint(0, int(count)) for count in have])
        wanted[kind[nodes[0]]] = max(1, wanted[kind[nodes[0]]])
        passes = np.array([dice.choice([0.5, dice.uniform(0.0, 4.0)]) for _ in range(many)])
        sides.append((np.array(nodes), wanted, passes))
    found = compiled.best_pair(kind, link, (compiled.End(*sides[0]), compiled.End(*sides[1])), kernel)
    assert found == pair_of_stages(kind, link, sides[0], sides[1])


def test_a_pair_too_large_for_the_compiled_choice_is_refused_there() -> None:
    end = compiled.End(np.arange(40), np.array([40]), np.ones(40))
    with pytest.raises(ValueError, match="40 in a stage"):
        compiled.best_pair(np.zeros(40, dtype=np.int64), np.ones((40, 40)), (end, end), library())  # type: ignore[arg-type]
