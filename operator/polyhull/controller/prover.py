"""CP-SAT in a process of its own, as the port `prove` that the pure core is given.

OR-tools and HiGHS crash when they share a process, and importing OR-tools takes half a second: so the process is
started ahead of the question, and one process answers one question. Used by the decision's worker and by the
command line.
"""

import contextlib
import json
import subprocess
import sys
from types import TracebackType

from polyhull.optimize.exact import ExactAnswer, ExactProblem, answer_from, problem_document

_COMMAND = (sys.executable, "-m", "polyhull.optimize.exact_worker")


class Prover:
    """Callable as `Prove`. Answers None when the process crashed, hung beyond `limit_seconds` or answered nonsense;
    `failure` then says what happened. Close it, or use it as a context manager: no process stays behind."""

    def __init__(self, limit_seconds: float, command: tuple[str, ...] = _COMMAND) -> None:
        self._limit_seconds, self._command = limit_seconds, command
        self._waiting: subprocess.Popen[str] | None = None
        self.failure = ""

    def start(self) -> None:
        """Have a process that has done its imports by the time it is asked."""
        if self._waiting is None or self._waiting.poll() is not None:
            self._waiting = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )

    def __call__(self, problem: ExactProblem) -> ExactAnswer | None:
        self.start()
        process, self._waiting = self._waiting, None
        assert process is not None
        self.failure = ""
        try:
            text, _ = process.communicate(json.dumps(problem_document(problem)), timeout=self._limit_seconds)
            if process.returncode != 0 or not text:
                self.failure = f"the exact solver ended with code {process.returncode} and no answer"
                return None
            return answer_from(json.loads(text))
        except subprocess.TimeoutExpired:
            self.failure = f"the exact solver gave no answer within {self._limit_seconds:g} s; it was ended"
        except (OSError, ValueError, TypeError, KeyError) as error:
            self.failure = f"the exact solver answered nonsense: {error}"
        finally:
            _end(process)
        return None

    def lend(self) -> None:
        """To a process that was just forked and asks in our place: it has the pipes, its end stays ours to see to."""
        for stream in (self._waiting.stdin, self._waiting.stdout) if self._waiting is not None else ():
            if stream is not None:
                stream.close()

    def close(self) -> None:
        process, self._waiting = self._waiting, None
        if process is not None:
            _end(process)

    def __enter__(self) -> "Prover":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.close()


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None and not stream.closed:
            with contextlib.suppress(OSError):  # a broken pipe: the process is gone already
                stream.close()
    process.wait()
