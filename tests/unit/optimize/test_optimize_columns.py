"""Which columns exist, what they cost, and why the others do not."""

import dataclasses

import pytest

from polyhull.domain.fleet import Storage, StorageKind, Taint, Toleration
from polyhull.domain.labels import Selector
from polyhull.domain.resources import Resources
from polyhull.domain.workloads import ActiveTransfer, Copy, DataInput, Exclusion, Key, Placed, Replica
from polyhull.optimize.build import build_columns
from polyhull.optimize.columns import ColumnSet
from polyhull.optimize.paths import Network
from tests import builders as b

NONE = Storage()
CN = Selector((("country", "cn"),))


def reasons(found: ColumnSet) -> set[str]:
    return {one.reason for one in found.inadmissible}


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ({"connected": False}, "MemberUnreachable"),
        ({"fenced": True}, "Fenced"),
        ({"drain": True}, "Draining"),
        ({"accepts": frozenset({"other"})}, "NamespaceNotAccepted"),
    ],
)
def test_members_that_take_no_new_work(member: dict[str, object], reason: str) -> None:
    fleet = b.fleet([b.pool("a", "v100")], clusters=[b.cluster("a", **member)])
    found = build_columns(b.snapshot(fleet, [b.job("j", [b.option("v100")])]))
    assert not found.columns
    assert reasons(found) == {reason}
    assert all("a" in one.message for one in found.inadmissible)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"site_selector": CN}, "SiteSelector"),
        ({"confidential": True}, "Confidential"),
        ({"exclusions": (Exclusion("a", "", "QuotaExceeded", "no quota", b.NOW + 60),)}, "Excluded"),
        ({"exclusions": (Exclusion("a", "a/v100", "Refused", "no", b.NOW + 60),)}, "Excluded"),
        ({"options": (b.option("v100", devices=9),)}, "PoolTooSmall"),
        ({"options": (b.option("v100", replicas=3, devices=5),)}, "PoolTooSmall"),
        ({"options": (b.option("v100", rate=None),)}, "NoRate"),
        ({"options": (b.option("v100", rate=0.0),)}, "NoRate"),
        ({"options": (b.option("h100"),)}, "NoPool"),
    ],
)
def test_jobs_that_may_not_run_here(change: dict[str, object], reason: str) -> None:
    job = b.job("j", **{"options": [b.option("v100")], **change})  # type: ignore[arg-type]
    found = build_columns(b.snapshot(b.fleet([b.pool("a", "v100", 2)]), [job]))
    assert not found.columns
    assert reasons(found) == {reason}


def test_an_exclusion_that_is_over_excludes_nothing() -> None:
    job = b.job("j", [b.option("v100")], exclusions=(Exclusion("a", "", "Refused", "no", b.NOW - 1),))
    assert len(build_columns(b.snapshot(b.fleet([b.pool("a", "v100")]), [job])).columns) == 1


@pytest.mark.parametrize(
    ("storage", "data", "mounted", "reason"),
    [
        (NONE, {}, False, "NoStorage"),
        (Storage(StorageKind.BUCKET, url="s3://x"), {}, True, "NeedsVolumeStorage"),
        (Storage(StorageKind.VOLUME, capacity_bytes=10), {}, False, "StorageTooSmall"),
        (Storage(StorageKind.VOLUME), {"residency": CN}, False, "Residency"),
        (Storage(StorageKind.VOLUME), {"max_copies": 1, "copies": (Copy("cluster:z", "z"),)}, False, "CopiesLimit"),
        (Storage(StorageKind.VOLUME), {"replicas": (Replica("far", "s3://x"),)}, False, "NoReachableReplica"),
        (Storage(StorageKind.VOLUME), {"replicas": (Replica("edge", "pvc://claim"),)}, False, "NoReachableReplica"),
    ],
)
def test_data_that_cannot_come(storage: Storage, data: dict[str, object], mounted: bool, reason: str) -> None:
    fleet = b.fleet([b.pool("a", "v100")], [b.link("edge", "a")], [b.cluster("a", storage=storage)], [b.site("far")])
    held = dataclasses.replace(b.data_set("d", 1, "edge"), **data)  # type: ignore[arg-type]
    job = dataclasses.replace(b.job("j", [b.option("v100")]), inputs=(DataInput(held.key, mounted=mounted),))
    found = build_columns(b.snapshot(fleet, [job], [held]))
    assert not found.columns
    assert reasons(found) == {reason}


