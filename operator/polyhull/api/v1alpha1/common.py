"""Field types and parts shared by all kinds.

Every string, list, map and integer is bounded here, because an API server stores whatever its schema lets
through. Strict types: `replicas: "3"` or `rate: 38.2` (unquoted) is an error here as it is at admission.
Unknown fields are ignored when read from a cluster (a newer CRD may have them) and refused in files.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

GROUP = "polyhull.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
MAX_WHOLE = 2**53 - 1
"""The largest whole number JSON keeps exact; the API server refuses an int64 field whose bound lies above it."""

LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
POOL_PATTERN = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?/[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"
DECIMAL_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,9})?$"
POSITIVE_PATTERN = r"^(0{0,14}[1-9][0-9]{0,14}(\.[0-9]{1,9})?|0{1,15}\.0{0,8}[1-9][0-9]{0,8})$"
SHARE_PATTERN = r"^(0\.0{0,3}[1-9][0-9]{0,3}|1(\.0{1,4})?)$"
QUANTITY_PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,9})?(m|[kMGTPE]|[KMGTPE]i)?$"
PATH_PATTERN = r"^/[^:\s]*$"
LABEL_VALUE_PATTERN = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
LABEL_KEY_PATTERN = r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
INSTANT_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)

HINTS = {
    LABEL_PATTERN: "a lower-case name such as edge-a (letters, digits, dashes)",
    NAME_PATTERN: "a lower-case name such as edge-a (letters, digits, dashes, dots; never namespace/name)",
    POOL_PATTERN: "a pool name such as edge-a/ascend-310p",
    DECIMAL_PATTERN: 'a decimal number in quotes such as "38.2", at most 15 digits before the point',
    POSITIVE_PATTERN: 'a decimal number above zero in quotes such as "38.2", at most 15 digits before the point',
    SHARE_PATTERN: 'a share above 0 and at most 1 in quotes such as "0.9"',
    QUANTITY_PATTERN: "a quantity such as 200Mi, 4k or 1500",
    PATH_PATTERN: "an absolute path such as /data",
    LABEL_VALUE_PATTERN: "a label value (letters, digits, dashes, dots, underscores)",
    LABEL_KEY_PATTERN: "a label key such as example.com/tier",
    INSTANT_PATTERN: "an instant such as 2026-12-01T00:00:00Z",
}
"""What to write where a pattern did not match; errors quote it instead of the pattern."""


class Model(BaseModel):
    """Base of every part: camelCase on the wire, strict, frozen, unknown fields ignored unless asked otherwise."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        strict=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        validate_by_alias=True,
        validate_by_name=False,
        defer_build=True,
    )


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """`json_schema_extra` that carries CEL rules: (expression, message) each."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


def keyed(*keys: str) -> dict[str, Any]:
    """`json_schema_extra` of a list whose items are told apart by `keys`; the API server refuses duplicates."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def exactly_one(*names: str) -> tuple[str, str]:
    """CEL rule for a union: one member is set."""
    total = " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)
    return f"{total} == 1", f"set exactly one of {', '.join(names)}"


def at_most_one(*names: str) -> tuple[str, str]:
    """CEL rule for an optional union."""
    total = " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)
    return f"{total} <= 1", f"set at most one of {', '.join(names)}"


def immutable(*names: str, optional: bool = False, when: str = "") -> list[tuple[str, str]]:
    """CEL rules: these fields never change (optional ones neither come nor go), `when` an expression holds."""
    out = []
    for name in names:
        rule = f"self.{name} == oldSelf.{name}"
        if optional:
            rule = f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || {rule})"
        if when:
            rule = f"!({when}) || ({rule})"
        out.append((rule, f"{name} is immutable: delete the object and create another"))
    return out


def count_set(part: BaseModel, *names: str) -> int:
    """How many of the (Python) field names are set, for unions."""
    return sum(getattr(part, name) is not None for name in names)


def fail(kind: str, problem: str, remedy: str) -> PydanticCustomError:
    """A validation error that says what to write instead; raise it from validators."""
    return PydanticCustomError(kind, "{problem}", {"problem": problem, "remedy": remedy})


