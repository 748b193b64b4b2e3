"""Every non-convex choice as a column with numbers computed beforehand (docs/model.md section 1)."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from polyhull.domain.fleet import AcceleratorType, Cluster, Evidence, Pool
from polyhull.domain.resources import Resources
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import (
    ActiveTransfer,
    CopyPart,
    DataInput,
    DataSet,
    InferenceService,
    Key,
    Option,
    Placed,
    Span,
    TrainingJob,
    Variant,
)
from polyhull.optimize.admission import (
    IN_SITE_BYTES_PER_SECOND,
    OVERDUE_SECONDS,
    Admission,
    DataAt,
    Refusal,
    remaining_seconds,
    usable_rate,
)
from polyhull.optimize.failures import (
    LEAST_USEFUL,
    Recovery,
    best_interval,
    device_mean_seconds,
    failure_rate,
    recovery,
    useful_share,
)
from polyhull.optimize.paths import Allowed, Network
from polyhull.optimize.spans import (
    MOST_COLUMNS,
    Candidate,
    Spanned,
    SpanPart,
    SteadyFlow,
    by_rates,
    combinations,
    span_name,
    spanned,
)
from polyhull.optimize.splits import split
from polyhull.optimize.streams import Paced, Streams, paced, streamed


@dataclass(frozen=True, slots=True)
class Route:
    """One way to bring a copy of a data set to a store: whole, with one source, one path, one rate, or in `parts`.

    The path is the widest one over links with both ends allowed by the data set's residency (ties: fewer hops,
    less latency, name). `rate_bytes_per_second` is margin times the narrowest link's bandwidth / 8; of a split copy
    what its parts come to together (splits.py), its `links` being those of all parts. The links are held from the
    transfer's release on: its own start-up (image, connection), then the bytes.
    """

    data_set: Key
    store: str
    site: str
    source_site: str
    source_url: str
    links: tuple[str, ...]
    rate_bytes_per_second: float
    transfer_bytes: int
    price: float
    startup_seconds: float = 0.0
    parts: tuple[CopyPart, ...] = ()
    whole_because: str = ""
    """Why there is no split beside it although the policy allows one."""

    @property
    def seconds(self) -> float:
        return self.startup_seconds + self.transfer_bytes / self.rate_bytes_per_second

    @property
    def loads(self) -> dict[str, float]:
        """Bytes per second that it takes of each of its links."""
        if not self.parts:
            return dict.fromkeys(self.links, self.rate_bytes_per_second)
        return _over_links((part.links, part.rate_bytes_per_second) for part in self.parts)

    @property
    def volumes(self) -> dict[str, float]:
        """Bytes that it sends over each of its links."""
        if not self.parts:
            return dict.fromkeys(self.links, float(self.transfer_bytes))
        return _over_links((part.links, float(part.transfer_bytes)) for part in self.parts)


def _over_links(flows: Iterable[tuple[tuple[str, ...], float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for links, amount in flows:
        for link in links:
            total[link] = total.get(link, 0.0) + amount
    return total


@dataclass(frozen=True, slots=True)
class Need:
    """A data set a column must have at a store before it starts. `present`: nothing to move."""

    data_set: Key
    store: str
    site: str
    present: bool


@dataclass(frozen=True, slots=True)
class Column:
    """One admissible way to run one job: option x pool. Seconds, devices, bytes as in docs/model.md.

    `length_seconds` is tau without staged transfer: start-up + compute + what streamed reads add at best (a fixed
    column: what remains of it); `hold_seconds` is what is executed, streamed reads at a steady pace.
    `transfer_seconds` is x: the missing bytes over the maximum flow, links otherwise empty (a lower bound on
    any executed transfer time). `head_seconds` is the earliest possible release.
    """

    job: Key
    option: str
    accelerator: str
    device_class: str
    pool: str
    cluster: str
    site: str
    replicas: int
    devices_per_replica: int
    pod: Resources
    startup_seconds: float
    compute_seconds: float
    """What failures are expected to take included: t / phi."""
    transfer_seconds: float
    head_seconds: float
    needs: tuple[Need, ...]
    price: float
    """Of its devices for its length, for comparisons: an unknown price counts as the dearest (costs.py)."""
    evidence: Evidence
    fixed: bool = False
    energy_joules: float = 0.0
    """Of its devices for its length, for comparisons too."""
    carbon_grams: float = 0.0
    streams: Paced = Paced()
    parts: tuple[SpanPart, ...] = ()
    """Of a job over several sites all its parts; `pool` to `pod` are the first's, `needs` those of all."""
    flows: tuple[SteadyFlow, ...] = ()
    """What its parts send each other from the end of the start-up on."""
    micro_batches: int = 1
    exchange_seconds: float = 0.0
    """The part of `compute_seconds` that its parts wait for each other's activations or gradients."""
    failure_seconds: float = 0.0
    """The part of `compute_seconds` that saves checkpoints, restarts, or is done again."""
    checkpoint_interval_seconds: float = 0.0
    """From one checkpoint to the next; 0 without."""

    @property
    def devices(self) -> int:
        """Of all parts."""
        return sum(part.devices for part in self.parts) or self.replicas * self.devices_per_replica

    @property
    def places(self) -> tuple[SpanPart, ...]:
        """Its parts; of a job at one site the one it is."""
        return self.parts or (
            SpanPart(
                self.pool, self.cluster, self.site, self.option, self.accelerator, self.device_class, self.replicas,
                self.devices_per_replica, self.pod,
            ),
        )  # fmt: skip

    @property
    def length_seconds(self) -> float:
        return self.startup_seconds + self.compute_seconds + self.streams.overlap_seconds

    @property
    def hold_seconds(self) -> float:
        return self.length_seconds + self.streams.pacing_seconds

    @property
    def name(self) -> tuple[str, str]:
        """What tells it from the job's other columns: pool and option, those of several parts joined by +."""
        return span_name(self.parts) if self.parts else (self.pool, self.option)


