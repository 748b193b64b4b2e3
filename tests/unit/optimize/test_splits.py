"""A copy in parts: where its rates come from, what each part moves, and why a copy is not split."""

from dataclasses import replace

import pytest

from polyhull.domain.labels import Requirement, Selector
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import ActiveTransfer, CopyPart
from polyhull.optimize.arrays import model_data
from polyhull.optimize.build import build_columns
from polyhull.optimize.columns import ColumnSet, Route
from polyhull.optimize.whole_copies import whole_copies
from tests.builders import NOW, data_set, fleet, job, key, link, option, pool, site, snapshot

NARROW, WIDE = 0.8, 1.6
"""In Gbit/s: 100 and 200 MB/s."""
MB = 10**6


def case(
    largest: int | None = 10 * MB, sources: tuple[str, ...] = ("a", "b"), split: bool = True, gb: float = 30
) -> Snapshot:
    """Data at a (narrow link) and b (wide link, and one over relay r), a job that runs at t only."""
    where = fleet(
        [pool("t", "v100")],
        [link("a", "t", NARROW), link("b", "t", WIDE), link("b", "r", NARROW), link("r", "t", WIDE)],
        sites=[site("r", region="out")],
    )
    data = data_set("set", gb, *sources, largest_file_bytes=largest)
    made = snapshot(where, [job("one", [option("v100")], data=["set"])], [data])
    return replace(made, policy=replace(made.policy, split_transfers=split))


def split_route(columns: ColumnSet) -> Route | None:
    return next((route for route in columns.routes if route.parts), None)


def test_parts_take_the_maximum_flow_and_end_together() -> None:
    route = split_route(build_columns(case()))
    assert route is not None
    assert [part.links for part in route.parts] == [("b->t",), ("a->t",), ("b->r", "r->t")]
    assert [part.rate_bytes_per_second for part in route.parts] == pytest.approx([200 * MB, 100 * MB, 100 * MB])
    assert sum(part.transfer_bytes for part in route.parts) == 30_000 * MB
    # 30 GB and one more file for each part at 400 MB/s; the wide link alone takes 150 s.
    assert route.seconds == pytest.approx(30_030 / 400, rel=1e-6)
    for part in route.parts:
        assert (part.transfer_bytes + 10 * MB) / part.rate_bytes_per_second == pytest.approx(route.seconds, abs=1e-6)
        assert part.source_url == f"s3://{part.source_site}/set"
    assert (route.source_site, route.links) == ("b", ("b->t", "a->t", "b->r", "r->t"))


def test_whole_copies_stay_choices_beside_it() -> None:
    columns = build_columns(case())
    whole = [route for route in columns.routes if not route.parts]
    assert [route.source_site for route in whole] == ["a", "b"]
    assert whole == list(build_columns(case(split=False)).routes)
    assert columns.split and not build_columns(case(split=False)).split


def test_residency_holds_for_every_hop_of_every_part() -> None:
    shot = case()
    home = Selector((), (Requirement("region", "DoesNotExist"),))
    route = split_route(build_columns(replace(shot, data_sets=(replace(shot.data_sets[0], residency=home),))))
    assert route is not None
    assert [part.links for part in route.parts] == [("b->t",), ("a->t",)]


@pytest.mark.parametrize(
    ("shot", "words"),
    [
        (case(None), "spec.largestFile"),
        (case(30_000 * MB), "too large to share"),
        (case(9_900 * MB), "would not be faster"),
        (case(sources=("a",)), "one path carries all"),
        (case(sources=("a", "b", "t")), "is at t already"),
    ],
    ids=["unknown", "one-file", "large-files", "one-path", "in-site"],
)
def test_a_copy_that_is_not_split_says_why(shot: Snapshot, words: str) -> None:
    (job_,) = shot.jobs
    mounted = replace(job_, inputs=tuple(replace(one, mounted=True) for one in job_.inputs))
    columns = build_columns(replace(shot, jobs=(mounted,)))
    assert not columns.split
    assert columns.routes and all(words in route.whole_because for route in columns.routes)


def test_parallel_links_add_up_and_none_is_overdrawn() -> None:
    where = fleet(
        [pool("t", "v100")],
        [replace(link("a", "t", NARROW), name=name) for name in ("first", "second", "third")],
    )
    shot = replace(case(sources=("a",)), fleet=where)
    route = split_route(build_columns(shot))
    assert route is not None
    assert route.loads == pytest.approx(dict.fromkeys(("first", "second", "third"), 100 * MB))


def test_the_programme_counts_each_link_by_the_bytes_of_its_parts() -> None:
    shot = case()
    columns = build_columns(shot)
    data = whole_copies(model_data(shot, columns), columns)
    assert data.whole is not None
    (move,) = data.whole.shared
    bytes_of = {data.links[e]: amount for e, amount in move.ways[-1]}
    route = split_route(columns)
    assert route is not None and bytes_of == pytest.approx(route.volumes)
    assert data.transfer[0] == pytest.approx(route.seconds)


def test_parts_under_way_take_their_own_links_only() -> None:
    parts = (
        CopyPart("b", "", ("b->t",), 20_000 * MB, 200.0 * MB),
        CopyPart("a", "", ("a->t",), 10_000 * MB, 100.0 * MB),
    )
    begun = ActiveTransfer(key("set", "DataSet"), "b", "cluster:t", "t", "t", ("b->t", "a->t"), 3e8, NOW - 40, parts)
    shot = replace(case(split=False), transfers=(begun,))
    columns = build_columns(shot)
    (route,) = columns.routes
    assert route.parts == parts and route.seconds == pytest.approx(60.0)
    active = {data_links: (rate, left) for data_links, rate, left in model_data(shot, columns).active}
    names = tuple(model_data(shot, columns).links)
    at = {name: e for e, name in enumerate(names)}
    assert active[(at["b->t"],)] == pytest.approx((2e8, 12e9))
    assert active[(at["a->t"],)] == pytest.approx((1e8, 6e9))
