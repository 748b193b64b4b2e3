"""Running jobs that are moved: when that pays, what it takes, and when they stay."""

from dataclasses import replace

import pytest

from polyhull.domain.decision import Decision
from polyhull.domain.fleet import Storage, StorageKind
from polyhull.domain.labels import Selector, labels_of
from polyhull.domain.snapshot import Mode, Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import Checkpoint, Copy, Placed, Resume, TrainingJob
from polyhull.planning.decide import decide, planned
from polyhull.planning.gains import gains
from polyhull.planning.validate import validate
from polyhull.telemetry.values import build, plain
from tests import builders as b

GB = 10**9
BUCKET = Storage(StorageKind.BUCKET, url="s3://copies", secret_name="keys")
POLICY = Policy(startup_seconds=2.0, solver=SolverLimits(search_steps=50), move_running=True)

USEFUL = 1.0 - 7.2 / 100.0
"""Of its time, saving 9 GB at 1.25 GB/s every 100 s; failures are rarer than shows."""


def running(name: str = "long", **changes: object) -> TrainingJob:
    """On the slow pool for half an hour: about 1,600 of its 20,000 units are done, 100 s of that not saved yet."""
    placed = Placed("edge", "edge/k80", "k80x1", (("edge-k80-0", 1),), b.NOW - 1810.0, b.NOW - 1800.0)
    values = {"checkpoint": Checkpoint(9 * GB, 100.0), "placed": placed, **changes}
    return b.job(name, [b.option("k80", 1.0), b.option("v100", 4.0)], work=20_000.0, **values)  # type: ignore[arg-type]


def world(
    *jobs: TrainingJob, policy: Policy = POLICY, edge: Storage = BUCKET, fast: int = 1, gigabits: float = 10.0
) -> Snapshot:
    """A slow edge, a fast cloud with `fast` devices."""
    fleet = b.fleet(
        [b.pool("edge", "k80", 1, 2), b.pool("cloud", "v100", 1, fast)],
        [b.link("edge", "cloud", gigabits)],
        [b.cluster("edge", storage=edge), b.cluster("cloud", storage=BUCKET)],
    )
    return b.snapshot(fleet, jobs, policy=policy)


def stays(plan: Decision, name: str = "long") -> str:
    """Why a running job stays."""
    assert plan.moves == () and plan.violations == ()
    (one,) = [one for one in plan.assignments if one.job.name == name]
    assert one.fixed
    return one.explanation.binds


def test_a_long_job_on_a_slow_pool_moves_to_the_fast_one() -> None:
    plan = decide(world(running()))
    (move,), (placed,), (carried,) = plan.moves, plan.assignments, plan.transfers
    assert plan.violations == ()
    assert (move.from_pool, move.to_pool, move.to_option) == ("edge/k80", "cloud/v100", "v100x1")
    assert move.checkpoint_bytes == carried.transfer_bytes == 9 * GB
    assert move.lost_seconds == 100.0 and move.work_done == pytest.approx(1700.0 * USEFUL)
    assert move.stores == (Copy("site:edge", "edge"),) and move.moves == 1
    assert not placed.fixed and placed.start_seconds == pytest.approx(30.0 + 2.0 + 8.0)
    assert placed.end_seconds == pytest.approx(40.0 + 2.0 + (20_000 - move.work_done) / 4.0 / USEFUL, rel=1e-3)
    assert move.gain_seconds > 13_000.0
    assert "sooner: its checkpoint of 9 GB is there, over link edge->cloud, 40 s from now" in move.why
    assert placed.explanation.binds.startswith(move.why)
    assert placed.promise is not None
    assert (placed.promise.moved_at, placed.promise.left) == (b.NOW, ("edge/k80", "k80x1"))
    assert 0.0 < plan.lower_bound_seconds <= plan.makespan_seconds
    assert plan.solver.status.endswith(", 1 running job moved")


def test_unless_the_policy_allows_it_nobody_moves_and_nothing_is_said() -> None:
    plain = decide(world(running(), policy=replace(POLICY, move_running=False)))
    assert "stays where it is." in stays(plain)
    assert plain == planned(world(running(), policy=replace(POLICY, move_running=False))).decision


def test_a_checkpoint_that_is_too_big_keeps_it_where_it_is() -> None:
    plan = decide(world(running(checkpoint=Checkpoint(200 * GB, 10_000.0)), gigabits=0.1))
    assert "moving to cloud/v100 would end" in stays(plan)
    assert "later (checkpoint 200 GB over link edge->cloud: 4 h 56 min; up to 30 min 00 s of work" in stays(plan)


def placed_at(**changes: object) -> TrainingJob:
    job = running()
    assert job.placed is not None
    return replace(job, placed=replace(job.placed, **changes))  # type: ignore[arg-type]


BACK = Resume(10.0, "cloud", "cloud/v100", "v100x1", (Copy("site:edge", "edge"),), b.NOW - 2000.0)


