"""(4) Readers of a shared data set share its copies, and copies are limited. Kinds `reader` and `copies`."""

import math

import numpy as np

from polyhull.optimize.programme.frame import Frame


def copy_rows(frame: Frame) -> None:
    """z[k,s] is at least the share of every class that reads k at s; Zmax[k] is at least what reads it anywhere."""
    flows = frame.flows
    for (k, site), z in flows.Z.items():
        top = np.array([z, flows.Zmax[k]])
        frame.matrix.add(("reader", k), 0.0, (top, np.array([1.0, -1.0])))
        _at_least_each_class(frame, k, flows.readers_at[k, site], z)
    for k, z in flows.Zmax.items():
        away = [g for site in frame.data.sites for g in flows.readers_at.get((k, site), ())]
        _at_least_each_class(frame, k, away, z)
        limit = frame.data.data_sets[k].copies_allowed
        copies = np.array([flows.Z[at] for at in flows.Z if at[0] == k], dtype=np.int64)
        if math.isfinite(limit) and len(copies) > limit:
            scaled = frame.strengthened and not frame.cuts
            per_share = (frame.rho, np.array([-limit if scaled else 0.0]))
            frame.matrix.add(("copies", k), 0.0 if scaled else limit, (copies, np.ones(len(copies))), per_share)


def _at_least_each_class(frame: Frame, k: int, columns: list[int], z: int) -> None:
    by_class: dict[int, list[int]] = {}
    for g in columns:
        by_class.setdefault(int(frame.data.job_class[g]), []).append(g)
    for mine in by_class.values():
        reading = frame.Y[np.array(mine, dtype=np.int64)]
        frame.matrix.add(("reader", k), 0.0, (reading, np.ones(len(reading))), (np.array([z]), np.array([-1.0])))
