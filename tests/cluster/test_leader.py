"""Two live operators: one acts, the other takes over, and who lost the Lease writes nothing more."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.ground.ground import Cluster, Ground
from tests.cluster.operating import (
    Operator,
    condition,
    get,
    install_crds,
    job,
    listed,
    quiet,
    wait_for,
    writes,
)

SYSTEM = "polyhull-system"
LEASE = "polyhull-leader-test"
"""A Lease of its own: another module's operator may still be giving back the usual one."""
NAMES = ("one", "two", "three")
LOST_LEASE = 3


@pytest.fixture(scope="module")
def hub(ground: Ground) -> Cluster:
    cluster = ground.clusters["hub"]
    install_crds(cluster)
    cluster.kubectl("create", "namespace", SYSTEM, check=False)
    return cluster


@pytest.fixture
def operators(hub: Cluster, tmp_path: Path) -> Iterator[dict[str, Operator]]:
    """Each as somebody of its own, so that the audit log tells them apart. The first leads."""
    made: dict[str, Operator] = {}
    try:
        for name in NAMES[:2]:
            made[name] = _operator(hub, tmp_path, name)
            made[name].start()
            if name == NAMES[0]:
                wait_for("the first leads", lambda: _leads(made[NAMES[0]]))
        yield made
    finally:
        for operator in made.values():
            if operator.process is not None and operator.process.poll() is None:
                os.kill(operator.process.pid, signal.SIGCONT)
            operator.stop()
            if operator.log.is_file():
                print(operator.log.read_text()[-3000:])


def _operator(hub: Cluster, directory: Path, name: str) -> Operator:
    account = f"leader-{name}"
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": SYSTEM}],
    }
    hub.kubectl("create", "serviceaccount", account, "-n", SYSTEM, check=False)
    hub.kubectl("apply", "-f", "-", stdin=binding)
    wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    path = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{account}/token"
    config = yaml.safe_load(hub.kubeconfig_path.read_text())
    for user in config["users"]:
        user["user"] = {"token": hub.client.post(path, wanted)["status"]["token"]}
    own = directory / name
    own.mkdir()
    (own / "kubeconfig").write_text(yaml.safe_dump(config))
    lease = "Timing(lease=8.0, renew_deadline=6.0, retry=0.5)"
    return Operator(
        hub, own, {"kubeconfig": repr(str(own / "kubeconfig")), "lease_name": repr(LEASE), "lease": lease}
    )


def _leads(operator: Operator) -> bool:
    return operator.figure("polyhull_leader") == 1.0


def _placed(hub: Cluster, space: str, name: str) -> bool:
    return condition(get(hub, "trainingjob", space, name), "Placed") == ("True", "Bound")


def _by(name: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["user"]["username"].endswith(f":leader-{name}")]


def _holder(hub: Cluster) -> str:
    lease = hub.client.get(f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{LEASE}")
    return str(lease["spec"]["holderIdentity"])


def test_the_second_takes_over_from_a_leader_that_dies_or_hangs_and_who_lost_writes_nothing(
    hub: Cluster, operators: dict[str, Operator], namespace: Any, tmp_path: Path
) -> None:
    space, seen = namespace(), hub.audit_count()
    first, second = operators["one"], operators["two"]
    assert not _leads(second)

    # Killed with jobs half placed: the other leads, and no child is made twice.
    names = [f"job-{k}" for k in range(6)]
    hub.kubectl("apply", "-f", "-", stdin=[job(space, name, quantity="100000") for name in names])
    wait_for("some are released", lambda: listed(hub, "jobs", space))
    first.kill()
    wait_for("the second leads", lambda: _leads(second))
    wait_for("all are placed", lambda: all(_placed(hub, space, name) for name in names))
    assert _by("two", writes(hub, seen)), "the audit log tells the two apart"

    # Stopped in the middle of its work, past its Lease: a third leads; woken up, it ends without a word.
    third = operators["three"] = _operator(hub, tmp_path, "three")
    third.start()
    assert second.process is not None
    held = _holder(hub)
    hub.kubectl("apply", "-f", "-", stdin=job(space, "late", quantity="100000"))
    wait_for("it is at work", lambda: (get(hub, "trainingjob", space, "late") or {})["metadata"].get("finalizers"))
    os.kill(second.process.pid, signal.SIGSTOP)
    wait_for("the third leads", lambda: _leads(third))
    assert _holder(hub) != held
    # What the stopped one had sent before is answered once the log says nothing more of it.
    wait_for("its last request is answered", lambda: quiet(hub, 2.0, ":leader-two"))
    before = hub.audit_count()
    os.kill(second.process.pid, signal.SIGCONT)
    assert second.process.wait(60) == LOST_LEASE
    second.process = None
    wait_for("the late one is placed", lambda: _placed(hub, space, "late"))
    assert _by("two", writes(hub, before)) == []
    made = [
        event["objectRef"]["name"]
        for event in writes(hub, seen)
        if event["objectRef"]["resource"] == "jobs"
        and event["objectRef"].get("namespace") == space
        and (event.get("responseStatus") or {}).get("code") == 201
    ]
    assert sorted(made) == sorted(set(made)), "a child was created twice"
    # Not len(made): a create whose sender is killed in the middle may be done and yet be logged without its 201.
    children = [child["metadata"]["labels"]["polyhull.io/name"] for child in listed(hub, "jobs", space)]
    assert sorted(children) == sorted([*names, "late"])
    hub.kubectl("delete", "trainingjobs", "--all", "-n", space, "--wait=false")
    wait_for("nothing is left", lambda: not listed(hub, "trainingjobs", space) and not listed(hub, "pods", space))
