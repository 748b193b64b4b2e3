"""Many columns by prices: certified <= true optimum <= reached, the same every time, near the exact way."""

import dataclasses
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

from polyhull.domain.snapshot import Snapshot
from polyhull.optimize import bound as bounds
from polyhull.optimize import whole_bound
from polyhull.optimize.arrays import model_data
from polyhull.optimize.bound import lower_bound
from polyhull.optimize.build import build_columns
from polyhull.optimize.certificate import share_at_most
from polyhull.optimize.data import ModelData
from polyhull.optimize.highs import solve as solve_exactly
from polyhull.optimize.large.answer import by_prices
from polyhull.optimize.large.kernel import Descent, library
from polyhull.optimize.large.problem import LargeProblem
from polyhull.optimize.large.solve import even_prices, solve
from polyhull.optimize.programme import commodities, programme
from polyhull.optimize.relaxation import relax
from tests import builders as b
from tests.properties.test_bound_properties import best_makespan, tiny

pytestmark = pytest.mark.skipif(library() is None, reason="no C compiler: the descent was not built")


def random_problem(seed: int, classes: int = 12, sites: int = 3, width: int = 1) -> LargeProblem:
    """Two pools a site, links between all sites, each class's data at one or two of them."""
    dice = np.random.default_rng(seed)
    start, end = (x.ravel() for x in np.meshgrid(np.arange(sites), np.arange(sites), indexing="ij"))
    start, end = start[start != end], end[start != end]
    pools = 2 * sites
    counts = dice.integers(1, pools + 1, classes)
    first = np.concatenate([dice.permutation(pools)[:n] for n in counts])
    more = np.where(dice.random((len(first), width - 1)) < 0.5, dice.integers(0, pools, (len(first), width - 1)), -1)
    row = np.column_stack([first, -np.sort(-more, axis=1)])
    needs = np.minimum(dice.integers(0, 3, classes), sites)
    chosen = [np.sort(dice.permutation(sites)[:n]) for n in needs]
    return LargeProblem(
        column_of=np.concatenate([[0], np.cumsum(counts)]),
        row=row,
        use=np.where(row >= 0, dice.uniform(1.0, 9.0, row.shape), 0.0),
        site=np.where(dice.random(len(first)) < 0.9, first // 2, -1),
        jobs=dice.integers(1, 6, classes).astype(float),
        need_of=np.concatenate([[0], np.cumsum(needs)]),
        need_commodity=np.concatenate([np.zeros(0, dtype=int), *chosen]),
        need_bytes=dice.uniform(1.0, 50.0, int(needs.sum())),
        source_of=np.arange(sites + 1),
        source=np.arange(sites),
        way_of=np.concatenate([[0], np.cumsum([int((end != k).sum()) for k in range(sites)])]),
        way=np.concatenate([np.flatnonzero(end != k) for k in range(sites)]),
        link_from=start,
        link_to=end,
        sites=sites,
        room=np.concatenate([dice.uniform(2.0, 8.0, pools), dice.uniform(5.0, 40.0, len(start))]),
    )


def optimum(problem: LargeProblem) -> float:
    """The same programme with flows by link, written out for a linear solver."""
    G, E, K = problem.columns, len(problem.link_from), problem.commodities
    flow = 1 + G + np.arange(K * E).reshape(K, E)
    entries: list[tuple[int, int, float]] = [(i, 0, -room) for i, room in enumerate(problem.room)]
    upper: list[tuple[int, int, float]] = []
    for g in range(G):
        jobs = problem.jobs[problem.class_of[g]]
        for i, use in zip(problem.row[g], problem.use[g], strict=True):
            if i >= 0:
                entries.append((int(i), 1 + g, jobs * use))
    entries += [(problem.rows + e, int(flow[k, e]), 1.0) for k in range(K) for e in range(E)]
    first = len(problem.room)
    for k in range(K):
        sources = set(problem.source[problem.source_of[k] : problem.source_of[k + 1]].tolist())
        usable = set(problem.way[problem.way_of[k] : problem.way_of[k + 1]].tolist())
        for s in set(range(problem.sites)) - sources:
            at = first + k * problem.sites + s
            for e in usable:
                sign = (problem.link_from[e] == s) * 1.0 - (problem.link_to[e] == s) * 1.0
                upper += [(at, int(flow[k, e]), sign)]
            for g in range(G):
                j = problem.class_of[g]
                for n in range(problem.need_of[j], problem.need_of[j + 1]):
                    if problem.need_commodity[n] == k and problem.site[g] == s:
                        upper += [(at, 1 + g, problem.jobs[j] * problem.need_bytes[n])]
    rows, cols, values = zip(*entries, *upper, strict=True)
    size = 1 + G + K * E
    matrix = coo_matrix((values, (rows, cols)), shape=(first + K * problem.sites, size)).tocsr()
    equal = coo_matrix((np.ones(G), (problem.class_of, 1 + np.arange(G))), shape=(problem.classes, size)).tocsr()
    cost = np.zeros(size)
    cost[0] = 1.0
    found = linprog(cost, matrix, np.zeros(matrix.shape[0]), equal, np.ones(problem.classes), method="highs")
    assert found.status == 0, found.message
    return float(found.fun)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(1, 25), st.integers(1, 4), st.integers(1, 3))
