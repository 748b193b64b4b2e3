"""Checkpoints and outputs take room, need storage, and a data set has one writer."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhull.domain.fleet import Storage, StorageKind
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import Checkpoint, Copy, Key, Output, Placed
from polyhull.optimize.build import build_columns
from polyhull.planning.decide import decide
from polyhull.planning.validate import validate
from tests import builders as b

GB = 10**9
VOLUME = Storage(StorageKind.VOLUME)
BUCKET = Storage(StorageKind.BUCKET, url="s3://copies")
WEIGHTS = Key("team", "weights", "DataSet")
INTO = Output(GB, data_set=WEIGHTS)


def reasons(storage: Storage, output: Output | None, saves: Checkpoint | None = None, **data: object) -> set[str]:
    fleet = b.fleet([b.pool("a", "v100")], clusters=[b.cluster("a", storage=storage)])
    job = b.job("j", [b.option("v100")], output=output, checkpoint=saves)
    found = build_columns(b.snapshot(fleet, [job], [b.data_set("weights", 1, **data)]))  # type: ignore[arg-type]
    return {one.reason for one in found.inadmissible}


def test_what_is_written_needs_a_place() -> None:
    assert reasons(VOLUME, Output(GB, True), Checkpoint(GB, None, True)) == set()
    assert reasons(BUCKET, Output(GB), Checkpoint(GB)) == set()
    assert reasons(BUCKET, Output(GB, True)) == {"NeedsVolumeStorage"}
    assert reasons(Storage(), None, Checkpoint(GB, None, True)) == {"NeedsVolumeStorage"}
    assert reasons(Storage(), Output(GB)) == {"NoStorage"}
    assert reasons(Storage(), None, Checkpoint(GB)) == set(), "it may save wherever it likes"
    assert reasons(replace(VOLUME, capacity_bytes=GB), Output(GB), Checkpoint(GB)) == {"StorageFull"}


def test_a_data_set_is_written_once_and_by_one() -> None:
    assert reasons(VOLUME, INTO) == set()
    assert reasons(VOLUME, INTO, copies=(Copy("cluster:a", "a"),)) == {"OutputExists"}
    fleet = b.fleet([b.pool("a", "v100")])
    two = [b.job(name, [b.option("v100")], output=INTO) for name in ("first", "second")]
    plan = decide(b.snapshot(fleet, two, [b.data_set("weights", 1)]))
    assert [one.job.name for one in plan.assignments] == ["first"]
    assert [(one.job.name, one.reason) for one in plan.unplaced] == [("second", "OutputTaken")]


def test_who_reads_what_a_job_is_to_write_waits_for_it_and_then_runs_there() -> None:
    fleet = b.fleet([b.pool("a", "v100"), b.pool("far", "v100")], [b.link("a", "far")])
    reader = b.job("reads", [b.option("v100")], data=["weights"])
    before = decide(b.snapshot(fleet, [reader], [b.data_set("weights", 1)]))
    assert [one.reason for one in before.unplaced] == ["NoReachableReplica"]
    assert "is to write" in before.unplaced[0].message
    after = decide(b.snapshot(fleet, [reader], [b.data_set("weights", 1, copies=(Copy("cluster:a", "a"),))]))
    assert [(one.pool, one.start_seconds) for one in after.assignments] == [("a/v100", 0.0)]
    assert after.transfers == ()


def written(storage: Storage, *replicas: str, streamed: bool = False) -> Snapshot:
    """What a job wrote at `a`, and who reads it runs at `far` alone."""
    clusters = [b.cluster("a", storage=storage), b.cluster("far", storage=replace(BUCKET, url="s3://far"))]
    fleet = b.fleet([b.pool("far", "v100")], [b.link("a", "far")], clusters)
    store = clusters[0].store
    reader = b.job("reads", [b.option("v100")], data=["weights"])
    reader = b.streaming(reader, 4) if streamed else reader
    return b.snapshot(fleet, [reader], [b.data_set("weights", 1, *replicas, copies=(Copy(store, "a"),))])


def test_what_a_job_wrote_into_a_bucket_is_a_source() -> None:
    plan = decide(written(BUCKET))
    assert plan.violations == ()
    (move,) = plan.transfers
    assert (move.source_site, move.source_url, move.links) == ("a", "s3://copies", ("a->far",))
    streams = decide(written(BUCKET, streamed=True))
    assert streams.violations == () and streams.transfers == ()
    assert [(one.source_site, one.links) for one in streams.assignments[0].reads] == [("a", ("a->far",))]


def test_a_claim_is_none_and_a_bucket_only_where_no_replica_can_be_read() -> None:
    (why,) = decide(written(VOLUME)).unplaced
    assert why.reason == "NoReachableReplica" and "in a claim that a job wrote" in why.message
    declared = written(BUCKET, "lonely")
    (why,) = decide(declared).unplaced
    assert "no path of links" in why.message, "who declares replicas says which secrets are there"
    plan = decide(written(BUCKET))
    (move,) = plan.transfers
    for wrong in (replace(move, source_url="s3://other"), replace(move, source_url="")):
        assert "no such replica" in " ".join(validate(written(BUCKET), replace(plan, transfers=(wrong,))))
    assert "no such replica" in " ".join(validate(written(VOLUME), plan))
    streams = decide(written(BUCKET, streamed=True))
    assert "can be read from outside" in " ".join(validate(written(VOLUME, streamed=True), streams))


def test_idle_copies_make_room_for_what_a_job_writes() -> None:
    storage = replace(VOLUME, capacity_bytes=10 * GB)
    fleet = b.fleet([b.pool("a", "v100")], [b.link("home", "a")], [b.cluster("a", storage=storage)])
    idle = b.data_set("idle", 8, "home", copies=(Copy("cluster:a", "a"),))
    job = b.job("j", [b.option("v100")], output=Output(5 * GB))
    plan = decide(b.snapshot(fleet, [job], [idle]))
    assert [one.job.name for one in plan.assignments] == ["j"]
    assert [one.data_set.name for one in plan.evictions] == ["idle"]
    assert plan.violations == ()
    needed = b.job("reader", [b.option("v100")], data=["idle"])
    plan = decide(b.snapshot(fleet, [job, needed], [idle]))
    assert [(one.job.name, one.reason) for one in plan.unplaced] == [("j", "StorageFull")]


@pytest.mark.parametrize("fault", ["store", "twice", "room"])
def test_the_checker_sees_it_too(fault: str) -> None:
    storage = replace(VOLUME, capacity_bytes=3 * GB)
    fleet = b.fleet([b.pool("a", "v100")], clusters=[b.cluster("a", storage=storage)])
    jobs = [b.job(name, [b.option("v100")], output=Output(GB)) for name in ("first", "second")]
    case = b.snapshot(fleet, jobs, [b.data_set("weights", 1)])
    plan = decide(case)
    assert plan.violations == ()
    told, bare = (INTO, Storage()) if fault != "room" else (Output(2 * GB), storage)
    kept = storage if fault != "store" else bare
    worse = replace(
        case,
        fleet=replace(fleet, clusters=(b.cluster("a", storage=kept),)),
        jobs=tuple(replace(one, output=told) for one in case.jobs),
    )
    said = " ".join(validate(worse, plan))
    assert {"store": "has no storage", "twice": "both write", "room": "would hold"}[fault] in said


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), capacity=st.integers(1, 40), size=st.integers(1, 12), placed=st.booleans())
def test_stores_are_never_overfilled(seed: int, capacity: int, size: int, placed: bool) -> None:
    policy = Policy(startup_seconds=1.0, solver=SolverLimits(search_steps=20, exact_jobs=0))
    case = b.random_snapshot(seed, jobs=8, pools=4, policy=policy)
    clusters = tuple(
        replace(one, storage=replace(VOLUME, capacity_bytes=capacity * GB)) for one in case.fleet.clusters
    )
    jobs = [replace(one, output=Output(size * GB) if i % 2 else None) for i, one in enumerate(case.jobs)]
    if placed and jobs[1].options:
        pool = next(one for one in case.fleet.pools if one.accelerator == jobs[1].options[0].accelerator)
        there = Placed(pool.cluster, pool.name, jobs[1].options[0].name, (), b.NOW - 5.0, b.NOW - 5.0)
        jobs[1] = replace(jobs[1], placed=there)
    plan = decide(replace(case, fleet=replace(case.fleet, clusters=clusters), jobs=tuple(jobs)))
    assert plan.violations == ()
    assert plan.lower_bound_seconds <= plan.makespan_seconds * (1 + 1e-9)
