"""Removing from a bucket what a job wrote there: one rclone Job in the cluster where it ran.

It removes one folder, and only one that the job's own names end in: a prefix that nobody else is ever handed.
"""

from dataclasses import dataclass

from polyhull.domain.errors import InvalidInput
from polyhull.render import naming, transfer
from polyhull.render.naming import Owner
from polyhull.render.template import Manifest

COMPONENT = "purge"

_SCRIPT = 'rclone "$@" || [ $? -eq 3 ]'
"""rclone's exit code 3: there is no such folder (rclone.org/docs, Exit code). Then nothing was written."""


@dataclass(frozen=True, slots=True)
class Purging:
    """`url`: where it lies; `secret_name`: of the bucket, in the owner's namespace."""

    owner: Owner
    entry: str
    url: str
    secret_name: str = ""
    image: str = transfer.IMAGE

    @property
    def job_name(self) -> str:
        return job_name(self.owner, self.entry, self.url)


def removable(url: str) -> bool:
    """Whether rclone can remove what is there."""
    return url.partition("://")[0] in ("s3", "gs", "az")


def job_name(owner: Owner, entry: str, url: str) -> str:
    return naming.child_name(owner, COMPONENT, entry, naming.digest(url))


def job(purging: Purging) -> Manifest:
    """Raises InvalidInput for an address that is not the owner's own, or none that rclone can use."""
    own = f"/{purging.owner.namespace}/{naming.child_name(purging.owner)}/{purging.entry}"
    if not purging.url.endswith(own):
        raise InvalidInput(purging.url, "", f"does not end in {own}: it is not removed", "remove it by hand")
    remote = transfer.network("target", purging.url, purging.secret_name)
    labels = naming.labels(purging.owner, COMPONENT)
    options = ("--config=/dev/null", "--cache-dir=/tmp", "--contimeout=30s", "--retries=3", "--retries-sleep=10s")
    program = {
        "command": ["/bin/sh", "-c", _SCRIPT, "purge"],
        "args": ["purge", remote.path, *options, "--timeout=5m", "--use-json-log"],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": purging.job_name, "namespace": purging.owner.namespace, "labels": labels},
        "spec": {
            "backoffLimit": 4,
            "completions": 1,
            "parallelism": 1,
            "template": {
                "metadata": {"labels": dict(labels)},
                "spec": transfer.pod_spec(purging.image, program, (remote,)),
            },
        },
    }
