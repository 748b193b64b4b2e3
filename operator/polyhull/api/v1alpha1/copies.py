"""Copies that are there, and copies under way: what the status of data sets and of moved jobs records."""

from typing import Annotated, Literal

from pydantic import Field

from polyhull.api.v1alpha1.common import Bytes, Instant, Model, Name

LinkName = Annotated[str, Field(min_length=1, max_length=80)]
"""A Link's name, or `<name>.reverse`."""
Store = Annotated[str, Field(min_length=1, max_length=80)]


class CopyPartStatus(Model):
    """What one source sends over one path of a copy that is split."""

    source_site: Name
    links: Annotated[list[LinkName], Field(max_length=16)] | None = None
    transfer_bytes: Bytes
    bytes_per_second: Bytes


class CopiedPartStatus(CopyPartStatus):
    """One part of a copy that was split, once it was there."""

    completion_time: Instant


class CopyStatus(Model):
    """A complete copy that Polyhull made."""

    store: Store
    site: Name
    cluster: Name
    completion_time: Instant | None = None
    start_time: Instant | None = None
    """When the transfer that made it was released; with the next two, how fast its links are is learnt."""
    bytes_per_second: Bytes | None = None
    """The limit it ran under."""
    links: Annotated[list[LinkName], Field(max_length=16)] | None = None
    parts: Annotated[list[CopiedPartStatus], Field(max_length=8)] | None = None
    """Of a copy that was split, in place of `bytesPerSecond` and `links`."""
    last_used_time: Instant | None = None


class KeptStatus(Model):
    """Where a job was handed a place of its own to write to."""

    cluster: Name
    entry: Literal["Checkpoint", "Output"]
    url: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """In a bucket; unset: in a claim."""


class ActiveTransferStatus(Model):
    """A copy under way."""

    store: Store
    site: Name
    cluster: Name
    source_site: Name
    links: Annotated[list[LinkName], Field(max_length=16)] | None = None
    bytes_per_second: Bytes
    start_time: Instant
    parts: Annotated[list[CopyPartStatus], Field(max_length=8)] | None = None
    """Without it the copy is whole, over `links`; with it they are at each part, and all of them are one copy."""
