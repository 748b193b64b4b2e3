"""Whatever stands in the files: every command answers in proper numbers, or refuses in a sentence.

The same objects as in test_extremes.py, through the commands as a person calls them: plan with a record and a report,
replay, explain of every subject, what-if of every change.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from polyhull.cli import app
from polyhull.domain.errors import InvalidInput
from tests.properties.amount import examples
from tests.properties.test_extremes import Raw, fleet, policy, work

ANSWERED, INVALID, NOT_PLACED = 0, 2, 3
NO_NUMBER = re.compile(r"\b(nan|inf|infinity)\b", re.IGNORECASE)


def call(*words: str) -> tuple[int, str]:
    """Exit code and output. Any other exception than a person's mistake fails the test."""
    try:
        found = CliRunner().invoke(app, words, catch_exceptions=False)
    except InvalidInput as error:
        return INVALID, str(error)
    assert not NO_NUMBER.search(found.stdout), found.stdout
    return found.exit_code, found.stdout


def asked(*words: str) -> int:
    code, said = call(*words)
    assert said or code == INVALID
    return code


def changes(objects: Sequence[Raw], dice: Random) -> list[list[str]]:
    """One question of each kind about these objects, some of them about things that are not there."""
    pools = [one["metadata"]["name"] for one in objects if one["kind"] == "ComputePool"] or ["nowhere"]
    pool = f"{dice.choice('abcd')}/{dice.choice(pools)}" if dice.random() < 0.3 else dice.choice(pools)
    cluster = dice.choice("abcd")
    return [
        ["--resize", f"{pool.partition('-')[0]}/{pool}={dice.choice((0, 1, 1000))}"],
        ["--add-nodes", f"{pool.partition('-')[0]}/{pool}=1"],
        ["--add-devices", f"{cluster}/nvidia-v100={dice.choice((1, 8, 999))}"],
        ["--link", f"a:b={dice.choice(('0', '1', '1P'))}"],
        ["--lose-cluster", cluster],
        ["--objective", dice.choice(("Cost", "MaxMinFairness,Makespan", "Nonsense"))],
        ["--remove", "trainingjob/team/job-0"],
        ["--priority", "trainingjob/team/job-1=5"],
        ["--copy", f"team/near@{dice.choice('abcd')}"],
    ]


@settings(examples(6, 0.05), phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 2**32))
def test_every_command_answers_or_refuses(seed: int) -> None:
    dice = Random(seed)
    objects = [*fleet(dice), *work(dice), policy(dice)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        file, record, report = folder / "objects.yaml", folder / "record.gz", folder / "plan.html"
        file.write_text(yaml.safe_dump_all(objects))
        code = asked("plan", "-f", str(file), "--no-proof", "--record", str(record), "--report", str(report))
        if code == INVALID:
            return
        assert code in (ANSWERED, NOT_PLACED)
        assert "</html>" in report.read_text() and not NO_NUMBER.search(_data(report.read_text()))
        assert asked("replay", str(record)) == ANSWERED
        told = json.loads(call("plan", "-f", str(file), "--no-proof", "-o", "json")[1])
        for key in subjects(told):
            assert asked("explain", f"{key['kind']}/{key['name']}", "-n", "team", "-f", str(file), "--no-proof") == 0
        question = dice.choice(changes(objects, dice))
        assert asked("what-if", "-f", str(file), "--no-proof", *question) in (ANSWERED, INVALID)


def subjects(plan: Raw) -> list[dict[str, str]]:
    """Up to two of each kind: placed, not placed, serving."""
    some: list[list[Any]] = [plan["assignments"], plan["unplaced"]]
    return [one["job"] for part in some for one in part[:2]] + [one["service"] for one in plan["services"]]


def _data(page: str) -> str:
    """The page's numbers, without its script."""
    found = re.search(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return found.group(1)
