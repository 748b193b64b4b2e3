"""The columns and moves that an exact question is about: of the jobs asked for, and early enough to matter."""

from dataclasses import replace

from polyhull.domain.snapshot import Snapshot
from polyhull.optimize.columns import ColumnSet
from polyhull.optimize.exact import MoveKey, ToBeat

_UP = 1.0 + 1e-9


def narrowed(snapshot: Snapshot, columns: ColumnSet, beat: ToBeat) -> ColumnSet:
    """Fixed columns, and those of `beat`'s jobs that can end by its makespan by the fastest way of each of its moves.

    No schedule that beats `beat` uses another one, so a bound on the rest is a bound on all.
    """
    running = {(transfer.data_set, transfer.store) for transfer in snapshot.transfers}
    fastest: dict[MoveKey, float] = {}
    for route in columns.routes:
        at = (route.data_set, route.store)
        fastest[at] = min(route.seconds, fastest.get(at, route.seconds))
    kept = []
    needed: set[MoveKey] = set()
    for column in columns.columns:
        if column.fixed:
            kept.append(column)
        elif column.job in beat.jobs:
            moves = [(need.data_set, need.store) for need in column.needs if not need.present]
            ready = max([column.head_seconds, *(fastest.get(at, 0.0) for at in moves)])
            if ready + column.length_seconds <= beat.makespan_seconds * _UP:
                kept.append(column)
                needed.update(moves)
    routes = (route for route in columns.routes if (route.data_set, route.store) in needed | running)
    return replace(columns, columns=tuple(kept), routes=tuple(routes))
