"""The commands `polyhull` and `kubectl polyhull`: each loads, asks the layers below and prints; none decides.

Exit codes: 0 done, 2 the input is invalid (file, line, field, what to do), 3 something could not be placed.
"""

import json
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from polyhull import __version__

app = typer.Typer(
    name="polyhull",
    help="Places AI jobs and their data on CPU, GPU and NPU pools across clusters, and proves how good the plan is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

INVALID = 2
NOT_PLACED = 3


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Files = Annotated[
    list[Path],
    typer.Option("-f", "--filename", help="YAML file or folder with the objects; may be given several times."),
]
At = Annotated[
    str | None,
    typer.Option(metavar="INSTANT", help="When the files are as they are; for deadlines and running jobs."),
]
Format = Annotated[Output, typer.Option("-o", "--output", help="table for people, json or yaml for programs.")]


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False) -> None:
    if version:
        typer.echo(f"polyhull {__version__}")
        raise typer.Exit


@app.command()
def plan(
    files: Files,
    output: Format = Output.TABLE,
    proof: Annotated[bool, typer.Option(help="Ask CP-SAT for a proof (up to about 60 jobs).")] = True,
    steps: Annotated[int | None, typer.Option(min=0, help="Budget of the schedule search, in moves.")] = None,
    at: At = None,
    wide: Annotated[bool, typer.Option("--wide", help="Do not shorten the reasons.")] = False,
    record: Annotated[Path | None, typer.Option(help="Keep input and answer in this file, for `replay`.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the plan as one self-contained HTML page.")] = None,
) -> None:
    """Plan the objects in YAML files; no cluster is needed."""
    from polyhull.cli import offline, show
    from polyhull.planning.report import document

    with offline.prover(enabled=proof) as prove:
        snapshot = offline.load(files, steps, at)
        decision = offline.decide(snapshot, prove)
    if record is not None:
        offline.keep(record, snapshot, offline.bare(decision, prove), offline.method(decision, proof=proof))
    if report is not None:
        offline.report(report, snapshot, decision, ", ".join(file.stem or str(file) for file in files))
    if output is Output.TABLE:
        _print(*show.decision(decision, wide=wide))
    else:
        _emit(document(decision), output)
    if decision.violations:
        raise typer.Exit(1)
    if decision.unplaced:
        raise typer.Exit(NOT_PLACED)


@app.command()
def explain(
    name: Annotated[str, typer.Argument(metavar="KIND/NAME", help="for example trainingjob/resnet")],
    files: Annotated[
        list[Path] | None, typer.Option("-f", "--filename", help="Explain the plan of these files, not a cluster's.")
    ] = None,
    namespace: Annotated[str, typer.Option("-n", "--namespace")] = "default",
    at: At = None,
    proof: Annotated[bool, typer.Option(help="Ask CP-SAT for a proof (files).")] = True,
    kubeconfig: Annotated[Path | None, typer.Option(help="Path of a kubeconfig; KUBECONFIG otherwise.")] = None,
    context: Annotated[str | None, typer.Option(help="Context in the kubeconfig.")] = None,
    output: Format = Output.TABLE,
) -> None:
    """Say where a job runs, why there, what binds and what the next best would be."""
    from polyhull.cli import offline, online, show

    if not files:
        found = online.explain(name, namespace, kubeconfig, context)
        if output is Output.TABLE:
            _print(*online.describe(found))
        else:
            _emit(found, output)
        return
    with offline.prover(enabled=proof) as prove:
        snapshot = offline.load(files, at=at)
        decision = offline.decide(snapshot, prove)
    item, helps = offline.helped(snapshot, decision, offline.find(decision, name, namespace), files)
    if output is Output.TABLE:
        _print(*show.subject(item, decision, helps))
    else:
        _emit(offline.subject_document(item, decision, helps), output)


