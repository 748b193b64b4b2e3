"""The live operator on one real cluster with nothing configured: the hub is the whole fleet.

One process for all: tests that kill it start it again, and every test takes its jobs away.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any

import pytest

from hack.ground.ground import Cluster, Ground
from tests.cluster.operating import (
    GROUP,
    ROOT,
    Operator,
    allow_no_pods,
    condition,
    finish_pods,
    get,
    install_crds,
    job,
    listed,
    option,
    quiet,
    running,
    wait_for,
    writes,
)

PATIENCE = "Patience(unbound=30.0, stuck=4.0, podless=2.0)"
OK = 'polyhull_cycles_total{result="ok"}'
Namespace = Callable[[], str]


@pytest.fixture(scope="module")
def hub(ground: Ground) -> Cluster:
    cluster = ground.clusters["hub"]
    install_crds(cluster)
    cluster.kubectl("create", "namespace", "polyhull-system", check=False)
    return cluster


@pytest.fixture(scope="module")
def process(hub: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with running(hub, tmp_path_factory.mktemp("operator"), pod_patience=PATIENCE, help_seconds="1.0") as started:
        yield started


@pytest.fixture
def operator(hub: Cluster, process: Operator) -> Iterator[Operator]:
    """The shared process, with a cluster free of jobs before and after."""
    if process.process is None:
        process.revive()
    yield process
    if process.process is None:
        process.revive()
    for kind in ("trainingjobs", "placementpolicies"):
        with contextlib.suppress(AssertionError):
            hub.kubectl("delete", kind, "--all", "--all-namespaces", "--wait=false")
    wait_for("every job is gone", lambda: not hub.client.get(f"{GROUP}/trainingjobs")["items"])
    wait_for("no pod holds a device", lambda: not hub.client.get("/api/v1/pods")["items"])


def _placed(hub: Cluster, namespace: str, name: str) -> bool:
    return condition(get(hub, "trainingjob", namespace, name), "Placed") == ("True", "Bound")


def test_an_applied_job_runs_where_the_plan_said_and_leaves_nothing(
    hub: Cluster, operator: Operator, namespace: Namespace
) -> None:
    space = namespace()
    seen = hub.audit_count()
    hub.kubectl("apply", "-f", "-", stdin=job(space, "first"))
    wait_for("placed", lambda: _placed(hub, space, "first"))
    body = get(hub, "trainingjob", space, "first")
    assert body is not None
    told = body["status"]["assignment"]
    (pod,) = listed(hub, "pods", space)
    assert pod["spec"]["nodeName"] == told["nodes"][0]["name"]
    assert told["cluster"] == "local"
    assert pod["spec"]["schedulerName"] == "default-scheduler"
    assert not [name for name in body["metadata"].get("annotations") or {} if "kopf" in name]

    finish_pods(hub, space)
    wait_for(
        "succeeded", lambda: condition(get(hub, "trainingjob", space, "first"), "Succeeded") == ("True", "Completed")
    )
    wait_for("the child is removed", lambda: not listed(hub, "jobs", space) and not listed(hub, "pods", space))
    wait_for(
        "the finalizer is gone",
        lambda: not (get(hub, "trainingjob", space, "first") or {})["metadata"].get("finalizers"),
    )
    sent = _sent(hub, space, seen)
    assert sent["patch jobs"] == 1, sent
    assert sent["patch trainingjobs"] == 2, sent  # finalizer on, finalizer off
    assert sent["patch trainingjobs/status"] <= 4, sent  # released, bound, runs, ended


def _sent(hub: Cluster, space: str, since: int) -> Counter[str]:
    """The operator's writes in a namespace by `verb resource/subresource`."""
    return Counter(
        f"{event['verb']} " + "/".join(filter(None, (target["resource"], target.get("subresource"))))
        for event in writes(hub, since)
        if (target := event["objectRef"]).get("namespace") == space
    )


