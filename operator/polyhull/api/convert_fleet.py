"""Sites, links, members, pools, accelerators and policies to domain values."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from polyhull.api.convert_common import findings_for, model_of, selector
from polyhull.api.inventory import DeclaredPool
from polyhull.api.results import Converted, Findings, created_at
from polyhull.api.v1alpha1 import compute, member, policy, topology
from polyhull.domain.fleet import (
    CLUSTERSET_DOMAIN,
    AcceleratorType,
    Cluster,
    Evidence,
    Link,
    Power,
    Site,
    Storage,
    StorageKind,
    Taint,
    Toleration,
)
from polyhull.domain.labels import Requirement, Selector, labels_of
from polyhull.domain.media import propagation_seconds
from polyhull.domain.resources import Resources
from polyhull.domain.snapshot import OBJECTIVES, Mode, Policy, SolverLimits

Raw = Mapping[str, Any]
REVERSE = ".reverse"
"""Suffix of the way back of a symmetric link."""


@dataclass(frozen=True, slots=True)
class NamespaceRule:
    """What a PlacementPolicy that is not `default` says of the namespaces it selects."""

    name: str
    selector: Selector
    created_at: float
    priority_range: tuple[int, int] | None = None
    priority_default: int = 0
    max_jobs: int | None = None
    device_limits: tuple[tuple[str, int], ...] = ()
    """(accelerator, devices) that its namespaces may hold together."""
    mode: Mode | None = None
    """The most that may happen to their jobs; None: what the fleet's mode lets happen."""
    cost_budget: float | None = None
    energy_budget_kilowatt_hours: float | None = None
    carbon_budget_grams: float | None = None
    """The most that their unfinished jobs may take together from now on."""

    @property
    def has_budget(self) -> bool:
        return (self.cost_budget, self.energy_budget_kilowatt_hours, self.carbon_budget_grams) != (None, None, None)


def site(raw: Raw | topology.Site, *, file: str = "", strict: bool = False) -> Converted[Site]:
    entry, failed = model_of(raw, topology.Site, file, strict)
    if entry is None:
        assert failed is not None
        return failed
    spec, found = entry.spec, findings_for(entry, file)
    labels = dict(spec.labels or {})
    return found.done(Site(entry.name, spec.tier, spec.region or "", labels_of(labels), _power(spec.power, found)))


def links(raw: Raw | topology.Link, *, file: str = "", strict: bool = False) -> Converted[tuple[Link, ...]]:
    """One link, or two where `symmetric`: the way back is called `<name>.reverse`."""
    entry, failed = model_of(raw, topology.Link, file, strict)
    if entry is None:
        assert failed is not None
        return failed
    spec, found = entry.spec, findings_for(entry, file)
    bandwidth = found.whole("spec.bandwidth", spec.bandwidth, most=10**18)
    if bandwidth == 0 and not found.problems:
        found.invalid("spec.bandwidth", "is zero", "write bits per second such as 10G, or delete the link")
    there = Link(
        entry.name,
        spec.source,
        spec.target,
        float(bandwidth),
        _latency_seconds(spec, found),
        found.maybe_decimal(spec.price_per_gigabyte),
    )
    back = replace(there, name=f"{entry.name}{REVERSE}", source=spec.target, target=spec.source)
    return found.done((there, back) if spec.symmetric else (there,))


def cluster(
    raw: Raw | member.MemberCluster,
    *,
    connected: bool = True,
    accepts: frozenset[str] | None = None,
    service_accounts: frozenset[str] | None = None,
    serves_pod_groups: bool = False,
    serves_service_exports: bool = True,
    file: str = "",
    strict: bool = False,
) -> Converted[Cluster]:
    """A member; what is observed of it (connected, accepting namespaces, APIs) comes from the caller."""
    entry, failed = model_of(raw, member.MemberCluster, file, strict)
    if entry is None:
        assert failed is not None
        return failed
    spec, found = entry.spec, findings_for(entry, file)
    if spec.cluster_profile_ref is not None:
        remedy = "write kubeconfigSecretRef"
        found.refuse("spec.clusterProfileRef", f"ClusterProfiles are not read yet; {remedy}")
    return found.done(
        Cluster(
            name=entry.name,
            site=spec.site_ref.name,
            local=spec.local,
            connected=connected,
            fenced=spec.fenced,
            drain=spec.drain,
            accepts=None if spec.local else accepts,
            service_accounts=None if spec.local else service_accounts,
            storage=_storage(spec.storage, found),
            serves_pod_groups=serves_pod_groups,
            service_domain=spec.service_domain or (CLUSTERSET_DOMAIN if serves_service_exports else ""),
        )
    )


