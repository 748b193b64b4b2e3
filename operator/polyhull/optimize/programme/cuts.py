"""What a long job reads must be there early: bytes over a site's borders within T less its length. Kind `cut`,
strengthens."""

import numpy as np

from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.programme.dual_feasible import thresholds
from polyhull.optimize.programme.flows import part_bytes
from polyhull.optimize.programme.frame import Frame


def cut_rows(frame: Frame) -> None:
    """Into each site, and out of each for what lies there alone."""
    data = frame.data
    if not frame.cuts or data.whole is not None or not len(data.need_set):
        return
    sole = np.array([next(iter(one.sources)) if len(one.sources) == 1 else "" for one in data.data_sets])
    volume = part_bytes(data)[data.need_set]
    index = {site: s for s, site in enumerate(data.sites)}
    source, target = np.array(data.link_source), np.array(data.link_target)
    for site in sorted(set(data.link_source) | set(data.link_target)):
        here = index.get(site, -1)
        out = np.flatnonzero((sole[data.need_set] == site) & (data.need_site != here))
        _cut(frame, np.flatnonzero(source == site), out, volume[out])
        into = np.flatnonzero(data.need_site == here)
        _cut(frame, np.flatnonzero(target == site), into, volume[into])


def _cut(frame: Frame, links: Ints, needs: Ints, volume: Floats) -> None:
    data = frame.data
    capacity = float(data.bandwidth[links].sum())
    if not len(needs) or capacity <= 0.0:
        return
    mine = data.need_column[needs]
    tails = data.length[mine]
    for tail in thresholds(tails, volume):
        W = frame.T - tail
        if W <= 0.0:
            frame.matrix.add(("cut", int(links[0])), 1.0)
            continue
        rhs = max(0.0, 1.0 - frame.active_rate(tuple(links.tolist()), W) / capacity)
        late = np.where(tails >= tail, volume / (capacity * W), 0.0)
        frame.matrix.add(("cut", int(links[0])), rhs, (frame.Y[mine], late))
