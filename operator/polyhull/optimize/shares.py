"""Time shares of jobs over device kinds, exact: the least normalised throughput as large, or the last end as early,
as can be.

A job j of a gang of s_j devices runs a fraction x[j,d] of the time on kind d; sum_d x[j,d] <= 1 and
sum_j s_j x[j,d] <= N_d. These are the policies `max_min_fairness` and `min_total_duration` of Gavel (Narayanan et
al., OSDI 2020), which solve one row per job and, for the makespan, bisect until 5 % are left. Here:

- jobs with equal rows are one class: the mean of their shares is a solution as good (the values are concave, the
  polytope convex), so the programme has as many rows as there are kinds of jobs, not jobs;
- the makespan is one linear programme in theta = 1/T, sum_d throughput x >= work theta, and jobs that differ only
  in their work are one class, each with the part of the class's mix that its work asks for, as long as none of them
  would run beside itself; where the shares of one add up to more than 1, the busier jobs become classes of their own.
  A class only relaxes what its jobs must keep, so an answer that no job breaks is optimal.
"""

import math
from dataclasses import dataclass

import numpy as np

from polyhull.domain.errors import SolverFailed
from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.fairness import Entries, Fair, Polytope, lexicographic

NEAR = 0.3
"""Once a job is beside itself, jobs busy for more than this share are classes of their own: fewer programmes."""
OVER = 1e-9
"""A job may run this share of its time beside itself before it is taken out of its class: rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """`share[j, d]` of each job's time; `least` the objective's value and `bound` the most it can be (proven).

    `values[j]` is what each job reaches, `classes` how many rows stood for all jobs, `rounds` the programmes solved.
    """

    share: Floats
    values: Floats
    least: float
    bound: float
    classes: int
    rounds: int


def max_min_shares(throughput: Floats, gang: Floats, devices: Floats, levels: int | None = None) -> Shares:
    """Maximise min_j sum_d throughput[j,d] x[j,d], level by level.

    `throughput` [job, kind] is already normalised (by weight and by what a job's fair share would give);
    0 where a kind cannot run it. `levels=1` stops at the least value. Raises SolverFailed.
    """
    member, first = classes_of(np.column_stack([throughput, gang]))
    count = np.bincount(member, minlength=len(first)).astype(np.float64)
    rates, sizes = throughput[first], gang[first]
    fair = _solve(rates, sizes * count, devices, levels)
    share = fair.point.reshape(rates.shape)
    return Shares(share[member], fair.values[member], float(fair.values.min()), _bound(fair), len(first), 1)


def makespan_shares(throughput: Floats, work: Floats, gang: Floats, devices: Floats) -> Shares:
    """Minimise T = max_j work_j / sum_d throughput[j,d] x[j,d]: `least` is 1/T, `values` sum_d throughput x / work.

    `throughput` [job, kind] in work units per second, `work` > 0, `gang` devices per job. Raises SolverFailed.
    """
    able = np.where(devices > 0.0, throughput, 0.0)
    if not np.all(able.max(axis=1) > 0.0):
        raise SolverFailed("a job runs on no kind that has devices: leave it out before sharing time")
    group, first = classes_of(np.column_stack([throughput, gang]))
    # The longest job of each kind is the likeliest to bind: on its own from the start.
    order = np.lexsort((-work, group))
    longest = order[np.flatnonzero(np.diff(group[order], prepend=-1))]
    group[longest] += len(first)
    # theta in units of the longest job's best time: rows are O(1).
    scale = float(np.max(work / able.max(axis=1)))
    for rounds in range(1, len(work) + 2):
        _, head, member, count = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
        total = np.bincount(member, work)
        mean = total / count
        # A class's mix, in shares of its mean job: together they use gang * count of it, and the mean job holds
        # sum_d x <= 1 because every job does.
        fair = _solve(throughput[head] / mean[:, None] * scale, gang[head] * count, devices, 1)
        share = fair.point.reshape(len(head), -1)[member] * (work / mean[member])[:, None]
        busy = share.sum(axis=1)
        if busy.max() <= 1.0 + OVER:
            values = (throughput * share).sum(axis=1) / work
            return Shares(share, values, float(values.min()), _bound(fair) / scale, len(head), rounds)
        group = np.where(busy > NEAR, len(head) + np.arange(len(work)), member)
    raise SolverFailed("the makespan programme did not settle")


def classes_of(rows: Floats) -> tuple[Ints, Ints]:
    """(class of each row, first row of each class); rows are of one class exactly where all their numbers are equal.

    Sorted by one number per row where that tells them apart, otherwise by the rows themselves.
    """
    mixed = rows @ np.sqrt(np.arange(2.0, 2.0 + rows.shape[1]))
    _, first, member = np.unique(mixed, return_index=True, return_inverse=True)
    if not np.array_equal(rows[first][member], rows):
        _, first, member = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return member.ravel().astype(np.int64), first.astype(np.int64)


def _bound(fair: Fair) -> float:
    """The proven bound of the least value."""
    return float(np.min(fair.bounds[fair.levels == 0]))


def _solve(rates: Floats, usage: Floats, devices: Floats, levels: int | None) -> Fair:
    """max-min of sum_d rates x; sum_d x <= 1 for every class, sum usage x <= devices for every kind."""
    J, D = rates.shape
    variable = np.arange(J * D).reshape(J, D)
    able = (rates > 0.0) & (devices > 0.0)
    matrix = Entries(
        np.concatenate([np.tile(np.arange(D), J), np.repeat(D + np.arange(J), D)]),
        np.concatenate([variable.ravel(), variable.ravel()]),
        np.concatenate([(usage[:, None] / np.where(devices > 0.0, devices, 1.0)).ravel(), np.ones(J * D)]),
    )
    upper = np.where(able, 1.0, 0.0).ravel()
    space = Polytope(matrix, np.ones(D + J), np.zeros(D + J, dtype=np.bool_), upper)
    gains = Entries(np.repeat(np.arange(J), D)[able.ravel()], variable[able], rates[able])
    fair = lexicographic(space, gains, J, levels)
    if fair.status != "Optimal" or not math.isfinite(float(fair.values.min())):
        raise SolverFailed(f"the programme of {J} classes on {D} kinds ended as {fair.status}")
    return fair
