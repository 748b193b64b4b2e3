"""Jobs over several sites: what they take by hand, what they leave to others, and what the checker finds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from polyhull.domain.decision import Assignment, Decision
from polyhull.domain.fleet import Power, Site, Storage, StorageKind
from polyhull.domain.labels import Selector, labels_of
from polyhull.domain.scenario import LoseCluster, ResizePool
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import (
    Access,
    Checkpoint,
    Output,
    Placed,
    PlacedPart,
    Promise,
    Span,
    SpanMode,
    TrainingJob,
)
from polyhull.optimize.build import build_columns
from polyhull.optimize.columns import ColumnSet
from polyhull.optimize.spans import MOST_COLUMNS
from polyhull.optimize.stores import kept
from polyhull.planning.decide import decide
from polyhull.planning.report import document
from polyhull.planning.scenario import changed
from polyhull.planning.validate import validate
from tests.builders import NOW, accelerator, data_set, fleet, growth, job, key, link, option, pool, site, snapshot

PARALLEL = Span(SpanMode.DATA_PARALLEL, gradient_bytes=1e9, synchronize_steps=10)
PIPELINE = Span(SpanMode.PIPELINE, samples_per_step=4, layers=8, activation_bytes=1e6)


def both_ways(gigabits: float = 1.0, latency: float = 0.1, sites: str = "ab") -> list[Any]:
    return [link(x, y, gigabits, latency_seconds=latency) for x in sites for y in sites if x != y]


def gang(span: Span | None = PARALLEL, replicas: int = 4, work: float = 100.0, **changes: Any) -> TrainingJob:
    return job("big", [option("v100", 1.0, replicas)], work, span=span, **changes)


def world(
    *jobs: TrainingJob, links: list[Any] | None = None, nodes: int = 2, sites: str = "ab", **more: Any
) -> Snapshot:
    where = fleet([pool(at, "v100", 1, nodes) for at in sites], both_ways(sites=sites) if links is None else links)
    return snapshot(where, jobs or (gang(),), **more)


def planned(case: Snapshot) -> tuple[Decision, Assignment]:
    plan = decide(case)
    assert plan.violations == ()
    assert plan.lower_bound_seconds <= plan.makespan_seconds
    return plan, next(one for one in plan.assignments if one.job == key("big"))


def test_copies_at_two_sites_by_hand() -> None:
    """100 steps of 1 s; every tenth waits for 1 GB each way at 1.25e8 byte/s and two hops of 0.1 s: 8.2 s.
    Half that pace would cost more than a twentieth."""
    plan, big = planned(world())
    assert [(p.pool, p.replicas, p.first_rank) for p in big.parts] == [("a/v100", 2, 0), ("b/v100", 2, 2)]
    assert big.end_seconds == plan.makespan_seconds == pytest.approx(100.0 + 10 * 8.2)
    assert big.explanation.compute_seconds == pytest.approx(100.0)
    assert big.explanation.exchange_seconds == pytest.approx(82.0)
    assert {(one.source_site, one.target_site, one.links) for one in big.exchanges} == {
        ("a", "b", ("a->b",)),
        ("b", "a", ("b->a",)),
    }
    assert {one.rate_bytes_per_second for one in big.exchanges} == {1.25e8}
    assert big.explanation.binds == "Nothing holds it up: it runs 3 min 02 s in a/v100 and b/v100."


def test_a_pipeline_over_two_sites_by_hand() -> None:
    """A pod alone takes 4 s for a step; with two copies of two stages a stage takes 1 s, in two micro-batches of a
    sample per copy half of that: three times 0.5 s; over the border two samples, there and back, and twice 0.1 s."""
    _, big = planned(world(gang(PIPELINE)))
    assert [p.stage_layers for p in big.parts] == [(4,), (4,)] and big.micro_batches == 2
    rate = min(one.rate_bytes_per_second for one in big.exchanges)
    assert big.end_seconds == pytest.approx(100 * (1.5 + 2 * (2e6 / rate + 0.1)))


def test_parts_in_clusters_that_cannot_find_each_other_by_name_are_no_column() -> None:
    case = world()
    nameless = [replace(one, service_domain="") if one.name == "b" else one for one in case.fleet.clusters]
    found = build_columns(replace(case, fleet=replace(case.fleet, clusters=tuple(nameless))))
    (why,) = [one for one in found.inadmissible if one.reason == "NoServiceDomain"]
    assert not found.columns and "set its spec.serviceDomain" in why.message


def test_a_gang_that_fits_one_site_stays_there_where_links_are_slow() -> None:
    _, big = planned(world(gang(replicas=2), links=both_ways(0.01)))
    assert big.parts == () and big.places[0].pool == big.pool and big.end_seconds == pytest.approx(100.0)


def test_a_gang_that_may_span_takes_what_is_left_at_two_sites() -> None:
    """Each site has a device in use for long: two remain, one at each."""
    other = [
        job(
            f"long{at}",
            [option("v100", 1.0)],
            1000.0,
            placed=Placed(at, f"{at}/v100", "v100x1", ((f"{at}-v100-0", 1),), NOW),
        )
        for at in "ab"
    ]
    rare = replace(PARALLEL, synchronize_steps=1000)
    _, big = planned(world(gang(rare, 2), *other))
    assert big.start_seconds == 0.0 and [p.replicas for p in big.parts] == [1, 1]


def test_failures_of_all_its_devices_cost_time() -> None:
    """A checkpoint every 100 s at 1.25e9 byte/s takes 1 s; four devices that fail once in 1e5 s each: what is lost is
    1/100 + (50 + 1) * 4e-5 of the time, and the start-up is none here."""
    kinds = [replace(accelerator("v100"), mean_hours_between_failures=1e5 / 3600)]
    where = fleet([pool(at, "v100", 1, 2) for at in "ab"], both_ways(), kinds=kinds)
    _, big = planned(snapshot(where, [replace(gang(), checkpoint=Checkpoint(1_250_000_000, 100.0))]))
    phi = 1 - 1 / 100 - (50 + 1) * 4e-5
    assert big.end_seconds == pytest.approx(182.0 / phi)
    assert big.explanation.failure_seconds == pytest.approx(182.0 / phi - 182.0)


def test_its_traffic_leaves_transfers_the_rest_of_the_links() -> None:
    """The link carries a copy of 25 GB at full rate (200 s) before or after the job, never beside it."""
    reader = job("reader", [option("k80", 1.0)], 1.0, ["d"])
    where = fleet([pool("a", "v100", 1, 2), pool("b", "v100", 1, 2), pool("b", "k80", 1, 1)], both_ways())
    plan, big = planned(snapshot(where, [gang(), reader], [data_set("d", 25, "a")]))
    moved = plan.transfers[0]
    assert moved.end_seconds <= big.start_seconds + 1e-6 or moved.start_seconds >= big.end_seconds - 1e-6


def growing(*provision: float, price: float | None = None) -> Snapshot:
    """A node of two devices at each of two sites; growth may add one of two at each, after so many seconds."""
    pools = [
        pool(at, "v100", 1, 2, growth=growth(1, 2, seconds), price_per_device_hour=price)
        for at, seconds in zip("ab", provision, strict=True)
    ]
    return snapshot(fleet(pools, both_ways()), [gang(replicas=8)])


def test_growth_adds_nodes_at_several_sites_and_all_wait_for_the_last() -> None:
    """Eight pods, four at once on what is there: both sites add a node, the gang begins after the slower one."""
    plan, big = planned(growing(60.0, 30.0, price=3.6))
    assert [p.nodes for p in big.parts] == [(("a-v100-0", 2), ("+1", 2)), (("b-v100-0", 2), ("+1", 2))]
    assert (big.start_seconds, big.end_seconds) == (0.0, pytest.approx(60.0 + 182.0))
    assert big.explanation.startup_seconds == pytest.approx(60.0)
    assert (big.explanation.binding.kind, big.explanation.binding.name) == ("Growth", "a/v100")
    assert [one.start_seconds for one in big.exchanges] == pytest.approx([60.0, 60.0])
    assert plan.footprint.cost == pytest.approx(8 * 242.0 * 3.6 / 3600)
    early = replace(plan, assignments=(replace(big, end_seconds=182.0),))
    assert validate(growing(60.0, 30.0), replace(early, makespan_seconds=182.0))
    there = released(growing(60.0, 30.0), plan)
    assert decide(there).violations == ()


def test_a_gang_that_fits_without_does_not_wait_for_growth() -> None:
    case = growing(200.0, 200.0)
    _, big = planned(replace(case, jobs=(gang(replicas=4),)))
    assert big.end_seconds == pytest.approx(182.0)
    assert not any(name.startswith("+") for part in big.parts for name, _ in part.nodes)


def test_data_is_staged_at_every_site() -> None:
    one = replace(gang(), inputs=job("x", [], data=["d"]).inputs)
    plan, big = planned(world(one, data=[data_set("d", 5, "a")]))
    assert [t.store for t in plan.transfers] == ["cluster:b"]
    assert big.start_seconds == plan.transfers[0].end_seconds
    assert {store for _, store in big.data} == {"site:a", "cluster:b"}


def keeping(span: Span, storage: dict[str, Storage], **kept: Any) -> Snapshot:
    """The gang over the sites of `storage`; `kept`: checkpoint and output."""
    case = world(gang(span, **kept), sites="".join(storage))
    clusters = tuple(replace(one, storage=storage[one.name]) for one in case.fleet.clusters)
    return replace(case, fleet=replace(case.fleet, clusters=clusters))


VOLUME, NOWHERE = Storage(StorageKind.VOLUME), Storage()
SAVES, LEAVES = Checkpoint(10**9, mounted=True), Output(10**9, mounted=True)


@pytest.mark.parametrize("span", [PARALLEL, PIPELINE])
def test_rank_0_is_where_the_output_can_be_kept(span: Span) -> None:
    _, big = planned(keeping(span, {"a": NOWHERE, "b": VOLUME}, output=LEAVES))
    assert [(p.site, p.first_rank) for p in big.parts] == [("b", 0), ("a", 2)]
    assert set(refused(keeping(span, {"a": NOWHERE, "b": NOWHERE}, output=LEAVES)).values()) == {"NeedsVolumeStorage"}


def test_stages_of_a_pipeline_are_saved_where_they_are_and_copies_where_rank_0_is() -> None:
    half = {"a": NOWHERE, "b": VOLUME}
    assert refused(keeping(PIPELINE, half, checkpoint=SAVES)) == {"a/v100+b/v100": "NeedsVolumeStorage"}
    _, copies = planned(keeping(PARALLEL, half, checkpoint=SAVES))
    assert copies.cluster == "b" and copies.checkpoint_interval_seconds > 0.0
    case = keeping(PIPELINE, dict.fromkeys("ab", VOLUME), checkpoint=SAVES, output=LEAVES)
    plan, _ = planned(case)
    there = released(case, plan)
    assert {store: kept(there, store)[key("big")] for store in ("cluster:a", "cluster:b")} in (
        {"cluster:a": 2 * 10**9, "cluster:b": 10**9},
        {"cluster:a": 10**9, "cluster:b": 2 * 10**9},
    )
    full = replace(VOLUME, capacity_bytes=15 * 10**8)
    small = replace(
        case, fleet=replace(case.fleet, clusters=tuple(replace(c, storage=full) for c in case.fleet.clusters))
    )
    assert " would hold 2000000000 bytes of 1500000000" in " ".join(validate(small, plan))
    assert " to keep files at " in " ".join(validate(keeping(PIPELINE, half, checkpoint=SAVES), plan))


def refused(case: Snapshot) -> dict[str, str]:
    columns = build_columns(case)
    assert not any(column.parts for column in columns.columns)
    return {one.pool: one.reason for one in columns.inadmissible if one.reason != "PoolTooSmall"}


def test_what_cannot_span_says_why() -> None:
    pair = "a/v100+b/v100"
    assert refused(world(links=[link("a", "b")])) == {pair: "NoLink"}
    assert refused(world(gang(replace(PARALLEL, state_bytes=1e12)))) == {pair: "Memory"}
    assert refused(world(gang(replace(PIPELINE, layers=1)))) == {pair: "TooFewNodes"}
    assert refused(world(gang(None))) == {}
    assert refused(world(gang(replace(PARALLEL, max_sites=1)))) == {}
    relayed = [one for one in both_ways(sites="abc") if "c" in (one.source, one.target)]
    inside = data_set("d", 1, "a", "b", residency=Selector(labels_of({"eu": "yes"})))
    reads = replace(gang(), inputs=job("x", [], data=["d"]).inputs)
    where = fleet([pool(at, "v100", 1, 2) for at in "ab"], relayed, sites=[site("a", eu="yes"), site("b", eu="yes")])
    assert refused(snapshot(where, [reads], [inside])) == {pair: "Residency"}
    streamed = replace(gang(), inputs=tuple(replace(one, access=Access.STREAM) for one in reads.inputs))
    assert refused(world(streamed, data=[data_set("d", 1, "a")])) == {}


def test_few_combinations_become_columns() -> None:
    sites = "abcdefgh"
    case = world(gang(replace(PARALLEL, max_sites=3), replicas=6), sites=sites, nodes=3)
    spans = [column for column in build_columns(case).columns if column.parts]
    assert len(spans) == MOST_COLUMNS
    assert len({column.name for column in spans}) == MOST_COLUMNS
    assert all(sum(part.replicas for part in column.parts) == 6 for column in spans)


def ordinary(case: Snapshot) -> ColumnSet:
    found = build_columns(case)
    return replace(found, columns=tuple(column for column in found.columns if not column.parts))


def test_other_columns_are_those_of_a_job_that_may_not_span() -> None:
    """And a plan without such jobs has nothing new in it."""
    case = world(gang(replicas=2))
    plain = replace(case, jobs=tuple(replace(one, span=None) for one in case.jobs))
    assert ordinary(case) == build_columns(plain)
    told = document(decide(plain))["assignments"][0]
    assert not {"parts", "exchanges", "microBatches"} & set(told) and "exchangeSeconds" not in told["explanation"]


def released(case: Snapshot, plan: Decision, started_at: float | None = None) -> Snapshot:
    big = next(one for one in plan.assignments if one.job == key("big"))
    parts = tuple(PlacedPart(p.cluster, p.pool, p.option, p.replicas, p.nodes) for p in big.parts)
    placed = Placed(big.cluster, big.pool, big.option, big.nodes, NOW, started_at, parts=parts)
    return replace(
        case, jobs=tuple(replace(one, placed=placed) if one.key == key("big") else one for one in case.jobs)
    )


def test_what_was_released_stays_at_all_its_sites() -> None:
    case = world(gang(), job("next", [option("v100", 1.0)], 10.0))
    plan = decide(case)
    again = decide(released(case, plan, NOW - 82.0))
    assert again.violations == ()
    now = {one.job.name: one for one in again.assignments}
    assert now["big"].fixed and now["big"].end_seconds == pytest.approx(100.0)
    assert [p.nodes for p in now["big"].parts] == [(("a-v100-0", 2),), (("b-v100-0", 2),)]
    assert [e.rate_bytes_per_second for e in now["big"].exchanges] == [1.25e8, 1.25e8]
    assert now["next"].start_seconds == pytest.approx(100.0)


def test_a_released_one_whose_links_or_pool_are_gone_is_still_there() -> None:
    case = world(gang(), job("next", [option("v100", 1.0)], 10.0))
    there = released(case, decide(case))
    for where in (replace(case.fleet, links=()), replace(case.fleet, pools=case.fleet.pools[:1])):
        plan = decide(replace(there, fleet=where))
        big = next(one for one in plan.assignments if one.job == key("big"))
        assert big.fixed and len(big.parts) == 2 and plan.violations == ()


def test_what_if_a_node_of_one_site_is_lost() -> None:
    case = world()
    there = released(case, decide(case))
    for change in (ResizePool("b/v100", 0), LoseCluster("b")):
        assert changed(there, [change]).jobs[0].placed is None


def test_budgets_count_every_site() -> None:
    """Prices, watts and grams differ between the sites; a plan that just fits its budgets passes the checker."""
    pools = [pool(at, "v100", 1, 2, price_per_device_hour=price) for at, price in (("a", 2.0), ("b", 6.0))]
    clean = [Site(at, power=Power(carbon_grams_per_kilowatt_hour=g)) for at, g in (("a", 100.0), ("b", 300.0))]
    free = snapshot(fleet(pools, both_ways(), sites=clean), [gang()])
    _, big = planned(free)
    assert big.use.cost == pytest.approx(2 * (2.0 + 6.0) * 182.0 / 3600)
    assert big.use.energy_joules and big.use.carbon_grams
    limits = {"cost_budget": big.use.cost, "carbon_budget_grams": big.use.carbon_grams}
    plan, _ = planned(replace(free, policy=replace(free.policy, **limits)))
    assert plan.footprint.cost == pytest.approx(big.use.cost)


def test_what_its_parts_exchange_is_paid_for() -> None:
    """Ten exchanges of 1 GB each way at 0.05 and 0.03 a gigabyte, beside 4 devices for 182 s."""
    pools = [pool(at, "v100", 1, 2, price_per_device_hour=2.0) for at in "ab"]
    priced = [replace(one, price_per_gigabyte=price) for one, price in zip(both_ways(), (0.05, 0.03), strict=True)]
    free = snapshot(fleet(pools, priced), [gang()])
    plan, big = planned(free)
    devices, sent = 4 * 2.0 * 182.0 / 3600, 10 * (0.05 + 0.03)
    assert [one.transfer_bytes for one in big.exchanges] == pytest.approx([1e10, 1e10])
    assert (big.use.cost, big.use.egress_cost) == (pytest.approx(devices), pytest.approx(sent))
    assert plan.footprint.cost == pytest.approx(devices + sent)
    assert (plan.footprint.egress_cost, plan.footprint.egress_bytes) == (pytest.approx(sent), 2 * 10**10)
    just, short = (
        replace(free, policy=replace(free.policy, cost_budget=devices + sent + by)) for by in (1e-6, -1e-3)
    )
    planned(just)
    (left,) = decide(short).unplaced
    assert left.reason == "Budget" and "budget is" in " ".join(validate(short, plan))
    half = decide(released(free, plan, NOW - 91.0))
    assert half.assignments[0].use.egress_cost == pytest.approx(sent / 2)
    less = replace(plan, assignments=(sending(big, transfer_bytes=1e9),))
    assert "its steps send 1e+10" in " ".join(validate(free, less))


def test_a_promise_keeps_all_its_sites() -> None:
    case = world(gang(replace(PARALLEL, max_sites=2), replicas=3), sites="abc")
    _, first = planned(case)
    promise = first.promise
    assert isinstance(promise, Promise) and promise.pool == "+".join(p.pool for p in first.parts)
    _, second = planned(replace(case, jobs=tuple(replace(one, promise=promise) for one in case.jobs)))
    assert second.parts == first.parts


def sending(a: Assignment, **changes: Any) -> Assignment:
    return replace(a, exchanges=tuple(replace(one, **changes) for one in a.exchanges))


Change = Callable[[Assignment], Assignment]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a: replace(a, parts=(a.parts[0], replace(a.parts[1], first_rank=1))), "ranks from 1"),
        (lambda a: replace(a, parts=a.parts[:1]), "put on a"),
        (lambda a: replace(a, parts=(a.parts[0], replace(a.parts[1], site="a"))), "do not belong together"),
        (lambda a: replace(a, parts=(a.parts[0], replace(a.parts[1], replicas=1))), "its parts have 3 pods"),
        (lambda a: replace(a, parts=(a.parts[0], replace(a.parts[1], nodes=(("b-v100-0", 3),)))), "3 devices of 2"),
        (lambda a: replace(a, parts=(a.parts[0], replace(a.parts[1], nodes=()))), "do not take 2 pods"),
        (lambda a: replace(a, replicas=4), "its first part"),
        (lambda a: replace(a, exchanges=a.exchanges[:1]), "nothing is sent from b to a"),
        (lambda a: sending(a, links=("a->b",)), "does not leave b"),
        (lambda a: sending(a, rate_bytes_per_second=2e8), "carries"),
        (lambda a: sending(a, rate_bytes_per_second=1e8), "needs"),
        (lambda a: sending(a, end_seconds=5.0), "while it computes"),
    ],
)  # fmt: skip
def test_the_checker_finds_what_is_wrong(change: Change, says: str) -> None:
    case = world()
    plan, big = planned(case)
    broken = replace(plan, assignments=(change(big),))
    assert any(says in sentence for sentence in validate(case, broken)), validate(case, broken)


def test_the_checker_knows_who_may_span_and_what_fits() -> None:
    case = world(gang(replace(PIPELINE, state_bytes=1e9)))
    plan, _ = planned(case)

    def told(span: Span | None) -> str:
        return " ".join(validate(replace(case, jobs=(replace(case.jobs[0], span=span),)), plan))

    assert "never said that it may" in told(None)
    assert "times its memory" in told(replace(PIPELINE, state_bytes=1e13))
    assert "do not hold 9 layers" in told(replace(PIPELINE, layers=9))
    assert "micro-batches are more" in told(replace(PIPELINE, samples_per_step=2))
    assert "needs" in told(replace(PIPELINE, activation_bytes=2e6))


def test_the_report_tells_the_parts() -> None:
    plan, _ = planned(world(gang(PIPELINE)))
    told = document(plan)["assignments"][0]
    assert [part["firstRank"] for part in told["parts"]] == [0, 2] and told["parts"][0]["stageLayers"] == [4]
    assert {(one["from"], one["to"]) for one in told["exchanges"]} == {("a", "b"), ("b", "a")}
    assert told["explanation"]["exchangeSeconds"] > 0
