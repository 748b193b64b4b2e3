"""What a plan may spend in all: money, energy, carbon. A budget is one entry of `BUDGETS`; everything else loops.

Only what jobs take from now on counts: devices while held (and, of money, bytes over links). What nobody priced or
metered counts as the dearest known (costs.py), so that leaving a figure out never makes room. A budget is
everybody's, or of the namespaces of one policy together; then only their jobs take of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from polyhull.domain.snapshot import NamespaceBudget, Policy
from polyhull.optimize.columns import Column
from polyhull.optimize.costs import JOULES_PER_KILOWATT_HOUR


@dataclass(frozen=True, slots=True)
class Budget:
    """`field` of the policy, and how a sentence about it goes on: "its cheapest way costs 3"."""

    field: str
    way: str
    limit: Callable[[Policy | NamespaceBudget], float | None]
    spent: Callable[[Column], float]
    """What a column that counts takes of it, copies of its data left out."""
    paid_while_provisioning: bool = False
    """Growth nodes are paid from their first demand; they draw nothing before they are up."""
    pays_bytes: bool = False
    policy: str = "default"
    namespaces: frozenset[str] | None = None
    """Whose jobs count; None: everybody's."""

    def covers(self, column: Column) -> bool:
        return self.namespaces is None or column.job.namespace in self.namespaces

    def taken(self, column: Column) -> float:
        """What a column takes of it, copies of its data left out."""
        return self.spent(column) if self.covers(column) else 0.0


BUDGETS = (
    Budget(
        "costBudget",
        "its cheapest way costs",
        lambda policy: policy.cost_budget,
        lambda column: column.price + column.egress_price,
        paid_while_provisioning=True,
        pays_bytes=True,
    ),
    Budget(
        "energyBudgetKilowattHours",
        "its thriftiest way draws",
        lambda policy: policy.energy_budget_kilowatt_hours,
        lambda column: column.energy_joules / JOULES_PER_KILOWATT_HOUR,
    ),
    Budget(
        "carbonBudgetGrams",
        "its cleanest way emits",
        lambda policy: policy.carbon_budget_grams,
        lambda column: column.carbon_grams,
    ),
)


def limits(policy: Policy) -> tuple[tuple[Budget, float], ...]:
    """The budgets that are set, and how much each allows, in the unit of its field."""
    found = [(one, amount) for one in BUDGETS if (amount := one.limit(policy)) is not None]
    for some in policy.budgets:
        for one in BUDGETS:
            if (amount := one.limit(some)) is not None:
                found.append((replace(one, policy=some.policy, namespaces=frozenset(some.namespaces)), amount))
    return tuple(found)
