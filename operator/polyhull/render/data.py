"""How a pod is handed its data: an address and credentials by environment, or a volume mounted read-only.

One value for both, so that training, batch and online workloads say it in the same words.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from polyhull.domain.errors import InvalidInput
from polyhull.render import naming
from polyhull.render.template import Manifest

CLAIM_SCHEME = "pvc://"


@dataclass(frozen=True, slots=True)
class Data:
    """One data entry of a workload, resolved to where the plan says it is; or what it writes (`written`).

    Either `claim_name` (a PVC of the pod's namespace; `sub_path` inside it) is mounted at `mount_path`, or `url` is
    handed over. `secret_name` is a Secret of the pod's namespace and only ever named, never read.
    """

    name: str
    url: str = ""
    secret_name: str = ""
    claim_name: str = ""
    sub_path: str = ""
    mount_path: str = ""
    written: bool = False
    """Its checkpoints or its output: mounted for writing, and named without DATA."""

    @property
    def variable(self) -> str:
        """`POLYHULL_DATA_IMAGES` for an entry called `images`."""
        prefix = "POLYHULL_" if self.written else "POLYHULL_DATA_"
        return prefix + re.sub(r"[^A-Z0-9]", "_", self.name.upper())

    @property
    def path(self) -> str:
        return self.mount_path or (f"/polyhull/{self.name}" if self.written else f"/polyhull/data/{self.name}")


def split_claim(url: str) -> tuple[str, str] | None:
    """(claim, path inside it) of `pvc://claim/path`; None for any other address. `..` is refused."""
    if not url.startswith(CLAIM_SCHEME):
        return None
    claim, _, path = url.removeprefix(CLAIM_SCHEME).partition("/")
    path = path.strip("/")
    if not claim or ".." in path.split("/"):
        raise InvalidInput(url, "", "does not name a claim and a path inside it", "write pvc://CLAIM/PATH without ..")
    return claim, path


def located(name: str, url: str, secret_name: str = "", mount_path: str = "") -> Data:
    """A Data entry for an address: mounted if it is a `pvc://` one, handed over otherwise."""
    claim = split_claim(url)
    if claim is None:
        return Data(name, url=url, secret_name=secret_name, mount_path=mount_path)
    return Data(name, claim_name=claim[0], sub_path=claim[1], mount_path=mount_path)


def environment(entries: Sequence[Data]) -> list[Manifest]:
    """`_URL` for what is read over the network, `_PATH` for what is mounted. InvalidInput if two names become one."""
    for first, second in zip(ordered := sorted(entries, key=lambda entry: entry.variable), ordered[1:], strict=False):
        if first.variable == second.variable:
            problem = f"{first.name} and {second.name} both become {first.variable}"
            raise InvalidInput("data", "name", problem, "rename one of them")
    return [
        {"name": f"{entry.variable}_PATH", "value": entry.path}
        if entry.claim_name
        else {"name": f"{entry.variable}_URL", "value": entry.url}
        for entry in entries
    ]


def environment_sources(entries: Sequence[Data]) -> list[Manifest]:
    """The credentials' keys with the entry's variable as prefix, and bare when all entries share one Secret:
    two Secrets with the same bare keys would silently overwrite each other."""
    secrets = [(entry, entry.secret_name) for entry in entries if entry.secret_name and not entry.claim_name]
    sources: list[Manifest] = [
        {"prefix": f"{entry.variable}_", "secretRef": {"name": secret}} for entry, secret in secrets
    ]
    names = sorted({secret for _, secret in secrets})
    return [{"secretRef": {"name": names[0]}}, *sources] if len(names) == 1 else sources


def volumes(entries: Sequence[Data]) -> list[Manifest]:
    """One volume per claim: two entries of one claim share it. Read-only unless one of them writes."""
    writes = {entry.claim_name for entry in entries if entry.written}
    return [
        {
            "name": volume_name(claim),
            "persistentVolumeClaim": {"claimName": claim, **({} if claim in writes else {"readOnly": True})},
        }
        for claim in sorted({entry.claim_name for entry in entries if entry.claim_name})
    ]


def mounts(entries: Sequence[Data]) -> list[Manifest]:
    return [
        {
            "name": volume_name(entry.claim_name),
            "mountPath": entry.path,
            **({} if entry.written else {"readOnly": True}),
            **({"subPath": entry.sub_path} if entry.sub_path else {}),
        }
        for entry in entries
        if entry.claim_name
    ]


def volume_name(claim: str) -> str:
    """A volume's name is a DNS label; a claim's may be a longer one with dots."""
    return f"polyhull-{naming.digest(claim)}"
