"""Places in the queue: increasing, within the schema, and steady where the queue is."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from polyhull.controller.orders import LIMIT, numbers


def test_an_insertion_renumbers_nobody() -> None:
    before = numbers(["a", "b", "c"], {})
    after = numbers(["a", "new", "b", "c"], before)
    assert {key: after[key] for key in before} == before
    assert after["a"] < after["new"] < after["b"]


def test_without_room_all_are_renumbered() -> None:
    assert numbers(["a", "x", "b"], {"a": 1, "b": 2}) == {"a": 1000, "x": 2000, "b": 3000}


@given(st.permutations(list(range(12))), st.dictionaries(st.integers(0, 11), st.integers(0, LIMIT)))
def test_numbers_follow_the_queue_and_fit_the_schema(queue: list[int], stored: dict[int, int]) -> None:
    found = numbers(queue, stored)
    ordered = [found[item] for item in queue]
    assert all(low < high for low, high in itertools.pairwise(ordered))
    assert all(0 < number <= LIMIT for number in ordered)


@given(st.lists(st.integers(), unique=True, max_size=30))
def test_the_same_queue_keeps_its_numbers(queue: list[int]) -> None:
    once = numbers(queue, {})
    assert numbers(queue, once) == once
