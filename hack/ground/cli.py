"""`python -m hack.ground build|start|status|stop|kubeconfig`."""

import argparse
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from hack.ground.binaries import CONTROL_PLANE, HACK, HELM, BinariesMissing, obtain
from hack.ground.fleet import FleetError, load_fleet
from hack.ground.ground import Ground, GroundError, read_state

out = Console()
errors = Console(stderr=True)


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        result: int = options.run(options)
    except (BinariesMissing, FleetError, GroundError) as error:
        errors.print(f"[red]{type(error).__name__}[/]: ", end="")
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.ground", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--state", type=Path, default=Path(".ground"), help="directory of the ground (default: .ground)"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="build what is missing of the control plane, and helm")
    build.set_defaults(run=_build)

    start = commands.add_parser(
        "start", parents=[common], help="start the clusters of a fleet file; Ctrl-C stops them"
    )
    start.add_argument("--fleet", type=Path, default=HACK / "ground" / "fleet.yaml")
    start.add_argument("--truth", type=Path, help="truth table that decides how long pods run (see hack/README.md)")
    start.add_argument(
        "--keep", action="store_true", help="return when ready and leave the ground running until `stop`"
    )
    start.set_defaults(run=_start)

    commands.add_parser("status", parents=[common], help="what runs").set_defaults(run=_status)
    commands.add_parser("stop", parents=[common], help="stop a ground started with --keep").set_defaults(run=_stop)

    kubeconfig = commands.add_parser("kubeconfig", parents=[common], help="print a kubeconfig")
    kubeconfig.add_argument("cluster", nargs="?", help="one cluster; all as contexts of one file when left out")
    kubeconfig.set_defaults(run=_kubeconfig)
    return parser


def _build(options: argparse.Namespace) -> int:
    with _spinner() as say:
        paths = obtain(CONTROL_PLANE, say) | obtain(HELM, say)
    for name, path in paths.items():
        out.print(f"{name:<24} {path}", highlight=False, soft_wrap=True)
    return 0


def _start(options: argparse.Namespace) -> int:
    load_fleet(options.fleet)  # its mistakes before anything is built or started
    _end_on_sigterm()
    with _spinner() as say:
        ground = Ground.start(
            options.fleet,
            options.state,
            obtain(CONTROL_PLANE, say),
            keep=options.keep,
            truth=options.truth,
            progress=say,
        )
    out.print(f"ready in {ground.start_seconds:.1f} s")
    _print(ground)
    if options.keep:
        out.print(f"stop with: python -m hack.ground stop --state {options.state}", highlight=False, soft_wrap=True)
        return 0
    out.print("Ctrl-C stops it")
    with ground:
        while ground.supervisor.alive():
            time.sleep(0.5)
    document = read_state(options.state)
    if document is None or document["status"] != "stopped":
        why = document["message"] if document else "its supervisor was killed"
        raise GroundError(f"the ground ended by itself: {why}")
    out.print("stopped")
    return 0


def _status(options: argparse.Namespace) -> int:
    _print(Ground.load(options.state))
    return 0


def _stop(options: argparse.Namespace) -> int:
    began = time.monotonic()
    ground = Ground.load(options.state, ready=False)
    with _spinner() as say:
        say("stopping")
        ground.stop()
    out.print(f"stopped in {time.monotonic() - began:.1f} s")
    return 0


def _kubeconfig(options: argparse.Namespace) -> int:
    ground = Ground.load(options.state)
    if options.cluster is None:
        sys.stdout.write(ground.kubeconfig())
    elif cluster := ground.clusters.get(options.cluster):
        sys.stdout.write(cluster.kubeconfig_path.read_text())
    else:
        raise GroundError(f"no cluster {options.cluster!r} here; there are {', '.join(ground.clusters)}")
    return 0


def _print(ground: Ground) -> None:
    table = Table("cluster", "server", "memory", "kubeconfig", box=None, pad_edge=False)
    for cluster in ground.clusters.values():
        table.add_row(
            cluster.name, cluster.server, f"{cluster.memory_bytes() / 2**20:.0f} MiB", str(cluster.kubeconfig_path)
        )
    out.print(table, soft_wrap=True)


@contextlib.contextmanager
def _spinner() -> Iterator[Callable[[str], None]]:
    """Shows what is being done and for how long; on a pipe, one line for each new thing."""
    if not errors.is_terminal:
        said: set[str] = set()

        def say(text: str) -> None:
            if text not in said:
                said.add(text)
                errors.print(text, highlight=False, soft_wrap=True)

        yield say
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task("")
        lock = threading.Lock()

        def show(text: str) -> None:
            with lock:
                if progress.tasks[0].description != text:
                    progress.reset(task, description=text)

        yield show


def _end_on_sigterm() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
