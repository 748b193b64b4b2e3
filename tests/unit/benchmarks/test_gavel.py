"""The restated policies agree with ours on a small table of the same form, and the figures come out whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import gavel
from benchmarks.figures import SkipBenchmark
from polyhull.optimize.shares import makespan_shares, max_min_shares


def table() -> Any:
    kinds = [("A3C", 1), ("LM", 1), ("LM", 2), ("LM", 4), ("LM", 8), ("ResNet", 1), ("ResNet", 2)]
    speed = {"v100": 5.0, "p100": 3.0, "k80": 1.0}
    return {
        gpu: {str(kind): {"null": base * kind[1] ** 0.9 * (1 + i % 3)} for i, kind in enumerate(kinds)}
        for gpu, base in speed.items()
    }


@pytest.mark.parametrize("solver", [gavel.CLARABEL, gavel.HIGHS])
def test_max_min_by_rows_and_by_classes_are_one_number(solver: str) -> None:
    jobs = gavel.drawn(table(), 60, seed=3, devices=20, every_kind=True)
    values = gavel.normalised(jobs)
    ours = max_min_shares(values, jobs.gang, jobs.devices, levels=1)
    assert ours.classes <= 7
    assert ours.least == pytest.approx(gavel.max_min_by_rows(values, jobs.gang, jobs.devices, solver), rel=1e-6)


def test_the_bisection_ends_at_most_five_percent_above_and_never_below_the_exact_makespan() -> None:
    jobs = gavel.drawn(table(), 30, seed=1, devices=6)
    exact = 1.0 / makespan_shares(jobs.throughput, jobs.work, jobs.gang, jobs.devices).least
    share = gavel.bisected_makespan(jobs, gavel.HIGHS)
    reached = float(np.max(jobs.work / (jobs.throughput * share).sum(axis=1)))
    assert exact * (1 - 1e-6) <= reached <= exact * 1.05


def test_jobs_are_drawn_as_described_and_reproducibly() -> None:
    jobs, again = (gavel.drawn(table(), 200, seed=2, devices=4) for _ in range(2))
    assert np.array_equal(jobs.throughput, again.throughput) and np.array_equal(jobs.work, again.work)
    minutes = jobs.work / jobs.throughput[:, 0] / 60.0
    assert (minutes >= 100.0).all() and (minutes <= 10_000.0).all()
    assert set(jobs.gang) <= {1.0, 2.0, 4.0, 8.0}


def test_every_figure_comes_with_its_anchor(tmp_path: Path) -> None:
    (tmp_path / "gavel").mkdir()
    (tmp_path / "gavel" / "simulation_throughputs.json").write_text(json.dumps(table()))
    jobs = gavel.drawn(gavel.load(tmp_path), 12, seed=2, devices=2)
    figures = list(gavel._makespan(jobs, "a few"))
    assert [one.unit for one in figures] == ["x", "s", "s", "1"]
    assert figures[2].holds and "restated" in figures[0].anchor_source


def test_without_data_it_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SkipBenchmark, match="stanford-futuredata/gavel"):
        next(gavel.gavel_makespan(tmp_path))
