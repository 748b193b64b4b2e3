"""The CRDs on a real API server: established, what the product shows is taken, what is wrong is refused."""

import json
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hack.ground.client import ApiError, Client
from hack.ground.ground import Ground
from polyhull.api.kinds import BY_NAME, KINDS
from tests.unit.api.samples import Mutation, full_objects, mutations, product_objects, replaced

CRDS = Path(__file__).parents[2] / "crds"
STRICTLY = "dryRun=All&fieldValidation=Strict"
EXTENSIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
Raw = dict[str, Any]
Namespace = Callable[[], str]


@pytest.fixture(scope="module")
def hub(ground: Ground) -> Client:
    """The hub's client, with our CRDs installed and served."""
    cluster = ground.clusters["hub"]
    cluster.install_crds(CRDS)
    return cluster.client


def test_the_server_has_nothing_to_say_against_names_and_schemas(hub: Client) -> None:
    for kind in KINDS:
        conditions = hub.get(f"{EXTENSIONS}/{kind.plural}.polyhull.io")["status"]["conditions"]
        state = {condition["type"]: condition["status"] for condition in conditions}
        assert (state["Established"], state["NamesAccepted"]) == ("True", "True"), kind
        assert state.get("NonStructuralSchema", "False") == "False", kind


def _path(raw: Raw, namespace: str = "default") -> str:
    kind = BY_NAME[raw["kind"]]
    scope = f"namespaces/{namespace}/" if kind.namespaced else ""
    return f"/apis/polyhull.io/v1alpha1/{scope}{kind.plural}"


def _try(client: Client, raw: Raw, namespace: str = "default") -> str:
    """The server's objection to a dry-run create; empty when it has none."""
    try:
        client.post(f"{_path(raw, namespace)}?{STRICTLY}", raw)
    except ApiError as error:
        if error.status not in (400, 422):
            raise
        return str(error)
    return ""


def test_all_kinds_are_served_with_our_category_and_without_colliding_short_names(hub: Client) -> None:
    served = [entry for entry in hub.get("/apis/polyhull.io/v1alpha1")["resources"] if "/" not in entry["name"]]
    assert {entry["kind"] for entry in served} == set(BY_NAME)
    assert all(entry["categories"] == ["polyhull"] for entry in served)
    short = [name for entry in served for name in entry["shortNames"]]
    builtin = {
        name
        for path in ("/api/v1", "/apis/apps/v1", "/apis/batch/v1", "/apis/policy/v1", "/apis/storage.k8s.io/v1")
        for entry in hub.get(path)["resources"]
        for name in entry.get("shortNames", [])
    }
    assert len(short) == len(set(short)) == len(BY_NAME)
    assert not builtin & set(short)


@pytest.mark.parametrize(
    "raw", [*product_objects(), *full_objects()], ids=lambda raw: f"{raw['kind']}-{raw['metadata']['name']}"
)
def test_every_sample_is_taken(hub: Client, raw: Raw) -> None:
    assert _try(hub, raw) == ""


def test_defaults_are_written_out(hub: Client) -> None:
    bare = next(raw for raw in full_objects() if raw["metadata"]["name"] == "probes")
    spec = hub.post(f"{_path(bare)}?dryRun=All", bare)["spec"]
    assert spec["managedBy"] == "polyhull.io/operator"
    assert spec["suspend"] is False
    assert spec["options"][0]["replicas"] == 1
    assert "priority" not in spec


def test_every_wrong_value_is_refused_at_admission_too(hub: Client) -> None:
    """What the models refuse, the API server refuses: the two are generated from one source.

    An option's template has the schema of the job's, so one of the two is enough here.
    """
    wrong = [mutation for mutation in mutations() if "spec.options[0].template." not in mutation.field]

    def taken(some: list[Mutation]) -> list[str]:
        answers = hub.statuses((f"{_path(one.raw)}?{STRICTLY}", one.raw) for one in some)
        return [str(one) for one, (status, _) in zip(some, answers, strict=True) if status not in (400, 422)]

    with ThreadPoolExecutor(4) as pool:
        let_through = [text for texts in pool.map(taken, [wrong[k::4] for k in range(4)]) for text in texts]
    assert not let_through
    assert len(wrong) > 1000


def _sample(kind: str, name: str, samples: list[Raw] | None = None) -> Raw:
    chosen = samples if samples is not None else full_objects()
    return next(raw for raw in chosen if raw["kind"] == kind and raw["metadata"]["name"] == name)


@pytest.fixture
def home(hub: Client, namespace: Namespace) -> str:
    return namespace()


