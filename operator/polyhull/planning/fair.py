"""Max-min fairness between namespaces as a value of a schedule.

A namespace u waits T_u for its last job; alone on an equal share of the fleet it would need T_u_iso at least. The
worst T_u / T_u_iso is what counts, then the mean a little (`MEAN`), so that others gain where the worst cannot.
"""

from typing import TYPE_CHECKING

from polyhull.domain.snapshot import Snapshot
from polyhull.optimize.columns import ColumnSet
from polyhull.optimize.isolated import least_ratio

if TYPE_CHECKING:
    from polyhull.planning.objectives import Outcome

MEAN = 1e-3


def unfairness(outcome: "Outcome") -> float:
    """The worst T_u / T_u_iso of the namespaces that count, and `MEAN` times their mean."""
    instance = outcome.instance
    last: dict[str, float] = {}
    for j, end in outcome.ends():
        name = instance.jobs[j].key.namespace
        last[name] = max(last.get(name, 0.0), end)
    ratios = [last[name] / instance.alone[name] for name in sorted(last) if instance.alone.get(name, 0.0) > 0.0]
    return max(ratios) + MEAN * sum(ratios) / len(ratios) if ratios else 0.0


def least_unfairness(snapshot: Snapshot, columns: ColumnSet) -> float:
    worst, mean = least_ratio(snapshot, columns)
    return worst + MEAN * mean
