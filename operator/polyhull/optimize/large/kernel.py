"""The compiled descent behind ctypes: one object holds the arrays that descent.c works on."""

import ctypes
import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.large.problem import LargeProblem
from polyhull.optimize.large.source import LIBRARY, version

_POINTER, _DOUBLE, _LONG = ctypes.c_void_p, ctypes.c_double, ctypes.c_int64
_COUNTS = ("classes", "rows", "links", "commodities", "sites", "width")
_GIVEN = (
    "column_of", "row", "use", "site", "jobs", "need_of", "need_commodity", "need_bytes", "source_of", "source",
    "way_of", "way", "link_from", "link_to", "room", "anchor", "held",
)  # fmt: skip
_STATE = ("share", "load", "weight", "price", "path", "paths", "cheap", "dear", "least", "most")
_STEPS = ("softness", "top", "total")
_OFFSETS = ("column_of", "need_of", "source_of", "way_of")
_PLACES = ("row", "site", "need_commodity", "source", "way", "link_from", "link_to")
MOST_SITES, MOST_NEEDS, MOST_WIDTH = 512, 64, 32
_BATCHES = 5
"""How often prices and routes are made anew in one pass."""


_PATH = np.dtype([("flow", np.float64), ("hops", np.int32), ("link", np.int32, (8,))], align=True)
"""Path of descent.c."""


class _Fleet(ctypes.Structure):
    _fields_ = [
        *((name, _LONG) for name in _COUNTS),
        *((name, _POINTER) for name in (*_GIVEN, *_STATE)),
        *((name, _DOUBLE) for name in _STEPS),
    ]


def fits(problem: LargeProblem) -> bool:
    """Within the fixed sizes of descent.c?"""
    needs = int(np.diff(problem.need_of).max(initial=0))
    return problem.sites <= MOST_SITES and needs <= MOST_NEEDS and problem.row.shape[1] <= MOST_WIDTH


