"""Find the control plane's binaries, or build them once and keep them.

Order: `KUBEBUILDER_ASSETS`, the cache, `PATH`, a build with Go; the first that has a usable version wins.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

HACK = Path(__file__).resolve().parent.parent
KUBERNETES = "v1.36.3"
OLDEST_KUBERNETES = (1, 36)
"""PodGroups (scheduling.k8s.io/v1alpha2) came with 1.36; an older API server would refuse our flags."""

_LDFLAGS = " ".join(
    (
        "-s -w",
        f"-X k8s.io/component-base/version.gitVersion={KUBERNETES}",
        "-X k8s.io/component-base/version.gitMajor=1",
        "-X k8s.io/component-base/version.gitMinor=36",
        "-X k8s.io/component-base/version.gitTreeState=clean",
        f"-X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES}",
    )
)
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Module:
    """A Go module of tools only: binary name -> package to build, in `directory`, cached under `cache`."""

    directory: Path
    cache: str
    packages: Mapping[str, str]

    def cache_directory(self) -> Path:
        """The cache key holds all that decides what a build yields: module files, flags and platform."""
        digest = hashlib.sha256()
        for name in ("go.mod", "go.sum"):
            digest.update((self.directory / name).read_bytes())
        digest.update(f"{_LDFLAGS} {platform.system()} {platform.machine()}".encode())
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return base / "polyhull" / self.cache / digest.hexdigest()[:16]


CONTROL_PLANE = Module(
    HACK / "controlplane",
    "controlplane",
    {
        "etcd": "go.etcd.io/etcd/server/v3",
        "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
        "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
        "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
        "kubectl": "k8s.io/kubernetes/cmd/kubectl",
        "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    },
)
HELM = Module(HACK / "helm", "helm", {"helm": "helm.sh/helm/v4/cmd/helm"})


class BinariesMissing(RuntimeError):
    """No binary and no way to build one; the message says where was looked and what to install."""


def obtain(module: Module = CONTROL_PLANE, progress: Progress = lambda text: None) -> dict[str, Path]:
    """Binary name -> path of every tool of `module`; builds what is found nowhere. Raises BinariesMissing."""
    found = {name: path for name in module.packages if (path := find(module, name))}
    missing = [name for name in module.packages if name not in found]
    if missing:
        go = shutil.which("go")
        if go is None:
            raise BinariesMissing(_sentence(module, missing))
        found |= _build(go, module, missing, progress)
    return found


def find(module: Module, name: str) -> Path | None:
    """Where a usable `name` already lies, or None."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and _executable(chosen := Path(assets) / name):
        # Chosen by hand: too old a version is said, not skipped.
        if not usable(chosen):
            raise BinariesMissing(
                f"{chosen} (from KUBEBUILDER_ASSETS) is older than Kubernetes 1.36, which brought PodGroups: "
                f"point KUBEBUILDER_ASSETS at 1.36 or newer, or unset it."
            )
        return chosen
    if _executable(cached := module.cache_directory() / name):
        return cached
    on_path = shutil.which(name)
    return Path(on_path) if on_path and usable(Path(on_path)) else None


def usable(binary: Path) -> bool:
    """Is this new enough? Only Kubernetes' own binaries have a floor."""
    if not binary.name.startswith("kube"):
        return True
    arguments = ["version", "--client"] if binary.name == "kubectl" else ["--version"]
    try:
        answer = subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = re.search(r"v(\d+)\.(\d+)\.", answer)
    return version is not None and (int(version[1]), int(version[2])) >= OLDEST_KUBERNETES


def _build(go: str, module: Module, names: Iterable[str], progress: Progress) -> dict[str, Path]:
    target = module.cache_directory()
    target.mkdir(parents=True, exist_ok=True)
    built = {}
    with (target / ".lock").open("w") as lock:
        # Two test sessions started at once: the second waits and finds the work done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in names:
            if not _executable(target / name):
                progress(f"building {name} (once; minutes when Go's cache is cold)")
                _build_one(go, module, name, target)
            built[name] = target / name
    return built


def _build_one(go: str, module: Module, name: str, target: Path) -> None:
    part = target / f".{name}.part"
    # Kubernetes' version is stamped only into Kubernetes' binaries; elsewhere the linker ignores unknown symbols.
    command = [go, "build", "-trimpath", "-ldflags", _LDFLAGS, "-o", str(part), module.packages[name]]
    environment = {**os.environ, "GOFLAGS": "-mod=readonly"}
    try:
        done = subprocess.run(
            command, cwd=module.directory, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            tail = "\n".join(done.stderr.strip().splitlines()[-15:])
            raise BinariesMissing(
                f"building {name} with {go} failed (Go 1.26 or newer and a module proxy are needed):\n{tail}"
            )
        part.rename(target / name)
    finally:
        part.unlink(missing_ok=True)


def _executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _sentence(module: Module, missing: list[str]) -> str:
    return (
        f"No {', '.join(missing)} found in KUBEBUILDER_ASSETS ({os.environ.get('KUBEBUILDER_ASSETS') or 'not set'}), "
        f"{module.cache_directory()} or PATH (Kubernetes 1.36 or newer), and no Go to build them with: "
        f"install Go 1.26 (https://go.dev/dl) and run `python -m hack.ground build`, or put the binaries on PATH."
    )
