"""The best answers under capacity and money, held against everything that could be tried; the router's rule."""

from dataclasses import replace
from itertools import product
from random import Random

import pytest

from polyhull.domain.decision import ServicePlan
from polyhull.domain.snapshot import Policy, Snapshot
from polyhull.domain.workloads import InferenceService, Variant
from polyhull.optimize.build import build_columns
from polyhull.optimize.erlang import most_arrivals
from polyhull.optimize.services import Serving
from polyhull.planning.decide import decide
from polyhull.planning.validate import validate
from tests.builders import fleet, pool, service, snapshot, variant

PRICES = {"v100": 4.0, "k80": 1.0}


def grades(large: float, small: float) -> tuple[Variant, Variant]:
    """A good model on V100s and a small one on K80s, with so many requests per second of a replica."""
    return replace(variant("v100", large), quality=0.9), replace(variant("k80", small), quality=0.6)


def world(*services: InferenceService, v100s: int = 4, k80s: int = 8) -> Snapshot:
    pools = [
        pool("a", "v100", 1, v100s, price_per_device_hour=4.0),
        pool("a", "k80", 1, k80s, price_per_device_hour=1.0),
    ]
    return snapshot(fleet(pools), services=services, policy=Policy(startup_seconds=0.0))


def best(given: Snapshot) -> tuple[ServicePlan, ...]:
    return Serving(given, build_columns(given)).best()


def reached(given: InferenceService, one: Variant, count: int) -> float:
    return most_arrivals(
        count, one.rate_per_second, one.service_seconds, given.latency_seconds - one.service_seconds, 0.99
    )


def tried(given: InferenceService, v100s: int, k80s: int) -> tuple[float, float]:
    """(requests served, quality lost per second) of the best counts of all."""
    large, small = given.variants
    asked = sum(one.requests_per_second for one in given.demand)
    found = (0.0, 0.0)
    for n, m in product(range(v100s + 1), range(k80s + 1)):
        if given.cost_per_hour is not None and n * PRICES["v100"] + m * PRICES["k80"] > given.cost_per_hour + 1e-9:
            continue
        well = min(asked, reached(given, large, n))
        rest = min(asked - well, reached(given, small, m))
        found = max(found, (round(well + rest, 6), -0.3 * rest))
    return found[0], -found[1]


@pytest.mark.parametrize("seed", range(40))
def test_one_service_answers_as_many_and_as_well_as_the_best_counts_do(seed: int) -> None:
    dice = Random(seed)
    v100s, k80s = dice.randint(0, 4), dice.randint(0, 8)
    limit = dice.choice([None, dice.uniform(1.0, 20.0)])
    asked = service(
        "chat",
        [("a", dice.uniform(1.0, 40.0))],
        grades(dice.uniform(4.0, 9.0), dice.uniform(2.0, 6.0)),
        min_replicas=0,
        cost_per_hour=limit,
    )
    given = world(asked, v100s=v100s, k80s=k80s)
    served, lost = tried(asked, v100s, k80s)
    plans = best(given)
    ours = sum(plan.served_per_second for plan in plans)
    missed = sum(
        0.3 * route.requests_per_second for plan in plans for route in plan.routes if route.variant == "on-k80"
    )
    assert ours == pytest.approx(served, abs=2e-6)
    assert missed == pytest.approx(lost, abs=2e-6)
    decision = decide(given)
    assert decision.violations == ()


def test_two_services_share_the_good_devices_where_that_loses_least() -> None:
    """Chat misses 0.3 on the small model, search 0.05, whichever of them is asked first."""
    close = tuple(replace(one, quality=q) for one, q in zip(grades(5.0, 5.0), (0.9, 0.85), strict=True))
    for dear, cheap in (("a-chat", "b-search"), ("b-chat", "a-search")):
        given = world(
            service(dear, [("a", 8.0)], grades(5.0, 5.0), min_replicas=0),
            service(cheap, [("a", 15.0)], close, min_replicas=0),
        )
        on = {
            plan.service.name: {route.variant: route.requests_per_second for route in plan.routes}
            for plan in best(given)
        }
        assert on[dear].get("on-k80", 0.0) == pytest.approx(0.0), on
        assert on[cheap].get("on-k80", 0.0) > 5.0


def test_money_by_the_hour_is_held_and_buys_as_many_answers_as_it_can() -> None:
    """20 requests/s cost 16 an hour on V100s; for 9, one V100 and K80s answer all, two V100s and a K80 would not."""
    asked = service("chat", [("a", 16.0)], grades(5.0, 5.0), cost_per_hour=9.0)
    decision = decide(world(asked))
    (plan,) = decision.services
    assert decision.violations == ()
    assert plan.served_per_second == pytest.approx(16.0)
    bill = sum(PRICES[part.accelerator] * part.replicas for part in plan.replicas)
    assert bill <= 9.0
    assert {part.accelerator for part in plan.replicas} == {"v100", "k80"}
    poor = decide(world(replace(asked, cost_per_hour=2.0)))
    assert "costPerHour of 2" in poor.services[0].explanation.binds
    dear = validate(world(replace(asked, cost_per_hour=2.0)), replace(decision, lower_bound_seconds=0.0))
    assert any("it may cost 2" in said for said in dear)


def test_the_rule_sends_each_request_where_loss_and_price_are_least() -> None:
    """The good model is full: its price is what the small one misses, so a router is indifferent at the margin."""
    asked = service("chat", [("a", 25.0)], grades(5.0, 5.0))
    (plan,) = decide(world(asked)).services
    rule = {one.variant: one for one in plan.rule}
    assert rule["on-v100"].loss == 0.0 and rule["on-k80"].loss == pytest.approx(0.3)
    assert rule["on-v100"].price == pytest.approx(0.3, rel=1e-6)
    assert rule["on-k80"].price == pytest.approx(0.0, abs=1e-9)
    (alone,) = decide(world(replace(asked, demand=service("chat", [("a", 5.0)], ()).demand))).services
    assert alone.rule == (), "one quality answers all: there is nothing to choose"