@pytest.mark.parametrize(
    ("job", "says"),
    [
        (running(checkpoint=None), "saves no checkpoint"),
        (placed_at(started_at=None), "has not begun"),
        (placed_at(started_at=b.NOW - 60.0), "less than 600 s ago"),
        (placed_at(started_at=b.NOW - 30_000.0), "should have ended"),
        (placed_at(uncertain=True), "does not answer"),
        (placed_at(option="gone"), "cannot be told"),
        (running(resume=replace(BACK, stopped_at=b.NOW - 300.0)), "moved less than 600 s ago"),
        (running(resume=BACK), "it came from cloud/v100 and does not go straight back"),
        (running(site_selector=Selector(labels_of({"is": "edge"}))), "nowhere else"),
    ],
)
def test_in_doubt_it_stays(job: TrainingJob, says: str) -> None:
    assert says in stays(decide(world(job)))


def test_a_claim_is_not_read_from_elsewhere() -> None:
    said = stays(decide(world(running(), edge=Storage(StorageKind.VOLUME))))
    assert "only read inside its cluster" in said


def test_never_in_observe_and_as_part_of_the_plan_in_recommend() -> None:
    assert "stays" in stays(decide(world(running(), policy=replace(POLICY, mode=Mode.OBSERVE))))
    assert decide(world(running(), policy=replace(POLICY, mode=Mode.RECOMMEND))).moves != ()


def two() -> tuple[TrainingJob, TrainingJob]:
    return running("a"), running("b")


def test_no_more_than_the_budget_are_on_their_way() -> None:
    assert len(decide(world(*two(), fast=2)).moves) == 0, "the other one would end as late as ever"
    both = replace(POLICY, running_move_budget=2)
    assert [move.job.name for move in decide(world(*two(), fast=2, policy=both)).moves] == ["a", "b"]
    on_its_way = running("c", placed=None, resume=replace(BACK, cluster="edge", pool="edge/k80", option="k80x1"))
    plan = decide(world(running(), on_its_way, fast=2))
    assert "on their way already" in stays(plan)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"work_done": 1701.0}, "is said to have saved 1701.0 units of work"),
        ({"checkpoint_bytes": 0}, "0 bytes of TrainingJob/team/long are said to be carried, 9000000000 are"),
        ({"from_pool": "edge/other"}, "does not run at edge/other"),
        ({"to_pool": "edge/k80"}, "is planned otherwise"),
        ({"stores": (Copy("site:cloud", "cloud"),)}, "its checkpoint is not where it ran"),
        ({"moves": 2}, "is not moved for the 2th time"),
    ],
)
def test_the_checker_believes_nothing_of_a_move(change: dict[str, object], says: str) -> None:
    given = world(running())
    plan = decide(given)
    wrong = replace(plan, moves=(replace(plan.moves[0], **change),))  # type: ignore[arg-type]
    assert says in " ".join(validate(given, wrong))


@pytest.mark.parametrize(
    ("job", "policy", "says"),
    [
        (running(), replace(POLICY, move_running=False), "which the policy does not allow"),
        (running(), replace(POLICY, mode=Mode.OBSERVE), "which the policy does not allow"),
        (running(), replace(POLICY, running_move_budget=0), "running jobs are moved beside 0 on their way, of 0"),
        (running(), replace(POLICY, cool_down_seconds=9000.0), "began or was moved less than 9000.0 s ago"),
        (running(resume=BACK), POLICY, "straight back to cloud/v100"),
        (running(checkpoint=None), POLICY, "saves no checkpoint"),
        (placed_at(uncertain=True), POLICY, "which does not answer"),
        (placed_at(started_at=None), POLICY, "before it runs"),
    ],
)
def test_the_checker_asks_whether_it_may_be_moved(job: TrainingJob, policy: Policy, says: str) -> None:
    plan = decide(world(running()))
    assert says in " ".join(validate(world(job, policy=policy), plan))


def test_the_checker_wants_every_moved_job_moved() -> None:
    given = world(running())
    plan = decide(given)
    assert "must stay there" in " ".join(validate(given, replace(plan, moves=())))
    early = replace(plan.assignments[0], start_seconds=20.0, end_seconds=plan.assignments[0].end_seconds - 20.0)
    said = " ".join(validate(given, replace(plan, assignments=(early,), makespan_seconds=early.end_seconds)))
    assert "while its pods end until 30.0 s" in said


def test_every_level_behind_the_makespan_is_without_a_bound() -> None:
    """What stays and what moves is one class for the makespan only."""
    policy = replace(POLICY, objective=("Makespan", "WeightedCompletion"))
    plan = decide(world(running(), policy=policy))
    assert plan.moves != ()
    assert [level.bound is None for level in plan.levels] == [False, True]
    assert plan.levels[0].bound == plan.lower_bound_seconds


def test_a_plan_that_moves_gains_over_one_that_does_not_by_the_makespan() -> None:
    policy = replace(POLICY, objective=("Makespan", "WeightedCompletion"))
    given = world(running(), b.job("short", [b.option("k80", 1.0)], work=10.0), policy=policy)
    stay, move = planned(given).decision, decide(given)
    assert move.moves != ()
    assert gains(stay, move) and not gains(move, stay)


def test_it_is_the_same_whatever_order_things_come_in_and_a_record_brings_it_back() -> None:
    given = world(*two(), fast=2, policy=replace(POLICY, running_move_budget=2))
    plan = decide(given)
    assert (
        decide(replace(given, jobs=given.jobs[::-1], fleet=replace(given.fleet, pools=given.fleet.pools[::-1])))
        == plan
    )
    assert build(Decision, plain(plan)) == plan and build(Snapshot, plain(given)) == given
