"""Which plan an approval means."""

from typing import Any

import pytest

from polyhull.cli.approving import chosen
from polyhull.domain.errors import InvalidInput


def plan(name: str, at: str, asks: bool = True) -> dict[str, Any]:
    annotations = {"polyhull.io/approves": "a" * 16} if asks else {}
    return {"metadata": {"name": name, "annotations": annotations}, "status": {"plannedTime": at, "planHash": name}}


PLANS = [plan("plan-b", "2026-01-02T00:00:00Z"), plan("plan-a", "2026-01-01T00:00:00Z"), plan("told", "2026", False)]


def test_a_name_and_the_newest() -> None:
    assert chosen(PLANS, "plan-a")["metadata"]["name"] == "plan-a"
    assert chosen(PLANS, "newest")["metadata"]["name"] == "plan-b"


@pytest.mark.parametrize(
    ("plans", "name", "says"),
    [
        (PLANS, "plan-z", "there is no such plan; one of plan-a, plan-b"),
        (PLANS, "told", "recommends nothing that could be approved"),
        ([], "newest", "mode is Observe or Recommend"),
    ],
)
def test_what_cannot_be_approved_says_why(plans: list[dict[str, Any]], name: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        chosen(plans, name)
