"""Decisions to status; readback.py is the way back.

Times in decisions count from `Decision.taken_at`; in status they are instants in whole seconds.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from polyhull.api.conditions import instant
from polyhull.api.results import parse_instant
from polyhull.domain.decision import Assignment, Explanation, Part, ServicePlan, Transfer
from polyhull.domain.workloads import (
    CHECKPOINT,
    ActiveTransfer,
    Copy,
    CopyPart,
    Exclusion,
    Promise,
)

Raw = Mapping[str, Any]
EXPLANATION_BYTES = 4096
LEAST_MOVE_SECONDS = 60.0
LEAST_MOVE_SHARE = 0.05
MOST_NODES = 256
ESTIMATES = ("estimatedStartTime", "estimatedCompletionTime")


def assignment_status(
    assignment: Assignment, released_at: float | None = None, started_at: float | None = None
) -> dict[str, Any]:
    """`status.assignment`. With `released_at` (seconds since the epoch) the job counts as placed for ever after,
    until its child is gone: write it before the child is made."""
    out = {**_place(assignment), "order": assignment.order}
    if nodes := _named(assignment.nodes):
        out["nodes"] = nodes[:MOST_NODES]
    if data := [(key, store) for key, store in assignment.data if key.kind != CHECKPOINT]:
        out["data"] = [{"dataSet": key.name, "store": store} for key, store in data]
    if assignment.parts:
        out["spans"] = ",".join(part.site for part in assignment.parts)[:192]
        out["microBatches"] = assignment.micro_batches
        out["parts"] = [_part_status(part) for part in assignment.parts]
    if assignment.checkpoint_interval_seconds > 0.0:
        out["checkpointIntervalSeconds"] = max(1, _whole(assignment.checkpoint_interval_seconds))
    if released_at is not None:
        out["releasedTime"] = instant(released_at)
    if started_at is not None:
        out["startedTime"] = instant(started_at)
    return out


def _place(one: Assignment | Part) -> dict[str, Any]:
    return {
        "cluster": one.cluster,
        "site": one.site,
        "pool": one.pool,
        "option": one.option,
        "accelerator": one.accelerator,
        "deviceClass": one.device_class,
        "replicas": one.replicas,
        "devicesPerReplica": one.devices_per_replica,
    }


def _part_status(part: Part) -> dict[str, Any]:
    out = {**_place(part), "firstRank": part.first_rank}
    if part.stage_layers:
        out["stageLayers"] = list(part.stage_layers)
    if nodes := _named(part.nodes):
        out["nodes"] = nodes[:MOST_NODES]
    return out


def _named(nodes: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """Nodes that exist; those still to be added (`+1`) have no name that an object could carry."""
    return [{"name": name, "pods": pods} for name, pods in nodes if not name.startswith("+")]


def transfer_status(transfer: Transfer, taken_at: float) -> dict[str, Any]:
    """One entry of a job's `status.transfers`."""
    out: dict[str, Any] = {
        "dataSet": transfer.data_set.name,
        "sourceSite": transfer.source_site,
        "targetSite": transfer.target_site,
        "store": transfer.store,
        "cluster": transfer.cluster,
        "transferBytes": transfer.transfer_bytes,
        "bytesPerSecond": int(transfer.rate_bytes_per_second),
        "startTime": instant(taken_at + transfer.start_seconds),
        "completionTime": instant(taken_at + transfer.end_seconds),
        "phase": "Running" if transfer.active else "Planned",
    }
    return out | _paths(transfer)


def _paths(transfer: Transfer | ActiveTransfer) -> dict[str, Any]:
    """The links of a whole copy, or the parts of a split one."""
    if not transfer.parts:
        return {"links": list(transfer.links)} if transfer.links else {}
    return {"parts": [_part(part) for part in transfer.parts]}


def _part(part: CopyPart) -> dict[str, Any]:
    return {
        "sourceSite": part.source_site,
        "links": list(part.links),
        "transferBytes": part.transfer_bytes,
        "bytesPerSecond": int(part.rate_bytes_per_second),
    }


