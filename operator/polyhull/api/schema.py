"""CustomResourceDefinitions from the models: structural, bounded, with defaults, CEL rules and printer columns.

`python -m polyhull.api.schema DIR` writes one file per kind; a test fails when `crds/` differs.
What pydantic writes and an API server refuses is rewritten here: `$ref` is inlined, `anyOf` with null collapses
to an optional field, titles go, `const` becomes an enum of one.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from polyhull.api.kinds import KINDS, Column, Kind
from polyhull.api.v1alpha1.common import GROUP, VERSION

Schema = dict[str, Any]
_COPIED = (
    "type",
    "description",
    "default",
    "enum",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "maxProperties",
    "required",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-int-or-string",
)
NAME_RULE = {
    "rule": "size(self.metadata.name) <= 63",
    "message": "names of Polyhull's objects have at most 63 characters, so that they fit into labels",
}


def render_crds() -> dict[str, str]:
    """File name -> YAML text of each CustomResourceDefinition."""
    out = {}
    for kind in KINDS:
        text = yaml.safe_dump(crd(kind), sort_keys=False, width=110, allow_unicode=True)
        out[f"{GROUP}_{kind.plural}.yaml"] = (
            f"# Generated from operator/polyhull/api by `make crds`; do not edit.\n{text}"
        )
    return out


def crd(kind: Kind) -> Schema:
    """One CustomResourceDefinition as a plain dict."""
    subresources: Schema = {"status": {}}
    if kind.scale:
        subresources["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": subresources,
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
        "schema": {"openAPIV3Schema": object_schema(kind)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/name": "polyhull", "app.kubernetes.io/part-of": "polyhull"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short],
                "categories": ["polyhull"],
            },
            "versions": [version],
        },
    }


def object_schema(kind: Kind) -> Schema:
    """The structural schema of a kind's objects."""
    raw = kind.model.model_json_schema(by_alias=True)
    schema = structural(raw, raw.get("$defs", {}))
    properties = schema["properties"]
    properties["apiVersion"] = {"type": "string"}
    properties["kind"] = {"type": "string"}
    properties["metadata"] = {"type": "object"}
    if "status" in properties:
        # Written whole and by us alone. Field by field the record of who wrote what was half of each object.
        properties["status"]["x-kubernetes-map-type"] = "atomic"
    schema["required"] = [name for name in schema.get("required", ()) if name == "spec"]
    if not schema["required"]:
        del schema["required"]
    schema["x-kubernetes-validations"] = [NAME_RULE, *schema.get("x-kubernetes-validations", ())]
    order = ("description", "type", "required", "x-kubernetes-validations", "properties")
    return {name: schema[name] for name in order if name in schema}


def structural(node: Mapping[str, Any], defs: Mapping[str, Any]) -> Schema:
    """A JSON schema as pydantic writes it, as a structural one."""
    node = _resolved(node, defs)
    out: Schema = {name: node[name] for name in _COPIED if node.get(name) is not None}
    if "const" in node:
        out["enum"] = [node["const"]]
    if node.get("x-kubernetes-int-or-string"):
        out["anyOf"] = node["anyOf"]
    if out.get("type") == "integer":
        out["format"] = "int64" if max(abs(out.get("minimum", 0)), out.get("maximum", 0)) >= 2**31 else "int32"
    if "items" in node:
        out["items"] = structural(node["items"], defs)
    if "properties" in node:
        out["properties"] = {name: structural(part, defs) for name, part in node["properties"].items()}
    if isinstance(node.get("additionalProperties"), Mapping):
        out["additionalProperties"] = structural(node["additionalProperties"], defs)
    return out


def _resolved(node: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    """`$ref` inlined and an optional field's union collapsed; what stands beside them wins."""
    while True:
        beside = {name: value for name, value in node.items() if name not in ("$ref", "anyOf", "allOf")}
        if "$ref" in node:
            node = {**defs[node["$ref"].rpartition("/")[2]], **beside}
        elif "anyOf" in node and not node.get("x-kubernetes-int-or-string"):
            members = [part for part in node["anyOf"] if part.get("type") != "null"]
            if len(members) == 2 and all(part.get("type") == "string" for part in members):
                members = members[:1] if "pattern" not in members[0] else members[1:]
            if len(members) != 1:
                raise ValueError(f"a union is not structural: {node}")
            node = {**members[0], **beside}
        else:
            return node


def _column(column: Column) -> Schema:
    out: Schema = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return out | {"priority": 1} if column.wide else out


def main(arguments: list[str]) -> int:
    """Write the files into the folder named first (`crds` if none is)."""
    folder = Path(arguments[0] if arguments else "crds")
    folder.mkdir(parents=True, exist_ok=True)
    files = render_crds()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    print(f"{len(files)} files in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
