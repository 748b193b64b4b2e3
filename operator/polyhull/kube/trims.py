"""What the mirrors keep of each kind, so that ten thousand pods fit into memory.

Each function builds a new, smaller object; identity (name, namespace, uid, resourceVersion) always stays.
"""

from collections.abc import Mapping
from typing import Any

from polyhull.kube.transport import Object

OWN_PREFIX = "polyhull.io/"
_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "finalizers",
    "ownerReferences",
)
_POD_SPEC = ("nodeName", "schedulerName", "priority", "overhead", "resources", "resourceClaims", "schedulingGroup")
_POD_STATUS = ("phase", "reason", "message", "startTime", "conditions")
_CONTAINER_STATUS = ("name", "ready", "restartCount", "state", "lastState")


def metadata_only(obj: Object) -> Object:
    """Type and metadata, without managed fields and foreign annotations."""
    return {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind"), "metadata": _metadata(obj)}


def without_bookkeeping(obj: Object) -> Object:
    """The whole object except managed fields and the annotation kubectl keeps for itself."""
    metadata = dict(obj.get("metadata") or {})
    metadata.pop("managedFields", None)
    annotations = dict(metadata.get("annotations") or {})
    if annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None) is not None:
        metadata["annotations"] = annotations
    return {**obj, "metadata": metadata}


def node(obj: Object) -> Object:
    """Labels, taints, allocatable, capacity, conditions; no image list, no heartbeat times."""
    spec = _pick(obj.get("spec"), ("unschedulable", "taints", "providerID"))
    status = _pick(obj.get("status"), ("allocatable", "capacity"))
    conditions = (obj.get("status") or {}).get("conditions") or []
    status["conditions"] = [_pick(condition, ("type", "status", "reason", "message")) for condition in conditions]
    return metadata_only(obj) | {"spec": spec, "status": status}


def pod(obj: Object) -> Object:
    """What inventory needs (node, requests) and what observation needs (phase, conditions, why containers wait)."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    kept_spec = _pick(spec, _POD_SPEC)
    kept_status = _pick(status, _POD_STATUS)
    for field in ("containers", "initContainers"):
        if spec.get(field):
            kept_spec[field] = [_pick(item, ("name", "resources", "restartPolicy")) for item in spec[field]]
    for field in ("containerStatuses", "initContainerStatuses"):
        if status.get(field):
            kept_status[field] = [_pick(item, _CONTAINER_STATUS) for item in status[field]]
    return metadata_only(obj) | {"spec": kept_spec, "status": kept_status}


def job(obj: Object) -> Object:
    """Counts and state of a Job; not its pod template."""
    spec = _pick(
        obj.get("spec"), ("suspend", "parallelism", "completions", "backoffLimit", "completionMode", "managedBy")
    )
    return metadata_only(obj) | {"spec": spec, "status": dict(obj.get("status") or {})}


def deployment(obj: Object) -> Object:
    """Replicas and state of a Deployment; not its pod template."""
    spec = _pick(obj.get("spec"), ("replicas", "paused", "selector"))
    return metadata_only(obj) | {"spec": spec, "status": dict(obj.get("status") or {})}


def _metadata(obj: Object) -> Object:
    metadata = obj.get("metadata") or {}
    kept = _pick(metadata, _METADATA)
    own = {key: value for key, value in (metadata.get("annotations") or {}).items() if key.startswith(OWN_PREFIX)}
    if own:
        kept["annotations"] = own
    return kept


def _pick(source: Mapping[str, Any] | None, keys: tuple[str, ...]) -> Object:
    return {key: source[key] for key in keys if key in source} if source else {}
