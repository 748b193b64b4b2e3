"""Names never collide and always fit; label values are always valid."""

import re

from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.workloads import Key
from polyhull.render import naming
from polyhull.render.naming import Owner

DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
names = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", fullmatch=True)
owners = st.builds(
    Owner, st.sampled_from(["TrainingJob", "InferenceJob", "DataSet"]), names, names, st.uuids().map(str)
)


@given(owners, st.lists(st.text(max_size=300), max_size=3))
def test_a_child_name_is_a_dns_label_with_room_for_an_index(owner: Owner, parts: list[str]) -> None:
    name = naming.child_name(owner, *parts)
    assert DNS_1035.fullmatch(name)
    assert len(f"{name}-4095") <= 63


@given(owners, owners)
def test_two_owners_never_share_a_name(first: Owner, second: Owner) -> None:
    assert (naming.child_name(first) == naming.child_name(second)) == (first == second)


def test_moving_a_dash_between_namespace_name_and_part_gives_another_name() -> None:
    one = [
        Owner("TrainingJob", "a-b", "c", "u"),
        Owner("TrainingJob", "a", "b-c", "u"),
        Owner("DataSet", "a-b", "c", "u"),
    ]
    found = {naming.child_name(owner) for owner in one} | {
        naming.child_name(one[0], "x"),
        naming.child_name(one[0], "", "x"),
    }
    assert len(found) == 5


def test_a_name_is_the_same_in_every_process() -> None:
    owner = Owner.of(Key("team-a", "resnet"), "7c1f")
    assert naming.child_name(owner) == "resnet-e91bb09634"


def test_the_name_of_a_recreated_object_differs() -> None:
    assert naming.child_name(Owner("TrainingJob", "a", "b", "1")) != naming.child_name(
        Owner("TrainingJob", "a", "b", "2")
    )


def test_a_name_that_begins_with_a_digit_still_names_a_service() -> None:
    assert naming.child_name(Owner("TrainingJob", "a", "3.5-turbo", "1")).startswith("x-3-5-turbo-")


@given(st.text(max_size=400))
def test_a_label_value_is_always_valid(text: str) -> None:
    value = naming.label_value(text)
    assert len(value) <= 63
    assert LABEL_VALUE.fullmatch(value)


@given(st.text(max_size=100), st.text(max_size=100))
def test_different_texts_are_different_label_values(first: str, second: str) -> None:
    assert (naming.label_value(first) == naming.label_value(second)) == (first == second)


@given(owners, st.text(max_size=300))
def test_labels_are_valid_sorted_and_name_the_owner(owner: Owner, pool: str) -> None:
    labels = naming.labels(owner, "workers", {naming.POOL: pool})
    assert list(labels) == sorted(labels)
    assert all(len(value) <= 63 and LABEL_VALUE.fullmatch(value) for value in labels.values())
    assert {labels[naming.UID], labels[naming.MANAGED_BY]} == {owner.uid, naming.FIELD_MANAGER}


def test_a_hub_is_named_only_where_it_is_known() -> None:
    with_hub = naming.labels(Owner("TrainingJob", "a", "b", "u", hub="east"), "workers")
    assert with_hub[naming.HUB] == "east"
    assert naming.HUB not in naming.labels(Owner("TrainingJob", "a", "b", "u"), "workers")


def test_selectors_find_what_the_labels_say() -> None:
    owner = Owner("TrainingJob", "a", "b", "u-1", hub="east")
    labels = naming.labels(owner, "workers")
    for selector in (
        naming.all_children_selector(),
        naming.all_children_selector("east"),
        naming.children_selector("u-1"),
    ):
        assert dict(term.split("=") for term in selector.split(",")).items() <= labels.items()
    assert naming.children_selector("u-1") == "app.kubernetes.io/managed-by=polyhull,polyhull.io/uid=u-1"


@given(st.lists(st.from_regex(r"[a-z0-9.-]{1,63}", fullmatch=True), max_size=5).map(tuple))
def test_links_survive_their_annotation(links: tuple[str, ...]) -> None:
    assert naming.split_links(naming.join_links(links)) == links
