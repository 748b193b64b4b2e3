"""Builds the compiled kernels: hatchling's hook for wheels and editable installs; `python hatch_build.py` by hand.

A wheel without the kernel is refused. A checkout without a compiler works in pure Python, slower, and says so.
"""

import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOMS = Path(__file__).resolve().parent / "operator" / "polyhull"
KERNELS = ROOMS / "planning" / "kernels"
FOLDERS = (KERNELS, ROOMS / "optimize" / "large")
"""Each with a source.py that says what its library is made of."""
HELP = "no C compiler found (asked for $CC, cc, gcc, clang). Debian, Ubuntu: apt-get install gcc libc6-dev"


class NoCompiler(Exception):
    """What to install."""


def compiler() -> str:
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and shutil.which(name):
            return name
    raise NoCompiler(HELP)


def build_all() -> list[Path]:
    """Every library, where stale. Raises as `build`."""
    return [build(folder=folder) for folder in FOLDERS]


def build(target: Path | None = None, *more: str, force: bool = False, folder: Path = KERNELS) -> Path:
    """Compile `folder` to `target` (default: beside the sources) unless what is there is of these sources and flags.

    Raises NoCompiler, or RuntimeError with what the compiler said.
    """
    source = runpy.run_path(str(folder / "source.py"))
    library: Path = target or source["LIBRARY"]
    version: str = source["version"]()
    if not force and library.exists() and version.encode() in library.read_bytes():
        library.touch()  # make goes by times
        return library
    # Renamed when whole: two builds at once, or one beside a running process, do no harm.
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        made = Path(folder) / library.name
        command = [compiler(), *source["FLAGS"], *more, f'-DPOLYHULL_KERNEL_VERSION="{version}"']
        command += ["-o", str(made), *map(str, source["SOURCES"]), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
        made.replace(library)
    return library


class KernelHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        try:
            libraries = build_all()
        except NoCompiler as missing:
            if version != "editable":
                raise
            self.app.display_warning(
                f"{missing}; schedules are searched in pure Python, slower, and large fleets bounded by HiGHS alone"
            )
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        build_data["artifacts"] += [str(library.relative_to(self.root)) for library in libraries]


if __name__ == "__main__":
    try:
        build_all()
    except NoCompiler as missing:
        print(
            f"{missing}; schedules are searched in pure Python, slower, and large fleets bounded by HiGHS alone",
            file=sys.stderr,
        )
