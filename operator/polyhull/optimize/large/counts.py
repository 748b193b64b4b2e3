"""The dual simplex of counts.c behind ctypes: one object holds the arrays, its basis stays from range to range."""

import ctypes

import numpy as np
from numpy.typing import NDArray

from polyhull.optimize.data import Floats

MOST_ROWS = 64
"""Kinds and resources together, as in counts.c."""
STEPS = 20_000
STATUS = ("Optimal", "Infeasible", "Iteration limit reached", "Singular")
_COUNTS = ("buckets", "kinds", "resources", "steps")
_GIVEN = ("load", "price", "usage", "available", "low", "high")
_STATE = ("key", "basic", "state", "alpha", "share", "count", "dual")


class _Counts(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in _COUNTS),
        *((name, ctypes.c_void_p) for name in (*_GIVEN, *_STATE)),
    ]


class CompiledCounts:
    """min price·n over the rows of optimize/instances.py, n between `low` and `high`, for one range after another.

    `load` [bucket, kind], inf: cannot; every bucket needs one kind that can. `usage` [resource, kind] <= `available`.
    """

    def __init__(self, load: Floats, price: Floats, usage: Floats, available: Floats, library: ctypes.CDLL) -> None:
        (buckets, kinds), resources = load.shape, len(available)
        if kinds + resources > MOST_ROWS:
            raise ValueError(f"{kinds} kinds and {resources} resources: counts.c holds {MOST_ROWS} together")
        variables, rows = buckets * kinds + 2 * kinds + resources, kinds + resources
        floats = {
            "load": np.where(np.isfinite(load), load, -1.0), "price": price, "usage": usage, "available": available,
            "low": np.zeros(kinds), "high": np.zeros(kinds), "alpha": np.zeros(variables),
            "share": np.zeros((buckets, kinds)), "count": np.zeros(kinds), "dual": np.zeros(rows),
        }  # fmt: skip
        self._arrays: dict[str, NDArray[np.generic]] = {
            **{name: np.array(one, dtype=np.float64, order="C") for name, one in floats.items()},
            "key": np.zeros(buckets, dtype=np.int32),
            "basic": np.zeros(rows, dtype=np.int32),
            "state": np.zeros(variables, dtype=np.int8),
        }
        self._counts = _Counts(buckets, kinds, resources, STEPS)
        for name in (*_GIVEN, *_STATE):
            setattr(self._counts, name, self._arrays[name].ctypes.data)
        self._library, self._at = library, ctypes.byref(self._counts)
        library.ph_counts_begin(self._at)

    def solve(self, low: Floats, high: Floats) -> str:
        """The status; `share`, `count` and `prices` are of this range if it is `Optimal`."""
        self._arrays["low"][:], self._arrays["high"][:] = low, high
        return STATUS[self._library.ph_counts_solve(self._at)]

    @property
    def share(self) -> Floats:
        return self._floats("share")

    @property
    def count(self) -> Floats:
        return self._floats("count")

    @property
    def prices(self) -> Floats:
        """[kind, then resource] what one unit of the row is worth: >= 0."""
        return -self._floats("dual")

    def _floats(self, name: str) -> Floats:
        return self._arrays[name].astype(np.float64)
