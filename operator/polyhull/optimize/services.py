"""Online inference: which variant serves whom from where, with exact integer replica counts (docs/model.md §3).

The relaxation says which (variant, pool) are cheapest for the whole plan; this module turns that into integers.
What already serves keeps its place while it is admissible and suffices. Counts never exceed what the pool's nodes
hold beside running jobs and earlier services; which node takes which replica is planning's business.
"""

import math
from collections.abc import Mapping, Sequence

from polyhull.domain.decision import Explanation, Route, ServicePlan, ServingPlan, Unplaced
from polyhull.domain.fleet import Evidence
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.units import format_seconds
from polyhull.domain.workloads import InferenceService, Key
from polyhull.optimize.admission import Admission
from polyhull.optimize.answers import best_answers, losses, routing_rule
from polyhull.optimize.columns import ColumnSet
from polyhull.optimize.costs import Tariffs
from polyhull.optimize.data import DemandData, ServiceData, ServingOption
from polyhull.optimize.erlang import least_replicas, most_arrivals, replicas_per_request
from polyhull.optimize.paths import Network
from polyhull.optimize.service_costs import Counts, cheapest_counts
from polyhull.optimize.service_rooms import Candidate, Purse, Room

_SERVED = 1e-9
"""Requests/s below this share of the demand count as none."""

Model = tuple[tuple[ServiceData, ...], tuple[DemandData, ...], tuple[ServingOption, ...]]


