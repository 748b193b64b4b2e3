"""Which flows there are: private data sets by where they lie and may go, shared ones alone while they are few."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from polyhull.optimize.data import Ints, ModelData

Variables = Callable[[int, float], Ints]

EXACT_FLOW_VARIABLES = 15_000
"""Up to this many flow variables a shared data set has a flow of its own to every site; beyond, its flows are
relaxed to what enters each site and what leaves its sources."""
READER_ROWS = 2_500
"""… and while (reader, site) pairs are no more than this; beyond, the readers' mean stands for their maximum."""


@dataclass(frozen=True, slots=True, eq=False)
class Commodity:
    """Data sets with one flow: private ones with the same sources and allowed sites, or one shared set."""

    private: bool
    members: tuple[int, ...]
    links: Ints
    """Links its bytes may use."""
    F: Ints
    """Variables, the share of each such link's volume it takes."""


@dataclass(slots=True)
class Flows:
    """`exact`: shared data sets are few enough for `phi`, a flow per site, and `Z`, copies per site."""

    exact: bool
    commodities: list[Commodity] = field(default_factory=list)
    readers_at: dict[tuple[int, str], list[int]] = field(default_factory=dict)
    """(data set, site) -> columns that read it there; shared ones only."""
    Z: dict[tuple[int, str], int] = field(default_factory=dict)
    Zmax: dict[int, int] = field(default_factory=dict)
    phi: dict[tuple[int, str], Ints] = field(default_factory=dict)


def flow_variables(data: ModelData, variables: Variables, most_copied: float) -> Flows:
    """F, Z and phi; none for whole copies, which take fixed paths. `variables(count, upper)` gives new ones;
    `most_copied`: upper bound of a copied share."""
    if data.whole is not None:
        return Flows(False)
    shared = [k for k, one in enumerate(data.data_sets) if not one.private]
    rows = sum(len(data.data_sets[k].readers) for k in shared) * len(data.sites)
    few = len(shared) * len(data.links) * (len(data.sites) + 1) <= EXACT_FLOW_VARIABLES
    flows = Flows(few and rows <= READER_ROWS)
    if flows.exact and shared:
        is_shared = np.isin(data.need_set, np.array(shared, dtype=np.int64))
        for at in np.flatnonzero(is_shared).tolist():
            key = (int(data.need_set[at]), data.sites[int(data.need_site[at])])
            flows.readers_at.setdefault(key, []).append(int(data.need_column[at]))
    for private, members in _groups(data, flows.exact):
        _commodity(data, variables, most_copied, flows, private, members)
    return flows


def _groups(data: ModelData, exact: bool) -> list[tuple[bool, tuple[int, ...]]]:
    groups: dict[tuple[bool, tuple[str, ...], tuple[str, ...], int], list[int]] = {}
    for k, one in enumerate(data.data_sets):
        label = k if exact and not one.private else -1
        key = (one.private, tuple(sorted(one.sources)), tuple(sorted(one.allowed)), label)
        groups.setdefault(key, []).append(k)
    return [(key[0], tuple(members)) for key, members in sorted(groups.items())]


def _commodity(
    data: ModelData,
    variables: Variables,
    most_copied: float,
    flows: Flows,
    private: bool,
    members: tuple[int, ...],
) -> None:
    one = data.data_sets[members[0]]
    usable = [
        e
        for e, (source, target) in enumerate(zip(data.link_source, data.link_target, strict=True))
        if source in one.allowed and target in one.allowed and target not in one.sources
    ]
    links = np.array(usable, dtype=np.int64)
    F = variables(len(links), 1.0)
    flows.commodities.append(Commodity(private, members, links, F))
    if private or not flows.exact:
        return
    k = members[0]
    flows.Zmax[k] = int(variables(1, most_copied)[0])
    for site in data.sites:
        if (k, site) in flows.readers_at:
            flows.Z[k, site] = int(variables(1, most_copied)[0])
            flows.phi[k, site] = variables(len(links), 1.0)
