"""The definition in cvxpy and every fast path agree to 1e-6."""

import pytest

from polyhull.optimize.large.kernel import library
from tests.properties import oracle
from tests.properties.amount import many


@pytest.mark.parametrize("path", oracle.PATHS)
def test_the_fast_path_agrees_with_its_definition(path: str) -> None:
    if path == "prices" and library() is None:
        pytest.skip("needs a C compiler")
    pairs = {seed: oracle.PATHS[path](seed) for seed in range(many(5, 0.1))}
    assert any(pairs.values())
    for seed, pair in pairs.items():
        assert pair is None or pair.apart <= oracle.CLOSE, f"seed {seed}: {pair}"
