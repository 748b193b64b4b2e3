"""What `polyhull explain` says of a status that the operator wrote."""

import io

from rich.console import Console

from polyhull.cli import online

STATUS = {
    "assignment": {
        "cluster": "cloud-b",
        "site": "cloud-b",
        "pool": "cloud-b/v100",
        "option": "v100-x4",
        "accelerator": "nvidia-v100",
        "replicas": 1,
        "devicesPerReplica": 4,
    },
    "estimatedStartTime": "2026-11-22T06:00:00Z",
    "estimatedCompletionTime": "2026-11-22T07:00:00Z",
    "explanation": {
        "binds": "Link edge-a-to-cloud-b brings its data by 7 min from now.",
        "transferSeconds": 420,
        "alternatives": [{"cluster": "edge-a", "pool": "edge-a/p100", "option": "p100-x4", "laterSeconds": 1800}],
    },
    "conditions": [{"type": "Placed", "status": "False", "reason": "WaitingForTurn", "message": "its turn comes"}],
}


def said(status: dict[str, object]) -> str:
    out = io.StringIO()
    console = Console(file=out, width=200)
    for part in online.describe({"kind": "TrainingJob", "namespace": "team-a", "name": "call", "status": status}):
        console.print(part)
    return out.getvalue()


def test_where_why_what_else_and_the_conditions_are_said() -> None:
    text = said(STATUS)
    for words in ("cloud-b/v100", "1 x 4 nvidia-v100", "by 7 min", "7 min 00 s", "edge-a/p100", "30 min 00 s"):
        assert words in text
    assert "WaitingForTurn" in text


def test_an_object_nobody_looked_at_says_so() -> None:
    assert "is it running?" in said({})


def test_each_part_of_a_split_copy_is_a_line() -> None:
    parts = [
        {"sourceSite": "edge-a", "links": ["edge-a-to-cloud-b"], "transferBytes": 6 * 10**8, "bytesPerSecond": 6},
        {"sourceSite": "edge-c", "links": ["edge-c-to-cloud-b"], "transferBytes": 4 * 10**8, "bytesPerSecond": 4},
    ]
    move = {
        "dataSet": "images", "sourceSite": "edge-a", "targetSite": "cloud-b", "store": "cluster:cloud-b",
        "transferBytes": 10**9, "phase": "Running", "parts": parts,
    }  # fmt: skip
    text = said({**STATUS, "transfers": [move]})
    for words in ("images 1/2", "images 2/2", "edge-c-to-cloud-b", "600 MB", "400 MB"):
        assert words in text
    assert "inside the site" not in text


def test_a_job_that_was_moved_says_from_where_and_why() -> None:
    move = {"phase": "Carrying", "fromPool": "edge-a/k80", "toPool": "cloud-b/v100", "moves": 2, "why": "4 h sooner"}
    text = said({**STATUS, "move": move})
    assert "moved from pool edge-a/k80 to pool cloud-b/v100, move 2 (Carrying): 4 h sooner" in text
