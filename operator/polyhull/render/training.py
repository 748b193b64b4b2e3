"""Training and batch inference in a member: an Indexed Job and, for a gang, its rendezvous Service and PodGroup.

The Job goes first because it is what counts as released; Service and PodGroup follow once its uid is known and are
owned by it inside the member, so that deleting the Job takes them along. A one-pod job is one object, one request.
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
COMPLETION_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


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
    pod_groups: bool = False
    """The member serves PodGroups, in version `pod_group_api`."""
    pod_group_api: str = POD_GROUP_API

    @property
    def name(self) -> str:
        return naming.child_name(self.owner)

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
        subdomain=gang.name if gang.replicas > 1 else "",
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
            "suspend": gang.suspend,
            "template": {
                "metadata": {"labels": dict(labels)},
                "spec": pod_spec(gang.template, gang.place, extras, where),
            },
        },
    }


def rendezvous(gang: Gang) -> tuple[tuple[str, Json], ...]:
    """What torchrun and its kin read to find each other; the `PET_` twins are torchrun's own spelling."""
    rank = {"fieldRef": {"apiVersion": "v1", "fieldPath": COMPLETION_INDEX}}
    shared: tuple[tuple[str, Json], ...] = (
        ("MASTER_ADDR", f"{gang.name}-0.{gang.name}" if gang.replicas > 1 else "localhost"),
        ("MASTER_PORT", MASTER_PORT),
        ("NNODES", gang.replicas),
        ("NODE_RANK", rank),
        ("NPROC_PER_NODE", gang.place.devices),
    )
    twins = tuple((f"PET_{name}", value) for name, value in shared)
    return (*shared, ("WORLD_SIZE", gang.replicas * gang.place.devices), *twins)


def dependents(gang: Gang, job_uid: str) -> tuple[Manifest, ...]:
    """What follows the Job once it exists: nothing for one pod; else the Service, and the PodGroup where served."""
    if gang.replicas == 1:
        return ()
    return (_service(gang, job_uid), *((_pod_group(gang, job_uid),) if gang.grouped else ()))


def _service(gang: Gang, job_uid: str) -> Manifest:
    """Headless: gives every pod of the gang a name, also before it is ready, because rendezvous comes first."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(gang, job_uid, "rendezvous"),
        "spec": {
            "clusterIP": "None",
            "ports": [{"name": "rendezvous", "port": MASTER_PORT, "protocol": "TCP", "targetPort": MASTER_PORT}],
            "publishNotReadyAddresses": True,
            "selector": {naming.UID: naming.label_value(gang.owner.uid), naming.COMPONENT: "workers"},
        },
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
