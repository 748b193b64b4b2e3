"""(6) Joules of sites whose power is capped. Kinds `power`, and to strengthen `powered`."""

import numpy as np

from polyhull.optimize.data import Floats, PowerCap
from polyhull.optimize.programme.dual_feasible import STEPS, dual_feasible
from polyhull.optimize.programme.frame import Frame, by_pool
from polyhull.optimize.programme.pools import serving_at


def power_rows(frame: Frame) -> None:
    """What jobs draw at their peak for as long as they hold devices, plus T times what replicas draw, is at most
    what the cap leaves beside running jobs until T. An average: the simulation holds the cap at every instant."""
    for s, cap in enumerate(frame.data.caps):
        _row(frame, ("power", s), cap, None)
        for step in STEPS if frame.cuts else ():
            _row(frame, ("powered", s), cap, step)


def _row(frame: Frame, kind: tuple[str, int], cap: PowerCap, step: int | None) -> None:
    """As shares of the cap; `step`: as values of the dual feasible function u(step) of those, since what draws more
    than half the cap never runs beside its like."""

    def worth(watts: Floats) -> Floats:
        share = watts / cap.watts
        return share if step is None else dual_feasible(np.minimum(share, 1.0), step)

    data, T = frame.data, frame.T
    parts = []
    for p in cap.pools:
        gangs, each = frame.once(by_pool)[p], data.pools[p].watts
        mine, drawn = gangs.column, worth(gangs.replicas * gangs.pods[:, 0] * each)
        parts.append((frame.Y[mine], drawn * data.multiplicity[data.job_class[mine]] * data.length[mine] / T))
        serving, served = serving_at(data, p)
        parts.append((frame.n[serving], worth(served[:, 0] * each)))
    running = cap.running(worth(np.array([watts for watts, _ in cap.fixed])), T if frame.strengthened else np.inf)
    if frame.strengthened:
        frame.matrix.add(kind, max(0.0, 1.0 - running / T), *parts)
    else:
        frame.matrix.add(kind, 1.0, *parts, (frame.rho, np.array([running / T])))
