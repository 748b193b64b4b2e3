"""The one column of what was released already: where it is, with what remains."""

from dataclasses import replace

from polyhull.domain.fleet import Cluster, Evidence, Pool
from polyhull.domain.resources import Resources
from polyhull.domain.workloads import Option, Placed, TrainingJob
from polyhull.optimize.admission import OVERDUE_SECONDS, DataAt, Refusal, remaining_seconds
from polyhull.optimize.columns import LONGEST_SECONDS, Column, Need, bytes_by_link
from polyhull.optimize.failures import LEAST_USEFUL
from polyhull.optimize.making import Inputs, Making, candidate, compute_seconds
from polyhull.optimize.spans import Candidate, Spanned, by_rates, spanned
from polyhull.optimize.streams import Paced, Streams, paced, streamed


class Released(Making):
    """Of jobs with `placed`; never refused, whatever has changed since."""

    def column(self, job: TrainingJob, placed: Placed) -> Column:
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
        useful, interval = (1.0, 0.0) if option is None else self.useful(job, option, accelerator, placed.cluster)
        useful = max(LEAST_USEFUL, useful)
        compute /= useful
        streams = paced(self._reads_on(job, cluster), compute)
        compute += streams.overlap_seconds + streams.pacing_seconds
        startup, reading = self.admission.startup_seconds, streams.reading_seconds
        egress = self.tariffs.carried(bytes_by_link(streams.reads))
        if placed.started_at is not None:
            elapsed = max(0.0, self.snapshot.taken_at - placed.started_at)
            startup, compute = 0.0, remaining_seconds(compute, elapsed)
            reading = min(compute, max(0.0, reading - elapsed))
            egress *= reading / streams.reading_seconds if streams.reads else 0.0
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
            egress_price=egress,
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
            Inputs(self._fixed_needs(job, self.admission.clusters.get(part.cluster), part.site), 0.0, Streams())
            for part in found.parts
        ]
        left_of = replace(
            found,
            flows=tuple(replace(flow, transfer_bytes=flow.transfer_bytes * share) for flow in found.flows),
            compute_seconds=left,
            exchange_seconds=found.exchange_seconds * share,
            failure_seconds=found.failure_seconds * share,
        )
        return replace(self.spanning(job, left_of, needs, fixed=True), startup_seconds=startup)

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
            chosen.append((candidate(job, option, pool, kind, part.replicas, compute, evidence), part.replicas))
        if job.span is not None:
            answer = spanned(
                job.span, job.work_quantity, chosen, self.admission.network, self.allowed(job),
                self.recovery(job, chosen), in_order=True,
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
