"""What the operator wrote into an object's status, for a person: `polyhull explain` against a cluster.

Everything shown was decided and stored by the operator; with rights to read the object one sees it, with none not.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from polyhull.cli.names import kind_and_name
from polyhull.cli.show import helps
from polyhull.domain.errors import InvalidInput
from polyhull.domain.units import format_bytes, format_seconds
from polyhull.kube.client import ClusterClient
from polyhull.kube.resources import INFERENCE_JOBS, TRAINING_JOBS, Ref

_RESOURCES = {"TrainingJob": TRAINING_JOBS, "InferenceJob": INFERENCE_JOBS}
_MARK = {"True": ("yes", "green"), "False": ("no", "bold red"), "Unknown": ("unknown", "yellow")}


def explain(name: str, namespace: str, kubeconfig: Path | None, context: str | None) -> dict[str, Any]:
    """The object's identity and status. Raises InvalidInput when there is no such object."""
    kind, rest = kind_and_name(name)
    return asyncio.run(_read(Ref(_RESOURCES[kind], namespace, rest), kubeconfig, context))


async def _read(ref: Ref, kubeconfig: Path | None, context: str | None) -> dict[str, Any]:
    path = None if kubeconfig is None else str(kubeconfig)
    async with await ClusterClient.from_default(path, context) as client:
        found = await client.find(ref)
    if found is None:
        remedy = "look with: kubectl get trainingjobs,inferencejobs -A"
        raise InvalidInput(str(ref), "", "there is no such object in this cluster", remedy)
    meta = found["metadata"]
    return {
        "kind": found["kind"],
        "namespace": meta.get("namespace", ""),
        "name": meta["name"],
        "status": found.get("status", {}),
    }


def describe(found: dict[str, Any]) -> Iterator[RenderableType]:
    """Where, why, what binds, what else, and every condition."""
    status = found["status"]
    yield Text(f"{found['kind']} {found['namespace']}/{found['name']}", style="bold")
    assignment = status.get("assignment")
    if assignment:
        yield Text(_where(assignment, status))
    if move := status.get("move"):
        yield Text(_move(move))
    why = status.get("explanation")
    if why:
        yield Text(str(why.get("binds", "")))
        yield _split(why)
        if why.get("alternatives"):
            yield _alternatives(why["alternatives"])
        if why.get("helps"):
            yield helps((one["change"], one.get("soonerSeconds"), None) for one in why["helps"])
    if status.get("transfers"):
        yield _transfers(status["transfers"])
    yield _conditions(status.get("conditions", []))


def _where(assignment: dict[str, Any], status: dict[str, Any]) -> str:
    began = status.get("startTime")
    start = f"running since {began}" if began else f"estimated start {status.get('estimatedStartTime', 'unknown')}"
    end = status.get("completionTime")
    finish = f"ended {end}" if end else f"estimated finish {status.get('estimatedCompletionTime', 'unknown')}"
    return f"{' and '.join(map(_part, assignment.get('parts') or [assignment]))}; {start}, {finish}"


def _move(told: dict[str, Any]) -> str:
    """Of a job that was stopped in order to go on elsewhere."""
    times = "" if told.get("moves", 1) == 1 else f", move {told['moves']}"
    where = f"from pool {told['fromPool']} to pool {told['toPool']}{times}"
    return f"moved {where} ({told['phase']}): {told.get('why') or 'no reason was kept'}"


def _part(told: dict[str, Any]) -> str:
    devices = f"{told['replicas']} x {told['devicesPerReplica']} {told['accelerator']}"
    place = f"pool {told['pool']}, cluster {told['cluster']}, site {told['site']}"
    return f"{told['option']} on {devices} in {place}"


def _split(why: dict[str, Any]) -> Table:
    table = _table("Its seconds")
    fields = {
        "queue": "queueSeconds",
        "transfer": "transferSeconds",
        "start-up": "startupSeconds",
        "compute": "computeSeconds",
    }
    if "exchangeSeconds" in why:
        fields["exchange"] = "exchangeSeconds"
    if "failureSeconds" in why:
        fields["failure overhead"] = "failureSeconds"
    for name in fields:
        table.add_column(name, justify="right")
    table.add_row(*(format_seconds(float(why.get(name, 0))) for name in fields.values()))
    return table


def _alternatives(others: list[dict[str, Any]]) -> Table:
    table = _table("Next best")
    for name in ("cluster", "pool", "option", "finishes later by"):
        table.add_column(name)
    for other in others:
        later = format_seconds(float(other["laterSeconds"]))
        table.add_row(other["cluster"], other["pool"], other["option"], later)
    return table


def _transfers(moves: list[dict[str, Any]]) -> Table:
    table = _table("Data it waits for, or waited for")
    for name in ("data set", "from", "to", "over", "size", "phase"):
        table.add_column(name)
    for move in moves:
        parts = move.get("parts") or [move]
        for k, part in enumerate(parts, 1):
            name = move["dataSet"] if len(parts) == 1 else f"{move['dataSet']} {k}/{len(parts)}"
            over = " > ".join(part.get("links", [])) or "inside the site"
            size = format_bytes(float(part["transferBytes"]))
            table.add_row(name, part["sourceSite"], move["targetSite"], over, size, move["phase"])
    return table


def _conditions(conditions: list[dict[str, Any]]) -> Table:
    table = _table("Conditions")
    for name in ("condition", "", "reason", "message", "since"):
        table.add_column(name, overflow="fold")
    for condition in conditions:
        word, style = _MARK.get(condition["status"], (condition["status"], ""))
        since = condition.get("lastTransitionTime", "")
        table.add_row(condition["type"], Text(word, style=style), condition["reason"], condition["message"], since)
    if not conditions:
        table.add_row("none", "", "", "the operator has not looked at this object; is it running?", "")
    return table


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
