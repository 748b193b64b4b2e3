"""Every row of the whole-copy programme is satisfied by an optimal schedule found by trying everything.

1  at T = the best makespan the programme says that all jobs can be done, whatever windows strengthen it
2  its bound is never above that makespan, never below the bound over class Pi's programme without its strengthening,
   and needs the critical jobs only
3  fewer jobs, and fewer columns that nobody needs, never raise it
"""

import math
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polyhull.optimize.arrays import model_data
from polyhull.optimize.build import build_columns
from polyhull.optimize.certificate import share_at_most
from polyhull.optimize.data import ModelData
from polyhull.optimize.highs import solve
from polyhull.optimize.programme import programme
from polyhull.optimize.programme.pools import pool_parts
from polyhull.optimize.programme.windows import Head, Long, Tail, Windows
from polyhull.optimize.whole_bound import whole_copy_bound
from polyhull.optimize.whole_copies import restricted, undominated, whole_copies
from tests.properties.amount import examples, many
from tests.properties.test_bound_properties import best_makespan, tiny
from tests.properties.test_plan_brute_force import brute_force
from tests.properties.test_plan_brute_force import tiny as two_sites

SEEDS = st.integers(0, 100_000)


def case(seed: int) -> tuple[ModelData, float]:
    """Arrays of a tiny instance and its best makespan; two makers of instances with a brute force each."""
    if seed % 2:
        shot = two_sites(seed // 2, 3)
        columns = build_columns(shot)
        return whole_copies(model_data(shot, columns), columns), brute_force(shot)
    shot = tiny(seed // 2)
    columns = build_columns(shot)
    return whole_copies(model_data(shot, columns), columns), best_makespan(shot, columns)


def some_windows(data: ModelData, most: float, dice: Random) -> Windows:
    """Heads, tails and functions where they could bind: at the times that occur, and anywhere."""
    times = [0.0, *data.earliest.tolist(), *data.length.tolist(), *(dice.uniform(0.0, most) for _ in range(4))]
    times = [one for one in times if math.isfinite(one)]
    pools = [(part.p, part.d) for part in pool_parts(data)]
    return Windows(
        tuple(Head(*dice.choice(pools), dice.choice(times)) for _ in range(6)),
        tuple(
            Long(
                *dice.choice(pools), dice.choice(times), dice.choice([0, 1, 2, 3, 5, 7]), dice.choice([0.1, 0.3, 0.5])
            )
            for _ in range(8)
        ),
        tuple(Tail(dice.randrange(len(data.links)), dice.choice(times)) for _ in range(6)) if data.links else (),
    )


@examples(60)
@given(SEEDS, st.integers(0, 5))
def test_property_1_an_optimal_schedule_satisfies_every_row(seed: int, draw: int) -> None:
    data, best = case(seed)
    windows = some_windows(data, best, Random(draw))
    built = programme(data, best * (1.0 + 1e-9), windows=windows)
    found = solve(built)
    assert found.share >= 1.0 - 1e-7, f"rows forbid a schedule that exists: {found.share}"
    assert share_at_most(built, data.job_class, found.prices) >= 1.0 - 1e-9


def test_property_2_the_bound_is_below_the_best_schedule() -> None:
    tight, seeds = 0, range(many(60, 0.3))
    for seed in seeds:
        data, best = case(seed)
        found = whole_copy_bound(data)
        assert 0.0 < found.seconds <= best * (1.0 + 1e-9), f"seed {seed}"
        fluid = whole_copy_bound(data, programmes=0)
        assert found.seconds >= fluid.seconds * (1.0 - 1e-9)
        tight += found.seconds >= 0.98 * best
    assert tight >= len(seeds) / 3


@examples(40, 0.3)
@given(SEEDS, st.integers(1, 15))
def test_property_3_fewer_jobs_or_useless_columns_never_raise_it(seed: int, kept: int) -> None:
    data, best = case(seed)
    mask = np.array([bool(kept >> (j % 4) & 1) for j in range(len(data.jobs))])
    whole = whole_copy_bound(data).seconds
    if mask.any():
        assert whole_copy_bound(restricted(data, mask)).seconds <= whole * (1.0 + 3e-3)
    scarce = {part.p for part in pool_parts(data) if part.scarce}
    fewer = undominated(data, scarce, best * (1.0 + 1e-9))
    assert len(fewer.columns) <= len(data.columns)
    assert solve(programme(fewer, best * (1.0 + 1e-9))).share >= 1.0 - 1e-7
