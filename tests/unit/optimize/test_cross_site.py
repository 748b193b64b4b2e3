"""Cross-site columns: iteration times by hand, failures by hand, and what must never make a step slower."""

import dataclasses
import math
import os
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhull.optimize.cross_site import (
    Connection,
    Connections,
    CrossSiteColumn,
    Mode,
    Refusal,
    SitePart,
    TrainedModel,
    cross_site_column,
)
from polyhull.optimize.failures import LEAST_USEFUL, Recovery, best_interval, failure_rate, useful_share

EXAMPLES = int(os.environ.get("POLYHULL_EXAMPLES", "60"))
MODES: tuple[Mode, ...] = ("Pipeline", "DataParallel")
NEVER = Recovery(0.0, 0.0)
MODEL = TrainedModel(
    parameters=8e9, layers=8, step_flops=64e12, samples=1, activation_bytes=1e6, gradient_bytes=16e9, state_bytes=16.0
)


def part(site: str, nodes: int = 1, devices: int = 1, flops: float = 1e12, **other: float) -> SitePart:
    values = {
        "device_memory_bytes": 1e15,
        "node_bytes_per_second": 1e12,
        "site_bytes_per_second": 1e10,
        "site_latency_seconds": 0.0,
        "device_mean_seconds": math.inf,
    }
    return SitePart(site, nodes, devices, flops, **{**values, **other})


def joined(rate: float, latency: float = 0.0, mean: float = math.inf, sites: str = "abc") -> Connections:
    return {
        frozenset((one, other)): Connection(rate, latency, mean) for one in sites for other in sites if one < other
    }


def column(parts: list[SitePart], mode: Mode, links: Connections, **other: object) -> CrossSiteColumn:
    model = dataclasses.replace(MODEL, **{k: v for k, v in other.items() if k in {"samples", "layers"}})  # type: ignore[arg-type]
    steps = int(str(other.get("steps", 1)))
    found = cross_site_column(model, parts, links, mode, NEVER, steps)
    assert isinstance(found, CrossSiteColumn), found
    return found


def test_one_device_takes_flops_over_speed() -> None:
    for mode in MODES:
        found = column([part("a")], mode, {})
        assert found.step.total == pytest.approx(64.0) and found.useful == 1.0
        assert found.layers == ((8,),) and found.link_bytes == ()


def test_a_pipeline_of_two_sites_by_hand() -> None:
    """One sample: 32 s at each site, and its activations over the border there and back: 2 (1e6/1e6 + 0.5) = 3 s."""
    found = column([part("a"), part("b")], "Pipeline", joined(1e6, 0.5))
    assert found.layers == ((4,), (4,))
    assert (found.step.compute, found.step.cuts) == (pytest.approx(64.0), pytest.approx(3.0))
    assert found.link_bytes == ((("a", "b"), 1e6),)


def test_micro_batches_fill_the_pipeline() -> None:
    """Four samples in four micro-batches, 16 s for each (8 s a stage): (4 + 1) 8 s; the cuts carry 1/4 s each."""
    found = column([part("a"), part("b")], "Pipeline", joined(4e6), samples=4)
    assert found.micro_batches == 4
    assert found.step.compute == pytest.approx(40.0)
    assert found.step.cuts == pytest.approx(2 * 0.25)


def test_a_slow_border_sets_the_period() -> None:
    """A micro-batch takes 8 s a stage and 20 s over the border: 16 + 40 + 3 x 20 s with four of them."""
    found = column([part("a"), part("b")], "Pipeline", joined(1e6 / 20), samples=4)
    by_batches = {1: 64.0 + 2 * 80.0, 2: 32.0 + 2 * 40.0 + 40.0, 4: 16.0 + 2 * 20.0 + 3 * 20.0}
    assert found.step.total == pytest.approx(min(by_batches.values()))


def test_layers_follow_speed() -> None:
    found = column([part("a", flops=3e12), part("b", flops=1e12)], "Pipeline", joined(1e12))
    assert dict(zip(found.sites, found.layers, strict=True)) == {"a": (6,), "b": (2,)}


