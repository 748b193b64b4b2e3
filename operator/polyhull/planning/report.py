"""A decision as the document that `polyhull plan -o json` prints: names others' tests rely on. Pure."""

from typing import Any

from polyhull.domain.decision import (
    Assignment,
    Decision,
    Explanation,
    Help,
    LevelReport,
    Part,
    Price,
    RunningMove,
    ServicePlan,
    Transfer,
    Unplaced,
)
from polyhull.domain.workloads import Key, Promise

Document = dict[str, Any]


def document(decision: Decision) -> Document:
    """Plain JSON values; seconds count from `takenAt` (seconds since the epoch), bytes are whole."""
    gap, spent = decision.gap, decision.footprint
    return {
        "makespanSeconds": _seconds(decision.makespan_seconds),
        "makespanP50Seconds": _maybe(decision.makespan_p50_seconds),
        "makespanP90Seconds": _maybe(decision.makespan_p90_seconds),
        "lowerBoundSeconds": _seconds(decision.lower_bound_seconds),
        "boundKind": decision.bound_kind.value,
        "gap": None if gap is None else round(gap, 6),
        "objective": list(decision.objective),
        "levels": [_level(level) for level in decision.levels],
        "assignments": [_assignment(assignment) for assignment in decision.assignments],
        "services": [_service(plan) for plan in decision.services],
        "transfers": [_transfer(transfer) for transfer in decision.transfers],
        "evictions": [
            {"dataSet": _key(one.data_set), "store": one.store, "freedBytes": one.freed_bytes}
            for one in decision.evictions
        ],
        "moves": [_move(move) for move in decision.moves],
        "unplaced": [_unplaced(unplaced) for unplaced in decision.unplaced],
        "prices": {
            "pools": [_price(price, "device") for price in decision.pool_prices],
            "links": [_price(price, "bitPerSecond") for price in decision.link_prices],
        },
        "cost": {
            "total": _amount(spent.cost),
            "egress": _amount(spent.egress_cost),
            "servicesPerHour": _amount(spent.services_cost_per_hour),
            "unpriced": list(spent.unpriced),
        },
        "energy": {
            "joules": _amount(spent.energy_joules),
            "carbonGrams": _amount(spent.carbon_grams),
            "unmetered": list(spent.unmetered),
            "carbonUnknown": list(spent.carbon_unknown),
        },
        "egressBytes": spent.egress_bytes,
        "baselines": {
            "localityOnlySeconds": _maybe(decision.baselines.locality_only_seconds),
            "computeOnlySeconds": _maybe(decision.baselines.compute_only_seconds),
        },
        "solver": {
            "seconds": round(decision.solver.seconds, 3),
            "status": decision.solver.status,
            "steps": decision.solver.steps,
        },
        "violations": list(decision.violations),
        "planHash": decision.plan_hash,
        "takenAt": decision.taken_at,
    }


def subject(item: Assignment | ServicePlan | Unplaced, decision: Decision) -> Document:
    """One job or service of the document, with the transfers it waits for."""
    if isinstance(item, Unplaced):
        return {"unplaced": _unplaced(item)}
    if isinstance(item, ServicePlan):
        return {"service": _service(item)}
    moves = [_transfer(move) for move in transfers_of(item, decision.transfers)]
    return {"assignment": _assignment(item), "transfers": moves}


def transfers_of(item: Assignment, moves: tuple[Transfer, ...]) -> tuple[Transfer, ...]:
    """Those that bring what the job reads to where it reads it."""
    reads = set(item.data)
    return tuple(move for move in moves if (move.data_set, move.store) in reads)


def _seconds(value: float) -> float:
    return round(value, 3)


def _maybe(value: float | None) -> float | None:
    return None if value is None else _seconds(value)


def _amount(value: float | None) -> float | None:
    """Money, joules, grams; None: unknown."""
    return None if value is None else round(value, 4)


def _key(key: Key) -> Document:
    return {"kind": key.kind, "namespace": key.namespace, "name": key.name}


def _nodes(nodes: tuple[tuple[str, int], ...]) -> list[Document]:
    return [{"name": name, "pods": pods} for name, pods in nodes]


def _promise(promise: Promise | None) -> Document | None:
    """When it was promised to end (seconds since the epoch), and how often that could not be kept."""
    if promise is None or promise.due_at is None:
        return None
    return {"dueAt": promise.due_at, "givenAt": promise.given_at, "slips": promise.slips}


def _level(level: LevelReport) -> Document:
    gap = level.gap
    return {
        "name": level.name,
        "unit": level.unit,
        "value": round(level.value, 6),
        "bound": None if level.bound is None else round(level.bound, 6),
        "gap": None if gap is None else round(gap, 6),
    }


def _assignment(assignment: Assignment) -> Document:
    return {
        "job": _key(assignment.job),
        **_place(assignment),
        "order": assignment.order,
        "startSeconds": _seconds(assignment.start_seconds),
        "endSeconds": _seconds(assignment.end_seconds),
        "endP50Seconds": _maybe(assignment.end_p50_seconds),
        "endP90Seconds": _maybe(assignment.end_p90_seconds),
        "fixed": assignment.fixed,
        "data": [{"dataSet": key.name, "store": store} for key, store in assignment.data],
        "promise": _promise(assignment.promise),
        "deadlineSeconds": _maybe(assignment.deadline_seconds),
        "lateSeconds": _seconds(assignment.late_seconds),
        "remedy": assignment.remedy or None,
        "use": {
            "cost": _amount(assignment.use.cost),
            "energyJoules": _amount(assignment.use.energy_joules),
            "carbonGrams": _amount(assignment.use.carbon_grams),
            **({} if assignment.use.egress_cost is None else {"egressCost": _amount(assignment.use.egress_cost)}),
        },
        "explanation": explanation(assignment.explanation),
        **_spread(assignment),
        **({"observed": True} if assignment.observed else {}),
    }


