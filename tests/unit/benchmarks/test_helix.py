"""Helix's file format read back from a small file of the same form, and the referee on it."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import helix
from benchmarks.figures import SkipBenchmark

LP = r"""\ written by hand in the form of Helix's models: two machines, two layers
Maximize
  flow_source_0 + flow_source_1
Subject To
 hold_constraint_0: hold_0_1 + hold_0_2 = 1
 end_constraint_0: start_0 + hold_0_1 + 2 hold_0_2 <= 2
 hold_constraint_1: hold_1_1 + hold_1_2 = 1
 end_constraint_1: start_1 + hold_1_1 + 2 hold_1_2 <= 2
 node_flow_constraint_0: flow_source_0 - flow_0_sink - flow_0_1 + flow_1_0
   = 0
 node_flow_constraint_1: flow_source_1 - flow_1_sink + flow_0_1 - flow_1_0
   = 0
 node_throughput_constraint_0: - 90 hold_0_1
   - 40.5 hold_0_2 + flow_source_0 + flow_1_0 <= 0
 node_throughput_constraint_1: - 80 hold_1_1 - 30 hold_1_2
   + flow_source_1 + flow_0_1 <= 0
 edge_disable_constr_source_0: start_0 + 2 switch_source_0 <= 2
 edge_disable_constr_source_1: start_1 + 2 switch_source_1 <= 2
 edge_disable_constr_0_sink: - start_0 - hold_0_1 - 2 hold_0_2
   + 2 switch_0_sink <= 0
 edge_disable_constr_1_sink: - start_1 - hold_1_1 - 2 hold_1_2
   + 2 switch_1_sink <= 0
 edge_disable_constr1_0_1: start_0 - start_1 + hold_0_1 + 2 hold_0_2
   + 2 switch_0_1 <= 2
 edge_disable_constr2_0_1: - start_0 + start_1 - hold_0_1 - 2 hold_0_2
   + 2 switch_0_1 <= 2
 edge_disable_constr1_1_0: - start_0 + start_1 + hold_1_1 + 2 hold_1_2
   + 2 switch_1_0 <= 2
 edge_disable_constr2_1_0: start_0 - start_1 - hold_1_1 - 2 hold_1_2
   + 2 switch_1_0 <= 2
 edge_flow_constr_source_0: flow_source_0 - 5e+08 switch_source_0 <= 0
 edge_flow_constr_source_1: flow_source_1 - 5e+08 switch_source_1 <= 0
 edge_flow_constr_0_sink: flow_0_sink - 5e+08 switch_0_sink <= 0
 edge_flow_constr_1_sink: flow_1_sink - 5e+08 switch_1_sink <= 0
 edge_flow_constr_0_1: flow_0_1 - 75.5 switch_0_1 <= 0
 edge_flow_constr_1_0: flow_1_0 - 60 switch_1_0 <= 0
Bounds
Binaries
 hold_0_1 hold_0_2 hold_1_1 hold_1_2 switch_source_0 switch_source_1
 switch_0_sink switch_1_sink switch_0_1 switch_1_0
Generals
 start_0 start_1
End
"""
SOLUTION = """# Objective value = 7.05e+01
flow_source_0 40.5
start_0 0
start_1 0
hold_0_1 0
hold_0_2 1
hold_1_1 0
hold_1_2 1
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for case in [*helix.CASES, *(helix.Case(other, 0.0, "") for other in helix.PRUNED.values())]:
        at = tmp_path / "helix" / case.folder
        at.mkdir(parents=True)
        (at / "ilp_model.lp").write_text(LP)
        (at / "ilp_solution.sol").write_text(SOLUTION)
        (at / "trace.txt").write_text("Explored 7 nodes (9 simplex iterations) in 12.50 seconds (1 work units)\n")
    return tmp_path


def test_machines_links_and_layers_are_read_from_the_rows(data: Path) -> None:
    machines, layers = helix.read_machines(data / "helix" / helix.CASES[0].folder / "ilp_model.lp")
    assert layers == 2
    assert machines.throughput.tolist() == [[90.0, 40.5], [80.0, 30.0]]
    assert machines.link.tolist() == [[0.0, 75.5], [60.0, 0.0]]
    assert machines.entry.tolist() == machines.exit.tolist() == [5e8, 5e8]


def test_the_referee_says_what_the_file_makes_of_positions(data: Path) -> None:
    path = data / "helix" / helix.CASES[0].folder
    chain = np.array([0, 1]), np.array([1, 1])
    assert helix.referee(path / "ilp_model.lp", *chain) == pytest.approx(75.5)
    assert helix.referee(path / "ilp_model.lp", np.array([1, 0]), np.array([1, 1])) == pytest.approx(60.0)
    assert helix.referee(path / "ilp_model.lp", np.array([0, 0]), np.array([2, 0])) == pytest.approx(40.5)
    assert helix.their_value(path) == pytest.approx(70.5)
    assert helix.their_seconds(path) == 12.5


def test_every_case_gives_its_figures_and_the_chain_wins(data: Path) -> None:
    figures = list(helix.helix(data))
    assert len(figures) == 5 * len(helix.CASES)
    ratios = [one for one in figures if one.unit == "x"]
    assert [one.value for one in ratios] == pytest.approx([75.5 / 70.5] * len(helix.CASES))
    assert all(one.holds for one in ratios)


def test_without_data_it_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SkipBenchmark, match="Helix-ASPLOS25"):
        next(helix.helix(tmp_path))
