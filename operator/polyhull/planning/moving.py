"""Copies that a schedule may make: by which ways, how fast beside the services, and what limits draw on."""

from collections.abc import Mapping

from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import CHECKPOINT, Key
from polyhull.optimize.columns import ColumnSet, Route
from polyhull.optimize.stores import free_bytes, promised_room
from polyhull.planning.instance import Move, Way


def moves_of(
    snapshot: Snapshot,
    columns: ColumnSet,
    capacity: Mapping[str, float],
    link_index: Mapping[str, int],
    budgets: "Budgets",
) -> tuple[tuple[Move, ...], dict[tuple[Key, str], int]]:
    routes: dict[tuple[Key, str], list[Route]] = {}
    for route in columns.routes:
        routes.setdefault((route.data_set, route.store), []).append(route)
    running = {(transfer.data_set, transfer.store) for transfer in snapshot.transfers}
    moves = []
    for key in sorted(routes):
        active = key in running
        ways = []
        for route in routes[key]:
            loads = route.loads
            links = tuple(link_index[link] for link in route.links if link in link_index)
            if active:
                rates = tuple(loads[link] for link in route.links if link in link_index)
                ways.append(Way(route, links, rates, route.rate_bytes_per_second, route.seconds))
            elif len(links) == len(route.links) and (way := _way(route, loads, links, capacity)) is not None:
                ways.append(way)
        if active:
            moves.append(Move(*key, tuple(ways), ways[0].seconds))
        else:
            moves.append(Move(*key, tuple(ways), None, budgets.draws(*key, routes[key][0].transfer_bytes)))
    return tuple(moves), {move.name: i for i, move in enumerate(moves)}


def _way(
    route: Route, loads: Mapping[str, float], links: tuple[int, ...], capacity: Mapping[str, float]
) -> Way | None:
    """As fast as what services leave of its links; None where they leave nothing of one."""
    if route.parts:
        slower = min(1.0, *(capacity[link] / load for link, load in loads.items()))
        rate = route.rate_bytes_per_second * slower
        rates = tuple(loads[link] * slower for link in route.links)
    else:
        rate = min((capacity[link] for link in route.links), default=route.rate_bytes_per_second)
        rates = (rate,) * len(links)
    return Way(route, links, rates, rate, route.startup_seconds + route.transfer_bytes / rate) if rate > 0.0 else None


class Budgets:
    """Limits that moves draw on: copies of a data set, bytes of a store, less what is there or on its way.

    A copy that may be evicted takes no room; what waiting jobs were promised does.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.left: list[int] = []
        self._copies: dict[Key, int] = {}
        self._stores: dict[str, int] = {}
        held = {(data.key, copy.store) for data in snapshot.data_sets for copy in data.copies}
        held |= {(transfer.data_set, transfer.store) for transfer in snapshot.transfers}
        for data in snapshot.data_sets:
            if data.max_copies is not None:
                self._copies[data.key] = len(self.left)
                self.left.append(max(0, data.max_copies - sum(key == data.key for key, _ in held)))
        waiting = promised_room(snapshot)
        for store, free in sorted(free_bytes(snapshot).items()):
            self._stores[store] = len(self.left)
            self.left.append(free - sum(waiting.get(store, {}).values()))

    def draws(self, data_set: Key, store: str, size_bytes: int) -> tuple[tuple[int, int], ...]:
        out = []
        if data_set in self._copies:
            out.append((self._copies[data_set], 1))
        # Room for a checkpoint was promised to its job.
        if store in self._stores and data_set.kind != CHECKPOINT:
            out.append((self._stores[store], size_bytes))
        return tuple(out)
