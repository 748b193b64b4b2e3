"""The fleet file: which clusters a ground has and which nodes stand in them.

A mistyped key is an error that names its place: a fleet without its taints would make tests pass for nothing.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

FAULTS = ("CreateContainerConfigError", "ImagePullBackOff", "FailedMount", "Refused", "Error")
"""What a pool's nodes (or a pod's annotation) may ask to go wrong; see stages/faults.yaml."""


class FleetError(ValueError):
    """The fleet file says something the ground cannot build; the message names file, place and remedy."""


@dataclass(frozen=True, slots=True)
class Pool:
    """`count` equal nodes named `<name>-0`, `<name>-1`, ...; `devices` of `accelerator` on each."""

    name: str
    count: int
    cpu: str = "32"
    memory: str = "128Gi"
    storage: str = "500Gi"
    pods: int = 110
    accelerator: str = ""
    devices: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """One control plane; `site` becomes the nodes' label `topology.kubernetes.io/region`."""

    name: str
    pools: tuple[Pool, ...] = ()
    site: str = ""
    audit: bool = False

    def node_faults(self) -> dict[str, str]:
        """Node name -> fault, for the pools that have one."""
        return {
            f"{pool.name}-{index}": pool.fault for pool in self.pools if pool.fault for index in range(pool.count)
        }


@dataclass(frozen=True, slots=True)
class Fleet:
    clusters: tuple[ClusterSpec, ...]


def load_fleet(path: Path) -> Fleet:
    """Read a fleet file; raises FleetError."""
    try:
        document = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise FleetError(f"{path}: no such fleet file; name one with --fleet (see hack/ground/fleet.yaml)") from None
    except yaml.YAMLError as error:
        raise FleetError(f"{path}: not YAML: {error}") from None
    return parse_fleet(document, str(path))


def parse_fleet(document: object, where: str) -> Fleet:
    top = _mapping(document, where, {"clusters"})
    clusters = tuple(
        _cluster(item, f"{where}: clusters[{index}]")
        for index, item in enumerate(_sequence(top.get("clusters"), where))
    )
    if not clusters:
        raise FleetError(f"{where}: `clusters` is empty; name at least one cluster")
    _unique([cluster.name for cluster in clusters], f"{where}: cluster names")
    return Fleet(clusters)


def _cluster(document: object, where: str) -> ClusterSpec:
    values = dict(_mapping(document, where, {item.name for item in fields(ClusterSpec)}))
    pools = tuple(
        _pool(item, f"{where}.pools[{index}]") for index, item in enumerate(_sequence(values.get("pools"), where))
    )
    _unique([pool.name for pool in pools], f"{where}: pool names")
    values["pools"] = pools
    _required(ClusterSpec, values, where)
    return ClusterSpec(**values)


def _pool(document: object, where: str) -> Pool:
    values = dict(_mapping(document, where, {item.name for item in fields(Pool)}))
    values["taints"] = tuple(_sequence(values.get("taints"), where))
    _required(Pool, values, where)
    pool = Pool(**{**values, "cpu": str(values.get("cpu", "32")), "memory": str(values.get("memory", "128Gi"))})
    if bool(pool.accelerator) != bool(pool.devices):
        raise FleetError(f"{where}: `accelerator` (a resource name such as nvidia.com/gpu) and `devices` go together")
    if pool.fault and pool.fault not in FAULTS:
        raise FleetError(f"{where}: unknown fault {pool.fault!r}; one of {', '.join(FAULTS)}")
    return pool


def _mapping(value: object, where: str, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise FleetError(f"{where}: expected a mapping, found {type(value).__name__}")
    if unknown := sorted(set(value) - known):
        raise FleetError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    return value


def _sequence(value: object, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise FleetError(f"{where}: expected a list, found {type(value).__name__}")
    return value


def _required(kind: type[Any], values: Mapping[str, Any], where: str) -> None:
    for item in fields(kind):
        if item.default is MISSING and item.default_factory is MISSING and item.name not in values:
            raise FleetError(f"{where}: `{item.name}` is missing")


def _unique(names: list[str], what: str) -> None:
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise FleetError(f"{what}: {doubled[0]!r} appears twice")
