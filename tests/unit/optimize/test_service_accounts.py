"""A template that names a ServiceAccount runs in a member only where that member's administrator allows it."""

from dataclasses import replace

import pytest

from polyhull.optimize.build import build_columns
from polyhull.planning.decide import decide
from tests import builders as make


@pytest.mark.parametrize(
    ("allowed", "place"),
    [(None, "a/cpu"), (frozenset({"team/trainer"}), "a/cpu"), (frozenset({"other/trainer"}), ""), (frozenset(), "")],
)
def test_a_service_account_needs_its_administrator_s_word(allowed: frozenset[str] | None, place: str) -> None:
    option = replace(make.option("cpu"), service_account="trainer")
    member = make.cluster("a", accepts=frozenset({"team"}), service_accounts=allowed)
    fleet = make.fleet([make.pool("a", "cpu")], clusters=[member])
    snapshot = make.snapshot(fleet, [make.job("j", [option])])
    decision = decide(snapshot)
    assert [one.pool for one in decision.assignments] == ([place] if place else [])
    if not place:
        (why,) = decision.unplaced
        assert why.reason == "ServiceAccountNotAllowed"
        assert "trainer" in why.message and "polyhull.io/service-accounts" in why.message


def test_a_job_that_names_none_needs_nobody_s_word() -> None:
    member = make.cluster("a", service_accounts=frozenset())
    fleet = make.fleet([make.pool("a", "cpu")], clusters=[member])
    columns = build_columns(make.snapshot(fleet, [make.job("j", [make.option("cpu")])]))
    assert [column.pool for column in columns.columns] == ["a/cpu"]


def test_a_service_says_why_no_pool_may_serve_it() -> None:
    member = make.cluster("a", service_accounts=frozenset())
    fleet = make.fleet([make.pool("a", "cpu")], clusters=[member])
    service = make.service("s", [("a", 1.0)], [replace(make.variant("cpu"), service_account="web")])
    decision = decide(make.snapshot(fleet, [], services=[service]))
    (why,) = decision.unplaced
    assert why.reason == "ServiceAccountNotAllowed"
    assert "serviceAccountName web" in why.message
