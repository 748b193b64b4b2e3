"""Online inference in a member: one Deployment per (pool, variant) and one Service over all of them.

A Deployment's selector is for life, so each pair gets its own from the start and the plan only changes `replicas`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from polyhull.render import naming
from polyhull.render.data import Data
from polyhull.render.naming import Owner
from polyhull.render.pod import Extras, Place, pod_spec, without_empty
from polyhull.render.template import Json, Manifest


@dataclass(frozen=True, slots=True)
class Serving:
    """Replicas of one variant in one pool: `place.devices` devices per replica."""

    owner: Owner
    variant: str
    replicas: int
    place: Place
    template: Json
    data: tuple[Data, ...] = ()

    @property
    def name(self) -> str:
        return naming.child_name(self.owner, self.place.pool, self.variant)


def deployment(serving: Serving) -> Manifest:
    """The Deployment. Devices are counted to the last one, so a rollout takes one away before it adds one."""
    own = {naming.POOL: serving.place.pool, naming.VARIANT: serving.variant}
    labels = naming.labels(serving.owner, "serving", own)
    where = f"{serving.owner.kind} {serving.owner.namespace}/{serving.owner.name}"
    selected = (naming.COMPONENT, naming.POOL, naming.UID, naming.VARIANT)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": serving.name,
            "namespace": serving.owner.namespace,
            "labels": labels,
            "annotations": dict(sorted({naming.OPTION: serving.variant, naming.POOL: serving.place.pool}.items())),
        },
        "spec": {
            "replicas": serving.replicas,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": {key: labels[key] for key in selected}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "template": {
                "metadata": {"labels": dict(labels)},
                "spec": pod_spec(serving.template, serving.place, Extras(data=serving.data), where),
            },
        },
    }


def service(owner: Owner, templates: Sequence[Json]) -> Manifest:
    """The Service over all variants in a cluster: every port that any of their templates names.

    Without ports it is headless, which still gives the replicas a name. Two variants whose ports share a name must
    reach it by that name, so `targetPort` is the name where there is one.
    """
    ports: dict[str, Manifest] = {}
    for template in templates:
        for port in template.get("ports") or []:
            protocol = port.get("protocol") or "TCP"
            name = port.get("name") or f"{protocol.lower()}-{port['containerPort']}"
            target = port.get("name") or port["containerPort"]
            entry = {"name": name, "port": port["containerPort"], "protocol": protocol, "targetPort": target}
            ports.setdefault(name, entry)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": naming.child_name(owner),
            "namespace": owner.namespace,
            "labels": naming.labels(owner, "serving"),
        },
        "spec": without_empty(
            {
                "clusterIP": None if ports else "None",
                "ports": [ports[name] for name in sorted(ports)],
                "selector": {naming.COMPONENT: "serving", naming.UID: naming.label_value(owner.uid)},
            }
        ),
    }
