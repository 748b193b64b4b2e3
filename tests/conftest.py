"""The compiled kernel of exactly these sources is there before any test, where there is a compiler."""

import contextlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import hatch_build

with contextlib.suppress(hatch_build.NoCompiler):
    hatch_build.build()