def test_data_parallel_over_two_sites_by_hand() -> None:
    """Half of the samples at each site; the ring moves 16e9 bytes at 1e9 byte/s, and two hops of 1 s."""
    found = column([part("a"), part("b")], "DataParallel", joined(1e9, 1.0), samples=2)
    assert (found.step.compute, found.step.exchange_across) == (pytest.approx(32.0), pytest.approx(16.0 + 2.0))
    rare = column([part("a"), part("b")], "DataParallel", joined(1e9, 1.0), samples=2, steps=9)
    assert rare.step.exchange_across == pytest.approx(2.0)
    assert rare.link_bytes == ((("a", "b"), pytest.approx(16e9 / 9)),)


def test_three_copies_in_a_ring_of_sites() -> None:
    found = column([part(site) for site in "abc"], "DataParallel", joined(1e9), samples=3)
    assert found.step.exchange_across == pytest.approx(2 * 2 / 3 * 16.0)
    assert [pair for pair, _ in found.link_bytes] == [("a", "b"), ("b", "c"), ("c", "a")]


def test_tensor_parallel_pays_inside_the_node() -> None:
    """Two devices: half the compute, and 4 all-reduces of 1e6 bytes a layer at 1e6 byte/s: 8 x 4 x 1 s."""
    found = column([part("a", devices=2, node_bytes_per_second=1e6)], "Pipeline", {})
    assert found.step.total == pytest.approx(32.0 + 32.0)


def test_copies_inside_a_site_exchange_every_step() -> None:
    found = column([part("a", nodes=2)], "DataParallel", {}, samples=2, layers=1)
    assert found.replicas == (2,)
    assert found.step.exchange_inside == pytest.approx(16e9 / 1e10)


def test_a_device_that_cannot_hold_its_stages_is_said() -> None:
    found = cross_site_column(MODEL, [part("a", device_memory_bytes=1e9)], {}, "Pipeline", NEVER)
    assert isinstance(found, Refusal) and found.reason == "Memory" and "128" in found.message


def test_sites_without_a_link_and_too_many_sites_are_said() -> None:
    two = [part("a"), part("b")]
    assert cross_site_column(MODEL, two, {}, "Pipeline", NEVER) == Refusal(
        "NoLink", "no link joins a and b; declare Links both ways"
    )
    for parts in ([part(site) for site in "abcd"], [], [part("a"), part("a")]):
        found = cross_site_column(MODEL, parts, joined(1e9, sites="abcd"), "Pipeline", NEVER)
        assert isinstance(found, Refusal) and found.reason == "TooManySites"
    thin = dataclasses.replace(MODEL, layers=1)
    assert isinstance(found := cross_site_column(thin, two, joined(1e9), "Pipeline", NEVER), Refusal)
    assert found.reason == "TooFewNodes"


def test_a_pipeline_goes_through_the_site_that_has_the_links() -> None:
    links = {pair: one for pair, one in joined(1e9).items() if "b" in pair}
    found = column([part("a"), part("c"), part("b")], "Pipeline", links)
    assert found.sites[1] == "b"


def test_failures_by_hand() -> None:
    """100 devices of 1e6 s and a link of 1e5 s: 1.1e-4 /s. Checkpoint 10 s every 400 s, restart 60 s."""
    rate = failure_rate(100, 1e6, (1e5,))
    assert rate == pytest.approx(1.1e-4)
    assert useful_share(Recovery(10.0, 60.0, 400.0), rate) == pytest.approx(1 - 10 / 400 - (200 + 60) * 1.1e-4)
    assert best_interval(10.0, rate) == pytest.approx(math.sqrt(20.0 / 1.1e-4))


def test_the_published_rate_of_llama_3_leaves_ninety_percent() -> None:
    """419 interruptions in 54 days on 16,384 devices; with 30 s to save and 3 min to restart, over 90 % is useful."""
    rate = failure_rate(16_384, 54 * 86_400 * 16_384 / 419)
    assert useful_share(Recovery(30.0, 180.0), rate) > 0.9


@given(st.floats(1.0, 1e4), st.floats(1e-9, 1e-3), st.floats(0.1, 10.0))
def test_no_interval_loses_less_than_the_best(delta: float, rate: float, factor: float) -> None:
    best = best_interval(delta, rate)
    other = useful_share(Recovery(delta, 0.0, best * factor), rate)
    assert other <= useful_share(Recovery(delta, 0.0), rate) + 1e-9


