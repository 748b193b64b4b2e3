"""Objects checked against each other: each fault lands on the object and field that has it, others go on."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.api.conditions import Reason, Type, set_condition
from polyhull.api.status import assignment_status
from polyhull.api.world import Observed, Ref, World, ref_of, world_of
from polyhull.domain.decision import Assignment
from polyhull.domain.labels import labels_of
from polyhull.domain.snapshot import DeviceLimit, Mode, NamespaceBudget
from polyhull.domain.workloads import Key
from tests.unit.api.samples import Raw, full_objects

WORDS = [
    "name", "namespace", "labels", "uid", "creationTimestamp", "conditions", "assignment", "type", "status", "spec",
    "options", "work", "data", "template", "mode", "demand", "variants", "suspend", "managedBy", "exclusions",
]  # fmt: skip
API = "polyhull.io/v1alpha1"


def thing(
    kind: str, name: str, spec: Raw, namespace: str = "", created: str = "2026-01-01T00:00:00Z", **more: Any
) -> Raw:
    metadata = {"name": name, "creationTimestamp": created, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec, **more}


def job(name: str = "job", namespace: str = "team-a", created: str = "2026-01-01T00:00:00Z", **spec: Any) -> Raw:
    options = [{"name": "one", "accelerator": "cpu", "devicesPerReplica": 1, "rate": "1"}]
    base = {"work": {"quantity": "100"}, "options": options, "template": {"image": "i"}}
    return thing("TrainingJob", name, {**base, **spec}, namespace, created)


def fleet() -> list[Raw]:
    return [
        thing("Site", "edge", {"tier": "Edge", "labels": {"country": "cn"}}),
        thing("Site", "cloud", {"labels": {"country": "de"}}),
        thing("Link", "up", {"from": "edge", "to": "cloud", "bandwidth": "1G"}),
        thing("MemberCluster", "hub", {"siteRef": {"name": "cloud"}, "local": True}),
        thing("DataSet", "images", {"size": "1Gi", "replicas": [{"site": "edge", "url": "s3://a/b"}]}, "team-a"),
    ]


def verdict(world: World, kind: str, name: str, namespace: str = "") -> tuple[list[str], list[str]]:
    found = world.verdicts[Ref(kind, namespace, name)]
    fields = [refusal.field for refusal in found.refusals] + [problem.field for problem in found.problems]
    return fields, [str(refusal.reason) for refusal in found.refusals]


def test_all_is_well() -> None:
    world = world_of([*fleet(), job(data=[{"name": "a", "dataSetRef": {"name": "images"}}])])
    assert all(found.accepted for found in world.verdicts.values()), world.verdicts
    assert len(world.jobs) == len(world.data_sets) == len(world.links) == 1


def test_nothing_declared_is_one_cluster_at_one_site() -> None:
    world = world_of([job()])
    assert [(cluster.name, cluster.site, cluster.local) for cluster in world.clusters] == [("local", "local", True)]
    assert [site.name for site in world.sites] == ["local"]
    assert len(world.jobs) == 1


FAULTS: list[tuple[str, Raw, str, str]] = [
    (
        "unknown data set",
        job(data=[{"name": "a", "dataSetRef": {"name": "imagse"}}]),
        "spec.data[0].dataSetRef.name",
        Reason.INVALID_REFERENCE,
    ),
    (
        "another namespace's data set",
        job(namespace="team-b", data=[{"name": "a", "dataSetRef": {"name": "images"}}]),
        "spec.data[0].dataSetRef.name",
        Reason.INVALID_REFERENCE,
    ),
    (
        "unknown accelerator",
        job(options=[{"name": "one", "accelerator": "nvidia-v1000", "devicesPerReplica": 1}]),
        "spec.options[0].accelerator",
        Reason.INVALID_REFERENCE,
    ),
    (
        "unknown demand site",
        thing(
            "InferenceJob",
            "chat",
            {
                "mode": "Online",
                "demand": [{"site": "egde", "requestsPerSecond": "1"}],
                "objective": {"latencyMilliseconds": 100},
                "variants": [
                    {"name": "v", "accelerator": "cpu", "devicesPerReplica": 1, "rate": "1", "serviceMilliseconds": 1}
                ],
                "template": {"image": "i"},
            },
            "team-a",
        ),
        "spec.demand[0].site",
        Reason.INVALID_REFERENCE,
    ),
    (
        "unknown model",
        thing(
            "InferenceJob",
            "batch",
            {
                "mode": "Batch",
                "requests": "1",
                "variants": [
                    {
                        "name": "v",
                        "accelerator": "cpu",
                        "devicesPerReplica": 1,
                        "rate": "1",
                        "model": {"dataSetRef": {"name": "x"}},
                    }
                ],
                "template": {"image": "i"},
            },
            "team-a",
        ),
        "spec.variants[0].model.dataSetRef.name",
        Reason.INVALID_REFERENCE,
    ),
    (
        "replica at an undeclared site",
        thing("DataSet", "d", {"size": "1", "replicas": [{"site": "moon", "url": "s3://a/b"}]}, "team-a"),
        "spec.replicas[0].site",
        Reason.INVALID_REFERENCE,
    ),
    (
        "replica outside the residency",
        thing(
            "DataSet",
            "d",
            {
                "size": "1",
                "replicas": [{"site": "cloud", "url": "s3://a/b"}],
                "residency": {"sites": {"matchLabels": {"country": "cn"}}},
            },
            "team-a",
        ),
        "spec.replicas[0].site",
        Reason.CONFLICT,
    ),
    (
        "no cluster inside the residency",
        thing(
            "DataSet",
            "d",
            {
                "size": "1",
                "replicas": [{"site": "edge", "url": "s3://a/b"}],
                "residency": {"sites": {"matchLabels": {"country": "cn"}}},
            },
            "team-a",
        ),
        "spec.replicas",
        Reason.NO_REACHABLE_REPLICA,
    ),
    (
        "member at an unknown site",
        thing("MemberCluster", "m", {"siteRef": {"name": "moon"}, "kubeconfigSecretRef": {"name": "s"}}),
        "spec.siteRef.name",
        Reason.INVALID_REFERENCE,
    ),
    (
        "a second local member",
        thing("MemberCluster", "z", {"siteRef": {"name": "edge"}, "local": True}),
        "spec.local",
        Reason.CONFLICT,
    ),
    (
        "link to an unknown site",
        thing("Link", "l", {"from": "edge", "to": "moon", "bandwidth": "1G"}),
        "spec.to",
        Reason.INVALID_REFERENCE,
    ),
    (
        "contradicting link",
        thing("Link", "z", {"from": "edge", "to": "cloud", "bandwidth": "2G"}),
        "spec",
        Reason.CONFLICT,
    ),
    (
        "contradicting way back",
        thing("Link", "z", {"from": "cloud", "to": "edge", "bandwidth": "2G", "symmetric": True}),
        "spec",
        Reason.CONFLICT,
    ),
    (
        "pool of an unknown cluster",
        thing("ComputePool", "p", {"cluster": "moon", "accelerator": "cpu"}),
        "spec.cluster",
        Reason.INVALID_REFERENCE,
    ),
    (
        "pool of an unknown accelerator",
        thing("ComputePool", "p", {"cluster": "hub", "accelerator": "gpux"}),
        "spec.accelerator",
        Reason.INVALID_REFERENCE,
    ),
    (
        "pool at an unknown site",
        thing("ComputePool", "p", {"cluster": "hub", "site": "moon", "accelerator": "cpu"}),
        "spec.site",
        Reason.INVALID_REFERENCE,
    ),
]


@pytest.mark.parametrize(("raw", "field", "reason"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_a_fault_lands_on_its_field_and_the_rest_goes_on(raw: Raw, field: str, reason: str) -> None:
    world = world_of([*fleet(), job("good"), raw])
    ref = ref_of(raw)
    fields, reasons = verdict(world, ref.kind, ref.name, ref.namespace)
    assert (fields, reasons) == ([field], [reason])
    assert [other for other, found in world.verdicts.items() if not found.accepted] == [ref]
    assert [entry.key.name for entry in world.jobs] == ["good"]
    assert {link.name for link in world.links} == {"up"}


def test_a_near_miss_is_suggested() -> None:
    world = world_of([*fleet(), FAULTS[2][1]])
    assert "nvidia-v100" in world.verdicts[Ref("TrainingJob", "team-a", "job")].message


def test_an_unreachable_data_set_takes_its_readers_along() -> None:
    far = thing("DataSet", "far", {"size": "1", "replicas": [{"site": "island", "url": "s3://a/b"}]}, "team-a")
    world = world_of(
        [*fleet(), thing("Site", "island", {}), far, job(data=[{"name": "a", "dataSetRef": {"name": "far"}}])]
    )
    assert verdict(world, "DataSet", "far", "team-a")[1] == [Reason.NO_REACHABLE_REPLICA]
    assert verdict(world, "TrainingJob", "job", "team-a")[1] == [Reason.INVALID_REFERENCE]


def policy(name: str, team: str, created: str, **spec: Any) -> Raw:
    return thing(
        "PlacementPolicy", name, {"namespaceSelector": {"matchLabels": {"team": team}}, **spec}, created=created
    )


NAMESPACES = {"team-a": labels_of({"team": "a"}), "team-b": labels_of({"team": "b"})}


def test_priorities_stay_in_the_range_of_the_namespace() -> None:
    rules = policy("a", "a", "2026-01-01T00:00:00Z", priorityRange={"min": 0, "max": 5, "default": 2})
    jobs = [job("low"), job("high", priority=6), job("other", "team-b", priority=6)]
    world = world_of([rules, *jobs], namespaces=NAMESPACES)
    assert verdict(world, "TrainingJob", "high", "team-a") == (["spec.priority"], [Reason.PRIORITY_OUT_OF_RANGE])
    assert {entry.key.name: entry.priority for entry in world.jobs} == {"low": 2, "other": 6}


def test_the_youngest_jobs_beyond_the_limit_wait() -> None:
    rules = policy("a", "a", "2026-01-01T00:00:00Z", maxJobs=2)
    jobs = [job(f"j{day}", created=f"2026-01-0{day}T00:00:00Z") for day in (3, 1, 2)]
    world = world_of([rules, *jobs, job("other", "team-b")], namespaces=NAMESPACES)
    assert {entry.key.name for entry in world.jobs} == {"j1", "j2", "other"}
    assert verdict(world, "TrainingJob", "j3", "team-a")[1] == [Reason.TOO_MANY_JOBS]


def test_of_two_overlapping_policies_the_later_is_refused() -> None:
    older, newer = policy("z", "a", "2026-01-01T00:00:00Z"), policy("a", "a", "2026-01-02T00:00:00Z")
    world = world_of([older, newer, policy("b", "b", "2026-01-03T00:00:00Z")], namespaces=NAMESPACES)
    assert verdict(world, "PlacementPolicy", "a") == (["spec.namespaceSelector"], [Reason.POLICY_OVERLAP])
    assert [rule.name for rule in world.rules] == ["b", "z"]


def test_a_device_limit_is_of_all_namespaces_that_its_policy_selects() -> None:
    limits = [{"accelerator": "nvidia-v100", "devices": 8}, {"accelerator": "cpu", "devices": 0}]
    rules = policy("both", "a", "2026-01-01T00:00:00Z", deviceLimits=limits)
    namespaces = {**NAMESPACES, "team-a2": labels_of({"team": "a"}), "team-a3": labels_of({"team": "a"})}
    world = world_of([rules, job("one"), job("two", "team-a2"), job("three", "team-b")], namespaces=namespaces)
    assert world.policy.device_limits == (
        DeviceLimit("both", "cpu", 0, ("team-a", "team-a2")),
        DeviceLimit("both", "nvidia-v100", 8, ("team-a", "team-a2")),
    )
    alone = world_of([rules, job("three", "team-b")], namespaces=namespaces)
    assert alone.policy.device_limits == ()


@pytest.mark.parametrize(
    ("fleet_mode", "own", "modes"),
    [
        ("Enforce", "Observe", (("team-a", Mode.OBSERVE),)),
        ("Enforce", "Recommend", (("team-a", Mode.RECOMMEND),)),
        ("Recommend", "Enforce", ()),
        ("Observe", "Recommend", ()),
    ],
)
def test_of_two_modes_the_stricter_holds(fleet_mode: str, own: str, modes: object) -> None:
    rules = [
        policy("a", "a", "2026-01-01T00:00:00Z", mode=own),
        thing("PlacementPolicy", "default", {"mode": fleet_mode}),
    ]
    world = world_of([*rules, job("one"), job("two", "team-b")], namespaces=NAMESPACES)
    assert world.policy.modes == modes
    assert world.policy.mode_of("team-b") is world.policy.mode is Mode(fleet_mode)


def test_a_budget_is_of_all_namespaces_that_its_policy_selects() -> None:
    rules = [
        policy("a", "a", "2026-01-01T00:00:00Z", costBudget="12.5", energyBudgetKilowattHours="3"),
        policy("b", "b", "2026-01-01T00:00:00Z", maxJobs=4),
    ]
    namespaces = {**NAMESPACES, "team-a2": labels_of({"team": "a"})}
    world = world_of([*rules, job("one"), job("two", "team-a2"), job("three", "team-b")], namespaces=namespaces)
    assert world.policy.budgets == (NamespaceBudget("a", ("team-a", "team-a2"), 12.5, 3.0, None),)


def test_a_device_limit_names_a_kind_that_there_is() -> None:
    rules = policy("a", "a", "2026-01-01T00:00:00Z", deviceLimits=[{"accelerator": "nvidia-v1000", "devices": 8}])
    world = world_of([rules], namespaces=NAMESPACES)
    assert verdict(world, "PlacementPolicy", "a") == (
        ["spec.deviceLimits[0].accelerator"],
        [Reason.INVALID_REFERENCE],
    )
    assert world.rules == ()


def _released(raw: Raw) -> Raw:
    assignment = Assignment(
        Key("team-a", "job"), "hub", "cloud", "hub/cpu", "one", "cpu", "CPU", 1, 1, (), 0, 0.0, 1.0
    )
    return {**raw, "status": {"assignment": assignment_status(assignment, released_at=1000.0)}}


def test_what_runs_stays_in_the_world_whatever_is_wrong_now() -> None:
    raw = _released(job(data=[{"name": "a", "dataSetRef": {"name": "gone"}}]))
    world = world_of([*fleet(), raw])
    assert len(world.jobs) == 1
    assert world.jobs[0].placed is not None
    assert not world.verdicts[Ref("TrainingJob", "team-a", "job")].accepted
    deleted = copy.deepcopy(raw)
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert len(world_of([*fleet(), deleted, _with(job("j2"), suspend=True)]).jobs) == 1


def _with(raw: Raw, **spec: Any) -> Raw:
    return {**raw, "spec": {**raw["spec"], **spec}}


def test_suspended_deleted_ended_and_foreign_jobs_are_not_planned() -> None:
    deleted, ended = job("deleted"), job("ended")
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    ended["status"] = {"conditions": set_condition([], Type.SUCCEEDED, True, Reason.COMPLETED, "", 0.0, 1)}
    foreign = job("foreign", managedBy="somebody.example/else", deadline="2026-01-01T00:00:00Z")
    world = world_of([job("good"), job("held", suspend=True), deleted, ended, foreign])
    assert [entry.key.name for entry in world.jobs] == ["good"]
    assert Ref("TrainingJob", "team-a", "foreign") not in world.verdicts, "we write nothing about it"
    assert world.verdicts[Ref("TrainingJob", "team-a", "held")].accepted


def test_observations_of_members_are_taken_over() -> None:
    member = thing("MemberCluster", "edge", {"siteRef": {"name": "edge"}, "kubeconfigSecretRef": {"name": "s"}})
    seen = {"edge": Observed(connected=False, accepts=frozenset({"team-a"}), serves_pod_groups=True)}
    world = world_of([*fleet(), member], observed=seen)
    edge = next(cluster for cluster in world.clusters if cluster.name == "edge")
    assert (edge.connected, edge.accepts, edge.serves_pod_groups) == (False, frozenset({"team-a"}), True)


def test_services_are_found_from_elsewhere_by_a_declared_domain_or_the_multi_cluster_api() -> None:
    spec = {"siteRef": {"name": "edge"}, "kubeconfigSecretRef": {"name": "s"}}
    members = [
        thing("MemberCluster", "plain", spec),
        thing("MemberCluster", "told", spec | {"serviceDomain": "svc.example"}),
    ]
    for served, expected in ((True, "svc.clusterset.local"), (False, "")):
        seen = {name: Observed(serves_service_exports=served) for name in ("plain", "told")}
        world = world_of([*fleet(), *members], observed=seen)
        found = {cluster.name: cluster.service_domain for cluster in world.clusters}
        assert (found["plain"], found["told"]) == (expected, "svc.example")


def test_a_malformed_object_stops_nobody() -> None:
    broken: list[Raw] = [
        {"apiVersion": API, "kind": "TrainingJob", "metadata": {"name": "a"}},
        {"apiVersion": API, "kind": "TrainingJob", "metadata": {"name": "b"}, "spec": "text"},
        {"apiVersion": API, "kind": "DataSet", "metadata": {"name": "c"}, "spec": {}},
    ]
    world = world_of([*broken, job("good")])
    assert [entry.key.name for entry in world.jobs] == ["good"]
    assert sum(not found.accepted for found in world.verdicts.values()) == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from([*full_objects(), job(), *fleet()]), st.sampled_from(["metadata", "spec", "status"]), JSON)
def test_no_object_whatsoever_stops_the_others(sample: Raw, name: str, value: Any) -> None:
    if name == "metadata":
        value = {**value, "name": "odd"} if isinstance(value, dict) else value
    elif isinstance(value, dict):
        value = {**sample.get(name, {}), **value}
    world = world_of([{**sample, name: value}, job("good", "team-z")])
    assert Key("team-z", "good") in [entry.key for entry in world.jobs]


def test_the_default_policy_is_read_and_a_scenario_that_makes_no_sense_refused() -> None:
    default = thing("PlacementPolicy", "default", {"mode": "Observe", "bandwidthMargin": "0.5"})
    scenario = thing("PlacementScenario", "s", {"changes": [{"loseCluster": {"cluster": "a"}}]})
    nothing = thing("PlacementScenario", "nothing", {"changes": [{}]})
    world = world_of([default, scenario, nothing])
    assert (world.policy.mode.value, world.policy.bandwidth_margin) == ("Observe", 0.5)
    assert world.verdicts[Ref("PlacementScenario", "", "s")].accepted
    assert "set one of addDevices" in world.verdicts[Ref("PlacementScenario", "", "nothing")].message
