"""Rates from jobs that ran: what was seen replaces what was only estimated, the surer the more was seen.

Jobs of one signature (what they run, on how many of which device; api/observations.py) are alike. Logarithms of seen
over estimated rates are averaged so that a few odd ones hardly count (Huber 1964), and drawn towards the estimate by
how unsure that was: first over all sites, then at each site towards what holds over all. Rates that somebody measured
stay as they are. A job that still runs well beyond its time says that its rate is at most so much.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, floor, inf, log, sqrt
from statistics import median

from polyhull.domain.fleet import Evidence
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Key, Learnt, Observation, Option, TrainingJob

ESTIMATE_SPREAD = 0.4
"""Standard deviation of ln(true over estimated rate); benchmark `roofline` measures 0.2 to 0.6."""
RUN_SPREAD = 0.1
"""Of ln(seen over true rate) from one run to the next of the same kind of job, at least."""
CLOCK_SECONDS = 1.0
"""Starts and ends are whole seconds."""
_HUBER = 1.5
"""Deviations beyond so many spreads count as so many."""
_ROUNDS = 20
_OVERDUE = 1.25
"""A running job tells something once it took so many times its time, and something new at each power of it."""

Signatures = Mapping[tuple[Key, str], str]
"""Of an unfinished job's option, where its rate is not measured."""


@dataclass(frozen=True, slots=True)
class Seen:
    """ln(seen over estimated rate) of one run. `ended` False: the truth is at most that."""

    ratio: float
    seconds: float
    ended: bool = True


def learn(seen: Sequence[Seen], spread: float = ESTIMATE_SPREAD, prior: float = 0.0) -> tuple[float, float]:
    """(ln of true over estimated rate, its standard deviation for the next run) given a prior of the same meaning.

    Without observations the prior. Runs that go on count only where they tell that the rate is lower than thought.
    """
    mean, precision, noise = _posterior([one for one in seen if one.ended], spread, prior)
    late = [one for one in seen if not one.ended and one.ratio < mean]
    if late:
        mean, precision, noise = _posterior([*(one for one in seen if one.ended), *late], spread, prior)
    return mean, sqrt(noise * noise + 1.0 / precision) if seen else spread


def _posterior(seen: Sequence[Seen], spread: float, prior: float) -> tuple[float, float, float]:
    """(mean, precision of the mean, spread of single runs)."""
    if not seen:
        return prior, 1.0 / (spread * spread), 0.0
    values = [one.ratio for one in seen]
    middle = median(values)
    scale = max(RUN_SPREAD, 1.4826 * median(abs(value - middle) for value in values))
    variances = [scale * scale + (CLOCK_SECONDS / max(one.seconds, CLOCK_SECONDS)) ** 2 for one in seen]
    mean = middle
    precision = 0.0
    for _ in range(_ROUNDS):
        weights = [
            min(1.0, _HUBER * sqrt(variance) / max(abs(value - mean), 1e-12)) / variance
            for value, variance in zip(values, variances, strict=True)
        ]
        precision = sum(weights) + 1.0 / (spread * spread)
        pulled = sum(weight * value for weight, value in zip(weights, values, strict=True))
        mean = (pulled + prior / (spread * spread)) / precision
    return mean, precision, scale


def with_learnt(snapshot: Snapshot, observations: Sequence[Observation], signatures: Signatures) -> Snapshot:
    """The snapshot with what was learnt in the options of its jobs; the same one where nothing was."""
    if not observations or not signatures:
        return snapshot
    slow = {pool.name: max(1.0, pool.slowdown) for pool in snapshot.fleet.pools}
    groups: dict[tuple[str, str], list[Observation]] = {}
    for one in observations:
        groups.setdefault((one.signature, one.accelerator), []).append(one)
    known: dict[tuple[str, str, float], tuple[Learnt, ...]] = {}

    def taught(job: TrainingJob, option: Option) -> Option:
        group = (signatures.get((job.key, option.name), ""), option.accelerator)
        rate = option.rate_per_second
        if group not in groups or rate is None or not rate > 0.0 or option.rate_evidence is Evidence.MEASURED:
            return option
        if (*group, rate) not in known:
            known[*group, rate] = _learnt(groups[group], rate, slow, snapshot.taken_at)
        return replace(option, learnt=known[*group, rate])

    jobs = tuple(replace(job, options=tuple(taught(job, one) for one in job.options)) for job in snapshot.jobs)
    return replace(snapshot, jobs=jobs)


def _learnt(runs: Sequence[Observation], rate: float, slow: Mapping[str, float], now: float) -> tuple[Learnt, ...]:
    """Over all sites (site ""), then of each site that was seen; nothing where no run tells anything."""
    by_site: dict[str, list[Seen]] = {}
    for run in runs:
        seen = _seen(run, rate, slow.get(run.pool, 1.0), now)
        if seen is not None:
            by_site.setdefault(run.site, []).append(seen)
    everywhere = [one for site in sorted(by_site) for one in by_site[site]]
    if not everywhere:
        return ()
    mean, spread = learn(everywhere)
    out = [Learnt("", rate * exp(mean), spread, len(everywhere))]
    for site, some in sorted(by_site.items()):
        here, its = learn(some, spread, mean)
        out.append(Learnt(site, rate * exp(here), its, len(some)))
    return tuple(out)


def _seen(run: Observation, rate: float, slowdown: float, now: float) -> Seen | None:
    """None for what says nothing: no time at all, or a run that is not late yet."""
    expected = run.work_quantity / rate * slowdown / run.useful
    seconds = (run.ended_at if run.ended_at is not None else now) - run.started_at
    if not (0.0 < seconds < inf and 0.0 < expected < inf):
        return None
    if run.ended_at is None:
        if seconds < expected * _OVERDUE:
            return None
        # In steps, so that a plan does not change with every second that goes by.
        seconds = expected * _OVERDUE ** floor(log(seconds / expected) / log(_OVERDUE) + 1e-9)
    return Seen(log(expected / seconds), seconds, run.ended_at is not None)
