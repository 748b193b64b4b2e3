"""Labels and selectors as values: sorted pairs, so that equal labels are equal values."""

from collections.abc import Mapping
from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]


def labels_of(mapping: Mapping[str, str]) -> Labels:
    return tuple(sorted(mapping.items()))


@dataclass(frozen=True, slots=True)
class Requirement:
    """One `matchExpressions` entry; `operator` is In, NotIn, Exists or DoesNotExist, or Prefix (the value starts
    with one of `values`: accelerator labels carry suffixes such as -SHARED)."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "Prefix":
                return self.key in labels and labels[self.key].startswith(self.values)
            case "DoesNotExist":
                return self.key not in labels
        raise ValueError(f"unknown selector operator {self.operator!r}")


@dataclass(frozen=True, slots=True)
class Selector:
    """A label selector; the empty one matches everything."""

    match_labels: Labels = ()
    match_expressions: tuple[Requirement, ...] = ()

    def matches(self, labels: Labels) -> bool:
        have = dict(labels)
        return all(have.get(key) == value for key, value in self.match_labels) and all(
            requirement.matches(have) for requirement in self.match_expressions
        )

    def also(self, other: "Selector") -> "Selector":
        """Matches what both match."""
        if other.empty or self == other:
            return self
        labels = tuple(sorted({*self.match_labels, *other.match_labels}))
        return Selector(labels, tuple(dict.fromkeys((*self.match_expressions, *other.match_expressions))))

    @property
    def empty(self) -> bool:
        return not self.match_labels and not self.match_expressions
