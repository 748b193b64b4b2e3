"""What an object says back, as a whole status body, with numbers that stay put until they really moved. Pure.

A status is written whole (server-side apply takes back what is left out), compared with the one before, and written
only when something a reader would notice changed: estimates that wobble with every cycle would otherwise turn a quiet
fleet into a stream of writes.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from polyhull.api import status as api_status
from polyhull.api.conditions import get_condition, instant, set_condition
from polyhull.controller.children import instant as seconds_of
from polyhull.domain.workloads import Exclusion

Said = tuple[str, bool | None, str, str]
"""One condition: type, status, reason, message."""

MOVED_SECONDS = 60.0
MOVED_SHARE = 0.05
"""An estimate is rewritten when it moves by more than max(60 s, 5 % of what lies ahead)."""

_ESTIMATES = ("estimatedStartTime", "estimatedCompletionTime")


def compose(
    raw: Mapping[str, Any], now: float, said: Iterable[Said], fields: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The object's status with these conditions and fields; a field of None is taken out, others stay."""
    before = raw.get("status") or {}
    generation = int(raw["metadata"].get("generation") or 0)
    conditions = [dict(entry) for entry in before.get("conditions") or ()]
    for kind, status, reason, message in said:
        conditions = set_condition(conditions, kind, status, reason, message, now, generation)
    merged = {**before, **(fields or {}), "conditions": conditions, "observedGeneration": generation}
    return {key: value for key, value in merged.items() if value is not None}


def settle(before: Mapping[str, Any], after: dict[str, Any], now: float) -> dict[str, Any]:
    """`after` with estimates that moved too little put back, so that equal means nothing to write."""
    if _same_place(before, after) and not any(_moved(before.get(name), after.get(name), now) for name in _ESTIMATES):
        if _helps(after) and not _helps(before):
            before = {**before, "explanation": after["explanation"]}  # found since: worth telling
        for name in (*_ESTIMATES, "completionEstimates", "explanation", "planHash", "transfers"):
            if name in before and (name in after or name == "planHash"):
                after[name] = before[name]
        if before.get("assignment") and after.get("assignment"):
            after["assignment"] = before["assignment"]
        _keep_messages(before, after)
    return after


def only_estimates(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether the two differ in nothing but estimates and what explains them: news that may wait."""
    soft = {*_ESTIMATES, "completionEstimates", "explanation", "planHash", "transfers", "assignment"}
    return _same_place(before, after) and _without(before, soft) == _without(after, soft)


def holds(raw: Mapping[str, Any], kind: str) -> str:
    """Status of a condition: True, False, Unknown; empty when it was never set."""
    found = get_condition((raw.get("status") or {}).get("conditions"), kind)
    return str(found["status"]) if found else ""


def reason(raw: Mapping[str, Any], kind: str) -> str:
    """Reason of a condition; empty when it was never set."""
    found = get_condition((raw.get("status") or {}).get("conditions"), kind)
    return str(found["reason"]) if found else ""


def message(raw: Mapping[str, Any], kind: str) -> str:
    found = get_condition((raw.get("status") or {}).get("conditions"), kind)
    return str(found["message"]) if found else ""


def exclusions(held: Mapping[str, Any], now: float, new: Exclusion | None = None) -> list[dict[str, Any]] | None:
    """`status.exclusions` still in force, with `new` in the place of what was said of the same pool or cluster."""
    live = [one for one in held.get("exclusions") or () if (seconds_of(one["untilTime"]) or 0.0) > now]
    if new is not None:
        live = [one for one in live if (one["cluster"], one.get("pool") or "") != (new.cluster, new.pool)]
        live += api_status.exclusion_status([new], now)
    return live[-16:] or None


def since(raw: Mapping[str, Any], kind: str) -> float:
    """Since when the condition has its status, in seconds since the epoch; 0 when it was never set."""
    found = get_condition((raw.get("status") or {}).get("conditions"), kind)
    return (seconds_of(str(found.get("lastTransitionTime") or "")) or 0.0) if found else 0.0


def at(seconds: float | None) -> str | None:
    return None if seconds is None else instant(seconds)


def _helps(status: Mapping[str, Any]) -> object:
    return (status.get("explanation") or {}).get("helps")


def _same_place(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    names = ("releasedTime", "startedTime")
    one, other = before.get("assignment") or {}, after.get("assignment") or {}
    same = all(one.get(name) == other.get(name) for name in names)
    return same and api_status.parts_told(one) == api_status.parts_told(other)


def _moved(before: str | None, after: str | None, now: float) -> bool:
    if (one := seconds_of(before)) is None or (other := seconds_of(after)) is None:
        return before != after
    return abs(one - other) > max(MOVED_SECONDS, MOVED_SHARE * abs(one - now))


def _keep_messages(before: Mapping[str, Any], after: dict[str, Any]) -> None:
    """Messages quote the numbers of the plan: with the numbers put back they go back too."""
    for entry in after.get("conditions") or ():
        old = get_condition(before.get("conditions"), entry["type"])
        if old and all(old.get(name) == entry.get(name) for name in ("status", "reason", "observedGeneration")):
            entry["message"] = old["message"]


def _without(status: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    kept = {key: value for key, value in status.items() if key not in names}
    kept["conditions"] = [
        {key: value for key, value in entry.items() if key != "message"} for entry in status.get("conditions") or ()
    ]
    return kept
