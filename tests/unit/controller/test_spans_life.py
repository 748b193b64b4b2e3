"""A job over several sites as one: all parts run or none, whatever one member says; and what each part is told.

Its assignment: two nodes at site `edge` (one child with ranks 0 and 1), two at site `cloud` (a child each).
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.api.conditions import instant
from polyhull.controller.children import Member, Trouble
from polyhull.controller.hubjob import Child, HubJob, State, Verdict
from polyhull.controller.jobs import judge
from polyhull.controller.renders import HubDataSet, Renderer
from polyhull.delivery.base import Action, Apply, ConfirmGone, Delete, Finalizer, PutStatus, Suspend
from polyhull.domain.errors import InvalidInput
from polyhull.domain.fleet import CLUSTERSET_DOMAIN, Fleet
from polyhull.domain.workloads import Key, Replica
from polyhull.render import naming
from tests import builders as make

NOW = 1_800_000_000.0
KEY, UID = Key("team", "large"), "uid-1"
LABELS = naming.labels(naming.Owner.of(KEY, UID), "workers")


def part(site: str, rank: int, **more: Any) -> dict[str, Any]:
    return {
        "cluster": site, "site": site, "pool": f"{site}/v100", "option": "gpu", "accelerator": "v100",
        "replicas": 2, "devicesPerReplica": 4, "firstRank": rank, **more,
    }  # fmt: skip


def hub_job(placed: str = "Releasing", since: float = 100.0, suspend: bool = False, **status: Any) -> HubJob:
    """Released; `placed`: the reason of its condition, which changed `since` seconds ago."""
    parts = [part("edge", 0, stageLayers=[12, 12]), part("cloud", 2, stageLayers=[4, 4])]
    told: dict[str, Any] = {
        "assignment": {**parts[0], "order": 1, "parts": parts, "microBatches": 8, "releasedTime": instant(NOW - 100)},
        "conditions": [
            {"type": "Placed", "status": "False", "reason": placed, "message": "m",
             "lastTransitionTime": instant(NOW - since)},
        ],
        **status,
    }  # fmt: skip
    return HubJob(
        {
            "apiVersion": "polyhull.io/v1alpha1",
            "kind": "TrainingJob",
            "metadata": {
                "name": KEY.name, "namespace": KEY.namespace, "uid": UID, "generation": 1,
                "finalizers": [naming.FINALIZER],
            },
            "spec": {
                "suspend": suspend,
                "options": [{"name": "gpu", "accelerator": "v100", "replicas": 4, "devicesPerReplica": 4}],
                "template": {"image": "learn:1"},
                "placement": {"crossSite": {"mode": "Pipeline"}},
            },
            "status": told,
        },
        KEY,
    )  # fmt: skip


CHILDREN = hub_job().children
FIRST, *OTHERS = CHILDREN


def shown(child: Child, state: str) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    """(objects, pods) of one child in its member: absent, held, unbound, bound, running, Complete or Failed."""
    if state == "absent":
        return (), ()
    uid = f"uid-of-{child.first_rank}"
    status: dict[str, Any] = {"startTime": instant(NOW - 50)}
    if state in ("Complete", "Failed"):
        status["conditions"] = [{"type": state, "status": "True", "message": "why"}]
    metadata = {"name": child.ref.name, "namespace": "team", "uid": uid, "labels": LABELS}
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata | {"creationTimestamp": instant(NOW - 50)},
        "spec": {"completions": child.replicas, "suspend": state == "held"},
        "status": status,
    }
    service = {"kind": "Service", "metadata": {"name": "s", "uid": f"s-{uid}", "ownerReferences": [{"uid": uid}]}}
    pods = tuple(
        {
            "metadata": {
                "name": f"{child.ref.name}-{index}", "labels": LABELS, "ownerReferences": [{"uid": uid}],
                "creationTimestamp": instant(NOW - 40),
            },
            "spec": {} if state == "unbound" else {"nodeName": f"{child.cluster}-{child.first_rank + index}"},
            "status": {"phase": "Running" if state == "running" else "Pending", "startTime": instant(NOW - 30)},
        }
        for index in range(child.replicas if state in ("unbound", "bound", "running") else 0)
    )  # fmt: skip
    return ((body, service) if child.has_service else (body,)), pods


def members(*states: str, silent: str = "", fenced: str = "") -> dict[str, Member]:
    """Both members, with each child in its state."""
    out: dict[str, Member] = {}
    for name in ("edge", "cloud"):
        objects: list[dict[str, Any]] = []
        pods: list[dict[str, Any]] = []
        for child, state in zip(CHILDREN, states, strict=True):
            if child.cluster == name and name not in (silent, fenced):
                made = shown(child, state)
                objects += made[0]
                pods += made[1]
        held: Any = {UID: tuple(objects)} if objects else {}
        running: Any = {UID: tuple(pods)} if pods else {}
        out[name] = Member(name, name != silent, name == fenced, children=held, pods=running)
    return out


def of(kind: type[Action], verdict: Verdict) -> list[Any]:
    return [action for action in verdict.actions if isinstance(action, kind)]


def reason(verdict: Verdict) -> str:
    return next(
        entry["reason"]
        for put in of(PutStatus, verdict)
        for entry in put.status["conditions"]
        if entry["type"] == "Placed"
    )


def test_behind_the_first_site_every_node_has_a_child_of_its_own() -> None:
    assert [(child.cluster, child.first_rank, child.replicas) for child in CHILDREN] == [
        ("edge", 0, 2),
        ("cloud", 2, 1),
        ("cloud", 3, 1),
    ]
    assert len({child.ref.name for child in CHILDREN}) == 3


def test_parts_begin_together_once_all_are_there() -> None:
    waiting = judge(hub_job(), members("held", "held", "absent"), NOW)
    assert (waiting.rerelease, waiting.actions) == (True, ())
    ready = judge(hub_job(), members("held", "held", "held"), NOW)
    assert [(one.ref.name, one.suspend) for one in of(Suspend, ready)] == [(c.ref.name, False) for c in CHILDREN]
    half = judge(hub_job(), members("bound", "held", "bound"), NOW)
    assert [one.ref.name for one in of(Suspend, half)] == [OTHERS[0].ref.name], "a crash let go of two of them"


def test_bound_and_running_are_said_of_all_parts() -> None:
    assert judge(hub_job(), members("bound", "bound", "unbound"), NOW - 20).event == ""
    verdict = judge(hub_job(), members("running", "running", "running"), NOW)
    assert (reason(verdict), verdict.event) == ("Bound", "bound")
    assert verdict.placed is not None
    assert [(one.cluster, one.nodes) for one in verdict.placed.parts] == [
        ("edge", (("edge-0", 1), ("edge-1", 1))),
        ("cloud", (("cloud-2", 1), ("cloud-3", 1))),
    ]
    assert of(PutStatus, verdict)[0].status["startTime"] == instant(NOW - 30)


@pytest.mark.parametrize("states", [("held", "absent", "absent"), ("held", "held", "absent")])
def test_a_member_s_no_takes_all_parts_back(states: tuple[str, ...]) -> None:
    verdict = judge(hub_job(), members(*states), NOW, Trouble("QuotaExceeded", "no room", "cloud"))
    assert {one.ref for one in of(Delete, verdict)} == {
        child.ref for child, state in zip(CHILDREN, states, strict=True) if state != "absent"
    }
    (kept_from,) = of(PutStatus, verdict)[0].status["exclusions"]
    assert (kept_from["cluster"], kept_from["reason"]) == ("cloud", "QuotaExceeded"), "who said no, not the first"


def test_a_part_that_stays_unbound_takes_all_parts_back() -> None:
    verdict = judge(hub_job(), members("bound", "unbound", "bound"), NOW)
    assert (verdict.state, reason(verdict)) == (State.WITHDRAWING, "Unbound")
    assert {one.ref for one in of(Delete, verdict)} == {child.ref for child in CHILDREN}
    (kept_from,) = of(PutStatus, verdict)[0].status["exclusions"]
    assert kept_from["pool"] == "cloud/v100"
    going = judge(hub_job("Unbound"), members("absent", "bound", "absent"), NOW)
    assert [one.ref for one in of(Delete, going)] == [OTHERS[0].ref]
    gone = judge(hub_job("Unbound"), members("absent", "absent", "absent"), NOW)
    assert [(one.cluster, one.ref) for one in of(ConfirmGone, gone)] == [(c.cluster, c.ref) for c in CHILDREN]
    assert "assignment" not in of(PutStatus, gone)[0].status


def test_a_silent_member_stops_what_has_not_begun_elsewhere_and_keeps_the_assignment() -> None:
    states = ("bound", "bound", "bound")
    first = judge(hub_job(), members(*states, silent="cloud"), NOW)
    assert (reason(first), of(Delete, first), first.due_at) == ("MemberUnreachable", [], NOW + 30.0)
    later = judge(hub_job("MemberUnreachable", since=31.0), members(*states, silent="cloud"), NOW)
    assert [one.ref for one in of(Delete, later)] == [FIRST.ref]
    assert later.placed is not None
    assert later.placed.uncertain
    back = judge(hub_job("MemberUnreachable"), members("absent", "bound", "bound"), NOW)
    assert {one.ref for one in of(Delete, back)} == {child.ref for child in OTHERS}, "it must not run without rank 0"
    free = judge(hub_job("MemberUnreachable"), members("absent", "absent", "absent"), NOW)
    assert reason(free) == "Withdrawn"
    in_time = judge(hub_job("MemberUnreachable", since=5.0), members(*states), NOW)
    assert (in_time.state, reason(in_time)) == (State.RELEASED, "Bound")


def test_a_silent_member_leaves_a_running_job_alone() -> None:
    running = hub_job("Bound", startTime=instant(NOW - 500))
    verdict = judge(running, members("running", "running", "running", silent="cloud"), NOW)
    assert (reason(verdict), of(Delete, verdict)) == ("MemberUnreachable", [])
    told = replace(running, raw=running.raw | {"status": of(PutStatus, verdict)[0].status})
    assert of(Delete, judge(told, members("running", "running", "running", silent="cloud"), NOW + 500)) == []
    assert judge(told, members("running", "running", "running"), NOW).state is State.RELEASED


def test_fencing_one_member_takes_the_rest_back_and_then_frees_the_job() -> None:
    verdict = judge(hub_job("Bound"), members("bound", "bound", "bound", fenced="cloud"), NOW)
    assert (reason(verdict), [one.ref for one in of(Delete, verdict)]) == ("Withdrawn", [FIRST.ref])
    free = judge(hub_job("Withdrawn"), members("absent", "absent", "absent", fenced="cloud"), NOW)
    assert [one.ref for one in of(ConfirmGone, free)] == [FIRST.ref]
    assert "assignment" not in of(PutStatus, free)[0].status


def test_it_ends_well_when_all_have_and_fails_when_one_does() -> None:
    bound = hub_job("Bound", startTime=instant(NOW - 50))
    assert judge(bound, members("Complete", "running", "Complete"), NOW).event == ""
    assert judge(bound, members("Complete", "Complete", "Complete"), NOW).event == "ended:Complete"
    assert judge(bound, members("running", "Failed", "running"), NOW).event == "ended:Failed"
    ended = hub_job("Ended", completionTime=instant(NOW))
    ended.raw["status"]["conditions"].append({"type": "Succeeded", "status": "False", "reason": "Failed"})
    clearing = judge(ended, members("running", "Failed", "running"), NOW)
    assert {one.ref for one in of(Delete, clearing)} == {child.ref for child in CHILDREN}
    assert judge(ended, members("absent", "absent", "absent", silent="cloud"), NOW).actions == ()
    last = judge(ended, members("absent", "absent", "absent"), NOW)
    assert [type(action) for action in last.actions] == [ConfirmGone] * 3 + [Finalizer]


def test_a_child_that_vanished_from_a_running_job_ends_it() -> None:
    verdict = judge(hub_job("Bound"), members("running", "absent", "running"), NOW)
    assert verdict.event == "ended:ChildLost"
    assert [one.ref for one in of(ConfirmGone, verdict)] == [OTHERS[0].ref]


def test_suspended_all_parts_stop_and_resumed_it_is_planned_again() -> None:
    stop = judge(hub_job("Bound", suspend=True), members("running", "running", "running"), NOW)
    assert [one.suspend for one in of(Suspend, stop)] == [True] * 3
    assert stop.placed is not None
    stopped = judge(hub_job("Suspended", suspend=True), members("held", "held", "held"), NOW)
    assert (stopped.state, stopped.placed) == (State.SUSPENDED, None)
    resumed = judge(hub_job("Suspended"), members("held", "held", "held"), NOW)
    assert len(of(Delete, resumed)) == 3
    early = judge(hub_job(suspend=True), members("held", "absent", "absent"), NOW)
    assert (reason(early), len(of(Delete, early))) == ("Suspended", 1)


def test_a_part_of_an_earlier_assignment_is_removed_from_a_member_that_has_another_now() -> None:
    seen = members("running", "running", "running")
    (left,), _ = shown(replace(OTHERS[0], ref=FIRST.ref._replace(name="of-before")), "running")
    left["metadata"]["uid"] = "uid-of-before"
    cloud = replace(seen["cloud"], children={UID: (*seen["cloud"].children[UID], left)})
    verdict = judge(hub_job("Bound", startTime=instant(NOW - 50)), seen | {"cloud": cloud}, NOW)
    assert [(one.cluster, one.uid) for one in of(Delete, verdict)] == [("cloud", "uid-of-before")]
    assert verdict.state is State.RELEASED


def test_deleted_it_waits_for_every_member() -> None:
    job = hub_job("Bound")
    job.raw["metadata"]["deletionTimestamp"] = instant(NOW - 61)
    assert len(of(Delete, judge(job, members("running", "running", "running"), NOW))) == 3
    silent = judge(job, members("absent", "absent", "absent", silent="cloud"), NOW)
    assert (silent.actions, silent.tombstones) == ((), ("cloud",))
    gone = judge(job, members("absent", "absent", "absent"), NOW)
    assert [type(action) for action in gone.actions] == [ConfirmGone] * 3 + [Finalizer]


STATES = st.sampled_from(["absent", "held", "unbound", "bound", "running", "Complete", "Failed"])


@given(
    states=st.tuples(STATES, STATES, STATES),
    placed=st.sampled_from(["Releasing", "Bound", "Unbound", "MemberUnreachable", "Suspended", "Withdrawn"]),
    started=st.booleans(),
    suspend=st.booleans(),
    silent=st.sampled_from(["", "edge", "cloud"]),
    fenced=st.sampled_from(["", "edge", "cloud"]),
    refused=st.sampled_from([None, Trouble("Refused", "no", "cloud")]),
)
def test_nothing_lets_go_before_every_part_is_confirmed_gone(
    states: tuple[str, str, str],
    placed: str,
    started: bool,
    suspend: bool,
    silent: str,
    fenced: str,
    refused: Trouble | None,
) -> None:
    job = hub_job(placed, suspend=suspend, **({"startTime": instant(NOW - 50)} if started else {}))
    verdict = judge(job, members(*states, silent=silent, fenced=fenced), NOW, refused)
    must = {child.ref for child in CHILDREN if child.cluster != fenced}
    confirmed = set()
    for action in verdict.actions:
        if isinstance(action, ConfirmGone):
            confirmed.add(action.ref)
        if isinstance(action, PutStatus) and "assignment" not in action.status:
            assert confirmed == must, "a part may run still"
    there = {
        child.ref
        for child, state in zip(CHILDREN, states, strict=True)
        if child.cluster not in (silent, fenced) and state != "absent"
    }
    assert {one.ref for one in of(Delete, verdict)} in (set(), there), "all that can be reached, or none"
    if any(not one.suspend for one in of(Suspend, verdict)):
        assert "absent" not in states, "nothing begins before everything is there"


# -- what each part is told

POOLS_AT = ("edge", "cloud")
FLEET = make.fleet([make.pool(at, "v100", 2, devices=4) for at in POOLS_AT], [make.link("edge", "cloud")])


def resolvable(domain: str) -> Fleet:
    return replace(FLEET, clusters=tuple(replace(one, service_domain=domain) for one in FLEET.clusters))


def rendered(domain: str = CLUSTERSET_DOMAIN, job: HubJob | None = None) -> list[Apply]:
    job = job or hub_job()
    return [Renderer(resolvable(domain), {}).child(job, child, "hash") for child in job.children]


def environment(made: Apply) -> dict[str, Any]:
    (container,) = made.manifest["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


def test_ranks_are_counted_over_all_parts() -> None:
    told = [environment(one) for one in rendered()]
    assert "fieldRef" in told[0]["NODE_RANK"]
    assert [one["NODE_RANK"] for one in told[1:]] == ["2", "3"]
    assert {(one["NNODES"], one["NPROC_PER_NODE"], one["WORLD_SIZE"]) for one in told} == {("4", "4", "16")}
    assert all(one[f"PET_{name}"] == one[name] for one in told for name in ("NNODES", "NODE_RANK", "MASTER_ADDR"))


def test_each_part_knows_its_site_and_stages() -> None:
    told = [environment(one) for one in rendered()]
    assert [(one["POLYHULL_SITE"], one["POLYHULL_PART"], one["POLYHULL_FIRST_RANK"]) for one in told] == [
        ("edge", "0", "0"), ("cloud", "1", "2"), ("cloud", "1", "2"),
    ]  # fmt: skip
    assert [one["POLYHULL_STAGE_LAYERS"] for one in told] == ["12,12", "4,4", "4,4"]
    assert {one["POLYHULL_ALL_STAGE_LAYERS"] for one in told} == {"12,12;4,4"}
    assert {one["POLYHULL_MICRO_BATCHES"] for one in told} == {"8"}


def test_rank_0_is_found_by_an_exported_service() -> None:
    first, *others = rendered()
    assert first.owned is not None
    service, export = first.owned("job-uid")
    name = service["metadata"]["name"]
    assert (export["kind"], export["metadata"]["name"]) == ("ServiceExport", name)
    assert service["spec"]["selector"]["batch.kubernetes.io/job-completion-index"] == "0", "a name for one pod alone"
    assert environment(first)["MASTER_ADDR"] == f"{name}-0.{name}"
    assert {environment(one)["MASTER_ADDR"] for one in others} == {f"{name}.team.svc.clusterset.local"}
    assert all(one.owned is None for one in others)


def test_where_the_administrator_names_a_domain_nothing_is_exported() -> None:
    first, *others = rendered("svc.edge.example")
    assert first.owned is not None
    (service,) = first.owned("job-uid")
    address = f"{service['metadata']['name']}.team.svc.edge.example"
    assert {environment(one)["MASTER_ADDR"] for one in others} == {address}


def test_without_a_name_for_rank_0_it_is_not_rendered() -> None:
    with pytest.raises(InvalidInput, match=r"other clusters have no names for its pods.*serviceDomain"):
        rendered("")


def test_two_sites_of_one_cluster_need_no_names_abroad() -> None:
    job = hub_job()
    for told in job.raw["status"]["assignment"]["parts"]:
        told["cluster"] = "edge"
    first, *others = rendered("", job)
    name = first.manifest["metadata"]["name"]
    assert {environment(one)["MASTER_ADDR"] for one in (first, *others)} == {f"{name}-0.{name}"}
    assert len({one.manifest["metadata"]["name"] for one in (first, *others)}) == 3


def test_parts_are_created_held_and_fail_as_one() -> None:
    made = [one.manifest["spec"] for one in rendered()]
    assert all(spec["suspend"] for spec in made)
    assert [spec["backoffLimit"] // spec["completions"] for spec in made] == [3, 3, 3]


def test_each_part_reads_the_copy_of_its_own_site() -> None:
    held = replace(make.data_set("images", 1), replicas=tuple(Replica(at, f"s3://{at}/images") for at in POOLS_AT))
    job = hub_job()
    job.raw["spec"]["data"] = [{"name": "input", "dataSetRef": {"name": "images"}}]
    renderer = Renderer(resolvable(CLUSTERSET_DOMAIN), {held.key: HubDataSet({"metadata": {"uid": "d"}}, held)})
    read = [environment(renderer.child(job, child, "hash"))["POLYHULL_DATA_INPUT_URL"] for child in job.children]
    assert read == ["s3://edge/images", "s3://cloud/images", "s3://cloud/images"]


def keeps(mode: str) -> tuple[HubJob, list[set[str]]]:
    """A job that writes both, and which claims each child makes and mounts."""
    job = hub_job()
    written = {name: {"size": "1Gi", "mountPath": f"/{name}"} for name in ("checkpoint", "output")}
    job.raw["spec"] |= {**written, "placement": {"crossSite": {"mode": mode, "synchronizeSteps": 5}}}
    renderer = Renderer(resolvable(CLUSTERSET_DOMAIN), {})
    told = []
    for child, made in zip(job.children, rendered(job=job), strict=True):
        (container,) = made.manifest["spec"]["template"]["spec"]["containers"]
        assert all(one["mountPath"].strip("/") in written for one in container.get("volumeMounts") or ())
        assert bool(renderer.claims(job, child)) == (child.first_rank in (0, 2) and bool(renderer.kept(job, child)))
        told.append({one["mountPath"] for one in container.get("volumeMounts") or ()})
    return job, told


def test_what_it_writes_is_kept_where_rank_0_is_and_stages_where_they_run() -> None:
    assert keeps("DataParallel")[1] == [{"/checkpoint", "/output"}, set(), set()]
    assert keeps("Pipeline")[1] == [{"/checkpoint", "/output"}, {"/checkpoint"}, {"/checkpoint"}]


def test_claims_of_an_earlier_assignment_go_where_this_one_keeps_none() -> None:
    seen = members("running", "running", "running")
    owner = naming.Owner.of(KEY, UID)
    claims = tuple(
        {"kind": "PersistentVolumeClaim", "apiVersion": "v1",
         "metadata": {"name": entry, "namespace": "team", "uid": entry, "labels": naming.labels(owner, entry)}}
        for entry in ("checkpoint", "output")
    )  # fmt: skip
    both = {name: replace(one, children={UID: (*one.children[UID], *claims)}) for name, one in seen.items()}
    for mode, stale in (("DataParallel", {"checkpoint", "output"}), ("Pipeline", {"output"})):
        job, _ = keeps(mode)
        told = job.raw["status"] | {"startTime": instant(NOW - 50)}
        verdict = judge(HubJob(job.raw | {"status": told}, KEY), both, NOW)
        assert {(one.cluster, one.uid) for one in of(Delete, verdict)} == {("cloud", entry) for entry in stale}


def test_an_ordinary_job_is_none_of_this() -> None:
    job = hub_job()
    told = job.raw["status"]["assignment"]
    del told["parts"]
    (made,) = rendered("", job)
    assert not made.manifest["spec"]["suspend"]
    assert not [name for name in environment(made) if name.startswith("POLYHULL_")]
    assert made.manifest["metadata"]["name"] == naming.child_name(naming.Owner.of(KEY, UID))
