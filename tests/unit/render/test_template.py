"""The allow-list holds whatever a template contains, and equals the one of the kinds' schema."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from polyhull.api.v1alpha1.template import PodTemplate
from polyhull.domain.errors import InvalidInput
from polyhull.render import template as templates
from polyhull.render.pod import Extras, pod_spec
from tests.unit.render.render_values import GPU, TEMPLATE, keys_of

FORBIDDEN = (
    "hostPath", "hostNetwork", "hostPID", "hostIPC", "hostPort", "privileged", "procMount", "sysctls", "nodeName",
    "nodeSelector", "schedulerName", "priorityClassName", "runtimeClassName", "ephemeralContainers", "initContainers",
    "hostAliases", "projected", "serviceAccountToken", "csi", "nfs", "ownerReferences", "finalizers",
    "seLinuxOptions", "hostUsers", "capabilities", "host", "add", "resourceClaims", "schedulingGates", "dnsConfig",
    "volumeDevices",
)  # fmt: skip


def _shape(annotation: Any) -> Any:
    """The shape (as in ALLOWED) of a pydantic field's type."""
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {field.alias or name: _shape(field.annotation) for name, field in annotation.model_fields.items()}
    if getattr(annotation, "__origin__", None) is list:
        return [_shape(arguments[0])]
    shapes = [
        shape
        for argument in arguments
        if isinstance(argument, type) or get_args(argument)
        for shape in [_shape(argument)]
    ]
    return next((shape for shape in shapes if shape is not None), None)


def test_the_allow_list_is_that_of_the_schema() -> None:
    assert _shape(PodTemplate) == templates.ALLOWED


def test_a_template_that_uses_every_field_passes_both() -> None:
    templates.check(TEMPLATE, "here")
    PodTemplate.model_validate(TEMPLATE)


def _places(shape: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all objects in the allow-list."""
    if isinstance(shape, list):
        return _places(shape[0], (*path, 0))
    if isinstance(shape, dict):
        inner = [place for key, value in shape.items() for place in _places(value, (*path, key))]
        return [path, *inner]
    return []


def _planted(path: tuple[Any, ...], key: str) -> dict[str, Any]:
    value: Any = {key: True}
    for step in reversed(path):
        value = [value] if step == 0 else {step: value}
    return {"image": "x:1", **value}


@given(st.sampled_from(_places(dict(templates.ALLOWED))), st.sampled_from(FORBIDDEN))
def test_a_forbidden_field_is_refused_at_every_depth(path: tuple[Any, ...], key: str) -> None:
    with pytest.raises(InvalidInput, match=key):
        templates.check(_planted(path, key), "TrainingJob team-a/resnet")


_KEYS = st.sampled_from([*FORBIDDEN, *templates.ALLOWED]) | st.text(max_size=3)
_VALUES = st.sampled_from([None, True, "x", ["x"], [{"name": "a"}], {"exec": {"command": ["x"]}}, {"hostPath": {}}])


@given(st.dictionaries(_KEYS, _VALUES, max_size=3))
def test_an_unknown_field_never_reaches_a_pod(extra: dict[str, Any]) -> None:
    template = {"image": "x:1", **extra}
    unknown = set(extra) - set(templates.ALLOWED)
    try:
        spec = pod_spec(template, GPU, Extras(), "here")
    except InvalidInput:
        return
    assert not unknown
    assert not set(keys_of(spec)) & set(FORBIDDEN) - {"capabilities"}


@pytest.mark.parametrize(
    ("template", "field"),
    [
        ({}, "template.image"),
        ({"image": ""}, "template.image"),
        ({"image": ["x"]}, "template.image"),
        ({"image": "x", "command": "ls"}, "template.command"),
        ({"image": "x", "env": {"A": "b"}}, "template.env"),
        ({"image": "x", "resources": []}, "template.resources"),
        ({"image": "x", "volumes": [{"name": "v", "mountPath": "/v"}]}, r"template.volumes\[0\]"),
        ({"image": "x", "volumes": [{"name": "v", "emptyDir": {}, "secret": {}}]}, r"template.volumes\[0\]"),
        ({"image": "x", "securityContext": {"runAsUser": 0}}, "template.securityContext.runAsUser"),
        ({"image": "x", "resources": {"limits": {"nvidia.com/gpu": 1}}}, "nvidia.com/gpu"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(template: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        templates.check(template, "TrainingJob team-a/resnet")
