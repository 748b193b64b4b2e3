"""Nodes to pools: like nodes are one pool, named and selectable so that pods land in it and nowhere else.

Pure functions over raw Node and Pod objects; the live inventory and `polyhull plan -f` use the same ones.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from polyhull.api.results import part
from polyhull.domain.fleet import AcceleratorType, Growth, Node, Pool, Taint
from polyhull.domain.labels import Labels, labels_of
from polyhull.domain.resources import Resources
from polyhull.domain.units import parse_millicores, parse_whole

Raw = Mapping[str, Any]
POOL_LABEL = "polyhull.io/pool"
SITE_LABEL = "polyhull.io/site"
ACCELERATOR_LABEL = "polyhull.io/accelerator"
"""An administrator's word on a node's kind of device; it counts for more than any matcher."""
POOL_LABELS = (
    POOL_LABEL,
    "karpenter.sh/nodepool",
    "cloud.google.com/gke-nodepool",
    "eks.amazonaws.com/nodegroup",
    "kubernetes.azure.com/agentpool",
)
"""Labels by which node groups are known, ours first."""
_CONDITION_TAINTS = "node.kubernetes.io/"
"""Taints that come and go with a node's health: no part of its shape."""
_PREFERRED = ("node.kubernetes.io/instance-type", "nvidia.com/gpu.product", "accelerator-type", "accelerator")
_LAST = ("kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/", "node-role.kubernetes.io/", "type")
HOSTNAME = "kubernetes.io/hostname"
_NEVER = (HOSTNAME, SITE_LABEL)
_MEMORY_GRAIN = 2**30
_CPU_GRAIN = 100
_MOST_LABELS = 24


@dataclass(frozen=True, slots=True)
class DeclaredPool:
    """A ComputePool. `max_nodes` is None without autoscaling; `shape` is one declared node."""

    name: str
    cluster: str
    site: str
    accelerator: str
    node_selector: Labels = ()
    nodes: int = 0
    shape: Resources | None = None
    taints: tuple[Taint, ...] = ()
    price_per_device_hour: float | None = None
    confidential: bool = False
    max_nodes: int | None = None
    provision_seconds: float = 0.0
    slowdown: float = 1.0

    def selects(self, labels: Labels, accelerator: str) -> bool:
        """Whether a node is of this pool: by its labels, or without any by its accelerator."""
        if not self.node_selector:
            return accelerator == self.accelerator
        have = dict(labels)
        return all(have.get(key) == value for key, value in self.node_selector)


@dataclass(frozen=True, slots=True)
class _Seen:
    """One node as read: what it is, what it has, what is free."""

    node: Node
    accelerator: str
    allocatable: Resources
    created: str
    site: str


def pools_of(
    cluster: str,
    site: str,
    nodes: Iterable[Raw],
    pods: Iterable[Raw],
    declared_pools: Sequence[DeclaredPool],
    catalogue: Sequence[AcceleratorType],
    own_pod: Callable[[Raw], bool] = lambda pod: False,
    *,
    declared_nodes: bool = False,
) -> tuple[Pool, ...]:
    """Pools of one cluster, sorted by name.

    `nodes`, `pods`: raw core/v1 objects; `own_pod` says which pods are placements of the snapshot's own jobs, to
    be left out of what is subtracted. `site` holds where a node has no label `polyhull.io/site`. With
    `declared_nodes` (files only) nodes that ComputePools declare exist. A node whose numbers cannot be read
    (a member may write anything) counts as not schedulable and empty.
    """
    taken = requested_by_node(pods, own_pod)
    seen = [_read(raw, site, taken, catalogue) for raw in nodes]
    mine = sorted(
        (pool for pool in declared_pools if pool.cluster == cluster),
        key=lambda pool: (-len(pool.node_selector), pool.name),
    )
    groups: dict[str, list[_Seen]] = {}
    rest: list[_Seen] = []
    for entry in seen:
        owner = next((pool for pool in mine if pool.selects(entry.node.labels, entry.accelerator)), None)
        if owner is None:
            rest.append(entry)
        else:
            groups.setdefault(owner.name, []).append(entry)
    everyone = tuple(entry.node for entry in seen)
    pools = [_declared(cluster, site, pool, groups.get(pool.name, []), everyone, declared_nodes) for pool in mine]
    pools += _discovered(cluster, rest, everyone, {pool.name for pool in mine})
    return tuple(sorted(pools, key=lambda pool: pool.name))


