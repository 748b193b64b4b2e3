"""Data read while computing: the bound's and the executed length, links shared in time, and what the checker says."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhull.domain.decision import Assignment, Decision
from polyhull.domain.labels import Selector
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import Copy, Placed, TrainingJob
from polyhull.optimize.streams import Read, Streams, paced
from polyhull.planning.decide import decide, quick
from polyhull.planning.validate import validate
from tests.builders import (
    NOW,
    data_set,
    fleet,
    job,
    key,
    link,
    option,
    pool,
    service,
    site,
    snapshot,
    streaming,
    variant,
)

GB = 10**9
SECONDS_PER_GB = 8.0
"""Over a link of 1 Gbit/s."""


def reader(
    name: str, work: float = 100.0, chunks: int | None = 10, data: str = "images", **changes: object
) -> TrainingJob:
    return streaming(job(name, [option("v100")], work, [data], **changes), chunks)


def world(*jobs: TrainingJob, gigabytes: float = 5.0, startup: float = 0.0, **changes: object) -> Snapshot:
    """A GPU pool at `cloud`, data at `edge`, 1 Gbit/s in between."""
    where = fleet([pool("cloud", "v100", 4)], [link("edge", "cloud"), link("cloud", "edge")])
    policy = Policy(startup_seconds=startup, bandwidth_margin=1.0, solver=SolverLimits(search_steps=50))
    return snapshot(where, jobs, [data_set("images", gigabytes, "edge")], policy=policy, **changes)  # type: ignore[arg-type]


def planned(given: Snapshot) -> Decision:
    decision = decide(given)
    assert decision.violations == ()
    return decision


def only(decision: Decision) -> Assignment:
    (one,) = decision.assignments
    return one


def test_computing_hides_reading_but_for_one_chunk() -> None:
    """40 s of reading behind 100 s of computing in ten chunks: paced over 100 s, then the last chunk's 10 s."""
    decision = planned(world(reader("learn")))
    one = only(decision)
    (read,) = one.reads
    assert decision.transfers == ()
    assert (one.start_seconds, one.end_seconds) == (0.0, pytest.approx(110.0))
    assert (read.start_seconds, read.end_seconds) == (0.0, pytest.approx(100.0))
    assert read.rate_bytes_per_second == pytest.approx(5 * GB / 100.0)
    # At best the first chunk comes at full speed: 0.9 * 100 + (100 + 40) / 10.
    assert decision.lower_bound_seconds <= 104.0 + 1e-6
    assert decision.lower_bound_seconds >= 103.0


def test_reading_that_takes_longer_than_computing_sets_the_pace() -> None:
    one = only(planned(world(reader("learn", work=20.0), gigabytes=10.0)))
    assert one.end_seconds == pytest.approx(80.0 + 2.0)
    assert one.reads[0].rate_bytes_per_second == pytest.approx(GB / SECONDS_PER_GB)


def test_a_single_chunk_is_reading_and_then_computing() -> None:
    assert only(planned(world(reader("learn", chunks=1, work=30.0)))).end_seconds == pytest.approx(40.0 + 30.0)


def test_the_policy_says_how_many_chunks_where_the_job_does_not() -> None:
    base = world(reader("learn", chunks=None), reader("own", chunks=5))
    decision = planned(replace(base, policy=replace(base.policy, overlap_chunks=20)))
    ends = {one.job.name: one.end_seconds for one in decision.assignments}
    assert ends == {"learn": pytest.approx(105.0), "own": pytest.approx(120.0)}
    cut_finer = replace(
        decision,
        assignments=tuple(replace(one, end_seconds=one.end_seconds - 1.0) for one in decision.assignments),
    )
    assert any("by its rate" in said for said in validate(base, cut_finer))


def test_reading_begins_after_the_start_up() -> None:
    one = only(planned(world(reader("learn"), startup=7.0)))
    assert one.reads[0].start_seconds == pytest.approx(7.0)
    assert one.end_seconds == pytest.approx(117.0)


def test_two_that_fill_a_link_take_turns_and_two_that_do_not_share_it() -> None:
    full = planned(world(reader("a", work=10.0), reader("b", work=10.0)))
    assert sorted(one.end_seconds for one in full.assignments) == [pytest.approx(41.0), pytest.approx(81.0)]
    assert full.lower_bound_seconds >= 80.0 * (1 - 1e-9), "one link reads for both"
    half = planned(world(reader("a"), reader("b")))
    assert [one.end_seconds for one in half.assignments] == [pytest.approx(110.0)] * 2


def test_a_stream_waits_for_a_copy_on_its_link_and_says_so() -> None:
    stage = job("stage", [option("v100")], 500.0, ["images"])
    decision = planned(world(stage, reader("learn", work=10.0)))
    ends = {one.job.name: one for one in decision.assignments}
    assert ends["stage"].end_seconds == pytest.approx(540.0)
    assert ends["learn"].start_seconds >= 40.0 - 1e-6
    assert "link" in ends["learn"].explanation.binds.lower() or ends["learn"].reads == ()


def test_what_is_at_hand_is_not_streamed() -> None:
    copied = replace(
        world(reader("learn")), data_sets=(data_set("images", 5, "edge", copies=(Copy("cluster:cloud", "cloud"),)),)
    )
    one = only(planned(copied))
    assert (one.reads, one.end_seconds) == ((), pytest.approx(100.0))
    assert one.data == ((key("images", "DataSet"), "cluster:cloud"),)


def test_where_it_is_read_from_is_part_of_the_assignment() -> None:
    assert only(planned(world(reader("learn")))).data == ((key("images", "DataSet"), "site:edge"),)


