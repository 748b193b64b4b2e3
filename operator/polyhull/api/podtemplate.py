"""The pod of one option: the job's template with the option's merged over it, and what such a pod requests."""

from collections.abc import Mapping
from typing import Any

from polyhull.api.results import Findings
from polyhull.api.v1alpha1.template import PodTemplate
from polyhull.domain.resources import Resources

GRACE_SECONDS = 30.0
"""What Kubernetes leaves a pod to end by itself where nobody says."""
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
    at = f"{field}.resources"
    limits = {name: _said(base, over, "limits", name) for name in _AMOUNTS}
    asked = {name: _said(base, over, "requests", name) for name in _AMOUNTS}
    asked = {name: limits[name] if value is None else value for name, value in asked.items()}
    cpu = devices * 1000 if class_cpu else found.millicores(f"{at}.requests.cpu", asked["cpu"])
    memory = found.whole(f"{at}.requests.memory", asked["memory"])
    ephemeral = found.whole(f"{at}.requests.ephemeral-storage", asked["ephemeral_storage"])
    if any(value is not None for value in limits.values()):
        _check_limits((cpu, memory, ephemeral), limits, at, found)
    if not (over is not None and over.image) and not (base is not None and base.image):
        found.invalid(
            f"{field}.image", "no image for this option", "set image in template or in the option's template"
        )
    return Resources(devices, cpu, memory, ephemeral, 1)


def service_account(base: PodTemplate | None, over: PodTemplate | None) -> str:
    """The ServiceAccount that the merged template names; empty: none, and no token is mounted."""
    for template in (over, base):
        if template is not None and template.service_account_name:
            return template.service_account_name
    return ""


def grace_seconds(base: PodTemplate | None, over: PodTemplate | None) -> float:
    """What a pod of the merged template is left to end by itself."""
    for template in (over, base):
        if template is not None and template.termination_grace_period_seconds is not None:
            return float(template.termination_grace_period_seconds)
    return GRACE_SECONDS


_AMOUNTS = ("cpu", "memory", "ephemeral_storage")


def _said(base: PodTemplate | None, over: PodTemplate | None, part: str, name: str) -> int | str | None:
    """A request or limit of the merged template, without merging it."""
    for template in (over, base):
        amounts = getattr(template.resources, part) if template is not None and template.resources else None
        value: int | str | None = getattr(amounts, name) if amounts is not None else None
        if value is not None:
            return value
    return None


def _check_limits(
    requests: tuple[int, int, int], limits: Mapping[str, int | str | None], at: str, found: Findings
) -> None:
    have = (
        found.millicores(f"{at}.limits.cpu", limits["cpu"]),
        found.whole(f"{at}.limits.memory", limits["memory"]),
        found.whole(f"{at}.limits.ephemeral-storage", limits["ephemeral_storage"]),
    )
    for name, request, limit in zip(_AMOUNTS, requests, have, strict=True):
        if limits[name] is not None and limit < request:
            shown = f"{at}.limits.{name.replace('_', '-')}"
            found.invalid(shown, "is less than the request", "raise the limit, or take it out")
