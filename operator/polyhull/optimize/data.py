"""The numbers of one relaxation as arrays, one field per symbol of docs/model.md.

Seconds, bytes, bytes per second, and whole resource units (devices, millicores …). `arrays.py` makes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from polyhull.domain.resources import Resources
from polyhull.domain.workloads import Key
from polyhull.optimize.caps import Cap
from polyhull.optimize.columns import Column

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROUNDED_DOWN = 1.0 - 1e-12
"""What must not be above its exact value is multiplied by this: a few roundings of floats are less."""
DIMENSIONS = 5
"""Resources.as_tuple(): devices, cpu, memory, ephemeral storage, pods."""


@dataclass(frozen=True, slots=True, eq=False)
class PoolData:
    """One pool p: what its usable nodes have (N_p), what growth adds (s_p after delta_p), what already runs."""

    name: str
    site: str
    nodes: Floats
    """[node, dimension] free on usable nodes."""
    growth_nodes: int
    growth_shape: Floats
    growth_seconds: float
    fixed_pods: Floats
    """[fixed group, dimension] requested on usable nodes by what already runs, never more than the nodes have."""
    fixed_counts: Floats
    """[fixed group] pods in the group."""
    fixed_seconds: Floats
    """[fixed group] remaining time."""
    watts: float = 0.0
    """Of one device at its peak, at the meter; 0 where nobody says."""

    @property
    def capacity(self) -> Floats:
        """[dimension] N_p."""
        return self.nodes.sum(axis=0) if len(self.nodes) else np.zeros(DIMENSIONS)

    @property
    def largest(self) -> Floats:
        """[dimension] the most that one node has."""
        shapes = [self.nodes] if len(self.nodes) else []
        if self.growth_nodes > 0:
            shapes.append(self.growth_shape[None, :])
        return np.max(np.vstack(shapes), axis=0) if shapes else np.zeros(DIMENSIONS)


@dataclass(frozen=True, slots=True)
class CapData:
    """One cap (caps.py) on what is held, as the programme reads it."""

    cap: Cap
    each: Mapping[int, float]
    """[pool] what one device counts for."""
    fixed: tuple[tuple[float, float], ...]
    """(what it takes, remaining seconds) of running jobs."""

    def running(self, shares: Floats, seconds: float) -> float:
        """Seconds of the whole cap that running jobs take within `seconds` from now; `shares` of each, at no instant
        counted above 1 together."""
        total, before = 0.0, 0.0
        for until in sorted({left for _, left in self.fixed}):
            end = min(until, seconds)
            if end > before:
                now = sum(float(share) for share, (_, left) in zip(shares, self.fixed, strict=True) if left > before)
                total += min(1.0, now) * (end - before)
                before = end
        return total


@dataclass(frozen=True, slots=True)
class DataSetData:
    """One data set k that some column must move. `readers`: job classes with a column that needs it somewhere."""

    key: Key
    size_bytes: float
    sources: frozenset[str]
    allowed: frozenset[str]
    copies_allowed: float
    """Copies that may still be made; infinite without a limit."""
    readers: tuple[int, ...]
    private: bool
    """Read by exactly one job: shared by nobody."""


@dataclass(frozen=True, slots=True)
class SharedMove:
    """One data set to one store as a whole, read by several classes or possible in several ways."""

    readers: tuple[tuple[int, ...], ...]
    """Columns that need it, by class."""
    ways: tuple[tuple[tuple[int, float], ...], ...]
    """(link, bytes) of each way: what it carries over every one of its links."""


@dataclass(frozen=True, slots=True, eq=False)
class Gangs:
    """[gang] pods that `column` holds in `pool`."""

    column: Ints
    pool: Ints
    replicas: Floats
    pods: Floats
    """[gang, dimension] of one pod."""

    def where(self, kept: NDArray[np.bool_], place: Ints) -> "Gangs":
        """Of the kept columns, `place`: their new indexes."""
        mine = kept[self.column]
        return Gangs(place[self.column[mine]], self.pool[mine], self.replicas[mine], self.pods[mine])

    def of(self, mine: Ints | NDArray[np.bool_]) -> "Gangs":
        """Some of them."""
        return Gangs(self.column[mine], self.pool[mine], self.replicas[mine], self.pods[mine])

    def and_of(self, other: "Gangs") -> "Gangs":
        """Both."""
        return Gangs(
            np.concatenate([self.column, other.column]),
            np.concatenate([self.pool, other.pool]),
            np.concatenate([self.replicas, other.replicas]),
            np.concatenate([self.pods, other.pods]),
        )


def no_gangs() -> Gangs:
    empty = np.zeros(0, dtype=np.int64)
    return Gangs(empty, empty, np.zeros(0), np.zeros((0, DIMENSIONS)))


@dataclass(frozen=True, slots=True, eq=False)
class LinkUses:
    """[use] `column`, run by its whole class, has `bytes_` carried over `link`."""

    link: Ints
    column: Ints
    bytes_: Floats

    @classmethod
    def of(cls, uses: Sequence[tuple[int, int, float]]) -> "LinkUses":
        """From (link, column, bytes)."""
        link, column, amount = zip(*uses, strict=True) if uses else ((), (), ())
        return cls(
            np.array(link, dtype=np.int64), np.array(column, dtype=np.int64), np.array(amount, dtype=np.float64)
        )

    def where(self, kept: NDArray[np.bool_], place: Ints) -> "LinkUses":
        """Of the kept columns, `place`: their new indexes."""
        mine = kept[self.column]
        return LinkUses(self.link[mine], place[self.column[mine]], self.bytes_[mine])


@dataclass(frozen=True, slots=True, eq=False)
class WholeCopies:
    """How the executed class moves data: each copy by one of few fixed ways (whole_copies.py)."""

    copied: LinkUses
    """Moves of one way that nobody else reads."""
    streamed: LinkUses
    """What is read while computing: over its path at any time until the job's end."""
    shared: tuple[SharedMove, ...]


