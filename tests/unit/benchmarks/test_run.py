"""The command that runs all benchmarks: what fails, hangs, crashes or is skipped, and what is told to stop."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from benchmarks import figures
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.figures import QUICK, Figure, SkipBenchmark, machine, report
from benchmarks.page import page
from benchmarks.planning import ROOT
from benchmarks.run import SKIPPED, Run
from benchmarks.targets import TARGETS, table, unmet

FAKE = """
import json, os, subprocess, sys, time
from pathlib import Path
def line(name, **more):
    print(json.dumps({"figure": name, "target": None, "holds": True} | more), flush=True)
name = sys.argv[-1]
line(f"{name} first")
if name == "crash":
    os.abort()
if name == "hang":
    child = subprocess.Popen(["sleep", "600"])
    Path(sys.argv[1]).write_text(str(child.pid))
    time.sleep(600)
if name == "skip":
    sys.exit(77)
print("words of a library")
line(f"{name} short", target=1.0, holds=False)
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    script = tmp_path / "fake.py"
    script.write_text(FAKE)
    return [sys.executable, str(script), str(tmp_path / "pid")]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def ended(pid: int) -> bool:
    for _ in range(100):
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False


def test_one_that_crashes_or_hangs_is_a_line_that_does_not_hold_and_the_rest_goes_on(
    command: list[str], tmp_path: Path
) -> None:
    out, err = StringIO(), StringIO()
    run = Run(command, 1.0, out, err)
    assert run.all(["crash", "hang", "skip", "good"]) == 1
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [one["figure"] for one in found] == [
        "machine", "crash first", "crash: failures", "hang first", "hang: failures", "skip first", "good first",
        "good short",
    ]  # fmt: skip
    assert [one["holds"] for one in found if "failures" in one["figure"]] == [False, False]
    assert "not done within 1 s" in out.getvalue() and "ended with code -6" in out.getvalue()
    assert ended(int((tmp_path / "pid").read_text())), "what it started is ended with it"
    said = err.getvalue()
    assert "[4/4] good: 2 figures, 1 fell short" in said and "words of a library" in said
    assert "failed: crash; hang" in said and "skipped: skip" in said and "fell short: good short" in said
    assert run.tally.skipped == ["skip"]


def test_told_to_stop_it_ends_what_runs_and_says_so(command: list[str], tmp_path: Path) -> None:
    program = (
        f"import sys; from benchmarks.run import Run; sys.exit(Run({command!r}, 60.0).all(['good', 'hang', 'good']))"
    )
    told = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for _ in range(400):
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            break
        time.sleep(0.05)
    told.send_signal(signal.SIGTERM)
    out, err = told.communicate(timeout=60)
    assert told.returncode == 128 + signal.SIGTERM
    assert "hang first" in out and out.count("good first") == 1 and "stopped; " in err
    assert ended(int((tmp_path / "pid").read_text()))


def test_a_benchmark_by_itself_prints_lines_skips_with_a_reason_and_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def good(data: Path | None) -> Iterator[Figure]:
        yield report("good", 1.0, "x", "i")

    def missing(data: Path | None) -> Iterator[Figure]:
        raise SkipBenchmark("needs the moon")

    def broken(data: Path | None) -> Iterator[Figure]:
        raise ValueError("no")

    known = {"broken": broken, "missing": missing, "good": good, "again": good}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["all", "--here"], known) == 1
        printed = capsys.readouterr()
        lines = [json.loads(line) for line in printed.out.splitlines()]
        assert [one["figure"] for one in lines] == ["broken: failures", "good"], "what has two names runs once"
        assert not lines[0]["holds"] and lines[0]["instance"] == "ValueError: no"
        assert "missing: skipped: needs the moon" in printed.err and "Traceback" in printed.err
        assert main(["good", "--here"], known) == 0
        assert main(["all", "--only", "miss*", "--here"], known) == SKIPPED
    finally:
        signal.signal(signal.SIGTERM, handler)
    with pytest.raises(SystemExit):
        main(["all", "--only", "nothing", "--here"], known)
    assert "none of broken, missing, good, again is like this" in capsys.readouterr().err


def test_a_quick_run_does_less_says_so_and_makes_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    assert figures.effort(20, 1) == 20
    monkeypatch.setenv(QUICK, "1")
    assert figures.effort(20, 1) == 1
    assert figures.alternately(5, lambda: 1.0) == (1.0,)
    with pytest.raises(ValueError, match="without --quick"):
        page([machine().line()])


def test_every_target_names_a_benchmark_and_is_on_the_page() -> None:
    assert {target.benchmark for target in TARGETS} <= set(BENCHMARKS)
    made = page([report("dtfm placement", 0.5, "s", "cities").line()])
    for target in TARGETS:
        assert f"| {target.what} | {target.aim} |" in made
    assert "dtfm placement: 0.5 s" in made and "helix placement: not measured" in made


def test_the_how_to_has_the_targets_as_they_are() -> None:
    assert (ROOT / "docs" / "how-to" / "run-the-benchmarks.md").read_text().endswith(f"\n\n{table()}")


def test_a_missing_figure_of_what_ran_is_named() -> None:
    assert unmet(["dtfm"], ["dtfm placement"]) == ["DT-FM's three wide-area cases: dtfm communication per iteration"]
    assert unmet(["helix"], []) and not unmet([], [])
