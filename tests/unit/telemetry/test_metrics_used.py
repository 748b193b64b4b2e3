"""Every metric that is declared is set somewhere, and what is claimed of a plan is of one instant."""

import re
from pathlib import Path

import pytest

import polyhull
from polyhull.controller.publish import Publisher
from polyhull.delivery.base import Announce, Finalizer, Outcome
from polyhull.domain.decision import Decision
from polyhull.domain.errors import Unreachable
from polyhull.domain.fleet import Fleet
from polyhull.domain.snapshot import Snapshot
from polyhull.kube.resources import OUR_KINDS, Ref
from polyhull.telemetry.metrics import Metrics
from polyhull.telemetry.record import Method

SOURCE = "\n".join(path.read_text() for path in Path(polyhull.__file__).parent.rglob("*.py"))
NAMES = sorted(name for name in vars(Metrics()) if name != "registry")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_set(name: str) -> None:
    assert re.search(rf"metrics\.{name}\.(labels\([^\n]*\)\.)?(inc|set|observe)\(", SOURCE)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_bound_and_makespan_are_of_the_plan_taken_last() -> None:
    metrics = Metrics()
    publisher = Publisher(metrics, lambda snapshot, decision, method: "record")
    decision = Decision(5.0, makespan_seconds=100.0, lower_bound_seconds=90.0)
    assert publisher.adopted(Snapshot(5.0, Fleet()), decision, Method.FULL) == "record"
    assert value(metrics, "polyhull_plan_makespan_seconds") == 100.0
    assert value(metrics, "polyhull_plan_lower_bound_seconds") == 90.0
    assert value(metrics, "polyhull_plan_timestamp_seconds") == 5.0


def test_steps_are_counted_by_action_and_outcome() -> None:
    metrics = Metrics()
    publisher = Publisher(metrics)
    ref = Ref(OUR_KINDS[0], "", "x")
    announce, finalizer = Announce(ref, "u", "Normal", "Placed", "n"), Finalizer(ref, "u", True)
    publisher.delivered(Outcome((announce, announce), failed=finalizer, error=Unreachable("down")))
    assert value(metrics, "polyhull_actions_total", action="Announce", outcome="done") == 2.0
    assert value(metrics, "polyhull_actions_total", action="Finalizer", outcome="failed") == 1.0
    publisher.started("bound:2.500")
    assert value(metrics, "polyhull_release_to_bound_seconds_sum") == 2.5