@app.command(name="what-if")
def what_if(
    files: Annotated[
        list[Path] | None, typer.Option("-f", "--filename", help="Ask about these files, not about a cluster.")
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Ask about a recorded decision.")] = None,
    add_nodes: Annotated[list[str] | None, typer.Option(metavar="POOL=NODES", help="More nodes in a pool.")] = None,
    add_devices: Annotated[
        list[str] | None, typer.Option(metavar="CLUSTER/ACCELERATOR=DEVICES", help="More devices in a cluster.")
    ] = None,
    resize: Annotated[list[str] | None, typer.Option(metavar="POOL=NODES", help="That many nodes; 0: none.")] = None,
    link: Annotated[
        list[str] | None, typer.Option(metavar="FROM:TO=BANDWIDTH", help="Another bandwidth, one way; 0: no link.")
    ] = None,
    lose_cluster: Annotated[list[str] | None, typer.Option(metavar="CLUSTER", help="A cluster is gone.")] = None,
    objective: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="Another objective, such as Makespan,Cost.")
    ] = None,
    submit: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Submit the file's TrainingJobs.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="KIND/NAMESPACE/NAME", help="A job or a service is gone.")
    ] = None,
    priority: Annotated[
        list[str] | None, typer.Option(metavar="KIND/NAMESPACE/NAME=N", help="Another tier for a job.")
    ] = None,
    copy: Annotated[
        list[str] | None, typer.Option(metavar="NAMESPACE/DATASET@SITE", help="A copy of a data set at a site.")
    ] = None,
    device_limit: Annotated[
        list[str] | None,
        typer.Option(metavar="POLICY/ACCELERATOR=DEVICES", help="Another device limit of some namespaces."),
    ] = None,
    scenario: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Changes of PlacementScenarios.")
    ] = None,
    at: At = None,
    proof: Annotated[bool, typer.Option(help="Ask CP-SAT for proofs (files and records).")] = True,
    kubeconfig: Annotated[Path | None, typer.Option(help="Path of a kubeconfig; KUBECONFIG otherwise.")] = None,
    context: Annotated[str | None, typer.Option(help="Context in the kubeconfig.")] = None,
    timeout: Annotated[float, typer.Option(min=1.0, help="Seconds to wait for a cluster's answer.")] = 300.0,
    output: Format = Output.TABLE,
) -> None:
    """Say what a change would do to today's plan; nothing is touched. Changes are made in the order listed here."""
    from polyhull.cli import asking, differing, offline
    from polyhull.telemetry.record import read

    flags = {
        "add-nodes": add_nodes, "add-devices": add_devices, "resize": resize, "link": link,
        "lose-cluster": lose_cluster, "objective": objective, "remove": remove, "priority": priority, "copy": copy,
        "device-limit": device_limit,
    }  # fmt: skip
    raw = asking.question({flag: values or () for flag, values in flags.items()}, submit or (), scenario or ())
    if files or record is not None:
        snapshot = offline.load(files, at=at) if files else read(record).snapshot if record else None
        assert snapshot is not None
        found = asking.offline(snapshot, raw, proof)
    else:
        found = asking.online(raw, kubeconfig, context, timeout)
    if output is Output.TABLE:
        _print(*differing.tables(found))
    else:
        _emit(found, output)


@app.command()
def approve(
    name: Annotated[str, typer.Argument(metavar="PLAN", help="A PlacementPlan's name, or `newest`.")],
    kubeconfig: Annotated[Path | None, typer.Option(help="Path of a kubeconfig; KUBECONFIG otherwise.")] = None,
    context: Annotated[str | None, typer.Option(help="Context in the kubeconfig.")] = None,
) -> None:
    """Approve a recommended plan: what it assigns is carried out, as long as it stays what it is."""
    from polyhull.cli import approving

    plan, told = approving.approve(name, kubeconfig, context)
    typer.echo(f"approved {plan} ({told}); the approval is void once an assignment in it changes")


@app.command()
def replay(
    path: Annotated[
        Path, typer.Argument(metavar="RECORD", help="A file of the operator's ring, or of plan --record.")
    ],
    output: Format = Output.TABLE,
    wide: Annotated[bool, typer.Option("--wide", help="Do not shorten the reasons.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write the plan as one self-contained HTML page.")] = None,
) -> None:
    """Make a recorded decision again and compare the two byte for byte. Exit code 1 if they differ."""
    from polyhull.cli import again, offline, show
    from polyhull.planning.report import document
    from polyhull.telemetry import record

    kept = record.read(path)
    decision, failure = again.decide(kept)
    if output is Output.TABLE:
        _print(*show.decision(decision, wide=wide))
    else:
        _emit(document(decision), output)
    if report is not None:
        offline.report(report, kept.snapshot, decision, path.name.removesuffix(record.SUFFIX))
    if again.same(kept, decision):
        typer.echo(f"the same, byte for byte, as Polyhull {kept.program} decided it ({kept.method})", err=True)
        return
    typer.echo(f"not what Polyhull {kept.program} decided ({kept.method}); this is {__version__}:", err=True)
    for line in again.differences(kept, decision):
        typer.echo(f"  {line}", err=True)
    if failure:
        typer.echo(f"  {failure}", err=True)
    raise typer.Exit(1)


