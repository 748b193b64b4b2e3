"""Helix's layer placement (Mei et al., ASPLOS 2025) on its published models, judged by its own model files.

Machines, links and throughputs are read from the .lp files that Helix's authors published; our placement is put into
the same file (start and hold fixed) and HiGHS says what the file's objective makes of it. Their value is the one in
their .sol file, checked by the same referee; their seconds are Gurobi's own log (20 threads, their machine).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure, SkipBenchmark, alternately, at_most, report, seconds
from polyhull.optimize.data import Ints
from polyhull.optimize.layers import Machines
from polyhull.optimize.stages import Layout, place_layers

ROUNDS = 11
REFEREE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    """A published layout: its folder, its target for us (tokens/s), and what it is."""

    folder: str
    target: float
    words: str


CASES = (
    Case("ablation/layouts/quality", 286.587, "10 machines, 60 layers; theirs proven optimal"),
    Case("ablation/layouts/no_prune_24", 1754.0, "24 machines in 3 clusters, 80 layers"),
    Case("ablation/layouts/no_prune_42", 5441.0, "42 machines of 7 kinds, 80 layers"),
)
PRUNED = {"ablation/layouts/no_prune_24": "ablation/layouts/raw_24"}
"""Where a run on fewer links found more on the same network: its value is the anchor."""


def helix(data: Path | None) -> Iterator[Figure]:
    """Tokens per second of our placement by their referee, and the seconds it took."""
    root = folder(data)
    for case in CASES:
        path = root / case.folder
        machines, layers = read_machines(path / "ilp_model.lp")
        ours: list[Layout] = []
        (took,) = alternately(
            ROUNDS,
            lambda machines=machines, layers=layers, ours=ours: seconds(
                lambda: ours.append(place_layers(machines, layers))
            ),
        )
        judged = referee(path / "ilp_model.lp", ours[-1].start, ours[-1].layers)
        theirs, gurobi = their_value(path), their_seconds(path)
        source = "Helix's .sol, by the same referee"
        if case.folder in PRUNED:
            better = their_value(root / PRUNED[case.folder])
            source += f" {theirs:.5g}; on fewer links ({PRUNED[case.folder]}) {better:.5g}"
            theirs = max(theirs, better)
        what = f"Helix {case.folder}: {case.words}"
        holds = judged >= theirs * (1.0 - 1e-6)
        yield Figure("helix tokens/s, ours over theirs", judged / theirs, "x", 1.0, source, 1.0, holds, what)
        reached = judged >= case.target * (1.0 - 1e-6)
        yield Figure("helix tokens/s by Helix's own .lp", judged, "1/s", theirs, source, case.target, reached, what)
        yield at_most(
            "helix placement", took, "s", 0.1, what, gurobi, "Gurobi's log beside the .lp, 20 threads, not rerun"
        )
        yield report("helix stages of the placement", float(len(ours[-1].stages)), "stages", what)
        yield report("helix bound (compute alone)", ours[-1].bound, "1/s", what)


def folder(data: Path | None) -> Path:
    """The folder with Helix's published layouts. Raises SkipBenchmark with where to get it."""
    if data is None or not (data / "helix" / CASES[0].folder / "ilp_model.lp").is_file():
        raise SkipBenchmark(
            "needs helix/ablation/layouts/*/ilp_model.lp and ilp_solution.sol (the published layouts of "
            f"github.com/Thesys-lab/Helix-ASPLOS25 @ 148b733) in --data DIR; looked in {data}"
        )
    return data / "helix"


def read_machines(path: Path) -> tuple[Machines, int]:
    """Machines, links and the number of layers, from the rows of one of Helix's .lp files."""
    text = re.sub(r"\n {2,}", " ", path.read_text())
    rates = {
        int(node): [float(value) for value in re.findall(r"- ([\d.e+]+) hold_\d+_\d+", row)]
        for node, row in re.findall(r"node_throughput_constraint_(\d+): (.*)", text)
    }
    layers = re.search(r"end_constraint_0: .*<= (\d+)", text)
    if not rates or layers is None:
        raise ValueError(
            f"{path}: not a model as Helix writes it (rows node_throughput_constraint_*, end_constraint_0)"
        )
    many = len(rates)
    throughput = np.zeros((many, max(map(len, rates.values()))))
    for node, row in rates.items():
        throughput[node, : len(row)] = row
    link, entry, leave = np.zeros((many, many)), np.zeros(many), np.zeros(many)
    for one, other, capacity in re.findall(r"edge_flow_constr_(\w+)_(\w+): flow_\w+ - ([\d.e+]+) switch", text):
        if one == "source":
            entry[int(other)] = float(capacity)
        elif other == "sink":
            leave[int(one)] = float(capacity)
        else:
            link[int(one), int(other)] = float(capacity)
    return Machines(throughput, link, entry, leave), int(layers[1])


def referee(path: Path, start: Ints, layers: Ints) -> float:
    """The objective of Helix's file with these positions; an idle machine holds one layer, as its rows want."""
    fixed: dict[str, float] = {}
    for node, (begin, held) in enumerate(zip(start.tolist(), layers.tolist(), strict=True)):
        fixed[f"start_{node}"] = float(begin)
        fixed[f"hold_{node}_{max(1, held)}"] = 1.0
    return solved(path, fixed)


def their_value(path: Path) -> float:
    """The objective of Helix's file with the positions of Helix's own solution."""
    answer = (line.split() for line in (path / "ilp_solution.sol").read_text().splitlines() if line[:1] in "sh")
    fixed = {name: round(float(value)) * 1.0 for name, value in answer if name.startswith(("start_", "hold_"))}
    return solved(path / "ilp_model.lp", {name: value for name, value in fixed.items() if value or name[0] == "s"})


def solved(path: Path, fixed: dict[str, float]) -> float:
    """The file's best objective once `fixed` variables are fixed and holds not named are 0."""
    import highspy

    solver: Any = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("time_limit", REFEREE_SECONDS)
    if solver.readModel(str(path)) == highspy.HighsStatus.kError:
        raise ValueError(f"{path}: HiGHS cannot read it")
    for at, name in enumerate(solver.getLp().col_names_):
        if name.startswith(("start_", "hold_")):
            value = fixed.get(name, 0.0)
            solver.changeColBounds(at, value, value)
    solver.run()
    if str(solver.modelStatusToString(solver.getModelStatus())) != "Optimal":
        return 0.0
    return float(solver.getInfo().objective_function_value)


def their_seconds(path: Path) -> float:
    """What Gurobi's log says it took; nan without a log."""
    log = path / "trace.txt"
    found = re.findall(r" in ([\d.]+) seconds", log.read_text()) if log.is_file() else []
    return float(found[-1]) if found else float("nan")
