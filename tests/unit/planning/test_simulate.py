"""Serial schedule generation and packing: capacity over time, links, shared data, growth, budgets."""

from dataclasses import replace

import pytest

from polyhull.domain.resources import Resources
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.workloads import ActiveTransfer, Key, Placed
from polyhull.optimize.build import build_columns
from polyhull.planning.decide import decide
from polyhull.planning.instance import Instance
from polyhull.planning.packing import Room, choose
from polyhull.planning.pools import binding_dimensions
from polyhull.planning.reserve import reserve
from polyhull.planning.schedule import Schedule
from polyhull.planning.simulate import run
from polyhull.planning.timeline import earliest_one, earliest_rate, take_rate, take_units, window
from tests.builders import GIB, NOW, cluster, data_set, fleet, growth, job, link, node, option, pool, room, snapshot


def instance(case: Snapshot) -> Instance:
    return reserve(case, build_columns(case), ()).instance


def spans(schedule: Schedule) -> list[tuple[float, float]]:
    return [(slot.start, slot.end) for slot in schedule.slots if slot is not None]


class TestTimeline:
    def test_taking_and_giving_back_leaves_no_steps(self) -> None:
        steps = ([0.0], [8])
        take_units(steps, 1.0, 2.0, 3)  # type: ignore[arg-type]
        assert steps == ([0.0, 1.0, 2.0], [8, 5, 8])
        take_units(steps, 1.0, 2.0, -3)  # type: ignore[arg-type]
        assert steps == ([0.0], [8])

    def test_the_earliest_gap_is_long_enough(self) -> None:
        steps = ([0.0, 5.0, 7.0, 20.0], [0, 4, 1, 8])
        assert earliest_one(steps, 4, 0.0, 2.0) == 5.0
        assert earliest_one(steps, 4, 0.0, 3.0) == 20.0
        assert earliest_one(steps, 9, 0.0, 1.0) == float("inf")

    def test_a_window_says_when_more_could_fit(self) -> None:
        steps = ([0.0, 5.0, 7.0], [8, 2, 8])
        assert window(steps, 2, 0.0, 6.0) == (1, 7.0)  # type: ignore[arg-type]
        assert window(steps, 2, 7.0, 6.0) == (4, float("inf"))  # type: ignore[arg-type]
        vectors = ([0.0], [(8, 4)])
        assert window(vectors, (2, 2), 0.0, 1.0) == (2, float("inf"))  # type: ignore[arg-type]

    def test_a_path_waits_for_all_its_links(self) -> None:
        first, second = ([0.0], [10.0]), ([0.0], [10.0])
        take_rate(first, 0.0, 3.0, 10.0)
        take_rate(second, 4.0, 6.0, 5.0)
        assert earliest_rate([first, second], [10.0, 10.0], 0.0, 1.0) == 3.0
        assert earliest_rate([first, second], [10.0, 10.0], 0.0, 2.0) == 6.0
        assert earliest_rate([first, second], [10.0, 5.0], 0.0, 2.0) == 3.0
        assert earliest_rate([], [], 2.0, 1.0) == 2.0


class TestPacking:
    def test_a_gang_goes_whole_into_the_fullest_node_that_holds_it(self) -> None:
        assert choose([Room(0, 8, 8), Room(1, 4, 4), Room(2, 3, 3)], 4) == ((1, 4),)

    def test_otherwise_the_fullest_nodes_are_filled_first(self) -> None:
        assert choose([Room(0, 8, 8), Room(1, 4, 4), Room(2, 2, 2)], 9) == ((0, 3), (1, 4), (2, 2))
        assert choose([Room(0, 1, 1)], 2) == ()

    def test_only_what_can_run_out_is_counted(self) -> None:
        assert binding_dimensions([room(8, cpu=96)], [Resources(1, 2000, 8 * GIB, GIB, 1)]) == (0,)
        assert binding_dimensions([room(8, cpu=8)], [Resources(1, 2000, 8 * GIB, GIB, 1)]) == (0, 1)

    def test_cpu_binds_where_it_is_short(self) -> None:
        """Eight devices but cpu for two pods at a time."""
        pods = Resources(1, 4000, GIB, GIB, 1)
        where = fleet([pool("a", "v100", [node("n", 8, cpu=8)])])
        case = snapshot(where, [job(f"j{i}", [option("v100", pod=pods)], 10.0) for i in range(4)])
        plan = decide(case)
        assert plan.makespan_seconds == 20.0 and plan.violations == ()


class TestOrder:
    def test_a_later_job_fills_a_hole_without_delaying_an_earlier_one(self) -> None:
        jobs = [job("a", [option("v100", devices=5)], 100.0), job("b", [option("v100", devices=8)], 100.0),
                job("c", [option("v100", devices=3)], 100.0)]  # fmt: skip
        one = instance(snapshot(fleet([pool("a", "v100", 1)]), jobs))
        assert spans(run(one, [0, 1, 2])) == [(0.0, 100.0), (100.0, 200.0), (0.0, 100.0)]
        assert spans(run(one, [1, 0, 2])) == [(100.0, 200.0), (0.0, 100.0), (100.0, 200.0)]

    def test_a_gang_over_two_nodes_waits_for_both(self) -> None:
        jobs = [job("a", [option("v100", devices=1)], 30.0), job("b", [option("v100", replicas=2, devices=8)], 10.0)]
        assert spans(run(instance(snapshot(fleet([pool("a", "v100", 2)]), jobs)), [0, 1])) == [
            (0.0, 30.0),
            (30.0, 40.0),
        ]

    def test_higher_tiers_come_first_whatever_their_length(self) -> None:
        jobs = [
            job("long", [option("v100", devices=8)], 500.0),
            job("urgent", [option("v100", devices=8)], 5.0, priority=9),
        ]
        plan = decide(snapshot(fleet([pool("a", "v100", 1)]), jobs))
        assert {a.job.name: a.start_seconds for a in plan.assignments} == {"urgent": 0.0, "long": 5.0}


