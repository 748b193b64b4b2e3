"""What a column of any kind is made of: data at a cluster, rates, checkpoints, parts over several sites."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from polyhull.domain.fleet import AcceleratorType, Cluster, Evidence, Pool
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import DataInput, Option, TrainingJob
from polyhull.optimize.admission import Admission, DataAt, Refusal
from polyhull.optimize.columns import LONGEST_SECONDS, Column, Need, bytes_by_link
from polyhull.optimize.failures import Recovery, device_mean_seconds, failure_rate, recovery, useful_share
from polyhull.optimize.paths import Allowed
from polyhull.optimize.spans import Candidate, Spanned
from polyhull.optimize.streams import Streams, streamed


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a job's data means at one cluster."""

    needs: tuple[Need, ...]
    transfer_seconds: float
    streams: Streams


class Making:
    """One snapshot's rules, kinds and tariffs."""

    def __init__(self, snapshot: Snapshot, admission: Admission) -> None:
        self.snapshot, self.admission = snapshot, admission
        self.tariffs = admission.tariffs
        self.kinds: dict[str, AcceleratorType] = {kind.name: kind for kind in snapshot.fleet.accelerators}

    def useful(self, job: TrainingJob, option: Option, accelerator: str, cluster: str) -> tuple[float, float]:
        """phi, the share of its time that a job with checkpoints works, and its interval; 1 and 0 for others."""
        if job.checkpoint is None:
            return 1.0, 0.0
        kind, member = self.kinds.get(accelerator), self.admission.clusters.get(cluster)
        devices = option.replicas * option.devices_per_replica
        rate = failure_rate(devices, device_mean_seconds(kind))
        saving = recovery(job.checkpoint, member, self.admission.startup_seconds)
        return useful_share(saving, rate), saving.interval(rate)

    def allowed(self, job: TrainingJob) -> Allowed:
        """Sites that what a job sends between its parts may pass: those where all its data may be."""
        known = [
            self.admission.data_sets[one.data_set] for one in job.inputs if one.data_set in self.admission.data_sets
        ]
        sites = [self.admission.allowed_sites(data.residency) for data in known]
        return frozenset(self.admission.sites).intersection(*sites)

    def recovery(self, job: TrainingJob, chosen: Sequence[tuple[Candidate, int]]) -> Recovery:
        """Of a gang that saves at several sites: at the slowest of their stores."""
        startup, members = self.admission.startup_seconds, self.admission.clusters
        if job.checkpoint is None:
            return Recovery(0.0, startup)
        each = [recovery(job.checkpoint, members.get(one.cluster), startup) for one, _ in chosen]
        return max(each, key=lambda one: one.checkpoint_seconds)

    def spanning(
        self, job: TrainingJob, found: Spanned, inputs: "Sequence[Inputs]", fixed: bool = False, head: float = 0.0
    ) -> Column:
        """A column of several parts; `head`: seconds until growth has added the nodes that they need."""
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
            head_seconds=head,
            needs=tuple(needs[key] for key in sorted(needs)),
            price=sum(tariffs.price(part.pool, part.devices * held) for part in found.parts),
            evidence=found.evidence,
            fixed=fixed,
            energy_joules=sum(tariffs.joules(part.pool, part.devices, startup, compute) for part in found.parts),
            carbon_grams=sum(tariffs.grams(part.pool, part.devices, startup, compute) for part in found.parts),
            egress_price=tariffs.carried(bytes_by_link(found.flows)),
            parts=found.parts,
            flows=found.flows,
            micro_batches=found.micro_batches,
            exchange_seconds=found.exchange_seconds,
            failure_seconds=found.failure_seconds,
            checkpoint_interval_seconds=0.0 if job.checkpoint is None else found.checkpoint_interval_seconds,
        )

    def needs(self, inputs: Sequence[DataInput], cluster: Cluster) -> "Inputs | Refusal":
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
        return Inputs(tuple(needs[key] for key in sorted(needs)), seconds, streams)


def compute_seconds(job: TrainingJob, option: Option, site: str) -> tuple[float, Evidence]:
    """Seconds of compute of a job by an option at a site and how sure that is; 0 where no rate is known."""
    rate, evidence = option.rate_at(site)
    if rate is None or not (math.isfinite(rate) and rate > 0.0) or not job.work_quantity > 0.0:
        return 0.0, evidence
    return max(min(job.work_left / rate, math.inf), 1e-9), evidence


def candidate(
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
        rate=job.work_left / (compute * max(1.0, pool.slowdown)) / option.replicas,
        memory_bytes=memory,
        device_mean_seconds=math.inf if job.checkpoint is None else device_mean_seconds(kind),
        evidence=evidence,
    )
