"""Machines that hold layers of a model, and the tokens per second that flow through a placement of them.

A machine that holds k layers passes at most so many tokens/s; tokens go from one machine to another only where the
first one's layers end and the other's begin. The rate of a placement is a maximum flow (Helix, Mei et al., ASPLOS
2025).
"""

import math
from dataclasses import dataclass

import numpy as np

from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.fairness import Entries, compressed
from polyhull.optimize.highs import run_linear

ITERATIONS = 50_000


@dataclass(frozen=True, slots=True, eq=False)
class Machines:
    """`throughput[i, k-1]` tokens/s of machine i with k layers (0: does not fit), `link[i, j]` tokens/s from i to j,
    `entry[i]` and `exit[i]` tokens/s from and to the coordinator. Zero: there is no link."""

    throughput: Floats
    link: Floats
    entry: Floats
    exit: Floats


def compute_bound(machines: Machines, layers: int) -> float:
    """Every token needs every layer: the sum of what each machine does at best, links free."""
    held = np.arange(1, machines.throughput.shape[1] + 1)
    return math.fsum((machines.throughput * held).max(axis=1).tolist()) / layers


def flow(machines: Machines, start: Ints, layers: Ints, total: int) -> float:
    """Maximum tokens/s through a layout: machines' throughput, links where layers end and begin."""
    used = np.flatnonzero(layers > 0)
    first = used[start[used] == 0]
    last = used[start[used] + layers[used] == total]
    ends, begins = (start + layers)[used], start[used]
    at, to = np.nonzero((ends[:, None] == begins[None, :]) & (machines.link[np.ix_(used, used)] > 0.0))
    M, E = len(used), len(at)
    if not len(first) or not len(last):
        return 0.0
    into = np.searchsorted(used, first)
    out = np.searchsorted(used, last)
    passed = machines.throughput[used, layers[used] - 1]
    top = float(passed.max())
    if not top > 0.0:
        return 0.0
    # Variables: links, entries, exits. Rows: conservation, then what a machine passes.
    links, entry = np.arange(E), E + np.arange(len(into))
    leave = E + len(into) + np.arange(len(out))
    entries = Entries(
        np.concatenate([at, to, into, out, M + to, M + into]),
        np.concatenate([links, links, entry, leave, links, entry]),
        np.concatenate([-np.ones(E), np.ones(E + len(into)), -np.ones(len(out)), np.ones(E + len(into))]),
    )
    size = E + len(into) + len(out)
    upper = np.concatenate([machines.link[used[at], used[to]], machines.entry[first], machines.exit[last]]) / top
    costs = np.zeros(size)
    costs[E : E + len(into)] = -1.0
    rows_lower = np.concatenate([np.zeros(M), np.full(M, -np.inf)])
    rows_upper = np.concatenate([np.zeros(M), passed / top])
    found, _, _, _ = run_linear(costs, upper, compressed(entries, 2 * M, size), rows_lower, rows_upper, ITERATIONS)
    return 0.0 if found is None else top * math.fsum(found[E : E + len(into)].tolist())
