"""The accelerator catalogue: AcceleratorType objects as YAML files beside this module.

A new device is one entry in one of the files. In a cluster, AcceleratorType objects override by name.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from polyhull.api.convert_fleet import accelerator
from polyhull.domain.errors import BrokenPromise
from polyhull.domain.fleet import AcceleratorType

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C one is ten times as fast, which the start of every command feels."""


@cache
def builtin_objects() -> tuple[Mapping[str, Any], ...]:
    """The shipped objects as raw dicts, sorted by name; the chart installs the same ones."""
    found = []
    for entry in sorted(files(__name__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".yaml"):
            found += [raw for raw in yaml.load_all(entry.read_text(encoding="utf-8"), _LOADER) if raw]
    return tuple(sorted(found, key=lambda raw: str(raw["metadata"]["name"])))


@cache
def builtin_catalogue() -> tuple[AcceleratorType, ...]:
    """The shipped kinds of device, sorted by name. Raises BrokenPromise if a shipped entry is wrong."""
    kinds = []
    for raw in builtin_objects():
        converted = accelerator(raw, file="catalogue", strict=True)
        if converted.value is None or not converted.accepted:
            raise BrokenPromise(f"shipped catalogue entry is wrong: {converted.message}")
        kinds.append(converted.value)
    return tuple(kinds)


def catalogue_with(overrides: Iterable[AcceleratorType]) -> tuple[AcceleratorType, ...]:
    """The shipped catalogue with those of the cluster (or of files) put over it by name."""
    kinds = {kind.name: kind for kind in builtin_catalogue()} | {kind.name: kind for kind in overrides}
    return tuple(kinds[name] for name in sorted(kinds))
