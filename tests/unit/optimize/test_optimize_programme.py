"""The sparse programme says what its definition says, and its bounds are proved outside the solver."""

import dataclasses
import math
from random import Random

import numpy as np
import pytest

from polyhull.domain.snapshot import Snapshot
from polyhull.optimize import bound, certificate, highs
from polyhull.optimize.arrays import model_data
from polyhull.optimize.build import build_columns
from polyhull.optimize.data import ModelData
from polyhull.optimize.programme import programme
from polyhull.optimize.programme.dual_feasible import dual_feasible, dual_feasible_whole
from polyhull.optimize.services import Serving
from polyhull.optimize.whole_copies import whole_copies
from tests import builders as b


def instance(seed: int) -> Snapshot:
    """Two to four jobs, sites and pools; shared data, relays, online demand and running jobs by chance."""
    dice = Random(seed)
    sites = [f"s{i}" for i in range(dice.randint(1, 4))]
    kinds = ["v100", "k80"]
    pools = [
        b.pool(at, kind, dice.randint(1, 2), devices=dice.choice([2, 4]))
        for at in sites
        for kind in kinds
        if dice.random() < 0.7
    ] or [b.pool(sites[0], "v100", 1, devices=2)]
    links = [
        b.link(x, y, dice.choice([0.1, 1.0, 3.0])) for x in sites for y in sites if x != y and dice.random() < 0.7
    ]
    sets = [b.data_set(f"d{i}", dice.choice([1, 5, 20, 60]), dice.choice(sites)) for i in range(dice.randint(1, 3))]
    jobs = []
    for i in range(dice.randint(1, 5)):
        options = [b.option(kind, dice.uniform(0.5, 3.0), devices=dice.choice([1, 2])) for kind in kinds]
        data = dice.sample([one.key.name for one in sets], dice.randint(0, min(2, len(sets))))
        jobs.append(b.job(f"j{i}", options, dice.uniform(20, 300), data))
    services = []
    if dice.random() < 0.4:
        services.append(
            b.service("web", [(dice.choice(sites), dice.uniform(1, 6))], [b.variant("v100"), b.variant("k80")])
        )
    return b.snapshot(b.fleet(pools, links), jobs, sets, services)


def arrays(snapshot: Snapshot) -> ModelData:
    columns = build_columns(snapshot)
    serving = Serving(snapshot, columns)
    plans, _ = serving.plan({})
    served = {
        (plan.service, route.origin): route.requests_per_second * (1 - 1e-9)
        for plan in plans
        for route in plan.routes
    }
    return model_data(snapshot, columns, serving.model(served))


@pytest.mark.parametrize("block", range(5))
@pytest.mark.parametrize("rates", [False, True])
def test_the_sparse_programme_agrees_with_its_definition(block: int, rates: bool) -> None:
    from polyhull.optimize.definition import largest_share

    compared = 0
    for seed in range(block * 10, block * 10 + 10):
        data = arrays(instance(seed))
        if not data.jobs:
            continue
        seconds = bound.slowest(data) * (1.0 + (seed % 4) / 2)
        found = highs.solve(programme(data, seconds, strengthened=not rates, light=True))
        want = largest_share(data, seconds, rates)
        assert found.optimal
        assert found.share == pytest.approx(want, rel=1e-6, abs=1e-6), f"seed {seed}"
        compared += 1
    assert compared >= 5


@pytest.mark.parametrize("block", range(5))
@pytest.mark.parametrize("rates", [False, True])
def test_whole_copies_agree_with_their_definition(block: int, rates: bool) -> None:
    from polyhull.optimize.definition import largest_share

    compared = moved = shared = read = 0
    for seed in range(block * 10, block * 10 + 10):
        shot = instance(seed)
        if seed % 5 == 3:
            shot = dataclasses.replace(shot, jobs=tuple(map(b.streaming, shot.jobs)))
        data = whole_copies(arrays(shot), build_columns(shot))
        if not data.jobs:
            continue
        assert data.whole is not None
        seconds = bound.slowest(data) * (1.0 + (seed % 4) / 2)
        found = highs.solve(programme(data, seconds, strengthened=not rates, light=True))
        assert found.optimal
        assert found.share == pytest.approx(largest_share(data, seconds, rates), rel=1e-6, abs=1e-6), f"seed {seed}"
        compared, moved, shared = compared + 1, moved + len(data.whole.copied.link), shared + len(data.whole.shared)
        read += len(data.whole.streamed.link)
    assert compared >= 5 and moved > 0 and shared > 0 and read > 0


