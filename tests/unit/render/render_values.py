"""Values and checks that the tests of `render` share."""

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from polyhull.domain.fleet import Toleration
from polyhull.render.data import Data
from polyhull.render.naming import Owner
from polyhull.render.pod import Place
from polyhull.render.training import Gang

OWNER = Owner("TrainingJob", "team-a", "resnet", "0b6c6d1e-54a5-4f24-9f5e-0d0c6b0d6f11")
GPU = Place(
    "edge-a/v100",
    (("nvidia.com/gpu.product", "V100"), ("kubernetes.io/arch", "amd64")),
    ("n2", "n1"),
    "nvidia.com/gpu",
    4,
    (Toleration("nvidia.com/gpu"),),
)
CPU = Place("edge-a/cpu", (("polyhull.io/test", "cpu"),), ("n1",), "", 32)
TEMPLATE: dict[str, Any] = {
    "image": "train:1",
    "command": ["torchrun"],
    "args": ["--nnodes=$(NNODES)", "train.py"],
    "workingDir": "/src",
    "env": [
        {"name": "SEED", "value": "7"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token", "optional": True}}},
        {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode", "optional": False}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ],
    "resources": {
        "requests": {"cpu": "2", "memory": "8Gi"},
        "limits": {"memory": "16Gi", "ephemeral-storage": "1Gi"},
    },
    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}, {"containerPort": 9090}],
    "readinessProbe": {"httpGet": {"path": "/", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 5},
    "livenessProbe": {"exec": {"command": ["true"]}, "initialDelaySeconds": 1, "timeoutSeconds": 2},
    "startupProbe": {"tcpSocket": {"port": 8080}, "successThreshold": 1, "failureThreshold": 3},
    "preStop": {"exec": {"command": ["sleep", "5"]}},
    "volumes": [
        {"name": "shm", "mountPath": "/dev/shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}},
        {"name": "scratch", "mountPath": "/scratch", "emptyDir": {"medium": "Default"}},
        {"name": "code", "mountPath": "/code", "readOnly": True, "persistentVolumeClaim": {"claimName": "code"}},
        {"name": "conf", "mountPath": "/conf", "configMap": {"name": "conf"}},
        {"name": "key", "mountPath": "/key", "secret": {"secretName": "key"}},
    ],
    "terminationGracePeriodSeconds": 60,
    "serviceAccountName": "trainer",
    "imagePullSecrets": [{"name": "pull"}],
    "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000, "readOnlyRootFilesystem": True},
}
"""A template that uses every field."""
DATA = (
    Data("images", url="s3://bucket/images", secret_name="edge-s3"),
    Data("weights", claim_name="copy-1", sub_path="data", mount_path="/weights"),
)

gangs = st.builds(
    Gang,
    owner=st.just(OWNER),
    option=st.just("v100x4"),
    replicas=st.integers(1, 64),
    place=st.sampled_from([GPU, CPU]),
    template=st.sampled_from([{"image": "x:1"}, TEMPLATE]),
    data=st.sampled_from([(), DATA[:1], DATA]),
    retry_limit=st.integers(0, 100),
    suspend=st.booleans(),
    plan_hash=st.sampled_from(["", "ab12"]),
    pod_groups=st.booleans(),
)


def keys_of(value: Any) -> Iterator[str]:
    """Every key at every depth of a manifest."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)


def environment(spec: Any) -> dict[str, str]:
    """Plain values of the first container's environment."""
    return {entry["name"]: entry["value"] for entry in spec["containers"][0]["env"] if "value" in entry}
