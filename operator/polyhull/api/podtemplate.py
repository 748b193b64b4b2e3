"""The pod of one option: the job's template with the option's merged over it, and what such a pod requests."""

from collections.abc import Mapping
from typing import Any

from polyhull.api.results import Findings
from polyhull.api.v1alpha1.template import PodTemplate
from polyhull.domain.resources import Resources

_MERGED_INSIDE = ("resources", "securityContext")
"""Plain records that merge member by member; everything else (lists, probes: unions) is replaced whole."""


def pod_template(raw_job: Mapping[str, Any], option_name: str) -> dict[str, Any]:
    """The allow-listed template of an option (or variant) as plain JSON values with camelCase keys.

    Only fields of the allow-list come through, whatever the raw object holds. Raises KeyError for an option
    that the job has not got, pydantic's ValidationError for a template that parsing would have refused.
    """
    spec = raw_job["spec"]
    entries = spec.get("options") or spec.get("variants") or ()
    entry = next((entry for entry in entries if entry.get("name") == option_name), None)
    if entry is None:
        raise KeyError(f"no option or variant named {option_name!r}")
    merged = merge(spec.get("template") or {}, entry.get("template") or {})
    model = PodTemplate.model_validate(merged)
    return model.model_dump(by_alias=True, exclude_none=True, mode="json")


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` replaces `base` field by field, lists whole; resources and securityContext member by member."""
    out = dict(base)
    for name, value in over.items():
        if name in _MERGED_INSIDE and isinstance(value, Mapping) and isinstance(out.get(name), Mapping):
            out[name] = _merge_deep(out[name], value)
        else:
            out[name] = value
    return out


def _merge_deep(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for name, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(out.get(name), Mapping)
        out[name] = _merge_deep(out[name], value) if nested else value
    return out


def pod_requests(
    base: PodTemplate | None, over: PodTemplate | None, devices: int, *, class_cpu: bool, field: str, found: Findings
) -> Resources:
    """What one pod requests of a node, devices included. For class CPU a device is a core and sets cpu."""
    raw = merge(_plain(base), _plain(over))
    resources = raw.get("resources") or {}
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    at = f"{field}.resources.requests"

    def asked(name: str) -> int | str | None:
        value: int | str | None = requests.get(name, limits.get(name))
        return value

    cpu = found.millicores(f"{at}.cpu", asked("cpu"))
    if class_cpu:
        cpu = devices * 1000
    memory = found.whole(f"{at}.memory", asked("memory"))
    ephemeral = found.whole(f"{at}.ephemeral-storage", asked("ephemeral-storage"))
    _check_limits(cpu, memory, ephemeral, limits, field, found)
    if not raw.get("image"):
        found.invalid(
            f"{field}.image", "no image for this option", "set image in template or in the option's template"
        )
    return Resources(devices, cpu, memory, ephemeral, 1)


def _check_limits(
    cpu: int, memory: int, ephemeral: int, limits: Mapping[str, Any], field: str, found: Findings
) -> None:
    at = f"{field}.resources.limits"
    rows = (
        ("cpu", cpu, found.millicores(f"{at}.cpu", limits.get("cpu"))),
        ("memory", memory, found.whole(f"{at}.memory", limits.get("memory"))),
        ("ephemeral-storage", ephemeral, found.whole(f"{at}.ephemeral-storage", limits.get("ephemeral-storage"))),
    )
    for name, request, limit in rows:
        if name in limits and limit < request:
            found.invalid(f"{at}.{name}", "is less than the request", "raise the limit, or take it out")


def _plain(template: PodTemplate | None) -> dict[str, Any]:
    return {} if template is None else template.model_dump(by_alias=True, exclude_none=True, mode="json")
