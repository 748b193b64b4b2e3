"""The best answers that capacity, latency and money allow, and the rule by which a router picks one for each request.

Services i with demands d (requests/s from one origin) and options v (a variant in a pool), loss_v the quality that v
misses of the best variant's, cap_v(n) the most requests/s that n replicas answer in time (Erlang C, erlang.py):

    min  sum_d rate_d sum_v x[d,v] loss_v    s.t.  sum_v x[d,v] = 1,   sum_d rate_d x[d,v] <= cap_v(n_v),   n_v whole,
         pods of n fit what each pool has left,   sum_v price_v n_v <= costPerHour of the service

cap_v grows faster than n, so each of the first counts is a choice of its own (a binary), and replicas beyond them add
what the last of those added. An option's queue is held to the least slack of the origins it reaches. What the counts
leave unanswered, node by node, is made up by `services.py`. With counts fixed the same rows without n are a small
transport problem, and the duals w_v >= 0 of cap_v are the router's rule: an answer by v costs loss_v + w_v, take the
least. It holds for any mix of requests; where a request's own loss is known (a router's score), that replaces loss_v.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from polyhull.domain.decision import Answerer
from polyhull.domain.workloads import InferenceService
from polyhull.optimize.data import DIMENSIONS, Floats, ServingOption
from polyhull.optimize.erlang import most_arrivals
from polyhull.optimize.fairness import Entries, compressed
from polyhull.optimize.highs import run_linear
from polyhull.optimize.service_costs import Counts

if TYPE_CHECKING:
    from polyhull.optimize.service_rooms import Candidate
    from polyhull.optimize.services import Serving

_UNANSWERED = 1e3
"""Loss of a request that nobody answers, in multiples of the greatest loss: first as many as can be, then as well."""
_EACH, _LEVELS = 24, 600
"""Counts that are a binary each: of one option, and of all together."""
_NODES = 500
_ITERATIONS = 20_000
_LEAST = 1e-9


def losses(service: InferenceService) -> dict[str, float]:
    """Variant -> what its quality misses of the best one's."""
    best = max((one.quality for one in service.variants), default=0.0)
    return {one.name: best - one.quality for one in service.variants}


