"""Money, energy and carbon of a simulated schedule: values to compare schedules by, and what none goes below.

Unknown prices and watts count as the dearest known (costs.py), so these are for comparisons; `footprint.py` reports.
Devices are paid while held, provisioning included, growth nodes as a whole; transfers by the bytes they put on links,
once for all readers.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key
from polyhull.optimize.columns import Column, ColumnSet
from polyhull.optimize.costs import Tariffs
from polyhull.planning.packing import free_devices

if TYPE_CHECKING:
    from polyhull.planning.instance import Choice, Instance
    from polyhull.planning.objectives import Outcome

_DOWN = 1.0 - 1e-9


def cost(outcome: "Outcome") -> float:
    """What the jobs that count cost: their devices, what growth nodes have beside them, the bytes moved for them and
    those that they stream or exchange."""
    instance = outcome.instance
    total = 0.0
    moves: set[int] = set()
    grown: dict[tuple[int, int], list[tuple[float, float, float]]] = {}
    prices: dict[int, float] = {}
    for j in outcome.jobs:
        slot = outcome.slots[j]
        if slot is None:
            continue
        choice = instance.choices[j][slot.choice]
        total += choice.column.price + choice.column.egress_price
        column = choice.column
        if slot.waits > 0.0:
            total += column.price * slot.waits / column.hold_seconds
        moves.update(choice.moves)
        for gang, nodes in choice.seats(slot.nodes):
            for node, pods in nodes:
                if node >= len(instance.base_nodes[gang.pool]) and gang.devices > 0:
                    if gang.pool not in prices:
                        prices[gang.pool] = _per_second(instance, choice, gang.pool)
                    paid = pods * gang.devices_per_replica * (slot.end - slot.start)
                    grown.setdefault((gang.pool, node), []).append((slot.start, slot.end, paid))
    for (pool, _), uses in sorted(grown.items()):
        whole = free_devices(instance.pools[pool].shape) * (
            max(end for _, end, _ in uses) - min(at for at, _, _ in uses)
        )
        total += prices[pool] * max(0.0, whole - sum(paid for _, _, paid in uses))
    for move in sorted(moves):
        if move in outcome.moved and move not in instance.made:
            total += instance.moves[move].ways[outcome.moved[move][0]].route.price
    return total


def _per_second(instance: "Instance", choice: "Choice", pool: int) -> float:
    """What a device of the pool costs, for comparisons; a column over several sites has one price for all."""
    column = choice.column
    if choice.others:
        return Tariffs(instance.snapshot.fleet).price(instance.pools[pool].name, 1.0)
    return column.price / (column.hold_seconds * column.devices)


def energy(outcome: "Outcome") -> float:
    """Joules of the jobs that count."""
    slots, choices = outcome.slots, outcome.instance.choices
    return sum(choices[j][slot.choice].column.energy_joules for j in outcome.jobs if (slot := slots[j]) is not None)


def carbon(outcome: "Outcome") -> float:
    """Grams of the jobs that count."""
    slots, choices = outcome.slots, outcome.instance.choices
    return sum(choices[j][slot.choice].column.carbon_grams for j in outcome.jobs if (slot := slots[j]) is not None)


def cost_of_column(instance: "Instance", j: int, g: int) -> float:
    """Its devices, and its bytes by the cheapest way."""
    choice = instance.choices[j][g]
    ways = (min((way.route.price for way in instance.moves[move].ways), default=0.0) for move in choice.moves)
    return choice.column.price + choice.column.egress_price + sum(ways)


def energy_of_column(instance: "Instance", j: int, g: int) -> float:
    return instance.choices[j][g].column.energy_joules


def carbon_of_column(instance: "Instance", j: int, g: int) -> float:
    return instance.choices[j][g].column.carbon_grams


def least_cost(snapshot: Snapshot, columns: ColumnSet) -> float:
    """Every job by its cheapest column, its bytes for nothing."""
    return _least(columns, lambda column: column.price + column.egress_price)


def least_energy(snapshot: Snapshot, columns: ColumnSet) -> float:
    """Every job by its most frugal column."""
    return _least(columns, lambda column: column.energy_joules)


def least_carbon(snapshot: Snapshot, columns: ColumnSet) -> float:
    """Every job by its cleanest column."""
    return _least(columns, lambda column: column.carbon_grams)


def _least(columns: ColumnSet, value: Callable[[Column], float]) -> float:
    best: dict[Key, float] = {}
    for column in columns.columns:
        if not column.fixed:
            best[column.job] = min(best.get(column.job, value(column)), value(column))
    return sum(best[key] for key in sorted(best)) * _DOWN
