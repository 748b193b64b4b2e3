"""What the compiled kernel is made of. Standard library only: the build runs this file alone, before any install."""

from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIBRARY = HERE / "_kernel.so"
SOURCES = tuple(
    HERE / f"{name}.c" for name in ("timeline", "simulate", "board", "schedule", "search", "polish", "turns")
)
FLAGS = ("-std=c11", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-fvisibility=default")
"""No fused multiply-add and no -march: the same bits as Python's floats on every machine."""


def version() -> str:
    """A digest of sources and flags; a library that says another one is stale."""
    digest = sha256(" ".join(FLAGS).encode())
    for file in (*SOURCES, HERE / "kernel.h"):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
