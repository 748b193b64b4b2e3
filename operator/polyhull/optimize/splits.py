"""A copy in parts: several sources and paths at once, each with a rate and a share of the files of its own.

Rates come from a maximum flow with all links otherwise empty, taken apart into paths. Whoever copies moves whole
files: parts share them in their order, so that each gets its bytes and, where its share ends inside a file, at most
one file more. That much is planned for every part, and all parts are done at the same time.
"""

from collections.abc import Mapping

from polyhull.domain.units import format_bytes
from polyhull.domain.workloads import CopyPart, DataSet
from polyhull.optimize.paths import Allowed, FlowPath, Network

MOST_PARTS = 4
WORTH = 0.95
"""A split copy is a choice only if it takes at most this share of the time over the best single path."""

Split = tuple[tuple[CopyPart, ...], float]
"""Parts, the fastest first, and seconds until all of them are done, start-up not counted."""


def split(
    network: Network, data: DataSet, urls: Mapping[str, str], site: str, allowed: Allowed, fastest: float
) -> Split | str:
    """The fastest split of a copy to `site`, or why there is none.

    `urls`: by source site; `fastest`: bytes per second of the best single path.
    """
    largest, name = data.largest_file_bytes, data.key.name
    if largest is None:
        return f"{name} does not say how large its files are; write spec.largestFile"
    if site in urls:
        return f"{name} is at {site} already"
    paths = network.flow_paths(frozenset(urls), site, allowed)[:MOST_PARTS]
    found = [made for n in range(2, len(paths) + 1) if (made := _parts(paths[:n], data.size_bytes, largest, urls))]
    if not found:
        if len(paths) < 2:
            return f"one path carries all that can reach {site}"
        return f"files of {format_bytes(largest)} are too large to share {format_bytes(data.size_bytes)} of {name}"
    parts, seconds = min(found, key=lambda one: (one[1], len(one[0])))
    if seconds > WORTH * data.size_bytes / fastest:
        return f"parts of {name} with whole files of {format_bytes(largest)} would not be faster than one path"
    return parts, seconds


def _parts(paths: tuple[FlowPath, ...], size: int, largest: int, urls: Mapping[str, str]) -> Split | None:
    """Bytes so that every part ends with its last, whole file at the same time; None if a part would get none."""
    rates = [rate for _, rate in paths]
    seconds = (size + len(paths) * largest) / sum(rates)
    bytes_ = [int(rate * seconds) - largest for rate in rates]
    bytes_[0] = size - sum(bytes_[1:])
    if min(bytes_) <= 0:
        return None
    parts = tuple(
        CopyPart(path[0].source, urls[path[0].source], tuple(link.name for link in path), amount, rate)
        for (path, rate), amount in zip(paths, bytes_, strict=True)
    )
    return parts, max((amount + largest) / rate for amount, rate in zip(bytes_, rates, strict=True))
