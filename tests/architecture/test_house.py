"""The house stays as drawn: arrows point down, `operator` stays the standard library's, the two pages stay pages."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_operator_is_no_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists(), "it would shadow the standard library's operator"


def test_the_standard_library_operator_wins_from_the_root() -> None:
    code = "import operator; assert operator.itemgetter; print(operator.__file__)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert str(ROOT) not in found.stdout


def test_arrows_point_down() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([str(lint), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("page", ["planning/decide.py", "controller/loop.py"])
def test_the_two_pages_stay_pages(page: str) -> None:
    lines = (ROOT / "operator" / "polyhull" / page).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120, f"{page} has {len(lines)} lines: move what grew into a room of its own"
