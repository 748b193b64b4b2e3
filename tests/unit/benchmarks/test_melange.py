"""The restated slices, the profile made of kernel times, and the figures, on small made-up data."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from benchmarks import melange
from benchmarks.figures import SkipBenchmark
from polyhull.optimize.instances import least_cost


def kernels(path: Path, slow: float) -> None:
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["time_stats.emb.median", "time_stats.mlp.median", "num_tokens", "num_tensor_parallel_workers"])
        for tokens in (1, 64, 512, 4096):
            out.writerow([9.0, slow * (0.2 + tokens / 600), tokens, 1])
            out.writerow([9.0, 1e6, tokens, 2])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for card, slow in (("a40", 2.0), ("a100", 1.0), ("h100", 0.5)):
        kernels(tmp_path / "vidur" / "compute" / card / "meta-llama" / "Llama-2-7b-hf" / "mlp.csv", slow)
    (tmp_path / "azure").mkdir()
    rows = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    rows += [
        f"2023-11-16 18:15:46,{context},{made}" for context, made in ((300, 40), (2000, 300), (9, 700), (300, 60))
    ]
    (tmp_path / "azure" / "AzureLLMInferenceTrace_conv.csv").write_text("\n".join(rows))
    return tmp_path


def test_a_bucket_is_the_next_power_of_two() -> None:
    assert [melange.bucket(n) for n in (0, 1, 2, 3, 4, 5, 1025)] == [1, 1, 2, 4, 4, 8, 2048]


def test_the_profile_counts_layers_of_one_device_and_falls_with_size(data: Path) -> None:
    weights, throughput = melange.profile(data)
    assert weights.sum() == pytest.approx(1.0) and sorted(weights) == pytest.approx([0.25, 0.25, 0.5])
    sizes = [(16, 1024), (512, 64), (2048, 512)]
    tokens, taken = melange.kernel_seconds(data / "vidur/compute/a100/meta-llama/Llama-2-7b-hf/mlp.csv")
    assert tokens.tolist() == [1, 64, 512, 4096]
    assert taken[0] == pytest.approx((0.2 + 1 / 600) * melange.LAYERS / 1e3)
    assert throughput[sizes.index((512, 64))].min() > throughput[sizes.index((2048, 512))].max() * 0.5
    assert (throughput[:, 2] > throughput[:, 0]).all()


def test_by_hand_one_request_at_a_time() -> None:
    """Memory for one request: prefill 0.1 s, 10 tokens of 0.01 s + the read of what is held."""
    card = melange.Card(
        "x", (melange.WEIGHT_BYTES + 1.5 * 20 * melange.TOKEN_BYTES) / 0.9, 20 * melange.TOKEN_BYTES / 0.01, 1.0
    )
    steps = (np.array([1.0, 10.0]), np.array([0.01, 0.1]))
    assert melange.requests_per_second(card, steps, 10, 10) == pytest.approx(1.0 / (0.1 + 10 * 0.02))
    slow = (np.array([1.0, 10.0]), np.array([0.04, 0.1]))
    assert melange.requests_per_second(card, slow, 10, 10) == 0.0


def test_slices_never_beat_the_split_and_both_ways_of_solving_them_agree() -> None:
    load = np.array([[0.7, 0.2, np.inf], [1.9, 0.8, 0.3], [0.4, 0.4, 0.1]])
    price = np.array([1.0, 2.5, 6.0])
    sliced = melange.by_slices(load, price, 2)
    assert sliced.optimal and least_cost(load, price).cost <= sliced.cost + 1e-9
    assert melange.by_milp(np.repeat(load / 2, 2, axis=0), price).cost == pytest.approx(sliced.cost)


def test_melanges_published_example_is_answered_as_its_solver_does_and_more_cheaply_when_split() -> None:
    """config/example.json of melange-release @ ebba701: its solver takes 3 A10G and 1 A100-80GB for 6.7 $/h."""
    rate = 30.0 * np.array([0.2, 0.1, 0.5, 0.2])
    load = rate[:, None] / np.array([[2.0, 20.0], [1.0, 20.0], [5.0, 40.0], [2.0, 20.0]])
    price = np.array([1.01, 3.67])
    assert melange.by_slices(load, price, 1).cost == pytest.approx(6.7)
    split = least_cost(load, price)
    # A third of the third bucket is one A10G's work, and then one A100 is exactly enough.
    assert split.counts.tolist() == [1, 1]
    assert split.cost == pytest.approx(4.68)


def test_figures_name_the_solver_and_whose_formulation_it_is(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(melange, "RATES", (2.0,))
    figures = list(melange.melange(data))
    assert [one.unit for one in figures] == ["x", "s", "$/h", "1"]
    assert figures[2].holds
    assert ("CBC" if importlib.util.find_spec("pulp") else "HiGHS") in figures[0].anchor_source
    assert "restated" in figures[0].anchor_source


def test_without_data_it_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SkipBenchmark, match="AzurePublicDataset"):
        next(melange.melange(tmp_path))
