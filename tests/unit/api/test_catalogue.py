"""The shipped accelerators: which node is which model, and figures that hang together."""

from typing import Any

import pytest

from polyhull.api.catalogue import builtin_catalogue, builtin_objects
from polyhull.api.inventory import accelerator_of
from polyhull.domain.fleet import AcceleratorType, Evidence
from polyhull.domain.labels import labels_of

CATALOGUE = builtin_catalogue()
KINDS = {kind.name: kind for kind in CATALOGUE}
PRODUCT = "nvidia.com/gpu.product"
FIGURES = ("memory", "peakFlops", "memoryBandwidth", "peakWatts", "idleWatts")
NVIDIA = [
    ("Tesla-K80", "nvidia-k80"),
    ("Tesla-P100-SXM2-16GB", "nvidia-p100"),
    ("Tesla-P100-PCIE-16GB", "nvidia-p100-pcie"),
    ("Tesla-P100-PCIE-12GB", "nvidia-gpu"),
    ("Tesla-V100-SXM2-32GB", "nvidia-v100"),
    ("Tesla-V100-SXM3-32GB", "nvidia-v100"),
    ("Tesla-V100-PCIE-16GB", "nvidia-v100-pcie"),
    ("Tesla-V100S-PCIE-32GB", "nvidia-gpu"),
    ("Tesla-T4-SHARED", "nvidia-t4"),
    ("NVIDIA-L40S", "nvidia-l40s"),
    ("NVIDIA-L40", "nvidia-gpu"),
    ("NVIDIA-A10G", "nvidia-a10g"),
    ("NVIDIA-A10G-SHARED", "nvidia-a10g"),
    ("NVIDIA-A10", "nvidia-a10"),
    ("NVIDIA-A100-80GB-PCIe", "nvidia-a100-80gb"),
    ("NVIDIA-H100-80GB-HBM3", "nvidia-h100"),
    ("NVIDIA-H100-PCIe", "nvidia-h100-pcie"),
    ("NVIDIA-H100-NVL", "nvidia-h100-nvl"),
    ("NVIDIA-H200", "nvidia-h200"),
    ("NVIDIA-H200-NVL", "nvidia-gpu"),
    ("NVIDIA-B200", "nvidia-b200"),
    ("NVIDIA-GB200", "nvidia-gb200"),
    ("Orin", "nvidia-gpu"),
]
OTHERS = [
    ({"beta.amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"}, "amd.com/gpu", "amd-mi300x"),
    ({"amd.com/gpu.product-name": "AMD_Instinct_MI210"}, "amd.com/gpu", "amd-mi210"),
    ({"gpu.intel.com/product": "Max_1550"}, "gpu.intel.com/i915", "intel-max-1550"),
    ({"gpu.intel.com/product": "Flex_140"}, "gpu.intel.com/i915", "intel-gpu"),
    ({"accelerator-type": "module-910b-16"}, "huawei.com/Ascend910", "ascend-910b"),
    ({"accelerator-type": "card-910b-infer"}, "huawei.com/Ascend910", "ascend-910b"),
    ({"accelerator-type": "module-a3-16-super-pod"}, "huawei.com/Ascend910", "ascend-910c"),
    ({"accelerator-type": "module"}, "huawei.com/Ascend910", "ascend-910"),
    ({"node.kubernetes.io/npu.chip.name": "910ProB"}, "huawei.com/Ascend910", "ascend-910"),
    ({"node.kubernetes.io/instance-type": "inf2.48xlarge"}, "aws.amazon.com/neuron", "aws-inferentia2"),
    ({"node.kubernetes.io/instance-type": "trn2.48xlarge"}, "aws.amazon.com/neuron", "aws-trainium2"),
    ({"cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-device"}, "google.com/tpu", "google-tpu-v5e"),
]


@pytest.mark.parametrize(("product", "expected"), NVIDIA)
def test_a_product_label_tells_the_model(product: str, expected: str) -> None:
    assert _kind({PRODUCT: product}, "nvidia.com/gpu") == expected


@pytest.mark.parametrize(("labels", "resource", "expected"), OTHERS)
def test_the_labels_of_other_vendors_tell_the_model(labels: dict[str, str], resource: str, expected: str) -> None:
    assert _kind(labels, resource) == expected


@pytest.mark.parametrize("product", ["A100-SXM4-40GB", "A100-SXM4-80GB", "H100-80GB-HBM3", "H200", "B200", "GB200"])
def test_a_slice_of_a_device_does_not_have_the_figures_of_the_whole(product: str) -> None:
    whole = _kind({PRODUCT: f"NVIDIA-{product}"}, "nvidia.com/gpu")
    slice_ = _kind({PRODUCT: f"NVIDIA-{product}-MIG-1g.10gb"}, "nvidia.com/gpu")
    assert whole != "nvidia-gpu"
    assert slice_ == "nvidia-gpu"
    assert KINDS[slice_].peak_flops == ()


def test_what_no_label_tells_is_generic_and_has_no_figures() -> None:
    resources = {"nvidia-gpu": "nvidia.com/gpu", "amd-gpu": "amd.com/gpu", "intel-gpu": "gpu.intel.com/i915"}
    for name, resource in resources.items():
        assert _kind({}, resource) == name
        kind = KINDS[name]
        assert not kind.peak_flops
        assert not kind.memory_bytes


@pytest.mark.parametrize("raw", builtin_objects(), ids=lambda raw: str(raw["metadata"]["name"]))
def test_only_an_entry_with_figures_claims_a_data_sheet_and_each_names_its_source(raw: dict[str, Any]) -> None:
    spec = raw["spec"]
    assert 40 <= len(spec["source"]) <= 1024
    if not any(figure in spec for figure in FIGURES):
        assert spec["evidence"] == "Assumed"


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: kind.name)
def test_figures_hang_together(kind: AcceleratorType) -> None:
    """Half the width is as fast or twice as fast on the same units; a sparse figure among dense ones shows."""
    peaks = dict(kind.peak_flops)
    for wide, narrow in (("tf32", "fp16"), ("fp16", "int8"), ("fp8", "fp4"), ("int8", "int4"), ("bf16", "fp8")):
        if wide in peaks and narrow in peaks:
            assert 0.99 <= peaks[narrow] / peaks[wide] <= 2.1
    if "fp32" in peaks and "fp16" in peaks:
        assert peaks["fp32"] <= peaks["fp16"]
    if "fp16" in peaks and "fp8" in peaks and kind.name != "intel-gaudi3":  # its matrix engines do fp16 at a quarter
        assert 1.9 <= peaks["fp8"] / peaks["fp16"] <= 2.1
    if kind.memory_bytes and kind.memory_bytes_per_second:
        assert 5 <= kind.memory_bytes_per_second / kind.memory_bytes <= 100  # passes over memory a second
    if kind.idle_watts:
        assert kind.idle_watts < kind.peak_watts


def test_figures_that_reports_disagree_on_are_marked() -> None:
    for name in ("ascend-310p", "ascend-910", "ascend-910b", "nvidia-a10g", "intel-npu", "cpu"):
        assert KINDS[name].evidence is Evidence.ASSUMED
    assert KINDS["intel-max-1550"].evidence is Evidence.ESTIMATED


def test_every_resource_has_a_taint_that_pods_tolerate() -> None:
    for kind in CATALOGUE:
        if kind.resource_name and kind.name != "intel-npu":
            assert [one.key for one in kind.tolerations] == [kind.resource_name]


def _kind(labels: dict[str, str], resource: str) -> str:
    return accelerator_of(labels_of(labels), {"cpu": "8", resource: "8"}, CATALOGUE)
