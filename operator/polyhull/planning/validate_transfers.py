"""The checker's page on copies on their way: bytes, rates, paths, and residency on every hop.

Like validate.py it shares no code with what made the plan.
"""

from collections.abc import Iterator
from fractions import Fraction

from polyhull.domain.decision import Transfer
from polyhull.domain.fleet import StorageKind
from polyhull.domain.workloads import CopyPart, DataSet
from polyhull.planning.validate_facts import LINK_SLACK, SLACK_SECONDS, Facts, exact

IN_SITE_BYTES_PER_SECOND = Fraction(10**10, 8)


def moved(facts: Facts, t: Transfer) -> Iterator[str]:
    """One transfer's times, rate, parts and paths, as sentences of what is wrong."""
    data = facts.data_sets.get(t.data_set)
    what = f"the transfer of {t.data_set} to {t.store}"
    if data is None:
        yield f"{what} moves a data set that is not in the snapshot"
        return
    start, end = exact(t.start_seconds), exact(t.end_seconds)
    if start is None or end is None or start < 0 or t.rate_bytes_per_second <= 0:
        yield f"{what} has no proper start, end or rate"
        return
    running = any((r.data_set, r.store) == (t.data_set, t.store) for r in facts.snapshot.transfers)
    if t.active != running:
        yield f"{what} is {'not ' if t.active else ''}running in the snapshot, the plan says otherwise"
    if running:
        return
    if t.transfer_bytes != data.size_bytes:
        yield f"{what} moves {t.transfer_bytes} bytes of {data.size_bytes}"
    if t.parts:
        yield from _split(facts, what, t, data)
    cluster = facts.clusters.get(t.cluster)
    if cluster is None or cluster.store != t.store or cluster.site != t.target_site:
        yield f"{what} is run in {t.cluster}, whose store it is not"
    # A part's share of the files may end inside one, which it then moves as a whole.
    file = Fraction(data.largest_file_bytes or 0) if t.parts else Fraction(0)
    for part in t.flows:
        if part.rate_bytes_per_second <= 0:
            yield f"{what} has a part without a rate"
            continue
        length = (part.transfer_bytes + file) / Fraction(part.rate_bytes_per_second) + facts.startup()
        if end - start < length - SLACK_SECONDS - length / 10**9:
            yield f"{what} needs {float(length)} s at its rate and is given {float(end - start)} s"
        yield from _flow(facts, what, part, t.target_site, data)


def _split(facts: Facts, what: str, t: Transfer, data: DataSet) -> Iterator[str]:
    """What holds of all parts together."""
    if not facts.snapshot.policy.split_transfers:
        yield f"{what} is split, which the policy does not allow"
    if data.largest_file_bytes is None:
        yield f"{what} is split, and nobody said how large its files are"
    if any(part.transfer_bytes <= 0 for part in t.parts) or len(t.parts) < 2:
        yield f"{what} is split into {len(t.parts)} parts, one of them without bytes or the only one"
    if sum(part.transfer_bytes for part in t.parts) != data.size_bytes:
        total = sum(part.transfer_bytes for part in t.parts)
        yield f"{what} moves {total} bytes of {data.size_bytes} in its parts"


def _flow(facts: Facts, what: str, part: CopyPart, target: str, data: DataSet) -> Iterator[str]:
    """One path from a declared replica to the target, residency on every hop."""
    declared = any(r.site == part.source_site and r.url == part.source_url for r in data.replicas)
    if not declared and not (part.source_url and part.source_url in own_buckets(facts, data, part.source_site)):
        yield f"{what} reads from {part.source_site}, where no such replica is declared"
    at = part.source_site
    for site in (at, target):
        if not data.residency.matches(facts.labels.get(site, ())):
            yield f"{what} touches site {site}, where its residency does not allow it"
    for name in part.links:
        link = facts.links.get(name)
        if link is None or link.source != at:
            yield f"{what} goes over {name}, which does not leave {at}"
            return
        at = link.target
        if not data.residency.matches(facts.labels.get(at, ())):
            yield f"{what} passes site {at}, where its residency does not allow it"
    if at != target:
        yield f"{what} ends at {at}, not at {target}"
    if not part.links and Fraction(part.rate_bytes_per_second) > IN_SITE_BYTES_PER_SECOND * (1 + LINK_SLACK):
        yield f"{what} stays inside a site and is faster than the 10 Gbit/s assumed there"


def own_buckets(facts: Facts, data: DataSet, site: str) -> set[str]:
    """Addresses of buckets at a site that hold a copy, of a data set that no replica gives to other clusters."""
    if any(not replica.url.startswith("pvc://") for replica in data.replicas):
        return set()
    stores = {copy.store for copy in data.copies if copy.site == site}
    clusters = (c for c in facts.clusters.values() if c.storage.kind is StorageKind.BUCKET and c.store in stores)
    return {cluster.storage.url for cluster in clusters}