@app.command()
def validate(files: Files) -> None:
    """Check YAML files: every field, every reference. Says file, line, field and what to do."""
    from polyhull.cli import offline

    count = offline.validate(files)
    typer.echo(f"{count} objects are valid")


@app.command()
def crds() -> None:
    """Print the CustomResourceDefinitions (pipe into `kubectl apply --server-side -f -`)."""
    from polyhull.api.schema import render_crds

    typer.echo("---\n".join(text for _, text in sorted(render_crds().items())), nl=False)


@app.command()
def run(
    kubeconfig: Annotated[Path | None, typer.Option(envvar="KUBECONFIG", help="In a pod: leave out.")] = None,
    context: Annotated[str | None, typer.Option(help="Context in the kubeconfig.")] = None,
    namespace: Annotated[
        str, typer.Option(envvar="POLYHULL_NAMESPACE", help="The operator's own: Lease and member Secrets.")
    ] = "polyhull-system",
    metrics_port: Annotated[
        int, typer.Option(envvar="POLYHULL_METRICS_PORT", help="/metrics, /healthz, /readyz")
    ] = 8080,
    records: Annotated[
        Path | None, typer.Option(envvar="POLYHULL_RECORDS", help="Folder for the ring of decision records.")
    ] = None,
    log_level: Annotated[str, typer.Option(envvar="POLYHULL_LOG_LEVEL")] = "info",
    transfer_image: Annotated[
        str, typer.Option(envvar="POLYHULL_TRANSFER_IMAGE", help="Image with rclone, for copies; empty: its own.")
    ] = "",
) -> None:
    """Run the operator until it is told to stop."""
    from polyhull import wiring

    settings = wiring.Settings(
        kubeconfig=kubeconfig,
        context=context,
        namespace=namespace,
        metrics_port=metrics_port,
        records=records,
        log_level=log_level,
        transfer_image=transfer_image,
    )
    raise typer.Exit(wiring.run(settings))


@app.command()
def uninstall(
    kubeconfig: Annotated[Path | None, typer.Option(help="Path of a kubeconfig; KUBECONFIG otherwise.")] = None,
    context: Annotated[str | None, typer.Option(help="Context in the kubeconfig.")] = None,
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="Where the operator ran.")] = "polyhull-system",
) -> None:
    """After the operator is gone: take its finalizers off, so that jobs and data sets can be deleted."""
    from polyhull import wiring
    from polyhull.cli import leaving

    count = leaving.release(kubeconfig, context, (namespace, wiring.LEASE_NAME))
    typer.echo(f"finalizers taken off {count} objects; what they run goes on")


def _print(*parts: object) -> None:
    from rich.console import Console

    # A pipe or a file has no width of its own: nothing is cut there.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
    for index, part in enumerate(parts):
        if index:
            console.print()
        console.print(part)


def _emit(document: object, output: Output) -> None:
    if output is Output.JSON:
        json.dump(document, sys.stdout, indent=2, allow_nan=False)
        sys.stdout.write("\n")
        return
    import yaml

    yaml.safe_dump(document, sys.stdout, sort_keys=False, allow_unicode=True)


def main() -> None:
    """Entry point of both commands; a person's mistake ends in one sentence, never in a traceback."""
    from polyhull.domain.errors import InvalidInput, PolyhullError

    began = time.perf_counter()
    try:
        app()
    except InvalidInput as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(INVALID)
    except PolyhullError as error:
        typer.echo(f"error: {error} (after {time.perf_counter() - began:.1f} s)", err=True)
        sys.exit(1)
