"""The one process that owns a ground's processes, so that no way of ending leaves any behind.

- The starter ends in whatever way: its end of our standard input closes, and we stop all in order (with `keep` only
  while starting).
- `stop`, Ctrl-C, SIGTERM: the same.
- We are killed outright: the kernel kills our children (Linux, PR_SET_PDEATHSIG); the next start clears our files.
"""

import argparse
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hack.ground.controlplane import ControlPlane
from hack.ground.fleet import load_fleet
from hack.ground.processes import Identity, listening, reserve_ports, spawn, stop_all, wait_until

START_LIMIT_SECONDS = 180.0
STOP_LIMIT_SECONDS = 5.0
_ORDER = (("kwok", "kube-scheduler", "kube-controller-manager"), ("kube-apiserver",), ("etcd",))
"""An API server whose etcd is gone hangs for minutes: it goes first."""


class _Stopped(Exception):
    """Somebody asked us to end."""


class Supervisor:
    def __init__(self, state: Path, request: dict[str, object]) -> None:
        self.state = state
        self.keep = bool(request["keep"])
        self.truth = str(request.get("truth") or "")
        self.scratch = _scratch()
        fleet = load_fleet(state / "fleet.yaml")
        binaries = {name: Path(str(path)) for name, path in dict(request["binaries"]).items()}  # type: ignore[call-overload]
        self.reserved = reserve_ports(3 * len(fleet.clusters))
        ports = iter([holder.getsockname()[1] for holder in self.reserved])
        self.planes = [
            ControlPlane(
                spec, binaries, state / spec.name, self.scratch / spec.name, (next(ports), next(ports), next(ports))
            )
            for spec in fleet.clusters
        ]
        self.truth_process: subprocess.Popen[bytes] | None = None
        self.stop_asked = False
        self.watch_starter = True

    def run(self) -> None:
        """Start, watch, stop; state.json always tells where we are."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask_stop)
        outcome, message = "stopped", ""
        try:
            self._start()
            while True:
                self._pause(0.5)
        except _Stopped:
            pass
        except Exception as error:
            outcome, message = "failed", str(error)
        finally:
            self._write("stopping", message)
            self._stop()
            self._write(outcome, message)

    def _start(self) -> None:
        began = time.monotonic()
        self._write("starting", "etcd and API servers")
        for plane in self.planes:
            plane.start_store_and_server()
        self._each("waiting for API servers", ControlPlane.answering, ControlPlane.start_the_rest)
        self._each("waiting for nodes and controllers", ControlPlane.ready, lambda plane: None)
        if self.truth:
            command = [sys.executable, "-m", "hack.ground.truth", "--state", str(self.state), "--table", self.truth]
            self.truth_process = spawn(command, self.state / "truth.log")
        self.watch_starter = not self.keep
        self._write("ready", "", start_seconds=round(time.monotonic() - began, 2))

    def _each(
        self, doing: str, condition: Callable[[ControlPlane], bool], then: Callable[[ControlPlane], None]
    ) -> None:
        """Wait for `condition` on every plane and do `then` on each as soon as it holds."""
        deadline = time.monotonic() + START_LIMIT_SECONDS
        left = list(self.planes)
        while left:
            self._write("starting", f"{doing}: {', '.join(plane.name for plane in left)}")
            for plane in tuple(left):
                if condition(plane):
                    then(plane)
                    left.remove(plane)
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"{doing} took more than {START_LIMIT_SECONDS:.0f} s; see the logs under {self.state}"
                )
            self._pause(0.05)

    def _pause(self, seconds: float) -> None:
        """Sleep; notice a request to stop, the starter's end, and a process that ended."""
        if not self.watch_starter:
            time.sleep(seconds)
        elif select.select([sys.stdin], [], [], seconds)[0] and not os.read(0, 1):
            raise _Stopped
        if self.stop_asked:
            raise _Stopped
        if failures := [text for plane in self.planes if (text := plane.failure())]:
            raise RuntimeError(failures[0])
        if self.truth_process and self.truth_process.poll() is not None:
            raise RuntimeError(f"the truth table's follower ended; see {self.state / 'truth.log'}")

    def _ask_stop(self, *_: object) -> None:
        self.stop_asked = True

    def _stop(self) -> None:
        if self.truth_process:
            stop_all([self.truth_process], STOP_LIMIT_SECONDS)
        for names in _ORDER:
            running = [plane.processes[name] for plane in self.planes for name in names if name in plane.processes]
            stop_all(running, STOP_LIMIT_SECONDS)
        wait_until(
            lambda: not any(listening(port) for plane in self.planes for port in plane.ports), STOP_LIMIT_SECONDS
        )
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _write(self, status: str, message: str, **more: object) -> None:
        """Replace state.json in one step: readers never see half of it."""
        document = {
            "status": status,
            "message": message,
            "supervisor": _identity(os.getpid()),
            "scratch": str(self.scratch),
            "clusters": {plane.name: _described(plane) for plane in self.planes},
            **more,
        }
        part = self.state / ".state.part"
        part.touch(mode=0o600)
        part.write_text(json.dumps(document, indent=1))
        part.rename(self.state / "state.json")


def _described(plane: ControlPlane) -> dict[str, object]:
    return {
        "server": plane.server,
        "token": plane.token,
        "kubeconfig": str(plane.kubeconfig_path),
        "ca": str(plane.ca_path),
        "audit": str(plane.audit_path or ""),
        "kubectl": str(plane.binaries["kubectl"]),
        "ports": list(plane.ports),
        "processes": {name: _identity(process.pid) for name, process in plane.processes.items()},
    }


def _identity(pid: int) -> dict[str, object]:
    identity = Identity.of(pid)
    return {"pid": pid, "began": identity.began if identity else ""}


def _scratch() -> Path:
    """A directory for etcd's data, in memory where that exists; first clears those whose supervisor is gone."""
    memory = Path("/dev/shm")
    base = memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    for old in base.glob("polyhull-ground-*"):
        owner = (old / "owner").read_text().split() if (old / "owner").exists() else []
        if len(owner) == 2 and not Identity(int(owner[0]), owner[1]).alive():
            shutil.rmtree(old, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix="polyhull-ground-", dir=base))
    identity = Identity.of(os.getpid())
    (scratch / "owner").write_text(f"{os.getpid()} {identity.began if identity else ''}")
    return scratch


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Run a ground's processes (started by `python -m hack.ground start`)."
    )
    parser.add_argument("--state", type=Path, required=True)
    state = parser.parse_args().state
    Supervisor(state, json.loads((state / "request.json").read_text())).run()


if __name__ == "__main__":
    main()
