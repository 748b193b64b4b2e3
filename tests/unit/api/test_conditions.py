"""Conditions change their time only with their status, and setting the same twice writes nothing."""

from hypothesis import given
from hypothesis import strategies as st

from polyhull.api.conditions import Reason, Type, condition_status, get_condition, instant, set_condition
from polyhull.api.v1alpha1.common import Condition


def test_the_time_moves_only_with_the_status() -> None:
    first = set_condition([], Type.PLACED, "False", Reason.RELEASING, "a", 100.0, 1)
    second = set_condition(first, Type.PLACED, "False", Reason.UNBOUND, "b", 200.0, 2)
    third = set_condition(second, Type.PLACED, True, Reason.BOUND, "c", 300.0, 2)
    times = [entry[0]["lastTransitionTime"] for entry in (first, second, third)]
    assert times == [instant(100), instant(100), instant(300)]
    assert second[0] | {} == {
        "type": "Placed",
        "status": "False",
        "reason": "Unbound",
        "message": "b",
        "lastTransitionTime": "1970-01-01T00:01:40Z",
        "observedGeneration": 2,
    }
    assert first[0]["reason"] == "Releasing", "the input is left alone"


def test_none_is_unknown_and_long_messages_are_cut() -> None:
    (entry,) = set_condition(None, Type.PLACED, None, Reason.MEMBER_UNREACHABLE, "x" * 10_000, 0.0)
    assert entry["status"] == "Unknown"
    assert len(entry["message"]) == 2048
    assert condition_status([entry], Type.PLACED) == condition_status(None, Type.PLACED) == "Unknown"
    assert get_condition([entry], Type.READY) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(list(Type)), st.booleans() | st.none(), st.sampled_from(list(Reason))), max_size=20
    )
)
def test_types_stay_unique_entries_valid_and_repeats_change_nothing(
    steps: list[tuple[Type, bool | None, Reason]],
) -> None:
    conditions: list[dict[str, object]] = []
    for index, (kind, status, reason) in enumerate(steps):
        conditions = set_condition(conditions, kind, status, reason, "m", float(index), index)
        assert set_condition(conditions, kind, status, reason, "m", 10.0**9, index) == conditions
    assert len({entry["type"] for entry in conditions}) == len(conditions)
    for entry in conditions:
        Condition.model_validate(entry, extra="forbid")
