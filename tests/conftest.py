"""Before any test the compiled kernels are those of exactly these sources, where there is a compiler. Properties are
tried on the same instances in every run, but in `make fuzz`. And how tests are shared out between worker processes
(`pytest -n 2 --dist loadfile`)."""

import contextlib
import os
import re
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import hatch_build

with contextlib.suppress(hatch_build.NoCompiler):
    hatch_build.build_all()

settings.register_profile("same", derandomize=True)
if "POLYHULL_EXAMPLES" not in os.environ:
    settings.load_profile("same")

_USES_THE_GROUND = re.compile(r"[(\s]ground: Ground\b")


class _Scheduling(LoadFileScheduling):
    """A file stays together, so that what it shares is made once; all files whose tests take the session's fixture
    `ground` go to one worker, so that there is one such ground."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "ground" if _uses_the_ground(Path(self.config.rootpath, file)) else file


@cache
def _uses_the_ground(path: Path) -> bool:
    return _USES_THE_GROUND.search(path.read_text()) is not None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Scheduling | None:
    return _Scheduling(config, log) if config.getoption("dist") == "loadfile" else None
