"""What one object alone cannot tell: references, contradictions, ranges. Pure functions over domain values.

Each returns refusals of one object (the field, what is wrong, what to do); an object that is refused is not used.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from polyhull.api.conditions import Reason
from polyhull.api.convert_fleet import NamespaceRule
from polyhull.api.inventory import DeclaredPool
from polyhull.api.results import Refusal
from polyhull.domain.fleet import AcceleratorType, Cluster, Link, Site
from polyhull.domain.labels import Labels
from polyhull.domain.snapshot import DeviceLimit, Mode, NamespaceBudget
from polyhull.domain.workloads import DataSet, InferenceService, Key, TrainingJob

Job = TrainingJob | InferenceService


@dataclass(frozen=True, slots=True)
class Known:
    """What references may point to. `namespaces` holds labels of those that were seen."""

    sites: Mapping[str, Site]
    links: tuple[Link, ...] = ()
    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    accelerators: Mapping[str, AcceleratorType] = field(default_factory=dict)
    data_sets: Mapping[Key, DataSet] = field(default_factory=dict)
    rules: tuple[NamespaceRule, ...] = ()
    namespaces: Mapping[str, Labels] = field(default_factory=dict)


def check_cluster(cluster: Cluster, known: Known) -> tuple[Refusal, ...]:
    if cluster.site in known.sites:
        return ()
    return (_unknown("spec.siteRef.name", "Site", cluster.site, known.sites),)


def check_declared_pool(pool: DeclaredPool, known: Known) -> tuple[Refusal, ...]:
    found = []
    if pool.cluster not in known.clusters:
        found.append(_unknown("spec.cluster", "MemberCluster", pool.cluster, known.clusters))
    if pool.site and pool.site not in known.sites:
        found.append(_unknown("spec.site", "Site", pool.site, known.sites))
    if pool.accelerator not in known.accelerators:
        found.append(_unknown("spec.accelerator", "AcceleratorType", pool.accelerator, known.accelerators))
    return tuple(found)


def check_links(links: Sequence[tuple[Link, float]], sites: Mapping[str, Site]) -> dict[str, tuple[Refusal, ...]]:
    """Refusals by link name. Each link comes with its object's creation time; of two links in one direction the
    older stays."""
    out: dict[str, list[Refusal]] = defaultdict(list)
    first: dict[tuple[str, str], Link] = {}
    for link, _ in sorted(links, key=lambda pair: (pair[1], pair[0].name)):
        for name, end in (("from", link.source), ("to", link.target)):
            if end not in sites:
                out[link.name].append(_unknown(f"spec.{name}", "Site", end, sites))
        other = first.setdefault((link.source, link.target), link)
        if other is not link:
            same = (other.bandwidth_bits_per_second, other.latency_seconds, other.price_per_gigabyte) == (
                link.bandwidth_bits_per_second,
                link.latency_seconds,
                link.price_per_gigabyte,
            )
            what = "repeats" if same else "contradicts"
            message = f"{link.source} -> {link.target} {what} link {other.name}; delete one of the two"
            out[link.name].append(Refusal("spec", message, Reason.CONFLICT))
    return {name: tuple(found) for name, found in out.items()}


def check_data_set(entry: DataSet, known: Known) -> tuple[Refusal, ...]:
    """Unknown sites, replicas outside the residency, and data that no cluster can ever read."""
    found = []
    homes = []
    for index, replica in enumerate(entry.replicas):
        place = known.sites.get(replica.site)
        if place is None:
            found.append(_unknown(f"spec.replicas[{index}].site", "Site", replica.site, known.sites))
        elif not entry.residency.matches(place.labels):
            message = (
                f"{replica.site} is outside the data set's own residency; widen the residency or drop the replica"
            )
            found.append(Refusal(f"spec.replicas[{index}].site", message, Reason.CONFLICT))
        else:
            homes.append(replica.site)
    if homes and known.clusters and not _reached(homes, entry, known) & {c.site for c in known.clusters.values()}:
        message = (
            f"no cluster can be reached from {', '.join(homes)} inside the residency; "
            "declare a Link, or a MemberCluster at one of these sites"
        )
        found.append(Refusal("spec.replicas", message, Reason.NO_REACHABLE_REPLICA))
    return tuple(found)


def check_job(job: Job, known: Known) -> tuple[Refusal, ...]:
    """Unknown accelerators, data sets and sites, and a priority that the namespace's policy does not allow."""
    found = list(_check_accelerators(job, known))
    found += _check_inputs(job, known)
    if isinstance(job, InferenceService):
        for index, demand in enumerate(job.demand):
            if demand.site not in known.sites:
                found.append(_unknown(f"spec.demand[{index}].site", "Site", demand.site, known.sites))
    rule = rule_of(job.key.namespace, known)
    if rule is not None and rule.priority_range is not None:
        least, most = rule.priority_range
        if not least <= job.priority <= most:
            message = f"{job.priority} is outside {least} to {most} of policy {rule.name}; write one inside"
            found.append(Refusal("spec.priority", message, Reason.PRIORITY_OUT_OF_RANGE))
    return tuple(found)


