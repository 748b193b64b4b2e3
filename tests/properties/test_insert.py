"""A job put into the present plan gives the plan that is made anew with it, byte for byte."""

import asyncio
import pickle
import time
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from polyhull.controller.planner import Planner, Quick
from polyhull.domain.decision import Opportunity
from polyhull.domain.snapshot import Policy, Snapshot
from polyhull.domain.workloads import TrainingJob
from polyhull.planning.canonical import canonical
from polyhull.planning.carried import carrying
from polyhull.planning.decide import present_plan, quick
from polyhull.planning.grown import Arrivals
from polyhull.planning.insert import insertable
from polyhull.planning.robust import quantiles, spread
from tests.builders import NOW, random_snapshot
from tests.kernel_cases import everything
from tests.properties.amount import examples


class InProcess:
    """The quick worker without its process: what goes to and fro is pickled all the same."""

    def __init__(self) -> None:
        self.quick, self.inserted = Quick(), 0

    async def ask(self, question: Snapshot | Arrivals, limit_seconds: float) -> Any:
        answer = self.quick(pickle.loads(pickle.dumps(question)))
        self.quick.later()
        if isinstance(question, Arrivals) and answer is not None:
            self.inserted += len(question.jobs)
        return pickle.loads(pickle.dumps(answer))


def cases(seed: int) -> tuple[Snapshot, list[TrainingJob]]:
    """A snapshot with some of its jobs, and the others, which come later."""
    dice = Random(seed)
    whole = canonical(everything(seed) if seed % 3 else random_snapshot(seed, 25, 4, 3, policy=Policy()))
    objective = dice.choice([("Makespan",), ("Makespan", "WeightedCompletion"), ("WeightedCompletion",), ("Cost",)])
    whole = replace(whole, policy=replace(whole.policy, objective=objective))
    if dice.random() < 0.3:
        prices = tuple(
            Opportunity(pool.name, (NOW + 100.0, NOW + 900.0), (dice.random(), dice.random()))
            for pool in whole.fleet.pools[::2]
        )
        whole = replace(whole, opportunities=prices)
    later = dice.sample(whole.jobs, len(whole.jobs) // 2)
    there = tuple(job for job in whole.jobs if job not in later)
    return replace(whole, jobs=there), [replace(job, promise=None, created_at=NOW + k) for k, job in enumerate(later)]


def something_else(snapshot: Snapshot, dice: Random) -> Snapshot:
    """A job that is gone, a link that is slower, time that passes."""
    kind = dice.randrange(3)
    if kind == 0 and len(snapshot.jobs) > 2:
        gone = dice.choice(snapshot.jobs)
        return replace(snapshot, jobs=tuple(job for job in snapshot.jobs if job is not gone))
    if kind == 1 and snapshot.fleet.links:
        one = dice.choice(snapshot.fleet.links)
        links = tuple(
            replace(link, reached=link.reached * 0.9) if link is one else link for link in snapshot.fleet.links
        )
        return replace(snapshot, fleet=replace(snapshot.fleet, links=links))
    return replace(snapshot, taken_at=snapshot.taken_at + 20.0)


def followed(seed: int) -> tuple[int, int]:
    """How many arrivals were put into the present plan, of how many; every plan is compared with one made anew."""

    async def story() -> tuple[int, int]:
        snapshot, later = cases(seed)
        dice, worker, come = Random(seed), InProcess(), len(later)
        planner = Planner(time.monotonic, lambda *_: None, lambda _: None, worker, worker)  # type: ignore[arg-type]
        while True:
            found = await planner.insert(snapshot)
            expected = quick(snapshot)
            if expected.violations:
                assert found is None
            else:
                assert found == expected
            if not later:
                return worker.inserted, come
            snapshot = replace(carrying(snapshot, expected), opportunities=snapshot.opportunities)
            if dice.random() < 0.1:
                snapshot = something_else(snapshot, dice)
            more = [later.pop() for _ in range(min(len(later), dice.choice([0, 1, 1, 2, 3])))]
            snapshot = canonical(replace(snapshot, jobs=(*snapshot.jobs, *more)))

    return asyncio.run(story())


@examples(40)
@given(st.integers(0, 100_000))
def test_inserted_is_made_anew(seed: int) -> None:
    followed(seed)


def test_most_arrivals_are_inserted() -> None:
    """The property would hold as well if nothing ever were."""
    inserted, come = (sum(some) for some in zip(*(followed(seed) for seed in range(12)), strict=True))
    assert inserted > come / 3


@examples(20)
@given(st.integers(0, 100_000))
def test_quantiles_of_many_rows_are_those_of_each(seed: int) -> None:
    present = present_plan(cases(seed)[0])
    found = spread(present.reserved.instance, present.schedule)
    assert quantiles(found.ends) == [quantiles(row[None])[0] for row in found.ends]


def test_under_a_budget_every_job_takes_part_in_each_decision() -> None:
    """Whichever budget it is: what one job is allotted depends on all of them."""
    case = canonical(random_snapshot(3, 6, 3, 2, policy=Policy()))
    assert insertable(present_plan(case))
    for limited in (
        replace(case.policy, cost_budget=1e9),
        replace(case.policy, energy_budget_kilowatt_hours=1e9),
        replace(case.policy, carbon_budget_grams=1e9),
    ):
        assert not insertable(present_plan(replace(case, policy=limited)))
