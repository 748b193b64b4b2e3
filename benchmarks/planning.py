"""How fast a plan is made, and how much better it is than other ways of thinking. No cluster is needed."""

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import instances
from benchmarks.figures import Figure, alternately, at_most, report, seconds
from polyhull.api.files import snapshot_from_files
from polyhull.controller.prover import Prover
from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Snapshot
from polyhull.optimize.columns import build_columns
from polyhull.planning.decide import decide, quick
from polyhull.planning.order import best_of, from_relaxation, initial_orders
from polyhull.planning.reserve import reserve

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "edge-to-cloud"
ROUNDS = 5
SKYPILOT_BITS_PER_SECOND = 10e9
"""Between clouds, whatever the distance: sky/optimizer.py of SkyPilot 0.14.1. (Inside one it counts nothing; our
regions are all different places, so the constant is a favour to nobody.)"""
UNBOUNDED_BITS_PER_SECOND = 1e16


def example_plan(data: Path | None) -> Iterator[Figure]:
    """The example's plan: the whole command, the first feasible plan, and the decision alone."""
    what = "examples/edge-to-cloud: 26 training jobs, 2 services, 7 pools, 2 sites"
    said: list[dict[str, Any]] = []

    def command(*more: str) -> float:
        return seconds(lambda: said.append(_plan(*more)))

    whole, first, start = alternately(ROUNDS, command, lambda: command("--no-proof"), _bare_start)
    anchor = "the same interpreter importing the command and nothing planned (polyhull --version), in the same run"
    yield at_most("example-plan command with proof", whole, "s", 4.0, what, start, anchor)
    yield at_most("example-plan command without proof (first feasible plan)", first, "s", 2.0, what, start, anchor)
    proved = next(one for one in said if one["boundKind"] == "ExactWholeCopy" or one is said[-1])
    yield at_most("example-plan gap", _gap(proved["gap"]), "1", 0.02, f"{what}; bound: {proved['boundKind']}")
    for rival in ("localityOnly", "computeOnly"):
        ratio = proved["baselines"][f"{rival}Seconds"] / proved["makespanSeconds"]
        yield Figure(
            f"example-plan makespan of {rival} over ours", ratio, "x", 1.0, "our own plan", 1.3, ratio >= 1.3, what
        )

    snapshot, findings = snapshot_from_files([EXAMPLE], 0.0)
    if findings:
        raise ValueError(f"{EXAMPLE}: {findings[0]}")
    with Prover(limit_seconds=120.0) as prove:
        with_proof, without = alternately(
            ROUNDS, lambda: seconds(lambda: decide(snapshot, prove)), lambda: seconds(lambda: decide(snapshot))
        )
    yield at_most("example-plan decision with proof, in process", with_proof, "s", 4.0, what)
    yield at_most("example-plan decision without proof, in process", without, "s", 2.0, what)


def plan_1000(data: Path | None) -> Iterator[Figure]:
    """A thousand jobs, thirty pools, ten sites: the time to a checked plan, and what that plan is worth."""
    snapshot = instances.gavel_skyplane(instances.load_sources(data), instances.PLAN_1000)
    what = str(instances.PLAN_1000)
    made: list[Decision] = []
    (took,) = alternately(3, lambda: seconds(lambda: made.append(decide(snapshot))))
    decision = made[-1]
    yield at_most("plan-1000 decision", took, "s", 5.0, what)
    yield report("plan-1000 makespan", decision.makespan_seconds / 3600.0, "h", what)
    yield report(f"plan-1000 gap ({decision.bound_kind.value})", _gap(decision.gap), "1", what)


def plan_10000(data: Path | None) -> Iterator[Figure]:
    """Ten thousand different jobs: what arrivals go into, and the whole decision with a certified gap."""
    sources = instances.load_sources(data)
    shape = replace(instances.PLAN_1000, jobs=10_000)
    snapshot = instances.gavel_skyplane(sources, shape)
    made: list[Decision] = []
    inserted = seconds(lambda: made.append(quick(snapshot)))
    whole = seconds(lambda: made.append(decide(snapshot)))
    what, decision = str(shape), made[-1]
    if any(one.violations for one in made):
        raise ValueError(f"the checker refused a plan: {made[-1].violations[:1] or made[0].violations[:1]}")
    yield at_most("plan-10000 decision, checked", whole, "s", 60.0, what)
    yield report("plan-10000 checked plan without a solver", inserted, "s", what)
    yield report(f"plan-10000 gap ({decision.bound_kind.value})", _gap(decision.gap), "1", what)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    yield report("plan-10000 peak memory of the process", most, "GB", what)


