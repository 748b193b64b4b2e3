"""Gangs onto real nodes: which of the nodes that have room take the pods.

Rule: a gang that fits into one node goes whole into the fullest such node; otherwise the fullest nodes are filled
first. So the emptiest nodes stay whole for the next wide gang; spreading would break it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from polyhull.planning.timeline import Units


@dataclass(frozen=True, slots=True)
class Room:
    """A node's index, how many pods fit, and what stays free of devices there (less is fuller)."""

    node: int
    pods: int
    free: int


def free_devices(value: Units) -> int:
    return value if isinstance(value, int) else value[0]


def choose(rooms: Iterable[Room], replicas: int) -> tuple[tuple[int, int], ...]:
    """(node, pods) pairs that take `replicas` pods; empty if they do not fit. Deterministic: ties by node index."""
    ranked = sorted((room for room in rooms if room.pods > 0), key=lambda room: (room.free, room.node))
    for room in ranked:
        if room.pods >= replicas:
            return ((room.node, replicas),)
    out: list[tuple[int, int]] = []
    left = replicas
    for room in ranked:
        take = min(left, room.pods)
        out.append((room.node, take))
        left -= take
        if left == 0:
            return tuple(sorted(out))
    return ()