def test_a_placement_costs_four_requests_on_the_hub_and_one_in_the_member(
    hub: Cluster, operator: Operator, namespace: Namespace
) -> None:
    space, seen = namespace(), hub.audit_count()
    names = [f"job-{k}" for k in range(7)]
    for name in names:
        hub.kubectl("apply", "-f", "-", stdin=job(space, name, quantity="100000"))
    wait_for("all are placed", lambda: all(_placed(hub, space, name) for name in names))
    wait_for("quiet", lambda: quiet(hub, 1.5))
    sent = _sent(hub, space, seen)
    each = len(names)
    assert sent == {
        "patch trainingjobs": each,  # the finalizer
        "patch trainingjobs/status": 2 * each,  # released, bound
        "create events": each,
        "patch jobs": each,
    }
    plans = [event for event in writes(hub, seen) if event["objectRef"]["resource"] == "placementplans"]
    assert len(plans) <= 2 * each  # as inserted, and once more where the search behind found better


def test_a_job_that_queues_costs_one_status_more(hub: Cluster, operator: Operator, namespace: Namespace) -> None:
    space, seen = namespace(), hub.audit_count()
    hub.kubectl("apply", "-f", "-", stdin=job(space, "first", option(devices=6)))
    wait_for("placed", lambda: _placed(hub, space, "first"))
    hub.kubectl("apply", "-f", "-", stdin=job(space, "second", option(devices=6)))
    wait_for(
        "it waits",
        lambda: condition(get(hub, "trainingjob", space, "second"), "Placed") == ("False", "WaitingForTurn"),
    )
    finish_pods(hub, space)
    wait_for("its turn", lambda: _placed(hub, space, "second"))
    statuses = [
        event
        for event in writes(hub, seen)
        if event["objectRef"].get("subresource") == "status" and event["objectRef"].get("name") == "second"
    ]
    assert len(statuses) == 3


def test_nothing_changes_nothing_is_written(hub: Cluster, operator: Operator, namespace: Namespace) -> None:
    space = namespace()
    hub.kubectl("apply", "-f", "-", stdin=[job(space, f"job-{k}", option(devices=3)) for k in range(4)])
    wait_for("two are placed", lambda: sum(_placed(hub, space, f"job-{k}") for k in range(4)) == 2)
    wait_for("quiet", lambda: quiet(hub, 3.0))
    cycles = operator.figure(OK)
    assert quiet(hub, 12.0)
    assert operator.figure(OK) <= cycles + 1
    assert operator.figure('polyhull_cycles_total{result="failed"}') == 0


def test_killed_at_many_moments_no_job_is_made_twice_and_none_is_lost(
    hub: Cluster, operator: Operator, namespace: Namespace
) -> None:
    space = namespace()
    names = [f"job-{k}" for k in range(9)]
    seen = hub.audit_count()
    hub.kubectl("apply", "-f", "-", stdin=[job(space, name, option(devices=2)) for name in names])
    for pause in (0.15, 0.4, 0.8, 1.6):
        time.sleep(pause)
        before = {name: _assignment(hub, space, name) for name in names}
        operator.kill()
        operator.revive()
        wait_for("the operator acts again", lambda: "polyhull_jobs{" in operator.metrics())
        for name, told in before.items():
            now = _assignment(hub, space, name)
            if told.get("releasedTime") and now:
                assert (now["cluster"], now["pool"], now["releasedTime"]) == (
                    told["cluster"],
                    told["pool"],
                    told["releasedTime"],
                )
        finish_pods(hub, space, "0.2")

    def all_ended() -> bool:
        finish_pods(hub, space, "0.2")
        return all(
            condition(get(hub, "trainingjob", space, name), "Succeeded") == ("True", "Completed") for name in names
        )

    wait_for("every job ran to its end", all_ended)
    made = [
        event["objectRef"]["name"]
        for event in hub.audit_events(seen)
        if event.get("stage") == "ResponseComplete"
        and (event.get("objectRef") or {}).get("resource") == "jobs"
        and event["objectRef"].get("namespace") == space
        and event["verb"] == "patch"
        and (event.get("responseStatus") or {}).get("code") == 201
    ]
    # Not all of `names`: a create whose sender is killed in the middle may be done and yet be logged without its 201.
    assert sorted(made) == sorted(set(made)), "a child was created twice"


