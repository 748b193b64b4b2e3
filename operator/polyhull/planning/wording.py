"""Changes of a what-if as people say them, with the numbers of the snapshot they are made to."""

from polyhull.domain.scenario import (
    AddCopy,
    AddDevices,
    AddNodes,
    Change,
    LoseCluster,
    RemoveJob,
    ResizePool,
    SetDeviceLimit,
    SetLink,
    SetObjective,
    SetPriority,
    SubmitJob,
)
from polyhull.domain.snapshot import Snapshot


def words(change: Change, snapshot: Snapshot) -> str:
    """`one more v100 node in pool cloud/v100`."""
    match change:
        case AddNodes():
            return _more_nodes(change, snapshot)
        case AddDevices():
            return f"{change.devices} more {change.accelerator} in cluster {change.cluster}"
        case ResizePool():
            pool = snapshot.fleet.pool(change.pool)
            there = len(pool.nodes) if pool is not None else 0
            return f"pool {change.pool} with {change.nodes} nodes instead of {there}"
        case SetLink():
            return _link(change, snapshot)
        case LoseCluster():
            return f"cluster {change.cluster} lost"
        case SetObjective():
            return f"objective {', then '.join(change.terms)}"
        case SubmitJob():
            return f"job {change.job.key.namespace}/{change.job.key.name} submitted"
        case RemoveJob():
            return f"{change.key.namespace}/{change.key.name} removed"
        case SetPriority():
            known = {job.key: job.priority for job in snapshot.jobs}
            known |= {service.key: service.priority for service in snapshot.services}
            return f"priority {change.priority} instead of {known.get(change.key, 0)}"
        case SetDeviceLimit():
            return _limit(change, snapshot)
        case AddCopy():
            return f"a copy of {change.data_set.name} at {change.site}"


def _limit(change: SetDeviceLimit, snapshot: Snapshot) -> str:
    limits = snapshot.policy.device_limits
    ends = (change.policy, change.accelerator)
    old = next((one.devices for one in limits if (one.policy, one.accelerator) == ends), 0)
    return f"device limit of policy {change.policy}: {change.devices} {change.accelerator} instead of {old}"


def _more_nodes(change: AddNodes, snapshot: Snapshot) -> str:
    pool = snapshot.fleet.pool(change.pool)
    kind = pool.accelerator if pool is not None else ""
    count = "one more" if change.nodes == 1 else f"{change.nodes} more"
    return f"{count} {kind} node{'' if change.nodes == 1 else 's'} in pool {change.pool}"


def _link(change: SetLink, snapshot: Snapshot) -> str:
    ends = (change.source, change.target)
    old = next((link for link in snapshot.fleet.links if (link.source, link.target) == ends), None)
    name = f"the link {change.source} to {change.target}"
    if change.bandwidth_bits_per_second <= 0.0:
        return f"without {name}"
    speed = _speed(change.bandwidth_bits_per_second)
    if old is None:
        return f"a new link {change.source} to {change.target} of {speed}"
    return f"{name} at {speed} instead of {_speed(old.bandwidth_bits_per_second)}"


def _speed(bits_per_second: float) -> str:
    for unit, size in (("Tbit/s", 1e12), ("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if bits_per_second >= size:
            return f"{bits_per_second / size:.4g} {unit}"
    return f"{bits_per_second:.4g} bit/s"
