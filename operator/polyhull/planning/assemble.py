"""From a schedule back to names: assignments, transfers and the hash by which a plan is known."""

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256

from polyhull.domain.decision import (
    Assignment,
    Exchange,
    Explanation,
    Part,
    ServicePlan,
    StreamedRead,
    Transfer,
    Unplaced,
    Use,
)
from polyhull.domain.workloads import TrainingJob
from polyhull.optimize.columns import Column
from polyhull.optimize.costs import Tariffs
from polyhull.optimize.spans import SpanPart
from polyhull.planning.deadlines import advice
from polyhull.planning.footprint import together, use
from polyhull.planning.instance import Instance
from polyhull.planning.reserve import Reserved, named
from polyhull.planning.schedule import Schedule, Slot
from polyhull.planning.urgency import renewed


def queue(schedule: Schedule) -> tuple[int, ...]:
    """Placed jobs by simulated start; among equals by their place in the order."""
    at = {j: k for k, j in enumerate(schedule.order)}
    placed = [(slot.start, at[j], j) for j, slot in enumerate(schedule.slots) if slot is not None]
    return tuple(j for _, _, j in sorted(placed))


def assignments(reserved: Reserved, schedule: Schedule, why: dict[int, Explanation]) -> tuple[Assignment, ...]:
    """Running jobs and placed ones, by key. `order` is the place in the priority order that makes this plan again."""
    instance, now = reserved.instance, reserved.instance.snapshot.taken_at
    tariffs = Tariffs(instance.snapshot.fleet)
    remedies = advice(instance, schedule)
    out = [
        replace(
            _assignment(
                fixed.job, fixed.column, nodes, 0, (0.0, fixed.column.length_seconds), _fixed_why(fixed.column), now
            ),
            use=_use(tariffs, fixed.column, fixed.column.length_seconds),
            reads=_reads(fixed.column, fixed.column.startup_seconds, fixed.column.streams.reading_seconds),
            exchanges=_exchanges(fixed.column, 0.0, fixed.column.length_seconds, 1.0),
        )
        for fixed, nodes in zip(instance.fixed, reserved.fixed_nodes, strict=True)
    ]
    for position, j in enumerate(schedule.order):
        slot = schedule.slots[j]
        if slot is None:
            continue
        because = why.get(j, Explanation(""))
        out.append(replace(placed(instance, j, slot, position + 1, because, tariffs), remedy=remedies.get(j, "")))
    return tuple(sorted(out, key=lambda assignment: assignment.job))


def placed(instance: Instance, j: int, slot: Slot, order: int, because: Explanation, tariffs: Tariffs) -> Assignment:
    """One job that waits; `order` is its place in the queue."""
    job, choice, now = instance.jobs[j], instance.choices[j][slot.choice], instance.snapshot.taken_at
    nodes = tuple(named(instance.pools[gang.pool], seats) for gang, seats in choice.seats(slot.nodes))
    times = (slot.start, slot.end)
    found = _assignment(job, choice.column, nodes, order, times, because, now)
    spent = _use(tariffs, choice.column, slot.end - slot.start, slot.waits)
    told = renewed(job.promise, now, (found.cluster, *choice.name), order, times)
    read = _reads(choice.column, slot.start + slot.waits + choice.column.startup_seconds, choice.reading_seconds)
    sent = _exchanges(choice.column, slot.start + slot.waits, slot.end, choice.slower)
    return replace(found, use=spent, promise=told, reads=read, exchanges=sent)


def _reads(column: Column, start: float, seconds: float) -> tuple[StreamedRead, ...]:
    """What the column streams, in so many seconds: its own, or more where services use the links too."""
    if not column.streams.reads or seconds <= 0.0:
        return ()
    slower = seconds / column.streams.reading_seconds
    return tuple(
        StreamedRead(
            data_set=read.data_set,
            source_site=read.source_site,
            links=read.links,
            transfer_bytes=read.transfer_bytes,
            rate_bytes_per_second=read.rate_bytes_per_second / slower,
            start_seconds=start,
            end_seconds=start + seconds,
        )
        for read in column.streams.reads
    )


def _exchanges(column: Column, begin: float, end: float, slower: float) -> tuple[Exchange, ...]:
    """What its parts send each other while it computes."""
    start = begin + column.startup_seconds
    return tuple(
        Exchange(
            one.source_site,
            one.target_site,
            one.links,
            one.rate_bytes_per_second / slower,
            start,
            end,
            one.transfer_bytes,
        )
        for one in column.flows
    )


def _use(tariffs: Tariffs, column: Column, held: float, waits: float = 0.0) -> Use:
    spent = together(
        use(tariffs.of(part.pool), part.devices, held, column.compute_seconds, waits) for part in column.places
    )
    if not (column.streams.reads or column.flows):
        return spent
    return replace(spent, egress_cost=tariffs.known_egress(column.volumes))


def _fixed_why(column: Column) -> Explanation:
    return Explanation(
        "It was released before this plan and stays where it is.",
        startup_seconds=column.startup_seconds,
        compute_seconds=column.compute_seconds - column.exchange_seconds - column.failure_seconds,
        exchange_seconds=column.exchange_seconds,
        failure_seconds=column.failure_seconds,
        evidence=column.evidence,
    )


