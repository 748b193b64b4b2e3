"""A limit around native code: a function's answer from a forked process, which is ended when it takes too long.

The operator has its worker for this; a command has nothing running yet, and a fork costs it some milliseconds where
another interpreter would cost half a second of imports. To be used before any thread is started.
"""

import contextlib
import gc
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

from polyhull.domain.errors import SolverFailed

Answer = TypeVar("Answer")


def within(limit_seconds: float, function: Callable[[], Answer], forked: Callable[[], None] = lambda: None) -> Answer:
    """What `function` returns. `forked` is called here once it runs there.

    Raises SolverFailed when it raised, crashed or passed the limit.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(theirs, function), daemon=True)
    child.start()
    theirs.close()
    try:
        forked()
        if not ours.poll(limit_seconds):
            raise SolverFailed(f"the search gave no answer within {limit_seconds:g} s; it was ended")
        answer, error = ours.recv()
    except EOFError:
        child.join()
        raise SolverFailed(f"the search ended with {_word(child.exitcode)} and no answer") from None
    finally:
        child.kill()
        child.join()
        ours.close()
    if error:
        raise SolverFailed(f"the search failed: {error}")
    found: Answer = answer
    return found


def _answer(pipe: Connection, function: Callable[[], object]) -> None:
    # A decision makes many values and hardly a cycle, and this process ends with it (as in controller/worker.py).
    gc.disable()
    with contextlib.suppress(KeyboardInterrupt):  # the command was interrupted, and says so
        try:
            pipe.send((function(), ""))
        except Exception as error:
            pipe.send((None, f"{type(error).__name__}: {error}"))
    os._exit(0)


def _word(code: int | None) -> str:
    return "no exit code" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"
