"""Shadow prices say by how much the bound moves: held against the bound of a changed fleet."""

from dataclasses import replace

import pytest

from polyhull.domain.snapshot import Policy, Snapshot
from polyhull.optimize.build import build_columns
from polyhull.optimize.relaxation import Relaxation, relax
from tests import builders as b


def relaxed(given: Snapshot) -> Relaxation:
    return relax(given, build_columns(given))


def world(bandwidth: float = 1.0, devices: int = 4, work: float = 100.0) -> Snapshot:
    """Three jobs whose data come over one link of `bandwidth` Gbit/s, 20 s each at 1 Gbit/s."""
    fleet = b.fleet([b.pool("cloud", "v100", devices, devices=1)], [b.link("edge", "cloud", bandwidth)])
    sets = [b.data_set(f"d{i}", 2.5, "edge") for i in range(3)]
    jobs = [b.job(f"j{i}", [b.option("v100")], work, [f"d{i}"]) for i in range(3)]
    return b.snapshot(fleet, jobs, sets, policy=Policy(startup_seconds=0.0, bandwidth_margin=1.0))


def test_a_link_before_long_jobs_has_a_price_though_their_length_limits_the_rates() -> None:
    """All data must be there 100 s before the end: T = 60/B + 100, and no rate sees it."""
    found = relaxed(world())
    assert found.lower_bound_seconds == pytest.approx(160.0, rel=2e-3)
    assert found.pool_prices == ()
    (price,) = found.link_prices
    assert price.name == "edge->cloud"
    assert price.makespan_seconds_per_unit * 1e9 == pytest.approx(-60.0, rel=0.02), "dT per Gbit/s at 1 Gbit/s"
    assert price.per_unit * 160.0 * 1e9 / 8 == pytest.approx(60.0, rel=0.02), "seconds per byte times T and bytes/s"
    faster = relaxed(world(1.05)).lower_bound_seconds - found.lower_bound_seconds
    assert faster == pytest.approx(0.05e9 * price.makespan_seconds_per_unit, rel=0.2)


def test_a_pool_that_limits_the_rates_has_their_price() -> None:
    """300 device-seconds on one device: one more halves them; no data is far."""
    case = replace(world(devices=1), data_sets=tuple(b.data_set(f"d{i}", 2.5, "cloud") for i in range(3)))
    found = relaxed(case)
    assert found.lower_bound_seconds == pytest.approx(300.0, rel=2e-3)
    (price,) = found.pool_prices
    assert (price.name, found.link_prices) == ("cloud/v100", ())
    assert price.makespan_seconds_per_unit == pytest.approx(-300.0, rel=1e-2)


def test_where_one_job_alone_is_the_bound_nothing_has_a_price() -> None:
    alone = world(bandwidth=100.0)
    found = relaxed(replace(alone, jobs=alone.jobs[:1]))
    assert (found.pool_prices, found.link_prices) == ((), ())
