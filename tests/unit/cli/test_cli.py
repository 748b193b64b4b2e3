"""The command as a person runs it: its output, its exit code; as a process where that matters. No cluster."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from polyhull.cli import main

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "edge-to-cloud"
NODE = """
apiVersion: v1
kind: Node
metadata: {name: one}
status:
  allocatable: {cpu: "8", memory: 32Gi, pods: "110"}
  conditions: [{type: Ready, status: "True"}]
---
"""
JOB = """
apiVersion: polyhull.io/v1alpha1
kind: TrainingJob
metadata: {name: NAME, namespace: default}
spec:
  work: {quantity: "600", unit: Steps}
  options: [{name: cpu, accelerator: cpu, devicesPerReplica: CORES, rate: "10"}]
  template: {image: "registry.example/train:1"}
---
"""


def polyhull(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "polyhull", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)


def here(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The same through its entry point in this process: another one costs more than what it is asked."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["polyhull", *arguments])
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def files(folder: Path, *documents: str) -> str:
    (folder / "objects.yaml").write_text("".join(documents))
    return str(folder)


def job(name: str = "small", cores: int = 2) -> str:
    return JOB.replace("NAME", name).replace("CORES", str(cores))


def test_a_plan_has_the_names_that_others_rely_on(tmp_path: Path) -> None:
    done = polyhull("plan", "-f", files(tmp_path, NODE, job()), "-o", "json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    top = {"makespanSeconds", "lowerBoundSeconds", "boundKind", "gap", "objective", "assignments", "transfers"}
    assert top | {"unplaced", "prices", "baselines", "solver"} <= set(plan)
    assert set(plan["prices"]) == {"pools", "links"}
    assert set(plan["baselines"]) == {"localityOnlySeconds", "computeOnlySeconds"}
    assert {"seconds", "status"} <= set(plan["solver"])
    (assignment,) = plan["assignments"]
    assert assignment["job"]["name"] == "small"
    # 600 steps at 10 per second, after start-up: nothing else happens on this fleet.
    assert assignment["endSeconds"] == pytest.approx(60 + assignment["explanation"]["startupSeconds"])
    assert plan["makespanSeconds"] == assignment["endSeconds"]
    assert plan["gap"] == pytest.approx(0.0, abs=1e-3)


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    where = files(tmp_path, NODE, job())
    as_json, as_yaml = (here("plan", "--no-proof", "-f", where, "-o", form).stdout for form in ("json", "yaml"))
    one, two = json.loads(as_json), yaml.safe_load(as_yaml)
    one["solver"].pop("seconds"), two["solver"].pop("seconds")
    assert one == two


def test_a_job_that_fits_nowhere_is_said_and_the_rest_is_planned(tmp_path: Path) -> None:
    done = here("plan", "--no-proof", "-f", files(tmp_path, NODE, job(), job("huge", 64)), "-o", "json")
    assert done.returncode == 3
    plan = json.loads(done.stdout)
    assert [item["job"]["name"] for item in plan["assignments"]] == ["small"]
    (missing,) = plan["unplaced"]
    assert missing["job"]["name"] == "huge"
    assert "64" in missing["message"], "the number that binds is in the message"


@pytest.mark.parametrize(
    ("objects", "code", "says"),
    [
        (NODE, 0, "There is no job to plan."),
        (
            job(),
            3,
            "no pool has accelerator cpu, there is none at all; add a ComputePool or a MemberCluster (1 choice",
        ),
    ],
)
def test_an_empty_plan_says_why_it_is_empty(objects: str, code: int, says: str, tmp_path: Path) -> None:
    done = here("plan", "--no-proof", "-f", files(tmp_path, objects))
    assert done.returncode == code
    assert says in done.stdout and "finishes in" not in done.stdout


def test_bad_input_names_file_line_field_and_remedy(tmp_path: Path) -> None:
    done = polyhull("validate", "-f", files(tmp_path, NODE, job().replace('rate: "10"', 'rate: "-10"')))
    assert done.returncode == 2
    assert "objects.yaml" in done.stderr
    assert "spec.options[0].rate" in done.stderr
    assert "objects.yaml:15: TrainingJob default/small" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["plan", "validate"])
def test_a_file_that_is_not_there(command: str, tmp_path: Path) -> None:
    done = here(command, "-f", str(tmp_path / "nothing.yaml"))
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dash_is_standard_input() -> None:
    command = [sys.executable, "-m", "polyhull", "plan", "-f", "-", "-o", "json"]
    text = NODE + job("piped")
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert [item["job"]["name"] for item in json.loads(done.stdout)["assignments"]] == ["piped"]


def test_explain_says_where_and_why(tmp_path: Path) -> None:
    where = files(tmp_path, NODE, job())
    done = here("explain", "--no-proof", "trainingjob/small", "-f", where)
    assert done.returncode == 0, done.stderr
    assert "local/cpu" in done.stdout
    assert "Next best: no other pool would take it." in done.stdout
    assert "What would help: nothing of what was tried makes it end sooner." in done.stdout
    found = json.loads(here("explain", "--no-proof", "tj/small", "-f", where, "-o", "json").stdout)
    assert found["assignment"]["explanation"]["computeSeconds"] == pytest.approx(60.0)


@pytest.mark.parametrize(
    ("name", "says"), [("pod/x", "KIND/NAME"), ("small", "KIND/NAME"), ("tj/other", "default/small")]
)
def test_explain_of_what_is_not_there(name: str, says: str, tmp_path: Path) -> None:
    done = here("explain", "--no-proof", name, "-f", files(tmp_path, NODE, job()))
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_crds_are_the_checked_in_ones() -> None:
    printed = {crd["metadata"]["name"]: crd for crd in yaml.safe_load_all(here("crds").stdout)}
    stored = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    assert printed == {crd["metadata"]["name"]: crd for crd in stored}


def test_the_example_beats_both_ways_of_thinking_and_is_proven() -> None:
    done = polyhull("plan", "-f", str(EXAMPLE), "-o", "json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["gap"] <= 0.02
    assert plan["boundKind"] == "ExactWholeCopy"
    assert plan["lowerBoundSeconds"] <= plan["makespanSeconds"]
    assert plan["baselines"]["localityOnlySeconds"] > plan["makespanSeconds"]
    assert plan["baselines"]["computeOnlySeconds"] > plan["makespanSeconds"]
    places = {(item["cluster"], item["deviceClass"]) for item in plan["assignments"]}
    assert {cluster for cluster, _ in places} == {"edge-a", "cloud-b"}
    assert {kind for _, kind in places} == {"CPU", "GPU", "NPU"}


def test_the_same_files_give_the_same_plan_byte_for_byte(tmp_path: Path) -> None:
    where = files(tmp_path, NODE, *(job(f"job-{n}", 1 + n % 5) for n in range(6)))
    plans = {
        json.dumps({**json.loads(polyhull("plan", "-f", where, "-o", "json").stdout), "solver": 0}) for _ in range(2)
    }
    assert len(plans) == 1


def test_a_recorded_decision_is_made_again_byte_for_byte(tmp_path: Path) -> None:
    where, kept = files(tmp_path, NODE, *(job(f"job-{n}", 1 + n % 5) for n in range(6))), tmp_path / "kept"
    planned = polyhull("plan", "-f", where, "-o", "json", "--record", str(kept))
    assert planned.returncode == 0, planned.stderr
    done = here("replay", str(kept), "-o", "json")
    assert done.returncode == 0, done.stderr
    assert "the same, byte for byte" in done.stderr
    one, two = json.loads(planned.stdout), json.loads(done.stdout)
    assert one | {"solver": 0} == two | {"solver": 0}


def test_a_replay_that_differs_says_where_and_fails(tmp_path: Path) -> None:
    from dataclasses import replace

    from polyhull.telemetry import record

    kept = tmp_path / "kept"
    here("plan", "--no-proof", "-f", files(tmp_path, NODE, job()), "--record", str(kept))
    told = record.read(kept)
    moved = replace(told.decision.assignments[0], pool="local/elsewhere")
    record.save(kept, record.dump(told.snapshot, replace(told.decision, assignments=(moved,)), told.method)[0])
    done = here("replay", str(kept))
    assert done.returncode == 1
    assert "assignments[default/small].pool: recorded 'local/elsewhere', now 'local/cpu'" in done.stderr


def test_a_replay_of_what_is_no_record_says_so(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello")
    done = here("replay", str(tmp_path / "x"))
    assert done.returncode == 2
    assert "no record" in done.stderr
    assert "Traceback" not in done.stderr


def test_explain_says_what_would_help(tmp_path: Path) -> None:
    where = files(tmp_path, NODE, job("one", 6), job("two", 6))
    plan = json.loads(here("plan", "--no-proof", "-f", where, "-o", "json").stdout)
    late = max(plan["assignments"], key=lambda one: one["endSeconds"])["job"]["name"]
    done = here("explain", "--no-proof", f"tj/{late}", "-f", where, "-o", "json")
    assert done.returncode == 0, done.stderr
    why = json.loads(done.stdout)["assignment"]["explanation"]
    assert why["binding"] == {"kind": "Pool", "name": "local/cpu", "untilSeconds": why["queueSeconds"]}
    told = {one["change"]: one["soonerSeconds"] for one in why["helps"]}
    assert told["one more cpu node in pool local/cpu"] == pytest.approx(why["queueSeconds"])
    assert told["priority 1 instead of 0"] == pytest.approx(why["queueSeconds"])


def test_what_if_answers_from_files_and_from_a_record_alike(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "more").mkdir()
    where, kept = files(tmp_path / "fleet", NODE, job("one", 6), job("two", 6)), tmp_path / "kept"
    here("plan", "--no-proof", "-f", where, "--record", str(kept))
    (tmp_path / "more" / "job.yaml").write_text(job("three", 1))
    scenario = tmp_path / "more" / "scenario.yaml"
    scenario.write_text(
        "apiVersion: polyhull.io/v1alpha1\nkind: PlacementScenario\nmetadata: {name: s}\n"
        "spec: {changes: [{addNodes: {pool: local/cpu, nodes: 1}}]}\n"
    )
    asked = ("--no-proof", "--scenario", str(scenario), "--submit", str(tmp_path / "more" / "job.yaml"), "-o", "json")
    one = here("what-if", "-f", where, *asked)
    assert one.returncode == 0, one.stderr
    answer = json.loads(one.stdout)
    assert answer["changes"] == ["one more cpu node in pool local/cpu", "job default/three submitted"]
    assert answer["makespanSeconds"] == pytest.approx(answer["baseMakespanSeconds"] / 2, abs=2)
    assert sorted(entry["fate"] for entry in answer["jobs"]) == ["Added", "Earlier"]
    assert here("what-if", "--record", str(kept), *asked).stdout == one.stdout
    said = here("what-if", "--no-proof", "-f", where, "--remove", "tj/default/two")
    assert "instead of" in said.stdout and "Removed" in said.stdout


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ((), "nothing is to be changed"),
        (("--add-nodes", "local/cpu"), "--add-nodes local/cpu: does not read as a change; write POOL=NODES"),
        (("--add-nodes", "local/gpu=1"), "there is no pool local/gpu; write one such as local/cpu"),
        (("--link", "a:b=fast"), "spec.changes[0].setLink.bandwidth"),
        (("--objective", "Beauty"), "spec.changes[0].setObjective.objective[0]"),
        (("--remove", "pod/default/x"), "KIND/NAME"),
        (("--scenario", "nothing.yaml"), "does not exist"),
    ],
)
def test_a_what_if_that_makes_no_sense_says_so(flags: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = here("what-if", "--no-proof", "-f", files(tmp_path, NODE, job()), *flags)
    assert done.returncode == 2
    assert says in done.stderr


def test_a_plan_and_a_replay_write_a_page(tmp_path: Path) -> None:
    where, kept = files(tmp_path, NODE, job("one", 6), job("two", 6)), tmp_path / "kept"
    done = here("plan", "--no-proof", "-f", where, "--record", str(kept), "--report", str(tmp_path / "plan.html"))
    assert done.returncode == 0, done.stderr
    assert here("replay", str(kept), "--report", str(tmp_path / "again.html")).returncode == 0
    for name in ("plan.html", "again.html"):
        text = (tmp_path / name).read_text()
        assert text.startswith("<!doctype html>")
        assert "one more cpu node in pool local/cpu" in text
    done = here("plan", "--no-proof", "-f", where, "--report", str(tmp_path / "no" / "such" / "folder.html"))
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
