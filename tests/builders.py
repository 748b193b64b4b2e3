"""Domain values for tests: small builders with working defaults, and whole random fleets from a seed. Shared."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random

from polyhull.domain.fleet import (
    CLUSTERSET_DOMAIN,
    AcceleratorType,
    Cluster,
    Fleet,
    Growth,
    Link,
    Node,
    Pool,
    Power,
    Site,
    Storage,
    StorageKind,
    Taint,
    Toleration,
)
from polyhull.domain.labels import Selector, labels_of
from polyhull.domain.resources import Resources
from polyhull.domain.snapshot import Policy, Snapshot, SolverLimits
from polyhull.domain.workloads import (
    Access,
    DataInput,
    DataSet,
    Demand,
    InferenceService,
    Key,
    Option,
    Replica,
    TrainingJob,
    Variant,
)

NOW = 1_800_000_000.0
GIB = 2**30
WATTS = {"v100": 300.0, "p100": 250.0, "k80": 150.0, "npu": 72.0, "cpu": 4.4}
CLASSES = {"cpu": "CPU", "v100": "GPU", "k80": "GPU", "p100": "GPU", "npu": "NPU"}


def key(name: str, kind: str = "TrainingJob", namespace: str = "team") -> Key:
    return Key(namespace, name, kind)


def site(name: str, tier: str = "Cloud", **labels: str) -> Site:
    return Site(name, tier=tier, labels=labels_of(labels))


def cluster(name: str, at: str = "", **changes: object) -> Cluster:
    storage = Storage(StorageKind.VOLUME, storage_class_name="standard")
    values: dict[str, object] = {"storage": storage, "service_domain": CLUSTERSET_DOMAIN}
    return Cluster(name, at or name, **{**values, **changes})  # type: ignore[arg-type]


def link(source: str, target: str, gigabits: float = 1.0, **changes: object) -> Link:
    return Link(f"{source}->{target}", source, target, gigabits * 1e9, **changes)  # type: ignore[arg-type]


def room(devices: int = 8, cpu: int = 96, memory: int = 768, pods: int = 110) -> Resources:
    """cpu in cores, memory in GiB."""
    return Resources(devices, cpu * 1000, memory * GIB, 1000 * GIB, pods)


def node(name: str, devices: int = 8, taints: Sequence[Taint] = (), schedulable: bool = True, **rest: int) -> Node:
    return Node(name, room(devices, **rest), taints=tuple(taints), schedulable=schedulable)


def pool(
    member: str, kind: str, nodes: int | Iterable[Node] = 1, devices: int = 8, at: str = "", **changes: object
) -> Pool:
    many = (
        tuple(node(f"{member}-{kind}-{i}", devices) for i in range(nodes)) if isinstance(nodes, int) else tuple(nodes)
    )
    return Pool(f"{member}/{kind}", member, at or member, kind, many, **changes)  # type: ignore[arg-type]


def growth(nodes: int, devices: int = 8, provision: float = 60.0) -> Growth:
    return Growth(nodes, room(devices), provision)


def accelerator(name: str, tolerations: Sequence[Toleration] = ()) -> AcceleratorType:
    kind = CLASSES.get(name, "GPU")
    resource = "" if kind == "CPU" else f"example.com/{name}"
    return AcceleratorType(
        name, kind, resource, memory_bytes=32 * GIB, tolerations=tuple(tolerations), peak_watts=WATTS.get(name)
    )


def fleet(
    pools: Sequence[Pool],
    links: Sequence[Link] = (),
    clusters: Sequence[Cluster] = (),
    sites: Sequence[Site] = (),
    kinds: Sequence[AcceleratorType] = (),
) -> Fleet:
    """Clusters, sites and kinds that are not given are made from the pools' names."""
    members = {pool.cluster: cluster(pool.cluster, pool.site) for pool in pools} | {one.name: one for one in clusters}
    names = {member.site for member in members.values()} | {e for one in links for e in (one.source, one.target)}
    places = {name: site(name) for name in names} | {one.name: one for one in sites}
    accelerators = {p.accelerator: accelerator(p.accelerator) for p in pools} | {one.name: one for one in kinds}
    return Fleet(
        tuple(places[name] for name in sorted(places)),
        tuple(sorted(links, key=lambda one: one.name)),
        tuple(members[name] for name in sorted(members)),
        tuple(sorted(pools, key=lambda one: one.name)),
        tuple(accelerators[name] for name in sorted(accelerators)),
    )


def option(
    kind: str,
    rate: float | None = 1.0,
    replicas: int = 1,
    devices: int = 1,
    name: str = "",
    pod: Resources | None = None,
) -> Option:
    cores = devices if kind == "cpu" else 1
    asked = pod or Resources(devices, 1000 * cores, 2 * GIB * devices, GIB, 1)
    return Option(name or f"{kind}x{replicas * devices}", kind, replicas, devices, rate, asked)


