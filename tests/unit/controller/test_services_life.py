"""An online service as a function: what is made, what goes, what is excluded, and what it says meanwhile."""

from typing import Any

import pytest

from polyhull.api.conditions import instant
from polyhull.api.world import World
from polyhull.controller import services
from polyhull.controller.children import Member, News, Patience, Trouble
from polyhull.controller.deployments import name_of
from polyhull.controller.observe import View
from polyhull.controller.renders import Renderer
from polyhull.delivery.base import Apply, Delete, Finalizer, PutStatus
from polyhull.domain.decision import Decision, Route, ServicePlan, ServingPlan
from polyhull.domain.workloads import Key
from polyhull.render import naming
from tests import builders as make

NOW = make.NOW
KEY = Key("team", "chat", "InferenceJob")
UID = "uid-chat"
OWNER = naming.Owner.of(KEY, UID)
FLEET = make.fleet([make.pool("edge", "cpu"), make.pool("cloud", "cpu")])
PATIENCE = Patience(unbound=30.0, stuck=120.0, podless=10.0, back_off=600.0)


def hub(status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "InferenceJob",
        "metadata": {
            "name": KEY.name,
            "namespace": KEY.namespace,
            "uid": UID,
            "generation": 1,
            "finalizers": [naming.FINALIZER],
        },
        "spec": {
            "mode": "Online",
            "variants": [{"name": "small", "accelerator": "cpu", "devicesPerReplica": 1}],
            "template": {"image": "chat:1"},
            "replicas": 1,
            **spec,
        },
        "status": status or {},
    }


def part(cluster: str, replicas: int = 2) -> ServingPlan:
    return ServingPlan(cluster, cluster, f"{cluster}/cpu", "small", "cpu", "CPU", 1, replicas, ())


def decision(*parts: ServingPlan) -> Decision:
    routes = tuple(Route("edge", one.cluster, one.pool, "small", 5.0) for one in parts)
    plan = ServicePlan(KEY, parts, routes, 5.0 * len(parts), 5.0 * len(parts))
    return Decision(taken_at=NOW, assignments=(), transfers=(), services=(plan,), unplaced=())


def deployment(
    raw: dict[str, Any], cluster: str, ready: int = 0, replicas: int = 2, age: float = 5.0, **status: Any
) -> dict[str, Any]:
    body = Renderer(FLEET, {}).deployment(raw, KEY, part(cluster, replicas))
    body["metadata"] |= {"uid": f"deployment-{cluster}", "creationTimestamp": instant(NOW - age)}
    return {**body, "status": {"readyReplicas": ready, **status}}


def pod(cluster: str, age: float, node: str = "", waiting: str = "") -> dict[str, Any]:
    own = {naming.POOL: f"{cluster}/cpu", naming.VARIANT: "small"}
    body: dict[str, Any] = {
        "metadata": {
            "name": "p",
            "uid": f"pod-{cluster}",
            "labels": naming.labels(OWNER, "serving", own),
            "creationTimestamp": instant(NOW - age),
        },
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": "Pending"},
    }
    if waiting:
        body["status"]["containerStatuses"] = [{"state": {"waiting": {"reason": waiting, "message": "no secret s"}}}]
    return body


def member(
    name: str, *children: dict[str, Any], pods: tuple[dict[str, Any], ...] = (), reachable: bool = True, **more: Any
) -> Member:
    service = [{"kind": "Service", "apiVersion": "v1", "metadata": {"name": "s", "namespace": "team", "uid": "svc"}}]
    held = {UID: (*children, *(service if children else ()))} if reachable else {}
    return Member(name, reachable, children=held, pods={UID: pods}, patience=PATIENCE, **more)


def view(raw: dict[str, Any], *members: Member) -> View:
    found = {one.name: one for one in members}
    return View(NOW, (raw,), found, {}, {}, World(), (), (raw,), {}, {})


def follow(
    raw: dict[str, Any], *members: Member, plan: Decision | None = None, refused: Trouble | None = None
) -> services.Made:
    seen = view(raw, *members)
    return services.follow(raw, seen, make.snapshot(FLEET), plan, Renderer(FLEET, {}), plan is not None, refused)


def told(body: Any, kind: str) -> tuple[str, str, str]:
    entry = next(one for one in body["conditions"] if one["type"] == kind)
    return entry["status"], entry["reason"], entry["message"]


def put(made: services.Made) -> Any:
    return next(action.status for action in made.urgent if isinstance(action, PutStatus))


def test_the_plan_is_recorded_before_anything_is_made() -> None:
    raw = hub()
    raw["metadata"]["finalizers"] = []
    made = follow(raw, member("edge"), plan=decision(part("edge")))
    assert [type(one) for one in made.urgent] == [Finalizer, PutStatus, Apply, Apply]
    assert put(made)["serving"][0]["cluster"] == "edge"
    assert put(made)["replicas"] == 0 and naming.UID in put(made)["selector"]