@pytest.mark.parametrize("seed", range(40))
def test_the_certificate_confirms_the_solver_and_never_claims_more(seed: int) -> None:
    data = arrays(instance(seed))
    if not data.jobs:
        return
    built = programme(data, bound.slowest(data) * 1.1)
    found = highs.solve(built)
    proved = certificate.share_at_most(built, data.job_class, found.prices)
    assert proved >= found.share * (1 - 1e-9)
    if found.share < 1.0:
        assert proved == pytest.approx(found.share, rel=1e-4)


def test_wrong_prices_prove_nothing_wrong() -> None:
    """Any prices at all give a valid claim: rho is never less than what the best plan reaches."""
    dice = np.random.default_rng(7)
    for seed in range(30):
        data = arrays(instance(seed))
        if not data.jobs:
            continue
        built = programme(data, bound.slowest(data) * 1.3)
        best = highs.solve(built).share
        for _ in range(10):
            prices = dice.normal(size=len(built.rhs))
            assert certificate.share_at_most(built, data.job_class, prices) >= best * (1 - 1e-9)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_prices_that_are_no_numbers_prove_nothing(bad: float) -> None:
    data = arrays(instance(3))
    built = programme(data, 100.0)
    prices = np.zeros(len(built.rhs))
    prices[-1] = bad
    assert certificate.share_at_most(built, data.job_class, prices) == math.inf


def test_strengthening_only_lowers_what_is_thought_possible() -> None:
    lower = 0
    for seed in range(60):
        data = arrays(instance(seed))
        if not data.jobs:
            continue
        seconds = bound.slowest(data) * 1.2
        light = highs.solve(programme(data, seconds, light=True)).share
        full = highs.solve(programme(data, seconds)).share
        assert full <= light * (1 + 1e-7)
        lower += full < light * 0.999
    assert lower > 0


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_dual_feasible_functions_keep_sums_below_one(step: int) -> None:
    dice = Random(step)
    for _ in range(2000):
        cuts = sorted(dice.random() for _ in range(dice.randint(0, 6)))
        parts = np.diff([0.0, *cuts, 1.0])
        assert dual_feasible(parts, step).sum() <= 1.0 + 1e-12
        whole = dice.randint(1, 40)
        left, sizes = whole, []
        while left:
            sizes.append(dice.randint(1, left))
            left -= sizes[-1]
        assert dual_feasible_whole(np.array(sizes, float), float(whole), step).sum() <= 1.0 + 1e-12


def test_five_device_pods_on_eight_device_nodes_cost_a_node_each() -> None:
    jobs = [b.job(f"j{i}", [b.option("v100", devices=5)]) for i in range(6)]
    data = arrays(b.snapshot(b.fleet([b.pool("a", "v100", 3)]), jobs))
    assert bound.lower_bound(data).seconds == pytest.approx(200.0, rel=2e-3)


def test_what_a_long_job_reads_must_be_there_early() -> None:
    """One link of 1 Gbit/s, two private sets of 40 s each, jobs of 100 s: the later one ends at 180 s."""
    fleet = b.fleet([b.pool("cloud", "v100", 4)], [b.link("edge", "cloud", 1.0)], sites=[b.site("edge")])
    sets = [b.data_set("d0", 5, "edge"), b.data_set("d1", 5, "edge")]
    jobs = [b.job("j0", [b.option("v100")], data=["d0"]), b.job("j1", [b.option("v100")], data=["d1"])]
    assert bound.lower_bound(arrays(b.snapshot(fleet, jobs, sets))).seconds == pytest.approx(180.0, rel=2e-3)


def test_a_failing_solver_leaves_the_simple_bound() -> None:
    data = arrays(
        b.snapshot(
            b.fleet([b.pool("a", "v100", 1, devices=1)]), [b.job(f"j{i}", [b.option("v100")]) for i in range(3)]
        )
    )
    found = bound.lower_bound(data, limit=0)
    assert found.seconds == pytest.approx(100.0, rel=1e-9)
    assert bound.lower_bound(data).seconds == pytest.approx(300.0, rel=2e-3)


def test_an_instance_of_nothing_has_no_bound() -> None:
    data = arrays(b.snapshot(b.fleet([b.pool("a", "v100")])))
    assert bound.lower_bound(data).seconds == 0.0
    assert dataclasses.is_dataclass(data)