@dataclass(frozen=True, slots=True)
class Inadmissible:
    """Why a job (or a service's variant) cannot use an option in a pool: kept for `explain` and conditions."""

    job: Key
    option: str
    pool: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ColumnSet:
    """Sorted by (job, pool, option); `routes` by (data set, store, source site), the split one behind."""

    columns: tuple[Column, ...]
    routes: tuple[Route, ...]
    inadmissible: tuple[Inadmissible, ...]

    @property
    def split(self) -> bool:
        """Is there a copy that may come, or comes, in parts?"""
        return any(route.parts for route in self.routes)


LONGEST_SECONDS = 1e15
"""Nothing that would take longer is a choice; it also keeps every sum finite."""


def build_columns(snapshot: Snapshot) -> ColumnSet:
    """All admissible (job, option, pool) of a snapshot, the routes they may need, and why the others fell out.

    Seconds count from `snapshot.taken_at`. A job with `placed` has exactly one column, fixed, with what remains.
    Pools of another accelerator than the option's are no candidates and are not listed as inadmissible.
    Linear in the number of candidates: rules are cached by what they depend on (admission.py).
    """
    network = Network(snapshot.fleet, snapshot.policy.bandwidth_margin)
    builder = _Builder(snapshot, Admission(snapshot, network))
    seen: set[Key] = set()
    for job in sorted(snapshot.jobs, key=lambda job: job.key):
        if job.key not in seen:
            seen.add(job.key)
            builder.add_job(job)
    for service in sorted(snapshot.services, key=lambda service: service.key):
        builder.add_service(service)
    return builder.result()


def columns_of(job: TrainingJob, snapshot: Snapshot, admission: Admission) -> ColumnSet:
    """What `build_columns` finds for this one job; `admission` is of the snapshot, and kept from job to job."""
    builder = _Builder(snapshot, admission)
    builder.add_job(job)
    return builder.result()


