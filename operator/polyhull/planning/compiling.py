"""A snapshot and its columns compiled to what the schedule simulation walks over (instance.py)."""

from collections.abc import Mapping

from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key, TrainingJob
from polyhull.optimize.caps import caps_of
from polyhull.optimize.columns import Column, ColumnSet
from polyhull.optimize.costs import Tariffs
from polyhull.optimize.isolated import isolated
from polyhull.optimize.paths import Network
from polyhull.planning.choices import Chooser, loads_of
from polyhull.planning.instance import Fixed, Instance
from polyhull.planning.moving import Budgets, moves_of
from polyhull.planning.pools import pods_by_pool, pool_model
from polyhull.planning.timeline import LinkSteps, take_rate
from polyhull.planning.urgency import deadline, promised, settled, weight


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