def test_a_residency_that_forbids_a_hop_forbids_the_path() -> None:
    sites = [b.site("edge", country="cn"), b.site("a", country="cn"), b.site("hub", country="eu")]
    fleet = b.fleet([b.pool("a", "v100")], [b.link("edge", "hub"), b.link("hub", "a")], sites=sites)
    jobs = [b.job("j", [b.option("v100")], data=["d"])]
    assert len(build_columns(b.snapshot(fleet, jobs, [b.data_set("d", 1, "edge")])).columns) == 1
    kept_in = b.snapshot(fleet, jobs, [b.data_set("d", 1, "edge", residency=CN)])
    assert reasons(build_columns(kept_in)) == {"NoReachableReplica"}


def test_a_column_carries_its_seconds_and_its_route() -> None:
    fleet = b.fleet([b.pool("a", "v100", price_per_device_hour=3.6)], [b.link("edge", "a", 8.0)])
    found = build_columns(
        b.snapshot(fleet, [b.job("j", [b.option("v100", 2.0)], 100, ["d"])], [b.data_set("d", 10, "edge")])
    )
    (column,), (route,) = found.columns, found.routes
    assert (column.compute_seconds, column.head_seconds) == (50.0, 0.0)
    assert column.transfer_seconds == pytest.approx(10.0, rel=1e-6)
    assert column.transfer_seconds <= route.seconds == pytest.approx(10.0)
    assert column.price == pytest.approx(3.6 * 50 / 3600)
    assert (route.links, route.transfer_bytes) == (("edge->a",), 10 * 10**9)


def test_several_sources_and_paths_only_make_the_bound_faster_never_the_route() -> None:
    links = [b.link("edge", "a", 1.0), b.link("edge", "hub", 2.0), b.link("hub", "a", 2.0)]
    fleet = b.fleet([b.pool("a", "v100")], links)
    found = build_columns(
        b.snapshot(fleet, [b.job("j", [b.option("v100")], data=["d"])], [b.data_set("d", 3, "edge")])
    )
    assert found.routes[0].links == ("edge->hub", "hub->a")
    assert found.routes[0].seconds == pytest.approx(12.0)
    assert found.columns[0].transfer_seconds == pytest.approx(8.0, rel=1e-6)


def test_present_data_needs_no_route() -> None:
    fleet = b.fleet([b.pool("a", "v100"), b.pool("c", "v100")], [b.link("a", "c")])
    held = b.data_set("d", 3, "a", copies=(Copy("cluster:c", "c"),))
    found = build_columns(b.snapshot(fleet, [b.job("j", [b.option("v100")], data=["d"])], [held]))
    assert [(need.store, need.present) for one in found.columns for need in one.needs] == [
        ("site:a", True),
        ("cluster:c", True),
    ]
    assert not found.routes


def test_a_running_transfer_is_the_only_route_and_keeps_its_rate() -> None:
    fleet = b.fleet([b.pool("a", "v100")], [b.link("edge", "a", 8.0), b.link("near", "a", 80.0)])
    held = b.data_set("d", 10, "edge", "near")
    moving = ActiveTransfer(held.key, "edge", "cluster:a", "a", "a", ("edge->a",), 1e9, b.NOW - 4)
    found = build_columns(
        b.snapshot(fleet, [b.job("j", [b.option("v100")], data=["d"])], [held], transfers=(moving,))
    )
    assert [(one.source_site, one.seconds) for one in found.routes] == [("edge", 6.0)]
    assert found.columns[0].transfer_seconds == pytest.approx(6.0)


def test_growth_hosts_what_the_nodes_do_not() -> None:
    fleet = b.fleet([b.pool("a", "v100", 1, growth=b.growth(2, provision=90.0))])
    jobs = [b.job("small", [b.option("v100", devices=8)]), b.job("wide", [b.option("v100", replicas=3, devices=8)])]
    heads = {one.job.name: one.head_seconds for one in build_columns(b.snapshot(fleet, jobs)).columns}
    assert heads == {"small": 0.0, "wide": 90.0}