def requested_by_node(pods: Iterable[Raw], own_pod: Callable[[Raw], bool]) -> dict[str, dict[str, int]]:
    """Node name -> resource -> amount (cpu in millicores) that bound, unfinished pods of others request."""
    out: dict[str, dict[str, int]] = {}
    for pod in pods:
        spec = part(pod, "spec")
        node = spec.get("nodeName")
        if not node or part(pod, "status").get("phase") in ("Succeeded", "Failed") or own_pod(pod):
            continue
        totals = out.setdefault(node, {"pods": 0})
        totals["pods"] += 1
        for name, amount in pod_requests(spec).items():
            totals[name] = totals.get(name, 0) + amount
    return out


def pod_requests(spec: Raw) -> dict[str, int]:
    """What the scheduler counts for a pod: containers and sidecars together, or the largest init step, and overhead.

    Source: k8s.io/component-helpers resource.PodRequests (KEP-753 for sidecars, KEP-2837 for pod-level requests).
    """
    total = _sum(_requests(container) for container in spec.get("containers") or ())
    sidecars: dict[str, int] = {}
    largest: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        needs = _requests(container)
        if container.get("restartPolicy") == "Always":
            sidecars = _sum((sidecars, needs))
            step = sidecars
        else:
            step = _sum((sidecars, needs))
        largest = _largest(largest, step)
    total = _largest(_sum((total, sidecars)), largest)
    for name, amount in _requests(spec).items():
        total[name] = amount
    return _sum((total, _amounts(spec.get("overhead") or {})))


def accelerator_of(labels: Labels, allocatable: Mapping[str, Any], catalogue: Sequence[AcceleratorType]) -> str:
    """Name of the most specific kind that a node is of: it offers the resource and its labels match.

    More matched labels win, then the name; a node without a known device is of class CPU (`cpu` if nobody says).
    """
    have = dict(labels)
    best: tuple[int, str] | None = None
    for kind in catalogue:
        if kind.resource_name and _amount(kind.resource_name, allocatable.get(kind.resource_name)) <= 0:
            continue
        depth = 500 if have.get(ACCELERATOR_LABEL) == kind.name else _depth(kind, have)
        if depth is None:
            continue
        rank = (-depth - (1000 if kind.resource_name else 0), kind.name)
        best = rank if best is None else min(best, rank)
    return best[1] if best else "cpu"


def _depth(kind: AcceleratorType, labels: Mapping[str, str]) -> int | None:
    """How many labels told the kind; None if they tell another."""
    if any(labels.get(key) != value for key, value in kind.node_labels):
        return None
    matched = [len(matcher) for matcher in kind.matchers if all(entry.matches(labels) for entry in matcher)]
    if kind.matchers and not matched:
        return None
    return len(kind.node_labels) + max(matched, default=0)