def test_residency_holds_on_the_way() -> None:
    abroad = world(reader("learn"))
    where = fleet([pool("cloud", "v100")], [link("edge", "cloud")], sites=[site("edge", country="cn"), site("cloud")])
    at_home = Selector((("country", "cn"),))
    decision = planned(replace(abroad, fleet=where, data_sets=(data_set("images", 5, "edge", residency=at_home),)))
    assert [one.reason for one in decision.unplaced] == ["Residency"]


def test_no_way_to_the_data_is_said() -> None:
    apart = fleet([pool("cloud", "v100")], sites=[site("edge")])
    assert [one.reason for one in planned(replace(world(reader("learn")), fleet=apart)).unplaced] == [
        "NoReachableReplica"
    ]


def test_services_on_the_link_slow_it_down() -> None:
    """Traffic takes its share of the link first; the stream goes on with what is left."""
    serving = service("chat", [("edge", 1000.0)], [variant("v100", rate=1000.0)])
    busy = world(reader("learn", work=10.0), services=[serving])
    one = only(planned(busy))
    assert one.end_seconds > 41.0
    assert one.reads[0].rate_bytes_per_second < GB / SECONDS_PER_GB


def test_a_running_stream_keeps_its_share_of_the_link() -> None:
    running = Placed("cloud", "cloud/v100", "v100x1", (("cloud-v100-0", 1),), NOW - 20.0, NOW - 10.0)
    decision = planned(world(reader("a", work=10.0, placed=running), reader("b", work=10.0)))
    first, second = decision.assignments
    assert first.fixed
    assert first.end_seconds == pytest.approx(41.0 - 10.0)
    assert first.reads[0].end_seconds == pytest.approx(30.0)
    assert second.start_seconds == pytest.approx(30.0)


def test_what_is_streamed_is_paid_for() -> None:
    """5 GB at 0.2 a gigabyte; of a run that has read half of it, the other half."""
    case = world(reader("reads"))
    where = replace(case.fleet, links=tuple(replace(one, price_per_gigabyte=0.2) for one in case.fleet.links))
    first = planned(replace(case, fleet=where))
    assert (only(first).use.egress_cost, first.footprint.egress_cost) == (pytest.approx(1.0), pytest.approx(1.0))
    assert first.footprint.egress_bytes == 5 * GB
    short = replace(case, fleet=where, policy=replace(case.policy, cost_budget=0.99))
    assert [one.reason for one in decide(short).unplaced] == ["Budget"]
    assert "budget is 0.99" in " ".join(validate(short, first))
    placed = Placed("cloud", "cloud/v100", "v100x1", (("cloud-v100-0", 1),), NOW - 50.0, NOW - 50.0)
    later = planned(replace(case, fleet=where, jobs=(reader("reads", placed=placed),)))
    assert only(later).use.egress_cost is not None and later.footprint.egress_cost == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"source_site": "cloud"}, "no replica can be read"),
        ({"links": ("cloud->edge",)}, "does not leave edge"),
        ({"rate_bytes_per_second": 1.0}, "bytes are read"),
        ({"start_seconds": -5.0}, "before it can start"),
        ({"data_set": key("other", "DataSet")}, "does not ask for"),
        ({"rate_bytes_per_second": float(GB)}, "carries"),
    ],
)
def test_the_checker_reads_along(changes: dict[str, object], says: str) -> None:
    snapshot_ = world(reader("learn", work=20.0))
    decision = planned(snapshot_)
    one = only(decision)
    wrong = replace(one, reads=(replace(one.reads[0], **changes),))  # type: ignore[arg-type]
    assert any(says in said for said in validate(snapshot_, replace(decision, assignments=(wrong,))))


def test_the_checker_misses_a_read_that_is_not_planned() -> None:
    given = world(reader("learn"))
    decision = planned(given)
    wrong = replace(only(decision), reads=())
    assert any("without" in said for said in validate(given, replace(decision, assignments=(wrong,))))


@given(
    st.floats(0.1, 1e5),
    st.lists(st.tuples(st.integers(1, 10**13), st.floats(1e3, 1e10)), min_size=1, max_size=3),
    st.integers(1, 100),
)
def test_pace_never_beats_the_best_and_never_exceeds_the_path(
    compute: float, many: list[tuple[int, float]], chunks: int
) -> None:
    reads = tuple(Read(key(f"d{i}", "DataSet"), "s", ("l",), size, rate) for i, (size, rate) in enumerate(many))
    streams = Streams(reads, chunks, max(size / rate for size, rate in many))
    found = paced(streams, compute)
    held = compute + found.overlap_seconds + found.pacing_seconds
    assert found.overlap_seconds >= 0.0
    assert found.pacing_seconds >= 0.0
    assert held >= found.reading_seconds * (1 - 1e-12)
    assert held == pytest.approx(found.reading_seconds + compute / chunks)
    for asked, had in zip(found.reads, reads, strict=True):
        assert asked.rate_bytes_per_second <= had.rate_bytes_per_second * (1 + 1e-12)
    assert (
        sum(
            one.rate_bytes_per_second / two.rate_bytes_per_second for one, two in zip(found.reads, reads, strict=True)
        )
        <= 1 + 1e-9
    )


@settings(max_examples=20)
@given(st.integers(1, 30), st.integers(1, 30))
def test_more_chunks_are_never_later(few: int, more: int) -> None:
    low, high = sorted((few, more))
    assert (
        quick(world(reader("a", chunks=high))).makespan_seconds
        <= quick(world(reader("a", chunks=low))).makespan_seconds + 1e-6
    )
