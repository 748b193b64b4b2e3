"""The exact problem: a faithful document, and a worker whose bounds are what a person can compute."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Placed
from polyhull.optimize.build import build_columns
from polyhull.optimize.coarse import coarser
from polyhull.optimize.exact import (
    Built,
    ExactAnswer,
    Offer,
    ToBeat,
    answer_document,
    answer_from,
    build,
    problem_document,
    problem_from,
)
from polyhull.planning.decide import decide
from tests.builders import NOW, data_set, fleet, growth, job, link, option, pool, random_snapshot, snapshot

OPERATOR = Path(__file__).parents[3] / "operator"


def built(
    case: Snapshot, offers: tuple[Offer, ...] = (), demand: tuple[float, ...] = (), least: tuple[int, ...] = ()
) -> Built:
    plan = decide(case)
    jobs = {a.job: ((a.pool, a.option), a.start_seconds) for a in plan.assignments if not a.fixed}
    moves = {(t.data_set, t.store): (t.source_site, t.start_seconds) for t in plan.transfers if not t.active}
    beat = ToBeat(plan.makespan_seconds, 0.0, jobs, moves)
    return build(case, build_columns(case), beat, offers, demand, least)


def solved(one: Built) -> tuple[ExactAnswer, float]:
    done = subprocess.run(
        [sys.executable, "-m", "polyhull.optimize.exact_worker"],
        input=json.dumps(problem_document(one.problem)),
        capture_output=True, text=True, check=True, timeout=60, env={"PYTHONPATH": str(OPERATOR)},
    )  # fmt: skip
    answer = answer_from(json.loads(done.stdout))
    return answer, answer.bound * one.problem.unit_seconds


def test_documents_give_back_the_same_values() -> None:
    problem = built(random_snapshot(4, 12, 5, 3)).problem
    assert problem_from(json.loads(json.dumps(problem_document(problem)))) == problem
    answer = ExactAnswer("OPTIMAL", 7, ((1, 2),), ((0, 0, 3),), (4,))
    assert answer_from(json.loads(json.dumps(answer_document(answer)))) == answer


def test_rounding_never_errs_upwards() -> None:
    problem = built(random_snapshot(4, 12, 5, 3)).problem
    longest = max(build_columns(random_snapshot(4, 12, 5, 3)).columns, key=lambda c: c.length_seconds)
    lengths = [column.length for column in problem.columns]
    assert max(lengths) * problem.unit_seconds <= longest.length_seconds
    assert (max(lengths) + 1) * problem.unit_seconds > longest.length_seconds


def test_a_makespan_of_nothing_is_refused() -> None:
    case = snapshot(fleet([pool("a", "v100")]))
    with pytest.raises(ValueError, match="nothing to prove"):
        build(case, build_columns(case), ToBeat(0.0, 0.0, {}, {}))


def test_five_device_pods_cost_a_node_of_eight() -> None:
    """Sixteen devices could hold three such pods by their sum; two nodes hold two."""
    case = snapshot(
        fleet([pool("a", "v100", 2)]), [job(f"j{i}", [option("v100", devices=5)], 100.0) for i in range(4)]
    )
    answer, bound = solved(built(case))
    assert answer.status == "OPTIMAL"
    assert bound == pytest.approx(200.0, rel=1e-3)


def test_a_shared_data_set_is_moved_once() -> None:
    """10 GB at 1 Gbit/s take 80 s; both readers then run at once."""
    where = fleet([pool("a", "npu", 0), pool("b", "v100", 1)], [link("a", "b", 1.0)])
    jobs = [job(f"j{i}", [option("v100", devices=4)], 20.0, ["d"]) for i in range(2)]
    case = snapshot(where, jobs, [data_set("d", 10, "a")])
    answer, bound = solved(built(case))
    assert answer.status == "OPTIMAL"
    assert bound == pytest.approx(100.0, rel=1e-3)


def test_what_runs_holds_its_devices_until_it_ends() -> None:
    running = replace(
        job("runs", [option("v100", devices=8)], 100.0),
        placed=Placed("a", "a/v100", "v100x8", (("a-v100-0", 1),), NOW, NOW),
    )
    case = snapshot(fleet([pool("a", "v100", 1)]), [running, job("next", [option("v100")], 50.0)])
    answer, bound = solved(built(case))
    assert answer.status == "OPTIMAL"
    assert bound == pytest.approx(150.0, rel=1e-3)


def test_growth_counts_from_when_it_is_there() -> None:
    case = snapshot(
        fleet([pool("a", "v100", 0, growth=growth(1, provision=60.0))]), [job("j", [option("v100")], 100.0)]
    )
    answer, bound = solved(built(case))
    assert answer.status == "OPTIMAL"
    assert bound == pytest.approx(160.0, rel=1e-3)


def test_services_take_the_least_they_can() -> None:
    """Three replicas at least, of two devices each, leave two of eight devices: two rounds of one job each."""
    case = snapshot(
        fleet([pool("a", "v100", 1)]), [job(f"j{i}", [option("v100", devices=2)], 50.0) for i in range(2)]
    )
    plain = built(case)
    beat = ToBeat(
        100.0,
        0.0,
        dict(zip(plain.jobs, [(("a/v100", "v100x2"), 0.0), (("a/v100", "v100x2"), 50.0)], strict=True)),
        {},
    )
    offers = (Offer(0, "team", "m", "a/v100", 2, 8, 4.0),)
    answer, bound = solved(build(case, build_columns(case), beat, offers, (12.0,), (1,)))
    assert answer.status == "OPTIMAL"
    assert answer.replicas == (3,)
    assert bound == pytest.approx(100.0, rel=1e-3)


def test_the_same_problem_gets_the_same_answer() -> None:
    one = built(random_snapshot(3, 15, 4, 3))
    assert solved(one) == solved(one)


@pytest.mark.parametrize("seed", [2, 5])
@pytest.mark.parametrize("factor", [7, 50])
def test_a_coarser_grid_never_claims_more(seed: int, factor: int) -> None:
    """What is proved in coarse units holds in fine ones, and the schedule found there is no better than the bound."""
    one = built(random_snapshot(seed, jobs=6))
    problem = one.problem
    fine, _ = solved(one)
    found, _ = solved(replace(one, problem=coarser(problem, factor, 1.0)))
    assert {fine.status, found.status} == {"OPTIMAL"}
    assert found.bound * factor <= fine.bound
    assert found.bound * factor >= fine.bound - factor * (1 + 2 * (problem.jobs + len(problem.moves)))
