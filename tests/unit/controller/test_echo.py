"""A deaf watch is noticed; an idle one is not blamed."""

from typing import Any

from polyhull.controller.echo import Echo
from polyhull.kube.resources import ref_of


def body(version: int) -> dict[str, Any]:
    metadata = {"name": "edge", "resourceVersion": str(version)}
    return {"apiVersion": "polyhull.io/v1alpha1", "kind": "Site", "metadata": metadata}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_was_written_and_never_came_back_is_a_problem() -> None:
    clock = Clock()
    echo = Echo(clock, 60.0)
    echo.wrote(body(7), body(6))
    clock.now = 59.0
    assert echo.problem() == ""
    clock.now = 61.0
    assert "sites.polyhull.io" in echo.problem()
    echo.heard(body(6))
    assert echo.problem()
    echo.heard(body(8))
    assert echo.problem() == ""


def test_a_write_that_changed_nothing_brings_no_event() -> None:
    clock = Clock()
    echo = Echo(clock, 60.0)
    echo.wrote(body(7), body(7))
    echo.wrote(body(7), body(9))
    echo.wrote(body(7), None)
    clock.now = 1000.0
    assert echo.problem() == ""


def test_what_is_gone_is_not_awaited() -> None:
    clock = Clock()
    echo = Echo(clock, 60.0)
    echo.wrote(body(7), body(6))
    echo.forget(ref_of(body(7)))
    clock.now = 1000.0
    assert echo.problem() == ""
