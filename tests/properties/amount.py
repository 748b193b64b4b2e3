"""On how many instances a property is tried: a few in `make test`, always the same; thousands in `make fuzz`."""

import os

from hypothesis import HealthCheck, settings

ASKED = int(os.environ.get("POLYHULL_EXAMPLES", "0"))


def examples(usual: int, share: float = 1.0) -> settings:
    """`usual` instances, or `share` of those asked for, drawn anew each night (`--hypothesis-seed` repeats one)."""
    if not ASKED:
        return settings(_COMMON, max_examples=usual, derandomize=True, database=None)
    return settings(_COMMON, max_examples=many(usual, share), print_blob=True)


def many(usual: int, share: float = 1.0) -> int:
    """The same as a number, for properties that count over their instances."""
    return max(usual, round(ASKED * share))


_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