def explanation_status(explanation: Explanation) -> dict[str, Any]:
    """`status.explanation`, at most 4 KiB as JSON: helps and alternatives go first, then the sentence's end."""
    out: dict[str, Any] = {
        "binds": explanation.binds[:1024],
        "queueSeconds": _whole(explanation.queue_seconds),
        "transferSeconds": _whole(explanation.transfer_seconds),
        "startupSeconds": _whole(explanation.startup_seconds),
        "computeSeconds": _whole(explanation.compute_seconds),
        "evidence": explanation.evidence.value,
    }
    if explanation.exchange_seconds > 0.0:
        out["exchangeSeconds"] = _whole(explanation.exchange_seconds)
    if explanation.failure_seconds > 0.0:
        out["failureSeconds"] = _whole(explanation.failure_seconds)
    while len(_json(out)) > EXPLANATION_BYTES:
        out["binds"] = out["binds"][: len(out["binds"]) * 3 // 4]
    alternatives = [
        {
            "cluster": other.cluster[:128],
            "pool": other.pool[:380],
            "option": other.option[:128],
            "laterSeconds": _whole(other.later_seconds),
        }
        for other in explanation.alternatives[:3]
    ]
    helps = [
        {"change": one.change[:512], "soonerSeconds": _whole(one.sooner_seconds)}
        for one in explanation.helps[:3]
        if one.sooner_seconds is not None
    ]
    for name, entries in (("alternatives", alternatives), ("helps", helps)):
        while entries and len(_json(out | {name: entries})) > EXPLANATION_BYTES:
            entries.pop()
        out |= {name: entries} if entries else {}
    return out


def job_status(
    assignment: Assignment,
    transfers: Sequence[Transfer],
    taken_at: float,
    plan_hash: str,
    before: Raw | None = None,
) -> dict[str, Any]:
    """The planned part of a job's status: assignment, transfers, estimates, explanation, plan hash.

    `transfers` are the decision's transfers of data sets that this job reads. What was released stays released:
    releasedTime and startedTime of the same column are kept from `before`, and so are estimates that hardly moved.
    """
    old = before or {}
    old_assignment = old.get("assignment") or {}
    released = old_assignment.get("releasedTime")
    new = assignment_status(assignment)
    same = all(old_assignment.get(name) == new[name] for name in ("pool", "option"))
    for name in ("releasedTime", "startedTime"):
        if same and released and name in old_assignment:
            new[name] = old_assignment[name]
    out: dict[str, Any] = {
        "assignment": new,
        "planHash": plan_hash,
        "estimatedStartTime": instant(taken_at + assignment.start_seconds),
        "estimatedCompletionTime": instant(taken_at + assignment.end_seconds),
        "explanation": explanation_status(assignment.explanation),
    }
    if (estimates := completion_estimates(assignment, taken_at)) is not None:
        out["completionEstimates"] = estimates
    if assignment.promise is not None and (told := promise_status(assignment.promise)):
        out["promise"] = told
    read = {key for key, _ in assignment.data if key.kind != CHECKPOINT}  # status.move tells of these
    listed = [
        transfer_status(transfer, taken_at)
        for transfer in transfers
        if transfer.data_set in read and (transfer.data_set, transfer.store) in set(assignment.data)
    ]
    if listed:
        out["transfers"] = listed[:16]
    return settle_estimates(old, out, taken_at)


def completion_estimates(assignment: Assignment, taken_at: float) -> dict[str, str] | None:
    """`status.completionEstimates`."""
    p50, p90 = assignment.end_p50_seconds, assignment.end_p90_seconds
    return None if p50 is None or p90 is None else {"p50": instant(taken_at + p50), "p90": instant(taken_at + p90)}


def promise_status(promise: Promise) -> dict[str, Any]:
    """`status.promise`; empty for one that promises nothing."""
    if promise.due_at is None:
        return {}
    out: dict[str, Any] = {
        "completionTime": instant(promise.due_at),
        "givenTime": instant(promise.given_at),
        "slips": promise.slips,
    }
    if promise.moved_at is not None and promise.left is not None:
        out |= {"movedTime": instant(promise.moved_at), "leftPool": promise.left[0], "leftOption": promise.left[1]}
    return out


def settle_estimates(before: Raw, after: Raw, now: float) -> dict[str, Any]:
    """`after`, with estimates taken from `before` that moved by no more than max(60 s, 5 % of the time to them).

    Holds for the transfers' times too, entry by entry. An estimate of another column (pool or option) is always
    rewritten. Pure; `now` is seconds since the epoch.
    """
    out = dict(after)
    if _column(before) != _column(after):
        return out
    for name in ESTIMATES:
        out[name] = _settled(before.get(name), after.get(name), now)
        if out[name] is None:
            del out[name]
    old_transfers = {(entry["dataSet"], entry["store"]): entry for entry in before.get("transfers") or ()}
    if out.get("transfers"):
        out["transfers"] = [
            _settled_transfer(old_transfers.get((entry["dataSet"], entry["store"]), {}), entry, now)
            for entry in out["transfers"]
        ]
    return out


def moved_enough(old_at: float, new_at: float, now: float) -> bool:
    """Whether an estimate is worth a write: it moved by more than max(60 s, 5 % of the time left to it)."""
    return abs(new_at - old_at) > max(LEAST_MOVE_SECONDS, LEAST_MOVE_SHARE * abs(old_at - now))


def exclusion_status(exclusions: Sequence[Exclusion], now: float) -> list[dict[str, Any]]:
    """`status.exclusions`: those still in force, the latest 16."""
    live = sorted((entry for entry in exclusions if entry.until > now), key=lambda entry: entry.until)
    return [
        {
            "cluster": entry.cluster,
            **({"pool": entry.pool} if entry.pool else {}),
            "reason": entry.reason,
            "message": entry.message[:1024],
            "untilTime": instant(entry.until),
        }
        for entry in live[-16:]
    ]


def service_status(plan: ServicePlan) -> dict[str, Any]:
    """The planned part of an online service's status: serving, routes with weights, rates."""
    totals: dict[str, float] = {}
    for route in plan.routes:
        totals[route.origin] = totals.get(route.origin, 0.0) + route.requests_per_second
    serving = [
        {
            "cluster": part.cluster,
            "site": part.site,
            "pool": part.pool,
            "variant": part.variant,
            "accelerator": part.accelerator,
            "replicas": part.replicas,
            **({"nodes": nodes[:64]} if (nodes := _named(part.nodes)) else {}),
        }
        for part in plan.replicas
    ]
    routes: list[dict[str, Any]] = []
    for route in plan.routes:
        share = route.requests_per_second / totals[route.origin] if totals[route.origin] > 0 else 0.0
        entry: dict[str, Any] = {
            "origin": route.origin,
            "cluster": route.cluster,
            "pool": route.pool,
            "variant": route.variant,
            "requestsPerSecond": decimal(route.requests_per_second),
        }
        if round(share, 4) > 0:
            entry["weight"] = decimal(share, 4)
        routes.append(entry)
    return {
        "serving": serving[:64],
        "routes": routes[:256],
        "servedPerSecond": decimal(plan.served_per_second),
        "demandedPerSecond": decimal(plan.demanded_per_second),
        "explanation": explanation_status(plan.explanation),
    }


def copy_status(
    copy: Copy,
    cluster: str,
    completed_at: float | None = None,
    made_by: ActiveTransfer | None = None,
    parts_at: Sequence[float] = (),
) -> dict[str, Any]:
    """One entry of `DataSet.status.copies`; `made_by`: the transfer that did, which tells how fast its links are, and
    when each of its parts was through."""
    out: dict[str, Any] = {"store": copy.store, "site": copy.site, "cluster": cluster}
    if completed_at is not None:
        out["completionTime"] = instant(completed_at)
    if made_by is not None and made_by.links and not made_by.parts:
        out["startTime"] = instant(made_by.started_at)
        out["bytesPerSecond"] = int(made_by.rate_bytes_per_second)
        out["links"] = list(made_by.links)
    if made_by is not None and made_by.parts:
        told = _paths(made_by)["parts"]
        ends = zip(told, parts_at, strict=True)
        out["startTime"] = instant(made_by.started_at)
        out["parts"] = [{**part, "completionTime": instant(at)} for part, at in ends]
    return out


def active_transfer_status(transfer: ActiveTransfer) -> dict[str, Any]:
    """One entry of `DataSet.status.transfers`."""
    out: dict[str, Any] = {
        "store": transfer.store,
        "site": transfer.site,
        "cluster": transfer.cluster,
        "sourceSite": transfer.source_site,
        "bytesPerSecond": int(transfer.rate_bytes_per_second),
        "startTime": instant(transfer.started_at),
    }
    return out | _paths(transfer)


def decimal(value: float, places: int = 6) -> str:
    """A non-negative number as the decimal strings of the API: no exponent, no trailing zeros."""
    text = f"{max(0.0, value):.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _whole(seconds: float) -> int:
    return min(10**10, max(0, round(seconds)))


def _json(value: Raw) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def parts_told(assignment: Raw) -> list[tuple[object, ...]]:
    """What tells a place from another: cluster, pool, option and size of each part of an assignment."""
    names = ("cluster", "pool", "option", "replicas")
    return [tuple(part.get(name) for name in names) for part in assignment.get("parts") or (assignment,)]


def _column(status: Raw) -> list[tuple[object, ...]]:
    assignment = status.get("assignment") or {}
    return parts_told(assignment)


def _settled(old: str | None, new: str | None, now: float) -> str | None:
    if old is None or new is None:
        return new
    return new if moved_enough(parse_instant(old), parse_instant(new), now) else old


def _settled_transfer(old: Raw, new: Raw, now: float) -> dict[str, Any]:
    times = {name: _settled(old.get(name), new[name], now) for name in ("startTime", "completionTime")}
    return {**new, **times}
