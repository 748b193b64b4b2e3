"""The chart says what its sources say: CRDs, catalogue, version, and every value a schema knows."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import polyhull
from charts import sync

CHART = Path(__file__).parents[2] / "charts" / "polyhull"


def test_crds_and_catalogue_in_the_chart_are_current() -> None:
    assert sync.differences(sync.present(), sync.wanted()) == [], "run: python charts/sync.py"


def test_the_chart_s_version_is_the_package_s() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (polyhull.__version__, polyhull.__version__)


def _unknown(values: Any, schema: Any, path: str = "") -> list[str]:
    """Values without an entry in the schema."""
    if not isinstance(values, dict) or "properties" not in schema or schema.get("additionalProperties") is not False:
        return []
    known = schema["properties"]
    missing = [f"{path}{key}" for key in values if key not in known]
    return missing + [
        found for key in values if key in known for found in _unknown(values[key], known[key], f"{path}{key}.")
    ]


def test_the_schema_knows_every_value() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert schema["additionalProperties"] is False
    assert _unknown(values, schema) == []


CRD = """---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: links.polyhull.io
spec:
  maximum: 9223372036854775807
  rule: "'{{' in self"
"""


def test_a_crd_is_carried_over_as_text() -> None:
    template = sync.crd_template(CRD, "crds/links.yaml")
    assert "9223372036854775807" in template
    assert "'{{ \"{{\" }}' in self" in template
    assert template.startswith("# Written by charts/sync.py from crds/links.yaml")


def test_flow_style_metadata_becomes_a_block() -> None:
    template = sync.seed_template("kind: AcceleratorType\nmetadata: {name: cpu}\nspec: {}\n", "here")
    assert "  name: cpu\nspec: {}\n" in template
    assert 'include "polyhull.seedAnnotations"' in template


@pytest.mark.parametrize(
    "text", ["kind: A\nmetadata: {name: a, labels: {}}\n", "kind: A\nmetadata:\n  labels:\n    mine: x\n"]
)
def test_metadata_it_cannot_carry_over_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="here"):
        sync.seed_template(text, "here")


def test_labels_the_chart_gives_itself_are_not_given_twice() -> None:
    given = "kind: A\nmetadata:\n  name: a\n  labels:\n    app.kubernetes.io/name: polyhull\nspec: {}\n"
    template = sync.crd_template(given, "here")
    assert template.count("labels:") == 1
    assert "app.kubernetes.io/name" not in template


def test_differences_name_what_is_missing_stale_and_left_over() -> None:
    one, two, three = Path("crds/a.yaml"), Path("crds/b.yaml"), Path("crds/c.yaml")
    assert sync.differences({two: "old", three: "x"}, {one: "a", two: "new"}) == [
        "missing: crds/a.yaml",
        "stale: crds/b.yaml",
        "left over: crds/c.yaml",
    ]
    assert sync.differences({one: "a"}, {one: "a"}) == []
