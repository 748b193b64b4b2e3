"""Objects become domain values; what is not acted on is refused by field; what is nonsense is named."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.api import convert
from polyhull.api.catalogue import builtin_catalogue
from polyhull.api.conditions import Reason
from polyhull.api.results import parse_instant
from polyhull.domain.fleet import Evidence, StorageKind
from polyhull.domain.labels import Requirement
from polyhull.domain.media import MEDIA, propagation_seconds
from polyhull.domain.resources import Resources
from polyhull.domain.workloads import Access, Checkpoint, DataInput, Key, Output
from tests.unit.api.samples import Raw, full_objects, product_objects, replaced

CATALOGUE = builtin_catalogue()
GI = 2**30


def _sample(kind: str, name: str) -> Raw:
    return next(raw for raw in product_objects() if raw["kind"] == kind and raw["metadata"]["name"] == name)


def _job(**spec: Any) -> Raw:
    return {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "job", "namespace": "team-a", "uid": "u-1", "creationTimestamp": "2026-01-01T00:00:10Z"},
        "spec": {
            "work": {"quantity": "1000"},
            "options": [
                {"name": "one", "accelerator": "nvidia-v100", "replicas": 2, "devicesPerReplica": 4, "rate": "2.5"}
            ],
            "template": {"image": "registry.example/train:1"},
            **spec,
        },
    }  # fmt: skip


def test_a_training_job() -> None:
    raw = _job(
        priority=3,
        data=[
            {"name": "a", "dataSetRef": {"name": "imagenet"}, "mountPath": "/data"},
            {"name": "b", "dataSetRef": {"name": "cifar"}},
        ],
        placement={
            "sites": {
                "matchLabels": {"country": "cn"},
                "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["Edge"]}],
            },
            "confidential": "Required",
        },
        template={"image": "i", "resources": {"requests": {"cpu": "3500m"}, "limits": {"memory": "16Gi"}}},
    )
    job = convert.training_job(raw, CATALOGUE)
    assert job.accepted
    assert job.value is not None
    value = job.value
    assert value.key == Key("team-a", "job", "TrainingJob")
    assert (value.uid, value.created_at, value.priority, value.work_quantity) == ("u-1", 1767225610.0, 3, 1000.0)
    assert value.options[0].rate_per_second == 2.5
    assert value.options[0].pod == Resources(4, 3500, 16 * GI, 0, 1)
    assert value.inputs == (
        DataInput(Key("team-a", "imagenet", "DataSet"), mounted=True),
        DataInput(Key("team-a", "cifar", "DataSet")),
    )
    assert value.site_selector.match_labels == (("country", "cn"),)
    assert value.site_selector.match_expressions == (Requirement("tier", "NotIn", ("Edge",)),)
    assert value.confidential
    assert (value.placed, value.promise, value.exclusions) == (None, None, ())


def test_a_cpu_option_requests_its_devices_as_cores() -> None:
    raw = _job(
        options=[{"name": "cpu", "accelerator": "cpu", "devicesPerReplica": 32}],
        template={"image": "i", "resources": {"requests": {"cpu": "2", "memory": "1Gi"}}},
    )
    value = convert.training_job(raw, CATALOGUE).value
    assert value is not None
    assert value.options[0].pod == Resources(32, 32_000, GI, 0, 1)
    assert value.options[0].rate_per_second is None


def test_the_policy_gives_the_default_priority() -> None:
    value = convert.training_job(_job(), CATALOGUE, default_priority=7).value
    assert value is not None
    assert value.priority == 7


NOT_ACTED_ON: list[tuple[str, dict[str, Any]]] = [
    (
        "spec.data[0].mountPath",
        {"data": [{"name": "a", "dataSetRef": {"name": "b"}, "access": "Stream", "mountPath": "/data"}]},
    ),
]


def test_a_staged_data_set_has_no_chunks_and_a_streamed_one_may() -> None:
    entry = {"name": "a", "dataSetRef": {"name": "b"}, "chunks": 4}
    refused = convert.training_job(_job(data=[entry]), CATALOGUE)
    assert [problem.field for problem in refused.problems] == ["spec.data[0].chunks"]
    streamed = convert.training_job(_job(data=[{**entry, "access": "Stream"}]), CATALOGUE)
    assert streamed.value is not None
    assert [(one.access, one.chunks) for one in streamed.value.inputs] == [(Access.STREAM, 4)]


def test_a_checkpoint_has_a_size_and_perhaps_an_interval() -> None:
    told = convert.training_job(_job(checkpoint={"size": "300Mi", "intervalSeconds": 600}), CATALOGUE)
    assert told.value is not None
    assert told.value.checkpoint == Checkpoint(300 * 2**20, 600.0)
    free = convert.training_job(_job(checkpoint={"size": "1G"}), CATALOGUE)
    assert free.value is not None
    assert free.value.checkpoint == Checkpoint(10**9, None)
    empty = convert.training_job(_job(checkpoint={"size": "0"}), CATALOGUE)
    assert [problem.field for problem in empty.problems] == ["spec.checkpoint.size"]


def test_the_sample_of_the_design_is_accepted_as_it_stands() -> None:
    converted = convert.training_job(_sample("TrainingJob", "resnet"), CATALOGUE)
    assert converted.refusals == ()
    assert converted.value is not None
    assert converted.value.checkpoint == Checkpoint(300 * 2**20, 600.0, mounted=True)
    assert converted.value.output == Output(200 * 2**20, True, Key("default", "resnet-weights", "DataSet"))


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"output": {"size": "0"}}, "spec.output.size"),
        ({"output": {"size": "1G", "dataSetRef": {"name": "b"}}}, "spec.output.dataSetRef"),
        ({"output": {"size": "1G", "mountPath": "/in"}}, "spec.output.mountPath"),
        ({"checkpoint": {"size": "1G", "mountPath": "/in"}}, "spec.checkpoint.mountPath"),
    ],
)
def test_what_contradicts_itself_about_outputs_names_the_field(spec: dict[str, Any], field: str) -> None:
    reads = [{"name": "a", "dataSetRef": {"name": "b"}, "mountPath": "/in"}]
    converted = convert.training_job(_job(data=reads, **spec), CATALOGUE)
    assert [problem.field for problem in converted.problems] == [field]


@pytest.mark.parametrize(("field", "spec"), NOT_ACTED_ON, ids=[field for field, _ in NOT_ACTED_ON])
def test_what_is_not_acted_on_is_refused_by_field(field: str, spec: dict[str, Any]) -> None:
    converted = convert.training_job(_job(**spec), CATALOGUE)
    assert [refusal.field for refusal in converted.refusals] == [field]
    assert converted.reason == Reason.NOT_SUPPORTED
    assert not converted.accepted
    assert field in converted.message
    assert "; " in converted.message, "it says what to do"


REFUSED_ELSEWHERE: list[tuple[str, str, tuple[str, ...], Any]] = [
    (
        "MemberCluster",
        "edge",
        ("spec",),
        {"siteRef": {"name": "a"}, "clusterProfileRef": {"name": "a", "namespace": "b"}},
    ),
    ("ComputePool", "ascend-310p", ("spec", "autoscaling"), {"maxNodes": 3, "hook": {"type": "CapacityBuffer"}}),
    ("AcceleratorType", "ascend-310p", ("spec", "deviceClassName"), "npu.huawei.com"),
]
CONVERT: dict[str, Any] = {
    "Site": convert.site,
    "Link": convert.links,
    "MemberCluster": convert.cluster,
    "ComputePool": convert.declared_pool,
    "AcceleratorType": convert.accelerator,
    "DataSet": convert.data_set,
}


def _convert(raw: Raw) -> Any:
    if raw["kind"] == "PlacementPolicy":
        return (convert.fleet_policy if raw["metadata"]["name"] == "default" else convert.namespace_rule)(raw)
    return CONVERT[raw["kind"]](raw)


@pytest.mark.parametrize(("kind", "name", "steps", "value"), REFUSED_ELSEWHERE)
def test_the_other_kinds_refuse_by_field_too(kind: str, name: str, steps: tuple[str, ...], value: Any) -> None:
    raw = _sample(kind, name)
    assert _convert(raw).accepted, "the sample itself is fine"
    parent = raw["spec"] if len(steps) > 1 else raw
    converted = _convert({**raw, "spec": {**parent, steps[-1]: value}} if len(steps) > 1 else {**raw, "spec": value})
    assert converted.problems == ()
    assert len(converted.refusals) == 1
    assert converted.refusals[0].field.startswith(f"spec.{steps[1]}" if len(steps) > 1 else "spec.clusterProfileRef")


def test_several_problems_come_together() -> None:
    converted = convert.training_job(_job(work={}, retryLimit=-1, suspend="no"), CATALOGUE)
    assert {problem.field for problem in converted.problems} == {
        "spec.work.quantity",
        "spec.retryLimit",
        "spec.suspend",
    }


def test_an_online_service() -> None:
    service = convert.online_service(_sample("InferenceJob", "chat"), CATALOGUE)
    assert service.accepted
    assert service.value is not None
    value = service.value
    assert [(d.site, d.requests_per_second, d.request_bytes, d.response_bytes) for d in value.demand] == [
        ("edge-a", 40.0, 4000.0, 20000.0),
        ("cloud-b", 15.0, 0.0, 0.0),
    ]
    assert (value.latency_seconds, value.percentile, value.min_replicas, value.fixed_replicas) == (0.3, 0.99, 1, None)
    assert value.variants[0].service_seconds == 0.08
    assert value.variants[0].quality == 0.806
    assert value.variants[0].model == DataInput(Key("default", "llama-70b", "DataSet"), mounted=True)
    external = replaced(_sample("InferenceJob", "chat"), ("spec", "scaling"), "External")
    fixed = convert.online_service(replaced(external, ("spec", "replicas"), 5), CATALOGUE).value
    assert fixed is not None
    assert fixed.fixed_replicas == 5


def test_a_variant_slower_than_the_objective_is_named() -> None:
    raw = replaced(_sample("InferenceJob", "chat"), ("spec", "objective"), {"latencyMilliseconds": 70})
    fields = [problem.field for problem in convert.online_service(raw, CATALOGUE).problems]
    assert fields == ["spec.variants[0].serviceMilliseconds"]


def test_a_batch_is_a_finite_job_of_kind_inference_job() -> None:
    raw = _sample("InferenceJob", "embed-all")
    raw["spec"]["minReplicas"] = 4
    batch = convert.batch_job(raw, CATALOGUE)
    assert batch.accepted
    assert batch.value is not None
    assert batch.value.key.kind == "InferenceJob"
    assert batch.value.work_quantity == 1e6
    assert batch.value.options[0].replicas == 4
    assert batch.value.options[0].rate_per_second == 20.0
    assert batch.value.inputs == (DataInput(Key("default", "llama-8b", "DataSet"), mounted=True),)
    assert convert.online_service(raw, CATALOGUE).problems[0].field == "spec.mode"
    assert convert.batch_job(_sample("InferenceJob", "chat"), CATALOGUE).problems[0].field == "spec.mode"


def test_a_batch_whose_variants_read_different_models_is_refused() -> None:
    raw = _sample("InferenceJob", "embed-all")
    other = {**raw["spec"]["variants"][0], "name": "other", "model": {"dataSetRef": {"name": "else"}}}
    raw["spec"]["variants"].append(other)
    assert [refusal.field for refusal in convert.batch_job(raw, CATALOGUE).refusals] == ["spec.variants[1].model"]


def test_a_data_set() -> None:
    value = convert.data_set(_sample("DataSet", "imagenet")).value
    assert value is not None
    assert value.size_bytes == 1200 * GI
    assert value.replicas[0].url == "s3://bucket/imagenet"
    assert value.max_copies == 3
    zero = convert.data_set(replaced(_sample("DataSet", "imagenet"), ("spec", "size"), 0))
    assert [problem.field for problem in zero.problems] == ["spec.size"]


def test_links() -> None:
    there, back = convert.links(_sample("Link", "edge-a-cloud-b")).value or ()
    assert (there.name, there.source, there.target) == ("edge-a-cloud-b", "edge-a", "cloud-b")
    assert (back.name, back.source, back.target) == ("edge-a-cloud-b.reverse", "cloud-b", "edge-a")
    assert (there.bandwidth_bits_per_second, there.latency_seconds, there.price_per_gigabyte) == (1e9, 0.0125, 0.09)
    spec = {"from": "a", "to": "b", "bandwidth": 10**9, "distanceKilometres": "1000", "medium": "Fibre"}
    (far,) = convert.links({**_sample("Link", "edge-a-cloud-b"), "spec": spec}).value or ()
    assert far.latency_seconds == pytest.approx(1e6 / (299_792_458 / 1.468))
    for medium in MEDIA:
        (far,) = convert.links({**_sample("Link", "edge-a-cloud-b"), "spec": {**spec, "medium": medium}}).value or ()
        assert far.latency_seconds == pytest.approx(propagation_seconds(medium, 1000.0))
    del spec["medium"]
    missing = convert.links({**_sample("Link", "edge-a-cloud-b"), "spec": spec})
    assert [problem.field for problem in missing.problems] == ["spec.medium"]
    zero = convert.links(replaced(_sample("Link", "edge-a-cloud-b"), ("spec", "bandwidth"), "0"))
    assert [problem.field for problem in zero.problems] == ["spec.bandwidth"]


def test_members() -> None:
    hub = convert.cluster(_sample("MemberCluster", "hub"), accepts=frozenset({"x"})).value
    edge = convert.cluster(_sample("MemberCluster", "edge"), connected=False, accepts=frozenset({"x"})).value
    assert hub is not None
    assert edge is not None
    assert hub.accepts is None, "the local cluster needs no label"
    assert edge.accepts == frozenset({"x"})
    assert (hub.store, edge.store) == ("site:cloud-b", "cluster:edge")
    assert hub.storage.kind is StorageKind.BUCKET
    assert edge.storage.capacity_bytes == 20 * 2**40
    assert not edge.takes_new_work


def test_policies() -> None:
    fleet = convert.fleet_policy(_sample("PlacementPolicy", "default")).value
    assert fleet is not None
    assert (fleet.bandwidth_margin, fleet.minimum_gain, fleet.solver.exact_jobs) == (0.9, 0.02, 60)
    rule = convert.namespace_rule(_sample("PlacementPolicy", "team-a")).value
    assert rule is not None
    assert (rule.priority_range, rule.priority_default, rule.max_jobs) == ((0, 10), 1, 100)
    assert rule.device_limits == (("nvidia-h100", 8),)
    assert (rule.cost_budget, rule.energy_budget_kilowatt_hours) == (1000.0, None)
    assert convert.namespace_rule(_sample("PlacementPolicy", "default")).problems
    assert convert.fleet_policy(_sample("PlacementPolicy", "team-a")).problems


def test_an_accelerator_needs_a_resource_unless_it_is_the_cpu() -> None:
    raw = _sample("AcceleratorType", "ascend-310p")
    value = convert.accelerator(raw).value
    assert value is not None
    assert value.peak_flops == (("fp16", 70e12),)
    assert value.evidence is Evidence.ASSUMED
    del raw["spec"]["resourceName"]
    assert [problem.field for problem in convert.accelerator(raw).problems] == ["spec.resourceName"]


def test_an_option_template_replaces_field_by_field_and_lists_whole() -> None:
    raw = _job(
        template={
            "image": "a",
            "env": [{"name": "A", "value": "1"}],
            "args": ["x"],
            "resources": {"requests": {"cpu": "4", "memory": "1Gi"}},
            "readinessProbe": {"tcpSocket": {"port": 1}},
        },
        options=[
            {
                "name": "one",
                "accelerator": "cpu",
                "devicesPerReplica": 1,
                "template": {
                    "image": "b",
                    "env": [{"name": "B", "value": "2"}],
                    "resources": {"requests": {"memory": "2Gi"}},
                    "readinessProbe": {"grpc": {"port": 2}},
                },
            }
        ],
    )
    merged = convert.pod_template(raw, "one")
    assert merged["image"] == "b"
    assert merged["env"] == [{"name": "B", "value": "2"}]
    assert merged["args"] == ["x"]
    assert merged["resources"]["requests"] == {"cpu": "4", "memory": "2Gi"}
    assert merged["readinessProbe"] == {"grpc": {"port": 2}}
    with pytest.raises(KeyError):
        convert.pod_template(raw, "two")


def test_only_the_allow_list_comes_through_a_template() -> None:
    raw = _job(template={"image": "a", "hostNetwork": True, "securityContext": {"privileged": True, "runAsUser": 7}})
    assert convert.pod_template(raw, "one") == {"image": "a", "securityContext": {"runAsUser": 7}}


def test_managed_by_and_suspend() -> None:
    assert convert.managed_by_us(_job())
    assert not convert.managed_by_us(_job(managedBy="somebody.example/else"))
    assert convert.suspended(_job(suspend=True))
    assert convert.is_online(_sample("InferenceJob", "chat"))
    assert not convert.is_online(_sample("InferenceJob", "embed-all"))


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.none() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=2),
    ),
    st.sampled_from(full_objects()),
)
def test_no_spec_whatsoever_crashes_conversion(spec: dict[str, Any], sample: Raw) -> None:
    raw = {**sample, "spec": {**sample["spec"], **spec}}
    if raw["kind"] in ("TrainingJob",):
        convert.training_job(raw, CATALOGUE, strict=True)
    elif raw["kind"] in CONVERT:
        CONVERT[raw["kind"]](raw, strict=True)


def test_instants() -> None:
    assert parse_instant("1970-01-01T00:01:00Z") == 60.0
    assert parse_instant("1970-01-01T01:01:00+01:00") == 60.0
    with pytest.raises(ValueError, match="time zone"):
        parse_instant("1970-01-01T00:01:00")
