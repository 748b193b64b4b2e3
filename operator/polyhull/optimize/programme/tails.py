"""What a long job reads must be there early: whole copies over a link within T less its length. Kind `tail`,
strengthens."""

import numpy as np

from polyhull.optimize.programme.frame import Frame, by_link


def tail_rows(frame: Frame) -> None:
    """As `link`, until T - q, of what columns of length >= q read (a shared move: if all its readers are so long)."""
    data, whole = frame.data, frame.data.whole
    if not frame.cuts or whole is None:
        return
    least = [min(float(data.length[g]) for mine in move.readers for g in mine) for move in whole.shared]
    for tail in frame.windows.tails:
        e, W = tail.link, frame.T - tail.seconds
        if W <= 0.0:
            frame.matrix.add(("tail", e), 1.0)
            continue
        copied, mine = whole.copied, frame.once(by_link)[e]
        mine = mine[data.length[copied.column[mine]] >= tail.seconds]
        volume = float(data.bandwidth[e]) * W
        parts = [(frame.Y[copied.column[mine]], copied.bytes_[mine] / volume)]
        for move, variables, length in zip(whole.shared, frame.W, least, strict=True):
            if length >= tail.seconds:
                over = [(w, amount) for w, way in enumerate(move.ways) for link, amount in way if link == e]
                amounts = np.array([amount for _, amount in over]) / volume
                parts.append((variables[[w for w, _ in over]], amounts))
        if e in frame.online:
            x, rates = frame.online[e]
            parts.append((x, rates / data.bandwidth[e]))
        busy = frame.active_rate((e,), W) / float(data.bandwidth[e])
        frame.matrix.add(("tail", e), max(0.0, 1.0 - busy), *parts)
