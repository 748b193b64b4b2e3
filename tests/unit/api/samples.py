"""Sample objects of every kind, and what can be wrong with each of their fields, derived from the CRD schemas."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from polyhull.api.kinds import BY_NAME
from polyhull.api.parse import field_path
from polyhull.api.schema import object_schema

HERE = Path(__file__).parent
Raw = dict[str, Any]
Steps = tuple[int | str, ...]
SCHEMAS = {name: object_schema(kind) for name, kind in BY_NAME.items()}


def product_objects() -> list[Raw]:
    return list(yaml.safe_load_all((HERE / "product_objects.yaml").read_text()))


def full_objects() -> list[Raw]:
    # Through text, so that YAML's aliases do not make two fields one object.
    return [copy.deepcopy(raw) for raw in yaml.safe_load_all((HERE / "full_objects.yaml").read_text())]


def replaced(raw: Raw, steps: Steps, value: Any) -> Raw:
    """A copy of `raw` with the value at `steps` replaced."""
    if not steps:
        return value  # type: ignore[no-any-return]
    head, rest = steps[0], steps[1:]
    out: Any = list(raw) if isinstance(raw, list) else dict(raw)
    out[head] = replaced(out[head], rest, value)
    return out  # type: ignore[no-any-return]


def fields(value: Any, schema: Raw, steps: Steps = ()) -> Iterator[tuple[Steps, Any, Raw]]:
    """Every field in use below `value`: where, its value, its schema."""
    yield steps, value, schema
    if isinstance(value, dict) and "properties" in schema:
        for name, part in value.items():
            yield from fields(part, schema["properties"][name], (*steps, name))
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from fields(part, schema["additionalProperties"], (*steps, name))
    elif isinstance(value, list):
        for index, part in enumerate(value[:1] if value and not isinstance(value[0], dict) else value):
            yield from fields(part, schema["items"], (*steps, index))


def schema_paths(schema: Raw, path: str = "") -> Iterator[str]:
    """Every field a schema has, list indexes left out."""
    for name, part in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here
        yield from schema_paths(part, here)
    if "items" in schema:
        yield from schema_paths(schema["items"], path)


def wrong_values(schema: Raw) -> list[Any]:
    """Values that a field of this schema must refuse: wrong type, negative, zero, absurdly large, empty."""
    if schema.get("x-kubernetes-int-or-string"):
        return [-1, "-1", "one", "", True, {}, [], "9" * 40, "1e400", "NaN"]
    match schema["type"]:
        case "string":
            return _wrong_strings(schema)
        case "integer":
            too_small = schema["minimum"] - 1
            return [
                "1",
                {},
                True,
                1.5,
                too_small,
                *([0] if schema["minimum"] > 0 else []),
                schema["maximum"] * 10 + 1,
            ]
        case "boolean":
            return ["true", 1, {}]
        case "array":
            return ["text", {}, 7, *([[]] if schema.get("minItems") else [])]
        case "object":
            return ["text", 7, []]
    raise AssertionError(f"unexpected type in {schema}")


def _wrong_strings(schema: Raw) -> list[Any]:
    wrong: list[Any] = [7, {}, True, "x" * (schema.get("maxLength", 200_000) + 1)]
    if "enum" in schema:
        return [7, {}, "Nonsense", ""]
    if schema.get("format") == "date-time":
        return [7, "tomorrow", "2026-13-01T00:00:00Z", "2026-12-01"]
    pattern = schema.get("pattern", "")
    if pattern.startswith(("^[0-9]{1,15}", "^(0{0,14}", "^(0\\.")):
        wrong += ["-1", "NaN", "Infinity", "1e308", "0x10", "1" * 16, "", " 1"]
        if not pattern.startswith("^[0-9]"):
            wrong += ["0", "0.0"]
    elif pattern.startswith("^[a-z0-9](["):
        wrong += ["Upper", "../up", "-dash", "new\nline", "", "{{x}}", "a/b/c"]
        wrong += [] if "/" in pattern else ["other-namespace/name"]
    elif schema.get("minLength"):
        wrong.append("")
    return wrong


@dataclass(frozen=True)
class Mutation:
    """One wrong value in one field of one sample."""

    raw: Raw
    field: str
    value: Any

    def __str__(self) -> str:
        shown = repr(self.value)
        name = f"{self.raw['kind']}/{self.raw['metadata']['name']}"
        return f"{name}: {self.field} = {shown if len(shown) < 40 else shown[:37] + '...'}"


def mutations() -> Iterator[Mutation]:
    """Every wrong value in every spec field of every full sample."""
    for raw in full_objects():
        schema = SCHEMAS[raw["kind"]]["properties"]["spec"]
        for steps, _, part in fields(raw["spec"], schema):
            for value in wrong_values(part):
                full = ("spec", *steps)
                yield Mutation(replaced(raw, full, value), field_path(full), value)
