"""The compiled kernel and its Python twin say the same, bit for bit, on whatever instance."""

import ctypes
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hatch_build
from polyhull.planning import kernels
from polyhull.planning.explain import explain
from polyhull.planning.kernels import CompiledTierSearch, Simulator, library
from polyhull.planning.search import TierSearch, earlier, improve
from polyhull.planning.simulate import run
from polyhull.planning.start import first_schedules
from tests.kernel_cases import instance_of
from tests.properties.amount import examples

ROOT = Path(__file__).resolve().parents[2]
PROFILE = examples(60)
NO_COMPILER = "no C compiler: apt-get install gcc libc6-dev"


def compiled() -> ctypes.CDLL:
    found = library()
    if found is None:
        pytest.skip(NO_COMPILER)
    return found


@PROFILE
@given(st.integers(0, 100_000))
def test_any_order_is_simulated_alike(seed: int) -> None:
    instance, dice = instance_of(seed), Random(seed)
    if not instance.jobs:
        return
    simulator = Simulator(instance, compiled())
    for _ in range(3):
        order = dice.sample(range(len(instance.jobs)), len(instance.jobs))
        columns = [dice.choice([None, *range(len(options))]) for options in instance.choices]
        assert simulator.run(order) == run(instance, order)
        found = run(instance, order, columns)
        assert simulator.run(order, columns) == found
        placed = [j for j in order if found.slots[j] is not None]
        later = dice.sample(placed, len(placed))
        assert simulator.earlier(found, placed, later) == earlier(instance, found, placed, later)


@PROFILE
@given(st.integers(0, 100_000))
def test_a_search_takes_the_same_steps(seed: int) -> None:
    instance = instance_of(seed)
    if not instance.jobs:
        return
    simulator = Simulator(instance, compiled())
    start, _ = first_schedules(instance, None)
    ranking = [Random(seed).sample(range(len(options)), len(options)) for options in instance.choices]
    for tier in sorted(set(instance.tiers)):
        ours = CompiledTierSearch(simulator, tier, start, ranking, seed, 0.0)
        theirs = TierSearch(instance, tier, start, ranking, seed, 0.0)
        for steps in (1, 5, 30, 150):
            assert ours.search(steps) == theirs.search(steps)
            assert ours.done == theirs.done
            assert ours.best == theirs.best


@pytest.mark.parametrize("seed", range(12))
def test_without_the_kernel_the_plan_is_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled()
    instance = instance_of(seed)
    start, _ = first_schedules(instance, None)
    with_it = improve(instance, start, 700, 1)
    told = explain(instance, with_it[0])
    monkeypatch.setattr(kernels, "library", lambda: None)
    same = replace(instance)  # equal to nothing but itself, so nothing compiled is kept of it
    assert improve(same, start, 700, 1) == with_it
    assert explain(same, with_it[0]) == told


@pytest.mark.slow
def test_the_sanitizers_have_nothing_to_say(tmp_path: Path) -> None:
    """The same kind of instances under AddressSanitizer and UndefinedBehaviorSanitizer."""
    try:
        runtime = [_runtime(name) for name in ("libasan.so", "libubsan.so")]
    except hatch_build.NoCompiler:
        pytest.skip(NO_COMPILER)
    if not all(Path(one).is_absolute() for one in runtime):
        pytest.skip("the compiler has no sanitizers (gcc's libasan and libubsan)")
    checked = hatch_build.build(
        tmp_path / "checked.so", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"
    )
    environment = {
        **os.environ,
        "LD_PRELOAD": ":".join(runtime),
        "ASAN_OPTIONS": "detect_leaks=0",  # of the interpreter, not ours
        "PYTHONPATH": os.pathsep.join([str(ROOT / "operator"), str(ROOT)]),
    }
    command = [sys.executable, "-m", "tests.kernel_cases", str(checked), "60"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def _runtime(name: str) -> str:
    command = [hatch_build.compiler(), f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
