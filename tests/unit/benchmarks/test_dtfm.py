"""DT-FM's cases and cost, restated: the cost by hand, and that the figures are whole."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import dtfm
from benchmarks.figures import SkipBenchmark
from benchmarks.planning import ROOT
from benchmarks.targets import unmet


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "dtfm").mkdir()
    cities = dtfm.CASES[2].regions
    lines = ["a,b,delay_ms,bandwidth_gbit_s"]
    lines += [f"{one},{other},100,0.5" for n, one in enumerate(cities) for other in cities[n + 1 :]]
    (tmp_path / "dtfm" / "aws_10_regions_delay_bandwidth.csv").write_text("\n".join(lines))
    return tmp_path


def test_the_cost_by_hand() -> None:
    """Two groups of two: inside 8 Gbit/s without delay, between 1 Gbit/s and 10 ms."""
    delay, rate = np.full((4, 4), 0.01), np.full((4, 4), 0.125e9)
    delay[:2, :2] = delay[2:, 2:] = 0.0
    rate[:2, :2] = rate[2:, 2:] = 1e9
    inside = dtfm.cost(((0, 1), (2, 3)), delay, rate)
    assert inside == pytest.approx(2 * dtfm.GRADIENT_BYTES / 2e9 + 2 * (0.01 + dtfm.ACTIVATION_BYTES / 0.125e9))
    across = dtfm.cost(((0, 2), (1, 3)), delay, rate)
    assert across == pytest.approx(2 * (0.01 + dtfm.GRADIENT_BYTES / 0.25e9) + 2 * dtfm.ACTIVATION_BYTES / 1e9)


def test_every_case_is_placed_and_judged(data: Path) -> None:
    figures = list(dtfm.dtfm(data))
    assert len(figures) == 4 * len(dtfm.CASES)
    # The second case needs no table: it is the published one, and so is its value.
    assert figures[4].value == pytest.approx(1.0, abs=1e-4) and figures[4].holds
    assert all(one.value > 0.0 for one in figures)


def test_without_data_it_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SkipBenchmark, match="DS3Lab/DT-FM"):
        next(dtfm.dtfm(tmp_path))


def test_the_command_prints_them_and_misses_none(data: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "dtfm", "--quick", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    names = [json.loads(line)["figure"] for line in done.stdout.splitlines()]
    assert names[0] == "machine" and not unmet(["dtfm"], names)
    assert "1 benchmarks in " in done.stderr