class Descent:
    """Shares, flows and prices of one problem while they improve. `load` is by row, then link, as parts of `room`."""

    def __init__(self, problem: LargeProblem, library: ctypes.CDLL) -> None:
        self.problem, self._library = problem, library
        n, places = len(problem.room), problem.commodities * problem.sites
        arrays: dict[str, NDArray[np.generic]] = {}
        for name in _GIVEN:
            kind = np.int64 if name in _OFFSETS else np.int32 if name in _PLACES else np.float64
            given = {"anchor": np.ones(n), "held": np.zeros(n)}
            arrays[name] = np.ascontiguousarray(given[name] if name in given else getattr(problem, name), dtype=kind)
        arrays["room"], arrays["jobs"] = arrays["room"].copy(), arrays["jobs"].copy()
        for name in ("load", "weight", "price"):
            arrays[name] = np.zeros(n)
        arrays["share"] = np.zeros(problem.columns)
        arrays["path"] = np.zeros(places * library.ph_path_bytes(), dtype=np.uint8)
        for name in ("paths", "cheap", "dear"):
            arrays[name] = np.zeros(places, dtype=np.int32)
        arrays["least"], arrays["most"] = np.zeros(places), np.zeros(places)
        self._arrays = arrays
        counts = (problem.classes, problem.rows, len(problem.link_from), problem.commodities, problem.sites)
        self._fleet = _Fleet(*counts, problem.row.shape[1])
        for name in (*_GIVEN, *_STATE):
            setattr(self._fleet, name, arrays[name].ctypes.data)

    def __getattr__(self, name: str) -> Floats:
        arrays = self.__dict__.get("_arrays", {})
        if name not in arrays:
            raise AttributeError(name)
        found: Floats = arrays[name]
        return found

    def fill(self, prices: Floats, softness: float) -> None:
        """Start: classes one by one, each whole on what is cheapest as it comes."""
        self._set(softness)
        count = self.problem.classes
        stride = next(s for s in range(max(1, int(count * 0.618)), 2 * count + 2) if math.gcd(s, count) == 1)
        self.anchor[:] = np.maximum(prices * self.room, 1e-300)
        self._library.ph_fill(ctypes.byref(self._fleet), stride, self._batch())

    def descend(self, passes: int, softness: float) -> Floats:
        """The mean unit prices of `passes` passes at this softness (in units of load)."""
        self._set(softness)
        mean = np.zeros(len(self.room))
        self._library.ph_descend(ctypes.byref(self._fleet), passes, self._batch(), mean.ctypes.data)
        mean /= mean.sum()
        return mean / self.room

    def value(self, prices: Floats) -> float:
        """sum_j m_j min_g price, not rounded: a claim to be recomputed before it counts."""
        self.price[:] = prices
        found: float = self._library.ph_value(ctypes.byref(self._fleet))
        return found

    def reroute(self, shares: Floats, demand: Floats, rounds: int, softness: float) -> None:
        """These shares, and flows for the `demand` [commodity, site] of bytes that follows from them."""
        self.share[:] = shares
        self.anchor[:] = 1.0
        self._set(softness)
        wanted = np.ascontiguousarray(demand, dtype=np.float64)
        self._library.ph_reroute(ctypes.byref(self._fleet), wanted.ctypes.data, rounds)

    def usage(self) -> Floats:
        """[commodity x site, link] bytes on each link for one byte that arrives, as flows are now; where none flows,
        along the path that was cheapest last."""
        problem = self.problem
        paths = self._arrays["path"].view(_PATH).reshape(problem.commodities * problem.sites, -1)
        used = np.zeros((len(paths), len(problem.link_from)))
        flows = np.where(paths["flow"] > 0.0, paths["flow"], 0.0)
        kept: Ints = self._arrays["paths"].astype(np.int64)
        at, slot = np.nonzero(np.arange(paths.shape[1]) < kept[:, None])
        cheap = self._arrays["cheap"][at] == slot
        total = flows.sum(axis=1)[at]
        part = np.where(total > 0.0, flows[at, slot] / np.where(total > 0.0, total, 1.0), cheap)
        for hop in range(paths["link"].shape[2]):
            mine = paths["hops"][at, slot] > hop
            np.add.at(used, (at[mine], paths["link"][at, slot, hop][mine]), part[mine])
        return used

    def _set(self, softness: float) -> None:
        self._fleet.softness = softness

    def _batch(self) -> int:
        return max(1, -(-self.problem.classes // _BATCHES))


@cache
def library() -> ctypes.CDLL | None:
    """The library of exactly these sources; None if it was not built (`python hatch_build.py`) or is stale."""
    try:
        found = ctypes.CDLL(str(LIBRARY))
    except OSError:
        return None
    found.ph_large_version.restype = ctypes.c_char_p
    if found.ph_large_version() != version().encode():
        return None
    found.ph_path_bytes.restype = _LONG
    found.ph_fill.argtypes, found.ph_fill.restype = (_POINTER, _LONG, _LONG), None
    found.ph_descend.argtypes, found.ph_descend.restype = (_POINTER, _LONG, _LONG, _POINTER), None
    found.ph_reroute.argtypes, found.ph_reroute.restype = (_POINTER, _POINTER, _LONG), None
    found.ph_value.argtypes, found.ph_value.restype = (_POINTER,), _DOUBLE
    found.ph_groups_bottlenecks.argtypes = (_LONG, _LONG, _POINTER, _POINTER, _POINTER)
    found.ph_groups_order.argtypes = (_LONG, _POINTER, _POINTER)
    found.ph_groups_bottlenecks.restype = found.ph_groups_order.restype = None
    found.ph_stages_pair.argtypes, found.ph_stages_pair.restype = (_LONG, _LONG, *[_POINTER] * 6), _DOUBLE
    found.ph_counts_begin.argtypes, found.ph_counts_begin.restype = (_POINTER,), None
    found.ph_counts_solve.argtypes, found.ph_counts_solve.restype = (_POINTER,), _LONG
    return found
