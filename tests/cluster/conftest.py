"""One proving ground for the whole session, and a namespace of its own for every test that wants one."""

import re
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hack.ground.binaries import CONTROL_PLANE, HELM, BinariesMissing, Module, obtain
from hack.ground.ground import Ground

HERE = Path(__file__).parent
FLEET = """
clusters:
  - name: hub
    site: cloud
    audit: true
    pools: [{name: hub-cpu, count: 1, cpu: 8, memory: 32Gi}]
  - name: edge
    site: edge
    audit: true
    pools:
      - {name: edge-ascend, count: 2, cpu: 24, memory: 96Gi, accelerator: huawei.com/Ascend310P, devices: 4}
      - {name: edge-cpu, count: 1, cpu: 16, memory: 64Gi}
  - name: cloud
    site: cloud
    audit: true
    pools:
      - {name: cloud-gpu, count: 2, cpu: 64, memory: 512Gi, accelerator: nvidia.com/gpu, devices: 8}
      - {name: cloud-cpu, count: 1, cpu: 32, memory: 128Gi}
"""
"""Small, but with every kind of pool. Audit logs are on so that tests may count requests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            # The first session on a machine builds the control plane: minutes, but not the test's own.
            item.add_marker(pytest.mark.timeout(600, func_only=True))


@pytest.fixture(scope="session")
def binaries(pytestconfig: pytest.Config) -> dict[str, Path]:
    """Paths of etcd, the control plane's programs, kubectl and kwok; skips where they cannot be had."""
    return _obtain(pytestconfig, CONTROL_PLANE)


@pytest.fixture(scope="session")
def helm(pytestconfig: pytest.Config) -> Path:
    """Path of Helm 4."""
    return _obtain(pytestconfig, HELM)["helm"]


@pytest.fixture(scope="session")
def ground(binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Hub, `edge` and `cloud`, up for the session: `ground.clusters["edge"].kubectl("get", "nodes")`."""
    directory = tmp_path_factory.mktemp("ground")
    (directory / "fleet.yaml").write_text(FLEET)
    with Ground.start(directory / "fleet.yaml", directory, binaries) as started:
        yield started


@pytest.fixture
def namespace(ground: Ground, request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Makes namespaces: each call creates one in every cluster, opened to the operator, and gives its name."""
    made: list[str] = []

    def make() -> str:
        stem = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
        name = f"{stem}-{secrets.token_hex(3)}"
        made.append(name)
        for cluster in ground.clusters.values():
            cluster.create_namespace(name, {"polyhull.io/accept": "true"})
        return name

    yield make
    for name in made:
        for cluster in ground.clusters.values():
            cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def _obtain(config: pytest.Config, module: Module) -> dict[str, Path]:
    capture = config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            sys.stderr.write(f"\n{text}\n")

    try:
        return obtain(module, say)
    except BinariesMissing as error:
        pytest.skip(str(error))
