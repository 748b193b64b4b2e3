"""The chart with a real Helm on a real API server: it installs, upgrades and goes; its roles are enough and least.

A control plane of its own, because CRDs and admission policies belong to a whole cluster.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.ground.client import Client
from hack.ground.ground import Cluster, Ground, GroundError
from polyhull.api.kinds import KINDS
from polyhull.domain.decision import Transfer
from polyhull.domain.fleet import Storage, StorageKind
from polyhull.domain.workloads import Key
from polyhull.render import inference, naming, training, transfer
from polyhull.render.inference import Serving
from polyhull.render.naming import Owner
from polyhull.render.training import Gang
from tests.unit.render.render_values import CPU, DATA, GPU, OWNER, TEMPLATE

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "polyhull"
CRDS = ROOT / "crds"
SYSTEM = "polyhull-system"
ACCOUNT = f"system:serviceaccount:{SYSTEM}:polyhull"
FLEET = """
clusters:
  - name: solo
    site: here
    pools: [{name: cpu, count: 1, cpu: 8, memory: 32Gi}]
"""
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Helm:
    """Helm 4 against one cluster, with its caches in a scratch directory."""

    program: Path
    cluster: Cluster | None
    scratch: Path

    def __call__(self, *arguments: str, check: bool = True) -> str:
        target = [] if self.cluster is None else [f"--kubeconfig={self.cluster.kubeconfig_path}"]
        homes = {f"HELM_{part}_HOME": str(self.scratch / part.lower()) for part in ("CACHE", "CONFIG", "DATA")}
        done = subprocess.run(
            [str(self.program), *arguments, *target],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, **homes},
        )
        if check and done.returncode:
            raise AssertionError(f"helm {' '.join(arguments)}: {done.stderr}")
        return done.stdout if not done.returncode else done.stderr

    def install(self, release: str, *arguments: str) -> None:
        """As the chart's README says, its remedy included: an API server that does not serve new kinds yet."""
        told = self("install", release, *arguments, check=False)
        if "no matches for kind" in told:
            assert self.cluster is not None
            self.cluster.await_crds(CRDS)
            self("upgrade", "--install", release, *arguments)
        elif "STATUS: deployed" not in told:
            raise AssertionError(f"helm install {release}: {told}")


@dataclass(frozen=True)
class As:
    """kubectl with one ServiceAccount's own token: what RBAC and admission really answer."""

    cluster: Cluster
    token: str

    def apply(self, manifest: Manifest) -> Manifest:
        done = self._run("apply", "--server-side", "--field-manager=polyhull", "-f-", "-ojson", stdin=manifest)
        if done.returncode:
            raise GroundError(done.stderr)
        result: Manifest = json.loads(done.stdout)
        return result

    def refused(self, *arguments: str, stdin: object = None) -> str:
        """The error text of a command that must fail; empty when it succeeded."""
        done = self._run(*arguments, stdin=stdin)
        return done.stderr if done.returncode else ""

    def _run(self, *arguments: str, stdin: object = None) -> "subprocess.CompletedProcess[str]":
        where = [f"--server={self.cluster.server}", f"--certificate-authority={self.cluster.ca_path}"]
        return subprocess.run(
            [str(self.cluster.kubectl_path), "--kubeconfig=/dev/null", *where, f"--token={self.token}", *arguments],
            input=None if stdin is None else json.dumps(stdin),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def cluster(binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("chart-ground")
    (directory / "fleet.yaml").write_text(FLEET)
    with Ground.start(directory / "fleet.yaml", directory, binaries) as started:
        yield started.clusters["solo"]


@pytest.fixture(scope="module")
def offline(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(helm, None, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def installed(offline: Helm, cluster: Cluster) -> Helm:
    """The chart installed as anybody would."""
    live = replace(offline, cluster=cluster)
    live.install("polyhull", str(CHART), "-n", SYSTEM, "--create-namespace")
    cluster.await_crds(CRDS)
    return live


def token_of(cluster: Cluster, namespace: str, account: str) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = cluster.client.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", body)
    return str(answer["status"]["token"])


@pytest.fixture(scope="module")
def operator(installed: Helm, cluster: Cluster) -> As:
    """The operator's own token, once the guard that was installed with it is in force."""
    account = As(cluster, token_of(cluster, SYSTEM, "polyhull"))
    until(lambda: "protectedNamespaces" in account.refused(*CREATE, stdin=job("kube-system")))
    return account


@pytest.fixture
def team(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of its own for a test."""
    name = f"team-{naming.digest(request.node.name)}"
    cluster.create_namespace(name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def until(holds: Callable[[], bool], limit_seconds: float = 120.0) -> None:
    end = time.monotonic() + limit_seconds
    while not holds():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.2)


CREATE = ("create", "--dry-run=server", "-f-")


def job(namespace: str) -> Manifest:
    """A Job as the operator writes it; suspended, so that nothing but the operator touches it."""
    owner = replace(OWNER, namespace=namespace)
    return training.job(Gang(owner, "any", 1, CPU, {"image": "x:1"}, suspend=True))


def render_all(namespace: str) -> list[Manifest]:
    """One of everything that the operator writes into a cluster."""
    gang = Gang(replace(OWNER, namespace=namespace), "v100", 4, GPU, TEMPLATE, DATA, suspend=True, pod_groups=True)
    data_set, chat = Owner("DataSet", namespace, "images", "d-1"), Owner("InferenceJob", namespace, "chat", "i-1")
    planned = Transfer(
        Key(namespace, "images", "DataSet"), "edge", "s3://b/i", "here", "cluster:solo", "solo", ("a", "b"),
        10**12, 12.5e6, 0.0, 80_000.0,
    )  # fmt: skip
    volume = transfer.Copying(data_set, planned, Storage(StorageKind.VOLUME, "shared"), "edge-s3")
    bucket = Storage(StorageKind.BUCKET, url="s3://c/copies", secret_name="here-s3")
    in_bucket = replace(volume, storage=bucket, transfer=replace(planned, store="site:here"))
    claim = transfer.claim(volume)
    assert claim is not None
    serving = Serving(chat, "large", 0, GPU, TEMPLATE, DATA)
    jobs = [training.job(gang), *training.dependents(gang, "11111111-1111-4111-8111-111111111111")]
    copies = [claim, transfer.job(volume), transfer.job(in_bucket)]
    return [*jobs, *copies, inference.deployment(serving), inference.service(chat, [TEMPLATE])]


# -- without a cluster


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("replicaCount=2", "podDisruptionBudget.enabled=true", "networkPolicy.enabled=true"),
        ("metrics.serviceMonitor.enabled=true", "records.persistence.enabled=true", "crds.keep=false"),
        ("member.enabled=true", "operator.enabled=false", "crds.enabled=false", "member.namespaces={a,b}"),
        (
            "rbac.localNamespaces={a,b}",
            "rbac.kubeconfigSecrets={edge}",
            "rbac.aggregate=false",
            "guard.enabled=false",
        ),
        (
            "serviceAccount.create=false",
            "catalogue.enabled=false",
            "policy.spec.mode=Observe",
            "rbac.localWork=false",
        ),
        (
            "transfer.image=example.test/rclone:1",
            "image.registry=example.test",
            f"image.digest=sha256:{'0' * 64}",
            "extraArgs={--log-level=debug}",
        ),
    ],
    ids=lambda settings: ",".join(settings)[:40] or "defaults",
)
def test_it_lints_and_renders(offline: Helm, settings: tuple[str, ...]) -> None:
    chosen = [part for setting in settings for part in ("--set", setting)]
    offline("lint", str(CHART), "--strict", *chosen)
    documents = [one for one in yaml.safe_load_all(offline("template", "x", str(CHART), *chosen)) if one]
    names = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in documents]
    assert len(names) == len(set(names)) > 0


@pytest.mark.parametrize(
    "setting",
    ["replicas=2", "image.pullPolicy=Sometimes", "crds.keeep=true", "policy.spec.mode=Off", "metrics.port=80"],
)
def test_a_value_that_means_nothing_is_refused(offline: Helm, setting: str) -> None:
    assert "values don't meet the specifications" in offline(
        "template", "x", str(CHART), "--set", setting, check=False
    )


def test_no_role_has_a_wildcard_or_a_way_up(offline: Helm) -> None:
    rendered = offline("template", "x", str(CHART), "--set", "member.enabled=true")
    roles = [one for one in yaml.safe_load_all(rendered) if one and one["kind"] in ("Role", "ClusterRole")]
    rules = [(role, rule) for role in roles for rule in role["rules"]]
    assert len(rules) > 20
    for role, rule in rules:
        words = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert not words & {"*", "escalate", "bind", "impersonate", "pods/exec", "serviceaccounts/token"}
        assert "rbac.authorization.k8s.io" not in words
        assert "secrets" not in words or role["kind"] == "Role"


def test_the_pod_is_restricted(offline: Helm) -> None:
    rendered = offline("template", "x", str(CHART), "-s", "templates/deployment.yaml")
    spec = yaml.safe_load(rendered)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/tmp", "/var/lib/polyhull/records"}


# -- installed


def test_what_was_installed_is_there(installed: Helm, cluster: Cluster) -> None:
    crds = cluster.kubectl("get", "crds")["items"]
    ours = {crd["spec"]["names"]["kind"] for crd in crds if crd["spec"]["group"] == naming.GROUP}
    assert ours == {kind.name for kind in KINDS}
    assert cluster.kubectl("get", "placementpolicies")["items"][0]["metadata"]["name"] == "default"
    catalogue = ROOT / "operator" / "polyhull" / "api" / "catalogue"
    documents = [one for path in catalogue.glob("*.yaml") for one in yaml.safe_load_all(path.read_text()) if one]
    served = {one["metadata"]["name"]: one["spec"] for one in cluster.kubectl("get", "acceleratortypes")["items"]}
    assert set(served) == {one["metadata"]["name"] for one in documents}
    assert all(served[one["metadata"]["name"]]["class"] == one["spec"]["class"] for one in documents)
    until(lambda: cluster.kubectl("get", "deploy", "polyhull", "-n", SYSTEM)["status"].get("replicas") == 1)


def test_the_operator_may_write_all_it_renders_and_twice_is_once(operator: As, team: str) -> None:
    for manifest in render_all(team):
        first = operator.apply(manifest)
        # Controllers may have written status in between; what is ours must not change again.
        second, third = operator.apply(manifest), operator.apply(manifest)
        assert second["spec"] == third["spec"]
        assert third["metadata"].get("generation") == first["metadata"].get("generation")
        assert third["metadata"]["labels"] == first["metadata"]["labels"]


def test_applying_a_suspended_job_again_writes_nothing(operator: As, cluster: Cluster, team: str) -> None:
    name = operator.apply(job(team))["metadata"]["name"]
    path = f"/apis/batch/v1/namespaces/{team}/jobs/{name}"
    until(lambda: bool(cluster.client.get(path).get("status", {}).get("conditions")))
    before = cluster.client.get(path)["metadata"]["resourceVersion"]
    assert operator.apply(job(team))["metadata"]["resourceVersion"] == before


def test_the_operator_may_do_what_it_needs(operator: As, cluster: Cluster) -> None:
    client = Client(cluster.server, operator.token, cluster.ca)
    needed = [("patch", naming.GROUP, plural, "") for plural in ("trainingjobs", "inferencejobs", "datasets")]
    needed += [("watch", naming.GROUP, kind.plural, "") for kind in KINDS]
    needed += [("patch", naming.GROUP, f"{kind.plural}/status", "") for kind in KINDS]
    needed += [(verb, naming.GROUP, "placementplans", "") for verb in ("create", "patch", "delete")]
    needed += [("watch", "", plural, "") for plural in ("nodes", "namespaces", "pods", "services")]
    needed += [("delete", "batch", "jobs", "team-a"), ("delete", "apps", "deployments", "team-a")]
    needed += [("delete", "", "persistentvolumeclaims", "team-a"), ("watch", "events.k8s.io", "events", "")]
    needed += [("create", "events.k8s.io", "events", "team-a"), ("get", "", "secrets", SYSTEM)]
    needed += [(verb, "coordination.k8s.io", "leases", SYSTEM) for verb in ("get", "create", "update")]
    assert [one for one in needed if not allowed(client, *one)] == []


def test_the_operator_may_do_nothing_more(operator: As, cluster: Cluster) -> None:
    client = Client(cluster.server, operator.token, cluster.ca)
    forbidden = [(verb, "", "secrets", "team-a") for verb in ("get", "list", "watch", "create")]
    forbidden += [(verb, "", "secrets", SYSTEM) for verb in ("list", "watch", "create", "patch", "delete")]
    forbidden += [("list", "", "secrets", ""), ("list", "", "configmaps", "team-a"), ("create", "", "pods", "team-a")]
    forbidden += [("create", "", "pods/exec", "team-a"), ("create", "", "serviceaccounts/token", SYSTEM)]
    forbidden += [("get", "", "namespaces", ""), ("get", "", "pods", "team-a"), ("get", "", "nodes", "")]
    forbidden += [("create", "", "namespaces", ""), ("patch", "", "namespaces", ""), ("patch", "", "nodes", "")]
    forbidden += [("delete", "", "pods", "team-a"), ("create", "", "pods/binding", "team-a")]
    for plural in ("roles", "rolebindings", "clusterroles", "clusterrolebindings"):
        verbs = ("create", "patch", "escalate", "bind")
        forbidden += [(verb, "rbac.authorization.k8s.io", plural, SYSTEM) for verb in verbs]
    forbidden += [("impersonate", "", "serviceaccounts", SYSTEM), ("impersonate", "", "users", "")]
    forbidden += [
        ("create", naming.GROUP, "trainingjobs", "team-a"),
        ("delete", naming.GROUP, "trainingjobs", "team-a"),
    ]
    forbidden += [("patch", naming.GROUP, "placementpolicies", ""), ("patch", "apps", "daemonsets", SYSTEM)]
    forbidden += [("patch", "apiextensions.k8s.io", "customresourcedefinitions", "")]
    forbidden += [("patch", "admissionregistration.k8s.io", "validatingadmissionpolicies", "")]
    forbidden += [("patch", "coordination.k8s.io", "leases", "kube-system")]
    assert [one for one in forbidden if allowed(client, *one)] == []


def allowed(client: Client, verb: str, group: str, resource: str, namespace: str) -> bool:
    plural, _, subresource = resource.partition("/")
    attributes = {
        "verb": verb,
        "group": group,
        "resource": plural,
        "subresource": subresource,
        "namespace": namespace,
    }
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = client.post(path, {**body, "spec": {"resourceAttributes": attributes}})
    return bool(answer["status"]["allowed"])


@pytest.mark.parametrize("protected", ["kube-system", "kube-public", SYSTEM])
def test_the_guard_keeps_work_out_of_system_namespaces(operator: As, protected: str) -> None:
    assert "may not write in this namespace" in operator.refused(*CREATE, stdin=job(protected))


def test_the_guard_keeps_the_operator_off_what_is_not_its_own(operator: As, cluster: Cluster, team: str) -> None:
    foreign = job(team)
    del foreign["metadata"]["labels"][naming.MANAGED_BY]
    assert "may only write objects" in operator.refused(*CREATE, stdin=foreign)
    cluster.client.post(f"/apis/batch/v1/namespaces/{team}/jobs", foreign)  # others are not bound by the guard
    name = foreign["metadata"]["name"]
    assert "may only write objects" in operator.refused("delete", "job", name, "-n", team)
    claim_it = '{"metadata":{"labels":{"app.kubernetes.io/managed-by":"polyhull"}}}'
    assert "may only write objects" in operator.refused("patch", "job", name, "-n", team, "-p", claim_it)
    assert cluster.client.delete(f"/apis/batch/v1/namespaces/{team}/jobs/{name}")


def test_tenants_get_their_part_by_the_cluster_s_own_roles(installed: Helm, cluster: Cluster, team: str) -> None:
    def bind(account: str, role: str) -> Client:
        cluster.client.post(f"/api/v1/namespaces/{team}/serviceaccounts", {"metadata": {"name": account}})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        subject = {"kind": "ServiceAccount", "name": account, "namespace": team}
        body = {"metadata": {"name": account}, "roleRef": reference, "subjects": [subject]}
        cluster.client.post(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{team}/rolebindings", body)
        return Client(cluster.server, token_of(cluster, team, account), cluster.ca)

    editor, viewer = bind("editor", "edit"), bind("viewer", "view")
    until(lambda: allowed(editor, "create", naming.GROUP, "trainingjobs", team))
    assert allowed(editor, "patch", naming.GROUP, "inferencejobs/scale", team)
    assert allowed(viewer, "list", naming.GROUP, "datasets", team)
    assert not allowed(viewer, "create", naming.GROUP, "trainingjobs", team)
    assert not allowed(editor, "patch", naming.GROUP, "trainingjobs/status", team)
    assert not allowed(editor, "list", naming.GROUP, "placementplans", "")
    assert not allowed(editor, "list", naming.GROUP, "trainingjobs", "other")


def test_a_member_takes_work_only_where_its_administrator_opened_a_namespace(
    offline: Helm, installed: Helm, cluster: Cluster, team: str
) -> None:
    switches = ("member.enabled=true", "operator.enabled=false", "crds.enabled=false")
    chosen = [part for switch in switches for part in ("--set", switch)]
    installed("install", "hub", str(CHART), "-n", "polyhull-member", "--create-namespace", *chosen)
    hub = As(cluster, token_of(cluster, "polyhull-member", "polyhull-hub"))
    until(lambda: "does not accept work" in hub.refused(*CREATE, stdin=job(team)))

    cluster.kubectl("label", "namespace", team, f"{naming.ACCEPT}=true")
    until(lambda: not hub.refused(*CREATE, stdin=job(team)))
    for manifest in render_all(team):
        hub.apply(manifest)
    cluster.kubectl("label", "namespace", team, f"{naming.ACCEPT}-")
    until(lambda: "does not accept work" in hub.refused(*CREATE, stdin=job(team)))
    assert hub.refused("delete", "jobs,deployments", "-n", team, "-l", naming.all_children_selector()) == ""

    client = Client(cluster.server, hub.token, cluster.ca)
    more = [("get", "", "secrets", team), ("list", naming.GROUP, "trainingjobs", team), ("create", "", "pods", team)]
    more += [("patch", "", "namespaces", ""), ("get", "", "secrets", "polyhull-member")]
    assert [one for one in more if allowed(client, *one)] == []
    installed("uninstall", "hub", "-n", "polyhull-member")


def test_upgrading_keeps_the_policy_and_uninstalling_keeps_our_objects(installed: Helm, cluster: Cluster) -> None:
    """Last, because it takes the chart away and brings it back."""
    before = policy(cluster)["metadata"]["uid"]
    installed("upgrade", "polyhull", str(CHART), "-n", SYSTEM, "--set", "policy.spec.mode=Observe")
    assert (policy(cluster)["metadata"]["uid"], policy(cluster)["spec"]["mode"]) == (before, "Observe")
    installed("upgrade", "polyhull", str(CHART), "-n", SYSTEM)
    installed("uninstall", "polyhull", "-n", SYSTEM)
    assert policy(cluster)["metadata"]["uid"] == before
    assert cluster.kubectl("get", "deployments", "-n", SYSTEM)["items"] == []
    left = cluster.kubectl("get", "clusterroles,validatingadmissionpolicies")["items"]
    assert [one["metadata"]["name"] for one in left if "polyhull" in one["metadata"]["name"]] == []
    installed("install", "polyhull", str(CHART), "-n", SYSTEM)
    assert policy(cluster)["metadata"]["uid"] == before


def policy(cluster: Cluster) -> Manifest:
    result: Manifest = cluster.client.get(f"/apis/{naming.GROUP}/{naming.VERSION}/placementpolicies/default")
    return result
