"""Raw objects to models, with errors that a person can act on: field path, problem, what to write.

Nothing is raised: one bad field must not hide the next, and one bad object must not stop the others.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from polyhull.api.kinds import BY_NAME
from polyhull.api.v1alpha1.common import API_VERSION, HINTS, NAME_PATTERN, Object
from polyhull.domain.errors import InvalidInput

Raw = Mapping[str, Any]
MOST_NAME = 63


@dataclass(frozen=True, slots=True)
class Parsed:
    """A model, or what is wrong with the object; never both, never neither."""

    model: Object | None
    problems: tuple[InvalidInput, ...] = ()


def where_of(raw: Raw, file: str = "") -> str:
    """`jobs.yaml: TrainingJob team-a/resnet`, as errors call the object."""
    metadata = raw.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    name = str(metadata.get("name") or "(no name)")
    name = name if len(name) <= MOST_NAME else f"{name[:MOST_NAME]}…"
    namespace = metadata.get("namespace")
    identity = f"{raw.get('kind') or 'object'} {f'{namespace}/' if namespace else ''}{name}"
    return f"{file}: {identity}" if file else identity


def field_path(location: tuple[int | str, ...]) -> str:
    """("spec", "options", 0, "rate") as `spec.options[0].rate`."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part in _UNION_TAGS or part.startswith(("constrained-", "function-")):
            continue
        else:
            text += f".{part}" if text else part
    return text


_UNION_TAGS = frozenset({"int", "str"})
"""pydantic names the member of `int | str` in its paths; no field of ours has such a name."""


def parse(raw: Raw, file: str = "", *, strict: bool = False) -> Parsed:
    """The model of a raw object of ours.

    `strict` (files): a field nobody knows is an error that names it. Otherwise (clusters) it is ignored, since a
    newer CRD may have put it there.
    """
    where = where_of(raw, file)
    kind = BY_NAME.get(str(raw.get("kind")))
    if raw.get("apiVersion") != API_VERSION or kind is None:
        given = f"{raw.get('apiVersion')}, {raw.get('kind')}"
        remedy = f"write apiVersion: {API_VERSION} and one of the kinds {', '.join(BY_NAME)}"
        return Parsed(None, (InvalidInput(where, "kind", f"{given} is not a kind of Polyhull", remedy),))
    problems: tuple[InvalidInput, ...] = ()
    if strict:
        problems = _metadata_problems(raw, where, namespaced=kind.namespaced)
    try:
        model = kind.model.model_validate(raw, extra="forbid" if strict else None)
    except ValidationError as error:
        details = error.errors(include_url=False)
        found = [_problem(where, detail) for detail in details if detail["loc"][-1:] != ("int",)]
        return Parsed(None, _distinct([*problems, *found]))
    return Parsed(None, problems) if problems else Parsed(model)


def _distinct(found: list[InvalidInput]) -> tuple[InvalidInput, ...]:
    """One error per field. (A failed `int | str` reports each member; the text's error says what to write.)"""
    kept: dict[str, InvalidInput] = {}
    for problem in found:
        kept.setdefault(problem.field, problem)
    return tuple(kept.values())


def _metadata_problems(raw: Raw, where: str, *, namespaced: bool) -> tuple[InvalidInput, ...]:
    metadata = raw.get("metadata")
    if not isinstance(metadata, Mapping):
        return (InvalidInput(where, "metadata", "is missing", "add metadata with a name"),)
    found = []
    name = metadata.get("name")
    if not isinstance(name, str) or len(name) > MOST_NAME or re.fullmatch(NAME_PATTERN[1:-1], name) is None:
        remedy = f"write {HINTS[NAME_PATTERN]} of at most {MOST_NAME} characters"
        if isinstance(name, int | float):
            remedy = "YAML reads it as a number or a truth value: put it in quotes"
        found.append(InvalidInput(where, "metadata.name", f"{_shown(name)} is not a usable name", remedy))
    if not namespaced and metadata.get("namespace"):
        found.append(InvalidInput(where, "metadata.namespace", "this kind is cluster-scoped", "take namespace out"))
    return tuple(found)


def _problem(where: str, detail: ErrorDetails) -> InvalidInput:
    field = field_path(detail["loc"])
    context = detail.get("ctx") or {}
    match detail["type"]:
        case "extra_forbidden":
            return InvalidInput(where, field, "is not a field of this kind", "check its spelling, or take it out")
        case "missing":
            return InvalidInput(where, field, "is missing", "add it")
        case "string_pattern_mismatch":
            hint = HINTS.get(str(context.get("pattern")), f"text that matches {context.get('pattern')}")
            return InvalidInput(where, field, f"{_shown(detail['input'])} does not fit", f"write {hint}")
        case "literal_error":
            given = _shown(detail["input"])
            return InvalidInput(where, field, f"{given} is not a choice", f"write one of {context.get('expected')}")
        case "string_type":
            return InvalidInput(where, field, f"{_shown(detail['input'])} is not text", "put it in quotes")
        case "int_type":
            return InvalidInput(
                where, field, f"{_shown(detail['input'])} is not a whole number", "write one, unquoted"
            )
        case "bool_type":
            return InvalidInput(where, field, f"{_shown(detail['input'])} is not a boolean", "write true or false")
        case "model_type" | "dict_type":
            return InvalidInput(where, field, f"{_shown(detail['input'])} is not a map of fields", "write a map")
        case "list_type":
            return InvalidInput(where, field, f"{_shown(detail['input'])} is not a list", "write a list")
        case "greater_than_equal" | "less_than_equal":
            bound = context.get("ge", context.get("le"))
            word = "at least" if "ge" in context else "at most"
            return InvalidInput(where, field, f"{_shown(detail['input'])} is out of range", f"write {word} {bound}")
        case "too_short":
            return InvalidInput(where, field, "is too short", f"write at least {_items(context.get('min_length'))}")
        case "too_long":
            return InvalidInput(where, field, "is too long", f"write at most {_items(context.get('max_length'))}")
        case "string_too_long" | "string_too_short":
            return InvalidInput(where, field, _lower(detail["msg"]), "change its length")
        case _:
            remedy = str(context.get("remedy", "correct it"))
            return InvalidInput(where, field, str(context.get("problem", _lower(detail["msg"]))), remedy)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _items(count: object) -> str:
    return f"{count} item" if count == 1 else f"{count} items"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
