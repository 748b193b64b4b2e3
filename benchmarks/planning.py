"""How fast a plan is made, and how much better it is than other ways of thinking. No cluster is needed."""

import json
import math
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import instances
from benchmarks.figures import Figure, alternately, as_worker, at_most, effort, report, seconds
from polyhull.api.files import snapshot_from_files
from polyhull.controller.prover import Prover
from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Snapshot
from polyhull.optimize.build import build_columns
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
    with as_worker():
        (took,) = alternately(3, lambda: seconds(lambda: made.append(decide(snapshot))))
    decision = made[-1]
    yield at_most("plan-1000 decision", took, "s", 5.0, what)
    yield report("plan-1000 makespan", decision.makespan_seconds / 3600.0, "h", what)
    yield report(f"plan-1000 gap ({decision.bound_kind.value})", _gap(decision.gap), "1", what)


def plan_10000(data: Path | None) -> Iterator[Figure]:
    """Ten thousand different jobs: what arrivals go into, and the whole decision with a certified gap."""
    sources = instances.load_sources(data)
    shape = replace(instances.PLAN_1000, jobs=effort(10_000, 1_500))
    snapshot = instances.gavel_skyplane(sources, shape)
    made: list[Decision] = []
    with as_worker():
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
    least: float
    """No schedule is shorter: the bound that is printed with the joint plan."""
    locality_only: float
    compute_only: float
    link_blind: float = math.inf
    """Placed by our own planner as if links were unbounded."""
    skypilot_links: float = math.inf
    """Placed by our own planner as if every link carried SkyPilot's constant."""


_RIVALS = (
    ("locality-only", "locality_only", "locality-only 17.7 h"),
    ("compute-only", "compute_only", "compute-only 161 h, ties not broken by finish"),
    ("compute placed as if links were unbounded", "link_blind", "compute-only then transferred 161 h"),
    ("SkyPilot's link model (10 Gbit/s everywhere)", "skypilot_links", "SkyPilot's link model 220 h"),
)
JOINT_SEEDS = range(1, 1 + effort(20, 1))
TWICE = 2.0


def joint_vs_baselines(data: Path | None) -> Iterator[Figure]:
    """Executed makespans: the joint plan against others' over seeds, and the regimes where they come close."""
    sources = instances.load_sources(data)
    shape = instances.JOINT_300
    found = [rivals(instances.gavel_skyplane(sources, replace(shape, seed=seed)), True) for seed in JOINT_SEEDS]
    what = f"{len(found)} seeds of {str(shape).rsplit(', seed', 1)[0]}"
    for name, field, fluid in _RIVALS:
        ratios = [getattr(one, field) / one.joint for one in found]
        source = (
            f"our own plan; {name} goes through the same ordering and simulation, same run; fluid bounds of an "
            f"instance drawn alike: joint 6.55 h; {fluid}"
        )
        middle = median(ratios)
        title = f"joint plan, executed: {name} over it"
        yield Figure(f"{title}, median", middle, "x", 1.0, source, TWICE, middle >= TWICE, what)
        yield report(f"{title}, least", min(ratios), "x", what)
        yield report(f"{title}: seeds with 2 x", sum(ratio >= TWICE for ratio in ratios), "seeds", what)
        beyond = sum(getattr(one, field) < TWICE * one.least for one in found)
        yield report(f"{title}: seeds where the bound proves 2 x out of any schedule's reach", beyond, "seeds", what)
    yield report("joint plan, gap, median", median(1.0 - one.least / one.joint for one in found), "1", what)
    for words, why, other_shape in regimes(shape):
        there = rivals(instances.gavel_skyplane(sources, other_shape), False)
        for name, other in (("locality-only", there.locality_only), ("compute-only", there.compute_only)):
            verdict = _verdict(other, there)
            title = f"regime {words}: {name} over joint"
            yield report(title, other / there.joint, "x", f"{other_shape}; {verdict}: {why[name]}")


def _verdict(other: float, there: Rivals) -> str:
    """What the figure and the bound say together."""
    if other >= TWICE * there.joint:
        return "at least 2 x"
    reach = f"no schedule is more than {other / there.least:.2f} x better"
    return f"a tie, {reach}" if other <= 1.05 * there.joint else f"better, {reach}"


def regimes(shape: instances.Shape) -> tuple[tuple[str, dict[str, str], instances.Shape], ...]:
    """Where joint planning matters more or less than in `shape`, and why, by rival."""
    return tuple(
        (words, {"locality-only": local, "compute-only": fast}, other)
        for words, local, fast, other in _regimes(shape)
    )


def _regimes(shape: instances.Shape) -> Iterator[tuple[str, str, str, instances.Shape]]:
    small = "data of 1 GB-1 TB"
    yield (
        "no edge sites",
        "every site has all kinds of devices to spare, so staying with the data costs nothing",
        "every link is wide, so wherever the fastest device is, the data is soon there",
        replace(shape, clouds=12, edges=0),
    )
    yield (
        small,
        "small edge sites queue although their data could leave within minutes",
        "nearly all data leaves in time, so chasing fast devices is nearly right",
        replace(shape, least_bytes=1e9, most_bytes=1e12),
    )
    yield (
        "edge without V100",
        "what is slow at the edge stays there although a part of it could leave",
        "no edge site has the fastest device, so all data is sent over uplinks of 0.2 Gbit/s",
        replace(shape, edge_kinds=("k80", "p100")),
    )
    yield (
        "long jobs (4-40 h)",
        "computing outweighs moving, and small edge sites compute for days",
        "computing outweighs moving, so the fastest device is worth the wait for the data",
        replace(shape, least_seconds=14_400.0, most_seconds=144_000.0),
    )
    yield (
        "100 jobs",
        "a third of the jobs fills the edge less, so staying costs less",
        "fewer copies share an uplink, but the largest still take as long",
        replace(shape, jobs=100),
    )


def rivals(snapshot: Snapshot, believers: bool) -> Rivals:
    """`believers`: also those who plan as we do and are wrong about links."""
    with Prover(limit_seconds=60.0) as prove:
        decision = decide(snapshot, prove)
    local, fast = decision.baselines.locality_only_seconds, decision.baselines.compute_only_seconds
    if local is None or fast is None or decision.unplaced or decision.violations:
        raise ValueError("the instance has jobs that cannot be placed: not comparable")
    found = Rivals(
        joint=decision.makespan_seconds / 3600.0,
        least=decision.lower_bound_seconds / 3600.0,
        locality_only=local / 3600.0,
        compute_only=fast / 3600.0,
    )
    if not believers:
        return found
    return replace(
        found,
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
