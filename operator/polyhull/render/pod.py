"""A pod spec from an allow-listed template and a place: all that the tenant may not write is written here.

Required affinity to the pool keeps a pod where the plan counted it; preferred affinity to the packing's nodes keeps
kube-scheduler's spreading from breaking the next gang, yet lets a pod run when one of those nodes went away.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from polyhull.domain.errors import InvalidInput
from polyhull.domain.fleet import AcceleratorType, Pool, Toleration
from polyhull.domain.labels import Labels
from polyhull.domain.units import parse_quantity
from polyhull.render import data as data_entries
from polyhull.render import template as templates
from polyhull.render.data import Data
from polyhull.render.template import Json, Manifest

CONTAINER = "main"
HOSTNAME = "kubernetes.io/hostname"
_CONTAINER_FIELDS = (
    "image",
    "command",
    "args",
    "workingDir",
    "ports",
    "readinessProbe",
    "livenessProbe",
    "startupProbe",
)
_WRITERS: Manifest = {"fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch"}
"""A claim is made for root; who writes to it, as whatever user, may do so by its group. The template's own wins."""
_POD_CONTEXT = ("runAsUser", "runAsGroup", "fsGroup")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod goes and what it takes there.

    `resource_name` empty means class CPU: `devices` are cores. `hosts` (preferred) and `only_hosts` (required; of a
    pool that no labels tell apart) are values of `kubernetes.io/hostname`.
    """

    pool: str
    node_selector: Labels
    hosts: tuple[str, ...]
    resource_name: str
    devices: int
    tolerations: tuple[Toleration, ...] = ()
    only_hosts: tuple[str, ...] = ()

    @classmethod
    def of(cls, pool: Pool, accelerator: AcceleratorType, devices: int, nodes: Sequence[tuple[str, int]]) -> "Place":
        """`nodes` as in `Assignment.nodes`; a node is named by its hostname label if it has one.

        Nodes that are still to be added (`+1`, `+2`) have no hostname to prefer: the pool's labels alone bring their
        pods there, and are what a node autoscaler looks at.
        """
        hostnames = {node.name: dict(node.labels).get(HOSTNAME, node.name) for node in pool.nodes}
        hosts = tuple(sorted({hostnames.get(name, name) for name, _ in nodes if not name.startswith("+")}))
        only = tuple(sorted(set(hostnames.values()))) if pool.by_name else ()
        resource, tolerations = accelerator.resource_name, accelerator.tolerations
        return cls(pool.name, pool.node_selector, hosts, resource, devices, tolerations, only)


@dataclass(frozen=True, slots=True)
class Extras:
    """What a workload's kind adds to its pods."""

    environment: tuple[tuple[str, Json], ...] = ()
    """(name, value or `valueFrom` object). The template's own entries of the same name win."""
    data: tuple[Data, ...] = ()
    restart_policy: str = "Always"
    subdomain: str = ""
    pod_group: str = ""


def pod_spec(template: Json, place: Place, extras: Extras, where: str) -> Manifest:
    """The pod spec; `where` names the object in errors. Raises InvalidInput for a template outside the allow-list."""
    templates.check(template, where)
    template = copy.deepcopy(dict(template))  # what is handed out shares nothing with what was handed in
    context = template.get("securityContext") or {}
    account = template.get("serviceAccountName") or ""
    spec: Manifest = {
        "affinity": _affinity(place),
        "automountServiceAccountToken": bool(account),
        "containers": [_container(template, place, extras, where)],
        "enableServiceLinks": False,
        "imagePullSecrets": [dict(secret) for secret in template.get("imagePullSecrets") or []],
        "restartPolicy": extras.restart_policy,
        "schedulingGroup": {"podGroupName": extras.pod_group} if extras.pod_group else None,
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
            **(_WRITERS if any(entry.written and entry.claim_name for entry in extras.data) else {}),
            **{key: context[key] for key in _POD_CONTEXT if context.get(key) is not None},
        },
        "serviceAccountName": account,
        "subdomain": extras.subdomain,
        "terminationGracePeriodSeconds": template.get("terminationGracePeriodSeconds"),
        "tolerations": [_toleration(toleration) for toleration in place.tolerations],
        "volumes": [*map(_volume, template.get("volumes") or []), *data_entries.volumes(extras.data)],
    }
    return without_empty(spec)


