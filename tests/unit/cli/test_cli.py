"""The command as a person runs it: a process, its output, its exit code. No cluster."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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
    as_json, as_yaml = (polyhull("plan", "-f", where, "-o", form).stdout for form in ("json", "yaml"))
    one, two = json.loads(as_json), yaml.safe_load(as_yaml)
    one["solver"].pop("seconds"), two["solver"].pop("seconds")
    assert one == two


def test_a_job_that_fits_nowhere_is_said_and_the_rest_is_planned(tmp_path: Path) -> None:
    done = polyhull("plan", "-f", files(tmp_path, NODE, job(), job("huge", 64)), "-o", "json")
    assert done.returncode == 3
    plan = json.loads(done.stdout)
    assert [item["job"]["name"] for item in plan["assignments"]] == ["small"]
    (missing,) = plan["unplaced"]
    assert missing["job"]["name"] == "huge"
    assert "64" in missing["message"], "the number that binds is in the message"


def test_bad_input_names_file_line_field_and_remedy(tmp_path: Path) -> None:
    done = polyhull("validate", "-f", files(tmp_path, NODE, job().replace('rate: "10"', 'rate: "-10"')))
    assert done.returncode == 2
    assert "objects.yaml" in done.stderr
    assert "spec.options[0].rate" in done.stderr
    assert "objects.yaml:15: TrainingJob default/small" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["plan", "validate"])
def test_a_file_that_is_not_there(command: str, tmp_path: Path) -> None:
    done = polyhull(command, "-f", str(tmp_path / "nothing.yaml"))
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
    done = polyhull("explain", "trainingjob/small", "-f", where)
    assert done.returncode == 0, done.stderr
    assert "local/cpu" in done.stdout
    found = json.loads(polyhull("explain", "tj/small", "-f", where, "-o", "json").stdout)
    assert found["assignment"]["explanation"]["computeSeconds"] == pytest.approx(60.0)


@pytest.mark.parametrize(
    ("name", "says"), [("pod/x", "KIND/NAME"), ("small", "KIND/NAME"), ("tj/other", "default/small")]
)
def test_explain_of_what_is_not_there(name: str, says: str, tmp_path: Path) -> None:
    done = polyhull("explain", name, "-f", files(tmp_path, NODE, job()))
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_crds_are_the_checked_in_ones() -> None:
    printed = {crd["metadata"]["name"]: crd for crd in yaml.safe_load_all(polyhull("crds").stdout)}
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
        json.dumps({**json.loads(polyhull("plan", "-f", where, "-o", "json").stdout), "solver": 0}) for _ in range(3)
    }
    assert len(plans) == 1


def test_a_recorded_decision_is_made_again_byte_for_byte(tmp_path: Path) -> None:
    where, kept = files(tmp_path, NODE, *(job(f"job-{n}", 1 + n % 5) for n in range(6))), tmp_path / "kept"
    planned = polyhull("plan", "-f", where, "-o", "json", "--record", str(kept))
    assert planned.returncode == 0, planned.stderr
    done = polyhull("replay", str(kept), "-o", "json")
    assert done.returncode == 0, done.stderr
    assert "the same, byte for byte" in done.stderr
    one, two = json.loads(planned.stdout), json.loads(done.stdout)
    assert one | {"solver": 0} == two | {"solver": 0}


def test_a_replay_that_differs_says_where_and_fails(tmp_path: Path) -> None:
    from dataclasses import replace

    from polyhull.telemetry import record

    kept = tmp_path / "kept"
    polyhull("plan", "-f", files(tmp_path, NODE, job()), "--record", str(kept))
    told = record.read(kept)
    moved = replace(told.decision.assignments[0], pool="local/elsewhere")
    record.save(kept, record.dump(told.snapshot, replace(told.decision, assignments=(moved,)), told.method)[0])
    done = polyhull("replay", str(kept))
    assert done.returncode == 1
    assert "assignments[default/small].pool: recorded 'local/elsewhere', now 'local/cpu'" in done.stderr


def test_a_replay_of_what_is_no_record_says_so(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello")
    done = polyhull("replay", str(tmp_path / "x"))
    assert done.returncode == 2
    assert "no record" in done.stderr
    assert "Traceback" not in done.stderr
