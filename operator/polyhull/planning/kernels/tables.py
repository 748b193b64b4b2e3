"""An instance as flat arrays: what the compiled kernel walks over. Field by field the `Instance` of kernel.h."""

import ctypes
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate, chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyhull.planning.instance import Choice, Gang, Instance
from polyhull.planning.timeline import Units

_COUNTS = ("jobs", "choices", "pools", "links", "moves", "ways", "budgets", "tiers")
_NUMBERS = ("running",)
_ARRAYS = {
    "choice_of": "i", "tier": "i", "deadline": "d", "promised": "d", "weight": "d",
    "gang_of": "i", "replicas": "i", "devices": "i", "move_of": "i",
    "gang_pool": "i", "gang_replicas": "i", "pod": "q",
    "length": "d", "head": "d", "soonest": "d", "moved_bytes": "q", "needs": "i",
    "load_of": "i", "load_link": "i", "load_after": "d", "load_seconds": "d", "load_rate": "d",
    "dims": "i", "unborn": "i", "node_of": "i", "shape": "q", "provision": "d",
    "node_step_of": "i", "node_time": "d", "node_free": "q",
    "link_step_of": "i", "link_time": "d", "link_free": "d",
    "move_seconds": "d", "made_way": "i", "made_start": "d", "made_end": "d",
    "way_of": "i", "draw_of": "i", "draw_budget": "i", "draw_amount": "q",
    "way_seconds": "d", "way_link_of": "i", "way_link": "i", "way_rate": "d", "left": "q",
}  # fmt: skip
_DTYPE = {"i": np.int32, "q": np.int64, "d": np.float64}
_DIMS = 5


class Table(ctypes.Structure):
    """`Instance` of kernel.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in _COUNTS),
        *((name, ctypes.c_double) for name in _NUMBERS),
        *((name, ctypes.c_void_p) for name in _ARRAYS),
    )


class Tables:
    """Owns the arrays that `table` points into."""

    def __init__(self, instance: Instance) -> None:
        values = _values(instance)
        self.arrays: dict[str, NDArray[Any]] = {
            name: np.ascontiguousarray(list(values[name]), dtype=_DTYPE[kind]) for name, kind in _ARRAYS.items()
        }
        self.table = Table(
            **{name: values[name] for name in (*_COUNTS, *_NUMBERS)},
            **{name: array.ctypes.data for name, array in self.arrays.items()},
        )
        self.choice_of = self.arrays["choice_of"]
        self.tiers: int = values["tiers"]


def _offsets(lengths: Iterable[int]) -> list[int]:
    return list(accumulate(lengths, initial=0))


@cache
def _padded(units: Units) -> tuple[int, ...]:
    values = (units,) if isinstance(units, int) else units
    return (*values, *(0,) * (_DIMS - len(values)))


def _flat(rows: Iterable[Sequence[int]]) -> chain[int]:
    return chain.from_iterable(rows)


def _values(instance: Instance) -> dict[str, Any]:
    choices = [choice for options in instance.choices for choice in options]
    # A choice is its own first gang; there are too many of them to make another value of each.
    gangs: list[Choice | Gang] = []
    for choice in choices:
        gangs.append(choice)
        gangs.extend(choice.others)
    loads = [load for choice in choices for load in choice.loads]
    pools, moves = instance.pools, instance.moves
    ways = [way for move in moves for way in move.ways]
    nodes = [steps for pool in instance.base_nodes for steps in pool]
    links = instance.base_links
    rank = {tier: i for i, tier in enumerate(sorted(set(instance.tiers), reverse=True))}
    made = [instance.made.get(i, (-1, 0.0, 0.0)) for i in range(len(moves))]
    return {
        "jobs": len(instance.jobs), "choices": len(choices), "pools": len(pools), "links": len(links),
        "moves": len(moves), "ways": len(ways), "budgets": len(instance.budgets), "tiers": len(rank),
        "running": max((fixed.column.length_seconds for fixed in instance.fixed), default=0.0),
        "choice_of": _offsets(len(options) for options in instance.choices),
        "tier": [rank[tier] for tier in instance.tiers],
        "deadline": instance.deadlines,
        "promised": instance.promised,
        "weight": instance.weights,
        "gang_of": _offsets(1 + len(choice.others) for choice in choices),
        "replicas": [choice.pods for choice in choices],
        "devices": [choice.column.devices for choice in choices],
        "move_of": _offsets(len(choice.moves) for choice in choices),
        "gang_pool": [gang.pool for gang in gangs],
        "gang_replicas": [gang.replicas for gang in gangs],
        "pod": _flat(_padded(gang.pod) for gang in gangs),
        "length": [choice.length for choice in choices],
        "head": [choice.head for choice in choices],
        "soonest": [choice.soonest for choice in choices],
        "moved_bytes": [choice.moved_bytes for choice in choices],
        "needs": _flat(choice.moves for choice in choices),
        "load_of": _offsets(len(choice.loads) for choice in choices),
        "load_link": [load.link for load in loads],
        "load_after": [load.after for load in loads],
        "load_seconds": [load.seconds for load in loads],
        "load_rate": [load.rate for load in loads],
        "dims": [len(pool.dimensions) for pool in pools],
        "unborn": [pool.growth - born for pool, born in zip(pools, instance.born, strict=True)],
        "node_of": _offsets(len(pool) for pool in instance.base_nodes),
        "shape": _flat(_padded(pool.shape) for pool in pools),
        "provision": [pool.provision_seconds for pool in pools],
        "node_step_of": _offsets(len(times) for times, _ in nodes),
        "node_time": chain.from_iterable(times for times, _ in nodes),
        "node_free": _flat(_padded(units) for _, free in nodes for units in free),
        "link_step_of": _offsets(len(times) for times, _ in links),
        "link_time": chain.from_iterable(times for times, _ in links),
        "link_free": chain.from_iterable(free for _, free in links),
        "move_seconds": [move.seconds for move in moves],
        "made_way": [way for way, _, _ in made],
        "made_start": [start for _, start, _ in made],
        "made_end": [end for _, _, end in made],
        "way_of": _offsets(len(move.ways) for move in moves),
        "draw_of": _offsets(len(move.draws) for move in moves),
        "draw_budget": [budget for move in moves for budget, _ in move.draws],
        "draw_amount": [amount for move in moves for _, amount in move.draws],
        "way_seconds": [way.seconds for way in ways],
        "way_link_of": _offsets(len(way.links) for way in ways),
        "way_link": _flat(way.links for way in ways),
        "way_rate": chain.from_iterable(way.rates for way in ways),
        "left": instance.budgets,
    }  # fmt: skip