def check_counts(jobs: Sequence[Job], known: Known) -> dict[Key, tuple[Refusal, ...]]:
    """Jobs beyond `maxJobs` of their namespace. `jobs` are unfinished ones; the oldest keep their place."""
    out: dict[Key, tuple[Refusal, ...]] = {}
    by_namespace: dict[str, list[Job]] = defaultdict(list)
    for job in sorted(jobs, key=lambda job: (job.created_at, job.key)):
        by_namespace[job.key.namespace].append(job)
    for namespace, mine in by_namespace.items():
        rule = rule_of(namespace, known)
        if rule is None or rule.max_jobs is None:
            continue
        for job in mine[rule.max_jobs :]:
            message = (
                f"the namespace has more than {rule.max_jobs} unfinished jobs (policy {rule.name}); "
                "wait for one to end, or delete one"
            )
            out[job.key] = (Refusal("metadata.namespace", message, Reason.TOO_MANY_JOBS),)
    return out


def check_rules(rules: Sequence[NamespaceRule], namespaces: Mapping[str, Labels]) -> dict[str, tuple[Refusal, ...]]:
    """Policies that select a namespace which an older one selects already, by name."""
    out: dict[str, tuple[Refusal, ...]] = {}
    owner: dict[str, str] = {}
    for rule in sorted(rules, key=lambda rule: (rule.created_at, rule.name)):
        mine = [name for name in sorted(namespaces) if rule.selector.matches(namespaces[name])]
        taken = next((name for name in mine if name in owner), None)
        if taken is None:
            owner.update(dict.fromkeys(mine, rule.name))
            continue
        message = f"policy {owner[taken]} selects namespace {taken} too; narrow one of the two"
        out[rule.name] = (Refusal("spec.namespaceSelector", message, Reason.POLICY_OVERLAP),)
    return out


def check_rule(rule: NamespaceRule, known: Known) -> tuple[Refusal, ...]:
    """Limits on devices of a kind that nobody declared."""
    return tuple(
        _unknown(f"spec.deviceLimits[{index}].accelerator", "AcceleratorType", kind, known.accelerators)
        for index, (kind, _) in enumerate(rule.device_limits)
        if kind not in known.accelerators
    )


def device_limits(namespaces: Iterable[str], known: Known) -> tuple[DeviceLimit, ...]:
    """What these namespaces may hold together, by the policy that selects each; sorted."""
    selected = _selected(namespaces, known)
    return tuple(
        DeviceLimit(rule.name, kind, devices, tuple(selected[rule.name]))
        for rule in sorted(known.rules, key=lambda rule: rule.name)
        for kind, devices in sorted(rule.device_limits)
        if selected[rule.name]
    )


