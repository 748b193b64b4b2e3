"""What is left for online services while they are placed one after another: room on nodes and under caps, money."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyhull.domain.fleet import Node
from polyhull.domain.resources import Resources
from polyhull.domain.workloads import InferenceService, Variant
from polyhull.optimize.data import DIMENSIONS

if TYPE_CHECKING:
    from polyhull.optimize.services import Serving


@dataclass(frozen=True, slots=True)
class Candidate:
    """One admissible (variant, pool) of a service; `slack` is what queueing may take, by origin."""

    variant: Variant
    pool: str
    cluster: str
    site: str
    slack: tuple[tuple[str, float], ...]
    ready_seconds: float


class Purse:
    """What a service may still spend by the hour; an unknown price counts as the dearest."""

    def __init__(self, serving: "Serving", service: InferenceService) -> None:
        self._tariffs = serving.admission.tariffs
        self._left = math.inf if service.cost_per_hour is None else service.cost_per_hour
        self.limit = "" if service.cost_per_hour is None else f" within costPerHour of {service.cost_per_hour:g}"

    def count(self, one: Candidate, most: int) -> int:
        """Replicas that are paid for, at most `most`."""
        each = self._each(one)
        return most if math.isinf(self._left) or each <= 0.0 else min(most, int(self._left / each + 1e-9))

    def take(self, one: Candidate, count: int) -> None:
        self._left = max(0.0, self._left - count * self._each(one))

    def _each(self, one: Candidate) -> float:
        return self._tariffs.hourly(one.pool, one.variant.devices_per_replica)


class Room:
    """What nodes, those that growth may add behind them, still hold while services are placed one after another
    (best fit, as planning packs)."""

    def __init__(self, serving: "Serving") -> None:
        self.serving = serving
        self.kinds = {kind.name: kind.device_class for kind in serving.snapshot.fleet.accelerators}
        used: dict[tuple[str, str], Resources] = {}
        running: list[tuple[str, tuple[str, int]]] = []
        for job in serving.snapshot.jobs:
            placed = job.placed
            if placed is None or not job.options:
                continue
            for place in placed.places:
                option = next((one for one in job.options if one.name == place.option), job.options[0])
                for node, count in place.nodes:
                    at = (place.pool, node)
                    used[at] = used.get(at, Resources()) + option.pod.times(count)
                    running.append((job.key.namespace, (place.pool, count * option.pod.devices)))
        self.caps = serving.admission.caps
        self.under = [cap.most - sum(cap.taken(namespace, (at,)) for namespace, at in running) for cap in self.caps]
        """Left under each cap."""
        self.free: dict[str, list[Resources]] = {}
        for pool in serving.pools:
            nodes: tuple[Node, ...] = serving.admission.usable_nodes(pool)
            self.free[pool.name] = [node.free - used.get((pool.name, node.name), Resources()) for node in nodes]
            if pool.growth is not None:
                self.free[pool.name] += [pool.growth.shape] * max(0, pool.growth.nodes)

    def device_class(self, accelerator: str) -> str:
        return self.kinds.get(accelerator, "")

    def left(self) -> dict[str, tuple[int, ...]]:
        """[pool] what its nodes hold together, by dimension."""
        return {
            name: tuple(sum(node.as_tuple()[d] for node in nodes) for d in range(DIMENSIONS))
            for name, nodes in self.free.items()
        }

    def count(self, one: Candidate, namespace: str) -> int:
        """Replicas that a service of the namespace may have more."""
        fit = sum(one.variant.pod.copies_in(free) for free in self.free[one.pool])
        for left, each in zip(self.under, self._each(one, namespace), strict=True):
            if each > 0.0:
                fit = max(0, min(fit, int(left / each + 1e-9)))
        return fit

    def _each(self, one: Candidate, namespace: str) -> list[float]:
        """What one replica takes of each cap."""
        return [cap.taken(namespace, ((one.pool, one.variant.devices_per_replica),)) for cap in self.caps]

    def take(self, one: Candidate, namespace: str, count: int) -> None:
        pod, free = one.variant.pod, self.free[one.pool]
        for at, each in enumerate(self._each(one, namespace)):
            self.under[at] -= count * each
        for at in sorted(range(len(free)), key=lambda n: (pod.copies_in(free[n]), n)):
            here = min(count, pod.copies_in(free[at]))
            free[at] = free[at] - pod.times(here)
            count -= here
            if count == 0:
                return
