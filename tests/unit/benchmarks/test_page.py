"""The page of figures: every line is on it, failures stand out, cells stay short, and nothing is added by hand."""

import json

import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.figures import Figure, at_most, machine, report
from benchmarks.page import ROWS, page

LONG = "Melange's slices restated (4 a bucket), solved by HiGHS through scipy, same run, and a few words more"


def lines(*figures: Figure) -> list[str]:
    return [figure.line() for figure in figures]


def test_every_figure_is_in_its_section_and_the_headline_first() -> None:
    made = page(
        lines(
            report("dtfm stages", 8.0, "stages", "cities"),
            at_most("melange choice", 0.01, "s", 0.02, "conversations", 2.5, LONG),
            at_most("dtfm placement", 0.5, "s", 0.02, "cities"),
        )
    )
    top, _, melange, dtfm = made.split("\n## ")
    assert "[Melange's choice of instances](#melanges-choice-of-instances) | choice: 0.01 s | 0.02 s | all" in top
    assert "placement: 0.5 s | 0.02 s | **0 of 1**" in top
    assert "| choice | 0.01 s | 0.02 s | yes | 2.5 s | 1, 2 |" in melange and f"2. {LONG}" in melange
    assert "| placement | 0.5 s | 0.02 s | **no** | - | 1 |" in dtfm and dtfm.count("1. cities") == 1
    assert "Helix's layer placement | not measured in these lines" in top


def test_the_headline_is_of_the_first_beginning_whatever_came_first() -> None:
    made = page(
        lines(
            at_most("arrival-latency p50", 9.0, "s", 3.0, "i"),
            at_most("created to bound, sustained", 1.0, "x", 2.0, "i"),
        )
    )
    assert "| sustained: 1 x | 2 x | **1 of 2** |" in made


def test_the_machine_is_what_the_lines_say() -> None:
    one = page([machine().line(), *lines(report("stability moves", 0.01, "1", "a day"))])
    assert "Measured on " in one and "Python 3" in one and "load" in one
    runs = [lines(machine(), report(name, 1.0, "s", "a")) for name in ("melange", "helix")]
    several = page([*runs[0], *runs[1]])
    assert "Measured in several runs" in several and "\nRun 1.\n" in several and "\nRun 2.\n" in several


def test_what_is_no_figure_is_refused_and_what_no_section_knows_is_shown_last() -> None:
    with pytest.raises(ValueError, match="instance, value is missing"):
        page([json.dumps({"figure": "f", "unit": "s", "holds": True})])
    assert page(lines(report("a new one", 1.0, "x", "i"))).rstrip().endswith("1. i")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_a_section(name: str) -> None:
    begins = tuple(begin for row in ROWS[:-1] for begin in row.begins)
    renamed = {"joint-vs-baselines": "joint ", "sustained": "created to bound"}
    assert renamed.get(name, name).startswith(begins) or any(begin.startswith(name) for begin in begins)
