"""The checker's page on what is new: two lists of named things compared object by object, at the price of a glance.

Like validate.py it shares no code with what made the plan.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, count
from operator import is_not
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
One = TypeVar("One")


@dataclass(frozen=True, slots=True)
class Change(Generic[Name, One]):
    """What is there no more and what is there now, by name; a name in both is something that was replaced."""

    gone: Mapping[Name, One]
    come: Mapping[Name, One]

    def less(self, told: Callable[[One], object]) -> "Change[Name, One]":
        """Without what is replaced by something of which the same is `told`."""
        same = {name for name, one in self.come.items() if name in self.gone and told(self.gone[name]) == told(one)}
        if not same:
            return self
        return Change(
            {name: one for name, one in self.gone.items() if name not in same},
            {name: one for name, one in self.come.items() if name not in same},
        )


class Known(Generic[Name, One]):
    """Things by name, as of the last look."""

    def __init__(self, some: Sequence[One], name: Callable[[One], Name]) -> None:
        self.by_name = {name(one): one for one in some}
        self._some, self._name = some, name

    @property
    def twice(self) -> bool:
        """Is a name there more than once?"""
        return len(self.by_name) < len(self._some)

    def change(self, some: Sequence[One]) -> Change[Name, One] | None:
        """What differs in `some`; None where a name is there more than once."""
        gone, come = self._differing(some)
        old, new = {self._name(one): one for one in gone}, {self._name(one): one for one in come}
        if len(new) < len(come) or any(name in self.by_name and name not in old for name in new):
            return None
        return Change(old, new)

    def follow(self, some: Sequence[One], change: Change[Name, One]) -> None:
        """From now on `some` is what is known; `change` is what `change(some)` said."""
        for name in change.gone:
            del self.by_name[name]
        self.by_name.update(change.come)
        self._some = some

    def _differing(self, new: Sequence[One]) -> tuple[list[One], list[One]]:
        """(gone, come), an equal thing that is another object being both. In lists ordered by name that is all; in
        others what changed its place is in both too."""
        old, name = self._some, self._name
        gone: list[One] = []
        come: list[One] = []
        i = j = 0
        while i < len(old) and j < len(new):
            for step in compress(count(), map(is_not, old[i:], new[j:])):
                before, now = old[i + step], new[j + step]
                if name(before) == name(now):
                    gone.append(before)
                    come.append(now)
                    continue
                if name(now) in self.by_name:
                    gone.append(before)
                    i, j = i + step + 1, j + step
                else:
                    come.append(now)
                    i, j = i + step, j + step + 1
                break
            else:
                both = min(len(old) - i, len(new) - j)
                i, j = i + both, j + both
        return gone + list(old[i:]), come + list(new[j:])