def job(
    name: str,
    options: Sequence[Option],
    work: float = 100.0,
    data: Sequence[str] = (),
    namespace: str = "team",
    **changes: object,
) -> TrainingJob:
    """`data` names data sets of the same namespace."""
    inputs = tuple(DataInput(Key(namespace, one, "DataSet")) for one in data)
    return TrainingJob(
        Key(namespace, name),
        f"uid-{name}",
        NOW - 60.0,
        work,
        tuple(options),
        inputs,
        **changes,  # type: ignore[arg-type]
    )


def splitting(shot: Snapshot, largest_file_bytes: int = 10**6) -> Snapshot:
    """The same with copies that may be split."""
    data = tuple(replace(one, largest_file_bytes=largest_file_bytes) for one in shot.data_sets)
    return replace(shot, data_sets=data, policy=replace(shot.policy, split_transfers=True))


def streaming(job: TrainingJob, chunks: int | None = 10) -> TrainingJob:
    """The same, reading all its data while it computes."""
    inputs = tuple(replace(one, access=Access.STREAM, chunks=chunks) for one in job.inputs)
    return replace(job, inputs=inputs)


def data_set(
    name: str,
    gigabytes: float,
    *sites: str,
    namespace: str = "team",
    residency: Selector = Selector(),
    **changes: object,
) -> DataSet:
    replicas = tuple(Replica(one, f"s3://{one}/{name}") for one in sites)
    return DataSet(Key(namespace, name, "DataSet"), int(gigabytes * 1e9), replicas, residency, **changes)  # type: ignore[arg-type]


def variant(kind: str, rate: float = 5.0, service: float = 0.05, devices: int = 1, model: str = "") -> Variant:
    wanted = DataInput(Key("team", model, "DataSet")) if model else None
    pod = Resources(devices, 1000, 2 * GIB, GIB, 1)
    return Variant(f"on-{kind}", kind, devices, rate, service, 0.8, pod, wanted)


def service(
    name: str,
    demand: Sequence[tuple[str, float]],
    variants: Sequence[Variant],
    latency: float = 0.5,
    **changes: object,
) -> InferenceService:
    return InferenceService(
        Key("team", name, "InferenceJob"),
        f"uid-{name}",
        NOW - 60.0,
        tuple(Demand(at, rate, 4000.0, 20_000.0) for at, rate in demand),
        tuple(variants),
        latency,
        **changes,  # type: ignore[arg-type]
    )


def snapshot(
    where: Fleet,
    jobs: Sequence[TrainingJob] = (),
    data: Sequence[DataSet] = (),
    services: Sequence[InferenceService] = (),
    policy: Policy | None = None,
    **changes: object,
) -> Snapshot:
    return Snapshot(
        NOW,
        where,
        tuple(sorted(jobs, key=lambda one: one.key)),
        tuple(sorted(services, key=lambda one: one.key)),
        tuple(sorted(data, key=lambda one: one.key)),
        policy=policy or Policy(startup_seconds=0.0, bandwidth_margin=1.0, solver=SolverLimits(search_steps=50)),
        **changes,  # type: ignore[arg-type]
    )


def random_snapshot(
    seed: int, jobs: int = 20, pools: int = 6, sites: int = 3, policy: Policy | None = None, nodes: int = 4
) -> Snapshot:
    """A fleet of several sites, all linked, with jobs whose data lies at some of them. Plausible, not measured."""
    dice = Random(seed)
    names = [f"site-{i:02d}" for i in range(sites)]
    kinds = ["v100", "p100", "k80", "npu", "cpu"]
    made = []
    for i in range(pools):
        at, kind = names[i % sites], kinds[(i // sites + i) % len(kinds)]
        devices = 32 if kind == "cpu" else 8
        many = tuple(node(f"{at}-{kind}-{i}-{k}", devices) for k in range(dice.randint(1, nodes)))
        made.append(Pool(f"{at}/{kind}-{i}", at, at, kind, many, price_per_device_hour=dice.choice([0.5, 1.0, 3.0])))
    links = [link(a, b, dice.choice([0.2, 0.5, 1.0, 5.0, 10.0])) for a in names for b in names if a != b]
    sets = [
        data_set(f"data-{i:04d}", dice.choice([10, 50, 100, 500, 1000]), dice.choice(names))
        for i in range(max(1, jobs * 3 // 4))
    ]
    speed = {"v100": 4.0, "p100": 2.0, "k80": 1.0, "npu": 3.0, "cpu": 0.3}
    work = []
    for i in range(jobs):
        width = dice.choice([1, 1, 2, 4, 8])
        rate = dice.uniform(0.5, 1.5)
        options = [
            option(kind, rate * speed[kind] * dice.uniform(0.8, 1.2) * (1 if kind == "cpu" else width),
                   devices=16 if kind == "cpu" else width)
            for kind in kinds
            if dice.random() < 0.8 or kind == "v100"
        ]  # fmt: skip
        data = [dice.choice(sets).key.name] if dice.random() < 0.9 else []
        work.append(job(f"job-{i:04d}", options, dice.uniform(500, 40_000), data))
    powered = [
        Site(name, power=Power(pue=1.1 + 0.2 * i, carbon_grams_per_kilowatt_hour=100.0 * (i + 1)))
        for i, name in enumerate(names)
    ]
    return snapshot(fleet(made, links, sites=powered), work, sets, policy=policy)
