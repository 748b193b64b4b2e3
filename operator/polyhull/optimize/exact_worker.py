"""CP-SAT in a process of its own: `python -m polyhull.optimize.exact_worker`, problem on stdin, answer on stdout.

The only module that imports OR-tools (with HiGHS in one process it crashes). One worker, a fixed seed and a limit in
deterministic time: the same problem gets the same answer.
"""

import json
import sys
from dataclasses import replace
from typing import Any

from ortools.sat.python import cp_model

from polyhull.optimize.coarse import coarser
from polyhull.optimize.exact import (
    ExactAnswer,
    ExactCap,
    ExactPool,
    ExactProblem,
    answer_document,
    problem_from,
)

COARSE = 50
"""Units of the problem's grid in one of the coarse grid's."""

CLOSE = 0.997


def solve(problem: ExactProblem) -> ExactAnswer:
    """Least makespan over the problem's class, from its hint: on a coarse grid for the bound, then on its own from
    the better of the two schedules."""
    budget = problem.deterministic_seconds
    rough = _Model(coarser(problem, COARSE, budget / 2.0))
    answer = rough.solve(bound_first=True)
    if answer.status in ("OPTIMAL", "FEASIBLE"):
        better = rough.found < problem.horizon // COARSE
        problem = replace(
            problem,
            least=max(problem.least, min(answer.bound * COARSE, problem.horizon)),
            hint=tuple((c, start * COARSE) for c, start in answer.starts) if better else problem.hint,
            move_hint=tuple((m, w, start * COARSE) for m, w, start in answer.moves) if better else problem.move_hint,
        )
    left = budget - rough.deterministic_seconds
    if problem.least >= problem.horizon * CLOSE:
        left = min(left, budget / 10.0)  # what is left to prove is the coarse grid's rounding
    return _Model(replace(problem, deterministic_seconds=left)).solve()


