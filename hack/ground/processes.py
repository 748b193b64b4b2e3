"""Processes that end: they die with their parent, are known by more than a number, and are stopped within a limit."""

import contextlib
import ctypes
import os
import platform
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LINUX = platform.system() == "Linux"


@dataclass(frozen=True, slots=True)
class Identity:
    """A process id and the moment that process began: a reused id is another process and is never signalled."""

    pid: int
    began: str

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        began = _began(pid)
        return cls(pid, began) if began else None

    def alive(self) -> bool:
        return bool(self.began) and _began(self.pid) == self.began

    def signal(self, number: int) -> None:
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def spawn(
    command: Sequence[str | Path], log: Path, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start `command` with its output in `log`, in a session of its own (a Ctrl-C is not for it).

    On Linux the kernel kills it when the thread that called dies: call from the main thread.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            preexec_fn=_die_with_parent() if _LINUX else None,
        )


def stop_all(processes: Iterable[subprocess.Popen[bytes]], limit_seconds: float) -> None:
    """SIGTERM to all, `limit_seconds` for all together, then SIGKILL to what is left; returns when all are reaped."""
    waiting = [process for process in processes if process.poll() is None]
    for process in waiting:
        process.send_signal(signal.SIGTERM)
        # A frozen one (Cluster.freeze) would not see the signal.
        process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + limit_seconds
    for process in waiting:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def stop_identities(identities: Iterable[Identity], limit_seconds: float) -> None:
    """The same for processes that are not our children."""
    for number, limit in ((signal.SIGTERM, limit_seconds), (signal.SIGKILL, 5.0)):
        alive = [identity for identity in identities if identity.alive()]
        for identity in alive:
            identity.signal(number)
            identity.signal(signal.SIGCONT)
        wait_until(partial(_all_gone, alive), limit)


def _all_gone(identities: Iterable[Identity]) -> bool:
    return not any(identity.alive() for identity in identities)


def wait_until(condition: Callable[[], bool], limit_seconds: float, step_seconds: float = 0.05) -> bool:
    """Poll until `condition()` or the limit; says which it was."""
    deadline = time.monotonic() + limit_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(step_seconds)
    return True


def reserve_ports(count: int) -> list[socket.socket]:
    """Sockets bound to ports that nobody else has, below the range the kernel gives outgoing connections.

    While one is open, nobody who asks in this way gets its port, but a server that listens with SO_REUSEADDR (all of
    Go's do) may: so grounds that start side by side never choose the same.
    """
    candidates = random.SystemRandom().sample(range(20000, 32000), 2000)
    held: list[socket.socket] = []
    for port in candidates:
        if len(held) == count:
            break
        holder = socket.socket()
        try:
            holder.bind(("127.0.0.1", port))
        except OSError:
            holder.close()
            continue
        # Only now: bound with it, two such sockets could share a port.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.append(holder)
    return held


def listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def memory_bytes(pid: int) -> int:
    """Resident memory; 0 where /proc cannot tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _began(pid: int) -> str:
    """The kernel's start time of a running process; empty when there is none (a zombie is none)."""
    if _LINUX:
        try:
            # The name in parentheses may hold spaces: count from its end.
            after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if after_name[0] in "ZX" else after_name[19]
    asked = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _die_with_parent() -> Callable[[], None]:
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare
