"""Frozen dataclasses and named tuples as plain JSON values and back, led by their type hints: safe, exact, canonical.

What is written says nothing about classes; what is read builds only the class that the reader asked for, field by
field. Floats keep every bit (the shortest text that reads back equal), whole numbers stay whole, and what JSON has no
number for is the text `inf`, `-inf` or `nan`.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Callable
from enum import Enum
from functools import cache
from math import isfinite
from typing import Any, TypeVar, cast

T = TypeVar("T")
Reader = Callable[[Any, str], Any]

_PLAIN = frozenset({str, int, bool, type(None)})
_NOT_NUMBERS = {"inf", "-inf", "nan"}


class Unreadable(ValueError):
    """`field` is the path inside the value, `problem` what is wrong there."""

    def __init__(self, field: str, problem: str) -> None:
        self.field, self.problem = field, problem
        super().__init__(f"{field or 'it'} {problem}")


def canonical(value: Any) -> bytes:
    """One line of ASCII JSON: keys sorted, no spaces. Equal values give equal bytes."""
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def plain(value: Any) -> Any:
    """What has fields as maps, tuples as lists, sets sorted. Raises TypeError for anything a snapshot cannot hold."""
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if kind is tuple:
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset):
        return sorted(plain(item) for item in value)
    if _has_fields(kind):
        return {name: plain(getattr(value, name)) for name in _names(kind)}
    raise TypeError(f"{type(value).__name__} is no value of a snapshot or a decision")


def build(kind: type[T], value: Any) -> T:
    """The value of that class. Raises Unreadable, which names the field."""
    made: T = _reader(cast(Any, kind))(value, "")
    return made


def _has_fields(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) or (issubclass(kind, tuple) and hasattr(kind, "_fields"))


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else kind._fields


def _needed(kind: Any) -> frozenset[str]:
    """Fields without a default."""
    if not dataclasses.is_dataclass(kind):
        return frozenset(name for name in kind._fields if name not in kind._field_defaults)
    none = dataclasses.MISSING
    return frozenset(
        one.name for one in dataclasses.fields(kind) if one.default is none and one.default_factory is none
    )


@cache
def _reader(hint: Any) -> Reader:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return _tuple(arguments)
    if origin is frozenset:
        return _set(arguments[0])
    if origin in (types.UnionType, typing.Union):
        return _optional(arguments)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum(hint)
    if isinstance(hint, type) and _has_fields(hint):
        return _Record(hint)
    if hint is float:
        return _float
    if hint in (int, str, bool):
        return _exactly(hint)
    raise TypeError(f"no way to read {hint!r} is known; a field of a snapshot or a decision has that type")


class _Record:
    """Fields are looked up late, so that classes may name each other."""

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._fields: dict[str, Reader] = {}
        self._needed: frozenset[str] = frozenset()

    def __call__(self, value: Any, where: str) -> Any:
        if not self._fields:
            self._learn()
        if not isinstance(value, dict):
            raise Unreadable(where, f"is no {self._kind.__name__}")
        made = {}
        for name, item in value.items():
            reader = self._fields.get(name)
            if reader is None:
                raise Unreadable(f"{where}.{name}".lstrip("."), f"is no field of {self._kind.__name__} here")
            made[name] = reader(item, f"{where}.{name}")
        if missing := self._needed - made.keys():
            raise Unreadable(f"{where}.{min(missing)}".lstrip("."), "is missing")
        return self._kind(**made)

    def _learn(self) -> None:
        hints = typing.get_type_hints(self._kind)
        self._needed = _needed(self._kind)
        self._fields = {name: _reader(hints[name]) for name in _names(self._kind)}


def _tuple(arguments: tuple[Any, ...]) -> Reader:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _reader(arguments[0])

        def many(value: Any, where: str) -> Any:
            return tuple(item(one, f"{where}[{i}]") for i, one in enumerate(_list(value, where)))

        return many
    parts = tuple(_reader(argument) for argument in arguments)

    def fixed(value: Any, where: str) -> Any:
        if len(_list(value, where)) != len(parts):
            raise Unreadable(where, f"has {len(value)} entries instead of {len(parts)}")
        return tuple(part(one, f"{where}[{i}]") for i, (part, one) in enumerate(zip(parts, value, strict=True)))

    return fixed


def _set(argument: Any) -> Reader:
    item = _reader(argument)
    return lambda value, where: frozenset(item(one, where) for one in _list(value, where))


def _optional(arguments: tuple[Any, ...]) -> Reader:
    readers = [_reader(one) for one in arguments if one is not types.NoneType]
    if len(readers) != 1 or len(arguments) != 2:
        raise TypeError(f"no way to read a union of {arguments} is known")
    return lambda value, where: None if value is None else readers[0](value, where)


def _enum(hint: type[Enum]) -> Reader:
    def one(value: Any, where: str) -> Any:
        try:
            return hint(value)
        except ValueError:
            raise Unreadable(where, f"{value!r} is no {hint.__name__}") from None

    return one


def _float(value: Any, where: str) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _NOT_NUMBERS:
        return float(value)
    raise Unreadable(where, "is no number")


def _exactly(hint: type) -> Reader:
    def same(value: Any, where: str) -> Any:
        if type(value) is not hint:
            raise Unreadable(where, f"is no {hint.__name__}")
        return value

    return same


def _list(value: Any, where: str) -> Any:
    if not isinstance(value, list):
        raise Unreadable(where, "is no list")
    return value
