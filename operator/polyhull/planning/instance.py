"""A snapshot and its columns as small integers and lists: what the schedule simulation walks over.

Everything that does not depend on the order of jobs is done here once: links less the services' traffic, nodes less
what runs on them and what services hold, moves shared by their readers, running jobs, running transfers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from polyhull.domain.fleet import Fleet, Pool, Taint
from polyhull.domain.resources import Resources
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import CHECKPOINT, Key, TrainingJob
from polyhull.optimize.caps import Cap, caps_of
from polyhull.optimize.columns import Column, ColumnSet, Route
from polyhull.optimize.costs import Tariffs
from polyhull.optimize.isolated import isolated
from polyhull.optimize.paths import Network
from polyhull.optimize.spans import SpanPart, SteadyFlow
from polyhull.optimize.stores import free_bytes, promised_room
from polyhull.optimize.streams import Read
from polyhull.planning.timeline import LinkSteps, NodeSteps, Units, take_rate
from polyhull.planning.urgency import deadline, promised, settled, weight


@dataclass(frozen=True, slots=True)
class Way:
    """One route of a move: links by index, each once, with what it takes of them in bytes per second; seconds."""

    route: Route
    links: tuple[int, ...]
    rates: tuple[float, ...]
    rate: float
    """Of all its bytes together."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Move:
    """One data set to one store. `active_until` is set when it runs already; its one way is what it takes."""

    data_set: Key
    store: str
    ways: tuple[Way, ...]
    active_until: float | None = None
    draws: tuple[tuple[int, int], ...] = ()
    """(budget, amount): what it takes of `Instance.budgets`."""

    @property
    def name(self) -> tuple[Key, str]:
        return (self.data_set, self.store)

    @property
    def seconds(self) -> float:
        """The least it can take."""
        if self.active_until is not None:
            return self.active_until
        return min((way.seconds for way in self.ways), default=inf)

    @property
    def missing_bytes(self) -> int:
        return 0 if self.active_until is not None or not self.ways else self.ways[0].route.transfer_bytes


@dataclass(frozen=True, slots=True)
class Load:
    """What a job takes of a line of `base_links`: from `after` seconds past its pods' begin on, for `seconds`.

    Bytes per second of a link that it streams over; watts or devices where these are capped.
    """

    link: int
    after: float
    """`FROM_RELEASE`: from the job's start on, so for as long more as growth needs to bring up its nodes."""
    seconds: float
    rate: float


FROM_RELEASE = -1.0


@dataclass(frozen=True, slots=True)
class Gang:
    """Pods that a job runs in one pool, in the pool's units."""

    pool: int
    replicas: int
    pod: Units
    devices_per_replica: int

    @property
    def devices(self) -> int:
        return self.replicas * self.devices_per_replica


@dataclass(frozen=True, slots=True)
class Choice:
    """A column in the units of its pool. `soonest` is a lower bound of its finish, all else empty.

    A column over several sites has `others` beside the gang of its first pool: they start and end together.
    """

    column: Column
    pool: int
    length: float
    head: float
    replicas: int
    pod: Units
    moves: tuple[int, ...]
    soonest: float
    moved_bytes: int
    loads: tuple[Load, ...] = ()
    """What it streams comes first."""
    others: tuple[Gang, ...] = ()
    slower: float = 1.0
    """How many times slower services' traffic makes what its parts send each other."""

    @property
    def reading_seconds(self) -> float:
        """How long it streams; all of its reads take as long."""
        return self.loads[0].seconds if self.column.streams.reads else 0.0

    @property
    def gangs(self) -> tuple[Gang, ...]:
        return (Gang(self.pool, self.replicas, self.pod, self.column.devices_per_replica), *self.others)

    @property
    def pools(self) -> tuple[int, ...]:
        return (self.pool, *(gang.pool for gang in self.others))

    @property
    def pods(self) -> int:
        return self.replicas + sum(gang.replicas for gang in self.others)

    def seats(self, nodes: tuple[tuple[int, int], ...]) -> tuple[tuple[Gang, tuple[tuple[int, int], ...]], ...]:
        """Each gang with its nodes, out of those of all gangs one after the other (`Slot.nodes`)."""
        first, *others = self.gangs
        if not others:
            return ((first, nodes),)
        out, at = [], 0
        for gang in (first, *others):
            begin, left = at, gang.replicas
            while left > 0:
                left -= nodes[at][1]
                at += 1
            out.append((gang, nodes[begin:at]))
        return tuple(out)

    @property
    def name(self) -> tuple[str, str]:
        return self.column.name


