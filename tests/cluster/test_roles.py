"""The installed chart's own accounts and rights, under the real operator: what it does, it may, and little else.

The chart is installed by Helm on a hub (replicas 0) and, in its member mode, on another cluster. `polyhull run` then
stands in for the Deployment's pod: with the Deployment's arguments and environment, and with tokens of the chart's
ServiceAccounts as its only credentials. The real authorizer and the chart's admission policies judge every request,
and both clusters' audit logs tell afterwards what was refused and which grants nobody used.
"""

import base64
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hack.ground.ground import Cluster, Ground
from hack.ground.truth import Truth, parse_table
from tests.cluster.operating import ROOT, Operator, condition, get, job, link, listed, option, path_of, site, wait_for
from tests.cluster.test_chart import CHART, SYSTEM, As, Helm, token_of

FLEET = """
clusters:
  - name: hub
    site: cloud
    audit: true
    pools:
      - {name: hub-cpu, count: 1, cpu: 16, memory: 32Gi}
      - {name: hub-gpu, count: 2, cpu: 16, memory: 64Gi, accelerator: amd.com/gpu, devices: 2,
         labels: {polyhull.io/accelerator: amd-mi300x}}
  - name: edge
    site: edge
    audit: true
    pools:
      - {name: edge-gpu, count: 2, cpu: 16, memory: 64Gi, accelerator: nvidia.com/gpu, devices: 2,
         labels: {polyhull.io/accelerator: nvidia-v100}}
"""
TRUTH = {
    "seed": 1,
    "jobs": [
        {"match": {"name": "endless-*"}, "seconds": {}},
        {"match": {"name": "*"}, "seconds": {"cpu": 0.5, "amd.com/gpu": 0.5, "nvidia.com/gpu": 0.5}},
    ],
    "transfers": {"default": "10G"},
}
MEMBER = "polyhull-member"
HUB_ACCOUNT = f"system:serviceaccount:{SYSTEM}:polyhull"
MEMBER_ACCOUNT = f"system:serviceaccount:{MEMBER}:polyhull-hub"
DEVICES = {"hub": "amd-mi300x", "edge": "nvidia-v100"}
"""Which accelerator sends a job where."""
SPACE = "team-roles"
Right = tuple[str, str]
"""(verb, `resource.group/subresource`)."""
READS = ("get", "list", "watch")

EXPORTS: dict[Right, str] = {
    (verb, "serviceexports.multicluster.x-k8s.io"): "for jobs over several clusters; none of these serves the API"
    for verb in ("create", "patch")
}
# Granted, and rightly not used by what happens below.
HUB_UNUSED: dict[Right, str] = {
    **EXPORTS,
    ("delete", "placementplans.polyhull.io"): "only the last 20 plans are kept, and there are fewer",
    ("patch", "events.events.k8s.io"): "an Event that happens again within minutes becomes a series",
}
MEMBER_UNUSED: dict[Right, str] = EXPORTS


# -- the ground, the chart, the operator


@pytest.fixture(scope="module")
def fleet(binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Control planes of its own: the chart's CRDs, roles and admission policies belong to whole clusters."""
    directory = tmp_path_factory.mktemp("roles")
    (directory / "fleet.yaml").write_text(FLEET)
    with Ground.start(directory / "fleet.yaml", directory, binaries) as started:
        clients = {name: cluster.client for name, cluster in started.clusters.items()}
        truth = Truth(parse_table(TRUTH), clients).start()
        yield started
        truth.stop()


@pytest.fixture(scope="module")
def hub(fleet: Ground) -> Cluster:
    return fleet.clusters["hub"]


@pytest.fixture(scope="module")
def charts(fleet: Ground, helm: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Helm]:
    """Helm on the hub with the operator's release, and on the edge with the member's."""
    scratch = tmp_path_factory.mktemp("helm")
    on = {name: Helm(helm, cluster, scratch) for name, cluster in fleet.clusters.items()}
    on["hub"].install(
        "polyhull", str(CHART), "-n", SYSTEM, "--create-namespace",
        "--set", "replicaCount=0", "--set", "transfer.image=mirror.test/rclone:1",
    )  # fmt: skip
    switches = ("member.enabled=true", "operator.enabled=false", "crds.enabled=false")
    chosen = [part for switch in switches for part in ("--set", switch)]
    on["edge"]("install", "hub", str(CHART), "-n", MEMBER, "--create-namespace", *chosen)
    # Authorizer and discovery learn of what is new a moment after Helm: not the chart's fault.
    fleet.clusters["hub"].await_crds(ROOT / "crds")
    wait_for(
        "the hub's account may act", partial(may, fleet.clusters["hub"], HUB_ACCOUNT, "polyhull.io", "trainingjobs")
    )
    wait_for("the member's account may act", partial(may, fleet.clusters["edge"], MEMBER_ACCOUNT, "batch", "jobs"))
    return on


def may(cluster: Cluster, account: str, group: str, plural: str) -> bool:
    """Whether the authorizer lets the account patch such objects."""
    path, right = "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"verb": "patch", "namespace": SPACE}
    spec = {"user": account, "resourceAttributes": {**right, "group": group, "resource": plural}}
    return bool(cluster.client.post(path, {"spec": spec})["status"]["allowed"])


class Deployed(Operator):
    """`polyhull run` as the chart's Deployment would start it, but on this machine."""

    def start(self, **settings: str) -> None:
        (container,) = self.hub.kubectl("get", "deployment", "polyhull", "-n", SYSTEM)["spec"]["template"]["spec"][
            "containers"
        ]
        environment = {entry["name"]: entry.get("value", SYSTEM) for entry in container["env"]}  # fieldRef: namespace
        environment["POLYHULL_RECORDS"] = str(self.directory / "records")
        environment["POLYHULL_METRICS_PORT"] = "0"
        config = self.directory / "kubeconfig"
        config.write_text(kubeconfig(self.hub, token_of(self.hub, SYSTEM, "polyhull")))
        command = [sys.executable, "-m", "polyhull", *container["args"], "--kubeconfig", str(config)]
        self.log = self.directory / "operator.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env={**environment, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "operator")},
            )
        self.await_ready()


@contextmanager
def deployed(hub: Cluster, directory: Path) -> Iterator[Deployed]:
    operator = Deployed(hub, directory)
    try:
        operator.start()
        yield operator
    finally:
        operator.stop()
        print(operator.log.read_text()[-6000:])


@pytest.fixture(scope="module")
def operator(hub: Cluster, charts: dict[str, Helm], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with deployed(hub, tmp_path_factory.mktemp("operator")) as started:
        yield started


def kubeconfig(cluster: Cluster, token: str) -> str:
    authority = base64.b64encode(cluster.ca.encode()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": cluster.server, "certificate-authority-data": authority}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }
    return json.dumps(config)


# -- what is asked of it


def members(fleet: Ground) -> list[dict[str, Any]]:
    """Two sites, both directions between them, and both clusters with room for copies."""
    edge = fleet.clusters["edge"]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "edge", "namespace": SYSTEM},
        "stringData": {"kubeconfig": kubeconfig(edge, token_of(edge, MEMBER, "polyhull-hub"))},
    }
    storage = {"volume": {"storageClassName": "ground", "capacity": "1Ti"}}

    def cluster(name: str, place: str, **way: Any) -> dict[str, Any]:
        return ours("MemberCluster", name, {"siteRef": {"name": place}, "storage": storage, **way})

    places = [site("edge"), site("cloud"), link("edge", "cloud", "10G"), link("cloud", "edge", "10G")]
    local = cluster("hub", "cloud", local=True)
    far = cluster("edge", "edge", kubeconfigSecretRef={"name": "edge"})
    pool = {
        "cluster": "edge",
        "accelerator": "nvidia-v100",
        "nodeSelector": {"polyhull.io/accelerator": "nvidia-v100"},
        "devicesPerNode": 2,
    }
    question = {"changes": [{"setLink": {"from": "edge", "to": "cloud", "bandwidth": "500M"}}]}
    return [secret, *places, local, far, ours("ComputePool", "v100", pool), ours("PlacementScenario", "s", question)]


