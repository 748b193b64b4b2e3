"""A tombstone is honoured when its member answers, and goes only on that member's own word."""

from typing import Any

from polyhull.api.world import World
from polyhull.controller.children import Member
from polyhull.controller.fleet_status import honoured
from polyhull.controller.observe import View
from polyhull.delivery.base import ConfirmNone, Delete, PutStatus

STONE = {"kind": "TrainingJob", "namespace": "team", "name": "j", "uid": "u", "deletedTime": "2027-01-01T00:00:00Z"}
CHILD = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "c", "namespace": "team", "uid": "child"}}


def steps(member: Member) -> list[Any]:
    raw = {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "MemberCluster",
        "metadata": {"name": "edge", "uid": "m", "generation": 1},
        "spec": {},
        "status": {"tombstones": [STONE]},
    }
    view = View(1.8e9, (raw,), {"edge": member}, {}, {}, World(), (), (), {}, {})
    return [action for step in honoured(view) for action in step.actions]


def test_while_the_member_is_silent_nothing_happens() -> None:
    assert steps(Member("edge", False, tombstones=(STONE,))) == []


def test_what_is_still_there_is_deleted_and_the_tombstone_stays() -> None:
    (delete,) = steps(Member("edge", True, children={"u": (CHILD,)}, tombstones=(STONE,)))
    assert isinstance(delete, Delete) and delete.uid == "child"


def test_the_member_itself_is_asked_before_the_tombstone_goes() -> None:
    confirm, put = steps(Member("edge", True, tombstones=(STONE,)))
    assert confirm == ConfirmNone("edge", "team", "u")
    assert isinstance(put, PutStatus) and "tombstones" not in put.status
