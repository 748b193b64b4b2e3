"""What conversion of every kind begins with: the parsed object, who it is, and what its fields say in general."""

from collections.abc import Mapping
from typing import Any, TypeVar

from polyhull.api.parse import parse, where_of
from polyhull.api.results import Converted, Findings, part
from polyhull.api.v1alpha1.common import LabelSelector, Object
from polyhull.api.v1alpha1.training import MANAGED_BY
from polyhull.domain.labels import Requirement, Selector, labels_of
from polyhull.domain.workloads import Key

Raw = Mapping[str, Any]
M = TypeVar("M", bound=Object)


def model_of(raw: Raw | M, model: type[M], file: str, strict: bool) -> tuple[M | None, Converted[Any] | None]:
    """The parsed model, or a Converted that carries why there is none."""
    if isinstance(raw, model):
        return raw, None
    assert isinstance(raw, Mapping)
    parsed = parse(raw, file, strict=strict)
    if parsed.model is None:
        return None, Converted(None, parsed.problems)
    if not isinstance(parsed.model, model):
        found = Findings(where_of(raw, file))
        found.invalid("kind", f"is {parsed.model.kind}", f"expected {model.__name__}")
        return None, Converted(None, tuple(found.problems))
    return parsed.model, None


def findings_for(job: Object, file: str) -> Findings:
    return Findings(where_of({"kind": job.kind, "metadata": job.metadata}, file))


def key_of(raw: Raw) -> Key:
    """Identity of a raw namespaced object."""
    metadata = raw["metadata"]
    return Key(metadata.get("namespace") or "default", metadata["name"], raw["kind"])


def managed_by_us(raw: Raw) -> bool:
    """Whether we may write anything about this object at all."""
    managed: object = part(raw, "spec").get("managedBy", MANAGED_BY)
    return managed == MANAGED_BY


def suspended(raw: Raw) -> bool:
    return part(raw, "spec").get("suspend") is True


def is_online(raw: Raw) -> bool:
    """Whether this is an online service (rather than something that ends)."""
    return raw.get("kind") == "InferenceJob" and part(raw, "spec").get("mode") == "Online"


def selector(spec: LabelSelector | None) -> Selector:
    if spec is None:
        return Selector()
    expressions = (
        Requirement(entry.key, entry.operator, tuple(entry.values or ())) for entry in spec.match_expressions or ()
    )
    return Selector(labels_of(spec.match_labels or {}), tuple(expressions))
