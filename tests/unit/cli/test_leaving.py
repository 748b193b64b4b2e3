"""Letting go: only of our own finalizer, and not while an operator leads."""

import asyncio
from typing import Any

from polyhull.cli.leaving import leader, operations
from polyhull.render import naming


def leads(*leases: dict[str, Any] | None) -> tuple[str, float]:
    """Who leads when the Lease looks like these one after the other, and how many seconds it took to know."""
    shown, waited = list(leases), 0.0

    async def look() -> dict[str, Any] | None:
        return shown.pop(0) if len(shown) > 1 else shown[0]

    async def sleep(seconds: float) -> None:
        nonlocal waited
        waited += seconds

    return asyncio.run(leader(look, sleep)), waited


def lease(version: str, holder: str = "a") -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15}}


def test_a_lease_that_is_renewed_has_a_leader() -> None:
    assert leads(lease("1"), lease("1"), lease("2"))[0] == "a"


def test_nobody_leads_without_a_lease_or_by_one_that_was_given_back() -> None:
    assert leads(None) == ("", 0.0)
    assert leads(lease("1", "")) == ("", 0.0)
    assert leads(lease("1"), lease("2", ""))[0] == ""


def test_a_lease_that_nobody_renews_runs_out() -> None:
    who, seconds = leads(lease("1"))
    assert who == ""
    assert seconds > 15.0


def test_only_ours_is_taken_off_and_only_where_it_still_is() -> None:
    test, remove = operations(["theirs/first", naming.FINALIZER, "theirs/last"])
    assert test == {"op": "test", "path": "/metadata/finalizers/1", "value": naming.FINALIZER}
    assert remove == {"op": "remove", "path": "/metadata/finalizers/1"}