TRAINING_CHANGES: dict[str, Any] = {
    "managedBy": "somebody.example/else",
    "retryLimit": 4,
    "work": {"quantity": "1", "unit": "Steps"},
    "options": [{"name": "other", "accelerator": "cpu", "devicesPerReplica": 1}],
    "data": None,
    "output": None,
    "checkpoint": {"size": "1Gi"},
    "placement": None,
    "template": {"image": "registry.example/other:1"},
}


def test_a_training_job_is_immutable_except_suspend_priority_and_deadline(hub: Client, home: str) -> None:
    raw = _sample("TrainingJob", "full")
    path = f"{_path(raw, home)}/full"
    hub.post(_path(raw, home), raw)
    for name, value in TRAINING_CHANGES.items():
        with pytest.raises(ApiError, match=f"{name} is immutable") as refused:
            hub.patch(path, {"spec": {name: value}})
        assert refused.value.status == 422
    assert set(TRAINING_CHANGES) | {"suspend", "priority", "deadline"} == set(raw["spec"])
    changed = hub.patch(path, {"spec": {"suspend": True, "priority": 5, "deadline": "2027-01-01T00:00:00Z"}})
    assert changed["spec"]["priority"] == 5
    hub.patch(path, {"spec": {"deadline": None, "priority": None}})


def test_a_batch_is_immutable_and_mode_always_is(hub: Client, home: str) -> None:
    batch, online = _sample("InferenceJob", "batch"), _sample("InferenceJob", "online")
    hub.post(_path(batch, home), batch)
    hub.post(_path(online, home), online)
    for name, value in (("requests", "7"), ("minReplicas", 3), ("template", {"image": "other"}), ("retryLimit", 9)):
        with pytest.raises(ApiError, match=f"{name} is immutable"):
            hub.patch(f"{_path(batch, home)}/batch", {"spec": {name: value}})
    with pytest.raises(ApiError, match="mode is immutable"):
        hub.patch(f"{_path(online, home)}/online", {"spec": {"mode": "Batch", "requests": "1", "demand": None}})
    hub.patch(f"{_path(batch, home)}/batch", {"spec": {"suspend": False}})
    hub.patch(f"{_path(online, home)}/online", {"spec": {"minReplicas": 2}})


def test_the_scale_subresource_reads_and_writes_replicas(hub: Client, home: str) -> None:
    online = _sample("InferenceJob", "online")
    hub.post(_path(online, home), online)
    path = f"{_path(online, home)}/online"
    hub.patch(f"{path}/status", {"status": {"replicas": 3, "selector": "polyhull.io/name=online"}})
    scale = hub.get(f"{path}/scale")
    assert scale["status"] == {"replicas": 3, "selector": "polyhull.io/name=online"}
    hub.patch(f"{path}/scale", {"spec": {"replicas": 4}})
    assert hub.get(path)["spec"]["replicas"] == 4


UNIONS: list[tuple[str, str, tuple[int | str, ...], Any, str]] = [
    ("MemberCluster", "hub", ("spec", "local"), False, "exactly one of local"),
    ("MemberCluster", "hub", ("spec", "storage"), {}, "exactly one of volume, bucket"),
    ("Link", "latency", ("spec", "to"), "edge-a", "the same site"),
    ("TrainingJob", "probes", ("spec", "template"), {}, "set template.image"),
    ("TrainingJob", "probes", ("spec", "template", "readinessProbe"), {}, "exactly one of exec"),
    ("PlacementScenario", "more-h100", ("spec", "changes"), [{}], "exactly one of addDevices"),
    ("PlacementPolicy", "team-a", ("spec", "priorityRange"), {"min": 5, "max": 1, "default": 1}, "min <= default"),
    ("PlacementPolicy", "team-a", ("metadata", "name"), "default", "belong into another"),
    ("PlacementPolicy", "default", ("metadata", "name"), "other", "needs namespaceSelector"),
    ("InferenceJob", "online", ("spec", "mode"), "Batch", "mode Batch needs requests"),
    ("InferenceJob", "batch", ("spec", "mode"), "Online", "mode Online needs"),
    ("Site", "edge-a", ("metadata", "name"), "x" * 64, "at most 63"),
    *(
        ("TrainingJob", "full", ("spec", "placement", "crossSite"), told, message)
        for told, message in (
            ({"maxSites": 2}, "mode Never takes no other field"),
            ({"mode": "Pipeline", "model": {"layers": 2}}, "mode Pipeline needs model.layers"),
            ({"mode": "DataParallel", "model": {"layers": 2}}, "mode DataParallel needs model.gradientBytes"),
            ({"mode": "Pipeline", "synchronizeSteps": 2}, "how often gradients are exchanged"),
        )
    ),
]


