"""A full plan together with what it was made of."""

from dataclasses import dataclass

from polyhull.domain.decision import Decision
from polyhull.optimize.columns import ColumnSet
from polyhull.planning.reserve import Reserved
from polyhull.planning.schedule import Schedule


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    decision: Decision
    columns: ColumnSet
    """All that budgets have room for."""
    reserved: Reserved
    schedule: Schedule
    sound: bool
    """Is `decision` that schedule, and did it pass the checker?"""
