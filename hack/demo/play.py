"""The play: start the clusters, install, apply, look at the plan, let it loose, watch, compare, clean up.

The plan is made while the policy says Observe, when all jobs are known; then the policy is set to Enforce. That is
how a careful administrator would begin, and it makes planned and observed comparable.
"""

import argparse
import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from rich.console import Console, RenderableType
from rich.live import Live

from examples.demo import scale, truth
from examples.demo.scale import SHORTEST_RUN_SECONDS
from hack.demo import compare, show, stage
from hack.demo.observe import Observer
from hack.ground.binaries import CONTROL_PLANE, BinariesMissing, obtain
from hack.ground.fleet import FleetError
from hack.ground.ground import Cluster, Ground, GroundError
from polyhull.domain.decision import Decision
from polyhull.telemetry.record import SUFFIX, read

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "edge-to-cloud"
FLEET = ROOT / "examples" / "demo" / "fleet.yaml"
PLAN_LIMIT_SECONDS = 120.0
RUN_LIMIT_SECONDS = 300.0
CALM_SECONDS = 3.0
Say = Callable[[str], None]


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why and where to look."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.demo", description="The example on real control planes.")
    parser.add_argument("--example", type=Path, default=EXAMPLE)
    parser.add_argument("--keep", action="store_true", help="leave everything running and print the kubeconfigs")
    parser.add_argument("--fleet", type=Path, default=FLEET, help="fleet file of the proving ground")
    parser.add_argument(
        "--wrong",
        metavar="NAME",
        action="append",
        default=[],
        help="a job or link that is in truth twice as slow as its object says",
    )
    parser.add_argument("--shortest", type=float, default=SHORTEST_RUN_SECONDS, help="seconds of the shortest run")
    parser.add_argument("--svg", type=Path, help="write the final table as a picture")
    options = parser.parse_args(arguments)
    console = Console(width=max(150, Console().width))
    with contextlib.ExitStack() as stack:
        try:
            result, factor, last = play(options, console, stack)
        except (BinariesMissing, FleetError, GroundError, DemoError) as error:
            console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
            return 1
        except KeyboardInterrupt:
            console.print("interrupted; ending everything that was started here")
            return 130
        finally:
            if options.keep:
                stack.pop_all()
    console.print(show.verdict(result, factor))
    if options.svg:
        picture = Console(record=True, width=150, file=io.StringIO())
        picture.print(last, show.verdict(result, factor))
        picture.save_svg(str(options.svg), title="make demo")
    return 0 if result.finished else 1


def play(
    options: argparse.Namespace, console: Console, stack: contextlib.ExitStack
) -> tuple[compare.Outcome, float, RenderableType]:
    """Run it all inside `stack`, which cleans up; returns the outcome, what work was divided by, the last table."""
    # Callbacks, not context managers: with --keep they are dropped and nothing is ended or removed.
    work = Path(tempfile.mkdtemp(prefix="polyhull-demo-"))
    stack.callback(shutil.rmtree, work, ignore_errors=True)
    scaled = scale.scale(scale.load(options.example), options.shortest)
    factor = scaled.factor
    scene = stage.prepare(scaled.documents, yaml.safe_load(options.fleet.read_text()))
    table = truth.table(scaled.documents, scene.fleet, slower=dict.fromkeys(options.wrong, 2.0))
    (work / "fleet.yaml").write_text(yaml.safe_dump(scene.fleet))
    (work / "truth.yaml").write_text(yaml.safe_dump(table))
    console.print(
        f"Work and data divided by {factor:g}, the shortest run takes {scaled.shortest_run_seconds:.1f} s.",
        style="dim",
    )

    said: list[str] = []

    def say(text: str) -> None:
        if said and said[-1] == text:
            return
        said.append(text)
        console.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {text}", highlight=False)

    ground = _ground(options, work, say, stack)
    hub = ground.clusters[stage.HUB]
    say(f"{len(ground.clusters)} control planes are ready in {ground.start_seconds:.1f} s")
    if options.keep:
        console.print(f"kept; end it with: python -m hack.ground stop --state {ground.state}", soft_wrap=True)
        for name, cluster in ground.clusters.items():
            console.print(f"  {name}: export KUBECONFIG={cluster.kubeconfig_path}", highlight=False, soft_wrap=True)
    install(ground, scene)
    say("CRDs, sites, links, pools and members are applied; policy: Observe")
    operator = operate(hub, work / "operator.log", work / "records")
    if options.keep:
        console.print(
            f"the operator's log: {work / 'operator.log'}; end it with: kill {operator.pid}", soft_wrap=True
        )
    stack.callback(end, operator)
    observer = Observer({name: ground.clusters[name].client for name in scene.members})
    observer.start()
    stack.callback(observer.stop)
    hub.kubectl("apply", "--server-side", "-f", "-", stdin=scene.jobs())
    say(f"{len(scene.jobs())} jobs and services are applied; waiting for the plan of all of them")
    decision = await_plan(work / "records", scene, operator, work / "operator.log")
    say(f"the plan is made and proven to {decision.gap or 0.0:.1%}: {decision.makespan_seconds:.1f} s")
    let_loose_at = time.time()
    _mode(hub, scene, "Enforce")
    say("policy: Enforce")
    result, last = follow(console, scene, observer, decision, let_loose_at, operator)
    return result, factor, last


