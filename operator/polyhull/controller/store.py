"""Our kinds as the hub last told them, by watch and by the answers to our own writes.

Version by version: an old answer never covers a newer one, and what was deleted does not come back.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import cast

from polyhull.kube.resources import Manifest, Ref, ref_of, uid_of, version_of
from polyhull.kube.transport import Object
from polyhull.kube.trims import without_bookkeeping

_REMEMBER_DELETED = 10_000


class Store:
    """`on_change` is called after every real difference."""

    def __init__(self, on_change: Callable[[Manifest], None] = lambda body: None) -> None:
        self._objects: dict[Ref, Manifest] = {}
        self._order: list[Ref] | None = None
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._on_change = on_change

    def put(self, body: Manifest) -> None:
        """Take over a body from a watch, a list or a write."""
        ref, uid = ref_of(body), uid_of(body)
        held = self._objects.get(ref)
        if uid in self._gone or (held is not None and not _newer(body, held)):
            return
        if held is not None and uid_of(held) != uid:
            self._forget(uid_of(held))
        if held is None:
            self._order = None
        self._objects[ref] = body = _kept(body)
        self._on_change(body)

    def remove(self, body: Manifest) -> None:
        """The object with this uid is gone."""
        ref, uid = ref_of(body), uid_of(body)
        self._forget(uid)
        held = self._objects.get(ref)
        if held is not None and uid_of(held) == uid:
            del self._objects[ref]
            self._order = None
            self._on_change(body)

    def replace_all(self, bodies: Iterable[Manifest]) -> None:
        """Make the store equal to complete lists just taken: what is missing there and not newer is gone."""
        listed = list(bodies)
        newest = max((int(version_of(body)) for body in listed if version_of(body).isdigit()), default=0)
        present = {uid_of(body) for body in listed}
        for body in list(self._objects.values()):
            version = version_of(body)
            if uid_of(body) not in present and version.isdigit() and int(version) <= newest:
                self.remove(body)
        for body in listed:
            self.put(body)

    def as_held(self, body: Object) -> Object:
        """The body as it is held, if that is the same version: a list of ten thousand needs no second copy."""
        held = self._objects.get(ref_of(body))
        same = held is not None and (uid_of(held), version_of(held)) == (uid_of(body), version_of(body))
        return cast(Object, held if same else _kept(body))

    def get(self, ref: Ref) -> Manifest | None:
        return self._objects.get(ref)

    def objects(self) -> tuple[Manifest, ...]:
        """All, by reference."""
        return tuple(body for _, body in self.items())

    def items(self) -> Iterator[tuple[Ref, Manifest]]:
        """All with their references, in the order of these."""
        if self._order is None:
            self._order = sorted(self._objects)
        return ((ref, self._objects[ref]) for ref in self._order)

    def _forget(self, uid: str) -> None:
        self._gone[uid] = None
        while len(self._gone) > _REMEMBER_DELETED:
            self._gone.popitem(last=False)


def _kept(body: Manifest) -> Manifest:
    """Without the record of who wrote which field, half of an object: only services are asked who wrote replicas."""
    return body if body["kind"] == "InferenceJob" else without_bookkeeping(dict(body))


def _newer(body: Manifest, held: Manifest) -> bool:
    one, other = version_of(body), version_of(held)
    return not (one.isdigit() and other.isdigit()) or int(one) > int(other)
