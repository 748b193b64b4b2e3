"""What a job over several sites must tell, and that what is missing is named by field."""

from typing import Any

import pytest

from polyhull.api import convert
from polyhull.domain.workloads import Span, SpanMode

FIELD = "spec.placement.crossSite"
PIPELINE = {"layers": 32, "samplesPerStep": 512, "activationBytesPerSample": "16Mi"}
Raw = dict[str, Any]


def job(cross_site: Raw | None, kind: str = "TrainingJob", **spec: Any) -> Raw:
    body: Raw = {
        "work": {"quantity": "1000"},
        "options": [{"name": "gpu", "accelerator": "v100", "replicas": 4, "devicesPerReplica": 8, "rate": "2"}],
        "template": {"image": "learn:1"},
        **spec,
    }
    if cross_site is not None:
        body["placement"] = {"crossSite": cross_site}
    return {"apiVersion": "polyhull.io/v1alpha1", "kind": kind, "metadata": {"name": "large"}, "spec": body}


def span(cross_site: Raw | None) -> Span | None:
    converted = convert.training_job(job(cross_site))
    assert converted.accepted, converted.message
    assert converted.value is not None
    return converted.value.span


@pytest.mark.parametrize(
    "told", [None, {}, {"mode": "Never"}, {"mode": "Pipeline", "maxSites": 1, "model": PIPELINE}]
)
def test_one_site_is_no_span(told: Raw | None) -> None:
    assert span(told) is None


def test_a_pipeline_says_what_its_cuts_send() -> None:
    assert span({"mode": "Pipeline", "model": PIPELINE}) == Span(
        SpanMode.PIPELINE, samples_per_step=512, layers=32, activation_bytes=16.0 * 2**20
    )


def test_gradients_and_state_follow_from_parameters_unless_they_are_written() -> None:
    known = span({"mode": "DataParallel", "maxSites": 3, "synchronizeSteps": 10, "model": {"parameters": "7G"}})
    assert known == Span(
        SpanMode.DATA_PARALLEL, max_sites=3, synchronize_steps=10, gradient_bytes=14e9, state_bytes=112e9
    )
    written = {"parameters": "7G", "gradientBytes": "7G", "stateBytes": "70G"}
    told = span({"mode": "DataParallel", "workPerStep": "0.5", "model": written})
    assert told is not None
    assert (told.gradient_bytes, told.state_bytes, told.work_per_step) == (7e9, 70e9, 0.5)


def test_what_it_writes_is_read_like_any_job_s() -> None:
    kept = {"checkpoint": {"size": "1Gi", "mountPath": "/c"}, "output": {"size": "1Gi", "mountPath": "/o"}}
    converted = convert.training_job(job({"mode": "DataParallel", "model": {"gradientBytes": "1G"}}, **kept))
    assert converted.accepted and converted.value is not None
    assert converted.value.kept_at(["a", "b"]) == {"a": 2 * 2**30}


@pytest.mark.parametrize(
    ("told", "field"),
    [
        *(
            ({"mode": "Pipeline", "model": {key: value for key, value in PIPELINE.items() if key != name}},
             f"{FIELD}.model.{name}")
            for name in PIPELINE
        ),
        ({"mode": "DataParallel"}, f"{FIELD}.model.gradientBytes"),
        ({"mode": "Pipeline", "synchronizeSteps": 4, "model": PIPELINE}, f"{FIELD}.synchronizeSteps"),
        ({"mode": "Never", "maxSites": 2}, FIELD),
    ],
)  # fmt: skip
def test_what_is_missing_or_means_nothing_is_named(told: Raw, field: str) -> None:
    converted = convert.training_job(job(told))
    assert [problem.field for problem in converted.problems] == [field]


def test_a_replica_is_not_split() -> None:
    alone = [{"name": "gpu", "accelerator": "v100", "devicesPerReplica": 8, "rate": "2"}]
    converted = convert.training_job(job({"mode": "Pipeline", "model": PIPELINE}, options=alone))
    assert "give an option more replicas" in converted.message


def test_streamed_data_and_other_kinds_are_refused() -> None:
    streamed = [{"name": "images", "dataSetRef": {"name": "images"}, "access": "Stream"}]
    converted = convert.training_job(job({"mode": "Pipeline", "model": PIPELINE}, data=streamed))
    assert [refusal.field for refusal in converted.refusals] == ["spec.data[0].access"]
    batch = job({"mode": "Pipeline", "model": PIPELINE}, "InferenceJob", mode="Batch", requests="10")
    variant = {"name": "a", "accelerator": "v100", "devicesPerReplica": 1, "rate": "1", "serviceMilliseconds": 5}
    del batch["spec"]["work"], batch["spec"]["options"]
    batch["spec"]["variants"] = [variant]
    assert [refusal.field for refusal in convert.batch_job(batch).refusals] == [FIELD]
