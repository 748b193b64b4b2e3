"""The operator's image, really built and really started, without a container engine or a registry of images.

`python -m hack.image build`: buildah builds the Dockerfile on a base that mmdebstrap makes from Debian's packages;
pip gets its wheels from a folder that was filled here, by the same locks. `python -m hack.image test` starts what was
built as a pod would: its own user, entry point and environment, its root read-only, against a proving ground's hub.

Both need root on Debian or Ubuntu (packages buildah and mmdebstrap); elsewhere they say so and do nothing.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hack.ground.binaries import CONTROL_PLANE, BinariesMissing, obtain
from hack.ground.ground import Ground
from hack.image.start import Image, ImageError, check

ROOT = Path(__file__).resolve().parents[2]
RELEASE = "bookworm"
BASE, NAME = "localhost/polyhull-base", "localhost/polyhull"
FLEET = "clusters: [{name: hub, site: here, pools: [{name: cpu, count: 1, cpu: 8, memory: 32Gi}]}]"
PACKAGES = "python3,python3-venv,ca-certificates"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.image", description=__doc__)
    parser.add_argument("what", choices=["build", "test"])
    what = parser.parse_args().what
    if lacking := _lacking():
        print(f"The image is not built here: {lacking}.")
        return 0
    store = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "polyhull" / "image"
    store.mkdir(parents=True, exist_ok=True)
    try:
        build(store) if what == "build" else test(store)
    except (ImageError, BinariesMissing) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _lacking() -> str:
    if os.geteuid() != 0:
        return "that needs root (try: sudo make image)"
    missing = [name for name in ("buildah", "mmdebstrap", "unshare", "chroot") if shutil.which(name) is None]
    return f"{', '.join(missing)} missing (Debian, Ubuntu: apt-get install buildah mmdebstrap)" if missing else ""


def build(store: Path) -> None:
    """The image NAME in `store`; base and wheels are kept there for the next time."""
    began = time.monotonic()
    if not _buildah(store, "images", "--quiet", "--filter", f"reference={BASE}"):
        _base(store)
    wheels = store / "wheels"
    for lock in ("runtime", "build"):
        print(f"wheels of requirements/{lock}.txt")
        _run(
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes",
            "--only-binary=:all:", f"--python-version={_python(store)}", f"--dest={wheels}",
            f"--requirement={ROOT}/requirements/{lock}.txt",
        )  # fmt: skip
    print(f"building {NAME}")
    arguments = {"BASE_IMAGE": BASE, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
    chosen = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    mounts = [f"--volume={wheels}:/wheels:ro"]
    _buildah(store, "build", "--isolation=chroot", *chosen, *mounts, f"--tag={NAME}", str(ROOT))
    _buildah(store, "rmi", "--prune", "--force")
    size = _buildah(store, "images", "--format={{.Size}}", NAME).strip()
    print(f"{NAME}: {size}, built in {time.monotonic() - began:.0f} s")


def _base(store: Path) -> None:
    print(f"base: Debian {RELEASE} with {PACKAGES}")
    archive = store / "base.tar"
    _run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", RELEASE, str(archive))
    container = _buildah(store, "from", "scratch").strip()
    _buildah(store, "add", "--quiet", container, str(archive), "/")
    _buildah(store, "commit", "--quiet", "--rm", container, BASE)
    archive.unlink()


def _python(store: Path) -> str:
    """Version of the base's interpreter, `3.11`."""
    with _mounted(store, BASE) as root:
        return min(path.name.removeprefix("python") for path in (root / "usr" / "bin").glob("python3.[0-9]*"))


def test(store: Path) -> None:
    """Start what was built; raises ImageError with what it did not do."""
    if not _buildah(store, "images", "--quiet", "--filter", f"reference={NAME}"):
        raise ImageError("there is no image yet: `make image` first")
    config = json.loads(_buildah(store, "inspect", "--type=image", NAME))["OCIv1"]["config"]
    binaries = obtain(CONTROL_PLANE, print)
    with _mounted(store, NAME) as root, tempfile.TemporaryDirectory(prefix="polyhull-image-") as scratch:
        state = Path(scratch) / "ground"
        state.mkdir()
        (state / "fleet.yaml").write_text(FLEET)
        with Ground.start(state / "fleet.yaml", state, binaries) as ground:
            check(Image(root, config), ROOT, ground.clusters["hub"], Path(scratch))


@contextmanager
def _mounted(store: Path, image: str) -> Iterator[Path]:
    container = _buildah(store, "from", "--pull-never", image).strip()
    try:
        yield Path(_buildah(store, "mount", container).strip())
    finally:
        _buildah(store, "rm", container)


def _buildah(store: Path, *arguments: str) -> str:
    where = [f"--root={store / 'storage'}", f"--runroot={store / 'run'}", "--storage-driver=vfs"]
    return _run("buildah", *where, *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImageError(f"{_short(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def _short(command: Sequence[str]) -> str:
    return " ".join(part for part in command if not part.startswith(("--root=", "--runroot=")))


if __name__ == "__main__":
    raise SystemExit(main())
