"""A snapshot and its columns as the arrays of one relaxation (data.py).

Everything is sorted by name before it is indexed, identical jobs are one class of multiplicity m_j, and what is
already running is a constant.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from polyhull.domain.fleet import Pool
from polyhull.domain.resources import Resources
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import CopyPart, Key, TrainingJob
from polyhull.optimize.admission import Admission, usable_rate
from polyhull.optimize.budgets import limits
from polyhull.optimize.build import alike
from polyhull.optimize.columns import Column, ColumnSet, Need, held
from polyhull.optimize.data import (
    DIMENSIONS,
    CapData,
    DataSetData,
    DemandData,
    Floats,
    Gangs,
    Ints,
    ModelData,
    PoolData,
    ServiceData,
    ServingOption,
    no_gangs,
)
from polyhull.optimize.paths import Network


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
        return no_gangs()
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
        each = np.array([budget.taken(column) for column in flat], dtype=np.float64)
        least = np.full(len(classes), math.inf)
        np.minimum.at(least, job_class, each)
        needed = float((least * np.array([len(members) for members in classes])).sum())
        # The same slack as the checker's, so that no plan it lets pass is proved impossible.
        left = (limit - sum(budget.taken(column) for column in fixed)) * (1.0 + 2e-6) + 2e-6
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