def _ground(options: argparse.Namespace, work: Path, say: Say, stack: contextlib.ExitStack) -> Ground:
    state = Path(tempfile.mkdtemp(prefix="polyhull-ground-")) if options.keep else work / "ground"
    say("control-plane binaries (built once, about six minutes; cached afterwards)")
    binaries = obtain(CONTROL_PLANE, say)
    ground = Ground.start(
        work / "fleet.yaml", state, binaries, keep=options.keep, truth=work / "truth.yaml", progress=say
    )
    stack.callback(ground.stop)
    return ground


def install(ground: Ground, scene: stage.Stage) -> None:
    """What an administrator does once: CRDs, namespaces, credentials, and the fleet's objects in mode Observe."""
    hub = ground.clusters[stage.HUB]
    hub.install_crds(ROOT / "crds")
    spaces = [stage.namespace(stage.SYSTEM, accept=False)]
    spaces += [stage.namespace(name, accept=False) for name in scene.namespaces if name != "default"]
    hub.kubectl("apply", "--server-side", "-f", "-", stdin=spaces)
    for member in scene.of_kind("MemberCluster"):
        cluster = ground.clusters[member["metadata"]["name"]]
        accepting = [stage.namespace(name, accept=True) for name in scene.namespaces]
        cluster.kubectl("apply", "--server-side", "-f", "-", stdin=accepting)
        if "kubeconfigSecretRef" in member["spec"]:
            hub.kubectl("apply", "--server-side", "-f", "-", stdin=stage.credentials(member, cluster))
    hub.kubectl("apply", "--server-side", "-f", "-", stdin=scene.setting())
    _mode(hub, scene, "Observe")


def _mode(hub: Cluster, scene: stage.Stage, mode: str) -> None:
    policies = [p for p in scene.of_kind("PlacementPolicy") if p["metadata"]["name"] == "default"]
    policy = policies[0] if policies else {"metadata": {"name": "default"}, "spec": {}}
    changed = {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "PlacementPolicy",
        "metadata": {"name": "default"},
        "spec": {**policy["spec"], "mode": mode},
    }
    hub.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=changed)


def operate(hub: Cluster, log: Path, records: Path) -> "subprocess.Popen[bytes]":
    """The operator as a process of its own, as `polyhull run` starts it."""
    command = [sys.executable, "-m", "polyhull", "run", "--kubeconfig", str(hub.kubeconfig_path)]
    command += ["--metrics-port", "0", "--records", str(records)]
    with log.open("ab") as sink:
        return subprocess.Popen(
            command, stdout=sink, stderr=sink, start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )


def end(process: "subprocess.Popen[bytes]") -> None:
    """End exactly this process, with a time limit."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def await_plan(records: Path, scene: stage.Stage, operator: "subprocess.Popen[bytes]", log: Path) -> Decision:
    """The operator's own record of the plan that covers every job, once no better one follows it."""
    wanted = {
        (job["metadata"].get("namespace", "default"), job["metadata"]["name"]) for job in scene.of_kind("TrainingJob")
    }
    limit = time.monotonic() + PLAN_LIMIT_SECONDS
    newest, since = Path(), time.monotonic()
    missing = wanted
    while time.monotonic() < limit:
        _alive(operator, log)
        found = max(records.glob(f"*{SUFFIX}"), default=Path(), key=lambda path: path.name)
        if found != newest:
            newest, since = found, time.monotonic()
        if newest.name and time.monotonic() - since > CALM_SECONDS:
            decision = read(newest).decision
            missing = wanted - {(item.job.namespace, item.job.name) for item in decision.assignments}
            if not missing:
                return decision
        time.sleep(0.2)
    names = ", ".join(f"{namespace}/{name}" for namespace, name in sorted(missing)[:5])
    late = f"no plan of all jobs after {PLAN_LIMIT_SECONDS:.0f} s (missing: {names})"
    raise DemoError(f"{late}; the operator's log:\n{_tail(log)}")


def follow(
    console: Console,
    scene: stage.Stage,
    observer: Observer,
    decision: Decision,
    let_loose_at: float,
    operator: "subprocess.Popen[bytes]",
) -> tuple[compare.Outcome, RenderableType]:
    """Watch until every job ended or the limit is reached."""
    with Live(console=console, refresh_per_second=2, transient=False) as screen:
        while True:
            runs = observer.runs()
            result = compare.outcome(decision, runs, let_loose_at, scene.racks)
            elapsed = time.time() - let_loose_at
            table = show.live(result, decision, runs, let_loose_at, elapsed)
            screen.update(table)
            if result.finished or elapsed > RUN_LIMIT_SECONDS or operator.poll() is not None:
                return result, table
            time.sleep(0.5)


def _alive(operator: "subprocess.Popen[bytes]", log: Path) -> None:
    if operator.poll() is not None:
        raise DemoError(f"the operator ended with code {operator.returncode}; its log:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
