"""What holds of plans whose copies may be split, on random small fleets with relays and several sources.

1  the plan passes the checker, and its bound is not above it, not above the plan of whole copies, and not called a
   bound of whole copies
2  the bound is not above the best of all orders and columns of tiny instances, executed
3  its programme agrees with the definition
"""

from dataclasses import replace
from itertools import permutations, product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.decision import BoundKind
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.optimize.arrays import model_data
from polyhull.optimize.bound import slowest
from polyhull.optimize.build import build_columns
from polyhull.optimize.definition import largest_share
from polyhull.optimize.highs import solve
from polyhull.optimize.programme import programme
from polyhull.optimize.relaxation import relax
from polyhull.optimize.whole_copies import whole_copies
from polyhull.planning.canonical import canonical
from polyhull.planning.decide import decide
from polyhull.planning.relaxed import unguided
from polyhull.planning.reserve import reserve
from polyhull.planning.simulate import run
from tests.builders import data_set, fleet, job, link, option, pool, snapshot
from tests.properties.amount import examples

POLICY = Policy(startup_seconds=1.0, bandwidth_margin=0.9, split_transfers=True, solver=SolverLimits(search_steps=40))
WHOLE = (BoundKind.EXACT_WHOLE_COPY, BoundKind.EXACT_SUBPROBLEM, BoundKind.STRENGTHENED_WHOLE_COPY)


def fleet_of(seed: int, jobs: int) -> Snapshot:
    """Three or four sites, sources at some of them, links of all widths and not everywhere."""
    dice = Random(seed)
    names = ["a", "b", "c", "d"][: dice.choice([3, 4])]
    links = [link(one, two, dice.choice([0.2, 0.5, 1.0])) for one in names for two in names if one != two]
    links = [one for one in links if dice.random() < 0.85]
    sets = [
        data_set(f"set{i}", dice.choice([2, 5, 9]), *dice.sample(names[:-1], dice.randint(1, 2)),
                 largest_file_bytes=dice.choice([10**6, 10**8, 10**9]))
        for i in range(3)
    ]  # fmt: skip
    work = []
    for i in range(jobs):
        options = [option("v100", dice.choice([1.0, 3.0]), devices=dice.choice([2, 3, 4])), option("npu", devices=2)]
        work.append(job(f"job{i}", options, dice.choice([30.0, 70.0]), [f"set{dice.randint(0, 2)}"]))
    where = fleet([pool(names[-1], "v100", 1, 4), pool("a", "npu", 1, 4)], links)
    return canonical(snapshot(where, work, sets, policy=POLICY))


@examples(12)
@given(st.integers(0, 10_000))
def test_property_1_checked_and_honestly_bounded(seed: int) -> None:
    shot = fleet_of(seed, 6)
    plan = decide(shot)
    assert plan.violations == ()
    assert plan.lower_bound_seconds <= plan.makespan_seconds * (1.0 + 1e-9)
    if build_columns(shot).split:
        assert plan.bound_kind not in WHOLE
        whole = decide(replace(shot, policy=replace(shot.policy, split_transfers=False)))
        if len(whole.assignments) == len(plan.assignments):
            assert plan.lower_bound_seconds <= whole.makespan_seconds * (1.0 + 1e-9)
    for move in plan.transfers:
        assert not move.parts or sum(part.transfer_bytes for part in move.parts) == move.transfer_bytes


@pytest.mark.parametrize("block", range(3))
def test_property_2_no_order_of_whatever_columns_beats_the_bound(block: int) -> None:
    split = 0
    for seed in range(block * 12, block * 12 + 12):
        shot = fleet_of(seed, 3)
        columns = build_columns(shot)
        instance = reserve(shot, columns, unguided(shot, columns).services).instance
        if len(instance.jobs) < 3:
            continue
        choices = product(*(range(len(options)) for options in instance.choices))
        best = min(run(instance, order, one).makespan for one in choices for order in permutations(range(3)))
        assert relax(shot, columns).lower_bound_seconds <= best * (1.0 + 1e-9), f"seed {seed}"
        split += columns.split
    assert split >= 6


def test_property_3_the_programme_is_its_definition() -> None:
    split = 0
    for seed in range(8):
        shot = fleet_of(seed, 5)
        columns = build_columns(shot)
        data = whole_copies(model_data(shot, columns), columns)
        if not data.jobs:
            continue
        seconds = slowest(data) * (1.0 + (seed % 4) / 2)
        found = solve(programme(data, seconds, light=True))
        assert found.share == pytest.approx(largest_share(data, seconds, False), rel=1e-6, abs=1e-6), f"seed {seed}"
        split += columns.split
    assert split >= 4