def alike(job: TrainingJob) -> object:
    """Equal for jobs that differ in nothing that a column is made of but their names."""
    return (
        job.key.namespace, job.work_quantity, job.options, job.inputs, job.priority, job.site_selector,
        job.confidential, job.exclusions, job.checkpoint, job.span,
        # Room for what is written is promised to jobs by name, and so is who writes a data set.
        job.output, job.key if job.kept_bytes else None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What a job's data means at one cluster."""

    needs: tuple[Need, ...]
    transfer_seconds: float
    streams: Streams


class _Builder:
    def __init__(self, snapshot: Snapshot, admission: Admission) -> None:
        self.snapshot, self.admission = snapshot, admission
        self.tariffs = admission.tariffs
        self.kinds: dict[str, AcceleratorType] = {kind.name: kind for kind in snapshot.fleet.accelerators}
        self.pools: dict[str, list[Pool]] = {}
        for pool in sorted(snapshot.fleet.pools, key=lambda pool: pool.name):
            self.pools.setdefault(pool.accelerator, []).append(pool)
        self.columns: list[Column] = []
        self.inadmissible: list[Inadmissible] = []
        self.wanted: dict[tuple[Key, str], str] = {}
        """(data set, store) that some column must fill -> site of the store."""
        self.known: dict[object, tuple[list[Column], list[Inadmissible]]] = {}
        """By what makes jobs alike."""
        self.rules: dict[object, Mapping[str, Refusal | None]] = {}

    def add_job(self, job: TrainingJob) -> None:
        if job.placed is not None:
            self.columns.append(self._fixed(job, job.placed))
            return
        if (known := self.known.get(alike(job))) is not None:
            self.columns += [replace(column, job=job.key) for column in known[0]]
            self.inadmissible += [replace(one, job=job.key) for one in known[1]]
            return
        first, before = len(self.columns), len(self.inadmissible)
        self._add_new(job)
        self.known[alike(job)] = self.columns[first:], self.inadmissible[before:]

    def _add_new(self, job: TrainingJob) -> None:
        data: dict[str, _Inputs | Refusal] = {}
        for option in sorted(job.options, key=lambda option: option.name):
            pools = self.pools.get(option.accelerator)
            if not pools:
                self._refuse(job.key, option.name, "", self._no_pool(option.accelerator, "an option"))
                continue
            rules = self._rules(job, option, pools)
            for pool in pools:
                self._candidate(job, option, pool, rules[pool.name], data)
        if job.span is not None:
            self._spans(job, job.span, data)

    def _no_pool(self, accelerator: str, way: str) -> Refusal:
        """`way`: what to add for a kind that is there."""
        if not self.pools:
            text = (
                f"no pool has accelerator {accelerator}, there is none at all; add a ComputePool or a MemberCluster"
            )
        else:
            have = ", ".join(sorted(self.pools))
            text = f"no pool has accelerator {accelerator} (there are: {have}); add {way} for one of them"
        return Refusal("NoPool", text)

    def add_service(self, service: InferenceService) -> None:
        """Why a variant cannot serve from a pool (the routing itself is services.py)."""
        for variant in sorted(service.variants, key=lambda variant: variant.name):
            pools = self.pools.get(variant.accelerator)
            if not pools:
                self._refuse(service.key, variant.name, "", self._no_pool(variant.accelerator, "a variant"))
                continue
            for pool in pools:
                inputs = (variant.model,) if variant.model is not None else ()
                refusal = (
                    self.admission.member(service.key.namespace, pool.cluster, variant.service_account)
                    or self.admission.place(pool, service.site_selector, service.confidential, service.exclusions)
                    or self.admission.fits(variant.pod, 1, pool)
                    or self.admission.power(pool, variant.devices_per_replica)
                    or (None if variant.rate_per_second > 0.0 else _nothing_known(variant))
                )
                answer = refusal or self._needs(inputs, self.admission.clusters[pool.cluster])
                if isinstance(answer, Refusal):
                    self._refuse(service.key, variant.name, pool.name, answer)
                else:
                    self._want(answer.needs)

    def result(self) -> ColumnSet:
        columns = sorted(self.columns, key=lambda one: (one.job, one.pool, one.option))
        inadmissible = sorted(self.inadmissible, key=lambda one: (one.job, one.pool, one.option))
        routes = sorted(self._routes(), key=lambda one: (one.data_set, one.store, len(one.parts), one.source_site))
        return ColumnSet(tuple(columns), tuple(routes), tuple(inadmissible))

    def _candidate(
        self,
        job: TrainingJob,
        option: Option,
        pool: Pool,
        refusal: Refusal | None,
        data: "dict[str, _Inputs | Refusal]",
    ) -> None:
        admission = self.admission
        compute, evidence = compute_seconds(job, option, pool.site)
        if refusal is None and not 0.0 < compute <= LONGEST_SECONDS:
            refusal = _no_rate(option)
        refusal = refusal or admission.keeps(job, admission.clusters[pool.cluster])
        if refusal is not None:
            self._refuse(job.key, option.name, pool.name, refusal)
            return
        # Options of a job differ in nothing that its data sees.
        if pool.cluster not in data:
            found = data[pool.cluster] = self._needs(job.inputs, admission.clusters[pool.cluster])
            if not isinstance(found, Refusal):
                self._want(found.needs)
        answer = data[pool.cluster]
        if isinstance(answer, Refusal):
            self._refuse(job.key, option.name, pool.name, answer)
            return
        kind = self.kinds.get(option.accelerator)
        startup = self.admission.startup_seconds
        useful, interval = self._useful(job, option, pool.accelerator, pool.cluster)
        if useful < LEAST_USEFUL:
            self._refuse(job.key, option.name, pool.name, _mostly_lost(option, pool, useful))
            return
        work = compute * max(1.0, pool.slowdown)
        compute = work / useful
        devices = option.replicas * option.devices_per_replica
        head = 0.0
        if pool.growth is not None and admission.room(option.pod, pool).now < option.replicas:
            head = max(0.0, pool.growth.provision_seconds)
        streams = paced(answer.streams, compute)
        held = startup + compute + streams.overlap_seconds + streams.pacing_seconds
        if not held <= LONGEST_SECONDS:
            text = f"reading its data while computing would take {held:.3g} s at {pool.site}; write access: Stage"
            self._refuse(job.key, option.name, pool.name, Refusal("NoReachableReplica", text))
            return
        self.columns.append(
            Column(
                job=job.key,
                option=option.name,
                accelerator=option.accelerator,
                device_class=kind.device_class if kind else "",
                pool=pool.name,
                cluster=pool.cluster,
                site=pool.site,
                replicas=option.replicas,
                devices_per_replica=option.devices_per_replica,
                pod=option.pod,
                startup_seconds=startup,
                compute_seconds=compute,
                transfer_seconds=answer.transfer_seconds,
                head_seconds=head,
                needs=answer.needs,
                price=self.tariffs.price(pool.name, devices * held),
                evidence=evidence,
                energy_joules=self.tariffs.joules(pool.name, devices, held - compute, compute),
                carbon_grams=self.tariffs.grams(pool.name, devices, held - compute, compute),
                streams=streams,
                failure_seconds=compute - work,
                checkpoint_interval_seconds=interval,
            )
        )

    def _rules(self, job: TrainingJob, option: Option, pools: Iterable[Pool]) -> Mapping[str, Refusal | None]:
        """By pool: may such pods of such a job be put there? Asked once for all jobs of the kind."""
        kind = (
            job.key.namespace, option.service_account, job.site_selector, job.confidential, job.exclusions,
            option.accelerator, option.pod, option.replicas, option.devices_per_replica,
        )  # fmt: skip
        if kind not in self.rules:
            admission = self.admission
            self.rules[kind] = {
                pool.name: admission.member(job.key.namespace, pool.cluster, option.service_account)
                or admission.place(pool, job.site_selector, job.confidential, job.exclusions)
                or admission.fits(option.pod, option.replicas, pool)
                or admission.power(pool, option.replicas * option.devices_per_replica)
                for pool in pools
            }
        return self.rules[kind]

    def _useful(self, job: TrainingJob, option: Option, accelerator: str, cluster: str) -> tuple[float, float]:
        """phi, the share of its time that a job with checkpoints works, and its interval; 1 and 0 for others."""
        if job.checkpoint is None:
            return 1.0, 0.0
        kind, member = self.kinds.get(accelerator), self.admission.clusters.get(cluster)
        devices = option.replicas * option.devices_per_replica
        rate = failure_rate(devices, device_mean_seconds(kind))
        saving = recovery(job.checkpoint, member, self.admission.startup_seconds)
        interval = saving.interval_seconds or best_interval(saving.checkpoint_seconds, rate)
        return useful_share(saving, rate), interval

    def _spans(self, job: TrainingJob, span: Span, data: "dict[str, _Inputs | Refusal]") -> None:
        """The best columns over several sites, and why the other combinations are none."""
        pairs = [(option, pool) for option in job.options for pool in self.pools.get(option.accelerator, ())]
        candidates = [one for option, pool in pairs if (one := self._part(job, option, pool, data)) is not None]
        allowed = self._allowed(job)
        found: list[tuple[float, Column]] = []
        for chosen in combinations(candidates, span.max_sites):
            against = self._power_of(chosen) or self._nameless(chosen)
            answer = against or spanned(
                span, job.work_quantity, chosen, self.admission.network, allowed, self._recovery(job, chosen)
            )
            if isinstance(answer, Spanned) and not answer.compute_seconds <= LONGEST_SECONDS:
                answer = Refusal("NoRate", f"it would take {answer.compute_seconds:.3g} s; correct work.quantity")
            if isinstance(answer, Refusal):
                pools, options = span_name([one for one, _ in chosen])
                self._refuse(job.key, options, pools, answer)
                continue
            inputs = [data[part.cluster] for part in answer.parts]
            column = self._spanning(job, answer, [one for one in inputs if isinstance(one, _Inputs)])
            found.append((max(column.transfer_seconds, column.head_seconds) + column.hold_seconds, column))
        for _, column in sorted(found, key=lambda one: (one[0], one[1].name))[:MOST_COLUMNS]:
            self._want(column.needs)
            self.columns.append(column)

    def _part(
        self, job: TrainingJob, option: Option, pool: Pool, data: "dict[str, _Inputs | Refusal]"
    ) -> Candidate | None:
        """What of the gang may run in a pool; None: nothing, for a reason that its own column already gives, or
        because it would read data while computing."""
        admission = self.admission
        compute, evidence = compute_seconds(job, option, pool.site)
        refusal = admission.member(job.key.namespace, pool.cluster, option.service_account) or admission.place(
            pool, job.site_selector, job.confidential, job.exclusions
        )
        if refusal is not None or not 0.0 < compute <= LONGEST_SECONDS:
            return None
        if pool.cluster not in data:
            data[pool.cluster] = self._needs(job.inputs, admission.clusters[pool.cluster])
        answer = data[pool.cluster]
        if isinstance(answer, Refusal) or answer.streams.reads:
            return None
        kind = self.kinds.get(option.accelerator)
        most = min(option.replicas, admission.room(option.pod, pool).now)
        return _candidate(job, option, pool, kind, most, compute, evidence)

    def _power_of(self, chosen: Sequence[tuple[Candidate, int]]) -> Refusal | None:
        pools = self.admission.pools
        refusals = (self.admission.power(pools[one.pool], pods * one.devices_per_replica) for one, pods in chosen)
        return next((refusal for refusal in refusals if refusal is not None), None)

    def _nameless(self, chosen: Sequence[tuple[Candidate, int]]) -> Refusal | None:
        """Any part may hold rank 0, which pods of other clusters must find by name."""
        names = sorted({one.cluster for one, _ in chosen})
        without = [name for name in names if not self.admission.clusters[name].service_domain]
        if len(names) < 2 or not without:
            return None
        remedy = f"let {without[0]} serve ServiceExports (Multi-Cluster Services API), or set its spec.serviceDomain"
        return Refusal("NoServiceDomain", f"pods of other clusters have no name for those of {without[0]}; {remedy}")

    def _allowed(self, job: TrainingJob) -> Allowed:
        """Sites that what a job sends between its parts may pass: those where all its data may be."""
        known = [
            self.admission.data_sets[one.data_set] for one in job.inputs if one.data_set in self.admission.data_sets
        ]
        sites = [self.admission.allowed_sites(data.residency) for data in known]
        return frozenset(self.admission.sites).intersection(*sites)

    def _recovery(self, job: TrainingJob, chosen: Sequence[tuple[Candidate, int]]) -> Recovery:
        """Of a gang that saves at several sites: at the slowest of their stores."""
        startup, members = self.admission.startup_seconds, self.admission.clusters
        if job.checkpoint is None:
            return Recovery(0.0, startup)
        each = [recovery(job.checkpoint, members.get(one.cluster), startup) for one, _ in chosen]
        return max(each, key=lambda one: one.checkpoint_seconds)

    def _spanning(self, job: TrainingJob, found: Spanned, inputs: "Sequence[_Inputs]", fixed: bool = False) -> Column:
        """A column of several parts."""
        first, startup, compute = found.parts[0], self.admission.startup_seconds, found.compute_seconds
        needs = {(need.data_set, need.store): need for one in inputs for need in one.needs}
        tariffs, held = self.tariffs, startup + compute
        return Column(
            job=job.key,
            option=first.option,
            accelerator=first.accelerator,
            device_class=first.device_class,
            pool=first.pool,
            cluster=first.cluster,
            site=first.site,
            replicas=first.replicas,
            devices_per_replica=first.devices_per_replica,
            pod=first.pod,
            startup_seconds=startup,
            compute_seconds=compute,
            transfer_seconds=max((one.transfer_seconds for one in inputs), default=0.0),
            head_seconds=0.0,
            needs=tuple(needs[key] for key in sorted(needs)),
            price=sum(tariffs.price(part.pool, part.devices * held) for part in found.parts),
            evidence=found.evidence,
            fixed=fixed,
            energy_joules=sum(tariffs.joules(part.pool, part.devices, startup, compute) for part in found.parts),
            carbon_grams=sum(tariffs.grams(part.pool, part.devices, startup, compute) for part in found.parts),
            parts=found.parts,
            flows=found.flows,
            micro_batches=found.micro_batches,
            exchange_seconds=found.exchange_seconds,
            failure_seconds=found.failure_seconds,
        )

    def _needs(self, inputs: Sequence[DataInput], cluster: Cluster) -> "_Inputs | Refusal":
        """What must be at the cluster, a lower bound on the seconds until it is, and what is streamed to it.

        Data sets with the same sources and the same allowed sites share every path, so their bytes add up.
        """
        streams = streamed(inputs, self.admission, cluster)
        if isinstance(streams, Refusal):
            return streams
        needs = {
            read.data_set: Need(read.data_set, f"site:{read.source_site}", read.source_site, True)
            for read in streams.reads
        }
        groups: dict[object, list[float]] = {}
        seconds = 0.0
        for wanted in inputs:
            if wanted.data_set in needs:
                continue
            found: DataAt | Refusal = self.admission.data_at(wanted, cluster)
            if isinstance(found, Refusal):
                return found
            needs[wanted.data_set] = Need(wanted.data_set, found.store, cluster.site, found.present)
            if found.active_seconds is not None:
                seconds = max(seconds, found.active_seconds)
            elif not found.present:
                together = found.group or wanted.data_set
                group = groups.setdefault(together, [0.0, found.rate_bytes_per_second])
                group[0] += found.missing_bytes
        for missing, rate in groups.values():
            seconds = max(seconds, missing / rate)
        if not seconds <= LONGEST_SECONDS:
            return Refusal("NoReachableReplica", f"its data would take {seconds:.3g} s to reach {cluster.site}")
        return _Inputs(tuple(needs[key] for key in sorted(needs)), seconds, streams)

    def _want(self, needs: tuple[Need, ...]) -> None:
        for need in needs:
            if not need.present:
                self.wanted[need.data_set, need.store] = need.site

    def _routes(self) -> Iterable[Route]:
        for (key, store), active in self.admission.active.items():
            data = self.admission.data_sets.get(key)
            if data is not None:
                yield self._active_route(data, store, active)
        for (key, store), site in self.wanted.items():
            if (key, store) not in self.admission.active:
                yield from self._new_routes(self.admission.data_sets[key], store, site)

    def _new_routes(self, data: DataSet, store: str, site: str) -> Iterable[Route]:
        network, allowed = self.admission.network, self.admission.allowed_sites(data.residency)
        urls = {replica.site: replica.url for replica in reversed(data.replicas) if not _is_claim(replica.url)}
        whole = tuple(self._whole_routes(data, store, site, urls))
        if not (whole and self.snapshot.policy.split_transfers):
            yield from whole
            return
        fastest = max(route.rate_bytes_per_second for route in whole)
        found = split(network, data, urls, site, allowed, fastest)
        if isinstance(found, str):
            yield from (replace(route, whole_because=found) for route in whole)
            return
        yield from whole
        parts, seconds = found
        price = sum(self.tariffs.egress(part.links, part.transfer_bytes) for part in parts)
        first = replace(whole[0], source_site=parts[0].source_site, source_url=parts[0].source_url)
        rate = data.size_bytes / seconds
        yield replace(first, links=_together(parts), rate_bytes_per_second=rate, price=price, parts=parts)

    def _whole_routes(self, data: DataSet, store: str, site: str, urls: Mapping[str, str]) -> Iterable[Route]:
        network, allowed = self.admission.network, self.admission.allowed_sites(data.residency)
        for source in sorted(urls):
            path = network.widest(source, site, allowed)
            if path is None:
                continue
            rate = network.rate(path) if path else IN_SITE_BYTES_PER_SECOND
            yield Route(
                data_set=data.key,
                store=store,
                site=site,
                source_site=source,
                source_url=urls[source],
                links=tuple(link.name for link in path),
                rate_bytes_per_second=rate,
                transfer_bytes=data.size_bytes,
                price=self.tariffs.egress(tuple(link.name for link in path), data.size_bytes),
                startup_seconds=self.admission.startup_seconds,
            )

    def _active_route(self, data: DataSet, store: str, active: ActiveTransfer) -> Route:
        urls = {replica.site: replica.url for replica in reversed(data.replicas)}
        left = self.admission.remaining_transfer(data, active)
        return Route(
            data_set=data.key,
            store=store,
            site=active.site,
            source_site=active.source_site,
            source_url=urls.get(active.source_site, ""),
            links=active.links,
            rate_bytes_per_second=usable_rate(active),
            transfer_bytes=math.ceil(left),
            price=self.tariffs.egress(active.links, left),
            startup_seconds=self.admission.remaining_startup(active),
            parts=active.parts,
        )

    def _fixed(self, job: TrainingJob, placed: Placed) -> Column:
        """The one column of a released job: where it is, with what remains; never refused."""
        if placed.parts:
            return self._fixed_span(job, placed)
        named = next((one for one in job.options if one.name == placed.option), None)
        option = named or (job.options[0] if job.options else None)
        pool = self.admission.pools.get(placed.pool)
        cluster = self.admission.clusters.get(placed.cluster)
        site = cluster.site if cluster else (pool.site if pool else "")
        compute, evidence = (0.0, Evidence.ASSUMED) if option is None else compute_seconds(job, option, site)
        if not 0.0 < compute <= LONGEST_SECONDS:
            compute, evidence = OVERDUE_SECONDS, Evidence.ASSUMED
        compute *= max(1.0, pool.slowdown) if pool else 1.0
        accelerator = pool.accelerator if pool else (option.accelerator if option else "")
        useful, interval = (1.0, 0.0) if option is None else self._useful(job, option, accelerator, placed.cluster)
        useful = max(LEAST_USEFUL, useful)
        compute /= useful
        streams = paced(self._reads_on(job, cluster), compute)
        compute += streams.overlap_seconds + streams.pacing_seconds
        startup, reading = self.admission.startup_seconds, streams.reading_seconds
        if placed.started_at is not None:
            elapsed = max(0.0, self.snapshot.taken_at - placed.started_at)
            startup, compute = 0.0, remaining_seconds(compute, elapsed)
            reading = min(compute, max(0.0, reading - elapsed))
        kind = self.kinds.get(accelerator)
        replicas = option.replicas if option else max(1, sum(count for _, count in placed.nodes))
        devices = option.devices_per_replica if option else 0
        return Column(
            job=job.key,
            option=placed.option,
            accelerator=accelerator,
            device_class=kind.device_class if kind else "",
            pool=placed.pool,
            cluster=placed.cluster,
            site=site,
            replicas=replicas,
            devices_per_replica=devices,
            pod=option.pod if option else Resources(pods=1),
            startup_seconds=startup,
            compute_seconds=compute,
            transfer_seconds=0.0,
            head_seconds=0.0,
            needs=self._fixed_needs(job, cluster, site),
            price=self.tariffs.price(placed.pool, replicas * devices * (startup + compute)),
            evidence=evidence,
            fixed=True,
            streams=Paced(streams.reads, reading),
            energy_joules=self.tariffs.joules(placed.pool, replicas * devices, startup, compute),
            carbon_grams=self.tariffs.grams(placed.pool, replicas * devices, startup, compute),
            failure_seconds=(1.0 - useful) * compute,
            checkpoint_interval_seconds=interval,
        )

    def _fixed_span(self, job: TrainingJob, placed: Placed) -> Column:
        """The same of a job over several sites; what it sends between them, as far as links are known still."""
        found = self._released(job, placed)
        startup, left = self.admission.startup_seconds, found.compute_seconds
        if placed.started_at is not None:
            startup = 0.0
            left = remaining_seconds(left, max(0.0, self.snapshot.taken_at - placed.started_at))
        share = left / found.compute_seconds
        needs = [
            _Inputs(self._fixed_needs(job, self.admission.clusters.get(part.cluster), part.site), 0.0, Streams())
            for part in found.parts
        ]
        left_of = replace(
            found,
            compute_seconds=left,
            exchange_seconds=found.exchange_seconds * share,
            failure_seconds=found.failure_seconds * share,
        )
        return replace(self._spanning(job, left_of, needs, fixed=True), startup_seconds=startup)

    def _released(self, job: TrainingJob, placed: Placed) -> Spanned:
        """What was released as it would be planned today, or by rates alone where that can no longer be said."""
        options = {option.name: option for option in job.options}
        chosen: list[tuple[Candidate, int]] = []
        for part in placed.parts:
            option = options.get(part.option) or job.options[0]
            pool = self.admission.pools.get(part.pool) or self._lost(part.cluster, part.pool, option)
            compute, evidence = compute_seconds(job, option, pool.site)
            if not 0.0 < compute <= LONGEST_SECONDS:
                compute, evidence = OVERDUE_SECONDS, Evidence.ASSUMED
            kind = self.kinds.get(pool.accelerator)
            chosen.append((_candidate(job, option, pool, kind, part.replicas, compute, evidence), part.replicas))
        if job.span is not None:
            answer = spanned(
                job.span, job.work_quantity, chosen, self.admission.network, self._allowed(job),
                self._recovery(job, chosen), in_order=True,
            )  # fmt: skip
            if isinstance(answer, Spanned) and answer.compute_seconds <= LONGEST_SECONDS:
                return answer
        return by_rates(job.work_quantity, chosen)

    def _lost(self, cluster: str, pool: str, option: Option) -> Pool:
        """A pool that is gone since something was released there."""
        member = self.admission.clusters.get(cluster)
        return Pool(pool, cluster, member.site if member else "", option.accelerator)

    def _reads_on(self, job: TrainingJob, cluster: Cluster | None) -> Streams:
        """What a released job streams; a path that is gone since then takes nothing from any link."""
        found = streamed(job.inputs, self.admission, cluster) if cluster else Streams()
        return Streams() if isinstance(found, Refusal) else found

    def _fixed_needs(self, job: TrainingJob, cluster: Cluster | None, site: str) -> tuple[Need, ...]:
        """A job is released only when its data is there, so nothing is left to move."""
        reads = self._reads_on(job, cluster).reads
        needs = {
            read.data_set: Need(read.data_set, f"site:{read.source_site}", read.source_site, True) for read in reads
        }
        for wanted in job.inputs:
            found = self.admission.data_at(wanted, cluster) if cluster else None
            store = found.store if isinstance(found, DataAt) else f"site:{site}"
            needs.setdefault(wanted.data_set, Need(wanted.data_set, store, site, True))
        return tuple(needs[key] for key in sorted(needs))

    def _refuse(self, job: Key, option: str, pool: str, refusal: Refusal) -> None:
        self.inadmissible.append(Inadmissible(job, option, pool, refusal.reason, refusal.message))


def held(placed: Placed | None, column: Column, pool: str) -> Iterator[tuple[tuple[str, int], Resources]]:
    """(node, pods) that a released job has in a pool, and what one of those pods asks for."""
    if placed is not None:
        for place, there in zip(column.places, placed.places, strict=True):
            yield from ((seat, place.pod) for seat in there.nodes if place.pool == pool)


def compute_seconds(job: TrainingJob, option: Option, site: str) -> tuple[float, Evidence]:
    """Seconds of compute of a job by an option at a site and how sure that is; 0 where no rate is known."""
    rate, evidence = option.rate_at(site)
    if rate is None or not (math.isfinite(rate) and rate > 0.0) or not job.work_quantity > 0.0:
        return 0.0, evidence
    seconds = min(job.work_quantity / rate, math.inf)
    return max(seconds, 1e-9), evidence


def _candidate(
    job: TrainingJob,
    option: Option,
    pool: Pool,
    kind: AcceleratorType | None,
    most: int,
    compute: float,
    evidence: Evidence,
) -> Candidate:
    memory = float(kind.memory_bytes) if kind is not None and kind.memory_bytes > 0 else math.inf
    return Candidate(
        pool=pool.name,
        cluster=pool.cluster,
        site=pool.site,
        option=option.name,
        accelerator=option.accelerator,
        device_class=kind.device_class if kind else "",
        devices_per_replica=option.devices_per_replica,
        pod=option.pod,
        gang=option.replicas,
        most=most,
        rate=job.work_quantity / (compute * max(1.0, pool.slowdown)) / option.replicas,
        memory_bytes=memory,
        device_mean_seconds=math.inf if job.checkpoint is None else device_mean_seconds(kind),
        evidence=evidence,
    )


def _nothing_known(variant: Variant) -> Refusal:
    text = f"variant {variant.name} has no rate, and nothing to estimate one from on {variant.accelerator}"
    return Refusal("NoRate", f"{text} (or its weights are larger than the devices' memory); write variants[].rate")


def _no_rate(option: Option) -> Refusal:
    if option.rate_per_second is None:
        text = f"option {option.name} has no rate, and the data sheet of {option.accelerator} gives no ground for one"
        text += "; write its rate, that of a sibling, or work.flopsPerUnit"
        return Refusal("NoRate", text)
    text = f"work divided by rate {option.rate_per_second:g}/s is no time between 0 and {LONGEST_SECONDS:g} s"
    return Refusal("NoRate", f"{text}; correct work.quantity or options[].rate")


def _together(parts: Iterable[CopyPart]) -> tuple[str, ...]:
    """The links of all parts, each once."""
    return tuple(dict.fromkeys(link for part in parts for link in part.links))


def _mostly_lost(option: Option, pool: Pool, useful: float) -> Refusal:
    devices = option.replicas * option.devices_per_replica
    left = f"{max(0.0, useful):.0%} of its time for work"
    text = f"checkpoints and failures would leave a job on {devices} x {pool.accelerator} {left}"
    return Refusal("MostlyLost", f"{text}; leave out checkpoint.intervalSeconds, or use fewer devices")


def _is_claim(url: str) -> bool:
    return url.startswith("pvc://")
