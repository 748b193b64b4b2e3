"""The checker's page on data that is read while computing: where it comes from, and whether it comes in time.

Like validate.py it shares no code with what made the plan.
"""

from collections.abc import Iterator
from fractions import Fraction

from polyhull.domain.decision import Assignment, StreamedRead
from polyhull.domain.fleet import Cluster
from polyhull.domain.workloads import Access, DataSet, TrainingJob
from polyhull.planning.validate_facts import Facts, along
from polyhull.planning.validate_transfers import own_buckets

_SLACK = Fraction(1, 10**9)


def chunks(job: TrainingJob, a: Assignment, otherwise: int) -> int:
    """Into how many parts the plan may cut what the job streams: what is computed after the last byte is one part.

    `otherwise`: of data sets that do not say."""
    names = {read.data_set for read in a.reads}
    said = (otherwise if one.chunks is None else one.chunks for one in job.inputs if one.data_set in names)
    return min((max(1, parts) for parts in said), default=1)


def reading_seconds(a: Assignment) -> Fraction:
    """How long its links are used."""
    return max((Fraction(one.end_seconds) - Fraction(one.start_seconds) for one in a.reads), default=Fraction(0))


def streams(facts: Facts, job: TrainingJob, a: Assignment, cluster: Cluster, begin: Fraction) -> Iterator[str]:
    """Violations as sentences. `begin`: when its pods are up and started."""
    wanted = {one.data_set for one in job.inputs if one.access is Access.STREAM}
    for read in a.reads:
        what = f"{job.key} streams {read.data_set}"
        data = facts.data_sets.get(read.data_set)
        if data is None or read.data_set not in wanted:
            yield f"{what}, which it does not ask for or which is not in the snapshot"
            continue
        declared = any(one.site == read.source_site and not one.url.startswith("pvc://") for one in data.replicas)
        if not declared and not own_buckets(facts, data, read.source_site):
            yield f"{what} from {read.source_site}, where no replica can be read from outside"
        yield from _path(facts, what, read, data, cluster)
        span = Fraction(read.end_seconds) - Fraction(read.start_seconds)
        moved = Fraction(read.rate_bytes_per_second) * span
        if read.transfer_bytes < data.size_bytes or moved < data.size_bytes * (1 - _SLACK) - 1:
            yield f"{what}: {float(moved):.6g} of {data.size_bytes} bytes are read"
        if Fraction(read.start_seconds) < begin - Fraction(1, 1000):
            yield f"{what} from {read.start_seconds} s on, before it can start at {float(begin)} s"


def _path(facts: Facts, what: str, read: StreamedRead, data: DataSet, cluster: Cluster) -> Iterator[str]:
    whose = "its residency does"
    at = yield from along(what, read.source_site, read.links, facts.links, facts.labels, [data.residency], whose)
    if at is not None and (at != cluster.site or not read.links):
        yield f"{what} to {at}, not to {cluster.site}"
