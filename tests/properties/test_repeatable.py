"""The same snapshot gives the same bytes: over a hundred runs, over processes with other hash seeds, in any order."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.planning.decide import decide
from tests.builders import data_set, fleet, growth, job, link, option, pool, service, snapshot, variant

ROOT = Path(__file__).parents[2]


def case() -> Snapshot:
    """Ties everywhere: identical pools, identical jobs, a shared data set with two sources."""
    sites = ("a", "b", "c")
    pools = [pool(at, kind, 2, growth=growth(1) if at == "c" else None) for at in sites for kind in ("v100", "npu")]
    links = [link(x, y, 1.0) for x in sites for y in sites if x != y]
    options = [option("v100", 2.0, 1, 4), option("npu", 2.0, 1, 4)]
    jobs = [job(f"j{k}", options, 100.0, ["d"] if k % 2 else []) for k in range(7)]
    chat = service("chat", [("a", 3.0), ("b", 3.0)], [variant("v100"), variant("npu")])
    policy = Policy(startup_seconds=1.0, solver=SolverLimits(search_steps=20))
    return snapshot(fleet(pools, links), jobs, [data_set("d", 5, "a", "b")], [chat], policy)


def shuffled(one: Snapshot, seed: int) -> Snapshot:
    dice = Random(seed)

    def mixed(values: tuple) -> tuple:  # type: ignore[type-arg]
        return tuple(dice.sample(values, len(values)))

    where = one.fleet
    pools = mixed(tuple(replace(each, nodes=mixed(each.nodes)) for each in where.pools))
    rest = {name: mixed(getattr(where, name)) for name in ("sites", "links", "clusters", "accelerators")}
    return replace(
        one, jobs=mixed(one.jobs), data_sets=mixed(one.data_sets), fleet=replace(where, pools=pools, **rest)
    )


def digest(seed: int | None = None) -> str:
    one = case() if seed is None else shuffled(case(), seed)
    return hashlib.sha256(repr(decide(one)).encode()).hexdigest()


def test_a_hundred_runs_are_one() -> None:
    assert len({digest(seed) for seed in range(100)} | {digest()}) == 1


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_another_process_decides_the_same(hash_seed: str) -> None:
    code = f"from tests.properties.test_repeatable import digest; print(digest({hash_seed}))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == digest()
