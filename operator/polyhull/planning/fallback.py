"""What is left when a part of the decision fails: a plan all the same, with a status that says what happened.

The order of fallbacks, process boundaries included, is told in docs/how-to/when-a-solver-fails.md.
"""

from collections.abc import Callable
from dataclasses import replace

from polyhull.domain.decision import Decision
from polyhull.planning.kernels import NOT_BUILT, library
from polyhull.planning.relaxed import Guide


def remarks(guide: Guide) -> str:
    """What a reader of the status should know besides: a programme not solved, a kernel not built."""
    trouble = f"; the programme: {guide.trouble}" if guide.trouble else ""
    return trouble if library() is not None else f"{trouble}; {NOT_BUILT}"


def accepted(decision: Decision, plain: Callable[[], Decision]) -> Decision:
    """`decision`, or where the checker refuses it the plain plan, if that one passes."""
    if not decision.violations or (other := plain()).violations:
        return decision
    refused = f"{other.solver.status}; the checker refused the plan that was sought: {decision.violations[0]}"
    return replace(other, solver=replace(other.solver, status=refused))
