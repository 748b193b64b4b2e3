"""The numbers of one relaxation as arrays, one field per symbol of docs/model.md.

Everything is sorted by name before it is indexed, identical jobs are one class of multiplicity m_j, and what is
already running is a constant. Seconds, bytes, bytes per second, and whole resource units (devices, millicores …).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from polyhull.domain.fleet import Pool
from polyhull.domain.resources import Resources
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import CopyPart, Key, TrainingJob
from polyhull.optimize.admission import Admission, usable_rate
from polyhull.optimize.budgets import limits
from polyhull.optimize.build import alike
from polyhull.optimize.caps import Cap
from polyhull.optimize.columns import Column, ColumnSet, Need, held
from polyhull.optimize.paths import Network

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

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


def _none() -> Gangs:
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
    also: Gangs = field(default_factory=_none)
    """What columns over several sites hold in further pools; `pool`, `replicas` and `pods` are of their first."""

    @property
    def earliest(self) -> Floats:
        """[column] seconds before which the column cannot start: its provisioning and its data go on together."""
        return np.maximum(self.head, self.transfer)

    @property
    def finish(self) -> Floats:
        """[column] the earliest end."""
        return self.earliest + self.length


def model_data(
    snapshot: Snapshot,
    columns: ColumnSet,
    services: tuple[tuple[ServiceData, ...], tuple[DemandData, ...], tuple[ServingOption, ...]] = ((), (), ()),
) -> ModelData:
    """Arrays of a snapshot's columns. Jobs without a column are not in it: they are dropped first (phase 0)."""
    network = Network(snapshot.fleet, snapshot.policy.bandwidth_margin)
    admission = Admission(snapshot, network)
    by_job: dict[Key, list[Column]] = {}
    fixed: list[Column] = []
    for column in columns.columns:
        if column.fixed:
            fixed.append(column)
        else:
            by_job.setdefault(column.job, []).append(column)
    jobs = {job.key: job for job in snapshot.jobs}
    classes = job_classes([jobs[key] for key in sorted(by_job) if key in jobs])
    flat = tuple(column for members in classes for column in by_job[members[0]])
    job_class = np.array([j for j, members in enumerate(classes) for _ in by_job[members[0]]], dtype=np.int64)
    pools = sorted(snapshot.fleet.pools, key=lambda pool: pool.name)
    place = {pool.name: index for index, pool in enumerate(pools)}
    links = tuple(network.links)
    position = {name: index for index, name in enumerate(links)}
    data_sets, column_data = _data_sets(admission, flat, job_class, classes)
    sites = tuple(sorted({column.site for column in flat}))
    site_index = {site: s for s, site in enumerate(sites)}
    pairs = [(g, k, site_index[flat[g].site]) for g, sets in enumerate(column_data) for k in sets]
    needs = np.array(pairs, dtype=np.int64).reshape(-1, 3)
    budgets = _budgets(snapshot, flat, job_class, classes, fixed)
    return ModelData(
        jobs=classes,
        multiplicity=np.array([len(members) for members in classes], dtype=np.float64),
        priority=np.array([jobs[members[0]].priority for members in classes], dtype=np.int64),
        columns=flat,
        job_class=job_class,
        pool=np.array([place[column.pool] for column in flat], dtype=np.int64),
        replicas=np.array([column.replicas for column in flat], dtype=np.float64),
        pods=np.array([column.pod.as_tuple() for column in flat], dtype=np.float64).reshape(-1, DIMENSIONS),
        length=np.array([column.length_seconds for column in flat], dtype=np.float64),
        transfer=np.array([column.transfer_seconds for column in flat], dtype=np.float64),
        head=np.array([column.head_seconds for column in flat], dtype=np.float64),
        column_site=tuple(column.site for column in flat),
        column_data=column_data,
        sites=sites,
        need_column=needs[:, 0].copy(),
        need_set=needs[:, 1].copy(),
        need_site=needs[:, 2].copy(),
        pools=tuple(_pool(pool, admission, fixed, jobs) for pool in pools),
        caps=_caps(admission, place, fixed),
        budgets=tuple(left for left, _ in budgets),
        spent=tuple(each for _, each in budgets),
        links=links,
        link_source=tuple(network.links[name].source for name in links),
        link_target=tuple(network.links[name].target for name in links),
        bandwidth=np.array([network.bytes_per_second[name] for name in links], dtype=np.float64),
        active=_active(admission, position),
        data_sets=data_sets,
        services=services[0],
        demands=services[1],
        serving=services[2],
        fixed_seconds=max((column.length_seconds for column in fixed), default=0.0),
        also=_also(flat, place),
    )


def _also(flat: tuple[Column, ...], place: dict[str, int]) -> Gangs:
    found = [(g, part) for g, column in enumerate(flat) for part in column.parts[1:]]
    if not found:
        return _none()
    return Gangs(
        np.array([g for g, _ in found], dtype=np.int64),
        np.array([place[part.pool] for _, part in found], dtype=np.int64),
        np.array([part.replicas for _, part in found], dtype=np.float64),
        np.array([part.pod.as_tuple() for _, part in found], dtype=np.float64),
    )


def job_classes(jobs: Sequence[TrainingJob]) -> tuple[tuple[Key, ...], ...]:
    """Jobs that differ in nothing but their names, grouped; sorted by their first member."""
    groups: dict[object, list[Key]] = {}
    for job in jobs:
        groups.setdefault(alike(job), []).append(job.key)
    return tuple(sorted(tuple(sorted(members)) for members in groups.values()))


