"""What finished and running jobs tell of rates, read from the objects themselves: nothing more is stored anywhere.

A job's status holds since when its pods ran, when it ended and where, so what was learnt survives a restart, and is
forgotten with the objects. Only options whose rate nobody measured are looked at.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from polyhull.api.conditions import Type, condition_status
from polyhull.api.podtemplate import merge
from polyhull.api.results import parse_instant, part
from polyhull.domain.units import parse_decimal, parse_whole
from polyhull.domain.workloads import Observation, Shipment

Raw = Mapping[str, Any]
MOST_ALIKE = 16
"""Runs kept of one signature, device and site: the latest."""
MOST = 2000
"""Runs kept in all."""


def unmeasured(raw: Raw) -> dict[str, str]:
    """Signature of each option (variant) of a finite job that does not carry a measured rate, by name."""
    spec = part(raw, "spec")
    entries = spec.get("options") or spec.get("variants")
    if not isinstance(entries, list):
        return {}
    return {
        str(entry.get("name")): signature(raw, entry)
        for entry in entries
        if isinstance(entry, Mapping)
        and not (entry.get("rate") and entry.get("rateEvidence", "Measured") == "Measured")
    }


def signature(raw: Raw, entry: Raw) -> str:
    """What makes two runs alike: namespace, unit and needs of the work, device and gang, image, command, arguments.

    Not the amount of work, nor the environment (where seeds and paths differ from run to run).
    """
    spec = part(raw, "spec")
    work = {key: value for key, value in part(spec, "work").items() if key != "quantity"}
    template = merge(part(spec, "template"), part(entry, "template"))
    told = [
        raw.get("kind"),
        part(raw, "metadata").get("namespace") or "default",
        work,
        entry.get("accelerator"),
        entry.get("replicas", spec.get("minReplicas", 1)),
        entry.get("devicesPerReplica"),
        entry.get("estimate"),
        [template.get(name) for name in ("image", "command", "args")],
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]


def observation(raw: Raw) -> Observation | None:
    """How long the job took, or has been running; None where nobody knows, it failed, or its rate is measured."""
    status = part(raw, "status")
    assignment, option = part(status, "assignment"), part(status, "assignment").get("option")
    since = status.get("startTime") or assignment.get("startedTime")
    conditions = status.get("conditions")
    told = condition_status(conditions if isinstance(conditions, list) else (), Type.SUCCEEDED)
    ended = status.get("completionTime")
    if assignment.get("parts"):
        return None  # what distance cost it is not the device's rate
    if option is None or since is None or told == "False" or status.get("failedAttempts"):
        return None
    if (told == "True") != bool(ended):
        return None
    signs, move = unmeasured(raw), part(status, "move")
    sign = signs.get(str(option))
    if sign is None or (move and (move.get("phase") != "Resumed" or move.get("fromOption") in signs)):
        return None  # how much of the work was left when it began here, nobody measured
    spec = part(raw, "spec")
    try:
        whole = float(parse_decimal(str(part(spec, "work").get("quantity") or spec.get("requests"))))
        return Observation(
            signature=sign,
            accelerator=str(assignment.get("accelerator")),
            site=str(assignment.get("site")),
            pool=str(assignment.get("pool")),
            work_quantity=max(0.0, whole - float(parse_decimal(str(move.get("workDone") or "0")))),
            started_at=parse_instant(str(since)),
            ended_at=parse_instant(str(ended)) if ended else None,
            useful=_useful(part(status, "explanation")),
        )
    except ValueError:
        return None


def _useful(why: Raw) -> float:
    """What the plan expected checkpoints and failures to leave; 1 where they count for nothing."""
    work, lost = float(why.get("computeSeconds") or 0), float(why.get("failureSeconds") or 0)
    return work / (work + lost) if work > 0.0 else 1.0


def shipments(raw: Raw) -> tuple[Shipment, ...]:
    """Of a DataSet: the transfers that made its copies over links; what cannot be read tells nothing."""
    copies = part(raw, "status").get("copies")
    found: list[Shipment] = []
    for entry in copies if isinstance(copies, list) else ():
        try:
            found += _parts(raw, entry) if entry.get("parts") else (_whole(raw, entry),)
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
    return tuple(found)


def _whole(raw: Raw, entry: Raw) -> Shipment:
    return Shipment(
        tuple(str(name) for name in entry["links"]),
        parse_whole(str(part(raw, "spec")["size"])),
        float(entry["bytesPerSecond"]),
        parse_instant(entry["startTime"]),
        parse_instant(entry["completionTime"]),
    )


def _parts(raw: Raw, entry: Raw) -> tuple[Shipment, ...]:
    """Of a split copy. A part carries up to one file more than its bytes; so counted no link looks too slow."""
    file = parse_whole(str(part(raw, "spec")["largestFile"]))
    limits = [
        (tuple(str(name) for name in one.get("links") or ()), float(one["bytesPerSecond"])) for one in entry["parts"]
    ]
    carried: dict[str, float] = {}
    for links, limit in limits:
        for name in links:
            carried[name] = carried.get(name, 0.0) + limit
    return tuple(
        Shipment(
            links,
            parse_whole(str(one["transferBytes"])) + file,
            limit,
            parse_instant(entry["startTime"]),
            parse_instant(one["completionTime"]),
            tuple(limit / carried[name] for name in links),
        )
        for (links, limit), one in zip(limits, entry["parts"], strict=True)
        if links and limit > 0.0
    )


def bounded(found: Iterable[Observation]) -> tuple[Observation, ...]:
    """The latest of each kind and of all, sorted: what runs first, then by when it ended."""

    def latest(one: Observation) -> tuple[object, ...]:
        ended = float("inf") if one.ended_at is None else one.ended_at
        return (-ended, -one.started_at, one.signature, one.accelerator, one.site, one.pool, one.work_quantity)

    kept: dict[tuple[str, str, str], int] = {}
    out = []
    for one in sorted(found, key=latest):
        kind = (one.signature, one.accelerator, one.site)
        kept[kind] = kept.get(kind, 0) + 1
        if kept[kind] <= MOST_ALIKE:
            out.append(one)
        if len(out) == MOST:
            break
    return tuple(out)
