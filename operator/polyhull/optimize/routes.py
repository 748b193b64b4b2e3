"""The ways by which data sets come to stores: whole over one path, or in parts that end together."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from polyhull.domain.workloads import ActiveTransfer, CopyPart, DataSet, Key
from polyhull.optimize.admission import IN_SITE_BYTES_PER_SECOND, Admission, usable_rate
from polyhull.optimize.columns import Route
from polyhull.optimize.splits import split


class Routes:
    """`splits`: a copy may come in parts."""

    def __init__(self, admission: Admission, splits: bool) -> None:
        self.admission, self.splits = admission, splits

    def all(self, wanted: Mapping[tuple[Key, str], str]) -> Iterable[Route]:
        """Of what is under way, and to every (data set, store) of `wanted`, with the site of the store."""
        for (key, store), active in self.admission.active.items():
            data = self.admission.data_sets.get(key)
            if data is not None:
                yield self._active_route(data, store, active)
        for (key, store), site in wanted.items():
            if (key, store) not in self.admission.active:
                yield from self._new_routes(self.admission.data_sets[key], store, site)

    def _new_routes(self, data: DataSet, store: str, site: str) -> Iterable[Route]:
        network, allowed = self.admission.network, self.admission.allowed_sites(data.residency)
        urls = self.admission.readable(data)
        whole = tuple(self._whole_routes(data, store, site, urls))
        if not (whole and self.splits):
            yield from whole
            return
        fastest = max(route.rate_bytes_per_second for route in whole)
        found = split(network, data, urls, site, allowed, fastest)
        if isinstance(found, str):
            yield from (replace(route, whole_because=found) for route in whole)
            return
        yield from whole
        parts, seconds = found
        price = sum(self.admission.tariffs.egress(part.links, part.transfer_bytes) for part in parts)
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
                price=self.admission.tariffs.egress(tuple(link.name for link in path), data.size_bytes),
                startup_seconds=self.admission.transfer_startup(data),
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
            price=self.admission.tariffs.egress(active.links, left),
            startup_seconds=self.admission.remaining_startup(active),
            parts=active.parts,
        )


def _together(parts: Iterable[CopyPart]) -> tuple[str, ...]:
    """The links of all parts, each once."""
    return tuple(dict.fromkeys(link for part in parts for link in part.links))
