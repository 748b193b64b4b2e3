"""What the page is told: link loads with what requests and answers take, and who is only watched."""

from dataclasses import replace

import pytest

from polyhull.cli.page.content import content
from polyhull.domain.snapshot import Mode, Policy, SolverLimits
from polyhull.domain.workloads import Key
from polyhull.planning.decide import decide
from tests.builders import data_set, fleet, job, link, option, pool, service, snapshot, variant

POLICY = Policy(
    startup_seconds=0.0, bandwidth_margin=1.0, solver=SolverLimits(search_steps=0, exact_jobs=0),
    modes=(("look", Mode.OBSERVE),),
)  # fmt: skip


def test_requests_are_part_of_a_links_load_from_beginning_to_end() -> None:
    where = fleet([pool("b", "v100", 2, 4), pool("a", "k80")], [link("a", "b", 0.1), link("b", "a", 0.1)])
    web = service("web", [("a", 2.0)], [variant("v100", 5.0)])
    watched = replace(web, key=Key("look", "web", "InferenceJob"))
    jobs = [job("one", [option("v100")], 100.0, ["d"]), job("two", [option("v100")], 900.0, namespace="look")]
    case = snapshot(where, jobs, [data_set("d", 0.5, "a")], [web, watched], POLICY)
    plan = decide(case)
    assert len(plan.services) == 2
    page = content(case, plan, "")
    links = {one["name"]: one for one in page["links"]}
    assert links["a->b"]["serving"] == pytest.approx(2.0 * 4000 * 8), "what is only watched sends nothing"
    assert links["b->a"]["load"] == [[0.0, pytest.approx(2.0 * 20_000 * 8)], [page["horizon"], 0.0]]
    staged, after = links["a->b"]["load"][:2]
    assert staged[1] == pytest.approx(0.1e9), "the transfer takes what the requests leave"
    assert after[1] == pytest.approx(2.0 * 4000 * 8)
    assert {one["name"]: one["observed"] for one in page["jobs"]} == {"one": False, "two": True}
    assert page["horizon"] == pytest.approx(900.0)
    assert plan.makespan_seconds < 900.0
