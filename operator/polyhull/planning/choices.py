"""Columns as the choices of a schedule: in the units of their pools, with what they take of links."""

from collections.abc import Iterable, Iterator, Mapping
from math import inf

from polyhull.domain.resources import Resources
from polyhull.domain.workloads import Key
from polyhull.optimize.caps import Cap
from polyhull.optimize.columns import Column
from polyhull.optimize.spans import SpanPart, SteadyFlow
from polyhull.optimize.streams import Read
from polyhull.planning.instance import FROM_RELEASE, Choice, Gang, Load, Move, PoolModel
from polyhull.planning.pools import units
from polyhull.planning.timeline import Units


class Chooser:
    """Columns to choices; what many of them share is worked out once."""

    def __init__(
        self,
        pools: tuple[PoolModel, ...],
        pool_index: Mapping[str, int],
        moves: tuple[Move, ...],
        move_index: Mapping[tuple[Key, str], int],
        capacity: Mapping[str, float],
        link_index: Mapping[str, int],
        caps: tuple[tuple[int, Cap], ...],
    ) -> None:
        self._caps, self._capped = caps, frozenset(pool for _, cap in caps for pool in cap.each)
        self._pools, self._pool_index, self._move_index = pools, pool_index, dict(move_index)
        self._capacity, self._link_index = capacity, link_index
        self._seconds = [move.seconds for move in moves]
        self._bytes = [move.missing_bytes for move in moves]
        self._pods: dict[tuple[int, Resources], Units] = {}

    def learn(self, index: int, move: Move) -> None:
        """A move that came later; its place in the instance's moves."""
        self._move_index[move.name] = index
        self._seconds.append(move.seconds)
        self._bytes.append(move.missing_bytes)

    def choices(self, columns: Iterable[Column]) -> tuple[Choice, ...]:
        """As `Instance.choices` has them; empty where none of the columns can be used."""
        found = [choice for column in columns if (choice := self.choice(column)) is not None]
        return tuple(sorted(found, key=lambda one: (one.soonest, one.moved_bytes, one.column.devices, one.name)))

    def choice(self, column: Column) -> Choice | None:
        """None for a column whose pool is gone or whose data can never come."""
        if column.pool not in self._pool_index or any(part.pool not in self._pool_index for part in column.parts):
            return None
        indexes: tuple[int, ...] = ()
        transfer, missing = 0.0, 0
        for need in column.needs:
            if not need.present:
                index = self._move_index.get((need.data_set, need.store))
                if index is None or self._seconds[index] == inf:
                    return None
                if index not in indexes:
                    indexes = (*indexes, index)
                    transfer = max(transfer, self._seconds[index])
                    missing += self._bytes[index]
        pool = self._pool_index[column.pool]
        pools = (self._pools[self._pool_index[place.pool]] for place in column.parts or (column,))
        head, length = _head(column, pools), column.hold_seconds
        loads: tuple[Load, ...] = ()
        slower = 1.0
        if column.streams.reads or column.flows:
            slower = _slower(column, self._capacity)
            if slower == inf:
                return None
            length += (column.exchange_seconds if column.flows else column.streams.reading_seconds) * (slower - 1.0)
            loads = loads_of(column, self._link_index, slower, length)
        soonest = max(head, transfer) + length
        if self._caps and any(place.pool in self._capped for place in column.places):
            loads += tuple(self._under_caps(column, length))
        return Choice(
            column, pool, length, head, column.replicas, self._pod(pool, column.pod), tuple(sorted(indexes)), soonest,
            missing, loads, tuple(self._gang(part) for part in column.parts[1:]), slower,
        )  # fmt: skip

    def _under_caps(self, column: Column, length: float) -> Iterator[Load]:
        held = [(place.pool, place.devices) for place in column.places]
        for line, cap in self._caps:
            if (amount := cap.taken(column.job.namespace, held)) > 0.0:
                yield Load(line, FROM_RELEASE if cap.from_release else 0.0, length, amount)

    def _pod(self, pool: int, pod: Resources) -> Units:
        found = self._pods.get((pool, pod))
        if found is None:
            found = self._pods[pool, pod] = units(pod, self._pools[pool].dimensions)
        return found

    def _gang(self, part: SpanPart) -> Gang:
        pool = self._pool_index[part.pool]
        return Gang(pool, part.replicas, self._pod(pool, part.pod), part.devices_per_replica)


def _rates(column: Column, slower: float = 1.0) -> dict[str, float]:
    """Bytes per second of each link that it streams over, or sends over between its parts."""
    asked: dict[str, float] = {}
    flows: tuple[Read | SteadyFlow, ...] = (*column.streams.reads, *column.flows)
    for flow in flows:
        for link in flow.links:
            asked[link] = asked.get(link, 0.0) + flow.rate_bytes_per_second / slower
    return asked


def _slower(column: Column, capacity: Mapping[str, float]) -> float:
    """How many times slower that must be than it could be without the services' traffic; inf: never."""
    asked = _rates(column)
    if any(capacity.get(link, 0.0) <= 0.0 for link in asked):
        return inf
    return max(1.0, *(rate / capacity[link] for link, rate in asked.items()))


def loads_of(
    column: Column, link_index: Mapping[str, int], slower: float = 1.0, length: float | None = None
) -> tuple[Load, ...]:
    """What a column takes of each link from the end of the start-up on: its streams while they are read, what its
    parts exchange until it ends, after `length` seconds."""
    seconds = column.streams.reading_seconds * slower
    if column.flows:
        seconds = (column.hold_seconds if length is None else length) - column.startup_seconds
    rates = sorted((link_index[name], rate) for name, rate in _rates(column, slower).items())
    return tuple(Load(link, column.startup_seconds, seconds, rate) for link, rate in rates)


def _head(column: Column, pools: Iterable[PoolModel]) -> float:
    """The column's head less the provisioning of growth, which the simulation adds itself where it is needed."""
    growing = [pool.provision_seconds for pool in pools if pool.growth]
    if growing and column.head_seconds <= max(column.leaving_seconds, *growing):
        return column.leaving_seconds
    return column.head_seconds
