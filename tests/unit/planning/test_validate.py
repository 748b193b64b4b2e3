"""Each kind of corruption of a good plan is caught, in words that name it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from polyhull.domain.decision import Assignment, Decision, Transfer
from polyhull.domain.fleet import Taint
from polyhull.domain.labels import Selector, labels_of
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import Exclusion, Placed
from polyhull.planning.decide import decide
from polyhull.planning.validate import validate
from tests.builders import (
    NOW,
    cluster,
    data_set,
    fleet,
    job,
    link,
    node,
    option,
    pool,
    service,
    site,
    snapshot,
    variant,
)


def good() -> Snapshot:
    """Two jobs share a data set at b, one stays at its data in a, one runs already, a service answers at b."""
    where = fleet(
        [pool("a", "npu", 1), pool("b", "v100", 2)],
        [link("a", "b", 0.8, latency_seconds=0.01), link("b", "a", 0.8, latency_seconds=0.01)],
        sites=[site("a", country="cn"), site("b", country="cn")],
    )
    jobs = [
        job("first", [option("v100", 1.0, devices=4)], 100.0, ["shared"]),
        job("second", [option("v100", 1.0, devices=8)], 100.0, ["shared"]),
        job("stays", [option("npu", 1.0)], 50.0, ["shared"]),
        replace(
            job("runs", [option("npu", 1.0, devices=4)], 500.0),
            placed=Placed("a", "a/npu", "npux4", (("a-npu-0", 1),), NOW - 10, NOW - 10),
        ),
    ]
    sets = [data_set("shared", 10, "a", residency=Selector(labels_of({"country": "cn"})), max_copies=1)]
    return snapshot(where, jobs, sets, [service("chat", [("a", 10.0)], [variant("v100")])])


def with_assignment(decision: Decision, name: str, **changes: object) -> Decision:
    changed = [replace(a, **changes) if a.job.name == name else a for a in decision.assignments]  # type: ignore[arg-type]
    return replace(decision, assignments=tuple(changed))


def with_transfer(decision: Decision, **changes: object) -> Decision:
    first, *rest = decision.transfers
    return replace(decision, transfers=(replace(first, **changes), *rest))  # type: ignore[arg-type]


def with_service(decision: Decision, **changes: object) -> Decision:
    return replace(decision, services=(replace(decision.services[0], **changes),))  # type: ignore[arg-type]


def find(decision: Decision, name: str) -> Assignment:
    return next(a for a in decision.assignments if a.job.name == name)


def moved(decision: Decision) -> Transfer:
    return decision.transfers[0]


def shift(decision: Decision, name: str, seconds: float) -> Decision:
    a = find(decision, name)
    return with_assignment(
        decision, name, start_seconds=a.start_seconds + seconds, end_seconds=a.end_seconds + seconds
    )


CORRUPTIONS: dict[str, tuple[Callable[[Decision], Decision], str]] = {
    "twice": (lambda d: replace(d, assignments=(*d.assignments, find(d, "first"))), "placed 2 times"),
    "forgotten": (lambda d: replace(d, assignments=d.assignments[1:]), "placed 0 times"),
    "before its data": (lambda d: shift(d, "first", -1.0), "before DataSet/team/shared arrives"),
    "no transfer": (lambda d: replace(d, transfers=()), "neither there nor moved there"),
    "overlap on a node": (
        lambda d: with_assignment(
            d,
            "first",
            nodes=find(d, "second").nodes,
            start_seconds=find(d, "second").start_seconds,
            end_seconds=find(d, "second").end_seconds,
        ),
        "devices of 8",
    ),
    "too short": (
        lambda d: with_assignment(d, "first", end_seconds=find(d, "first").start_seconds + 1),
        "by its rate",
    ),
    "unknown node": (lambda d: with_assignment(d, "first", nodes=(("ghost", 1),)), "node ghost is not in"),
    "half a gang": (lambda d: with_assignment(d, "first", nodes=()), "nodes take 0 pods"),
    "wrong pool": (lambda d: with_assignment(d, "first", pool="a/npu"), "do not belong together"),
    "fixed one moved": (lambda d: with_assignment(d, "runs", pool="b/v100"), "must stay there"),
    "link too full": (
        lambda d: with_transfer(
            d, rate_bytes_per_second=moved(d).rate_bytes_per_second * 2, end_seconds=moved(d).end_seconds
        ),
        "bytes/s of",
    ),
    "fewer bytes": (lambda d: with_transfer(d, transfer_bytes=moved(d).transfer_bytes // 2), "bytes of 10000000000"),
    "faster than its rate": (lambda d: with_transfer(d, start_seconds=moved(d).end_seconds - 1), "needs"),
    "no such source": (lambda d: with_transfer(d, source_site="b"), "no such replica"),
    "not a path": (lambda d: with_transfer(d, links=("b->a",)), "does not leave a"),
    "another store": (lambda d: with_transfer(d, store="cluster:a"), "whose store it is not"),
    "makespan": (lambda d: replace(d, makespan_seconds=d.makespan_seconds - 5), "the makespan is given as"),
    "bound": (lambda d: replace(d, lower_bound_seconds=d.makespan_seconds + 5), "the bound is wrong"),
    "replicas without nodes": (
        lambda d: with_service(d, replicas=(replace(d.services[0].replicas[0], nodes=()),)),
        "its nodes take another",
    ),
    "more than arises": (
        lambda d: with_service(d, routes=(replace(d.services[0].routes[0], requests_per_second=99.0),)),
        "where 10.0 arise",
    ),
    "overloaded": (
        lambda d: with_service(
            d, replicas=(replace(d.services[0].replicas[0], replicas=1, nodes=d.services[0].replicas[0].nodes[:1]),)
        ),
        "requests from a to b/v100",
    ),
}


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_a_corrupted_plan_is_caught(name: str) -> None:
    case = good()
    plan = decide(case)
    assert plan.violations == ()
    assert plan.transfers and plan.services
    corrupt, words = CORRUPTIONS[name]
    found = validate(case, corrupt(plan))
    assert any(words in sentence for sentence in found), found


def changed_world(case: Snapshot, name: str) -> Snapshot:
    """The same plan in a world that has changed under it."""
    where = case.fleet
    a, b = where.clusters
    pool_b = where.pools[1]
    worlds = {
        "namespace": replace(case, fleet=replace(where, clusters=(a, replace(b, accepts=frozenset({"other"}))))),
        "drained": replace(case, fleet=replace(where, clusters=(a, cluster("b", drain=True)))),
        "residency": replace(case, fleet=replace(where, sites=(where.sites[0], site("b", country="de")))),
        "selector": replace(
            case, jobs=tuple(replace(j, site_selector=Selector(labels_of({"x": "y"}))) for j in case.jobs)
        ),
        "confidential": replace(case, jobs=tuple(replace(j, confidential=True) for j in case.jobs)),
        "excluded": replace(
            case,
            jobs=tuple(replace(j, exclusions=(Exclusion("b", "", "Refused", "quota", NOW + 60),)) for j in case.jobs),
        ),
        "tainted": replace(
            case,
            fleet=replace(
                where,
                pools=(
                    where.pools[0],
                    replace(pool_b, nodes=tuple(replace(n, taints=(Taint("k"),)) for n in pool_b.nodes)),
                ),
            ),
        ),
        "smaller nodes": replace(
            case,
            fleet=replace(
                where, pools=(where.pools[0], replace(pool_b, nodes=tuple(node(n.name, 2) for n in pool_b.nodes)))
            ),
        ),
        "copies": replace(case, data_sets=tuple(replace(d, max_copies=0) for d in case.data_sets)),
        "slower link": replace(
            case, fleet=replace(where, links=tuple(link(x.source, x.target, 0.1) for x in where.links))
        ),
        "latency": replace(case, services=tuple(replace(s, latency_seconds=0.06) for s in case.services)),
    }
    return worlds[name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("namespace", "does not accept namespace team"),
        ("drained", "takes no new work"),
        ("residency", "residency does not allow"),
        ("selector", "site selector excludes"),
        ("confidential", "confidential and b/v100 is not"),
        ("excluded", "excluded for it (Refused)"),
        ("tainted", "tainted, cordoned or not ready"),
        ("smaller nodes", "devices of 2"),
        ("copies", "0 are allowed"),
        ("slower link", "bytes/s of"),
        ("latency", "unqueued"),
    ],
)
def test_a_plan_for_another_world_is_caught(name: str, words: str) -> None:
    case = good()
    found = validate(changed_world(case, name), decide(case))
    assert any(words in sentence for sentence in found), found