@dataclass(frozen=True, slots=True)
class PoolModel:
    """Nodes that may take new pods. Growth nodes are `shape` each, born `provision_seconds` after demand."""

    name: str
    nodes: tuple[str, ...]
    dimensions: tuple[int, ...]
    """Which of `Resources.as_tuple` bind here; devices first. Others cannot run out before devices do."""
    capacity: tuple[Units, ...]
    growth: int = 0
    shape: Units = 0
    provision_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Fixed:
    """A running or released job: where it is and how long it stays."""

    job: TrainingJob
    column: Column
    nodes: tuple[tuple[tuple[str, int], ...], ...]
    """Of each of the column's places."""


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """Read-only, and equal to nothing but itself; `base_nodes` and `base_links` are copied by every simulation.

    Behind the links stands a line for each cap (caps.py): watts and devices are taken like bytes per second.
    """

    snapshot: Snapshot
    columns: ColumnSet
    jobs: tuple[TrainingJob, ...]
    """Jobs to be placed: at least one column, none fixed; sorted by key."""
    choices: tuple[tuple[Choice, ...], ...]
    """Per job, soonest first (ties: fewer bytes, fewer devices, name)."""
    fixed: tuple[Fixed, ...]
    pools: tuple[PoolModel, ...]
    pool_index: Mapping[str, int]
    moves: tuple[Move, ...]
    link_names: tuple[str, ...]
    base_nodes: tuple[tuple[NodeSteps, ...], ...]
    base_links: tuple[LinkSteps, ...]
    born: tuple[int, ...]
    """Growth nodes that fixed jobs and services already asked for, per pool; they stand behind the real ones."""
    tiers: tuple[int, ...] = ()
    """Higher ones are placed first: twice the priority, and one more where the start is fixed."""
    budgets: tuple[int, ...] = ()
    """Copies that data sets may still have and bytes that stores may still take, where limited."""
    weights: tuple[float, ...] = ()
    """What a second of each job's finish counts; grows with its age."""
    deadlines: tuple[float, ...] = ()
    """Seconds from now by which each job should end; inf without a deadline."""
    promised: tuple[float, ...] = ()
    """Seconds from now until which its promise is kept; inf without one."""
    made: Mapping[int, tuple[int, float, float]] = field(default_factory=dict)
    """Moves that are settled before any job: running ones and models of services; (way, start, end)."""
    caps: tuple[tuple[int, Cap], ...] = ()
    """Each with its line of `base_links`."""
    alone: Mapping[str, float] = field(default_factory=dict)
    """T_u_iso of each namespace where the objective asks for fairness."""

    def due(self, j: int) -> float:
        """By when job j must end to be on time and as promised."""
        return min(self.deadlines[j], self.promised[j])

    def taken(self, namespace: str, held: Sequence[tuple[str, int]]) -> Iterator[tuple[int, float]]:
        """(line, amount) that devices of a namespace take; `held`: (pool, devices)."""
        for line, cap in self.caps:
            if (amount := cap.taken(namespace, held)) > 0.0:
                yield line, amount


def usable(fleet: Fleet, pool: Pool) -> list[bool]:
    """Per node: may pods of this pool's accelerator be bound there."""
    kind = fleet.accelerator(pool.accelerator)
    tolerations = kind.tolerations if kind is not None else ()

    def repels(taint: Taint) -> bool:
        return taint.effect != "PreferNoSchedule" and not any(t.tolerates(taint) for t in tolerations)

    return [node.schedulable and not any(repels(taint) for taint in node.taints) for node in pool.nodes]


def binding_dimensions(shapes: Iterable[Resources], pods: Iterable[Resources]) -> tuple[int, ...]:
    """Indexes of the resources that can run out before devices do; exact cross-multiplication.

    If every pod asks for at most as much of a resource per device as every node has per device, then whatever fits
    by devices fits by that resource, whatever the mixture.
    """
    nodes = {shape.as_tuple() for shape in shapes if shape.devices > 0}
    wants = {pod.as_tuple() for pod in pods}
    out = [0]
    for k in range(1, 5):
        if any(want[k] * node[0] > max(0, node[k]) * want[0] for want in wants for node in nodes):
            out.append(k)
    return tuple(out)


def units(resources: Resources, dimensions: tuple[int, ...]) -> Units:
    values = resources.as_tuple()
    return values[0] if len(dimensions) == 1 else tuple(values[k] for k in dimensions)


def pods_by_pool(snapshot: Snapshot, columns: Iterable[Column]) -> dict[str, set[Resources]]:
    """What may have to be packed in each pool: pods of columns, and of services' variants of its kind."""
    by_kind: dict[str, set[Resources]] = {}
    for service in snapshot.services:
        for variant in service.variants:
            by_kind.setdefault(variant.accelerator, set()).add(variant.pod)
    pods = {pool.name: set(by_kind.get(pool.accelerator, ())) for pool in snapshot.fleet.pools}
    for job in snapshot.jobs:
        if job.resume is not None and job.resume.nodes:
            left = (option.pod for option in job.options if option.name == job.resume.option)
            pods.setdefault(job.resume.pool, set()).update(left)
    for column in columns:
        pods.setdefault(column.pool, set()).add(column.pod)
        for part in column.parts:
            pods.setdefault(part.pool, set()).add(part.pod)
    return pods


