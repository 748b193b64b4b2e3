"""The exact problem of up to some sixty jobs, as plain numbers for a solver in a process of its own.

Times are whole units of a grid, lengths rounded down, and everything that is left out or loosened only helps the
solver: its proven bound is therefore a bound for every schedule of the executed class (whole copies, one
source and one path per transfer at one full rate). Its schedule is a candidate; the simulation has the last word.

Left out or loosened: what streams and exchanges take of links, nodes (a pool is its sum, plus what node shapes
imply), resources other than devices, limits on copies, services' traffic, links that some transfer using them would
not fill (two of those could share such a link), and where services run (their replicas are free to choose, as few as
their latency permits).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.optimize.admission import Admission
from polyhull.optimize.columns import Column, ColumnSet, Route, held
from polyhull.optimize.paths import Network

GRID = 50_000
"""Units in the schedule to be beaten: rounding lengths down costs a chain of k intervals at most k/GRID."""
_FILLS = 1.0 - 1e-9

MoveKey = tuple[Key, str]


@dataclass(frozen=True, slots=True)
class ExactColumn:
    job: int
    pool: int
    length: int
    head: int
    pods: int
    devices: int
    """Of one pod."""
    moves: tuple[int, ...]
    others: tuple[tuple[int, int, int], ...] = ()
    """(pool, pods, devices of one) of what it holds in further pools at the same time."""

    @property
    def gangs(self) -> tuple[tuple[int, int, int], ...]:
        return ((self.pool, self.pods, self.devices), *self.others)


@dataclass(frozen=True, slots=True)
class ExactWay:
    links: tuple[int, ...]
    """Only those that it and every other user of them fills."""
    length: int


@dataclass(frozen=True, slots=True)
class ExactPool:
    nodes: tuple[int, ...]
    """Devices of each usable node, growth nodes behind."""
    growth: int
    provision: int
    holds: tuple[tuple[int, int, int], ...]
    """(pods, devices of one, until): running jobs."""


@dataclass(frozen=True, slots=True)
class ExactOffer:
    """Replicas of one service that one pool may hold; `rate` requests per second each, times 1000, rounded up."""

    service: int
    pool: int
    devices: int
    most: int
    rate: int


@dataclass(frozen=True, slots=True)
class ExactCap:
    """A cap (caps.py) in whole numbers: what is taken rounded down, what there is rounded up."""

    most: int
    columns: tuple[tuple[int, int], ...]
    """(column, what it takes)."""
    holds: tuple[tuple[int, int], ...]
    """(what it takes, until): running jobs, together never more than there is."""
    offers: tuple[tuple[int, int], ...]
    """(offer, what one replica takes)."""


@dataclass(frozen=True, slots=True)
class ExactProblem:
    unit_seconds: float
    horizon: int
    """The schedule to be beaten, rounded down."""
    least: int
    """A bound known before."""
    jobs: int
    columns: tuple[ExactColumn, ...]
    moves: tuple[tuple[ExactWay, ...], ...]
    """A move without ways is running: `busy` says until when."""
    busy: tuple[int, ...]
    links: int
    link_busy: tuple[int, ...]
    """Until when a running transfer fills each link."""
    pools: tuple[ExactPool, ...]
    offers: tuple[ExactOffer, ...]
    demand: tuple[int, ...]
    """Requests per second of each service that must be served, times 1000, rounded down."""
    replicas: tuple[int, ...]
    """Least replicas of each service."""
    hint: tuple[tuple[int, int], ...]
    """Per job (column, start) of the schedule to be beaten."""
    move_hint: tuple[tuple[int, int, int], ...]
    """(move, way, start)."""
    deterministic_seconds: float
    seed: int
    caps: tuple[ExactCap, ...] = ()


@dataclass(frozen=True, slots=True)
class ExactAnswer:
    status: str
    """OPTIMAL, FEASIBLE, UNKNOWN, INFEASIBLE, MODEL_INVALID."""
    bound: int
    """Proven: no schedule of the class ends before this many units."""
    starts: tuple[tuple[int, int], ...] = ()
    """Per job (column, start); empty without a schedule."""
    moves: tuple[tuple[int, int, int], ...] = ()
    replicas: tuple[int, ...] = ()
    """Of each offer: where services would stand least in the way."""


Prove = Callable[[ExactProblem], ExactAnswer | None]
"""Runs the solver somewhere else; None when it was killed or failed."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a service may use: named, before it becomes `ExactOffer`."""

    service: int
    namespace: str
    variant: str
    pool: str
    devices: int
    most: int
    requests_per_second: float


