"""Whether the watches on our kinds still bring what we wrote: a silent watch is the failure that nobody notices.

Every write of ours that changed an object must come back through kopf. One that does not, while the API server
answers, means that this process is deaf; being restarted is the cure.
"""

from collections.abc import Callable

from polyhull.kube.resources import Manifest, Ref, ref_of, version_of


class Echo:
    """`monotonic` in seconds."""

    def __init__(self, monotonic: Callable[[], float], patience_seconds: float = 60.0) -> None:
        self._monotonic, self._patience = monotonic, patience_seconds
        self._expected: dict[Ref, tuple[int, float]] = {}

    def wrote(self, body: Manifest, before: Manifest | None) -> None:
        """A write returned `body`; `before` is what was known.

        Nothing is awaited for a version that is known already (the watch was faster, or nothing changed), nor for an
        object that is not known (it may be gone already).
        """
        version, known = version_of(body), version_of(before or {})
        if version.isdigit() and known.isdigit() and int(version) > int(known):
            self._expected.setdefault(ref_of(body), (int(version), self._monotonic()))

    def heard(self, body: Manifest) -> None:
        """A watch brought `body` (or its deletion)."""
        ref, version = ref_of(body), version_of(body)
        expected = self._expected.get(ref)
        if expected is not None and version.isdigit() and int(version) >= expected[0]:
            del self._expected[ref]

    def forget(self, ref: Ref) -> None:
        """The object is gone."""
        self._expected.pop(ref, None)

    def problem(self) -> str:
        """What was written and never came back; empty while all is well."""
        now = self._monotonic()
        late = [ref for ref, (_, at) in self._expected.items() if now - at > self._patience]
        if not late:
            return ""
        return f"the watch on {late[0].resource.label} has not brought what was written {self._patience:.0f} s ago"