class TestData:
    def where(self, gigabits: float = 0.8) -> dict[str, object]:
        return {"pools": [pool("a", "npu", 0), pool("b", "v100", 1)], "links": [link("a", "b", gigabits)]}

    def test_two_transfers_share_a_link_one_after_the_other(self) -> None:
        jobs = [job(f"j{i}", [option("v100")], 10.0, [f"d{i}"]) for i in range(2)]
        case = snapshot(fleet(**self.where()), jobs, [data_set("d0", 1, "a"), data_set("d1", 1, "a")])  # type: ignore[arg-type]
        assert spans(run(instance(case), [1, 0])) == [(20.0, 30.0), (10.0, 20.0)]

    def test_an_active_transfer_goes_on_and_holds_its_link(self) -> None:
        jobs = [job("reads", [option("v100")], 10.0, ["d"]), job("other", [option("v100")], 10.0, ["e"])]
        running = ActiveTransfer(Key("team", "d", "DataSet"), "a", "cluster:b", "b", "b", ("a->b",), 1e8, NOW - 4.0)
        case = snapshot(
            fleet(**self.where()), jobs, [data_set("d", 1, "a"), data_set("e", 1, "a")], transfers=(running,)
        )  # type: ignore[arg-type]
        plan = decide(case)
        ends = {a.job.name: a.end_seconds for a in plan.assignments}
        assert ends == pytest.approx({"reads": 16.0, "other": 26.0})
        assert [t.active for t in plan.transfers] == [True, False] and plan.violations == ()

    def test_no_more_copies_than_allowed(self) -> None:
        where = fleet(
            [pool("a", "npu", 0), pool("b", "v100", 1), pool("c", "k80", 1)], [link("a", "b"), link("a", "c")]
        )
        jobs = [job("here", [option("v100")], 10.0, ["d"]), job("there", [option("k80")], 10.0, ["d"])]
        plan = decide(snapshot(where, jobs, [data_set("d", 1, "a", max_copies=1)]))
        assert len(plan.transfers) == 1 and len(plan.unplaced) == 1 and plan.violations == ()

    def test_a_store_takes_no_more_than_it_holds(self) -> None:
        home = cluster("b")
        tight = replace(home, storage=replace(home.storage, capacity_bytes=1_500_000_000))
        where = fleet([pool("a", "npu", 0), pool("b", "v100", 1)], [link("a", "b")], [tight])
        jobs = [job(f"j{i}", [option("v100")], 10.0, [f"d{i}"]) for i in range(2)]
        plan = decide(snapshot(where, jobs, [data_set("d0", 1, "a"), data_set("d1", 1, "a")]))
        assert len(plan.transfers) == 1 and len(plan.unplaced) == 1 and plan.violations == ()


class TestGrowth:
    def test_the_first_job_is_released_at_once_and_waits_for_its_node(self) -> None:
        case = snapshot(
            fleet([pool("a", "v100", 0, growth=growth(1, provision=60.0))]),
            [job(f"j{i}", [option("v100", devices=8)], 100.0) for i in range(2)],
        )
        plan = decide(case)
        assert sorted((a.start_seconds, a.end_seconds, a.nodes) for a in plan.assignments) == [
            (0.0, 160.0, (("+1", 1),)), (160.0, 260.0, (("+1", 1),)),
        ]  # fmt: skip
        assert plan.violations == ()

    def test_waiting_for_a_real_node_is_better_than_growing_slowly(self) -> None:
        case = snapshot(
            fleet([pool("a", "v100", 1, growth=growth(1, provision=60.0))]),
            [job(f"j{i}", [option("v100", devices=8)], 10.0) for i in range(2)],
        )
        assert decide(case).makespan_seconds == 20.0


class TestFixed:
    def test_what_runs_keeps_its_node_even_on_a_cordoned_one(self) -> None:
        placed = Placed("a", "a/v100", "v100x8", (("n0", 1),), NOW - 20, NOW - 20)
        jobs = [
            replace(job("runs", [option("v100", devices=8)], 100.0), placed=placed),
            job("next", [option("v100")], 10.0),
        ]
        where = fleet([pool("a", "v100", [node("n0", schedulable=False), node("n1")])])
        plan = decide(snapshot(where, jobs))
        assert {a.job.name: a.nodes for a in plan.assignments} == {"runs": (("n0", 1),), "next": (("n1", 1),)}
        assert plan.makespan_seconds == 80.0 and plan.violations == ()


class TestFragmentation:
    """Why the preferred nodes matter: two small jobs on two nodes make a whole-node job wait for one."""

    def case(self, spread: bool) -> Snapshot:
        small = [option("v100", devices=1)]
        jobs = [job("wide", [option("v100", devices=8)], 100.0)]
        for i in range(2):
            where = Placed("a", "a/v100", "v100x1", ((f"a-v100-{i if spread else 0}", 1),), NOW, NOW)
            jobs.append(replace(job(f"small{i}", small, 500.0), placed=where))
        return snapshot(fleet([pool("a", "v100", 2)]), jobs)

    def test_spread_it_waits_packed_it_does_not(self) -> None:
        starts = {
            spread: next(a.start_seconds for a in decide(self.case(spread)).assignments if a.job.name == "wide")
            for spread in (True, False)
        }
        assert starts == {True: 500.0, False: 0.0}