def test_taints_count_unless_the_accelerator_tolerates_them() -> None:
    nodes = [b.node("n", taints=[Taint("npu", "yes")])]
    fleet = b.fleet([b.pool("a", "v100", nodes)])
    jobs = [b.job("j", [b.option("v100")])]
    assert reasons(build_columns(b.snapshot(fleet, jobs))) == {"Taint"}
    kind = dataclasses.replace(fleet.accelerators[0], tolerations=(Toleration("npu"),))
    tolerant = dataclasses.replace(fleet, accelerators=(kind,))
    assert len(build_columns(b.snapshot(tolerant, jobs)).columns) == 1
    closed = b.fleet([b.pool("a", "v100", [b.node("n", schedulable=False)])])
    assert reasons(build_columns(b.snapshot(closed, jobs))) == {"NodesUnavailable"}


@pytest.mark.parametrize(
    ("started", "left"),
    [(None, 102.0), (b.NOW - 40, 60.0), (b.NOW - 99, 1.0), (b.NOW - 150, 5.0), (b.NOW + 9, 100.0)],
)
def test_released_jobs_have_one_fixed_column_with_what_remains(started: float | None, left: float) -> None:
    placed = Placed("gone", "gone/v100", "v100x1", (("n", 1),), b.NOW - 200, started, uncertain=True)
    shot = b.snapshot(b.fleet([b.pool("a", "v100")]), [b.job("j", [b.option("v100")], 100, placed=placed)])
    policy = dataclasses.replace(shot.policy, startup_seconds=2.0)
    (column,) = build_columns(dataclasses.replace(shot, policy=policy)).columns
    assert column.fixed
    assert column.length_seconds == pytest.approx(left)


def test_nonsense_numbers_and_duplicates_are_no_reason_to_fail() -> None:
    jobs = [
        b.job(f"j{i}", [b.option("v100", rate)], work, data=["d", "d"])
        for i, (rate, work) in enumerate([(1e-300, 1e300), (1e15, 1e-9), (1e-9, 1e15), (float("nan"), 1), (1, -5)])
    ]
    fleet = b.fleet(
        [b.pool("a", "v100")], [b.link("e", "a", 1e-18), b.link("a", "a"), b.link("e", "a", float("inf"))]
    )
    sets = [b.data_set("d", 1e6, "e"), b.data_set("d", 1e6, "e")]
    found = build_columns(b.snapshot(fleet, [*jobs, *jobs], sets))
    assert len(found.columns) + len(found.inadmissible) == 5
    assert all(one.length_seconds > 0 for one in found.columns)


def test_the_widest_path_breaks_ties_by_hops_latency_and_name() -> None:
    links = [
        b.link("s", "t", 1.0), b.link("s", "m", 1.0), b.link("m", "t", 5.0),
        b.link("s", "u", 2.0, latency_seconds=0.2), b.link("u", "t", 2.0),
        b.link("s", "v", 2.0), b.link("v", "t", 2.0),
    ]  # fmt: skip
    network = Network(b.fleet([b.pool("s", "v100")], links), 1.0)
    sites = frozenset("smtuv")
    path = network.widest("s", "t", sites)
    assert path is not None
    assert [link.name for link in path] == ["s->v", "v->t"]
    assert [link.name for link in network.widest("s", "t", frozenset("smt")) or ()] == ["s->t"]
    assert network.max_flow(frozenset("s"), "t", sites) == pytest.approx(6e9 / 8, rel=1e-6)
    assert network.widest("t", "s", sites) is None
    assert network.max_flow(frozenset("t"), "s", sites) == 0.0


def test_services_keep_their_reasons_too() -> None:
    fleet = b.fleet([b.pool("a", "v100", devices=1)])
    web = b.service("web", [("a", 1.0)], [b.variant("v100", devices=2), b.variant("npu")])
    found = build_columns(b.snapshot(fleet, services=[web]))
    assert {(one.job, one.reason) for one in found.inadmissible} == {
        (Key("team", "web", "InferenceJob"), "PoolTooSmall"),
        (Key("team", "web", "InferenceJob"), "NoPool"),
    }


def test_room_is_counted_per_node() -> None:
    fleet = b.fleet([b.pool("a", "v100", [b.node("n0", 4), b.node("n1", 4)])])
    three = b.option("v100", replicas=2, devices=3, pod=Resources(3, 1000, 1, 0, 1))
    five = b.option("v100", replicas=1, devices=5, pod=Resources(5, 1000, 1, 0, 1), name="five")
    found = build_columns(b.snapshot(fleet, [b.job("j", [three, five])]))
    assert [one.option for one in found.columns] == [three.name]
    assert "5 devices" in found.inadmissible[0].message
