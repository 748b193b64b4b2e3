"""The small algebra of resources, selectors and taints that everything above trusts."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.decision import Decision
from polyhull.domain.fleet import Cluster, Storage, StorageKind, Taint, Toleration
from polyhull.domain.labels import Requirement, Selector, labels_of
from polyhull.domain.resources import Resources

amounts = st.builds(Resources, *(st.integers(0, 100) for _ in range(5)))


@given(amounts, amounts)
def test_adding_and_taking_away_cancel(one: Resources, two: Resources) -> None:
    assert one + two - two == one


@given(amounts, amounts)
def test_copies_in_is_the_largest_count_that_fits(pod: Resources, room: Resources) -> None:
    count = pod.copies_in(room)
    assert pod.times(count).fits(room)
    if any(pod.as_tuple()):
        assert not pod.times(count + 1).fits(room)


def test_an_empty_request_counts_nothing() -> None:
    assert Resources().copies_in(Resources(8, 8, 8, 8, 8)) == 0


def test_an_overfull_node_has_room_for_none() -> None:
    assert Resources(devices=1).copies_in(Resources(devices=-3)) == 0


@pytest.mark.parametrize(
    ("requirement", "matches"),
    [
        (Requirement("country", "In", ("cn", "de")), True),
        (Requirement("country", "NotIn", ("cn",)), False),
        (Requirement("country", "Exists"), True),
        (Requirement("gpu", "DoesNotExist"), True),
        (Requirement("gpu", "NotIn", ("h100",)), True),
    ],
)
def test_selector_operators(requirement: Requirement, matches: bool) -> None:
    assert Selector((), (requirement,)).matches(labels_of({"country": "cn"})) is matches


def test_the_empty_selector_matches_everything() -> None:
    assert Selector().matches(()) and Selector().empty


def test_an_unknown_operator_is_never_a_silent_match() -> None:
    with pytest.raises(ValueError, match="Gt"):
        Requirement("country", "Gt", ("1",)).matches({})


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        (Toleration("nvidia.com/gpu"), True),
        (Toleration("nvidia.com/gpu", effect="NoExecute"), False),
        (Toleration("nvidia.com/gpu", "Equal", "present"), True),
        (Toleration("nvidia.com/gpu", "Equal", "absent"), False),
        (Toleration(""), True),
        (Toleration("amd.com/gpu"), False),
    ],
)
def test_tolerations_follow_the_scheduler(toleration: Toleration, tolerated: bool) -> None:
    assert toleration.tolerates(Taint("nvidia.com/gpu", "present", "NoSchedule")) is tolerated


def test_a_bucket_is_shared_by_the_site_and_a_volume_is_not() -> None:
    assert Cluster("a", "edge", storage=Storage(StorageKind.BUCKET)).store == "site:edge"
    assert Cluster("a", "edge", storage=Storage(StorageKind.VOLUME)).store == "cluster:a"


@pytest.mark.parametrize(
    ("makespan", "bound", "gap"), [(0.0, 0.0, 0.0), (10.0, 0.0, None), (11.0, 10.0, 0.1), (10.0, 10.0, 0.0)]
)
def test_the_gap_is_never_claimed_without_a_bound(makespan: float, bound: float, gap: float | None) -> None:
    decision = Decision(0.0, makespan_seconds=makespan, lower_bound_seconds=bound)
    assert decision.gap == (None if gap is None else pytest.approx(gap))


def test_decisions_travel_between_processes() -> None:
    assert pickle.loads(pickle.dumps(Decision(1.0))) == Decision(1.0)
