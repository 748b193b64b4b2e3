"""A snapshot and its columns as small integers and lists: what the schedule simulation walks over.

Everything that does not depend on the order of jobs is in it: links less the services' traffic, nodes less what runs
on them and what services hold, moves shared by their readers, running jobs, running transfers; compiling.py makes it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key, TrainingJob
from polyhull.optimize.caps import Cap
from polyhull.optimize.columns import Column, ColumnSet, Route
from polyhull.planning.timeline import LinkSteps, NodeSteps, Units


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
