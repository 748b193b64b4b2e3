"""The best makespan of a tiny case, by trying everything."""

from collections.abc import Callable
from itertools import permutations, product

from polyhull.domain.snapshot import Snapshot
from polyhull.optimize.build import build_columns
from polyhull.optimize.columns import Column


def least_makespan(case: Snapshot, within: Callable[[list[Column]], bool]) -> float:
    """Every column of every job, in every order, each as early as `within` allows what runs together then."""
    columns = build_columns(case)
    by_job = [[one for one in columns.columns if one.job == job.key] for job in case.jobs]
    best = float("inf")
    for choice in product(*by_job):
        for order in permutations(range(len(choice))):
            best = min(best, _serial([choice[j] for j in order], within, best))
    return best


def _serial(order: list[Column], within: Callable[[list[Column]], bool], best: float) -> float:
    placed: list[tuple[float, float, Column]] = []
    last = 0.0

    def fits(at: float, one: Column) -> bool:
        return within([*(other for start, end, other in placed if start <= at < end), one])

    for one in order:
        for start in sorted({0.0, *(end for _, end, _ in placed)}):
            end = start + one.length_seconds
            if all(fits(at, one) for at in [start, *(s for s, _, _ in placed if start < s < end)]):
                placed.append((start, end, one))
                last = max(last, end)
                break
        if last >= best:
            return last
    return last
