"""All columns of a snapshot, the routes they may need, and why everything else fell out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from operator import attrgetter

from polyhull.domain.fleet import Pool
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import InferenceService, Key, Option, Span, SpanMode, TrainingJob, Variant
from polyhull.optimize.admission import Admission, Refusal
from polyhull.optimize.columns import LONGEST_SECONDS, Column, ColumnSet, Inadmissible, Need, bytes_by_link
from polyhull.optimize.failures import LEAST_USEFUL
from polyhull.optimize.making import Inputs, Making, candidate, compute_seconds
from polyhull.optimize.paths import Network
from polyhull.optimize.released import Released
from polyhull.optimize.resumed import leaving_seconds
from polyhull.optimize.routes import Routes
from polyhull.optimize.spans import MOST_COLUMNS, Candidate, Spanned, SpanPart, combinations, span_name, spanned
from polyhull.optimize.streams import paced


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
        job.confidential, job.exclusions, job.checkpoint, job.span, job.resume,
        # Room for what is written is promised to jobs by name, and so is who writes a data set.
        job.output, job.key if job.kept_bytes else None,
    )  # fmt: skip


class _Builder(Making):
    def __init__(self, snapshot: Snapshot, admission: Admission) -> None:
        super().__init__(snapshot, admission)
        self.pools: dict[str, list[Pool]] = {}
        for pool in sorted(snapshot.fleet.pools, key=lambda pool: pool.name):
            self.pools.setdefault(pool.accelerator, []).append(pool)
        self.columns: list[Column] = []
        """In the order of the jobs that were added; of each by pool and option."""
        self.inadmissible: list[Inadmissible] = []
        self.wanted: dict[tuple[Key, str], str] = {}
        """(data set, store) that some column must fill -> site of the store."""
        self.known: dict[object, tuple[list[Column], list[Inadmissible]]] = {}
        """By what makes jobs alike."""
        self.rules: dict[object, Mapping[str, Refusal | None]] = {}

    @cached_property
    def released(self) -> Released:
        """Made where something runs: an arrival's columns are made without."""
        return Released(self.snapshot, self.admission)

    def add_job(self, job: TrainingJob) -> None:
        if job.placed is not None:
            self.columns.append(self.released.column(job, job.placed))
            return
        if (known := self.known.get(alike(job))) is not None:
            self.columns += [replace(column, job=job.key) for column in known[0]]
            self.inadmissible += [replace(one, job=job.key) for one in known[1]]
            return
        first, before = len(self.columns), len(self.inadmissible)
        self._add_new(job)
        self.columns[first:] = sorted(self.columns[first:], key=attrgetter("pool", "option"))
        self.known[alike(job)] = self.columns[first:], self.inadmissible[before:]

    def _add_new(self, job: TrainingJob) -> None:
        data: dict[str, Inputs | Refusal] = {}
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
                    or self.admission.capped(service.key.namespace, (pool, variant.devices_per_replica))
                    or (None if variant.rate_per_second > 0.0 else _nothing_known(variant))
                )
                answer = refusal or self.needs(inputs, self.admission.clusters[pool.cluster])
                if isinstance(answer, Refusal):
                    self._refuse(service.key, variant.name, pool.name, answer)
                else:
                    self._want(answer.needs)

    def result(self) -> ColumnSet:
        inadmissible = sorted(self.inadmissible, key=lambda one: (one.job, one.pool, one.option))
        routes = sorted(
            Routes(self.admission, self.snapshot.policy.split_transfers).all(self.wanted),
            key=lambda one: (one.data_set, one.store, len(one.parts), one.source_site),
        )
        return ColumnSet(tuple(self.columns), tuple(routes), tuple(inadmissible))

    def _candidate(
        self,
        job: TrainingJob,
        option: Option,
        pool: Pool,
        refusal: Refusal | None,
        data: "dict[str, Inputs | Refusal]",
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
            found = data[pool.cluster] = self.needs(job.inputs, admission.clusters[pool.cluster])
            if not isinstance(found, Refusal):
                self._want(found.needs)
        answer = data[pool.cluster]
        if isinstance(answer, Refusal):
            self._refuse(job.key, option.name, pool.name, answer)
            return
        kind = self.kinds.get(option.accelerator)
        startup = self.admission.startup_seconds
        useful, interval = self.useful(job, option, pool.accelerator, pool.cluster)
        if useful < LEAST_USEFUL:
            self._refuse(job.key, option.name, pool.name, _mostly_lost(option, pool, useful))
            return
        work = compute * max(1.0, pool.slowdown)
        compute = work / useful
        devices = option.replicas * option.devices_per_replica
        head = leaving = leaving_seconds(job, admission.now)
        if pool.growth is not None and admission.room(option.pod, pool).now < option.replicas:
            head = max(head, pool.growth.provision_seconds)
        streams = paced(answer.streams, compute)
        held = startup + compute + streams.overlap_seconds + streams.pacing_seconds
        if not held <= LONGEST_SECONDS:
            text = f"reading its data while computing would take {held:.3g} s at {pool.site}; write access: Stage"
            self._refuse(job.key, option.name, pool.name, Refusal("NoReachableReplica", text))
            return
        joules = self.tariffs.joules(pool.name, devices, held - compute, compute)
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
                leaving_seconds=leaving,
                needs=answer.needs,
                price=self.tariffs.price(pool.name, devices * held),
                evidence=evidence,
                energy_joules=joules,
                carbon_grams=self.tariffs.emitted(pool.name, joules),
                egress_price=self.tariffs.carried(bytes_by_link(streams.reads)) if streams.reads else 0.0,
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
                or admission.capped(job.key.namespace, (pool, option.replicas * option.devices_per_replica))
                for pool in pools
            }
        return self.rules[kind]

    def _spans(self, job: TrainingJob, span: Span, data: "dict[str, Inputs | Refusal]") -> None:
        """The best columns over several sites, and why the other combinations are none."""
        pairs = [(option, pool) for option in job.options for pool in self.pools.get(option.accelerator, ())]
        candidates = [one for option, pool in pairs if (one := self._part(job, option, pool, data)) is not None]
        allowed = self.allowed(job)
        found: list[tuple[float, Column]] = []
        for chosen in self._combined(candidates, span.max_sites):
            leading = self._leading(job, span, chosen)
            against = self._capped(job, chosen) or self._nameless(chosen)
            if against is None and isinstance(leading, Refusal):
                against = leading
            answer = against or spanned(
                span, job.work_quantity, chosen, self.admission.network, allowed, self.recovery(job, chosen),
                leading=leading,
            )  # fmt: skip
            if isinstance(answer, Spanned) and not answer.compute_seconds <= LONGEST_SECONDS:
                answer = Refusal("NoRate", f"it would take {answer.compute_seconds:.3g} s; correct work.quantity")
            if isinstance(answer, Refusal):
                pools, options = span_name([one for one, _ in chosen])
                self._refuse(job.key, options, pools, answer)
                continue
            inputs = [data[part.cluster] for part in answer.parts]
            head = max(self._provisioning(part) for part in answer.parts)
            column = self.spanning(job, answer, [one for one in inputs if isinstance(one, Inputs)], head=head)
            found.append((max(column.transfer_seconds, column.head_seconds) + column.hold_seconds, column))
        for _, column in sorted(found, key=lambda one: (one[0], one[1].name))[:MOST_COLUMNS]:
            self._want(column.needs)
            self.columns.append(column)

    def _part(
        self, job: TrainingJob, option: Option, pool: Pool, data: "dict[str, Inputs | Refusal]"
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
            data[pool.cluster] = self.needs(job.inputs, admission.clusters[pool.cluster])
        answer = data[pool.cluster]
        if isinstance(answer, Refusal) or answer.streams.reads:
            return None
        kind = self.kinds.get(option.accelerator)
        most = min(option.replicas, admission.room(option.pod, pool).now)
        return candidate(job, option, pool, kind, most, compute, evidence)

    def _combined(
        self, candidates: Sequence[Candidate], most_sites: int
    ) -> Iterator[tuple[tuple[Candidate, int], ...]]:
        """On nodes that are there; where these do not hold the gang, with those that growth may add."""
        known: set[tuple[tuple[str, str], ...]] = set()
        grown = [replace(one, most=self._grown(one)) for one in candidates]
        for some in (candidates, grown) if grown != candidates else (candidates,):
            for chosen in combinations(some, most_sites):
                name = tuple((one.pool, one.option) for one, _ in chosen)
                if name not in known:
                    known.add(name)
                    yield chosen

    def _grown(self, one: Candidate) -> int:
        return min(one.gang, self.admission.room(one.pod, self.admission.pools[one.pool]).grown)

    def _provisioning(self, part: SpanPart) -> float:
        """Seconds before which the part cannot have all its nodes."""
        pool = self.admission.pools[part.pool]
        if pool.growth is None or self.admission.room(part.pod, pool).now >= part.replicas:
            return 0.0
        return max(0.0, pool.growth.provision_seconds)

    def _capped(self, job: TrainingJob, chosen: Sequence[tuple[Candidate, int]]) -> Refusal | None:
        pools = self.admission.pools
        held = ((pools[one.pool], pods * one.devices_per_replica) for one, pods in chosen)
        return self.admission.capped(job.key.namespace, *held)

    def _leading(
        self, job: TrainingJob, span: Span, chosen: Sequence[tuple[Candidate, int]]
    ) -> frozenset[str] | Refusal:
        """Sites that may have rank 0: those that can keep what it writes. Stages of a pipeline are saved at each."""
        clusters = {one.site: self.admission.clusters[one.cluster] for one, _ in chosen}
        against = {site: self.admission.keeps(job, cluster) for site, cluster in clusters.items()}
        if span.mode is SpanMode.PIPELINE:
            for cluster in clusters.values():
                if (refusal := self.admission.keeps(job, cluster, leaves=False)) is not None:
                    return refusal
        found = frozenset(site for site, refusal in against.items() if refusal is None)
        return found or next(refusal for refusal in against.values() if refusal is not None)

    def _nameless(self, chosen: Sequence[tuple[Candidate, int]]) -> Refusal | None:
        """Any part may hold rank 0, which pods of other clusters must find by name."""
        names = sorted({one.cluster for one, _ in chosen})
        without = [name for name in names if not self.admission.clusters[name].service_domain]
        if len(names) < 2 or not without:
            return None
        remedy = f"let {without[0]} serve ServiceExports (Multi-Cluster Services API), or set its spec.serviceDomain"
        return Refusal("NoServiceDomain", f"pods of other clusters have no name for those of {without[0]}; {remedy}")

    def _want(self, needs: tuple[Need, ...]) -> None:
        for need in needs:
            if not need.present:
                self.wanted[need.data_set, need.store] = need.site

    def _refuse(self, job: Key, option: str, pool: str, refusal: Refusal) -> None:
        self.inadmissible.append(Inadmissible(job, option, pool, refusal.reason, refusal.message))


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


def _mostly_lost(option: Option, pool: Pool, useful: float) -> Refusal:
    devices = option.replicas * option.devices_per_replica
    left = f"{max(0.0, useful):.0%} of its time for work"
    text = f"checkpoints and failures would leave a job on {devices} x {pool.accelerator} {left}"
    return Refusal("MostlyLost", f"{text}; leave out checkpoint.intervalSeconds, or use fewer devices")
