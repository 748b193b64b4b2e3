"""What was seen and what was said, kept for replay: a compressed file per decision, the operator's in a bounded ring.

A record is three lines of canonical JSON under gzip: a head (format, version, who wrote it, how it was decided, the
hashes of the other two), the snapshot, the decision. Files, never etcd: a fleet's snapshot is megabytes. Each file is
written beside its final name and renamed, so that a crash leaves whole records only; the oldest go first.
"""

import gzip
import hashlib
import json
import os
import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from polyhull import __version__
from polyhull.domain.decision import Decision
from polyhull.domain.errors import InvalidInput
from polyhull.domain.snapshot import Snapshot
from polyhull.telemetry.values import Unreadable, build, canonical

SUFFIX = ".polyhull-record.gz"
FORMAT, VERSION = "polyhull-record", 1
MOST_BYTES = 256 * 2**20
"""Of what a record holds, uncompressed: 10,000 jobs are about a tenth of it."""
_OTHER = "replay another record"


class Method(StrEnum):
    """How a decision was made, so that it can be made again."""

    FULL = "Full"
    """The whole programme, the search and, up to the size the policy names, the proof."""
    UNPROVED = "Unproved"
    """The same without asking for a proof."""
    INSERTED = "Inserted"
    """The present plan carried on, arrivals inserted."""


@dataclass(frozen=True, slots=True)
class Record:
    """`digest` is the SHA-256 of everything it holds (hexadecimal); `program` the version that wrote it."""

    snapshot: Snapshot
    decision: Decision
    method: Method
    program: str
    digest: str


class TooLarge(OSError):
    """A decision that no record can hold."""


def dump(snapshot: Snapshot, decision: Decision, method: Method) -> tuple[bytes, str]:
    """The file's bytes and the digest of what they hold. Equal values give equal bytes. Raises TooLarge."""
    lines = [canonical(snapshot), canonical(decision)]
    head = {
        "format": FORMAT,
        "version": VERSION,
        "program": __version__,
        "method": method.value,
        "sha256": [hashlib.sha256(line).hexdigest() for line in lines],
    }
    body = b"\n".join((json.dumps(head, sort_keys=True, separators=(",", ":")).encode(), *lines)) + b"\n"
    if len(body) > MOST_BYTES:
        raise TooLarge(f"a record would hold {len(body)} bytes, more than {MOST_BYTES}")
    return gzip.compress(body, compresslevel=6, mtime=0), hashlib.sha256(body).hexdigest()


def read(path: Path) -> Record:
    """A record back. Raises InvalidInput for a file that is unreadable, damaged, foreign or of another version."""
    try:
        with path.open("rb") as file:
            packed = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidInput(str(path), "", f"cannot be read: {error.strerror}", "name a record's file") from None
    return load(packed, str(path))


def load(packed: bytes, where: str) -> Record:
    """As `read`, from bytes; `where` names them in errors."""
    body = _unpacked(packed, where)
    head, lines = _opened(body, where)
    method = next((one for one in Method if one.value == head.get("method")), None)
    if method is None:
        raise InvalidInput(where, "method", f"{head.get('method')!r} is no way to decide", _newer(head))
    return Record(
        _value(Snapshot, lines[0], "snapshot", head, where),
        _value(Decision, lines[1], "decision", head, where),
        method,
        str(head.get("program")),
        hashlib.sha256(body).hexdigest(),
    )


def _unpacked(packed: bytes, where: str) -> bytes:
    opener = zlib.decompressobj(wbits=31)
    try:
        body = opener.decompress(packed, MOST_BYTES + 1)
    except zlib.error:
        raise InvalidInput(where, "", "is no record, or is damaged (it is not gzip)", _OTHER) from None
    if len(body) > MOST_BYTES:
        raise InvalidInput(where, "", f"holds more than {MOST_BYTES} bytes", _OTHER)
    if not opener.eof or opener.unused_data:
        raise InvalidInput(where, "", "is damaged: it is cut short, or something follows it", _OTHER)
    return body


def _opened(body: bytes, where: str) -> tuple[dict[str, Any], list[bytes]]:
    """The head and the two lines that its hashes vouch for."""
    first, *lines = body.split(b"\n")
    head = _json(first, where)
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise InvalidInput(where, "", "is no record of a decision", f"name a file that ends in {SUFFIX}")
    if head.get("version") != VERSION:
        problem = f"is version {head.get('version')} of the format; this Polyhull ({__version__}) reads {VERSION}"
        raise InvalidInput(where, "version", problem, _newer(head))
    if len(lines) != 3 or lines[2] or head.get("sha256") != [hashlib.sha256(one).hexdigest() for one in lines[:2]]:
        raise InvalidInput(where, "", "is damaged: its content does not have the hashes in its head", _OTHER)
    return head, lines


def _value(kind: type[Any], line: bytes, name: str, head: dict[str, Any], where: str) -> Any:
    try:
        return build(kind, _json(line, where))
    except Unreadable as error:
        field = f"{name}.{error.field.lstrip('.')}" if error.field else name
        raise InvalidInput(where, field, error.problem, _newer(head)) from None


def _json(line: bytes, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise InvalidInput(where, "", "is no record of a decision, or is damaged", _OTHER) from None


def _newer(head: dict[str, Any]) -> str:
    return f"replay it with Polyhull {head.get('program')}, which wrote it"


def save(path: Path, packed: bytes) -> None:
    """A whole file or none."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_bytes(packed)
    os.replace(beside, path)


class Ring:
    """At most `limit` records and `limit_bytes` bytes in `directory` (made if missing)."""

    def __init__(self, directory: Path, limit: int = 200, limit_bytes: int = 256 * 2**20) -> None:
        self._directory, self._limit, self._limit_bytes = directory, limit, limit_bytes
        directory.mkdir(parents=True, exist_ok=True)

    def write(self, snapshot: Snapshot, decision: Decision, method: Method = Method.FULL) -> tuple[str, str]:
        """Name of the file and the digest of what it holds. Raises OSError when it cannot be kept."""
        packed, digest = dump(snapshot, decision, method)
        name = f"{int(snapshot.taken_at * 1000):015d}-{digest[:16]}{SUFFIX}"
        save(self._directory / name, packed)
        self._prune()
        return name, digest

    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._files())

    def _files(self) -> list[Path]:
        return sorted(self._directory.glob(f"*{SUFFIX}"))

    def _prune(self) -> None:
        files = self._files()
        sizes = [path.stat().st_size for path in files]
        while len(files) > 1 and (len(files) > self._limit or sum(sizes) > self._limit_bytes):
            files.pop(0).unlink(missing_ok=True)
            sizes.pop(0)