def without_empty(fields: Manifest) -> Manifest:
    """Drops None, "", [] and {}: an absent field is not ours under server-side apply. False and 0 stay."""
    return {key: value for key, value in sorted(fields.items()) if value not in (None, "", [], {})}


def _container(template: Json, place: Place, extras: Extras, where: str) -> Manifest:
    context = template.get("securityContext") or {}
    container: Manifest = {
        "name": CONTAINER,
        **{key: template.get(key) for key in _CONTAINER_FIELDS},
        "env": environment(extras.environment, extras.data, template.get("env") or []),
        "envFrom": data_entries.environment_sources(extras.data),
        "lifecycle": {"preStop": template["preStop"]} if template.get("preStop") else None,
        "ports": [{"protocol": "TCP", **without_empty(port)} for port in template.get("ports") or []],
        "resources": _resources(template.get("resources") or {}, place, where),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            **({"readOnlyRootFilesystem": True} if context.get("readOnlyRootFilesystem") else {}),
        },
        "volumeMounts": [*map(_mount, template.get("volumes") or []), *data_entries.mounts(extras.data)],
    }
    return without_empty(container)


def environment(ours: Sequence[tuple[str, Json]], data: Sequence[Data], theirs: Sequence[Json]) -> list[Manifest]:
    """Ours first, so that the template's values and arguments may refer to them as `$(NAME)`; a name the template
    sets itself is the template's (one process per node instead of one per core, another port)."""
    named = {entry["name"] for entry in theirs}
    first = [{"name": name, **_value(value)} for name, value in ours] + data_entries.environment(data)
    return [entry for entry in first if entry["name"] not in named] + [dict(entry) for entry in theirs]


def _value(value: Json) -> Manifest:
    return {"valueFrom": copy.deepcopy(value)} if isinstance(value, dict) else {"value": str(value)}


def _resources(resources: Json, place: Place, where: str) -> Manifest:
    requests = {key: str(value) for key, value in (resources.get("requests") or {}).items()}
    limits = {key: str(value) for key, value in (resources.get("limits") or {}).items()}
    if place.resource_name:
        requests[place.resource_name] = limits[place.resource_name] = str(place.devices)
    else:
        requests["cpu"] = str(place.devices)
        if "cpu" in limits and parse_quantity(limits["cpu"]) < Fraction(place.devices):
            problem = f"{limits['cpu']} is below the {place.devices} cores that the option asks for"
            raise InvalidInput(where, "template.resources.limits.cpu", problem, "raise it or leave it out")
    return without_empty({"requests": dict(sorted(requests.items())), "limits": dict(sorted(limits.items()))})


def _affinity(place: Place) -> Manifest:
    required = [{"key": key, "operator": "In", "values": [value]} for key, value in sorted(place.node_selector)]
    if place.only_hosts:
        required.append({"key": HOSTNAME, "operator": "In", "values": sorted(place.only_hosts)})
    preferred = [{"key": HOSTNAME, "operator": "In", "values": sorted(place.hosts)}]
    node: Manifest = {}
    if required:
        node["requiredDuringSchedulingIgnoredDuringExecution"] = {
            "nodeSelectorTerms": [{"matchExpressions": required}]
        }
    if place.hosts:
        node["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {"weight": 100, "preference": {"matchExpressions": preferred}}
        ]
    return {"nodeAffinity": node} if node else {}


def _toleration(toleration: Toleration) -> Manifest:
    return without_empty(
        {
            "key": toleration.key,
            "operator": toleration.operator,
            "value": toleration.value,
            "effect": toleration.effect,
        }
    )


def _volume(volume: Json) -> Manifest:
    source = next(key for key in templates.VOLUME_SOURCES if volume.get(key) is not None)
    details = dict(volume[source])
    if source == "emptyDir":
        # Kubernetes spells the default medium as the empty string.
        memory = details.get("medium") == "Memory"
        details = without_empty(
            {"medium": "Memory" if memory else None, "sizeLimit": _text(details.get("sizeLimit"))}
        )
    return {"name": volume["name"], source: details}


def _text(amount: Json) -> str | None:
    return None if amount is None else str(amount)


def _mount(volume: Json) -> Manifest:
    wanted = {key: volume.get(key) for key in ("name", "mountPath")}
    return {**without_empty(wanted), **({"readOnly": True} if volume.get("readOnly") else {})}