def _data_sets(
    admission: Admission, flat: tuple[Column, ...], job_class: Ints, classes: tuple[tuple[Key, ...], ...]
) -> tuple[tuple[DataSetData, ...], tuple[tuple[int, ...], ...]]:
    moved: list[tuple[Key, ...]] = []
    readers: dict[Key, set[int]] = {}
    answers: dict[Need, bool] = {}
    known: dict[int, tuple[Key, ...]] = {}
    """By identity of a needs tuple: columns of one job at one cluster share theirs."""
    for j, column in zip(job_class.tolist(), flat, strict=True):
        keys = known.get(id(column.needs))
        if keys is None:
            # What the first of several sites needs is enough for a bound.
            keys = tuple(
                need.data_set
                for need in column.needs
                if need.site == column.site and _moves(admission, need, answers)
            )
            known[id(column.needs)] = keys
        for key in keys:
            readers.setdefault(key, set()).add(j)
        moved.append(keys)
    index = {key: k for k, key in enumerate(sorted(readers))}
    found = []
    for key in sorted(readers):
        data = admission.data_sets[key]
        made = {copy.store for copy in data.copies} | {store for k, store in admission.active if k == key}
        limit = math.inf if data.max_copies is None else float(max(0, data.max_copies - len(made)))
        who = tuple(sorted(readers[key]))
        private = len(who) == 1 and len(classes[who[0]]) == 1
        allowed = admission.allowed_sites(data.residency)
        size = float(max(0, data.size_bytes))
        found.append(DataSetData(key, size, admission.sources(data), allowed, limit, who, private))
    return tuple(found), tuple(tuple(index[key] for key in keys) for keys in moved)


def _moves(admission: Admission, need: Need, answers: dict[Need, bool]) -> bool:
    """Must bytes cross links for this need (and is no transfer under way)?"""
    if need.present:
        return False
    if need not in answers:
        held = need.site in admission.sources(admission.data_sets[need.data_set])
        answers[need] = not held and (need.data_set, need.store) not in admission.active
    return answers[need]


def _active(admission: Admission, position: dict[str, int]) -> tuple[tuple[tuple[int, ...], float, float], ...]:
    found = []
    for (key, _), transfer in sorted(admission.active.items()):
        data = admission.data_sets.get(key)
        if data is None:
            continue
        left = admission.remaining_transfer(data, transfer)
        whole = CopyPart("", "", transfer.links, data.size_bytes, usable_rate(transfer))
        for part in transfer.parts or (whole,):
            links = tuple(position[name] for name in part.links if name in position)
            if links:
                share = left * part.transfer_bytes / max(1, data.size_bytes)
                found.append((links, part.rate_bytes_per_second, share))
    return tuple(found)


def _budgets(
    snapshot: Snapshot,
    flat: tuple[Column, ...],
    job_class: Ints,
    classes: tuple[tuple[Key, ...], ...],
    fixed: Sequence[Column],
) -> list[tuple[float, Floats]]:
    found = []
    for budget, limit in limits(snapshot.policy):
        each = np.array([budget.spent(column) for column in flat], dtype=np.float64)
        least = np.full(len(classes), math.inf)
        np.minimum.at(least, job_class, each)
        needed = float((least * np.array([len(members) for members in classes])).sum())
        # The same slack as the checker's, so that no plan it lets pass is proved impossible.
        left = (limit - sum(budget.spent(column) for column in fixed)) * (1.0 + 2e-6) + 2e-6
        if needed <= left:
            found.append((left, each))
    return found


def _caps(admission: Admission, place: Mapping[str, int], fixed: Sequence[Column]) -> tuple[CapData, ...]:
    found = []
    for cap in admission.caps:
        taken = ((cap.taken(column.job.namespace, _devices(column)), column.length_seconds) for column in fixed)
        each = {place[name]: amount for name, amount in cap.each.items()}
        # A cap of nothing has refused all that counts for it.
        if cap.most > 0.0:
            found.append(CapData(cap, each, tuple((amount, left) for amount, left in taken if amount > 0.0)))
    return tuple(found)


def _devices(column: Column) -> list[tuple[str, int]]:
    return [(part.pool, part.devices) for part in column.places]


def _pool(pool: Pool, admission: Admission, fixed: list[Column], jobs: dict[Key, TrainingJob]) -> PoolData:
    usable = admission.usable_nodes(pool)
    free = {node.name: np.array(node.free.as_tuple(), dtype=np.float64) for node in usable}
    pods: list[Floats] = []
    counts: list[float] = []
    seconds: list[float] = []
    for column in fixed:
        for (node, count), pod in held(jobs[column.job].placed, column, pool.name):
            wanted = np.array(pod.times(count).as_tuple(), dtype=np.float64)
            # A node that shrank under a running job is full, never more than full.
            if node in free and bool(np.all(wanted <= free[node])):
                free[node] = free[node] - wanted
                pods.append(wanted)
                counts.append(float(count))
                seconds.append(column.length_seconds)
    growth = pool.growth
    return PoolData(
        name=pool.name,
        site=pool.site,
        nodes=np.array([node.free.as_tuple() for node in usable], dtype=np.float64).reshape(-1, DIMENSIONS),
        growth_nodes=max(0, growth.nodes) if growth else 0,
        growth_shape=np.array((growth.shape if growth else Resources()).as_tuple(), dtype=np.float64),
        growth_seconds=max(0.0, growth.provision_seconds) if growth else 0.0,
        fixed_pods=np.array(pods, dtype=np.float64).reshape(-1, DIMENSIONS),
        fixed_counts=np.array(counts, dtype=np.float64),
        fixed_seconds=np.array(seconds, dtype=np.float64),
        watts=admission.tariffs.of(pool.name).peak_watts or 0.0,
    )
