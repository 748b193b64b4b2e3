"""`crds/` is what the models say, and every schema is structural, bounded and without floats."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from polyhull.api.kinds import KINDS, Kind
from polyhull.api.schema import crd, object_schema, render_crds, structural

CRDS = Path(__file__).parents[2] / "crds"
Schema = dict[str, Any]
ALLOWED = {
    "type", "description", "default", "enum", "format", "pattern", "minLength", "maxLength", "minimum", "maximum",
    "minItems", "maxItems", "maxProperties", "required", "properties", "items", "additionalProperties", "anyOf",
    "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-int-or-string",
    "x-kubernetes-map-type",
}  # fmt: skip


def nodes(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from nodes(part, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from nodes(schema[name], f"{path}[]")


def test_the_files_are_what_the_models_say() -> None:
    rendered = render_crds()
    assert {file.name for file in CRDS.glob("*.yaml")} == set(rendered), "run `python -m polyhull.api.schema crds`"
    for name, text in rendered.items():
        assert (CRDS / name).read_text() == text, f"{name} differs: run `python -m polyhull.api.schema crds`"


def test_the_files_are_one_crd_each() -> None:
    for kind in KINDS:
        read = yaml.safe_load((CRDS / f"polyhull.io_{kind.plural}.yaml").read_text())
        assert read == crd(kind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_schemas_are_structural_and_bounded(kind: Kind) -> None:
    for part in ("spec", "status"):
        for path, node in nodes(object_schema(kind)["properties"][part], part):
            assert set(node) <= ALLOWED, f"{path}: {set(node) - ALLOWED}"
            if node.get("x-kubernetes-int-or-string"):
                assert node["anyOf"] == [{"type": "integer"}, {"type": "string"}]
                assert node["pattern"]
                continue
            assert "anyOf" not in node, path
            _check_bounds(path, node)


def _check_bounds(path: str, node: Schema) -> None:
    match node["type"]:
        case "string":
            assert "maxLength" in node or "enum" in node, f"{path} is an unbounded text"
            for value in node.get("enum", ()):
                assert value[:1].isupper() or path.endswith(("precision", "fieldPath")), f"{path}: {value}"
        case "integer":
            assert {"minimum", "maximum", "format"} <= set(node), f"{path} is an unbounded number"
            assert node["maximum"] < 2**53, f"{path}: JSON does not keep numbers above 2^53 exact"
        case "array":
            assert "maxItems" in node, f"{path} is an unbounded list"
        case "object":
            assert "properties" in node or "maxProperties" in node, f"{path} is an unbounded map"
        case "boolean":
            pass
        case other:
            raise AssertionError(f"{path}: {other} (floats are not allowed)")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_list_told_apart_by_a_key_requires_that_key(kind: Kind) -> None:
    for path, node in nodes(object_schema(kind)["properties"]["spec"], "spec"):
        for key in node.get("x-kubernetes-list-map-keys", ()):
            assert key in node["items"].get("required", ()), path


def test_a_real_union_is_refused_by_the_generator() -> None:
    with pytest.raises(ValueError, match="not structural"):
        structural({"anyOf": [{"type": "integer"}, {"type": "object"}]}, {})


def test_an_explanation_cannot_grow_beyond_four_kibibytes() -> None:
    job = next(kind for kind in KINDS if kind.name == "TrainingJob")
    explanation = object_schema(job)["properties"]["status"]["properties"]["explanation"]["properties"]
    other = explanation["alternatives"]["items"]["properties"]
    per_alternative = sum(other[name]["maxLength"] for name in ("cluster", "pool", "option")) + 80
    assert explanation["binds"]["maxLength"] + explanation["alternatives"]["maxItems"] * per_alternative + 300 <= 4096