def _assignment(hub: Cluster, namespace: str, name: str) -> dict[str, str]:
    told: dict[str, str] = ((get(hub, "trainingjob", namespace, name) or {}).get("status") or {}).get(
        "assignment"
    ) or {}
    return told


def test_suspended_it_frees_its_devices_and_resumed_it_is_planned_again(
    hub: Cluster, operator: Operator, namespace: Namespace
) -> None:
    space = namespace()
    hub.kubectl("apply", "-f", "-", stdin=job(space, "big", option(devices=6)))
    wait_for("placed", lambda: _placed(hub, space, "big"))
    _patch(hub, space, "big", {"spec": {"suspend": True}})
    wait_for("suspended", lambda: condition(get(hub, "trainingjob", space, "big"), "Placed")[1] == "Suspended")
    (child,) = wait_for(
        "the child is suspended", lambda: [j for j in listed(hub, "jobs", space) if j["spec"]["suspend"]]
    )
    wait_for("no pod is left", lambda: not listed(hub, "pods", space))
    hub.kubectl("apply", "-f", "-", stdin=job(space, "other", option(devices=6)))
    wait_for("the other takes the devices", lambda: _placed(hub, space, "other"))
    _patch(hub, space, "big", {"spec": {"suspend": False}})
    wait_for(
        "the child is removed",
        lambda: child["metadata"]["uid"] not in [j["metadata"]["uid"] for j in listed(hub, "jobs", space)],
    )
    hub.kubectl("delete", "trainingjob", "other", "-n", space, "--wait=false")
    wait_for("placed again", lambda: _placed(hub, space, "big"))


def test_suspended_from_the_start_it_leaves_the_plan(hub: Cluster, operator: Operator, namespace: Namespace) -> None:
    space = namespace()
    hub.kubectl("apply", "-f", "-", stdin=job(space, "held", suspend=True))
    wait_for(
        "said so", lambda: condition(get(hub, "trainingjob", space, "held"), "Planned") == ("False", "Suspended")
    )
    assert listed(hub, "jobs", space) == []
    _patch(hub, space, "held", {"spec": {"suspend": False}})
    wait_for("placed", lambda: _placed(hub, space, "held"))


def _patch(hub: Cluster, namespace: str, name: str, body: dict[str, object]) -> None:
    hub.client.patch(f"/apis/polyhull.io/v1alpha1/namespaces/{namespace}/trainingjobs/{name}", body)


def test_deleted_in_every_phase_it_leaves_nothing(hub: Cluster, operator: Operator, namespace: Namespace) -> None:
    space = namespace()
    names = ["running", "waiting", "refused", "ended", "held", "down"]
    hub.kubectl(
        "apply",
        "-f",
        "-",
        stdin=[
            job(space, "ended", option(devices=1)),
            job(space, "running", option(devices=4)),
            job(space, "refused", option("nvidia-h100")),
            job(space, "held", suspend=True),
            job(space, "down", option(devices=1)),
        ],
    )
    wait_for("three are placed", lambda: all(_placed(hub, space, name) for name in ("ended", "running", "down")))
    hub.kubectl("apply", "-f", "-", stdin=job(space, "waiting", option(devices=7)))
    for pod in listed(hub, "pods", space):
        if "ended" in pod["metadata"]["name"]:
            path = f"/api/v1/namespaces/{space}/pods/{pod['metadata']['name']}"
            hub.client.patch(path, {"metadata": {"annotations": {"ground.polyhull.io/run-seconds": "0.2"}}})
    wait_for("one ended", lambda: condition(get(hub, "trainingjob", space, "ended"), "Succeeded")[0] == "True")
    wait_for("one waits", lambda: condition(get(hub, "trainingjob", space, "waiting"), "Planned")[0] == "True")
    for name in names[:-1]:
        hub.kubectl("delete", "trainingjob", name, "-n", space, "--wait=false")
    operator.kill()  # and one while nobody watches
    hub.kubectl("delete", "trainingjob", "down", "-n", space, "--wait=false")
    operator.revive()
    wait_for("all are gone", lambda: not listed(hub, "trainingjobs", space))
    wait_for("nothing is left", lambda: not (listed(hub, "jobs", space) + listed(hub, "pods", space)))


