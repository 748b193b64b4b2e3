"""Data sets to domain values, with the copies and transfers that status records."""

from collections.abc import Mapping
from typing import Any

from polyhull.api.convert_common import findings_for, key_of, model_of, selector
from polyhull.api.moves import checkpoint_transfers
from polyhull.api.readback import read_active_transfers, read_copies
from polyhull.api.results import Converted, part
from polyhull.api.v1alpha1.dataset import DataSet as DataSetObject
from polyhull.api.v1alpha1.training import TrainingJob as TrainingJobObject
from polyhull.domain.workloads import ActiveTransfer, DataSet, Key, Replica

Raw = Mapping[str, Any]


def data_set(raw: Raw | DataSetObject, *, file: str = "", strict: bool = False) -> Converted[DataSet]:
    """A DataSet with the copies that its status records."""
    entry, failed = model_of(raw, DataSetObject, file, strict)
    if entry is None:
        assert failed is not None
        return failed
    spec, found = entry.spec, findings_for(entry, file)
    size = found.whole("spec.size", spec.size)
    if size == 0 and not found.problems:
        found.invalid("spec.size", "is zero", "write the size of one whole copy, such as 200Mi")
    largest = found.whole("spec.largestFile", spec.largest_file)
    if spec.largest_file is not None and largest == 0 and not found.problems:
        found.invalid("spec.largestFile", "is zero", "write the size of the largest file, or leave it out")
    return found.done(
        DataSet(
            key=Key(entry.namespace, entry.name, "DataSet"),
            size_bytes=size,
            replicas=tuple(
                sorted(
                    (Replica(replica.site, replica.url, replica.secret_name or "") for replica in spec.replicas),
                    key=lambda replica: replica.site,
                )
            ),
            residency=selector(spec.residency.sites if spec.residency else None),
            max_copies=spec.max_copies,
            copies=read_copies(entry.status),
            largest_file_bytes=None if spec.largest_file is None else min(size, largest),
        )
    )


def active_transfers(raw: Raw | DataSetObject) -> tuple[ActiveTransfer, ...]:
    """Transfers that the data set's status records as under way; none for an object that does not parse."""
    entry, _ = model_of(raw, DataSetObject, "", False)
    if entry is None:
        return ()
    return read_active_transfers(Key(entry.namespace, entry.name, "DataSet"), entry.status)


def carried_checkpoints(raw: Raw) -> tuple[ActiveTransfer, ...]:
    """The same of a TrainingJob that was stopped to be moved: of its checkpoint."""
    if not part(part(raw, "status"), "move").get("transfers"):
        return ()
    entry, _ = model_of(raw, TrainingJobObject, "", False)
    return () if entry is None else checkpoint_transfers(key_of(raw), entry.status)