@dataclass(frozen=True, slots=True)
class Rivals:
    """Makespans in hours. All go through the same ordering and simulation, over the true links."""

    joint: float
    gap: float
    bound_kind: str
    locality_only: float
    compute_only: float
    link_blind: float
    """Placed by our own planner as if links were unbounded."""
    skypilot_links: float
    """Placed by our own planner as if every link carried SkyPilot's constant."""


def joint_vs_baselines(data: Path | None) -> Iterator[Figure]:
    """Executed makespans: the joint plan against others', and the regimes where they come close."""
    sources = instances.load_sources(data)
    shape = instances.JOINT_300
    found = rivals(instances.gavel_skyplane(sources, shape))
    fluid = "fluid bounds of an instance drawn alike: joint 6.55 h; "
    for name, other, theirs in (
        ("locality-only", found.locality_only, "locality-only 17.7 h"),
        (
            "compute-only",
            found.compute_only,
            "compute-only 161 h, ties not broken by finish",
        ),
        ("compute placed as if links were unbounded", found.link_blind, "compute-only then transferred 161 h"),
        ("SkyPilot's link model (10 Gbit/s everywhere)", found.skypilot_links, "SkyPilot's link model 220 h"),
    ):
        source = f"{name} through the same ordering and simulation, same run; {fluid}{theirs}"
        yield at_most(
            f"joint makespan, executed, against {name}", found.joint, "h", other / 2.0, str(shape), other, source
        )
    yield report(f"joint makespan, gap ({found.bound_kind})", found.gap, "1", str(shape))
    for words, other_shape in regimes(shape):
        there = rivals(instances.gavel_skyplane(sources, other_shape))
        for name, other in (("locality-only", there.locality_only), ("compute-only", there.compute_only)):
            yield report(f"regime {words}: {name} over joint", other / there.joint, "x", str(other_shape))


def regimes(shape: instances.Shape) -> tuple[tuple[str, instances.Shape], ...]:
    """Where joint planning matters more or less than in `shape`."""
    return (
        ("no edge sites", replace(shape, clouds=12, edges=0)),
        ("data of 1 GB-1 TB", replace(shape, least_bytes=1e9, most_bytes=1e12)),
        ("edge without V100", replace(shape, edge_kinds=("k80", "p100"))),
        ("long jobs (4-40 h)", replace(shape, least_seconds=14_400.0, most_seconds=144_000.0)),
        ("100 jobs", replace(shape, jobs=100)),
    )


def rivals(snapshot: Snapshot) -> Rivals:
    decision = decide(snapshot)
    local, fast = decision.baselines.locality_only_seconds, decision.baselines.compute_only_seconds
    if local is None or fast is None or decision.unplaced or decision.violations:
        raise ValueError("the instance has jobs that cannot be placed: not comparable")
    return Rivals(
        joint=decision.makespan_seconds / 3600.0,
        gap=_gap(decision.gap),
        bound_kind=decision.bound_kind.value,
        locality_only=local / 3600.0,
        compute_only=fast / 3600.0,
        link_blind=_believing(snapshot, UNBOUNDED_BITS_PER_SECOND) / 3600.0,
        skypilot_links=_believing(snapshot, SKYPILOT_BITS_PER_SECOND) / 3600.0,
    )


def _believing(snapshot: Snapshot, bits_per_second: float) -> float:
    """Executed seconds of the columns that our own planner picks when it believes every link carries this much."""
    seen = instances.with_links(snapshot, {link.name: bits_per_second for link in snapshot.fleet.links})
    picked = {item.job: (item.pool, item.option) for item in decide(seen).assignments}
    instance = reserve(snapshot, build_columns(snapshot), ()).instance
    columns = from_relaxation(instance, picked)
    return best_of(instance, initial_orders(instance, columns), columns).makespan


def _plan(*more: str) -> dict[str, Any]:
    command = [*_polyhull(), "plan", "-f", str(EXAMPLE), "-o", "json", *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-500:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _bare_start() -> float:
    return seconds(lambda: subprocess.run([*_polyhull(), "--version"], capture_output=True, timeout=300, check=True))


def _polyhull() -> list[str]:
    return [sys.executable, "-m", "polyhull"]


def _gap(value: float | None) -> float:
    return float("inf") if value is None else value