def test_managed_by_another_it_is_left_alone(hub: Cluster, operator: Operator, namespace: Namespace) -> None:
    space = namespace()
    hub.kubectl("apply", "-f", "-", stdin=job(space, "theirs", managedBy="example.com/other"))
    hub.kubectl("apply", "-f", "-", stdin=job(space, "ours"))
    wait_for("ours is placed", lambda: _placed(hub, space, "ours"))
    body = get(hub, "trainingjob", space, "theirs")
    assert body is not None
    assert "status" not in body
    assert not body["metadata"].get("finalizers")


def test_a_child_that_vanishes_is_a_failure_that_says_so(
    hub: Cluster, operator: Operator, namespace: Namespace
) -> None:
    space = namespace()
    hub.kubectl("apply", "-f", "-", stdin=job(space, "robbed"))
    wait_for("placed", lambda: _placed(hub, space, "robbed"))
    hub.kubectl("delete", "jobs", "--all", "-n", space)
    wait_for(
        "failed", lambda: condition(get(hub, "trainingjob", space, "robbed"), "Succeeded") == ("False", "ChildLost")
    )


def test_pods_refused_by_quota_say_so_and_are_taken_back(
    hub: Cluster, operator: Operator, namespace: Namespace
) -> None:
    space = namespace()
    allow_no_pods(hub, space)
    hub.kubectl("apply", "-f", "-", stdin=job(space, "poor"))
    wait_for(
        "said so",
        lambda: condition(get(hub, "trainingjob", space, "poor"), "Placed") == ("False", "QuotaExceeded"),
    )
    wait_for("taken back", lambda: not listed(hub, "jobs", space))
    body = get(hub, "trainingjob", space, "poor")
    assert body is not None
    wait_for(
        "excluded", lambda: ((get(hub, "trainingjob", space, "poor") or {})["status"].get("exclusions") or [None])[0]
    )


def test_a_job_that_makes_no_sense_says_so_and_stops_nobody(
    hub: Cluster, operator: Operator, namespace: Namespace
) -> None:
    space = namespace()
    wrong = job(space, "wrong", option("no-such-device"))
    hub.kubectl("apply", "-f", "-", stdin=[wrong, job(space, "right")])
    wait_for(
        "said so",
        lambda: condition(get(hub, "trainingjob", space, "wrong"), "Accepted") == ("False", "InvalidReference"),
    )
    wait_for("the other goes on", lambda: _placed(hub, space, "right"))


def test_a_gang_gets_its_companions_and_all_pods(hub: Cluster, operator: Operator, namespace: Namespace) -> None:
    space = namespace()
    hub.kubectl("apply", "-f", "-", stdin=job(space, "gang", option(devices=2, replicas=3)))
    wait_for("placed", lambda: _placed(hub, space, "gang"))
    assert len(listed(hub, "pods", space)) == 3
    (service,) = wait_for("its Service", lambda: listed(hub, "services", space))
    assert service["spec"]["clusterIP"] == "None"
    hub.kubectl("delete", "trainingjob", "gang", "-n", space)
    wait_for("companions are gone", lambda: not (listed(hub, "services", space) + listed(hub, "podgroups", space)))


