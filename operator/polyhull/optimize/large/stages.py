"""stages.c behind ctypes; optimize/stages.py has the same in Python."""

import ctypes
from dataclasses import dataclass

import numpy as np

from polyhull.optimize.data import Floats, Ints

MOST_MACHINES, MOST_OF_A_STAGE = 1024, 32
"""The fixed sizes of stages.c."""


class _End(ctypes.Structure):
    _fields_ = [("count", ctypes.c_int64), *((name, ctypes.c_void_p) for name in ("node", "wanted", "passes"))]


@dataclass(frozen=True, slots=True, eq=False)
class End:
    """One side of a border: the machines there, how many of each kind are wanted, tokens/s by machine (of all)."""

    nodes: Ints
    wanted: Ints
    passes: Floats

    def _pointers(self) -> _End:
        return _End(len(self.nodes), self.nodes.ctypes.data, self.wanted.ctypes.data, self.passes.ctypes.data)


def best_pair(
    kind: Ints, link: Floats, ends: tuple[End, End], library: ctypes.CDLL
) -> tuple[float, list[int], list[int]]:
    """(tokens/s, machines of the first end, of the second) with about the most over `link` [from, to] between them.

    Arrays are contiguous int64 and float64.
    """
    sizes = [int(end.wanted.sum()) for end in ends]
    if len(kind) > MOST_MACHINES or max(sizes) > MOST_OF_A_STAGE:
        raise ValueError(f"{len(kind)} machines, {max(sizes)} in a stage: stages.c holds 1,024 and 32")
    chosen = [np.zeros(size, dtype=np.int64) for size in sizes]
    at = [end._pointers() for end in ends]
    carried = library.ph_stages_pair(
        len(kind), len(ends[0].wanted), kind.ctypes.data, link.ctypes.data,
        ctypes.byref(at[0]), ctypes.byref(at[1]), chosen[0].ctypes.data, chosen[1].ctypes.data,
    )  # fmt: skip
    return float(carried), chosen[0].tolist(), chosen[1].tolist()
