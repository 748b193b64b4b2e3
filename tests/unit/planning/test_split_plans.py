"""A plan with a split copy: what the checker asks of it, and what people are told."""

from dataclasses import replace

import pytest

from polyhull.cli.page.content import content
from polyhull.domain.decision import BoundKind, Decision, Transfer
from polyhull.domain.snapshot import Snapshot
from polyhull.planning.canonical import canonical
from polyhull.planning.decide import decide
from polyhull.planning.report import document
from polyhull.planning.validate import validate
from tests.unit.optimize.test_splits import MB, case


@pytest.fixture(scope="module")
def planned() -> tuple[Snapshot, Decision]:
    shot = canonical(case())
    return shot, decide(shot)


def changed(plan: Decision, **changes: object) -> Decision:
    (move,) = plan.transfers
    return replace(plan, transfers=(replace(move, **changes),))  # type: ignore[arg-type]


def test_the_plan_splits_and_is_bounded_by_what_it_could_do(planned: tuple[Snapshot, Decision]) -> None:
    shot, plan = planned
    (move,) = plan.transfers
    assert plan.violations == () and len(move.parts) == 3
    assert plan.makespan_seconds == pytest.approx(30_030 / 400 + 100.0)
    assert plan.bound_kind is BoundKind.STRENGTHENED_SPLIT_COPY
    assert plan.lower_bound_seconds == pytest.approx(plan.makespan_seconds)
    whole = decide(replace(shot, policy=replace(shot.policy, split_transfers=False)))
    assert whole.makespan_seconds == pytest.approx(250.0)
    assert "3 parts" in plan.assignments[0].explanation.binds


def test_the_checker_looks_at_every_part(planned: tuple[Snapshot, Decision]) -> None:
    shot, plan = planned
    (move,) = plan.transfers

    def said(**changes: object) -> str:
        return " / ".join(validate(shot, changed(plan, **changes)))

    def with_part(at: int, **changes: object) -> str:
        parts = list(move.parts)
        parts[at] = replace(parts[at], **changes)  # type: ignore[arg-type]
        return said(parts=tuple(parts))

    assert said() == ""
    assert "bytes of 30000000000 in its parts" in with_part(0, transfer_bytes=move.parts[0].transfer_bytes - 1)
    assert "needs" in with_part(1, rate_bytes_per_second=99.0 * MB)
    assert "link a->t carries" in with_part(1, rate_bytes_per_second=101.0 * MB)
    assert "no such replica" in with_part(1, source_site="r", links=("r->t",))
    assert "ends at r" in with_part(2, links=("b->r",))
    assert "the only one" in said(parts=move.parts[:1])
    assert "link b->t carries" in with_part(2, links=("b->t",))
    forbidden = replace(shot, policy=replace(shot.policy, split_transfers=False))
    assert "does not allow" in " / ".join(validate(forbidden, plan))
    unknown = replace(shot, data_sets=(replace(shot.data_sets[0], largest_file_bytes=None),))
    assert "how large its files are" in " / ".join(validate(unknown, plan))


def test_parts_are_told(planned: tuple[Snapshot, Decision]) -> None:
    shot, plan = planned
    (told,) = document(plan)["transfers"]
    assert [part["from"] for part in told["parts"]] == ["b", "a", "b"]
    assert sum(part["bytes"] for part in told["parts"]) == told["bytes"]
    page = content(shot, plan, "")
    assert [move["links"] for move in page["moves"]] == [["a->t"], ["b->r", "r->t"], ["b->t"]]
    load = {link["name"]: link["load"][0] for link in page["links"]}
    assert load["a->t"][1] == pytest.approx(100 * MB * 8)


def test_a_whole_copy_says_why_where_splitting_is_allowed() -> None:
    plan = decide(case(None))
    (move,) = plan.transfers
    assert move.parts == () and "spec.largestFile" in move.whole_because
    assert isinstance(move, Transfer) and move.flows[0].links == ("b->t",)
    assert plan.bound_kind in (BoundKind.EXACT_WHOLE_COPY, BoundKind.STRENGTHENED_WHOLE_COPY)
