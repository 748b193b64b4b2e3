"""A sparse linear programme, and the growing matrix that its rows are written into."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polyhull.optimize.data import Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Programme:
    """max rho, matrix @ v <= rhs (== where `equal`), 0 <= v <= upper; rho is the last variable."""

    seconds: float
    rows: Ints
    cols: Ints
    values: Floats
    rhs: Floats
    equal: NDArray[np.bool_]
    upper: Floats
    kinds: tuple[tuple[str, int], ...]
    """[row] (kind, index of the job, pool, link … it is about)."""
    job_rows: int
    column_variables: int
    service_start: int
    """First n variable; after the last n one x per pair of `pairs`."""
    pairs: tuple[tuple[int, int], ...]
    """(serving option, demand) of each x."""


class Matrix:
    """Rows in the order they were added."""

    def __init__(self) -> None:
        self.rows: list[Ints] = []
        self.cols: list[Ints] = []
        self.values: list[Floats] = []
        self.rhs: list[float] = []
        self.equal: list[bool] = []
        self.kinds: list[tuple[str, int]] = []

    def add(self, kind: tuple[str, int], rhs: float, *parts: tuple[Ints, Floats], equal: bool = False) -> None:
        """One row; parts are (columns, values). Zero coefficients are left out."""
        row = len(self.rhs)
        for cols, values in parts:
            keep = values != 0.0
            if not keep.all():
                cols, values = cols[keep], values[keep]
            if len(cols):
                self.rows.append(np.full(len(cols), row, dtype=np.int64))
                self.cols.append(cols)
                self.values.append(values)
        self.rhs.append(rhs)
        self.equal.append(equal)
        self.kinds.append(kind)
