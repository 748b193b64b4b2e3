"""An exact problem on a coarser grid: what its schedules cannot do, those of the finer one cannot do either.

A schedule on the fine grid, every start divided by `factor` and rounded down, is one on the coarse grid: for whole
numbers a + b <= c gives floor(a/k) + floor(b/k) <= floor(c/k), so nothing that was in order overlaps now. Proofs that
take a branch-and-bound minutes among fifty thousand instants take it a moment among a thousand.
"""

from dataclasses import replace

from polyhull.optimize.exact import ExactCap, ExactColumn, ExactPool, ExactProblem, ExactWay


def coarser(problem: ExactProblem, factor: int, deterministic_seconds: float) -> ExactProblem:
    """`factor` units become one; `factor` times a bound of the result is a bound of `problem`."""

    def column(one: ExactColumn) -> ExactColumn:
        return replace(one, length=one.length // factor, head=one.head // factor)

    def pool(one: ExactPool) -> ExactPool:
        holds = tuple((pods, devices, until // factor) for pods, devices, until in one.holds)
        return replace(one, provision=one.provision // factor, holds=holds)

    def cap(one: ExactCap) -> ExactCap:
        return replace(one, holds=tuple((taken, until // factor) for taken, until in one.holds))

    def way(one: ExactWay) -> ExactWay:
        return replace(one, length=one.length // factor)

    return replace(
        problem,
        unit_seconds=problem.unit_seconds * factor,
        horizon=problem.horizon // factor,
        least=problem.least // factor,
        columns=tuple(column(one) for one in problem.columns),
        moves=tuple(tuple(way(one) for one in ways) for ways in problem.moves),
        busy=tuple(until // factor for until in problem.busy),
        link_busy=tuple(until // factor for until in problem.link_busy),
        pools=tuple(pool(one) for one in problem.pools),
        hint=tuple((column, start // factor) for column, start in problem.hint),
        move_hint=tuple((move, way, start // factor) for move, way, start in problem.move_hint),
        deterministic_seconds=deterministic_seconds,
        caps=tuple(cap(one) for one in problem.caps),
    )
