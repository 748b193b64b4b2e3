"""(3) Every link carries what its bandwidth allows. Kind `link`."""

import numpy as np

from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.programme.frame import Frame, by_link, streams_by_link

Part = tuple[Ints, Floats]


def link_rows(frame: Frame) -> None:
    """Flows, or whole copies and streamed reads, and online traffic, in shares of B T, less running transfers."""
    carried = _whole(frame) if frame.data.whole is not None else _flows(frame)
    for e, parts in enumerate(carried):
        if e in frame.online:
            x, rates = frame.online[e]
            parts.append((x, rates / frame.data.bandwidth[e]))
        if not any(len(variables) for variables, _ in parts):
            continue
        busy = frame.active_rate((e,), frame.T) / frame.data.bandwidth[e] if frame.strengthened else 0.0
        frame.matrix.add(("link", e), max(0.0, 1.0 - busy), *parts)


def _flows(frame: Frame) -> list[list[Part]]:
    """[link] F of every commodity that may use it: shares already."""
    shares: list[list[int]] = [[] for _ in frame.data.links]
    for one in frame.flows.commodities:
        for e, f in zip(one.links.tolist(), one.F.tolist(), strict=True):
            shares[e].append(f)
    return [[(np.array(mine, dtype=np.int64), np.ones(len(mine)))] for mine in shares]


def _whole(frame: Frame) -> list[list[Part]]:
    """[link] columns that bring their own copy over it, and ways of shared moves."""
    whole = frame.data.whole
    assert whole is not None
    volume = frame.data.bandwidth * frame.T
    parts: list[list[Part]] = []
    for e, (copied, streamed) in enumerate(zip(frame.once(by_link), frame.once(streams_by_link), strict=True)):
        parts.append(
            [
                (frame.Y[uses.column[mine]], uses.bytes_[mine] / volume[e])
                for uses, mine in ((whole.copied, copied), (whole.streamed, streamed))
            ]
        )
    for move, variables in zip(whole.shared, frame.W, strict=True):
        for way, variable in zip(move.ways, variables.tolist(), strict=True):
            for e, amount in way:
                parts[e].append((np.array([variable]), np.array([amount / volume[e]])))
    return parts
