"""One measured figure as one JSON line, and the few statistics that figures need."""

import gc
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from polyhull.planning.kernels import library as built_library

QUICK = "POLYHULL_BENCH_QUICK"
"""Set in the environment by `--quick`."""


def effort(whole: int, quick: int) -> int:
    """So many seeds, rounds or objects for the record; so many to see that everything runs."""
    return quick if os.environ.get(QUICK) else whole


class SkipBenchmark(Exception):
    """What is missing, and where an outside user gets it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """`holds` says whether `value` keeps `target`; `anchor` is what others reach in the same run, None without one.

    Where a figure has no target of its own (a report beside others) `target` is None and `holds` is True.
    """

    figure: str
    value: float
    unit: str
    anchor: float | None
    anchor_source: str
    target: float | None
    holds: bool
    instance: str

    def line(self) -> str:
        values = {name: _rounded(value) for name, value in asdict(self).items()}
        return json.dumps(values, ensure_ascii=False)


def at_most(
    figure: str,
    value: float,
    unit: str,
    target: float,
    instance: str,
    anchor: float | None = None,
    anchor_source: str = "none",
) -> Figure:
    """A figure that is good when it is small."""
    return Figure(figure, value, unit, anchor, anchor_source, target, value <= target, instance)


def report(figure: str, value: float, unit: str, instance: str) -> Figure:
    """A figure that is shown beside others and has no target."""
    return Figure(figure, value, unit, None, "none", None, True, instance)


MACHINE = "machine"
"""The figure that begins every run: what the ones after it were measured on."""
SMOKE = "a quick run: fewer seeds, smaller, no record"


def machine() -> Figure:
    """Processors, and in words: system, versions, commit, load when the run began."""
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    words = (
        f"{platform.system()}, Python {platform.python_version()}, HiGHS {version('highspy')}, commit "
        f"{commit}, load average {os.getloadavg()[0]:.1f} when the run began"
    )
    if built_library() is None:
        words += (
            "; without the compiled kernels (python hatch_build.py builds them), so times are those of their twins"
        )
    if os.environ.get(QUICK):
        words += f"; {SMOKE}"
    return report(MACHINE, float(os.cpu_count() or 1), "cores", words)


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def alternately(runs: int, *measured: Callable[[], float]) -> tuple[float, ...]:
    """Each of `measured` once per round, in turn, `runs` rounds (quick: one); the median of what each returned."""
    values: list[list[float]] = [[] for _ in measured]
    for _ in range(effort(runs, 1)):
        for taken, measure in zip(values, measured, strict=True):
            taken.append(measure())
    return tuple(statistics.median(taken) for taken in values)


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def as_worker() -> Iterator[None]:
    """As the operator's worker decides: reference cycles are looked for while nobody waits (controller/worker.py)."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the least value that at least `share` of all do not exceed."""
    if not values:
        raise ValueError("no values")
    ranked = sorted(values)
    return ranked[max(0, -int(-share * len(ranked) // 1) - 1)]
