"""Jobs that were stopped to be moved wait for what is left of them, and for their checkpoint."""

from dataclasses import replace

import pytest

from polyhull.domain.fleet import Storage, StorageKind
from polyhull.domain.labels import Selector, labels_of
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import ActiveTransfer, Checkpoint, Copy, Key, Resume, TrainingJob
from polyhull.optimize.build import build_columns
from polyhull.optimize.resumed import resumed
from polyhull.planning.canonical import canonical
from polyhull.planning.decide import decide
from polyhull.planning.validate import validate
from tests import builders as b

GB = 10**9
BUCKET = Storage(StorageKind.BUCKET, url="s3://copies", secret_name="keys")
CHECKPOINT = Key("team", "j", "Checkpoint")
POLICY = Policy(startup_seconds=2.0, solver=SolverLimits(search_steps=50))


def stopped(**changes: object) -> TrainingJob:
    """500 of its 1,000 units are in a checkpoint of 9 GB at a."""
    left = Resume(500.0, "a", "a/v100", "v100x1", (Copy("site:a", "a"),), b.NOW - 60.0)
    values: dict[str, object] = {"checkpoint": Checkpoint(9 * GB, 600.0), "resume": left, **changes}
    return b.job("j", [b.option("v100")], work=1000.0, **values)  # type: ignore[arg-type]


def world(job: TrainingJob, *, storage: Storage = BUCKET, **changes: object) -> Snapshot:
    """Nothing is left at a; b has room, 0.9 GB/s away."""
    fleet = b.fleet(
        [b.pool("a", "v100", 0), b.pool("b", "v100")],
        [b.link("a", "b", 8.0)],
        [b.cluster("a", storage=BUCKET), b.cluster("b", storage=storage)],
    )
    return replace(b.snapshot(fleet, [job], policy=POLICY), **changes)  # type: ignore[arg-type]


def test_its_checkpoint_goes_over_the_link_and_the_rest_is_done_there() -> None:
    plan = decide(world(stopped()))
    (moved,), (placed,) = plan.transfers, plan.assignments
    assert (moved.data_set, moved.source_site, moved.store) == (CHECKPOINT, "a", "site:b")
    assert (moved.source_url, moved.links, moved.transfer_bytes) == ("s3://copies", ("a->b",), 9 * GB)
    assert moved.end_seconds == pytest.approx(2.0 + 10.0)
    assert placed.data == ((CHECKPOINT, "site:b"),)
    assert placed.start_seconds == pytest.approx(12.0)
    useful = placed.end_seconds - placed.start_seconds - 2.0
    assert 500.0 < useful < 520.0, "what is left, and what saving it takes"
    assert plan.violations == ()
    assert placed.end_seconds >= plan.lower_bound_seconds > 500.0


def test_what_is_there_already_is_not_carried() -> None:
    job = stopped()
    assert job.resume is not None
    there = replace(job, resume=replace(job.resume, stores=(Copy("site:a", "a"), Copy("site:b", "b"))))
    plan = decide(world(there))
    assert plan.transfers == () and plan.violations == ()
    assert plan.assignments[0].start_seconds == 0.0


def test_a_transfer_that_runs_goes_on() -> None:
    way = ActiveTransfer(CHECKPOINT, "a", "site:b", "b", "b", ("a->b",), 0.9e9, b.NOW - 7.0)
    plan = decide(world(stopped(), transfers=(way,)))
    assert [one.active for one in plan.transfers] == [True]
    assert plan.assignments[0].start_seconds == pytest.approx(5.0)
    assert plan.violations == ()


@pytest.mark.parametrize(
    ("store", "storage", "says"),
    [
        (Copy("cluster:a", "a"), BUCKET, "only read inside its cluster"),
        (Copy("site:a", "a"), Storage(StorageKind.VOLUME), "keeps none in a bucket"),
        (Copy("site:a", "a"), Storage(), "keeps none in a bucket"),
    ],
)
def test_it_goes_from_bucket_to_bucket_only(store: Copy, storage: Storage, says: str) -> None:
    job = stopped()
    assert job.resume is not None
    job = replace(job, resume=replace(job.resume, stores=(store,)))
    plan = decide(world(job, storage=storage))
    assert [one.reason for one in plan.unplaced] == ["CheckpointStays"]
    assert says in plan.unplaced[0].message


