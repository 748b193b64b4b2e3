"""Benchmark lines have the promised form, instances are reproducible, and missing data skips with what to get."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import executed, instances, planning
from benchmarks.__main__ import BENCHMARKS
from benchmarks.figures import SkipBenchmark, alternately, at_most, percentile, report
from benchmarks.ground import WRITES, requests_by_kind
from polyhull.optimize.build import build_columns

KEYS = ["figure", "value", "unit", "anchor", "anchor_source", "target", "holds", "instance"]
REGIONS = ("aws:a", "aws:b", "gcp:c", "gcp:d")


def sources() -> instances.Sources:
    """A small stand-in with the same form: two models, every pair of four regions."""
    kinds = [("ResNet-18 (batch size 16)", gang) for gang in (1, 2, 4)] + [("A3C", 1)]
    rates = {
        gpu: {kind: speed * kind[1] for kind in kinds} for gpu, speed in (("k80", 1.0), ("p100", 3.0), ("v100", 5.0))
    }
    pairs = [(one, other) for one in REGIONS for other in REGIONS if one != other]
    wan = instances.Wan(dict.fromkeys(pairs, 3e9), dict.fromkeys(pairs, 0.02), dict.fromkeys(pairs, 0.05))
    return instances.Sources(rates, wan)


SHAPE = instances.Shape(jobs=40, clouds=3, edges=1)


def test_a_line_has_the_promised_keys_in_order() -> None:
    line = at_most("f", 1.23456789, "s", 4.0, "i", 2.0, "somebody").line()
    assert "\n" not in line
    values = json.loads(line)
    assert list(values) == KEYS
    assert (values["value"], values["holds"]) == (1.23457, True)


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_figure_holds_exactly_when_it_keeps_its_target(value: float, target: float) -> None:
    assert at_most("f", value, "s", target, "i").holds == (value <= target)


def test_a_report_has_no_target() -> None:
    figure = report("f", 1.0, "x", "i")
    assert figure.target is None and figure.holds


def test_alternately_takes_turns_and_gives_medians() -> None:
    calls: list[str] = []

    def one() -> float:
        calls.append("one")
        return float(len(calls))

    def other() -> float:
        calls.append("other")
        return 0.0

    assert alternately(3, one, other) == (3.0, 0.0)
    assert calls == ["one", "other"] * 3


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_percentile_is_the_least_value_that_enough_do_not_exceed(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    below = [value for value in values if value < found]
    assert not below or sum(value <= max(below) for value in values) < share * len(values) + 1e-9


def test_the_same_shape_gives_the_same_instance_and_another_seed_another() -> None:
    assert instances.gavel_skyplane(sources(), SHAPE) == instances.gavel_skyplane(sources(), SHAPE)
    assert instances.gavel_skyplane(sources(), SHAPE) != instances.gavel_skyplane(sources(), replace(SHAPE, seed=2))


def test_an_instance_is_what_its_shape_says() -> None:
    snapshot = instances.gavel_skyplane(sources(), SHAPE)
    assert len(snapshot.jobs) == len(snapshot.data_sets) == 40
    assert len(snapshot.fleet.sites) == 4
    assert len(snapshot.fleet.pools) == 12
    assert "40 jobs x 12 pools x 4 sites (1 edge)" in str(SHAPE)
    assert all(SHAPE.least_bytes <= data.size_bytes <= SHAPE.most_bytes for data in snapshot.data_sets)
    for job in snapshot.jobs:
        on_v100 = next(option for option in job.options if option.accelerator == "v100")
        assert on_v100.rate_per_second is not None
        assert SHAPE.least_seconds <= job.work_quantity / on_v100.rate_per_second <= SHAPE.most_seconds * 1.000001


def test_links_of_edge_sites_are_cut_and_no_others() -> None:
    snapshot = instances.gavel_skyplane(sources(), SHAPE)
    edges = {site.name for site in snapshot.fleet.sites if site.tier == "Edge"}
    for link in snapshot.fleet.links:
        expected = 0.2e9 if link.source in edges else 1e9 if link.target in edges else 3e9
        assert link.bandwidth_bits_per_second == expected


def test_every_job_of_an_instance_has_somewhere_to_run() -> None:
    snapshot = instances.gavel_skyplane(sources(), SHAPE)
    assert {column.job for column in build_columns(snapshot).columns} == {job.key for job in snapshot.jobs}


def test_believed_links_change_only_what_is_named() -> None:
    snapshot = instances.gavel_skyplane(sources(), SHAPE)
    first = snapshot.fleet.links[0].name
    seen = instances.with_links(snapshot, {first: 1.0})
    assert seen.fleet.links[0].bandwidth_bits_per_second == 1.0
    assert seen.fleet.links[1:] == snapshot.fleet.links[1:]


def test_regions_without_every_pair_measured_are_never_chosen() -> None:
    found = sources()
    pairs = {pair: bits for pair, bits in found.wan.bits_per_second.items() if pair != ("aws:a", "aws:b")}
    gap = replace(found, wan=replace(found.wan, bits_per_second=pairs))
    for seed in range(10):
        shape = replace(SHAPE, clouds=2, edges=1, seed=seed)
        names = {site.name for site in instances.gavel_skyplane(gap, shape).fleet.sites}
        assert not {"aws-a", "aws-b"} <= names
    with pytest.raises(ValueError, match="no 4 regions"):
        instances.gavel_skyplane(gap, SHAPE)


def test_real_data_is_read_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "gavel").mkdir()
    (tmp_path / "skyplane").mkdir()
    table = {gpu: {"('A3C', 1)": {"null": 2.5}} for gpu in instances.GPUS}
    (tmp_path / "gavel" / "simulation_throughputs.json").write_text(json.dumps(table))
    head = "src_region,src_tier,dst_region,dst_tier,"
    (tmp_path / "skyplane" / "throughput.csv").write_text(
        head + "throughput_received\naws:a,PREMIUM,gcp:c,STANDARD,1e9\naws:a,PREMIUM,gcp:c,PREMIUM,2e9\n"
    )
    (tmp_path / "skyplane" / "latency.csv").write_text(head + "avg_rtt\naws:a,PREMIUM,gcp:c,PREMIUM,100\n")
    (tmp_path / "skyplane" / "cost.csv").write_text("src,dest,cost\naws:a,gcp:c,0.09\n")
    found = instances.load_sources(tmp_path)
    pair = ("aws:a", "gcp:c")
    assert found.rates["v100"] == {("A3C", 1): 2.5}
    assert found.wan.bits_per_second == {pair: 2e9}
    assert found.wan.latency_seconds == {pair: 0.05}
    assert found.wan.price_per_gigabyte == {pair: 0.09}


@pytest.mark.parametrize("data", [None, Path("/nowhere")])
def test_without_data_a_benchmark_says_where_to_get_it(data: Path | None) -> None:
    with pytest.raises(SkipBenchmark, match=r"stanford-futuredata/gavel .*skyplane-project/skyplane"):
        instances.load_sources(data)


def test_only_the_operator_s_own_completed_requests_count() -> None:
    def event(
        verb: str, resource: str, agent: str = "polyhull/0.1", stage: str = "ResponseComplete"
    ) -> dict[str, Any]:
        return {"verb": verb, "stage": stage, "userAgent": agent, "objectRef": {"resource": resource}}

    status = event("patch", "trainingjobs")
    status["objectRef"]["subresource"] = "status"
    events = [
        status,
        status,
        event("create", "events", agent="kopf/1.45"),
        event("patch", "trainingjobs", agent="kubectl/v1.36"),
        event("patch", "jobs", stage="RequestReceived"),
        event("watch", "jobs"),
        event("update", "leases"),
        event("list", "nodes"),
    ]
    assert requests_by_kind(events) == {"patch trainingjobs/status": 2, "create events": 1, "list nodes": 1}
    assert requests_by_kind(events, WRITES).total() == 3


def test_the_issue_s_benchmarks_are_there() -> None:
    named = {"example-plan", "plan-1000", "joint-vs-baselines", "arrival-latency", "requests-per-placement"}
    assert named <= set(BENCHMARKS)


def test_best_known_makespans_say_how_they_were_found() -> None:
    known = json.loads(executed.BEST_KNOWN.read_text())
    assert set(known) == {str(jobs) for jobs in executed.SHAPES}
    for jobs, seeds in known.items():
        for seed, entry in seeds.items():
            assert int(seed) in executed.SEEDS and entry["makespan_seconds"] > 0
            assert entry["steps"] > 0 and entry["minutes"] > 0
            order = np.frombuffer(base64.b64decode(entry["order"]), "<u2")
            assert sorted(order.tolist()) == list(range(int(jobs)))


def small_case(monkeypatch: pytest.MonkeyPatch) -> executed.Case:
    monkeypatch.setitem(executed.SHAPES, 40, SHAPE)
    return executed.case_of(sources(), 40, 3)


def test_a_schedule_on_file_simulates_to_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    case = small_case(monkeypatch)
    found = case.search(300)
    entry = executed.entry_of(found, 300, 0.1)
    again = executed.simulated(case.instance, json.loads(json.dumps(entry)))
    assert (again.makespan, again.slots) == (found.makespan, found.slots)
    monkeypatch.setitem(executed.STEPS, 40, 300)
    assert executed.measured(case, 40, entry).as_recorded
    assert not executed.measured(case, 40, entry | {"makespan_seconds": found.makespan * 0.9}).as_recorded
    with pytest.raises(ValueError, match="other jobs"):
        executed.simulated(case.instance, entry | {"columns": entry["columns"][:-8]})


def test_only_a_better_schedule_replaces_the_one_on_file(tmp_path: Path) -> None:
    file = tmp_path / "known.json"
    file.write_text("{}")
    assert executed.keep(300, 2, {"makespan_seconds": 10.0}, file)
    assert not executed.keep(300, 2, {"makespan_seconds": 10.0, "steps": 9}, file)
    assert executed.keep(300, 2, {"makespan_seconds": 9.0}, file)
    assert json.loads(file.read_text()) == {"300": {"2": {"makespan_seconds": 9.0}}}


def test_figures_of_executed_schedules_are_shares_of_what_is_known_and_proved() -> None:
    found = [
        executed.Outcome(102.0, 104.0, 100.0, 95.0, 1.0, True),
        executed.Outcome(99.0, 99.0, 99.0, 99.0, 1.0, True),
    ]
    values = {one.figure.partition(": ")[2]: one for one in executed._figures(300, found, {})}
    assert values["above the best known, worst"].value == pytest.approx(0.02)
    assert values["above the best known, median"].value == pytest.approx(0.01)
    assert values["seeds where the bound proves at most 1 % above the optimum"].value == 1
    assert values["bound over the best known, median"].value == pytest.approx(0.975)
    assert values["seeds where ten times the steps are worse"].holds


def test_a_regime_says_what_figure_and_bound_say_together() -> None:
    there = planning.Rivals(joint=10.0, least=9.0, locality_only=20.0, compute_only=10.2)
    assert planning._verdict(there.locality_only, there) == "at least 2 x"
    assert planning._verdict(there.compute_only, there) == "a tie, no schedule is more than 1.13 x better"
    assert planning._verdict(15.0, there) == "better, no schedule is more than 1.67 x better"
    for _, why, _ in planning.regimes(instances.JOINT_300):
        assert set(why) == {"locality-only", "compute-only"}
