"""Which of two decisions is better, by what they say of themselves."""

from polyhull.domain.decision import Decision
from polyhull.domain.workloads import Key
from polyhull.planning.objectives import LEVELS, MAKESPAN, whole

_EQUAL = 1e-9


def gains(present: Decision, other: Decision) -> bool:
    """Whether `other` places or serves more, or the same with fewer late jobs, or else is better at a level.

    Levels are read in their order; a later one counts as far as the earlier ones stay within their tolerance. Where
    one of them moves a job that runs in the other, only the makespan speaks of the same jobs in both; the search that
    moved it compared the rest.
    """
    one, two = served(present), served(other)
    if one != two:
        return two > one
    late, later = _late(present), _late(other)
    if late != later:
        return later < late
    alike = _waiting(present) == _waiting(other)
    for now, then in zip(present.levels, other.levels, strict=True):
        if not alike and then.name != MAKESPAN.name:
            return True
        before, after = whole(now.value), whole(then.value)
        last = then is other.levels[-1]
        if after < before * (1.0 - _EQUAL):
            return True
        if after > (before * (1.0 + _EQUAL) if last else LEVELS[then.name].allowance(before)):
            return False
    return False


def _waiting(decision: Decision) -> set[Key]:
    return {assignment.job for assignment in decision.assignments if not assignment.fixed}


def _late(decision: Decision) -> int:
    return sum(one.late_seconds > 0.0 for one in decision.assignments if not one.observed)


def served(decision: Decision) -> tuple[int, float]:
    """Jobs placed, and requests per second served."""
    return (
        sum(not one.observed for one in decision.assignments),
        round(sum(plan.served_per_second for plan in decision.services), 6),
    )