def test_a_claim_is_read_where_it_is() -> None:
    fleet = b.fleet([b.pool("a", "v100")])
    job = stopped()
    assert job.resume is not None
    job = replace(job, resume=replace(job.resume, stores=(Copy("cluster:a", "a"),)))
    plan = decide(b.snapshot(fleet, [job], policy=POLICY))
    assert plan.assignments[0].data == ((CHECKPOINT, "cluster:a"),)
    assert plan.transfers == () and plan.violations == ()


def test_residency_of_what_it_reads_binds_its_checkpoint() -> None:
    inside = Selector(labels_of({"region": "eu"}))
    given = world(stopped(data=["faces"]))
    fleet = replace(given.fleet, sites=(b.site("a", region="eu"), b.site("b", region="us")))
    faces = b.data_set("faces", 1, "a", residency=inside)
    known = replace(given, fleet=fleet, data_sets=(faces,))
    (made,) = [data for data in resumed(known).data_sets if data.key == CHECKPOINT]
    assert made.residency == inside
    assert {one.reason for one in build_columns(canonical(known)).inadmissible} >= {"Residency"}


def leaving() -> Snapshot:
    """Its pods end for 20 s more on the only node of a; somebody else waits for that node."""
    job = stopped()
    assert job.resume is not None
    node = b.node("a-v100-0", 1)
    job = replace(job, resume=replace(job.resume, nodes=((node.name, 1),), free_at=b.NOW + 20.0))
    other = b.job("other", [b.option("v100")], site_selector=Selector(labels_of({"here": "yes"})))
    given = world(job)
    pools = (b.pool("a", "v100", [node]), b.pool("b", "v100"))
    fleet = replace(given.fleet, pools=pools, sites=(b.site("a", here="yes"), b.site("b")))
    return replace(given, fleet=fleet, jobs=(job, other))


def test_nobody_gets_its_devices_and_it_starts_nowhere_before_its_pods_are_gone() -> None:
    given = leaving()
    plan = decide(given)
    ends = {one.job.name: one for one in plan.assignments}
    assert ends["other"].start_seconds == pytest.approx(20.0)
    assert plan.transfers[0].end_seconds == pytest.approx(20.0 + 2.0 + 10.0)
    assert ends["j"].start_seconds == pytest.approx(32.0)
    assert plan.violations == ()


@pytest.mark.parametrize(("name", "by", "says"), [("j", -25.0, "while its pods end"), ("other", -5.0, "holds 2 dev")])
def test_the_checker_sees_what_is_still_held(name: str, by: float, says: str) -> None:
    given = leaving()
    plan = decide(given)
    wrong = tuple(
        replace(one, start_seconds=one.start_seconds + by, end_seconds=one.end_seconds + by)
        if one.job.name == name
        else one
        for one in plan.assignments
    )
    said = " ".join(validate(given, replace(plan, assignments=wrong)))
    assert says in said


def test_the_checker_makes_its_own_checkpoints() -> None:
    given = world(stopped())
    plan = decide(given)
    assert validate(given, plan) == ()
    sooner = replace(plan.transfers[0], end_seconds=5.0)
    assert "is the earliest" in " ".join(validate(given, replace(plan, transfers=(sooner,))))
    assert "without" in " ".join(validate(given, replace(plan, transfers=())))
    less = replace(plan, transfers=(replace(plan.transfers[0], transfer_bytes=1),))
    assert "moves 1 bytes" in " ".join(validate(given, less))


def test_checkpoints_take_room_where_they_were_left() -> None:
    small = replace(BUCKET, capacity_bytes=10 * GB)
    given = world(stopped(), storage=small)
    fleet = replace(given.fleet, clusters=(b.cluster("a", storage=small), b.cluster("b", storage=small)))
    assert decide(replace(given, fleet=fleet)).unplaced == ()
    writer = b.job("w", [b.option("v100")], checkpoint=Checkpoint(9 * GB, 600.0), priority=1)
    both = replace(given, fleet=fleet, jobs=(stopped(), writer))
    plan = decide(both)
    assert [one.job.name for one in plan.unplaced] == ["j"]
    assert "StorageFull" in plan.unplaced[0].message
    assert plan.violations == ()


def test_the_same_whether_its_checkpoint_was_made_before() -> None:
    given = world(stopped())
    assert decide(canonical(given)) == decide(given)
    assert canonical(canonical(given)) == canonical(given)
