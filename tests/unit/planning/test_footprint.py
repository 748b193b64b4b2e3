"""Cost, energy, carbon and egress: against values worked out by hand; what is unknown is named."""

from dataclasses import replace

import pytest

from polyhull.domain.decision import Decision, Use
from polyhull.domain.fleet import AcceleratorType, Power, Site
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.optimize.build import build_columns
from polyhull.optimize.costs import IDLE_SHARE, UTILISATION, Tariffs
from polyhull.planning.decide import decide
from polyhull.planning.report import document
from polyhull.planning.validate import validate
from tests import builders as b

V100 = AcceleratorType("v100", "GPU", "example.com/v100", idle_watts=50.0, peak_watts=300.0)
GREEN = Site("a", power=Power(pue=1.5, carbon_grams_per_kilowatt_hour=400.0))
POLICY = Policy(startup_seconds=10.0, bandwidth_margin=1.0, solver=SolverLimits(search_steps=50))


def one_job(**pool: object) -> Snapshot:
    """Two devices for 10 s of start-up and 100 s of work at site `a`, after 8 GB from `edge` in 18 s."""
    where = b.fleet(
        [b.pool("a", "v100", **{"price_per_device_hour": 3.6, **pool})],
        [b.link("edge", "a", 8.0, price_per_gigabyte=0.05)],
        sites=[GREEN],
        kinds=[V100],
    )
    jobs = [b.job("train", [b.option("v100", 1.0, devices=2)], work=100.0, data=["images"])]
    return b.snapshot(where, jobs, [b.data_set("images", 8.0, "edge")], policy=POLICY)


def test_one_job_by_hand() -> None:
    made = decide(one_job())
    idle, active = 50.0 * 1.5, (50.0 + UTILISATION * 250.0) * 1.5
    joules = 2 * (10.0 * idle + 100.0 * active)
    (placed,) = made.assignments
    assert placed.use.cost == pytest.approx(2 * 110.0 * 3.6 / 3600)
    assert placed.use.energy_joules == pytest.approx(joules)
    assert placed.use.carbon_grams == pytest.approx(joules / 3.6e6 * 400.0)
    spent = made.footprint
    assert spent.egress_bytes == 8 * 10**9
    assert spent.egress_cost == pytest.approx(8 * 0.05)
    assert spent.cost == pytest.approx(2 * 110.0 * 3.6 / 3600 + 0.4)
    assert (spent.unpriced, spent.unmetered, spent.carbon_unknown) == ((), (), ())
    assert made.violations == ()


def test_a_column_says_the_same_as_its_assignment() -> None:
    """What is compared while planning is what is reported, where everything is known."""
    snapshot = one_job()
    (column,) = build_columns(snapshot).columns
    (placed,) = decide(snapshot).assignments
    assert column.price == pytest.approx(placed.use.cost)
    assert column.energy_joules == pytest.approx(placed.use.energy_joules)


def test_what_is_unknown_is_named_and_nothing_fails() -> None:
    snapshot = one_job(price_per_device_hour=None)
    fleet = snapshot.fleet
    bare = replace(
        fleet,
        sites=tuple(replace(site, power=Power()) for site in fleet.sites),
        links=tuple(replace(link, price_per_gigabyte=None) for link in fleet.links),
    )
    made = decide(replace(snapshot, fleet=bare))
    assert made.footprint.unpriced == ("a/v100", "edge->a")
    assert made.footprint.carbon_unknown == ("a",)
    assert made.footprint.cost is None and made.footprint.carbon_grams is None
    assert made.footprint.energy_joules == pytest.approx(2 * (10.0 * 50.0 + 100.0 * (50.0 + UTILISATION * 250.0)))
    blind = replace(
        bare, accelerators=tuple(replace(one, idle_watts=None, peak_watts=None) for one in bare.accelerators)
    )
    made = decide(replace(snapshot, fleet=blind))
    assert made.footprint.unmetered == ("v100",) and made.footprint.energy_joules is None
    assert made.assignments[0].use == Use()
    assert document(made)["cost"] == {
        "total": None, "egress": None, "servicesPerHour": None, "unpriced": ["a/v100", "edge->a"],
    }  # fmt: skip


