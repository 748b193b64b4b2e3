"""Instances with a bit of everything for the kernel's tests; as a program: a library under a sanitizer walks them.

`python -m tests.kernel_cases LIBRARY CASES`
"""

import sys
from dataclasses import replace
from pathlib import Path
from random import Random

from polyhull.domain.fleet import Power, Site
from polyhull.domain.resources import Resources
from polyhull.domain.snapshot import DeviceLimit, Snapshot
from polyhull.domain.workloads import Access, ActiveTransfer, InferenceService, Key, Promise
from polyhull.optimize.build import build_columns
from polyhull.planning.canonical import canonical
from polyhull.planning.instance import Instance, Load
from polyhull.planning.kernels import CompiledTierSearch, Simulator, load
from polyhull.planning.relaxed import unguided
from polyhull.planning.reserve import reserve
from tests.builders import (
    GIB,
    NOW,
    cluster,
    data_set,
    fleet,
    growth,
    job,
    link,
    node,
    option,
    pool,
    service,
    snapshot,
    variant,
)


def everything(seed: int) -> Snapshot:
    """A bit of all that an instance may hold: gangs over nodes, several binding resources, growth, shared and running
    transfers, split copies, streamed reads, relays, limits on copies, bytes and devices, power caps, services,
    running jobs, tiers, deadlines, promises."""
    dice = Random(seed)
    names = ["east", "north", "west", "edge"][: dice.randint(2, 4)]
    cores = dice.choice([[96], [6, 96]])
    pools = [
        pool(name, kind, [node(f"{name}-{kind}-{i}", dice.choice([2, 4, 8]), cpu=dice.choice(cores))
                          for i in range(dice.randint(1, 3))],
             growth=growth(dice.randint(1, 3), 4, dice.choice([0.0, 20.0, 90.0])) if dice.random() < 0.3 else None)
        for name in names for kind in dice.sample(["v100", "npu"], dice.randint(1, 2))
    ]  # fmt: skip
    links = [
        link(a, b, dice.choice([0.05, 0.1, 0.5])) for a in names for b in names if a != b and dice.random() < 0.8
    ]
    limit = [dice.choice([None, None, 20 * 10**9]) for _ in names]
    clusters = [
        replace(cluster(name), storage=replace(cluster(name).storage, capacity_bytes=most))
        for name, most in zip(names, limit, strict=True)
    ]
    sets = [
        data_set(f"set{i}", dice.choice([1, 4, 9]), *dice.sample(names, dice.randint(1, 2)),
                 max_copies=dice.choice([None, None, 2, 3]), largest_file_bytes=dice.choice([None, 10**7, 10**8]))
        for i in range(6)
    ]  # fmt: skip
    work = []
    for i in range(dice.randint(3, 22)):
        devices = dice.choice([1, 2, 4])
        pod = Resources(devices, dice.choice([1000, 3000]), devices * 2 * GIB, GIB, 1)
        options = [option(kind, dice.choice([1.0, 2.0]), dice.choice([1, 1, 2, 3]), devices, pod=pod)
                   for kind in ("v100", "npu")]  # fmt: skip
        late = dice.choice([None, None, None, 300.0])
        one = job(f"job{i:02d}", options, dice.choice([40, 90, 210]),
                  dice.sample([s.key.name for s in sets], dice.choice([0, 1, 1, 2])),
                  priority=dice.choice([0, 0, 0, 3]) if seed % 3 == 0 else 0)  # fmt: skip
        if dice.random() < 0.25:
            chunks = dice.choice([1, 3, 8])
            one = replace(
                one, inputs=tuple(replace(data, access=Access.STREAM, chunks=chunks) for data in one.inputs)
            )
        one = replace(one, deadline_at=one.created_at + late) if late is not None else one
        due = dice.choice([None, None, -400.0, -100.0, 300.0])
        told = Promise("", "", "", i, NOW, NOW, None if due is None else NOW + due, NOW, dice.choice([0, 0, 0, 3]))
        work.append(replace(one, promise=told))
    services: list[InferenceService] = []
    if dice.random() < 0.4:
        services.append(
            service("chat", [(dice.choice(names), 4.0)], [variant("v100"), replace(variant("npu"), name="n")])
        )
    running: list[ActiveTransfer] = []
    if links and dice.random() < 0.4:
        over = dice.choice(links)
        moved, store = Key("team", "set0", "DataSet"), f"cluster:{over.target}"
        rate = over.bandwidth_bits_per_second / 16.0
        running.append(
            ActiveTransfer(moved, over.target, store, over.source, over.target, (over.name,), rate, NOW - 4.0)
        )
    sites = [
        Site(name, power=Power(cap_watts=dice.choice([None, None, 700.0, 1300.0]), pue=dice.choice([None, 1.1, 1.3])))
        for name in names
    ]
    made = snapshot(fleet(pools, links, clusters, sites), work, sets, services, transfers=tuple(running))
    more = Random(f"limits {seed}")
    limits = tuple(
        DeviceLimit("team", kind, more.choice([2, 4, 8]), ("team",))
        for kind in ("npu", "v100")
        if more.random() < 0.3
    )
    return replace(made, policy=replace(made.policy, split_transfers=True, device_limits=limits))


def instance_of(seed: int) -> Instance:
    case = canonical(everything(seed))
    columns = build_columns(case)
    return spread(reserve(case, columns, unguided(case, columns).services).instance, Random(seed))


def spread(instance: Instance, dice: Random) -> Instance:
    """Some jobs may also run in two or three of their pools at once, and send something meanwhile."""
    found = []
    for options in instance.choices:
        pools = {choice.pool: choice for choice in options if not choice.column.streams.reads}
        if len(pools) > 1 and dice.random() < 0.3:
            one, *others = dice.sample([pools[p] for p in sorted(pools)], dice.randint(2, min(3, len(pools))))
            loads = [load for choice in (one, *others) for load in choice.loads]
            links = dice.sample(range(len(instance.link_names)), min(2, len(instance.link_names)))
            loads += [Load(link, 2.0, one.length - 2.0, dice.choice([1e6, 3e6, 9e6])) for link in links]
            moves = tuple(sorted({move for choice in (one, *others) for move in choice.moves}))
            both = replace(
                one,
                moves=moves,
                head=0.0,
                loads=tuple(loads),
                others=tuple(gang for choice in others for gang in choice.gangs),
            )
            options = tuple(sorted((*options, both), key=lambda choice: choice.soonest))
        found.append(options)
    return replace(instance, choices=tuple(found))


def main(path: str, cases: str) -> None:
    compiled = load(Path(path))
    if compiled is None:
        raise SystemExit(f"{path} was built from other sources")
    for seed in range(int(cases)):
        instance = instance_of(seed)
        if instance.jobs:
            simulator = Simulator(instance, compiled)
            start = simulator.run(range(len(instance.jobs)))
            ranking = [range(len(options)) for options in instance.choices]
            for tier in sorted(set(instance.tiers)):
                CompiledTierSearch(simulator, tier, start, ranking, seed, 0.0).search(400)


if __name__ == "__main__":
    main(*sys.argv[1:])
