"""Benchmarks one after the other, each in a process of its own: what one breaks, holds or leaves behind is no trouble
of the next. Lines go to standard output as they come; what is under way and for how long goes to standard error.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from benchmarks.figures import at_most, machine

SKIPPED = 77
"""Exit code of a benchmark that lacks data or binaries and said which (as Automake's tests do)."""
SAID_SECONDS, GRACE_SECONDS = 20.0, 30.0
"""How often a long one is reported; how long one that is told to end may take to clean up."""


LONGEST_LINE = 1 << 20


def failures(name: str) -> str:
    """The figure that stands for those of a benchmark that failed."""
    return f"{name}: failures"


def failure(name: str, why: str) -> str:
    """The line for a benchmark that failed."""
    return at_most(failures(name), 1.0, "1", 0.0, why).line()


@dataclass(slots=True)
class Tally:
    figures: list[dict[str, Any]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Run:
    """`command` and a name start a benchmark, which prints its lines and ends with 0, SKIPPED, or else failed."""

    command: Sequence[str]
    limit_seconds: float
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    tally: Tally = field(default_factory=Tally)

    def all(self, names: Sequence[str]) -> int:
        """Exit code: 0; 1 if one failed; 130 or 143 when told to stop, after what it started has ended."""
        try:
            return asyncio.run(self._all(names))
        except _Stopped as stopped:
            self._say(f"stopped; {self._summary()}")
            return 128 + stopped.number

    async def _all(self, names: Sequence[str]) -> int:
        began, told = time.monotonic(), list[int]()
        here = asyncio.current_task()

        def stop(number: int) -> None:
            told.append(number)
            if here is not None:
                here.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
        self._print(machine().line())
        try:
            for place, name in enumerate(names, 1):
                await self._one(name, f"[{place}/{len(names)}] {name}")
        except asyncio.CancelledError:
            raise _Stopped(told[0] if told else signal.SIGINT) from None
        self._say(f"{len(names)} benchmarks in {_clock(time.monotonic() - began)}: {self._summary()}")
        return 1 if self.tally.failed else 0

    async def _one(self, name: str, title: str) -> None:
        began, count = time.monotonic(), len(self.tally.figures)
        self._say(f"{title} ...")
        process = await asyncio.create_subprocess_exec(
            *self.command, name, stdout=asyncio.subprocess.PIPE, start_new_session=True, limit=LONGEST_LINE
        )
        try:
            async with asyncio.timeout(self.limit_seconds):
                await self._relay(process, title, began)
                code = process.returncode if process.returncode is not None else await process.wait()
            why = "" if code in (0, SKIPPED) else f"ended with code {code}"
        except TimeoutError:
            why = f"not done within {self.limit_seconds:g} s"
        finally:
            await _end(process)
        fresh = self.tally.figures[count:]
        short = sum(not one["holds"] for one in fresh)
        said = f"{len(fresh)} figures" + (f", {short} fell short" if short else "")
        if why:
            self.tally.failed.append(name)
            if not any(one["figure"] == failures(name) for one in fresh):
                self._print(failure(name, why))
        elif code == SKIPPED:
            self.tally.skipped.append(name)
        said = f"failed, {why}" if why else "skipped" if code == SKIPPED else said
        self._say(f"{title}: {said}, {_clock(time.monotonic() - began)}")

    async def _relay(self, process: asyncio.subprocess.Process, title: str, began: float) -> None:
        assert process.stdout is not None
        last = "no figure yet"
        while True:
            try:
                line = await asyncio.wait_for(process.stdout.readline(), SAID_SECONDS)
            except TimeoutError:
                if process.returncode is not None:  # what it left behind holds its output open
                    return
                self._say(f"{title}: {_clock(time.monotonic() - began)} so far, {last}")
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip("\n")
            figure = _figure(text)
            if figure is None:
                self._say(text)
                continue
            last = f"last: {figure['figure']}"
            self._print(text)

    def _print(self, line: str) -> None:
        figure = _figure(line)
        if figure is not None:
            self.tally.figures.append(figure)
        print(line, file=self.out, flush=True)

    def _say(self, text: str) -> None:
        print(text, file=self.err, flush=True)

    def _summary(self) -> str:
        lost = {failures(name) for name in self.tally.failed}
        aimed = [one for one in self.tally.figures if one["target"] is not None and one["figure"] not in lost]
        short = [one["figure"] for one in aimed if not one["holds"]]
        parts = [f"{len(self.tally.figures)} figures, {len(aimed) - len(short)} of {len(aimed)} targets held"]
        for word, names in (
            ("fell short", short),
            ("failed", self.tally.failed),
            ("skipped", self.tally.skipped),
        ):
            if names:
                parts.append(f"{word}: {'; '.join(names)}")
        return ". ".join(parts)


class _Stopped(Exception):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _figure(line: str) -> dict[str, Any] | None:
    """The line as a figure; None for anything else that a benchmark or a library of its own prints."""
    with contextlib.suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict) and {"figure", "holds", "target"} <= found.keys():
            return found
    return None


async def _end(process: asyncio.subprocess.Process) -> None:
    """Told to end, given time to stop what it started, then killed with everything in its session."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(process.wait()), GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f} min" if seconds >= 60.0 else f"{seconds:.1f} s"
