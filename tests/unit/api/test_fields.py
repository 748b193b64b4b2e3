"""Each field of each kind: wrong type, negative, zero, absurdly large gives an error that names the field."""

import re

import pytest

from polyhull.api.kinds import BY_NAME
from polyhull.api.parse import parse
from tests.unit.api.samples import (
    SCHEMAS,
    Mutation,
    fields,
    full_objects,
    mutations,
    product_objects,
    schema_paths,
)


def test_the_samples_use_every_spec_field_of_every_kind() -> None:
    used: dict[str, set[str]] = {name: set() for name in BY_NAME}
    for raw in full_objects():
        schema = SCHEMAS[raw["kind"]]["properties"]["spec"]
        for steps, _, _ in fields(raw["spec"], schema):
            used[raw["kind"]].add(".".join(str(step) for step in steps if isinstance(step, str)))
    for name in BY_NAME:
        declared = set(schema_paths(SCHEMAS[name]["properties"]["spec"]))
        # The same template is declared at three places; one full use is enough.
        missing = {
            path
            for path in declared - used[name]
            if not re.match(r"^(variants\.|options\.)?template\.", path)
            and not path.startswith(
                ("placement.", "changes.addDevices.capacity.", "namespaceSelector.", "residency.")
            )
        }
        assert not missing, f"{name}: no sample uses {sorted(missing)}"
    assert "options.template.startupProbe.exec.command" in used["TrainingJob"]
    assert "placement.sites.matchExpressions.values" in used["TrainingJob"]


@pytest.mark.parametrize("raw", [*full_objects(), *product_objects()], ids=lambda raw: f"{raw['kind']}")
def test_the_samples_are_valid(raw: dict[str, object]) -> None:
    parsed = parse(raw, strict=True)
    assert parsed.problems == ()
    assert parsed.model is not None


def test_every_wrong_value_is_refused_by_an_error_that_names_the_field() -> None:
    checked, silent = 0, []
    for mutation in mutations():
        checked += 1
        if not _named(mutation):
            silent.append(str(mutation))
    assert not silent
    assert checked > 1500


def _named(mutation: Mutation) -> bool:
    problems = parse(mutation.raw, "file.yaml", strict=True).problems
    return any(
        problem.field == mutation.field and problem.problem and problem.remedy and "file.yaml" in problem.where
        for problem in problems
    )


@pytest.mark.parametrize("raw", full_objects(), ids=lambda raw: f"{raw['kind']}")
def test_an_unknown_field_is_an_error_in_files_and_ignored_from_clusters(raw: dict[str, dict[str, object]]) -> None:
    odd = {**raw, "spec": {**raw["spec"], "tpyo": 1}}
    assert [problem.field for problem in parse(odd, strict=True).problems] == ["spec.tpyo"]
    assert parse(odd).problems == ()


def test_bad_names_and_namespaces_are_named() -> None:
    raw = full_objects()[0]
    for name in ("Upper", "a/b", "..", "x" * 64, "", None, 7, "two\nlines"):
        problems = parse({**raw, "metadata": {"name": name}}, strict=True).problems
        assert [problem.field for problem in problems] == ["metadata.name"], name
    site = next(raw for raw in full_objects() if raw["kind"] == "Site")
    problems = parse({**site, "metadata": {"name": "a", "namespace": "b"}}, strict=True).problems
    assert [problem.field for problem in problems] == ["metadata.namespace"]


def test_a_foreign_kind_is_named() -> None:
    for raw in ({"apiVersion": "v1", "kind": "Pod"}, {}, {"apiVersion": "polyhull.io/v1alpha1", "kind": "Sight"}):
        assert [problem.field for problem in parse(raw).problems] == ["kind"]
