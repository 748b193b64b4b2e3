"""What the operator saw and what it said, kept for replay: one compressed file per decision in a bounded ring.

Files, never etcd: a fleet's snapshot is megabytes. Each file is written beside its final name and renamed, so that a
crash leaves whole records only; the oldest go first.
"""

import gzip
import hashlib
import os
import pickle
from pathlib import Path

from polyhull.domain.decision import Decision
from polyhull.domain.snapshot import Snapshot

SUFFIX = ".polyhull-record.gz"


class Ring:
    """At most `limit` records and `limit_bytes` bytes in `directory` (made if missing)."""

    def __init__(self, directory: Path, limit: int = 200, limit_bytes: int = 256 * 2**20) -> None:
        self._directory, self._limit, self._limit_bytes = directory, limit, limit_bytes
        directory.mkdir(parents=True, exist_ok=True)

    def write(self, snapshot: Snapshot, decision: Decision) -> tuple[str, str]:
        """Name of the file and the SHA-256 of what it holds (hexadecimal). Raises OSError when it cannot be kept."""
        body = pickle.dumps((snapshot, decision), protocol=5)
        digest = hashlib.sha256(body).hexdigest()
        name = f"{int(snapshot.taken_at * 1000):015d}-{digest[:16]}{SUFFIX}"
        beside = self._directory / f".{name}.tmp"
        beside.write_bytes(gzip.compress(body, compresslevel=3, mtime=0))
        os.replace(beside, self._directory / name)
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


class _Restricted(pickle.Unpickler):
    """Only our own values, so that opening somebody's record cannot run their code."""

    def find_class(self, module: str, name: str) -> type:
        if module.startswith("polyhull.domain.") or (module, name) in {
            ("builtins", "frozenset"),
            ("builtins", "set"),
        }:
            found = super().find_class(module, name)
            if isinstance(found, type):
                return found
        raise pickle.UnpicklingError(f"a record holds {module}.{name}, which is no value of Polyhull's")


def read(path: Path) -> tuple[Snapshot, Decision]:
    """A record back. Raises OSError, or pickle.UnpicklingError for anything that is not a record."""
    with gzip.open(path) as file:
        snapshot, decision = _Restricted(file).load()
    if not isinstance(snapshot, Snapshot) or not isinstance(decision, Decision):
        raise pickle.UnpicklingError(f"{path} is not a record of a decision")
    return snapshot, decision