def test_certified_is_below_and_reached_above_the_optimum(seed: int, classes: int, sites: int, width: int) -> None:
    problem = random_problem(seed, classes, sites, width)
    compiled, best = library(), optimum(problem)
    assert compiled is not None
    found = solve(problem, compiled, gap=0.01)
    assert found.lower <= best * (1 + 1e-7)
    assert found.upper >= best * (1 - 1e-7)
    assert found.gap <= 0.05
    assert np.allclose(np.add.reduceat(found.shares, problem.column_of[:-1]), 1.0)


def test_the_gap_asked_for_is_reached_where_classes_are_many() -> None:
    compiled = library()
    assert compiled is not None
    problem = random_problem(3, classes=300, sites=5)
    found = solve(problem, compiled, gap=0.005)
    assert found.gap <= 0.005
    assert found.lower <= optimum(problem) <= found.upper


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.floats(0.0, 3.0))
def test_any_prices_prove_something_true(seed: int, spread: float) -> None:
    problem = random_problem(seed, classes=8)
    prices = np.exp(np.random.default_rng(seed).normal(0.0, spread, len(problem.room))) / problem.room
    assert 0.0 < problem.load_at_least(prices) <= optimum(problem) * (1 + 1e-9)


def test_prices_that_are_no_prices_prove_nothing() -> None:
    problem = random_problem(1)
    for bad in (0.0, -1.0, np.nan, np.inf):
        assert not problem.load_at_least(np.full(len(problem.room), bad)) > 0.0


@pytest.mark.parametrize("width", [1, 3])
def test_kernel_and_certificate_price_alike(width: int) -> None:
    compiled = library()
    assert compiled is not None
    problem = random_problem(5, classes=40, width=width)
    prices = even_prices(problem)
    assert Descent(problem, compiled).value(prices) == pytest.approx(problem.work_at_least(prices), rel=1e-6)


def test_shares_reach_what_is_claimed() -> None:
    compiled = library()
    assert compiled is not None
    problem = random_problem(9, classes=60, sites=4)
    found = solve(problem, compiled, gap=0.01)
    held = np.zeros(problem.rows)
    np.add.at(held, problem.row[:, 0], found.shares * problem.jobs[problem.class_of] * problem.use[:, 0])
    assert bool((held <= problem.room[: problem.rows] * found.upper * (1 + 1e-9)).all())
    assert found.upper >= optimum(problem) * (1 - 1e-9)