def test_nothing_fails_nothing_is_lost() -> None:
    assert failure_rate(1000, math.inf, (math.inf,)) == 0.0
    assert useful_share(Recovery(60.0, 600.0), 0.0) == 1.0
    assert useful_share(Recovery(60.0, 600.0, 600.0), 0.0) == pytest.approx(0.9)


def test_a_column_that_fails_too_often_is_dropped_and_says_so() -> None:
    weak = [part("a", device_mean_seconds=100.0)]
    found = cross_site_column(MODEL, weak, {}, "Pipeline", Recovery(30.0, 60.0))
    assert isinstance(found, Refusal) and found.reason == "Failures"
    strong = [part("a", device_mean_seconds=1e6)]
    kept = cross_site_column(MODEL, strong, {}, "Pipeline", Recovery(30.0, 60.0))
    assert isinstance(kept, CrossSiteColumn) and kept.useful > LEAST_USEFUL
    assert kept.seconds == pytest.approx(kept.step.total / kept.useful)


def world(seed: int) -> tuple[TrainedModel, list[SitePart], Connections, Recovery]:
    dice = Random(seed)
    model = dataclasses.replace(
        MODEL,
        layers=dice.randint(3, 12),
        samples=dice.choice([1, 6, 64]),
        activation_bytes=10.0 ** dice.uniform(4, 9),
    )
    parts = [
        part(
            site,
            nodes=dice.randint(1, 4),
            devices=dice.choice([1, 2, 8]),
            flops=10.0 ** dice.uniform(11, 14),
            device_mean_seconds=10.0 ** dice.uniform(6, 9),
        )
        for site in "abc"[: dice.randint(1, 3)]
    ]
    links = joined(10.0 ** dice.uniform(6, 10), 10.0 ** dice.uniform(-4, -1), 10.0 ** dice.uniform(6, 9))
    return model, parts, links, Recovery(dice.choice([1.0, 30.0]), dice.choice([10.0, 300.0]))


def seconds(found: CrossSiteColumn | Refusal) -> float:
    return found.seconds if isinstance(found, CrossSiteColumn) else math.inf


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(MODES), st.floats(1.0, 100.0))
def test_better_hardware_and_rarer_exchanges_never_slow_a_step(seed: int, mode: Mode, factor: float) -> None:
    model, parts, links, recovery = world(seed)
    before = cross_site_column(model, parts, links, mode, recovery, 2)

    def after(**changes: float) -> float:
        better = [
            dataclasses.replace(one, **{name: getattr(one, name) * factor for name in changes}) for one in parts
        ]
        return seconds(cross_site_column(model, better, links, mode, recovery, 2))

    limit = seconds(before) * (1 + 1e-9)
    assert after(device_mean_seconds=1) <= limit
    assert after(device_memory_bytes=1) <= limit
    assert after(node_bytes_per_second=1) <= limit
    assert after(site_bytes_per_second=1) <= limit
    assert after(device_flops_per_second=1) <= limit
    faster = {
        pair: Connection(one.bytes_per_second * factor, one.latency_seconds / factor, one.mean_seconds * factor)
        for pair, one in links.items()
    }
    assert seconds(cross_site_column(model, parts, faster, mode, recovery, 2)) <= limit
    assert seconds(cross_site_column(model, parts, links, mode, recovery, 20)) <= limit


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(MODES))
def test_a_column_is_whole(seed: int, mode: Mode) -> None:
    model, parts, links, recovery = world(seed)
    found = cross_site_column(model, parts, links, mode, recovery)
    if isinstance(found, Refusal):
        assert found.message and found.reason
        return
    by_site = {one.site: one for one in parts}
    assert sorted(found.sites) == sorted(by_site)
    held = [sum(layers) for layers in found.layers]
    assert (sum(held) if mode == "Pipeline" else held[0]) == model.layers
    for site, layers, copies in zip(found.sites, found.layers, found.replicas, strict=True):
        assert len(layers) * copies <= by_site[site].nodes and min(layers) >= 1
    assert all(seconds >= 0.0 for seconds in dataclasses.astuple(found.step))
    devices = sum(one.nodes * one.devices_per_node * one.device_flops_per_second for one in parts)
    assert found.step.total >= model.step_flops / devices * (1 - 1e-9)
    assert LEAST_USEFUL <= found.useful <= 1.0