def best_answers(serving: "Serving", free: Mapping[str, tuple[int, ...]]) -> Counts:
    """Replicas that answer most and then best, over all services that run nowhere yet; empty where all are alike.

    `free`: what each pool's nodes hold beside jobs and services that run, by dimension of Resources.
    """
    _, demands, options = serving.model()
    new, kinds = serving.open_to_choice(options)
    missed = [losses(one) for one in serving.services]
    greatest = max((missed[one.service][one.variant] for one in kinds), default=0.0)
    if not greatest > 0.0 or not all(np.isfinite(list(one.values())).all() for one in missed):
        return {}
    rates = [demand.requests_per_second for demand in demands]
    model = _Model()
    answered: dict[int, list[tuple[int, float]]] = {}
    counts = [_counted(model, serving, kind, _LEVELS // len(kinds)) for kind in kinds]
    for kind, (count, room) in zip(kinds, counts, strict=True):
        loads = []
        for d, _ in kind.per_request:
            x = model.variable(rates[d] * missed[kind.service][kind.variant], 1.0)
            answered.setdefault(d, []).append((x, 1.0))
            loads.append((x, rates[d]))
        model.row([*loads, *((at, -amount) for at, amount in room)], -np.inf, 0.0)
        # Among equally good answers those with fewer devices.
        for at, n in count:
            model.costs[at] += 1e-6 * greatest * n * kind.pod.devices
    for d, parts in sorted(answered.items()):
        unanswered = model.variable(rates[d] * greatest * _UNANSWERED, 1.0)
        model.row([*parts, (unanswered, 1.0)], 1.0, 1.0)
    _room(model, serving, kinds, [count for count, _ in counts], free)
    tariffs = serving.admission.tariffs
    for i in sorted(new):
        limit = serving.services[i].cost_per_hour
        if limit is not None:
            mine = [
                (count, tariffs.hourly(serving.pools[kind.pool].name, kind.pod.devices))
                for (count, _), kind in zip(counts, kinds, strict=True)
                if kind.service == i
            ]
            model.row([(at, n * price) for count, price in mine for at, n in count], -np.inf, limit)
    found, _ = model.solve()
    if found is None:
        return {}
    replicas = [round(sum(n * found[at] for at, n in count)) for count, _ in counts]
    return {
        (serving.services[kind.service].key, kind.variant, serving.pools[kind.pool].name): n
        for kind, n in zip(kinds, replicas, strict=True)
        if n > 0
    }


Terms = list[tuple[int, float]]
"""Variables and what each counts for."""


def _counted(model: "_Model", serving: "Serving", kind: ServingOption, levels: int) -> tuple[Terms, Terms]:
    """The variables that make up an option's replicas, and the requests/s that they answer in time."""
    service = serving.services[kind.service]
    one = next(
        one
        for one in serving.candidates[kind.service]
        if (one.variant.name, one.pool) == (kind.variant, serving.pools[kind.pool].name)
    )
    slack = min(slack for _, slack in one.slack if slack >= 0.0)
    rate, seconds = one.variant.rate_per_second, one.variant.service_seconds
    last = min(kind.most_replicas, max(2, min(_EACH, levels)))
    caps = [most_arrivals(n, rate, seconds, slack, service.percentile) for n in range(last + 1)]
    chosen = [model.variable(0.0, 1.0, whole=True) for _ in range(last)]
    model.row([(at, 1.0) for at in chosen], -np.inf, 1.0)
    count = [(at, float(n)) for n, at in enumerate(chosen, 1)]
    room = [(at, caps[n]) for n, at in enumerate(chosen, 1)]
    beyond = kind.most_replicas - last
    if beyond > 0:
        extra = model.variable(0.0, float(beyond), whole=True)
        model.row([(extra, 1.0), (chosen[-1], -float(beyond))], -np.inf, 0.0)
        count.append((extra, 1.0))
        room.append((extra, caps[last] - caps[last - 1]))
    return count, room


def routing_rule(
    service: InferenceService, candidates: Sequence["Candidate"], counts: Mapping[tuple[str, str], int]
) -> tuple[Answerer, ...]:
    """Each place in `counts` (pool, variant), sorted, with its loss and its price at the present demand."""
    wanted: dict[str, float] = {}
    for demand in service.demand:
        wanted[demand.site] = wanted.get(demand.site, 0.0) + max(0.0, demand.requests_per_second)
    origins = sorted(name for name, rate in wanted.items() if rate > 0.0)
    missed = losses(service)
    places = sorted(
        (one for one in candidates if counts.get((one.pool, one.variant.name), 0) > 0),
        key=lambda one: (one.pool, one.variant.name),
    )
    pairs = [
        (v, o)
        for v, one in enumerate(places)
        for o, name in enumerate(origins)
        if dict(one.slack).get(name, -1.0) >= 0.0
    ]
    greatest = max(max(missed.values(), default=0.0), _LEAST)
    model = _Model()
    x = [model.variable(wanted[origins[o]] * missed[places[v].variant.name], 1.0) for v, o in pairs]
    for o, name in enumerate(origins):
        mine = [(at, 1.0) for at, (_, other) in zip(x, pairs, strict=True) if other == o]
        model.row([*mine, (model.variable(wanted[name] * greatest * _UNANSWERED, 1.0), 1.0)], 1.0, 1.0)
    for v, one in enumerate(places):
        slack = min((slack for name, slack in one.slack if name in wanted and slack >= 0.0), default=-1.0)
        count, rate = counts[one.pool, one.variant.name], one.variant.rate_per_second
        most = most_arrivals(count, rate, one.variant.service_seconds, slack, service.percentile)
        mine = [(at, wanted[origins[o]]) for at, (other, o) in zip(x, pairs, strict=True) if other == v]
        model.row(mine, -np.inf, most)
    _, duals = model.solve()
    prices = np.zeros(len(places)) if duals is None else np.maximum(0.0, -duals[len(origins) :])
    return tuple(
        Answerer(one.pool, one.variant.name, missed[one.variant.name], float(price))
        for one, price in zip(places, prices, strict=True)
    )


def _room(
    model: "_Model",
    serving: "Serving",
    kinds: Sequence[ServingOption],
    counts: Sequence[Terms],
    free: Mapping[str, tuple[int, ...]],
) -> None:
    """Pods fit what each pool has left, dimension by dimension, in shares of it."""
    for p in sorted({kind.pool for kind in kinds}):
        mine = [(kind, count) for kind, count in zip(kinds, counts, strict=True) if kind.pool == p]
        for d in range(DIMENSIONS):
            left = float(free[serving.pools[p].name][d])
            scale = max(left, *(float(kind.pod.as_tuple()[d]) for kind, _ in mine), _LEAST)
            pods = [(at, n * kind.pod.as_tuple()[d] / scale) for kind, count in mine for at, n in count]
            model.row(pods, -np.inf, left / scale)


class _Model:
    """A small programme, variable by variable and row by row."""

    def __init__(self) -> None:
        self.costs: list[float] = []
        self._upper: list[float] = []
        self._whole: list[int] = []
        self._entries: list[tuple[int, int, float]] = []
        self._limits: list[tuple[float, float]] = []

    def variable(self, cost: float, upper: float, whole: bool = False) -> int:
        """Its index; from 0 to `upper`."""
        if whole:
            self._whole.append(len(self.costs))
        self.costs.append(cost)
        self._upper.append(upper)
        return len(self.costs) - 1

    def row(self, parts: Sequence[tuple[int, float]], lower: float, upper: float) -> None:
        self._entries += [(col, len(self._limits), value) for col, value in parts if value != 0.0]
        self._limits.append((lower, upper))

    def solve(self) -> tuple[Floats | None, Floats | None]:
        """(variables, duals of the rows where nothing is whole); None for what the solver could not say."""
        if not self.costs:
            return None, None
        rows = np.array([row for _, row, _ in self._entries], dtype=np.int64)
        cols = np.array([col for col, _, _ in self._entries], dtype=np.int64)
        values = np.array([value for _, _, value in self._entries], dtype=np.float64)
        matrix = compressed(Entries(rows, cols, values), len(self._limits), len(self.costs))
        lower, upper = np.array(self._limits).T
        whole = np.array(self._whole, dtype=np.int64) if self._whole else None
        found, duals, _, _ = run_linear(
            np.array(self.costs), np.array(self._upper), matrix, lower, upper, _ITERATIONS, whole, _NODES
        )
        return found, duals if duals is not None and bool(np.isfinite(duals).all()) else None
