"""Conversions kept between looks: the same body is converted once, and what it depends on still counts."""

import copy
from typing import Any

import pytest

from polyhull.api import convert
from polyhull.api.world import Memo, world_of
from tests.unit.api.samples import Raw, full_objects


def test_unchanged_bodies_are_converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    objects, memo, asked = full_objects(), Memo(), list[str]()
    real = convert.training_job

    def counted(raw: Raw, *arguments: Any, **options: Any) -> Any:
        asked.append(str(raw["metadata"]["name"]))
        return real(raw, *arguments, **options)

    monkeypatch.setattr(convert, "training_job", counted)
    first = world_of(objects, memo=memo)
    once = len(asked)
    assert once > 0
    assert world_of(objects, memo=memo) == first
    assert len(asked) == once
    renewed = [copy.deepcopy(raw) if raw["kind"] == "TrainingJob" else raw for raw in objects]
    assert world_of(renewed, memo=memo) == first
    assert len(asked) == 2 * once


def test_a_changed_body_or_catalogue_counts() -> None:
    memo, objects = Memo(), full_objects()
    world_of(objects, memo=memo)
    changed = copy.deepcopy(objects)
    for raw in changed:
        if raw["kind"] == "TrainingJob":
            raw["spec"]["work"]["quantity"] = "7"
    assert world_of(changed, memo=memo) == world_of(changed)
    without = [raw for raw in changed if raw["kind"] != "AcceleratorType"]
    assert world_of(without, memo=memo) == world_of(without)
    assert world_of(changed, memo=memo) == world_of(changed)
