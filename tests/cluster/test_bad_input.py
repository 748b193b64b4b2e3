"""Objects that make no sense: each is refused at once, by field and with a way out, and everybody else goes on.

What the schema can tell is an error of `kubectl apply`; the rest is a condition that the operator sets.
"""

import copy
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hack.ground.client import ApiError
from hack.ground.ground import Cluster, Ground
from hack.ground.processes import reserve_ports
from tests.cluster.operating import (
    GROUP,
    LIMIT_SECONDS,
    Operator,
    condition,
    finish_pods,
    get,
    install_crds,
    job,
    listed,
    option,
    running,
    site,
    wait_for,
)

SPACE = "bad-input"
TEMPO = "Tempo(probe=0.5)"
Raw = dict[str, Any]


def _object(kind: str, name: str, **spec: Any) -> Raw:
    namespaced = kind in ("TrainingJob", "InferenceJob", "DataSet")
    metadata = {"name": name, **({"namespace": SPACE} if namespaced else {})}
    return {"apiVersion": "polyhull.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def _train(name: str, *options: Raw, **spec: Any) -> Raw:
    return job(SPACE, name, *options, **spec)


def _online(name: str, **changes: Any) -> Raw:
    variant = {
        "name": "v", "accelerator": "cpu", "devicesPerReplica": 1, "rate": "10", "serviceMilliseconds": 100,
        "quality": "0.8",
    }  # fmt: skip
    variant |= changes.pop("variant", {})
    spec = {
        "mode": "Online",
        "demand": [{"site": "bad-home", "requestsPerSecond": "1"}],
        "objective": {"latencyMilliseconds": 1000},
        "variants": [variant],
        "template": {"image": "simulated"},
    }
    return _object("InferenceJob", name, **{**spec, **changes})


def _reads(*names: str, **changes: Any) -> list[Raw]:
    return [{"name": name, "dataSetRef": {"name": name}, **changes} for name in names]


def _data(name: str, *sites: str, **spec: Any) -> Raw:
    replicas = [{"site": at, "url": f"s3://{at}/{name}", "secretName": "s3"} for at in sites]
    return _object("DataSet", name, **{"size": "1Gi", "replicas": replicas, **spec})


def _link(name: str, source: str, target: str, **spec: Any) -> Raw:
    return _object("Link", name, **{"from": source, "to": target, "bandwidth": "1G", **spec})


def _member(name: str, **spec: Any) -> Raw:
    wanted = {"siteRef": {"name": "bad-home"}, "kubeconfigSecretRef": {"name": name}}
    return _object("MemberCluster", name, **{**wanted, **spec})


def _collection(raw: Raw) -> str:
    namespace = raw["metadata"].get("namespace")
    plural = raw["kind"].lower().replace("policy", "policie") + "s"
    return f"{GROUP}/namespaces/{namespace}/{plural}" if namespace else f"{GROUP}/{plural}"


def _patched(raw: Raw, path: str, value: Any) -> Raw:
    """A copy with one field (dots, numbers for list places) set."""
    out = copy.deepcopy(raw)
    at: Any = out
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        at = at[part] if isinstance(part, int) else at.setdefault(part, {})
    at[last] = value
    return out


TRAIN, ONLINE = _train("x"), _online("x")
DATA, LINK = _data("x", "bad-home"), _link("x", "bad-home", "bad-far")
POOL = _object("ComputePool", "x", cluster="local", accelerator="cpu")
KIND = _object("AcceleratorType", "x", **{"class": "GPU", "resourceName": "example.com/gpu"})
POLICY = _object("PlacementPolicy", "default")

ADMISSION: list[tuple[Raw, str, Any]] = [
    (TRAIN, "spec.work.quantity", "-1"),
    (TRAIN, "spec.work.quantity", "0"),
    (TRAIN, "spec.work.quantity", 5),
    (TRAIN, "spec.work.quantity", "1" * 40),
    (TRAIN, "spec.options.0.replicas", 0),
    (TRAIN, "spec.options.0.replicas", -1),
    (TRAIN, "spec.options.0.replicas", 10**9),
    (TRAIN, "spec.options.0.devicesPerReplica", 0),
    (TRAIN, "spec.options.0.devicesPerReplica", "two"),
    (TRAIN, "spec.options.0.rate", "0"),
    (TRAIN, "spec.options.0.rate", "1e9"),
    (TRAIN, "spec.options.0.accelerator", "No Such"),
    (TRAIN, "spec.options", []),
    (TRAIN, "spec.priority", 10**12),
    (TRAIN, "spec.retryLimit", -1),
    (TRAIN, "spec.deadline", "tomorrow"),
    (TRAIN, "spec.suspend", "yes"),
    (TRAIN, "spec.data", _reads("Not A Name")),
    (TRAIN, "spec.data", [{"name": "a"}]),
    (TRAIN, "spec.template.image", 7),
    (TRAIN, "spec.template.resources", {"requests": {"memory": "lots"}}),
    (ONLINE, "spec.mode", "Sometimes"),
    (ONLINE, "spec.demand", []),
    (ONLINE, "spec.demand.0.requestsPerSecond", "-4"),
    (ONLINE, "spec.objective.latencyMilliseconds", 0),
    (ONLINE, "spec.objective.percentile", 101),
    (ONLINE, "spec.variants.0.rate", "0"),
    (ONLINE, "spec.variants.0.serviceMilliseconds", -1),
    (ONLINE, "spec.minReplicas", 0),
    (ONLINE, "spec.replicas", -1),
    (ONLINE, "spec.scaling", "Auto"),
    (DATA, "spec.size", "-1Gi"),
    (DATA, "spec.size", "big"),
    (DATA, "spec.replicas.0.url", "not a url"),
    (DATA, "spec.maxCopies", -1),
    (LINK, "spec.bandwidth", "-1G"),
    (LINK, "spec.bandwidth", True),
    (LINK, "spec.from", 3),
    (LINK, "spec.latencyMilliseconds", "-5"),
    (LINK, "spec.pricePerGigabyte", "free"),
    (LINK, "spec.medium", "Pigeon"),
    (site("x"), "spec.tier", "Moon"),
    (_member("x"), "spec.siteRef", "bad-home"),
    (_member("x"), "spec.local", True),
    (_member("x"), "spec.storage", {}),
    (POOL, "spec.devicesPerNode", -1),
    (POOL, "spec.pricePerDeviceHour", "-1"),
    (POOL, "spec.autoscaling", {"maxNodes": 0}),
    (KIND, "spec.class", "Abacus"),
    (POLICY, "spec.mode", "Guess"),
    (POLICY, "spec.objective", []),
    (POLICY, "spec.bandwidthMargin", "1.5"),
    (POLICY, "spec.startupSeconds", -1),
    (POLICY, "spec.solver", {"exactJobs": -1}),
]
"""(a good object, field, a value it may not have): what admission refuses."""

CONDITIONS: list[tuple[Raw, str, str, tuple[str, ...]]] = [
    (
        _train("no-kind", option("nvidia-v10")),
        "Accepted",
        "InvalidReference",
        ("spec.options[0].accelerator", "nvidia-v100"),
    ),
    (
        _train("no-data", data=_reads("nowhere")),
        "Accepted",
        "InvalidReference",
        ("spec.data[0].dataSetRef.name", "nowhere"),
    ),
    (_train("other-space", data=_reads("elsewhere")), "Accepted", "InvalidReference", (SPACE, "elsewhere")),
    (_train("too-wide", option(devices=500)), "Planned", "PoolTooSmall", ("500", "ask for less")),
    (_train("too-many", option(replicas=900)), "Planned", "PoolTooSmall", ("900", "fewer replicas")),
    (_train("no-pool", option("nvidia-h100")), "Planned", "NoPool", ("nvidia-h100", "add an option")),
    (
        _train("no-site", placement={"sites": {"matchLabels": {"moon": "yes"}}}),
        "Planned",
        "SiteSelector",
        ("placement.sites",),
    ),
    (_train("secret", placement={"confidential": "Required"}), "Planned", "Confidential", ("confidential",)),
    (
        _train("for-ever", option(rate="0.000001"), quantity="1000000000"),
        "Accepted",
        "InvalidSpec",
        ("spec.options[0].rate",),
    ),
    (_train("no-rate", {**option(), "rate": None}), "Planned", "NoRate", ("rate",)),
    (
        _train("stream", data=_reads("good", access="Stream", mountPath="/data")),
        "Accepted",
        "NotSupported",
        ("spec.data[0].mountPath", "Stage"),
    ),
    (_train("chunks", data=_reads("good", chunks=4)), "Accepted", "InvalidSpec", ("spec.data[0].chunks",)),
    (
        _train("split", placement={"crossSite": {"mode": "DataParallel", "model": {"gradientBytes": "1k"}}}),
        "Accepted",
        "InvalidSpec",
        ("spec.placement.crossSite", "more replicas"),
    ),
    (
        _train("writes", output={"size": "1Gi", "dataSetRef": {"name": "nowhere"}}),
        "Accepted",
        "InvalidReference",
        ("spec.output.dataSetRef.name", "nowhere"),
    ),
    (
        _train("saves", checkpoint={"size": "1Gi", "intervalSeconds": 60, "mountPath": "/c"}),
        "Planned",
        "NeedsVolumeStorage",
        ("mountPath", "storage.volume"),
    ),
    (_train("urgent", priority=99), "Accepted", "PriorityOutOfRange", ("spec.priority", "99", "0 to 10")),
    (
        _train(
            "limits",
            template={
                "image": "simulated",
                "resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}},
            },
        ),
        "Accepted",
        "InvalidSpec",
        ("limits.memory",),
    ),
    (
        _online("no-origin", demand=[{"site": "moon", "requestsPerSecond": "1"}]),
        "Accepted",
        "InvalidReference",
        ("spec.demand[0].site", "moon"),
    ),
    (
        _online("no-model", variant={"model": {"dataSetRef": {"name": "nowhere"}}}),
        "Accepted",
        "InvalidReference",
        ("model.dataSetRef.name",),
    ),
    (_online("slow", variant={"serviceMilliseconds": 2000}), "Accepted", "InvalidSpec", ("serviceMilliseconds",)),
    (_online("no-device", variant={"accelerator": "nvidia-h100"}), "Ready", "NoPool", ("nvidia-h100",)),
    (_online("too-big", variant={"devicesPerReplica": 500}), "Ready", "PoolTooSmall", ("500",)),
    (_data("no-home", "moon"), "Accepted", "InvalidReference", ("spec.replicas[0].site", "moon")),
    (_data("no-way", "bad-far"), "Accepted", "NoReachableReplica", ("spec.replicas", "Link")),
    (
        _data("abroad", "bad-home", residency={"sites": {"matchLabels": {"country": "cn"}}}),
        "Accepted",
        "Conflict",
        ("residency",),
    ),
    (_data("empty", "bad-home", size="0"), "Accepted", "InvalidSpec", ("spec.size",)),
    (_link("bad-nowhere", "bad-home", "moon"), "Accepted", "InvalidReference", ("spec.to", "moon")),
    (_link("bad-zero", "bad-home", "bad-third", bandwidth="0"), "Accepted", "InvalidSpec", ("spec.bandwidth",)),
    (
        _link("bad-second", "bad-third", "bad-home", bandwidth="2G"),
        "Accepted",
        "Conflict",
        ("bad-first", "delete one"),
    ),
    (_member("bad-site", siteRef={"name": "moon"}), "Accepted", "InvalidReference", ("spec.siteRef.name", "moon")),
    (
        _member("bad-profile")
        | {"spec": {"siteRef": {"name": "bad-home"}, "clusterProfileRef": {"name": "p", "namespace": "n"}}},
        "Accepted",
        "NotSupported",
        ("spec.clusterProfileRef",),
    ),
    (_member("bad-missing"), "Connected", "CredentialsMissing", ("bad-missing",)),
    (_member("bad-broken"), "Connected", "InvalidCredentials", ("exec",)),
    (_member("bad-deaf"), "Connected", "Unreachable", ("127.0.0.1",)),
    (
        _object("ComputePool", "bad-pool", cluster="moon", accelerator="cpu"),
        "Accepted",
        "InvalidReference",
        ("spec.cluster", "moon"),
    ),
    (
        _object("ComputePool", "bad-device", cluster="bad-hub", accelerator="abacus"),
        "Accepted",
        "InvalidReference",
        ("spec.accelerator",),
    ),
    (
        _object(
            "PlacementPolicy",
            "bad-overlap",
            namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": SPACE}},
        ),
        "Accepted",
        "PolicyOverlap",
        ("bad-rules", "narrow"),
    ),
    (
        _object(
            "PlacementPolicy",
            "bad-limits",
            namespaceSelector={"matchLabels": {"a": "b"}},
            deviceLimits=[{"accelerator": "nvidia-h1000", "devices": 1}],
        ),
        "Accepted",
        "InvalidReference",
        ("spec.deviceLimits[0].accelerator", "nvidia-h100"),
    ),
    (
        _object("AcceleratorType", "bad-dra", **{"class": "GPU", "deviceClassName": "gpu.example.com"}),
        "Accepted",
        "NotSupported",
        ("spec.deviceClassName",),
    ),
    (
        _object("PlacementScenario", "bad-dream", changes=[{"loseCluster": {"cluster": "bad-nowhere"}}]),
        "Answered",
        "CannotBeMade",
        ("spec.changes[0].loseCluster.cluster", "bad-nowhere"),
    ),
]
"""(object, condition, reason, what its message must name)."""


def _fleet() -> list[Raw]:
    """What the bad ones are bad beside."""
    rules = _object(
        "PlacementPolicy",
        "bad-rules",
        namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": SPACE}},
        priorityRange={"min": 0, "max": 10, "default": 0},
    )
    hub = _object("MemberCluster", "bad-hub", siteRef={"name": "bad-home"}, local=True)
    return [
        site("bad-home"), site("bad-far"), site("bad-third"), hub, _link("bad-first", "bad-third", "bad-home"), rules,
        _data("good", "bad-home"),
    ]  # fmt: skip


def _secrets(deaf_port: int) -> list[Raw]:
    deaf = (
        "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], "
        "users: [{name: u, user: {token: t}}], "
        f"clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{deaf_port}'}}}}]}}"
    )
    broken = deaf.replace("token: t", "exec: {command: sh}")
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": "polyhull-system"},
            "stringData": {"kubeconfig": text},
        }
        for name, text in (("bad-deaf", deaf), ("bad-broken", broken))
    ]


