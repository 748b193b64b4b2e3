"""Options and variants without a rate: what is estimated, marked so, and refused where there is no ground."""

from typing import Any

import pytest

from polyhull.api import convert
from polyhull.api.catalogue import builtin_catalogue
from polyhull.domain.fleet import Evidence
from polyhull.domain.roofline import TRAINING_SHARE
from polyhull.domain.workloads import InferenceService, TrainingJob
from tests.unit.api.samples import Raw

CATALOGUE = builtin_catalogue()
H100 = next(kind for kind in CATALOGUE if kind.name == "nvidia-h100")
PEAK = dict(H100.peak_flops)["bf16"]


def training(work: dict[str, Any], *options: dict[str, Any]) -> TrainingJob:
    raw = {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "job", "namespace": "team-a"},
        "spec": {
            "work": {"quantity": "1000", **work},
            "options": [{"devicesPerReplica": 1, **one} for one in options],
            "template": {"image": "registry.example/train:1"},
        },
    }
    made = convert.training_job(raw, CATALOGUE, strict=True)
    assert made.accepted and made.value is not None, made.message
    return made.value


def inference(mode: str, *variants: dict[str, Any], latency: int = 60_000) -> Raw:
    online = {
        "demand": [{"site": "a", "requestsPerSecond": "1"}],
        "objective": {"latencyMilliseconds": latency},
    }
    return {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "InferenceJob",
        "metadata": {"name": "job", "namespace": "team-a"},
        "spec": {
            "mode": mode,
            **(online if mode == "Online" else {"requests": "1000", "minReplicas": 2}),
            "variants": [{"devicesPerReplica": 1, **one} for one in variants],
            "template": {"image": "registry.example/serve:1"},
        },
    }


LLAMA = {"parameters": "8G", "promptTokens": 500, "outputTokens": 100, "precision": "bf16"}


def test_a_rate_from_what_the_work_needs() -> None:
    job = training({"flopsPerUnit": "100T"}, {"name": "h", "accelerator": "nvidia-h100"})
    (option,) = job.options
    assert option.rate_per_second == pytest.approx(TRAINING_SHARE * PEAK / 1e14)
    assert option.rate_evidence is Evidence.ESTIMATED


def test_a_siblings_rate_comes_first_and_a_stated_one_is_never_touched() -> None:
    job = training(
        {"flopsPerUnit": "100T"},
        {"name": "b", "accelerator": "nvidia-h100", "rate": "2", "rateEvidence": "Assumed"},
        {"name": "a", "accelerator": "nvidia-h100", "replicas": 4},
    )
    scaled, stated = sorted(job.options, key=lambda one: one.name)
    assert (stated.rate_per_second, stated.rate_evidence) == (2.0, Evidence.ASSUMED)
    assert scaled.rate_per_second == pytest.approx(2.0 * 4**0.8)


def test_no_ground_no_rate() -> None:
    job = training({}, {"name": "h", "accelerator": "nvidia-h100"}, {"name": "u", "accelerator": "unheard-of"})
    assert [option.rate_per_second for option in job.options] == [None, None]


def test_an_estimate_that_takes_for_ever_is_a_slip_of_the_pen() -> None:
    raw = {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "job", "namespace": "team-a"},
        "spec": {
            "work": {"quantity": "1000000000000", "flopsPerUnit": "1E"},
            "options": [{"name": "cpu", "accelerator": "cpu", "devicesPerReplica": 1}],
            "template": {"image": "registry.example/train:1"},
        },
    }
    made = convert.training_job(raw, CATALOGUE)
    assert made.value is None and "would run" in made.message


def test_a_service_from_tokens() -> None:
    made = convert.online_service(
        inference("Online", {"name": "h", "accelerator": "nvidia-h100", "estimate": LLAMA}), CATALOGUE, strict=True
    )
    assert isinstance(made.value, InferenceService)
    (variant,) = made.value.variants
    assert variant.rate_evidence is Evidence.ESTIMATED
    assert variant.rate_per_second * variant.service_seconds == pytest.approx(8.0), "as many as the batch at once"
    assert 0.2 < variant.service_seconds < 5.0


def test_a_stated_service_time_stays() -> None:
    both = {"name": "h", "accelerator": "nvidia-h100", "estimate": LLAMA, "rate": "9", "serviceMilliseconds": 70}
    made = convert.online_service(inference("Online", both), CATALOGUE, strict=True)
    assert made.value is not None
    (variant,) = made.value.variants
    assert (variant.rate_per_second, variant.service_seconds) == (9.0, 0.07)
    assert variant.rate_evidence is Evidence.MEASURED


def test_a_model_that_does_not_fit_is_not_estimated() -> None:
    large = {**LLAMA, "parameters": "70G"}
    entry = {"name": "h", "accelerator": "nvidia-h100", "estimate": large}
    made = convert.batch_job(inference("Batch", entry), CATALOGUE, strict=True)
    assert made.value is not None and made.value.options[0].rate_per_second is None
    made = convert.batch_job(inference("Batch", {**entry, "devicesPerReplica": 2}), CATALOGUE, strict=True)
    assert made.value is not None
    rate = made.value.options[0].rate_per_second
    assert rate is not None and rate > 0.0


def test_an_estimate_slower_than_the_objective_says_the_number() -> None:
    entry = {"name": "h", "accelerator": "nvidia-h100", "estimate": LLAMA}
    made = convert.online_service(inference("Online", entry, latency=10), CATALOGUE)
    assert made.value is None and "estimated:" in made.message


def test_a_variant_needs_one_of_the_two() -> None:
    made = convert.batch_job(inference("Batch", {"name": "h", "accelerator": "nvidia-h100"}), CATALOGUE)
    assert made.value is None and "neither rate nor estimate" in made.message
