"""The programme of docs/model.md at one T as a sparse matrix: how large a share rho of all jobs can be done by T?

Variables, all non-negative: Y (share of class j run by column g), Z (share of data set k brought to site s), F and
phi (shares of a link's volume B_e T), n (replicas), x (share of a demand), and rho, which is maximised. T is
infeasible if rho < 1. `strengthened=False` is the rate programme instead (rho/T = theta, growth without delay,
no column filter), so T/rho is then itself a bound, the fluid one. Data of whole copies have W (share of a shared move
that a way brings) in place of Z, F and phi.

A kind of rows is one file here and one line in `ROWS`. Each row is divided by its right-hand side, so numbers are
O(1). Rows come in the same order for every T: prices found at one T may be tried at another.
"""

from collections.abc import Callable

from polyhull.optimize.data import ModelData
from polyhull.optimize.programme.budget import budget_rows
from polyhull.optimize.programme.caps import cap_rows
from polyhull.optimize.programme.copies import copy_rows
from polyhull.optimize.programme.cuts import cut_rows
from polyhull.optimize.programme.flows import flow_rows
from polyhull.optimize.programme.frame import LIGHT_RATIO, Frame, Layout
from polyhull.optimize.programme.jobs import job_rows, rate_rows
from polyhull.optimize.programme.links import link_rows
from polyhull.optimize.programme.matrix import Programme
from polyhull.optimize.programme.moves import move_rows
from polyhull.optimize.programme.pools import pool_rows
from polyhull.optimize.programme.services import service_rows
from polyhull.optimize.programme.shapes import shape_rows
from polyhull.optimize.programme.tails import tail_rows
from polyhull.optimize.programme.windows import NO_WINDOWS, Windows

__all__ = ["LIGHT_RATIO", "Layout", "Programme", "programme"]


ROWS: tuple[Callable[[Frame], None], ...] = (
    job_rows,
    pool_rows,
    shape_rows,
    flow_rows,
    copy_rows,
    move_rows,
    link_rows,
    tail_rows,
    cut_rows,
    service_rows,
    cap_rows,
    budget_rows,
    rate_rows,
)


def programme(
    data: ModelData,
    seconds: float,
    strengthened: bool = True,
    soft: bool = False,
    light: bool = False,
    windows: Windows = NO_WINDOWS,
    layout: Layout | None = None,
) -> Programme:
    """The programme at T = `seconds` > 0. `soft`: demands are upper limits, not promises (phase 0).

    `light`: without the rows that only strengthen. Every row then holds for any schedule that ends at M <= T in
    rates of M too, so min(T, T/rho) is a bound once T / `LIGHT_RATIO` is, not only "T is infeasible".
    `windows`: which rows strengthen the programme of whole copies (`data.whole`).
    `layout`: given by who asks for many programmes of the same data.
    """
    frame = Frame(data, seconds, strengthened, soft, light, windows, layout)
    for rows in ROWS:
        rows(frame)
    return frame.programme()