def budgets(namespaces: Iterable[str], known: Known) -> tuple[NamespaceBudget, ...]:
    """What jobs of these namespaces may take together, by the policy that selects each; sorted."""
    selected = _selected(namespaces, known)
    return tuple(
        NamespaceBudget(
            rule.name,
            tuple(selected[rule.name]),
            rule.cost_budget,
            rule.energy_budget_kilowatt_hours,
            rule.carbon_budget_grams,
        )
        for rule in sorted(known.rules, key=lambda rule: rule.name)
        if selected[rule.name] and rule.has_budget
    )


def _selected(namespaces: Iterable[str], known: Known) -> Mapping[str, list[str]]:
    """Of the namespaces those of each policy, sorted."""
    selected: dict[str, list[str]] = defaultdict(list)
    for namespace in sorted(set(namespaces)):
        if (rule := rule_of(namespace, known)) is not None:
            selected[rule.name].append(namespace)
    return selected


def modes(namespaces: Iterable[str], fleet: Mode, known: Known) -> tuple[tuple[str, Mode], ...]:
    """Of those namespaces whose own policy lets less happen than the fleet's."""
    own = ((name, rule_of(name, known)) for name in sorted(set(namespaces)))
    found = ((name, fleet.stricter(rule.mode)) for name, rule in own if rule is not None and rule.mode is not None)
    return tuple((name, mode) for name, mode in found if mode is not fleet)


def rule_of(namespace: str, known: Known) -> NamespaceRule | None:
    """The policy that selects the namespace, if any."""
    labels = known.namespaces.get(namespace, (("kubernetes.io/metadata.name", namespace),))
    return next((rule for rule in known.rules if rule.selector.matches(labels)), None)


def _check_accelerators(job: Job, known: Known) -> list[Refusal]:
    if isinstance(job, InferenceService):
        named = [(f"spec.variants[{index}]", entry.accelerator) for index, entry in enumerate(job.variants)]
    else:
        part = "options" if job.key.kind == "TrainingJob" else "variants"
        named = [(f"spec.{part}[{index}]", entry.accelerator) for index, entry in enumerate(job.options)]
    return [
        _unknown(f"{at}.accelerator", "AcceleratorType", name, known.accelerators)
        for at, name in named
        if name not in known.accelerators
    ]


def _check_inputs(job: Job, known: Known) -> list[Refusal]:
    if isinstance(job, InferenceService):
        named = [
            (f"spec.variants[{index}].model.dataSetRef.name", entry.model.data_set)
            for index, entry in enumerate(job.variants)
            if entry.model is not None
        ]
    elif job.key.kind == "InferenceJob":
        named = [("spec.variants[0].model.dataSetRef.name", entry.data_set) for entry in job.inputs]
    else:
        named = [(f"spec.data[{index}].dataSetRef.name", entry.data_set) for index, entry in enumerate(job.inputs)]
        if job.output is not None and job.output.data_set is not None:
            named.append(("spec.output.dataSetRef.name", job.output.data_set))
    mine = {key.name: key for key in known.data_sets if key.namespace == job.key.namespace}
    return [
        _unknown(at, f"usable DataSet in namespace {job.key.namespace} named", key.name, mine)
        for at, key in named
        if key not in known.data_sets
    ]


def _reached(homes: Sequence[str], entry: DataSet, known: Known) -> set[str]:
    """Sites that a copy can get to from `homes` over links whose both ends the residency allows."""
    reached, fringe = set(homes), list(homes)
    while fringe:
        here = fringe.pop()
        for link in known.links:
            place = known.sites.get(link.target)
            if link.source != here or link.target in reached or place is None:
                continue
            if entry.residency.matches(place.labels):
                reached.add(link.target)
                fringe.append(link.target)
    return reached


def _unknown(at: str, kind: str, name: str, choices: Mapping[str, object]) -> Refusal:
    near = get_close_matches(name, sorted(choices), n=3)
    meant = f"did you mean {' or '.join(near)}? Otherwise " if near else ""
    return Refusal(at, f"there is no {kind} {name}; {meant}declare it first", Reason.INVALID_REFERENCE)