def pool_model(fleet: Fleet, pool: Pool, pods: Iterable[Resources]) -> PoolModel:
    """A pool as what packs these pods sees it."""
    may = usable(fleet, pool)
    nodes = [node for node, ok in zip(pool.nodes, may, strict=True) if ok]
    shapes = [node.free for node in nodes] + ([pool.growth.shape] if pool.growth else [])
    dimensions = binding_dimensions(shapes, pods)
    return PoolModel(
        pool.name,
        tuple(node.name for node in nodes),
        dimensions,
        tuple(units(node.free, dimensions) for node in nodes),
        pool.growth.nodes if pool.growth else 0,
        units(pool.growth.shape, dimensions) if pool.growth else 0,
        pool.growth.provision_seconds if pool.growth else 0.0,
    )


def link_capacity(snapshot: Snapshot, traffic: Mapping[str, float]) -> dict[str, float]:
    """Bytes per second the plan counts on, per link, less what services send."""
    network = Network(snapshot.fleet, snapshot.policy.bandwidth_margin)
    return {name: max(0.0, capacity - traffic.get(name, 0.0)) for name, capacity in network.bytes_per_second.items()}


def compile_instance(
    snapshot: Snapshot,
    columns: ColumnSet,
    traffic: Mapping[str, float],
) -> Instance:
    """Arrays of a snapshot, running jobs not yet placed on nodes: `reserve.reserve` does that and services."""
    capacity = link_capacity(snapshot, traffic)
    names = tuple(sorted(capacity))
    link_index = {name: i for i, name in enumerate(names)}
    caps = tuple(enumerate(caps_of(snapshot, Tariffs(snapshot.fleet)), len(names)))
    base_links: tuple[LinkSteps, ...] = tuple(([0.0], [capacity[name]]) for name in names)
    base_links += tuple(([0.0], [cap.most]) for _, cap in caps)
    names += tuple(f"{cap.kind} {cap.name}" for _, cap in caps)
    pods = pods_by_pool(snapshot, columns.columns)
    pools = tuple(pool_model(snapshot.fleet, pool, pods[pool.name]) for pool in snapshot.fleet.pools)
    pool_index = {pool.name: i for i, pool in enumerate(pools)}
    budgets = Budgets(snapshot)
    moves, move_index = moves_of(snapshot, columns, capacity, link_index, budgets)
    for move in moves:
        if move.active_until is not None:
            for link, rate in zip(move.ways[0].links, move.ways[0].rates, strict=True):
                take_rate(base_links[link], 0.0, move.active_until, rate)

    by_job: dict[Key, list[Column]] = {}
    for column in columns.columns:
        by_job.setdefault(column.job, []).append(column)
    jobs, choices, fixed = [], [], []
    choose = Chooser(pools, pool_index, moves, move_index, capacity, link_index, caps)
    for job in sorted(snapshot.jobs, key=lambda j: j.key):
        mine = by_job.get(job.key, [])
        stuck = next((column for column in mine if column.fixed), None)
        if stuck is not None:
            for load in loads_of(stuck, link_index) if stuck.streams.reads or stuck.flows else ():
                take_rate(base_links[load.link], load.after, load.after + load.seconds, load.rate)
            fixed.append(Fixed(job, stuck, _nodes_of(job)))
            continue
        if options := choose.choices(mine):
            jobs.append(job)
            choices.append(options)
    return Instance(
        snapshot,
        columns,
        tuple(jobs),
        tuple(choices),
        tuple(fixed),
        pools,
        pool_index,
        moves,
        names,
        tuple(tuple(([0.0], [free]) for free in pool.capacity) for pool in pools),
        base_links,
        tuple(0 for _ in pools),
        tuple(2 * job.priority + settled(job) for job in jobs),
        tuple(budgets.left),
        tuple(weight(job, snapshot.taken_at) for job in jobs),
        tuple(deadline(job, snapshot.taken_at) for job in jobs),
        tuple(promised(job, snapshot.taken_at) for job in jobs),
        {i: (0, 0.0, move.active_until) for i, move in enumerate(moves) if move.active_until is not None},
        caps=caps,
        alone=isolated(snapshot, columns) if "MaxMinFairness" in snapshot.policy.objective else {},
    )


def _nodes_of(job: TrainingJob) -> tuple[tuple[tuple[str, int], ...], ...]:
    if job.placed is None:
        return ((),)
    return tuple(place.nodes for place in job.placed.places)


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
