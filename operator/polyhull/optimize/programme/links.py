"""(3) Every link carries what its bandwidth allows. Kind `link`."""

import numpy as np

from polyhull.optimize.programme.frame import Frame


def link_rows(frame: Frame) -> None:
    """Flows and online traffic, in shares of B T, less running transfers."""
    data = frame.data
    online: dict[int, list[tuple[int, float]]] = {}
    for pair, (v, i) in enumerate(frame.pairs):
        demand = data.demands[i]
        site = data.pools[data.serving[v].pool].site
        for e, per_request in dict(demand.traffic).get(site, ()):
            online.setdefault(e, []).append((int(frame.x[pair]), per_request * demand.requests_per_second))
    shares: list[list[int]] = [[] for _ in data.links]
    for one in frame.flows.commodities:
        for e, f in zip(one.links.tolist(), one.F.tolist(), strict=True):
            shares[e].append(f)
    for e in range(len(data.links)):
        traffic = online.get(e, [])
        if not shares[e] and not traffic:
            continue
        B = data.bandwidth[e]
        frame.matrix.add(
            ("link", e),
            max(0.0, 1.0 - frame.active_rate((e,), frame.T) / B) if frame.strengthened else 1.0,
            (np.array(shares[e], dtype=np.int64), np.ones(len(shares[e]))),
            (np.array([v for v, _ in traffic], dtype=np.int64), np.array([r / B for _, r in traffic])),
        )
