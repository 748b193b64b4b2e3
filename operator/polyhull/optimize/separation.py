"""Which windows a solution of the whole-copy programme violates most: exact over all heads, tails and functions."""

import numpy as np

from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.programme.dual_feasible import STEPS, dual_feasible, dual_feasible_least
from polyhull.optimize.programme.frame import Layout, by_link
from polyhull.optimize.programme.pools import Area, pool_parts
from polyhull.optimize.programme.windows import Head, Long, Tail, Windows

_LEAST = 1e-9
_VIOLATED = 3e-3
"""By this share of its right-hand side; less is not worth a row."""
_STEPS = range(1, 11)
_PER_POOL = 2


def violated(layout: Layout, seconds: float, shares: Floats) -> Windows:
    """At most two heads and two functions per pool and resource, one tail per link. `shares`: Y of a solution."""
    data = layout.data
    heads: list[Head] = []
    longs: list[Long] = []
    for part in layout.once(pool_parts):
        gangs = part.gangs.of(shares[part.gangs.column] > _LEAST)
        if part.scarce and len(gangs.column):
            area, used = Area.of(data, part.p, part.d, gangs), shares[gangs.column]
            heads += [Head(part.p, part.d, at) for at in _heads(area, seconds, used)]
            longs += [Long(part.p, part.d, *one) for one in _longs(area, seconds, used)]
    return Windows(tuple(heads), tuple(longs), tuple(_tails(layout, seconds, shares)))


def _heads(area: Area, T: float, shares: Floats) -> list[float]:
    candidates = np.unique(area.earliest[(area.earliest > 0.0) & (area.earliest < T)])
    found = []
    for head in candidates.tolist():
        room = area.room(head, T)
        over = (float(area.inside(head) @ shares) + area.fixed(head, T)) / room - 1.0 if room > 0.0 else 0.0
        if over > _VIOLATED:
            found.append((-over, head))
    return [head for _, head in sorted(found)[:_PER_POOL]]


def _longs(area: Area, T: float, shares: Floats) -> list[tuple[float, int, float]]:
    """(head, step, least) of functions of length over what is left after head."""
    found: list[tuple[float, tuple[float, int, float]]] = []
    if area.most <= 0.0:
        return []
    heads = [0.0, *np.unique(area.earliest[(area.earliest > 0.0) & (area.earliest < T)]).tolist()]
    for head in heads:
        late = area.earliest >= head
        share = np.minimum(area.length / (T - head), 1.0)
        weight = area.use * shares * late
        for step in _STEPS:
            if head == 0.0 and step in STEPS[:3]:
                continue  # always there
            found.append((float(weight @ dual_feasible(share, step)), (head, step, 0.0)))
        for least in np.unique(np.minimum(share, 1.0 - share)).tolist():
            if 0.0 < least <= 0.5:
                found.append((float(weight @ dual_feasible_least(share, least)), (head, 0, least)))
    best = sorted((-value, one) for value, one in found if value > area.most * (1.0 + _VIOLATED))
    return [one for _, one in best[:_PER_POOL]]


def _tails(layout: Layout, T: float, shares: Floats) -> list[Tail]:
    data, whole = layout.data, layout.data.whole
    if whole is None:
        return []
    found = []
    copied = whole.copied
    for e, mine in enumerate(layout.once(by_link)):
        used = mine[shares[copied.column[mine]] > _LEAST]
        lengths, volume = data.length[copied.column[used]], copied.bytes_[used] * shares[copied.column[used]]
        order: Ints = np.argsort(-lengths, kind="stable")
        lengths, sums = lengths[order], np.cumsum(volume[order])
        inside = lengths < T
        over = np.where(inside, sums / (data.bandwidth[e] * np.maximum(T - lengths, 1e-9)) - 1.0, -1.0)
        if len(over) and float(over.max()) > _VIOLATED:
            found.append(Tail(e, float(lengths[int(np.argmax(over))])))
    return found
