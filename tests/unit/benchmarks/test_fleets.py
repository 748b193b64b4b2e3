"""Synthetic fleets: the counts asked for, the same every time, and written out they are the same programme."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import fleets, large
from polyhull.optimize.large.kernel import library
from polyhull.optimize.large.solve import solve

SMALL = fleets.FleetShape(60, 20, 5, 700, 0.4e12)


def test_a_fleet_has_the_columns_asked_for_and_every_class_one() -> None:
    problem = fleets.draw(SMALL)
    assert 1 + problem.columns + problem.commodities * len(problem.link_from) == SMALL.columns
    assert (np.diff(problem.column_of) > 0).all()
    assert (problem.room > 0.0).all()


def test_the_anchors_have_their_published_counts() -> None:
    problem = fleets.draw(fleets.MEDIUM)
    assert (problem.classes, problem.rows, problem.sites) == (2_000, 100, 20)
    assert 1 + problem.columns + problem.commodities * len(problem.link_from) == 101_049


def test_servers_are_spread_by_their_mix() -> None:
    shape = replace(SMALL, servers=1_000, mix=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
    assert fleets.draw(shape).room[:20].sum() == 8_000


def test_the_same_shape_is_the_same_fleet() -> None:
    first, second = fleets.draw(SMALL), fleets.draw(SMALL)
    assert first.use.tobytes() == second.use.tobytes()
    assert fleets.draw(replace(SMALL, seed=2)).use.tobytes() != first.use.tobytes()


@pytest.mark.skipif(library() is None, reason="no C compiler: the descent was not built")
def test_written_out_it_is_the_same_programme() -> None:
    problem = fleets.draw(SMALL)
    run = large.highs(problem, fleets.linear(problem), {"solver": "simplex"}, 60.0)
    assert run.status == "Optimal"
    assert abs(run.gap) < 1e-6
    compiled = library()
    assert compiled is not None
    found = solve(problem, compiled, 0.01)
    assert found.gap < 0.05


def run(seconds: float, gap: float, limit: float) -> large.Run:
    return large.Run(seconds, "Optimal", gap, limit)


def test_only_a_method_at_our_gap_or_one_that_was_stopped_is_compared_with() -> None:
    """PDLP ends early with a gap of 3 %: it has not answered the question."""
    early, fast, slow, cut = (
        run(1.0, 0.03, 60.0),
        run(30.0, 0.005, 60.0),
        run(50.0, 0.0, 60.0),
        run(60.1, np.inf, 60.0),
    )
    assert large.beaten(2.0, {"early": early, "slow": slow, "fast": fast, "cut": cut}) == (15.0, "fast")
    times, said = large.beaten(2.0, {"early": early, "cut": cut})
    assert times == pytest.approx(30.05) and said.startswith("at least")
    assert large.beaten(2.0, {"early": early})[0] == 0.0
    assert "no gap" in str(cut) and "0.03" in str(early)
