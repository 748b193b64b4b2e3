"""(6) The budgets of a plan: money, energy, carbon. Kind `budget`."""

import numpy as np

from polyhull.optimize.programme.frame import Frame


def budget_rows(frame: Frame) -> None:
    """What the share rho of all jobs takes by its devices is at most that share of the budget. Bytes come on top."""
    data = frame.data
    for b, (left, each) in enumerate(zip(data.budgets, data.spent, strict=True)):
        scale = max(left, float(each.max(initial=0.0)), 1e-9)
        spent = each * data.multiplicity[data.job_class] / scale
        frame.matrix.add(("budget", b), 0.0, (frame.Y, spent), (frame.rho, np.array([-left / scale])))