class _Model:
    def __init__(self, problem: ExactProblem) -> None:
        self.problem = problem
        self.found, self.deterministic_seconds = problem.horizon, 0.0
        """Makespan of the best schedule, and time taken; after `solve`."""
        self.model = cp_model.CpModel()
        self.makespan = self.model.new_int_var(problem.least, problem.horizon, "makespan")
        self.model.minimize(self.makespan)
        self.on_pool: list[list[tuple[int, int, int, Any, Any]]] = [[] for _ in problem.pools]
        """(column's length, pods, devices of one, interval, present)."""
        self.running: list[Any] = [None] * len(problem.columns)
        """[column] its interval."""
        self._move_variables()
        self._job_variables()
        self._links()
        self._services()
        for p, pool in enumerate(problem.pools):
            self._pool(p, pool)
        for cap in problem.caps:
            self._cap(cap)
        self._hint()

    def _move_variables(self) -> None:
        model, problem = self.model, self.problem
        self.move_present: list[Any] = []
        self.move_end: list[Any] = []
        self.move_start: list[Any] = []
        self.way_present: list[list[Any]] = []
        self.on_link: list[list[tuple[int, Any, Any]]] = [[] for _ in range(problem.links)]
        """(length, interval, present)."""
        for m, ways in enumerate(problem.moves):
            if not ways:
                for store, value in (
                    (self.move_present, 1), (self.move_end, problem.busy[m]), (self.move_start, 0),
                ):  # fmt: skip
                    store.append(value)
                self.way_present.append([])
                continue
            start = model.new_int_var(0, problem.horizon, f"move{m}")
            present = model.new_bool_var(f"made{m}")
            lits = [present] if len(ways) == 1 else [model.new_bool_var(f"way{m}.{w}") for w in range(len(ways))]
            if len(ways) > 1:
                model.add(sum(lits) == present)
            for way, lit in zip(ways, lits, strict=True):
                interval = model.new_optional_fixed_size_interval_var(start, way.length, lit, f"move{m}")
                for link in way.links:
                    self.on_link[link].append((way.length, interval, lit))
            self.move_start.append(start)
            self.move_present.append(present)
            self.move_end.append(start + sum(way.length * lit for way, lit in zip(ways, lits, strict=True)))
            self.way_present.append(lits)

    def _job_variables(self) -> None:
        model, problem = self.model, self.problem
        columns: list[list[int]] = [[] for _ in range(problem.jobs)]
        for c, column in enumerate(problem.columns):
            columns[column.job].append(c)
        self.present: list[Any] = [model.new_bool_var(f"column{c}") for c in range(len(problem.columns))]
        self.start: list[Any] = [model.new_int_var(0, problem.horizon, f"job{j}") for j in range(problem.jobs)]
        for j, mine in enumerate(columns):
            model.add_exactly_one(self.present[c] for c in mine)
            length = sum(problem.columns[c].length * self.present[c] for c in mine)
            model.add(self.start[j] + length <= self.makespan)
            heads = sum(problem.columns[c].head * self.present[c] for c in mine)
            model.add(self.start[j] >= heads)
            readers: dict[int, list[int]] = {}
            for c in mine:
                column = problem.columns[c]
                interval = model.new_optional_fixed_size_interval_var(
                    self.start[j], column.length, self.present[c], f"run{c}"
                )
                self.running[c] = interval
                for pool, pods, devices in column.gangs:
                    self.on_pool[pool].append((column.length, pods, devices, interval, self.present[c]))
                for m in column.moves:
                    readers.setdefault(m, []).append(c)
            for m, who in readers.items():
                reads = self.present[who[0]]
                if len(who) > 1:
                    reads = model.new_bool_var(f"reads{j}.{m}")
                    model.add(sum(self.present[c] for c in who) == reads)
                if problem.moves[m]:
                    model.add_implication(reads, self.move_present[m])
                model.add(self.start[j] >= self.move_end[m]).only_enforce_if(reads)

    def _links(self) -> None:
        for link, users in enumerate(self.on_link):
            busy = self.problem.link_busy[link]
            if busy > 0:
                for _, interval, lit in users:
                    self.model.add(interval.start_expr() >= busy).only_enforce_if(lit)
            if len(users) > 1:
                self.model.add_no_overlap([interval for _, interval, _ in users])
                self.model.add(busy + sum(length * lit for length, _, lit in users) <= self.makespan)

    def _services(self) -> None:
        """Replicas are free to choose: as few and as light as the demand permits."""
        model, problem = self.model, self.problem
        self.counts: list[Any] = [
            model.new_int_var(0, one.most, f"replicas{o}") for o, one in enumerate(problem.offers)
        ]
        for s, demand in enumerate(problem.demand):
            mine = [(one, count) for one, count in zip(problem.offers, self.counts, strict=True) if one.service == s]
            if mine:
                model.add(sum(one.rate * count for one, count in mine) >= demand)
                model.add(sum(count for _, count in mine) >= problem.replicas[s])

    def _pool(self, p: int, pool: ExactPool) -> None:
        """Devices in sum, then what node shapes imply."""
        sizes = {devices for _, _, devices, _, _ in self.on_pool[p]}
        sizes |= {devices for _, devices, _ in pool.holds}
        sizes |= {one.devices for one in self.problem.offers if one.pool == p}
        largest = max(pool.nodes, default=0)
        if not sizes or largest <= 0:
            return
        plain = {size: size for size in sorted(sizes)}
        room = node_capacity(plain, pool.nodes)
        self._capacity(p, pool, plain, room)
        for scale in (1, 2, 3):
            weights = {size: share_weight(size, largest, scale) for size in sorted(sizes)}
            capacity = node_capacity(weights, pool.nodes)
            total, before = sum(capacity), sum(room)
            # Worth a row only where some pod takes a larger share than it does by devices.
            if any(weights[size] * before > plain[size] * total for size in sizes):
                self._capacity(p, pool, weights, capacity)

    def _capacity(self, p: int, pool: ExactPool, weights: dict[int, int], nodes: tuple[int, ...]) -> None:
        model, problem = self.model, self.problem
        intervals: list[Any] = []
        demands: list[Any] = []
        area: list[Any] = []
        for length, pods, devices, interval, lit in self.on_pool[p]:
            weight = pods * weights[devices]
            if weight > 0:
                intervals.append(interval)
                demands.append(weight)
                area.append(length * weight * lit)
        fixed = 0
        capacity, grown = sum(nodes), sum(nodes[len(nodes) - pool.growth :])
        holds = [(pods * weights[devices], until) for pods, devices, until in pool.holds]
        for weight, until in (*holds, (grown, pool.provision)):
            if weight > 0 and until > 0:
                intervals.append(model.new_fixed_size_interval_var(0, min(until, problem.horizon), "held"))
                demands.append(weight)
                fixed += weight * min(until, problem.horizon)
        for one, count in zip(problem.offers, self.counts, strict=True):
            if one.pool == p and weights[one.devices] > 0:
                # Replicas may be on growth nodes, which are not there before.
                begin = min(pool.provision, problem.horizon) if pool.growth > 0 else 0
                intervals.append(model.new_fixed_size_interval_var(begin, problem.horizon - begin, "serves"))
                demands.append(weights[one.devices] * count)
        if not intervals:
            return
        model.add_cumulative(intervals, demands, capacity)
        served = [one for one in problem.offers if one.pool == p and weights[one.devices] > 0]
        if area and not served:
            model.add(sum(area) + fixed <= capacity * self.makespan)

    def _cap(self, cap: ExactCap) -> None:
        """What is taken at one instant, and what is taken in all."""
        model, problem = self.model, self.problem
        intervals = [self.running[c] for c, _ in cap.columns]
        demands: list[Any] = [taken for _, taken in cap.columns]
        fixed = 0
        for taken, until in cap.holds:
            if until > 0:
                intervals.append(model.new_fixed_size_interval_var(0, min(until, problem.horizon), "held"))
                demands.append(taken)
                fixed += taken * min(until, problem.horizon)
        for o, taken in cap.offers:
            intervals.append(model.new_fixed_size_interval_var(0, problem.horizon, "serves"))
            demands.append(taken * self.counts[o])
        model.add_cumulative(intervals, demands, cap.most)
        area = sum(problem.columns[c].length * taken * self.present[c] for c, taken in cap.columns)
        if not cap.offers:
            model.add(area + fixed <= cap.most * self.makespan)

    def _hint(self) -> None:
        problem, model = self.problem, self.model
        for j, (column, start) in enumerate(problem.hint):
            model.add_hint(self.start[j], start)
            for c, candidate in enumerate(problem.columns):
                if candidate.job == j:
                    model.add_hint(self.present[c], c == column)
        made = {m: (way, start) for m, way, start in problem.move_hint}
        for m, ways in enumerate(problem.moves):
            if not ways:
                continue
            way, start = made.get(m, (-1, 0))
            model.add_hint(self.move_start[m], start)
            if len(ways) > 1:
                model.add_hint(self.move_present[m], m in made)
            for w, lit in enumerate(self.way_present[m]):
                model.add_hint(lit, w == way)
        model.add_hint(self.makespan, problem.horizon)

    def solve(self, bound_first: bool = False) -> ExactAnswer:
        """`bound_first`: a tree search on the objective's lower end, which proves most and finds little."""
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        if bound_first:
            solver.parameters.optimize_with_lb_tree_search = True
        else:
            # Several strategies in turns on one thread: where one of them alone may take a hundred times longer.
            solver.parameters.interleave_search = True
        # The linear relaxation of precedences and areas is what proves most of these instances.
        solver.parameters.linearization_level = 2
        solver.parameters.random_seed = self.problem.seed % 2**31
        solver.parameters.max_deterministic_time = self.problem.deterministic_seconds
        status = solver.solve(self.model)
        name = solver.status_name(status)
        self.deterministic_seconds = solver.response_proto.deterministic_time
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return ExactAnswer(name, self.problem.least if name != "INFEASIBLE" else self.problem.horizon)
        self.found = solver.value(self.makespan)
        starts: list[tuple[int, int]] = [(0, 0)] * self.problem.jobs
        for c, column in enumerate(self.problem.columns):
            if solver.boolean_value(self.present[c]):
                starts[column.job] = (c, solver.value(self.start[column.job]))
        moves = [
            (m, w, solver.value(self.move_start[m]))
            for m, lits in enumerate(self.way_present)
            for w, lit in enumerate(lits)
            if solver.boolean_value(lit)
        ]
        counts = tuple(solver.value(count) for count in self.counts)
        bound = int(solver.best_objective_bound + 0.5)
        return ExactAnswer(name, max(bound, self.problem.least), tuple(starts), tuple(moves), counts)


def share_weight(devices: int, largest: int, scale: int) -> int:
    """u_k(devices / largest) in units of 1 / (k x largest): dual feasible functions (Fekete and Schepers 2001)."""
    whole, rest = divmod((scale + 1) * devices, largest)
    return whole * largest if rest else devices * scale


def node_capacity(weights: dict[int, int], nodes: tuple[int, ...]) -> tuple[int, ...]:
    """Per node the most weight that pods of these sizes can have there together: an unbounded knapsack each."""
    largest = max(nodes, default=0)
    pairs = [(size, weight) for size, weight in weights.items() if size > 0 and weight > 0]
    most = [0] * (largest + 1)
    for room in range(1, largest + 1):
        best = most[room - 1]
        for size, weight in pairs:
            if size <= room and most[room - size] + weight > best:
                best = most[room - size] + weight
        most[room] = best
    return tuple(most[max(0, node)] for node in nodes)


def main() -> None:
    answer = solve(problem_from(json.load(sys.stdin)))
    json.dump(answer_document(answer), sys.stdout)


if __name__ == "__main__":
    main()