@pytest.mark.parametrize(("kind", "name", "steps", "value", "message"), UNIONS)
def test_rules_across_fields_are_enforced_with_a_sentence(
    hub: Client, kind: str, name: str, steps: tuple[int | str, ...], value: Any, message: str
) -> None:
    assert message in _try(hub, replaced(_sample(kind, name), steps, value))


def test_names_in_lists_are_unique_and_lists_bounded(hub: Client) -> None:
    job = _sample("TrainingJob", "probes")
    one = job["spec"]["options"][0]
    assert "Duplicate value" in _try(hub, replaced(job, ("spec", "options"), [one, one]))
    many = [{**one, "name": f"option-{index}"} for index in range(17)]
    assert "must have at most 16 items" in _try(hub, replaced(job, ("spec", "options"), many))
    site = _sample("Site", "edge-a")
    labels = {f"label-{index}": "x" for index in range(33)}
    assert "must have at most 32" in _try(hub, replaced(site, ("spec", "labels"), labels))


FORBIDDEN: list[Raw] = [
    {"hostNetwork": True},
    {"hostPID": True},
    {"nodeName": "master"},
    {"nodeSelector": {"a": "b"}},
    {"tolerations": [{"operator": "Exists"}]},
    {"schedulerName": "other"},
    {"priorityClassName": "system-node-critical"},
    {"containers": [{"name": "a", "image": "b"}]},
    {"initContainers": []},
    {"affinity": {}},
    {"securityContext": {"privileged": True}},
    {"securityContext": {"runAsUser": 0}},
    {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}},
    {"securityContext": {"allowPrivilegeEscalation": True}},
    {"volumes": [{"name": "a", "mountPath": "/a", "hostPath": {"path": "/"}}]},
    {"volumes": [{"name": "a", "mountPath": "/a", "projected": {"sources": []}}]},
    {"volumes": [{"name": "a", "mountPath": "/a", "emptyDir": {"medium": "Memory"}}]},
    {"resources": {"requests": {"nvidia.com/gpu": "1"}}},
    {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "namespace": "b", "key": "c"}}}]},
    {"serviceAccountName": "other/account"},
    {"metadata": {"labels": {"a": "b"}}},
]


@pytest.mark.parametrize("template", FORBIDDEN, ids=lambda template: json.dumps(template)[:40])
def test_the_template_cannot_say_what_is_not_allowed(hub: Client, template: Raw) -> None:
    job = _sample("TrainingJob", "probes")
    wrong = replaced(job, ("spec", "template"), {"image": "registry.example/a:1", **template})
    assert _try(hub, wrong) != ""
    loose = f"{_path(job)}?dryRun=All&fieldValidation=Ignore"
    try:
        stored = hub.post(loose, wrong)["spec"]["template"]
    except ApiError as error:
        if error.status != 422:
            raise
        return
    # Unknown fields are pruned: nothing of them is ever stored.
    assert all(stored.get(name) != value for name, value in template.items())


def test_columns_say_where_since_when_until_when_and_why(hub: Client, home: str) -> None:
    job = replaced(_sample("TrainingJob", "probes"), ("metadata", "name"), f"seen-{secrets.token_hex(2)}")
    hub.post(_path(job, home), job)
    path = f"{_path(job, home)}/{job['metadata']['name']}"
    column = {"cluster": "edge", "site": "edge-a", "pool": "edge/cpu", "option": "one", "accelerator": "cpu"}
    status = {
        "assignment": {**column, "replicas": 1, "devicesPerReplica": 1, "order": 0},
        "estimatedCompletionTime": "2026-12-01T00:00:00Z",
        "startTime": "2026-11-01T00:00:00Z",
        "conditions": [
            {
                "type": "Placed",
                "status": "False",
                "reason": "QuotaExceeded",
                "message": "m",
                "lastTransitionTime": "2026-11-01T00:00:00Z",
            }
        ],
    }
    hub.patch(f"{path}/status", {"status": status})
    columns = {
        entry["name"]: entry["jsonPath"]
        for entry in hub.get(f"{EXTENSIONS}/trainingjobs.polyhull.io")["spec"]["versions"][0][
            "additionalPrinterColumns"
        ]
    }
    assert {"Pool", "Option", "Placed", "Why", "Since", "Until", "Age"} <= set(columns)
    assert hub.get(path)["status"]["assignment"]["pool"] == "edge/cpu"