@dataclass(frozen=True, slots=True)
class ServingOption:
    """One (service i, variant v, pool p) that may serve, with the origins it reaches in time."""

    service: int
    variant: str
    pool: int
    pod: Resources
    most_replicas: int
    """As many as the pool's nodes hold one by one."""
    per_request: tuple[tuple[int, float], ...]
    """(demand index, sigma): least replicas per request/s, a lower bound on the exact count's slope."""


@dataclass(frozen=True, slots=True)
class DemandData:
    """Requests per second of one service at one origin; `traffic` is bytes/s on links per request/s by site."""

    service: int
    origin: str
    requests_per_second: float
    traffic: tuple[tuple[str, tuple[tuple[int, float], ...]], ...]
    """(serving site, ((link, bytes per request), …))."""


@dataclass(frozen=True, slots=True)
class ServiceData:
    key: Key
    priority: int
    least_replicas: int
    exact_replicas: int | None


@dataclass(frozen=True, slots=True, eq=False)
class ModelData:
    """Symbols: classes j (`multiplicity` m_j), columns g (`job_class`, `pool`, `length` tau without transfer,
    `transfer` x_g, `head` h_g), pools p, links e (`bandwidth` margin B_e in bytes/s), data sets k."""

    jobs: tuple[tuple[Key, ...], ...]
    """[class] the jobs of the class, sorted."""
    multiplicity: Floats
    priority: Ints
    columns: tuple[Column, ...]
    """[column] of the first job of its class."""
    job_class: Ints
    pool: Ints
    replicas: Floats
    pods: Floats
    """[column, dimension] of one pod."""
    length: Floats
    transfer: Floats
    head: Floats
    column_site: tuple[str, ...]
    column_data: tuple[tuple[int, ...], ...]
    """[column] data sets it must bring to its site over links."""
    sites: tuple[str, ...]
    """Sites of columns, sorted; `need_site` indexes them."""
    need_column: Ints
    need_set: Ints
    need_site: Ints
    """The pairs of `column_data` as three arrays: column, data set, site."""
    pools: tuple[PoolData, ...]
    links: tuple[str, ...]
    link_source: tuple[str, ...]
    link_target: tuple[str, ...]
    bandwidth: Floats
    active: tuple[tuple[tuple[int, ...], float, float], ...]
    """Running transfers: (links, bytes/s, bytes left)."""
    data_sets: tuple[DataSetData, ...]
    services: tuple[ServiceData, ...]
    demands: tuple[DemandData, ...]
    serving: tuple[ServingOption, ...]
    fixed_seconds: float
    """The longest remaining time of what already runs: no schedule ends earlier."""
    caps: tuple[CapData, ...] = ()
    budgets: tuple[float, ...] = ()
    """What running jobs leave of each of the policy's (budgets.py), less those that do not even pay for each job's
    least column (then some are left out, which the bound is not about)."""
    spent: tuple[Floats, ...] = ()
    """[budget][column] what one job takes of it."""
    whole: WholeCopies | None = None
    """Set: the arrays speak of the executed class (whole copies over single paths) instead of class Pi."""
    also: Gangs = field(default_factory=no_gangs)
    """What columns over several sites hold in further pools; `pool`, `replicas` and `pods` are of their first."""

    @property
    def earliest(self) -> Floats:
        """[column] seconds before which the column cannot start: its provisioning and its data go on together."""
        return np.maximum(self.head, self.transfer)

    @property
    def finish(self) -> Floats:
        """[column] the earliest end."""
        return self.earliest + self.length
