"""(6) The budget of a plan. Kind `budget`."""

import numpy as np

from polyhull.optimize.programme.frame import Frame


def budget_rows(frame: Frame) -> None:
    """What the share rho of all jobs costs in devices is at most that share of the budget. Bytes come on top."""
    data = frame.data
    if not np.isfinite(data.budget):
        return
    scale = max(data.budget, float(data.price.max(initial=0.0)), 1e-9)
    spent = data.price * data.multiplicity[data.job_class] / scale
    frame.matrix.add(("budget", 0), 0.0, (frame.Y, spent), (frame.rho, np.array([-data.budget / scale])))