def test_the_same_answer_every_time() -> None:
    compiled = library()
    assert compiled is not None
    problem = random_problem(2, classes=50, sites=4)
    first, second = (solve(problem, compiled, gap=0.001) for _ in range(2))
    assert first.prices.tobytes() == second.prices.tobytes()
    assert first.shares.tobytes() == second.shares.tobytes()
    assert first.passes == second.passes


def test_old_prices_are_a_better_start() -> None:
    compiled = library()
    assert compiled is not None
    problem = random_problem(4, classes=200, sites=4)
    cold = solve(problem, compiled, gap=0.01)
    grown = dataclasses.replace(problem, jobs=problem.jobs * 1.01)
    assert grown.load_at_least(cold.prices) >= cold.lower * 1.0099


# -- programmes of snapshots ----------------------------------------------------------------------------------------


def mid(seed: int, jobs: int = 60, shared: bool = False) -> Snapshot:
    dice = Random(seed)
    sites = ["s0", "s1", "s2"]
    pools = [b.pool(at, kind, 2, devices=8) for at in sites for kind in ("v100", "k80")]
    links = [b.link(x, y, dice.choice([0.5, 2.0])) for x in sites for y in sites if x != y]
    sets = [b.data_set(f"d{i}", dice.choice([2, 8, 20]), dice.choice(sites)) for i in range(jobs)]
    made = []
    for i in range(jobs):
        options = [b.option("v100", 2.0, devices=dice.choice([1, 2])), b.option("k80", dice.choice([0.7, 1.0]))]
        made.append(
            b.job(f"j{i}", options, dice.choice([200, 600, 1000]), [sets[i // 2 * 2 if shared else i].key.name])
        )
    return b.snapshot(b.fleet(pools, links), made, sets)


def data_of(shot: Snapshot) -> ModelData:
    return model_data(shot, build_columns(shot))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("light", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_programme_by_prices_is_near_the_exact_one(
    seed: int, light: bool, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commodities, "READER_ROWS", 0)  # as it is with thousands of readers
    compiled, data = library(), data_of(mid(seed, shared=shared))
    assert compiled is not None
    built = programme(data, 3_000.0, light=light)
    exact, near = solve_exactly(built), by_prices(built, data, compiled)
    assert near is not None
    proved = share_at_most(built, data.job_class, near.prices)
    assert proved >= exact.share * (1 - 1e-9)
    assert proved <= exact.share * 1.02


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_by_prices_holds_and_is_near_the_exact_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shot = mid(seed)
    exact = lower_bound(data_of(shot), limit=20).seconds
    monkeypatch.setattr(bounds, "PRICED", 0)
    found = lower_bound(data_of(shot), limit=20, small=0)
    assert exact * 0.98 <= found.seconds <= exact * (1 + 2e-3)
    assert found.at is not None and found.solution is not None


@pytest.mark.parametrize("sharpened", [0, 10**9])
@pytest.mark.parametrize("block", range(2))
def test_no_schedule_beats_the_bound_by_prices(block: int, sharpened: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_bound, "_SHARPENED", sharpened)
    monkeypatch.setattr(bounds, "PRICED", 0)
    for seed in range(block * 10, block * 10 + 10):
        shot = tiny(seed)
        columns = build_columns(shot)
        best = best_makespan(shot, columns)
        assert 0.0 < relax(shot, columns).lower_bound_seconds <= best * (1 + 1e-9), f"seed {seed}"
        assert lower_bound(model_data(shot, columns), small=0).seconds <= best * (1 + 1e-9), f"seed {seed}"


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_services_growth_and_running_work_are_priced_too(seed: int) -> None:
    compiled = library()
    assert compiled is not None
    shot = b.random_snapshot(seed)
    columns = build_columns(shot)
    data = model_data(shot, columns)
    if not len(data.jobs):
        return
    built = programme(data, 1.2 * max(bounds.slowest(data), data.fixed_seconds), light=True)
    exact, near = solve_exactly(built), by_prices(built, data, compiled)
    if near is not None and exact.optimal:
        assert share_at_most(built, data.job_class, near.prices) >= exact.share * (1 - 1e-7)