def _unique(key: str) -> Any:
    def check(items: list[Any]) -> list[Any]:
        seen: set[Any] = set()
        for item in items:
            value = getattr(item, key)
            if value in seen:
                raise fail("duplicate", f"{to_camel(key)} {value!r} is used twice", "give each entry its own")
            seen.add(value)
        return items

    return AfterValidator(check)


unique = _unique
"""`Annotated[list[T], unique("name")]`: the same promise as `keyed("name")`, for files."""


def _bounded_quantity(value: int | str) -> int | str:
    if isinstance(value, int) and not 0 <= value <= MAX_WHOLE:
        raise fail("quantity", f"{value} is out of range", f"write {HINTS[QUANTITY_PATTERN]}")
    return value


def _real_instant(text: str) -> str:
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        problem, remedy = f"{text!r} is no day and time there is", f"write {HINTS[INSTANT_PATTERN]}"
        raise fail("instant", problem, remedy) from None
    return text


Label = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL_PATTERN)]
Name = Annotated[str, Field(min_length=1, max_length=63, pattern=NAME_PATTERN)]
"""Name of an object of ours (or of an option, variant, entry): at most 63, so that it fits a label value."""
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=NAME_PATTERN)]
"""Name of somebody else's object in the same namespace."""
PoolName = Annotated[str, Field(min_length=3, max_length=190, pattern=POOL_PATTERN)]
Decimal = Annotated[str, Field(max_length=25, pattern=DECIMAL_PATTERN)]
PositiveDecimal = Annotated[str, Field(max_length=25, pattern=POSITIVE_PATTERN)]
Share = Annotated[str, Field(max_length=6, pattern=SHARE_PATTERN)]
_QuantityText = Annotated[str, Field(min_length=1, max_length=32, pattern=QUANTITY_PATTERN)]
Quantity = Annotated[
    int | _QuantityText,
    AfterValidator(_bounded_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maximum": MAX_WHOLE,
            "maxLength": 32,
            "pattern": QUANTITY_PATTERN,
        }
    ),
]
Instant = Annotated[
    str,
    AfterValidator(_real_instant),
    Field(max_length=40, pattern=INSTANT_PATTERN, json_schema_extra={"format": "date-time", "pattern": None}),
]
MountPath = Annotated[str, Field(min_length=1, max_length=512, pattern=PATH_PATTERN)]
Text = Annotated[str, Field(max_length=1024)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE_PATTERN)]
LabelKey = Annotated[str, Field(min_length=1, max_length=317, pattern=LABEL_KEY_PATTERN)]
LabelMap = Annotated[dict[str, LabelValue], Field(max_length=32)]
Seconds = Annotated[int, Field(ge=0, le=10**10)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Bytes = Annotated[int, Field(ge=0, le=MAX_WHOLE)]


class Requirement(Model):
    """One expression of a label selector."""

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Annotated[list[LabelValue], Field(max_length=32)] | None = None


class LabelSelector(Model):
    """Selects by labels; the empty one selects everything."""

    match_labels: LabelMap | None = None
    match_expressions: Annotated[list[Requirement], Field(max_length=16)] | None = None


class NameRef(Model):
    """An object of the same namespace (or a cluster-scoped one), by name."""

    name: Name


class Condition(Model):
    """metav1.Condition."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    message: Annotated[str, Field(max_length=4096)]
    last_transition_time: Instant
    observed_generation: Annotated[int, Field(ge=0, le=MAX_WHOLE)] | None = None


Conditions = Annotated[list[Condition], Field(max_length=16, json_schema_extra=keyed("type"))]


class Status(Model):
    """What every kind says back at least."""

    observed_generation: Annotated[int, Field(ge=0, le=MAX_WHOLE)] | None = None
    """Generation of the spec this status answers."""
    conditions: Conditions | None = None


class Object(Model):
    """A Kubernetes object; `metadata` stays as the API server wrote it."""

    api_version: Literal["polyhull.io/v1alpha1"]
    kind: str
    metadata: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.metadata.get("name", ""))

    @property
    def namespace(self) -> str:
        return str(self.metadata.get("namespace", "") or "default")