@pytest.fixture(scope="module")
def hub(ground: Ground) -> Iterator[Cluster]:
    cluster = ground.clusters["hub"]
    install_crds(cluster)
    cluster.kubectl("create", "namespace", "polyhull-system", check=False)
    for name in (SPACE, "bad-elsewhere"):
        cluster.kubectl("create", "namespace", name, check=False)
    yield cluster
    cluster.kubectl("delete", "trainingjobs,inferencejobs,datasets", "--all", "-n", SPACE, "--wait=false")
    for kind in {raw["kind"] for raw, *_ in CONDITIONS} | {"MemberCluster", "Site"}:
        if kind not in ("TrainingJob", "InferenceJob", "DataSet"):
            names = [raw["metadata"]["name"] for raw in cluster.kubectl("get", kind)["items"]]
            if mine := [name for name in names if name.startswith("bad-")]:
                cluster.kubectl("delete", kind, *mine, "--wait=false")
    cluster.kubectl("delete", "secret", "bad-deaf", "bad-broken", "-n", "polyhull-system", "--ignore-not-found")


@pytest.fixture(scope="module")
def operator(hub: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    (deaf,) = reserve_ports(1)  # bound by us, so that nobody listens there
    hub.kubectl("apply", "-f", "-", stdin=[*_fleet(), *_secrets(deaf.getsockname()[1])])
    with deaf, running(hub, tmp_path_factory.mktemp("bad"), tempo=TEMPO) as started:
        yield started


def test_what_the_schema_forbids_is_an_error_that_names_the_field(hub: Cluster) -> None:
    silent = []
    for raw, path, value in ADMISSION:
        try:
            hub.client.post(f"{_collection(raw)}?dryRun=All", _patched(raw, path, value))
            silent.append(f"{raw['kind']} {path}={value!r} is let in")
        except ApiError as error:
            last = [part for part in path.split(".") if not part.isdigit()][-1]
            if last not in str(error):
                silent.append(f"{raw['kind']} {path}={value!r}: {error}")
    assert not silent, "\n".join(silent)


def test_what_only_the_operator_can_tell_is_a_condition_and_the_others_go_on(
    hub: Cluster, operator: Operator
) -> None:
    elsewhere = _patched(_data("elsewhere", "bad-home"), "metadata.namespace", "bad-elsewhere")
    good = [_train(f"fine-{k}") for k in range(3)]
    hub.kubectl("apply", "-f", "-", stdin=[elsewhere, *(raw for raw, *_ in CONDITIONS), *good])
    limit = time.monotonic() + LIMIT_SECONDS
    while (missing := _unsaid(hub)) and time.monotonic() < limit:
        time.sleep(0.2)
    assert not missing, "\n".join(missing)

    def ended() -> bool:
        finish_pods(hub, SPACE)
        found = [condition(get(hub, "trainingjob", SPACE, raw["metadata"]["name"]), "Succeeded") for raw in good]
        return found == [("True", "Completed")] * len(good)

    wait_for("the good ones ran to their end", ended)
    assert operator.ready()
    assert "Traceback" not in operator.log.read_text()


def _unsaid(hub: Cluster) -> list[str]:
    kinds = sorted({raw["kind"] for raw, *_ in CONDITIONS})
    found = {}
    for kind in kinds:
        for body in listed(hub, kind, SPACE):
            found[kind, body["metadata"]["name"]] = body
    out = []
    for raw, kind, reason, words in CONDITIONS:
        body = found.get((raw["kind"], raw["metadata"]["name"]))
        told = condition(body, kind)
        entries = ((body or {}).get("status") or {}).get("conditions") or ()
        message = next((entry["message"] for entry in entries if entry["type"] == kind), "")
        if told != ("False", reason) or not all(word in message for word in words):
            out.append(f"{raw['kind']} {raw['metadata']['name']}: {kind} {told} {message!r}, not {reason} {words}")
    return out
