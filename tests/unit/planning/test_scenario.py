"""What-ifs: every change does what it says and nothing else, bad ones name their field, differences are true."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhull.domain.difference import Fate
from polyhull.domain.errors import InvalidInput
from polyhull.domain.scenario import (
    AddCopy,
    AddDevices,
    AddNodes,
    Change,
    LoseCluster,
    RemoveJob,
    ResizePool,
    SetDeviceLimit,
    SetLink,
    SetPriority,
    SubmitJob,
)
from polyhull.domain.snapshot import DeviceLimit, Snapshot
from polyhull.domain.workloads import Copy, Placed
from polyhull.planning.decide import decide
from polyhull.planning.scenario import changed
from polyhull.planning.whatif import what_if
from polyhull.planning.wording import words
from tests.builders import NOW, data_set, fleet, job, key, link, option, pool, random_snapshot, room, snapshot


def two_sites(*more: object) -> Snapshot:
    """Data at a, fast devices at b: 8 Gbit of data over 1 Gbit/s."""
    where = fleet([pool("a", "npu", 1), pool("b", "v100", 1)], [link("a", "b", 1.0)])
    jobs = [job(name, [option("v100", 1.0, devices=8)], 100.0, ["d"]) for name in ("one", "two")]
    return snapshot(where, jobs, [data_set("d", 1, "a")])


def asked(case: Snapshot, *changes: Change) -> tuple[float, float, dict[str, Fate]]:
    found, _ = what_if(case, changes)
    fates = {one.job.name: one.fate for one in found.jobs}
    return found.before.makespan_seconds, found.after.makespan_seconds, fates


def test_no_real_change_is_no_difference() -> None:
    case = random_snapshot(3, 25, 6, 3)
    bandwidth = case.fleet.links[0].bandwidth_bits_per_second
    same = SetLink(case.fleet.links[0].source, case.fleet.links[0].target, bandwidth)
    found, then = what_if(case, [same])
    assert found.jobs == ()
    assert found.before == found.after
    assert then.violations == ()


def test_one_more_node_runs_both_at_once() -> None:
    before, after, fates = asked(two_sites(), AddNodes("b/v100", 1))
    assert (before, after) == (pytest.approx(208.0), pytest.approx(108.0))
    assert list(fates.values()) == [Fate.EARLIER]


def test_devices_join_the_pool_of_their_kind_or_make_one() -> None:
    case = two_sites()
    assert asked(case, AddDevices("b", "v100", 8))[1] == pytest.approx(108.0)
    more = changed(case, [AddDevices("b", "v100", 12)]).fleet.pool("b/v100")
    assert more is not None and [node.free.devices for node in more.nodes] == [8, 8, 4]
    new = changed(case, [AddDevices("a", "v100", 16, room(8))]).fleet.pool("a/v100")
    assert new is not None and (new.site, len(new.nodes)) == ("a", 2)
    assert asked(case, AddDevices("a", "v100", 8, room(8)))[1] == pytest.approx(108.0)


def test_a_link_gets_faster_is_added_and_goes() -> None:
    assert asked(two_sites(), SetLink("a", "b", 8e9))[1] == pytest.approx(201.0)
    before, after, fates = asked(two_sites(), SetLink("a", "b", 0.0))
    assert (before, after) == (pytest.approx(208.0), 0.0)
    assert set(fates.values()) == {Fate.UNPLACED}
    without = changed(two_sites(), [SetLink("a", "b", 0.0)])
    assert asked(without, SetLink("a", "b", 1e9))[2] == {"one": Fate.PLACED, "two": Fate.PLACED}


def test_a_copy_saves_the_transfer() -> None:
    assert asked(two_sites(), AddCopy(key("d", "DataSet"), "b"))[1] == pytest.approx(200.0)


def test_jobs_come_and_go() -> None:
    case = two_sites()
    _, after, fates = asked(case, RemoveJob(key("two")))
    assert (after, fates) == (pytest.approx(108.0), {"two": Fate.REMOVED})
    more = job("three", [option("npu", 1.0)], 500.0)
    assert asked(case, SubmitJob(more))[1:] == (pytest.approx(500.0), {"three": Fate.ADDED})


def test_another_device_limit() -> None:
    case = two_sites()
    limited = replace(case.policy, device_limits=(DeviceLimit("team", "v100", 4, ("team",)),))
    before, after, fates = asked(replace(case, policy=limited), SetDeviceLimit("team", "v100", 8))
    assert (before, after) == (0.0, pytest.approx(208.0))
    assert set(fates.values()) == {Fate.PLACED}


def test_a_higher_tier_goes_first() -> None:
    case = two_sites()
    second = max(decide(case).assignments, key=lambda one: one.end_seconds).job
    found, _ = what_if(case, [SetPriority(second, 1)])
    assert {one.job: one.fate for one in found.jobs}[second] is Fate.EARLIER
    assert found.after.makespan_seconds == found.before.makespan_seconds


def test_a_lost_cluster_takes_its_nodes_its_copies_and_what_ran_there() -> None:
    case = two_sites()
    running = Placed("b", "b/v100", "v100x8", (("b-v100-0", 1),), NOW - 50.0, NOW - 50.0)
    jobs = (replace(case.jobs[0], placed=running), case.jobs[1])
    sets = (replace(case.data_sets[0], copies=(Copy("cluster:b", "b"),)),)
    lost = changed(replace(case, jobs=jobs, data_sets=sets), [LoseCluster("b")])
    assert [one.name for one in lost.fleet.clusters] == ["a"]
    assert [one.name for one in lost.fleet.pools] == ["a/npu"]
    assert lost.jobs[0].placed is None
    assert lost.data_sets[0].copies == ()
    assert len(lost.fleet.links) == 1
    assert asked(replace(case, jobs=jobs), LoseCluster("b"))[2] == {"one": Fate.UNPLACED, "two": Fate.UNPLACED}


def test_a_smaller_pool_loses_its_emptiest_nodes_first() -> None:
    case = two_sites()
    three = changed(case, [AddNodes("b/v100", 2)])
    running = Placed("b", "b/v100", "v100x8", (("b-v100-0", 1),), NOW - 50.0, NOW - 50.0)
    three = replace(three, jobs=(replace(three.jobs[0], placed=running), three.jobs[1]))
    one = changed(three, [ResizePool("b/v100", 1)])
    left = one.fleet.pool("b/v100")
    assert left is not None and [node.name for node in left.nodes] == ["b-v100-0"]
    assert one.jobs[0].placed == running
    assert changed(three, [ResizePool("b/v100", 0)]).jobs[0].placed is None


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        (AddNodes("b/v10", 1), "addNodes.pool", "b/v100"),
        (AddNodes("b/v100", 10**9), "addNodes.nodes", "at most"),
        (AddDevices("z", "v100", 1), "addDevices.cluster", "there is no MemberCluster z"),
        (AddDevices("a", "h900", 1), "addDevices.accelerator", "there is no AcceleratorType h900"),
        (AddDevices("a", "v100", 1), "addDevices.capacity", "write the cpu and memory"),
        (ResizePool("nowhere/x", 1), "resizePool.pool", "there is no pool nowhere/x"),
        (SetLink("a", "z", 1e9), "setLink.to", "there is no Site z"),
        (SetLink("a", "a", 1e9), "setLink.to", "two sites"),
        (SetLink("b", "a", 0.0), "setLink", "to take away"),
        (LoseCluster("z"), "loseCluster.cluster", "there is no MemberCluster z"),
        (RemoveJob(key("on")), "removeJob.name", "one"),
        (SetPriority(key("none"), 3), "setPriority.name", "there is no TrainingJob"),
        (SetDeviceLimit("team", "h100", 8), "setDeviceLimit", "there is no device limit team/h100"),
        (AddCopy(key("x", "DataSet"), "b"), "addCopy.name", "there is no DataSet x"),
        (AddCopy(key("d", "DataSet"), "z"), "addCopy.site", "there is no Site z"),
        (SubmitJob(job("one", [option("v100")])), "submitJob.name", "already"),
        (SubmitJob(job("new", [option("v100")], data=["x"])), "submitJob.data[0].dataSetRef", "no usable DataSet x"),
    ],
)
def test_what_cannot_be_made_names_its_field(change: Change, field: str, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        changed(two_sites(), [RemoveJob(key("two")), change], "PlacementScenario x")
    assert str(caught.value).startswith(f"PlacementScenario x: spec.changes[1].{field}: ")
    assert says in str(caught.value)


def all_changes(case: Snapshot) -> Sequence[Change]:
    first = case.fleet.links[0]
    return [
        AddNodes(case.fleet.pools[0].name, 2),
        AddDevices(case.fleet.clusters[0].name, case.fleet.pools[0].accelerator, 3, room(2)),
        ResizePool(case.fleet.pools[-1].name, 0),
        SetLink(first.source, first.target, 3.3e9),
        SetLink(first.source, first.target, 0.0),
        LoseCluster(case.fleet.clusters[-1].name),
        RemoveJob(case.jobs[0].key),
        SetPriority(case.jobs[-1].key, 7),
        AddCopy(case.data_sets[0].key, case.fleet.sites[0].name),
        SubmitJob(job("fresh", [option("v100")], 1000.0)),
    ]


@given(seed=st.integers(0, 10**6), which=st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_any_change_gives_a_plan_that_the_checker_takes(seed: int, which: int) -> None:
    case = random_snapshot(seed, 8, 4, 3)
    change = all_changes(case)[which]
    found, then = what_if(case, [change])
    assert then.violations == ()
    assert found.changes == (words(change, case),)
    told = {one.job for one in found.jobs}
    everyone = {one.key for one in case.jobs} | {key("fresh")}
    assert told <= everyone


@given(seed=st.integers(0, 10**6))
@settings(max_examples=8, deadline=None)
def test_more_of_something_is_never_told_to_make_everything_later(seed: int) -> None:
    """A plan may get worse where order meets capacity; carrying today's plan over keeps that rare and small."""
    case = random_snapshot(seed, 10, 4, 3)
    first = case.fleet.links[0]
    for change in (AddNodes(case.fleet.pools[0].name, 1), SetLink(first.source, first.target, 1e12)):
        found, _ = what_if(case, [change])
        most = found.before.makespan_seconds * (1.0 + case.policy.minimum_gain)
        assert found.after.makespan_seconds <= most + 1.0
