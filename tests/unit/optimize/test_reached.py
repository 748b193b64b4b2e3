"""Links are counted on for what transfers reach: slow ones take off, quick ones give back, in whole steps."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.api import status
from polyhull.api.observations import shipments
from polyhull.api.v1alpha1.copies import CopyStatus
from polyhull.domain.snapshot import Policy
from polyhull.domain.workloads import ActiveTransfer, Copy, CopyPart, Key, Shipment
from polyhull.optimize.reached import LATEST, LEAST, PULL, STEP, reached_share, with_reached
from polyhull.planning.decide import decide
from polyhull.planning.validate import validate
from tests import builders as b

FULL = 100e6


def run(share: float, limit: float = 1.0, at: float = 0.0, seconds: float = 100.0) -> Shipment:
    """Reached `share` of 100 MB/s under a limit of `limit` of it."""
    return Shipment(("edge->a",), int(share * FULL * seconds), limit * FULL, at, at + seconds)


def test_what_reached_its_limit_takes_nothing_off() -> None:
    assert reached_share([run(0.98)] * 10, FULL, 0.0) == 1.0
    assert reached_share([run(0.49, 0.5)] * 10, FULL, 0.0) == 1.0, "its limit was half of it: it tells nothing more"


def test_by_hand() -> None:
    slow = [run(0.4)] * 3
    share = 1.0
    for _ in slow:
        share += PULL * (0.4 - share)
    assert share == pytest.approx(0.5778, abs=1e-4)
    assert reached_share(slow, FULL, 0.0) == pytest.approx(0.55)
    assert reached_share(slow[:2], FULL, 0.0) == 1.0, "two may be chance"


def test_start_up_is_no_sign_of_a_slow_link_and_short_transfers_are_none_at_all() -> None:
    late = [replace(run(0.98, seconds=100.0), ended_at=150.0)] * 5
    assert reached_share(late, FULL, 0.0) < 1.0
    assert reached_share(late, FULL, 50.0) == 1.0
    assert reached_share([run(0.2, seconds=30.0)] * 5, FULL, 0.0) == 1.0


def test_a_link_that_recovered_is_found_out() -> None:
    history = [run(0.4)] * 4
    shares = [reached_share(history, FULL, 0.0)]
    for _ in range(LATEST - 4):
        limit = shares[-1]
        history.append(run(limit * 0.98, limit))
        shares.append(reached_share(history, FULL, 0.0))
    assert shares == sorted(shares)
    assert shares[-1] > 0.9


@given(st.lists(st.tuples(st.floats(0.01, 1.5), st.floats(0.1, 1.0)), max_size=LATEST))
def test_it_stays_within_its_ends_and_moves_in_steps(runs: list[tuple[float, float]]) -> None:
    share = reached_share([run(min(rate, limit), limit) for rate, limit in runs], FULL, 0.0)
    assert LEAST <= share <= 1.0
    assert share == pytest.approx(round(share / STEP) * STEP)


@given(st.floats(0.05, 0.9), st.floats(0.05, 0.9), st.integers(3, LATEST))
def test_faster_transfers_never_count_for_less(one: float, other: float, runs: int) -> None:
    low, high = sorted((one, other))
    assert reached_share([run(low)] * runs, FULL, 0.0) <= reached_share([run(high)] * runs, FULL, 0.0)


def test_a_plan_counts_on_what_was_reached_and_the_checker_holds_it_to_that() -> None:
    where = b.fleet([b.pool("a", "v100")], [b.link("edge", "a", 0.8)])
    case = b.snapshot(where, [b.job("j", [b.option("v100")], data=["d"])], [b.data_set("d", 50.0, "edge")])
    assert with_reached(case, [run(0.98)] * 5) is case
    tight = with_reached(case, [run(0.5, at=float(i)) for i in range(9)])
    (link,) = tight.fleet.links
    assert link.reached == pytest.approx(0.5)
    plain, slower = decide(case), decide(tight)
    assert slower.violations == ()
    assert slower.transfers[0].rate_bytes_per_second == pytest.approx(plain.transfers[0].rate_bytes_per_second * 0.5)
    assert any("carries" in line for line in validate(tight, plain))


def test_a_copy_remembers_how_it_was_made() -> None:
    key = Key("team", "d", "DataSet")
    move = ActiveTransfer(key, "edge", "cluster:a", "a", "a", ("edge->a",), 5e7, b.NOW)
    entry = status.copy_status(Copy("cluster:a", "a"), "a", b.NOW + 200.0, move)
    raw = {"kind": "DataSet", "spec": {"size": "8G"}, "status": {"copies": [entry, {"store": "x"}, "nonsense"]}}
    assert shipments(raw) == (Shipment(("edge->a",), 8 * 10**9, 5e7, b.NOW, b.NOW + 200.0),)
    assert shipments({"status": {"copies": 7}}) == ()


SPLIT = (
    CopyPart("edge", "", ("edge->a",), 6 * 10**9, 6e7),
    CopyPart("west", "", ("west->edge", "edge->a"), 4 * 10**9, 4e7),
)


def split_copy(*seconds: float) -> dict[str, object]:
    """A data set whose copy came in two parts over one link, each through after so many seconds."""
    key = Key("team", "d", "DataSet")
    move = ActiveTransfer(key, "edge", "cluster:a", "a", "a", ("edge->a", "west->edge"), 1e8, b.NOW, SPLIT)
    entry = status.copy_status(
        Copy("cluster:a", "a"), "a", b.NOW + max(seconds), move, [b.NOW + at for at in seconds]
    )
    assert CopyStatus.model_validate(entry).parts is not None
    return {"kind": "DataSet", "spec": {"size": "10G", "largestFile": "100M"}, "status": {"copies": [entry]}}


def test_each_part_of_a_split_copy_teaches_its_links() -> None:
    """Both parts fill the link together: each that takes twice its time says that half of the link is there."""
    assert shipments(split_copy(110.0, 105.0)) == (
        Shipment(("edge->a",), 6_100_000_000, 6e7, b.NOW, b.NOW + 110.0, (0.6,)),
        Shipment(("west->edge", "edge->a"), 4_100_000_000, 4e7, b.NOW, b.NOW + 105.0, (1.0, 0.4)),
    )
    where = b.fleet([b.pool("a", "v100")], [b.link("edge", "a", 0.8), b.link("west", "edge", 8.0)])
    case = b.snapshot(where, [], policy=replace(Policy(), startup_seconds=0.0, bandwidth_margin=1.0))
    assert with_reached(case, shipments(split_copy(102.0, 103.0)) * 3) is case, "one file more is no delay"
    slow = shipments(split_copy(203.0, 205.0)) * 2
    assert {link.name: link.reached for link in with_reached(case, slow).fleet.links}["edge->a"] < 0.7
    assert shipments({"spec": {"size": "1G"}, "status": {"copies": split_copy(1.0, 1.0)["status"]["copies"]}}) == ()  # type: ignore[index]
