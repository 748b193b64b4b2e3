"""Training and batch inference in a member: an Indexed Job and, for a gang, its rendezvous Service and PodGroup.

The Job goes first because it is what counts as released; Service and PodGroup follow once its uid is known and are
owned by it inside the member, so that deleting the Job takes them along. A one-pod job is one object, one request.

A job over several sites is several Jobs with one count of ranks, created suspended. Its first Job's Service leads to
rank 0 alone, and where other clusters must find it a ServiceExport of the Multi-Cluster Services API (KEP-1645) tells
them. Nodes behind the first site have a Job each: a Job's index begins at 0 and the environment cannot add to it.
"""

from dataclasses import dataclass

from polyhull.render import naming
from polyhull.render.data import Data
from polyhull.render.naming import Owner
from polyhull.render.pod import Extras, Place, pod_spec, without_empty
from polyhull.render.template import Json, Manifest

MASTER_PORT = 29500
"""torchrun's default rendezvous port."""
POD_GROUP_API = "scheduling.k8s.io/v1alpha2"
"""As of Kubernetes 1.36; 1.37 serves the same fields as v1beta1."""
SERVICE_EXPORT_API = "multicluster.x-k8s.io/v1alpha1"
INDEX = "batch.kubernetes.io/job-completion-index"
COMPLETION_INDEX = f"metadata.annotations['{INDEX}']"


@dataclass(frozen=True, slots=True)
class Span:
    """Where a Job stands in a job over several sites. `nodes` and `devices` are those of all its Jobs together."""

    mode: str
    site: str
    part: int
    parts: int
    first_rank: int
    """Of this Job; 0: it has rank 0."""
    part_rank: int
    """Of the first node at this site."""
    nodes: int
    devices: int
    master_address: str = ""
    """Of rank 0, for the other Jobs."""
    exported: bool = False
    """Pods of other clusters find rank 0 by a ServiceExport."""
    stage_layers: tuple[tuple[int, ...], ...] = ()
    """Of each site; all empty where the model is not cut into stages."""
    micro_batches: int = 1
    synchronize_steps: int = 1

    def environment(self) -> tuple[tuple[str, Json], ...]:
        """What a framework needs to know beside ranks: docs/how-to/train-across-sites.md."""
        told: list[tuple[str, Json]] = [
            ("POLYHULL_CROSS_SITE_MODE", self.mode),
            ("POLYHULL_SITE", self.site),
            ("POLYHULL_PART", self.part),
            ("POLYHULL_PARTS", self.parts),
            ("POLYHULL_FIRST_RANK", self.part_rank),
            ("POLYHULL_SYNCHRONIZE_STEPS", self.synchronize_steps),
        ]
        if self.stage_layers[self.part]:
            told += [
                ("POLYHULL_STAGE_LAYERS", ",".join(map(str, self.stage_layers[self.part]))),
                ("POLYHULL_ALL_STAGE_LAYERS", ";".join(",".join(map(str, held)) for held in self.stage_layers)),
                ("POLYHULL_MICRO_BATCHES", self.micro_batches),
            ]
        return tuple(told)


@dataclass(frozen=True, slots=True)
class Gang:
    """A finite job as placed: `replicas` pods of `place.devices` devices each.

    `retry_limit`: how often the whole gang may fail and begin again. `plan_hash` is the plan's that released it and
    stays as it was for the child's life.
    """

    owner: Owner
    option: str
    replicas: int
    place: Place
    template: Json
    """The option's merged template, as the kinds' allow-list lets it through (camelCase)."""
    data: tuple[Data, ...] = ()
    retry_limit: int = 3
    suspend: bool = False
    plan_hash: str = ""
    checkpoint_interval_seconds: int = 0
    """How often the plan counts on a checkpoint; 0: on none."""
    pod_groups: bool = False
    """The member serves PodGroups, in version `pod_group_api`."""
    pod_group_api: str = POD_GROUP_API
    span: Span | None = None
    """None: the whole job is here."""

    @property
    def name(self) -> str:
        parts = () if self.span is None else naming.rank(self.span.first_rank, self.span.parts)
        return naming.child_name(self.owner, *parts)

    @property
    def named(self) -> bool:
        """Whether its pods have names, by a Service: where others must find rank 0."""
        return self.replicas > 1 or (self.span is not None and self.span.first_rank == 0)

    @property
    def grouped(self) -> bool:
        return self.pod_groups and self.replicas > 1


