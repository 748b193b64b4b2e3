"""Files to objects and snapshots: findings name file, line, field and what to do."""

from pathlib import Path

import pytest

from polyhull.api.files import load, snapshot_from_files, validate_files
from polyhull.api.results import parse_instant
from polyhull.domain.resources import Resources

GOOD = """\
apiVersion: polyhull.io/v1alpha1
kind: TrainingJob
metadata: {name: resnet, namespace: team-a}
spec:
  work: {quantity: "1000"}
  options:
  - name: gpu
    accelerator: nvidia-v100
    devicesPerReplica: 4
    rate: "10"
  template: {image: registry.example/train:1}
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {nvidia.com/gpu.product: Tesla-V100-SXM2-16GB}}
status: {allocatable: {cpu: 64, memory: 256Gi, nvidia.com/gpu: 8, pods: 110}}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {nodeName: n1, containers: [{name: a, resources: {requests: {nvidia.com/gpu: 1}}}]}
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_one_node_and_one_job_need_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, "all.yaml", GOOD)
    snapshot, findings = snapshot_from_files([tmp_path], 5.0)
    assert findings == ()
    assert snapshot.taken_at == 5.0
    assert [pool.name for pool in snapshot.fleet.pools] == ["local/nvidia-v100"]
    assert snapshot.fleet.pools[0].nodes[0].free.devices == 7
    assert [str(job.key) for job in snapshot.jobs] == ["TrainingJob/team-a/resnet"]


def test_a_finding_names_file_line_field_and_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, "good.yaml", GOOD.replace("resnet", "fine"))
    path = write(tmp_path, "bad.yaml", GOOD.partition("---")[0].replace('rate: "10"', "rate: 10"))
    snapshot, findings = snapshot_from_files([tmp_path], 0.0)
    (finding,) = findings
    assert finding.where == f"{path}: TrainingJob team-a/resnet"
    assert (finding.line, finding.field) == (10, "spec.options[0].rate")
    assert "quotes" in finding.remedy
    assert str(finding).startswith(f"{path}:10: TrainingJob team-a/resnet: spec.options[0].rate: 10 is not text; ")
    assert [job.key.name for job in snapshot.jobs] == ["fine"], "the others go on"


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\na: 2\n", 2, "given twice"),
        ("a: [1\n", 2, "not YAML"),
        ("- 1\n- 2\n", 1, "not an object"),
        ("foo: bar\n", 1, "not a Kubernetes object"),
        ("apiVersion: polyhull.io/v1\nkind: TrainingJob\nmetadata: {name: a}\n", 1, "not a kind of Polyhull"),
        ("apiVersion: polyhull.io/v1alpha1\nkind: Sight\nmetadata: {name: a}\n", 1, "not a kind of Polyhull"),
        ("a: !!python/object/apply:os.system [id]\n", 1, "not YAML"),
        ("a: &x [*x]\n", 1, "not a Kubernetes object"),
    ],
)
def test_what_cannot_be_read_is_a_finding(tmp_path: Path, text: str, line: int, problem: str) -> None:
    path = write(tmp_path, "odd.yaml", text)
    (finding,) = load([path]).findings
    assert problem in str(finding)
    assert finding.line == line
    assert str(path) in finding.where
    assert finding.remedy


def test_missing_empty_and_binary_files_are_findings(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").mkdir()
    found = load([tmp_path / "none.yaml", tmp_path / "empty", binary]).findings
    assert [finding.problem.split(":")[0] for finding in found] == [
        "does not exist",
        "holds no YAML file",
        "cannot be read",
    ]


def test_folders_are_read_deep_lists_opened_foreign_kinds_passed_over(tmp_path: Path) -> None:
    write(
        tmp_path,
        "deep/list.yaml",
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Node, metadata: {name: a}}\n",
    )
    write(tmp_path, "other.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n---\n---\n")
    write(tmp_path, ".hidden.yaml", "broken: [")
    write(
        tmp_path,
        "ns.json",
        '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {"team": "a"}}}',
    )
    loaded = load([tmp_path])
    assert loaded.findings == ()
    assert [(node.raw["metadata"]["name"], node.line) for node in loaded.nodes] == [("a", 4)]
    assert dict(loaded.namespaces["n"]) == {"kubernetes.io/metadata.name": "n", "team": "a"}


def test_an_object_declared_twice_is_a_finding_at_the_second(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", GOOD)
    write(tmp_path, "b.yaml", GOOD.partition("---")[0])
    _, (finding,) = validate_files([tmp_path])
    assert finding.where.startswith(str(tmp_path / "b.yaml"))
    assert "twice" in finding.problem


def test_what_is_not_acted_on_is_a_finding_at_its_line(tmp_path: Path) -> None:
    entry = "{name: a, dataSetRef: {name: b}, access: Stream, mountPath: /in}"
    write(tmp_path, "a.yaml", GOOD.replace("  template:", f"  data: [{entry}]\n  template:"))
    _, findings = validate_files([tmp_path])
    (finding,) = [one for one in findings if "NotSupported" in one.problem]
    assert (finding.line, finding.field) == (11, "spec.data[0].mountPath")


def test_instants_stay_text_without_quotes(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", GOOD.replace("  template:", "  deadline: 2026-12-01T00:00:00Z\n  template:"))
    assert validate_files([tmp_path])[1] == ()
    snapshot, _ = snapshot_from_files([tmp_path], 1_800_000_000.0)
    assert [one.deadline_at for one in snapshot.jobs] == [parse_instant("2026-12-01T00:00:00Z")]


MEMBERS = """\
{apiVersion: polyhull.io/v1alpha1, kind: Site, metadata: {name: edge}, spec: {}}
---
apiVersion: polyhull.io/v1alpha1
kind: MemberCluster
metadata: {name: one}
spec: {siteRef: {name: edge}, local: true}
---
apiVersion: polyhull.io/v1alpha1
kind: MemberCluster
metadata: {name: two}
spec: {siteRef: {name: edge}, kubeconfigSecretRef: {name: s}}
---
apiVersion: polyhull.io/v1alpha1
kind: ComputePool
metadata: {name: npu}
spec:
  cluster: two
  accelerator: ascend-310p
  devicesPerNode: 4
  capacity: {nodes: 3, cpu: "24", memory: 96Gi}
  autoscaling: {maxNodes: 5}
