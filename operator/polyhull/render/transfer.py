"""One copy of a data set: a claim where copies are volumes, and an rclone Job in the cluster where it lands.

The Job's `--bwlimit` is the rate the plan gave the transfer, so what the plan assumed is what the network sees.
Source and target are two rclone remotes configured by environment only. They never share a name, which keeps rclone
from copying inside a provider: such copies pass every limiter by.

A copy that is split has a Job for each part, each with a limit of its own, all into the same place. Whose turn a file
is follows from the source's list of names and sizes alone (share.py), which every part looks at for itself and says
what it saw, so that parts that saw different lists are never taken for one copy.
"""

from dataclasses import dataclass

from polyhull.domain.decision import Transfer
from polyhull.domain.errors import InvalidInput
from polyhull.domain.fleet import Storage, StorageKind, Toleration
from polyhull.domain.workloads import CopyPart
from polyhull.render import naming, share
from polyhull.render.data import Data, split_claim
from polyhull.render.naming import Owner
from polyhull.render.pod import without_empty
from polyhull.render.template import Manifest

IMAGE = "rclone/rclone:1.76"
"""Default of the operator's setting; override it with a mirror or a digest."""

COPY_PATH = "data"
"""Folder inside a claim that holds the copy: a file system's own `lost+found` is not part of anybody's data."""

COMPONENT, CLAIM = "transfer", "copy"
"""Of its Jobs, and of the claim of a copy."""