def _read(raw: Raw, site: str, taken: Mapping[str, Mapping[str, int]], catalogue: Sequence[AcceleratorType]) -> _Seen:
    metadata, spec, status = part(raw, "metadata"), part(raw, "spec"), part(raw, "status")
    name = str(metadata.get("name"))
    labels = labels_of({str(key): str(value) for key, value in part(metadata, "labels").items()})
    offered = part(status, "allocatable") or part(status, "capacity")
    accelerator = accelerator_of(labels, offered, catalogue)
    kind = next((kind for kind in catalogue if kind.name == accelerator), None)
    resource = kind.resource_name if kind else ""
    allocatable = _resources(_amounts(offered), resource)
    free = _resources(_difference(_amounts(offered), taken.get(name, {})), resource)
    taints = tuple(
        Taint(str(taint.get("key", "")), str(taint.get("value") or ""), str(taint.get("effect", "NoSchedule")))
        for taint in spec.get("taints") or ()
        if taint.get("effect") != "PreferNoSchedule"
    )
    schedulable = not spec.get("unschedulable") and _ready(status)
    node = Node(name, free, labels, taints, schedulable)
    home = dict(labels).get(SITE_LABEL) or site
    return _Seen(node, accelerator, allocatable, str(metadata.get("creationTimestamp") or ""), home)


def _ready(status: Raw) -> bool:
    """Ready is True; a node without conditions (one in a file) is taken to be."""
    conditions = status.get("conditions")
    if not conditions:
        return True
    return any(entry.get("type") == "Ready" and entry.get("status") == "True" for entry in conditions)


def _declared(
    cluster: str, site: str, pool: DeclaredPool, members: Sequence[_Seen], everyone: Sequence[Node], declared: bool
) -> Pool:
    nodes = [entry.node for entry in sorted(members, key=lambda entry: entry.node.name)]
    selector, by_name = _selector(nodes, everyone, pool.node_selector)
    if declared and not nodes and pool.shape is not None:
        labels = labels_of(dict(pool.node_selector) or {POOL_LABEL: pool.name})
        selector, by_name = labels, False
        nodes = [
            Node(f"{cluster}-{pool.name}-{index:04d}", pool.shape, labels, pool.taints) for index in range(pool.nodes)
        ]
    if not nodes:
        selector, by_name = pool.node_selector, False
    shape = pool.shape or (members[0].allocatable if members else None)
    growth = None
    if pool.max_nodes is not None and shape is not None and pool.max_nodes > len(nodes):
        growth = Growth(pool.max_nodes - len(nodes), shape, pool.provision_seconds)
    home = pool.site or (members[0].site if members else site)
    return Pool(
        f"{cluster}/{pool.name}",
        cluster,
        home,
        pool.accelerator,
        tuple(nodes),
        selector,
        pool.price_per_device_hour,
        pool.confidential,
        growth,
        by_name,
        pool.slowdown,
    )


Shape = tuple[str, str, str, int, int, int, tuple[Taint, ...]]


def _shape(entry: _Seen) -> Shape:
    taints = tuple(
        sorted(
            (taint for taint in entry.node.taints if not taint.key.startswith(_CONDITION_TAINTS)),
            key=lambda taint: (taint.key, taint.value, taint.effect),
        )
    )
    room = entry.allocatable
    # Kubelets of equal machines report memory some kibibytes apart.
    cores, memory = room.cpu_millicores // _CPU_GRAIN, room.memory_bytes // _MEMORY_GRAIN
    devices = 0 if entry.accelerator == "cpu" else room.devices
    return (entry.accelerator, entry.site, _pool_label(entry.node)[1], devices, cores, memory, taints)


def _pool_label(node: Node) -> tuple[str, str]:
    have = dict(node.labels)
    return next(((key, have[key]) for key in POOL_LABELS if have.get(key)), ("", ""))


def _discovered(cluster: str, rest: Sequence[_Seen], everyone: Sequence[Node], used: set[str]) -> list[Pool]:
    groups: dict[Shape, list[_Seen]] = defaultdict(list)
    for entry in rest:
        groups[_shape(entry)].append(entry)
    by_age = sorted(groups.items(), key=lambda item: (min(entry.created for entry in item[1]), repr(item[0])))
    names = set(used)
    pools = []
    for shape, members in by_age:
        short = _short_name(shape, members, names)
        names.add(short)
        nodes = sorted((entry.node for entry in members), key=lambda node: node.name)
        selector, by_name = _selector(nodes, everyone, ())
        pools.append(Pool(f"{cluster}/{short}", cluster, shape[1], shape[0], tuple(nodes), selector, by_name=by_name))
    return pools


