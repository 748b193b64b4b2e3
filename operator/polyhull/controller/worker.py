"""A child process that answers one question at a time, so that no solver can stop, crash or outlive the operator.

The decision holds the interpreter for seconds and may, in native code, crash or hang; in the operator's own loop that
would stop watches, the lease and health. The child talks in length-prefixed pickles over its own pipes (never over
standard output, to which solvers print), leads a process group of its own (so that a prover it started dies with
it), and ends itself as soon as its parent is gone, however the parent died.

Run as `python -m polyhull.controller.worker READ_FD WRITE_FD module:function`. A function may have a `later`: it is
called when the answer is out.
"""

import asyncio
import contextlib
import gc
import importlib
import os
import pickle
import queue
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from polyhull.domain.errors import SolverFailed

_LENGTH = struct.Struct("!Q")
_LONG_SECONDS = 0.1
"""After an answer that took longer cycles are looked for among everything that lives, else among what is new."""


class Worker:
    """Asks `target` (`module:function`, importable in a fresh interpreter) from an asyncio loop.

    One question at a time; a lock queues the others. The process starts with the first question (or `start()`) and
    again after a crash.
    """

    def __init__(self, target: str, python: str = sys.executable) -> None:
        self._target, self._python = target, python
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._pipe: BinaryIO | None = None

    async def ask(self, *arguments: Any, limit_seconds: float) -> Any:
        """The function's answer. Raises SolverFailed when it raised, crashed or passed `limit_seconds`."""
        async with self._lock:
            try:
                async with asyncio.timeout(limit_seconds):
                    await self.start()
                    ok, answer = await self._exchange(arguments)
            except TimeoutError:
                await self.close()
                raise SolverFailed(f"{self._target}: no answer within {limit_seconds:g} s; it was ended") from None
            except (OSError, EOFError, asyncio.IncompleteReadError, pickle.PickleError) as error:
                code = await self._exit_code()
                await self.close()
                raise SolverFailed(f"{self._target}: the process ended with {code} ({error!r})") from None
            except asyncio.CancelledError:
                await self.close()  # a half-read answer must not be taken for the next one
                raise
        if not ok:
            raise SolverFailed(f"{self._target}: {answer}")
        return answer

    async def start(self) -> None:
        """Have a process; so that the first question does not wait for imports."""
        if self._process is not None and self._process.returncode is None:
            return
        await self.close()
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        command = (self._python, "-m", "polyhull.controller.worker", str(theirs_in), str(theirs_out), self._target)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, pass_fds=(theirs_in, theirs_out), start_new_session=True
            )
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self._reader = asyncio.StreamReader(limit=2**26)
        loop, protocol = asyncio.get_running_loop(), asyncio.StreamReaderProtocol(self._reader)
        await loop.connect_read_pipe(lambda: protocol, os.fdopen(ours_in, "rb", buffering=0))
        self._pipe = os.fdopen(ours_out, "wb", buffering=0)

    async def close(self) -> None:
        """End the process and everything it started."""
        process, self._process = self._process, None
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                self._pipe.close()
        self._pipe, self._reader = None, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            await process.wait()

    async def _exchange(self, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
        assert self._pipe is not None
        assert self._reader is not None
        await asyncio.to_thread(_send, self._pipe, arguments)
        size = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))[0]
        answer: tuple[bool, Any] = pickle.loads(await self._reader.readexactly(size))
        return answer

    async def _exit_code(self) -> str:
        if self._process is None:
            return "no process"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._process.wait()
        code = self._process.returncode
        return "no exit code" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"


def _send(pipe: BinaryIO, value: Any) -> None:
    body = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    view = memoryview(_LENGTH.pack(len(body)) + body)
    while view:
        view = view[pipe.write(view) :]


def _receive(pipe: BinaryIO) -> Any:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    return pickle.loads(pipe.read(_LENGTH.unpack(head)[0]))


def _read_questions(pipe: BinaryIO, questions: "queue.SimpleQueue[Any]") -> None:
    """Ends the whole process group at the end of the pipe: the parent is gone, nobody waits for an answer."""
    try:
        while True:
            questions.put(_receive(pipe))
    except (EOFError, OSError):
        os.killpg(0, signal.SIGKILL)


def main(read_descriptor: int, write_descriptor: int, target: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the operator, which ends us
    module, _, name = target.partition(":")
    questions: queue.SimpleQueue[Any] = queue.SimpleQueue()
    source = os.fdopen(read_descriptor, "rb")
    threading.Thread(target=_read_questions, args=(source, questions), daemon=True).start()
    function = getattr(importlib.import_module(module), name)
    later: Callable[[], None] = getattr(function, "later", lambda: None)
    # A decision makes many small values and hardly a cycle: looking for those meanwhile took a quarter of its time.
    gc.freeze()
    gc.disable()
    with os.fdopen(write_descriptor, "wb", buffering=0) as sink:
        while True:
            arguments, began = questions.get(), time.monotonic()
            try:
                answer = (True, function(*arguments))
            except Exception as error:
                traceback.print_exc()
                answer = (False, f"{type(error).__name__}: {error}")
            _send(sink, answer)
            del arguments, answer
            # While nobody waits:
            try:
                later()
            except Exception:
                traceback.print_exc()
            gc.collect(2 if time.monotonic() - began > _LONG_SECONDS else 1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
