"""(6) What is capped at every instant: a site's watts, devices of a kind of some namespaces. Kinds `cap`, and to
strengthen `capped`."""

import numpy as np

from polyhull.optimize.data import CapData, Floats, Ints, ModelData
from polyhull.optimize.programme.dual_feasible import STEPS, dual_feasible
from polyhull.optimize.programme.frame import Frame


def cap_rows(frame: Frame) -> None:
    """What jobs take of a cap for as long as they hold devices, plus T times what replicas take, is at most what the
    cap leaves beside running jobs until T. An average: the simulation holds the cap at every instant."""
    if not frame.data.caps:
        return
    for c, (one, uses) in enumerate(zip(frame.data.caps, frame.once(uses_of_caps), strict=True)):
        _row(frame, ("cap", c), one, uses, None)
        for step in STEPS if frame.cuts else ():
            _row(frame, ("capped", c), one, uses, step)


Uses = tuple[Ints, Floats, Ints, Floats]
"""Columns and what one job takes by each, serving options and what one replica takes: of one cap."""


def uses_of_caps(data: ModelData) -> tuple[Uses, ...]:
    """[cap] who takes how much of it."""
    return tuple(_uses(data, one) for one in data.caps)


def _uses(data: ModelData, one: CapData) -> Uses:
    each = np.zeros(len(data.pools))
    for p, amount in one.each.items():
        each[p] = amount
    covered = np.array([one.cap.covers(members[0].namespace) for members in data.jobs], dtype=np.bool_)
    taken = data.replicas * data.pods[:, 0] * each[data.pool]
    np.add.at(taken, data.also.column, data.also.replicas * data.also.pods[:, 0] * each[data.also.pool])
    columns = np.flatnonzero((taken > 0.0) & covered[data.job_class])
    served = np.array([one.pod.devices * each[one.pool] for one in data.serving], dtype=np.float64)
    mine = [one.cap.covers(data.services[option.service].key.namespace) for option in data.serving]
    options = np.flatnonzero((served > 0.0) & np.array(mine, dtype=np.bool_))
    return columns, taken[columns], options, served[options]


def _row(frame: Frame, kind: tuple[str, int], one: CapData, uses: Uses, step: int | None) -> None:
    """As shares of the cap; `step`: as values of the dual feasible function u(step) of those, since what takes more
    than half the cap never runs beside its like."""

    def worth(taken: Floats) -> Floats:
        share = taken / one.cap.most
        return share if step is None else dual_feasible(np.minimum(share, 1.0), step)

    data, T = frame.data, frame.T
    columns, taken, options, served = uses
    jobs = worth(taken) * data.multiplicity[data.job_class[columns]] * data.length[columns] / T
    parts = [(frame.Y[columns], jobs), (frame.n[options], worth(served))]
    running = one.running(worth(np.array([taken for taken, _ in one.fixed])), T if frame.strengthened else np.inf)
    if frame.strengthened:
        frame.matrix.add(kind, max(0.0, 1.0 - running / T), *parts)
    else:
        frame.matrix.add(kind, 1.0, *parts, (frame.rho, np.array([running / T])))
