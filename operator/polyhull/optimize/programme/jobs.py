"""(1) Every job is done, and none runs beside itself. Kinds `job` and `rate`."""

import numpy as np

from polyhull.optimize.programme.frame import Frame, by_class


def job_rows(frame: Frame) -> None:
    """sum_g Y = rho: first of all rows, one per class."""
    for j, mine in enumerate(frame.once(by_class)):
        shares = (frame.Y[mine], np.ones(len(mine)))
        frame.matrix.add(("job", j), 0.0, shares, (frame.rho, np.array([-1.0])), equal=True)


def rate_rows(frame: Frame) -> None:
    """In rates: sum of finish_g Y <= T."""
    if frame.strengthened:
        return
    for j, mine in enumerate(frame.once(by_class)):
        frame.matrix.add(("rate", j), 1.0, (frame.Y[mine], frame.data.finish[mine] / frame.T))