_USER = 65532
_MIB = 1024 * 1024
_REMOTE_TYPES = {"s3": "s3", "gs": "google cloud storage", "az": "azureblob", "http": "http", "https": "http"}
_COMMON: tuple[Manifest, ...] = (
    {"name": "HOME", "value": "/tmp"},
    # For servers that are nobody in particular; a key PROVIDER in a Secret comes before it in rclone's order.
    {"name": "RCLONE_S3_PROVIDER", "value": "Other"},
)
_S3_KEYS = (
    ("ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
    ("SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
    ("SESSION_TOKEN", "AWS_SESSION_TOKEN"),
    ("REGION", "AWS_REGION"),
    ("ENDPOINT", "AWS_ENDPOINT_URL"),
)
"""(rclone option, key of the Secret): the names AWS clients read, so that one Secret serves rclone and the job."""


@dataclass(frozen=True, slots=True)
class Copying:
    """A planned transfer, or one part of it, with what its Job needs. `owner` is the DataSet; Secrets are names in
    its namespace; `part` counts from 0 through `transfer.flows`."""

    owner: Owner
    transfer: Transfer
    storage: Storage
    source_secret: str = ""
    image: str = IMAGE
    tolerations: tuple[Toleration, ...] = ()
    plan_hash: str = ""
    part: int = 0
    source_url: str = ""
    """Of our own copy in a bucket; empty: a declared replica, whose address the plan knows."""
    target_url: str = ""
    """In a bucket; empty: where copies of a data set lie."""

    @property
    def name(self) -> str:
        """Of the claim."""
        return copy_name(self.owner, self.transfer.store)

    @property
    def job_name(self) -> str:
        return job_names(self.owner, self.transfer.store, len(self.transfer.parts))[self.part]

    @property
    def flow(self) -> CopyPart:
        return self.transfer.flows[self.part]


def copy_name(owner: Owner, store: str) -> str:
    """Name of a copy's claim, and of the one Job that fills it where the copy is not split."""
    return naming.child_name(owner, store)


def job_names(owner: Owner, store: str, parts: int) -> tuple[str, ...]:
    """The Jobs that fill a copy, in the order of its parts; `parts` is 0 for a whole copy."""
    if not parts:
        return (copy_name(owner, store),)
    return tuple(naming.child_name(owner, store, f"part-{k}-of-{parts}") for k in range(1, parts + 1))


def copy_url(owner: Owner, storage: Storage) -> str:
    """Where in a bucket store the copy lies: a folder per namespace and data set."""
    return f"{storage.url.rstrip('/')}/{owner.namespace}/{naming.child_name(owner)}"


def copy_as_data(entry: str, owner: Owner, store: str, storage: Storage, mount_path: str = "") -> Data:
    """How a workload reads the copy at `store`."""
    if storage.kind is StorageKind.VOLUME:
        return Data(entry, claim_name=copy_name(owner, store), sub_path=COPY_PATH, mount_path=mount_path)
    return Data(entry, url=copy_url(owner, storage), secret_name=storage.secret_name, mount_path=mount_path)


def claim(copying: Copying) -> Manifest | None:
    """The claim of a copy in volume storage, None for a bucket."""
    if copying.storage.kind is not StorageKind.VOLUME:
        return None
    made = volume_claim(copying.name, copying.owner, copying.transfer.transfer_bytes, copying.storage)
    made["metadata"]["labels"] = copy_labels(copying.owner, copying.transfer.store, CLAIM)
    made["metadata"]["annotations"] = {naming.TRANSFER_BYTES: str(copying.transfer.transfer_bytes)}
    return made


def volume_claim(name: str, owner: Owner, size_bytes: int, storage: Storage) -> Manifest:
    """A ReadWriteMany claim of the size plus a twentieth for the file system, rounded up to whole MiB; no labels."""
    size = -(-size_bytes * 21 // 20)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": owner.namespace},
        "spec": without_empty(
            {
                "accessModes": ["ReadWriteMany"],
                "resources": {"requests": {"storage": f"{max(1, -(-size // _MIB))}Mi"}},
                "storageClassName": storage.storage_class_name,
            }
        ),
    }


def job(copying: Copying, claim_uid: str = "") -> Manifest:
    """The rclone Job; owned by the copy's claim inside the member where there is one (give its uid)."""
    transfer, flow = copying.transfer, copying.flow
    labels = copy_labels(copying.owner, copying.transfer.store, COMPONENT)
    owners = [{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": copying.name, "uid": claim_uid}]
    annotations = {
        naming.LINKS: naming.join_links(flow.links),
        naming.PART: f"{copying.part + 1}/{len(transfer.parts)}" if transfer.parts else "",
        naming.RATE: str(whole_rate(flow.rate_bytes_per_second)),
        naming.SOURCE_SITE: flow.source_site,
        naming.STORE: transfer.store,
        naming.TRANSFER_BYTES: str(flow.transfer_bytes),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": without_empty(
            {
                "name": copying.job_name,
                "namespace": copying.owner.namespace,
                "labels": labels,
                "annotations": without_empty({**annotations, naming.PLAN_HASH: copying.plan_hash}),
                "ownerReferences": owners if claim_uid else None,
            }
        ),
        "spec": {
            # rclone itself tries three times and skips what is already there, so a later pod continues.
            "backoffLimit": 4,
            "completions": 1,
            "parallelism": 1,
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            # Two rclones at once would use twice the bandwidth that the plan gave.
            "podReplacementPolicy": "Failed",
            # Nothing here may depend on which plan says it: a template is immutable, and a later plan says it again.
            "template": {
                "metadata": {"labels": dict(labels), "annotations": without_empty(annotations)},
                "spec": _pod_spec(copying),
            },
        },
    }


def whole_rate(bytes_per_second: float) -> int:
    """The limit in whole bytes per second, rounded down so as never to exceed the plan; at least 1."""
    return max(1, int(bytes_per_second))


def arguments(source: str, target: str, bytes_per_second: float) -> list[str]:
    """rclone's arguments. A number without suffix would mean KiB/s: `B` makes it bytes (rclone, fs/sizesuffix.go)."""
    return [
        "copy",
        source,
        target,
        f"--bwlimit={whole_rate(bytes_per_second)}B",
        # By content, not by time: clocks and upload times of two stores tell nothing about equality.
        "--checksum",
        "--config=/dev/null",
        "--cache-dir=/tmp",
        "--contimeout=30s",
        "--low-level-retries=10",
        "--retries=3",
        "--retries-sleep=10s",
        "--stats=60s",
        "--stats-log-level=NOTICE",
        "--timeout=5m",
        "--transfers=4",
        "--use-json-log",
    ]


def _program(copying: Copying, source: str, target: str) -> Manifest:
    """rclone itself, or around it the script that picks a part's files."""
    call = arguments(source, target, copying.flow.rate_bytes_per_second)
    if not copying.transfer.parts:
        return {"args": call}
    run = share.command(copying.transfer.parts, copying.part, source, call, "/dev/termination-log")
    return {"command": list(run[:4]), "args": list(run[4:])}


@dataclass(frozen=True, slots=True)
class Remote:
    """What rclone reads or writes: its word for it, and what the pod needs for that."""

    path: str
    environment: tuple[Manifest, ...] = ()
    secret_name: str = ""
    prefix: str = ""
    claim_name: str = ""
    mount_path: str = ""
    read_only: bool = False


def _source(copying: Copying) -> Remote:
    url = copying.source_url or copying.flow.source_url
    inside = split_claim(url)
    if inside is not None:
        return Remote(f"/source/{inside[1]}".rstrip("/"), (), "", "", inside[0], "/source", True)
    return network("source", url, copying.source_secret)


def _target(copying: Copying) -> Remote:
    if copying.storage.kind is StorageKind.VOLUME:
        return Remote(f"/target/{COPY_PATH}", claim_name=copying.name, mount_path="/target")
    if copying.storage.kind is StorageKind.NONE or copying.storage.url.startswith("http"):
        problem = f"cannot be written to by a transfer ({copying.storage.kind.value} {copying.storage.url})".rstrip()
        raise InvalidInput(f"MemberCluster {copying.transfer.cluster}", "spec.storage", problem, "declare storage")
    url = copying.target_url or copy_url(copying.owner, copying.storage)
    return network("target", url, copying.storage.secret_name)


def network(name: str, url: str, secret_name: str) -> Remote:
    """An rclone remote by environment: `RCLONE_CONFIG_<NAME>_<OPTION>`. Any further rclone option may be a key of the
    Secret (`PROVIDER`, `SAS_URL`): all keys are passed on with the remote's prefix."""
    scheme, _, rest = url.partition("://")
    kind = _REMOTE_TYPES.get(scheme)
    if kind is None or not rest:
        known = ", ".join(f"{known}://" for known in (*_REMOTE_TYPES, "pvc"))
        raise InvalidInput(url, "", "is not an address a transfer can use", f"begin it with one of {known}")
    prefix = f"RCLONE_CONFIG_{name.upper()}_"
    environment: list[Manifest] = [{"name": f"{prefix}TYPE", "value": kind}]
    path = rest.rstrip("/")
    if kind == "http":
        host, _, path = rest.partition("/")
        environment.append({"name": f"{prefix}URL", "value": f"{scheme}://{host}/"})
    if kind == "s3":
        # The bucket exists; asking for it may not be among the key's rights.
        environment.append({"name": f"{prefix}NO_CHECK_BUCKET", "value": "true"})
        environment += _s3_credentials(prefix, secret_name) if secret_name else []
    return Remote(f"{name}:{path.rstrip('/')}", tuple(environment), secret_name, prefix if secret_name else "")


def _s3_credentials(prefix: str, secret_name: str) -> list[Manifest]:
    return [
        {"name": prefix + option, "valueFrom": {"secretKeyRef": {"name": secret_name, "key": key, "optional": True}}}
        for option, key in _S3_KEYS
    ]


def _pod_spec(copying: Copying) -> Manifest:
    source, target = _source(copying), _target(copying)
    program = _program(copying, source.path, target.path)
    return pod_spec(copying.image, program, (source, target), copying.tolerations)


def pod_spec(
    image: str, program: Manifest, remotes: tuple[Remote, ...], tolerations: tuple[Toleration, ...] = ()
) -> Manifest:
    """Of a pod that runs rclone."""
    claims = [remote for remote in remotes if remote.claim_name]
    secrets = [remote for remote in remotes if remote.secret_name]
    container = {
        "name": "rclone",
        "image": image,
        **program,
        "env": [dict(entry) for entry in (*_COMMON, *(entry for remote in remotes for entry in remote.environment))],
        "envFrom": [{"prefix": remote.prefix, "secretRef": {"name": remote.secret_name}} for remote in secrets],
        # No footprint for the scheduler: a copy must not take the last core of a node that a gang was packed onto.
        "resources": {"requests": {"cpu": "0", "memory": "0"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            *(_mount(remote) for remote in claims),
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    return without_empty(
        {
            "automountServiceAccountToken": False,
            "containers": [without_empty(container)],
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "securityContext": {
                "fsGroup": _USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "runAsGroup": _USER,
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "tolerations": [
                without_empty({"key": one.key, "operator": one.operator, "value": one.value, "effect": one.effect})
                for one in tolerations
            ],
            "volumes": [
                *(_volume(remote) for remote in claims),
                {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
            ],
        }
    )


def _mount(remote: Remote) -> Manifest:
    mount: Manifest = {"name": remote.mount_path.strip("/"), "mountPath": remote.mount_path}
    return {**mount, "readOnly": True} if remote.read_only else mount


def _volume(remote: Remote) -> Manifest:
    source: Manifest = {"claimName": remote.claim_name}
    if remote.read_only:
        source["readOnly"] = True
    return {"name": remote.mount_path.strip("/"), "persistentVolumeClaim": source}


def copy_labels(owner: Owner, store: str, component: str) -> dict[str, str]:
    """Of what belongs to a data set's copy at a store."""
    return naming.labels(owner, component, {naming.DATA_SET: owner.name, naming.STORE: store})