def _short_name(shape: Shape, members: Sequence[_Seen], names: set[str]) -> str:
    """The pool label's value where it is ours; the accelerator for the oldest; then with a suffix of its own.

    A suffix depends on the group alone, so that a pool keeps its name when another one appears.
    """
    accelerator, _, label, devices, cores, memory, _ = shape
    key, _ = _pool_label(members[0].node)
    if key == POOL_LABEL:
        wishes = [label, f"{accelerator}-{label}"]
    else:
        wishes = [accelerator] + ([f"{accelerator}-{label}"] if label else [])
    wishes.append(f"{accelerator}-{devices}x-{cores * _CPU_GRAIN // 1000}c-{memory}g")
    digest = hashlib.sha256(repr(shape).encode()).hexdigest()
    wishes += [f"{accelerator}-{digest[:6]}", f"{accelerator}-{digest[:16]}"]
    return next((wish for wish in map(_clean, wishes) if wish and wish not in names), _clean(digest[:40]))


def _clean(text: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")[:63].strip("-")


def _selector(nodes: Sequence[Node], everyone: Sequence[Node], given: Labels) -> tuple[Labels, bool]:
    """Labels that all of `nodes` and no other node carry, as few and as telling as can be; else (common, True).

    The hostname is the last resort for a single node: another one that joins the pool would not carry it.
    """
    if not nodes:
        return given, False
    inside = {node.name for node in nodes}
    outside = [dict(node.labels) for node in everyone if node.name not in inside]
    common = set(nodes[0].labels).intersection(*(set(node.labels) for node in nodes[1:]))

    def exact(labels: Labels) -> bool:
        return not any(all(other.get(key) == value for key, value in labels) for other in outside)

    if given and set(given) <= common and exact(given):
        return given, False
    choices = sorted((pair for pair in common if pair[0] not in _NEVER and len(pair[1]) <= 63), key=_telling)[
        :_MOST_LABELS
    ]
    for count in (1, 2, 3):
        for labels in combinations(choices, count):
            if exact(labels):
                return tuple(sorted(labels)), False
    hostname = next((pair for pair in common if pair[0] == HOSTNAME), None)
    if len(nodes) == 1 and hostname is not None and exact((hostname,)):
        return (hostname,), False
    everything = tuple(sorted(choices))
    return everything, not exact(everything) or not everything


def _telling(pair: tuple[str, str]) -> tuple[int, str]:
    key = pair[0]
    if key in POOL_LABELS:
        return (POOL_LABELS.index(key), key)
    if key in _PREFERRED:
        return (10 + _PREFERRED.index(key), key)
    return (30 if key.startswith(_LAST) else 20, key)


def _resources(amounts: Mapping[str, int], resource: str) -> Resources:
    cpu = max(0, amounts.get("cpu", 0))
    devices = max(0, amounts.get(resource, 0)) if resource else cpu // 1000
    return Resources(
        devices,
        cpu,
        max(0, amounts.get("memory", 0)),
        max(0, amounts.get("ephemeral-storage", 0)),
        max(0, amounts.get("pods", 0)),
    )


def _requests(container: Raw) -> dict[str, int]:
    resources = container.get("resources") or {}
    return _amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _amounts(quantities: Mapping[str, Any]) -> dict[str, int]:
    return {str(name): _amount(str(name), value) for name, value in quantities.items()}


def _amount(name: str, value: Any) -> int:
    if value is None:
        return 0
    try:
        return parse_millicores(str(value)) if name == "cpu" else parse_whole(str(value))
    except ValueError:
        return 0


def _sum(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    out: dict[str, int] = {}
    for amounts in parts:
        for name, amount in amounts.items():
            out[name] = out.get(name, 0) + amount
    return out


def _largest(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def _difference(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: amount - other.get(name, 0) for name, amount in one.items()}
