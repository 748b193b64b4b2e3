"""The allow-list a tenant's pod template must fit, checked again at the last moment before it becomes a pod.

The schema of the kinds refuses the same things first; this second check costs microseconds and holds whatever the
first one missed: a raw PodSpec never passes through (Fission CVE-2026-50563, Argo CVE-2026-31892 were just that).
A test keeps the two lists equal.
"""

from collections.abc import Mapping
from typing import Any

from polyhull.domain.errors import InvalidInput

Json = Any
"""A JSON value as decoded: dict, list, str, int, float, bool or None."""

Manifest = dict[str, Any]

_LEAF: None = None
_EXEC = {"command": [_LEAF]}
_PROBE = {
    "exec": _EXEC,
    "grpc": {"port": _LEAF},
    # No `host` here nor below: a probe is sent by the kubelet and must not be aimed at somebody else.
    "httpGet": {"path": _LEAF, "port": _LEAF, "scheme": _LEAF},
    "tcpSocket": {"port": _LEAF},
    "initialDelaySeconds": _LEAF,
    "periodSeconds": _LEAF,
    "timeoutSeconds": _LEAF,
    "successThreshold": _LEAF,
    "failureThreshold": _LEAF,
}
_KEY_REF = {"name": _LEAF, "key": _LEAF, "optional": _LEAF}
_ENV_SOURCE = {"secretKeyRef": _KEY_REF, "configMapKeyRef": _KEY_REF, "fieldRef": {"fieldPath": _LEAF}}
_AMOUNTS = {"cpu": _LEAF, "memory": _LEAF, "ephemeral-storage": _LEAF}

ALLOWED: Mapping[str, Json] = {
    "image": _LEAF,
    "command": [_LEAF],
    "args": [_LEAF],
    "workingDir": _LEAF,
    "env": [{"name": _LEAF, "value": _LEAF, "valueFrom": _ENV_SOURCE}],
    "resources": {"requests": _AMOUNTS, "limits": _AMOUNTS},
    "ports": [{"name": _LEAF, "containerPort": _LEAF, "protocol": _LEAF}],
    "readinessProbe": _PROBE,
    "livenessProbe": _PROBE,
    "startupProbe": _PROBE,
    "preStop": {"exec": _EXEC},
    "volumes": [
        {
            "name": _LEAF,
            "mountPath": _LEAF,
            "readOnly": _LEAF,
            "persistentVolumeClaim": {"claimName": _LEAF},
            "configMap": {"name": _LEAF},
            "secret": {"secretName": _LEAF},
            "emptyDir": {"medium": _LEAF, "sizeLimit": _LEAF},
        }
    ],
    "terminationGracePeriodSeconds": _LEAF,
    "serviceAccountName": _LEAF,
    "imagePullSecrets": [{"name": _LEAF}],
    "securityContext": {"runAsUser": _LEAF, "runAsGroup": _LEAF, "fsGroup": _LEAF, "readOnlyRootFilesystem": _LEAF},
}
"""None is a scalar, a list holds the shape of its items, a dict the keys that may occur."""

VOLUME_SOURCES = ("persistentVolumeClaim", "configMap", "secret", "emptyDir")


def check(template: Mapping[str, Json], where: str) -> None:
    """Raise InvalidInput for anything in `template` outside ALLOWED or outside the restricted profile."""
    _fits(template, ALLOWED, where, "template")
    if not template.get("image"):
        raise InvalidInput(where, "template.image", "is missing", "name the image to run")
    for index, volume in enumerate(template.get("volumes") or []):
        given = [source for source in VOLUME_SOURCES if volume.get(source) is not None]
        if len(given) != 1:
            remedy = f"give exactly one of {', '.join(VOLUME_SOURCES)}"
            raise InvalidInput(where, f"template.volumes[{index}]", f"has {len(given)} sources", remedy)
    if (template.get("securityContext") or {}).get("runAsUser") == 0:
        remedy = "name a user above 0 or leave it to the image"
        raise InvalidInput(where, "template.securityContext.runAsUser", "is root", remedy)


def _fits(value: Json, shape: Json, where: str, path: str) -> None:
    if value is None:
        return
    if shape is _LEAF:
        if isinstance(value, (dict, list)):
            raise InvalidInput(where, path, f"is a {type(value).__name__}", "write a single value")
    elif isinstance(shape, list):
        if not isinstance(value, (list, tuple)):
            raise InvalidInput(where, path, f"is a {type(value).__name__}", "write a list")
        for index, item in enumerate(value):
            _fits(item, shape[0], where, f"{path}[{index}]")
    else:
        if not isinstance(value, Mapping):
            raise InvalidInput(where, path, f"is a {type(value).__name__}", "write an object")
        for key in sorted(value, key=str):
            if key not in shape:
                remedy = f"remove it; allowed here: {', '.join(sorted(shape))}"
                raise InvalidInput(where, f"{path}.{key}", "is not among the fields a template may have", remedy)
            _fits(value[key], shape[key], where, f"{path}.{key}")
