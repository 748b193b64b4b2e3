"""The examples are what their README says: they load, hold the cases promised, and every number has a source."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from examples.demo import scale, truth
from hack.ground.fleet import load_fleet
from hack.ground.truth import parse_table
from polyhull.api.convert_scenario import scenario
from polyhull.api.files import snapshot_from_files
from polyhull.api.results import parse_instant
from polyhull.controller.prover import Prover
from polyhull.domain.decision import BoundKind, Decision
from polyhull.domain.fleet import Evidence
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.units import format_seconds
from polyhull.domain.workloads import TrainingJob
from polyhull.optimize.build import build_columns
from polyhull.planning.decide import decide
from polyhull.planning.scenario import changed

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "edge-to-cloud"
FLEET = ROOT / "examples" / "demo" / "fleet.yaml"
GAVEL = Path(os.environ.get("POLYHULL_DATA", ROOT.parent / "shared" / "data")) / "gavel"
TRACE = GAVEL / "traces_physical_cluster" / "minimize_makespan.trace"


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    found, findings = snapshot_from_files([EXAMPLE], 0.0)
    assert findings == ()
    return found


@pytest.mark.parametrize("name", ["across-sites", "edge-to-cloud", "first-job", "move-running", "two-clusters"])
def test_every_example_loads_without_findings(name: str) -> None:
    _, findings = snapshot_from_files([ROOT / "examples" / name], 0.0)
    assert findings == ()


def test_the_scenarios_can_be_asked_of_the_example(snapshot: Snapshot) -> None:
    files = sorted((ROOT / "examples" / "what-if").glob("*.yaml"))
    assert len(files) == 3
    for file in files:
        asked = scenario(yaml.safe_load(file.read_text()), snapshot.fleet.accelerators, strict=True)
        assert asked.accepted and asked.value
        assert changed(snapshot, asked.value) != snapshot


def test_first_job_needs_nothing_else_and_is_short() -> None:
    text = (ROOT / "examples" / "first-job" / "job.yaml").read_text()
    assert len([line for line in text.splitlines() if line and not line.startswith("#")]) <= 15
    found, _ = snapshot_from_files([ROOT / "examples" / "first-job"], 0.0)
    assert [cluster.name for cluster in found.fleet.clusters] == ["local"]
    assert len(found.jobs) == 1


@pytest.mark.parametrize(("at", "moves"), [("08:05", 0), ("09:00", 1), ("17:57", 0)])
def test_the_running_job_moves_when_its_page_says_so(at: str, moves: int) -> None:
    folder = ROOT / "examples" / "move-running"
    page = (folder / "README.md").read_text()
    instant = f"2027-01-15T{at}:00Z"
    assert instant in page
    found, _ = snapshot_from_files([folder], parse_instant(instant))
    plan = decide(found)
    assert len(plan.moves) == moves
    if moves:
        assert f"ends in {format_seconds(plan.makespan_seconds)} rather" in page


def _gang(job: TrainingJob) -> set[int]:
    return {option.replicas * option.devices_per_replica for option in job.options if option.accelerator != "cpu"}


def test_the_cases_the_example_promises(snapshot: Snapshot) -> None:
    assert len(snapshot.jobs) >= 20
    assert len(snapshot.services) == 2
    for service in snapshot.services:
        names = {variant.name.partition("-")[0] for variant in service.variants}
        assert names == {"large", "small"}
    by_edge = [data for data in snapshot.data_sets if {replica.site for replica in data.replicas} == {"edge-a"}]
    assert len(by_edge) >= 10
    assert any(not data.residency.empty for data in by_edge)
    assert any({option.accelerator for option in job.options} == {"ascend-910b"} for job in snapshot.jobs)
    assert any(
        "cpu" in kinds and len(kinds) > 1
        for kinds in ({option.accelerator for option in job.options} for job in snapshot.jobs)
    )
    assert {2, 4, 8} <= set().union(*(_gang(job) for job in snapshot.jobs))
    bases = [data.size_bytes for data in snapshot.data_sets if len(data.replicas) == 1]
    assert min(bases) >= 10e9 and max(bases) <= 2e12


def test_both_members_offer_cores_gpus_and_npus(snapshot: Snapshot) -> None:
    classes = {kind.name: kind.device_class for kind in snapshot.fleet.accelerators}
    for cluster in ("edge-a", "cloud-b"):
        pools = [pool for pool in snapshot.fleet.pools if pool.cluster == cluster]
        assert {classes[pool.accelerator] for pool in pools} == {"CPU", "GPU", "NPU"}


def test_every_job_can_stay_where_its_data_is(snapshot: Snapshot) -> None:
    """Otherwise the locality-only baseline would leave jobs out and mean nothing."""
    columns = build_columns(snapshot).columns
    for job in snapshot.jobs:
        mine = [column for column in columns if column.job == job.key]
        assert any(all(need.present for need in column.needs) for column in mine), job.key


def test_every_transfer_takes_one_link_that_it_fills(snapshot: Snapshot) -> None:
    """The exact bound may be printed only then (docs/model.md)."""
    routes = build_columns(snapshot).routes
    assert routes
    margin = snapshot.policy.bandwidth_margin
    links = {link.name: margin * link.bandwidth_bits_per_second / 8 for link in snapshot.fleet.links}
    for route in routes:
        assert len(route.links) == 1
        assert route.rate_bytes_per_second == pytest.approx(links[route.links[0]])


def test_rates_of_npus_and_cores_are_marked_as_assumed(snapshot: Snapshot) -> None:
    for job in snapshot.jobs:
        for option in job.options:
            if not option.accelerator.startswith("nvidia"):
                assert option.rate_evidence is Evidence.ASSUMED, (job.key, option.name)


@pytest.fixture(scope="module")
def plan(snapshot: Snapshot) -> Decision:
    with Prover(limit_seconds=120.0) as prove:
        return decide(snapshot, prove)


def test_the_plan_is_proved_to_be_within_two_percent(plan: Decision) -> None:
    assert plan.violations == () and plan.unplaced == ()
    assert plan.bound_kind is BoundKind.EXACT_WHOLE_COPY
    assert plan.gap is not None and plan.gap <= 0.02


def test_the_plan_uses_cores_gpus_and_npus_of_both_members(plan: Decision) -> None:
    used = {(item.cluster, item.device_class) for item in plan.assignments}
    assert used == {(cluster, kind) for cluster in ("edge-a", "cloud-b") for kind in ("CPU", "GPU", "NPU")}
    assert len(plan.transfers) >= 3


def test_the_plan_is_much_better_than_either_way_of_thinking(plan: Decision) -> None:
    local, fast = plan.baselines.locality_only_seconds, plan.baselines.compute_only_seconds
    assert local is not None and local >= 1.3 * plan.makespan_seconds
    assert fast is not None and fast >= 1.3 * plan.makespan_seconds


def test_every_request_is_served(plan: Decision) -> None:
    assert len(plan.services) == 2
    for service in plan.services:
        assert service.served_per_second == pytest.approx(service.demanded_per_second)


NUMBER = re.compile(r"^\s*(?:- )?(?:rate|pricePerGigabyte|pricePerDeviceHour|bandwidth|latencyMilliseconds|size): ")
WORK = re.compile(r"^\s*work: ")


def test_every_number_names_its_source() -> None:
    for file in sorted(EXAMPLE.glob("*.yaml")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if NUMBER.match(line) or WORK.match(line):
                assert "  # " in line, f"{file.name}:{number} has a number without a source: {line}"


def test_readme_lists_every_job_and_every_measured_source() -> None:
    text = (EXAMPLE / "README.md").read_text()
    for document in scale.load(EXAMPLE):
        if document["kind"] in {"TrainingJob", "InferenceJob"}:
            assert f"| {document['metadata']['name']} |" in text
    for source in ("simulation_throughputs.json", "throughput.csv", "latency.csv", "cost.csv", "minimize_makespan"):
        assert source in text


RATE = re.compile(r'rate: "([0-9.]+)"  # (.+)$')
TERM = re.compile(r"""gavel (\w+)\["(\(.+?\))"\]""")


def _rates() -> Iterator[tuple[float, str]]:
    for file in sorted(EXAMPLE.glob("*.yaml")):
        for line in file.read_text().splitlines():
            if match := RATE.search(line):
                yield float(match[1]), match[2]


def test_rates_follow_from_the_source_and_the_arithmetic_beside_them() -> None:
    if not GAVEL.is_dir():
        pytest.skip(f"{GAVEL} is absent: scheduler/ of github.com/stanford-futuredata/gavel @ c4fa400")
    table = json.loads((GAVEL / "simulation_throughputs.json").read_text())
    seen = 0
    for rate, formula in _rates():
        found = TERM.search(formula)
        assert found is not None, formula
        value = table[found[1]][found[2]]["null"]
        factors = TERM.sub("1", formula).split(" x ")
        for factor in factors:
            over, _, under = factor.partition("/")
            value *= float(over) / float(under or 1)
        assert rate == pytest.approx(value, rel=1e-5), formula
        seen += 1
    assert seen > 80


def test_work_is_the_trace_s() -> None:
    if not TRACE.is_file():
        pytest.skip(f"{TRACE} is absent: scheduler/ of github.com/stanford-futuredata/gavel @ c4fa400")
    trace = TRACE.read_text().splitlines()
    text = "".join(file.read_text() for file in sorted(EXAMPLE.glob("6*.yaml")))
    found = re.findall(r'work: \{quantity: "(\d+)".*trace line (\d+)', text)
    assert len(found) >= 20
    for steps, line in found:
        assert trace[int(line) - 1].split("\t")[5] == steps


# -- the demo's scaling and truth


def test_scaling_keeps_every_ratio() -> None:
    documents = scale.load(EXAMPLE)
    scaled = scale.scale(documents)
    assert scaled.shortest_run_seconds >= scale.SHORTEST_RUN_SECONDS
    before, after = dict(scale.runs(documents)), dict(scale.runs(scaled.documents))
    for name, seconds in before.items():
        assert seconds / after[name] == pytest.approx(scaled.factor, rel=1e-6)
    for old, new in zip(documents, scaled.documents, strict=True):
        if old["kind"] in {"Link", "ComputePool", "Site", "MemberCluster", "PlacementPolicy"}:
            assert old == new


def test_scaled_objects_are_still_good(tmp_path: Path) -> None:
    scaled = scale.scale(scale.load(EXAMPLE))
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(scaled.documents))
    _, findings = snapshot_from_files([tmp_path], 0.0)
    assert findings == ()


def _job(quantity: str, *rates: str) -> scale.Document:
    options = [
        {"name": f"o{i}", "accelerator": "cpu", "devicesPerReplica": 1, "rate": r} for i, r in enumerate(rates)
    ]
    spec = {"work": {"quantity": quantity}, "options": options}
    return {"kind": "TrainingJob", "metadata": {"name": "j"}, "spec": spec}


@given(st.lists(st.integers(10, 10**9), min_size=1, max_size=5), st.integers(1, 9))
def test_no_run_is_cut_below_the_shortest(work: list[int], rate: int) -> None:
    documents = [_job(str(quantity), str(rate)) for quantity in work]
    scaled = scale.scale(documents, 5.0)
    least_before = min(work) / rate
    assert scaled.factor >= 1
    assert scaled.shortest_run_seconds >= min(5.0, least_before) * (1 - 1e-6)


def test_a_data_set_is_never_scaled_to_nothing() -> None:
    data = {"kind": "DataSet", "metadata": {"name": "d"}, "spec": {"size": "3"}}
    scaled = scale.scale([_job("1000000", "1"), data], 5.0)
    assert scaled.documents[1]["spec"]["size"] == "1"


def test_batch_requests_are_divided_too() -> None:
    variants = [{"name": "v", "accelerator": "cpu", "devicesPerReplica": 1, "rate": "10"}]
    spec = {"mode": "Batch", "requests": "10000", "minReplicas": 2, "variants": variants}
    batch = {"kind": "InferenceJob", "metadata": {"name": "b"}, "spec": spec}
    scaled = scale.scale([batch], 5.0)
    assert (scaled.factor, scaled.documents[0]["spec"]["requests"]) == (100.0, "100")


def test_an_option_without_a_rate_cannot_be_scaled() -> None:
    job = _job("100", "1")
    del job["spec"]["options"][0]["rate"]
    with pytest.raises(ValueError, match="default/j: option o0 has no rate"):
        scale.scale([job])


def test_a_factor_too_large_says_the_largest() -> None:
    with pytest.raises(ValueError, match="take 20 or less"):
        scale.scale([_job("100", "1")], 5.0, factor=30)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no \*\.yaml here"):
        scale.load(tmp_path)


def test_the_fleet_of_the_demo_is_the_fleet_of_the_example(snapshot: Snapshot) -> None:
    fleet = load_fleet(FLEET)
    have = {
        (cluster.name, pool.count, pool.devices or pool.cpu): pool
        for cluster in fleet.clusters
        for pool in cluster.pools
    }
    kinds = {kind.name: kind.resource_name for kind in snapshot.fleet.accelerators}
    for pool in snapshot.fleet.pools:
        free = pool.nodes[0].free
        devices = free.devices if kinds[pool.accelerator] else str(free.cpu_millicores // 1000)
        twin = have[pool.cluster, len(pool.nodes), devices]
        assert twin.accelerator == kinds[pool.accelerator]
        assert dict(pool.node_selector).items() <= dict(twin.labels).items()


def test_the_truth_table_knows_every_option_and_says_work_over_rate() -> None:
    scaled = scale.scale(scale.load(EXAMPLE))
    table = truth.table(scaled.documents, yaml.safe_load(FLEET.read_text()))
    parsed = parse_table(table)
    finite = {d["metadata"]["name"]: d["spec"] for d in scaled.documents if d["kind"] == "TrainingJob"}
    assert {rule.name for rule in parsed.rules} == set(finite)
    for rule in parsed.rules:
        spec = finite[rule.name]
        known = sorted(seconds for pods in rule.seconds.values() for seconds in dict(pods).values())  # type: ignore[arg-type]
        runs = {round(float(spec["work"]["quantity"]) / float(option["rate"]), 3) for option in spec["options"]}
        assert {round(seconds, 3) for seconds in known} == runs
    assert parsed.link_bits_per_second["edge-a-to-cloud-b"] == 1_312_783_433


def test_the_truth_may_differ_from_what_the_objects_say() -> None:
    documents, fleet = scale.load(EXAMPLE), yaml.safe_load(FLEET.read_text())
    plain = parse_table(truth.table(documents, fleet))
    off = parse_table(truth.table(documents, fleet, slower={"replay-a3c": 2.0, "edge-a-to-cloud-b": 2.0}))
    pick = {rule.name: rule for rule in plain.rules}["replay-a3c"], {r.name: r for r in off.rules}["replay-a3c"]
    assert pick[1].seconds["cpu"][2] == pytest.approx(2 * pick[0].seconds["cpu"][2])  # type: ignore[index]
    link = "edge-a-to-cloud-b"
    assert off.link_bits_per_second[link] == plain.link_bits_per_second[link] / 2


def test_a_pool_the_ground_does_not_have_is_named() -> None:
    fleet = {"clusters": [{"name": "edge-a", "pools": []}, {"name": "cloud-b", "pools": []}]}
    with pytest.raises(ValueError, match=r"ComputePool .* has its labels"):
        truth.table(scale.load(EXAMPLE), fleet)