def declared_pool(raw: Raw | compute.ComputePool, *, file: str = "", strict: bool = False) -> Converted[DeclaredPool]:
    entry, failed = model_of(raw, compute.ComputePool, file, strict)
    if entry is None:
        assert failed is not None
        return failed
    spec, found = entry.spec, findings_for(entry, file)
    growth = spec.autoscaling
    if growth is not None and growth.hook is not None:
        remedy = "leave it out: pending pods ask for the pool's label, which any node autoscaler sees"
        found.refuse("spec.autoscaling.hook", f"hooks are not called yet; {remedy}")
    shape = _shape(spec, found)
    if growth is not None and growth.min_nodes > growth.max_nodes:
        found.invalid("spec.autoscaling.minNodes", "is more than maxNodes", "lower minNodes or raise maxNodes")
    if spec.capacity is not None and shape is not None and shape.devices == 0:
        found.invalid("spec.devicesPerNode", "declared nodes have no devices", "set devicesPerNode")
    return found.done(
        DeclaredPool(
            name=entry.name,
            cluster=spec.cluster,
            site=spec.site or "",
            accelerator=spec.accelerator,
            node_selector=labels_of(spec.node_selector or {}),
            nodes=spec.capacity.nodes if spec.capacity else 0,
            shape=shape,
            taints=tuple(Taint(taint.key, taint.value or "", taint.effect) for taint in spec.taints or ()),
            price_per_device_hour=found.maybe_decimal(spec.price_per_device_hour),
            confidential=spec.confidential,
            slowdown=_slowdown(spec, found),
            max_nodes=growth.max_nodes if growth else None,
            provision_seconds=float(growth.provision_seconds) if growth else 0.0,
        )
    )


def accelerator(
    raw: Raw | compute.AcceleratorType, *, file: str = "", strict: bool = False
) -> Converted[AcceleratorType]:
    entry, failed = model_of(raw, compute.AcceleratorType, file, strict)
    if entry is None:
        assert failed is not None
        return failed
    spec, found = entry.spec, findings_for(entry, file)
    if spec.device_class_name is not None:
        found.refuse("spec.deviceClassName", "DRA claims are not made yet; write resourceName")
    if spec.device_class != "CPU" and spec.resource_name is None and spec.device_class_name is None:
        found.invalid("spec.resourceName", "is missing", "write what pods request, such as nvidia.com/gpu")
    if spec.device_class == "CPU" and spec.resource_name is not None:
        found.invalid("spec.resourceName", "class CPU requests cpu", "take it out")
    peaks = (
        (
            peak.precision,
            float(found.whole(f"spec.peakFlops[{index}].flopsPerSecond", peak.flops_per_second, most=10**20)),
        )
        for index, peak in enumerate(spec.peak_flops or ())
    )
    matchers = (
        tuple(Requirement(label.key, label.operator, tuple(label.values or ())) for label in matcher.labels)
        for matcher in spec.matchers or ()
    )
    idle, peak = found.maybe_decimal(spec.idle_watts), found.maybe_decimal(spec.peak_watts)
    if idle is not None and peak is not None and idle > peak:
        found.invalid("spec.idleWatts", f"{spec.idle_watts} is more than peakWatts", "correct one of the two")
    return found.done(
        AcceleratorType(
            name=entry.name,
            device_class=spec.device_class,
            resource_name=spec.resource_name or "",
            memory_bytes=found.whole("spec.memory", spec.memory),
            peak_flops=tuple(sorted(peaks)),
            memory_bytes_per_second=float(found.whole("spec.memoryBandwidth", spec.memory_bandwidth)),
            idle_watts=idle,
            peak_watts=peak,
            mean_hours_between_failures=found.maybe_decimal(spec.mean_hours_between_failures),
            evidence=Evidence(spec.evidence),
            tolerations=tuple(
                Toleration(entry.key, entry.operator, entry.value or "", entry.effect or "")
                for entry in spec.tolerations or ()
            ),
            matchers=tuple(matchers),
        )
    )