def test_while_there_is_no_plan_what_was_said_stays() -> None:
    said = {"conditions": [{"type": "Ready", "status": "True", "reason": "Serving", "message": "m"}]}
    assert follow(hub(said), member("edge")).report is None
    new = follow(hub(), member("edge")).report
    assert told(new, "Ready")[:2] == ("False", "WaitingForPlan")


@pytest.mark.parametrize(
    ("pods", "status", "news", "reason", "words", "pool"),
    [
        ((pod("edge", 31.0),), {}, (), "Unbound", "no node took its pod", "edge/cpu"),
        ((pod("edge", 121.0, "n", "ImagePullBackOff"),), {}, (), "DependencyMissing", "its image", ""),
        ((pod("edge", 121.0, "n", "CreateContainerConfigError"),), {}, (), "DependencyMissing", "no secret s", ""),
        (
            (pod("edge", 121.0, "n", "ContainerCreating"),),
            {},
            (News("pod-edge", "FailedMount", "claim data is not there"),),
            "DependencyMissing",
            "claim data is not there",
            "",
        ),
        ((), {"message": "pods is forbidden: exceeded quota: small"}, (), "QuotaExceeded", "exceeded quota", ""),
        ((), {"message": "denied by policy x"}, (), "Refused", "policy x", ""),
    ],
)
def test_a_place_that_comes_to_nothing_is_said_and_excluded(
    pods: tuple[dict[str, Any], ...],
    status: dict[str, str],
    news: tuple[News, ...],
    reason: str,
    words: str,
    pool: str,
) -> None:
    raw = hub()
    failure = {"type": "ReplicaFailure", "status": "True", "lastTransitionTime": instant(NOW - 11)} | status
    held = deployment(raw, "edge", conditions=[failure] if status else [])
    made = follow(raw, member("edge", held, pods=pods, news=news), plan=decision(part("edge")))
    state, why, message = told(put(made), "Ready")
    assert (state, why) == ("False", reason)
    assert words in message and "member edge" in message
    (entry,) = put(made)["exclusions"]
    assert (entry["cluster"], entry.get("pool", ""), entry["reason"]) == ("edge", pool, reason)
    assert entry["untilTime"] == instant(NOW + 600)
    raw["status"] = put(made)
    again = follow(raw, member("edge", held, pods=pods, news=news), plan=decision(part("cloud")))
    assert put_of_exclusions(again) <= 1, "it is excluded once"


def put_of_exclusions(made: services.Made) -> int:
    bodies = [action.status for action in made.urgent if isinstance(action, PutStatus)] + [made.report or {}]
    return max((len(body.get("exclusions") or ()) for body in bodies), default=0)


def test_before_patience_ends_nothing_is_wrong() -> None:
    raw = hub()
    made = follow(
        raw, member("edge", deployment(raw, "edge"), pods=(pod("edge", 12.0),)), plan=decision(part("edge"))
    )
    assert made.report is not None
    assert told(made.report, "Ready")[1] == "NotEnoughReplicas"
    assert made.due_at == NOW + 18.0


def test_a_refusal_of_the_deployment_itself_excludes_that_member() -> None:
    no = Trouble("QuotaExceeded", "its child is refused: exceeded quota", "edge")
    made = follow(hub(), member("edge"), plan=decision(part("edge")), refused=no)
    assert [entry["cluster"] for entry in put(made)["exclusions"]] == ["edge"]
    assert told(put(made), "Ready")[1] == "QuotaExceeded"


EXCLUDED = {"cluster": "edge", "reason": "DependencyMissing", "message": "m", "untilTime": instant(NOW + 60)}


def test_what_never_got_ready_goes_at_once_and_what_is_ready_stays_until_it_is_replaced() -> None:
    entry = {"cluster": "edge", "site": "edge", "pool": "edge/cpu", "variant": "small", "accelerator": "cpu"}
    raw = hub({"exclusions": [EXCLUDED], "serving": [{**entry, "replicas": 2}]})
    stuck = member("edge", deployment(raw, "edge"), pods=(pod("edge", 200.0, "n", "ImagePullBackOff"),))
    fresh = member("cloud", deployment(raw, "cloud"))
    gone = [one for one in follow(raw, stuck, fresh, plan=decision(part("cloud"))).urgent if isinstance(one, Delete)]
    assert [one.cluster for one in gone] == ["edge"]

    well = member("edge", deployment(raw, "edge", ready=2, age=500.0))
    made = follow(raw, well, fresh, plan=decision(part("cloud")))
    assert not [one for one in made.urgent if isinstance(one, Delete)]
    assert made.report is not None
    assert {one["cluster"]: one["replicas"] for one in made.report["serving"]} == {"cloud": 2, "edge": 2}

    replaced = member("cloud", deployment(raw, "cloud", ready=2))
    made = follow(raw, well, replaced, plan=decision(part("cloud")))
    assert [one.cluster for one in made.urgent if isinstance(one, Delete)] == ["edge"]


