"""How many replicas hold a latency objective: exact for M/M/c waiting plus a fixed service time.

A replica answers `rate` requests a second, each in S seconds, so it has kappa = max(1, floor(rate S)) slots of
rate/kappa each. With c = n kappa slots the wait W obeys P(W > w) = C(c, a) exp(-(c mu - x) w), C the Erlang C
formula (Erlang 1917; here through the Erlang B recursion). That is exact for that queue, not for a real one.
"""

import math

EXACT_SLOTS = 20_000
"""Beyond this many slots the chance to wait is taken as 1: a few replicas too many, never too few."""
MOST_REPLICAS = 1_000_000
_SMALL = 64
"""Up to this many replicas the slope is the exact minimum; beyond, stability alone (1/rate) bounds it."""


def slots_per_replica(rate_per_second: float, service_seconds: float) -> int:
    return max(1, math.floor(rate_per_second * service_seconds * (1.0 + 1e-12)))


def waits(slots: int, load: float) -> float:
    """Erlang C: the chance to wait with `slots` servers and `load` erlangs (1 where the queue is not stable)."""
    if load <= 0.0:
        return 0.0
    if load >= slots or slots > EXACT_SLOTS:
        return 1.0
    inverse = 1.0
    for busy in range(1, slots + 1):
        inverse = 1.0 + inverse * busy / load
        if inverse > 1e290:
            return 0.0
    blocked = 1.0 / inverse
    return blocked / (1.0 - load / slots * (1.0 - blocked))


def holds(
    replicas: int, arrivals: float, rate: float, service_seconds: float, slack_seconds: float, percentile: float
) -> bool:
    """Do `replicas` answer `arrivals` requests/s so that at most 1 - percentile wait longer than the slack?

    `slack_seconds` is the latency objective less round trip and service time; below 0 nothing holds it.
    """
    if arrivals <= 0.0:
        return True
    if slack_seconds < 0.0 or rate <= 0.0 or replicas < 1:
        return False
    spare = replicas * rate - arrivals
    if spare <= 0.0:
        return False
    kappa = slots_per_replica(rate, service_seconds)
    late = 1.0 - percentile
    decay = math.exp(-min(spare * slack_seconds, 700.0))
    if decay <= late:
        return True
    return waits(replicas * kappa, arrivals * kappa / rate) * decay <= late


def least_replicas(
    arrivals: float, rate: float, service_seconds: float, slack_seconds: float, percentile: float
) -> int | None:
    """n_min: the fewest replicas that hold the objective; None if none do (at most `MOST_REPLICAS` are tried)."""
    if arrivals <= 0.0:
        return 0
    if slack_seconds < 0.0 or not rate > 0.0 or arrivals / rate > MOST_REPLICAS / 2:
        return None
    low = max(0, math.floor(arrivals / rate) - 1)
    step = 1
    while not holds(low + step, arrivals, rate, service_seconds, slack_seconds, percentile):
        low += step
        step *= 2
        if low > MOST_REPLICAS:
            return None
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle, arrivals, rate, service_seconds, slack_seconds, percentile):
            high = middle
        else:
            low = middle
    return high


def most_arrivals(
    replicas: int, rate: float, service_seconds: float, slack_seconds: float, percentile: float
) -> float:
    """The most requests/s that `replicas` hold the objective for, to 1e-9 of their rate, from below."""
    if replicas < 1 or slack_seconds < 0.0 or not rate > 0.0:
        return 0.0
    low, high = 0.0, replicas * rate
    for _ in range(32):
        middle = (low + high) / 2
        if holds(replicas, middle, rate, service_seconds, slack_seconds, percentile):
            low = middle
        else:
            high = middle
    return low


def replicas_per_request(
    arrivals: float, rate: float, service_seconds: float, slack_seconds: float, percentile: float
) -> float | None:
    """sigma: the least n_min(x)/x over 0 < x <= arrivals, rounded down; None if the objective cannot be held."""
    count = least_replicas(arrivals, rate, service_seconds, slack_seconds, percentile)
    if count is None or count == 0:
        return None
    if count > _SMALL:
        return (1.0 - 1e-9) / rate
    slopes = [count / arrivals]
    for fewer in range(1, count):
        reach = most_arrivals(fewer, rate, service_seconds, slack_seconds, percentile) + 1e-8 * fewer * rate
        if reach > 0.0:
            slopes.append(fewer / reach)
    return min(slopes) * (1.0 - 1e-9)