---
"""


def test_declared_capacity_is_planned_with(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", MEMBERS)
    snapshot, findings = snapshot_from_files([tmp_path], 0.0)
    assert findings == ()
    (pool,) = snapshot.fleet.pools
    assert (pool.name, len(pool.nodes)) == ("two/npu", 3)
    assert pool.nodes[0].free == Resources(4, 24_000, 96 * 2**30, 0, 110)
    assert pool.growth is not None
    assert pool.growth.nodes == 2


def test_with_several_members_a_node_says_whose_it_is(tmp_path: Path) -> None:
    node = "{apiVersion: v1, kind: Node, metadata: {name: n}}"
    write(tmp_path, "a.yaml", MEMBERS + node)
    _, (finding,) = validate_files([tmp_path])
    assert "polyhull.io/cluster" in finding.field
    write(
        tmp_path,
        "a.yaml",
        MEMBERS + "{apiVersion: v1, kind: Node, metadata: {name: n, labels: {polyhull.io/cluster: one}}}",
    )
    assert validate_files([tmp_path])[1] == ()


def test_a_thousand_jobs_are_read_in_one_go(tmp_path: Path) -> None:
    text = GOOD.partition("---")[0]
    write(tmp_path, "many.yaml", "---\n".join(text.replace("resnet", f"job-{index}") for index in range(1000)))
    snapshot, findings = snapshot_from_files([tmp_path], 0.0)
    assert findings == ()
    assert len(snapshot.jobs) == 1000


@pytest.mark.parametrize(
    ("metadata", "spec", "said"),
    [
        (
            "{name: 12}",
            "{tier: Cloud}",
            "12 is not a usable name; YAML reads it as a number or a truth value: put it",
        ),
        ("{name: yes}", "{tier: Cloud}", "True is not a usable name; YAML reads it"),
        (f"{{name: {'x' * 300}}}", "{tier: Cloud}", "…: metadata.name: 'xxxx"),
        ("null", "{tier: Cloud}", "metadata: is missing; add metadata with a name"),
    ],
)
def test_a_name_that_cannot_be_used_is_said_once_and_briefly(
    tmp_path: Path, metadata: str, spec: str, said: str
) -> None:
    text = f"apiVersion: polyhull.io/v1alpha1\nkind: Site\nmetadata: {metadata}\nspec: {spec}\n"
    _, findings = validate_files([write(tmp_path, "site.yaml", text)])
    (finding,) = findings
    assert said in str(finding) and len(str(finding)) < 400 + len(str(tmp_path))


def test_an_empty_list_is_told_how_many_it_needs(tmp_path: Path) -> None:
    text = (
        "apiVersion: polyhull.io/v1alpha1\nkind: TrainingJob\nmetadata: {name: j, namespace: t}\n"
        "spec: {work: {quantity: '1', unit: Steps}, options: [], template: {image: x}}\n"
    )
    (finding,) = validate_files([write(tmp_path, "job.yaml", text)])[1]
    assert str(finding).endswith("spec.options: is too short; write at least 1 item")
