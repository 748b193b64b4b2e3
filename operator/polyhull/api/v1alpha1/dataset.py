"""DataSet: where data is, how big it is, and where it may go."""

from typing import Annotated, Literal

from pydantic import Field

from polyhull.api.v1alpha1.common import (
    Count,
    LabelSelector,
    Model,
    Name,
    Object,
    ObjectName,
    Quantity,
    Status,
    keyed,
    unique,
)
from polyhull.api.v1alpha1.copies import ActiveTransferStatus, CopyStatus

Url = Annotated[str, Field(min_length=5, max_length=1024, pattern=r"^[a-z][a-z0-9+.-]{0,15}://[^\s]+$")]


class ReplicaSpec(Model):
    """A place where the owner keeps the data; Polyhull never deletes it."""

    site: Name
    url: Url
    """`s3://bucket/path`, `https://…`, or `pvc://claim/path` for a volume of the same namespace."""
    secret_name: ObjectName | None = None
    """A Secret of the same namespace in the member that reads it."""


class Residency(Model):
    """Sites the data may be at: for compute on it and for every hop of a transfer."""

    sites: LabelSelector


class DataSetSpec(Model):
    """A data set; sizes are of one whole copy."""

    size: Quantity
    largest_file: Quantity | None = None
    """No file of it is larger. Where the policy lets copies be split, they are split by files: without it none is."""
    replicas: Annotated[list[ReplicaSpec], Field(max_length=32, json_schema_extra=keyed("site")), unique("site")] = (
        Field(default_factory=list)
    )
    """None: a job will write it (output.dataSetRef)."""
    residency: Residency | None = None
    max_copies: Annotated[int, Field(ge=0, le=1000)] | None = None
    """How many copies Polyhull may make beside the declared replicas."""


class DataSetStatus(Status):
    """Where copies are and which are under way."""

    copies: Annotated[list[CopyStatus], Field(max_length=128, json_schema_extra=keyed("store"))] | None = None
    transfers: (
        Annotated[list[ActiveTransferStatus], Field(max_length=64, json_schema_extra=keyed("store"))] | None
    ) = None
    copy_count: Count | None = None


class DataSet(Object):
    """Data that jobs read."""

    kind: Literal["DataSet"]
    spec: DataSetSpec
    status: DataSetStatus | None = None
