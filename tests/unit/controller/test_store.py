"""The hub's objects by version: order, what is left out, and what comes too late."""

from typing import Any

from polyhull.controller.store import Store


def body(name: str, version: int, kind: str = "TrainingJob", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "team", "uid": f"u-{name}", "resourceVersion": str(version)}
    metadata |= {"managedFields": [{"manager": "kubectl"}], "annotations": {"team": "a"}}
    return {"apiVersion": "polyhull.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def names(store: Store) -> list[str]:
    return [one["metadata"]["name"] for one in store.objects()]


def test_objects_come_in_the_order_of_their_names_whatever_was_added_removed_or_replaced() -> None:
    store = Store()
    for name in ("b", "c", "a"):
        store.put(body(name, 1))
    assert names(store) == ["a", "b", "c"]
    store.put(body("b", 2, suspend=True))
    assert [one["spec"] for one in store.objects()] == [{}, {"suspend": True}, {}]
    store.remove(body("b", 3))
    store.put(body("aa", 4))
    assert names(store) == ["a", "aa", "c"]
    assert [ref.name for ref, _ in store.items()] == names(store)
    store.put(body("b", 2))
    assert names(store) == ["a", "aa", "c"], "what was deleted does not come back"


def test_who_wrote_which_field_is_kept_of_services_only() -> None:
    store = Store()
    store.put(body("job", 1))
    store.put(body("service", 1, kind="InferenceJob"))
    kept = {one["kind"]: one["metadata"] for one in store.objects()}
    assert "managedFields" not in kept["TrainingJob"]
    assert kept["TrainingJob"]["annotations"] == {"team": "a"}
    assert kept["InferenceJob"]["managedFields"] == [{"manager": "kubectl"}]


def test_a_list_costs_no_second_copy_of_what_is_held_in_the_same_version() -> None:
    store = Store()
    store.put(body("a", 1))
    (held,) = store.objects()
    assert store.as_held(body("a", 1)) is held
    other = store.as_held(body("a", 2))
    assert other is not held and "managedFields" not in other["metadata"]
    store.replace_all([store.as_held(body("a", 1)), store.as_held(body("b", 2))])
    assert store.objects()[0] is held and names(store) == ["a", "b"]
