"""The typed allow-list of what a tenant may say about pods. Never a raw PodSpec.

Host access, privileges, scheduling fields, tokens and other namespaces cannot be expressed here, so they need
not be filtered anywhere else. Devices, tolerations, affinity, scheduler, labels and the restricted security
context are the operator's to set.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from polyhull.api.v1alpha1.common import (
    Model,
    MountPath,
    Name,
    ObjectName,
    Quantity,
    at_most_one,
    count_set,
    exactly_one,
    fail,
    keyed,
    rules,
    unique,
)

Word = Annotated[str, Field(max_length=4096)]
Words = Annotated[list[Word], Field(max_length=64)]
EnvName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")]
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
Port = Annotated[int, Field(ge=1, le=65535)]
PortName = Annotated[str, Field(min_length=1, max_length=15, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
ProbeSeconds = Annotated[int, Field(ge=0, le=86_400)]
UserId = Annotated[int, Field(ge=1, le=2**31 - 1)]


class KeyRef(Model):
    """One key of a Secret or ConfigMap of the same namespace in the member."""

    name: ObjectName
    key: DataKey
    optional: bool = False


class FieldRef(Model):
    """A field of the pod itself."""

    field_path: Literal["metadata.name", "metadata.namespace", "metadata.uid", "status.podIP", "spec.nodeName"]


class EnvSource(Model):
    """Where a variable's value comes from: exactly one of these."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("secretKeyRef", "configMapKeyRef", "fieldRef")))

    secret_key_ref: KeyRef | None = None
    config_map_key_ref: KeyRef | None = None
    field_ref: FieldRef | None = None

    @model_validator(mode="after")
    def _one(self) -> "EnvSource":
        if count_set(self, "secret_key_ref", "config_map_key_ref", "field_ref") != 1:
            raise fail("union", "not exactly one source", "set one of secretKeyRef, configMapKeyRef, fieldRef")
        return self


class EnvVar(Model):
    """An environment variable: a value, or where it comes from."""

    model_config = ConfigDict(json_schema_extra=rules(at_most_one("value", "valueFrom")))

    name: EnvName
    value: Word | None = None
    value_from: EnvSource | None = None

    @model_validator(mode="after")
    def _one(self) -> "EnvVar":
        if self.value is not None and self.value_from is not None:
            raise fail("union", "value and valueFrom are both set", "set one of them")
        return self


class ResourceList(Model):
    """Amounts per pod. Devices are not written here: devicesPerReplica sets them (and cpu for class CPU)."""

    cpu: Quantity | None = None
    memory: Quantity | None = None
    ephemeral_storage: Quantity | None = Field(default=None, alias="ephemeral-storage")


class ResourceNeeds(Model):
    """Requests and limits per pod; a limit without a request is the request too, as in Kubernetes."""

    requests: ResourceList | None = None
    limits: ResourceList | None = None


class ContainerPort(Model):
    """A port the container listens on."""

    name: PortName | None = None
    container_port: Port
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"


class ExecAction(Model):
    """A command run in the container."""

    command: Annotated[Words, Field(min_length=1)]


class HttpGetAction(Model):
    """A GET to the pod itself (a host cannot be given)."""

    path: Annotated[str, Field(max_length=1024, pattern=r"^/\S*$")] = "/"
    port: Port
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"


class PortAction(Model):
    """A connection to the pod itself."""

    port: Port


class Probe(Model):
    """A check of the container: exactly one of exec, httpGet, tcpSocket, grpc."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("exec", "httpGet", "tcpSocket", "grpc")))

    exec: ExecAction | None = None
    http_get: HttpGetAction | None = None
    tcp_socket: PortAction | None = None
    grpc: PortAction | None = None
    initial_delay_seconds: ProbeSeconds | None = None
    period_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = None
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    success_threshold: Annotated[int, Field(ge=1, le=1000)] | None = None
    failure_threshold: Annotated[int, Field(ge=1, le=1000)] | None = None

    @model_validator(mode="after")
    def _one(self) -> "Probe":
        if count_set(self, "exec", "http_get", "tcp_socket", "grpc") != 1:
            raise fail("union", "not exactly one action", "set one of exec, httpGet, tcpSocket, grpc")
        return self


class ClaimSource(Model):
    """A PersistentVolumeClaim of the same namespace in the member."""

    claim_name: ObjectName


class ConfigMapSource(Model):
    """A ConfigMap of the same namespace in the member."""

    name: ObjectName


class SecretSource(Model):
    """A Secret of the same namespace in the member."""

    secret_name: ObjectName


class EmptyDirSource(Model):
    """Scratch space; `Memory` (shared memory) needs a limit."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("!has(self.medium) || self.medium != 'Memory' || has(self.sizeLimit)", "medium Memory needs sizeLimit")
        )
    )

    medium: Literal["Default", "Memory"] = "Default"
    size_limit: Quantity | None = None

    @model_validator(mode="after")
    def _limited(self) -> "EmptyDirSource":
        if self.medium == "Memory" and self.size_limit is None:
            raise fail("limit", "medium Memory without sizeLimit", "set sizeLimit, such as 8Gi")
        return self


class Volume(Model):
    """A volume and where it is mounted: exactly one source."""

    model_config = ConfigDict(
        json_schema_extra=rules(exactly_one("persistentVolumeClaim", "configMap", "secret", "emptyDir"))
    )

    name: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    mount_path: MountPath
    read_only: bool = False
    persistent_volume_claim: ClaimSource | None = None
    config_map: ConfigMapSource | None = None
    secret: SecretSource | None = None
    empty_dir: EmptyDirSource | None = None

    @model_validator(mode="after")
    def _one(self) -> "Volume":
        if count_set(self, "persistent_volume_claim", "config_map", "secret", "empty_dir") != 1:
            remedy = "set one of persistentVolumeClaim, configMap, secret, emptyDir"
            raise fail("union", "not exactly one source", remedy)
        return self


class SecurityContext(Model):
    """What may be chosen inside the restricted profile; the rest of that profile is always set."""

    run_as_user: UserId | None = None
    run_as_group: UserId | None = None
    fs_group: UserId | None = None
    read_only_root_filesystem: bool | None = None


class PreStop(Model):
    """Runs before the container is stopped."""

    exec: ExecAction


class SecretRef(Model):
    """A Secret of the same namespace in the member, by name."""

    name: ObjectName


class PodTemplate(Model):
    """How a pod of the job looks. `options[].template` replaces it field by field, lists whole."""

    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\s]+$")] | None = None
    command: Words | None = None
    args: Words | None = None
    env: Annotated[list[EnvVar], Field(max_length=64, json_schema_extra=keyed("name")), unique("name")] | None = None
    working_dir: MountPath | None = None
    resources: ResourceNeeds | None = None
    ports: Annotated[list[ContainerPort], Field(max_length=16)] | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    startup_probe: Probe | None = None
    volumes: Annotated[list[Volume], Field(max_length=16, json_schema_extra=keyed("name")), unique("name")] | None = (
        None
    )
    termination_grace_period_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = None
    pre_stop: PreStop | None = None
    service_account_name: ObjectName | None = None
    """Its token is mounted only because a name is given; the member's namespace must allow it."""
    image_pull_secrets: Annotated[list[SecretRef], Field(max_length=8)] | None = None
    security_context: SecurityContext | None = None


class DataRef(Model):
    """One data set of the same namespace that a model is read from."""

    data_set_ref: "DataSetRef"
    mount_path: MountPath | None = None
    """Where its files appear; needs volume storage. Without it the copy's URL is in the environment."""


class DataSetRef(Model):
    """A DataSet of the same namespace."""

    name: Name