def _assignment(
    job: TrainingJob,
    column: Column,
    nodes: tuple[tuple[tuple[str, int], ...], ...],
    order: int,
    times: tuple[float, float],
    why: Explanation,
    now: float,
) -> Assignment:
    return Assignment(
        job=column.job,
        cluster=column.cluster,
        site=column.site,
        pool=column.pool,
        option=column.option,
        accelerator=column.accelerator,
        device_class=column.device_class,
        replicas=column.replicas,
        devices_per_replica=column.devices_per_replica,
        nodes=nodes[0],
        order=order,
        start_seconds=times[0],
        end_seconds=times[1],
        data=tuple((need.data_set, need.store) for need in column.needs),
        fixed=column.fixed,
        explanation=why,
        checkpoint_interval_seconds=column.checkpoint_interval_seconds,
        deadline_seconds=None if job.deadline_at is None else job.deadline_at - now,
        parts=tuple(_part(part, where) for part, where in zip(column.parts, nodes, strict=False)),
        micro_batches=column.micro_batches,
    )


def _part(part: SpanPart, nodes: tuple[tuple[str, int], ...]) -> Part:
    return Part(
        part.cluster, part.site, part.pool, part.option, part.accelerator, part.device_class, part.replicas,
        part.devices_per_replica, nodes, part.first_rank, part.stage_layers,
    )  # fmt: skip


def transfers(instance: Instance, schedule: Schedule) -> tuple[Transfer, ...]:
    """Moves of the schedule, those that run already included, by (data set, store)."""
    tariffs = Tariffs(instance.snapshot.fleet)
    cluster_of: dict[str, str] = {}
    for cluster in instance.snapshot.fleet.clusters:
        if cluster.takes_new_work:
            cluster_of.setdefault(cluster.store, cluster.name)
    running = {(transfer.data_set, transfer.store): transfer.cluster for transfer in instance.snapshot.transfers}
    out = []
    for index, (way_index, start, end) in sorted(schedule.moves.items()):
        move = instance.moves[index]
        way = move.ways[way_index]
        active = move.active_until is not None
        slower = way.rate / way.route.rate_bytes_per_second
        parts = tuple(
            replace(part, rate_bytes_per_second=part.rate_bytes_per_second * slower) for part in way.route.parts
        )
        out.append(
            Transfer(
                data_set=move.data_set,
                source_site=way.route.source_site,
                source_url=way.route.source_url,
                target_site=way.route.site,
                store=move.store,
                cluster=running[move.data_set, move.store] if active else cluster_of.get(move.store, ""),
                links=way.route.links,
                transfer_bytes=way.route.transfer_bytes,
                rate_bytes_per_second=way.rate,
                start_seconds=start,
                end_seconds=end,
                price=tariffs.known_egress(way.route.volumes),
                active=active,
                parts=parts,
                whole_because=way.route.whole_because,
            )
        )
    return tuple(out)


def unplaced(reserved: Reserved, schedule: Schedule, known: Iterable[Unplaced]) -> tuple[Unplaced, ...]:
    """What has no column (`known`), and jobs no column of which ever fits."""
    never = [_never(reserved.instance, j) for j, slot in enumerate(schedule.slots) if slot is None]
    there = {entry.job for entry in never}
    return tuple(sorted((*never, *(entry for entry in known if entry.job not in there)), key=lambda entry: entry.job))


def _never(instance: Instance, j: int) -> Unplaced:
    column = instance.choices[j][0].column
    gangs = " + ".join(f"{place.replicas} x {place.devices_per_replica}" for place in column.places)
    return Unplaced(
        instance.jobs[j].key,
        "NoCapacity",
        f"{column.name[0]} never has {gangs} devices free at once beside what "
        "services hold, nor has any other pool it may use; add nodes or free some",
    )


def _where(a: Assignment) -> tuple[str, ...]:
    """Job, cluster, pool, option; for every further part its place and size too."""
    more = (text for p in a.parts for text in (p.cluster, p.pool, p.option, str(p.replicas)))
    return (str(a.job), a.cluster, a.pool, a.option, *more)


def plan_hash(assigned: Iterable[Assignment], moved: Iterable[Transfer], services: Iterable[ServicePlan]) -> str:
    """sha256 over what would be applied: who runs where as what in which order, and what moves from where."""
    return hash_of(
        (
            *map(assignment_line, assigned),
            *(line for one in moved for line in transfer_lines(one)),
            *service_lines(services),
        )
    )


def assignment_line(a: Assignment) -> str:
    """What the hash of a plan says of an assignment."""
    return "\t".join((*_where(a), str(a.order), "fixed" if a.fixed else ""))


def transfer_lines(t: Transfer) -> list[str]:
    """What it says of a transfer."""
    return ["\t".join((str(t.data_set), part.source_site, t.store, *part.links)) for part in t.flows]


def service_lines(services: Iterable[ServicePlan]) -> list[str]:
    """What it says of services."""
    return [
        "\t".join((str(plan.service), s.cluster, s.pool, s.variant, str(s.replicas)))
        for plan in services
        for s in plan.replicas
    ]


def hash_of(lines: Iterable[str]) -> str:
    """sha256 of lines."""
    return sha256("\n".join(lines).encode()).hexdigest()