def fleet_policy(raw: Raw | policy.PlacementPolicy, *, file: str = "", strict: bool = False) -> Converted[Policy]:
    """The PlacementPolicy named `default`."""
    entry, failed = model_of(raw, policy.PlacementPolicy, file, strict)
    if entry is None:
        assert failed is not None
        return failed
    spec, found = entry.spec, findings_for(entry, file)
    plain = Policy()
    objective = tuple(spec.objective or plain.objective)
    unknown = [name for name in objective if name not in OBJECTIVES]
    if unknown:
        found.refuse(
            "spec.objective", f"{', '.join(unknown)} is not optimised yet; choose from {', '.join(OBJECTIVES)}"
        )
    if len(set(objective)) != len(objective):
        found.invalid("spec.objective", "lists a level twice", "name each level once")
    for name in ("namespaceSelector", "priorityRange", "maxJobs", "deviceLimits"):
        if getattr(spec, _SNAKE[name]) is not None:
            found.invalid(
                f"spec.{name}", "does not belong into the policy named default", "put it into another policy"
            )
    calm = spec.stabilisation or policy.Stabilisation()
    gain, cool_down = calm.minimum_gain, calm.cool_down_seconds
    return found.done(
        Policy(
            mode=Mode(spec.mode or "Enforce"),
            objective=objective,
            bandwidth_margin=found.decimal(spec.bandwidth_margin)
            if spec.bandwidth_margin
            else plain.bandwidth_margin,
            startup_seconds=plain.startup_seconds if spec.startup_seconds is None else float(spec.startup_seconds),
            overlap_chunks=plain.overlap_chunks if spec.overlap_chunks is None else spec.overlap_chunks,
            cost_budget=found.maybe_decimal(spec.cost_budget),
            energy_budget_kilowatt_hours=found.maybe_decimal(spec.energy_budget_kilowatt_hours),
            carbon_budget_grams=found.maybe_decimal(spec.carbon_budget_grams),
            minimum_gain=found.decimal(gain) if gain else plain.minimum_gain,
            move_budget=calm.move_budget,
            cool_down_seconds=plain.cool_down_seconds if cool_down is None else float(cool_down),
            move_running=calm.move_running == "Allowed",
            running_move_budget=plain.running_move_budget
            if calm.running_move_budget is None
            else calm.running_move_budget,
            split_transfers=spec.transfers is not None and spec.transfers.split == "Allowed",
            solver=_limits(spec.solver),
        )
    )


def namespace_rule(
    raw: Raw | policy.PlacementPolicy, *, file: str = "", strict: bool = False
) -> Converted[NamespaceRule]:
    """A PlacementPolicy not named `default`."""
    entry, failed = model_of(raw, policy.PlacementPolicy, file, strict)
    if entry is None:
        assert failed is not None
        return failed
    spec, found = entry.spec, findings_for(entry, file)
    if spec.namespace_selector is None:
        found.invalid("spec.namespaceSelector", "is missing", "add it, or name the policy default")
    for name in policy.FLEET_FIELDS:
        if getattr(spec, _SNAKE[name]) is not None:
            found.invalid(f"spec.{name}", "belongs into the policy named default", "move it there")
    tiers = spec.priority_range
    return found.done(
        NamespaceRule(
            name=entry.name,
            selector=selector(spec.namespace_selector),
            created_at=created_at(entry.metadata),
            priority_range=(tiers.min, tiers.max) if tiers else None,
            priority_default=tiers.default if tiers else 0,
            max_jobs=spec.max_jobs,
            mode=Mode(spec.mode) if spec.mode else None,
            cost_budget=found.maybe_decimal(spec.cost_budget),
            energy_budget_kilowatt_hours=found.maybe_decimal(spec.energy_budget_kilowatt_hours),
            carbon_budget_grams=found.maybe_decimal(spec.carbon_budget_grams),
            device_limits=tuple((limit.accelerator, limit.devices) for limit in spec.device_limits or ()),
        )
    )