class Serving:
    """Admissible serving options of a snapshot, their relaxation, and the integer plan."""

    def __init__(self, snapshot: Snapshot, columns: ColumnSet) -> None:
        self.snapshot = snapshot
        self.network = Network(snapshot.fleet, snapshot.policy.bandwidth_margin)
        self.admission = Admission(snapshot, self.network)
        seen: dict[Key, InferenceService] = {}
        for service in sorted(snapshot.services, key=lambda one: (-one.priority, one.key)):
            seen.setdefault(service.key, service)
        self.services = tuple(seen.values())
        self.pools = sorted(snapshot.fleet.pools, key=lambda pool: pool.name)
        self.place = {pool.name: p for p, pool in enumerate(self.pools)}
        refused = {(one.job, one.option, one.pool) for one in columns.inadmissible}
        self.inadmissible = columns.inadmissible
        ready: dict[tuple[Key, str], float] = {}
        for route in columns.routes:
            at = (route.data_set, route.store)
            ready[at] = min(ready.get(at, math.inf), route.seconds)
        self.candidates = tuple(self._candidates(service, refused, ready) for service in self.services)

    def demands(self, service: InferenceService) -> dict[str, float]:
        """Requests per second by origin; what is not a positive number asks for nothing."""
        found: dict[str, float] = {}
        for demand in service.demand:
            if math.isfinite(demand.requests_per_second) and demand.requests_per_second > 0.0:
                found[demand.site] = found.get(demand.site, 0.0) + demand.requests_per_second
        return dict(sorted(found.items()))

    def _candidates(
        self, service: InferenceService, refused: set[tuple[Key, str, str]], ready: dict[tuple[Key, str], float]
    ) -> tuple[Candidate, ...]:
        found = []
        origins = self.demands(service)
        for stated in sorted(service.variants, key=lambda one: one.name):
            if not (math.isfinite(stated.rate_per_second) and stated.rate_per_second > 0.0):
                continue
            for pool in self.pools:
                if pool.accelerator != stated.accelerator or (service.key, stated.name, pool.name) in refused:
                    continue
                variant = stated.slowed(pool.slowdown)
                slack = []
                for origin in origins:
                    trip = self.round_trip(origin, pool.site)
                    if trip is not None:
                        slack.append((origin, service.latency_seconds - trip - variant.service_seconds))
                seconds = 0.0
                if variant.model is not None:
                    store = self.admission.clusters[pool.cluster].store
                    seconds = ready.get((variant.model.data_set, store), 0.0)
                found.append(Candidate(variant, pool.name, pool.cluster, pool.site, tuple(slack), seconds))
        return tuple(found)

    def round_trip(self, origin: str, site: str) -> float | None:
        """Seconds of network latency there and back by the paths of least latency; None without a path."""
        there, back = self.network.nearest(origin, site), self.network.nearest(site, origin)
        if there is None or back is None:
            return None
        return sum(max(0.0, link.latency_seconds) for link in (*there, *back))

    # -- relaxation -------------------------------------------------------------------------------------------

    def model(self, served: dict[tuple[Key, str], float] | None = None) -> Model:
        """Services, demands and serving options as the programme reads them; `served` replaces the demand."""
        position = {name: e for e, name in enumerate(self.network.links)}
        services: list[ServiceData] = []
        demands: list[DemandData] = []
        options: list[ServingOption] = []
        for i, service in enumerate(self.services):
            wanted = self.demands(service)
            if served is not None:
                wanted = {origin: served.get((service.key, origin), 0.0) for origin in wanted}
            total = sum(wanted.values())
            first = len(demands)
            index: dict[str, int] = {}
            for origin, rate in wanted.items():
                if rate > 0.0:
                    index[origin] = first + len(index)
            options_before = len(options)
            for candidate in self.candidates[i]:
                option = self._option(i, service, candidate, total, index)
                if option is not None:
                    options.append(option)
            sites = {candidate.site for candidate in self.candidates[i]}
            for origin in index:
                demands.append(DemandData(i, origin, wanted[origin], self._traffic(service, origin, sites, position)))
            any_option = len(options) > options_before
            least = service.min_replicas if any_option and total > 0.0 and served is None else 0
            services.append(ServiceData(service.key, service.priority, max(0, least), None))
        return tuple(services), tuple(demands), tuple(options)

    def _option(
        self, i: int, service: InferenceService, candidate: Candidate, total: float, index: dict[str, int]
    ) -> ServingOption | None:
        reach = [(origin, slack) for origin, slack in candidate.slack if slack >= 0.0 and origin in index]
        pool = self.pools[self.place[candidate.pool]]
        most = self.admission.room(candidate.variant.pod, pool).grown
        if not reach or most < 1:
            return None
        variant = candidate.variant
        slope = replicas_per_request(
            total,
            variant.rate_per_second,
            variant.service_seconds,
            max(slack for _, slack in reach),
            service.percentile,
        )
        if slope is None:
            slope = (1.0 - 1e-9) / variant.rate_per_second
        per_request = tuple((index[origin], slope) for origin, _ in reach)
        return ServingOption(i, variant.name, self.place[candidate.pool], variant.pod, most, per_request)

    def _traffic(
        self, service: InferenceService, origin: str, sites: set[str], position: dict[str, int]
    ) -> tuple[tuple[str, tuple[tuple[int, float], ...]], ...]:
        sizes = [(one.request_bytes, one.response_bytes) for one in service.demand if one.site == origin]
        request, response = max(0.0, sizes[0][0]), max(0.0, sizes[0][1])
        found = []
        for site in sorted(sites):
            per_link: dict[int, float] = {}
            for path, volume in (
                (self.network.nearest(origin, site), request),
                (self.network.nearest(site, origin), response),
            ):
                for link in path or ():
                    per_link[position[link.name]] = per_link.get(position[link.name], 0.0) + volume
            found.append((site, tuple(sorted(per_link.items()))))
        return tuple(found)

    def open_to_choice(self, options: Sequence[ServingOption]) -> tuple[set[int], list[ServingOption]]:
        """Services that run nowhere yet and whose replicas nobody else counts, and the options of theirs."""
        new = {i for i, one in enumerate(self.services) if not one.serving and one.fixed_replicas is None}
        return new, [one for one in options if one.service in new]

    # -- integers ---------------------------------------------------------------------------------------------

    def plan(
        self, preference: dict[tuple[Key, str, str], float]
    ) -> tuple[tuple[ServicePlan, ...], tuple[Unplaced, ...]]:
        """Replicas and routes, higher priority first. `preference`: replicas in the relaxation by (service,
        variant, pool); more is tried earlier. Where Cost is the first objective, services that run nowhere yet go
        where they are cheapest, if that serves no less."""
        plans, unplaced = self._placed(preference, {})
        limited = {one.key for one in self.services if one.cost_per_hour is not None}
        if limited:
            counts = {at: n for at, n in best_answers(self, Room(self).left()).items() if at[0] in limited}
            paid, missing = self._placed(preference, counts)
            if counts and len(missing) <= len(unplaced) and _serves_no_less(paid, plans):
                plans, unplaced = paid, missing
        if self.snapshot.policy.objective[:1] != ("Cost",):
            return plans, unplaced
        least = cheapest_counts(self, Room(self).left())
        if not least:
            return plans, unplaced
        cheap, missing = self._placed(dict.fromkeys(preference, 0.0) | dict(least), least)
        if len(missing) <= len(unplaced) and self._cheaper(cheap, plans):
            return cheap, missing
        return plans, unplaced

    def best(self) -> tuple[ServicePlan, ...]:
        """By quality: what loses least over all services together, or service after service by its best variants
        where the exact queue then answers fewer."""
        plans, _ = self._placed({}, {})
        counts = best_answers(self, Room(self).left())
        together = self._placed({}, counts)[0] if counts else plans
        better = _serves_no_less(together, plans) and self._answers(together) < self._answers(plans)
        return together if better else plans

    def _answers(self, plans: tuple[ServicePlan, ...]) -> tuple[float, float]:
        """How little, and how badly: requests per second not answered, those answered times the quality they miss."""
        missed = {one.key: losses(one) for one in self.services}
        unanswered = math.fsum(one.demanded_per_second - one.served_per_second for one in plans)
        lost = math.fsum(
            route.requests_per_second * missed[one.service][route.variant] for one in plans for route in one.routes
        )
        return round(unanswered, 6), round(lost, 6)

    def _cheaper(self, cheap: tuple[ServicePlan, ...], plans: tuple[ServicePlan, ...]) -> bool:
        """No service gets fewer requests served, and together they cost less by the hour."""
        if not _serves_no_less(cheap, plans):
            return False
        tariffs = Tariffs(self.snapshot.fleet)
        bills = [
            math.fsum(
                tariffs.price(part.pool, part.replicas * part.devices_per_replica)
                for one in each
                for part in one.replicas
            )
            for each in (cheap, plans)
        ]
        return bills[0] < bills[1] * (1.0 - _SERVED)

    def _placed(
        self, preference: Mapping[tuple[Key, str, str], float], caps: Counts
    ) -> tuple[tuple[ServicePlan, ...], tuple[Unplaced, ...]]:
        """`caps`: a service named here takes so many replicas of each candidate first, more only for what is left."""
        room = Room(self)
        plans, unplaced = [], []
        for service, candidates in zip(self.services, self.candidates, strict=True):
            running = {(one.variant, one.pool): one.replicas for one in service.serving}

            def rank(one: Candidate, key: Key = service.key, running: dict[tuple[str, str], int] = running) -> object:
                at = (one.variant.name, one.pool)
                liked = preference.get((key, *at), 0.0)
                return (-running.get(at, 0), -round(liked, 6), -one.variant.quality, one.variant.name, one.pool)

            ordered = sorted(candidates, key=rank)  # type: ignore[arg-type]
            most = [caps.get((service.key, one.variant.name, one.pool), 0) for one in ordered]
            plan = self._one(service, ordered, room, most if any(most) else [])
            wanted = plan.demanded_per_second > 0.0 or service.min_replicas > 0
            if plan.replicas or not wanted or service.fixed_replicas == 0:
                plans.append(plan)
            else:
                unplaced.append(Unplaced(service.key, *self._why(service, candidates, plan)))
        plans.sort(key=lambda one: one.service)
        unplaced.sort(key=lambda one: one.job)
        return tuple(plans), tuple(unplaced)

    def _one(
        self, service: InferenceService, candidates: list[Candidate], room: Room, caps: list[int]
    ) -> ServicePlan:
        left = self.demands(service)
        asked = sum(left.values())
        chosen: dict[int, int] = {}
        answered: dict[tuple[str, int], float] = {}
        budget = service.fixed_replicas if service.fixed_replicas is not None else None
        purse = Purse(self, service)
        # Capped first, where caps were given, then as much as is still missing.
        rounds = [(c, cap) for c, cap in enumerate(caps) if cap > 0]
        for c, cap in [*rounds, *((c, None) for c in range(len(candidates)))]:
            one = candidates[c]
            can = purse.count(one, room.count(one, service.key.namespace))
            can = can if budget is None else min(can, budget - sum(chosen.values()))
            taken, count = self._take(service, one, left, can if cap is None else min(can, cap))
            if count:
                chosen[c] = chosen.get(c, 0) + count
                room.take(one, service.key.namespace, count)
                purse.take(one, count)
            for origin, rate in taken.items():
                left[origin] -= rate
                if left[origin] <= _SERVED * asked:
                    left[origin] = 0.0
                answered[origin, c] = answered.get((origin, c), 0.0) + rate
        routes = [
            Route(origin, candidates[c].cluster, candidates[c].pool, candidates[c].variant.name, rate)
            for (origin, c), rate in answered.items()
        ]
        target = max(0, service.min_replicas) if budget is None else budget
        for c, one in sorted(enumerate(candidates), key=lambda pair: (pair[0] not in chosen, pair[0])):
            more = min(target - sum(chosen.values()), purse.count(one, room.count(one, service.key.namespace)))
            # A replica that nobody reaches in time helps nobody.
            if more > 0 and (asked <= 0.0 or any(slack >= 0.0 for _, slack in one.slack)):
                chosen[c] = chosen.get(c, 0) + more
                room.take(one, service.key.namespace, more)
                purse.take(one, more)
        replicas = tuple(
            ServingPlan(
                cluster=candidates[c].cluster,
                site=candidates[c].site,
                pool=candidates[c].pool,
                variant=candidates[c].variant.name,
                accelerator=candidates[c].variant.accelerator,
                device_class=room.device_class(candidates[c].variant.accelerator),
                devices_per_replica=candidates[c].variant.devices_per_replica,
                replicas=count,
                nodes=(),
                ready_seconds=candidates[c].ready_seconds,
            )
            for c, count in sorted(chosen.items(), key=lambda pair: (candidates[pair[0]].pool, pair[0]))
        )
        served = math.fsum(route.requests_per_second for route in routes)
        missing = {origin: rate for origin, rate in left.items() if rate > 0.0}
        binds = "every origin is served within its latency objective"
        if missing:
            where = ", ".join(f"{origin} {rate:.3g}/s" for origin, rate in missing.items())
            why = f"no further replica fits{purse.limit}"
            binds = f"{served:.3g} of {asked:.3g} requests/s are served; not: {where} ({why})"
        routes.sort(key=lambda one: (one.origin, one.pool, one.variant))
        names = {part.variant for part in replicas}
        told = [one.rate_evidence for one in service.variants if one.name in names]
        evidence = max(told, key=list(Evidence).index, default=Evidence.MEASURED)
        because = Explanation(binds, evidence=evidence)
        counts = {(part.pool, part.variant): part.replicas for part in replicas}
        rule = routing_rule(service, candidates, counts) if _differ(service, replicas) else ()
        return ServicePlan(service.key, replicas, tuple(routes), served, asked, because, rule)

    def _take(
        self, service: InferenceService, one: Candidate, left: dict[str, float], can: int
    ) -> tuple[dict[str, float], int]:
        """The most of the remaining demand that `can` replicas answer in time, and the fewest that do."""
        reach = sorted(
            ((slack, origin) for origin, slack in one.slack if slack >= 0.0 and left.get(origin, 0.0) > 0.0),
            reverse=True,
        )
        taken: dict[str, float] = {}
        rate, service_seconds = one.variant.rate_per_second, one.variant.service_seconds
        total = 0.0
        for slack, origin in reach if can > 0 else ():
            # Everybody in the queue waits alike: the least slack so far is what must hold.
            most = most_arrivals(can, rate, service_seconds, slack, service.percentile)
            wanted = left[origin]
            fits = least_replicas(total + wanted, rate, service_seconds, slack, service.percentile)
            amount = wanted if fits is not None and fits <= can else min(wanted, most - total)
            if amount <= _SERVED * wanted or most < total:
                break
            taken[origin] = amount
            total += amount
        if not taken:
            return {}, 0
        slack = min(slack for slack, origin in reach if origin in taken)
        count = least_replicas(total, rate, service_seconds, slack, service.percentile)
        return taken, min(can, count if count is not None else can)

    def _refusals(self, service: InferenceService) -> tuple[str, str]:
        """Why no pool may serve it, the first three of the reasons that differ."""
        mine = [one for one in self.inadmissible if one.job == service.key]
        if not mine:
            return "NoAdmissiblePool", "no variant is admissible in any pool of the fleet"
        reasons = {one.reason for one in mine}
        told = dict.fromkeys(
            f"{one.option} in {one.pool}: {one.message}" if one.pool else one.message for one in mine
        )
        more = f"; and {len(told) - 3} more" if len(told) > 3 else ""
        return mine[0].reason if len(reasons) == 1 else "NoAdmissiblePool", "; ".join(list(told)[:3]) + more

    def _why(
        self, service: InferenceService, candidates: tuple[Candidate, ...], plan: ServicePlan
    ) -> tuple[str, str]:
        if not candidates:
            return self._refusals(service)
        slacks = [slack for one in candidates for _, slack in one.slack]
        if plan.demanded_per_second > 0.0 and (not slacks or max(slacks) < 0.0):
            over = -max(slacks, default=math.nan)
            text = "no link path joins any origin to any pool; declare Links"
            if slacks:
                text = (
                    f"network and service time exceed the latency objective of {service.latency_seconds:g} s"
                    f" by {format_seconds(over)} at best; raise it or add a nearer pool"
                )
            return "LatencyUnreachable", text
        asked = f"{plan.demanded_per_second:.3g} requests/s, at least {service.min_replicas} replicas"
        return "NoCapacity", f"no replica fits beside running jobs and earlier services ({asked}); add nodes"


def _serves_no_less(plans: tuple[ServicePlan, ...], than: tuple[ServicePlan, ...]) -> bool:
    """The same services, none with fewer requests served."""
    served = {one.service: one.served_per_second for one in than}
    return {one.service for one in plans} == set(served) and all(
        one.served_per_second >= served[one.service] * (1.0 - _SERVED) for one in plans
    )


def _differ(service: InferenceService, replicas: tuple[ServingPlan, ...]) -> bool:
    """Do the places that answer differ in quality?"""
    missed = losses(service)
    return len({missed[part.variant] for part in replicas}) > 1