def test_observe_only_plans_and_an_approval_lasts_while_what_it_approved_stands(
    hub: Cluster, operator: Operator, namespace: Namespace
) -> None:
    space = namespace()
    _mode(hub, "Observe")
    hub.kubectl("apply", "-f", "-", stdin=[job(space, name, option(devices=5)) for name in ("one", "two")])
    wait_for("planned", lambda: _why(hub, space, "one") == "ObserveOnly" or _why(hub, space, "two") == "ObserveOnly")
    assert listed(hub, "jobs", space) == []
    _mode(hub, "Recommend")
    first, second = wait_for("they wait", lambda: _in_order(hub, space))
    assert listed(hub, "jobs", space) == []
    plan = wait_for("the plan to approve", lambda: _plan_of(hub, 2))
    _approve(hub, plan)
    wait_for("the first is placed", lambda: _placed(hub, space, first))
    assert not _placed(hub, space, second)

    # Somebody who arrives later changes the present plan, but not what was approved.
    hub.kubectl("apply", "-f", "-", stdin=job(space, "late", option(devices=1)))
    wait_for("it asks", lambda: _why(hub, space, "late") == "WaitingForApproval")
    finish_pods(hub, space)
    wait_for("the second takes its turn", lambda: _placed(hub, space, second))
    assert _why(hub, space, "late") == "WaitingForApproval"
    assert len({body["metadata"]["labels"]["polyhull.io/name"] for body in listed(hub, "jobs", space)} - {first}) == 1


def test_a_namespace_may_only_be_watched_and_its_devices_be_limited(
    hub: Cluster, operator: Operator, namespace: Namespace
) -> None:
    looks, acts = namespace(), namespace()

    def rule(**spec: Any) -> dict[str, Any]:
        selector = {"matchLabels": {"kubernetes.io/metadata.name": looks}}
        limits = [{"accelerator": "cpu", "devices": 2}]
        return {
            "apiVersion": "polyhull.io/v1alpha1",
            "kind": "PlacementPolicy",
            "metadata": {"name": looks},
            "spec": {"namespaceSelector": selector, "deviceLimits": limits, **spec},
        }

    def told(wanted: str) -> set[str]:
        """Which of the two it is said of, while the other waits."""
        why = {name: _why(hub, looks, name) for name in ("one", "two")}
        return {name for name in why if set(why.values()) == {wanted, "WaitingForTurn"} and why[name] == wanted}

    hub.kubectl("apply", "-f", "-", stdin=rule(mode="Observe"))
    jobs = [job(looks, name, option(devices=2)) for name in ("one", "two")]
    hub.kubectl("apply", "-f", "-", stdin=[*jobs, job(acts, "other")])
    wait_for("others are placed", lambda: _placed(hub, acts, "other"))
    wait_for("one would be now, one would wait", lambda: told("ObserveOnly"))
    assert listed(hub, "jobs", looks) == []

    hub.kubectl("apply", "-f", "-", stdin=rule(mode="Enforce"))
    (first,) = wait_for("the first is placed", lambda: told("Bound"))
    (second,) = {"one", "two"} - {first}
    body = get(hub, "trainingjob", looks, second)
    said = next(one["message"] for one in (body or {})["status"]["conditions"] if one["type"] == "Placed")
    assert f"device limit of policy {looks}: 2 of 2 cpu held" in said
    finish_pods(hub, looks)
    wait_for("the second takes its turn", lambda: _placed(hub, looks, second))
    hub.kubectl("delete", "placementpolicy", looks)


def test_an_approval_is_void_once_an_assignment_changes(
    hub: Cluster, operator: Operator, namespace: Namespace
) -> None:
    space = namespace()
    _mode(hub, "Recommend")
    told = {plan["metadata"]["name"] for plan in hub.kubectl("get", "placementplans")["items"]}
    two_ways = job(
        space, "two", {**option(devices=5), "name": "wide"}, {**option(devices=2, rate="5"), "name": "narrow"}
    )
    hub.kubectl("apply", "-f", "-", stdin=[job(space, "one", option(devices=5), priority=1), two_ways])
    assert wait_for("they wait", lambda: _in_order(hub, space)) == ("one", "two")
    approved: set[str] = set()

    def placed_once_approved() -> bool:
        """The plan sought behind the first may differ from it and void its approval: then that one is approved."""
        for plan in _plans_of(hub, 2, told | approved):
            name = plan["metadata"]["name"]
            assert f"approved {name} " in _polyhull(hub, "approve", name)
            approved.add(name)
        return _placed(hub, space, "one")

    wait_for("the first is placed", placed_once_approved)
    # A job of a higher tier takes the place that the second waits for: it would be better off with less, at once.
    hub.kubectl("apply", "-f", "-", stdin=job(space, "urgent", option(devices=5), quantity="2000", priority=5))
    wait_for("another assignment", lambda: _assigned(hub, space, "two") == "narrow")
    wait_for("it asks again", lambda: _why(hub, space, "two") == "WaitingForApproval")
    assert len(listed(hub, "jobs", space)) == 1
    assert "there is no such plan" in _polyhull(hub, "approve", "plan-0000", fails=True)


