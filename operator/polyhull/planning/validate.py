"""Independent checker: every constraint of an executable plan, from the snapshot alone, in exact rationals.

It shares no code with the simulation or the columns; what it repeats, it repeats on purpose. Instants that were added
up in floats may disagree by `SLACK_SECONDS`; capacities of nodes are whole numbers and have no tolerance; links have
one of 10^-6 of their capacity, for rates that are sums of floats. A plan with violations is never applied.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from math import isfinite
from operator import attrgetter

from polyhull.domain.decision import Assignment, Decision, Exchange, ServingPlan, StreamedRead, Transfer
from polyhull.domain.fleet import Cluster, Evidence, Node, Pool, StorageKind
from polyhull.domain.labels import Selector
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import CHECKPOINT, DataInput, DataSet, InferenceService, Key, Option, TrainingJob
from polyhull.planning.validate_budget import budget
from polyhull.planning.validate_caps import caps
from polyhull.planning.validate_facts import LINK_SLACK, SLACK_SECONDS, Facts, exact
from polyhull.planning.validate_failures import useful
from polyhull.planning.validate_moves import as_stopped, goes_on, left_holding, running_moves
from polyhull.planning.validate_scope import Part, Passed
from polyhull.planning.validate_services import served, traffic
from polyhull.planning.validate_spans import compute_seconds, exchanges, gang, held, sent_bytes
from polyhull.planning.validate_stores import stores
from polyhull.planning.validate_streams import chunks, reading_seconds, streams
from polyhull.planning.validate_times import Interval, at_starts
from polyhull.planning.validate_transfers import moved


def validate(snapshot: Snapshot, decision: Decision, passed: Passed | None = None) -> tuple[str, ...]:
    """Violations as sentences, sorted; empty for a plan that may be applied.

    `passed`: a plan that this one may have grown out of; only what differs from it is looked at again. It follows to
    this one if that passes too.
    """
    part = None if passed is None else passed.part(snapshot, decision)
    found = tuple(sorted(set(_Checker(snapshot, decision, part).violations())))
    if passed is not None and not found:
        passed.follow(snapshot, decision, part)
    return found


class _Checker(Facts):
    def __init__(self, snapshot: Snapshot, decision: Decision, part: Part | None) -> None:
        """`part`: what to look at; None: everything."""
        super().__init__(as_stopped(snapshot if part is None else part.snapshot, decision))
        self.given, self.whole = snapshot, decision
        self.decision = decision if part is None else part.decision
        self.acted = _acted_on(snapshot, self.decision)
        self.scope = None if part is None else part.scope
        self.stores = part is None or part.stores
        moves = self.decision.transfers
        self.arrivals: dict[tuple[Key, str], Transfer] = {(t.data_set, t.store): t for t in moves}
        self.asked: dict[tuple[str, str], Fraction] | None = None
        """Growth nodes and when the first pod asks for each."""

    def violations(self) -> Iterator[str]:
        yield from self._counts()
        yield from running_moves(self.given, self.whole)
        scope, decision = self.scope, self.decision
        for assignment in decision.assignments if scope is None else scope.assignments:
            job = self.jobs.get(assignment.job)
            if job is not None:
                yield from self._assignment(job, assignment)
        for transfer in decision.transfers if scope is None else scope.transfers:
            yield from moved(self, transfer)
        for plan in decision.services if scope is None else ():
            service = self.services.get(plan.service)
            if service is not None:
                yield from served(self, service, plan, self._admitted, self._present)
        yield from self._nodes()
        yield from self._links()
        yield from budget(self, self.acted, self._working)
        yield from caps(self.snapshot, self.decision, self._brought_up)
        if self.stores:
            whole = self.snapshot if self.scope is None else as_stopped(self.given, self.whole)
            yield from stores(whole, _acted_on(self.given, self.whole))

    # -- one place per job, and honest totals ---------------------------------------------------------------------

    def _counts(self) -> Iterator[str]:
        seen = Counter(assignment.job for assignment in self.decision.assignments)
        left_out = Counter(entry.job for entry in self.decision.unplaced)
        keys = sorted({*seen, *left_out, *self.jobs}) if self.scope is None else self.scope.keys
        for key in keys:
            if key not in self.jobs and key not in self.services:
                yield f"{key} is not in the snapshot"
            if key in self.jobs and seen[key] + left_out[key] != 1:
                yield f"{key} is placed {seen[key]} times and left out {left_out[key]} times, not one of them once"
        for plan_key, count in sorted(Counter(plan.service for plan in self.decision.services).items()):
            if plan_key not in self.services or count > 1:
                yield f"{plan_key} is served {count} times or is not in the snapshot"
        twice = len(self.arrivals) < len(self.decision.transfers)
        for move, count in Counter((t.data_set, t.store) for t in self.decision.transfers if twice).items():
            if count > 1:
                yield f"{move[0]} is moved {count} times to {move[1]}; once is enough"
        acted = _acted_on(self.given, self.whole)
        last = max(map(attrgetter("end_seconds"), acted.assignments), default=0.0)
        if abs(Fraction(self.decision.makespan_seconds) - Fraction(last)) > SLACK_SECONDS:
            yield f"the makespan is given as {self.decision.makespan_seconds} s but the last job ends at {last} s"
        if self.decision.lower_bound_seconds > self.decision.makespan_seconds * (1 + 1e-9) + float(SLACK_SECONDS):
            yield (
                f"the lower bound {self.decision.lower_bound_seconds} s is above the makespan "
                f"{self.decision.makespan_seconds} s: the bound is wrong"
            )

    # -- one assignment ------------------------------------------------------------------------------------------

    def _assignment(self, job: TrainingJob, a: Assignment) -> Iterator[str]:
        yield from self._deadline(job, a)
        waiting = job.placed is None and job.resume is None
        if a.observed != (waiting and self.snapshot.policy.watches(job.key.namespace)):
            yield f"{job.key} is {'' if a.observed else 'not '}only observed, which is not what its policy says"
        if job.placed is not None:
            yield from self._stays(job, a)
            return
        if a.fixed:
            yield f"{job.key} is called fixed but nothing of it was released"
        if a.parts:
            yield from self._spread(job, a)
            return
        pool, cluster = self.pools.get(a.pool), self.clusters.get(a.cluster)
        option = next((one for one in job.options if one.name == a.option), None)
        if pool is None or cluster is None or option is None or pool.cluster != a.cluster or pool.site != a.site:
            yield f"{job.key} is put on {a.cluster}, {a.pool}, {a.site}, {a.option}, which do not belong together"
            return
        yield from self._allowed(job, option, pool, cluster, a.accelerator)
        if (a.replicas, a.devices_per_replica) != (option.replicas, option.devices_per_replica):
            yield f"{job.key}: the gang is not {option.replicas} x {option.devices_per_replica} as its option says"
        if sum(pods for _, pods in a.nodes) != option.replicas or any(pods < 1 for _, pods in a.nodes):
            yield f"{job.key}: its nodes take {sum(p for _, p in a.nodes)} pods, not {option.replicas}"
        if len({name for name, _ in a.nodes}) != len(a.nodes):
            yield f"{job.key}: a node is named twice"
        start, end = exact(a.start_seconds), exact(a.end_seconds)
        if start is None or end is None or start < 0:
            yield f"{job.key}: starts at {a.start_seconds} s and ends at {a.end_seconds} s, which is no time"
            return
        length, waits = self._length(job, option, pool), self._provisioning(pool, a.nodes, start)
        begin = start + waits + self.startup()
        yield from streams(self, job, a, cluster, begin)
        if length is not None:
            if a.reads:
                parts = chunks(job, a, self.snapshot.policy.overlap_chunks)
                length = self.startup() + reading_seconds(a) + (length - self.startup()) / parts
            if abs(end - start - waits - length) > SLACK_SECONDS + length / 10**9:
                yield f"{job.key}: takes {float(end - start)} s in the plan but {float(length + waits)} s by its rate"
        for need in job.inputs:
            yield from self._present(job.key, need, cluster, start, dict(a.data).get(need.data_set), a.reads)
        yield from goes_on(self, job, a, self.decision)

    def _allowed(
        self, job: TrainingJob, option: Option, pool: Pool, cluster: Cluster, accelerator: str
    ) -> Iterator[str]:
        """May the job use this option in this pool?"""
        yield from self._admitted(job.key, pool, cluster, job.site_selector, job.confidential, option.service_account)
        for exclusion in job.exclusions:
            here = exclusion.cluster == pool.cluster and exclusion.pool in ("", pool.name)
            if here and exclusion.until > self.snapshot.taken_at:
                yield f"{job.key} is put on {pool.name}, which is excluded for it ({exclusion.reason})"
        if option.accelerator != pool.accelerator or accelerator != pool.accelerator:
            yield f"{job.key}: option {option.name} asks for {option.accelerator}, {pool.name} has {pool.accelerator}"

    def _spread(self, job: TrainingJob, a: Assignment) -> Iterator[str]:
        """A job over several sites."""
        yield from gang(job, a)
        if len(a.parts) < 2:
            return
        start, end = exact(a.start_seconds), exact(a.end_seconds)
        if start is None or end is None or start < 0:
            yield f"{job.key}: starts at {a.start_seconds} s and ends at {a.end_seconds} s, which is no time"
            return
        waits = Fraction(0)
        for part in a.parts:
            pool, cluster = self.pools.get(part.pool), self.clusters.get(part.cluster)
            option = next((one for one in job.options if one.name == part.option), None)
            if pool is None or cluster is None or option is None or (pool.cluster, pool.site) != (
                part.cluster, part.site,
            ):  # fmt: skip
                yield f"{job.key} is put on {part.cluster}, {part.pool}, {part.site}, which do not belong together"
                return
            yield from self._allowed(job, option, pool, cluster, part.accelerator)
            if part.devices_per_replica != option.devices_per_replica:
                count = part.devices_per_replica
                yield f"{job.key}: pods at {part.site} have {count} devices, not as {option.name} says"
            if sum(pods for _, pods in part.nodes) != part.replicas or any(pods < 1 for _, pods in part.nodes):
                yield f"{job.key}: its nodes at {part.site} do not take {part.replicas} pods"
            if len({name for name, _ in part.nodes}) != len(part.nodes):
                yield f"{job.key}: a node is named twice"
            waits = max(waits, self._provisioning(pool, part.nodes, start))
            for need in job.inputs:
                yield from self._present(job.key, need, cluster, start, None)
        begin = start + waits + self.startup()
        yield from exchanges(job, a, begin, self.links, self.labels, self.data_sets)
        yield from sent_bytes(job, a)
        devices = [
            (p.replicas * p.devices_per_replica, self.kinds.get(p.accelerator), self.clusters.get(p.cluster))
            for p in a.parts
        ]
        share = useful(job, devices, self.startup())
        needed = compute_seconds(job, a, self.pools, self.kinds, self.links)
        if isinstance(needed, str):
            yield f"{job.key}: {needed}"
            return
        if share <= 0:
            yield f"{job.key}: checkpoints and failures leave it no time on {sum(one[0] for one in devices)} devices"
            return
        needed /= share
        if end - begin < needed - SLACK_SECONDS - needed / 10**9:
            yield f"{job.key}: computes {float(end - begin)} s in the plan but needs {float(needed)} s at its rates"

    def _deadline(self, job: TrainingJob, a: Assignment) -> Iterator[str]:
        """A job is called late by the plan exactly if it ends after its deadline."""
        if (a.deadline_seconds is None) != (job.deadline_at is None):
            yield f"{job.key}: the plan and the job disagree about whether it has a deadline"
        elif a.deadline_seconds is not None and job.deadline_at is not None:
            due = Fraction(job.deadline_at) - Fraction(self.snapshot.taken_at)
            if abs(Fraction(a.deadline_seconds) - due) > SLACK_SECONDS:
                yield f"{job.key}: its deadline is {float(due)} s from now, the plan says {a.deadline_seconds} s"

    def _stays(self, job: TrainingJob, a: Assignment) -> Iterator[str]:
        placed = job.placed
        assert placed is not None
        there = [(one.cluster, one.pool, one.option) for one in placed.places]
        if not a.fixed or [(one.cluster, one.pool, one.option) for one in a.places] != there:
            yield f"{job.key} was released to {placed.cluster}, {placed.pool} as {placed.option} and must stay there"
        if a.start_seconds != 0.0:
            yield f"{job.key} runs already and cannot start at {a.start_seconds} s"

    def _admitted(
        self, who: Key, pool: Pool, cluster: Cluster, selector: Selector, confidential: bool, account: str
    ) -> Iterator[str]:
        if not cluster.connected or cluster.fenced or cluster.drain:
            yield f"{who} is put on {cluster.name}, which takes no new work"
        if cluster.accepts is not None and who.namespace not in cluster.accepts:
            yield f"{who} is put on {cluster.name}, which does not accept namespace {who.namespace}"
        allowed = cluster.service_accounts
        if account and allowed is not None and f"{who.namespace}/{account}" not in allowed:
            yield f"{who} is put on {cluster.name}, which does not allow ServiceAccount {account}"
        if not selector.matches(self.labels.get(pool.site, ())):
            yield f"{who} is put on site {pool.site}, which its site selector excludes"
        if confidential and not pool.confidential:
            yield f"{who} is confidential and {pool.name} is not"

    def _length(self, job: TrainingJob, option: Option, pool: Pool) -> Fraction | None:
        """Start-up and compute from the rate, slower on confidential nodes, and what failures take."""
        learnt = {one.site: one.rate_per_second for one in option.learnt}
        stated = option.rate_per_second
        if option.rate_evidence is not Evidence.MEASURED:
            stated = learnt.get(pool.site, learnt.get("", stated))
        rate = None if stated is None else Fraction(stated)
        if rate is None or rate <= 0:
            return None
        kind, cluster = self.kinds.get(pool.accelerator), self.clusters.get(pool.cluster)
        share = useful(job, [(option.replicas * option.devices_per_replica, kind, cluster)], self.startup())
        if share <= 0:
            return None
        work = _work_left(job) / rate * max(Fraction(1), Fraction(pool.slowdown))
        return self.startup() + work / share

    def _provisioning(self, pool: Pool, nodes: tuple[tuple[str, int], ...], start: Fraction) -> Fraction:
        """Seconds its pods wait for growth nodes that nobody asked for before."""
        new = [name for name, _ in nodes if name.startswith("+")]
        if not new or pool.growth is None:
            return Fraction(0)
        delay = Fraction(pool.growth.provision_seconds)
        there = max(self._asked(pool.name, name) for name in new) + delay
        return delay if start < there - SLACK_SECONDS else Fraction(0)

    def _brought_up(self, a: Assignment) -> Fraction:
        start = exact(a.start_seconds)
        if start is None or a.fixed:
            return Fraction(0)
        pools = ((self.pools.get(pool), nodes) for pool, _, nodes in held(a))
        return max(
            (self._provisioning(pool, nodes, start) for pool, nodes in pools if pool is not None), default=Fraction(0)
        )

    def _working(self, a: Assignment) -> tuple[Fraction, Fraction]:
        """Seconds it computes (a running job: what is left by its own account), seconds its nodes are brought up."""
        job, pool = self.jobs.get(a.job), self.pools.get(a.pool)
        option = next((one for one in job.options if one.name == a.option), None) if job is not None else None
        length = None if job is None or option is None or pool is None else self._length(job, option, pool)
        if a.parts and not a.fixed:
            held_for = Fraction(a.end_seconds) - Fraction(a.start_seconds)
            return max(Fraction(0), held_for - self._brought_up(a) - self.startup()), self._brought_up(a)
        if a.fixed or length is None:
            why = a.explanation
            busy = why.compute_seconds + why.exchange_seconds + why.failure_seconds
            return Fraction(busy), Fraction(0)
        return length - self.startup(), self._brought_up(a)

    def _asked(self, pool: str, node: str) -> Fraction:
        """When the first pod asks for a growth node."""
        if self.asked is None:
            # What is only watched asks for nothing; on nodes of its own it is as if it did.
            self.asked = _asked_for(self.decision) | _asked_for(self.acted)
        return self.asked.get((pool, node), Fraction(0))

    # -- data ----------------------------------------------------------------------------------------------------

    def _present(
        self,
        who: Key,
        need: DataInput,
        cluster: Cluster,
        start: Fraction,
        told: str | None,
        reads: tuple[StreamedRead, ...] = (),
    ) -> Iterator[str]:
        data = self.data_sets.get(need.data_set)
        if data is None:
            yield f"{who} reads {need.data_set}, which is not in the snapshot"
            return
        if not data.residency.matches(self.labels.get(cluster.site, ())):
            yield f"{who} reads {data.key} at {cluster.site}, where its residency does not allow it"
        if self._here(need, data, cluster):
            return
        if any(read.data_set == data.key for read in reads):
            return
        arrival = self.arrivals.get((data.key, cluster.store))
        if arrival is None:
            yield f"{who} starts at {cluster.name} without {data.key}, which is neither there nor moved there"
        elif Fraction(arrival.end_seconds) > start + SLACK_SECONDS:
            yield f"{who} starts at {float(start)} s, before {data.key} arrives at {arrival.end_seconds} s"
        if told is not None and told != cluster.store:
            yield f"{who} is told to read {data.key} at {told}, but it arrives at {cluster.store}"

    def _here(self, need: DataInput, data: DataSet, cluster: Cluster) -> bool:
        if any(copy.store == cluster.store for copy in data.copies):
            return not need.mounted or cluster.storage.kind is StorageKind.VOLUME
        if data.key.kind == CHECKPOINT:
            return False
        replicas = [replica for replica in data.replicas if replica.site == cluster.site]
        if not need.mounted:
            return bool(replicas)
        claims = any(replica.url.startswith("pvc://") for replica in replicas)
        return claims and cluster.storage.kind is StorageKind.VOLUME

    # -- nodes ---------------------------------------------------------------------------------------------------

    def _nodes(self) -> Iterator[str]:
        """Every node of every pool at every instant; what runs already is counted but never blamed."""
        uses: dict[tuple[str, str], list[tuple[Interval, tuple[int, ...], bool]]] = {}
        only = None if self.scope is None else self.scope.nodes
        pools = None if only is None else {pool for pool, _ in only}
        for a in self.decision.assignments:
            if pools is not None and a.pool not in pools and not a.parts:
                continue
            places = held(a)
            job, start, end = self.jobs.get(a.job), a.start_seconds, a.end_seconds
            if job is None or not (isfinite(start) and isfinite(end)):
                continue
            for pool, called, nodes in places:
                option = next((one for one in job.options if one.name == called), None)
                for name, pods in nodes if option is not None else ():
                    assert option is not None
                    taken = option.pod.times(pods).as_tuple()
                    uses.setdefault((pool, name), []).append(((start, end), taken, a.fixed))
        for plan in self.decision.services:
            service = self.services.get(plan.service)
            for serving in plan.replicas if service is not None else ():
                assert service is not None
                variant = next((one for one in service.variants if one.name == serving.variant), None)
                for name, pods in serving.nodes if variant is not None else ():
                    assert variant is not None
                    begin = self._serves_from(service, serving, name)
                    uses.setdefault((serving.pool, name), []).append(
                        ((begin, None), variant.pod.times(pods).as_tuple(), False)
                    )
        for _, pool, name, pods, pod, _, seconds in left_holding(self.snapshot):
            uses.setdefault((pool, name), []).append(((Fraction(0), seconds), pod.times(pods).as_tuple(), True))
        for at, mine in sorted(uses.items(), key=lambda item: item[0]):
            if only is None or at in only:
                yield from self._node(*at, mine)

    def _serves_from(self, service: InferenceService, serving: ServingPlan, node: str) -> Fraction:
        running = any(
            (now.pool, now.variant) == (serving.pool, serving.variant) and any(n == node for n, _ in now.nodes)
            for now in service.serving
        )
        return Fraction(0) if running or not isfinite(serving.ready_seconds) else Fraction(serving.ready_seconds)

    def _node(self, pool_name: str, name: str, uses: list[tuple[Interval, tuple[int, ...], bool]]) -> Iterator[str]:
        pool = self.pools.get(pool_name)
        if pool is None:
            return
        node = self.nodes.get((pool_name, name))
        new = [use for use in uses if not use[2]]
        if not new:
            return
        if node is not None:
            if not self._usable(pool, node) and any(use[0][0] > 0 or use[0][1] is not None for use in new):
                yield f"node {name} of {pool_name} is tainted, cordoned or not ready and gets new pods"
            capacity = node.free.as_tuple()
        elif name.startswith("+") and name[1:].isdigit() and pool.growth and int(name[1:]) <= pool.growth.nodes:
            capacity = pool.growth.shape.as_tuple()
        else:
            yield f"node {name} is not in {pool_name}"
            return
        for instant, now in at_starts(uses):
            ours = _sum(use[1] for use in now if not use[2])
            for kind, want, mine, have in zip(_KINDS, _sum(use[1] for use in now), ours, capacity, strict=True):
                if want > have and mine > 0:
                    yield f"node {name} of {pool_name} holds {want} {kind} of {have} at {float(instant)} s"

    def _usable(self, pool: Pool, node: Node) -> bool:
        kind = self.kinds.get(pool.accelerator)
        tolerations = kind.tolerations if kind is not None else ()
        return node.schedulable and all(
            taint.effect not in ("NoSchedule", "NoExecute") or any(one.tolerates(taint) for one in tolerations)
            for taint in node.taints
        )

    # -- links ---------------------------------------------------------------------------------------------------

    def _links(self) -> Iterator[str]:
        margin = Fraction(self.snapshot.policy.bandwidth_margin)
        uses: dict[str, list[tuple[Interval, float, bool]]] = {}
        for t in self.decision.transfers:
            start, end = t.start_seconds, t.end_seconds
            for part in t.flows if isfinite(start) and isfinite(end) else ():
                for name in part.links:
                    uses.setdefault(name, []).append(((start, end), part.rate_bytes_per_second, t.active))
        for a in self.decision.assignments:
            sent: tuple[StreamedRead | Exchange, ...] = (*a.reads, *a.exchanges)
            for read in sent:
                start, end = read.start_seconds, read.end_seconds
                for name in read.links if isfinite(start) and isfinite(end) else ():
                    uses.setdefault(name, []).append(((start, end), read.rate_bytes_per_second, a.fixed))
        constant, only = traffic(self, self.acted), None if self.scope is None else self.scope.links
        for name, entries in sorted(uses.items()):
            link = self.links.get(name)
            if only is not None and name not in only:
                continue
            if link is None or not isfinite(link.bandwidth_bits_per_second):
                continue
            room = margin * Fraction(link.bandwidth_bits_per_second * link.reached) / 8
            for instant, now in at_starts(entries):
                total = sum((Fraction(e[1]) for e in now), Fraction(0)) + constant.get(name, Fraction(0))
                if total > room * (1 + LINK_SLACK) and not all(e[2] for e in now):
                    yield (
                        f"link {name} carries {float(total):.6g} bytes/s of {float(room):.6g} "
                        f"(margin included) at {float(instant)} s"
                    )


def _asked_for(decision: Decision) -> dict[tuple[str, str], Fraction]:
    """Growth nodes and when the first pod asks for each."""
    out: dict[tuple[str, str], Fraction] = {}
    asking = [(pool, nodes, Fraction(a.start_seconds)) for a in decision.assignments for pool, _, nodes in held(a)]
    asking += [(s.pool, s.nodes, Fraction(0)) for plan in decision.services for s in plan.replicas]
    for where, nodes, start in asking:
        for at in ((where, name) for name, _ in nodes if name.startswith("+")):
            out[at] = min(out.get(at, start), start)
    return out


def _acted_on(snapshot: Snapshot, decision: Decision) -> Decision:
    """Without what is planned only to be looked at: no total counts it, no budget or store holds it, and requests
    that nobody sends yet use no link."""
    policy = snapshot.policy
    if not policy.modes:
        return decision
    runs = {one.key for one in snapshot.services if one.serving}
    return replace(
        decision,
        assignments=tuple(one for one in decision.assignments if not one.observed),
        services=tuple(
            one for one in decision.services if one.service in runs or not policy.watches(one.service.namespace)
        ),
        transfers=tuple(
            one for one in decision.transfers if one.active or not policy.watches(one.data_set.namespace)
        ),
    )


_KINDS = ("devices", "millicores", "bytes of memory", "bytes of ephemeral storage", "pods")


def _work_left(job: TrainingJob) -> Fraction:
    """Of a stopped job what its checkpoint does not hold."""
    kept = job.resume if job.checkpoint is not None else None
    if kept is None or (job.placed is None and not kept.stores):
        return Fraction(job.work_quantity)
    return max(Fraction(0), Fraction(job.work_quantity) - Fraction(kept.work_done))


def _sum(amounts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    total = (0,) * len(_KINDS)
    for amount in amounts:
        total = tuple(a + b for a, b in zip(total, amount, strict=True))
    return total
