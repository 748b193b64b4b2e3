"""The same arrays for the executed class: every data set moves as one whole copy, from one source, over one path, or
where the policy allows it by the one split that `columns.routes` has.

That class is a part of Pi, so the seconds of a transfer are at least Pi's and at least its fastest way's, and what a
copy takes of each link of its way is known. What is said here never exceeds what the simulation does: services'
traffic may make a way slower (its start-up is then not counted as link use), and a shared copy is paid once.
"""

from collections.abc import Iterator, Set
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from polyhull.domain.workloads import Key
from polyhull.optimize.columns import Column, ColumnSet, Route
from polyhull.optimize.data import ROUNDED_DOWN, Ints, LinkUses, ModelData, SharedMove, WholeCopies
from polyhull.optimize.spans import SteadyFlow

MoveAt = tuple[Key, str]
"""A move: data set and store."""


def whole_copies(data: ModelData, columns: ColumnSet, under_way: Set[MoveAt] = frozenset()) -> ModelData:
    """`data` with executed transfer times and what copies take of links, less classes whose data no way brings.

    `under_way`: moves that run; their links are taken already (`data.active`).
    """
    routes: dict[MoveAt, list[Route]] = {}
    for route in columns.routes:
        routes.setdefault((route.data_set, route.store), []).append(route)
    fastest = {at: min(way.seconds for way in ways) * ROUNDED_DOWN for at, ways in routes.items()}
    transfer = data.transfer.copy()
    users: dict[MoveAt, list[int]] = {}
    for g, column in enumerate(data.columns):
        for need in column.needs:
            at = (need.data_set, need.store)
            if not need.present:
                transfer[g] = max(float(transfer[g]), fastest.get(at, np.inf))
                if at in routes and at not in under_way:
                    users.setdefault(at, []).append(g)
    moved = replace(data, transfer=transfer, whole=_uses(data, routes, users))
    possible = np.zeros(len(data.jobs), dtype=np.bool_)
    possible[data.job_class[np.isfinite(transfer)]] = True
    return moved if possible.all() else restricted(moved, possible)


def _uses(data: ModelData, routes: dict[MoveAt, list[Route]], users: dict[MoveAt, list[int]]) -> WholeCopies:
    index = {name: e for e, name in enumerate(data.links)}
    copied: list[tuple[int, int, float]] = []
    shared: list[SharedMove] = []
    for at in sorted(users):
        ways = []
        for route in routes[at]:
            held = 0.0 if data.demands else route.startup_seconds
            loads = route.loads
            carried = (
                (name, (bytes_of + held * loads[name]) * ROUNDED_DOWN) for name, bytes_of in route.volumes.items()
            )
            ways.append(tuple((index[name], amount) for name, amount in carried))
        by_class: dict[int, list[int]] = {}
        for g in users[at]:
            by_class.setdefault(int(data.job_class[g]), []).append(g)
        if len(by_class) == 1 and len(ways) == 1:
            copied += [(e, g, amount) for e, amount in ways[0] for g in users[at]]
        else:
            shared.append(SharedMove(tuple(tuple(mine) for _, mine in sorted(by_class.items())), tuple(ways)))
    streamed = [
        (index[name], g, read.transfer_bytes * float(data.multiplicity[data.job_class[g]]) * ROUNDED_DOWN)
        for g, column in enumerate(data.columns)
        for read in column.streams.reads
        for name in read.links
    ]
    streamed += [
        (index[name], g, sent * float(data.multiplicity[data.job_class[g]]) * ROUNDED_DOWN)
        for g, column in enumerate(data.columns)
        for flow in column.flows
        for name, sent in _sent(column, flow, bool(data.demands))
    ]
    return WholeCopies(LinkUses.of(copied), LinkUses.of(streamed), tuple(shared))


def _sent(column: Column, flow: SteadyFlow, served: bool) -> Iterator[tuple[str, float]]:
    """(link, bytes) that it takes of each link for as long as it computes; where services slow that down, at least
    while its parts wait for each other."""
    seconds = column.exchange_seconds if served else column.compute_seconds
    return ((name, flow.rate_bytes_per_second * seconds) for name in flow.links)


def restricted(data: ModelData, classes: NDArray[np.bool_]) -> ModelData:
    """Only these job classes: a relaxation, since the others take nothing then."""
    return _some(data, classes, classes[data.job_class])


def _some(data: ModelData, classes: NDArray[np.bool_], keep: NDArray[np.bool_]) -> ModelData:
    columns, new_class, new_column = np.flatnonzero(keep), _places(classes), _places(keep)
    needs = keep[data.need_column]
    whole = data.whole
    if whole is not None:
        shared = []
        for move in whole.shared:
            readers = tuple(tuple(int(new_column[g]) for g in mine if keep[g]) for mine in move.readers)
            if any(readers):
                readers = tuple(mine for mine in readers if mine)
                shared.append(SharedMove(readers, move.ways))
        copied, streamed = whole.copied.where(keep, new_column), whole.streamed.where(keep, new_column)
        whole = WholeCopies(copied, streamed, tuple(shared))
    chosen = columns.tolist()
    return replace(
        data,
        jobs=tuple(members for members, kept in zip(data.jobs, classes.tolist(), strict=True) if kept),
        multiplicity=data.multiplicity[classes],
        priority=data.priority[classes],
        columns=tuple(data.columns[g] for g in chosen),
        job_class=new_class[data.job_class[columns]],
        pool=data.pool[columns],
        replicas=data.replicas[columns],
        pods=data.pods[columns],
        length=data.length[columns],
        spent=tuple(each[columns] for each in data.spent),
        transfer=data.transfer[columns],
        head=data.head[columns],
        column_site=tuple(data.column_site[g] for g in chosen),
        column_data=tuple(data.column_data[g] for g in chosen),
        need_column=new_column[data.need_column[needs]],
        need_set=data.need_set[needs],
        need_site=data.need_site[needs],
        data_sets=tuple(
            replace(one, readers=tuple(int(new_class[j]) for j in one.readers if classes[j]))
            for one in data.data_sets
        ),
        whole=whole,
        also=data.also.where(keep, new_column),
    )


def undominated(data: ModelData, scarce: Set[int], most_seconds: float) -> ModelData:
    """Less the columns that no schedule ending by `most_seconds` needs: too late, or slower than another of the same
    job and data in pools outside of `scarce`, which have room for everybody at once.

    Where watts or devices are capped, or there is a budget, the slower column may be the one that is needed.
    """
    late = data.finish > most_seconds
    capped = {p for one in data.caps for p in one.each}
    wide = np.isin(np.arange(len(late)), data.also.column)  # over several sites: never compared
    roomy = (
        ~late & ~wide & ~np.isin(data.pool, np.array(sorted(scarce | capped), dtype=np.int64)) & (not data.budgets)
    )
    best: dict[tuple[int, tuple[MoveAt, ...]], int] = {}
    keep = ~late & ~roomy
    for g in np.lexsort((data.earliest, data.length)).tolist():
        if roomy[g]:
            moves = tuple((need.data_set, need.store) for need in data.columns[g].needs if not need.present)
            other = best.setdefault((int(data.job_class[g]), moves), g)
            keep[g] = other == g or data.earliest[g] < data.earliest[other]
    return _some(data, np.ones(len(data.jobs), dtype=np.bool_), keep)


def _places(kept: NDArray[np.bool_]) -> Ints:
    """[old index] the new one, where it is kept."""
    places: Ints = np.cumsum(kept, dtype=np.int64) - 1
    return places