_SNAKE = {(field.alias or name): name for name, field in policy.PlacementPolicySpec.model_fields.items()}


def _power(spec: topology.Power | None, found: Findings) -> Power:
    if spec is None:
        return Power()
    pue = found.maybe_decimal(spec.pue)
    if pue is not None and not 1.0 <= pue <= 100.0:
        found.invalid(
            "spec.power.pue", f"{spec.pue} is no power usage effectiveness", 'write 1 or more, such as "1.2"'
        )
    return Power(
        None if spec.cap_watts is None else float(spec.cap_watts),
        pue,
        found.maybe_decimal(spec.carbon_grams_per_kilowatt_hour),
    )


def _slowdown(spec: compute.ComputePoolSpec, found: Findings) -> float:
    factor = found.maybe_decimal(spec.confidential_slowdown)
    if factor is None:
        return 1.0
    if not spec.confidential:
        found.invalid("spec.confidentialSlowdown", "the pool is not confidential", "set confidential: true")
    if not 1.0 <= factor <= 1000.0:
        problem = f"{spec.confidential_slowdown} is not between 1 and 1000"
        found.invalid("spec.confidentialSlowdown", problem, 'write how many times longer work takes, such as "1.08"')
    return factor


def _latency_seconds(spec: topology.LinkSpec, found: Findings) -> float:
    if spec.distance_kilometres is None:
        return found.decimal(spec.latency_milliseconds) / 1000
    if spec.medium is None:
        found.invalid("spec.medium", "is missing beside distanceKilometres", "write Fibre or Ethernet")
        return 0.0
    return propagation_seconds(spec.medium, found.decimal(spec.distance_kilometres))


def _storage(spec: member.StorageSpec | None, found: Findings) -> Storage:
    if spec is None:
        return Storage()
    if spec.volume is not None:
        capacity = spec.volume.capacity
        return Storage(
            StorageKind.VOLUME,
            storage_class_name=spec.volume.storage_class_name or "",
            capacity_bytes=None if capacity is None else found.whole("spec.storage.volume.capacity", capacity),
            bytes_per_second=_saving("spec.storage.volume.bandwidth", spec.volume.bandwidth, found),
        )
    assert spec.bucket is not None
    capacity = spec.bucket.capacity
    return Storage(
        StorageKind.BUCKET,
        url=spec.bucket.url,
        secret_name=spec.bucket.secret_name or "",
        capacity_bytes=None if capacity is None else found.whole("spec.storage.bucket.capacity", capacity),
        bytes_per_second=_saving("spec.storage.bucket.bandwidth", spec.bucket.bandwidth, found),
    )


def _saving(field: str, bandwidth: int | str | None, found: Findings) -> float | None:
    bits = None if bandwidth is None else found.whole(field, bandwidth)
    if bits == 0:
        found.invalid(field, "is zero", "write bits per second, such as 10G, or leave it out")
    return bits / 8.0 if bits else None


def _shape(spec: compute.ComputePoolSpec, found: Findings) -> Resources | None:
    if spec.capacity is None:
        return None
    millicores = found.millicores("spec.capacity.cpu", spec.capacity.cpu)
    devices = spec.devices_per_node
    if devices is None:
        devices = millicores // 1000 if spec.accelerator == "cpu" else 0
    return Resources(
        devices=devices,
        cpu_millicores=millicores,
        memory_bytes=found.whole("spec.capacity.memory", spec.capacity.memory),
        ephemeral_bytes=found.whole("spec.capacity.ephemeralStorage", spec.capacity.ephemeral_storage),
        pods=spec.capacity.pods,
    )


def _limits(spec: policy.Solver | None) -> SolverLimits:
    plain = SolverLimits()
    if spec is None:
        return plain

    def given(value: int | None, otherwise: int) -> int:
        return otherwise if value is None else value

    return SolverLimits(
        search_steps=spec.search_steps,
        exact_jobs=given(spec.exact_jobs, plain.exact_jobs),
        exact_deterministic_seconds=float(spec.exact_seconds or plain.exact_deterministic_seconds),
        kill_seconds=float(spec.kill_seconds or plain.kill_seconds),
        seed=given(spec.seed, plain.seed),
    )