def test_explain_and_what_if_ask_the_operator_and_touch_nothing(
    hub: Cluster, operator: Operator, namespace: Namespace
) -> None:
    space = namespace()
    jobs = [job(space, name, option(devices=5), quantity="2000") for name in ("one", "two")]
    hub.kubectl("apply", "-f", "-", stdin=jobs)
    waiting = wait_for("one of two waits", lambda: _waiting(hub, space))
    children = {body["metadata"]["name"] for body in listed(hub, "jobs", space)}
    asked = ("what-if", "--add-nodes", "local/cpu=1", "--timeout", "60")
    answer = json.loads(_polyhull(hub, *asked, "-o", "json"))
    assert answer["makespanSeconds"] < answer["baseMakespanSeconds"]
    assert [(one["name"], one["fate"]) for one in answer["jobs"]] == [(waiting, "Earlier")]
    assert "instead of" in _polyhull(hub, *asked)
    refusal = _polyhull(hub, "what-if", "--add-nodes", "local/cpus=1", fails=True)
    assert "there is no pool local/cpus; write one such as local/cpu" in refusal
    assert hub.kubectl("get", "placementscenarios")["items"] == [], "the question is taken away again"
    assert {body["metadata"]["name"] for body in listed(hub, "jobs", space)} == children

    # By itself that would be written a minute after the last status at the earliest; a change of the job comes first.
    path = f"/apis/polyhull.io/v1alpha1/namespaces/{space}/trainingjobs/{waiting}"
    hub.client.patch(path, {"spec": {"priority": 1}})
    wait_for("what would help is known", lambda: _helps(hub, space, waiting))
    told = _polyhull(hub, "explain", f"trainingjob/{waiting}", "-n", space)
    assert "is short by 2 of 5 devices" in told
    assert "one more cpu node in pool local/cpu" in told
    status = json.loads(_polyhull(hub, "explain", f"tj/{waiting}", "-n", space, "-o", "json"))["status"]
    assert status["explanation"]["helps"][0]["soonerSeconds"] > 0


def test_a_scenario_is_answered_in_its_status_and_again_when_it_is_changed(
    hub: Cluster, operator: Operator, namespace: Namespace
) -> None:
    space = namespace()
    jobs = [job(space, name, option(devices=5), quantity="2000") for name in ("one", "two")]
    hub.kubectl("apply", "-f", "-", stdin=jobs)
    wait_for("one of two waits", lambda: _waiting(hub, space))
    hub.kubectl("apply", "-f", "-", stdin=_scenario({"addNodes": {"pool": "local/cpu", "nodes": 1}}))
    answered = wait_for("an answer", lambda: _answer(hub, "True"))
    assert answered["status"]["earlier"] == 1
    assert float(answered["status"]["gain"]) > 0.1
    assert answered["status"]["changes"] == ["one more cpu node in pool local/cpu"]
    hub.kubectl("apply", "-f", "-", stdin=_scenario({"loseCluster": {"cluster": "local"}}))
    lost = wait_for("another answer", lambda: _answer(hub, "True", unplaced=2))
    assert {one["fate"] for one in lost["status"]["jobs"]} == {"Unplaced"}
    hub.kubectl("apply", "-f", "-", stdin=_scenario({"loseCluster": {"cluster": "elsewhere"}}))
    bad = wait_for("a refusal", lambda: _answer(hub, "False"))
    assert condition(bad, "Answered") == ("False", "CannotBeMade")
    assert "makespanSeconds" not in bad["status"]
    hub.kubectl("delete", "placementscenarios", "--all")