@dataclass(frozen=True, slots=True)
class ToBeat:
    """The best schedule so far, in names and seconds."""

    makespan_seconds: float
    lower_bound_seconds: float
    jobs: Mapping[Key, tuple[tuple[str, str], float]]
    moves: Mapping[MoveKey, tuple[str, float]]
    """(data set, store) -> (source site, start)."""


@dataclass(frozen=True, slots=True)
class Built:
    problem: ExactProblem
    jobs: tuple[Key, ...]
    columns: tuple[Column, ...]
    moves: tuple[MoveKey, ...]


def build(
    snapshot: Snapshot,
    columns: ColumnSet,
    beat: ToBeat,
    offers: Sequence[Offer] = (),
    demand: Sequence[float] = (),
    replicas: Sequence[int] = (),
) -> Built:
    """The problem over the jobs of `beat` (those that can be placed). Raises ValueError for a makespan of 0."""
    if not beat.makespan_seconds > 0.0:
        raise ValueError("nothing to prove: the schedule to be beaten takes no time")
    unit = beat.makespan_seconds / GRID
    grid = _Grid(unit)
    jobs = tuple(sorted(beat.jobs))
    index = {key: j for j, key in enumerate(jobs)}
    pools = tuple(pool.name for pool in snapshot.fleet.pools)
    pool_index = {name: p for p, name in enumerate(pools)}
    network = Network(snapshot.fleet, snapshot.policy.bandwidth_margin)
    moves, ways, busy, link_busy = _moves(snapshot, columns, network, grid)
    move_index = {key: m for m, key in enumerate(moves)}
    kept: list[Column] = []
    exact: list[ExactColumn] = []
    for column in columns.columns:
        if column.fixed or column.job not in index or any(one.pool not in pool_index for one in column.places):
            continue
        needed = [(need.data_set, need.store) for need in column.needs if not need.present]
        if any(key not in move_index for key in needed):
            continue
        kept.append(column)
        exact.append(
            ExactColumn(
                index[column.job],
                pool_index[column.pool],
                grid.down(column.hold_seconds),
                grid.down(column.head_seconds),
                column.replicas,
                column.pod.devices,
                tuple(sorted({move_index[key] for key in needed})),
                tuple((pool_index[one.pool], one.replicas, one.pod.devices) for one in column.parts[1:]),
            )
        )
    position = {(column.job, column.name): c for c, column in enumerate(kept)}
    problem = ExactProblem(
        unit,
        grid.down(beat.makespan_seconds),
        min(grid.down(beat.lower_bound_seconds), grid.down(beat.makespan_seconds)),
        len(jobs),
        tuple(exact),
        ways,
        busy,
        len(network.links),
        link_busy,
        _pools(snapshot, columns, network, grid),
        tuple(
            ExactOffer(
                one.service, pool_index[one.pool], one.devices, one.most, _up(one.requests_per_second * 1000.0)
            )
            for one in offers
        ),
        tuple(_down(value * 1000.0) for value in demand),
        tuple(replicas),
        tuple((position[key, beat.jobs[key][0]], grid.down(beat.jobs[key][1])) for key in jobs),
        _move_hint(columns, beat, moves, grid),
        snapshot.policy.solver.exact_deterministic_seconds,
        snapshot.policy.solver.seed,
        _caps(snapshot, columns, kept, offers, network, grid),
    )
    return Built(problem, jobs, tuple(kept), moves)