def job(gang: Gang) -> Manifest:
    """The Indexed Job: no ownerReference (its owner lives on the hub) and no TTL (its end is read first)."""
    labels = naming.labels(gang.owner, "workers", {naming.POOL: gang.place.pool})
    extras = Extras(
        environment=rendezvous(gang),
        data=gang.data,
        restart_policy="Never",
        subdomain=gang.name if gang.named else "",
        pod_group=gang.name if gang.grouped else "",
    )
    where = f"{gang.owner.kind} {gang.owner.namespace}/{gang.owner.name}"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": gang.name,
            "namespace": gang.owner.namespace,
            "labels": labels,
            "annotations": without_empty(
                {naming.OPTION: gang.option, naming.PLAN_HASH: gang.plan_hash, naming.POOL: gang.place.pool}
            ),
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": gang.replicas,
            "parallelism": gang.replicas,
            # One failure of a gang is the failure of all its pods: the others lose their peer and exit too.
            "backoffLimit": gang.retry_limit * gang.replicas,
            # A drained or preempted pod is not the job's fault and does not count.
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            # The successor waits until the predecessor is gone: devices of both at once were never planned.
            "podReplacementPolicy": "Failed",
            "suspend": gang.suspend or gang.span is not None,
            "template": {
                "metadata": {"labels": dict(labels)},
                "spec": pod_spec(gang.template, gang.place, extras, where),
            },
        },
    }


def rendezvous(gang: Gang) -> tuple[tuple[str, Json], ...]:
    """What torchrun and its kin read to find each other; the `PET_` twins are torchrun's own spelling."""
    span, index = gang.span, {"fieldRef": {"apiVersion": "v1", "fieldPath": COMPLETION_INDEX}}
    elsewhere = span.master_address if span is not None else ""
    shared: tuple[tuple[str, Json], ...] = (
        ("MASTER_ADDR", elsewhere or (f"{gang.name}-0.{gang.name}" if gang.named else "localhost")),
        ("MASTER_PORT", MASTER_PORT),
        ("NNODES", gang.replicas if span is None else span.nodes),
        ("NODE_RANK", span.first_rank if span is not None and span.first_rank > 0 else index),
        ("NPROC_PER_NODE", gang.place.devices),
    )
    every: tuple[tuple[str, Json], ...] = ()
    if gang.checkpoint_interval_seconds:
        every = (("POLYHULL_CHECKPOINT_INTERVAL_SECONDS", gang.checkpoint_interval_seconds),)
    twins = tuple((f"PET_{name}", value) for name, value in shared)
    world = gang.replicas * gang.place.devices if span is None else span.devices
    return (*shared, ("WORLD_SIZE", world), *twins, *every, *(span.environment() if span is not None else ()))


def dependents(gang: Gang, job_uid: str) -> tuple[Manifest, ...]:
    """What follows the Job once it exists: nothing for one pod; else the Service, and what is served of ServiceExport
    and PodGroup."""
    if not gang.named:
        return ()
    exported = gang.span is not None and gang.span.exported
    return (
        _service(gang, job_uid),
        *((_service_export(gang, job_uid),) if exported else ()),
        *((_pod_group(gang, job_uid),) if gang.grouped else ()),
    )


def _service(gang: Gang, job_uid: str) -> Manifest:
    """Headless: gives every pod of the gang a name, also before it is ready, because rendezvous comes first. Of a job
    over several sites only rank 0, for the Service's own name is what other clusters know."""
    narrow = {} if gang.span is None else {"batch.kubernetes.io/job-name": gang.name, INDEX: "0"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(gang, job_uid, "rendezvous"),
        "spec": {
            "clusterIP": "None",
            "ports": [{"name": "rendezvous", "port": MASTER_PORT, "protocol": "TCP", "targetPort": MASTER_PORT}],
            "publishNotReadyAddresses": True,
            "selector": {naming.UID: naming.label_value(gang.owner.uid), naming.COMPONENT: "workers", **narrow},
        },
    }


def _service_export(gang: Gang, job_uid: str) -> Manifest:
    """Other clusters of the set find the Service of the same name as `<name>.<namespace>.svc.clusterset.local`."""
    return {
        "apiVersion": SERVICE_EXPORT_API,
        "kind": "ServiceExport",
        "metadata": _metadata(gang, job_uid, "rendezvous"),
    }


def _pod_group(gang: Gang, job_uid: str) -> Manifest:
    return {
        "apiVersion": gang.pod_group_api,
        "kind": "PodGroup",
        "metadata": _metadata(gang, job_uid, "gang"),
        "spec": {"schedulingPolicy": {"gang": {"minCount": gang.replicas}}},
    }


def _metadata(gang: Gang, job_uid: str, component: str) -> Manifest:
    return {
        "name": gang.name,
        "namespace": gang.owner.namespace,
        "labels": naming.labels(gang.owner, component),
        "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": gang.name, "uid": job_uid, "controller": True}
        ],
    }
