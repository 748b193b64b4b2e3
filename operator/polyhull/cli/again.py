"""A past decision made again from its record, and compared byte for byte."""

from collections.abc import Iterator
from typing import Any

from polyhull.cli import offline
from polyhull.domain.decision import Decision
from polyhull.telemetry.record import Method, Record
from polyhull.telemetry.values import canonical, plain

MOST_DIFFERENCES = 20


def decide(record: Record) -> tuple[Decision, str]:
    """The decision as made now, and why the prover gave no answer (empty if it did, or was not asked)."""
    if record.method is Method.INSERTED:
        return offline.inserted(record.snapshot), ""
    with offline.prover(enabled=record.method is Method.FULL) as prove:
        decision = offline.bare(offline.decide(record.snapshot, prove), prove)
        return decision, prove.failure if prove is not None else ""


def same(record: Record, decision: Decision) -> bool:
    """Bit for bit: the canonical bytes of both are equal."""
    return canonical(record.decision) == canonical(decision)


def differences(record: Record, decision: Decision) -> list[str]:
    """Where the two differ, field by field, the first few."""
    found = list(_walk(plain(record.decision), plain(decision), ""))
    shown = found[:MOST_DIFFERENCES]
    return shown if len(found) == len(shown) else [*shown, f"and {len(found) - len(shown)} more"]


def _walk(was: Any, now: Any, path: str) -> Iterator[str]:
    if isinstance(was, dict) and isinstance(now, dict):
        for name in sorted(was.keys() | now.keys()):
            yield from _walk(was.get(name), now.get(name), f"{path}.{name}" if path else name)
    elif isinstance(was, list) and isinstance(now, list):
        old, new = _named(was), _named(now)
        for name in dict.fromkeys((*old, *new)):
            yield from _walk(old.get(name), new.get(name), f"{path}[{name}]")
    elif was != now or type(was) is not type(now):
        yield f"{path}: recorded {_shown(was)}, now {_shown(now)}"


def _named(items: list[Any]) -> dict[str, Any]:
    """Entries of a list by the name of what they are about, else by their place."""
    return {_name(item) or str(index): item for index, item in enumerate(items)}


def _name(item: Any) -> str:
    if not isinstance(item, dict):
        return ""
    key = item.get("job") or item.get("service")
    if isinstance(key, dict):
        return f"{key['namespace']}/{key['name']}"
    return str(item.get("name") or "")


def _shown(value: Any) -> str:
    text = repr(value)
    return "nothing" if value is None else text if len(text) <= 80 else f"{text[:77]}..."