def test_what_is_in_the_way_of_the_new_goes_after_a_minute() -> None:
    raw = hub()
    raw["spec"]["variants"].append({"name": "big", "accelerator": "cpu", "devicesPerReplica": 2})
    old = deployment(raw, "edge", ready=2, age=900.0)
    old["metadata"] |= {"name": "old", "uid": "old"}
    for age, going in ((70.0, ["old"]), (20.0, [])):
        new = deployment(raw, "edge", age=age)
        made = follow(raw, member("edge", old, new, pods=(pod("edge", 12.0),)), plan=decision(part("edge")))
        assert [one.ref.name for one in made.urgent if isinstance(one, Delete)] == going


def test_replicas_in_a_member_that_does_not_answer_are_not_forgotten() -> None:
    before = {"cluster": "edge", "site": "edge", "pool": "edge/cpu", "variant": "small", "accelerator": "cpu"}
    raw = hub({"serving": [{**before, "replicas": 2}]})
    made = follow(raw, member("edge", reachable=False), member("cloud"), plan=decision(part("cloud")))
    assert {one["cluster"] for one in put(made)["serving"]} == {"edge", "cloud"}
    raw["status"] = put(made)
    raw["metadata"]["deletionTimestamp"] = instant(NOW - 61)
    going = follow(raw, member("edge", reachable=False), member("cloud"))
    assert going.tombstones == ("edge",)
    fenced = follow(hub(raw["status"]), member("edge", reachable=False, fenced=True), plan=decision(part("cloud")))
    assert fenced.report is not None
    assert {one["cluster"] for one in fenced.report["serving"]} == {"cloud"}


@pytest.mark.parametrize(
    ("spec", "fields", "ignored"),
    [
        ({}, [], ""),
        ({"replicas": 5}, [], "True"),
        ({"replicas": 2}, [], ""),
        ({"replicas": 5, "scaling": "External"}, [], ""),
        ({}, [{"operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}], ""),
        ({}, [{"operation": "Update", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}], "True"),
        ({}, [{"operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}], "True"),
    ],
)
def test_a_written_number_is_ignored_aloud(spec: dict[str, Any], fields: list[Any], ignored: str) -> None:
    raw = hub(**spec)
    raw["metadata"]["managedFields"] = fields
    made = follow(raw, member("edge", deployment(raw, "edge", ready=2)), plan=decision(part("edge")))
    assert made.report is not None
    found = [one for one in made.report["conditions"] if one["type"] == "ScaleIgnored"]
    assert [(one["status"], one["reason"]) for one in found] == ([(ignored, "PlanDecides")] if ignored else [])


def test_an_edit_of_the_template_rolls_out_and_a_new_neighbour_does_not() -> None:
    raw = hub()
    held = member("edge", deployment(raw, "edge", ready=2))
    assert not follow(raw, held, plan=decision(part("edge"))).urgent
    raw["spec"]["template"] = {"image": "chat:2"}
    made = follow(raw, held, plan=decision(part("edge")))
    applied = [one.manifest for one in made.urgent if isinstance(one, Apply) and one.manifest["kind"] == "Deployment"]
    assert [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in applied] == ["chat:2"]


def test_more_replicas_keep_the_pod_template() -> None:
    raw = hub()
    renderer = Renderer(FLEET, {})
    first = renderer.deployment(
        raw, KEY, ServingPlan("edge", "edge", "edge/cpu", "small", "cpu", "CPU", 1, 1, (("a", 1),))
    )
    more = renderer.deployment(
        raw, KEY, ServingPlan("edge", "edge", "edge/cpu", "small", "cpu", "CPU", 1, 2, (("a", 1), ("b", 1))), first
    )
    assert more["spec"]["template"] == first["spec"]["template"]
    assert more["spec"]["replicas"] == 2


def test_a_service_in_a_cluster_without_replicas_goes() -> None:
    raw = hub()
    lone = member("edge")
    service = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "s", "namespace": "team", "uid": "svc"}}
    lone = Member("edge", True, children={UID: (service,)}, patience=PATIENCE)
    made = follow(raw, lone, member("cloud", deployment(raw, "cloud", ready=2)), plan=decision(part("cloud")))
    assert [(one.cluster, one.ref.name) for one in made.urgent if isinstance(one, Delete)] == [("edge", "s")]


def test_names_are_those_the_renderer_gives() -> None:
    raw = hub()
    assert name_of(raw, "edge/cpu", "small") == deployment(raw, "edge")["metadata"]["name"]
