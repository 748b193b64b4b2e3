"""Services under a Cost objective: cheapest where nothing runs yet, never at requests' expense, never by moving."""

import dataclasses
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhull.domain.decision import ServicePlan
from polyhull.domain.fleet import Fleet
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import InferenceService, Serving
from polyhull.optimize.build import build_columns
from polyhull.optimize.relaxation import relax
from tests import builders as b


def policy(*objective: str) -> Policy:
    return Policy(
        startup_seconds=0.0, bandwidth_margin=1.0, solver=SolverLimits(search_steps=50), objective=objective
    )


def fleet(fast: float | None = 4.0, slow: float | None = 0.5, devices: int = 8) -> Fleet:
    pools = [
        b.pool("here", "v100", 1, devices=devices, price_per_device_hour=fast),
        b.pool("here", "k80", 1, devices=devices, price_per_device_hour=slow),
    ]
    return b.fleet(pools, [])


def asking(rate: float, **changes: object) -> InferenceService:
    variants = [b.variant("v100", rate=10.0), b.variant("k80", rate=2.0)]
    return b.service("chat", [("here", rate)], variants, **changes)


def planned(where: Fleet, services: list[InferenceService], *objective: str) -> tuple[ServicePlan, ...]:
    shot: Snapshot = b.snapshot(where, services=services, policy=policy(*objective))
    return relax(shot, build_columns(shot)).services


def counts(plans: tuple[ServicePlan, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for plan in plans:
        for part in plan.replicas:
            found[part.pool] = found.get(part.pool, 0) + part.replicas
    return found


def bill(plans: tuple[ServicePlan, ...], where: Fleet) -> float:
    price = {pool.name: pool.price_per_device_hour or 0.0 for pool in where.pools}
    return sum(
        price[part.pool] * part.replicas * part.devices_per_replica for plan in plans for part in plan.replicas
    )


def test_cost_first_takes_the_cheap_devices_and_serves_all() -> None:
    where = fleet()
    plans = planned(where, [asking(8.0)], "Cost", "Makespan")
    assert set(counts(plans)) == {"here/k80"}
    assert plans[0].served_per_second == pytest.approx(8.0)


def test_cheap_per_device_is_not_cheap_per_request() -> None:
    where = fleet(fast=4.0, slow=3.0)
    assert set(counts(planned(where, [asking(8.0)], "Cost"))) == {"here/v100"}


def test_what_the_cheap_pool_cannot_hold_goes_elsewhere_and_nothing_is_left_unserved() -> None:
    where = fleet(devices=4)
    plans = planned(where, [asking(20.0)], "Cost")
    assert plans[0].served_per_second == pytest.approx(20.0)
    assert counts(plans)["here/v100"] >= 2


def test_without_cost_first_nothing_changes() -> None:
    where = fleet()
    for objective in (("Makespan",), ("Makespan", "Cost")):
        assert planned(where, [asking(8.0)], *objective) == planned(where, [asking(8.0)], "Makespan")


def test_a_service_that_runs_stays_where_it_is() -> None:
    running = asking(8.0, serving=(Serving("here", "here/v100", "on-v100", 2, (("here-v100-0", 2),)),))
    plans = planned(fleet(), [running], "Cost")
    assert "here/v100" in counts(plans) and "here/k80" not in counts(plans)


def test_an_unknown_price_attracts_nobody() -> None:
    assert set(counts(planned(fleet(slow=None), [asking(8.0)], "Cost"))) == {"here/v100"}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_cost_first_is_never_dearer_and_never_serves_less(seed: int) -> None:
    dice = Random(seed)
    where = fleet(dice.choice([1.0, 4.0]), dice.choice([0.2, 0.9, 2.0]), dice.choice([2, 8, 30]))
    services = [
        dataclasses.replace(asking(dice.uniform(0.5, 40.0)), key=asking(1.0).key._replace(name=f"s{n}"))
        for n in range(dice.randint(1, 3))
    ]
    usual, cheap = planned(where, services, "Makespan"), planned(where, services, "Cost")
    assert bill(cheap, where) <= bill(usual, where) * (1 + 1e-9)
    served = {plan.service: plan.served_per_second for plan in usual}
    for plan in cheap:
        assert plan.served_per_second >= served[plan.service] * (1 - 1e-6)
        routes = [(route.origin, route.pool, route.variant) for route in plan.routes]
        assert len(routes) == len(set(routes))
        assert sum(route.requests_per_second for route in plan.routes) == pytest.approx(plan.served_per_second)