def test_a_record_of_the_operator_is_replayed_byte_for_byte(
    hub: Cluster, operator: Operator, namespace: Namespace
) -> None:
    space = namespace()
    hub.kubectl("apply", "-f", "-", stdin=[job(space, f"j{n}", option(devices=3)) for n in range(4)])
    wait_for("planned", lambda: _waiting(hub, space))
    newest = wait_for("a record", lambda: max((operator.directory / "records").glob("*.gz"), default=None))
    command = [sys.executable, "-m", "polyhull", "replay", str(newest)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "the same, byte for byte" in done.stderr


def _polyhull(hub: Cluster, *arguments: str, fails: bool = False) -> str:
    """What the command says, asked as its users ask it."""
    command = [sys.executable, "-m", "polyhull", *arguments, "--kubeconfig", str(hub.kubeconfig_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def _waiting(hub: Cluster, space: str) -> str:
    """The job that waits for its turn while another runs."""
    why = {body["metadata"]["name"]: condition(body, "Placed") for body in listed(hub, "trainingjobs", space)}
    if ("True", "Bound") not in why.values():
        return ""
    return next((name for name, told in why.items() if told == ("False", "WaitingForTurn")), "")


def _helps(hub: Cluster, space: str, name: str) -> Any:
    found = get(hub, "trainingjob", space, name) or {}
    return ((found.get("status") or {}).get("explanation") or {}).get("helps")


def _assigned(hub: Cluster, space: str, name: str) -> str:
    found = get(hub, "trainingjob", space, name) or {}
    return str(((found.get("status") or {}).get("assignment") or {}).get("option"))


def _scenario(*changes: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "PlacementScenario",
        "metadata": {"name": "dream"},
        "spec": {"changes": list(changes)},
    }


def _answer(hub: Cluster, status: str, **fields: Any) -> dict[str, Any] | None:
    """The scenario once its present generation is answered so."""
    found: dict[str, Any] = hub.kubectl("get", "placementscenario", "dream")
    told = found.get("status") or {}
    answered = next((one for one in told.get("conditions") or () if one["type"] == "Answered"), {})
    now = answered.get("observedGeneration") == found["metadata"]["generation"]
    right = answered.get("status") == status and all(told.get(name) == value for name, value in fields.items())
    return found if now and right else None


def _mode(hub: Cluster, mode: str) -> None:
    policy = {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "PlacementPolicy",
        "metadata": {"name": "default"},
        "spec": {"mode": mode},
    }
    hub.kubectl("apply", "-f", "-", stdin=policy)


def _why(hub: Cluster, space: str, name: str) -> str:
    return condition(get(hub, "trainingjob", space, name), "Placed")[1]


def _in_order(hub: Cluster, space: str) -> tuple[str, ...]:
    """The two, the one that asks for approval first."""
    why = {name: _why(hub, space, name) for name in ("one", "two")}
    if sorted(why.values()) != ["WaitingForApproval", "WaitingForTurn"]:
        return ()
    return tuple(sorted(why, key=lambda name: why[name]))


def _plan_of(hub: Cluster, placed: int) -> dict[str, Any] | None:
    """The newest plan that offers something to approve, of that many jobs."""
    return max(_plans_of(hub, placed), key=lambda plan: str(plan["status"]["plannedTime"]), default=None)


def _plans_of(hub: Cluster, placed: int, but: Collection[str] = ()) -> list[dict[str, Any]]:
    """Plans that offer something to approve, of that many jobs, `but` for those named."""
    return [
        plan
        for plan in hub.kubectl("get", "placementplans")["items"]
        if plan["metadata"]["name"] not in but
        and (plan.get("status") or {}).get("placed") == placed
        and "polyhull.io/approves" in (plan["metadata"].get("annotations") or {})
    ]


def _approve(hub: Cluster, plan: dict[str, Any]) -> None:
    approval = {"spec": {"approval": {"planHash": plan["status"]["planHash"]}}}
    hub.client.patch(f"/apis/polyhull.io/v1alpha1/placementplans/{plan['metadata']['name']}", approval)