def _place(one: Assignment | Part) -> Document:
    return {
        "cluster": one.cluster,
        "site": one.site,
        "pool": one.pool,
        "option": one.option,
        "accelerator": one.accelerator,
        "deviceClass": one.device_class,
        "replicas": one.replicas,
        "devicesPerReplica": one.devices_per_replica,
        "nodes": _nodes(one.nodes),
    }


def _spread(assignment: Assignment) -> Document:
    """Of a job over several sites: its parts, and what they send each other; nothing for others."""
    if not assignment.parts:
        return {}
    return {
        "parts": [
            {**_place(part), "firstRank": part.first_rank, "stageLayers": list(part.stage_layers)}
            for part in assignment.parts
        ],
        "exchanges": [
            {
                "from": one.source_site,
                "to": one.target_site,
                "links": list(one.links),
                "bytes": round(one.transfer_bytes),
                "rateBytesPerSecond": round(one.rate_bytes_per_second, 3),
                "startSeconds": _seconds(one.start_seconds),
                "endSeconds": _seconds(one.end_seconds),
            }
            for one in assignment.exchanges
        ],
        "microBatches": assignment.micro_batches,
    }


def explanation(why: Explanation) -> Document:
    return {
        "binds": why.binds,
        "queueSeconds": _seconds(why.queue_seconds),
        "transferSeconds": _seconds(why.transfer_seconds),
        "startupSeconds": _seconds(why.startup_seconds),
        "computeSeconds": _seconds(why.compute_seconds),
        "failureSeconds": _seconds(why.failure_seconds),
        **({"exchangeSeconds": _seconds(why.exchange_seconds)} if why.exchange_seconds > 0.0 else {}),
        "evidence": why.evidence.value,
        "alternatives": [
            {
                "cluster": other.cluster,
                "pool": other.pool,
                "option": other.option,
                "laterSeconds": _seconds(other.later_seconds),
            }
            for other in why.alternatives
        ],
        "binding": {
            "kind": why.binding.kind or "Nothing",
            "name": why.binding.name or None,
            "untilSeconds": _seconds(why.binding.until_seconds),
        },
        "helps": helps(why.helps),
    }


def helps(those: tuple[Help, ...]) -> list[Document]:
    return [
        {
            "change": one.change,
            "endSeconds": _seconds(one.end_seconds),
            "soonerSeconds": _maybe(one.sooner_seconds),
            "planSoonerSeconds": _seconds(one.plan_sooner_seconds),
        }
        for one in those
    ]


def _transfer(transfer: Transfer) -> Document:
    return {
        "dataSet": _key(transfer.data_set),
        "from": transfer.source_site,
        "to": transfer.target_site,
        "store": transfer.store,
        "cluster": transfer.cluster,
        "links": list(transfer.links),
        "bytes": transfer.transfer_bytes,
        "rateBytesPerSecond": round(transfer.rate_bytes_per_second, 3),
        "startSeconds": _seconds(transfer.start_seconds),
        "endSeconds": _seconds(transfer.end_seconds),
        "price": _amount(transfer.price),
        "active": transfer.active,
        "parts": [
            {
                "from": part.source_site,
                "links": list(part.links),
                "bytes": part.transfer_bytes,
                "rateBytesPerSecond": round(part.rate_bytes_per_second, 3),
            }
            for part in transfer.parts
        ],
        "wholeBecause": transfer.whole_because,
    }


def _move(move: RunningMove) -> Document:
    """A running job that is stopped to go on elsewhere."""
    return {
        "job": _key(move.job),
        "from": {"cluster": move.from_cluster, "pool": move.from_pool, "option": move.from_option},
        "to": {"cluster": move.to_cluster, "pool": move.to_pool, "option": move.to_option},
        "checkpointBytes": move.checkpoint_bytes,
        "workDone": move.work_done,
        "lostSeconds": _seconds(move.lost_seconds),
        "gainSeconds": _seconds(move.gain_seconds),
        "moves": move.moves,
        "why": move.why,
    }


def _service(plan: ServicePlan) -> Document:
    return {
        "service": _key(plan.service),
        "servedPerSecond": round(plan.served_per_second, 6),
        "demandedPerSecond": round(plan.demanded_per_second, 6),
        "replicas": [
            {
                "cluster": serving.cluster,
                "site": serving.site,
                "pool": serving.pool,
                "variant": serving.variant,
                "accelerator": serving.accelerator,
                "deviceClass": serving.device_class,
                "devicesPerReplica": serving.devices_per_replica,
                "replicas": serving.replicas,
                "nodes": _nodes(serving.nodes),
                "readySeconds": _seconds(serving.ready_seconds),
            }
            for serving in plan.replicas
        ],
        "routes": [
            {
                "origin": route.origin,
                "cluster": route.cluster,
                "pool": route.pool,
                "variant": route.variant,
                "requestsPerSecond": round(route.requests_per_second, 6),
            }
            for route in plan.routes
        ],
        "routingRule": [
            {"pool": one.pool, "variant": one.variant, "loss": round(one.loss, 6), "price": round(one.price, 6)}
            for one in plan.rule
        ],
        "explanation": explanation(plan.explanation),
    }


def _unplaced(unplaced: Unplaced) -> Document:
    return {"job": _key(unplaced.job), "reason": unplaced.reason, "message": unplaced.message}


def _price(price: Price, unit: str) -> Document:
    return {
        "name": price.name,
        "secondsPerUnit": price.per_unit,
        f"makespanSecondsPerFurther{unit[0].upper()}{unit[1:]}": price.makespan_seconds_per_unit,
    }