def test_an_unknown_price_compares_as_the_dearest_and_unknown_idle_watts_as_a_share_of_the_peak() -> None:
    where = b.fleet(
        [b.pool("a", "v100", price_per_device_hour=7.2), b.pool("b", "k80")],
        [b.link("a", "b", price_per_gigabyte=0.02), b.link("b", "a")],
        kinds=[replace(V100, idle_watts=None), AcceleratorType("k80", "GPU", "example.com/k80")],
    )
    tariffs = Tariffs(where)
    assert tariffs.of("b/k80").price_per_second is None
    assert tariffs.price("b/k80", 500.0) == tariffs.price("a/v100", 500.0) == pytest.approx(1.0)
    assert tariffs.of("a/v100").idle_watts == pytest.approx(300.0 * IDLE_SHARE)
    assert tariffs.joules("b/k80", 1, 0.0, 10.0) == pytest.approx(tariffs.joules("a/v100", 1, 0.0, 10.0))
    assert tariffs.egress(("b->a",), 1e9) == pytest.approx(0.02)
    assert tariffs.known_egress({"a->b": 1e9, "b->a": 1e9}) is None
    assert tariffs.known_egress({"a->b": 1e9}) == pytest.approx(0.02)


def test_a_growth_node_is_paid_as_a_whole_from_its_first_demand() -> None:
    """One device of eight for 110 s after 60 s of provisioning: the node costs 8 x 170 device-seconds."""
    snapshot = one_job(nodes=0, growth=b.growth(1, 8, 60.0))
    alone = replace(snapshot, jobs=(replace(snapshot.jobs[0], inputs=()),), data_sets=())
    made = decide(replace(alone, policy=replace(POLICY, objective=("Makespan", "Cost"))))
    assert made.levels[1].value == pytest.approx(made.footprint.cost), "compared by what is reported"
    (placed,) = made.assignments
    assert placed.nodes == (("+1", 1),)
    assert placed.use.cost == pytest.approx(2 * 170.0 * 3.6 / 3600)
    assert made.footprint.cost == pytest.approx(8 * 170.0 * 3.6 / 3600)
    idle, active = 75.0, (50.0 + UTILISATION * 250.0) * 1.5
    assert placed.use.energy_joules == pytest.approx(2 * (10.0 * idle + 100.0 * active))


def test_services_are_counted_up_to_the_end_of_the_plan() -> None:
    snapshot = one_job()
    web = b.service("web", [("a", 1.0)], [b.variant("v100", 5.0)])
    made = decide(replace(snapshot, services=(web,)))
    (serving,) = (part for plan in made.services for part in plan.replicas)
    hours = made.makespan_seconds / 3600 * serving.replicas
    assert made.footprint.services_cost_per_hour == pytest.approx(3.6 * serving.replicas)
    assert made.footprint.cost == pytest.approx(2 * 110.0 * 0.001 + 0.4 + 3.6 * hours)


def test_confidential_nodes_take_longer_by_their_measured_factor() -> None:
    plain, slow = decide(one_job(confidential=True)), decide(one_job(confidential=True, slowdown=1.25))
    assert _length(slow) - _length(plain) == pytest.approx(25.0)
    assert slow.violations == () and slow.assignments[0].explanation.compute_seconds == pytest.approx(125.0)
    at_full_speed = replace(slow, assignments=plain.assignments, makespan_seconds=plain.makespan_seconds)
    at_full_speed = replace(at_full_speed, lower_bound_seconds=0.0)
    (told,) = validate(one_job(confidential=True, slowdown=1.25), at_full_speed)
    assert "by its rate" in told


def test_a_service_needs_more_replicas_where_it_is_slower() -> None:
    def replicas(slowdown: float) -> int:
        where = b.fleet([b.pool("a", "v100", confidential=True, slowdown=slowdown)], kinds=[V100])
        web = b.service("web", [("a", 18.0)], [b.variant("v100", 5.0)], confidential=True)
        made = decide(b.snapshot(where, services=[web]))
        assert made.violations == ()
        return sum(part.replicas for plan in made.services for part in plan.replicas)

    assert replicas(1.0) < replicas(1.5)


def _length(made: Decision) -> float:
    return made.assignments[0].end_seconds - made.assignments[0].start_seconds
