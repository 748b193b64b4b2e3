"""A whole-job plan of a large problem, and what happens to it between solves: prices stay, few jobs move.

A plan is how many jobs of its class every column runs. One event - a job arrives, one finishes, a node is lost -
changes a load or a room; the old prices then still prove a bound (one pass over all columns), and jobs on what is
over-full move to where they are cheapest at these prices and still fit.
"""

from dataclasses import dataclass

import numpy as np

from polyhull.optimize.data import Floats, Ints
from polyhull.optimize.large.kernel import Descent
from polyhull.optimize.large.problem import LargeProblem
from polyhull.optimize.large.solve import Answer

_ROUNDS, _WAYS, _SOFT = 2, 60, 0.02
"""How often rows and ways are settled in turn; how often ways move each time, and how sharply."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One job that is in no class yet: its columns as in LargeProblem, and (commodity, bytes) of its data."""

    row: Ints
    use: Floats
    site: Ints
    needs: tuple[tuple[int, float], ...] = ()


class Plan:
    """`count` jobs by column, `load` by row and link as parts of `room`, all kept up to date by every event."""

    def __init__(self, problem: LargeProblem, shares: Floats, usage: Floats, prices: Floats) -> None:
        """`usage` [commodity x site, link]: bytes on each link for one byte that arrives, from `Descent.usage`."""
        self.problem, self.usage = problem, usage
        self.count = whole(problem, shares)
        self.room, self.jobs, self.prices = problem.room.copy(), problem.jobs.copy(), prices
        self.extra = 0.0
        """What jobs outside all classes cost at least."""
        self.distance = problem.distances(prices)
        self.cost = problem.column_prices(prices)
        self.least = problem.cheapest(self.cost)
        order = np.argsort(problem.row[:, 0], kind="stable")
        self._on_row = np.split(order, np.searchsorted(problem.row[order, 0], np.arange(1, problem.rows)))
        self.load = self._loads()

    def flow(self, usage: Floats) -> None:
        """Data takes these ways from now on."""
        self.usage = usage
        self.load = self._loads()

    @property
    def top(self) -> float:
        return float(self.load.max())

    def lower(self) -> float:
        """A proven lower bound on the largest load of any plan for what is there now, from the old prices."""
        problem = self.problem
        work = float((self.jobs * self.least).sum()) * (1.0 - problem.roundings - len(self.jobs) * 2.0**-52)
        offered = float((self.prices * self.room).sum()) * (1.0 + len(self.room) * 2.0**-52)
        return (work + self.extra) / offered

    def arrive(self, job: Job, most: float) -> int:
        """Put one new job on its cheapest column that keeps all loads at `most`, or where it hurts least; which."""
        cost = (self.prices[job.row] * job.use).sum(axis=1)
        for commodity, size in job.needs:
            cost += np.where(job.site >= 0, self.distance[commodity, job.site] * size, 0.0)
        self.extra += float(cost.min()) * (1.0 - 64 * 2.0**-52)
        full = ((self.load[job.row] + job.use / self.room[job.row]) * (job.use > 0.0)).max(axis=1)
        order = np.lexsort((cost, np.maximum(full, most)))
        for g in order[:8].tolist():
            change = self._change(job.row[g], job.use[g], int(job.site[g]), job.needs)
            if g == int(order[min(7, len(order) - 1)]) or float((self.load + change).max()) <= max(most, self.top):
                break
        self.load += change
        return int(g)

    def finish(self, column: int) -> None:
        """One job of this column is done and gone."""
        if self.count[column] <= 0:
            raise ValueError(f"no job of column {column} is left to finish")
        self.count[column] -= 1
        self.jobs[self.problem.class_of[column]] -= 1.0
        self.load -= self._column_change(column)

    def lose(self, row: int, amount: float) -> None:
        """Room of a row is gone for good; a bound by the same unit prices follows."""
        left = self.room[row] - amount
        if not left > 0.0:
            raise ValueError(f"row {row} has {self.room[row]:g}, so {amount:g} less leaves nothing: solve anew")
        self.load[row] *= self.room[row] / left
        self.room[row] = left

    def repair(self, row: int, most: float, jobs: int = 100) -> int:
        """Move at most `jobs` jobs away from `row` until its load is `most`; least loss at the prices first."""
        problem = self.problem
        here = self._on_row[row]
        here = here[self.count[here] > 0]
        options = [self._elsewhere(int(g), row, most) for g in here.tolist()]
        relief = problem.use[here, 0] / self.room[row]
        loss = np.array([np.inf if g < 0 else self.cost[g] for g in options]) - self.cost[here]
        moved = 0
        for at in np.argsort(loss / relief, kind="stable").tolist():
            source = int(here[at])
            while self.load[row] > most and moved < jobs and self.count[source] > 0:
                target = self._elsewhere(source, row, most)
                if target < 0:
                    break
                self.load += self._column_change(target) - self._column_change(source)
                self.count[source] -= 1
                self.count[target] += 1
                moved += 1
        return moved

    def settle(self, most: float) -> int:
        """After rounding: jobs leave every row that holds more than `most`, fullest first; how many moved."""
        rows = np.argsort(-self.load[: self.problem.rows], kind="stable")
        full = rows[self.load[rows] > most]
        return sum(self.repair(int(row), most, int(self.problem.jobs.sum())) for row in full.tolist())

    def _elsewhere(self, column: int, row: int, most: float) -> int:
        """The cheapest other column of the same class whose row has room for one job below `most`; -1: none."""
        problem = self.problem
        j = problem.class_of[column]
        mine = np.arange(problem.column_of[j], problem.column_of[j + 1])
        rows = problem.row[mine, 0]
        fits = (rows != row) & (self.load[rows] + problem.use[mine, 0] / self.room[rows] <= most)
        if not fits.any():
            return -1
        mine = mine[fits]
        return int(mine[np.argmin(self.cost[mine])])

    def _column_change(self, column: int) -> Floats:
        problem = self.problem
        j = problem.class_of[column]
        needs = range(problem.need_of[j], problem.need_of[j + 1])
        data = tuple((int(problem.need_commodity[n]), float(problem.need_bytes[n])) for n in needs)
        return self._change(problem.row[column], problem.use[column], int(problem.site[column]), data)

    def _change(self, row: Ints, use: Floats, site: int, needs: tuple[tuple[int, float], ...]) -> Floats:
        """[row, link] what one job adds to the loads."""
        change = np.zeros(len(self.room))
        some = row >= 0
        np.add.at(change, row[some], use[some] / self.room[row[some]])
        if site >= 0:
            rows = self.problem.rows
            for commodity, size in needs:
                change[rows:] += self.usage[commodity * self.problem.sites + site] * size / self.room[rows:]
        return change

    def _loads(self) -> Floats:
        problem = self.problem
        load = np.zeros(len(self.room))
        for w in range(problem.row.shape[1]):
            mine = np.flatnonzero((problem.row[:, w] >= 0) & (self.count > 0))
            np.add.at(load, problem.row[mine, w], self.count[mine] * problem.use[mine, w])
        load[problem.rows :] += self.demand().ravel() @ self.usage
        found: Floats = load / self.room
        return found

    def demand(self) -> Floats:
        """[commodity, site] bytes that must arrive."""
        problem = self.problem
        arrives = np.zeros((problem.classes, problem.sites))
        busy = np.flatnonzero((self.count > 0) & (problem.site >= 0))
        np.add.at(arrives, (problem.class_of[busy], problem.site[busy]), self.count[busy])
        demand = np.zeros((problem.commodities, problem.sites))
        reader = np.repeat(np.arange(problem.classes), np.diff(problem.need_of))
        np.add.at(demand, problem.need_commodity, arrives[reader] * problem.need_bytes[:, None])
        return demand


def rounded(descent: Descent, answer: Answer, above: float = 0.003) -> Plan:
    """Whole jobs from an answer: remainders, then jobs leave rows that hold over `above` more than the answer, then
    flows find new ways for what is to be moved now."""
    problem = descent.problem
    plan = Plan(problem, answer.shares, descent.usage(), answer.prices)
    for _ in range(_ROUNDS):
        plan.settle(answer.upper * (1.0 + above))
        descent.reroute(plan.count / problem.jobs[problem.class_of], plan.demand(), _WAYS, _SOFT * plan.top)
        plan.flow(descent.usage())
    return plan


def whole(problem: LargeProblem, shares: Floats) -> Ints:
    """[column] whole jobs: floors, then the largest remainders of every class (ties: first column)."""
    wanted = shares * problem.jobs[problem.class_of]
    count = np.floor(wanted + 1e-9).astype(np.int64)
    left = np.round(problem.jobs - np.add.reduceat(count, problem.column_of[:-1])).astype(np.int64)
    order = np.lexsort((np.arange(problem.columns), count - wanted, problem.class_of))
    rank = np.arange(problem.columns) - problem.column_of[problem.class_of]
    count[order[rank < left[problem.class_of]]] += 1
    return count
