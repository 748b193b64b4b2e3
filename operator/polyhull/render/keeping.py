"""What a job writes, in claims and under addresses that outlive its pods: its checkpoints, and its output.

Both are the job's own, but an output that becomes a data set: that is written to where a copy of the data set would
lie, so that once it is recorded it is one.
"""

from dataclasses import dataclass

from polyhull.domain.fleet import Storage, StorageKind
from polyhull.render import naming, transfer
from polyhull.render.data import Data
from polyhull.render.naming import Owner
from polyhull.render.template import Manifest

CHECKPOINT = "checkpoint"
OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Kept:
    """One of both at a store. `owner` is the job; `data_set` the DataSet that an output becomes a copy of."""

    entry: str
    owner: Owner
    store: str
    storage: Storage
    size_bytes: int
    mount_path: str = ""
    data_set: Owner | None = None

    @property
    def claim_name(self) -> str:
        """Empty where storage is a bucket."""
        if self.storage.kind is not StorageKind.VOLUME:
            return ""
        return claim_name(self.owner, self.entry) if self.data_set is None else self._copy_name

    @property
    def url(self) -> str:
        """Empty where storage is volumes."""
        if self.storage.kind is not StorageKind.BUCKET:
            return ""
        if self.data_set is not None:
            return transfer.copy_url(self.data_set, self.storage)
        return own_url(self.owner, self.storage, self.entry)

    @property
    def _copy_name(self) -> str:
        assert self.data_set is not None
        return transfer.copy_name(self.data_set, self.store)


def claim_name(owner: Owner, entry: str) -> str:
    """Of a claim that is the job's own."""
    return naming.child_name(owner, entry)


def own_url(owner: Owner, storage: Storage, entry: str) -> str:
    """Where in a bucket it lies, of what is the job's own."""
    return f"{transfer.copy_url(owner, storage)}/{entry}"


def claim(kept: Kept) -> Manifest | None:
    """The claim to make before the job's pods; None where storage is a bucket."""
    if not kept.claim_name:
        return None
    made = transfer.volume_claim(kept.claim_name, kept.owner, kept.size_bytes, kept.storage)
    if kept.data_set is None:
        made["metadata"]["labels"] = naming.labels(kept.owner, kept.entry)
    else:
        made["metadata"]["labels"] = transfer.copy_labels(kept.data_set, kept.store, transfer.CLAIM)
        made["metadata"]["annotations"] = {naming.TRANSFER_BYTES: str(kept.size_bytes)}
    return made


def as_data(kept: Kept) -> Data:
    """How the job's pods are handed it. A copy's files lie in a folder of the claim, and so do these."""
    if kept.claim_name:
        path = transfer.COPY_PATH
        return Data(kept.entry, "", "", kept.claim_name, path, kept.mount_path, written=True)
    return Data(kept.entry, kept.url, kept.storage.secret_name, mount_path=kept.mount_path, written=True)
