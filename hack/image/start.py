"""An image's file system, started as its own configuration says, and what is asked of it."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.ground.ground import Cluster

LIMIT_SECONDS = 120.0
SEEN = "/mnt"
"""Where the process sees the folder that it is given."""
# Read-only but for /tmp, as the chart's pod: readOnlyRootFilesystem and an emptyDir.
_ENTER = f"""
set -e
mount --make-rprivate /
mount --bind "$0" "$0"
mount --bind "$1" "$0{SEEN}"
for kept in dev proc; do mount --rbind /$kept "$0/$kept"; done
mount -t tmpfs tmpfs "$0/tmp" -o mode=1777
mount -o remount,bind,ro "$0"
mount -o remount,bind,ro "$0{SEEN}"
user=$2; shift 2
exec chroot --userspec="$user" --groups="" "$BASE" "$@"
"""
JOB = {
    "apiVersion": "polyhull.io/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {"name": "first", "namespace": "default"},
    "spec": {
        "work": {"quantity": "100", "unit": "Steps"},
        "options": [{"name": "cpu", "accelerator": "cpu", "devicesPerReplica": 1, "rate": "20"}],
        "template": {"image": "simulated"},
    },
}


class ImageError(Exception):
    """What went wrong, and where to look."""


@dataclass(frozen=True, slots=True)
class Image:
    """`root`: its file system, mounted; `config`: its OCI configuration."""

    root: Path
    config: Mapping[str, Any]

    def command(self, folder: Path, *arguments: str) -> list[str]:
        """What starts the entry point, or with a leading "/" a program of its own."""
        program = [] if arguments and arguments[0].startswith("/") else list(self.config["Entrypoint"])
        enter = _ENTER.replace('"$BASE"', f'"{self.root}"')
        inner = [str(self.root), str(folder), self.config["User"], "/usr/bin/env", "-i", *self.config["Env"]]
        return ["unshare", "--mount", "sh", "-c", enter, *inner, *program, *arguments]

    def run(self, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = self.command(folder, *arguments)
        return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)


def check(image: Image, checkout: Path, hub: Cluster, scratch: Path) -> None:
    """Raises ImageError with the first thing that is not as it should be."""
    os.chmod(scratch, 0o755)
    version = _said(image.run(checkout, "--version"))
    print(f"--version: {version}")
    written = image.run(checkout, "/usr/bin/touch", "/opt/here", "/tmp/here")
    _expect("Read-only file system" in written.stderr and "/tmp/here" not in written.stderr, written.stderr)
    who = _said(image.run(checkout, "/usr/bin/id", "-u"))
    _expect(who == "65532", f"it runs as user {who}")
    planned = json.loads(
        _said(image.run(checkout, "plan", "-f", f"{SEEN}/examples/edge-to-cloud", "-o", "json"), codes=(0, 3))
    )
    _expect(bool(planned["assignments"]), "nothing was planned")
    print(f"plan: {len(planned['assignments'])} jobs, gap {planned['gap']:.3%}, {planned['boundKind']}")
    _operates(image, checkout, hub, scratch)


def _operates(image: Image, checkout: Path, hub: Cluster, scratch: Path) -> None:
    """`polyhull run` reconciles a job on the hub and ends well on SIGTERM."""
    hub.install_crds(checkout / "crds")
    hub.kubectl("create", "namespace", "polyhull-system")
    seen = scratch / "seen"
    seen.mkdir(mode=0o755)
    (seen / "kubeconfig").write_bytes(hub.kubeconfig_path.read_bytes())
    (seen / "kubeconfig").chmod(0o644)
    command = image.command(seen, *image.config["Cmd"], "--kubeconfig", f"{SEEN}/kubeconfig", "--metrics-port", "0")
    log = scratch / "operator.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink)
    try:
        hub.kubectl("apply", "-f", "-", stdin=JOB)
        _await("the job's pod is bound", lambda: _placed(hub), process, log)
        print(f"run: {JOB['metadata']['name']} is placed")  # type: ignore[index]
        process.send_signal(signal.SIGTERM)
        _expect(process.wait(30) == 0, f"it ended with {process.returncode} on SIGTERM:\n{_tail(log)}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


def _placed(hub: Cluster) -> bool:
    body = hub.kubectl("get", "trainingjob", "first", "-n", "default")
    conditions = (body.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Placed" and one["status"] == "True" for one in conditions)


def _await(what: str, look: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    limit = time.monotonic() + LIMIT_SECONDS
    while not look():
        late = time.monotonic() > limit
        if late or process.poll() is not None:
            how = f"not within {LIMIT_SECONDS:g} s" if late else f"it ended with {process.returncode}"
            raise ImageError(f"{what}: {how}; its log:\n{_tail(log)}")
        time.sleep(0.2)


def _said(done: "subprocess.CompletedProcess[str]", codes: tuple[int, ...] = (0,)) -> str:
    _expect(done.returncode in codes, f"it ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout.strip()


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ImageError(f"the image is not as it should be: {otherwise}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]
