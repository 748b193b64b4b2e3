"""What the operator does on real control planes: created object -> pods bound, requests for each placement, and what
ten thousand objects cost that stand still.

A hub and one member of the proving ground, the operator as a process of its own, a watcher of its own on the
member's pods. Created at a fixed pace with unfinished jobs present, then in a burst; as many batch/v1 Jobs of the
same shape straight in the member, in the same run: that is the anchor.
"""

import contextlib
import math
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.figures import Figure, at_most, effort, percentile, report
from benchmarks.ground import (
    DIRECT,
    MEMBER,
    NAME,
    SPACE,
    Bound,
    Operator,
    children_of,
    cpu_seconds,
    create,
    direct,
    memory_mebibytes,
    quiet,
    requests_by_kind,
    stand_up,
    suspended,
    training,
    wait_for,
    writes_in,
)
from hack.ground.client import Client
from hack.ground.ground import Cluster

PRESENT = effort(200, 5)
CREATED = effort(100, 5)
PER_SECOND = 5.0
BURST = effort(200, 10)
"""Objects created as fast as one client can, one after the other."""
OBJECTS, NODES, RUNNING = effort(10_000, 50), effort(1_000, 10), effort(200, 5)
"""What stands still: TrainingJobs, nodes of the member, and how many of the jobs run; the others are suspended."""
RESTING_CLIENTS, STEADY_LIMIT_SECONDS = 4, 900.0
"""Threads that create what rests, each as fast as it can; how long every object may then take to be told of."""
PROBES = frozenset({"get secrets", "get -"})
"""A member's probe, every ten seconds whatever is placed: its kubeconfig Secret and its version. Shown, like the
watches and the Lease not counted as requests of a placement."""


def arrival(data: Path | None) -> Iterator[Figure]:
    """Created object -> pods bound at five objects a second with 200 unfinished jobs present; requests for each."""
    with contextlib.ExitStack() as stack:
        ground, operator = stand_up(stack)
        hub, member = ground.clusters["hub"], ground.clusters[MEMBER]
        watcher = Bound(member.client, NAME).start()
        stack.callback(watcher.stop)
        what = f"{PER_SECOND:g} TrainingJobs a second, {CREATED} in all, {PRESENT} unfinished present, one pod each"

        before = [f"present-{index:04d}" for index in range(PRESENT)]
        create(hub.client, before, training, 50.0)
        wait_for(lambda: set(before) <= set(watcher.seen), f"{PRESENT} pods bound before measuring", operator)
        quiet(hub, member)
        asked = {cluster.name: requests_by_kind(cluster.audit_events()) for cluster in (hub, member)}

        names = [f"job-{index:04d}" for index in range(CREATED)]
        created = create(hub.client, names, training, PER_SECOND)
        wait_for(lambda: set(names) <= set(watcher.seen), f"{CREATED} pods bound", operator)
        ours = [watcher.seen[name] - created[name] for name in names]
        wait_for(lambda: _placed(hub.client, names), "every job Placed=True", operator)
        quiet(hub, member)
        spent = {
            cluster.name: requests_by_kind(cluster.audit_events()) - asked[cluster.name] for cluster in (hub, member)
        }

        straight = Bound(member.client, DIRECT).start()
        stack.callback(straight.stop)
        direct_names = [f"direct-{index:04d}" for index in range(CREATED)]
        direct_created = create(member.client, direct_names, direct, PER_SECOND)
        wait_for(lambda: set(direct_names) <= set(straight.seen), "pods of direct Jobs bound", operator)
        theirs = [straight.seen[name] - direct_created[name] for name in direct_names]

        anchor = "the same Jobs created directly in the member, same run"
        yield at_most("arrival-latency p50", percentile(ours, 0.5), "s", 3.0, what, percentile(theirs, 0.5), anchor)
        yield Figure(
            "arrival-latency p99", percentile(ours, 0.99), "s", percentile(theirs, 0.99), anchor, None, True, what
        )
        for name, target, theirs_count in (("hub", 4.0, 7.9), (MEMBER, 1.0, 3.8)):
            value = sum(count for kind, count in spent[name].items() if kind not in PROBES) / CREATED
            source = "MultiKueue, manager / worker, measured elsewhere"
            yield at_most(f"requests-per-placement {name}", value, "1", target, what, theirs_count, source)
            for kind, count in sorted(spent[name].items()):
                yield report(f"requests-per-placement {name}: {kind}", count / CREATED, "1", what)
        yield from _sustained(hub, member, watcher, straight, operator)


