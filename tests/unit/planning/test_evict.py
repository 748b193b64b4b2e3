"""Copies that make room: only idle ones, only as many as needed, the least valuable first, and checked."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from polyhull.cli import show
from polyhull.domain.decision import Decision, Eviction
from polyhull.domain.fleet import Cluster, Storage, StorageKind
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Copy, DataSet
from polyhull.optimize.stores import idle_copies
from polyhull.planning.decide import decide
from polyhull.planning.report import document
from polyhull.planning.validate import validate
from tests.builders import cluster, data_set, fleet, job, key, link, option, pool, service, snapshot, variant

STORE = "cluster:cloud"
GB = 10**9


def volume(gigabytes: int) -> Cluster:
    return cluster("cloud", storage=Storage(StorageKind.VOLUME, "standard", capacity_bytes=gigabytes * GB))


def copied(name: str, gigabytes: float, *homes: str) -> DataSet:
    return data_set(name, gigabytes, *homes, copies=(Copy(STORE, "cloud"),))


def world(*held: DataSet, capacity: int = 10, **changes: object) -> Snapshot:
    """A job at `cloud` that needs 4 GB from `edge`; `held` are copies at `cloud`."""
    where = fleet(
        [pool("cloud", "v100")],
        [link("edge", "cloud", 1.0), link("far", "cloud", 0.1)],
        [volume(capacity), cluster("edge"), cluster("far")],
    )
    return snapshot(
        where, [job("learn", [option("v100")], data=["wanted"])], [data_set("wanted", 4, "edge"), *held], **changes
    )  # type: ignore[arg-type]


def gone(decision: Decision) -> list[str]:
    assert decision.violations == ()
    return [one.data_set.name for one in decision.evictions]


def test_nothing_goes_while_there_is_room() -> None:
    assert gone(decide(world(copied("old", 6, "edge")))) == []


def test_an_idle_copy_makes_room() -> None:
    decision = decide(world(copied("old", 7, "edge")))
    assert gone(decision) == ["old"]
    assert [one.data_set.name for one in decision.transfers] == ["wanted"]
    assert not decision.unplaced


def test_what_comes_back_slowly_is_kept_longest() -> None:
    assert gone(decide(world(copied("near", 4, "edge"), copied("slow", 4, "far")))) == ["near"]


def test_no_more_goes_than_must() -> None:
    """The small one is considered first (its way back is faster), and is not needed beside the large one."""
    held = (copied("a-small", 1, "edge", "far"), copied("large", 8, "edge"))
    assert gone(decide(world(*held))) == ["large"]


def test_the_document_and_the_table_name_what_goes() -> None:
    decision = decide(world(copied("old", 7, "edge")))
    assert document(decision)["evictions"] == [
        {"dataSet": {"kind": "DataSet", "namespace": "team", "name": "old"}, "store": STORE, "freedBytes": 7 * GB}
    ]
    console = Console(width=200, record=True, file=StringIO())
    console.print(*show.decision(decision))
    assert f"evicted     team/old: nobody reads it, it makes room of 7 GB in {STORE}" in console.export_text()


def test_a_copy_without_another_home_stays() -> None:
    lost = replace(copied("only", 8), replicas=())
    decision = decide(world(lost))
    assert gone(decision) == []
    assert [one.reason for one in decision.unplaced] == ["NoCapacity"]


def test_a_copy_that_somebody_reads_stays() -> None:
    old = copied("old", 7, "edge")
    base = world(old)
    for changed in (
        replace(base, jobs=(*base.jobs, job("other", [option("v100")], data=["old"]))),
        replace(base, services=(service("s", [("cloud", 1.0)], [variant("v100", model="old")]),)),
    ):
        assert idle_copies(changed) == ()
        assert decide(changed).evictions == ()


def test_a_bucket_is_not_evicted() -> None:
    base = world(copied("old", 7, "edge"))
    bucket = cluster("cloud", storage=Storage(StorageKind.BUCKET, url="s3://b", capacity_bytes=10 * GB))
    others = [one for one in base.fleet.clusters if one.name != "cloud"]
    held = replace(copied("old", 7, "edge"), copies=(Copy("site:cloud", "cloud"),))
    changed = replace(
        base,
        fleet=replace(base.fleet, clusters=tuple(sorted([bucket, *others], key=lambda one: one.name))),
        data_sets=tuple(
            sorted([*(one for one in base.data_sets if one.key != held.key), held], key=lambda one: one.key)
        ),
    )
    assert idle_copies(changed) == ()


@pytest.mark.parametrize(
    ("eviction", "says"),
    [
        (Eviction(key("wanted", "DataSet"), STORE, 4 * GB), "where it has no copy"),
        (Eviction(key("nobody", "DataSet"), STORE, 4 * GB), "where it has no copy"),
        (None, "would hold 11000000000 bytes of 10000000000 now"),
    ],
)
def test_the_checker_says_what_is_wrong(eviction: Eviction | None, says: str) -> None:
    given = world(copied("old", 7, "edge"))
    decision = replace(decide(given), evictions=() if eviction is None else (eviction,))
    assert any(says in sentence for sentence in validate(given, decision))


def test_the_checker_keeps_what_is_read() -> None:
    given = world(copied("old", 7, "edge"))
    read = replace(given, jobs=(*given.jobs, job("other", [option("v100")], data=["old"])))
    assert any("still read" in sentence for sentence in validate(read, decide(given)))
