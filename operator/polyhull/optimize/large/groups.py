"""groups.c behind ctypes; optimize/groups.py has the same in Python."""

import ctypes

import numpy as np

from polyhull.optimize.data import Floats, Ints

MOST_REGIONS, MOST_GROUPS = 64, 10
"""The fixed sizes of groups.c."""


def bottlenecks(counts: Ints, seconds: Floats, library: ctypes.CDLL) -> Floats:
    """[group, group] least bottleneck of a matching between two groups of `counts` [group, region] devices each;
    `seconds` [region, region] is symmetric."""
    groups, regions = counts.shape
    if regions > MOST_REGIONS:
        raise ValueError(f"{regions} regions: groups.c holds {MOST_REGIONS}")
    given, table = np.ascontiguousarray(counts, np.int64), np.ascontiguousarray(seconds, np.float64)
    edge = np.zeros((groups, groups))
    library.ph_groups_bottlenecks(groups, regions, given.ctypes.data, table.ctypes.data, edge.ctypes.data)
    return edge


def cheapest_path(edge: Floats, library: ctypes.CDLL) -> list[int]:
    """The order of all groups with the least sum of `edge` between neighbours; the first by number among equals."""
    groups = len(edge)
    if groups > MOST_GROUPS:
        raise ValueError(f"{groups} groups: groups.c orders {MOST_GROUPS}")
    table, order = np.ascontiguousarray(edge, np.float64), np.zeros(groups, dtype=np.int64)
    library.ph_groups_order(groups, table.ctypes.data, order.ctypes.data)
    return order.tolist()
