"""Replica counts are exact for the queue they are said to be exact for, and routes never promise more."""

import math
from random import Random

import pytest

from polyhull.domain.workloads import Placed, Serving
from polyhull.optimize.build import build_columns
from polyhull.optimize.erlang import holds, least_replicas, most_arrivals, replicas_per_request, waits
from polyhull.optimize.relaxation import Relaxation, relax
from tests import builders as b


def answer(*arguments: object, **more: object) -> Relaxation:
    shot = b.snapshot(*arguments, **more)  # type: ignore[arg-type]
    return relax(shot, build_columns(shot))


def textbook_erlang_c(slots: int, load: float) -> float:
    top = load**slots / math.factorial(slots) * slots / (slots - load)
    return top / (sum(load**k / math.factorial(k) for k in range(slots)) + top)


def test_erlang_c_agrees_with_the_textbook() -> None:
    for slots in (1, 2, 5, 20, 60):
        for share in (0.1, 0.5, 0.9, 0.99):
            assert waits(slots, slots * share) == pytest.approx(textbook_erlang_c(slots, slots * share), rel=1e-9)
    assert waits(3, 3.0) == 1.0
    assert waits(3, 0.0) == 0.0


def test_the_least_count_holds_and_one_less_does_not() -> None:
    dice = Random(5)
    for _ in range(300):
        rate, service, slack = dice.uniform(0.2, 50), dice.uniform(0.001, 2), dice.uniform(0, 2)
        arrivals, percentile = dice.uniform(0.01, 400), dice.choice([0.5, 0.9, 0.99])
        count = least_replicas(arrivals, rate, service, slack, percentile)
        assert count is not None
        assert holds(count, arrivals, rate, service, slack, percentile)
        assert not holds(count - 1, arrivals, rate, service, slack, percentile)
        assert most_arrivals(count, rate, service, slack, percentile) >= arrivals * (1 - 1e-6)
        slope = replicas_per_request(arrivals, rate, service, slack, percentile)
        assert slope is not None
        for share in (0.01, 0.3, 0.77, 1.0):
            some = least_replicas(arrivals * share, rate, service, slack, percentile)
            assert some is not None
            assert some >= slope * arrivals * share * (1 - 1e-12)


@pytest.mark.parametrize("slack", [-1e-9, -5.0])
def test_no_count_holds_what_the_network_alone_exceeds(slack: float) -> None:
    assert least_replicas(1.0, 5.0, 0.1, slack, 0.99) is None


def test_extreme_numbers_end() -> None:
    for arrivals in (1e-9, 1.0, 1e15):
        for rate in (1e-9, 1.0, 1e15):
            for service in (0.0, 1e-9, 1e6):
                count = least_replicas(arrivals, rate, service, 0.1, 0.99)
                assert count is None or count >= 1


def test_every_origin_is_served_within_its_latency() -> None:
    links = [b.link("edge", "a", latency_seconds=0.01), b.link("a", "edge", latency_seconds=0.01)]
    web = b.service("web", [("edge", 12.0), ("a", 3.0)], [b.variant("v100")])
    (plan,) = answer(b.fleet([b.pool("a", "v100")], links), services=[web]).services
    assert plan.served_per_second == pytest.approx(15.0)
    assert {route.origin for route in plan.routes} == {"edge", "a"}
    assert sum(one.replicas for one in plan.replicas) == least_replicas(15.0, 5.0, 0.05, 0.5 - 0.02 - 0.05, 0.99)


def test_too_far_and_too_small_are_told_apart() -> None:
    links = [b.link("edge", "a", latency_seconds=0.3), b.link("a", "edge", latency_seconds=0.3)]
    web = b.service("w", [("edge", 1.0)], [b.variant("v100")])
    far = answer(b.fleet([b.pool("a", "v100")], links), services=[web])
    assert [one.reason for one in far.unplaced] == ["LatencyUnreachable"]
    busy = Placed("a", "a/v100", "v100x8", (("a-v100-0", 1),), b.NOW, b.NOW)
    full = answer(
        b.fleet([b.pool("a", "v100")]),
        [b.job("j", [b.option("v100", devices=8)], placed=busy)],
        services=[b.service("w", [("a", 1.0)], [b.variant("v100")])],
    )
    assert [one.reason for one in full.unplaced] == ["NoCapacity"]


def test_what_does_not_fit_is_said_with_its_number() -> None:
    web = b.service("web", [("a", 100.0)], [b.variant("v100")])
    (plan,) = answer(b.fleet([b.pool("a", "v100", devices=4)]), services=[web]).services
    assert sum(one.replicas for one in plan.replicas) == 4
    assert 0 < plan.served_per_second < 20.0
    assert "of 100 requests/s" in plan.explanation.binds


def test_priority_decides_who_is_served() -> None:
    first = b.service("z", [("a", 15.0)], [b.variant("v100")], priority=5)
    second = b.service("a", [("a", 15.0)], [b.variant("v100")])
    found = answer(b.fleet([b.pool("a", "v100", devices=5)]), services=[second, first])
    assert found.services[-1].service.name == "z"
    assert found.services[-1].served_per_second == pytest.approx(15.0)


def test_a_service_stays_where_it_runs() -> None:
    pools = [b.pool(at, "v100") for at in ("a", "b", "c")]
    links = [b.link(x, y, latency_seconds=0.001) for x in "abc" for y in "abc" if x != y]
    for at in "abc":
        web = b.service("web", [("a", 4.0)], [b.variant("v100")], serving=(Serving(at, f"{at}/v100", "on-v100", 2),))
        (plan,) = answer(b.fleet(pools, links), services=[web]).services
        assert {one.pool for one in plan.replicas} == {f"{at}/v100"}


@pytest.mark.parametrize(("fixed", "least", "want"), [(3, 1, 3), (None, 4, 4), (0, 1, 0), (99, 1, 8)])
def test_replica_limits(fixed: int | None, least: int, want: int) -> None:
    web = b.service("web", [("a", 2.0)], [b.variant("v100")], fixed_replicas=fixed, min_replicas=least)
    (plan,) = answer(b.fleet([b.pool("a", "v100")]), services=[web]).services
    assert sum(one.replicas for one in plan.replicas) == want
