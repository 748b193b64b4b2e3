"""What PlacementScenarios say back: queued, answered, or why they cannot be. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from polyhull.api.conditions import Reason, Type, get_condition
from polyhull.api.convert_scenario import UNANSWERED
from polyhull.controller.status import Said, compose
from polyhull.kube.resources import Manifest

MOST_QUEUED = 32
"""Scenarios that wait; later ones wait for room."""


@dataclass(frozen=True, slots=True)
class Answer:
    """To one generation of a scenario. `reason` and `problem` are empty where it was answered."""

    generation: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    reason: str = Reason.ANSWERED
    problem: str = ""


Answers = Mapping[str, Answer]
"""By uid."""


def pending(objects: Iterable[Manifest], accepted: Iterable[str], answers: Answers) -> list[Manifest]:
    """Those to be answered, the oldest first. `accepted`: names of those that make sense."""
    known = set(accepted)
    waiting = [
        raw
        for raw in objects
        if raw["kind"] == "PlacementScenario"
        and raw["metadata"]["name"] in known
        and not raw["metadata"].get("deletionTimestamp")
        and not _decided(raw, answers)
    ]
    return sorted(waiting, key=lambda raw: (raw["metadata"].get("creationTimestamp") or "", raw["metadata"]["name"]))


def report(raw: Manifest, accepted: Said, answers: Answers, place: int | None, now: float) -> dict[str, Any]:
    """The whole status. `place` in the queue; None: it does not wait."""
    if place is not None:
        return compose(raw, now, [accepted, _waits(place)], UNANSWERED)
    answer = answers.get(str(raw["metadata"]["uid"]))
    if not accepted[1]:
        text = "it is not accepted; see the condition Accepted"
        return compose(raw, now, [accepted, (Type.ANSWERED, False, accepted[2], text)], UNANSWERED)
    if answer is None or answer.generation != generation_of(raw):
        return compose(raw, now, [accepted])  # answered before a restart
    if answer.problem:
        return compose(raw, now, [accepted, (Type.ANSWERED, False, answer.reason, answer.problem)], UNANSWERED)
    text = "planned again with its changes; nothing was touched"
    return compose(raw, now, [accepted, (Type.ANSWERED, True, Reason.ANSWERED, text)], answer.fields)


def generation_of(raw: Manifest) -> int:
    return int(raw["metadata"].get("generation") or 0)


def _waits(place: int) -> Said:
    if place >= MOST_QUEUED:
        text = f"{MOST_QUEUED} scenarios wait already; it is queued once there is room"
        return (Type.ANSWERED, None, Reason.QUEUE_FULL, text)
    return (Type.ANSWERED, None, Reason.QUEUED, "it is answered one at a time, while the plan itself is not sought")


def _decided(raw: Manifest, answers: Answers) -> bool:
    answer = answers.get(str(raw["metadata"]["uid"]))
    if answer is not None and answer.generation == generation_of(raw):
        return True
    said = get_condition((raw.get("status") or {}).get("conditions"), Type.ANSWERED)
    return said is not None and said["status"] != "Unknown" and said.get("observedGeneration") == generation_of(raw)