def _sustained(
    hub: Cluster, member: Cluster, watcher: Bound, straight: Bound, operator: Operator
) -> Iterator[Figure]:
    """Pods bound a second out of a burst, ours and direct."""
    rates = []
    for client, prefix, make, seen in (
        (hub.client, "burst", training, watcher.seen),
        (member.client, "straight", direct, straight.seen),
    ):
        names = [f"{prefix}-{index:04d}" for index in range(BURST)]
        began = time.monotonic()
        create(client, names, make, math.inf)
        wait_for(lambda names=names, seen=seen: set(names) <= set(seen), f"{BURST} pods of a burst", operator)  # type: ignore[misc]
        rates.append(BURST / (max(seen[name] for name in names) - began))
    ours, theirs = rates
    what = f"{BURST} objects as fast as one client creates them, {PRESENT + CREATED} unfinished present, one pod each"
    anchor = "the same Jobs created directly in the member, same run; Kueue publishes 42.7 a second, MultiKueue 75"
    yield Figure(
        "created to bound, sustained, ours over direct",
        ours / theirs,
        "x",
        1.0,
        anchor,
        0.8,
        ours >= 0.8 * theirs,
        what,
    )
    yield Figure("created to bound, sustained", ours, "1/s", theirs, anchor, None, True, what)


def steady_state(data: Path | None) -> Iterator[Figure]:
    """Writes a minute and memory with ten thousand objects and a thousand nodes, when nothing changes."""
    with contextlib.ExitStack() as stack:
        ground, operator = stand_up(stack, NODES)
        hub, member = ground.clusters["hub"], ground.clusters[MEMBER]
        watcher = Bound(member.client, NAME).start()
        stack.callback(watcher.stop)
        running = [f"running-{index:04d}" for index in range(RUNNING)]
        resting = [f"resting-{index:05d}" for index in range(OBJECTS - RUNNING)]
        create(hub.client, running, training, 50.0)
        with ThreadPoolExecutor(RESTING_CLIENTS) as clients:
            list(clients.map(lambda name: hub.client.post(*suspended(name)), resting))
        wait_for(lambda: set(running) <= set(watcher.seen), f"{RUNNING} pods bound", operator, STEADY_LIMIT_SECONDS)
        wait_for(
            lambda: _told(hub.client, resting), "every suspended job said so", operator, STEADY_LIMIT_SECONDS, 10.0
        )
        quiet(hub, member)
        spent = cpu_seconds(operator.process.pid)
        calm = writes_in(hub, member, 60.0)
        spent = cpu_seconds(operator.process.pid) - spent
        what = f"{OBJECTS} TrainingJobs, {RUNNING} of them running and the others suspended, {NODES} nodes"
        yield at_most("steady-state writes per minute", calm, "1", 0.0, what)
        memory = memory_mebibytes(operator.process.pid)
        theirs = "kopf operators take about 300 MB"
        yield at_most(
            "steady-state memory of the operator beside its workers", memory, "MiB", 300.0, what, 300.0, theirs
        )
        workers = sum(memory_mebibytes(pid) for pid in children_of(operator.process.pid))
        yield report("steady-state: memory of its workers together", workers, "MiB", what)
        yield report("steady-state: CPU time of the operator in that minute", spent, "s", what)
        given_up = "steady-state: times the operator gave up its Lease"
        met = f"{what}; created by {RESTING_CLIENTS} clients at once beside the operator"
        yield at_most(given_up, float(operator.restarts), "1", 0.0, met)


def _told(client: Client, names: list[str]) -> bool:
    """Do all these jobs carry a `Planned` condition? Some are asked first: a list of ten thousand costs seconds."""
    path = f"/apis/polyhull.io/v1alpha1/namespaces/{SPACE}/trainingjobs"
    if not all(client.get(f"{path}/{name}").get("status") for name in names[:: max(1, len(names) // 20)]):
        return False
    listed = client.get(path, resourceVersion="0")
    wanted = set(names)
    told = sum(
        job["metadata"]["name"] in wanted
        and any(one["type"] == "Planned" for one in job.get("status", {}).get("conditions", ()))
        for job in listed["items"]
    )
    return told == len(wanted)


def _placed(client: Client, names: Iterable[str]) -> bool:
    listed = client.get(f"/apis/polyhull.io/v1alpha1/namespaces/{SPACE}/trainingjobs")
    placed = {
        job["metadata"]["name"]
        for job in listed["items"]
        for condition in job.get("status", {}).get("conditions", ())
        if (condition["type"], condition["status"]) == ("Placed", "True")
    }
    return set(names) <= placed