def ours(kind: str, name: str, spec: dict[str, Any], **metadata: str) -> dict[str, Any]:
    metadata = {"name": name, **metadata}
    return {"apiVersion": "polyhull.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def work(where: str, size: str = "short") -> list[dict[str, Any]]:
    """For one cluster: a gang, a job whose data comes over first, one that does not come to an end, and a service;
    with size `long` only a job whose data is still on its way when the test ends (it would keep the others' waiting).
    """
    device, source = DEVICES[where], {"hub": "edge", "edge": "cloud"}[where]

    def data(name: str, size: str) -> dict[str, Any]:
        replica = {"site": source, "url": f"s3://{source}/x", "secretName": "s3"}
        return ours("DataSet", name, {"size": size, "replicas": [replica]}, namespace=SPACE)

    def reads(name: str) -> list[dict[str, Any]]:
        return [{"name": "in", "dataSetRef": {"name": name}, "mountPath": "/data"}]

    variant = {
        "name": "small",
        "accelerator": device,
        "devicesPerReplica": 1,
        "rate": "100",
        "serviceMilliseconds": 10,
        "quality": "0.8",
    }
    chat = {
        "mode": "Online",
        "demand": [{"site": {"hub": "cloud", "edge": "edge"}[where], "requestsPerSecond": "5"}],
        "objective": {"latencyMilliseconds": 1000, "percentile": 95},
        "variants": [variant],
        "template": {"image": "simulated", "ports": [{"name": "http", "containerPort": 8000}]},
    }
    jobs = [
        job(SPACE, f"gang-{where}", option(device, replicas=2)),
        job(SPACE, f"data-{where}", option(device), data=reads(f"short-{where}")),
        job(SPACE, f"endless-{where}", option(device), quantity="1000"),
    ]
    if size == "long":
        return [
            data(f"long-{where}", "100G"),
            job(SPACE, f"late-{where}", option(device), data=reads(f"long-{where}")),
        ]
    return [data(f"short-{where}", "10M"), *jobs, ours("InferenceJob", f"chat-{where}", chat, namespace=SPACE)]


def holds(hub: Cluster, kind: str, namespace: str, name: str, mark: str) -> bool:
    """Whether the condition `mark` is true of the object."""
    return condition(get(hub, kind, namespace or "default", name), mark)[0] == "True"


CHILDREN = {
    "Job": "jobs", "Deployment": "deployments", "Service": "services", "PodGroup": "podgroups",
    "PersistentVolumeClaim": "pvc",
}  # fmt: skip


LEFT = (
    ("Job", "endless"),
    ("Job", "long"),
    ("Deployment", "chat"),
    ("Service", "chat"),
    ("PersistentVolumeClaim", "short"),
    ("PersistentVolumeClaim", "long"),
)
"""What of `work` is still there when all that ends has ended."""


def children(cluster: Cluster) -> set[str]:
    selector = "app.kubernetes.io/managed-by=polyhull"
    return {
        f"{kind} {one['metadata']['labels']['polyhull.io/name']}"
        for kind, plural in CHILDREN.items()
        for one in cluster.client.get(path_of(plural, SPACE), labelSelector=selector)["items"]
    }


def shows(cluster: Cluster, wanted: set[str]) -> bool:
    return children(cluster) == wanted


# -- tests, in this order: the last ones judge what the first ones caused


def test_the_first_job_needs_nothing_but_the_chart(hub: Cluster, operator: Deployed) -> None:
    """README's three commands: no Site, Link or MemberCluster; the cluster's own nodes are the fleet."""
    hub.kubectl("apply", "-f", str(ROOT / "examples" / "first-job" / "job.yaml"))
    wait_for("succeeded", partial(holds, hub, "trainingjob", "default", "first-job", "Succeeded"))
    told = (get(hub, "trainingjob", "default", "first-job") or {})["status"]["assignment"]
    assert (told["cluster"], told["option"]) == ("local", "cpu")
    wait_for("its child is gone", lambda: not listed(hub, "jobs", "default"))
    assert "first-job" in hub.kubectl("get", "trainingjobs", "-owide")


def test_gangs_copies_and_services_run_on_the_hub_and_on_the_member(
    fleet: Ground, hub: Cluster, operator: Deployed
) -> None:
    for cluster in fleet.clusters.values():
        cluster.create_namespace(SPACE, {"polyhull.io/accept": "true"})
    hub.kubectl("apply", "-f", "-", stdin=members(fleet))
    for name in ("hub", "edge"):
        wait_for(f"{name} is connected", partial(holds, hub, "membercluster", "", name, "Connected"))
    hub.kubectl("apply", "-f", "-", stdin=[*work("hub"), *work("edge")])
    for where in ("hub", "edge"):
        for kind, name, mark in (
            ("trainingjob", f"gang-{where}", "Succeeded"),
            ("trainingjob", f"data-{where}", "Succeeded"),
            ("trainingjob", f"endless-{where}", "Placed"),
            ("inferencejob", f"chat-{where}", "Ready"),
        ):
            wait_for(f"{name} is {mark}", partial(holds, hub, kind, SPACE, name, mark))
    hub.kubectl("apply", "-f", "-", stdin=[*work("hub", "long"), *work("edge", "long")])
    for where, cluster in fleet.clusters.items():
        left = {f"{kind} {of_what}-{where}" for kind, of_what in LEFT}
        wait_for(f"{where}: what ended is removed", partial(shows, cluster, left))


def test_copies_use_the_image_that_the_chart_names(fleet: Ground, operator: Deployed) -> None:
    for where, cluster in fleet.clusters.items():
        (copy,) = cluster.kubectl("get", "jobs", "-n", SPACE, "-l", f"polyhull.io/name=long-{where}")["items"]
        assert copy["spec"]["template"]["spec"]["containers"][0]["image"] == "mirror.test/rclone:1"


def test_no_step_failed(operator: Deployed) -> None:
    problems = [
        entry for entry in map(json.loads, operator.log.read_text().splitlines()) if "stopped at" in entry["message"]
    ]
    assert problems == []


def test_what_is_deleted_leaves_nothing(fleet: Ground, hub: Cluster, operator: Deployed) -> None:
    hub.kubectl("delete", "trainingjobs,inferencejobs,datasets", "--all", "-n", SPACE, "--timeout=60s")
    for cluster in fleet.clusters.values():
        wait_for("nothing is left", partial(shows, cluster, set()))
        assert listed(cluster, "pods", SPACE) == []


def test_an_apply_to_what_is_gone_is_refused_and_no_creation(hub: Cluster, operator: Deployed) -> None:
    account = As(hub, token_of(hub, SYSTEM, "polyhull"))
    gone = ours("TrainingJob", "gone", {}, namespace=SPACE, uid="11111111-1111-4111-8111-111111111111")
    del gone["spec"]
    said = account.refused("apply", "--server-side", "--field-manager=polyhull", "-f-", stdin=gone)
    assert "uid mismatch" in said


def test_nothing_was_refused(fleet: Ground, operator: Deployed) -> None:
    for name, account in (("hub", HUB_ACCOUNT), ("edge", MEMBER_ACCOUNT)):
        events = of(fleet.clusters[name], account)
        assert len(events) > 20
        refused = {right(event) for event in events if event["responseStatus"].get("code") in (401, 403)}
        assert refused == set(), name


@pytest.mark.parametrize(
    ("name", "account", "reasons"),
    [("hub", HUB_ACCOUNT, HUB_UNUSED), ("edge", MEMBER_ACCOUNT, MEMBER_UNUSED)],
    ids=["hub", "edge"],
)
def test_what_is_granted_is_used(
    fleet: Ground, operator: Deployed, name: str, account: str, reasons: dict[Right, str]
) -> None:
    given, spent = granted(fleet.clusters[name], account), used(fleet.clusters[name], account)
    for mark, rights in (("used", spent & given), ("granted, not used", given - spent)):
        for resource, verbs in itertools.groupby(sorted((what, verb) for verb, what in rights), lambda one: one[0]):
            print(f"{name}: {mark}: {resource}: {', '.join(verb for _, verb in verbs)}")
    assert given - spent - reasons.keys() == set(), "granted for nothing: take it out of the chart, or say why here"
    assert reasons.keys() - given == set(), "not granted any more: take it out of the list"


def of(cluster: Cluster, account: str) -> list[dict[str, Any]]:
    """Audit events of one account's requests for objects."""
    return [
        event
        for event in cluster.audit_events()
        if event["user"]["username"] == account and event.get("objectRef") and event.get("responseStatus")
    ]


def right(event: dict[str, Any]) -> Right:
    reference = event["objectRef"]
    return event["verb"], spelt(
        reference["resource"], reference.get("apiGroup", ""), reference.get("subresource", "")
    )


def spelt(resource: str, group: str, subresource: str = "") -> str:
    return ".".join(filter(None, (resource, group))) + (f"/{subresource}" if subresource else "")


def used(cluster: Cluster, account: str) -> set[Right]:
    """A server-side apply that made something asked for `create` as well: the log has only its `patch`."""
    found = set()
    for event in of(cluster, account):
        verb, what = right(event)
        found.add((verb, what))
        if verb == "patch" and event["responseStatus"].get("code") == 201:
            found.add(("create", what))
    return found


def granted(cluster: Cluster, account: str) -> set[Right]:
    """What all roles bound to the account say, by verb and resource."""
    _, _, namespace, name = account.split(":")
    found: set[Right] = set()
    for kind in ("clusterrolebindings", "rolebindings"):
        for binding in cluster.kubectl("get", kind, "-A")["items"]:
            subjects = binding.get("subjects") or ()
            if not any((one.get("namespace"), one["name"]) == (namespace, name) for one in subjects):
                continue
            role = binding["roleRef"]
            where = ["-n", binding["metadata"]["namespace"]] if role["kind"] == "Role" else []
            for rule in cluster.kubectl("get", role["kind"], role["name"], *where)["rules"]:
                for group, what, verb in itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"]):
                    resource, _, subresource = what.partition("/")
                    found.add((verb, spelt(resource, group, subresource)))
    return found


def test_uninstalling_leaves_what_runs_alone_and_lets_go_of_what_is_kept(
    hub: Cluster, charts: dict[str, Helm], operator: Deployed
) -> None:
    def leave() -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "polyhull", "uninstall", "--kubeconfig", str(hub.kubeconfig_path)]
        path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "operator")}
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=path, check=False)

    hub.kubectl("apply", "-f", "-", stdin=job(SPACE, "endless-kept", option(DEVICES["hub"])))
    wait_for("placed", partial(holds, hub, "trainingjob", SPACE, "endless-kept", "Placed"))
    early = leave()
    assert (early.returncode, "still leads" in early.stderr) == (2, True), early.stderr
    operator.stop()
    charts["hub"]("uninstall", "polyhull", "-n", SYSTEM)
    late = leave()
    assert "taken off 1 objects" in late.stdout, late.stderr
    hub.kubectl("delete", "trainingjob", "endless-kept", "-n", SPACE, "--timeout=10s")
    (pod,) = listed(hub, "pods", SPACE)
    assert (pod["status"]["phase"], children(hub)) == ("Running", {"Job endless-kept"})
