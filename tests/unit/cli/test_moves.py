"""Running jobs in files: planned as of an instant, moved, recorded, and made again."""

import json
from pathlib import Path

from tests.unit.cli.test_cli import ROOT, here

STORY = str(ROOT / "tests" / "scenarios" / "running-job-moves" / "snapshot.yaml")
AT = "2027-01-15T08:00:00Z"


def test_a_plan_of_files_moves_what_runs_and_is_made_again(tmp_path: Path) -> None:
    kept = str(tmp_path / "record.gz")
    found = here("plan", "-f", STORY, "--at", AT, "--no-proof", "-o", "json", "--record", kept)
    assert found.returncode == 0, found.stderr
    (move,) = json.loads(found.stdout)["moves"]
    assert move["job"] == {"kind": "TrainingJob", "namespace": "team", "name": "long"}
    assert (move["from"]["pool"], move["to"]["pool"]) == ("edge/k80", "cloud/v100")
    assert move["checkpointBytes"] == 9 * 10**9 and move["gainSeconds"] > 0
    again = here("replay", kept)
    assert again.returncode == 0, again.stderr
    shown = here("plan", "-f", STORY, "--at", AT, "--no-proof").stdout
    assert "moved       team/long to cloud/v100" in shown


def test_without_an_instant_what_runs_has_just_begun() -> None:
    assert json.loads(here("plan", "-f", STORY, "--no-proof", "-o", "json").stdout)["moves"] == []
    wrong = here("plan", "-f", STORY, "--at", "noon")
    assert wrong.returncode == 2 and "--at: 'noon' is no instant; write one such as" in wrong.stderr
