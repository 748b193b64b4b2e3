"""(5) Online services: demands are served, by enough replicas. Kinds `replicas` and `demand`."""

import numpy as np

from polyhull.optimize.programme.frame import Frame


def service_rows(frame: Frame) -> None:
    """n >= sigma times the requests; every demand is served, or at most that where demands are soft."""
    data = frame.data
    for v, one in enumerate(data.serving):
        needs = {i: sigma * data.demands[i].requests_per_second for i, sigma in one.per_request}
        mine = [pair for pair, (at, _) in enumerate(frame.pairs) if at == v]
        loads = np.array([needs[frame.pairs[pair][1]] for pair in mine], dtype=np.float64)
        scale = max(1.0, float(loads.max(initial=0.0)))
        parts = [(frame.x[mine], loads / scale), (frame.n[v : v + 1], np.array([-1.0 / scale]))]
        frame.matrix.add(("replicas", v), 0.0, *parts)
    for i in range(len(data.demands)):
        served = frame.x[[pair for pair, (_, at) in enumerate(frame.pairs) if at == i]]
        if len(served):
            frame.matrix.add(("demand", i), 1.0, (served, np.ones(len(served))), equal=not frame.soft)
    for i, service in enumerate(data.services):
        mine = [v for v, one in enumerate(data.serving) if one.service == i]
        if not mine:
            continue
        counts = frame.n[mine]
        if service.exact_replicas is not None:
            scale = max(1.0, float(service.exact_replicas))
            total = (counts, np.full(len(mine), 1.0 / scale))
            frame.matrix.add(("replicas", i), service.exact_replicas / scale, total, equal=True)
        elif service.least_replicas > 0 and not frame.soft:
            total = (counts, np.full(len(mine), -1.0 / service.least_replicas))
            frame.matrix.add(("replicas", i), -1.0, total)
