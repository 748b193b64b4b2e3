"""What conversion hands back: a value, or everything that stands against it, collected."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar

from polyhull.api.conditions import Reason
from polyhull.domain.errors import InvalidInput
from polyhull.domain.units import parse_decimal, parse_millicores, parse_whole

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A field that makes sense but is not acted on (or not allowed). `message` is "problem; what to do"."""

    field: str
    message: str
    reason: str = Reason.NOT_SUPPORTED

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"

    def as_problem(self, where: str, line: int | None = None) -> InvalidInput:
        """The same as a finding about a file."""
        problem, _, remedy = self.message.partition("; ")
        return InvalidInput(where, self.field, f"{problem} ({self.reason})", remedy or "correct it", line)


@dataclass(frozen=True, slots=True)
class Converted(Generic[T]):
    """`value` is None when there are problems. With refusals a value may exist, but must not be acted on."""

    value: T | None
    problems: tuple[InvalidInput, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.value is not None and not self.problems and not self.refusals

    @property
    def reason(self) -> str:
        """For `Accepted`: the first thing that stands against the object, as a CamelCase word."""
        if self.problems:
            return Reason.INVALID_SPEC
        return self.refusals[0].reason if self.refusals else Reason.VALID

    @property
    def message(self) -> str:
        """For `Accepted`: each field, what is wrong and what to do."""
        said = [f"{problem.field}: {problem.problem}; {problem.remedy}" for problem in self.problems]
        return ". ".join(said + [str(refusal) for refusal in self.refusals])


@lru_cache(4096)
def _whole(text: str) -> int:
    return parse_whole(text)


@lru_cache(4096)
def _millicores(text: str) -> int:
    return parse_millicores(text)


@lru_cache(4096)
def _decimal(text: str) -> float:
    return float(parse_decimal(text))


def part(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A map inside a raw object; empty where there is none, or something else (anybody may write anything)."""
    value = raw.get(name)
    # What JSON was read into is a dict, and asking an abstract class takes ten times as long.
    return value if type(value) is dict or isinstance(value, Mapping) else {}


class Findings:
    """Collects problems and refusals while one object is converted."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.problems: list[InvalidInput] = []
        self.refusals: list[Refusal] = []

    def invalid(self, field: str, problem: str, remedy: str) -> None:
        self.problems.append(InvalidInput(self.where, field, problem, remedy))

    def refuse(self, field: str, message: str, reason: str = Reason.NOT_SUPPORTED) -> None:
        self.refusals.append(Refusal(field, message, reason))

    def whole(self, field: str, value: int | str | None, *, most: int = 2**60) -> int:
        """A quantity in whole units, 0 for None; too much is a problem of the field."""
        if value is None:
            return 0
        return self._bounded(field, _whole(str(value)), str(value), most)

    def millicores(self, field: str, value: int | str | None) -> int:
        if value is None:
            return 0
        return self._bounded(field, _millicores(str(value)), str(value), 10**9)

    def decimal(self, value: str | None) -> float:
        return 0.0 if value is None else _decimal(value)

    def maybe_decimal(self, value: str | None) -> float | None:
        """None stays None: unknown is not zero."""
        return None if value is None else _decimal(value)

    def instant(self, field: str, value: str | None) -> float | None:
        """Seconds since the epoch of an RFC 3339 instant."""
        if value is None:
            return None
        try:
            return parse_instant(value)
        except ValueError:
            self.invalid(field, f"{value!r} is not an instant", "write one such as 2026-12-01T00:00:00Z")
            return None

    def done(self, value: T) -> Converted[T]:
        kept = None if self.problems else value
        return Converted(kept, tuple(self.problems), tuple(self.refusals))

    def _bounded(self, field: str, amount: int, text: str, most: int) -> int:
        if amount <= most:
            return amount
        self.invalid(field, f"{text} is absurdly large", f"write at most {most}")
        return 0


def parse_instant(text: str) -> float:
    """Seconds since the epoch. Raises ValueError."""
    moment = datetime.fromisoformat(text.replace("z", "Z").replace("t", "T"))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return moment.timestamp()


def created_at(metadata: Mapping[str, Any]) -> float:
    """Creation time of an object; 0 for one that was never created (a file)."""
    text = metadata.get("creationTimestamp")
    try:
        return parse_instant(str(text)) if text else 0.0
    except ValueError:
        return 0.0
