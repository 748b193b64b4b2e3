"""(4) Data sets flow from their sources to the sites of their readers. Kinds `balance`, `out` and `hop`."""

import numpy as np

from polyhull.optimize.data import DataSetData, Floats, Ints, ModelData
from polyhull.optimize.programme.commodities import Commodity
from polyhull.optimize.programme.frame import Frame


def flow_rows(frame: Frame) -> None:
    """Bytes that end at a site are no more than what comes in less what goes on."""
    flows = frame.flows
    commodity = np.zeros(len(frame.data.data_sets), dtype=np.int64)
    for c, one in enumerate(flows.commodities):
        commodity[list(one.members)] = c
    of_need = commodity[frame.data.need_set]
    for c, one in enumerate(flows.commodities):
        if one.private or not flows.exact:
            _grouped(frame, c, one, np.flatnonzero(of_need == c))
        else:
            _exact(frame, c, one)


def _grouped(frame: Frame, c: int, one: Commodity, needs: Ints) -> None:
    """Many shared data sets are relaxed: each reader asks for its part of one copy, nothing is said of relays
    (what goes on may be a second use of the same bytes), and what leaves the sources is counted instead."""
    data = frame.data
    at_site, bytes_ = data.need_site[needs], part_bytes(data)[data.need_set[needs]]
    ends = frame.Y[data.need_column[needs]]
    sites = _relays(data, data.data_sets[one.members[0]], one.links) if one.private else data.sites
    index = {site: s for s, site in enumerate(data.sites)}
    for site in sites:
        mine = at_site == index.get(site, -1)
        _balance(frame, c, site, one.links, one.F, ends[mine], bytes_[mine], one.private)
    if not one.private:
        _out(frame, c, one, ends, bytes_)


def part_bytes(data: ModelData) -> Floats:
    """[data set] its size over its readers: what each of them asks for at least."""
    parts = [one.size_bytes / (1.0 if one.private else max(1.0, float(len(one.readers)))) for one in data.data_sets]
    return np.array(parts, dtype=np.float64)


def _exact(frame: Frame, c: int, one: Commodity) -> None:
    """A flow of its own to every site; a shared hop is paid once: the largest of them."""
    (k,), flows = one.members, frame.flows
    data_set = frame.data.data_sets[k]
    for site in frame.data.sites:
        if (k, site) not in flows.phi:
            continue
        phi = flows.phi[k, site]
        for relay in _relays(frame.data, data_set, one.links):
            ends = np.array([flows.Z[k, site]] if relay == site else [], dtype=np.int64)
            _balance(frame, c, relay, one.links, phi, ends, np.full(len(ends), data_set.size_bytes))
        for f, part in zip(one.F.tolist(), phi.tolist(), strict=True):
            frame.matrix.add(("hop", c), 0.0, (np.array([part, f]), np.array([1.0, -1.0])))
    _out(frame, c, one, np.array([flows.Zmax[k]], dtype=np.int64), np.array([data_set.size_bytes]))


def _out(frame: Frame, c: int, one: Commodity, ends: Ints, sizes: Floats) -> None:
    """What is needed elsewhere leaves the sources once."""
    data = frame.data
    sources = data.data_sets[one.members[0]].sources
    leaving = np.array([data.link_source[e] in sources for e in one.links.tolist()], dtype=np.bool_)
    volume = data.bandwidth[one.links[leaving]] * frame.T
    scale = max(float(volume.max(initial=0.0)), float(sizes.max(initial=0.0)))
    if scale > 0.0:
        frame.matrix.add(("out", c), 0.0, (ends, sizes / scale), (one.F[leaving], -volume / scale))


def _balance(
    frame: Frame, c: int, site: str, links: Ints, F: Ints, ends: Ints, sizes: Floats, relays: bool = True
) -> None:
    data = frame.data
    into = np.array([data.link_target[e] == site for e in links.tolist()], dtype=np.bool_)
    out = np.array([relays and data.link_source[e] == site for e in links.tolist()], dtype=np.bool_)
    volume = data.bandwidth[links] * frame.T
    scale = max(float(volume[into].max(initial=0.0)), float(sizes.max(initial=0.0)))
    if scale > 0.0:
        parts = [(ends, sizes / scale), (F[out], volume[out] / scale), (F[into], -volume[into] / scale)]
        frame.matrix.add(("balance", c), 0.0, *parts)
    elif out.any():
        frame.matrix.add(("balance", c), 0.0, (F[out], np.ones(int(out.sum()))))


def _relays(data: ModelData, one: DataSetData, links: Ints) -> list[str]:
    touched = {data.link_source[e] for e in links.tolist()} | {data.link_target[e] for e in links.tolist()}
    return sorted((touched | set(data.sites)) - one.sources)