class _Grid:
    """Seconds to whole units by exact division, so that rounding never errs upwards."""

    def __init__(self, unit_seconds: float) -> None:
        self._unit = Fraction(unit_seconds)

    def down(self, seconds: float) -> int:
        return max(0, int(Fraction(seconds) / self._unit // 1))


def _down(value: float) -> int:
    return max(0, int(Fraction(value) // 1))


def _up(value: float) -> int:
    return -int(-Fraction(value) // 1)


def _moves(
    snapshot: Snapshot, columns: ColumnSet, network: Network, grid: _Grid
) -> tuple[tuple[MoveKey, ...], tuple[tuple[ExactWay, ...], ...], tuple[int, ...], tuple[int, ...]]:
    routes: dict[MoveKey, list[Route]] = {}
    for route in columns.routes:
        routes.setdefault((route.data_set, route.store), []).append(route)
    running = {(transfer.data_set, transfer.store) for transfer in snapshot.transfers}
    names = {name: e for e, name in enumerate(network.links)}
    filled = _filled(columns, network)
    link_busy = [0] * len(names)
    keys = tuple(sorted(routes))
    ways: list[tuple[ExactWay, ...]] = []
    busy: list[int] = []
    for key in keys:
        if key in running:
            until = grid.down(routes[key][0].seconds)
            for name in routes[key][0].links:
                if name in filled:
                    link_busy[names[name]] = max(link_busy[names[name]], until)
            ways.append(())
            busy.append(until)
            continue
        ways.append(
            tuple(
                ExactWay(tuple(names[name] for name in route.links if name in filled), grid.down(route.seconds))
                for route in routes[key]
            )
        )
        busy.append(0)
    return keys, tuple(ways), tuple(busy), tuple(link_busy)


def _filled(columns: ColumnSet, network: Network) -> frozenset[str]:
    """Links that every route over them fills alone, so that two transfers can never share one."""
    used: dict[str, bool] = {}
    for route in columns.routes:
        for name in route.links:
            capacity = network.bytes_per_second.get(name)
            fills = capacity is not None and route.rate_bytes_per_second >= capacity * _FILLS
            used[name] = used.get(name, True) and fills
    return frozenset(name for name, fills in used.items() if fills)


def _move_hint(
    columns: ColumnSet, beat: ToBeat, moves: tuple[MoveKey, ...], grid: _Grid
) -> tuple[tuple[int, int, int], ...]:
    sources: dict[MoveKey, list[str]] = {}
    for route in columns.routes:
        sources.setdefault((route.data_set, route.store), []).append(route.source_site)
    out = []
    for m, key in enumerate(moves):
        if key in beat.moves and beat.moves[key][0] in sources[key]:
            source, start = beat.moves[key]
            out.append((m, sources[key].index(source), grid.down(start)))
    return tuple(out)


def _pools(snapshot: Snapshot, columns: ColumnSet, network: Network, grid: _Grid) -> tuple[ExactPool, ...]:
    admission = Admission(snapshot, network)
    placed = {job.key: job.placed for job in snapshot.jobs if job.placed is not None}
    out = []
    for pool in snapshot.fleet.pools:
        free = {node.name: max(0, node.free.devices) for node in admission.usable_nodes(pool)}
        left = dict(free)
        holds = []
        for column in columns.columns:
            where = placed.get(column.job) if column.fixed else None
            for (name, pods), pod in held(where, column, pool.name):
                # A node that shrank under a running job is full, never more than full.
                count = min(pods, left.get(name, 0) // max(1, pod.devices))
                if count > 0:
                    left[name] -= count * pod.devices
                    holds.append((count, pod.devices, grid.down(column.length_seconds)))
        growth = pool.growth
        grown = (growth.shape.devices,) * max(0, growth.nodes) if growth else ()
        provision = grid.down(growth.provision_seconds) if growth else 0
        out.append(ExactPool((*free.values(), *grown), len(grown), provision, tuple(holds)))
    return tuple(out)


def _caps(
    snapshot: Snapshot,
    columns: ColumnSet,
    kept: Sequence[Column],
    offers: Sequence[Offer],
    network: Network,
    grid: _Grid,
) -> tuple[ExactCap, ...]:
    def devices(column: Column) -> list[tuple[str, int]]:
        return [(part.pool, part.devices) for part in column.places]

    out = []
    for cap in Admission(snapshot, network).caps:
        most = _up(cap.most)
        asked = [(c, _down(cap.taken(one.job.namespace, devices(one)))) for c, one in enumerate(kept)]
        served = [(o, _down(cap.taken(one.namespace, ((one.pool, one.devices),)))) for o, one in enumerate(offers)]
        left, holds = most, []
        for one in columns.columns:
            if one.fixed:
                # A cap that shrank under running jobs is full, never more than full.
                taken = min(left, _down(cap.taken(one.job.namespace, devices(one))))
                left -= taken
                holds.append((taken, grid.down(one.length_seconds)))
        if any(taken for _, taken in asked):
            takers = tuple(pair for pair in asked if pair[1] > 0)
            servers = tuple(pair for pair in served if pair[1] > 0)
            out.append(ExactCap(most, takers, tuple(pair for pair in holds if pair[0] > 0), servers))
    return tuple(out)


# -- JSON -------------------------------------------------------------------------------------------------------


def problem_document(problem: ExactProblem) -> dict[str, Any]:
    """Plain JSON values, one key per field."""
    return asdict(problem)


def problem_from(document: Mapping[str, Any]) -> ExactProblem:
    """The inverse of `problem_document`. Raises KeyError or TypeError for anything else."""
    values = dict(document)
    values["columns"] = tuple(
        ExactColumn(**{**c, "moves": tuple(c["moves"]), "others": _rows(c["others"])}) for c in document["columns"]
    )
    values["moves"] = tuple(
        tuple(ExactWay(tuple(way["links"]), way["length"]) for way in ways) for ways in document["moves"]
    )
    values["pools"] = tuple(
        ExactPool(tuple(p["nodes"]), p["growth"], p["provision"], _rows(p["holds"])) for p in document["pools"]
    )
    values["offers"] = tuple(ExactOffer(**one) for one in document["offers"])
    values["caps"] = tuple(
        ExactCap(one["most"], _rows(one["columns"]), _rows(one["holds"]), _rows(one["offers"]))
        for one in document["caps"]
    )
    for name in ("busy", "link_busy", "demand", "replicas"):
        values[name] = tuple(document[name])
    for name in ("hint", "move_hint"):
        values[name] = _rows(document[name])
    return ExactProblem(**values)


def answer_document(answer: ExactAnswer) -> dict[str, Any]:
    return asdict(answer)


def answer_from(document: Mapping[str, Any]) -> ExactAnswer:
    return ExactAnswer(
        document["status"],
        document["bound"],
        _rows(document["starts"]),
        _rows(document["moves"]),
        tuple(document["replicas"]),
    )


def fits(problem: ExactProblem, answer: ExactAnswer) -> bool:
    """Whether the answer speaks of this problem: every index is one, every time a whole number of units."""
    ways = {m: len(ways) for m, ways in enumerate(problem.moves)}
    columns = {g: column.job for g, column in enumerate(problem.columns)}
    times = [start for _, start in answer.starts] + [start for *_, start in answer.moves]
    return (
        all(isinstance(time, int) and time >= 0 for time in times)
        and isinstance(answer.bound, int)
        and len(answer.starts) in (0, problem.jobs)
        and all(columns.get(g) == job for job, (g, _) in enumerate(answer.starts))
        and all(0 <= way < ways.get(m, 0) for m, way, _ in answer.moves)
        and len(answer.replicas) in (0, len(problem.offers))
        and all(isinstance(count, int) and count >= 0 for count in answer.replicas)
    )


def _rows(rows: Sequence[Sequence[int]]) -> Any:
    return tuple(tuple(row) for row in rows)
