"""All objects together: converted, checked against each other, each with a verdict for its `Accepted` condition.

The live operator and `polyhull plan -f` both go through here, so that files and cluster agree on what is wrong.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from polyhull.api import check, convert
from polyhull.api.catalogue import catalogue_with
from polyhull.api.conditions import Reason
from polyhull.api.convert_fleet import NamespaceRule
from polyhull.api.inventory import DeclaredPool
from polyhull.api.observations import bounded, observation, shipments, unmeasured
from polyhull.api.readback import ended
from polyhull.api.results import Converted, Refusal, created_at, part
from polyhull.domain.errors import InvalidInput
from polyhull.domain.fleet import AcceleratorType, Cluster, Evidence, Link, Site
from polyhull.domain.labels import Labels
from polyhull.domain.snapshot import Policy
from polyhull.domain.workloads import (
    ActiveTransfer,
    DataSet,
    InferenceService,
    Key,
    Observation,
    Shipment,
    TrainingJob,
)

Raw = Mapping[str, Any]
LOCAL = "local"
"""Name of the site and the cluster that exist where none is declared."""


class Ref(NamedTuple):
    """Identity of any object of ours; namespace is empty for cluster-scoped ones."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known of a member by contact rather than by declaration."""

    connected: bool = True
    accepts: frozenset[str] | None = None
    service_accounts: frozenset[str] | None = None
    """`namespace/name` of those its administrator allows; None: any."""
    serves_pod_groups: bool = False
    serves_service_exports: bool = True
    """Without contact nothing is held against it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What stands against one object; nothing means accepted."""

    ref: Ref
    problems: tuple[InvalidInput, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def accepted(self) -> bool:
        return not self.problems and not self.refusals

    @property
    def reason(self) -> str:
        if self.accepted:
            return Reason.VALID
        return Converted(None, self.problems, self.refusals).reason

    @property
    def message(self) -> str:
        """For the `Accepted` condition; says the field and what to do."""
        if self.accepted:
            return "every field is understood and acted on"
        return Converted(None, self.problems, self.refusals).message


@dataclass(frozen=True, slots=True)
class World:
    """Accepted objects as domain values, sorted by name or key, and a verdict on every object.

    `jobs` and `services` hold neither ended nor foreign (`managedBy`) ones, nor those that are suspended or being
    deleted and have not been released;
    jobs under way stay even if a check refuses them now (their devices are in use): they are in `verdicts` as
    refused all the same.
    """

    sites: tuple[Site, ...] = ()
    links: tuple[Link, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    declared_pools: tuple[DeclaredPool, ...] = ()
    accelerators: tuple[AcceleratorType, ...] = ()
    policy: Policy = field(default_factory=Policy)
    rules: tuple[NamespaceRule, ...] = ()
    data_sets: tuple[DataSet, ...] = ()
    transfers: tuple[ActiveTransfer, ...] = ()
    jobs: tuple[TrainingJob, ...] = ()
    services: tuple[InferenceService, ...] = ()
    observations: tuple[Observation, ...] = ()
    """What finished and running jobs tell of rates that nobody measured."""
    signatures: Mapping[tuple[Key, str], str] = field(default_factory=dict)
    """Of those of `jobs` for whose options that is worth something."""
    shipments: tuple[Shipment, ...] = ()
    """Transfers that ended well, as copies record them."""
    verdicts: Mapping[Ref, Verdict] = field(default_factory=dict)


Told = tuple[Raw, Mapping[str, str], Observation | None]


@dataclass(slots=True)
class _Judged:
    """A conversion, and what stood against it when it was last checked."""

    raw: Raw
    priority: int
    converted: Converted[Any]
    refusals: tuple[Refusal, ...] | None = None


class Memo:
    """Conversions of jobs and checks of them as of the last time: a live operator looks at ten thousand that did not
    change.

    An entry holds the body it was made from, so that the same body (not an equal one) is found again; it is dropped
    when a look goes by without it.
    """

    def __init__(self) -> None:
        self._kinds: Sequence[AcceleratorType] = ()
        self._known = check.Known({})
        self._same = False
        self._last: dict[int, _Judged] = {}
        self._present: dict[int, _Judged] = {}
        self._told_last: dict[int, Told] = {}
        self._told: dict[int, Told] = {}

    def begin(self, accelerators: Sequence[AcceleratorType], known: check.Known) -> None:
        """A look begins. Conversions depend on all accelerators, checks on everything that is known."""
        self._last = self._present if accelerators == self._kinds else {}
        self._present, self._kinds = {}, accelerators
        self._same, self._known = known == self._known, known
        self._told_last, self._told = self._told, {}

    def told(self, raw: Raw) -> tuple[Mapping[str, str], Observation | None]:
        """Signatures of options whose rate is not measured, and what the job itself tells of one."""
        found = self._told_last.get(id(raw))
        if found is None or found[0] is not raw:
            found = (raw, unmeasured(raw), observation(raw))
        self._told[id(raw)] = found
        return found[1], found[2]

    def judged(
        self, raw: Raw, priority: int, convert_it: Callable[[], Converted[Any]]
    ) -> tuple[Converted[Any], tuple[Refusal, ...]]:
        """The conversion, and what stands against its value. `priority`: the default that the namespace's rule
        gives."""
        found = self._last.get(id(raw))
        if found is None or found.raw is not raw or found.priority != priority:
            found = _Judged(raw, priority, convert_it())
        if found.refusals is None or not self._same:
            value = found.converted.value
            found.refusals = () if value is None else check.check_job(value, self._known)
        self._present[id(raw)] = found
        return found.converted, found.refusals


def ref_of(raw: Raw) -> Ref:
    """Identity of a raw object; an absent namespace of a namespaced kind is `default`."""
    metadata = part(raw, "metadata")
    kind = str(raw.get("kind"))
    namespaced = kind in ("TrainingJob", "InferenceJob", "DataSet")
    namespace = str(metadata.get("namespace") or "default") if namespaced else ""
    return Ref(kind, namespace, str(metadata.get("name")))


def world_of(
    objects: Iterable[Raw],
    *,
    observed: Mapping[str, Observed] | None = None,
    namespaces: Mapping[str, Labels] | None = None,
    files: Mapping[Ref, str] | None = None,
    memo: Memo | None = None,
) -> World:
    """Convert and check raw objects of ours.

    `observed` by member name (absent: connected, accepting all); `namespaces`: labels by name; `files` (from
    `polyhull plan -f`): the file of each object, and with it strictness about unknown fields. `memo`: kept by whoever
    looks again and again, with the same `files`.
    """
    return _Builder(list(objects), observed or {}, namespaces or {}, files, memo or Memo()).build()


class _Builder:
    def __init__(
        self,
        objects: Sequence[Raw],
        observed: Mapping[str, Observed],
        namespaces: Mapping[str, Labels],
        files: Mapping[Ref, str] | None,
        memo: Memo,
    ) -> None:
        self.by_kind: dict[str, list[tuple[Ref, Raw]]] = {}
        self.refs = []
        for ref, raw in sorted(((ref_of(raw), raw) for raw in objects), key=lambda pair: pair[0]):
            self.refs.append(ref)
            self.by_kind.setdefault(ref.kind, []).append((ref, raw))
        self.observed, self.namespaces = observed, dict(namespaces)
        self.files, self.strict, self.memo = files or {}, files is not None, memo
        self.problems: dict[Ref, list[InvalidInput]] = {ref: [] for ref in self.refs}
        self.refusals: dict[Ref, list[Refusal]] = {ref: [] for ref in self.refs}

    def build(self) -> World:
        kinds = [value for _, value in self._converted("AcceleratorType", convert.accelerator)]
        accelerators = catalogue_with(kinds)
        sites = [value for _, value in self._converted("Site", convert.site)]
        clusters = self._clusters()
        if not clusters:
            clusters = [Cluster(LOCAL, LOCAL, local=True)] if not self._of("MemberCluster") else []
        if any(cluster.site == LOCAL for cluster in clusters) and all(place.name != LOCAL for place in sites):
            sites.append(Site(LOCAL))
        sites_by_name = {place.name: place for place in sites}
        links = self._links(sites_by_name)
        known = check.Known(
            sites=sites_by_name,
            links=tuple(links),
            accelerators={kind.name: kind for kind in accelerators},
            namespaces=self.namespaces,
        )
        clusters = [entry for entry in clusters if self._passes(_member(entry), check.check_cluster(entry, known))]
        known = replace(known, clusters={cluster.name: cluster for cluster in clusters})
        rules = self._rules(known)
        data_sets = [
            value
            for raw, value in self._converted("DataSet", convert.data_set)
            if self._passes(ref_of(raw), check.check_data_set(value, known))
        ]
        known = replace(known, rules=tuple(rules), data_sets={entry.key: entry for entry in data_sets})
        pools = [
            value
            for raw, value in self._converted("ComputePool", convert.declared_pool)
            if self._passes(ref_of(raw), check.check_declared_pool(value, known))
        ]
        jobs, services = self._jobs(known, accelerators)
        for raw in self._of("PlacementScenario"):
            self._note(ref_of(raw), convert.scenario(raw, accelerators, **self._options(raw)))
        observations, signatures = self._observations(jobs)
        transfers = [entry for raw in self._of("DataSet") for entry in convert.active_transfers(raw)]
        transfers += [entry for raw in self._of("TrainingJob") for entry in convert.carried_checkpoints(raw)]
        return World(
            sites=tuple(sorted(sites, key=lambda place: place.name)),
            links=tuple(sorted(links, key=lambda link: link.name)),
            clusters=tuple(sorted(clusters, key=lambda cluster: cluster.name)),
            declared_pools=tuple(pools),
            accelerators=accelerators,
            policy=self._shared(self._policy(), known),
            rules=tuple(rules),
            data_sets=tuple(sorted(data_sets, key=lambda entry: entry.key)),
            transfers=tuple(transfers),
            jobs=tuple(sorted(jobs, key=lambda job: job.key)),
            services=tuple(sorted(services, key=lambda service: service.key)),
            observations=observations,
            signatures=signatures,
            shipments=tuple(one for raw in self._of("DataSet") for one in shipments(raw)),
            verdicts={
                ref: Verdict(ref, tuple(self.problems[ref]), tuple(self.refusals[ref])) for ref in self.problems
            },
        )

    def _of(self, kind: str) -> list[Raw]:
        return [raw for _, raw in self.by_kind.get(kind, ())]

    def _options(self, raw: Raw) -> dict[str, Any]:
        return {"file": self.files.get(ref_of(raw), ""), "strict": self.strict}

    def _note(self, ref: Ref, converted: Converted[Any]) -> None:
        if not converted.accepted:
            self.problems[ref].extend(converted.problems)
            self.refusals[ref].extend(converted.refusals)

    def _passes(self, ref: Ref, refusals: Iterable[Refusal]) -> bool:
        found = tuple(refusals)
        if ref in self.refusals:
            self.refusals[ref].extend(found)
        return not found

    def _converted(self, kind: str, function: Any) -> list[tuple[Raw, Any]]:
        """Accepted values of a kind; the others are noted."""
        out = []
        for raw in self._of(kind):
            converted = function(raw, **self._options(raw))
            self._note(ref_of(raw), converted)
            if converted.accepted:
                out.append((raw, converted.value))
        return out

    def _clusters(self) -> list[Cluster]:
        out = []
        for raw in self._of("MemberCluster"):
            seen = self.observed.get(ref_of(raw).name, Observed())
            converted = convert.cluster(
                raw,
                connected=seen.connected,
                accepts=seen.accepts,
                service_accounts=seen.service_accounts,
                serves_pod_groups=seen.serves_pod_groups,
                serves_service_exports=seen.serves_service_exports,
                **self._options(raw),
            )
            self._note(ref_of(raw), converted)
            if converted.value is not None and converted.accepted:
                out.append(converted.value)
        first = next((entry.name for entry in out if entry.local), None)
        return [entry for entry in out if self._passes(_member(entry), _second_local(entry, first))]

    def _links(self, sites: Mapping[str, Site]) -> list[Link]:
        owned = [(raw, link) for raw, pair in self._converted("Link", convert.links) for link in pair]
        against = check.check_links([(link, created_at(raw["metadata"])) for raw, link in owned], sites)
        refused = set()
        for raw, link in owned:
            ref = ref_of(raw)
            if link.name in against:
                refused.add(ref)
                self.refusals[ref] += [one for one in against[link.name] if one not in self.refusals[ref]]
        return [link for raw, link in owned if ref_of(raw) not in refused]

    def _policy(self) -> Policy:
        for raw in self._of("PlacementPolicy"):
            if ref_of(raw).name == "default":
                converted = convert.fleet_policy(raw, **self._options(raw))
                self._note(ref_of(raw), converted)
                if converted.value is not None and converted.accepted:
                    return converted.value
        return Policy()

    def _shared(self, fleet: Policy, known: check.Known) -> Policy:
        """With what the policies of namespaces say of those that have jobs of ours; ended ones too, so that such
        namespaces come and go seldom."""
        tenants = {ref.namespace for ref in self.problems if ref.kind in ("TrainingJob", "InferenceJob")}
        limits = check.device_limits(tenants, known)
        return replace(
            fleet,
            device_limits=limits,
            budgets=check.budgets(tenants, known),
            modes=check.modes(tenants, fleet.mode, known),
        )

    def _rules(self, known: check.Known) -> list[NamespaceRule]:
        out: list[NamespaceRule] = []
        for raw in self._of("PlacementPolicy"):
            if ref_of(raw).name != "default":
                converted = convert.namespace_rule(raw, **self._options(raw))
                self._note(ref_of(raw), converted)
                rule = converted.value
                if (
                    rule is not None
                    and self._passes(ref_of(raw), check.check_rule(rule, known))
                    and converted.accepted
                ):
                    out.append(rule)
        against = check.check_rules(out, self.namespaces)
        return [
            rule for rule in out if self._passes(Ref("PlacementPolicy", "", rule.name), against.get(rule.name, ()))
        ]

    def _jobs(
        self, known: check.Known, accelerators: Sequence[AcceleratorType]
    ) -> tuple[list[TrainingJob], list[InferenceService]]:
        kept: list[TrainingJob | InferenceService] = []
        self.memo.begin(accelerators, known)
        for ref, raw in (*self.by_kind.get("TrainingJob", ()), *self.by_kind.get("InferenceJob", ())):
            if not convert.managed_by_us(raw):
                del self.problems[ref], self.refusals[ref]
                continue
            if ended(part(raw, "status")):
                continue
            value = self._job(ref, raw, known, accelerators)
            if value is not None:
                kept.append(value)
        against = check.check_counts([job for job in kept if not _begun(job)], known)
        for key, refusals in against.items():
            self._passes(Ref(key.kind, key.namespace, key.name), refusals)
        left = [job for job in kept if job.key not in against]
        return (
            [job for job in left if isinstance(job, TrainingJob)],
            [job for job in left if isinstance(job, InferenceService)],
        )

    def _observations(
        self, jobs: Sequence[TrainingJob]
    ) -> tuple[tuple[Observation, ...], dict[tuple[Key, str], str]]:
        """Only where some unfinished job's rate is not measured; else nobody asks."""
        asking = {job.key for job in jobs if any(one.rate_evidence is not Evidence.MEASURED for one in job.options)}
        if not asking:
            return (), {}
        signatures: dict[tuple[Key, str], str] = {}
        runs = []
        for raw in self._of("TrainingJob") + self._of("InferenceJob"):
            if convert.is_online(raw) or not convert.managed_by_us(raw):
                continue
            names, run = self.memo.told(raw)
            key = convert.key_of(raw)
            if key in asking:
                signatures |= {(key, name): sign for name, sign in names.items()}
            if run is not None:
                runs.append(run)
        wanted = set(signatures.values())
        found = [one for one in runs if one.signature in wanted]
        return bounded(found), signatures

    def _job(
        self, ref: Ref, raw: Raw, known: check.Known, accelerators: Sequence[AcceleratorType]
    ) -> TrainingJob | InferenceService | None:
        rule = check.rule_of(ref.namespace, known)
        priority = rule.priority_default if rule else 0
        convert_it: Callable[..., Converted[Any]] = convert.training_job
        if convert.is_online(raw):
            convert_it = convert.online_service
        elif ref.kind == "InferenceJob":
            convert_it = convert.batch_job
        options = {**self._options(raw), "default_priority": priority}
        converted, against = self.memo.judged(raw, priority, lambda: convert_it(raw, accelerators, **options))
        self._note(ref, converted)
        value: TrainingJob | InferenceService | None = converted.value
        if value is None:
            return None
        sound = self._passes(ref, against) and converted.accepted
        if _under_way(value):
            return value
        leaving = convert.suspended(raw) or part(raw, "metadata").get("deletionTimestamp") is not None
        return value if sound and not leaving else None


def _member(cluster: Cluster) -> Ref:
    return Ref("MemberCluster", "", cluster.name)


def _second_local(cluster: Cluster, first: str | None) -> tuple[Refusal, ...]:
    if not cluster.local or cluster.name == first:
        return ()
    message = f"{first} is the operator's own cluster already; delete one of the two"
    return (Refusal("spec.local", message, Reason.CONFLICT),)


def _under_way(job: TrainingJob | InferenceService) -> bool:
    """Whether it holds devices, or may."""
    if isinstance(job, InferenceService):
        return bool(job.serving)
    return job.placed is not None or (job.resume is not None and bool(job.resume.nodes))


def _begun(job: TrainingJob | InferenceService) -> bool:
    """Whether it ran already: it may hold devices, or was stopped in order to go on elsewhere."""
    return _under_way(job) or (isinstance(job, TrainingJob) and job.resume is not None)
